package geo

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// holders are the IPv6 blocks whose addresses hold an IPv4 address, each with what gets it out and puts it in. They
// are written down here a second time, byte by byte.
var holders = []struct {
	block  netip.Prefix
	unfold func([16]byte) [4]byte
	fold   func(v4 [4]byte) [16]byte
}{
	{ // IPv4-mapped
		netip.MustParsePrefix("::ffff:0:0/96"),
		func(b [16]byte) [4]byte { return [4]byte(b[12:]) },
		func(v4 [4]byte) [16]byte {
			return [16]byte{10: 0xff, 11: 0xff, 12: v4[0], 13: v4[1], 14: v4[2], 15: v4[3]}
		},
	},
	{ // NAT64
		netip.MustParsePrefix("64:ff9b::/96"),
		func(b [16]byte) [4]byte { return [4]byte(b[12:]) },
		func(v4 [4]byte) [16]byte {
			return [16]byte{1: 0x64, 2: 0xff, 3: 0x9b, 12: v4[0], 13: v4[1], 14: v4[2], 15: v4[3]}
		},
	},
	{ // 6to4
		netip.MustParsePrefix("2002::/16"),
		func(b [16]byte) [4]byte { return [4]byte(b[2:6]) },
		func(v4 [4]byte) [16]byte { return [16]byte{0: 0x20, 1: 0x02, 2: v4[0], 3: v4[1], 4: v4[2], 5: v4[3]} },
	},
	{ // Teredo
		netip.MustParsePrefix("2001::/32"),
		func(b [16]byte) [4]byte { return [4]byte{255 - b[12], 255 - b[13], 255 - b[14], 255 - b[15]} },
		func(v4 [4]byte) [16]byte {
			return [16]byte{0: 0x20, 1: 0x01, 12: 255 - v4[0], 13: 255 - v4[1], 14: 255 - v4[2], 15: 255 - v4[3]}
		},
	},
}

// held returns the IPv4 address that addr holds, or addr.
func held(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("")
	for _, h := range holders {
		if h.block.Contains(addr) {
			return netip.AddrFrom4(h.unfold(addr.As16()))
		}
	}
	return addr
}

// edgesOf returns addresses of the family of addr: of every interval in which nothing of the prefixes changes, the first and
// the last. An IPv6 address that holds an IPv4 address counts as that.
func edgesOf(addr netip.Addr, prefixes []netip.Prefix) []netip.Addr {
	whole := netip.PrefixFrom(addr, 0).Masked()
	starts := []netip.Addr{whole.Addr()}
	bound := func(prefix netip.Prefix) {
		starts = append(starts, prefix.Masked().Addr())
		if after := last(prefix).Next(); after.IsValid() {
			starts = append(starts, after)
		}
	}
	for _, prefix := range prefixes {
		if prefix.Addr().Is4() == addr.Is4() {
			bound(prefix)
		}
	}
	if addr.Is6() {
		for _, h := range holders {
			bound(h.block)
		}
	}
	edges := append([]netip.Addr{last(whole)}, starts...)
	for _, start := range starts {
		if before := start.Prev(); before.IsValid() {
			edges = append(edges, before)
		}
	}
	if addr.Is6() {
		for _, edge := range edgesOf(netip.IPv4Unspecified(), prefixes) {
			for _, h := range holders {
				edges = append(edges, netip.AddrFrom16(h.fold(edge.As4())))
			}
		}
	}
	slices.SortFunc(edges, netip.Addr.Compare)
	return slices.Compact(edges)
}

// widest returns the length of the widest prefix around addr in which every address has the same value. That is one bit more
// than addr shares with any edge of another value: of an interval that addr is not in, no address is nearer than its ends.
func widest[T comparable](addr netip.Addr, edges []netip.Addr, value func(netip.Addr) T) int {
	bits := 0
	visit := func(edge netip.Addr) {
		if value(edge) != value(addr) {
			bits = max(bits, shared(addr, edge)+1)
		}
	}
	for _, edge := range edges {
		visit(edge)
		// Beside addr there are the same intervals again: with its own bits around the IPv4 address.
		for _, h := range holders {
			if !h.block.Contains(addr) || !h.block.Contains(edge) {
				continue
			}
			b, ones, zeros := addr.As16(), h.fold([4]byte{255, 255, 255, 255}), h.fold([4]byte{})
			for i, octet := range edge.As16() {
				if ones[i] != zeros[i] {
					b[i] = octet
				}
			}
			visit(netip.AddrFrom16(b))
		}
	}
	return bits
}

