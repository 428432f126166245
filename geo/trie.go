package geo

import (
	"math/bits"
	"slices"
)

// A word is a leaf of a trie, with its value and its depth, or the index of a node.
type word uint32

const (
	leafBit   word = 1 << 31
	depthBits      = 8
	// maxValue is the largest value of a leaf.
	maxValue = 1<<(31-depthBits) - 1
)

func leafWord(value uint32, depth int) word { return leafBit | word(value)<<depthBits | word(depth) }

func (w word) isLeaf() bool { return w&leafBit != 0 }

func (w word) value() uint32 { return uint32(w&^leafBit) >> depthBits }

func (w word) depth() int { return int(w & (1<<depthBits - 1)) }

// A trie is a partition of one address family for look-ups. Each node takes strideBits bits of the address in one step and
// holds what it has below by two bitmaps, so it is as large as it has children and values (Asai and Ohara, "Poptrie",
// SIGCOMM 2015). How deep a leaf is follows from the bitmaps, because no two siblings have the same value. The zero trie is
// not valid; newTrie makes it.
type trie struct {
	// direct has, for each value of the first directBits bits, the leaf or the node; nil in a small trie, where top is it.
	direct []word
	top    word
	// nodes are one behind the other, each parent before its children. A node begins with its two bitmaps; then come the index of
	// each child, and the value of each run: on the way down and at its end there is little else to fetch.
	nodes []uint32
}

// bitmaps are what a node says of its slots, one for each value of the next bits of the address.
type bitmaps struct {
	inner uint64 // whether a node follows
	runs  uint64 // the slots without a node that have another value than the last such slot before
}

// bitmapWords is the size of the bitmaps in a node.
const bitmapWords = 4

func (t *trie) bitmaps(node word) bitmaps {
	b := t.nodes[node : node+bitmapWords]
	return bitmaps{inner: uint64(b[0]) | uint64(b[1])<<32, runs: uint64(b[2]) | uint64(b[3])<<32}
}

// child returns where in a node the index of the child at a slot is.
func (b bitmaps) child(slot int) int {
	return bitmapWords + bits.OnesCount64(b.inner&(1<<slot-1))
}

// value returns where in a node the value of a slot without a node is.
func (b bitmaps) value(slot int) int {
	// Of the runs that begin at or before the slot the last one. A shift by 64 gives 0.
	return bitmapWords + bits.OnesCount64(b.inner) + bits.OnesCount64(b.runs&(2<<slot-1)) - 1
}

// leafBits is how many bits of the stride the leaf at a slot without a node has: the widest block of one value is a leaf.
func (b bitmaps) leafBits(slot int) int {
	edges := b.runs | b.inner | b.inner<<1
	// The slots of this value are those from first to the one before behind.
	first := bits.Len64(edges&(2<<slot-1)) - 1
	behind := min(slot+1+bits.TrailingZeros64(edges>>(slot+1)), slots)
	// A block of 2^n slots around slot does not hold another slot exactly when they differ in a bit from n up.
	n := min(bits.Len64(uint64(slot^(first-1))), bits.Len64(uint64(slot^behind))) - 1
	return strideBits - n
}

const (
	strideBits = 6
	slots      = 1 << strideBits
	// directBits makes nodes end where most networks do: at 24 bits in IPv4, at 36, 42 and 48 in IPv6.
	directBits = 18
	// directLeaves is the number of leaves from which on a trie gets the table for the first bits: 1 MiB that saves up to
	// three dependent loads, and that each of a thousand small plans would pay for nothing.
	directLeaves = 1 << 16
)

// lookup returns the leaf of an address.
func (t *trie) lookup(k key) word {
	w, depth, hi, lo := t.top, 0, k.hi, k.lo
	if t.direct != nil {
		depth = directBits
		w = t.direct[hi>>(64-directBits)]
		hi, lo = hi<<directBits|lo>>(64-directBits), lo<<directBits
	}
	if w.isLeaf() {
		return w
	}
	for ; ; depth += strideBits {
		n, slot := t.bitmaps(w), int(hi>>(64-strideBits))
		if n.inner>>slot&1 == 0 {
			return leafWord(t.nodes[int(w)+n.value(slot)], depth+n.leafBits(slot))
		}
		w = word(t.nodes[int(w)+n.child(slot)])
		hi, lo = hi<<strideBits|lo>>(64-strideBits), lo<<strideBits
	}
}

