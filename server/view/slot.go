package view

import "slices"

// slotTable is a long list of blocks in chunks, so that a changed copy shares all chunks but the changed ones.
type slotTable struct {
	chunks []*[slotChunk]*Block
	count  int32
}

const slotChunk = 256

// grow adds n empty slots and returns the first. It is for a table that is not shared yet.
func (t *slotTable) grow(n int) int32 {
	first := t.count
	t.count += int32(n)
	for int32(len(t.chunks))*slotChunk < t.count {
		t.chunks = append(t.chunks, new([slotChunk]*Block))
	}
	return first
}

func (t *slotTable) at(slot int32) *Block { return t.chunks[slot/slotChunk][slot%slotChunk] }

// set is for a table that is not shared yet.
func (t *slotTable) set(slot int32, b *Block) { t.chunks[slot/slotChunk][slot%slotChunk] = b }

// replace returns a table with the given blocks in place, leaving t as it is.
func (t *slotTable) replace(blocks map[int32]*Block) slotTable {
	next := slotTable{chunks: slices.Clone(t.chunks), count: t.count}
	for slot, b := range blocks {
		if c := slot / slotChunk; next.chunks[c] == t.chunks[c] {
			copied := *t.chunks[c]
			next.chunks[c] = &copied
		}
		next.set(slot, b)
	}
	return next
}
