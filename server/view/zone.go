package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gtmd/server/wire"
)

// Zone is the static part of a zone. Every name is fully qualified.
type Zone struct {
	Name string
	// Records are all records of the zone: exactly one SOA and at least one NS at the apex, and whatever else, in any order.
	Records []dns.RR
	// Exported: secondaries may have the zone. Then its serial number is that of WithSerials, and what it holds can be read.
	Exported bool
}

// zone holds the answers that a whole zone shares.
type zone struct {
	nxdomain, nodata *wire.Answer
	// any is the minimal answer to type ANY at a name that has records (RFC 8482).
	any *wire.Answer
	// soa is the SOA record of negative answers without compression, for those that are reached over a DNAME.
	soa []byte
	// export is the index of the View's exports; -1: the zone is not exported.
	export int32
}

// rrsets are the records of one name by type.
type rrsets map[uint16][]dns.RR

// compiler turns the records of one zone into nodes. Names are keys: wire form in lower case.
type compiler struct {
	builder   *builder
	index     int32
	apex      string
	soa       *dns.SOA
	owners    map[string]rrsets
	display   map[string]string       // key -> the owner as the records write it
	referrals map[string]*wire.Answer // by delegation
	export    int32                   // index of the View's exports; -1: the zone is not exported
	cuts      map[string]*link        // by delegation, where a DNAME can lead
	dnames    int                     // number of names with a DNAME
	// entered: a DNAME of the zone can lead to a name of it.
	entered bool
}

// newCompiler reads the records of a zone and makes the nodes of its names. Zones below it must have been read before:
// what it has of their names is glue.
func (b *builder) newCompiler(z Zone) (*compiler, error) {
	c := &compiler{builder: b, index: int32(len(b.view.zones)), apex: key(z.Name),
		owners: map[string]rrsets{}, display: map[string]string{}, referrals: map[string]*wire.Answer{}, cuts: map[string]*link{}, export: -1}
	if _, taken := b.apexes[c.apex]; taken {
		return nil, fmt.Errorf("zone %s: there are two zones of this name", z.Name)
	}
	for _, rr := range z.Records {
		if err := c.add(rr); err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Name, err)
		}
	}
	if c.soa == nil {
		return nil, fmt.Errorf("zone %s: there is no SOA record at the apex", z.Name)
	}
	if z.Exported {
		c.export = int32(len(b.view.exports))
		b.view.exports = append(b.view.exports, Export{Zone: z.Name, Serial: c.soa.Serial})
	}
	b.view.zones = append(b.view.zones, zone{
		nxdomain: c.negative(wire.NXDomain), nodata: c.negative(wire.NoError), any: c.hinfo(), soa: c.packPlain("", c.negativeSOA()), export: c.export,
	})
	b.apexes[c.apex] = c.index
	for _, k := range sortedKeys(c.owners) {
		for qtype, rrs := range c.owners[k] {
			c.owners[k][qtype] = evenTTL(rrs)
		}
		if b.holder(k) == c.index {
			b.node(k, c.index, c.apex)
		}
	}
	return c, nil
}

func (c *compiler) add(rr dns.RR) error {
	owner := rr.Header().Name
	k := key(owner)
	if !isBelow(k, c.apex) {
		return fmt.Errorf("record %q lies outside the zone", owner)
	}
	switch rr := rr.(type) {
	case *dns.SOA:
		if k != c.apex || c.soa != nil {
			return fmt.Errorf("there is more than one SOA record, or one below the apex, at %q", owner)
		}
		c.soa = rr
	case *dns.DNAME:
		if strings.HasPrefix(k, "\x01*") {
			return fmt.Errorf("record %q is the DNAME of a wildcard (RFC 6672 section 3.3)", owner)
		}
		target := key(rr.Target)
		c.dnames++
		c.entered = c.entered || isBelow(target, c.apex) || isBelow(c.apex, target)
	}
	if c.owners[k] == nil {
		c.owners[k], c.display[k] = rrsets{}, owner
	}
	qtype := rr.Header().Rrtype
	switch n := len(c.owners[k][qtype]); {
	case n > maxRecords:
		return nil // and not compared with all the others
	case n == maxRecords:
		c.builder.fail("%s has more than %d %s records: no message can hold them", owner, maxRecords, dns.Type(qtype))
	}
	if slices.ContainsFunc(c.owners[k][qtype], func(have dns.RR) bool { return dns.IsDuplicate(have, rr) }) {
		return nil // RFC 2181 section 5: the same record twice is one
	}
	if qtype == dns.TypeDNAME && c.owners[k][qtype] != nil {
		return fmt.Errorf("record %q has two DNAME records (RFC 6672 section 2.4)", owner)
	}
	c.owners[k][qtype] = append(c.owners[k][qtype], rr)
	return nil
}

