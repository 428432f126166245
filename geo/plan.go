package geo

import (
	"iter"
	"net/netip"
)

// A Plan gives every client a label: for instance the policy of one instance. [Map.Plan] makes it. It is immutable and
// safe for concurrent use.
type Plan struct {
	// The value of a leaf is the label plus one. Unless the plan is constant, no trie is a single leaf of depth 0: see Lookup.
	labels partition
}

// Plan gives each class of the Map a label, -1 or more, by labels[class]. The time is proportional to the size of the
// partition of the Map.
func (m *Map) Plan(labels []int) *Plan {
	values := make([]uint32, len(labels))
	for class, label := range labels {
		values[class] = uint32(label + 1)
	}
	p := &Plan{labels: m.classes.relabel(values)}
	if !p.labels.v6.isConstant() {
		p.labels.v4.halve()
	}
	p.labels.hasten()
	return p
}

// Assign labels each class with the policy that it belongs to, -1 where none does: policies[i] holds the request sources of
// policy i, in any order. A class belongs to the policy that has the first of its sources in match order (see [Map.Matches]).
// A source belongs to at most one policy; of a source that stands in several, the first policy has it. A source that the
// Map does not know matches nothing.
func (m *Map) Assign(policies [][]Selector) []int {
	owner := map[Selector]int{}
	for i, sources := range policies {
		for _, source := range sources {
			if _, taken := owner[source]; !taken {
				owner[source] = i
			}
		}
	}
	everybody, hasGlobal := owner[Global]
	if !hasGlobal {
		everybody = -1
	}
	byChain := make([]int, len(m.chains))
	for i, chain := range m.chains {
		byChain[i] = everybody
		for _, source := range chain {
			if policy, ok := owner[source]; ok {
				byChain[i] = policy
				break
			}
		}
	}
	labels := make([]int, len(m.members))
	for class, member := range m.members {
		labels[class] = byChain[member.chain]
	}
	return labels
}

// Constant reports whether every address of both families has the same label, so that it does not depend on the client at
// all.
func (p *Plan) Constant() bool { return p.labels.v6.isConstant() }

// Lookup returns the label of addr, and the scope: the length of the widest prefix around addr, in its own family, in
// which every address has that same label. The regions (addr, scope) of any two addresses are therefore equal or disjoint,
// as RFC 7871 section 7.3.1 needs it.
//
// There is one exception to widest: the scope is 0 only when the plan is [Plan.Constant]. In a plan that is not, a
// family in which every address has the same label has two regions of scope 1, its halves. Some resolvers give
// an answer of scope 0 to the clients of both families, whichever family the client-subnet option had.
//
// An IPv6 address that holds an IPv4 address (IPv4-mapped, NAT64's 64:ff9b::/96, 6to4, Teredo) has the label of that, and
// its scope counts in the IPv6 address. A zone is ignored. The zero Addr gives the label of the class 0, and scope 0. Lookup does not
// allocate.
func (p *Plan) Lookup(addr netip.Addr) (label, scope int) {
	value, scope := p.labels.lookup(addr)
	return int(value) - 1, scope
}

// All iterates over the partition: disjoint prefixes, IPv4 first, in address order, each with its label. They are the
// regions of Lookup: neighbours that could be one prefix of the same label are one, except the halves of IPv4 in a plan that is
// not constant. They cover both families but for the blocks of IPv6 addresses that hold an IPv4 address: these are left out
// where IPv4 has several labels.
func (p *Plan) All() iter.Seq2[netip.Prefix, int] {
	return func(yield func(netip.Prefix, int) bool) {
		p.labels.all(func(prefix netip.Prefix, value uint32) bool {
			return yield(prefix, int(value)-1)
		})
	}
}
