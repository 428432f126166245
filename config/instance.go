package config

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gtmd/geo"
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
		k.accessDomain(&options[i].AccessDomain, at+".access_domain", joint, accessDomains)
		for j := range options[i].Aliases {
			k.accessDomain(&options[i].Aliases[j], element(at+".aliases", j), joint, accessDomains)
		}
	}
	k.checkNameservers(accessDomains)
	k.checkCycles(accessDomains)
}

// isCNAME tells whether a pool answers with a CNAME.
func isCNAME(pool *policy.PoolOptions) bool { return pool.Type == policy.TypeDomain && !pool.Flatten }

// isJoint tells whether some set of an instance is a domain set. Then one table of sources serves all types, so that a
// client has the same policy whatever it asks for.
func (k *checker) isJoint(instance *policy.InstanceOptions) bool {
	for name := range members(instance) {
		if i, ok := k.pools.first[name]; ok && isCNAME(&k.config.File.Pools[i]) {
			return true
		}
	}
	return false
}

// checkInstance checks one instance but for its access domain, and fills in the sources of its policies.
func (k *checker) checkInstance(instance *policy.InstanceOptions, at string, joint bool) {
	k.checkName(at+".name", "instance", instance.Name)
	for i := range instance.BusinessDomains {
		k.canonical(&instance.BusinessDomains[i], element(at+".business_domains", i), canonicalName)
	}
	k.checkCDNNames(instance, at)
	if instance.TTL > maxFailoverTTL {
		k.warnf(at+".ttl", "ttl is %d s: a failover reaches clients as much later, want at most %d", instance.TTL, maxFailoverTTL)
	}
	names := make([]string, len(instance.Policies))
	found := make([]families, len(instance.Policies))
	for i := range instance.Policies {
		key := element(at+".policy", i)
		names[i] = instance.Policies[i].Name
		found[i] = k.checkPolicy(&instance.Policies[i], key, joint, byLatency(instance))
		k.defaultSources(instance, &instance.Policies[i], key)
	}
	k.unique("policy", names, func(i int) string { return element(at+".policy", i) + ".name" })
	k.checkSources(instance, at, found, joint)
}

// accessDomain checks an access domain, or an alias of one, and enters it into known. Joint says whether its instance can
// answer with a CNAME.
func (k *checker) accessDomain(text *string, path string, joint bool, known map[string]string) {
	if !k.canonical(text, path, canonicalName) {
		return
	}
	name := *text
	shown := "access domain " + quote(plainName(name))
	if first, ok := known[name]; ok {
		if tableOf(first) == tableOf(path) {
			k.errorf(path, "%s is a name of this instance already, at %s: want it once", shown, k.where(first))
		} else {
			k.errorf(path, "%s is that of another instance already, at %s: want one of its own", shown, k.where(first))
		}
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
			quote(plainName(cut.owner)), dns.TypeToString[cut.rr.Header().Rrtype], cut.at())
		return
	}
	if above, ok := records.redirect(name); ok {
		k.errorf(path, "%s lies below %s, whose DNAME record at %s redirects it: want another name", shown,
			quote(plainName(above.owner)), above.at())
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

// tableOf is the path of the list element at the start of a path: "instance[1]" of "instance[1].aliases[0]".
func tableOf(path string) string {
	table, _, _ := strings.Cut(path, ".")
	return table
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

// byLatency tells whether an instance chooses among the pools of a set by latency.
func byLatency(instance *policy.InstanceOptions) bool {
	return instance.AccessPolicyType == policy.PolicyLatency
}

// defaultSources gives a policy that has no sources that of everybody, where the instance chooses by latency; elsewhere
// it reports that they are missing.
func (k *checker) defaultSources(instance *policy.InstanceOptions, p *policy.PolicyOptions, at string) {
	if len(p.Sources) > 0 || p.Name == "" && p.Primary.Pools == nil { // The latter is no table, or has nothing in it.
		return
	}
	isWritten := k.isWritten(at + ".sources")
	shown := titled("[[instance.policy]]", p.Name) + " of " + titled("[[instance]]", instance.Name)
	switch {
	case isWritten && p.Sources != nil:
		k.errorf(at+".sources", "sources in %s: must not be empty", shown)
	case isWritten: // and decoding has refused it
	case byLatency(instance):
		p.Sources = []string{"global"}
	default:
		k.errorf(at, "missing key \"sources\" in %s", shown)
	}
}

// titled is a table as messages name it.
func titled(header, name string) string {
	if name == "" {
		return header
	}
	return header + " " + quote(name)
}

// usedSource is a source of a policy, where and how it is written.
type usedSource struct{ path, text string }

// tableSource is a source in one of the tables of an instance.
type tableSource struct {
	table  string
	source geo.Selector
}

// checkSources checks the request sources of one instance's policies, each by itself and against each other. The
// families found are those of each policy.
func (k *checker) checkSources(instance *policy.InstanceOptions, at string, found []families, joint bool) {
	first := map[tableSource]usedSource{}
	used, isKnown, hasGlobal := []string{}, true, false
	for i := range instance.Policies {
		p := &instance.Policies[i]
		key := element(at+".policy", i)
		coversGlobal := false
		for j, source := range p.Sources {
			path := element(key+".sources", j)
			selector, complaint, ok := k.source(source)
			if !ok {
				if complaint != "" {
					k.errorf(path, "%s", complaint)
				}
				isKnown = false
				continue
			}
			coversGlobal = coversGlobal || selector == geo.Global
			var clashes []clash
			for _, table := range tables(found[i], joint) {
				at := tableSource{table, selector}
				if other, ok := first[at]; ok {
					clashes = append(clashes, clash{other.text, table + " at " + k.where(other.path)})
					continue
				}
				first[at] = usedSource{path, source}
			}
			k.reportClashes(path, source, clashes)
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
	hasGlobalFor := func(table string) bool { _, ok := first[tableSource{table, geo.Global}]; return ok }
	k.checkGlobal(instance, at, used, hasGlobalFor, isKnown, hasGlobal)
}

// clash is an earlier use of a source: how it is written there, and where, as messages name it.
type clash struct{ text, at string }

// reportClashes reports that a source is used already, in one message for each way in which it is written there.
func (k *checker) reportClashes(path, source string, clashes []clash) {
	for len(clashes) > 0 {
		text := clashes[0].text
		var at []string
		for _, c := range clashes {
			if c.text == text {
				at = append(at, c.at)
			}
		}
		clashes = slices.DeleteFunc(clashes, func(c clash) bool { return c.text == text })
		if text == source {
			k.errorf(path, "source %s is used already for %s: want each source once in an instance", quote(source), enumerate(at, "and"))
		} else {
			k.errorf(path, "source %s means the same clients as %s, used already for %s: want each source once in an instance",
				quote(source), quote(text), enumerate(at, "and"))
		}
	}
}

// checkGlobal checks that clients which no other source matches get an answer, unless the instance does without.
func (k *checker) checkGlobal(instance *policy.InstanceOptions, at string, used []string, hasGlobalFor func(table string) bool, isKnown, hasGlobal bool) {
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
		if !hasGlobalFor(table) {
			k.errorf(at, "instance %s has no policy with source \"global\" for %s: add one, or set unmatched = \"nodata\"", quote(instance.Name), table)
		}
	}
}
