package geo

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The model is the slow right thing: it scans every prefix of every line, with the code of net/netip and
// without a tree.
type model struct {
	lines    []LineOptions
	policies [][]Selector
}

// matches returns the names of the lines around addr: the longest prefix first, each line once.
func (m model) matches(addr netip.Addr) []string {
	type hit struct {
		name string
		bits int
	}
	var hits []hit
	for _, l := range m.lines {
		longest := -1
		for _, prefix := range l.Prefixes {
			if prefix.Contains(addr) {
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

// edges returns addresses of the family of addr of which every interval of equal matches has one: the first
// address of the space, of each prefix, and after each prefix.
func (m model) edges(addr netip.Addr) []netip.Addr {
	edges := []netip.Addr{netip.PrefixFrom(addr, 0).Masked().Addr()}
	for _, l := range m.lines {
		for _, prefix := range l.Prefixes {
			if prefix.Addr().Is4() != addr.Is4() {
				continue
			}
			edges = append(edges, prefix.Masked().Addr())
			if after := last(prefix).Next(); after.IsValid() {
				edges = append(edges, after)
			}
		}
	}
	return edges
}

// scope returns the length of the widest prefix around addr in which result is the same everywhere. Every
// prefix around addr is tried, each by all its addresses at which the result could change.
func (m model) scope(addr netip.Addr, same func(a, b netip.Addr) bool) int {
	edges := m.edges(addr)
	for bits := 0; ; bits++ {
		prefix := netip.PrefixFrom(addr, bits).Masked()
		differs := func(edge netip.Addr) bool { return prefix.Contains(edge) && !same(edge, addr) }
		if same(prefix.Addr(), addr) && !slices.ContainsFunc(edges, differs) {
			return bits
		}
	}
}

// planScope is scope for the policy, but 0 only where every address of both families has the same.
func (m model) planScope(addr netip.Addr) int {
	if m.constant() {
		return 0
	}
	return max(1, m.scope(addr, m.samePolicy))
}

// constant reports whether every address of both families has the same policy.
func (m model) constant() bool {
	edges := append(m.edges(netip.IPv4Unspecified()), m.edges(netip.IPv6Unspecified())...)
	return !slices.ContainsFunc(edges, func(edge netip.Addr) bool { return !m.samePolicy(edge, edges[0]) })
}

func (m model) samePolicy(a, b netip.Addr) bool  { return m.policy(a) == m.policy(b) }
func (m model) sameMatches(a, b netip.Addr) bool { return slices.Equal(m.matches(a), m.matches(b)) }

// genAddr draws an address of which all but a few bits, somewhere in it, are those of one of a few patterns:
// so the networks and the addresses of a test nest and meet often.
func genAddr(is4 bool) *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		hi := rapid.SampledFrom([]uint64{0, 0x0a01_0200_0000_0001, 0xffff_ffff_ffff_ffff}).Draw(t, "high")
		lo := rapid.SampledFrom([]uint64{0, 0xffff_ffff_ffff_ffff}).Draw(t, "low")
		hi ^= uint64(rapid.IntRange(0, 15).Draw(t, "bits")) << rapid.SampledFrom([]int{60, 40, 32, 0}).Draw(t, "at")
		if is4 {
			return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(hi>>32))))
		}
		lo ^= uint64(rapid.IntRange(0, 15).Draw(t, "low bits")) << rapid.SampledFrom([]int{60, 0}).Draw(t, "low at")
		return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, hi), lo)))
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
		addr := genAddr(rapid.Bool().Draw(t, "is4")).Draw(t, "addr")
		prefix := netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "length"))
		if l := &m.lines[rapid.IntRange(0, len(names)-1).Draw(t, "line")]; !used[prefix.Masked()] {
			l.Prefixes = append(l.Prefixes, prefix)
		}
		used[prefix.Masked()] = true
	}
	m.policies = make([][]Selector, rapid.IntRange(0, 4).Draw(t, "policies"))
	for _, name := range append(names, "global") {
		source, err := ParseSelector(name, m.lines)
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
	compiled, err := Compile(m.lines)
	if err != nil {
		t.Fatal(err)
	}
	return compiled, compiled.Plan(m.policies)
}

