package policy_test

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gtmd/policy"
)

// draws is the number of draws behind each distribution.
const draws = 1_000_000

// sums are the running sums of weights.
func sums(weights []uint64) []uint64 {
	out := make([]uint64, len(weights))
	total := uint64(0)
	for i, w := range weights {
		total += w
		out[i] = total
	}
	return out
}

// weighings are sets of weights as pools and addresses make them, up to products of the largest.
func weighings() map[string][]uint64 {
	const largest = 1_000_000 * 1_000_000
	hundred := make([]uint64, 100)
	for i := range hundred {
		hundred[i] = uint64(i + 1)
	}
	return map[string][]uint64{
		"one":          {7},
		"equal":        {1, 1, 1, 1},
		"small":        {1, 2, 3},
		"70:30":        {70, 30},
		"coprime":      {999_983, 999_979, 999_961},
		"largest":      {largest, largest, largest / 2, largest / 4},
		"skewed":       {1, largest},
		"very skewed":  {1, 1000, 1_000_000, 1_000_000_000, largest},
		"a hundred":    hundred,
		"all largest":  {largest, largest, largest, largest, largest, largest, largest},
		"sum near end": {1<<62 + 5, 1<<62 - 7},
	}
}

// TestPickWeight draws from two sources: pseudo-random numbers, and a counter finished by Mix as servers do.
func TestPickWeight(t *testing.T) {
	for _, name := range []string{"small", "largest", "very skewed"} {
		weights := weighings()[name]
		t.Run(name, func(t *testing.T) {
			random, running := rand.New(rand.NewPCG(1, 2)), sums(weights)
			drawn, mixed := make([]int, len(weights)), make([]int, len(weights))
			for i := range uint64(draws) {
				drawn[policy.PickWeight(running, random.Uint64())]++
				mixed[policy.PickWeight(running, policy.Mix(i*0x9e3779b97f4a7c15))]++
			}
			checkShares(t, weights, drawn)
			checkShares(t, weights, mixed)
		})
	}
}

// checkShares fails the test when a count is off its share by more than 1 %: of the share where that is 5 % or more,
// else of all draws.
func checkShares(t *testing.T, weights []uint64, counts []int) {
	t.Helper()
	total, drawn := 0.0, 0
	for i, w := range weights {
		total += float64(w)
		drawn += counts[i]
	}
	for i, w := range weights {
		want, got := float64(w)/total, float64(counts[i])/float64(drawn)
		limit := 0.01
		if want >= 0.05 {
			limit *= want
		}
		if math.Abs(got-want) > limit {
			t.Errorf("index %d of weight %d got %.5f of the draws, want %.5f", i, w, got, want)
		}
	}
}

// TestPickWeightEven draws with evenly spaced numbers: no count may be off its share by more than one draw.
func TestPickWeightEven(t *testing.T) {
	const draws = 100_000
	const step = math.MaxUint64/draws + 1
	for name, weights := range weighings() {
		t.Run(name, func(t *testing.T) {
			running, counts := sums(weights), make([]int, len(weights))
			for i := range uint64(draws) {
				counts[policy.PickWeight(running, i*step)]++
			}
			total := float64(running[len(running)-1])
			for i, w := range weights {
				if want := float64(w) / total * draws; math.Abs(float64(counts[i])-want) > 1.01 {
					t.Errorf("index %d of weight %d got %d draws, want %.2f", i, w, counts[i], want)
				}
			}
		})
	}
}

// TestPickWeightBoundaries finds, for each running sum, the two neighbouring numbers between which the choice turns.
func TestPickWeightBoundaries(t *testing.T) {
	for name, weights := range weighings() {
		t.Run(name, func(t *testing.T) {
			running := sums(weights)
			total := running[len(running)-1]
			equal(t, "smallest", policy.PickWeight(running, 0), 0)
			equal(t, "largest", policy.PickWeight(running, math.MaxUint64), len(running)-1)
			for i, sum := range running[:len(running)-1] {
				// The first number whose point, number × total / 2^64, reaches the sum.
				first, rest := bits.Div64(sum, 0, total)
				if rest > 0 {
					first++
				}
				equal(t, "before the sum", policy.PickWeight(running, first-1), i)
				equal(t, "at the sum", policy.PickWeight(running, first), i+1)
			}
		})
	}
}

// sticky is a set of addresses for PickSticky.
type sticky struct {
	seeds   []uint64
	weights []float64
}

