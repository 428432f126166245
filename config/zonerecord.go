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
}

// fill takes the records of the file.
func (z *zoneRecords) fill(all []record) {
	z.all, z.owners, z.nameservers = all, map[string][]record{}, map[string]bool{}
	for _, r := range all {
		owner := r.rr.Header().Name
		z.owners[owner] = append(z.owners[owner], r)
		if ns, ok := r.rr.(*dns.NS); ok {
			z.nameservers[dns.CanonicalName(ns.Ns)] = true
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
		owner, kind := quote(plainName(h.Name)), dns.TypeToString[h.Rrtype]
		isApex := h.Name == z.name
		switch {
		case h.Class != dns.ClassINET:
			out = append(out, r.problem("record %s %s has a class other than IN: want IN", owner, kind))
		case !dns.IsSubDomain(z.name, h.Name):
			out = append(out, r.problem("record %s %s lies outside zone %s", owner, kind, quote(plainName(z.name))))
		case h.Rrtype == dns.TypeSOA || isApex && h.Rrtype == dns.TypeNS:
			out = append(out, r.problem("%s at %s: remove it, the SOA and NS records of a zone come from nameservers and contact", kind, owner))
		case h.Rrtype == dns.TypeDNAME:
			out = append(out, r.problem("DNAME at %s: remove it, this version does not answer DNAME records; a wildcard CNAME may do", owner))
		case h.Rrtype == dns.TypeCNAME && isApex:
			out = append(out, r.problem("CNAME at the apex %s: the SOA and NS records are there, and a CNAME stands alone (RFC 1034 section 3.6.2)", owner))
		case h.Rrtype == dns.TypeCNAME:
			out = append(out, z.besideCNAME(r)...)
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
	owner, isBefore := quote(plainName(cname.rr.Header().Name)), true
	for _, other := range z.owners[cname.rr.Header().Name] {
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
				dns.TypeToString[later.rr.Header().Rrtype], owner, dns.TypeToString[first.rr.Header().Rrtype], first.at())}
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

// isSigning tells whether a record may stand beside a CNAME because it is part of DNSSEC (RFC 4034).
func isSigning(rr dns.RR) bool {
	return rr.Header().Rrtype == dns.TypeRRSIG || rr.Header().Rrtype == dns.TypeNSEC
}

// at is where the record is, as messages name it.
func (r record) at() string {
	return position{line: r.line}.in(r.file)
}

// warnings are the records that are never answered: those at or below a delegation that are not its own and no glue.
func (z *zoneRecords) warnings() []Problem {
	var out []Problem
	for _, r := range z.all {
		h := r.rr.Header()
		cut, ok := z.cut(h.Name)
		if !ok || cut.rr.Header().Rrtype != dns.TypeNS {
			continue
		}
		isOwn := h.Name == cut.rr.Header().Name && (h.Rrtype == dns.TypeNS || h.Rrtype == dns.TypeDS || isSigning(r.rr))
		isGlue := (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA) && z.nameservers[h.Name]
		if !isOwn && !isGlue {
			out = append(out, r.problem("record %s %s is never answered: the NS record at %s gives the name away",
				quote(plainName(h.Name)), dns.TypeToString[h.Rrtype], cut.at()))
		}
	}
	return out
}

// plainName is a canonical name as people write it, without its trailing dot.
func plainName(name string) string {
	return strings.TrimSuffix(name, ".")
}