// compile packs the static answers of the name k, once the names of all zones are known. A name without records keeps
// the zone's negative ones.
func (c *compiler) compile(n *node, k string) {
	if above := c.redirect(k); above != "" {
		c.builder.fail("%s lies below the DNAME of %s (RFC 6672 section 2.4)", text(k), c.display[above])
		return
	}
	if cut := c.cut(k); cut != "" {
		c.compileDelegated(n, k, cut)
		return
	}
	if c.entered || c.owners[k][dns.TypeDNAME] != nil {
		n.link = c.link(k)
	}
	if c.owners[k][dns.TypeCNAME] != nil {
		c.compileCNAME(n, k)
		return
	}
	for qtype, rrs := range c.owners[k] {
		a := c.pack(k, message{answer: rrs, additional: c.addresses(rrs)})
		if a.Counts.Additional > 0 {
			a.Optional = len(a.Body) - len(c.pack(k, message{answer: rrs}).Body)
		}
		n.static = append(n.static, typedAnswer{qtype, a})
		if qtype == dns.TypeDNAME {
			n.link.dname.answer = a
		}
	}
	if k == c.apex {
		n.static = c.withParentDS(n.static)
	}
	sortTyped(n.static)
	if len(n.static) > 0 || n.access >= 0 {
		n.any = c.builder.view.zones[c.index].any
	}
}

// compileDelegated gives a name at or below a delegation its referral; at the delegation itself the DS records are ours.
func (c *compiler) compileDelegated(n *node, k, cut string) {
	n.referral, n.cut = c.sharedReferral(cut), cut == k
	if c.entered {
		n.link = c.cutLink(k, cut)
	}
	if ds := c.owners[k][dns.TypeDS]; n.cut && ds != nil {
		n.static = []typedAnswer{{dns.TypeDS, c.pack(k, message{answer: ds})}}
	}
}

// compileCNAME packs the answers of an alias: one for each type that the end of its chain has, and one for the others.
func (c *compiler) compileCNAME(n *node, k string) {
	alias := c.pack(k, message{answer: c.owners[k][dns.TypeCNAME]})
	n.static = []typedAnswer{{dns.TypeCNAME, alias}}
	chain := c.follow(k)
	for qtype, rrs := range chain.records {
		answer := chain.answer
		if !slices.Contains(answer, rrs[0]) { // a DNAME may be there already
			answer = slices.Concat(answer, renamed(rrs, chain.owner))
		}
		n.static = append(n.static, typedAnswer{qtype, c.pack(k, message{answer: answer})})
	}
	n.static = slices.DeleteFunc(n.static, func(s typedAnswer) bool { return c.isBeside(k, s.qtype) })
	n.static = append(n.static, c.besideAlias(k)...)
	if chain.cut && chain.records == nil {
		noDS := message{answer: chain.answer, authority: []dns.RR{c.negativeSOA()}}
		n.static = append(n.static, typedAnswer{dns.TypeDS, c.pack(k, noDS)})
	}
	sortTyped(n.static)
	n.other, n.any = c.pack(k, chain.message), alias
}

// isBeside reports whether the alias k answers a type itself: NSEC and RRSIG are what a CNAME may have beside it (RFC 4035 section
// 2.5), and NSEC is a matter of the name even without.
func (c *compiler) isBeside(k string, qtype uint16) bool {
	return qtype == dns.TypeNSEC || qtype == dns.TypeRRSIG && c.owners[k][qtype] != nil
}

// besideAlias packs the answers to those types.
func (c *compiler) besideAlias(k string) []typedAnswer {
	beside := []typedAnswer{{dns.TypeNSEC, c.builder.view.zones[c.index].nodata}}
	if nsec := c.owners[k][dns.TypeNSEC]; nsec != nil {
		beside[0].answer = c.pack(k, message{answer: nsec})
	}
	if rrsig := c.owners[k][dns.TypeRRSIG]; rrsig != nil {
		beside = append(beside, typedAnswer{dns.TypeRRSIG, c.pack(k, message{answer: rrsig})})
	}
	return beside
}

