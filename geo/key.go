package geo

import (
	"encoding/binary"
	"net/netip"
)

// A key is an address as the trees see it: its bits from the left, zeros after those of an IPv4 address. So one
// tree type serves both families.
type key struct{ hi, lo uint64 }

// mappedBits is the length of ::ffff:0:0/96, the prefix of the IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const mappedBits = 96

// keyOf returns the key of a valid address and its family; an IPv4-mapped IPv6 address is IPv4.
func keyOf(addr netip.Addr) (k key, is4 bool) {
	b := addr.As16()
	k = key{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
	if addr.Is4() || addr.Is4In6() {
		return key{hi: k.lo << 32}, true
	}
	return k, false
}

// bit returns the bit at depth, 0 being the leftmost.
func (k key) bit(depth int) uint64 {
	if depth < 64 {
		return k.hi >> (63 - depth) & 1
	}
	return k.lo >> (127 - depth) & 1
}

// withBit returns the key with the bit at depth set.
func (k key) withBit(depth int) key {
	if depth < 64 {
		k.hi |= 1 << (63 - depth)
	} else {
		k.lo |= 1 << (127 - depth)
	}
	return k
}

// masked returns the key with the bits after the first n cleared.
func (k key) masked(n int) key {
	// A shift by 64 or more gives 0.
	if n < 64 {
		return key{hi: k.hi &^ (^uint64(0) >> n)}
	}
	return key{hi: k.hi, lo: k.lo &^ (^uint64(0) >> (n - 64))}
}

// prefix returns the first bits of the key as a prefix of its family; those after them are zero.
func (k key) prefix(bits int, is4 bool) netip.Prefix {
	if is4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k.hi>>32))
		return netip.PrefixFrom(netip.AddrFrom4(b), bits)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	return netip.PrefixFrom(netip.AddrFrom16(b), bits)
}
