package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/policy"
	"gtmd/resolver"
)

// domainRules decide whether a business domain of an instance leads to its CDN. Immutable. All names are canonical.
type domainRules struct {
	instance, domain string
	access           []string // the names of the instance
	business         []string // its business domains
	cdn              []string // its cdn_names; empty: any other name is that of the CDN
	pools            []poolName
	isExcepted       bool // it is not to be checked
}

// poolName is a name that a domain pool of an instance answers with.
type poolName struct{ pool, name string }

// judged is what a chain says of a business domain.
type judged struct {
	state  string // admin.Configured, admin.NotConfigured or admin.ConfigUnknown
	reason string
	isLoop bool
	cdn    string // what is taken for the CDN's name; empty: nothing is
}

// equal reports whether two rules decide alike of the same chains.
func (d *domainRules) equal(e *domainRules) bool {
	return d.instance == e.instance && d.domain == e.domain && slices.Equal(d.access, e.access) &&
		slices.Equal(d.business, e.business) && slices.Equal(d.cdn, e.cdn) && slices.Equal(d.pools, e.pools)
}

// judge says what the chain of the business domain means:
//
//	no resolver answers                                              unknown
//	NXDOMAIN, no CNAME, CNAMEs in a circle or without addresses      not configured
//	a name that may be the CDN's, then the instance's access domain  not configured, loop
//	straight to the access domain, and cdn_names is empty            configured, no CDN in front
//	no name of cdn_names                                             not configured
//	a name of the CDN to which a domain pool of the instance leads   not configured, loop
//	else                                                             configured
//
// The function resolves the names of domain pools, when they count.
func (d *domainRules) judge(c *resolver.Chain, seen *knownNames, resolve func(name string) resolver.Chain) judged {
	trails := []*resolver.Trail{&c.IPv4, &c.IPv6}
	for _, t := range trails {
		if t.End == resolver.EndNoName && t.At == d.domain {
			return no("%s does not exist (%s): make it a CNAME record to the name that the CDN gave for it", plainName(d.domain), t.Detail)
		}
	}
	var known []*resolver.Trail
	for _, t := range trails {
		if t.End.IsKnown() && (t.End == resolver.EndAddresses || len(t.Links) > 0) {
			known = append(known, t)
		}
	}
	// A family without addresses says nothing against one that has some, or may have.
	isElsewhere := func(t *resolver.Trail) bool { return t.End == resolver.EndAddresses || !t.End.IsKnown() }
	if slices.ContainsFunc(trails, isElsewhere) {
		known = slices.DeleteFunc(known, func(t *resolver.Trail) bool { return t.End == resolver.EndNoData })
	}
	if len(known) == 0 {
		return d.judgeBare(c)
	}
	var first *judged
	for _, t := range known {
		j := d.judgeTrail(t, c.IsApex, seen, resolve)
		if j.state != admin.Configured {
			return j
		}
		if first == nil {
			first = &j
		}
	}
	return *first
}

// no is a verdict.
func no(format string, args ...any) judged {
	return judged{state: admin.NotConfigured, reason: fmt.Sprintf(format, args...)}
}

// judgeBare is judge for a chain that has no addresses and no CNAME as far as is known.
func (d *domainRules) judgeBare(c *resolver.Chain) judged {
	for _, t := range []*resolver.Trail{&c.IPv4, &c.IPv6} {
		if t.End.IsKnown() {
			continue
		}
		if len(t.Links) > 0 {
			return judged{state: admin.ConfigUnknown, reason: fmt.Sprintf("%s could not be resolved: %s", plainName(t.At), t.Detail)}
		}
		return judged{state: admin.ConfigUnknown, reason: t.Detail}
	}
	return no("%s has neither a CNAME record nor addresses (%s)%s", plainName(d.domain), c.IPv4.Detail, d.hint(c.IsApex))
}

// hint says what to do about a name without a CNAME record.
func (d *domainRules) hint(isApex bool) string {
	if isApex {
		return ": it is the apex of its zone, which cannot have a CNAME record. Redirect its users to a name that can, such as www." + plainName(d.domain) +
			"; if its provider follows the CDN for it (ALIAS, ANAME), list it in [business] except"
	}
	return ": make it a CNAME record to the name that the CDN gave for it"
}

