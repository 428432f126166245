package view_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

// redirectZone has DNAME records that lead everywhere.
var redirectZone = apex + `
d 60 DNAME Target
d 60 TXT "of the owner"
a.target A 192.0.2.1
a.target A 192.0.2.2
a.target MX 10 mail.a.target
c.target CNAME www
bad.target CNAME nothing
back.target CNAME a.d
wild.target TXT "exact"
*.wild.target TXT "wild"
*.wcname.target CNAME www
ent.ent.target A 192.0.2.3
www A 192.0.2.4
toaccess.target CNAME origin
out DNAME cdn.example.net.
root DNAME .
up DNAME test.
onward DNAME d
loop1 DNAME loop2
loop2 DNAME loop1
grow DNAME x.grow
pair.target CNAME b.pairs
pairs DNAME d
b.target TXT "twice over d"
access DNAME access2
x.access2 CNAME origin
origin2 DNAME origin
sub NS ns.sub
ns.sub A 192.0.2.54
cut DNAME sub
intonested DNAME nested
home DNAME @
x CNAME home
y CNAME x.home
tocuts DNAME cuts
secure.cuts NS ns.example.
secure.cuts DS 1 8 2 0102
insecure.cuts NS ns.example.
cname CNAME a.d
cdangling CNAME nothing.d
cout CNAME y.out
*.w CNAME a.d
dot DNAME a\.b
wide DNAME ` + strings.Repeat(label63+".", 3) + `target
long DNAME ` + label63 + `
`

func redirectView(tb testing.TB) *view.View {
	w := &world{
		zones: []view.Zone{
			zone(tb, "g.test.", redirectZone), zone(tb, "nested.g.test.", apex+"a A 192.0.2.20"),
			zone(tb, "apex.test.", "@ 3600 SOA ns1.g.test. host.master 1 7200 900 1209600 30\n@ NS ns1.g.test.\n@ MX 1 mail.example.\n@ DNAME g.test."),
		},
		pools: []*policy.Pool{pool("p", policy.TypeIPv4, policy.BalanceAll, "198.51.100.1")},
	}
	return w.instance("origin.g.test.", access("Global", "global", set(policy.BalanceAll, "p"))).build(tb)
}

