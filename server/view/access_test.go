package view_test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

// gtm is a world of one zone, a custom line, and a pool of each kind.
func gtm(tb testing.TB) *world {
	return &world{
		zones: []view.Zone{zone(tb, "gtm.test.", apex+"www A 192.0.2.80\na.ent A 192.0.2.81\nalias CNAME origin\n")},
		lines: lines("office", "10.0.0.0/8", "2001:db8::/32", "lab", "10.1.0.0/16"),
		pools: []*policy.Pool{
			pool("four", policy.TypeIPv4, policy.BalanceAll, "198.51.100.1", "198.51.100.2", "198.51.100.3"),
			pool("spare", policy.TypeIPv4, policy.BalanceAll, "198.51.100.9"),
			pool("six", policy.TypeIPv6, policy.BalanceAll, "2001:db8:1::1", "2001:db8:1::2"),
			pool("names", policy.TypeDomain, policy.BalanceWeight, "cdn.example.net."),
		},
	}
}

const gtmSOA = "gtm.test. 30 SOA ns1.gtm.test. host.master.gtm.test. 1 7200 900 1209600 30"

// TestTable has the rows of the table in BEHAVIOUR.md section 6.
func TestTable(t *testing.T) {
	global := func(sets ...policy.SetOptions) policy.PolicyOptions { return access("Global", "global", sets[0]) }
	w := gtm(t).
		instance("dual.gtm.test.", global(set(policy.BalanceAll, "four", "six"))).
		instance("only4.gtm.test.", global(set(policy.BalanceAll, "four"))).
		instance("name.gtm.test.", global(set(policy.BalanceWeight, "names"))).
		instance("gtm.test.", global(set(policy.BalanceAll, "spare")))
	v := w.build(t)
	four := "d.gtm.test. 60 A 198.51.100.1, d.gtm.test. 60 A 198.51.100.2, d.gtm.test. 60 A 198.51.100.3"
	nodata := "NOERROR aa / " + gtmSOA
	tests := []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"dual.gtm.test.", dns.TypeA, "NOERROR aa | " + strings.ReplaceAll(four, "d.gtm", "dual.gtm")},
		{"DuAl.gtm.TEST.", dns.TypeA, "NOERROR aa | " + strings.ReplaceAll(four, "d.gtm.test", "DuAl.gtm.TEST")},
		{"dual.gtm.test.", dns.TypeAAAA, "NOERROR aa | dual.gtm.test. 60 AAAA 2001:db8:1::1, dual.gtm.test. 60 AAAA 2001:db8:1::2"},
		{"dual.gtm.test.", dns.TypeCNAME, nodata},
		{"dual.gtm.test.", dns.TypeHTTPS, nodata},
		{"dual.gtm.test.", dns.TypeSVCB, nodata},
		{"dual.gtm.test.", dns.TypeTXT, nodata},
		{"dual.gtm.test.", dns.TypeMX, nodata},
		{"dual.gtm.test.", dns.TypeNS, nodata},
		{"dual.gtm.test.", dns.TypeSOA, nodata},
		{"dual.gtm.test.", dns.TypeANY, `NOERROR aa | dual.gtm.test. 3600 HINFO "RFC8482" ""`},
		{"only4.gtm.test.", dns.TypeAAAA, nodata},
		{"name.gtm.test.", dns.TypeA, "NOERROR aa | name.gtm.test. 60 CNAME cdn.example.net."},
		{"name.gtm.test.", dns.TypeAAAA, "NOERROR aa | name.gtm.test. 60 CNAME cdn.example.net."},
		{"name.gtm.test.", dns.TypeCNAME, "NOERROR aa | name.gtm.test. 60 CNAME cdn.example.net."},
		{"name.gtm.test.", dns.TypeTXT, "NOERROR aa | name.gtm.test. 60 CNAME cdn.example.net."},
		{"name.gtm.test.", dns.TypeHTTPS, "NOERROR aa | name.gtm.test. 60 CNAME cdn.example.net."},
		{"name.gtm.test.", dns.TypeANY, "NOERROR aa | name.gtm.test. 60 CNAME cdn.example.net."},
		{"gtm.test.", dns.TypeA, "NOERROR aa | gtm.test. 60 A 198.51.100.9"},
		{"gtm.test.", dns.TypeAAAA, nodata},
		{"gtm.test.", dns.TypeNS, "NOERROR aa | gtm.test. 3600 NS ns1.gtm.test. + ns1.gtm.test. 3600 A 192.0.2.53"},
		{"www.gtm.test.", dns.TypeA, "NOERROR aa | www.gtm.test. 300 A 192.0.2.80"},
		{"missing.gtm.test.", dns.TypeA, "NXDOMAIN aa / " + gtmSOA},
		{"x.dual.gtm.test.", dns.TypeA, "NXDOMAIN aa / " + gtmSOA},
		{"ent.gtm.test.", dns.TypeA, nodata},
		{"example.com.", dns.TypeA, "REFUSED"},
	}
	for _, test := range tests {
		if got := text(ask(t, v, query{name: test.name, qtype: test.qtype})); got != test.want {
			t.Errorf("%s %s\ngot  %s\nwant %s", test.name, dns.TypeToString[test.qtype], got, test.want)
		}
	}
	if got := text(ask(t, v, query{name: "dual.gtm.test.", qtype: dns.TypeA, limit: 70})); got != "NOERROR aa tc" {
		t.Errorf("three addresses in 70 octets: %s", got)
	}
}

