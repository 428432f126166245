package geo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestComparePlans(t *testing.T) {
	lines := []LineOptions{line("office", "10.1.0.0/16 2001:db8::/32"), line("wide", "10.0.0.0/8"), line("six", "2000::/4")}
	plan := func(policies ...string) *Plan { return mustPlan(t, lines, mustPolicies(t, lines, policies...)) }
	for _, row := range []struct {
		name          string
		before, after *Plan
		want          string
	}{
		{"nothing changes", plan("global", "office"), plan("global", "office"),
			"0 0 0.999985 1 128.0.0.0/1, 1 1 1.52588e-05 1.86287e-09 10.1.0.0/16"},
		{"all changes", plan("global"), plan("", "global"), "0 1 1 1 0.0.0.0/0"},
		{"without a plan", nil, plan("global", "wide"), "-1 0 0.996094 1 128.0.0.0/1, -1 1 0.00390625 0 10.0.0.0/8"},
		{"a line is added", plan("global"), plan("global", "office"), "0 0 0.999985 1 128.0.0.0/1, 0 1 1.52588e-05 1.86287e-09 10.1.0.0/16"},
		{"half of IPv6", plan("global"), plan("global", "six"), "0 0 1 0.500061 0.0.0.0/0, 0 1 0 0.499939 2800::/5"},
	} {
		got := ""
		for i, p := range ComparePlans(row.before, row.after) {
			if i > 0 {
				got += ", "
			}
			got += fmt.Sprintf("%d %d %.6g %.6g %s", p.Before, p.After, p.Share.IPv4, p.Share.IPv6, p.Clients)
		}
		if got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.name, got, row.want)
		}
	}
}

// TestComparePlansModel compares plans of random lines with a walk over every network in which nothing can change.
func TestComparePlansModel(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		edges := map[netip.Prefix]bool{}
		draw := func() *Plan {
			var lines []LineOptions
			policies := make([][]Selector, 1+random.IntN(3))
			for i := range 1 + random.IntN(6) {
				o := LineOptions{Name: fmt.Sprintf("line %d", i)}
				for range 1 + random.IntN(4) {
					p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(random.IntN(4)) << 6, byte(random.IntN(2))}), random.IntN(12)).Masked()
					if random.IntN(2) == 0 {
						p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20 | byte(random.IntN(4)), byte(random.IntN(3))}), random.IntN(20)).Masked()
					}
					if !edges[p] && isLineNetwork(p) {
						edges[p] = true
						o.Prefixes = append(o.Prefixes, p)
					}
				}
				if len(o.Prefixes) == 0 {
					continue
				}
				lines = append(lines, o)
				s, err := ParseSelector(o.Name, lines, nil)
				if err != nil {
					t.Fatal(err)
				}
				of := &policies[random.IntN(len(policies))]
				*of = append(*of, s)
			}
			if random.IntN(2) == 0 {
				policies[0] = append(policies[0], Global)
			}
			m := mustCompile(t, lines)
			return m.Plan(m.Assign(policies))
		}
		before, after := draw(), draw()
		want := map[[2]int]Share{}
		for i := range 1 << 12 { // networks of 12 bits in IPv4
			addr := netip.AddrFrom4([4]byte{byte(i >> 4), byte(i << 4)})
			b, _ := before.Lookup(addr)
			a, _ := after.Lookup(addr)
			s := want[[2]int{b, a}]
			s.IPv4 += 1.0 / (1 << 12)
			want[[2]int{b, a}] = s
		}
		for i := range 1 << 17 { // networks of 20 bits in 2000::/3
			addr := netip.AddrFrom16([16]byte{0x20 | byte(i>>12), byte(i >> 4), byte(i << 4)})
			left := 1.0
			if netip.MustParsePrefix("2002::/16").Contains(addr) {
				continue
			}
			if addr == netip.MustParseAddr("2001::") {
				left -= 1.0 / (1 << 12)
				addr = netip.MustParseAddr("2001:1::")
			}
			b, _ := before.Lookup(addr)
			a, _ := after.Lookup(addr)
			s := want[[2]int{b, a}]
			s.IPv6 += left / (1 << 17)
			want[[2]int{b, a}] = s
		}
		for labels, s := range want {
			s.IPv6 /= 1 - holding
			want[labels] = s
		}
		var sum Share
		for _, p := range ComparePlans(before, after) {
			labels := [2]int{p.Before, p.After}
			sum.IPv4, sum.IPv6 = sum.IPv4+p.Share.IPv4, sum.IPv6+p.Share.IPv6
			if w := want[labels]; math.Abs(w.IPv4-p.Share.IPv4) > 1e-12 || math.Abs(w.IPv6-p.Share.IPv6) > 1e-12 {
				t.Fatalf("seed %d, labels %v: %v, want %v", seed, labels, p.Share, w)
			}
			delete(want, labels)
			b, _ := before.Lookup(p.Client())
			a, _ := after.Lookup(p.Client())
			if b != p.Before || a != p.After || !p.Clients.Contains(p.Client()) {
				t.Fatalf("seed %d: %s of %s has labels %d and %d, want %v", seed, p.Client(), p.Clients, b, a, labels)
			}
		}
		if len(want) > 0 || math.Abs(sum.IPv4-1) > 1e-12 || math.Abs(sum.IPv6-1) > 1e-12 {
			t.Fatalf("seed %d: missing %v, sum %v", seed, want, sum)
		}
	}
}

// isLineNetwork reports whether a line may have the network.
func isLineNetwork(p netip.Prefix) bool {
	_, err := Compile(Input{Lines: []LineOptions{{Name: "one", Prefixes: []netip.Prefix{p}}}})
	return err == nil
}
