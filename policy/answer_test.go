package policy_test

import (
	"testing"

	"gtmd/policy"
)

// member is a pool of a set: its name, weight and balance, and the states and weights of its addresses.
type member struct {
	name    string
	weight  int
	balance policy.Balance
	states  string
}

// compose decides a policy of one set and composes its answer to questions of kind's family, or A for domain pools.
func compose(kind policy.PoolType, set policy.SetOptions, members []member) policy.Answer {
	w := newWorld()
	for _, m := range members {
		w.pool(m.name, kind, m.balance, m.states, 1)
		set.Pools = append(set.Pools, policy.PoolRefOptions{Pool: m.name, Weight: m.weight})
	}
	in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{{Primary: set}}}, w.pools)
	f := policy.IPv4
	if kind == policy.TypeIPv6 {
		f = policy.IPv6
	}
	return policy.Compose(policy.Decide(in.Policies[0].Decided[f], policy.State{Health: w.of}, policy.Memory{}, epoch), f, nil)
}

// TestCompose is section 4 of BEHAVIOUR.md, for both families of addresses.
func TestCompose(t *testing.T) {
	const (
		all, weight, sequence, sticky = policy.BalanceAll, policy.BalanceWeight, policy.BalanceSequence, policy.BalanceSticky
	)
	for _, row := range []struct {
		name    string
		balance policy.Balance
		max     int
		members []member
		want    string
	}{
		{"all, pools all", all, 0, []member{{"a", 1, all, "++"}, {"b", 1, all, "+"}}, "1 all: a1 a2 b1"},
		{"all, pools of every balance", all, 0,
			[]member{{"a", 1, weight, "++"}, {"b", 1, sequence, "++"}, {"c", 1, sticky, "++"}}, "1 all: a1 a2 b1 b2 c1 c2"},
		{"all, only what is available", all, 0, []member{{"a", 1, all, "+-x?o."}, {"b", 1, all, "-"}}, "1 all: a1 a4 a5 a6"},
		{"all, weights do not count", all, 0, []member{{"a", 0, all, "+0 +5"}, {"b", 9, all, "+"}}, "1 all: a1 a2 b1"},
		{"all, max_answers", all, 2, []member{{"a", 1, all, "+++"}}, "1 all max 2: a1 a2 a3"},

		{"weight, pools weight", weight, 0, []member{{"a", 2, weight, "+3 +5"}, {"b", 7, weight, "+11"}},
			"1 weight: a1*6 a2*10 b1*77"},
		{"weight, over what is available", weight, 0, []member{{"a", 2, weight, "-3 +5"}, {"b", 7, weight, "-11"}}, "1 weight: a2*10"},
		{"weight, largest weights", weight, 0, []member{{"a", 1_000_000, weight, "+1000000"}, {"b", 1, weight, "+1"}},
			"1 weight: a1*1000000000000 b1*1"},
		{"weight, some addresses 0", weight, 0, []member{{"a", 1, weight, "+0 +2"}, {"b", 1, weight, "+0"}}, "1 weight: a2*2"},
		{"weight, a pool 0", weight, 0, []member{{"a", 0, weight, "+3 +5"}, {"b", 1, weight, "+2"}}, "1 weight: b1*2"},
		{"weight, 0 is all that is left", weight, 0, []member{{"a", 1, weight, "+0 -2"}, {"b", 0, weight, "+9"}},
			"1 weight: a1*1 b1*1"},

		{"weight, pools all", weight, 0, []member{{"a", 2, all, "+3 +5"}, {"b", 7, all, "+11"}}, "2 all: a1 a2 | 7 all: b1"},
		{"weight, a pool all and a pool weight", weight, 0, []member{{"a", 2, all, "+3 +5"}, {"b", 7, weight, "+3 +5"}},
			"2 all: a1 a2 | 7 weight: b1*3 b2*5"},
		{"weight, pools sequence and sticky", weight, 0, []member{{"a", 2, sequence, "-+"}, {"b", 3, sticky, "+3 +5 -"}},
			"2 all: a2 | 3 sticky: b1*3 b2*5"},
		{"weight, a pool down", weight, 0, []member{{"a", 2, all, "--"}, {"b", 7, all, "+"}}, "7 all: b1"},
		{"weight, a pool all of 0", weight, 0, []member{{"a", 0, all, "+"}, {"b", 7, all, "+"}}, "7 all: b1"},
		{"weight, pools all of 0", weight, 0, []member{{"a", 0, all, "+"}, {"b", 0, all, "++"}}, "1 all: a1 | 1 all: b1 b2"},
		{"weight, a pool of 0 is all that is left", weight, 0, []member{{"a", 0, all, "+"}, {"b", 7, all, "-"}}, "1 all: a1"},
		{"weight, 0 inside a pool", weight, 0, []member{{"a", 2, weight, "+0 +4"}, {"b", 3, sequence, "+0"}},
			"2 weight: a2*4 | 3 all: b1"},
		{"weight, only 0 inside a pool", weight, 0, []member{{"a", 2, weight, "+0 +0"}, {"b", 3, all, "+"}},
			"2 weight: a1*1 a2*1 | 3 all: b1"},

		{"sequence, first pool all", sequence, 0, []member{{"a", 1, all, "++"}, {"b", 1, all, "+"}}, "1 all: a1 a2"},
		{"sequence, first pool weight", sequence, 0, []member{{"a", 0, weight, "+2 +3 +0"}, {"b", 9, all, "+"}},
			"1 weight: a1*2 a2*3"},
		{"sequence, first pool sequence", sequence, 0, []member{{"a", 1, sequence, "x-+?"}, {"b", 1, all, "+"}}, "1 all: a3"},
		{"sequence, first pool sticky", sequence, 0, []member{{"a", 1, sticky, "+2 +3"}, {"b", 1, all, "+"}},
			"1 sticky: a1*2 a2*3"},
		{"sequence, first pool down", sequence, 0, []member{{"a", 1, all, "--"}, {"b", 1, weight, "+4"}}, "1 weight: b1*4"},

		{"sticky, weights", sticky, 0, []member{{"a", 2, all, "+3 +5"}, {"b", 7, sequence, "+11 +1"}},
			"1 sticky: a1*6 a2*10 b1*77 b2*7"},
		{"sticky, some 0", sticky, 0, []member{{"a", 0, sticky, "+3"}, {"b", 7, sticky, "+0 +1 -1"}}, "1 sticky: b2*7"},
		{"sticky, all 0", sticky, 0, []member{{"a", 0, sticky, "+3"}, {"b", 7, sticky, "+0"}}, "1 sticky: a1*1 b1*1"},

		{"fail open, all", all, 0, []member{{"a", 1, all, "--x"}, {"b", 1, all, "-"}}, "1 all: a1 a2 b1"},
		{"fail open, max_answers", all, 1, []member{{"a", 1, all, "--"}}, "1 all max 1: a1 a2"},
		{"fail open, weight", weight, 0, []member{{"a", 1, weight, "-0 -7 x"}, {"b", 0, all, "-"}}, "1 all: a1 a2 b1"},
		{"fail open, sequence", sequence, 0, []member{{"a", 1, sequence, "x--"}, {"b", 1, all, "-"}}, "1 all: a2 a3 b1"},
		{"fail open, sticky", sticky, 0, []member{{"a", 1, sticky, "--"}}, "1 all: a1 a2"},
		{"offline", all, 0, []member{{"a", 1, all, "xx"}}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := policy.SetOptions{Balance: row.balance, MaxAnswers: row.max}
			equal(t, "A", showAnswer(compose(policy.TypeIPv4, o, row.members)), row.want)
			equal(t, "AAAA", showAnswer(compose(policy.TypeIPv6, o, row.members)), row.want)
		})
	}
}