// all yields every leaf in address order, until yield returns false, and reports whether it never did. A top that is a leaf is
// yielded as often as its depth wants: see halve.
func (t *trie) all(yield func(word) bool) bool {
	if t.direct == nil {
		return t.under(t.top, 0, yield)
	}
	for i := 0; i < len(t.direct); {
		w := t.direct[i]
		if !w.isLeaf() {
			if !t.under(w, directBits, yield) {
				return false
			}
			i++
			continue
		}
		if !yield(w) {
			return false
		}
		i += 1 << (directBits - w.depth())
	}
	return true
}

// under is all for the leaf or node w at a depth.
func (t *trie) under(w word, depth int, yield func(word) bool) bool {
	if w.isLeaf() {
		for range 1 << (w.depth() - depth) {
			if !yield(w) {
				return false
			}
		}
		return true
	}
	n := t.bitmaps(w)
	for slot := 0; slot < slots; {
		if n.inner>>slot&1 == 1 {
			if !t.under(word(t.nodes[int(w)+n.child(slot)]), depth+strideBits, yield) {
				return false
			}
			slot++
			continue
		}
		bits := n.leafBits(slot)
		if !yield(leafWord(t.nodes[int(w)+n.value(slot)], depth+bits)) {
			return false
		}
		slot += slots >> bits
	}
	return true
}

// halve gives a trie that is a single leaf two of the same value, at depth 1. It leaves every other trie alone.
func (t *trie) halve() {
	if t.isConstant() {
		t.top = leafWord(t.top.value(), 1)
	}
}

// isConstant reports whether every address has the same value.
func (t *trie) isConstant() bool { return t.direct == nil && t.top.isLeaf() }

// newTrie makes the trie of a partition.
func newTrie(l leaves) trie {
	if len(l.depths) == 1 {
		return trie{top: leafWord(l.values[0], 0)}
	}
	return buildTrie(l, len(l.depths) >= directLeaves)
}

// buildTrie makes the trie of a partition of several leaves, with the direct table or without.
func buildTrie(l leaves, direct bool) trie {
	b := trieBuilder{in: l}
	if direct {
		b.direct = make([]word, 1<<directBits)
		b.table()
	} else {
		b.top = b.node(0, 0, key{})
	}
	b.nodes = slices.Clip(slices.Clone(b.nodes)) // exactly as large as they are: they live long
	return b.trie
}

// trieBuilder makes a trie from the top down.
type trieBuilder struct {
	trie
	in leaves
}

// leaf is the word of leaf i of the input.
func (b *trieBuilder) leaf(i int) word { return leafWord(b.in.values[i], int(b.in.depths[i])) }

// table fills the direct table and builds the nodes under it.
func (b *trieBuilder) table() {
	for i, slot := 0, 0; slot < len(b.direct); {
		if depth := int(b.in.depths[i]); depth <= directBits {
			for range 1 << (directBits - depth) {
				b.direct[slot] = b.leaf(i)
				slot++
			}
			i++
			continue
		}
		start := key{hi: uint64(slot) << (64 - directBits)}
		b.direct[slot] = b.node(directBits, i, start)
		i = b.skip(i, directBits, start)
		slot++
	}
}

// node builds the node at the first depth bits of k, whose first leaf of the input is i, and the nodes under it. It returns its
// index.
func (b *trieBuilder) node(depth, i int, k key) word {
	var n bitmaps
	var children [slots]int // the leaf of the input with which each begins, by slot
	var values [slots]uint32
	runs := 0
	for slot, below := 0, depth+strideBits; slot < slots; {
		if d := int(b.in.depths[i]); d <= below {
			if value := b.in.values[i]; runs == 0 || value != values[runs-1] {
				n.runs |= 1 << slot
				values[runs] = value
				runs++
			}
			slot += 1 << (below - d)
			i++
			continue
		}
		n.inner |= 1 << slot
		children[slot] = i
		i = b.skip(i, below, k.withSlot(depth, slot))
		slot++
	}
	index := len(b.nodes)
	b.nodes = append(b.nodes, uint32(n.inner), uint32(n.inner>>32), uint32(n.runs), uint32(n.runs>>32))
	b.nodes = append(b.nodes, make([]uint32, bits.OnesCount64(n.inner))...)
	b.nodes = append(b.nodes, values[:runs]...)
	for left := n.inner; left != 0; left &= left - 1 {
		slot := bits.TrailingZeros64(left)
		child := b.node(depth+strideBits, children[slot], k.withSlot(depth, slot))
		b.nodes[index+n.child(slot)] = uint32(child)
	}
	return word(index)
}

// skip returns the first leaf of the input behind the prefix of depth bits that begins at k, with leaf i.
func (b *trieBuilder) skip(i, depth int, k key) int {
	for {
		k, _ = k.after(int(b.in.depths[i]))
		i++
		if k.masked(depth) == k {
			return i
		}
	}
}