// TestRedirect has the rows of RFC 6672.
func TestRedirect(t *testing.T) {
	v := redirectView(t)
	const d = "d.g.test. 60 DNAME Target.g.test."
	to := func(name, target string) string {
		return "NOERROR aa | " + d + ", " + name + ".d.g.test. 60 CNAME " + target + ".Target.g.test."
	}
	long := strings.Repeat(label63+".", 3)
	for _, test := range []struct {
		id    string
		name  string
		qtype uint16
		want  string
	}{
		{"3.1: DNAME, a CNAME of its TTL, the records", "a.d.g.test.", dns.TypeA,
			to("a", "a") + ", a.Target.g.test. 300 A 192.0.2.1, a.Target.g.test. 300 A 192.0.2.2"},
		{"names in the data", "a.d.g.test.", dns.TypeMX, to("a", "a") + ", a.Target.g.test. 300 MX 10 mail.a.target.g.test."},
		{"case of the question", "A.d.G.test.", dns.TypeMX, "NOERROR aa | d.G.test. 60 DNAME Target.g.test., A.d.G.test. 60 CNAME A.Target.g.test., A.Target.g.test. 300 MX 10 mail.a.target.g.test."},
		{"type DNAME, back to its owner", "x.home.g.test.", dns.TypeDNAME, "NOERROR aa | home.g.test. 300 DNAME g.test., x.home.g.test. 300 CNAME x.g.test., x.g.test. 300 CNAME home.g.test."},
		{"type DNAME, from an alias back to its owner", "y.g.test.", dns.TypeDNAME, "NOERROR aa | y.g.test. 300 CNAME x.home.g.test., home.g.test. 300 DNAME g.test., x.home.g.test. 300 CNAME x.g.test., x.g.test. 300 CNAME home.g.test."},
		{"NODATA", "a.d.g.test.", dns.TypeTXT, to("a", "a") + " / " + soa},
		{"NXDOMAIN", "x.y.d.g.test.", dns.TypeA, strings.Replace(to("x.y", "x.y"), "NOERROR", "NXDOMAIN", 1) + " / " + soa},
		{"an empty non-terminal", "ent.d.g.test.", dns.TypeA, to("ent", "ent") + " / " + soa},
		{"2.3: the owner is not redirected", "d.g.test.", dns.TypeTXT, `NOERROR aa | d.g.test. 60 TXT "of the owner"`},
		{"2.3: nor for other types", "d.g.test.", dns.TypeA, "NOERROR aa / " + soa},
		{"the DNAME itself", "d.g.test.", dns.TypeDNAME, "NOERROR aa | " + d},
		{"type DNAME below", "a.d.g.test.", dns.TypeDNAME, to("a", "a") + " / " + soa},
		{"type CNAME below", "c.d.g.test.", dns.TypeCNAME, to("c", "c")},
		{"type ANY below (RFC 8482)", "c.d.g.test.", dns.TypeANY, to("c", "c")},
		{"to an alias", "c.d.g.test.", dns.TypeA, to("c", "c") + ", c.Target.g.test. 300 CNAME www.g.test., www.g.test. 300 A 192.0.2.4"},
		{"to an alias to nothing", "bad.d.g.test.", dns.TypeA, strings.Replace(to("bad", "bad"), "NOERROR", "NXDOMAIN", 1) + ", bad.Target.g.test. 300 CNAME nothing.g.test. / " + soa},
		{"to a wildcard", "x.wild.d.g.test.", dns.TypeTXT, to("x.wild", "x.wild") + `, x.wild.Target.g.test. 300 TXT "wild"`},
		{"beside the wildcard", "wild.d.g.test.", dns.TypeTXT, to("wild", "wild") + `, wild.Target.g.test. 300 TXT "exact"`},
		{"to the alias of a wildcard", "x.wcname.d.g.test.", dns.TypeA, to("x.wcname", "x.wcname") + ", x.wcname.Target.g.test. 300 CNAME www.g.test., www.g.test. 300 A 192.0.2.4"},
		{"the same DNAME twice, once in the answer", "back.d.g.test.", dns.TypeA,
			to("back", "back") + ", back.Target.g.test. 300 CNAME a.d.g.test., a.d.g.test. 60 CNAME a.Target.g.test., a.Target.g.test. 300 A 192.0.2.1, a.Target.g.test. 300 A 192.0.2.2"},
		{"over two other DNAMEs", "pair.d.g.test.", dns.TypeTXT, to("pair", "pair") + ", pair.Target.g.test. 300 CNAME b.pairs.g.test., pairs.g.test. 300 DNAME d.g.test., b.pairs.g.test. 300 CNAME b.d.g.test., " +
			`b.d.g.test. 60 CNAME b.Target.g.test., b.Target.g.test. 300 TXT "twice over d"`},
		{"to another DNAME", "b.onward.g.test.", dns.TypeTXT, "NOERROR aa | onward.g.test. 300 DNAME d.g.test., b.onward.g.test. 300 CNAME b.d.g.test., " +
			d + `, b.d.g.test. 60 CNAME b.Target.g.test., b.Target.g.test. 300 TXT "twice over d"`},
		{"out of every zone", "x.y.out.g.test.", dns.TypeA, "NOERROR aa | out.g.test. 300 DNAME cdn.example.net., x.y.out.g.test. 300 CNAME x.y.cdn.example.net."},
		{"to the root", "x.y.root.g.test.", dns.TypeA, "NOERROR aa | root.g.test. 300 DNAME ., x.y.root.g.test. 300 CNAME x.y."},
		{"to the root and back", "www.g.test.root.g.test.", dns.TypeA, "NOERROR aa | root.g.test. 300 DNAME ., www.g.test.root.g.test. 300 CNAME www.g.test., www.g.test. 300 A 192.0.2.4"},
		{"above the zone and back", "www.g.up.g.test.", dns.TypeA, "NOERROR aa | up.g.test. 300 DNAME test., www.g.up.g.test. 300 CNAME www.g.test., www.g.test. 300 A 192.0.2.4"},
		{"to an access domain: its policies decide", "x.access.g.test.", dns.TypeA, "NOERROR aa | access.g.test. 300 DNAME access2.g.test., x.access.g.test. 300 CNAME x.access2.g.test., x.access2.g.test. 300 CNAME origin.g.test."},
		{"below an access domain", "x.origin2.g.test.", dns.TypeA, "NXDOMAIN aa | origin2.g.test. 300 DNAME origin.g.test., x.origin2.g.test. 300 CNAME x.origin.g.test. / " + soa},
		{"to a delegation", "x.cut.g.test.", dns.TypeA, "NOERROR aa | cut.g.test. 300 DNAME sub.g.test., x.cut.g.test. 300 CNAME x.sub.g.test. / sub.g.test. 300 NS ns.sub.g.test. + ns.sub.g.test. 300 A 192.0.2.54"},
		{"to a delegation, type DS (RFC 4035 3.1.4.1)", "secure.tocuts.g.test.", dns.TypeDS, "NOERROR aa | tocuts.g.test. 300 DNAME cuts.g.test., secure.tocuts.g.test. 300 CNAME secure.cuts.g.test., secure.cuts.g.test. 300 DS 1 8 2 0102"},
		{"to a delegation without DS, type DS", "insecure.tocuts.g.test.", dns.TypeDS, "NOERROR aa | tocuts.g.test. 300 DNAME cuts.g.test., insecure.tocuts.g.test. 300 CNAME insecure.cuts.g.test. / " + soa},
		{"to glue", "ns.cut.g.test.", dns.TypeA, "NOERROR aa | cut.g.test. 300 DNAME sub.g.test., ns.cut.g.test. 300 CNAME ns.sub.g.test. / sub.g.test. 300 NS ns.sub.g.test. + ns.sub.g.test. 300 A 192.0.2.54"},
		{"to another zone of ours", "a.intonested.g.test.", dns.TypeA, "NOERROR aa | intonested.g.test. 300 DNAME nested.g.test., a.intonested.g.test. 300 CNAME a.nested.g.test."},
		{"from an alias", "cname.g.test.", dns.TypeA, "NOERROR aa | cname.g.test. 300 CNAME a.d.g.test., " + strings.TrimPrefix(to("a", "a"), "NOERROR aa | ") + ", a.target.g.test. 300 A 192.0.2.1, a.target.g.test. 300 A 192.0.2.2"},
		{"from an alias to nothing", "cdangling.g.test.", dns.TypeA, "NXDOMAIN aa | cdangling.g.test. 300 CNAME nothing.d.g.test., " + strings.TrimPrefix(to("nothing", "nothing"), "NOERROR aa | ") + " / " + soa},
		{"from an alias out of every zone", "cout.g.test.", dns.TypeA, "NOERROR aa | cout.g.test. 300 CNAME y.out.g.test., out.g.test. 300 DNAME cdn.example.net., y.out.g.test. 300 CNAME y.cdn.example.net."},
		{"from the alias of a wildcard", "x.w.g.test.", dns.TypeTXT, "NOERROR aa | x.w.g.test. 300 CNAME a.d.g.test., " + strings.TrimPrefix(to("a", "a"), "NOERROR aa | ") + " / " + soa},
		{"labels of any octets", `\000\.\\.dot.g.test.`, dns.TypeA, `NXDOMAIN aa | dot.g.test. 300 DNAME a\.b.g.test., \000\.\\.dot.g.test. 300 CNAME \000\.\\.a\.b.g.test. / ` + soa},
		{"2.2: 255 octets", strings.Repeat("a", 47) + ".wide.g.test.", dns.TypeA,
			"NXDOMAIN aa | wide.g.test. 300 DNAME " + long + "target.g.test., " + strings.Repeat("a", 47) + ".wide.g.test. 300 CNAME " + strings.Repeat("a", 47) + "." + long + "target.g.test. / " + soa},
		{"2.2: 256 octets", strings.Repeat("a", 48) + ".wide.g.test.", dns.TypeA, "YXDOMAIN aa | wide.g.test. 300 DNAME " + long + "target.g.test."},
		{"loop of 2", "x.loop1.g.test.", dns.TypeA, "NOERROR aa | loop1.g.test. 300 DNAME loop2.g.test., x.loop1.g.test. 300 CNAME x.loop2.g.test., loop2.g.test. 300 DNAME loop1.g.test., x.loop2.g.test. 300 CNAME x.loop1.g.test."},
		{"a loop that grows, the rest is the resolver's", "y.grow.g.test.", dns.TypeA, "NOERROR aa | grow.g.test. 300 DNAME x.grow.g.test." + grown()},
		{"2.3: the apex", "apex.test.", dns.TypeMX, "NOERROR aa | apex.test. 300 MX 1 mail.example."},
		{"2.3: below the apex", "www.apex.test.", dns.TypeA, "NOERROR aa | apex.test. 300 DNAME g.test., www.apex.test. 300 CNAME www.g.test."},
	} {
		m := ask(t, v, query{name: test.name, qtype: test.qtype, subnet: "10.1.0.0/16"})
		if got, want := text(m), test.want; got != want {
			t.Errorf("%s\ngot  %s\nwant %s", test.id, got, want)
		}
		if scope(m) != 0 {
			t.Errorf("%s: scope %d, want 0", test.id, scope(m))
		}
		for limit := 512; limit > 100; limit -= 7 {
			cut := ask(t, v, query{name: test.name, qtype: test.qtype, limit: limit})
			if got := text(cut); got != text(m) && got != dns.RcodeToString[m.Rcode]+" aa tc" {
				t.Fatalf("%s: within %d octets: %s", test.id, limit, got)
			}
		}
	}
}

