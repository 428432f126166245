package config

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// zoneRecords are the records of one zone file by owner. The zero value is a zone without a file.
type zoneRecords struct {
	name     string // of the zone, canonical
	isBroken bool   // the file has errors of syntax, so that nothing can be said about what it lacks
	all      []record
	owners   map[string][]record
	// nameservers are the targets of all delegations, whose addresses are glue.
	nameservers map[string]bool
	dnames      int // number of DNAME records
}

// fill takes the records of the file.
func (z *zoneRecords) fill(all []record) {
	z.all, z.owners, z.nameservers = all, map[string][]record{}, map[string]bool{}
	for _, r := range all {
		z.owners[r.owner] = append(z.owners[r.owner], r)
		if ns, ok := r.rr.(*dns.NS); ok {
			z.nameservers[canonicalOwner(ns.Ns)] = true
		}
		if r.rr.Header().Rrtype == dns.TypeDNAME {
			z.dnames++
		}
	}
}

// has tells whether an owner has a record of one of the types; without types, of any.
func (z *zoneRecords) has(owner string, types ...uint16) bool {
	_, ok := z.find(owner, types...)
	return ok
}

// find returns the first record of an owner that has one of the types; without types, of any.
func (z *zoneRecords) find(owner string, types ...uint16) (record, bool) {
	for _, r := range z.owners[owner] {
		if len(types) == 0 {
			return r, true
		}
		for _, t := range types {
			if r.rr.Header().Rrtype == t {
				return r, true
			}
		}
	}
	return record{}, false
}

// cut returns the NS record at or above a name by which the zone gives the name away.
func (z *zoneRecords) cut(name string) (record, bool) {
	for label, end := 0, false; !end; label, end = dns.NextLabel(name, label) {
		owner := name[label:]
		if owner != z.name {
			if r, ok := z.find(owner, dns.TypeNS); ok {
				return r, true
			}
		}
		if owner == z.name {
			break
		}
	}
	return record{}, false
}

// redirect returns the DNAME record above a name that redirects it.
func (z *zoneRecords) redirect(name string) (record, bool) {
	if z.dnames == 0 || !dns.IsSubDomain(z.name, name) {
		return record{}, false
	}
	for name != z.name {
		next, end := dns.NextLabel(name, 0)
		if end {
			break
		}
		name = name[next:]
		if r, ok := z.find(name, dns.TypeDNAME); ok {
			if _, isAway := z.cut(name); !isAway {
				return r, true
			}
		}
	}
	return record{}, false
}

// problem places a message at a record.
func (r record) problem(format string, args ...any) Problem {
	return Problem{File: r.file, Line: r.line, Message: fmt.Sprintf(format, args...)}
}

// problems are the records that the zone cannot have.
func (z *zoneRecords) problems() []Problem {
	var out []Problem
	packed := make([]byte, dns.MaxMsgSize)
	for _, r := range z.all {
		h := r.rr.Header()
		owner, kind := quote(plainName(r.owner)), dns.Type(h.Rrtype).String()
		isApex, isWildcard := r.owner == z.name, strings.HasPrefix(r.owner, "*.")
		switch {
		case h.Class != dns.ClassINET:
			out = append(out, r.problem("record %s %s has a class other than IN: want IN", owner, kind))
		case isMeta(h.Rrtype):
			out = append(out, r.problem("record %s %s has a type that is for queries and not for data (RFC 6895 section 3.1)", owner, kind))
			continue
		case h.Ttl > maxTTL:
			out = append(out, r.problem("record %s %s has TTL %d: want at most %d (RFC 2181 section 8)", owner, kind, h.Ttl, maxTTL))
		case !dns.IsSubDomain(z.name, r.owner):
			out = append(out, r.problem("record %s %s lies outside zone %s", owner, kind, quote(plainName(z.name))))
		case h.Rrtype == dns.TypeSOA || isApex && h.Rrtype == dns.TypeNS:
			out = append(out, r.problem("%s at %s: remove it, the SOA and NS records of a zone come from nameservers and contact", kind, owner))
		case h.Rrtype == dns.TypeDNAME && isWildcard:
			out = append(out, r.problem("DNAME at the wildcard %s: want a name of its own, or a wildcard CNAME (RFC 6672 section 3.3)", owner))
		case h.Rrtype == dns.TypeNS && isWildcard:
			out = append(out, r.problem("NS at the wildcard %s: want the names that are delegated (RFC 4592 section 4.2 gives it no meaning)", owner))
		case h.Rrtype == dns.TypeCNAME && isApex:
			out = append(out, r.problem("CNAME at the apex %s: the SOA and NS records are there, and a CNAME stands alone (RFC 1034 section 3.6.2)", owner))
		case h.Rrtype == dns.TypeCNAME:
			out = append(out, z.besideCNAME(r)...)
		case h.Rrtype == dns.TypeDNAME:
			if first, _ := z.find(r.owner, dns.TypeDNAME); first.rr != r.rr && !dns.IsDuplicate(first.rr, r.rr) {
				out = append(out, r.problem("second DNAME at %s, the first is at %s: want one (RFC 6672 section 2.4)", owner, first.at()))
			}
		}
		if above, ok := z.redirect(r.owner); ok {
			out = append(out, r.problem("record %s %s lies below %s, whose DNAME record at %s redirects it: remove one of the two (RFC 6672 section 2.4)",
				owner, kind, quote(plainName(above.owner)), above.at()))
		}
		if isEmpty(r.rr) {
			out = append(out, r.problem("record %s %s has no data", owner, kind))
		} else if _, err := dns.PackRR(r.rr, packed, 0, nil, false); err != nil {
			out = append(out, r.problem("record %s %s has data that no message can carry: %v", owner, kind, err))
		}
	}
	return out
}

