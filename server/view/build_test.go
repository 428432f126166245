package view_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

func TestBuildErrors(t *testing.T) {
	one := access("Global", "global", set(policy.BalanceAll, "four"))
	name := access("Global", "global", set(policy.BalanceWeight, "names"))
	var large, wide, many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, "many A 10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
	}
	for i := range 300 {
		fmt.Fprintf(&large, "large TXT \"%03d%s\"\n*.w TXT \"%03d%s\"\n", i, strings.Repeat("x", 240), i, strings.Repeat("x", 240))
	}
	for i := range 2000 {
		fmt.Fprintf(&wide, "sub NS ns%04d.sub\nns%04d.sub A 192.0.2.1\n", i, i)
	}
	unpackable := func(owner string) view.Zone {
		z := zone(t, "gtm.test.", apex)
		z.Records = append(z.Records, &dns.MX{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeMX, Class: 1}, Mx: "not..legal."})
		return z
	}
	tests := []struct {
		id    string
		zones []view.Zone
		world func(*world)
		want  string
	}{
		{"no SOA", []view.Zone{{Name: "gtm.test."}}, nil, `zone gtm.test.: there is no SOA record at the apex`},
		{"SOA below", []view.Zone{zone(t, "gtm.test.", apex+"x SOA a b 1 2 3 4 5")}, nil,
			`zone gtm.test.: there is more than one SOA record, or one below the apex, at "x.gtm.test."`},
		{"two SOA", []view.Zone{zone(t, "gtm.test.", apex+"@ SOA a b 1 2 3 4 5")}, nil,
			`zone gtm.test.: there is more than one SOA record, or one below the apex, at "gtm.test."`},
		{"outside", []view.Zone{zone(t, "gtm.test.", apex+"www.xgtm.test. A 192.0.2.1")}, nil, `zone gtm.test.: record "www.xgtm.test." lies outside the zone`},
		{"DNAME of a wildcard", []view.Zone{zone(t, "gtm.test.", apex+"*.d DNAME example.net.")}, nil,
			`zone gtm.test.: record "*.d.gtm.test." is the DNAME of a wildcard (RFC 6672 section 3.3)`},
		{"two DNAME records", []view.Zone{zone(t, "gtm.test.", apex+"d DNAME example.net.\nd DNAME example.com.")}, nil,
			`zone gtm.test.: record "d.gtm.test." has two DNAME records (RFC 6672 section 2.4)`},
		{"below a DNAME", []view.Zone{zone(t, "gtm.test.", apex+"d DNAME example.net.\nx.y.d A 192.0.2.1")}, nil,
			"x.y.d.gtm.test. lies below the DNAME of d.gtm.test. (RFC 6672 section 2.4)\ny.d.gtm.test. lies below the DNAME of d.gtm.test. (RFC 6672 section 2.4)"},
		{"zone below a DNAME", []view.Zone{zone(t, "gtm.test.", apex+"d DNAME example.net."), zone(t, "x.d.gtm.test.", apex)}, nil,
			"zone x.d.gtm.test. lies below the DNAME of d.gtm.test. (RFC 6672 section 2.4)"},
		{"access domain below a DNAME", []view.Zone{zone(t, "gtm.test.", apex+"d DNAME example.net.")}, func(w *world) { w.instance("x.d.gtm.test.", one) },
			"x.d.gtm.test. lies below the DNAME of d.gtm.test. (RFC 6672 section 2.4)"},
		{"zone twice", []view.Zone{zone(t, "gtm.test.", apex), zone(t, "GTM.test.", apex)}, nil, `zone GTM.test.: there are two zones of this name`},
		{"access domain outside", nil, func(w *world) { w.instance("x.example.com.", one) }, `instance "x": access domain x.example.com. lies outside every zone`},
		{"access domain twice", nil, func(w *world) { w.instance("x.gtm.test.", one).instance("x.gtm.test.", one) },
			`instance "x": access domain x.gtm.test. belongs to another instance too`},
		{"access domain delegated", []view.Zone{zone(t, "gtm.test.", apex+"sub NS ns.sub")}, func(w *world) { w.instance("x.sub.gtm.test.", one) },
			`instance "x": access domain x.sub.gtm.test. lies below a delegation`},
		{"access domain has records", nil, func(w *world) { w.instance("www.gtm.test.", one) }, `instance "www": access domain www.gtm.test. has static records too`},
		{"access domain is a wildcard", nil, func(w *world) { w.instance("*.x.gtm.test.", one) }, `instance "*": access domain *.x.gtm.test. is a wildcard`},
		{"apex and names", nil, func(w *world) { w.instance("gtm.test.", name) }, `instance "gtm": access domain gtm.test. has static records too`},
		{"apex and an address", []view.Zone{zone(t, "gtm.test.", apex+"@ AAAA 2001:db8::1")}, func(w *world) { w.instance("gtm.test.", one) },
			`instance "gtm": access domain gtm.test. has static records too`},
		{"no name", []view.Zone{unpackable("x.gtm.test.")}, nil, `pack the records of x.gtm.test.: dns: bad rdata`},
		{"no name at a wildcard", []view.Zone{unpackable("*.gtm.test.")}, nil, `pack the records of *.gtm.test.: dns: bad rdata`},
		{"too large", []view.Zone{zone(t, "gtm.test.", apex+large.String())}, nil,
			"pack the records of *.w.gtm.test.: they take 76800 octets, want at most 65195\npack the records of large.gtm.test.: they take 76800 octets, want at most 65195"},
		{"referral too large", []view.Zone{zone(t, "gtm.test.", apex+wide.String())}, nil,
			`pack the records of sub.gtm.test.: they take 160000 octets, want at most 65195`},
		{"a set of more records than a message holds, without comparing each with all others",
			[]view.Zone{zone(t, "gtm.test.", apex+many.String())}, nil,
			"many.gtm.test. has more than 5432 A records: no message can hold them\npack the records of many.gtm.test.: they take 86928 octets, want at most 65195"},
		{"every reason", []view.Zone{{Name: "a.test."}, {Name: "b.test."}, zone(t, "gtm.test.", apex)}, func(w *world) { w.instance("x.a.test.", one) },
			"instance \"x\": access domain x.a.test. lies outside every zone\nzone a.test.: there is no SOA record at the apex\nzone b.test.: there is no SOA record at the apex"},
	}
	for _, test := range tests {
		w := gtm(t)
		if test.zones != nil {
			w.zones = test.zones
		}
		if test.world != nil {
			test.world(w)
		}
		v, err := view.Build(w.input(t))
		if v != nil || err == nil {
			t.Errorf("%s: no error", test.id)
			continue
		}
		reasons := strings.Split(err.Error(), "\n")
		slices.Sort(reasons)
		if got := strings.Join(slices.Compact(reasons), "\n"); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.id, got, test.want)
		}
	}
}