// golden spreads turns evenly, as the server's dice do.
const golden = 0x9e3779b97f4a7c15

func TestRotation(t *testing.T) {
	var list []string
	for i := range 7 {
		list = append(list, fmt.Sprintf("198.51.100.%d", i))
	}
	w := gtm(t)
	w.pools = append(w.pools, pool("seven", policy.TypeIPv4, policy.BalanceAll, list...))
	limited := set(policy.BalanceAll, "seven")
	limited.MaxAnswers = 3
	v := w.instance("all.gtm.test.", access("Global", "global", set(policy.BalanceAll, "seven"))).
		instance("three.gtm.test.", access("Global", "global", limited)).build(t)
	for _, test := range []struct {
		name  string
		count int
	}{{"all.gtm.test.", 7}, {"three.gtm.test.", 3}} {
		starts := map[string]int{}
		const draws = 7000
		for i := range uint64(draws) {
			got := addresses(ask(t, v, query{name: test.name, qtype: dns.TypeA, turn: i * golden}))
			start := slices.Index(list, got[0])
			rotated := append(slices.Clone(list[start:]), list[:start]...)[:test.count]
			if !slices.Equal(got, rotated) {
				t.Fatalf("%s: %v is no rotation of the pool", test.name, got)
			}
			starts[got[0]]++
		}
		for _, address := range list {
			if n := starts[address]; n < draws/7-2 || n > draws/7+2 {
				t.Errorf("%s: %s came first %d times, want %d", test.name, address, n, draws/7)
			}
		}
		for _, turn := range []uint64{0, math.MaxUint64} {
			if got := addresses(ask(t, v, query{name: test.name, qtype: dns.TypeA, turn: turn})); len(got) != test.count {
				t.Errorf("%s: turn %d: %v", test.name, turn, got)
			}
		}
	}
}

// draws counts the answers of many draws through Hit.Append.
func draws(t *testing.T, v *view.View, o query, n int) map[string]int {
	t.Helper()
	var q wire.Query
	q.Decode(o.packet(t))
	hit := v.Lookup(&q, netip.MustParseAddr("203.0.113.1"))
	counts, reply := map[string]int{}, make([]byte, 0, 512)
	skip := len(hit.Append(nil, &q, 0, 0, 12)) // header and question, since no record fits
	for i := range n {
		reply = hit.Append(reply[:0], &q, policy.Mix(uint64(i)), policy.Mix(uint64(i)*golden), 512)
		counts[string(reply[skip:])]++
	}
	return counts
}

// last is the end of the key that draws gives an answer whose last record has this IPv4 address.
func last(counts map[string]int, address string) int {
	sum := 0
	for key, n := range counts {
		if strings.HasSuffix(key, string(netip.MustParseAddr(address).AsSlice())) {
			sum += n
		}
	}
	return sum
}

