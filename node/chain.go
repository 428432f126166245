package node

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/resolver"
)

// BusinessDomains are those of the configuration; see admin.Backend.
func (n *Node) BusinessDomains() []admin.BusinessDomainStatus { return n.business.all() }

// Chain resolves a name now; see admin.Backend. What it finds of a business domain counts as a check.
func (n *Node) Chain(ctx context.Context, domain string) (admin.BusinessDomainStatus, error) {
	name, err := chainName(domain)
	if err != nil {
		return admin.BusinessDomainStatus{}, err
	}
	begin := time.Now()
	rules := n.rulesFor(name)
	if len(rules) == 0 {
		checked, isDone := n.resolveBusiness(ctx, &domainRules{domain: name})
		if !isDone {
			return admin.BusinessDomainStatus{}, fmt.Errorf("resolve %s: %w", plainName(name), context.Cause(ctx))
		}
		return admin.BusinessDomainStatus{
			Domain: plainName(name), State: admin.ConfigNone, Reason: "it is no business domain of the configuration: " + lastOf(&checked.chain),
			Chain: n.business.names().links(&checked.chain, ""), Checked: moment(begin.Add(checked.took)), Milliseconds: milliseconds(checked.took),
		}, nil
	}
	var worst admin.BusinessDomainStatus
	for _, r := range rules {
		checked, isDone := n.resolveBusiness(ctx, r)
		if !isDone {
			return admin.BusinessDomainStatus{}, fmt.Errorf("resolve %s: %w", plainName(name), context.Cause(ctx))
		}
		if d := n.business.find(r); d != nil {
			if e, isNews := n.business.record(d, checked, begin); isNews {
				n.tellBusiness(e)
			}
		}
		s := n.business.describe(r, checked, begin)
		if worst.Domain == "" || worst.State == admin.Configured {
			worst = s
		}
	}
	return worst, nil
}

// chainName is a name that somebody has typed, canonical.
func chainName(text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("the domain is missing: want one such as www.example.com")
	}
	if _, isName := dns.IsDomainName(text); !isName || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%q is no domain name: want one such as www.example.com, in ASCII", text)
	}
	return dns.CanonicalName(text), nil
}

// rulesFor are those of a business domain, one for each instance that has it; none for another name.
func (n *Node) rulesFor(name string) (all []*domainRules) {
	for _, r := range rulesOf(n.world.Load().config) {
		if r.domain == name {
			all = append(all, r)
		}
	}
	return all
}

// find finds a domain that is checked by the same rules; nil: there is none.
func (b *business) find(rules *domainRules) *businessDomain {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.domains[businessKey{rules.instance, rules.domain}]
	if d == nil || rules.isExcepted || !d.rules.equal(rules) || b.config.File.Business.CheckInterval == 0 {
		return nil
	}
	return d
}

// describe is what a check has found, for people.
func (b *business) describe(rules *domainRules, c checkedDomain, begin time.Time) admin.BusinessDomainStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := admin.BusinessDomainStatus{
		Domain: plainName(rules.domain), Instance: rules.instance, State: c.state, Reason: c.reason, Loop: c.isLoop, Chain: b.seen.links(&c.chain, c.cdn),
	}
	if c.state != admin.ConfigUnknown {
		s.Checked, s.Milliseconds = moment(begin.Add(c.took)), milliseconds(c.took)
	}
	if d := b.domains[businessKey{rules.instance, rules.domain}]; d != nil && d.status.State == c.state {
		s.Since = d.status.Since
	}
	return s
}

// lastOf says where the chain of a name ends.
func lastOf(c *resolver.Chain) string {
	for _, t := range []*resolver.Trail{&c.IPv4, &c.IPv6} {
		if t.End == resolver.EndAddresses {
			return "it ends in addresses"
		}
	}
	if c.IPv4.Detail == c.IPv6.Detail {
		return c.IPv4.Detail
	}
	return c.IPv4.Detail + "; " + c.IPv6.Detail
}

// links are the records of a chain in their order, each once: the CNAME records, then the addresses. The CDN's name is noted as such;
// empty: none is.
func (s *knownNames) links(c *resolver.Chain, cdn string) []admin.ChainLink {
	all := []admin.ChainLink{}
	for _, isAddress := range []bool{false, true} {
		for _, t := range []*resolver.Trail{&c.IPv4, &c.IPv6} {
			for _, l := range t.Links {
				link := admin.ChainLink{Name: plainName(l.Name), Type: l.Type, Data: l.Data, TTL: l.TTL, Note: s.note(l.Name)}
				if link.Note == "" && l.Name == cdn {
					link.Note = "CDN name"
				}
				if l.Type == "CNAME" {
					link.Data = plainName(l.Data)
				}
				isSame := func(o admin.ChainLink) bool { return o.Name == link.Name && o.Type == link.Type && o.Data == link.Data }
				if (l.Type != "CNAME") == isAddress && !slices.ContainsFunc(all, isSame) {
					all = append(all, link)
				}
			}
		}
	}
	return all
}

// Askers are the resolvers that asked for an access domain lately; see admin.Backend.
func (n *Node) Askers(instance string) (admin.AskerList, error) {
	w := n.world.Load()
	known := make(map[string]bool, len(w.instances))
	for _, in := range w.instances {
		known[in.Name] = true
	}
	if instance != "" && !known[instance] {
		return admin.AskerList{}, fmt.Errorf("there is no instance %q", instance)
	}
	list := admin.AskerList{Askers: []admin.Asker{}}
	all, forgotten := n.stats.Askers()
	list.Forgotten = forgotten
	for _, a := range all {
		if known[a.Instance] && (instance == "" || a.Instance == instance) {
			list.Askers = append(list.Askers, admin.Asker{
				Instance: a.Instance, Address: a.Address, First: a.First, Last: a.Last, Subnet: a.Subnet, Proven: a.Proven,
			})
		}
	}
	slices.SortFunc(list.Askers, func(x, y admin.Asker) int {
		return cmp.Or(y.Last.Compare(x.Last), strings.Compare(x.Instance, y.Instance), x.Address.Compare(y.Address))
	})
	facts := map[netip.Addr]string{}
	for i := range list.Askers {
		a := &list.Askers[i]
		if _, isKnown := facts[a.Address]; !isKnown {
			facts[a.Address] = w.factsText(a.Address)
		}
		a.Facts = facts[a.Address]
	}
	return list, nil
}

// factsText is what the databases say of an address, each thing once; empty: nothing.
func (w *world) factsText(address netip.Addr) string {
	var all []string
	for _, f := range w.facts(address) {
		if f.Facts != "nothing" && !slices.Contains(all, f.Facts) {
			all = append(all, f.Facts)
		}
	}
	return strings.Join(all, ", ")
}
