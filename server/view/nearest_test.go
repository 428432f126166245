package view_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

var (
	tokyo     = geo.Coordinates{Latitude: 35.69, Longitude: 139.69}
	seoul     = geo.Coordinates{Latitude: 37.57, Longitude: 126.98}
	frankfurt = geo.Coordinates{Latitude: 50.11, Longitude: 8.68}
	paris     = geo.Coordinates{Latitude: 48.86, Longitude: 2.35}
	ashburn   = geo.Coordinates{Latitude: 39.04, Longitude: -77.49}
	newYork   = geo.Coordinates{Latitude: 40.71, Longitude: -74.01}
	moscow    = geo.Coordinates{Latitude: 55.75, Longitude: 37.62}
	accra     = geo.Coordinates{Latitude: 5.56, Longitude: -0.2}
)

// globe is a world with clients and pools all over the Earth, and nothing of which the place is known in 8.0.0.0/8.
func globe(tb testing.TB) *world {
	w := gtm(tb)
	w.lines = append(w.lines, lines("seoul-lab", "4.1.0.0/16")...)
	w.databases = []*geo.Database{database(tb,
		spot{"4.0.0.0/8", "KR", &seoul}, spot{"5.0.0.0/8", "JP", &tokyo}, spot{"6.0.0.0/8", "FR", &paris},
		spot{"7.0.0.0/8", "US", &newYork}, spot{"8.0.0.0/8", "", nil}, spot{"9.0.0.0/8", "GH", &accra},
		spot{"12.0.0.0/8", "RU", &moscow}, spot{"2400::/12", "JP", &tokyo}, spot{"2a00::/12", "FR", &paris},
	)}
	w.pools = append(w.pools,
		at(pool("us", policy.TypeIPv4, policy.BalanceAll, "198.51.100.10"), ashburn.Latitude, ashburn.Longitude),
		at(pool("de", policy.TypeIPv4, policy.BalanceAll, "198.51.100.20", "198.51.100.21"), frankfurt.Latitude, frankfurt.Longitude),
		at(pool("de2", policy.TypeIPv4, policy.BalanceAll, "198.51.100.25"), frankfurt.Latitude, frankfurt.Longitude),
		at(pool("jp", policy.TypeIPv4, policy.BalanceAll, "198.51.100.30"), tokyo.Latitude, tokyo.Longitude),
		pool("nowhere", policy.TypeIPv4, policy.BalanceAll, "198.51.100.40"),
		at(pool("de6", policy.TypeIPv6, policy.BalanceAll, "2001:db8::20"), frankfurt.Latitude, frankfurt.Longitude),
		at(pool("jp6", policy.TypeIPv6, policy.BalanceAll, "2001:db8::30"), tokyo.Latitude, tokyo.Longitude),
		policy.NewPool(policy.PoolOptions{Name: "off-names", Type: policy.TypeDomain, Balance: policy.BalanceWeight,
			Addresses: []policy.AddressOptions{{Address: "off.example.net.", Mode: policy.ModeOffline}}}, nil),
		at(pool("de-name", policy.TypeDomain, policy.BalanceWeight, "de.example.net."), frankfurt.Latitude, frankfurt.Longitude),
		at(pool("jp-name", policy.TypeDomain, policy.BalanceWeight, "jp.example.net."), tokyo.Latitude, tokyo.Longitude),
	)
	return w
}

