package config

import (
	"slices"

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

// isJoint tells whether some set of an instance is a domain set. Then one table of sources serves all types, so that a
// client has the same policy whatever it asks for.
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
