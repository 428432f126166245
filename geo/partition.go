package geo

import "net/netip"

// A partition gives every address of both families a value.
type partition struct {
	v4, v6 tree
	// What the zero Addr, which has no family, gets.
	none uint32
}

// lookup returns the value of addr and the depth of its leaf, in the family that keyOf says.
func (p *partition) lookup(addr netip.Addr) (value uint32, depth int) {
	if !addr.IsValid() {
		return p.none, 0
	}
	k, is4 := keyOf(addr)
	if is4 {
		return p.v4.lookup(k)
	}
	return p.v6.lookup(k)
}

// relabel returns the partition with each value v replaced by values[v], and merged again.
func (p *partition) relabel(values []uint32) partition {
	var v4, v6 builder
	return partition{
		v4:   v4.tree(v4.relabel(&p.v4, p.v4.root, values)),
		v6:   v6.tree(v6.relabel(&p.v6, p.v6.root, values)),
		none: values[p.none],
	}
}

// all yields every leaf, IPv4 first, in address order, until yield returns false.
func (p *partition) all(yield func(netip.Prefix, uint32) bool) {
	_ = p.v4.all(p.v4.root, key{}, 0, true, yield) &&
		p.v6.all(p.v6.root, key{}, 0, false, yield)
}