// addresses are those at which a mistake would show: the edges of both families and those before them, and a
// few drawn ones.
func (m model) addresses(t *rapid.T) []netip.Addr {
	drawn := append(rapid.SliceOfN(genAddr(true), 1, 4).Draw(t, "v4"), rapid.SliceOfN(genAddr(false), 1, 4).Draw(t, "v6")...)
	addresses := drawn
	for _, addr := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		for _, edge := range m.edges(addr) {
			addresses = append(addresses, edge)
			if before := edge.Prev(); before.IsValid() {
				addresses = append(addresses, before)
			}
		}
	}
	// An IPv4-mapped address is not in the IPv6 partition.
	return slices.DeleteFunc(addresses, netip.Addr.Is4In6)
}

func TestPlanAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel(t)
		_, plan := m.compile(t)
		if want := m.constant(); plan.Constant() != want {
			t.Fatalf("Constant() = %v, want %v", plan.Constant(), want)
		}
		regions := make(map[netip.Prefix]int)
		for _, addr := range m.addresses(t) {
			policy, scope := plan.Lookup(addr)
			if want := m.policy(addr); policy != want {
				t.Fatalf("%v: policy %d, want %d", addr, policy, want)
			}
			if want := m.planScope(addr); scope != want {
				t.Fatalf("%v: scope %d, want %d", addr, scope, want)
			}
			regions[netip.PrefixFrom(addr, scope).Masked()] = policy
		}
		for a := range regions {
			for b := range regions {
				// Scope 0 may be taken to mean both families.
				if a != b && a.Overlaps(b) || regions[a] != regions[b] && a.Bits() == 0 {
					t.Fatalf("the regions %v and %v overlap", a, b)
				}
			}
		}
	})
}

func TestMapAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel(t)
		compiled, _ := m.compile(t)
		classes := make(map[Class][]string)
		for _, addr := range m.addresses(t) {
			want := m.matches(addr)
			var got []string
			for _, match := range compiled.Matches(addr) {
				got = append(got, match.Selector.String())
				if !match.Prefix.Contains(addr) {
					t.Fatalf("%v: matched by %v, which does not contain it", addr, match.Prefix)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%v: matches %v, want %v", addr, got, want)
			}
			class, depth := compiled.Lookup(addr)
			if want := m.scope(addr, m.sameMatches); depth != want {
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

// TestAllCovers checks that the partition is the whole of both families, once, in order, and what Lookup says.
func TestAllCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel(t)
		_, plan := m.compile(t)
		next := netip.IPv4Unspecified()
		for prefix, policy := range plan.All() {
			if !next.IsValid() {
				next = netip.IPv6Unspecified() // the last IPv4 address has no next
			}
			if prefix.Addr() != next || prefix != prefix.Masked() {
				t.Fatalf("%v comes where a prefix from %v on should", prefix, next)
			}
			end := last(prefix)
			for _, addr := range []netip.Addr{prefix.Addr(), end} {
				got, scope := plan.Lookup(addr)
				if !addr.Is4In6() && (got != policy || scope != prefix.Bits()) {
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

// FuzzPlan looks up any bytes as an address, IPv4-mapped and invalid ones included.
func FuzzPlan(f *testing.F) {
	m := model{lines: nested()}
	m.policies = mustPolicies(f, m.lines, "global", "wide", "office back")
	plan := mustCompile(f, m.lines).Plan(m.policies)
	for _, text := range []string{"10.1.2.7", "2001:db8:1:2::1", "::ffff:10.2.3.4"} {
		f.Add(netip.MustParseAddr(text).AsSlice())
	}
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		wantPolicy, wantScope := 0, 0
		if ok {
			wantPolicy, wantScope = m.policy(addr.Unmap()), m.planScope(addr.Unmap())
		}
		if policy, scope := plan.Lookup(addr); policy != wantPolicy || scope != wantScope {
			t.Errorf("%v: policy %d, scope %d; want %d, %d", addr, policy, scope, wantPolicy, wantScope)
		}
	})
}
