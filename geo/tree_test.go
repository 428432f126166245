package geo

import (
	"net/netip"
	"testing"
)

// TestStride holds trees with a stride against the same trees without it.
func TestStride(t *testing.T) {
	for _, is4 := range []bool{true, false} {
		t.Run(familyName(is4), func(t *testing.T) {
			addrs := append(randomAddrs(is4), netip.IPv4Unspecified(), netip.IPv6Unspecified(),
				netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("e000::"))
			// Some leaves as deep as they can be, and some above the stride.
			deep := line("deep", "0.0.0.0/3 ::/3")
			for _, addr := range addrs[:100] {
				deep.Prefixes = append(deep.Prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			}
			m := mustCompile(t, append(randomLines(10_000, is4), deep))
			fast := m.classes.v6
			if is4 {
				fast = m.classes.v4
			}
			if fast.stride == nil {
				t.Fatalf("%d nodes and no stride, want one above %d", len(fast.nodes), strideNodes)
			}
			slow := fast
			slow.stride = nil
			depths := make(map[bool]int)
			for _, addr := range addrs {
				k, _ := keyOf(addr)
				value, depth := fast.lookup(k)
				wantValue, wantDepth := slow.lookup(k)
				if value != wantValue || depth != wantDepth {
					t.Fatalf("%v: value %d, depth %d; without the stride %d, %d", addr, value, depth, wantValue, wantDepth)
				}
				depths[depth < strideBits]++
			}
			if depths[true] == 0 || depths[false] == 0 {
				t.Errorf("leaves above and below the stride: %v, want some of both", depths)
			}
		})
	}
	if small := mustCompile(t, nested()); small.classes.v4.stride != nil || small.classes.v6.stride != nil {
		t.Error("a small tree has a stride")
	}
}
