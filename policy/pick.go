package policy

import (
	"math"
	"math/bits"
	"net/netip"
	"sort"
)

// PickWeight chooses an index with probability proportional to the weights whose running sums are given; the sums
// rise strictly and the last is below 2^63. random must be uniform over 64 bits; the bias is at most total / 2^64.
func PickWeight(sums []uint64, random uint64) int {
	point, _ := bits.Mul64(random, sums[len(sums)-1])
	return sort.Search(len(sums), func(i int) bool { return sums[i] > point })
}

// PickSticky chooses an index by weighted rendezvous hashing of a client's network (highest random weight, Thaler and
// Ravishankar 1998, with logarithmic weights): when an address goes away, only the clients that had it move. Seeds are
// HashName of the addresses, weights are above 0. It depends on nothing but its input, so every node agrees.
func PickSticky(network uint64, seeds []uint64, weights []float64) int {
	best, choice := math.Inf(-1), 0
	for i, seed := range seeds {
		// uniform is in (0, 1): 52 random bits, moved by half a step off both ends, which 53 bits of float64 hold exactly.
		uniform := (float64(Mix(network^seed)>>12) + 0.5) / (1 << 52)
		if score := -weights[i] / math.Log(uniform); score > best {
			best, choice = score, i
		}
	}
	return choice
}

// StickyBits is the prefix length of a client's network for sticky answers: 24 for IPv4, 56 for IPv6. Longer client
// prefixes are cut to it, so that overlapping prefixes never get different answers (RFC 7871 section 7.3.1).
func StickyBits(client netip.Addr) int {
	if client.Is4() {
		return 24
	}
	return 56
}

// HashNetwork is the hash of a client's network of StickyBits for PickSticky; no two networks have the same. The
// network is of the client's own family, also where an IPv6 address holds an IPv4 address: its /56 is what a scope can name.
func HashNetwork(client netip.Addr) uint64 {
	b := client.As16()
	high := uint64(b[0])<<56 | uint64(b[1])<<48 | uint64(b[2])<<40 | uint64(b[3])<<32 |
		uint64(b[4])<<24 | uint64(b[5])<<16 | uint64(b[6])<<8
	if client.Is4() {
		high = uint64(b[12])<<24 | uint64(b[13])<<16 | uint64(b[14])<<8 | 1 // An IPv6 network ends in eight 0 bits.
	}
	return Mix(high)
}

// HashName is the hash of an address or name for PickSticky (FNV-1a, 64 bits).
func HashName(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return Mix(h)
}

// Mix is the finaliser of splitmix64: every bit of the input changes every bit of the output with probability near one half.
func Mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
