package geo

import "net/netip"

// A word is a child in a tree: the index of a node, or a leaf with its value in the lower 31 bits. 2^31 nodes are
// 16 GiB, so an index never meets the bit of the leaves.
type word uint32

const leafBit word = 1 << 31

func leafWord(value uint32) word { return leafBit | word(value) }

func (w word) isLeaf() bool { return w&leafBit != 0 }

func (w word) value() uint32 { return uint32(w &^ leafBit) }

// A tree is a partition of one address family: a full binary tree over the bits of an address, in which no two
// leaves that are siblings have the same value, except after halve. The zero tree is not valid; a builder makes it.
type tree struct {
	nodes  [][2]word // by the next bit of the address
	root   word
	stride *stride // nil in a small tree
}

// strideBits is how many bits of an address a stride takes in one step.
const strideBits = 16

// strideNodes is the number of nodes above which a tree gets a stride. A stride makes every look-up faster, by
// the sixteen dependent loads that it replaces with one: in BenchmarkStride from 72 to 27 ns with 13,000 nodes,
// from 463 to 261 ns with 2.4 million, and in an IPv6 tree of 1.6 million from 373 to 248 ns. But it is 512 KiB,
// which each of a thousand plans with a handful of networks would pay for nothing. 2^16 nodes are 512 KiB too: so
// it never more than doubles a tree, and a tree without one takes about 100 ns.
const strideNodes = 1 << 16

// A stride holds, for each value of the first strideBits bits of an address, where the way down from the root
// is after these bits, or the leaf at which it ended before.
type stride [1 << strideBits]struct {
	word  word
	depth uint8
}

// lookup returns the value and the depth of the leaf of an address.
func (t *tree) lookup(k key) (value uint32, depth int) {
	w, hi, lo := t.root, k.hi, k.lo
	if t.stride != nil {
		slot := &t.stride[hi>>(64-strideBits)]
		w, depth = slot.word, int(slot.depth)
		hi, lo = hi<<strideBits|lo>>(64-strideBits), lo<<strideBits
	}
	for !w.isLeaf() {
		w = t.nodes[w][hi>>63]
		hi, lo = hi<<1|lo>>63, lo<<1
		depth++
	}
	return w.value(), depth
}

// halve splits a tree that is a single leaf into two of the same value, at depth 1. It leaves every other tree alone.
func (t *tree) halve() {
	if t.root.isLeaf() {
		t.nodes, t.root = [][2]word{{t.root, t.root}}, 0
	}
}

// all yields the prefix and the value of every leaf under w, in address order, until yield returns false, and
// reports whether it never did. The root of the subtree is at the first depth bits of k.
func (t *tree) all(w word, k key, depth int, is4 bool, yield func(netip.Prefix, uint32) bool) bool {
	if w.isLeaf() {
		return yield(k.prefix(depth, is4), w.value())
	}
	node := t.nodes[w]
	return t.all(node[0], k, depth+1, is4, yield) &&
		t.all(node[1], k.withBit(depth), depth+1, is4, yield)
}

// A builder collects the nodes of one tree, children before parents.
type builder struct {
	nodes [][2]word
}

// join returns the word over two subtrees: their one leaf when they are equal leaves, else a new node.
func (b *builder) join(zero, one word) word {
	if zero == one && zero.isLeaf() {
		return zero
	}
	b.nodes = append(b.nodes, [2]word{zero, one})
	return word(len(b.nodes) - 1)
}

// relabel adds the subtree w of t with the value v of each leaf replaced by values[v].
func (b *builder) relabel(t *tree, w word, values []uint32) word {
	if w.isLeaf() {
		return leafWord(values[w.value()])
	}
	node := t.nodes[w]
	return b.join(b.relabel(t, node[0], values), b.relabel(t, node[1], values))
}

// tree returns the finished tree, in memory of the exact size. The builder is of no use afterwards.
func (b *builder) tree(root word) tree {
	t := tree{root: root, nodes: make([][2]word, len(b.nodes))}
	copy(t.nodes, b.nodes)
	if len(t.nodes) > strideNodes {
		t.stride = new(stride)
		t.fill(root, 0, 0)
	}
	return t
}

// fill writes the slots of the stride under the subtree w, which is at the first depth bits of slot.
func (t *tree) fill(w word, slot, depth int) {
	if !w.isLeaf() && depth < strideBits {
		node := t.nodes[w]
		t.fill(node[0], slot, depth+1)
		t.fill(node[1], slot|1<<(strideBits-1-depth), depth+1)
		return
	}
	for i := range 1 << (strideBits - depth) {
		t.stride[slot+i].word, t.stride[slot+i].depth = w, uint8(depth)
	}
}
