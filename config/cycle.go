package config

import (
	"iter"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gtmd/policy"
)

// checkCycles reports domain pools whose answer leads back to the access domain that asks them, and warns of those that
// lead to a business domain of it: the CDN that answers there takes the access domain as its origin. Access domains are
// given by the path of their keys.
func (k *checker) checkCycles(accessDomains map[string]string) {
	instances := k.config.File.Instances
	if !slices.ContainsFunc(k.config.Pools, func(p Pool) bool { return p.Type == policy.TypeDomain }) {
		return // nothing leads anywhere
	}
	n := &network{checker: k, targets: map[string][]target{}, names: map[string]bool{}}
	for i := range k.zoneRecords {
		for owner := range k.zoneRecords[i].owners {
			if k.closestZone(owner) == i {
				n.enter(owner)
			}
		}
	}
	for name := range accessDomains {
		n.enter(name)
		n.targets[name] = nil
	}
	for i := range instances {
		targets := k.targets(&instances[i])
		for name := range accessNames(&instances[i]) {
			if accessDomains[name] != "" {
				n.targets[name] = append(n.targets[name], targets...)
			}
		}
	}
	for i := range instances {
		for name := range accessNames(&instances[i]) {
			k.checkCycle(&instances[i], name, n)
		}
	}
}

// accessNames yields the access domain of an instance and its aliases.
func accessNames(instance *policy.InstanceOptions) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(instance.AccessDomain) {
			return
		}
		for _, alias := range instance.Aliases {
			if !yield(alias) {
				return
			}
		}
	}
}

// checkCycle checks where the domain pools of an instance lead from one of its names.
func (k *checker) checkCycle(instance *policy.InstanceOptions, start string, n *network) {
	for _, to := range n.targets[start] {
		if trail := n.way(to.name, start, []string{plainName(start)}, map[string]bool{}); trail != nil {
			k.errorf(to.path, "access domain %s leads back to itself: %s", quote(plainName(start)), strings.Join(trail, " -> "))
			continue
		}
		for _, business := range instance.BusinessDomains {
			if trail := n.way(to.name, business, []string{plainName(start)}, map[string]bool{}); trail != nil {
				k.warnf(to.path, "access domain %s leads to its business domain %s, which a CDN leads back to it: %s -> CDN -> %s",
					quote(plainName(start)), quote(plainName(business)), strings.Join(trail, " -> "), plainName(start))
			}
		}
	}
}

// target is a name that a domain pool answers with, and the path of that address.
type target struct{ name, path string }

// targets are the names that an instance can answer with, those of each pool once.
func (k *checker) targets(instance *policy.InstanceOptions) []target {
	var out []target
	seen := map[string]bool{}
	for name := range members(instance) {
		i, ok := k.pools.first[name]
		if !ok || seen[name] || k.config.Pools[i].Type != policy.TypeDomain {
			continue
		}
		seen[name] = true
		for j, address := range k.config.Pools[i].Addresses {
			out = append(out, target{address.Address, element(element("pool", i)+".addresses", j) + ".address"})
		}
	}
	return out
}

// network is what leads from name to name: the domain pools at access domains, and the CNAME records of zone files.
type network struct {
	checker *checker
	targets map[string][]target // by access domain; nil for one that has no domain pools
	names   map[string]bool     // that exist in zones, to which wildcards do not apply
}

// enter makes a name exist with those between it and the apex of its zone (RFC 4592 section 2.2.2).
func (n *network) enter(name string) {
	zone := n.checker.closestZone(name)
	if zone < 0 {
		return
	}
	apex := n.checker.zoneRecords[zone].name
	for label, end := 0, false; !end; label, end = dns.NextLabel(name, label) {
		n.names[name[label:]] = true
		if name[label:] == apex {
			return
		}
	}
}

// way returns the way from one name to another, after the trail given, or nil. Names that have been seen are no way. What is
// behind the trail in its array is overwritten.
func (n *network) way(from, to string, trail []string, seen map[string]bool) []string {
	if seen[from] {
		return nil
	}
	seen[from] = true
	trail = append(trail, plainName(from))
	if from == to {
		return trail
	}
	if targets, isAccess := n.targets[from]; isAccess {
		for _, next := range targets {
			if found := n.way(next.name, to, trail, seen); found != nil {
				return found
			}
		}
		return nil
	}
	if next := n.alias(from); next != "" {
		return n.way(next, to, trail, seen)
	}
	return nil
}

// alias returns the canonical name that a CNAME record leads to, or "": the record of the name itself or, where the name
// does not exist, that of the wildcard below its closest encloser (RFC 4592 section 3.3.1). Behind a delegation the zone
// file says nothing.
func (n *network) alias(name string) string {
	zone := n.checker.closestZone(name)
	if zone < 0 {
		return ""
	}
	records := n.checker.zoneRecords[zone]
	if _, isDelegated := records.cut(name); isDelegated {
		return ""
	}
	owner := name
	for label, end := 0, false; !end && !n.names[name[label:]] && name[label:] != records.name; {
		label, end = dns.NextLabel(name, label)
		owner = "*." + name[label:]
	}
	if r, ok := records.find(owner, dns.TypeCNAME); ok {
		return dns.CanonicalName(r.rr.(*dns.CNAME).Target)
	}
	return ""
}
