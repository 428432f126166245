package geo

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nested is the configuration of most tables here: lines in lines, in both families, and one line twice in a nest.
func nested() []LineOptions {
	return []LineOptions{
		line("wide", "10.0.0.0/8 2001:db8::/32"),
		line("office", "10.1.0.0/16 2001:db8:1::/48"),
		line("desk", "10.1.2.0/24 10.1.2.7/32 2001:db8:1:2::/64"),
		line("back", "203.0.113.128/25 10.1.2.4/30 2001:db8:1:2::1/128"),
	}
}

func TestLookup(t *testing.T) {
	lines := nested()
	m := mustCompile(t, lines)
	plan := m.Plan(m.Assign(mustPolicies(t, lines, "global", "wide", "office back")))
	for _, tc := range []struct {
		addr    string
		matches string // in match order
		depth   int    // of the class
		policy  int
		scope   int
	}{
		// DESIGN: 10.1.0.0/16 in 10.0.0.0/8 makes the scope of 10.2.3.4 15.
		{"10.2.3.4", "wide 10.0.0.0/8", 15, 1, 15},
		// The edges of 10.0.0.0/8.
		{"9.255.255.255", "", 7, 0, 7},
		{"10.0.0.0", "wide 10.0.0.0/8", 16, 1, 16},
		{"10.255.255.255", "wide 10.0.0.0/8", 9, 1, 9},
		{"11.0.0.0", "", 8, 0, 8},
		// The edges of 10.1.0.0/16.
		{"10.0.255.255", "wide 10.0.0.0/8", 16, 1, 16},
		{"10.1.0.0", "office 10.1.0.0/16, wide 10.0.0.0/8", 23, 2, 16},
		{"10.1.255.255", "office 10.1.0.0/16, wide 10.0.0.0/8", 17, 2, 16},
		{"10.2.0.0", "wide 10.0.0.0/8", 15, 1, 15},
		// The edges of 10.1.2.0/24, whose line no policy uses: the plan does not see them.
		{"10.1.1.255", "office 10.1.0.0/16, wide 10.0.0.0/8", 23, 2, 16},
		{"10.1.2.0", "desk 10.1.2.0/24, office 10.1.0.0/16, wide 10.0.0.0/8", 30, 2, 16},
		{"10.1.2.255", "desk 10.1.2.0/24, office 10.1.0.0/16, wide 10.0.0.0/8", 25, 2, 16},
		{"10.1.3.0", "office 10.1.0.0/16, wide 10.0.0.0/8", 24, 2, 16},
		// The edges of 10.1.2.4/30 and of 10.1.2.7/32 in it.
		{"10.1.2.3", "desk 10.1.2.0/24, office 10.1.0.0/16, wide 10.0.0.0/8", 30, 2, 16},
		{"10.1.2.4", "back 10.1.2.4/30, desk 10.1.2.0/24, office 10.1.0.0/16, wide 10.0.0.0/8", 31, 2, 16},
		{"10.1.2.6", "back 10.1.2.4/30, desk 10.1.2.0/24, office 10.1.0.0/16, wide 10.0.0.0/8", 32, 2, 16},
		{"10.1.2.7", "desk 10.1.2.7/32, back 10.1.2.4/30, office 10.1.0.0/16, wide 10.0.0.0/8", 32, 2, 16},
		{"10.1.2.8", "desk 10.1.2.0/24, office 10.1.0.0/16, wide 10.0.0.0/8", 29, 2, 16},
		// The edges of 203.0.113.128/25.
		{"203.0.113.127", "", 25, 0, 25},
		{"203.0.113.128", "back 203.0.113.128/25", 25, 2, 25},
		{"203.0.113.255", "back 203.0.113.128/25", 25, 2, 25},
		{"203.0.114.0", "", 23, 0, 23},
		// The edges of the whole space.
		{"0.0.0.0", "", 5, 0, 5},
		{"255.255.255.255", "", 3, 0, 3},
		{"::", "", 81, 0, 81}, // ::ffff:0:0/96 holds all of IPv4, and is another thing
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", 1, 0, 1},
		// The edges of 2001:db8::/32, of 2001:db8:1::/48, of 2001:db8:1:2::/64 and of 2001:db8:1:2::1/128.
		{"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "", 29, 0, 29},
		{"2001:db8::", "wide 2001:db8::/32", 48, 1, 48},
		{"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "wide 2001:db8::/32", 33, 1, 33},
		{"2001:db9::", "", 32, 0, 32},
		{"2001:db8:0:ffff:ffff:ffff:ffff:ffff", "wide 2001:db8::/32", 48, 1, 48},
		{"2001:db8:1::", "office 2001:db8:1::/48, wide 2001:db8::/32", 63, 2, 48},
		{"2001:db8:1:ffff:ffff:ffff:ffff:ffff", "office 2001:db8:1::/48, wide 2001:db8::/32", 49, 2, 48},
		{"2001:db8:2::", "wide 2001:db8::/32", 47, 1, 47},
		{"2001:db8:1:1:ffff:ffff:ffff:ffff", "office 2001:db8:1::/48, wide 2001:db8::/32", 63, 2, 48},
		{"2001:db8:1:2::", "desk 2001:db8:1:2::/64, office 2001:db8:1::/48, wide 2001:db8::/32", 128, 2, 48},
		{"2001:db8:1:2::1", "back 2001:db8:1:2::1/128, desk 2001:db8:1:2::/64, office 2001:db8:1::/48, wide 2001:db8::/32", 128, 2, 48},
		{"2001:db8:1:2::2", "desk 2001:db8:1:2::/64, office 2001:db8:1::/48, wide 2001:db8::/32", 127, 2, 48},
		{"2001:db8:1:2:ffff:ffff:ffff:ffff", "desk 2001:db8:1:2::/64, office 2001:db8:1::/48, wide 2001:db8::/32", 65, 2, 48},
		{"2001:db8:1:3::", "office 2001:db8:1::/48, wide 2001:db8::/32", 64, 2, 48},
		// What holds an IPv4 address is looked up by it, and the bits before that count.
		{"::ffff:10.2.3.4", "wide 10.0.0.0/8", 96 + 15, 1, 96 + 15},
		{"64:ff9b::10.2.3.4", "wide 10.0.0.0/8", 96 + 15, 1, 96 + 15},
		{"2002:a02:304::1", "wide 10.0.0.0/8", 16 + 15, 1, 16 + 15},
		{"2002:a01:207:ffff::", "desk 10.1.2.7/32, back 10.1.2.4/30, office 10.1.0.0/16, wide 10.0.0.0/8", 16 + 32, 2, 16 + 16},
		{"2001:0:5:6:7:8:f5fd:fcfb", "wide 10.0.0.0/8", 96 + 15, 1, 96 + 15},
		{"2001::f5fe:fdf8", "desk 10.1.2.7/32, back 10.1.2.4/30, office 10.1.0.0/16, wide 10.0.0.0/8", 96 + 32, 2, 96 + 16},
		// The edges of these blocks: ::ffff:0:0/96, 64:ff9b::/96, 2001::/32, 2002::/16. The leaf at 0.0.0.0
		// has the depth 5, that at 255.255.255.255 the depth 3.
		{"::fffe:ffff:ffff", "", 96, 0, 96},
		{"::ffff:0:0", "", 96 + 5, 0, 96 + 5},
		{"::ffff:ffff:ffff", "", 96 + 3, 0, 96 + 3},
		{"::1:0:0:0", "", 80, 0, 80},
		{"64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "", 32, 0, 32},
		{"64:ff9b::", "", 96 + 5, 0, 96 + 5},
		{"64:ff9b::1:0:0", "", 96, 0, 96},
		{"64:ff9b:1::10.2.3.4", "", 48, 0, 48}, // RFC 8215: translation of somebody's own making
		{"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", 16, 0, 16},
		{"2001::", "", 96 + 3, 0, 96 + 3}, // 255.255.255.255
		{"2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "", 96 + 5, 0, 96 + 5},
		{"2001:1::", "", 32, 0, 32},
		{"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", 17, 0, 17},
		{"2002::", "", 16 + 5, 0, 16 + 5},
		{"2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", 16 + 3, 0, 16 + 3},
		{"2003::", "", 16, 0, 16},
		// A zone is no part of the address.
		{"2001:db8::%eth0", "wide 2001:db8::/32", 48, 1, 48},
	} {
		t.Run(tc.addr, func(t *testing.T) {
			addr := netip.MustParseAddr(tc.addr)
			everyone := "global ::/0"
			if held(addr).Is4() {
				everyone = "global 0.0.0.0/0"
			}
			var want []string
			if tc.matches != "" {
				want = strings.Split(tc.matches, ", ")
			}
			if diff := cmp.Diff(append(want, everyone), matchTexts(m.Matches(addr))); diff != "" {
				t.Errorf("Matches (-want +got):\n%s", diff)
			}
			if _, depth := m.Lookup(addr); depth != tc.depth {
				t.Errorf("depth of the class %d, want %d", depth, tc.depth)
			}
			if policy, scope := plan.Lookup(addr); policy != tc.policy || scope != tc.scope {
				t.Errorf("Plan.Lookup = policy %d, scope %d; want policy %d, scope %d",
					policy, scope, tc.policy, tc.scope)
			}
		})
	}
}

// matchTexts makes matches comparable with the table.
func matchTexts(matches []Match) []string {
	var texts []string
	for _, match := range matches {
		texts = append(texts, fmt.Sprintf("%v %v", match.Selector, match.Prefix))
	}
	return texts
}

func TestClassEquality(t *testing.T) {
	m := mustCompile(t, nested())
	groups := [][]string{
		{"9.1.1.1", "11.0.0.0", "::1", "203.0.113.127", "ffff::"},
		{"10.2.3.4", "10.255.255.255", "::ffff:10.0.0.1", "2001:db8:2::1"},
		{"10.1.0.0", "10.1.255.255", "2001:db8:1::1"},
		{"10.1.2.0", "10.1.2.8", "2001:db8:1:2::2"},
		{"10.1.2.4", "10.1.2.6", "2001:db8:1:2::1"},
		{"10.1.2.7"}, // the same lines as the group above, in another order
		{"203.0.113.128"},
	}
	owner := make(map[Class]int)
	for i, group := range groups {
		first, _ := m.Lookup(netip.MustParseAddr(group[0]))
		if other, taken := owner[first]; taken {
			t.Errorf("groups %d and %d share the class %d", other, i, first)
		}
		owner[first] = i
		for _, text := range group {
			if class, _ := m.Lookup(netip.MustParseAddr(text)); class != first {
				t.Errorf("%s has the class %d, want %d as %s", text, class, first, group[0])
			}
		}
	}
	if class, _ := m.Lookup(netip.MustParseAddr("9.1.1.1")); class != 0 {
		t.Errorf("the class of an address in no line is %d, want 0", class)
	}
}

func TestZeroAddr(t *testing.T) {
	lines := []LineOptions{line("all", "0.0.0.0/0 ::/0")}
	m := mustCompile(t, lines)
	if class, depth := m.Lookup(netip.Addr{}); class != 0 || depth != 0 {
		t.Errorf("Map.Lookup = class %d, depth %d; want 0, 0", class, depth)
	}
	if diff := cmp.Diff([]string{"global invalid Prefix"}, matchTexts(m.Matches(netip.Addr{}))); diff != "" {
		t.Errorf("Matches (-want +got):\n%s", diff)
	}
	for _, tc := range []struct {
		policies []string
		want     int
	}{
		{[]string{"all", "global"}, 1},
		{[]string{"all"}, -1},
	} {
		plan := m.Plan(m.Assign(mustPolicies(t, lines, tc.policies...)))
		if policy, scope := plan.Lookup(netip.Addr{}); policy != tc.want || scope != 0 {
			t.Errorf("Plan(%q).Lookup = policy %d, scope %d; want %d, 0", tc.policies, policy, scope, tc.want)
		}
	}
}

func TestCompileNormalises(t *testing.T) {
	want := slices.Concat([]region{
		{netip.MustParsePrefix("0.0.0.0/1"), -1}, {netip.MustParsePrefix("128.0.0.0/1"), 0},
	}, cut("::/1", -1, leftOut), cut("8000::/1", 0, leftOut))
	for _, prefixes := range []string{
		"128.0.0.0/1 8000::/1",
		"200.1.2.3/1 9000::1/1",                       // bits beyond the prefix
		"::ffff:128.0.0.0/97 8000::/1",                // IPv4-mapped
		"::ffff:200.1.2.3/97 128.0.0.0/1 8000::/1",    // and the same again
		"128.0.0.0/2 192.0.0.0/2 8000::/2 c000::/2",   // neighbours merge
		"128.0.0.0/1 8000::/1 200.0.0.0/24 ffff::/16", // inside the same line
		"200.1.2.3/1 128.0.0.0/1 8000::/1 8000::/1",   // twice
	} {
		lines := []LineOptions{line("a", prefixes), line("empty", "")}
		plan := mustPlan(t, lines, mustPolicies(t, lines, "a empty"))
		if got := partitionOf(plan); !slices.Equal(got, want) {
			t.Errorf("%s: partition %v, want %v", prefixes, got, want)
		}
	}
}

// TestHoldingBlocks compiles prefixes at and around the blocks that hold IPv4 addresses: ::ffff:0:0/96 is all of IPv4, a wider
// prefix is IPv6 and leaves IPv4, and all that holds it, alone.
func TestHoldingBlocks(t *testing.T) {
	for _, tc := range []struct {
		prefix string
		addr   string
		policy int
		scope  int
	}{
		{"::ffff:0:0/96", "1.2.3.4", 0, 1},
		{"::ffff:0:0/96", "::ffff:1.2.3.4", 0, 96},
		{"::ffff:0:0/96", "64:ff9b::1.2.3.4", 0, 96},
		{"::ffff:0:0/96", "2002:102:304::1", 0, 16},
		{"::ffff:0:0/96", "2001::1", 0, 32},
		{"::ffff:0:0/96", "::fffe:1.2.3.4", -1, 96},
		{"::ffff:0:0/96", "2001:db8::", -1, 21}, // 2001::/32 is another thing
		{"::ffff:0:0/96", "8000::", -1, 1},
		{"::ffff:0:0/95", "1.2.3.4", -1, 1},
		{"::ffff:0:0/95", "::ffff:1.2.3.4", -1, 96},
		{"::ffff:0:0/95", "::fffe:1.2.3.4", 0, 96},
		{"::/0", "1.2.3.4", -1, 1},
		{"::/0", "::ffff:1.2.3.4", -1, 96},
		{"::/0", "64:ff9b::1.2.3.4", -1, 96},
		{"::/0", "2002:102:304::1", -1, 16},
		{"::/0", "2001:0:1::", -1, 32},
		{"::/0", "2001:1::", 0, 32},
		{"2001::/31", "2001::1", -1, 32},
		{"2001::/31", "2001:1::1", 0, 32},
		{"2001::/31 2002::/15 64:ff9b::/95", "64:ff9b::1:0:0", 0, 96},
	} {
		lines := []LineOptions{line("a", tc.prefix)}
		plan := mustPlan(t, lines, mustPolicies(t, lines, "a"))
		policy, scope := plan.Lookup(netip.MustParseAddr(tc.addr))
		if policy != tc.policy || scope != tc.scope {
			t.Errorf("%s with %s: policy %d, scope %d; want %d, %d",
				tc.addr, tc.prefix, policy, scope, tc.policy, tc.scope)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	invalid := LineOptions{Name: "bad", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), {}}}
	for _, tc := range []struct {
		name  string
		lines []LineOptions
		want  []string
	}{
		{"no name", []LineOptions{line("a", "::/0"), line("", "10.0.0.0/8")}, []string{`custom line number 2: no name`}},
		{"reserved", []LineOptions{line("global", ""), line("default", "")}, []string{
			`custom line "global": it is the source that matches everybody`,
			`custom line "default": it is the source that matches everybody`,
		}},
		{"name twice", []LineOptions{line("a", "10.0.0.0/8"), line("a", "11.0.0.0/8")}, []string{
			`custom line "a": there are two lines of this name`,
		}},
		{"invalid prefix", []LineOptions{invalid}, []string{`custom line "bad": prefix number 2 is not valid`}},
		{"prefix in two lines", []LineOptions{line("a", "10.0.0.0/8"), line("b", "10.0.0.0/8")}, []string{
			`custom lines "a" and "b": both have the prefix 10.0.0.0/8`,
		}},
		{"what holds IPv4 addresses", []LineOptions{
			line("a", "64:ff9b::/96 64:ff9b::/95 2002:a01::1/32 2002::/15 2001::/31 2001::/33 ::ffff:0:0/95 ::ffff:0:0/96"),
		}, []string{
			`custom line "a": clients in 64:ff9b::/96 are looked up by the IPv4 address that theirs holds: want IPv4 prefixes`,
			`custom line "a": clients in 2002:a01::/32 are looked up by the IPv4 address that theirs holds: want IPv4 prefixes`,
			`custom line "a": clients in 2001::/33 are looked up by the IPv4 address that theirs holds: want IPv4 prefixes`,
		}},
		{"prefix in two lines of a kind, a line of another kind between", []LineOptions{
			line("a", "10.0.0.0/8"), line("google", "10.0.0.0/8"), line("b", "10.0.0.0/8"), line("baidu", "10.0.0.0/8"),
		}, []string{
			`custom lines "a" and "b": both have the prefix 10.0.0.0/8`,
			`custom lines "google" and "baidu": both have the prefix 10.0.0.0/8`,
		}},
		{"everything at once", []LineOptions{
			line("b", "10.9.9.9/8 2001:db8::1/32"), invalid, line("c", "2001:db8::/32 ::ffff:10.0.0.0/104"),
		}, []string{
			`custom line "bad": prefix number 2 is not valid`,
			`custom lines "b" and "bad": both have the prefix 10.0.0.0/8`,
			`custom lines "bad" and "c": both have the prefix 10.0.0.0/8`,
			`custom lines "b" and "c": both have the prefix 2001:db8::/32`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := Compile(Input{Lines: tc.lines})
			if err == nil || m != nil {
				t.Fatalf("Compile = %v, %v; want nil and an error", m, err)
			}
			if diff := cmp.Diff(strings.Join(tc.want, "\n"), err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookupAllocations(t *testing.T) {
	lines := nested()
	m := mustCompile(t, lines)
	plan := m.Plan(m.Assign(mustPolicies(t, lines, "global", "wide", "office back")))
	four := []LineOptions{line("four", "0.0.0.0/0")}
	halved := mustPlan(t, four, mustPolicies(t, four, "four"))
	for _, text := range []string{
		"10.1.2.7", "2001:db8:1:2::1", "::ffff:10.2.3.4", "2002:a01:207::1", "2001::1", "2001:db8::%eth0",
	} {
		addr := netip.MustParseAddr(text)
		if n := testing.AllocsPerRun(100, func() { m.Lookup(addr); plan.Lookup(addr); halved.Lookup(addr) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", text, n)
		}
	}
}
