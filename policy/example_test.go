package policy_test

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"gtmd/policy"
)

// originInstance is the set-up of the quick start: pools test1 and test2, one policy for everybody with test1 as its
// primary and test2 as its backup.
func originInstance() *policy.Instance {
	pool := func(name string, addresses ...string) *policy.Pool {
		o := policy.PoolOptions{Name: name, Type: policy.TypeIPv4, Balance: policy.BalanceAll, HealthCheck: []string{"web"}}
		for _, a := range addresses {
			o.Addresses = append(o.Addresses, policy.AddressOptions{Address: a, Mode: policy.ModeIntelligent, Weight: 1})
		}
		return policy.NewPool(o, func(a *policy.AddressOptions) [][]string { return [][]string{{a.Address}} })
	}
	set := func(pool string) policy.SetOptions {
		return policy.SetOptions{
			Pools:        []policy.PoolRefOptions{{Pool: pool, Weight: 1}},
			Balance:      policy.BalanceAll,
			MinAvailable: policy.Count(1),
		}
	}
	return policy.NewInstance(policy.InstanceOptions{
		Name: "cdn-origin", AccessDomain: "origin.gtm.example.com.", TTL: 60,
		Policies: []policy.PolicyOptions{{
			Name: "Global", Sources: []string{"global"},
			Primary: set("test1"), Backup: []policy.SetOptions{set("test2")},
			FailbackDelay: 30 * time.Second,
		}},
	}, map[string]*policy.Pool{
		"test1": pool("test1", "192.0.2.1", "192.0.2.2"),
		"test2": pool("test2", "198.51.100.1"),
	})
}

// The origins of test1 fail one after the other and recover; a policy follows them.
func ExampleDecide() {
	p := originInstance().Policies[0].Decided[policy.IPv4]
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var memory policy.Memory
	for _, round := range []struct {
		second int
		down   []string
	}{
		{0, nil},
		{15, []string{"192.0.2.1"}},
		{30, []string{"192.0.2.1", "192.0.2.2"}},
		{60, nil},
		{90, nil},
		{120, []string{"192.0.2.1", "192.0.2.2", "198.51.100.1"}},
	} {
		health := func(a *policy.Address) policy.Health {
			for _, down := range round.down {
				if a.Targets[0][0] == down {
					return policy.Down
				}
			}
			return policy.Up
		}
		now := start.Add(time.Duration(round.second) * time.Second)
		d := policy.Decide(p, policy.State{Health: health}, memory, now)
		memory = d.Memory()

		fmt.Print(now.Format(time.TimeOnly), " ", d.InForce().Role, " (", d.Why, ")")
		for _, ref := range d.Serve {
			fmt.Print(" ", d.InForce().Members[ref.Member].Pool.Addresses[ref.Address].Name)
		}
		if !d.Until.IsZero() {
			fmt.Print(" until ", d.Until.Format(time.TimeOnly))
		}
		fmt.Println()
	}
	// Output:
	// 12:00:00 primary (normal) 192.0.2.1 192.0.2.2
	// 12:00:15 primary (normal) 192.0.2.2
	// 12:00:30 backup (failover) 198.51.100.1
	// 12:01:00 backup (failback waits) 198.51.100.1 until 12:01:30
	// 12:01:30 primary (normal) 192.0.2.1 192.0.2.2
	// 12:02:00 primary (fail open) 192.0.2.1 192.0.2.2
}

// What the policy returns to a question for an A record while one origin of test1 is down.
func ExampleCompose() {
	p := originInstance().Policies[0].Decided[policy.IPv4]
	health := func(a *policy.Address) policy.Health {
		if a.Targets[0][0] == "192.0.2.1" {
			return policy.Down
		}
		return policy.Up
	}
	d := policy.Decide(p, policy.State{Health: health}, policy.Memory{}, time.Now())
	for _, group := range policy.Compose(d, policy.IPv4, nil).Groups {
		fmt.Print(group.Balance)
		for _, r := range group.Records {
			fmt.Print(" ", r.Address.IP)
		}
		fmt.Println()
	}
	// Output: all 192.0.2.2
}

// Three addresses of weights 1, 2 and 1: the running sums cut the range of random numbers in the same proportion.
func ExamplePickWeight() {
	sums := []uint64{1, 3, 4}
	for _, random := range []uint64{0, math.MaxUint64 / 2, math.MaxUint64} {
		fmt.Print(policy.PickWeight(sums, random), " ")
	}
	// Output: 0 1 2
}

// All clients of one network get the same address.
func ExamplePickSticky() {
	seeds := []uint64{policy.HashName("192.0.2.1"), policy.HashName("192.0.2.2")}
	weights := []float64{1, 1}
	for _, client := range []string{"203.0.113.7", "203.0.113.250"} {
		network := policy.HashNetwork(netip.MustParseAddr(client))
		fmt.Print(policy.PickSticky(network, seeds, weights), " ")
	}
	// Output: 0 0
}
