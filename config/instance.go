package config

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gtmd/policy"
)

// checkInstances checks the instances, their policies, and the access domains against the zones.
func (k *checker) checkInstances() {
	options := k.config.File.Instances
	names := make([]string, len(options))
	for i := range options {
		names[i] = options[i].Name
	}
	k.unique("instance", names, func(i int) string { return element("instance", i) + ".name" })
	accessDomains := map[string]string{} // path of the key, by canonical name
	for i := range options {
		at := element("instance", i)
		joint := k.isJoint(&options[i])
		k.checkInstance(&options[i], at, joint)
		k.accessDomain(&options[i], at+".access_domain", joint, accessDomains)
	}
	k.checkNameservers(accessDomains)
	k.checkCycles(accessDomains)
}

// isJoint tells whether some set of an instance is a domain set. Then its policies decide once for all types, and one
// table of sources serves them.
func (k *checker) isJoint(instance *policy.InstanceOptions) bool {
	for name := range members(instance) {
		if i, ok := k.pools.first[name]; ok && k.config.File.Pools[i].Type == policy.TypeDomain {
			return true
		}
	}
	return false
}

// checkInstance checks one instance but for its access domain.
func (k *checker) checkInstance(instance *policy.InstanceOptions, at string, joint bool) {
	k.checkName(at+".name", "instance", instance.Name)
	for i := range instance.BusinessDomains {
		k.canonical(&instance.BusinessDomains[i], element(at+".business_domains", i), canonicalName)
	}
	if instance.TTL > maxFailoverTTL {
		k.warnf(at+".ttl", "ttl is %d s: a failover reaches clients as much later, want at most %d", instance.TTL, maxFailoverTTL)
	}
	names := make([]string, len(instance.Policies))
	found := make([]families, len(instance.Policies))
	for i := range instance.Policies {
		key := element(at+".policy", i)
		names[i] = instance.Policies[i].Name
		found[i] = k.checkPolicy(&instance.Policies[i], key, joint)
	}
	k.unique("policy", names, func(i int) string { return element(at+".policy", i) + ".name" })
	k.checkSources(instance, at, found, joint)
}

// accessDomain checks the access domain of one instance and enters it into known.
func (k *checker) accessDomain(instance *policy.InstanceOptions, path string, joint bool, known map[string]string) {
	if !k.canonical(&instance.AccessDomain, path, canonicalName) {
		return
	}
	name := instance.AccessDomain
	shown := "access domain " + quote(plainName(name))
	if first, ok := known[name]; ok {
		k.errorf(path, "%s is that of another instance already, at %s: want one of its own", shown, k.where(first))
		return
	}
	known[name] = path
	zone := k.closestZone(name)
	if zone < 0 {
		if zones := k.zoneNames(); len(zones) > 0 {
			k.errorf(path, "%s lies in no zone: want a name in %s", shown, enumerate(quoted(zones), "or"))
		} else if !k.zones.nameless {
			k.errorf(path, "%s lies in no zone: define one in [[zone]]", shown)
		}
		return
	}
	records := k.zoneRecords[zone]
	isApex := name == records.name
	if isApex && joint {
		k.errorf(path, "%s is the apex of its zone, which cannot have a CNAME, and some policy has domain pools: want a name below the apex, or pools of addresses", shown)
	}
	if cut, ok := records.cut(name); ok {
		k.errorf(path, "%s lies at or below %s, whose %s record at %s gives it away: want another name", shown,
			quote(plainName(cut.rr.Header().Name)), dns.TypeToString[cut.rr.Header().Rrtype], cut.at())
		return
	}
	var types []uint16
	if isApex {
		types = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME}
	}
	if static, ok := records.find(name, types...); ok {
		k.errorf(path, "%s has a %s record in the zone file at %s: remove one of the two", shown,
			dns.TypeToString[static.rr.Header().Rrtype], static.at())
	}
}

// tables are the tables of request sources of an instance: one for each address family, or a joint one for all types.
func tables(found families, joint bool) []string {
	if joint {
		return []string{"all types"}
	}
	var out []string
	if found.ipv4 {
		out = append(out, "A")
	}
	if found.ipv6 {
		out = append(out, "AAAA")
	}
	return out
}

