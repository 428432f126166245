package geo

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// genLeaves draws a partition of several leaves, of all depths up to that of a single address.
func genLeaves() *rapid.Generator[leaves] {
	return rapid.Custom(func(t *rapid.T) leaves {
		var whole leafBuilder
		l := whole.finish(0)
		for range rapid.IntRange(1, 12).Draw(t, "blocks") {
			var b leafBuilder
			depth := rapid.OneOf(rapid.IntRange(1, 128), rapid.SampledFrom([]int{1, 6, 17, 18, 19, 24, 126, 127, 128})).Draw(t, "depth")
			b.fill(genKey().Draw(t, "key").masked(depth), false, 0)
			b.add(depth, rapid.Uint32Range(1, 3).Draw(t, "value"))
			block := b.finish(0)
			l = overlay(l, block, func(below, above uint32) uint32 {
				if above == 0 {
					return below
				}
				return above
			})
		}
		return l
	})
}

// words are the leaves as a trie has them.
func (l leaves) words() []word {
	var words []word
	for i, depth := range l.depths {
		words = append(words, leafWord(l.values[i], int(depth)))
	}
	return words
}

func TestTrie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := genLeaves().Filter(func(l leaves) bool { return len(l.depths) > 1 }).Draw(t, "leaves")
		words := l.words()
		for _, direct := range []bool{false, true} {
			trie := buildTrie(l, direct)
			if trie.isConstant() || (trie.direct != nil) != direct {
				t.Fatalf("a trie of %d leaves is constant, or has not the table that it was to have", len(words))
			}
			at := key{}
			for _, want := range words {
				next, _ := at.after(want.depth())
				before := key{hi: next.hi, lo: next.lo - 1}
				if next.lo == 0 {
					before.hi--
				}
				for _, k := range []key{at, before, {hi: at.hi | before.hi, lo: (at.lo + before.lo) / 2}} {
					if k.masked(want.depth()) != at {
						continue // not in the leaf: the middle is only a guess
					}
					if got := trie.lookup(k); got != want {
						t.Fatalf("direct %v: lookup(%x) = value %d, depth %d; want %d, %d",
							direct, k, got.value(), got.depth(), want.value(), want.depth())
					}
				}
				at = next
			}
			stop := rapid.IntRange(1, len(words)).Draw(t, "stop")
			for _, n := range []int{stop, len(words), len(words) + 1} {
				var got []word
				whole := trie.all(func(w word) bool {
					got = append(got, w)
					return len(got) < n
				})
				if !slices.Equal(got, words[:min(n, len(words))]) || whole != (n > len(words)) {
					t.Fatalf("direct %v: stopped at %d, all yields %v, %v; want %v", direct, n, got, whole, words)
				}
			}
		}
	})
}

// TestTrieTable checks where a trie gets the table for the first bits, and that it then is like one without.
func TestTrieTable(t *testing.T) {
	// Blocks that alternate, and the rest of the space in as few leaves as it takes.
	alternate := func(n int) leaves {
		var b leafBuilder
		for i := range n {
			b.add(30, uint32(i%2+1))
		}
		return b.finish(0)
	}
	blocks := directLeaves
	for len(alternate(blocks).depths) >= directLeaves {
		blocks--
	}
	for _, n := range []int{blocks, blocks + 1} {
		l := alternate(n)
		trie := newTrie(l)
		if (trie.direct != nil) != (n > blocks) {
			t.Errorf("a trie of %d leaves has a table: %v", len(l.depths), trie.direct != nil)
		}
		plain := buildTrie(l, false)
		for k, done := (key{}), false; !done; k, done = k.after(18) {
			if got, want := trie.lookup(k), plain.lookup(k); got != want {
				t.Fatalf("lookup(%x) = %x with a table, %x without", k, got, want)
			}
		}
	}
}

func TestConstantTrie(t *testing.T) {
	var b leafBuilder
	trie := newTrie(b.finish(5))
	for _, tc := range []struct {
		halved bool
		want   []word
	}{
		{false, []word{leafWord(5, 0)}},
		{true, []word{leafWord(5, 1), leafWord(5, 1)}},
	} {
		if tc.halved {
			trie.halve()
		}
		for stop := 1; stop <= len(tc.want); stop++ {
			var got []word
			trie.all(func(w word) bool {
				got = append(got, w)
				return len(got) < stop
			})
			if !slices.Equal(got, tc.want[:stop]) {
				t.Errorf("halved %v: all yields %x, want %x", tc.halved, got, tc.want[:stop])
			}
		}
		if got := trie.lookup(key{hi: 1 << 63}); got != tc.want[0] || !trie.isConstant() {
			t.Errorf("halved %v: lookup = %x, want %x, and a constant trie", tc.halved, got, tc.want[0])
		}
	}
}
