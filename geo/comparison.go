package geo

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Pair is the clients who have one label in a plan and another, or the same, in another plan.
type Pair struct {
	Before, After int
	// Share is how much of the address space of each family they are, as [Map.Shares] counts it.
	Share Share
	// Clients is a network of some of them: the widest, of those that count for the share if there are any.
	Clients netip.Prefix
}

// ComparePlans lays two plans, of whatever Maps, over each other, and lists the pairs of labels that some client has, in the order of
// Before and After. A nil plan has the label -1 everywhere. IPv6 addresses that hold an IPv4 address have the labels of that, and
// are left out: of what only they differ in there is nothing to list. It takes time proportional to the size of both.
func ComparePlans(before, after *Plan) []Pair {
	c := comparer{pairs: map[[2]uint32]*Pair{}}
	for _, is4 := range []bool{true, false} {
		c.compare(before.leavesOf(is4), after.leavesOf(is4), is4)
	}
	all := make([]Pair, 0, len(c.pairs))
	for _, p := range c.pairs {
		p.Share.IPv6 /= 1 - holding
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.Before, b.Before), cmp.Compare(a.After, b.After)) })
	return all
}

// leavesOf is the partition of one family, with the marks of embedded addresses.
func (p *Plan) leavesOf(is4 bool) leaves {
	var out leafBuilder
	switch {
	case p == nil:
		return out.finish(0)
	case is4:
		return p.labels.v4.list()
	default:
		return p.labels.v6.list()
	}
}

// list is the leaves of a trie.
func (t *trie) list() leaves {
	var out leafBuilder
	t.all(func(w word) bool {
		out.add(w.depth(), w.value())
		return true
	})
	return out.leaves
}

type comparer struct{ pairs map[[2]uint32]*Pair }

// compare walks two partitions of a family, as overlay does.
func (c *comparer) compare(a, b leaves, is4 bool) {
	at, done := key{}, false
	for i, j := 0, 0; !done; {
		x, y := int(a.depths[i]), int(b.depths[j])
		c.add(at.prefix(max(x, y), is4), a.values[i], b.values[j])
		at, done = at.after(max(x, y))
		if at.masked(x) == at {
			i++
		}
		if at.masked(y) == at {
			j++
		}
	}
}

// add counts a network in which the labels are so, each plus one.
func (c *comparer) add(network netip.Prefix, before, after uint32) {
	if before >= notEmbedded || after >= notEmbedded {
		return
	}
	labels := [2]uint32{before, after}
	p := c.pairs[labels]
	if p == nil {
		p = &Pair{Before: int(before) - 1, After: int(after) - 1, Clients: network}
		c.pairs[labels] = p
	}
	share := shareOf(network)
	isBetter := portion(network.Bits()) > portion(p.Clients.Bits())
	if counts, did := share != (Share{}), shareOf(p.Clients) != (Share{}); counts != did {
		isBetter = counts
	} else if network.Addr().Is4() != p.Clients.Addr().Is4() {
		isBetter = false // IPv4 comes first
	}
	if isBetter {
		p.Clients = network
	}
	p.Share.IPv4 += share.IPv4
	p.Share.IPv6 += share.IPv6
}

// heldBlocks are the blocks of global unicast addresses that hold an IPv4 address, and holding is how much of these they are.
var heldBlocks = []netip.Prefix{netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32")}

const holding = 1.0/(1<<(16-3)) + 1.0/(1<<(32-3))

// shareOf is how much of its family a network is; of IPv6 not yet divided by what is left without the heldBlocks.
func shareOf(network netip.Prefix) (s Share) {
	switch {
	case network.Addr().Is4():
		s.IPv4 = portion(network.Bits())
	case unicast.Overlaps(network):
		s.IPv6 = portion(max(network.Bits()-unicast.Bits(), 0))
		for _, h := range heldBlocks {
			switch {
			case network.Overlaps(h) && network.Bits() >= h.Bits():
				return Share{}
			case network.Overlaps(h):
				s.IPv6 -= portion(h.Bits() - unicast.Bits())
			}
		}
	}
	return s
}

// Client is an address of a network, to ask with: that of the network itself or, of IPv6, the first global unicast one where the
// network is wider than these.
func (p Pair) Client() netip.Addr {
	if p.Clients.Addr().Is6() && p.Clients.Bits() < unicast.Bits() && p.Clients.Overlaps(unicast) {
		return unicast.Addr()
	}
	return p.Clients.Addr()
}