func newSticky(weights ...float64) sticky {
	s := sticky{weights: weights}
	for i := range weights {
		s.seeds = append(s.seeds, policy.HashName(fmt.Sprintf("192.0.2.%d", i+1)))
	}
	return s
}

// without is s without address i.
func (s sticky) without(i int) sticky {
	return sticky{
		seeds:   append(append([]uint64(nil), s.seeds[:i]...), s.seeds[i+1:]...),
		weights: append(append([]float64(nil), s.weights[:i]...), s.weights[i+1:]...),
	}
}

func (s sticky) pick(network uint64) int { return policy.PickSticky(network, s.seeds, s.weights) }

// network is the hash of the i-th /24 from 10.0.0.0 on.
func network(i int) uint64 {
	return policy.HashNetwork(netip.AddrFrom4([4]byte{byte(10 + i>>16), byte(i >> 8), byte(i), 0}))
}

func TestPickStickyShares(t *testing.T) {
	networks := make([]uint64, draws)
	for i := range networks {
		networks[i] = network(i)
	}
	for _, weights := range [][]float64{{1, 1}, {1, 2, 3}, {70, 30}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			s, counts, total := newSticky(weights...), make([]int, len(weights)), 0.0
			for _, n := range networks {
				counts[s.pick(n)]++
			}
			for _, w := range weights {
				total += w
			}
			for i, w := range weights {
				if got := float64(counts[i]) / draws; math.Abs(got-w/total) > 0.01 {
					t.Errorf("index %d of weight %g got %.4f of the networks, want %.4f", i, w, got, w/total)
				}
			}
		})
	}
}

// TestPickStickyMoves takes each address away: only the networks that had it move, and when it comes back, it takes
// exactly those again.
func TestPickStickyMoves(t *testing.T) {
	all := newSticky(1, 2, 3, 1)
	for gone := range all.seeds {
		left, moved := all.without(gone), 0
		for i := range draws / 10 {
			n := network(i)
			before, after := all.pick(n), left.pick(n)
			if after >= gone {
				after++ // as an index of all
			}
			switch {
			case before == gone:
				moved++
			case before != after:
				t.Fatalf("without address %d, network %d moves from address %d to %d", gone, i, before, after)
			}
		}
		want := all.weights[gone] / 7
		if share := float64(moved) / (draws / 10); math.Abs(share-want) > 0.01 {
			t.Errorf("without address %d, %.3f of the networks move, want %.3f", gone, share, want)
		}
	}
}

// TestPickStickyOrder checks that the order of the addresses, which differs between nodes, does not count.
func TestPickStickyOrder(t *testing.T) {
	s := newSticky(1, 2, 3)
	turned := sticky{
		seeds:   []uint64{s.seeds[2], s.seeds[0], s.seeds[1]},
		weights: []float64{s.weights[2], s.weights[0], s.weights[1]},
	}
	for i := range 10_000 {
		n := network(i)
		equal(t, "seed", turned.seeds[turned.pick(n)], s.seeds[s.pick(n)])
	}
}

// TestPickStickyPinned pins choices: another release or node must make the same.
func TestPickStickyPinned(t *testing.T) {
	s, got := newSticky(1, 1, 2), ""
	for i := range 32 {
		got += fmt.Sprint(s.pick(network(i)))
	}
	equal(t, "choices", got, "12022101111120211201121021221012")
}

// unmix is the number x for which Mix(x) is y.
func unmix(y uint64) uint64 {
	y ^= y>>31 ^ y>>62
	y *= inverse(0x94d049bb133111eb)
	y ^= y>>27 ^ y>>54
	y *= inverse(0xbf58476d1ce4e5b9)
	return y ^ y>>30 ^ y>>60
}

// inverse is the number by which an odd x is 1 modulo 2^64 (Newton's iteration: each turn doubles the bits that are right).
func inverse(x uint64) uint64 {
	y := x
	for range 6 {
		y *= 2 - x*y
	}
	return y
}

