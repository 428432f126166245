package geo

import (
	"net/netip"
	"slices"
	"testing"
)

func TestPlanPartition(t *testing.T) {
	lines := []LineOptions{
		line("wide", "10.0.0.0/8"),
		line("office", "10.1.0.0/16"),
		line("lab", "fc00::/7"),
		line("four", "0.0.0.0/0"),
		line("six", "::/0"),
	}
	m := mustCompile(t, lines)
	stranger := []LineOptions{line("stranger", "10.0.0.0/8")}
	all := func(policy int) []region {
		return []region{{netip.MustParsePrefix("0.0.0.0/0"), policy}, {netip.MustParsePrefix("::/0"), policy}}
	}
	wideOnly := slices.Concat([]region{
		{netip.MustParsePrefix("0.0.0.0/5"), -1}, {netip.MustParsePrefix("8.0.0.0/7"), -1},
		{netip.MustParsePrefix("10.0.0.0/8"), 0}, {netip.MustParsePrefix("11.0.0.0/8"), -1},
		{netip.MustParsePrefix("12.0.0.0/6"), -1}, {netip.MustParsePrefix("16.0.0.0/4"), -1},
		{netip.MustParsePrefix("32.0.0.0/3"), -1}, {netip.MustParsePrefix("64.0.0.0/2"), -1},
		{netip.MustParsePrefix("128.0.0.0/1"), -1},
	}, cut("::/0", -1, leftOut))
	labOnly := []region{
		{netip.MustParsePrefix("0.0.0.0/1"), 0}, {netip.MustParsePrefix("128.0.0.0/1"), 0},
		{netip.MustParsePrefix("::/1"), 0}, {netip.MustParsePrefix("8000::/2"), 0},
		{netip.MustParsePrefix("c000::/3"), 0}, {netip.MustParsePrefix("e000::/4"), 0},
		{netip.MustParsePrefix("f000::/5"), 0}, {netip.MustParsePrefix("f800::/6"), 0},
		{netip.MustParsePrefix("fc00::/7"), 1}, {netip.MustParsePrefix("fe00::/7"), 0},
	}
	// halves is IPv4 in halves and IPv6 as it must be, each family with a policy.
	halves := func(v4, v6 int) []region {
		return append([]region{
			{netip.MustParsePrefix("0.0.0.0/1"), v4}, {netip.MustParsePrefix("128.0.0.0/1"), v4},
		}, cut("::/0", v6, v4)...)
	}
	for _, tc := range []struct {
		name     string
		policies [][]Selector
		want     []region
	}{
		{"no policy", nil, all(-1)},
		{"a policy without sources", [][]Selector{{}}, all(-1)},
		{"global only", [][]Selector{{}, {Global}}, all(1)},
		{"every source in one policy", mustPolicies(t, lines, "lab global office wide four six"), all(0)},
		{"both families in one policy, without global", mustPolicies(t, lines, "four six lab"), all(0)},
		{"each family in a policy", mustPolicies(t, lines, "four", "six"), halves(0, 1)},
		{"one family in a policy, the other in none", mustPolicies(t, lines, "six"), halves(-1, 0)},
		{"unused lines vanish", mustPolicies(t, lines, "wide"), wideOnly},
		{"a nested line of the same policy vanishes", mustPolicies(t, lines, "wide office"), wideOnly},
		{"one line beside global", mustPolicies(t, lines, "global", "lab"), labOnly},
		{"a source in two policies belongs to the first", mustPolicies(t, lines, "global", "lab", "lab"), labOnly},
		{"a source of another map", mustPolicies(t, stranger, "stranger"), all(-1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plan := m.Plan(m.Assign(tc.policies))
			if got := partitionOf(plan); !slices.Equal(got, tc.want) {
				t.Errorf("partition\n%v, want\n%v", got, tc.want)
			}
			// Two regions: each family whole.
			if got, want := plan.Constant(), len(tc.want) == 2; got != want {
				t.Errorf("Constant() = %v, want %v", got, want)
			}
		})
	}
}

func TestAllStops(t *testing.T) {
	lines := []LineOptions{line("a", "128.0.0.0/1 8000::/1")}
	plan := mustPlan(t, lines, mustPolicies(t, lines, "a"))
	want := partitionOf(plan)
	for n := 1; n <= len(want); n++ {
		var got []region
		for prefix, policy := range plan.All() {
			if got = append(got, region{prefix, policy}); len(got) == n {
				break
			}
		}
		if !slices.Equal(got, want[:n]) {
			t.Errorf("the first %d regions are %v, want %v", n, got, want[:n])
		}
	}
}
