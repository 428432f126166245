package geo

import "net/netip"

// A partition gives every address of both families a value. The IPv6 addresses that hold an IPv4 address have the value of
// that: in the IPv6 trie each kind of them is a leaf that says so, unless all of IPv4 has one value and it can be told there.
type partition struct {
	v4, v6 trie
	// What the zero Addr, which has no family, gets.
	none uint32
}

// newPartition makes the partition of both families, in which what the IPv6 leaves say of embedded addresses is of no account.
func newPartition(v4, v6 leaves, none uint32) partition {
	v6 = overlay(v6, embeddings, func(value, e uint32) uint32 {
		switch {
		case e == notEmbedded:
			return value
		case len(v4.values) == 1:
			return v4.values[0]
		default:
			return e
		}
	})
	return partition{v4: newTrie(v4), v6: newTrie(v6), none: none}
}

// hasten makes look-ups in large tries faster, for some memory: of all of IPv4, and of the global unicast addresses of IPv6.
func (p *partition) hasten() {
	if p.v4.leaves >= directLeaves {
		p.v4.hasten(key{}, 0)
	}
	if p.v6.leaves >= directLeaves {
		in, _ := keyOf(unicast.Addr())
		p.v6.hasten(in, unicast.Bits())
	}
}

// lookup returns the value of addr and the length of the widest prefix around it, in its own family, that has this value.
func (p *partition) lookup(addr netip.Addr) (value uint32, scope int) {
	if !addr.IsValid() {
		return p.none, 0
	}
	k, is4 := keyOf(addr)
	if is4 {
		w := p.v4.lookup(k)
		return w.value(), w.depth()
	}
	w := p.v6.lookup(k)
	if w.value() < notEmbedded {
		return w.value(), w.depth()
	}
	inner, before := embedded(w.value(), k)
	w = p.v4.lookup(inner)
	return w.value(), before + w.depth()
}

// relabel returns the partition with each value v replaced by values[v], and merged again.
func (p *partition) relabel(values []uint32) partition {
	return newPartition(p.v4.relabel(values), p.v6.relabel(values), values[p.none])
}

// relabel returns the leaves of a trie with each value v replaced by values[v]. Marks of embedded addresses stay.
func (t *trie) relabel(values []uint32) leaves {
	var out leafBuilder
	t.all(func(w word) bool {
		value := w.value()
		if value < notEmbedded {
			value = values[value]
		}
		out.add(w.depth(), value)
		return true
	})
	return out.leaves
}

// all yields the prefix and the value of every leaf, IPv4 first, in address order, until yield returns false. Blocks of
// embedded addresses that have not one value are left out.
func (p *partition) all(yield func(netip.Prefix, uint32) bool) {
	going := true
	for _, family := range []struct {
		trie *trie
		is4  bool
	}{{&p.v4, true}, {&p.v6, false}} {
		at := key{}
		going = going && family.trie.all(func(w word) bool {
			prefix := at.prefix(w.depth(), family.is4)
			at, _ = at.after(w.depth())
			return w.value() >= notEmbedded || yield(prefix, w.value())
		})
	}
}