// judgeTrail is judge for one family.
func (d *domainRules) judgeTrail(t *resolver.Trail, isApex bool, seen *knownNames, resolve func(string) resolver.Chain) judged {
	targets := targetsOf(t)
	switch {
	case t.End == resolver.EndLoop || t.End == resolver.EndTooLong:
		j := no("%s: %s", t.Detail, strings.Join(plainNames(append([]string{d.domain}, targets...)), " -> "))
		j.isLoop = t.End == resolver.EndLoop
		return j
	case len(targets) == 0:
		return no("%s has no CNAME record but plain addresses, %s%s", plainName(d.domain), seen.addressesOf(t), d.hint(isApex))
	}
	front, back, access := d.parts(targets)
	isNamed := len(d.cdn) == 0 || slices.ContainsFunc(targets, d.isCDN)
	switch {
	case access != "" && front != "":
		j := no("the CDN would fetch from itself: %s, its name for %s, leads back into the access domain %s", plainName(front), plainName(d.domain), plainName(access))
		j.cdn = front
		if j.isLoop = true; len(d.cdn) == 0 {
			j.reason += ". If it is no name of the CDN, say in cdn_names which are"
		}
		return j
	case !isNamed && access != "":
		return no("%s leads straight to the access domain %s, and not to a name of the CDN (%s)", plainName(d.domain), plainName(access), d.wanted())
	case !isNamed:
		return no("%s leads to %s, and not to a name of the CDN (%s)", plainName(d.domain), plainName(targets[0]), d.wanted())
	case access == "" && front == "":
		return no("%s leads to %s, which is a business domain too, and has plain addresses, %s", plainName(d.domain), plainName(t.At), seen.addressesOf(t))
	case t.End == resolver.EndNoName:
		return no("%s leads to %s, which does not exist (%s)", plainName(d.domain), plainName(t.At), t.Detail)
	case t.End == resolver.EndNoData:
		return no("%s leads to %s, which has no addresses (%s)", plainName(d.domain), plainName(t.At), t.Detail)
	}
	if j, leads := d.leadsBack(front, resolve); leads {
		j.cdn = front
		return j
	}
	switch {
	case access != "" && back == "":
		return judged{state: admin.Configured, reason: fmt.Sprintf("direct: it leads straight to the access domain %s, with no CDN in front", plainName(access))}
	case access != "":
		return judged{state: admin.Configured, cdn: back, reason: fmt.Sprintf("by the access domain %s, it leads to the CDN name %s", plainName(access), plainName(back))}
	}
	return judged{state: admin.Configured, cdn: front, reason: "it leads to the CDN name " + plainName(front)}
}

// targetsOf are the names that a trail leads through, behind the first.
func targetsOf(t *resolver.Trail) (all []string) {
	for _, l := range t.Links {
		if l.Type == "CNAME" {
			all = append(all, l.Data)
		}
	}
	return all
}

// parts finds in the targets of a chain the first name of the instance, and the first name of the CDN before it and behind it.
// Without cdn_names every other name may be the CDN's, but for business domains.
func (d *domainRules) parts(targets []string) (front, back, access string) {
	for _, name := range targets {
		switch {
		case slices.Contains(d.access, name):
			if access == "" {
				access = name
			}
		case slices.Contains(d.business, name), len(d.cdn) > 0 && !d.isCDN(name):
		case access == "" && front == "":
			front = name
		case access != "" && back == "":
			back = name
		}
	}
	return front, back, access
}

// leadsBack looks for a domain pool of the instance that leads to users again: to a business domain, or to the CDN's name for it.
// Then the CDN would fetch from itself.
func (d *domainRules) leadsBack(front string, resolve func(string) resolver.Chain) (judged, bool) {
	for _, p := range d.pools {
		c := resolve(p.name)
		way := append([]string{p.name}, targetsOf(&c.IPv4)...)
		for _, name := range append(way, targetsOf(&c.IPv6)...) {
			what := ""
			switch {
			case name == front:
				what = "the CDN's name for " + plainName(d.domain)
			case slices.Contains(d.business, name):
				what = "a business domain"
			default:
				continue
			}
			leads := fmt.Sprintf("%s, which leads to %s, %s", plainName(p.name), plainName(name), what)
			if name == p.name {
				leads = fmt.Sprintf("%s, %s", plainName(name), what)
			}
			j := no("the CDN would fetch from itself: domain pool %q answers with %s", p.pool, leads)
			j.isLoop = true
			return j, true
		}
	}
	return judged{}, false
}