// Build does not change what it is given.
func TestBuildChangesNothing(t *testing.T) {
	w := gtm(t)
	w.zones[0] = zone(t, "gtm.test.", staticZone)
	before := zone(t, "gtm.test.", staticZone)
	w.build(t)
	for i, rr := range w.zones[0].Records {
		if !reflect.DeepEqual(rr, before.Records[i]) {
			t.Errorf("Build made %#v of %#v", rr, before.Records[i])
		}
	}
}

// block is the block that answers A or AAAA for an access domain and a client.
func block(tb testing.TB, v *view.View, name string, qtype uint16, client string) *view.Block {
	tb.Helper()
	e, err := v.Explain(view.Question{Name: name, Type: qtype, Source: netip.MustParseAddr(client)})
	if err != nil {
		tb.Fatal(err)
	}
	return e.Block
}

func TestReplace(t *testing.T) {
	w := gtm(t)
	const many = 300 // policies, so that slots lie in several chunks
	for i := range many {
		w.instance(fmt.Sprintf("i%d.gtm.test.", i),
			access("Global", "global", set(policy.BalanceAll, "four", "six"), set(policy.BalanceAll, "spare")),
			access("Office", "office", set(policy.BalanceAll, "spare")))
	}
	old := w.build(t)
	w.down = []string{"198.51.100.1"}
	changed := []int{0, 1, 100, 299}
	var slots []view.Slot
	for _, i := range changed {
		slots = append(slots, view.Slot{Instance: i, Policy: 0, Family: policy.IPv4})
	}
	compiled := w.compiled(t)
	next := old.Replace(7, compiled, slots, nil)
	if old.Generation != 1 || next.Generation != 7 {
		t.Errorf("generations %d and %d, want 1 and 7", old.Generation, next.Generation)
	}
	for i := range many {
		name := fmt.Sprintf("i%d.gtm.test.", i)
		isChanged := slices.Contains(changed, i)
		before, after := block(t, old, name, dns.TypeA, "192.0.2.1"), block(t, next, name, dns.TypeA, "192.0.2.1")
		if (before != after) != isChanged {
			t.Errorf("%s: block replaced %v, want %v", name, before != after, isChanged)
		}
		if isChanged && after.Decision != compiled[i].Decisions[0][policy.IPv4] {
			t.Errorf("%s: the new block is of another decision", name)
		}
		want := 3
		if isChanged {
			want = 2
		}
		if got := len(ask(t, next, query{name: name, qtype: dns.TypeA}).Answer); got != want {
			t.Errorf("%s: %d addresses, want %d", name, got, want)
		}
		if got := len(ask(t, old, query{name: name, qtype: dns.TypeA}).Answer); got != 3 {
			t.Errorf("%s: %d addresses in the old view, want 3", name, got)
		}
		if block(t, old, name, dns.TypeAAAA, "192.0.2.1") != block(t, next, name, dns.TypeAAAA, "192.0.2.1") ||
			block(t, old, name, dns.TypeA, "10.0.0.1") != block(t, next, name, dns.TypeA, "10.0.0.1") {
			t.Errorf("%s: a slot that was not named changed", name)
		}
	}
}

