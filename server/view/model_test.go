package view_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"gtmd/policy"
	"gtmd/server/view"
)

// model answers from lists of records, slowly, as RFC 1034 section 4.3.2 and RFC 4592 say it. Names are canonical
// text without escapes.
type model struct {
	zones  map[string][]dns.RR
	owners map[dns.RR]string // canonical
	access map[string]bool
}

func newModel(zones []view.Zone, access ...string) *model {
	m := &model{zones: map[string][]dns.RR{}, owners: map[dns.RR]string{}, access: map[string]bool{}}
	for _, z := range zones {
		m.zones[dns.CanonicalName(z.Name)] = z.Records
		for _, rr := range z.Records {
			m.owners[rr] = dns.CanonicalName(rr.Header().Name)
		}
	}
	for _, name := range access {
		m.access[name] = true
	}
	return m
}

// up is the name without its first label.
func up(name string) string {
	if _, rest, _ := strings.Cut(name, "."); rest != "" {
		return rest
	}
	return "."
}

func isAtOrBelow(name, top string) bool { return name == top || strings.HasSuffix(name, "."+top) }

// zoneOf is the zone with the longest name at or above name; empty when there is none.
func (m *model) zoneOf(name string) string {
	for ; name != "."; name = up(name) {
		if _, ours := m.zones[name]; ours {
			return name
		}
	}
	return ""
}

func (m *model) set(zone, name string, qtype uint16) []dns.RR {
	var set []dns.RR
	for _, rr := range m.zones[zone] {
		if m.owners[rr] == name && rr.Header().Rrtype == qtype {
			set = append(set, rr)
		}
	}
	return set
}

// exists: something is at the name or below it, in the zone or in a zone of ours below it.
func (m *model) exists(zone, name string) bool {
	if m.access[name] {
		return true
	}
	for _, rr := range m.zones[zone] {
		if owner := m.owners[rr]; isAtOrBelow(owner, name) && m.zoneOf(owner) == zone {
			return true
		}
	}
	for other := range m.zones {
		if other != zone && isAtOrBelow(other, name) && m.zoneOf(up(other)) == zone {
			return true
		}
	}
	for other := range m.access {
		if isAtOrBelow(other, name) && m.zoneOf(other) == zone {
			return true
		}
	}
	return false
}

// cut is the delegation nearest to the apex at or above name; empty when there is none.
func (m *model) cut(zone, name string) string {
	found := ""
	for ; name != zone; name = up(name) {
		if len(m.set(zone, name, dns.TypeNS)) > 0 {
			found = name
		}
	}
	return found
}

func (m *model) glue(zone string, ns []dns.RR) []dns.RR {
	var glue []dns.RR
	for _, rr := range ns {
		host := dns.CanonicalName(rr.(*dns.NS).Ns)
		glue = append(append(glue, m.set(zone, host, dns.TypeA)...), m.set(zone, host, dns.TypeAAAA)...)
	}
	return glue
}

