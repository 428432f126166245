package view

import (
	"slices"

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
	// cut: the chain ends at a delegation, whose DS records are the zone's own, or it has none (RFC 4035 section 3.1.4.1).
	cut bool
}

// maxChain is the number of aliases that are followed; what lies behind is left to the resolver.
const maxChain = 8

// follow is the algorithm of RFC 1034 section 4.3.2, with RFC 6672 section 3.2, for the alias k. It stays inside the zone, and
// stops before an access domain, because what that answers depends on the client.
func (c *compiler) follow(k string) chain {
	ch := chain{owner: c.display[k]}
	for seen := map[string]bool{}; len(seen) < maxChain; {
		target := ""
		if above := c.redirect(k); above != "" {
			if target = ch.addRedirect(c.owners[above][dns.TypeDNAME][0].(*dns.DNAME)); target == "" {
				return ch
			}
		} else if aliases := c.owners[k][dns.TypeCNAME]; aliases != nil {
			ch.answer = append(ch.answer, renamed(aliases, ch.owner)...)
			target = aliases[0].(*dns.CNAME).Target
		} else {
			ch.records = c.owners[k]
			ch.authority = []dns.RR{c.negativeSOA()}
			return ch
		}
		seen[k] = true
		ch.owner = target
		if k = key(target); c.builder.access[k] || c.builder.holder(k) != c.index {
			return ch
		}
		if cut := c.cut(k); cut != "" {
			ch.authority = c.owners[cut][dns.TypeNS]
			ch.additional = c.addresses(ch.authority)
			if ch.cut = cut == k; ch.cut && c.owners[k][dns.TypeDS] != nil {
				ch.records = rrsets{dns.TypeDS: c.owners[k][dns.TypeDS]}
			}
			return ch
		}
		if c.redirect(k) == "" {
			if k = c.source(k); k == "" {
				ch.rcode, ch.authority = wire.NXDomain, []dns.RR{c.negativeSOA()}
				return ch
			}
		}
		if seen[k] {
			return ch
		}
	}
	return ch
}

// addRedirect adds a DNAME record, unless it is there already, and the CNAME record made from it for the owner, which lies below
// it (RFC 6672 section 3.1). It returns where that leads; the empty name when it would be too long (section 2.2).
func (ch *chain) addRedirect(d *dns.DNAME) string {
	if !slices.Contains(ch.answer, dns.RR(d)) {
		ch.answer = append(ch.answer, d)
	}
	below := len(key(ch.owner)) - len(key(d.Hdr.Name))
	if below+len(key(d.Target)) > wire.MaxName {
		ch.rcode = wire.YXDomain
		return ""
	}
	target := ch.owner
	if from, isRoot := dns.PrevLabel(target, labels(key(d.Hdr.Name))); !isRoot {
		target = target[:from]
	}
	if d.Target != "." {
		target += d.Target
	}
	header := dns.RR_Header{Name: ch.owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: d.Hdr.Ttl}
	ch.answer = append(ch.answer, &dns.CNAME{Hdr: header, Target: target})
	return target
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

// renamed gives records the owner that a wildcard answered for.
func renamed(rrs []dns.RR, owner string) []dns.RR {
	if key(rrs[0].Header().Name) == key(owner) {
		return rrs
	}
	copies := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		copies[i] = dns.Copy(rr)
		copies[i].Header().Name = owner
	}
	return copies
}