// besideCNAME reports what else the owner of a CNAME has, at the later record of the two.
func (z *zoneRecords) besideCNAME(cname record) []Problem {
	owner, isBefore := quote(plainName(cname.owner)), true
	for _, other := range z.owners[cname.owner] {
		switch {
		case other.rr == cname.rr:
			isBefore = false
		case isSigning(other.rr):
		case other.rr.Header().Rrtype == dns.TypeCNAME && isBefore:
			return []Problem{cname.problem("second CNAME at %s, the first is at %s: want one (RFC 2181 section 10.1)", owner, other.at())}
		case other.rr.Header().Rrtype != dns.TypeCNAME:
			later, first := cname, other
			if !isBefore {
				later, first = other, cname
			}
			return []Problem{later.problem("%s at %s beside the %s at %s: a CNAME stands alone (RFC 1034 section 3.6.2)",
				dns.Type(later.rr.Header().Rrtype), owner, dns.Type(first.rr.Header().Rrtype), first.at())}
		}
	}
	return nil
}

// isEmpty tells whether a record ends after its type, as the parser allows for dynamic updates (RFC 2136). Only APL may
// be empty (RFC 3123 section 4).
func isEmpty(rr dns.RR) bool {
	if a, isA := rr.(*dns.A); isA && a.A != nil { // as most records of long files are
		return false
	}
	blank, ok := dns.TypeToRR[rr.Header().Rrtype]
	if !ok || rr.Header().Rrtype == dns.TypeAPL {
		return false
	}
	empty := blank()
	*empty.Header() = *rr.Header()
	return empty.String() == rr.String()
}

// maxTTL is the largest TTL in seconds (RFC 2181 section 8).
const maxTTL = 1<<31 - 1

// isMeta tells whether a type is one that questions, OPT or signatures of messages have, and no zone.
func isMeta(qtype uint16) bool {
	return qtype == dns.TypeNone || qtype == dns.TypeOPT || qtype >= 128 && qtype <= 255
}

// isSignature tells whether a type is one that signing a zone adds to it (RFC 4034, RFC 5155).
func isSignature(qtype uint16) bool {
	return qtype == dns.TypeRRSIG || qtype == dns.TypeNSEC || qtype == dns.TypeNSEC3 || qtype == dns.TypeNSEC3PARAM
}

// isSigning tells whether a record may stand beside a CNAME because it is part of DNSSEC (RFC 4034).
func isSigning(rr dns.RR) bool {
	return rr.Header().Rrtype == dns.TypeRRSIG || rr.Header().Rrtype == dns.TypeNSEC
}

// at is where the record is, as messages name it.
func (r record) at() string {
	return position{line: r.line}.in(r.file)
}

// warnings are the records that are never answered: those at or below a delegation that are not its own and no glue. Of a zone that
// somebody signed, the first record that says so is one, too.
func (z *zoneRecords) warnings() []Problem {
	var out []Problem
	signed := false
	for _, r := range z.all {
		h := r.rr.Header()
		if !signed && isSignature(h.Rrtype) {
			signed = true
			out = append(out, r.problem("record %s %s: answers come without signatures, this server gives such records only to those who ask for their type",
				quote(plainName(r.owner)), dns.Type(h.Rrtype)))
		}
		cut, ok := z.cut(r.owner)
		if !ok || cut.rr.Header().Rrtype != dns.TypeNS {
			continue
		}
		isOwn := r.owner == cut.owner && (h.Rrtype == dns.TypeNS || h.Rrtype == dns.TypeDS || isSigning(r.rr))
		isGlue := (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA) && z.nameservers[r.owner]
		if !isOwn && !isGlue {
			out = append(out, r.problem("record %s %s is never answered: the NS record at %s gives the name away",
				quote(plainName(r.owner)), dns.Type(h.Rrtype), cut.at()))
		}
	}
	return out
}

// canonicalOwner is a name of a zone file in lower case, with those escapes alone that it needs, so that equal names are equal texts.
func canonicalOwner(name string) string {
	if strings.Contains(name, `\`) {
		packed := make([]byte, 256)
		if n, err := dns.PackDomainName(name, packed, 0, nil, false); err == nil {
			if plain, _, err := dns.UnpackDomainName(packed[:n], 0); err == nil {
				name = plain
			}
		}
	}
	return dns.CanonicalName(name)
}

// plainName is a canonical name as people write it, without its trailing dot.
func plainName(name string) string {
	return strings.TrimSuffix(name, ".")
}