func (m *model) resolve(qname string, qtype uint16) *dns.Msg {
	r := new(dns.Msg)
	name := dns.CanonicalName(qname)
	zone := m.zoneOf(name)
	if zone == "" || qtype == dns.TypeAXFR {
		r.Rcode = dns.RcodeRefused
		return r
	}
	if parent := m.zoneOf(up(name)); name == zone && qtype == dns.TypeDS && parent != "" {
		zone = parent
	}
	if cut := m.cut(zone, name); cut != "" && !(cut == name && qtype == dns.TypeDS) {
		r.Ns = m.set(zone, cut, dns.TypeNS)
		r.Extra = m.glue(zone, r.Ns)
		return r
	}
	r.Authoritative = true
	visited := []string{}
	for owner := qname; ; {
		source := name
		if above := m.redirect(zone, name); above != "" {
			dname := m.set(zone, above, dns.TypeDNAME)[0].(*dns.DNAME)
			if slices.Contains(visited, name) {
				return r
			}
			if !slices.Contains(r.Answer, dns.RR(dname)) {
				r.Answer = append(r.Answer, dname)
			}
			if len(owner)-len(above)+len(dname.Target)+1 > 255 {
				r.Rcode = dns.RcodeYXDomain
				return r
			}
			if len(visited) == 8 {
				return r
			}
			visited = append(visited, name)
			cname := &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: 1, Ttl: dname.Hdr.Ttl}}
			cname.Target = owner[:len(owner)-len(above)] + dname.Target
			r.Answer = append(r.Answer, cname)
			if qtype == dns.TypeCNAME || qtype == dns.TypeANY || !m.leads(r, zone, cname.Target, qtype) {
				return r
			}
			owner, name = cname.Target, dns.CanonicalName(cname.Target)
			continue
		}
		if !m.exists(zone, name) && !(name == zone || m.zoneOf(name) != zone) {
			closest := up(name)
			for !m.exists(zone, closest) && closest != zone {
				closest = up(closest)
			}
			source = "*." + closest
			if !m.exists(zone, source) {
				r.Rcode, r.Ns = dns.RcodeNameError, m.negative(zone)
				return r
			}
		}
		if slices.Contains(visited, source) || len(visited) == 8 {
			return r
		}
		alias := m.set(zone, source, dns.TypeCNAME)
		if len(alias) == 0 || qtype == dns.TypeNSEC || qtype == dns.TypeCNAME || qtype == dns.TypeANY {
			m.finish(r, zone, source, owner, qtype, alias)
			return r
		}
		visited = append(visited, source)
		r.Answer = append(r.Answer, owned(alias, owner)...)
		owner = alias[0].(*dns.CNAME).Target
		name = dns.CanonicalName(owner)
		if !m.leads(r, zone, name, qtype) {
			return r
		}
	}
}

// leads reports whether a chain goes on at a name; where that is delegated it adds the referral.
func (m *model) leads(r *dns.Msg, zone, name string, qtype uint16) bool {
	name = dns.CanonicalName(name)
	if m.zoneOf(name) != zone || m.access[name] {
		return false
	}
	if cut := m.cut(zone, name); cut != "" && !(cut == name && qtype == dns.TypeDS) {
		r.Ns = m.set(zone, cut, dns.TypeNS)
		r.Extra = m.glue(zone, r.Ns)
		return false
	}
	return true
}

// redirect is the owner of the DNAME above name; empty when there is none.
func (m *model) redirect(zone, name string) string {
	for name != zone {
		if name = up(name); len(m.set(zone, name, dns.TypeDNAME)) > 0 && m.cut(zone, name) == "" {
			return name
		}
	}
	return ""
}

// finish answers at the end of a chain.
func (m *model) finish(r *dns.Msg, zone, source, owner string, qtype uint16, alias []dns.RR) {
	set := m.set(zone, source, qtype)
	if qtype == dns.TypeANY && len(alias) > 0 {
		set = alias
	} else if qtype == dns.TypeANY && slices.ContainsFunc(m.zones[zone], func(rr dns.RR) bool { return m.owners[rr] == source }) {
		hinfo := &dns.HINFO{Hdr: dns.RR_Header{Rrtype: dns.TypeHINFO, Class: 1, Ttl: 3600}, Cpu: "RFC8482"}
		set = []dns.RR{hinfo}
	}
	if len(set) == 0 {
		r.Ns = m.negative(zone)
		return
	}
	if slices.Contains(r.Answer, set[0]) {
		return // the DNAME that led here
	}
	r.Answer = append(r.Answer, owned(set, owner)...)
	if qtype == dns.TypeNS && len(r.Answer) == len(set) {
		r.Extra = m.glue(zone, set)
	}
}

func (m *model) negative(zone string) []dns.RR {
	soa := dns.Copy(m.set(zone, zone, dns.TypeSOA)[0]).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return []dns.RR{soa}
}

