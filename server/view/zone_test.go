package view_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
)

const label63 = "a23456789012345678901234567890123456789012345678901234567890123"

// name255 is a name of 255 octets below g.test.
var name255 = strings.Join([]string{label63, label63, label63, strings.Repeat("b", 54), "g.test."}, ".")

var staticZone = apex + `
www 60 A 192.0.2.1
www 60 A 192.0.2.2
www 90 A 192.0.2.3
www 60 A 192.0.2.1
WWW 60 TXT "upper case owner"
alias CNAME www
second CNAME alias
third CNAME Second
outside CNAME cdn.example.net.
dangling CNAME nothing.there
toaccess CNAME origin
tosub CNAME host.sub
signed CNAME www
signed NSEC sub CNAME RRSIG NSEC
signed RRSIG CNAME 8 3 300 20300101000000 20200101000000 1 g.test. AAAA
tocut CNAME sub
toinsecure CNAME insecure
tonested CNAME www.nested
toent CNAME ent
towild CNAME any.thing.wild
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
n1 CNAME n2
n2 CNAME n3
n3 CNAME n4
n4 CNAME n5
n5 CNAME n6
n6 CNAME n7
n7 CNAME n8
n8 CNAME n9
n9 A 192.0.2.9
a.b.ent A 192.0.2.4
*.wild TXT "wild"
*.wild MX 10 mail
host.wild A 192.0.2.5
x.under.wild A 192.0.2.6
*.wcname CNAME www
*.wloop CNAME x.wloop
*.wout CNAME cdn.example.net.
a.*.wempty A 192.0.2.7
sub NS ns.sub
sub NS ns1
sub NS ns.example.net.
sub DS 1 8 2 0102
ns.sub A 192.0.2.54
ns.sub AAAA 2001:db8::54
insecure NS ns.example.net.
moved DNAME wild
_sip._tcp SRV 0 0 5060 www
xn--bcher-kva A 192.0.2.8
dot\.ted A 192.0.2.10
oct\000\255et A 192.0.2.11
` + label63 + ` A 192.0.2.12
nested NS ns1.nested
ns1.nested A 192.0.2.55
glue.only.nested A 192.0.2.56
nested DS 2 8 2 0304
`

var nestedZone = apex + `
www A 192.0.2.20
up CNAME www.g.test.
`

// staticView has the two zones above, a third inside an undelegated name, and an access domain.
func staticView(tb testing.TB) *view.View {
	w := &world{
		zones: []view.Zone{
			zone(tb, "g.test.", staticZone), zone(tb, "Nested.g.test.", nestedZone), zone(tb, "deep.mid.g.test.", apex), zone(tb, "below.sub.g.test.", apex),
		},
		pools: []*policy.Pool{pool("p", policy.TypeIPv4, policy.BalanceAll, "198.51.100.1")},
	}
	return w.instance("origin.g.test.", access("Global", "global", set(policy.BalanceAll, "p"))).build(tb)
}

const (
	soa       = "g.test. 30 SOA ns1.g.test. host.master.g.test. 1 7200 900 1209600 30"
	nestedSOA = "Nested.g.test. 30 SOA ns1.Nested.g.test. host.master.Nested.g.test. 1 7200 900 1209600 30"
	referral  = " / sub.g.test. 300 NS ns.sub.g.test., sub.g.test. 300 NS ns1.g.test., sub.g.test. 300 NS ns.example.net." +
		" + ns.sub.g.test. 300 A 192.0.2.54, ns.sub.g.test. 300 AAAA 2001:db8::54, ns1.g.test. 3600 A 192.0.2.53"
	www = "www.g.test. 60 A 192.0.2.1, www.g.test. 60 A 192.0.2.2, www.g.test. 60 A 192.0.2.3"
)