// shared counts the bits that two addresses of a family begin with alike.
func shared(a, b netip.Addr) int {
	x, y := a.AsSlice(), b.AsSlice()
	for i := range x {
		if x[i] != y[i] {
			return 8*i + bits.LeadingZeros8(x[i]^y[i])
		}
	}
	return 8 * len(x)
}

// remember makes a function that works each value out once.
func remember[T any](value func(netip.Addr) T) func(netip.Addr) T {
	known := map[netip.Addr]T{}
	return func(addr netip.Addr) T {
		v, ok := known[addr]
		if !ok {
			v = value(addr)
			known[addr] = v
		}
		return v
	}
}

// The model is the slow right thing: it scans every prefix of every line, with the code of net/netip and
// without a tree.
type model struct {
	lines    []LineOptions
	policies [][]Selector
}

// prefixes are those of all lines, IPv4-mapped ones as IPv4.
func (m model) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, l := range m.lines {
		for _, prefix := range l.Prefixes {
			all = append(all, plain(prefix))
		}
	}
	return all
}

// plain is a prefix masked, an IPv4-mapped one as IPv4.
func plain(prefix netip.Prefix) netip.Prefix {
	if prefix = prefix.Masked(); prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix
}

// matches returns the names of the lines around addr: the longest prefix first, each line once.
func (m model) matches(addr netip.Addr) []string {
	type hit struct {
		name string
		bits int
	}
	addr = held(addr)
	var hits []hit
	for _, l := range m.lines {
		longest := -1
		for _, prefix := range l.Prefixes {
			if prefix = plain(prefix); prefix.Contains(addr) {
				longest = max(longest, prefix.Bits())
			}
		}
		if longest >= 0 {
			hits = append(hits, hit{l.Name, longest})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return b.bits - a.bits })
	var names []string
	for _, h := range hits {
		names = append(names, h.name)
	}
	return append(names, "global")
}

// policy returns the policy of addr.
func (m model) policy(addr netip.Addr) int {
	for _, name := range m.matches(addr) {
		for i, sources := range m.policies {
			if slices.ContainsFunc(sources, func(s Selector) bool { return s.String() == name }) {
				return i
			}
		}
	}
	return -1
}

// planScope returns what works out scopes: the widest prefix of one policy, but 0 only where every address of both families has
// the same.
func (m model) planScope() func(netip.Addr) int {
	policy, constant := remember(m.policy), m.constant()
	edges := remember(func(addr netip.Addr) []netip.Addr { return edgesOf(addr, m.prefixes()) })
	return func(addr netip.Addr) int {
		if constant {
			return 0
		}
		return max(1, widest(addr.WithZone(""), edges(netip.PrefixFrom(addr, 0).Masked().Addr()), policy))
	}
}

// constant reports whether every address of both families has the same policy.
func (m model) constant() bool {
	return m.uniform(netip.IPv4Unspecified(), netip.IPv6Unspecified())
}

// uniform reports whether every address of some families has the same policy.
func (m model) uniform(families ...netip.Addr) bool {
	var edges []netip.Addr
	for _, family := range families {
		edges = append(edges, edgesOf(family, m.prefixes())...)
	}
	return !slices.ContainsFunc(edges, func(edge netip.Addr) bool { return m.policy(edge) != m.policy(edges[0]) })
}

// genAddr draws an address of which all but a few bits, somewhere in it, are those of one of a few patterns:
// so the networks and the addresses of a test nest and meet often. Many of IPv6 hold an IPv4 address.
func genAddr(is4 bool) *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		if !is4 && rapid.Bool().Draw(t, "holds IPv4") {
			v4 := genAddr(true).Draw(t, "v4")
			b := rapid.SampledFrom(holders).Draw(t, "holder").fold(v4.As4())
			b[rapid.IntRange(0, 15).Draw(t, "octet")] ^= rapid.SampledFrom([]byte{0, 0, 0, 1, 128}).Draw(t, "flip")
			return netip.AddrFrom16(b)
		}
		hi := rapid.SampledFrom([]uint64{0, 0x0a01_0200_0000_0001, 0x2001_0db8_0000_0000, 0xffff_ffff_ffff_ffff}).Draw(t, "high")
		lo := rapid.SampledFrom([]uint64{0, 0xffff_ffff_ffff_ffff}).Draw(t, "low")
		hi ^= uint64(rapid.IntRange(0, 15).Draw(t, "bits")) << rapid.SampledFrom([]int{60, 40, 32, 0}).Draw(t, "at")
		if is4 {
			return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(hi>>32))))
		}
		lo ^= uint64(rapid.IntRange(0, 15).Draw(t, "low bits")) << rapid.SampledFrom([]int{60, 0}).Draw(t, "low at")
		return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, hi), lo)))
	})
}

