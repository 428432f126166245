package geo

import (
	"net/netip"
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
		for _, table := range []string{"", "0.0.0.0/0", "2000::/3", "2001:db8::/18"} {
			trie := newTrie(l)
			if trie.isConstant() || trie.leaves != len(words) {
				t.Fatalf("a trie of %d leaves is constant, or has %d", len(words), trie.leaves)
			}
			if table != "" {
				prefix := netip.MustParsePrefix(table).Masked()
				in, _ := keyOf(prefix.Addr())
				trie.hasten(in, prefix.Bits())
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
						t.Fatalf("table %q: lookup(%x) = value %d, depth %d; want %d, %d",
							table, k, got.value(), got.depth(), want.value(), want.depth())
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
					t.Fatalf("table %q: stopped at %d, all yields %v, %v; want %v", table, n, got, whole, words)
				}
			}
		}
	})
}

// TestTables checks which plans get tables for the first bits: those with many leaves, by family.
func TestTables(t *testing.T) {
	// Blocks that alternate, and the rest of the space in as few leaves as it takes.
	alternate := func(first string, blocks int) leaves {
		var b leafBuilder
		prefix := netip.MustParsePrefix(first)
		at, _ := keyOf(prefix.Addr())
		b.fill(at, false, 0)
		for i := range blocks {
			b.add(prefix.Bits(), uint32(i%2+1))
		}
		return b.finish(0)
	}
	for _, tc := range []struct {
		four, six    int // blocks
		want4, want6 int // entries of the tables
	}{
		{directLeaves / 2, directLeaves / 2, 0, 0},
		{directLeaves, directLeaves / 2, 1 << 18, 0},
		{directLeaves / 2, directLeaves, 0, 1 << 15},
	} {
		p := newPartition(alternate("0.0.0.0/30", tc.four), alternate("2a00::/40", tc.six), 0)
		p.hasten()
		if len(p.v4.direct) != tc.want4 || len(p.v6.direct) != tc.want6 {
			t.Errorf("%d and %d blocks: tables of %d and %d entries, want %d and %d", tc.four, tc.six, len(p.v4.direct), len(p.v6.direct), tc.want4, tc.want6)
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