func TestStatic(t *testing.T) {
	v := staticView(t)
	wide := strings.TrimSuffix(name255, "g.test.")
	tests := []struct {
		id    string
		name  string
		qtype uint16
		want  string
	}{
		{"A01-A03, RFC 2181 5 and 5.2: one RRset, no duplicates, the lowest TTL", "www.g.test.", dns.TypeA, "NOERROR aa | " + www},
		{"H12: case of the question", "wWw.G.tesT.", dns.TypeA, "NOERROR aa | " + strings.ReplaceAll(www, "www.g.test.", "wWw.G.tesT.")},
		{"upper case owner", "www.g.test.", dns.TypeTXT, `NOERROR aa | www.g.test. 60 TXT "upper case owner"`},
		{"A04: alias", "alias.g.test.", dns.TypeA, "NOERROR aa | alias.g.test. 300 CNAME www.g.test., " + www},
		{"type NSEC is not aliased (RFC 4035 2.5)", "alias.g.test.", dns.TypeNSEC, "NOERROR aa / " + soa},
		{"nor for a wildcard", "x.wcname.g.test.", dns.TypeNSEC, "NOERROR aa / " + soa},
		{"NSEC beside an alias", "signed.g.test.", dns.TypeNSEC, "NOERROR aa | signed.g.test. 300 NSEC sub.g.test. CNAME RRSIG NSEC"},
		{"RRSIG beside an alias", "signed.g.test.", dns.TypeRRSIG, "NOERROR aa | signed.g.test. 300 RRSIG CNAME 8 3 300 20300101000000 20200101000000 1 g.test. AAAA"},
		{"A05: type CNAME", "alias.g.test.", dns.TypeCNAME, "NOERROR aa | alias.g.test. 300 CNAME www.g.test."},
		{"A06: out of the zone", "outside.g.test.", dns.TypeA, "NOERROR aa | outside.g.test. 300 CNAME cdn.example.net."},
		{"A07: to a missing name", "dangling.g.test.", dns.TypeA, "NXDOMAIN aa | dangling.g.test. 300 CNAME nothing.there.g.test. / " + soa},
		{"A08: chain of 3", "third.g.test.", dns.TypeTXT,
			`NOERROR aa | third.g.test. 300 CNAME Second.g.test., second.g.test. 300 CNAME alias.g.test., alias.g.test. 300 CNAME www.g.test., WWW.g.test. 60 TXT "upper case owner"`},
		{"alias, NODATA at the end", "alias.g.test.", dns.TypeMX, "NOERROR aa | alias.g.test. 300 CNAME www.g.test. / " + soa},
		{"alias to an empty non-terminal", "toent.g.test.", dns.TypeA, "NOERROR aa | toent.g.test. 300 CNAME ent.g.test. / " + soa},
		{"alias to an access domain", "toaccess.g.test.", dns.TypeA, "NOERROR aa | toaccess.g.test. 300 CNAME origin.g.test."},
		{"alias below a delegation", "tosub.g.test.", dns.TypeA, "NOERROR aa | tosub.g.test. 300 CNAME host.sub.g.test." + referral},
		{"alias to a delegation, type DS (RFC 4035 3.1.4.1)", "tocut.g.test.", dns.TypeDS, "NOERROR aa | tocut.g.test. 300 CNAME sub.g.test., sub.g.test. 300 DS 1 8 2 0102"},
		{"alias to a delegation without DS, type DS", "toinsecure.g.test.", dns.TypeDS, "NOERROR aa | toinsecure.g.test. 300 CNAME insecure.g.test. / " + soa},
		{"alias into another zone of ours", "tonested.g.test.", dns.TypeA, "NOERROR aa | tonested.g.test. 300 CNAME www.nested.g.test."},
		{"alias to a wildcard", "towild.g.test.", dns.TypeTXT, `NOERROR aa | towild.g.test. 300 CNAME any.thing.wild.g.test., any.thing.wild.g.test. 300 TXT "wild"`},
		{"loop of 2", "loop1.g.test.", dns.TypeA, "NOERROR aa | loop1.g.test. 300 CNAME loop2.g.test., loop2.g.test. 300 CNAME loop1.g.test."},
		{"loop of 1", "self.g.test.", dns.TypeA, "NOERROR aa | self.g.test. 300 CNAME self.g.test."},
		{"7 aliases", "n2.g.test.", dns.TypeA, "NOERROR aa | " + aliases(2, 9) + ", n9.g.test. 300 A 192.0.2.9"},
		{"8 aliases, the rest is the resolver's", "n1.g.test.", dns.TypeA, "NOERROR aa | " + aliases(1, 9)},
		{"A09: NODATA (RFC 2308 3)", "www.g.test.", dns.TypeMX, "NOERROR aa / " + soa},
		{"A10: NXDOMAIN", "nothing.g.test.", dns.TypeA, "NXDOMAIN aa / " + soa},
		{"A10: several labels below", "a.b.c.www.g.test.", dns.TypeA, "NXDOMAIN aa / " + soa},
		{"A11: empty non-terminal (RFC 8020)", "b.ent.g.test.", dns.TypeA, "NOERROR aa / " + soa},
		{"A12: empty non-terminals on 2 levels", "ent.g.test.", dns.TypeA, "NOERROR aa / " + soa},
		{"A11: above the apex of a zone of ours", "mid.g.test.", dns.TypeA, "NOERROR aa / " + soa},
		{"A13: wildcard (RFC 4592)", "x.wild.g.test.", dns.TypeTXT, `NOERROR aa | x.wild.g.test. 300 TXT "wild"`},
		{"A14: wildcard, several labels", "x.y.z.wild.g.test.", dns.TypeMX, "NOERROR aa | x.y.z.wild.g.test. 300 MX 10 mail.g.test."},
		{"A15: an exact name beats it", "host.wild.g.test.", dns.TypeA, "NOERROR aa | host.wild.g.test. 300 A 192.0.2.5"},
		{"A15: for other types too", "host.wild.g.test.", dns.TypeTXT, "NOERROR aa / " + soa},
		{"A15: and below", "y.host.wild.g.test.", dns.TypeTXT, "NXDOMAIN aa / " + soa},
		{"A15: an empty non-terminal too", "y.under.wild.g.test.", dns.TypeTXT, "NXDOMAIN aa / " + soa},
		{"the wildcard itself", "*.wild.g.test.", dns.TypeTXT, `NOERROR aa | *.wild.g.test. 300 TXT "wild"`},
		{"a name below the wildcard (RFC 4592 2.3)", "x.*.wild.g.test.", dns.TypeTXT, "NXDOMAIN aa / " + soa},
		{"A16: wildcard NODATA", "x.wild.g.test.", dns.TypeA, "NOERROR aa / " + soa},
		{"wildcard that owns nothing (RFC 4592 2.2.2)", "x.wempty.g.test.", dns.TypeA, "NOERROR aa / " + soa},
		{"A17: wildcard alias", "x.y.wcname.g.test.", dns.TypeA, "NOERROR aa | x.y.wcname.g.test. 300 CNAME www.g.test., " + www},
		{"wildcard alias, NODATA at the end", "x.wcname.g.test.", dns.TypeMX, "NOERROR aa | x.wcname.g.test. 300 CNAME www.g.test. / " + soa},
		{"wildcard alias, type CNAME", "x.wcname.g.test.", dns.TypeCNAME, "NOERROR aa | x.wcname.g.test. 300 CNAME www.g.test."},
		{"wildcard alias to itself", "y.wloop.g.test.", dns.TypeA, "NOERROR aa | y.wloop.g.test. 300 CNAME x.wloop.g.test."},
		{"wildcard alias out of the zone", "y.wout.g.test.", dns.TypeA, "NOERROR aa | y.wout.g.test. 300 CNAME cdn.example.net."},
		{"A18: delegation with glue", "sub.g.test.", dns.TypeA, "NOERROR" + referral},
		{"A18: below it", "x.y.sub.g.test.", dns.TypeA, "NOERROR" + referral},
		{"A18: glue is not answered", "ns.sub.g.test.", dns.TypeA, "NOERROR" + referral},
		{"A18: ANY", "sub.g.test.", dns.TypeANY, "NOERROR" + referral},
		{"DS at the cut (RFC 4035 3.1.4.1)", "sub.g.test.", dns.TypeDS, "NOERROR aa | sub.g.test. 300 DS 1 8 2 0102"},
		{"DS below the cut", "x.sub.g.test.", dns.TypeDS, "NOERROR" + referral},
		{"no DS at the cut", "insecure.g.test.", dns.TypeDS, "NOERROR aa / " + soa},
		{"A19: any octets", `\000\255.g.test.`, dns.TypeA, "NXDOMAIN aa / " + soa},
		{"A19: any octets in an owner", `OCT\000\255et.g.test.`, dns.TypeA, `NOERROR aa | OCT\000\255et.g.test. 300 A 192.0.2.11`},
		{"a dot in a label", `dot\.ted.g.test.`, dns.TypeA, `NOERROR aa | dot\.ted.g.test. 300 A 192.0.2.10`},
		{"dots are no labels", `dot.ted.g.test.`, dns.TypeA, "NXDOMAIN aa / " + soa},
		{"A20: 255 octets", name255, dns.TypeA, "NXDOMAIN aa / " + soa},
		{"A20: 255 octets of a wildcard", strings.TrimPrefix(wide, "a23456789012345678901234") + "wcname.g.test.", dns.TypeCNAME,
			"NOERROR aa | " + strings.TrimPrefix(wide, "a23456789012345678901234") + "wcname.g.test. 300 CNAME www.g.test."},
		{"label of 63 octets", label63 + ".g.test.", dns.TypeA, "NOERROR aa | " + label63 + ".g.test. 300 A 192.0.2.12"},
		{"A21: underscores", "_sip._tcp.g.test.", dns.TypeSRV, "NOERROR aa | _sip._tcp.g.test. 300 SRV 0 0 5060 www.g.test."},
		{"A21: punycode", "xn--bcher-kva.g.test.", dns.TypeA, "NOERROR aa | xn--bcher-kva.g.test. 300 A 192.0.2.8"},
		{"A22: apex NS", "g.test.", dns.TypeNS, "NOERROR aa | g.test. 3600 NS ns1.g.test. + ns1.g.test. 3600 A 192.0.2.53"},
		{"A23: apex SOA, no authority", "g.test.", dns.TypeSOA, "NOERROR aa | " + strings.Replace(soa, " 30 ", " 3600 ", 1)},
		{"Q01: outside", "example.com.", dns.TypeA, "REFUSED"},
		{"Q01: above", "test.", dns.TypeA, "REFUSED"},
		{"Q02: root", ".", dns.TypeNS, "REFUSED"},
		{"Q08: AXFR", "g.test.", dns.TypeAXFR, "REFUSED"},
		{"Q08: IXFR, outside too", "example.com.", dns.TypeIXFR, "REFUSED"},
		{"Q09: type 0", "www.g.test.", 0, "NOERROR aa / " + soa},
		{"Q09: OPT", "www.g.test.", dns.TypeOPT, "NOERROR aa / " + soa},
		{"Q09: TKEY", "www.g.test.", dns.TypeTKEY, "NOERROR aa / " + soa},
		{"Q09: 65535", "www.g.test.", 65535, "NOERROR aa / " + soa},
		{"Q10: ANY (RFC 8482)", "www.g.test.", dns.TypeANY, `NOERROR aa | www.g.test. 3600 HINFO "RFC8482" ""`},
		{"Q10: ANY of an alias", "alias.g.test.", dns.TypeANY, "NOERROR aa | alias.g.test. 300 CNAME www.g.test."},
		{"Q10: ANY of a wildcard", "x.wild.g.test.", dns.TypeANY, `NOERROR aa | x.wild.g.test. 3600 HINFO "RFC8482" ""`},
		{"Q10: ANY of an empty non-terminal", "ent.g.test.", dns.TypeANY, "NOERROR aa / " + soa},
		{"Q10: ANY of no name", "nothing.g.test.", dns.TypeANY, "NXDOMAIN aa / " + soa},
		{"nested zone: its name", "www.nested.g.test.", dns.TypeA, "NOERROR aa | www.nested.g.test. 300 A 192.0.2.20"},
		{"nested zone: its apex", "nested.g.test.", dns.TypeNS, "NOERROR aa | nested.g.test. 3600 NS ns1.Nested.g.test. + ns1.Nested.g.test. 3600 A 192.0.2.53"},
		{"nested zone: glue above is not a name", "glue.only.nested.g.test.", dns.TypeA, "NXDOMAIN aa / " + nestedSOA},
		{"nested zone: nor makes one", "only.nested.g.test.", dns.TypeA, "NXDOMAIN aa / " + nestedSOA},
		{"nested zone: alias to the zone above", "up.nested.g.test.", dns.TypeA, "NOERROR aa | up.nested.g.test. 300 CNAME www.g.test."},
		{"nested zone: DS of the zone above (RFC 4035 3.1.4.1)", "nested.g.test.", dns.TypeDS, "NOERROR aa | nested.g.test. 300 DS 2 8 2 0304"},
		{"nested zone: below a delegation of the zone above", "below.sub.g.test.", dns.TypeDS, "NOERROR" + referral},
		{"nested zone: no DS in the zone above", "deep.mid.g.test.", dns.TypeDS, "NOERROR aa / " + soa},
		{"access domain: below it", "x.origin.g.test.", dns.TypeA, "NXDOMAIN aa / " + soa},
	}
	for _, test := range tests {
		m := ask(t, v, query{name: test.name, qtype: test.qtype})
		if got, want := fold(text(m), test.name), fold(test.want, test.name); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", test.id, got, want)
		}
		if m.Question[0].Name != test.name {
			t.Errorf("%s: question %s, asked %s", test.id, m.Question[0].Name, test.name)
		}
		// S15, S16, S17: scope 0; S04: none when not asked.
		if got := scope(m); got != -1 {
			t.Errorf("%s: scope %d although it was not asked", test.id, got)
		}
		if got := scope(ask(t, v, query{name: test.name, qtype: test.qtype, subnet: "10.1.0.0/16"})); got != 0 {
			t.Errorf("%s: scope %d, want 0", test.id, got)
		}
	}
}