// genPrefix draws a prefix that a line may have: none of NAT64, 6to4 and Teredo.
func genPrefix() *rapid.Generator[netip.Prefix] {
	return rapid.Custom(func(t *rapid.T) netip.Prefix {
		addr := genAddr(rapid.Bool().Draw(t, "is4")).Draw(t, "addr")
		prefix := netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "length"))
		for _, h := range holders[1:] {
			if h.block.Overlaps(prefix) && prefix.Bits() >= h.block.Bits() {
				return netip.PrefixFrom(addr, h.block.Bits()-1)
			}
		}
		return prefix
	})
}

// genModel draws lines with prefixes that are all different, and policies of some of the sources.
func genModel(t *rapid.T) model {
	var m model
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		m.lines = append(m.lines, LineOptions{Name: name})
	}
	used := make(map[netip.Prefix]bool)
	for range rapid.IntRange(0, 12).Draw(t, "prefixes") {
		prefix := genPrefix().Draw(t, "prefix")
		if l := &m.lines[rapid.IntRange(0, len(names)-1).Draw(t, "line")]; !used[plain(prefix)] {
			l.Prefixes = append(l.Prefixes, prefix)
		}
		used[plain(prefix)] = true
	}
	m.policies = make([][]Selector, rapid.IntRange(0, 4).Draw(t, "policies"))
	for _, name := range append(names, "global") {
		source, err := ParseSelector(name, m.lines, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i := rapid.IntRange(-1, len(m.policies)-1).Draw(t, "policy of "+name); i >= 0 {
			m.policies[i] = append(m.policies[i], source)
		}
	}
	return m
}

func (m model) compile(t *rapid.T) (*Map, *Plan) {
	compiled, err := Compile(Input{Lines: m.lines})
	if err != nil {
		t.Fatal(err)
	}
	return compiled, compiled.Plan(compiled.Assign(m.policies))
}

// addresses are those at which a mistake would show: the edges of both families, and a few drawn ones.
func (m model) addresses(t *rapid.T) []netip.Addr {
	drawn := append(rapid.SliceOfN(genAddr(true), 1, 4).Draw(t, "v4"), rapid.SliceOfN(genAddr(false), 1, 4).Draw(t, "v6")...)
	return slices.Concat(drawn, edgesOf(netip.IPv4Unspecified(), m.prefixes()), edgesOf(netip.IPv6Unspecified(), m.prefixes()))
}

func TestPlanAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel(t)
		_, plan := m.compile(t)
		if want := m.constant(); plan.Constant() != want {
			t.Fatalf("Constant() = %v, want %v", plan.Constant(), want)
		}
		regions, scopeOf := make(map[netip.Prefix]int), m.planScope()
		for _, addr := range m.addresses(t) {
			policy, scope := plan.Lookup(addr)
			if want := m.policy(addr); policy != want {
				t.Fatalf("%v: policy %d, want %d", addr, policy, want)
			}
			if want := scopeOf(addr); scope != want {
				t.Fatalf("%v: scope %d, want %d", addr, scope, want)
			}
			regions[netip.PrefixFrom(addr, scope).Masked()] = policy
		}
		checkRegions(t, regions)
	})
}

// checkRegions checks that no resolver which keeps an answer for a region gives it to a client of another.
func checkRegions(t *rapid.T, regions map[netip.Prefix]int) {
	for a := range regions {
		for b := range regions {
			// Scope 0 may be taken to mean both families.
			if a != b && a.Overlaps(b) || regions[a] != regions[b] && a.Bits() == 0 {
				t.Fatalf("the regions %v and %v overlap", a, b)
			}
		}
	}
}

func TestMapAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel(t)
		compiled, _ := m.compile(t)
		classes := make(map[Class][]string)
		chain := remember(func(addr netip.Addr) string { return strings.Join(m.matches(addr), " ") })
		for _, addr := range m.addresses(t) {
			want := m.matches(addr)
			var got []string
			for _, match := range compiled.Matches(addr) {
				got = append(got, match.Selector.String())
				if !match.Prefix.Contains(held(addr)) {
					t.Fatalf("%v: matched by %v, which does not contain it", addr, match.Prefix)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%v: matches %v, want %v", addr, got, want)
			}
			class, depth := compiled.Lookup(addr)
			if want := widest(addr, edgesOf(addr, m.prefixes()), chain); depth != want {
				t.Fatalf("%v: depth %d, want %d", addr, depth, want)
			}
			for other, matches := range classes {
				if (other == class) != slices.Equal(matches, want) {
					t.Fatalf("%v: class %d for %v, but class %d for %v", addr, class, want, other, matches)
				}
			}
			classes[class] = want
		}
	})
}

// TestAllCovers checks that All is the whole of both families, once, in order, and what Lookup says; but for the addresses
// that hold an IPv4 address where IPv4 has several policies.
func TestAllCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel(t)
		_, plan := m.compile(t)
		leftOut := map[netip.Addr]netip.Prefix{} // by its first address
		if !m.uniform(netip.IPv4Unspecified()) {
			for _, h := range holders {
				leftOut[h.block.Addr()] = h.block
			}
		}
		next := netip.IPv4Unspecified()
		for prefix, policy := range plan.All() {
			if !next.IsValid() {
				next = netip.IPv6Unspecified() // the last IPv4 address has no next
			}
			for block, ok := leftOut[next]; ok; block, ok = leftOut[next] {
				next = last(block).Next()
			}
			if prefix.Addr() != next || prefix != prefix.Masked() {
				t.Fatalf("%v comes where a prefix from %v on should", prefix, next)
			}
			end := last(prefix)
			for _, addr := range []netip.Addr{prefix.Addr(), end} {
				if got, scope := plan.Lookup(addr); got != policy || scope != prefix.Bits() {
					t.Fatalf("%v: Lookup = policy %d, scope %d; All says %d for %v", addr, got, scope, policy, prefix)
				}
			}
			next = end.Next()
		}
		if next.IsValid() {
			t.Fatalf("the partition ends before %v", next)
		}
	})
}

func TestCompileIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel(t)
		shuffled := model{policies: m.policies}
		for _, l := range rapid.Permutation(m.lines).Draw(t, "lines") {
			l.Prefixes = rapid.Permutation(l.Prefixes).Draw(t, "prefixes")
			shuffled.lines = append(shuffled.lines, l)
		}
		mapA, planA := m.compile(t)
		mapB, planB := shuffled.compile(t)
		if a, b := partitionOf(planA), partitionOf(planB); !slices.Equal(a, b) {
			t.Fatalf("plans differ:\n%v\n%v", a, b)
		}
		for _, addr := range m.addresses(t) {
			classA, depthA := mapA.Lookup(addr)
			classB, depthB := mapB.Lookup(addr)
			if classA != classB || depthA != depthB {
				t.Fatalf("%v: class %d, depth %d in one order; class %d, depth %d in another",
					addr, classA, depthA, classB, depthB)
			}
		}
	})
}

// FuzzPlan looks up any bytes as an address, those that hold an IPv4 address and invalid ones included.
func FuzzPlan(f *testing.F) {
	m := model{lines: nested()}
	m.policies = mustPolicies(f, m.lines, "global", "wide", "office back")
	plan := mustPlan(f, m.lines, m.policies)
	for _, text := range []string{
		"10.1.2.7", "2001:db8:1:2::1", "::ffff:10.2.3.4", "64:ff9b::a01:207", "2002:a01:207::1", "2001::f5fe:fdf8",
	} {
		f.Add(netip.MustParseAddr(text).AsSlice())
	}
	f.Add([]byte{1, 2, 3})
	scopeOf := m.planScope()
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		wantPolicy, wantScope := 0, 0
		if ok {
			wantPolicy, wantScope = m.policy(addr), scopeOf(addr)
		}
		if policy, scope := plan.Lookup(addr); policy != wantPolicy || scope != wantScope {
			t.Errorf("%v: policy %d, scope %d; want %d, %d", addr, policy, scope, wantPolicy, wantScope)
		}
	})
}