func owned(set []dns.RR, owner string) []dns.RR {
	var copies []dns.RR
	for _, rr := range set {
		c := dns.Copy(rr)
		c.Header().Name = owner
		copies = append(copies, c)
	}
	return copies
}

// randomZone draws the records of a zone over few labels, so that names meet.
func randomZone(t *rapid.T, tb testing.TB, name, nested string) view.Zone {
	label := rapid.SampledFrom([]string{"a", "b", "*", "c"})
	owner := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(label, 1, 3).Draw(t, "labels"), ".")
	})
	target := rapid.Custom(func(t *rapid.T) string {
		return rapid.OneOf(owner, rapid.SampledFrom([]string{"@", "out.example.", "access", "a.b.test."})).Draw(t, "target")
	})
	var b strings.Builder
	b.WriteString(apex)
	kind := map[string]string{}
	if nested == "" && name != "test." && rapid.IntRange(0, 4).Draw(t, "apex") == 0 {
		return zone(tb, name, "@ 3600 SOA ns1 h 1 2 3 4 30\n@ NS ns.example.\n@ TXT x\n@ DNAME "+target.Draw(t, "redirect"))
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "records") {
		at := owner.Draw(t, "owner")
		k := kind[at]
		if k == "" {
			k = rapid.SampledFrom([]string{"data", "data", "alias", "cut", "redirect"}).Draw(t, "kind")
			if strings.HasPrefix(at, "*") && k == "cut" {
				k = "data" // RFC 4592 section 4.2 leaves it undefined
			}
			if at+"."+name == nested && k == "alias" {
				k = "cut" // what a zone says at the apex of another is a delegation or nothing
			}
			kind[at] = k
		} else if k == "alias" {
			continue
		}
		switch k {
		case "data":
			fmt.Fprintf(&b, "%s %s\n", at, rapid.SampledFrom([]string{"A 192.0.2.1", "A 192.0.2.2", "TXT x", "MX 1 a"}).Draw(t, "data"))
		case "redirect":
			fmt.Fprintf(&b, "%s DNAME %s\n%s TXT r\n", at, target.Draw(t, "redirect"), at)
		case "alias":
			fmt.Fprintf(&b, "%s CNAME %s\n", at, target.Draw(t, "alias"))
		case "cut":
			fmt.Fprintf(&b, "%s NS %s\n", at, rapid.SampledFrom([]string{"a", "a." + at, "ns.example."}).Draw(t, "server"))
			if i%2 == 0 {
				fmt.Fprintf(&b, "%s DS 1 8 2 0102\n", at)
			}
		}
	}
	z := zone(tb, name, b.String())
	var unique []dns.RR
	for _, rr := range z.Records {
		if !slices.ContainsFunc(unique, func(have dns.RR) bool { return dns.IsDuplicate(have, rr) }) {
			unique = append(unique, rr)
		}
	}
	// Nothing is below a DNAME, and there is one at a name that is no wildcard (RFC 6672 sections 2.4 and 3.3).
	taken := map[string]bool{}
	z.Records = slices.DeleteFunc(unique, func(rr dns.RR) bool {
		owner := rr.Header().Name
		if rr.Header().Rrtype != dns.TypeDNAME {
			return false
		}
		below := func(name string) bool { return name != owner && dns.IsSubDomain(owner, name) }
		drop := taken[owner] || strings.HasPrefix(owner, "*") || below(nested) || below("access.test.") ||
			slices.ContainsFunc(unique, func(other dns.RR) bool { return below(other.Header().Name) })
		taken[owner] = true
		return drop
	})
	return z
}

// every is every name of up to three labels of the model below test., and one outside.
func every() []string {
	names := []string{"test.", "other.", "x.access.test."}
	level := []string{"test."}
	for range 3 {
		var next []string
		for _, below := range level {
			for _, label := range []string{"a", "b", "c", "*", "q"} {
				next = append(next, label+"."+below)
			}
		}
		names, level = append(names, next...), next
	}
	return names
}

