package node

import (
	"slices"

	"gtmd/admin"
	"gtmd/geo"
	"gtmd/policy"
)

// Sources are the request sources that the configuration uses, in the order in which it names them first; see admin.Backend.
func (n *Node) Sources() []admin.SourceStatus { return n.world.Load().sourceStatus() }

func (w *world) sourceStatus() []admin.SourceStatus {
	all := []admin.SourceStatus{}
	known := map[string]bool{}
	for i := range w.uses {
		u := &w.uses[i]
		if known[u.text] {
			continue // another row of the latency table
		}
		known[u.text] = true
		area := u.selector.Area()
		s := admin.SourceStatus{
			Source: u.text, Name: area.Name, Country: area.Country, Continent: area.Continent, Subdivision: area.Subdivision,
			Prefixes: w.linePrefixes(u.selector), Uses: []admin.SourceUse{},
		}
		for _, d := range w.databases {
			if !u.selector.IsToldBy(d.Knows) {
				continue
			}
			s.Databases = append(s.Databases, d.path)
			if s.DatabasesBuilt == nil || d.Built.Before(*s.DatabasesBuilt) {
				s.DatabasesBuilt = moment(d.Built)
			}
		}
		for _, at := range u.places {
			s.Uses = append(s.Uses, w.sourceUses(int(at.instance), int(at.policy))...)
		}
		all = append(all, s)
	}
	return all
}

// linePrefixes are the networks that the configuration gives to a line.
func (w *world) linePrefixes(s geo.Selector) []string {
	lines := w.config.File.Geo.Lines
	i := slices.IndexFunc(lines, func(o geo.LineOptions) bool { return o.Name == s.String() })
	if i < 0 {
		return nil
	}
	var all []string
	for _, p := range lines[i].Prefixes {
		all = append(all, p.String())
	}
	return all
}

// sourceUses tells what is in force in a policy, once for each family that it is decided for.
func (w *world) sourceUses(instance, p int) []admin.SourceUse {
	in := w.instances[instance]
	var all []admin.SourceUse
	for f, decided := range in.Policies[p].Decided {
		if decided == nil || decided.Family == policy.FamilyBoth && policy.Family(f) != policy.IPv4 {
			continue
		}
		d := w.decision(slot{Instance: instance, Policy: p, Family: policy.Family(f)})
		all = append(all, admin.SourceUse{
			Instance: in.Name, Policy: in.Policies[p].Name, Family: decided.Family.String(), InForce: roleOf(d), Why: string(d.Why),
		})
	}
	return all
}