// grown are the aliases of a name below "grow", as many as are followed.
func grown() string {
	var b strings.Builder
	for i := range 8 {
		fmt.Fprintf(&b, ", y.%sgrow.g.test. 300 CNAME y.x.%[1]sgrow.g.test.", strings.Repeat("x.", i))
	}
	return b.String()
}

// Limits count the names below a DNAME together, and those that do not exist as such of the zone.
func TestRedirectSubject(t *testing.T) {
	v := redirectView(t)
	subject := func(name string) string {
		var q wire.Query
		q.Decode(query{name: name, qtype: dns.TypeA}.packet(t))
		hit := v.Lookup(&q, netip.Addr{})
		kind, about := hit.Subject()
		return fmt.Sprint(kind, " ", about, " ", hit.Counter())
	}
	for _, test := range []struct{ a, b string }{
		{"a.d.g.test.", "c.d.g.test."}, {"nothing.d.g.test.", "nothing.g.test."}, {"nothing.d.g.test.", "x.origin2.g.test."}, {"x.out.g.test.", "y.out.g.test."},
	} {
		if a, b := subject(test.a), subject(test.b); a != b {
			t.Errorf("%s is %s, %s is %s", test.a, a, test.b, b)
		}
	}
	if a, b := subject("a.d.g.test."), subject("x.out.g.test."); a == b {
		t.Errorf("two DNAMEs are both %s", a)
	}
}

func TestRedirectAllocates(t *testing.T) {
	v := redirectView(t)
	for _, name := range []string{"a.d.g.test.", "back.d.g.test.", "x.wild.d.g.test.", "y.grow.g.test.", "x.cut.g.test.", "nothing.d.g.test."} {
		var q wire.Query
		packet, reply := query{name: name, qtype: dns.TypeA}.packet(t), make([]byte, 0, 1232)
		if n := testing.AllocsPerRun(100, func() {
			q.Decode(packet)
			hit := v.Lookup(&q, netip.Addr{})
			hit.Append(reply, &q, 0, 0, 1232)
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// BenchmarkRedirect is a name below a DNAME inside its zone.
func BenchmarkRedirect(b *testing.B) {
	v := redirectView(b)
	var q wire.Query
	packet, reply := query{name: "a.d.g.test.", qtype: dns.TypeA}.packet(b), make([]byte, 0, 1232)
	b.ReportAllocs()
	for b.Loop() {
		q.Decode(packet)
		hit := v.Lookup(&q, netip.Addr{})
		hit.Append(reply, &q, 0, 0, 1232)
	}
}
