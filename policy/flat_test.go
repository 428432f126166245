package policy_test

import (
	"net/netip"
	"testing"
	"time"

	"gtmd/policy"
)

// flat is a domain pool of two names that answers with their addresses.
func flat(addresses map[string][]string) *policy.Pool {
	o := policy.PoolOptions{Name: "cdn", Type: policy.TypeDomain, Balance: policy.BalanceAll, Flatten: true, SlowStart: time.Minute,
		Addresses: []policy.AddressOptions{
			{Address: "a.example.net.", Mode: policy.ModeIntelligent, Weight: 2, Remark: "rack 1"},
			{Address: "b.example.net.", Mode: policy.ModeOnline, Weight: 3},
		}}
	return policy.NewFlatPool(o, func(a *policy.AddressOptions) []netip.Addr {
		var all []netip.Addr
		for _, text := range addresses[a.Address] {
			all = append(all, netip.MustParseAddr(text))
		}
		return all
	}, func(a *policy.AddressOptions, ip netip.Addr) []string {
		if a.Mode != policy.ModeIntelligent {
			panic("the targets of " + a.Address + " asked, which is not probed")
		}
		return []string{a.Address + ip.String()}
	})
}

func TestNewFlatPool(t *testing.T) {
	p := flat(map[string][]string{
		"a.example.net.": {"192.0.2.1", "2001:db8::1"},
		"b.example.net.": {"192.0.2.1", "192.0.2.2"},
	})
	shared := policy.Address{Name: "192.0.2.1", IP: netip.MustParseAddr("192.0.2.1"), Mode: policy.ModeIntelligent, Weight: 2,
		Remark: "rack 1", From: "a.example.net.", Targets: [][]string{{"a.example.net.192.0.2.1"}}, SlowStart: time.Minute}
	second := policy.Address{Name: "192.0.2.2", IP: netip.MustParseAddr("192.0.2.2"), Mode: policy.ModeOnline, Weight: 3,
		From: "b.example.net.", SlowStart: time.Minute}
	six := shared
	six.Name, six.IP, six.Targets = "2001:db8::1", netip.MustParseAddr("2001:db8::1"), [][]string{{"a.example.net.2001:db8::1"}}
	same(t, "IPv4", p.Flat[0], &policy.Pool{Name: "cdn", Type: policy.TypeIPv4, Balance: policy.BalanceAll, Addresses: []policy.Address{shared, second}})
	same(t, "IPv6", p.Flat[1], &policy.Pool{Name: "cdn", Type: policy.TypeIPv6, Balance: policy.BalanceAll, Addresses: []policy.Address{six}})
	same(t, "all", p.Addresses, []policy.Address{shared, second, six})
}

// TestFlatDecided: a flat pool is decided for each family by itself, and is no CNAME.
func TestFlatDecided(t *testing.T) {
	w := newWorld()
	w.pools["cdn"] = flat(map[string][]string{"a.example.net.": {"192.0.2.1", "2001:db8::1"}})
	w.pool("v", policy.TypeIPv4, policy.BalanceAll, "+", 1)
	w.pool("d", policy.TypeDomain, policy.BalanceWeight, "+", 1)
	in := policy.NewInstance(policy.InstanceOptions{TTL: 60, Policies: []policy.PolicyOptions{{
		Primary: policy.SetOptions{Balance: policy.BalanceAll, Pools: []policy.PoolRefOptions{{Pool: "cdn", Weight: 1}, {Pool: "v", Weight: 1}}},
	}}}, w.pools)
	equal(t, "decides together", in.Together, false)
	state := policy.State{Health: func(a *policy.Address) policy.Health { return policy.Up }}
	for f, want := range []string{"1 all: rack 1 v1", "1 all: rack 1"} {
		d := policy.Decide(in.Policies[0].Decided[f], state, policy.Memory{}, epoch)
		equal(t, policy.Family(f).String(), showAnswer(policy.Compose(d, policy.Family(f), nil)), want)
	}

	// Beside a set that answers with a CNAME there is one decision, for both forms together.
	in = policy.NewInstance(policy.InstanceOptions{TTL: 60, Policies: []policy.PolicyOptions{{
		Primary: policy.SetOptions{Balance: policy.BalanceAll, Pools: []policy.PoolRefOptions{{Pool: "cdn", Weight: 1}}},
		Backup:  []policy.SetOptions{{Balance: policy.BalanceWeight, Pools: []policy.PoolRefOptions{{Pool: "d", Weight: 1}}}},
	}}}, w.pools)
	equal(t, "decides together", in.Together, true)
	d := policy.Decide(in.Policies[0].Decided[policy.IPv6], state, policy.Memory{}, epoch)
	equal(t, "A", showAnswer(policy.Compose(d, policy.IPv4, nil)), "1 all: rack 1")
	equal(t, "AAAA", showAnswer(policy.Compose(d, policy.IPv6, nil)), "1 all: rack 1")
}

// TestFlatUnresolved: a pool of which no address is known yet is a set without addresses.
func TestFlatUnresolved(t *testing.T) {
	w := newWorld()
	w.pools["cdn"] = flat(nil)
	w.pool("v", policy.TypeIPv4, policy.BalanceAll, "+", 1)
	in := policy.NewInstance(policy.InstanceOptions{TTL: 60, Policies: []policy.PolicyOptions{{
		Primary: policy.SetOptions{Balance: policy.BalanceAll, Pools: []policy.PoolRefOptions{{Pool: "cdn", Weight: 1}}},
		Backup:  []policy.SetOptions{{Balance: policy.BalanceAll, Pools: []policy.PoolRefOptions{{Pool: "v", Weight: 1}}}},
	}}}, w.pools)
	d := policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{}, policy.Memory{}, epoch)
	equal(t, "IPv4", show(d, epoch), "backup, failover: v1")
	d = policy.Decide(in.Policies[0].Decided[policy.IPv6], policy.State{}, policy.Memory{}, epoch)
	equal(t, "IPv6", show(d, epoch), "nothing, empty")
}
