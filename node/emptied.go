package node

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"gtmd/geo"
	"gtmd/policy"
)

// emptied returns an error when n would answer nothing where w answers something and nobody asked for that: every
// address of a policy was set offline. What answers is told by access domain, question family and request source, which
// clients see, and not by the names of policies. Of a policy that empties, the clients of each of its sources, and of each
// class of clients that n sends to it, are looked for in w. It is the last look before a new configuration is published.
func (w *world) emptied(n *world) error {
	for old, i := range w.successors(n) {
		in := n.instances[i]
		for p := range in.Policies {
			for _, f := range []policy.Family{policy.IPv4, policy.IPv6} {
				if !n.promises(i, p, f) || n.answered(i, p, f) {
					continue
				}
				answered := func(sources []geo.Selector) bool { return w.answered(old, w.policyFor(old, sources, f), f) }
				if slices.ContainsFunc(n.clients(i, p, f), answered) {
					return n.emptiedError(i, p, f, "clients")
				}
			}
		}
	}
	return nil
}

// successors yields the pairs of an instance of w and one of n that answer a name in common, each pair once.
func (w *world) successors(n *world) iter.Seq2[int, int] {
	before := make(map[string]int, len(w.instances))
	for i, in := range w.instances {
		for name := range in.Names() {
			before[name] = i
		}
	}
	return func(yield func(int, int) bool) {
		for i, in := range n.instances {
			seen := map[int]bool{}
			for name := range in.Names() {
				old, known := before[name]
				if !known || seen[old] {
					continue
				}
				seen[old] = true
				if !yield(old, i) {
					return
				}
			}
		}
	}
}

func (w *world) emptiedError(instance, p int, f policy.Family, clients string) error {
	in, why := w.instances[instance], "every address is offline"
	if w.decisions[instance][p][f].IsUnresolved() {
		why = "none of its names has an address yet"
	}
	return fmt.Errorf("instance %q, policy %q (%s): %s, so %s that get an answer now "+
		"would get none; set when_all_down = \"empty\" if that is meant", in.Name, in.Policies[p].Name, f, why, clients)
}

// silenced returns an error when the Map of n moves clients whom w answers to a policy that answers nothing though nobody
// asked for that. It follows addresses, where emptied follows sources: those of two databases that say the same of different
// networks are equal. Nothing is silenced that way by a change of health: a policy with an address that is not offline
// answers. It takes as long as a plan of the Map when there is such a policy, else no time.
func (w *world) silenced(n *world) error {
	if w.geo == n.geo {
		return nil
	}
	for old, i := range w.successors(n) {
		for _, f := range []policy.Family{policy.IPv4, policy.IPv6} {
			silent := n.placed(i, f, func(p int) bool { return n.promises(i, p, f) && !n.answered(i, p, f) })
			if len(silent) == 0 {
				continue
			}
			answered := w.placed(old, f, func(p int) bool { return w.answered(old, p, f) })
			if at, ok := firstShared(silent, answered); ok {
				return n.emptiedError(i, at.policy, f, "clients in "+at.prefix.String())
			}
		}
	}
	return nil
}

// place is a prefix whose clients a policy answers.
type place struct {
	prefix netip.Prefix
	policy int
}

// placed lists where the clients of some policies of an instance are, for questions of a family: IPv4 first, in address
// order.
func (w *world) placed(instance int, f policy.Family, isWanted func(p int) bool) []place {
	wanted := make([]bool, len(w.instances[instance].Policies))
	for p := range wanted {
		wanted[p] = isWanted(p)
	}
	if !slices.Contains(wanted, true) {
		return nil
	}
	labels := w.geo.Assign(w.sourcesFor(instance, f))
	for class, p := range labels {
		if p >= 0 && !wanted[p] {
			labels[class] = -1
		}
	}
	var all []place
	for prefix, p := range w.geo.Plan(labels).All() {
		if p >= 0 {
			all = append(all, place{prefix, p})
		}
	}
	return all
}

// firstShared is the first of a, narrowed to clients that are in b too. Both are in address order.
func firstShared(a, b []place) (place, bool) {
	for len(a) > 0 && len(b) > 0 {
		x, y := a[0].prefix, b[0].prefix
		switch {
		case x.Overlaps(y) && x.Bits() < y.Bits():
			return place{y, a[0].policy}, true
		case x.Overlaps(y):
			return a[0], true
		case x.Addr().Less(y.Addr()):
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return place{}, false
}

// clients lists those that a policy answers by the sources that match them, the one that counts most first: each source of
// the policy alone, and every class that the policy has.
func (w *world) clients(instance, p int, f policy.Family) [][]geo.Selector {
	var all [][]geo.Selector
	for _, source := range w.sources[instance][p] {
		all = append(all, []geo.Selector{source})
	}
	for class, owner := range w.geo.Assign(w.sourcesFor(instance, f)) {
		if owner == p {
			all = append(all, w.geo.Chain(geo.Class(class)))
		}
	}
	return all
}

// sourcesFor are the request sources of the policies of an instance for questions of a family. Where the policies share one
// table of sources, they need not have pools of the family.
func (p *plan) sourcesFor(instance int, f policy.Family) [][]geo.Selector {
	in := p.instances[instance]
	sources := make([][]geo.Selector, len(in.Policies))
	for i, access := range in.Policies {
		if in.Together || access.Decided[f] != nil {
			sources[i] = p.sources[instance][i]
		}
	}
	return sources
}

// promises reports whether a policy is there to answer questions of a family: what is in force in it, or everything when
// nothing is, has pools for them, and nobody asked for empty answers.
func (w *world) promises(instance, p int, f policy.Family) bool {
	decided := w.instances[instance].Policies[p].Decided[f]
	if decided == nil || decided.WhenAllDown == policy.AllDownEmpty {
		return false
	}
	sets := decided.Sets
	if inForce := w.decisions[instance][p][f].Set; inForce >= 0 {
		sets = sets[inForce : inForce+1]
	}
	for _, set := range sets {
		for _, m := range set.Members {
			if m.Pool.Type == policy.TypeDomain || (m.Pool.Type == policy.TypeIPv6) == (f == policy.IPv6) {
				return true
			}
		}
	}
	return false
}

// answered reports whether clients of a policy get records for questions of a family: from its own decision, or from the
// one that it falls through to. Without a policy, that is below 0, they get none.
func (w *world) answered(instance, p int, f policy.Family) bool {
	in := w.instances[instance]
	if p < 0 || in.Policies[p].Decided[f] == nil {
		return false
	}
	of := func(i int) *policy.Decision { return w.decisions[instance][i][f] }
	return len(policy.Compose(of(in.Answering(p, f, of)), f, nil).Groups) > 0
}

// policyFor is the index of the policy that answers clients whom these request sources match, the first that a policy has;
// else the global one; -1 when there is neither.
func (w *world) policyFor(instance int, sources []geo.Selector, f policy.Family) int {
	table := w.sourcesFor(instance, f)
	for _, source := range append(slices.Clone(sources), geo.Global) {
		p := slices.IndexFunc(table, func(of []geo.Selector) bool { return slices.Contains(of, source) })
		if p >= 0 {
			return p
		}
	}
	return -1
}