// withParentDS answers questions for the DS records of the apex from the zone above, whose they are, when we have it
// (RFC 4035 section 3.1.4.1).
func (c *compiler) withParentDS(static []typedAnswer) []typedAnswer {
	p := c.above()
	if p == nil {
		return static
	}
	answer := c.builder.view.zones[p.index].nodata
	if cut := p.cut(c.apex); cut != "" && cut != c.apex { // the zone above gave away a name in between
		answer = p.sharedReferral(cut)
	} else if ds := p.owners[c.apex][dns.TypeDS]; ds != nil {
		answer = p.pack(c.apex, message{answer: ds})
	}
	static = slices.DeleteFunc(static, func(s typedAnswer) bool { return s.qtype == dns.TypeDS })
	return append(static, typedAnswer{dns.TypeDS, answer})
}

// above is the zone of ours that the apex of c lies in; nil when there is none.
func (c *compiler) above() *compiler {
	if labels(c.apex) == 0 {
		return nil
	}
	if i := c.builder.holder(parent(c.apex)); i >= 0 {
		return c.builder.zones[i]
	}
	return nil
}

// exists reports whether k, a name of the zone, owns records or lies above a name that does.
func (c *compiler) exists(k string) bool {
	_, found := c.builder.names[k]
	return found
}

// cut is the delegation at or above k inside the zone; empty when there is none.
func (c *compiler) cut(k string) string {
	found := ""
	for ; k != c.apex; k = parent(k) {
		if c.owners[k][dns.TypeNS] != nil {
			found = k
		}
	}
	return found
}

// sharedReferral is the referral of a delegation, packed once.
func (c *compiler) sharedReferral(cut string) *wire.Answer {
	if c.referrals[cut] == nil {
		c.referrals[cut] = c.referral(cut)
	}
	return c.referrals[cut]
}

// referral is the answer for everything at and below a delegation (RFC 1034 section 4.3.2 step 3b): not authoritative,
// with the glue that the zone has (RFC 9471).
func (c *compiler) referral(cut string) *wire.Answer {
	ns := c.owners[cut][dns.TypeNS]
	a := c.packShared(ns[0].Header().Name, message{authority: ns, additional: c.addresses(ns)})
	a.Authoritative = false
	return a
}

// addresses are the zone's own address records of the hosts that NS records name.
func (c *compiler) addresses(rrs []dns.RR) []dns.RR {
	var glue []dns.RR
	for _, rr := range rrs {
		if ns, isNS := rr.(*dns.NS); isNS {
			host := c.owners[key(ns.Ns)]
			glue = append(append(glue, host[dns.TypeA]...), host[dns.TypeAAAA]...)
		}
	}
	return glue
}

// negative is the answer with the SOA record alone.
func (c *compiler) negative(rcode wire.RCode) *wire.Answer {
	return c.packShared(c.soa.Hdr.Name, message{rcode: rcode, authority: []dns.RR{c.negativeSOA()}})
}

// negativeSOA is the SOA record with the TTL of negative answers (RFC 2308 section 3).
func (c *compiler) negativeSOA() *dns.SOA {
	soa := *c.soa
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return &soa
}

// hinfo is the minimal answer to type ANY (RFC 8482 section 4.2). Its owner is the question's name, whatever that is.
func (c *compiler) hinfo() *wire.Answer {
	header := dns.RR_Header{Name: c.soa.Hdr.Name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: c.soa.Hdr.Ttl}
	return c.packCompressed(c.soa.Hdr.Name, message{answer: []dns.RR{&dns.HINFO{Hdr: header, Cpu: "RFC8482"}}})
}

// evenTTL gives all records of a set the lowest TTL among them (RFC 2181 section 5.2).
func evenTTL(rrs []dns.RR) []dns.RR {
	lowest := slices.MinFunc(rrs, func(a, b dns.RR) int { return cmp.Compare(a.Header().Ttl, b.Header().Ttl) }).Header().Ttl
	even := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		if even[i] = rr; rr.Header().Ttl != lowest {
			even[i] = dns.Copy(rr)
			even[i].Header().Ttl = lowest
		}
	}
	return even
}
