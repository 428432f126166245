package mmdb

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// point is an address as a number: of IPv4 the 32 bits of lo. It has no pointer, unlike netip.Addr, so that millions of
// them cost the garbage collector nothing.
type point struct{ hi, lo uint64 }

func toPoint(addr netip.Addr) point {
	if addr.Is4() {
		four := addr.As4()
		return point{lo: uint64(binary.BigEndian.Uint32(four[:]))}
	}
	sixteen := addr.As16()
	return point{binary.BigEndian.Uint64(sixteen[:8]), binary.BigEndian.Uint64(sixteen[8:])}
}

// addr is the address of the family with width bits.
func (p point) addr(width int) netip.Addr {
	var sixteen [16]byte
	binary.BigEndian.PutUint64(sixteen[:8], p.hi)
	binary.BigEndian.PutUint64(sixteen[8:], p.lo)
	if width == 32 {
		return netip.AddrFrom4([4]byte(sixteen[12:]))
	}
	return netip.AddrFrom16(sixteen)
}

func (p point) compare(q point) int {
	switch {
	case p == q:
		return 0
	case p.hi < q.hi || p.hi == q.hi && p.lo < q.lo:
		return -1
	}
	return 1
}

func (p point) less(q point) bool { return p.compare(q) < 0 }

// plus and minus wrap around.
func (p point) plus(q point) point {
	lo, carry := bits.Add64(p.lo, q.lo, 0)
	return point{p.hi + q.hi + carry, lo}
}

func (p point) minus(q point) point {
	lo, borrow := bits.Sub64(p.lo, q.lo, 0)
	return point{p.hi - q.hi - borrow, lo}
}

func (p point) next() point { return p.plus(point{lo: 1}) }
func (p point) prev() point { return p.minus(point{lo: 1}) }

// sizeOf is 2^n - 1: how far the last address of a prefix with n free bits is from its first one.
func sizeOf(n int) point {
	if n >= 64 {
		return point{1<<(n-64) - 1, math.MaxUint64}
	}
	return point{lo: 1<<n - 1}
}

// zeros is the number of zero bits at the end, 128 of zero.
func (p point) zeros() int {
	if p.lo != 0 {
		return bits.TrailingZeros64(p.lo)
	}
	return 64 + bits.TrailingZeros64(p.hi)
}

// len is the number of bits without leading zeros.
func (p point) len() int {
	if p.hi != 0 {
		return 64 + bits.Len64(p.hi)
	}
	return bits.Len64(p.lo)
}

func (p point) float() float64 { return math.Ldexp(float64(p.hi), 64) + float64(p.lo) }
