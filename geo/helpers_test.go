package geo

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// line makes a custom line of prefixes separated by spaces.
func line(name, prefixes string) LineOptions {
	options := LineOptions{Name: name}
	for _, text := range strings.Fields(prefixes) {
		options.Prefixes = append(options.Prefixes, netip.MustParsePrefix(text))
	}
	return options
}

func mustCompile(tb testing.TB, lines []LineOptions) *Map {
	tb.Helper()
	m, err := Compile(Input{Lines: lines})
	if err != nil {
		tb.Fatalf("Compile: %v", err)
	}
	return m
}

func mustPlan(tb testing.TB, lines []LineOptions, policies [][]Selector) *Plan {
	tb.Helper()
	m := mustCompile(tb, lines)
	return m.Plan(m.Assign(policies))
}

// mustPolicies makes the argument of Plan: each text is one policy, its sources separated by spaces.
func mustPolicies(tb testing.TB, lines []LineOptions, texts ...string) [][]Selector {
	tb.Helper()
	policies := make([][]Selector, len(texts))
	for i, text := range texts {
		for _, source := range strings.Fields(text) {
			selector, err := ParseSelector(source, lines, nil)
			if err != nil {
				tb.Fatal(err)
			}
			policies[i] = append(policies[i], selector)
		}
	}
	return policies
}

// partitionOf collects what All yields.
func partitionOf(p *Plan) []region {
	var regions []region
	for prefix, policy := range p.All() {
		regions = append(regions, region{prefix, policy})
	}
	return regions
}

// A region is one step of Plan.All.
type region struct {
	prefix netip.Prefix
	policy int
}

func (r region) String() string { return fmt.Sprint(r.prefix, " ", r.policy) }

// leftOut is a policy of cut: these regions are not listed.
const leftOut = -2

// cut lists the regions of a space of a policy, in which the IPv6 blocks that hold IPv4 addresses have another.
func cut(space string, policy, holding int) []region {
	prefix := netip.MustParsePrefix(space)
	touched := false
	for _, h := range holders {
		if h.block.Overlaps(prefix) && h.block.Bits() <= prefix.Bits() {
			if holding == leftOut {
				return nil
			}
			return []region{{prefix, holding}}
		}
		touched = touched || h.block.Overlaps(prefix)
	}
	if !touched {
		return []region{{prefix, policy}}
	}
	left := netip.PrefixFrom(prefix.Addr(), prefix.Bits()+1)
	right := netip.PrefixFrom(last(prefix), prefix.Bits()+1).Masked()
	return append(cut(left.String(), policy, holding), cut(right.String(), policy, holding)...)
}

// last returns the last address of a prefix.
func last(prefix netip.Prefix) netip.Addr {
	b := prefix.Masked().Addr().AsSlice()
	for i := prefix.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// randomLines makes lines with n different random networks as a routing table has them: IPv4 ones of 8 to 24
// bits, most of them long, or IPv6 ones of 32 to 48 bits in 2400::/8.
func randomLines(n int, is4 bool) []LineOptions {
	random := rand.New(rand.NewPCG(1, 2))
	lines := make([]LineOptions, 200)
	for i := range lines {
		lines[i].Name = fmt.Sprint("line", i)
	}
	used := make(map[netip.Prefix]bool, n)
	for len(used) < n {
		bits := 32 + random.IntN(17)
		if is4 {
			bits = 24 - random.IntN(4)*random.IntN(5)*random.IntN(3)*random.IntN(2)
		}
		prefix := netip.PrefixFrom(randomAddr(random, is4), max(bits, 8)).Masked()
		if !used[prefix] {
			l := &lines[random.IntN(len(lines))]
			l.Prefixes = append(l.Prefixes, prefix)
			used[prefix] = true
		}
	}
	return lines
}

func randomAddr(random *rand.Rand, is4 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], random.Uint64())
	binary.BigEndian.PutUint64(b[8:], random.Uint64())
	if is4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	b[0] = 0x24
	return netip.AddrFrom16(b)
}

func familyName(is4 bool) string {
	if is4 {
		return "v4"
	}
	return "v6"
}
