package node

import (
	"cmp"
	"maps"
	"slices"

	"gtmd/config"
	"gtmd/geo"
	"gtmd/policy"
)

// InstanceCoverage says which share of all clients each policy of an instance has.
type InstanceCoverage struct {
	Instance string `json:"instance"`
	// Questions are the types that this is for: "A", "AAAA", or "A and AAAA" where both go by the same sources.
	Questions string           `json:"questions"`
	Policies  []PolicyCoverage `json:"policies"`
	// Unmatched are clients that no policy has.
	Unmatched Share `json:"unmatched"`
	// Idle are sources that match no network.
	Idle []SourceCoverage `json:"idle"`
	// Shadowed are sources that match networks, all of which more specific sources of other policies have.
	Shadowed []SourceCoverage `json:"shadowed"`
}

// PolicyCoverage is one policy of an InstanceCoverage.
type PolicyCoverage struct {
	Policy  string   `json:"policy"`
	Sources []string `json:"sources"`
	Share   Share    `json:"share"`
}

// Share is a share of the address space of each family, 0 to 1: of all of IPv4, and of 2000::/3 in IPv6.
type Share struct {
	IPv4 float64 `json:"ipv4"`
	IPv6 float64 `json:"ipv6"`
}

func (s *Share) add(more geo.Share) {
	s.IPv4 += more.IPv4
	s.IPv6 += more.IPv6
}

// SourceCoverage is one source of a policy that has no clients.
type SourceCoverage struct {
	Source string `json:"source"`
	Policy string `json:"policy"`
	// By are the sources that have its clients, the one with most of them first.
	By []ShadowingSource `json:"by,omitempty"`
}

// ShadowingSource is a source, with its policy, that has the clients of another.
type ShadowingSource struct {
	Source string `json:"source"`
	Policy string `json:"policy"`
}

// Coverage is Check, and tells what its request sources come to: for each instance, and for its A and AAAA questions where
// these differ, the share of the address space that each policy has.
func Coverage(load func() (*config.Config, error)) (*config.Config, []InstanceCoverage, error) {
	c, w, err := inspect(load)
	if err != nil {
		return c, nil, err
	}
	return c, w.coverage(), nil
}

func (p *plan) coverage() []InstanceCoverage {
	shares := wholeShares(p.geo.Shares())
	all := []InstanceCoverage{}
	for i, in := range p.instances {
		a, aaaa := p.sourcesFor(i, policy.IPv4), p.sourcesFor(i, policy.IPv6)
		switch {
		case sameSources(a, aaaa):
			all = append(all, p.cover(in, "A and AAAA", a, shares))
		default:
			if hasSources(a) {
				all = append(all, p.cover(in, "A", a, shares))
			}
			if hasSources(aaaa) {
				all = append(all, p.cover(in, "AAAA", aaaa, shares))
			}
		}
	}
	return all
}

// wholeShares makes the shares of each family come to 1. Of IPv6 they are less: addresses that hold an IPv4 address are left
// out, because those are clients of IPv4.
func wholeShares(shares []geo.Share) []geo.Share {
	var all geo.Share
	for _, s := range shares {
		all.IPv4 += s.IPv4
		all.IPv6 += s.IPv6
	}
	whole := slices.Clone(shares)
	for i := range whole {
		whole[i].IPv4 /= all.IPv4
		whole[i].IPv6 /= all.IPv6
	}
	return whole
}

func sameSources(a, b [][]geo.Selector) bool { return slices.EqualFunc(a, b, slices.Equal) }

func hasSources(table [][]geo.Selector) bool {
	return slices.ContainsFunc(table, func(of []geo.Selector) bool { return len(of) > 0 })
}

// owned is a source with the policy that has it, as the configuration writes them.
type owned struct {
	source       geo.Selector
	index        int
	text, policy string
}

// cover follows every class of clients to the source that decides for it.
func (p *plan) cover(in *policy.Instance, questions string, table [][]geo.Selector, shares []geo.Share) InstanceCoverage {
	cover := InstanceCoverage{Instance: in.Name, Questions: questions, Idle: []SourceCoverage{}, Shadowed: []SourceCoverage{}}
	owners := map[geo.Selector]owned{}
	var sources []owned
	for i, of := range table {
		for j, source := range of {
			if _, isOwned := owners[source]; !isOwned {
				o := owned{source, i, in.Policies[i].Sources[j], in.Policies[i].Name}
				owners[source] = o
				sources = append(sources, o)
			}
		}
	}
	byPolicy := make([]Share, len(table))
	takers := map[geo.Selector]map[geo.Selector]float64{} // source -> the sources that decide for its clients -> of how many
	for class := range p.geo.Classes() {
		share := shares[class]
		decides, isDecided := geo.Global, false
		for _, source := range append(slices.Clone(p.geo.Chain(geo.Class(class))), geo.Global) {
			owner, isOwned := owners[source]
			if !isOwned {
				continue
			}
			if !isDecided {
				decides, isDecided = source, true
				byPolicy[owner.index].add(share)
			}
			if takers[source] == nil {
				takers[source] = map[geo.Selector]float64{}
			}
			takers[source][decides] += share.IPv4 + share.IPv6
		}
		if !isDecided {
			cover.Unmatched.add(share)
		}
	}
	for i, of := range table {
		if len(of) > 0 {
			cover.Policies = append(cover.Policies, PolicyCoverage{Policy: in.Policies[i].Name, Sources: in.Policies[i].Sources, Share: byPolicy[i]})
		}
	}
	for _, s := range sources {
		report := SourceCoverage{Source: s.text, Policy: s.policy}
		switch by := shadows(takers[s.source]); {
		case len(by) == 0:
			cover.Idle = append(cover.Idle, report)
		case !slices.ContainsFunc(by, func(t geo.Selector) bool { return owners[t].index == s.index }):
			for _, t := range by {
				report.By = append(report.By, ShadowingSource{Source: owners[t].text, Policy: owners[t].policy})
			}
			cover.Shadowed = append(cover.Shadowed, report)
		}
	}
	return cover
}

// shadows lists the sources that decide for the clients of another, the one with most of them first.
func shadows(takers map[geo.Selector]float64) []geo.Selector {
	return slices.SortedFunc(maps.Keys(takers), func(a, b geo.Selector) int {
		return cmp.Or(cmp.Compare(takers[b], takers[a]), cmp.Compare(a.String(), b.String()))
	})
}