// TestComposeDomain checks that a domain set returns one name, also where an address set would return all.
func TestComposeDomain(t *testing.T) {
	const weight, sequence, sticky = policy.BalanceWeight, policy.BalanceSequence, policy.BalanceSticky
	for _, row := range []struct {
		name    string
		balance policy.Balance
		members []member
		want    string
	}{
		{"weight", weight, []member{{"d", 2, weight, ".3 .5 x"}, {"e", 1, weight, "o7"}}, "1 weight: d1*6 d2*10 e1*7"},
		{"weight, pools otherwise", weight, []member{{"d", 2, sequence, "x.."}, {"e", 1, sticky, ".7 .1"}},
			"2 all: d2 | 1 sticky: e1*7 e2*1"},
		{"sequence", sequence, []member{{"d", 1, sequence, "x.."}, {"e", 1, weight, "."}}, "1 all: d2"},
		{"sequence, pool weight", sequence, []member{{"d", 1, weight, ".2 .3"}, {"e", 1, weight, "."}}, "1 weight: d1*2 d2*3"},
		{"sticky", sticky, []member{{"d", 2, weight, ".2"}, {"e", 3, weight, "."}}, "1 sticky: d1*4 e1*3"},
		{"all 0", weight, []member{{"d", 0, weight, ".2 ."}}, "1 weight: d1*1 d2*1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := policy.SetOptions{Balance: row.balance}
			equal(t, "answer", showAnswer(compose(policy.TypeDomain, o, row.members)), row.want)
		})
	}
}

