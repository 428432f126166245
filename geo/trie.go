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
	top word
	// direct has what follows on the first directBits bits of an address, for their values from first on: see hasten. It may be nil.
	direct []word
	first  uint64
	// nodes are one behind the other, each parent before its children. A node begins with its two bitmaps; then come the index of
	// each child, and the value of each run: on the way down and at its end there is little else to fetch.
	nodes  []uint32
	leaves int // how many there are
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
	// directLeaves is the number of leaves from which on a direct table is worth its 1 MiB (IPv6: 128 KiB): it saves three dependent
	// loads, and each of a thousand small plans would pay for it.
	directLeaves = 1 << 16
)

// lookup returns the leaf of an address.
func (t *trie) lookup(k key) word {
	w, depth, hi, lo := t.top, 0, k.hi, k.lo
	if i := hi>>(64-directBits) - t.first; i < uint64(len(t.direct)) {
		w, depth = t.direct[i], directBits
		hi, lo = hi<<directBits|lo>>(64-directBits), lo<<directBits
	}
	for !w.isLeaf() {
		w = t.step(w, depth, int(hi>>(64-strideBits)))
		depth += strideBits
		hi, lo = hi<<strideBits|lo>>(64-strideBits), lo<<strideBits
	}
	return w
}

// step returns what follows on a node at a depth: another node, or a leaf.
func (t *trie) step(node word, depth, slot int) word {
	n := t.bitmaps(node)
	if n.inner>>slot&1 == 1 {
		return word(t.nodes[int(node)+n.child(slot)])
	}
	return leafWord(t.nodes[int(node)+n.value(slot)], depth+n.leafBits(slot))
}

// all yields every leaf in address order, until yield returns false, and reports whether it never did. A top that is a leaf is
// yielded as often as its depth wants: see halve.
func (t *trie) all(yield func(word) bool) bool { return t.under(t.top, 0, yield) }

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
func (t *trie) isConstant() bool { return t.top.isLeaf() }

// newTrie makes the trie of a partition.
func newTrie(l leaves) trie {
	if len(l.depths) == 1 {
		return trie{top: leafWord(l.values[0], 0), leaves: 1}
	}
	b := trieBuilder{in: l}
	b.leaves = len(l.depths)
	b.top = b.node(0, 0, key{})
	b.nodes = slices.Clip(slices.Clone(b.nodes)) // exactly as large as they are: they live long
	return b.trie
}

// hasten makes look-ups faster by a table for the first bits of the addresses in a prefix, which is no longer than directBits.
func (t *trie) hasten(in key, prefixBits int) {
	t.first = in.hi >> (64 - directBits)
	t.direct = make([]word, 1<<(directBits-prefixBits))
	for i := range t.direct {
		w, hi := t.top, (t.first+uint64(i))<<(64-directBits)
		for depth := 0; depth < directBits && !w.isLeaf(); depth += strideBits {
			w = t.step(w, depth, int(hi>>(64-strideBits)))
			hi <<= strideBits
		}
		t.direct[i] = w
	}
}

// trieBuilder makes a trie from the top down.
type trieBuilder struct {
	trie
	in leaves
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
