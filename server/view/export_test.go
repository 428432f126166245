package view_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

// exportedWorld has a zone with every kind of record and of access domain, a zone below it, and one that is not exported.
func exportedWorld(tb testing.TB) *world {
	tb.Helper()
	parent := zone(tb, "gtm.test.", apex+`
www     A 192.0.2.1
*.wild  TXT "wild"
alias   CNAME www
sub     NS ns.sub
ns.sub  A 192.0.2.54
hidden.sub TXT "behind the delegation"
child   NS ns1
child   DS 1 8 2 0011223344556677889900112233445566778899001122334455667788990011
`)
	parent.Exported = true
	child := zone(tb, "child.gtm.test.", apex)
	child.Exported = true
	all := policy.BalanceAll
	w := &world{
		lines: []geo.LineOptions{{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
		zones: []view.Zone{parent, child, zone(tb, "plain.test.", apex)},
		pools: []*policy.Pool{
			pool("four", policy.TypeIPv4, all, "198.51.100.1", "198.51.100.2", "198.51.100.3"), pool("six", policy.TypeIPv6, all, "2001:db8::1"),
			pool("spare", policy.TypeIPv4, all, "198.51.100.9"), pool("names", policy.TypeDomain, policy.BalanceWeight, "a.example.net.*1", "b.example.net.*9"),
		},
	}
	global := func(sets ...string) policy.PolicyOptions {
		return access("Global", "global", set(all, sets...), set(all, "spare"))
	}
	w.instance("both.gtm.test.", global("four", "six"))
	w.instance("name.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "names")))
	w.instance("only.gtm.test.", access("Special", "office", set(all, "spare")))
	w.instance("in.child.gtm.test.", global("four"))
	w.instance("x.plain.test.", global("four"))
	return w
}

// records are those of a transfer, as text without class.
func records(t *testing.T, v *view.View, zone string) []string {
	t.Helper()
	e, found := v.Export(zone)
	if !found {
		t.Fatalf("zone %s is not exported", zone)
	}
	var all []string
	for rr := range v.Records(e) {
		all = append(all, strings.Join(strings.Fields(strings.Replace(rr.String(), "\tIN\t", " ", 1)), " "))
	}
	return all
}

func TestRecords(t *testing.T) {
	v := exportedWorld(t).build(t)
	const soa = "gtm.test. 3600 SOA ns1.gtm.test. host.master.gtm.test. 1 7200 900 1209600 30"
	got := records(t, v, "gtm.test.")
	if got[0] != soa || got[len(got)-1] != soa {
		t.Errorf("the SOA record is not first and last: %q", got)
	}
	inner := slices.Sorted(slices.Values(got[1 : len(got)-1]))
	want := []string{
		`*.wild.gtm.test. 300 TXT "wild"`,
		"alias.gtm.test. 300 CNAME www.gtm.test.",
		"both.gtm.test. 60 A 198.51.100.1", "both.gtm.test. 60 A 198.51.100.2", "both.gtm.test. 60 A 198.51.100.3", "both.gtm.test. 60 AAAA 2001:db8::1",
		"child.gtm.test. 300 DS 1 8 2 0011223344556677889900112233445566778899001122334455667788990011",
		"child.gtm.test. 300 NS ns1.gtm.test.",
		"gtm.test. 3600 NS ns1.gtm.test.",
		`hidden.sub.gtm.test. 300 TXT "behind the delegation"`, // RFC 5936 section 3.5
		"name.gtm.test. 60 CNAME b.example.net.",
		"ns.sub.gtm.test. 300 A 192.0.2.54",
		"ns1.gtm.test. 3600 A 192.0.2.53",
		"sub.gtm.test. 300 NS ns.sub.gtm.test.",
		"www.gtm.test. 300 A 192.0.2.1",
	}
	if !slices.Equal(inner, want) {
		t.Errorf("records\n%s\nwant\n%s", strings.Join(inner, "\n"), strings.Join(want, "\n"))
	}
	if got := records(t, v, "child.gtm.test."); !slices.Contains(got, "in.child.gtm.test. 60 A 198.51.100.3") || len(got) != 7 {
		t.Errorf("records of the zone below: %q", got)
	}
	if _, found := v.Export("plain.test."); found {
		t.Error("a zone is exported that was not asked for")
	}
	if got := strings.Join(records(t, v.WithSerials(map[string]uint32{"gtm.test.": 5}), "gtm.test."), " "); strings.Count(got, " 5 7200") != 2 {
		t.Errorf("with another serial number: %s", got)
	}
}

// content is that of an exported zone.
func content(t *testing.T, v *view.View, zone string) view.Content {
	t.Helper()
	e, found := v.Export(zone)
	if !found {
		t.Fatalf("zone %s is not exported", zone)
	}
	return e.Content
}

// TestContent: contents differ exactly when transfers do, and Replace finds the same as Build.
func TestContent(t *testing.T) {
	w := exportedWorld(t)
	v := w.build(t)
	w.down = []string{"198.51.100.2"}
	slots := []view.Slot{{Instance: 0, Policy: 0, Family: policy.IPv4}, {Instance: 0, Policy: 0, Family: policy.IPv6}, {Instance: 4, Policy: 0, Family: policy.IPv4}}
	next := v.Replace(2, w.compiled(t), slots, nil)
	if content(t, next, "gtm.test.") == content(t, v, "gtm.test.") || content(t, next, "child.gtm.test.") != content(t, v, "child.gtm.test.") {
		t.Error("the content has not followed the addresses of its zone, and only those")
	}
	w.down = nil
	if back := next.Replace(3, w.compiled(t), slots, nil); content(t, back, "gtm.test.") != content(t, v, "gtm.test.") {
		t.Error("the same records have another content")
	}
	w.down = []string{"198.51.100.2"}
	if built := w.build(t); content(t, built, "child.gtm.test.") == content(t, v, "child.gtm.test.") {
		t.Error("the content of the zone below does not follow")
	} else if full := next.Replace(4, w.compiled(t), append(slots, view.Slot{Instance: 3}), nil); content(t, full, "child.gtm.test.") != content(t, built, "child.gtm.test.") ||
		content(t, full, "gtm.test.") != content(t, built, "gtm.test.") {
		t.Error("Replace and Build come to different contents")
	}
	w.down = nil
	for name, change := range map[string]func(){
		"serial number alone": func() { w.zones[0].Records[0].(*dns.SOA).Serial = 77 },
		"a static record":     func() { w.zones[0].Records[3].(*dns.A).A[3]++ },
		"the SOA record":      func() { w.zones[0].Records[0].(*dns.SOA).Minttl++ },
	} {
		before := content(t, w.build(t), "gtm.test.")
		change()
		if same := content(t, w.build(t), "gtm.test.") == before; same != (name == "serial number alone") {
			t.Errorf("%s: same content %t", name, same)
		}
	}
}

// TestSerialEverywhere: whatever is asked of exported zones, an SOA record in the reply has the present serial number of its zone.
func TestSerialEverywhere(t *testing.T) {
	w := exportedWorld(t)
	w.instances[0].Aliases = []string{"also.between.gtm.test."}
	v := w.build(t)
	serials := map[string]uint32{"gtm.test.": 77, "child.gtm.test.": 78, "plain.test.": 1}
	v = v.WithSerials(serials)
	found := map[string]int{}
	for _, name := range []string{
		"gtm.test.", "www.gtm.test.", "wild.gtm.test.", "x.wild.gtm.test.", "alias.gtm.test.", "sub.gtm.test.", "x.sub.gtm.test.", "no.gtm.test.",
		"both.gtm.test.", "name.gtm.test.", "only.gtm.test.", "between.gtm.test.", "also.between.gtm.test.",
		"child.gtm.test.", "in.child.gtm.test.", "no.child.gtm.test.", "plain.test.", "x.plain.test.", "elsewhere.",
	} {
		for _, qtype := range []uint16{dns.TypeSOA, dns.TypeANY, dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeDS, dns.TypeNSEC, dns.TypeCNAME} {
			reply := ask(t, v, query{name: name, qtype: qtype})
			for _, rr := range slices.Concat(reply.Answer, reply.Ns) {
				if soa, is := rr.(*dns.SOA); is {
					found[soa.Hdr.Name]++
					if soa.Serial != serials[soa.Hdr.Name] {
						t.Errorf("%s %s: the serial number of %s is %d, want %d", name, dns.Type(qtype), soa.Hdr.Name, soa.Serial, serials[soa.Hdr.Name])
					}
				}
			}
		}
	}
	if len(found) != len(serials) {
		t.Errorf("SOA records by zone: %v, want some of each of %v", found, serials)
	}
}

// TestAliasRecords: an alias is in the transfer of the zone that it lies in, and moves its content, too.
func TestAliasRecords(t *testing.T) {
	w := exportedWorld(t)
	w.instances[0].Aliases = []string{"also.gtm.test.", "also.child.gtm.test.", "also.plain.test."}
	v := w.build(t)
	for _, zone := range []string{"gtm.test.", "child.gtm.test."} {
		var got []string
		for _, line := range records(t, v, zone) {
			if strings.HasPrefix(line, "also.") {
				got = append(got, strings.TrimPrefix(line, "also."+zone+" 60 "))
			}
		}
		slices.Sort(got)
		if want := []string{"A 198.51.100.1", "A 198.51.100.2", "A 198.51.100.3", "AAAA 2001:db8::1"}; !slices.Equal(got, want) {
			t.Errorf("%s has %q of the alias, want %q", zone, got, want)
		}
		without := exportedWorld(t).build(t)
		if a, b := content(t, v, zone), content(t, without, zone); a == b {
			t.Errorf("%s has the same content without the alias", zone)
		}
	}
}

// TestSerialOverDNAME: an answer that a DNAME leads to has the present serial number, too.
func TestSerialOverDNAME(t *testing.T) {
	moved := zone(t, "gtm.test.", apex+"moved DNAME below\nwww.below A 192.0.2.1\nup DNAME @\n")
	moved.Exported = true
	v := (&world{zones: []view.Zone{moved}}).build(t).WithSerials(map[string]uint32{"gtm.test.": 77})
	for _, q := range []struct {
		name  string
		qtype uint16
	}{{"no.moved.gtm.test.", dns.TypeA}, {"www.moved.gtm.test.", dns.TypeMX}, {"no.gtm.test.", dns.TypeA}, {"gtm.test.", dns.TypeSOA}} {
		e, err := v.Explain(view.Question{Name: q.name, Type: q.qtype})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, rr := range slices.Concat(e.Reply.Answer, e.Reply.Ns) {
			if soa, is := rr.(*dns.SOA); is {
				if found++; soa.Serial != 77 {
					t.Errorf("%s: serial number %d, want 77", q.name, soa.Serial)
				}
			}
		}
		if found != 1 {
			t.Errorf("%s: %d SOA records, want 1:\n%v", q.name, found, e.Reply)
		}
	}
}