// isCDN reports whether a name is one of cdn_names.
func (d *domainRules) isCDN(name string) bool {
	return slices.ContainsFunc(d.cdn, func(pattern string) bool {
		below, isPattern := strings.CutPrefix(pattern, "*")
		if isPattern {
			return strings.HasSuffix(name, below)
		}
		return name == pattern
	})
}

// wanted is cdn_names for people.
func (d *domainRules) wanted() string { return strings.Join(plainNames(d.cdn), ", ") }

func plainNames(all []string) []string {
	plain := make([]string, len(all))
	for i, name := range all {
		plain[i] = plainName(name)
	}
	return plain
}

// knownNames are what names and addresses are to a configuration. Immutable.
type knownNames struct {
	access   map[string]string // access domains and aliases -> instance
	business map[string][]string
	pools    map[string]string     // names of domain pools -> the first pool
	origins  map[netip.Addr]string // addresses of pools -> the first pool
}

// namesIn are those of a configuration.
func namesIn(c *config.Config) *knownNames {
	s := &knownNames{access: map[string]string{}, business: map[string][]string{}, pools: map[string]string{}, origins: map[netip.Addr]string{}}
	for i := range c.File.Instances {
		in := &c.File.Instances[i]
		for _, name := range append([]string{in.AccessDomain}, in.Aliases...) {
			s.access[name] = in.Name
		}
		for _, name := range in.BusinessDomains {
			s.business[name] = append(s.business[name], in.Name)
		}
	}
	for _, p := range c.Pools {
		for i := range p.Addresses {
			if name := p.Addresses[i].Address; p.Type == policy.TypeDomain && s.pools[name] == "" {
				s.pools[name] = p.Name
			}
		}
		for _, a := range p.Addrs {
			if s.origins[a] == "" {
				s.origins[a] = p.Name
			}
		}
	}
	return s
}

// note says what a name is to us; empty: nothing that is known.
func (s *knownNames) note(name string) string {
	switch {
	case s.access[name] != "":
		return "access domain of " + s.access[name]
	case len(s.business[name]) > 0:
		return "business domain of " + strings.Join(s.business[name], ", ")
	case s.pools[name] != "":
		return "name in pool " + s.pools[name]
	default:
		return ""
	}
}

// addressesOf lists the addresses that a trail ends at, with what they are to us.
func (s *knownNames) addressesOf(t *resolver.Trail) string {
	const most = 4
	var all []string
	for _, l := range t.Links {
		address, err := netip.ParseAddr(l.Data)
		if err != nil {
			continue
		}
		text := l.Data
		if pool := s.origins[address]; pool != "" {
			text += fmt.Sprintf(" (an origin, of pool %s: users go past the CDN)", pool)
		}
		all = append(all, text)
	}
	if more := len(all) - most; more > 0 {
		all = append(all[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// rulesOf are those of every business domain of a configuration, in order.
func rulesOf(c *config.Config) (all []*domainRules) {
	pools := make(map[string][]string, len(c.Pools))
	for _, p := range c.Pools {
		if p.Type == policy.TypeDomain {
			for i := range p.Addresses {
				pools[p.Name] = append(pools[p.Name], p.Addresses[i].Address)
			}
		}
	}
	for i := range c.File.Instances {
		in := &c.File.Instances[i]
		var answered []poolName
		for _, pool := range usedPools(in) {
			for _, name := range pools[pool] {
				answered = append(answered, poolName{pool, name})
			}
		}
		for j, domain := range in.BusinessDomains {
			if slices.Index(in.BusinessDomains, domain) < j {
				continue
			}
			all = append(all, &domainRules{
				instance: in.Name, domain: domain, access: append([]string{in.AccessDomain}, in.Aliases...),
				business: in.BusinessDomains, cdn: in.CDNNames, pools: answered[:min(len(answered), maxPoolNames)],
				isExcepted: slices.Contains(c.File.Business.Except, domain),
			})
		}
	}
	return all
}

// maxPoolNames is how many names of domain pools are resolved to see whether one leads back to the CDN.
const maxPoolNames = 32

// usedPools are the pools that an instance uses, each once.
func usedPools(in *policy.InstanceOptions) (all []string) {
	for i := range in.Policies {
		p := &in.Policies[i]
		for _, set := range append([]policy.SetOptions{p.Primary}, p.Backup...) {
			for _, member := range set.Pools {
				if !slices.Contains(all, member.Pool) {
					all = append(all, member.Pool)
				}
			}
		}
	}
	return all
}
