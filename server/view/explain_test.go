package view_test

import (
	"fmt"
	"log"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

func TestExplain(t *testing.T) {
	w := gtm(t)
	w.zones[0] = zone(t, "gtm.test.", staticZone)
	v := w.instance("geo.gtm.test.",
		access("Global", "global", set(policy.BalanceAll, "four")),
		access("Office", "office", set(policy.BalanceAll, "spare", "six"))).
		instance("sticky.gtm.test.", access("Global", "global", set(policy.BalanceSticky, "four"))).
		instance("some.gtm.test.", access("Office", "office", set(policy.BalanceAll, "spare"))).build(t)
	tests := []struct {
		question view.Question
		found    string
		answers  int
		client   string
		scope    int
		policy   int
		decided  bool
		block    bool
		matches  string
	}{
		{view.Question{Name: "geo.gtm.test", Type: dns.TypeA, Source: netip.MustParseAddr("192.0.2.1")},
			"access domain", 3, "192.0.2.1", 1, 0, true, true, "global"},
		{view.Question{Name: "geo.gtm.test.", Type: dns.TypeA, Subnet: netip.MustParsePrefix("10.1.2.3/24")},
			"access domain", 1, "10.1.2.0", 8, 1, true, true, "lab office global"},
		{view.Question{Name: "geo.gtm.test.", Type: dns.TypeAAAA, Subnet: netip.MustParsePrefix("2001:db8::/48")},
			"access domain", 2, "2001:db8::", 32, 1, true, true, "office global"},
		{view.Question{Name: "geo.gtm.test.", Type: dns.TypeAAAA, Source: netip.MustParseAddr("192.0.2.1")},
			"access domain", 0, "192.0.2.1", 1, -1, true, false, "global"},
		{view.Question{Name: "geo.gtm.test.", Type: dns.TypeTXT, Source: netip.MustParseAddr("192.0.2.1")},
			"access domain", 0, "192.0.2.1", 0, -1, false, false, ""},
		{view.Question{Name: "geo.gtm.test.", Type: dns.TypeA}, "access domain", 3, "invalid IP", 0, 0, true, true, "global"},
		{view.Question{Name: "sticky.gtm.test.", Type: dns.TypeA}, "access domain", 1, "invalid IP", 56, 0, true, true, "global"},
		{view.Question{Name: "www.g.test.", Type: dns.TypeA}, "outside every zone of this server", 0, "invalid IP", 0, -1, false, false, ""},
		{view.Question{Name: "www.gtm.test.", Type: dns.TypeA}, "static name", 3, "invalid IP", 0, -1, false, false, ""},
		{view.Question{Name: "ent.gtm.test.", Type: dns.TypeA}, "name without records, between names that have some", 0, "invalid IP", 0, -1, false, false, ""},
		{view.Question{Name: "x.wild.gtm.test.", Type: dns.TypeTXT}, "covered by a wildcard", 1, "invalid IP", 0, -1, false, false, ""},
		{view.Question{Name: "x.moved.gtm.test.", Type: dns.TypeMX}, "below a DNAME", 3, "invalid IP", 0, -1, false, false, ""},
		{view.Question{Name: "x.sub.gtm.test.", Type: dns.TypeA}, "at or below a delegation", 0, "invalid IP", 0, -1, false, false, ""},
		{view.Question{Name: "missing.gtm.test.", Type: dns.TypeA}, "name that does not exist", 0, "invalid IP", 0, -1, false, false, ""},
	}
	for _, test := range tests {
		e, err := v.Explain(test.question)
		if err != nil {
			t.Errorf("%v: %v", test.question, err)
			continue
		}
		var matches []string
		for _, match := range e.Matches {
			matches = append(matches, match.Selector.String())
		}
		if e.Found != test.found || len(e.Reply.Answer) != test.answers || e.Client.String() != test.client || e.Scope != test.scope ||
			e.Policy != test.policy || (e.Instance != nil) != test.decided || (e.Block != nil) != test.block || strings.Join(matches, " ") != test.matches {
			t.Errorf("%v: %+v, matches %v", test.question, e, matches)
		}
	}
	if _, err := v.Explain(view.Question{Name: "a..b"}); err == nil || err.Error() != `make a query for "a..b": dns: bad rdata` {
		t.Errorf("a name that is none: %v", err)
	}
}

// A view is built once, asked any number of times, and explains itself through the code that answers.
func Example() {
	soa, _ := dns.NewRR("gtm.example. 3600 IN SOA ns1.gtm.example. host.gtm.example. 1 7200 900 1209600 30")
	pool := policy.NewPool(policy.PoolOptions{Name: "test1", Type: policy.TypeIPv4, Balance: policy.BalanceAll,
		Addresses: []policy.AddressOptions{{Address: "192.0.2.1", Mode: policy.ModeOnline, Weight: 1}}}, nil)
	instance := policy.NewInstance(policy.InstanceOptions{Name: "cdn", AccessDomain: "origin.gtm.example.", TTL: 60,
		Policies: []policy.PolicyOptions{{Name: "Global", Sources: []string{"global"},
			Primary: policy.SetOptions{Pools: []policy.PoolRefOptions{{Pool: "test1", Weight: 1}}, Balance: policy.BalanceAll}}},
	}, map[string]*policy.Pool{"test1": pool})
	decision := policy.Decide(instance.Policies[0].Decided[policy.IPv4], policy.State{}, policy.Memory{}, time.Now())
	places, err := geo.Compile(geo.Input{})
	if err != nil {
		log.Fatal(err)
	}

	v, err := view.Build(view.Input{
		Generation: 1, Map: places, Zones: []view.Zone{{Name: "gtm.example.", Records: []dns.RR{soa}}},
		Instances: []view.Instance{{Instance: instance, Sources: [][]geo.Selector{{geo.Global}}, Decisions: [][2]*policy.Decision{{decision, nil}}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	e, err := v.Explain(view.Question{Name: "origin.gtm.example", Type: dns.TypeA})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Found)
	fmt.Println(e.Block.Decision.Why)
	fmt.Println(e.Reply.Answer[0])
	// Output:
	// access domain
	// normal
	// origin.gtm.example.	60	IN	A	192.0.2.1
}
