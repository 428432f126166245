package view

import (
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"

	"gtmd/server/wire"
)

// link is what a name gives to the answer of a question that a DNAME led to it. Such an answer has names of any length in
// front, so nothing here holds a pointer but the one to the name that was reached. Immutable.
type link struct {
	// dname redirects everything below the name; nil: nothing is.
	dname *redirect
	// alias is the CNAME record of the name from its type on; nil: it has none.
	alias []byte
	// sets are the records of the name by type.
	sets []packedSet
	// referral has the NS records and the glue of a name at or below a delegation.
	referral *wire.Answer
}

// redirect is a DNAME record (RFC 6672).
type redirect struct {
	owner  int    // octets of the owner's name
	target []byte // as the zone writes it
	// record is the DNAME record from its type on, cname the synthesized CNAME record (section 3.1) from its type to its TTL.
	record, cname []byte
	// answer is that to a question for the record itself.
	answer *wire.Answer
}

// packedSet is an RRset. Each record starts with a compression pointer, to be set to where the name is.
type packedSet struct {
	qtype   uint16
	records []byte
}

// isBeside reports whether a name with an alias answers a type itself, see compiler.isBeside.
func (l *link) isBeside(qtype uint16) bool {
	return qtype == wire.TypeNSEC ||
		qtype == wire.TypeRRSIG && slices.ContainsFunc(l.sets, func(s packedSet) bool { return s.qtype == qtype })
}

// link packs what the name k of the zone gives to an answer that a DNAME led to it.
func (c *compiler) link(k string) *link {
	l := &link{}
	for qtype, rrs := range c.owners[k] {
		packed := c.packPlain(k, rrs...)
		switch rr := rrs[0].(type) {
		case *dns.DNAME:
			l.dname = &redirect{owner: len(k), target: wireName(rr.Target), record: packed[2:]}
			l.dname.cname = binary.BigEndian.AppendUint16(nil, wire.TypeCNAME)
			l.dname.cname = append(l.dname.cname, l.dname.record[2:8]...)
		case *dns.CNAME:
			l.alias = packed[2:]
		}
		if c.entered {
			l.sets = append(l.sets, packedSet{qtype, packed})
		}
	}
	return l
}

// cutLink packs the referral of the delegation that k lies at or below, where a DNAME leads to; at the delegation itself the DS
// records, too.
func (c *compiler) cutLink(k, cut string) *link {
	if c.cuts[cut] == nil {
		ns := c.owners[cut][dns.TypeNS]
		a := c.packMessage(ns[0].Header().Name, message{authority: ns, additional: c.addresses(ns)}, false)
		c.cuts[cut] = &link{referral: c.limited(c.display[cut], a)}
	}
	if ds := c.owners[k][dns.TypeDS]; k == cut && ds != nil {
		own := *c.cuts[cut]
		own.sets = []packedSet{{dns.TypeDS, c.packPlain(k, ds...)}}
		return &own
	}
	return c.cuts[cut]
}

// packPlain packs records without compression; an owner equal to k becomes a pointer, with an empty k none.
func (c *compiler) packPlain(k string, rrs ...dns.RR) []byte {
	var all []byte
	for _, rr := range rrs {
		packed, err := packRR(rr, k)
		if err != nil {
			c.builder.fail("pack the records of %s: %w", rr.Header().Name, err)
			packed = make([]byte, 12)
		}
		all = append(all, packed...)
	}
	return all
}

// redirect is the name above k, inside the zone, that has a DNAME; empty when there is none.
func (c *compiler) redirect(k string) string {
	if c.dnames == 0 {
		return ""
	}
	for k != c.apex {
		if k = parent(k); c.owners[k][dns.TypeDNAME] != nil && c.cut(k) == "" {
			return k
		}
	}
	return ""
}