// checkSources checks the request sources of one instance's policies against the lines and against each other. The
// families found are those of each policy.
func (k *checker) checkSources(instance *policy.InstanceOptions, at string, found []families, joint bool) {
	first := map[[2]string]string{} // path of the source, by table and source
	used, isKnown, hasGlobal := []string{}, true, false
	for i := range instance.Policies {
		p := &instance.Policies[i]
		key := element(at+".policy", i)
		coversGlobal := false
		for j, source := range p.Sources {
			path := element(key+".sources", j)
			if isGlobal(source) {
				source, coversGlobal = "global", true
			} else if source == "" {
				isKnown = false
			} else if !k.source(source, path) {
				isKnown = false
				continue
			}
			var clashes []string
			for _, table := range tables(found[i], joint) {
				if other, ok := first[[2]string{table, source}]; ok {
					clashes = append(clashes, table+" at "+k.where(other))
					continue
				}
				first[[2]string{table, source}] = path
			}
			if len(clashes) > 0 {
				k.errorf(path, "source %s is used already for %s: want each source once in an instance", quote(source), enumerate(clashes, "and"))
			}
		}
		hasGlobal = hasGlobal || coversGlobal
		if p.FallThrough && coversGlobal {
			k.errorf(key+".fall_through", "fall_through goes on to the policy of the global source, and policy %s is that one: remove it", quote(p.Name))
		}
		for _, table := range tables(found[i], joint) {
			if !slices.Contains(used, table) {
				used = append(used, table)
			}
		}
		isKnown = isKnown && len(p.Sources) > 0 && !found[i].isUnknown
	}
	k.checkGlobal(instance, at, used, first, isKnown, hasGlobal)
}

// checkGlobal checks that clients which no other source matches get an answer, unless the instance does without.
func (k *checker) checkGlobal(instance *policy.InstanceOptions, at string, used []string, first map[[2]string]string, isKnown, hasGlobal bool) {
	if isKnown && !hasGlobal {
		for i := range instance.Policies {
			if instance.Policies[i].FallThrough {
				k.errorf(element(at+".policy", i)+".fall_through", "fall_through goes on to the policy of the global source, and instance %s has none: add one, or remove fall_through", quote(instance.Name))
			}
		}
	}
	if !isKnown || instance.Unmatched == policy.UnmatchedNodata {
		return
	}
	for _, table := range used {
		if first[[2]string{table, "global"}] == "" {
			k.errorf(at, "instance %s has no policy with source \"global\" for %s: add one, or set unmatched = \"nodata\"", quote(instance.Name), table)
		}
	}
}

// source checks that a source other than the global one is a custom line.
func (k *checker) source(source, path string) bool {
	if _, ok := k.lines.first[source]; ok {
		return true
	}
	if !k.lines.nameless {
		known := append([]string{"global"}, k.lines.names...)
		k.errorf(path, "there is no line %s%s", quote(source), choices(source, known, "[[geo.line]]"))
	}
	return false
}

// checkCycles reports domain pools whose answer leads back to the access domain that asks them. Access domains are
// given by the path of their keys.
func (k *checker) checkCycles(accessDomains map[string]string) {
	instances := k.config.File.Instances
	targets := map[string][]cycleStep{} // by access domain
	for i := range instances {
		seen := map[string]bool{}
		for name := range members(&instances[i]) {
			j, ok := k.pools.first[name]
			if !ok || seen[name] || k.config.Pools[j].Type != policy.TypeDomain {
				continue
			}
			seen[name] = true
			for n, address := range k.config.Pools[j].Addresses {
				if accessDomains[address.Address] != "" {
					key := element(element("pool", j)+".addresses", n) + ".address"
					targets[instances[i].AccessDomain] = append(targets[instances[i].AccessDomain], cycleStep{address.Address, key})
				}
			}
		}
	}
	for i := range instances {
		start := instances[i].AccessDomain
		for _, step := range targets[start] {
			if trail := leadsTo(targets, step.domain, start, []string{plainName(start)}, map[string]bool{}); trail != nil {
				k.errorf(step.path, "access domain %s leads back to itself: %s", quote(plainName(start)), strings.Join(trail, " -> "))
			}
		}
	}
}

// cycleStep is an access domain that a domain pool answers with, and the path of that address.
type cycleStep struct{ domain, path string }

// leadsTo returns the way from one access domain to another, after the trail given, or nil. Access domains that have been
// seen are no way.
func leadsTo(targets map[string][]cycleStep, from, to string, trail []string, seen map[string]bool) []string {
	if seen[from] {
		return nil
	}
	seen[from] = true
	trail = append(slices.Clip(trail), plainName(from))
	if from == to {
		return trail
	}
	for _, step := range targets[from] {
		if found := leadsTo(targets, step.domain, to, trail, seen); found != nil {
			return found
		}
	}
	return nil
}