// TestPickStickyEnds gives an address the largest and the smallest hash there is: the first beats any other, the
// second loses to any other, and weights count among equals.
func TestPickStickyEnds(t *testing.T) {
	const n = 12345
	largest, smallest := unmix(math.MaxUint64)^n, unmix(0)^n
	equal(t, "unmix", policy.Mix(largest^n), math.MaxUint64)
	middle := unmix(1<<63) ^ n
	equal(t, "largest last", policy.PickSticky(n, []uint64{middle, largest}, []float64{1e12, 1}), 1)
	equal(t, "largest first", policy.PickSticky(n, []uint64{largest, middle}, []float64{1, 1e12}), 0)
	equal(t, "smallest last", policy.PickSticky(n, []uint64{middle, smallest}, []float64{1, 1}), 0)
	equal(t, "smallest first", policy.PickSticky(n, []uint64{smallest, middle}, []float64{1, 1}), 1)
	equal(t, "two largest by weight", policy.PickSticky(n, []uint64{largest, largest}, []float64{1, 2}), 1)
	equal(t, "two smallest by weight", policy.PickSticky(n, []uint64{smallest, smallest}, []float64{1, 2}), 1)
}

func TestHashNetwork(t *testing.T) {
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.0", "192.0.2.255", true},
		{"192.0.2.255", "192.0.3.0", false},
		{"192.0.2.1", "192.1.2.1", false},
		{"192.0.2.1", "193.0.2.1", false},
		{"2001:db8:0:100::", "2001:db8:0:1ff:ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1ff::1", "2001:db8:0:200::1", false},
		{"2001:db8::1", "2001:db9::1", false},
		{"2001:db8::1", "2101:db8::1", false},
		{"0.0.0.0", "::", false},
		{"192.0.2.1", "100:0:c000:200::", false},
		{"192.0.2.1", "0:0:c000:200::", false},
		{"192.0.2.1", "c000:200::", false},
	} {
		a, b := policy.HashNetwork(netip.MustParseAddr(row.a)), policy.HashNetwork(netip.MustParseAddr(row.b))
		equal(t, row.a+" and "+row.b, a == b, row.same)
	}
}

// TestHashNetworkDifferent checks that the hashes of different networks of either family differ.
func TestHashNetworkDifferent(t *testing.T) {
	seen := map[uint64]netip.Addr{}
	add := func(a netip.Addr) {
		hash := policy.HashNetwork(a)
		if other, isSeen := seen[hash]; isSeen {
			t.Fatalf("%s and %s have the same hash", a, other)
		}
		seen[hash] = a
	}
	for i := range 1 << 12 {
		add(netip.AddrFrom4([4]byte{byte(i >> 4), 0, byte(i), 9}))
		add(netip.AddrFrom16([16]byte{0: byte(i >> 8), 6: byte(i), 7: 9}))
		add(netip.AddrFrom16([16]byte{0: 1, 4: byte(i >> 4), 5: 0xff, 6: byte(i)}))
	}
}

func TestStickyBits(t *testing.T) {
	equal(t, "IPv4", policy.StickyBits(netip.MustParseAddr("192.0.2.1")), 24)
	equal(t, "IPv6", policy.StickyBits(netip.MustParseAddr("2001:db8::1")), 56)
}

// TestStickyBitsHash checks that HashNetwork keeps exactly the first StickyBits bits.
func TestStickyBitsHash(t *testing.T) {
	for _, text := range []string{"0.0.0.0", "192.0.2.85", "255.255.255.255", "::", "2001:db8:aa55:aa55:aa55::1"} {
		a := netip.MustParseAddr(text)
		for bit := range a.BitLen() {
			octets := a.AsSlice()
			octets[bit/8] ^= 0x80 >> (bit % 8)
			b, _ := netip.AddrFromSlice(octets)
			equal(t, fmt.Sprint(a, " with bit ", bit, " turned is the same"),
				policy.HashNetwork(a) == policy.HashNetwork(b), bit >= policy.StickyBits(a))
		}
	}
}

// TestHashName holds the hash against FNV-1a of the empty text and of "a" (test vectors of its authors), finished by Mix.
func TestHashName(t *testing.T) {
	equal(t, "no name", policy.HashName(""), policy.Mix(0xcbf29ce484222325))
	equal(t, "a", policy.HashName("a"), policy.Mix(0xaf63dc4c8601ec8c))
	equal(t, "foobar", policy.HashName("foobar"), policy.Mix(0x85944171f73967e8))
}

// TestMix holds Mix against the first numbers of splitmix64 with seed 1234567.
func TestMix(t *testing.T) {
	seed := uint64(1234567)
	for _, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		seed += 0x9e3779b97f4a7c15
		equal(t, "Mix", policy.Mix(seed), want)
	}
}