func TestWeight(t *testing.T) {
	w := gtm(t)
	w.pools = append(w.pools,
		pool("weighted", policy.TypeIPv4, policy.BalanceWeight, "198.51.100.1*1", "198.51.100.2*3", "198.51.100.3*0", "198.51.100.4*999996"),
		pool("even", policy.TypeIPv4, policy.BalanceWeight, "198.51.100.5*1", "198.51.100.6*3"),
		pool("both", policy.TypeIPv4, policy.BalanceAll, "198.51.100.7", "198.51.100.8"),
		pool("hosts", policy.TypeDomain, policy.BalanceWeight, "a.example.net.*3", "long.name.example.net.*1"),
	)
	v := w.instance("address.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "even*1"))).
		instance("extreme.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "weighted"))).
		instance("product.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "even*2", "spare*1"))).
		instance("groups.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "both*1", "even*4"))).
		instance("names.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "hosts"))).build(t)
	const n = 1_000_000
	near := func(what string, got int, share float64) {
		t.Helper()
		if want := share * n; math.Abs(float64(got)-want) > 0.01*n || math.Abs(float64(got)-want) > 0.02*want+5 {
			t.Errorf("%s: %d of %d, want %.0f", what, got, n, want)
		}
	}
	counts := draws(t, v, query{name: "address.gtm.test.", qtype: dns.TypeA}, n)
	near("weight 1 of 4", last(counts, "198.51.100.5"), 0.25)
	near("weight 3 of 4", last(counts, "198.51.100.6"), 0.75)
	counts = draws(t, v, query{name: "extreme.gtm.test.", qtype: dns.TypeA}, n)
	near("999996 of 1000000", last(counts, "198.51.100.4"), 0.999996)
	if last(counts, "198.51.100.3") != 0 {
		t.Error("weight 0 was drawn")
	}
	// Two groups: the pool by its weight, then what the pool's own balance says.
	counts = draws(t, v, query{name: "groups.gtm.test.", qtype: dns.TypeA}, n)
	near("pool all, from the first", last(counts, "198.51.100.8")+last(counts, "198.51.100.7"), 0.2)
	near("pool all, half of the starts", last(counts, "198.51.100.7"), 0.1)
	near("pool weight, address 1 of 4", last(counts, "198.51.100.5"), 0.2)
	near("pool weight, address 3 of 4", last(counts, "198.51.100.6"), 0.6)
	counts = draws(t, v, query{name: "product.gtm.test.", qtype: dns.TypeA}, n)
	near("two pools, 1 of 3", last(counts, "198.51.100.9"), 1.0/3)
	counts = draws(t, v, query{name: "names.gtm.test.", qtype: dns.TypeA}, n)
	if len(counts) != 2 {
		t.Fatalf("%d different answers, want 2", len(counts))
	}
	for key, got := range counts {
		share := 0.75
		if strings.Contains(key, "\x04long") {
			share = 0.25
		}
		near("name", got, share)
	}
	for _, random := range []uint64{0, math.MaxUint64} {
		if got := addresses(ask(t, v, query{name: "names.gtm.test.", qtype: dns.TypeA, random: random})); len(got) != 1 {
			t.Errorf("random %d: %v", random, got)
		}
	}
}

func TestSequence(t *testing.T) {
	w := gtm(t)
	w.pools = append(w.pools, pool("ordered", policy.TypeIPv4, policy.BalanceSequence, "198.51.100.1", "198.51.100.2"))
	w.instance("o.gtm.test.", access("Global", "global", set(policy.BalanceSequence, "spare", "four"))).
		instance("p.gtm.test.", access("Global", "global", set(policy.BalanceSequence, "ordered")))
	for _, test := range []struct {
		down []string
		name string
		want []string
	}{
		{nil, "o.gtm.test.", []string{"198.51.100.9"}},
		{[]string{"198.51.100.9"}, "o.gtm.test.", []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}},
		{nil, "p.gtm.test.", []string{"198.51.100.1"}},
		{[]string{"198.51.100.1"}, "p.gtm.test.", []string{"198.51.100.2"}},
	} {
		w.down = test.down
		if got := addresses(ask(t, w.build(t), query{name: test.name, qtype: dns.TypeA})); !slices.Equal(got, test.want) {
			t.Errorf("%s with %v down: %v, want %v", test.name, test.down, got, test.want)
		}
	}
}

func TestSticky(t *testing.T) {
	w := gtm(t)
	sixes := []string{"2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3", "2001:db8:1::4"}
	w.pools = append(w.pools, pool("sixes", policy.TypeIPv6, policy.BalanceAll, sixes...))
	w.instance("sticky.gtm.test.",
		access("Global", "global", set(policy.BalanceSticky, "four", "sixes")),
		access("Lab", "lab", set(policy.BalanceAll, "spare")))
	v := w.build(t)
	w.down = []string{"198.51.100.2"}
	without := w.build(t)
	got, moved := map[string]int{}, 0
	for i := range 300 {
		base := fmt.Sprintf("172.16.%d.0/24", i%256)
		if i >= 256 {
			base = fmt.Sprintf("172.17.%d.0/24", i%256)
		}
		prefix := netip.MustParsePrefix(base)
		first := ask(t, v, query{name: "sticky.gtm.test.", qtype: dns.TypeA, subnet: base})
		if len(first.Answer) != 1 || scope(first) != 24 {
			t.Fatalf("%s: %s, scope %d, want one address and 24", base, text(first), scope(first))
		}
		host := netip.PrefixFrom(prefix.Addr().Next().Next(), 32).String()
		for _, o := range []query{{subnet: host}, {subnet: base, random: 1 << 63, turn: 1 << 62}, {source: prefix.Addr().Next().String()}} {
			o.name, o.qtype = "sticky.gtm.test.", dns.TypeA
			if m := ask(t, v, o); text(m) != text(first) || o.subnet != "" && scope(m) != 24 {
				t.Errorf("%+v: %s scope %d, but %s gets %s", o, text(m), scope(m), base, text(first))
			}
		}
		address := addresses(first)[0]
		got[address]++
		after := addresses(ask(t, without, query{name: "sticky.gtm.test.", qtype: dns.TypeA, subnet: base}))[0]
		if after != address {
			moved++
			if address != "198.51.100.2" {
				t.Errorf("%s moved from %s to %s, though that is up", base, address, after)
			}
		}
	}
	if len(got) != 3 || got["198.51.100.2"] < 60 || moved != got["198.51.100.2"] {
		t.Errorf("clients by address %v, %d moved when 198.51.100.2 went away", got, moved)
	}
	// The scope is 24 also where policies would allow less, and more where they need it.
	for _, test := range []struct {
		qtype  uint16
		subnet string
		want   int
	}{
		{dns.TypeA, "172.16.0.0/16", 24}, {dns.TypeA, "10.2.0.0/16", 24}, {dns.TypeA, "10.1.0.0/20", 16},
		{dns.TypeAAAA, "2001:db9::/48", 56}, {dns.TypeAAAA, "2001:db9::1/128", 56}, {dns.TypeAAAA, "172.16.0.0/24", 24},
		{dns.TypeTXT, "172.16.0.0/24", 0},
		// IPv6 addresses that hold an IPv4 one: no less than their own /56, and what the policies of that want.
		{dns.TypeA, "::ffff:172.16.0.1/128", 96 + 1}, {dns.TypeA, "2002:ac10:1::/48", 56}, {dns.TypeA, "2002:a02:1::/48", 56},
	} {
		if got := scope(ask(t, v, query{name: "sticky.gtm.test.", qtype: test.qtype, subnet: test.subnet})); got != test.want {
			t.Errorf("%s %s: scope %d, want %d", dns.TypeToString[test.qtype], test.subnet, got, test.want)
		}
	}
	a := text(ask(t, v, query{name: "sticky.gtm.test.", qtype: dns.TypeAAAA, subnet: "2001:db9:0:100::/56"}))
	b := text(ask(t, v, query{name: "sticky.gtm.test.", qtype: dns.TypeAAAA, subnet: "2001:db9:0:1ff::1/128"}))
	if a != b {
		t.Errorf("one /56, two answers: %s and %s", a, b)
	}
	// An IPv4-mapped client is of the network ::/56, as is ::1, whose answer may be kept for all of that.
	for _, subnet := range []string{"::1/128", "::ffff:172.16.0.1/128", "::ffff:192.0.2.1/128", "::ffff:0:172.16.0.1/128"} {
		m := text(ask(t, v, query{name: "sticky.gtm.test.", qtype: dns.TypeA, subnet: subnet}))
		if one := text(ask(t, v, query{name: "sticky.gtm.test.", qtype: dns.TypeA, subnet: "::/56"})); m != one {
			t.Errorf("%s gets %s, ::/56 gets %s", subnet, m, one)
		}
	}
}

func TestScope(t *testing.T) {
	w := gtm(t)
	w.lines = append(w.lines, lines("branch", "2001:db8:b::/48")...)
	w.instance("geo.gtm.test.",
		access("Global", "global", set(policy.BalanceAll, "four")),
		access("Office", "office", set(policy.BalanceAll, "spare", "six")),
		access("Lab", "lab", set(policy.BalanceAll, "four"))).
		instance("one.gtm.test.", access("Global", "global", set(policy.BalanceAll, "four"))).
		instance("some.gtm.test.", access("Office", "office", set(policy.BalanceAll, "spare"))).
		instance("lab.gtm.test.",
			access("Global", "global", set(policy.BalanceAll, "four")),
			access("Lab", "lab", set(policy.BalanceAll, "spare"))).
		instance("six.gtm.test.", access("Branch", "branch", set(policy.BalanceAll, "spare"))).
		instance("mixed.gtm.test.",
			access("Global", "global", set(policy.BalanceAll, "four")),
			access("Office", "office", set(policy.BalanceWeight, "names")))
	v := w.build(t)
	four, nodata := "198.51.100.1 198.51.100.2 198.51.100.3", ""
	tests := []struct {
		id     string
		name   string
		qtype  uint16
		source string
		subnet string
		want   string
		scope  int
	}{
		{"S04: not asked, not echoed", "geo.gtm.test.", dns.TypeA, "10.2.3.4", "", "198.51.100.9", -1},
		{"hole of the lab: /15, not /8", "geo.gtm.test.", dns.TypeA, "", "10.2.3.4/32", "198.51.100.9", 15},
		{"widest prefix above the source", "geo.gtm.test.", dns.TypeA, "", "10.128.0.0/24", "198.51.100.9", 9},
		{"longest prefix wins", "geo.gtm.test.", dns.TypeA, "", "10.1.9.0/24", four, 16},
		{"beside 10/8", "geo.gtm.test.", dns.TypeA, "", "11.0.0.0/24", four, 8},
		{"half of the space", "geo.gtm.test.", dns.TypeA, "", "192.0.2.0/24", four, 1},
		{"scope may exceed the source (7.2.1)", "geo.gtm.test.", dns.TypeA, "", "10.0.0.0/8", "198.51.100.9", 16},
		{"S03: source 0: the packet's source decides, scope 0", "geo.gtm.test.", dns.TypeA, "10.2.3.4", "0.0.0.0/0", "198.51.100.9", 0},
		{"S03: IPv6", "geo.gtm.test.", dns.TypeA, "10.2.3.4", "::/0", "198.51.100.9", 0},
		{"S19: IPv6 subnet", "geo.gtm.test.", dns.TypeA, "", "2001:db8:7::/56", "198.51.100.9", 32},
		{"IPv4-mapped subnet: 96 bits deeper", "geo.gtm.test.", dns.TypeA, "", "::ffff:10.2.3.4/128", "198.51.100.9", 96 + 15},
		{"NAT64 subnet: 96 bits deeper", "geo.gtm.test.", dns.TypeA, "", "64:ff9b::10.2.3.4/128", "198.51.100.9", 96 + 15},
		{"6to4 subnet: 16 bits deeper", "geo.gtm.test.", dns.TypeA, "", "2002:a01:900::/48", four, 16 + 16},
		{"Teredo subnet, inverted: 96 bits deeper", "geo.gtm.test.", dns.TypeA, "", "2001:0:1:2:3:4:f5fd:fcfb/128", "198.51.100.9", 96 + 15},
		// IPv4 has several answers, so the blocks of addresses that hold an IPv4 one are cut out of IPv6: of 2000::/15 the half 2002::/16,
		// of 2001::/16 the network 2001::/32 next to which 2001:800::/21 is the widest that has 2001:db8::.
		{"a family that the lines leave whole, beside Teredo", "lab.gtm.test.", dns.TypeA, "", "2001:db8::/56", four, 21},
		{"beside 6to4", "lab.gtm.test.", dns.TypeA, "", "2003::/56", four, 16},
		{"beside the mapped block", "lab.gtm.test.", dns.TypeA, "", "::1/128", four, 81},
		{"far from all of them: 1, for 0 may be taken to mean both families", "lab.gtm.test.", dns.TypeA, "", "fd00::/56", four, 1},
		{"and unmatched", "six.gtm.test.", dns.TypeA, "", "192.0.2.0/24", nodata, 1},
		// IPv4 has one answer, so its blocks in IPv6 are as their neighbours: all but 2000::/3, which has the branch.
		{"IPv4-mapped subnet, IPv4 left whole", "six.gtm.test.", dns.TypeA, "", "::ffff:10.2.3.4/128", nodata, 3},
		{"6to4 subnet, IPv4 left whole", "six.gtm.test.", dns.TypeA, "", "2002:a02:304::/48", nodata, 15},
		{"IPv4-mapped subnet, IPv6 left whole", "lab.gtm.test.", dns.TypeA, "", "::ffff:11.0.0.1/128", four, 96 + 8},
		{"IPv6, one policy for all: 0", "one.gtm.test.", dns.TypeA, "", "2001:db8::/56", four, 0},
		{"IPv4-mapped subnet, one policy for all: 0", "one.gtm.test.", dns.TypeA, "", "::ffff:10.2.3.4/128", four, 0},
		{"a policy without the family leaves it to the next match", "geo.gtm.test.", dns.TypeAAAA, "", "10.1.0.0/16", "2001:db8:1::1 2001:db8:1::2", 8},
		{"unmatched: NODATA with its scope", "geo.gtm.test.", dns.TypeAAAA, "", "11.0.0.0/24", nodata, 8},
		{"types that no policy decides: 0", "geo.gtm.test.", dns.TypeTXT, "", "10.2.0.0/16", nodata, 0},
		{"one policy for all: 0", "one.gtm.test.", dns.TypeA, "", "10.2.0.0/16", four, 0},
		{"no policy for the family: 0", "one.gtm.test.", dns.TypeAAAA, "", "10.2.0.0/16", nodata, 0},
		{"unmatched client", "some.gtm.test.", dns.TypeA, "", "192.0.2.0/24", nodata, 1},
		{"matched client", "some.gtm.test.", dns.TypeA, "", "10.9.0.0/16", "198.51.100.9", 8},
		{"together: CNAME for some", "mixed.gtm.test.", dns.TypeTXT, "", "10.9.0.0/16", "cdn.example.net.", 8},
		{"together: NODATA for others, with a scope", "mixed.gtm.test.", dns.TypeTXT, "", "11.0.0.0/16", nodata, 8},
		{"together: addresses for others", "mixed.gtm.test.", dns.TypeA, "", "11.0.0.0/16", four, 8},
		{"together: not for the other family", "mixed.gtm.test.", dns.TypeAAAA, "", "11.0.0.0/16", nodata, 8},
	}
	for _, test := range tests {
		m := ask(t, v, query{name: test.name, qtype: test.qtype, source: test.source, subnet: test.subnet})
		if got := strings.Join(addresses(m), " "); got != test.want || scope(m) != test.scope {
			t.Errorf("%s: %q, scope %d, want %q, %d", test.id, got, scope(m), test.want, test.scope)
		}
		if test.want == nodata && (m.Rcode != dns.RcodeSuccess || len(m.Ns) != 1) {
			t.Errorf("%s: %s is no NODATA", test.id, text(m))
		}
	}
	if got := text(ask(t, v, query{name: "mixed.gtm.test.", qtype: dns.TypeANY, source: "11.0.0.1"})); got != `NOERROR aa | mixed.gtm.test. 3600 HINFO "RFC8482" ""` {
		t.Errorf("ANY where addresses answer: %s", got)
	}
	// S18: a truncated reply keeps option and scope.
	if m := ask(t, v, query{name: "geo.gtm.test.", qtype: dns.TypeA, subnet: "11.0.0.0/24", limit: 80}); !m.Truncated || scope(m) != 8 {
		t.Errorf("truncated: %s, scope %d", text(m), scope(m))
	}
}

// Fail open, and nothing at all when that is asked for.
func TestAllDown(t *testing.T) {
	w := gtm(t)
	w.down = []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}
	empty := access("Global", "global", set(policy.BalanceAll, "four"))
	empty.WhenAllDown = policy.AllDownEmpty
	v := w.instance("open.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "four"))).
		instance("empty.gtm.test.", empty).build(t)
	if got := addresses(ask(t, v, query{name: "open.gtm.test.", qtype: dns.TypeA})); len(got) != 3 {
		t.Errorf("fail open answers %v, want all", got)
	}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeTXT} {
		if got := text(ask(t, v, query{name: "empty.gtm.test.", qtype: qtype})); got != "NOERROR aa / "+gtmSOA {
			t.Errorf("empty answers %s", got)
		}
	}
}

// A set of more addresses than any message holds answers with as many as do.
func TestMoreAddressesThanAMessage(t *testing.T) {
	var list []string
	for i := range 5000 {
		list = append(list, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String())
	}
	w := gtm(t)
	w.pools = append(w.pools, pool("huge", policy.TypeIPv4, policy.BalanceAll, list...))
	v := w.instance("huge.gtm.test.", access("Global", "global", set(policy.BalanceAll, "huge"))).build(t)
	m := ask(t, v, query{name: "huge.gtm.test.", qtype: dns.TypeA, turn: math.MaxUint64, subnet: "10.0.0.0/8"})
	if m.Truncated || len(m.Answer) != 65195/16 {
		t.Errorf("%d addresses, TC %v, want %d", len(m.Answer), m.Truncated, 65195/16)
	}
}

func TestNoAllocations(t *testing.T) {
	w := gtm(t)
	w.pools = append(w.pools, pool("weighted", policy.TypeIPv4, policy.BalanceWeight, "198.51.100.1*1", "198.51.100.2*3"))
	v := w.instance("all.gtm.test.", access("Global", "global", set(policy.BalanceAll, "four", "six"))).
		instance("weight.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "weighted"))).
		instance("groups.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "weighted", "four"))).
		instance("sticky.gtm.test.", access("Global", "global", set(policy.BalanceSticky, "four", "six"))).
		instance("name.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "names"))).
		instance("some.gtm.test.", access("Office", "office", set(policy.BalanceAll, "spare"))).build(t)
	for _, o := range []query{
		{name: "www.gtm.test.", qtype: dns.TypeA}, {name: "alias.gtm.test.", qtype: dns.TypeA}, {name: "missing.gtm.test.", qtype: dns.TypeA},
		{name: "ent.gtm.test.", qtype: dns.TypeA}, {name: "example.com.", qtype: dns.TypeA}, {name: "all.gtm.test.", qtype: dns.TypeA},
		{name: "all.gtm.test.", qtype: dns.TypeAAAA, subnet: "2001:db8::/48"}, {name: "all.gtm.test.", qtype: dns.TypeTXT},
		{name: "weight.gtm.test.", qtype: dns.TypeA}, {name: "groups.gtm.test.", qtype: dns.TypeA},
		{name: "sticky.gtm.test.", qtype: dns.TypeA, subnet: "10.0.0.0/8"}, {name: "sticky.gtm.test.", qtype: dns.TypeAAAA},
		{name: "name.gtm.test.", qtype: dns.TypeMX}, {name: "some.gtm.test.", qtype: dns.TypeA}, {name: "all.gtm.test.", qtype: dns.TypeA, limit: 60},
	} {
		packet, source, reply := o.packet(t), netip.MustParseAddr("203.0.113.1"), make([]byte, 0, 1232)
		limit := max(o.limit, 60)
		if o.limit == 0 {
			limit = 1232
		}
		var q wire.Query
		if n := testing.AllocsPerRun(100, func() {
			q.Decode(packet)
			hit := v.Lookup(&q, source)
			reply = hit.Append(reply[:0], &q, 1, 2, limit)
		}); n != 0 {
			t.Errorf("%s %s: %v allocations, want 0", o.name, dns.TypeToString[o.qtype], n)
		}
	}
}
