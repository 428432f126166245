package policy_test

import (
	"strings"
	"testing"

	"gtmd/policy"
)

// TestWhole is what a secondary serves of a set: everything that some client could get.
func TestWhole(t *testing.T) {
	const (
		all, weight, sequence, sticky = policy.BalanceAll, policy.BalanceWeight, policy.BalanceSequence, policy.BalanceSticky
	)
	for _, row := range []struct {
		name    string
		kind    policy.PoolType
		set     policy.SetOptions
		members []member
		want    string
	}{
		{"all", policy.TypeIPv4, policy.SetOptions{Balance: all}, []member{{"a", 1, all, "++"}, {"b", 1, all, "+"}}, "a1 a2 b1"},
		{"all, beyond max_answers", policy.TypeIPv4, policy.SetOptions{Balance: all, MaxAnswers: 1}, []member{{"a", 1, all, "+++"}}, "a1 a2 a3"},
		{"only what is available", policy.TypeIPv4, policy.SetOptions{Balance: all}, []member{{"a", 1, all, "+-x+"}}, "a1 a4"},
		{"weight above 0", policy.TypeIPv4, policy.SetOptions{Balance: weight}, []member{{"a", 1, weight, "+3 +0"}, {"b", 2, weight, "+1"}}, "a1 b1"},
		{"weight, all 0", policy.TypeIPv4, policy.SetOptions{Balance: weight}, []member{{"a", 1, weight, "+0 +0"}}, "a1 a2"},
		{"weight of pools", policy.TypeIPv4, policy.SetOptions{Balance: weight}, []member{{"a", 3, all, "++"}, {"b", 0, all, "+"}}, "a1 a2"},
		{"sequence", policy.TypeIPv4, policy.SetOptions{Balance: sequence}, []member{{"a", 1, all, "--"}, {"b", 1, all, "++"}, {"c", 1, all, "+"}}, "b1 b2"},
		{"sticky", policy.TypeIPv6, policy.SetOptions{Balance: sticky}, []member{{"a", 1, sticky, "+2 +3"}, {"b", 1, sticky, "+"}}, "a1 a2 b1"},
		{"nearest", policy.TypeIPv4, policy.SetOptions{Balance: policy.BalanceNearest}, []member{{"a", 1, all, "++"}, {"b", 1, all, "+-"}}, "a1 a2 b1"},
		{"latency", policy.TypeIPv4, policy.SetOptions{Balance: policy.BalanceLatency}, []member{{"a", 1, all, "+"}, {"b", 1, all, "+"}}, "a1 b1"},
		{"nearest, fail open", policy.TypeIPv4, policy.SetOptions{Balance: policy.BalanceNearest}, []member{{"a", 1, sequence, "--"}, {"b", 1, all, "-"}}, "a1 a2 b1"},
		{"names, the heaviest", policy.TypeDomain, policy.SetOptions{Balance: weight}, []member{{"a", 1, weight, "+2 +7"}, {"b", 1, weight, "+3"}}, "a2"},
		{"names, equal", policy.TypeDomain, policy.SetOptions{Balance: sticky}, []member{{"a", 1, sticky, "+ +"}}, "a1"},
		{"offline", policy.TypeIPv4, policy.SetOptions{Balance: all}, []member{{"a", 1, all, "xx"}}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld()
			for _, m := range row.members {
				w.pool(m.name, row.kind, m.balance, m.states, 1)
				row.set.Pools = append(row.set.Pools, policy.PoolRefOptions{Pool: m.name, Weight: m.weight})
			}
			in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{{Primary: row.set}}}, w.pools)
			f := policy.IPv4
			if row.kind == policy.TypeIPv6 {
				f = policy.IPv6
			}
			var got []string
			for _, a := range policy.Whole(policy.Decide(in.Policies[0].Decided[f], policy.State{Health: w.of}, policy.Memory{}, epoch), f) {
				got = append(got, a.Remark)
			}
			if got := strings.Join(got, " "); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
