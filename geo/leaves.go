package geo

import "slices"

// leaves is a partition of one address family: the leaves of a binary tree over the bits of an address, in address order.
// Each begins where the one before ends, so its depth and value are all there is to keep. No two leaves that are siblings
// have the same value. It is what compiling works with; look-ups have a trie.
type leaves struct {
	depths []uint8
	values []uint32
}

// leafBuilder makes leaves from the first address to the last.
type leafBuilder struct {
	leaves
	at   key  // where the next leaf begins
	done bool // the last address has been reached
}

// grow makes room for so many leaves more.
func (b *leafBuilder) grow(n int) {
	b.depths, b.values = slices.Grow(b.depths, n), slices.Grow(b.values, n)
}

// add appends the leaf of 2^(128-depth) keys at b.at, which must be aligned to it, and merges what can be.
func (b *leafBuilder) add(depth int, value uint32) {
	start := b.at
	b.at, b.done = start.after(depth)
	n := len(b.depths)
	for n > 0 && depth > 0 && int(b.depths[n-1]) == depth && b.values[n-1] == value && start.bit(depth-1) == 1 {
		// The leaf before is as large and ends here, and this one is the right half of its parent: they are siblings.
		n--
		depth--
		start = start.masked(depth)
	}
	b.depths, b.values = append(b.depths[:n], uint8(depth)), append(b.values[:n], value)
}

// fill appends leaves of a value from b.at up to end, or to the last address when toEnd is true: as few as there can be.
func (b *leafBuilder) fill(end key, toEnd bool, value uint32) {
	for !b.done && (toEnd || b.at.less(end)) {
		depth := b.at.alignment()
		for !toEnd {
			if next, past := b.at.after(depth); !past && !end.less(next) {
				break
			}
			depth++
		}
		b.add(depth, value)
	}
}

// finish appends leaves of a value up to the last address, and returns the partition.
func (b *leafBuilder) finish(value uint32) leaves {
	b.fill(key{}, true, value)
	return b.leaves
}

// overlay lays two partitions of the same family over each other: where they have the values x and y, the result has
// combine(x, y).
func overlay(a, b leaves, combine func(x, y uint32) uint32) leaves {
	var out leafBuilder
	out.grow(max(len(a.depths), len(b.depths)))
	for i, j := 0, 0; !out.done; {
		// Both leaves contain out.at, so one is inside the other, and the deeper one begins here.
		x, y := int(a.depths[i]), int(b.depths[j])
		out.add(max(x, y), combine(a.values[i], b.values[j]))
		// A leaf ends where the next block of its size begins.
		if out.at.masked(x) == out.at {
			i++
		}
		if out.at.masked(y) == out.at {
			j++
		}
	}
	return out.leaves
}

// relabel returns the partition with each value v replaced by values[v].
func (l leaves) relabel(values []uint32) leaves {
	var out leafBuilder
	out.grow(len(l.depths))
	for i, depth := range l.depths {
		out.add(int(depth), values[l.values[i]])
	}
	return out.leaves
}