func TestModel(t *testing.T) {
	names := every()
	types := []uint16{dns.TypeA, dns.TypeTXT, dns.TypeDNAME, dns.TypeNSEC, dns.TypeMX, dns.TypeCNAME, dns.TypeNS, dns.TypeDS, dns.TypeSOA, dns.TypeANY, dns.TypeHTTPS}
	rapid.Check(t, func(rt *rapid.T) {
		nested := rapid.SampledFrom([]string{"", "b.test.", "a.b.test."}).Draw(rt, "nested")
		w := &world{zones: []view.Zone{randomZone(rt, t, "test.", nested)}}
		if nested != "" {
			w.zones = append(w.zones, randomZone(rt, t, nested, ""))
		}
		w.pools = []*policy.Pool{pool("p", policy.TypeIPv4, policy.BalanceAll, "198.51.100.1")}
		w.instance("access.test.", access("Global", "global", set(policy.BalanceAll, "p")))
		v := w.build(t)
		m := newModel(w.zones, "access.test.")
		for i := rapid.IntRange(0, 3).Draw(rt, "first"); i < len(names); i += 4 {
			name := names[i]
			for _, qtype := range types {
				want, got := m.resolve(name, qtype), ask(t, v, query{name: name, qtype: qtype})
				if a, b := strings.ToLower(text(want)), strings.ToLower(text(got)); a != b {
					var all []string
					for _, z := range w.zones {
						for _, rr := range z.Records {
							all = append(all, z.Name+": "+rr.String())
						}
					}
					rt.Fatalf("%s %s\ngot  %s\nwant %s\nzones:\n%s", name, dns.TypeToString[qtype], b, a, strings.Join(all, "\n"))
				}
			}
		}
	})
}

// The model and the view agree on the zones of the table tests too.
func TestModelOfStaticZones(t *testing.T) {
	v := staticView(t)
	m := newModel([]view.Zone{zone(t, "g.test.", staticZone), zone(t, "nested.g.test.", nestedZone), zone(t, "deep.mid.g.test.", apex), zone(t, "below.sub.g.test.", apex)}, "origin.g.test.")
	evenTTL(m)
	owners := map[string]bool{}
	for zoneName, records := range m.zones {
		for _, rr := range records {
			for name := dns.CanonicalName(rr.Header().Name); name != up(zoneName); name = up(name) {
				if strings.Contains(name, `\`) {
					break // the model knows no escapes
				}
				owners[name], owners["q."+name], owners["q.q."+name], owners["*."+name] = true, true, true, true
			}
		}
	}
	for name := range owners {
		if name == "origin.g.test." {
			continue
		}
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeSRV, dns.TypeCNAME, dns.TypeNS, dns.TypeDS, dns.TypeSOA, dns.TypeANY} {
			want, got := m.resolve(name, qtype), ask(t, v, query{name: name, qtype: qtype})
			if a, b := strings.ToLower(text(want)), strings.ToLower(text(got)); a != b {
				t.Errorf("%s %s\ngot  %s\nwant %s", name, dns.TypeToString[qtype], b, a)
			}
		}
	}
}

// evenTTL makes the records of the model what RFC 2181 sections 5 and 5.2 want: no duplicate, one TTL in a set.
func evenTTL(m *model) {
	for zoneName, records := range m.zones {
		var unique []dns.RR
		for _, rr := range records {
			rr.Header().Name = dns.CanonicalName(rr.Header().Name)
			if !slices.ContainsFunc(unique, func(have dns.RR) bool { return dns.IsDuplicate(have, rr) }) {
				unique = append(unique, rr)
			}
		}
		for _, a := range unique {
			for _, b := range unique {
				if a.Header().Name == b.Header().Name && a.Header().Rrtype == b.Header().Rrtype {
					a.Header().Ttl = min(a.Header().Ttl, b.Header().Ttl)
				}
			}
		}
		m.zones[zoneName] = unique
	}
}
