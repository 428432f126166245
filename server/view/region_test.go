package view

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
)

// Instances whose clients are told apart alike share regions and plan, the others do not, and a policy that does not look at
// how far pools are has one region.
func TestRegionsAreShared(t *testing.T) {
	lines := []geo.LineOptions{{Name: "a"}, {Name: "b"}}
	a, err := geo.ParseSelector("a", lines, nil)
	if err != nil {
		t.Fatal(err)
	}
	pools := map[string]*policy.Pool{}
	for i, name := range []string{"x", "y", "z"} {
		pools[name] = policy.NewPool(policy.PoolOptions{Name: name, Type: policy.TypeIPv4, Balance: policy.BalanceAll,
			Addresses: []policy.AddressOptions{{Address: "192.0.2.1", Mode: policy.ModeOnline, Weight: 1}}}, nil)
		if i < 2 {
			located := *pools[name]
			located.Name, located.Location = "l"+name, &policy.Location{Latitude: float64(i)}
			pools[located.Name] = &located
		}
	}
	input := Input{Zones: []Zone{{Name: "gtm.test."}}}
	soa, err := dns.NewRR("gtm.test. 60 IN SOA ns1 host 1 2 3 4 5")
	if err != nil {
		t.Fatal(err)
	}
	input.Zones[0].Records = []dns.RR{soa}
	if input.Map, err = geo.Compile(geo.Input{Lines: lines, Places: true}); err != nil {
		t.Fatal(err)
	}
	// add adds an instance with a policy for line a and the global one, each with a balance and its pools.
	add := func(rows []Latency, balanceA, balanceGlobal policy.Balance, poolsA, poolsGlobal [2]string) {
		o := policy.InstanceOptions{Name: "i", AccessDomain: string(rune('a'+len(input.Instances))) + ".gtm.test.", TTL: 60}
		for _, p := range []struct {
			source  string
			balance policy.Balance
			pools   [2]string
		}{{"a", balanceA, poolsA}, {"global", balanceGlobal, poolsGlobal}} {
			members := []policy.PoolRefOptions{{Pool: p.pools[0], Weight: 1}, {Pool: p.pools[1], Weight: 1}}
			o.Policies = append(o.Policies, policy.PolicyOptions{Name: p.source, Sources: []string{p.source}, Switch: policy.SwitchAuto,
				Primary: policy.SetOptions{Balance: p.balance, Pools: members}})
		}
		in := Instance{Instance: policy.NewInstance(o, pools), Sources: [][]geo.Selector{{a}, {geo.Global}}, Latency: rows}
		for _, p := range in.Policies {
			decision := policy.Decide(p.Decided[policy.IPv4], policy.State{}, policy.Memory{}, time.Unix(1e9, 0))
			in.Decisions = append(in.Decisions, [2]*policy.Decision{decision})
		}
		input.Instances = append(input.Instances, in)
	}
	xy, yz, located := [2]string{"x", "y"}, [2]string{"y", "z"}, [2]string{"lx", "ly"}
	const all, near, fast = policy.BalanceAll, policy.BalanceNearest, policy.BalanceLatency
	rows := []Latency{{geo.Global, "x", 1}, {a, "y", 2}}
	add(nil, all, all, xy, yz)                               // 0
	add(nil, all, all, yz, xy)                               // 1: 0
	add(nil, near, all, located, xy)                         // 2
	add(nil, near, all, located, located)                    // 3: 2
	add(nil, all, near, located, located)                    // 4
	add(nil, near, all, [2]string{"ly", "lx"}, located)      // 5
	add(rows, fast, fast, xy, yz)                            // 6
	add([]Latency{rows[0], rows[1]}, fast, fast, xy, yz)     // 7: 6
	add(rows, fast, fast, yz, xy)                            // 8
	add(rows[:1], fast, fast, xy, yz)                        // 9
	add([]Latency{rows[0], {a, "y", 3}}, fast, fast, xy, yz) // 10
	v, err := Build(input)
	if err != nil {
		t.Fatal(err)
	}
	like := []int{0, 0, 2, 2, 4, 5, 6, 6, 8, 9, 10}
	for i := range v.accesses {
		for j := range i {
			if got := v.accesses[i].regions[policy.IPv4] == v.accesses[j].regions[policy.IPv4]; got != (like[i] == like[j]) {
				t.Errorf("instances %d and %d share their regions: %v", i, j, got)
			}
		}
	}
	if r := v.accesses[0].regions[policy.IPv4]; len(r.list) != 2 || r.more != nil {
		t.Errorf("two policies that do not look at how far pools are: regions %v, more %v", r.list, r.more)
	}
	if v.accesses[0].regions[policy.IPv6] != nil {
		t.Error("regions for a family without pools")
	}
}
