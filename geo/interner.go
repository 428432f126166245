package geo

import "encoding/binary"

// An interner numbers values in the order in which they come.
type interner[T comparable] struct {
	values  []T
	numbers map[T]uint32
}

func newInterner[T comparable]() *interner[T] { return &interner[T]{numbers: map[T]uint32{}} }

func (in *interner[T]) number(value T) uint32 {
	n, known := in.numbers[value]
	if !known {
		n = uint32(len(in.values))
		in.values = append(in.values, value)
		in.numbers[value] = n
	}
	return n
}

// listName makes a list of numbers a value that an interner can have: four octets for each.
func listName(list []uint32) string {
	name := make([]byte, 0, 4*len(list))
	for _, n := range list {
		name = binary.BigEndian.AppendUint32(name, n)
	}
	return string(name)
}