// TestComposeDomainOpen composes a domain set without an available name, made by hand because names are not probed yet.
func TestComposeDomainOpen(t *testing.T) {
	pool := &policy.Pool{Name: "d", Type: policy.TypeDomain, Balance: policy.BalanceWeight, Addresses: []policy.Address{
		{Name: "n1.example.", Mode: policy.ModeIntelligent, Weight: 2, Remark: "d1", Targets: [][]string{{"n1"}}},
		{Name: "n2.example.", Mode: policy.ModeIntelligent, Weight: 3, Remark: "d2", Targets: [][]string{{"n2"}}},
	}}
	p := &policy.Policy{Family: policy.FamilyBoth, Sets: []policy.Set{
		{Role: "primary", Members: []policy.Member{{Pool: pool, Weight: 1}}, Balance: policy.BalanceWeight},
	}}
	d := policy.Decide(p, policy.State{Health: func(*policy.Address) policy.Health { return policy.Down }}, policy.Memory{}, epoch)
	equal(t, "decision", show(d, epoch), "primary, fail open: d1 d2")
	equal(t, "A", showAnswer(policy.Compose(d, policy.IPv4, nil)), "1 weight: d1*2 d2*3")
	equal(t, "AAAA", showAnswer(policy.Compose(d, policy.IPv6, nil)), "1 weight: d1*2 d2*3")
}

// TestComposeNothing checks the families and decisions that have no answer.
func TestComposeNothing(t *testing.T) {
	w := newWorld()
	up := policy.Decide(w.policy(policy.PolicyOptions{}, "a:+"), policy.State{Health: w.of}, policy.Memory{}, epoch)
	equal(t, "the other family", len(policy.Compose(up, policy.IPv6, nil).Groups), 0)
	off := policy.Decide(w.policy(policy.PolicyOptions{}, "b:x"), policy.State{Health: w.of}, policy.Memory{}, epoch)
	equal(t, "nothing in force", len(policy.Compose(off, policy.IPv4, nil).Groups), 0)
}

// TestComposeShared checks an address that is in two pools of a set: it is one record, with the sum of its weights.
func TestComposeShared(t *testing.T) {
	for _, row := range []struct {
		balance policy.Balance
		want    string
	}{
		{policy.BalanceAll, "1 all: both 2 3"},
		{policy.BalanceWeight, "1 weight: both*31 2*2 3*9"},
		{policy.BalanceSticky, "1 sticky: both*31 2*2 3*9"},
	} {
		pool := func(name string, o ...policy.AddressOptions) *policy.Pool {
			return policy.NewPool(policy.PoolOptions{
				Name: name, Type: policy.TypeIPv4, Balance: policy.BalanceWeight, Addresses: o}, nil)
		}
		pools := map[string]*policy.Pool{
			"a": pool("a", policy.AddressOptions{Address: "192.0.2.1", Weight: 5, Remark: "both"},
				policy.AddressOptions{Address: "192.0.2.2", Weight: 1, Remark: "2"}),
			"b": pool("b", policy.AddressOptions{Address: "192.0.2.3", Weight: 3, Remark: "3"},
				policy.AddressOptions{Address: "192.0.2.1", Weight: 7, Remark: "both"}),
		}
		set := policy.SetOptions{Balance: row.balance, Pools: []policy.PoolRefOptions{{Pool: "a", Weight: 2}, {Pool: "b", Weight: 3}}}
		in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{{Primary: set}}}, pools)
		d := policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{}, policy.Memory{}, epoch)
		equal(t, string(row.balance), showAnswer(policy.Compose(d, policy.IPv4, nil)), row.want)
	}
}
