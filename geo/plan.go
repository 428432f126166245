package geo

import (
	"iter"
	"net/netip"
)

// A Plan says which policy of one instance an address gets. [Map.Plan] makes it. It is immutable and safe for
// concurrent use.
type Plan struct {
	// The value of a leaf is the policy plus one, 0 where no policy matches. Unless the plan is constant, no tree is
	// a single leaf: see Lookup for the reason.
	policies partition
}

// Plan gives the address space to policies: policies[i] holds the request sources of policy i, in any order. An
// address belongs to the policy that has the first of its sources in match order (see [Map.Matches]). A source
// belongs to at most one policy; of a source that stands in several, the first policy has it. A source that the
// Map does not know matches nothing. The time is proportional to the size of the partition of the Map.
func (m *Map) Plan(policies [][]Selector) *Plan {
	owner := make(map[Selector]uint32) // value of a leaf of the plan
	for i, sources := range policies {
		for _, source := range sources {
			if _, taken := owner[source]; !taken {
				owner[source] = uint32(i) + 1
			}
		}
	}
	byClass := make([]uint32, len(m.chains))
	for class, chain := range m.chains {
		byClass[class] = owner[Global]
		for _, line := range chain {
			if policy, ok := owner[m.lines[line]]; ok {
				byClass[class] = policy
				break
			}
		}
	}
	plan := &Plan{policies: m.classes.relabel(byClass)}
	// Equal roots are one and the same leaf, or neither is a leaf.
	if v4, v6 := &plan.policies.v4, &plan.policies.v6; v4.root != v6.root {
		v4.halve()
		v6.halve()
	}
	return plan
}

// Constant reports whether every address of both families has the same result, so that it does not depend on the
// client at all.
func (p *Plan) Constant() bool { return p.policies.v4.root.isLeaf() }

// Lookup returns the index of the policy of addr, -1 when none matches it, and the scope: the length of the widest
// prefix around addr, in its own family, in which every address has that same result. The regions (addr, scope)
// of any two addresses are therefore equal or disjoint, as RFC 7871 section 7.3.1 needs it.
//
// There is one exception to widest: the scope is 0 only when the plan is [Plan.Constant]. In a plan that is not, a
// family in which every address has the same result has two regions of scope 1, its halves. Some resolvers give
// an answer of scope 0 to the clients of both families, whichever family the client-subnet option had.
//
// An IPv4-mapped IPv6 address is looked up as the IPv4 address that it holds, and the scope is an IPv4 one. A
// zone is ignored. The zero Addr gives the policy that has [Global], and scope 0. Lookup does not allocate.
func (p *Plan) Lookup(addr netip.Addr) (policy, scope int) {
	value, depth := p.policies.lookup(addr)
	return int(value) - 1, depth
}

// All iterates over the partition: disjoint prefixes that cover both address families, IPv4 first, in address
// order, each with its policy or -1. They are the regions of Lookup: neighbours that could be one prefix of the same
// policy are one, except the halves of a family in a plan that is not constant.
// The IPv6 prefixes say nothing about the IPv4-mapped addresses ::ffff:0:0/96 among them: see Lookup.
func (p *Plan) All() iter.Seq2[netip.Prefix, int] {
	return func(yield func(netip.Prefix, int) bool) {
		p.policies.all(func(prefix netip.Prefix, value uint32) bool {
			return yield(prefix, int(value)-1)
		})
	}
}
