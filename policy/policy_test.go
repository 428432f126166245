package policy_test

import (
	"slices"
	"testing"

	"gtmd/policy"
)

func TestFamily(t *testing.T) {
	equal(t, "IPv4", policy.IPv4.String(), "ipv4")
	equal(t, "IPv6", policy.IPv6.String(), "ipv6")
	equal(t, "FamilyBoth", policy.FamilyBoth.String(), "both")
}

// TestSetID checks that sets of a policy have different names, whatever the names of their pools.
func TestSetID(t *testing.T) {
	set := func(pools ...string) policy.Set {
		var s policy.Set
		for _, name := range pools {
			s.Members = append(s.Members, policy.Member{Pool: &policy.Pool{Name: name}})
		}
		return s
	}
	p := &policy.Policy{Sets: []policy.Set{
		set("a"), set("a", "b"), set("b", "a"), set("a+b"), set("a"), set("a#2"), set("a"), set(`a\`, "b"), set(`a\+b`),
	}}
	want := []string{`a`, `a+b`, `b+a`, `a\+b`, `a#2`, `a\#2`, `a#3`, `a\\+b`, `a\\\+b`}
	var got []string
	for i := range p.Sets {
		got = append(got, p.SetID(i))
	}
	same(t, "IDs", got, want)
	slices.Sort(got)
	equal(t, "different IDs", len(slices.Compact(got)), len(p.Sets))
}

// TestValues holds the values that a configuration may say against the constants.
func TestValues(t *testing.T) {
	same(t, "PoolType", policy.PoolType("").Values(),
		[]string{string(policy.TypeIPv4), string(policy.TypeIPv6), string(policy.TypeDomain)})
	same(t, "Balance", policy.Balance("").Values(), []string{
		string(policy.BalanceAll), string(policy.BalanceWeight), string(policy.BalanceSequence),
		string(policy.BalanceNearest), string(policy.BalanceSticky)})
	same(t, "Mode", policy.Mode("").Values(),
		[]string{string(policy.ModeIntelligent), string(policy.ModeOnline), string(policy.ModeOffline)})
	same(t, "Switch", policy.Switch("").Values(),
		[]string{string(policy.SwitchAuto), string(policy.SwitchPrimary), string(policy.SwitchBackup)})
	same(t, "Failback", policy.Failback("").Values(), []string{string(policy.FailbackAuto), string(policy.FailbackManual)})
	same(t, "WhenAllDown", policy.WhenAllDown("").Values(), []string{string(policy.AllDownOpen), string(policy.AllDownEmpty)})
	same(t, "AccessPolicyType", policy.AccessPolicyType("").Values(), []string{string(policy.PolicyGeography), string(policy.PolicyLatency)})
	same(t, "Unmatched", policy.Unmatched("").Values(), []string{string(policy.UnmatchedError), string(policy.UnmatchedNodata)})
}