// fold makes everything lower case but the name that was asked for, whose case the compressed reply repeats.
func fold(text, asked string) string {
	if strings.ToLower(asked) == asked {
		return strings.ToLower(text)
	}
	return text
}

// aliases are those of the names n<from> to n<to>.
func aliases(from, to int) string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("n%d.g.test. 300 CNAME n%d.g.test.", i, i+1))
	}
	return strings.Join(list, ", ")
}

// Q04: other classes never get IN data.
func TestClass(t *testing.T) {
	v := staticView(t)
	for _, class := range []uint16{2, dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassNONE, dns.ClassANY, 42} {
		for _, name := range []string{"www.g.test.", "origin.g.test.", "example.com."} {
			if got := text(ask(t, v, query{name: name, qtype: dns.TypeA, class: class})); got != "REFUSED" {
				t.Errorf("class %d, %s: %s, want REFUSED", class, name, got)
			}
		}
	}
}

// E09: what does not fit is cut to nothing; RFC 9471: a referral has all its glue or TC.
func TestStaticTruncated(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "many A 192.0.2.%d\n", i)
		fmt.Fprintf(&b, "sub NS ns%d.sub\nns%d.sub A 192.0.2.%d\n", i, i, i)
	}
	w := &world{zones: []view.Zone{zone(t, "g.test.", apex+b.String())}}
	v := w.build(t)
	for _, test := range []struct{ name, want string }{{"many.g.test.", "NOERROR aa tc"}, {"x.sub.g.test.", "NOERROR tc"}} {
		m := ask(t, v, query{name: test.name, qtype: dns.TypeA, limit: 512, subnet: "10.0.0.0/8"})
		if got := text(m); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if scope(m) != 0 {
			t.Errorf("%s: scope %d in the truncated reply, want 0", test.name, scope(m))
		}
	}
	if m := ask(t, v, query{name: "x.sub.g.test.", qtype: dns.TypeA}); len(m.Ns) != 60 || len(m.Extra) != 60 {
		t.Errorf("%d name servers and %d glue records, want 60", len(m.Ns), len(m.Extra))
	}
}

