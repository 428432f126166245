package view

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gtmd/policy"
)

// Export is a zone that secondaries may have, as it is in one View.
type Export struct {
	// Zone is its name, as the Zone has it.
	Zone string
	// Serial is the serial number of its SOA record: that of its records, until WithSerials gives another.
	Serial uint32
	// Content tells all that a transfer gives but for the serial number: with equal contents it gives the same.
	Content Content

	soa     *dns.SOA
	records []dns.RR // all but the SOA record
	domains []domain
}

// domain are the names of one instance that lie in an exported zone.
type domain struct {
	access int32
	names  []string
}

// Content is a digest. That of a zone is the exclusive or of those of its parts, so that one part can be exchanged.
type Content [sha256.Size]byte

func (c *Content) exchange(part Content) {
	for i := range c {
		c[i] ^= part[i]
	}
}

// Exports are the zones that secondaries may have. They must not be changed.
func (v *View) Exports() []Export { return v.exports }

// Export is the zone of this canonical name, when secondaries may have it.
func (v *View) Export(zone string) (*Export, bool) {
	i := slices.IndexFunc(v.exports, func(e Export) bool { return e.Zone == zone })
	if i < 0 {
		return nil, false
	}
	return &v.exports[i], true
}

// WithSerials is the view with other serial numbers, by zone; zones that are not in it keep theirs. All else is shared with v.
func (v *View) WithSerials(serials map[string]uint32) *View {
	next := *v
	next.exports = slices.Clone(v.exports)
	for i := range next.exports {
		if serial, given := serials[next.exports[i].Zone]; given {
			next.exports[i].Serial = serial
		}
	}
	return &next
}

// SOA is the SOA record of an exported zone.
func (e *Export) SOA() *dns.SOA {
	soa := *e.soa
	soa.Serial = e.Serial
	return &soa
}

// Records are what a transfer of an exported zone of v gives (RFC 5936 section 2.2): the SOA record, the static records, for each
// access domain what a client gets whom no request source but the global one matches, and the SOA record again. The records are
// shared: they must not be changed.
//
// A secondary cannot choose, so of each family it has all addresses that the global policy could answer with as things are; see
// policy.Whole. An access domain without any is not in the transfer.
func (v *View) Records(e *Export) iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		soa := e.SOA()
		if !yield(soa) {
			return
		}
		for _, rr := range e.records {
			if !yield(rr) {
				return
			}
		}
		for _, d := range e.domains {
			records := v.copied(d.access)
			if len(records) == 0 {
				continue
			}
			for _, name := range d.names {
				for _, rr := range renamed(records, name) {
					if !yield(rr) {
						return
					}
				}
			}
		}
		yield(soa)
	}
}

// copied are the records that a transfer gives for an access domain; for its aliases it gives the same. Their TTL is that of the
// instance.
func (v *View) copied(access int32) []dns.RR {
	a := &v.accesses[access]
	var records []dns.RR
	for _, f := range []policy.Family{policy.IPv4, policy.IPv6} {
		global := a.instance.Global(f)
		if a.regions[f] == nil || global < 0 {
			continue
		}
		block := v.slots.at(a.slots[f] + int32(global)) // the first region of each policy has the number of the policy
		if block == nil {
			continue
		}
		for _, address := range policy.Whole(block.Decision, f) {
			rr := copiedRecord(a.instance, address)
			if rr.Header().Rrtype == dns.TypeCNAME {
				return []dns.RR{rr} // which answers both families
			}
			records = append(records, rr)
		}
	}
	return records
}

// copiedRecord is the record of one address.
func copiedRecord(in *policy.Instance, a *policy.Address) dns.RR {
	header := dns.RR_Header{Name: in.AccessDomain, Class: dns.ClassINET, Ttl: in.TTL}
	switch {
	case a.IP.Is4():
		header.Rrtype = dns.TypeA
		return &dns.A{Hdr: header, A: a.IP.AsSlice()}
	case a.IP.Is6():
		header.Rrtype = dns.TypeAAAA
		return &dns.AAAA{Hdr: header, AAAA: a.IP.AsSlice()}
	default:
		header.Rrtype = dns.TypeCNAME
		return &dns.CNAME{Hdr: header, Target: dns.Fqdn(a.Name)}
	}
}

// digest is the content of some records, whatever their order. That of none is zero.
func digest(records []dns.RR) (c Content) {
	if len(records) == 0 {
		return c
	}
	lines := make([]string, len(records))
	for i, rr := range records {
		lines[i] = rr.String()
	}
	slices.Sort(lines)
	return sha256.Sum256([]byte(strings.Join(lines, "\n")))
}

// export completes the exports, once all names and slots are there.
func (b *builder) export() {
	v := b.view
	for _, c := range b.zones {
		if c.export < 0 {
			continue
		}
		e := &v.exports[c.export]
		e.soa = c.soa
		for _, k := range sortedKeys(c.owners) {
			for _, qtype := range slices.Sorted(maps.Keys(c.owners[k])) {
				if qtype != dns.TypeSOA {
					e.records = append(e.records, c.owners[k][qtype]...)
				}
			}
		}
		soa := *c.soa
		soa.Serial = 0
		e.Content.exchange(digest(append([]dns.RR{&soa}, e.records...)))
	}
	for i := range b.input.Instances {
		in, a := &b.input.Instances[i], &v.accesses[i]
		for name := range in.Names() {
			z := b.holder(key(name))
			if z < 0 || b.zones[z].export < 0 {
				continue
			}
			number := b.zones[z].export
			e := &v.exports[number]
			if !slices.Contains(a.exports, number) {
				a.exports = append(a.exports, number)
				e.domains = append(e.domains, domain{access: int32(i)})
				e.Content.exchange(digest(v.copied(int32(i))))
			}
			d := &e.domains[len(e.domains)-1]
			d.names = append(d.names, name)
			e.Content.exchange(sha256.Sum256([]byte(in.AccessDomain + " " + name)))
		}
	}
}

// moveContents takes the access domains of some slots in v, whose place those of next take, out of the contents of next.
func (v *View) moveContents(next *View, slots []Slot) {
	isCloned := false
	moved := map[int]bool{}
	for _, s := range slots {
		numbers := v.accesses[s.Instance].exports
		if len(numbers) == 0 || moved[s.Instance] {
			continue
		}
		moved[s.Instance] = true
		if !isCloned {
			next.exports, isCloned = slices.Clone(v.exports), true
		}
		change := digest(v.copied(int32(s.Instance)))
		change.exchange(digest(next.copied(int32(s.Instance))))
		for _, number := range numbers {
			next.exports[number].Content.exchange(change)
		}
	}
}

// String is the content in hexadecimal.
func (c Content) String() string { return fmt.Sprintf("%x", c[:]) }
