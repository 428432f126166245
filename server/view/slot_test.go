package view

import "testing"

func TestSlotTable(t *testing.T) {
	var table slotTable
	want := map[int32]*Block{}
	next := int32(0)
	for _, n := range []int{0, 1, slotChunk - 2, 1, 2, 0, 3 * slotChunk, 5} {
		first := table.grow(n)
		if first != next {
			t.Fatalf("grow(%d) gives slot %d, want %d", n, first, next)
		}
		next += int32(n)
		for slot := first; slot < next; slot++ {
			if table.at(slot) != nil {
				t.Fatalf("slot %d is not empty", slot)
			}
			want[slot] = new(Block)
			table.set(slot, want[slot])
		}
	}
	changed := map[int32]*Block{0: {}, slotChunk - 1: {}, slotChunk: {}, next - 1: {}}
	copied := table.replace(changed)
	for slot := range next {
		if table.at(slot) != want[slot] {
			t.Errorf("slot %d changed in the table that was replaced", slot)
		}
		if b, is := changed[slot]; is {
			want[slot] = b
		}
		if copied.at(slot) != want[slot] {
			t.Errorf("slot %d is wrong in the copy", slot)
		}
	}
	shared := 0
	for i := range table.chunks {
		if table.chunks[i] == copied.chunks[i] {
			shared++
		}
	}
	if got, want := shared, len(table.chunks)-3; got != want {
		t.Errorf("%d chunks are shared, want %d", got, want)
	}
	if same := table.replace(nil); same.count != table.count || same.chunks[0] != table.chunks[0] {
		t.Error("replacing nothing changed something")
	}
}