// RFC 2181 section 9: the addresses of the apex name servers are left out where they do not fit, and that is no truncation.
func TestApexAddresses(t *testing.T) {
	text := "@ 3600 SOA ns1 host.master 1 7200 900 1209600 30\n"
	for i := range 20 {
		text += fmt.Sprintf("@ NS ns%d\nns%d A 192.0.2.%d\n", i, i, i)
	}
	v := (&world{zones: []view.Zone{zone(t, "g.test.", text)}}).build(t)
	for _, test := range []struct {
		limit, answers, additional int
		truncated                  bool
	}{{1232, 20, 20, false}, {512, 20, 0, false}, {300, 0, 0, true}} {
		m := ask(t, v, query{name: "g.test.", qtype: dns.TypeNS, limit: test.limit})
		if len(m.Answer) != test.answers || len(m.Extra) != test.additional || m.Truncated != test.truncated {
			t.Errorf("within %d octets: %d answers, %d additional, TC %v, want %d, %d, %v", test.limit, len(m.Answer), len(m.Extra), m.Truncated, test.answers, test.additional, test.truncated)
		}
	}
}

// A referral so large that pointers could not reach behind a longer name is right for every length of the name.
func TestLargeReferral(t *testing.T) {
	for _, count := range []int{400, 440, 460, 480, 500, 800} {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, "sub NS ns%04d.sub\nns%04d.sub A 192.0.2.%d\n", i, i, i%256)
		}
		w := &world{zones: []view.Zone{zone(t, "g.test.", apex+b.String())}}
		v := w.build(t)
		for _, name := range []string{"sub.g.test.", "x.sub.g.test.", strings.TrimSuffix(name255, "g.test.")[len("sub."):] + "sub.g.test."} {
			m := ask(t, v, query{name: name, qtype: dns.TypeA})
			if len(m.Ns) != count || len(m.Extra) != count {
				t.Fatalf("%d: %d name servers, %d glue records", count, len(m.Ns), len(m.Extra))
			}
			for i := range count {
				want := fmt.Sprintf("ns%04d.sub.g.test.", i)
				if got := m.Ns[i].(*dns.NS); got.Ns != want || got.Hdr.Name != "sub.g.test." || m.Extra[i].Header().Name != want {
					t.Fatalf("%d: %s: record %d is %v with %v", count, name[:3], i, got, m.Extra[i])
				}
			}
		}
	}
}
