package view

import (
	"github.com/miekg/dns"

	"gtmd/server/wire"
)

// chain is where the aliases from a name lead.
type chain struct {
	// message has the aliases on the way, and is the whole answer to a type that is not among records.
	message
	// records are those of the name at the end, owned by owner; nil when the chain leads elsewhere.
	records rrsets
	owner   string
}

// maxChain is the number of aliases that are followed; what lies behind is left to the resolver.
const maxChain = 8

// follow is the algorithm of RFC 1034 section 4.3.2 for the alias k. It stays inside the zone, and stops before an access
// domain, because what that answers depends on the client.
func (c *compiler) follow(k string) chain {
	var ch chain
	for seen := map[string]bool{}; len(seen) < maxChain; {
		aliases := c.owners[k][dns.TypeCNAME]
		if aliases == nil {
			ch.records = c.owners[k]
			ch.authority = []dns.RR{c.negativeSOA()}
			return ch
		}
		ch.answer = append(ch.answer, renamed(aliases, ch.owner)...)
		seen[k] = true
		ch.owner = aliases[0].(*dns.CNAME).Target
		target := key(ch.owner)
		if c.builder.access[target] || c.builder.holder(target) != c.index {
			return ch
		}
		if cut := c.cut(target); cut != "" {
			ch.authority = c.owners[cut][dns.TypeNS]
			ch.additional = c.addresses(ch.authority)
			return ch
		}
		if k = c.source(target); k == "" {
			ch.rcode, ch.authority = wire.NXDomain, []dns.RR{c.negativeSOA()}
			return ch
		}
		if seen[k] {
			return ch
		}
	}
	return ch
}

// source is the name whose records answer for k, a name of the zone: k itself when it exists, else the wildcard of its
// closest encloser (RFC 4592 section 3.3.1); empty when there is none.
func (c *compiler) source(k string) string {
	if c.exists(k) {
		return k
	}
	for k = parent(k); !c.exists(k); {
		k = parent(k)
	}
	if wild := "\x01*" + k; c.exists(wild) {
		return wild
	}
	return ""
}

// renamed gives records the owner that a wildcard answered for; empty keeps their own.
func renamed(rrs []dns.RR, owner string) []dns.RR {
	if owner == "" || key(rrs[0].Header().Name) == key(owner) {
		return rrs
	}
	copies := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		copies[i] = dns.Copy(rr)
		copies[i].Header().Name = owner
	}
	return copies
}