// A policy that falls through answers with the decision of the global one, and is counted under its own name.
func TestFallThroughAndCounter(t *testing.T) {
	var keys []view.CounterKey
	w := gtm(t)
	w.counter = func(key view.CounterKey) int {
		if key == (view.CounterKey{Instance: key.Instance}) {
			return 100 + int(key.Instance[0])
		}
		keys = append(keys, key)
		return len(keys) - 1
	}
	office := access("Office", "office", set(policy.BalanceAll, "spare"))
	office.FallThrough = true
	empty := access("Global", "global", set(policy.BalanceAll, "spare"))
	empty.WhenAllDown = policy.AllDownEmpty
	w.instance("x.gtm.test.", access("Global", "global", set(policy.BalanceAll, "four"), set(policy.BalanceAll, "six")), office)
	w.instance("y.gtm.test.", empty)
	w.down = []string{"198.51.100.9"}
	v := w.build(t)
	want := []view.CounterKey{
		{Instance: "x", Policy: "Global", Family: policy.IPv4, Set: "primary"},
		{Instance: "x", Policy: "Office", Family: policy.IPv4, Set: "primary"},
		{Instance: "x", Policy: "Global", Family: policy.IPv6, Set: "backup"},
		{Instance: "y", Policy: "Global", Family: policy.IPv4, Set: "none"},
	}
	if !slices.Equal(keys, want) {
		t.Errorf("counters %v, want %v", keys, want)
	}
	for _, test := range []struct {
		name    string
		qtype   uint16
		source  string
		counter int
	}{
		{"x.gtm.test.", dns.TypeA, "192.0.2.1", 0}, {"x.gtm.test.", dns.TypeA, "10.0.0.1", 1}, {"x.gtm.test.", dns.TypeAAAA, "10.0.0.1", 2},
		{"x.gtm.test.", dns.TypeTXT, "10.0.0.1", -1}, {"y.gtm.test.", dns.TypeA, "10.0.0.1", 3}, {"www.gtm.test.", dns.TypeA, "10.0.0.1", -1},
	} {
		var q wire.Query
		q.Decode(query{name: test.name, qtype: test.qtype}.packet(t))
		hit := v.Lookup(&q, netip.MustParseAddr(test.source))
		if got := hit.Counter(); got != test.counter {
			t.Errorf("%s from %s is counted as %d, want %d", test.name, test.source, got, test.counter)
		}
		number := 100 + int(test.name[0])
		if test.counter < 0 {
			number = -1 // no policy decided
		}
		if got := hit.Instance(); got != number {
			t.Errorf("%s from %s: instance %d, want %d", test.name, test.source, got, number)
		}
	}
	b := block(t, v, "x.gtm.test.", dns.TypeA, "10.0.0.1")
	if b.Answering != 0 || b.Decision.Policy.Name != "Global" || len(b.Answer.Groups) != 1 || len(b.Answer.Groups[0].Records) != 3 {
		t.Errorf("Office falls through to policy %d, decision of %q, answer %v", b.Answering, b.Decision.Policy.Name, b.Answer)
	}
}

// The root zone is a zone like any other.
func TestRootZone(t *testing.T) {
	w := &world{zones: []view.Zone{zone(t, ".", apex+"test TXT t"), zone(t, "gtm.test.", apex+"up CNAME test.\n")}}
	v := w.build(t)
	root := ". 30 SOA ns1. host.master. 1 7200 900 1209600 30"
	for _, test := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{".", dns.TypeNS, "NOERROR aa | . 3600 NS ns1. + ns1. 3600 A 192.0.2.53"},
		{"test.", dns.TypeTXT, `NOERROR aa | test. 300 TXT "t"`},
		{"x.test.", dns.TypeA, "NXDOMAIN aa / " + root},
		{"gtm.test.", dns.TypeDS, "NOERROR aa / " + root},
		{".", dns.TypeDS, "NOERROR aa / " + root},
		{"up.gtm.test.", dns.TypeTXT, "NOERROR aa | up.gtm.test. 300 CNAME test."},
	} {
		if got := text(ask(t, v, query{name: test.name, qtype: test.qtype})); got != test.want {
			t.Errorf("%s %s\ngot  %s\nwant %s", test.name, dns.TypeToString[test.qtype], got, test.want)
		}
	}
}
