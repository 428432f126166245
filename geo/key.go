package geo

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// A key is an address as the trees see it: its bits from the left, zeros after those of an IPv4 address. So one
// tree type serves both families.
type key struct{ hi, lo uint64 }

// keyOf returns the key of a valid address in its own family.
func keyOf(addr netip.Addr) (k key, is4 bool) {
	b := addr.As16()
	k = key{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
	if addr.Is4() {
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

// after returns the first key after the block of 2^(128-depth) keys that begins at k; done when that block is the last.
func (k key) after(depth int) (next key, done bool) {
	var carry uint64
	if depth > 64 {
		k.lo, carry = bits.Add64(k.lo, 1<<(128-depth), 0)
		k.hi, carry = bits.Add64(k.hi, 0, carry)
	} else if depth > 0 {
		k.hi, carry = bits.Add64(k.hi, 1<<(64-depth), 0)
	} else {
		carry = 1
	}
	return k, carry != 0
}

// less orders keys as numbers.
func (k key) less(other key) bool {
	return k.hi < other.hi || k.hi == other.hi && k.lo < other.lo
}

// alignment is the length of the widest prefix that begins at k.
func (k key) alignment() int {
	switch {
	case k.lo != 0:
		return 128 - bits.TrailingZeros64(k.lo)
	case k.hi != 0:
		return 64 - bits.TrailingZeros64(k.hi)
	default:
		return 0
	}
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

// withSlot returns the key with the strideBits bits after the first depth ones set to slot; those beyond the last bit of the
// address are lost.
func (k key) withSlot(depth, slot int) key {
	for i := range strideBits {
		if at := depth + i; at < 128 && slot>>(strideBits-1-i)&1 == 1 {
			k = k.withBit(at)
		}
	}
	return k
}