// TestNearest has the row "nearest" of BEHAVIOUR.md section 4, with the scope of section 5. By distance the order of the
// pools is for Seoul and Tokyo jp de us, for Paris and Accra de us jp, for New York us
// de jp, for Moscow de jp us.
func TestNearest(t *testing.T) {
	w := globe(t)
	near := func(pools ...string) policy.PolicyOptions {
		return access("Global", "global", set(policy.BalanceNearest, pools...))
	}
	four := set(policy.BalanceNearest, "us", "de", "jp")
	if err := four.MinAvailable.UnmarshalText([]byte("4")); err != nil {
		t.Fatal(err)
	}
	w.instance("three.gtm.test.", near("us", "de", "jp", "de6", "jp6")).
		instance("twins.gtm.test.", near("us", "de", "de2*3", "jp")).
		instance("zero.gtm.test.", near("us", "de*0", "jp")).
		instance("europe.gtm.test.", access("Global", "global", set(policy.BalanceAll, "spare")),
			access("Europe", "country:FR country:RU", set(policy.BalanceNearest, "us", "de*0", "jp"))).
		instance("part.gtm.test.", near("nowhere", "jp")).
		instance("one.gtm.test.", near("de")).
		instance("same.gtm.test.", near("de", "de2")).
		instance("name.gtm.test.", near("jp-name", "de-name")).
		instance("backup.gtm.test.", access("Global", "global", four, set(policy.BalanceAll, "spare"))).
		instance("mixed.gtm.test.", near("us", "de", "jp"), access("Office", "office", set(policy.BalanceWeight, "names"))).
		instance("both.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "off-names"), set(policy.BalanceNearest, "us", "jp", "de6"))).
		instance("weightless.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "off-names"), set(policy.BalanceNearest, "us", "de6*0", "jp6*0"))).
		instance("table.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "names")), access("Office", "office", set(policy.BalanceAll, "us"))).
		instance("office.gtm.test.", near("us", "de", "jp"), access("Office", "office seoul-lab country:FR", set(policy.BalanceAll, "spare")))
	const us, de, jp = "198.51.100.10", "198.51.100.20 198.51.100.21", "198.51.100.30"
	tests := []struct {
		id     string
		down   string
		name   string
		qtype  uint16
		subnet string
		want   string
		scope  int
	}{
		// Seoul and Tokyo have the same order, so 4.0.0.0/8 and 5.0.0.0/8 are one network.
		{"Seoul", "", "three", dns.TypeA, "4.9.0.0/16", jp, 7},
		{"Tokyo", "", "three", dns.TypeA, "5.9.0.0/16", jp, 7},
		{"Paris", "", "three", dns.TypeA, "6.9.0.0/16", de, 8},
		{"New York", "", "three", dns.TypeA, "7.9.0.0/16", us, 8},
		{"Accra", "", "three", dns.TypeA, "9.9.0.0/16", de, 8},
		{"a network without a place: the order of the set, though (0, 0) is nearest to Frankfurt", "", "three", dns.TypeA, "8.9.0.0/16", us, 8},
		{"a network that is not in the database", "", "three", dns.TypeA, "200.0.0.0/16", us, 1},
		{"New York and the unknown differ behind the first: us de jp is both", "", "three", dns.TypeA, "11.9.0.0/16", us, 7},
		{"Tokyo, AAAA", "", "three", dns.TypeAAAA, "5.9.0.0/16", "2001:db8::30", 7},
		{"Tokyo, IPv6", "", "three", dns.TypeA, "2400:1::/32", jp, 12},
		{"Paris, IPv6, AAAA", "", "three", dns.TypeAAAA, "2a00:1::/32", "2001:db8::20", 5},
		{"NAT64", "", "three", dns.TypeA, "64:ff9b::5.6.7.8/128", jp, 96 + 7},
		{"jp down: the next", jp, "three", dns.TypeA, "5.9.0.0/16", de, 7},
		{"jp and de down: the last", jp + " " + de, "three", dns.TypeA, "5.9.0.0/16", us, 7},
		{"one of two of de down", "198.51.100.20", "three", dns.TypeA, "6.9.0.0/16", "198.51.100.21", 8},
		{"fail open: every address, wherever the client is", us + " " + de + " " + jp, "three", dns.TypeA, "5.9.0.0/16", us + " " + de + " " + jp, 7},
		{"a tie: one pool by weight, this draw the first", "", "twins", dns.TypeA, "6.9.0.0/16", de, 8},
		{"a tie with one of it down", de, "twins", dns.TypeA, "6.9.0.0/16", "198.51.100.25", 8},
		// Paris, New York and the unknown all have us before jp.
		{"weight 0 is never nearest", "", "zero", dns.TypeA, "6.9.0.0/16", us, 7},
		{"nor here, where what is behind it is another one", "", "zero", dns.TypeA, "12.9.0.0/16", jp, 8},
		{"in a policy whose clients all have it nearest: Paris", "", "europe", dns.TypeA, "6.9.0.0/16", us, 8},
		{"and Moscow", "", "europe", dns.TypeA, "12.9.0.0/16", jp, 8},
		{"unless nothing else is left", us + " " + jp, "zero", dns.TypeA, "6.9.0.0/16", de, 7},
		// Wherever the client is, as long as that is known.
		{"a pool without a location comes last", "", "part", dns.TypeA, "6.9.0.0/16", jp, 6},
		{"but first in the order of the set", "", "part", dns.TypeA, "8.9.0.0/16", "198.51.100.40", 8},
		{"one pool: nothing to tell apart", "", "one", dns.TypeA, "6.9.0.0/16", de, 0},
		// With a known place the two are a tie, else the first in order.
		{"pools of one place, a known client", "", "same", dns.TypeA, "6.9.0.0/16", de, 6},
		{"domain set", "", "name", dns.TypeA, "6.9.0.0/16", "de.example.net.", 7},
		{"domain set, CNAME for every type", "", "name", dns.TypeTXT, "5.9.0.0/16", "jp.example.net.", 7},
		{"the set is not available: backup, but the scope stays", "198.51.100.20", "backup", dns.TypeA, "5.9.0.0/16", "198.51.100.9", 7},
		{"Together: nearest beside a domain set", "", "mixed", dns.TypeA, "5.9.0.0/16", jp, 7},
		{"Together: the domain set", "", "mixed", dns.TypeAAAA, "10.2.0.0/16", "cdn.example.net.", 8},
		{"Together: in a set of both families each has its own", "", "both", dns.TypeA, "5.9.0.0/16", jp, 7},
		{"Together: and one pool of a family is not told from others", "", "both", dns.TypeAAAA, "5.9.0.0/16", "2001:db8::20", 0},
		{"Together: pools of the other family are no contenders, whatever their weight", "", "weightless", dns.TypeAAAA, "5.9.0.0/16", "2001:db8::30", 7},
		{"Together: the policy of a line without pools of the family keeps its clients from a domain set", "", "table", dns.TypeAAAA, "10.2.0.0/16", "", 8},
		{"Together: which others have", "", "table", dns.TypeAAAA, "5.9.0.0/16", "cdn.example.net.", 5},
		{"a policy without nearest has one region: line and country are one", "", "office", dns.TypeA, "4.1.9.0/24", "198.51.100.9", 16},
		{"and cuts into the regions of the other", "", "office", dns.TypeA, "4.9.0.0/16", jp, 13},
		{"by country", "", "office", dns.TypeA, "6.9.0.0/16", "198.51.100.9", 8},
	}
	for _, test := range tests {
		w.down = strings.Fields(test.down)
		m := ask(t, w.build(t), query{name: test.name + ".gtm.test.", qtype: test.qtype, subnet: test.subnet})
		if got := strings.Join(addresses(m), " "); got != test.want || scope(m) != test.scope {
			t.Errorf("%s: %q, scope %d, want %q, %d", test.id, got, scope(m), test.want, test.scope)
		}
	}
	w.down = nil
	// A tie is shared by weight, and each pool of it answers as its own balance says.
	v, replies := w.build(t), map[string]int{}
	for i := range uint64(10_000) {
		m := ask(t, v, query{name: "twins.gtm.test.", qtype: dns.TypeA, subnet: "6.0.0.0/8", random: i * golden})
		replies[strings.Join(addresses(m), " ")]++
	}
	if n := replies["198.51.100.25"]; n < 7_400 || n > 7_600 || n+replies[de] != 10_000 {
		t.Errorf("de has 1 and de2 3 parts of the weight, and the answers are %v", replies)
	}
}

// A policy that falls through answers as near to the client as the global one would.
func TestNearestFallThrough(t *testing.T) {
	w := globe(t)
	asia := access("Asia", "country:JP country:KR country:FR", set(policy.BalanceAll, "spare"))
	asia.FallThrough = true
	w.instance("x.gtm.test.", access("Global", "global", set(policy.BalanceNearest, "us", "de", "jp")), asia)
	for _, test := range []struct {
		down, subnet, want string
		scope              int
	}{
		{"", "4.0.0.0/16", "198.51.100.9", 7},
		{"", "6.0.0.0/16", "198.51.100.9", 8}, // it would get something else
		{"198.51.100.9", "4.0.0.0/16", "198.51.100.30", 7},
		{"198.51.100.9", "6.0.0.0/16", "198.51.100.20 198.51.100.21", 8},
		{"198.51.100.9 198.51.100.30", "4.0.0.0/16", "198.51.100.20 198.51.100.21", 7},
	} {
		w.down = strings.Fields(test.down)
		v := w.build(t)
		m := ask(t, v, query{name: "x.gtm.test.", qtype: dns.TypeA, subnet: test.subnet})
		if got := strings.Join(addresses(m), " "); got != test.want || scope(m) != test.scope {
			t.Errorf("%q down, %s: %q, scope %d, want %q, %d", test.down, test.subnet, got, scope(m), test.want, test.scope)
		}
		e, err := v.Explain(view.Question{Name: "x.gtm.test.", Type: dns.TypeA, Subnet: netip.MustParsePrefix(test.subnet)})
		if err != nil {
			t.Fatal(err)
		}
		answering := 0
		if test.down == "" {
			answering = 1
		}
		if e.Policy != 1 || e.Block.Answering != answering || len(e.Costs) != 3 {
			t.Errorf("%q down, %s: policy %d, answering %d, costs %v", test.down, test.subnet, e.Policy, e.Block.Answering, e.Costs)
		}
	}
}

// TestLatency has the rules of access_policy_type = "latency": of the most specific source that has a row for the pool, else
// the round-trip time of this server, else unknown and last.
func TestLatency(t *testing.T) {
	w := globe(t)
	w.row(t, "country:KR", "jp", 30).row(t, "country:KR", "us", 20).row(t, "seoul-lab", "jp", 10).
		row(t, "global", "jp", 90).row(t, "country:FR", "de", 15).row(t, "country:FR", "us", 15).row(t, "country:JP", "de", 15).
		row(t, "country:JP", "us", 15).row(t, "country:GH", "us", 15).row(t, "country:GH", "de", 50).row(t, "country:FR", "jp-name", 50).row(t, "country:FR", "de-name", 20)
	two, three := set(policy.BalanceLatency, "us", "de", "jp"), set(policy.BalanceLatency, "us", "de", "jp")
	two.MaxAnswers, three.MaxAnswers = 2, 3
	fast := func(pools ...string) policy.PolicyOptions {
		return access("Global", "global", set(policy.BalanceLatency, pools...))
	}
	w.instance("three.gtm.test.", fast("us", "de", "jp")).
		instance("two-of-three.gtm.test.", access("Global", "global", two)).
		instance("three-of-three.gtm.test.", access("Global", "global", three)).
		instance("one.gtm.test.", fast("jp")).
		instance("name.gtm.test.", fast("jp-name", "de-name")).
		instance("lab.gtm.test.", fast("us", "de", "jp"),
			access("Lab", "seoul-lab", set(policy.BalanceLatency, "spare"), set(policy.BalanceLatency, "jp", "us")))
	const us, de, jp = "198.51.100.10", "198.51.100.20 198.51.100.21", "198.51.100.30"
	tests := []struct {
		id     string
		rtt    map[string]uint32
		down   string
		name   string
		subnet string
		want   string
		scope  int
	}{
		{"by country: us 20, jp 30, de unknown", nil, "", "three", "4.9.0.0/16", us, 13},
		{"the line is more specific: jp 10, and of us the country", nil, "", "three", "4.1.0.0/24", jp, 16},
		{"this server's own time: de 5", map[string]uint32{"de": 5, "jp": 1, "us": 1}, "", "three", "4.9.0.0/16", "198.51.100.20", 13},
		{"it does not count where the table tells: jp 90", map[string]uint32{"jp": 1, "us": 50}, "", "three", "8.9.0.0/16", us, 8},
		{"global row only: jp 90, others unknown", nil, "", "three", "8.9.0.0/16", jp, 8},
		// All are known, and the order is the same in the two countries: a tie of us and de, then jp.
		{"France: de and us 15, jp 90; one address of the tie", nil, "", "three", "6.9.0.0/16", us, 8},
		{"the tie without us", nil, us, "three", "6.9.0.0/16", "198.51.100.20", 8},
		{"jp alone is up", nil, us + " " + de, "three", "6.9.0.0/16", jp, 8},
		{"fail open: every address", nil, us + " " + de + " " + jp, "three", "6.9.0.0/16", us + " " + de + " " + jp, 8},
		{"fail open: max_answers 2", nil, us + " " + de + " " + jp, "two-of-three", "6.9.0.0/16", "198.51.100.10 198.51.100.20", 8},
		{"max_answers 2 of a tie of three", nil, "", "two-of-three", "6.9.0.0/16", "198.51.100.10 198.51.100.20", 8},
		{"max_answers 2, no tie: the next", nil, "", "two-of-three", "4.9.0.0/16", us + " " + jp, 13},
		{"max_answers 3 of four", nil, "", "three-of-three", "4.9.0.0/16", us + " " + jp + " 198.51.100.20", 13},
		{"the same first, but then another", nil, "", "three-of-three", "9.9.0.0/16", us + " " + de, 8},
		{"max_answers 3, two are left", nil, de, "three-of-three", "4.9.0.0/16", us + " " + jp, 13},
		{"one pool: nothing to tell apart", nil, "", "one", "4.9.0.0/16", jp, 0},
		{"domain set", nil, "", "name", "6.9.0.0/16", "de.example.net.", 8},
		{"domain set, by this server's own times", map[string]uint32{"jp-name": 9, "de-name": 8}, "", "name", "5.9.0.0/16", "de.example.net.", 7},
		{"the backup of a line's policy chooses by latency too", nil, "198.51.100.9", "lab", "4.1.0.0/24", jp, 16},
		{"its primary", nil, "", "lab", "4.1.0.0/24", "198.51.100.9", 16},
	}
	for _, test := range tests {
		w.down, w.rtt = strings.Fields(test.down), test.rtt
		m := ask(t, w.build(t), query{name: test.name + ".gtm.test.", qtype: dns.TypeA, subnet: test.subnet})
		if got := strings.Join(addresses(m), " "); got != test.want || scope(m) != test.scope {
			t.Errorf("%s: %q, scope %d, want %q, %d", test.id, got, scope(m), test.want, test.scope)
		}
	}
}

// Replace packs every region of a slot anew, from other decisions and from other round-trip times, and leaves the plan alone.
func TestReplaceRegions(t *testing.T) {
	w := globe(t)
	w.row(t, "country:KR", "us", 20)
	w.instance("near.gtm.test.", access("Global", "global", set(policy.BalanceNearest, "us", "de", "jp"))).
		instance("fast.gtm.test.", access("Global", "global", set(policy.BalanceLatency, "us", "jp")))
	old := w.build(t)
	w.down, w.rtt = []string{"198.51.100.30"}, map[string]uint32{"us": 8, "jp": 9}
	near := old.Replace(2, w.compiled(t), []view.Slot{{Instance: 0}}, nil)
	w.down = nil
	fast := old.Replace(2, w.compiled(t), []view.Slot{{Instance: 1}}, nil)
	w.rtt = map[string]uint32{"us": 8, "jp": 4}
	faster := fast.Replace(3, w.compiled(t), []view.Slot{{Instance: 1}}, nil)
	tests := []struct {
		name, subnet string
		scope        int
		want         []string // by old, near, fast, faster
	}{
		{"near", "5.0.0.0/16", 7, []string{"198.51.100.30", "198.51.100.20", "198.51.100.30", "198.51.100.30"}},
		{"near", "6.0.0.0/16", 8, []string{"198.51.100.20", "198.51.100.20", "198.51.100.20", "198.51.100.20"}},
		{"near", "7.0.0.0/16", 8, []string{"198.51.100.10", "198.51.100.10", "198.51.100.10", "198.51.100.10"}},
		{"fast", "4.0.0.0/16", 8, []string{"198.51.100.10", "198.51.100.10", "198.51.100.30", "198.51.100.30"}},
		{"fast", "5.0.0.0/16", 8, []string{"198.51.100.10", "198.51.100.10", "198.51.100.10", "198.51.100.30"}},
	}
	for _, test := range tests {
		for i, v := range []*view.View{old, near, fast, faster} {
			m := ask(t, v, query{name: test.name + ".gtm.test.", qtype: dns.TypeA, subnet: test.subnet})
			if got := addresses(m)[0]; got != test.want[i] || scope(m) != test.scope {
				t.Errorf("%s from %s in view %d: %s, scope %d, want %s, %d", test.name, test.subnet, i, got, scope(m), test.want[i], test.scope)
			}
		}
	}
}

// Regions in which the same pools answer share a block, and a counter.
func TestRegionsShareBlocks(t *testing.T) {
	w := globe(t)
	var keys []view.CounterKey
	w.counter = func(key view.CounterKey) int {
		if key.Policy == "" {
			return -1
		}
		keys = append(keys, key)
		return slices.Index(slices.Compact(slices.Clone(keys)), key)
	}
	v := w.instance("near.gtm.test.", access("Global", "global", set(policy.BalanceNearest, "us", "de", "jp"))).build(t)
	paris, accra, seoul := block(t, v, "near.gtm.test.", dns.TypeA, "6.0.0.1"), block(t, v, "near.gtm.test.", dns.TypeA, "9.0.0.1"),
		block(t, v, "near.gtm.test.", dns.TypeA, "4.0.0.1")
	if paris != accra || paris == seoul {
		t.Errorf("blocks of Paris %p, Accra %p, Seoul %p: want the first two to be one", paris, accra, seoul)
	}
	if len(slices.Compact(keys)) != 1 || keys[0] != (view.CounterKey{Instance: "near", Policy: "Global", Family: policy.IPv4, Set: "primary"}) {
		t.Errorf("counters %v, want one key", keys)
	}
}

func TestExplainCosts(t *testing.T) {
	w := globe(t)
	w.row(t, "country:KR", "us", 20).row(t, "seoul-lab", "jp", 10).row(t, "global", "de", 70)
	w.rtt = map[string]uint32{"de": 5, "spare": 6}
	w.instance("near.gtm.test.", access("Global", "global", set(policy.BalanceNearest, "us", "de", "nowhere"))).
		instance("fast.gtm.test.", access("Global", "global", set(policy.BalanceLatency, "us", "de"), set(policy.BalanceLatency, "jp", "spare"))).
		instance("plain.gtm.test.", access("Global", "global", set(policy.BalanceAll, "us", "de")))
	v := w.build(t)
	for _, test := range []struct {
		name, client string
		place        string
		costs        policy.Costs
		rows         string
	}{
		// On a sphere of radius 6371.0088 km, by the arc cosine of the scalar product: 11136.5 and 8549.6 km.
		{"near", "4.0.0.1", "37.57 126.98", policy.Costs{"us": 11137, "de": 8550}, ""},
		// Tokyo is in the region of Seoul; what is told is of Tokyo: 10871.2 and 9332.0 km.
		{"near", "5.0.0.1", "35.69 139.69", policy.Costs{"us": 10871, "de": 9332}, ""},
		{"near", "8.0.0.1", "", policy.Costs{}, ""},
		{"fast", "4.0.0.1", "37.57 126.98", policy.Costs{"us": 20, "de": 70, "spare": 6}, "de global, us country:KR"},
		{"fast", "4.1.0.1", "37.57 126.98", policy.Costs{"us": 20, "de": 70, "jp": 10, "spare": 6}, "de global, jp seoul-lab, us country:KR"},
		{"fast", "8.0.0.1", "", policy.Costs{"de": 70, "spare": 6}, "de global"},
		{"plain", "4.0.0.1", "37.57 126.98", nil, ""},
	} {
		e, err := v.Explain(view.Question{Name: test.name + ".gtm.test.", Type: dns.TypeA, Source: netip.MustParseAddr(test.client)})
		if err != nil {
			t.Fatal(err)
		}
		place, rows := "", []string{}
		if e.Place != nil {
			place = fmt.Sprint(e.Place.Latitude, " ", e.Place.Longitude)
		}
		for _, pool := range slices.Sorted(maps.Keys(e.Rows)) {
			rows = append(rows, pool+" "+e.Rows[pool].String())
		}
		if place != test.place || !maps.Equal(e.Costs, test.costs) || (e.Costs == nil) != (test.costs == nil) || strings.Join(rows, ", ") != test.rows {
			t.Errorf("%s from %s: place %q, costs %v, rows %q, want %q, %v, %q", test.name, test.client, place, e.Costs, rows, test.place, test.costs, test.rows)
		}
	}
}
