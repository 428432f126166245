package view

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// nameTable finds nodes by their names: a hash table with open addressing and without pointers, so that a million names are no
// work for the garbage collector, and a look-up fetches two cache lines. The hash has a secret seed: nobody can choose names that
// collide. The zero table is empty. Immutable but for add.
type nameTable struct {
	seed maphash.Seed
	// Of each slot the upper half has the upper half of the hash, the lower tells where in text the name begins; 0 is an empty slot. At
	// least half of them are, and their number is a power of two.
	slots []uint64
	// text has all names behind each other, each after its number in numberLen octets. No name in wire form is the beginning
	// of another, so their ends need no mark.
	text  []byte
	count int
}

const numberLen = 4

// newNameTable is a table with room for n names of size octets together.
func newNameTable(n, size int) nameTable {
	return nameTable{
		seed:  maphash.MakeSeed(),
		slots: make([]uint64, 1<<bits.Len(uint(max(2*n, 2)-1))),
		text:  make([]byte, 0, n*numberLen+size),
	}
}

// add gives the next number, from 0 up, to a name that is not in the table yet.
func (t *nameTable) add(name string) { t.insert(name, maphash.String(t.seed, name)) }

// insert is add for a name with this hash.
func (t *nameTable) insert(name string, hash uint64) {
	t.text = binary.NativeEndian.AppendUint32(t.text, uint32(t.count))
	at := hash & uint64(len(t.slots)-1)
	for t.slots[at] != 0 {
		at = (at + 1) & uint64(len(t.slots)-1)
	}
	t.slots[at] = hash>>32<<32 | uint64(len(t.text))
	t.text = append(t.text, name...)
	t.count++
}

// find returns the number of a name in wire form and lower case.
func (t *nameTable) find(name []byte) (number int32, found bool) {
	return t.probe(name, maphash.Bytes(t.seed, name))
}

// probe is find for a name with this hash.
func (t *nameTable) probe(name []byte, hash uint64) (number int32, found bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	for at := hash; ; at++ {
		slot := t.slots[at&uint64(len(t.slots)-1)]
		if slot == 0 {
			return 0, false
		}
		if (slot^hash)>>32 != 0 {
			continue
		}
		text := t.text[uint32(slot)-numberLen:]
		if len(text) >= numberLen+len(name) && string(text[numberLen:numberLen+len(name)]) == string(name) {
			return int32(binary.NativeEndian.Uint32(text)), true
		}
	}
}
