package geo

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// cellBits is the depth of a cell: the model of leaves is a space of a few cells, each with its value.
const cellBits = 6

type cells [1 << cellBits]uint32

// leaves is the model of a partition: a block of one value is a leaf, every other is its two halves.
func (c *cells) leaves() leaves {
	var l leaves
	var split func(from, depth int)
	split = func(from, depth int) {
		block := c[from : from+len(c)>>depth]
		if !slices.ContainsFunc(block, func(v uint32) bool { return v != block[0] }) {
			l.depths, l.values = append(l.depths, uint8(depth)), append(l.values, block[0])
			return
		}
		split(from, depth+1)
		split(from+len(block)/2, depth+1)
	}
	split(0, 0)
	return l
}

// genCells draws cells in which blocks of all sizes are alike.
func genCells() *rapid.Generator[cells] {
	return rapid.Custom(func(t *rapid.T) cells {
		var c cells
		for range rapid.IntRange(0, 10).Draw(t, "blocks") {
			size := len(c) >> rapid.IntRange(0, cellBits).Draw(t, "depth")
			from := rapid.IntRange(0, len(c)/size-1).Draw(t, "block") * size
			value := rapid.Uint32Range(0, 3).Draw(t, "value")
			for i := range size {
				c[from+i] = value
			}
		}
		return c
	})
}

// cellKey is where a cell begins.
func cellKey(i int) key { return key{hi: uint64(i) << (64 - cellBits)} }

func sameLeaves(a, b leaves) bool {
	return slices.Equal(a.depths, b.depths) && slices.Equal(a.values, b.values)
}

func TestLeafBuilder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCells().Draw(t, "cells")
		var byCell, byRun leafBuilder
		for i, value := range c {
			byCell.add(cellBits, value)
			if i+1 == len(c) {
				byRun.fill(key{}, true, value)
			} else if c[i+1] != value {
				byRun.fill(cellKey(i+1), false, value)
				// Where it is already there is nothing to do.
				byRun.fill(cellKey(rapid.IntRange(0, i+1).Draw(t, "before")), false, value+1)
			}
		}
		want := c.leaves()
		for name, b := range map[string]*leafBuilder{"by cell": &byCell, "by run": &byRun} {
			if !b.done {
				t.Fatalf("%s: not done at %x", name, b.at)
			}
			if got := b.finish(9); !sameLeaves(got, want) {
				t.Fatalf("%s: %v, want %v", name, got, want)
			}
		}
	})
}

func TestFinish(t *testing.T) {
	var b leafBuilder
	b.fill(cellKey(3), false, 1)
	c := cells{1, 1, 1}
	if diff := cmp.Diff(c.leaves(), b.finish(0), cmp.AllowUnexported(leaves{})); diff != "" {
		t.Error(diff)
	}
}

func TestOverlay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genCells().Draw(t, "a"), genCells().Draw(t, "b")
		// Not one to one: leaves of different values come to be alike.
		combine := func(x, y uint32) uint32 { return 3*x + y }
		var both, relabeled cells
		values := []uint32{7, 7, 5, 9}
		for i := range a {
			both[i], relabeled[i] = combine(a[i], b[i]), values[a[i]]
		}
		if got, want := overlay(a.leaves(), b.leaves(), combine), both.leaves(); !sameLeaves(got, want) {
			t.Fatalf("overlay: %v, want %v", got, want)
		}
		if got, want := a.leaves().relabel(values), relabeled.leaves(); !sameLeaves(got, want) {
			t.Fatalf("relabel: %v, want %v", got, want)
		}
	})
}
