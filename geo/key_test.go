package geo

import (
	"math/big"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// number is a key as one number.
func (k key) number() *big.Int {
	n := new(big.Int).SetUint64(k.hi)
	return n.Or(n.Lsh(n, 64), new(big.Int).SetUint64(k.lo))
}

func genKey() *rapid.Generator[key] {
	return rapid.Custom(func(t *rapid.T) key {
		k, _ := keyOf(genAddr(rapid.Bool().Draw(t, "is4")).Draw(t, "addr"))
		return k
	})
}

func TestKeyOf(t *testing.T) {
	for _, tc := range []struct {
		addr string
		want key
		is4  bool
	}{
		{"0.0.0.0", key{}, true},
		{"10.1.2.3", key{hi: 0x0a010203_00000000}, true},
		{"255.255.255.255", key{hi: 0xffffffff_00000000}, true},
		{"::", key{}, false},
		{"2001:db8::1%eth0", key{hi: 0x20010db8_00000000, lo: 1}, false},
		{"::ffff:10.1.2.3", key{lo: 0x0000ffff_0a010203}, false},
	} {
		addr := netip.MustParseAddr(tc.addr)
		k, is4 := keyOf(addr)
		if k != tc.want || is4 != tc.is4 {
			t.Errorf("keyOf(%v) = %x, %v; want %x, %v", addr, k, is4, tc.want, tc.is4)
		}
		if got, want := k.prefix(addr.BitLen(), is4), netip.PrefixFrom(addr.WithZone(""), addr.BitLen()); got != want {
			t.Errorf("the prefix of the key of %v is %v, want %v", addr, got, want)
		}
	}
}

// TestKey holds what keys do against numbers of 128 bits.
func TestKey(t *testing.T) {
	space := new(big.Int).Lsh(big.NewInt(1), 128)
	rapid.Check(t, func(t *rapid.T) {
		k, depth := genKey().Draw(t, "key"), rapid.IntRange(0, 128).Draw(t, "depth")
		size := new(big.Int).Lsh(big.NewInt(1), uint(128-depth))
		masked := k.masked(depth)
		want := new(big.Int).Mul(new(big.Int).Div(k.number(), size), size)
		if masked.number().Cmp(want) != 0 {
			t.Fatalf("masked(%d) of %x is %x, want %x", depth, k, masked, want)
		}
		next, done := masked.after(depth)
		want.Add(want, size)
		if done != (want.Cmp(space) == 0) || !done && next.number().Cmp(want) != 0 {
			t.Fatalf("the block of depth %d at %x is followed by %x, %v; want %x", depth, masked, next, done, want)
		}
		other := genKey().Draw(t, "other")
		if got := k.less(other); got != (k.number().Cmp(other.number()) < 0) {
			t.Fatalf("%x less %x: %v", k, other, got)
		}
		widest := 0
		for widest < 128 && k.masked(widest) != k {
			widest++
		}
		if got := k.alignment(); got != widest {
			t.Fatalf("alignment of %x is %d, want %d", k, got, widest)
		}
		if depth == 128 {
			return
		}
		bit := uint(127 - depth)
		if got, want := k.bit(depth), k.number().Bit(int(bit)); uint(got) != want {
			t.Fatalf("bit %d of %x is %d, want %d", depth, k, got, want)
		}
		set := new(big.Int).SetBit(k.number(), int(bit), 1)
		if got := k.withBit(depth); got.number().Cmp(set) != 0 {
			t.Fatalf("withBit(%d) of %x is %x, want %x", depth, k, got, set)
		}
		// A slot has strideBits bits; those beyond the last bit of the address are lost.
		slot := rapid.IntRange(0, slots-1).Draw(t, "slot")
		wide := new(big.Int).Lsh(masked.number(), strideBits)
		wide.Or(wide, new(big.Int).Lsh(big.NewInt(int64(slot)), uint(128-depth)))
		if got, want := masked.withSlot(depth, slot), wide.Rsh(wide, strideBits); got.number().Cmp(want) != 0 {
			t.Fatalf("withSlot(%d, %d) of %x is %x, want %x", depth, slot, masked, got, want)
		}
	})
}
