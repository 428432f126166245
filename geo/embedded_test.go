package geo

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestUnfold(t *testing.T) {
	for _, tc := range []struct{ addr, want string }{
		{"192.0.2.33", "192.0.2.33"},
		{"::ffff:192.0.2.33", "192.0.2.33"},
		{"64:ff9b::192.0.2.33", "192.0.2.33"},            // RFC 6052 section 2.4
		{"64:ff9b:1::192.0.2.33", "64:ff9b:1::c000:221"}, // RFC 8215
		{"2002:c000:221::1", "192.0.2.33"},               // RFC 3056 section 2
		{"2002:c000:221:ffff:ffff:ffff:ffff:ffff", "192.0.2.33"},
		// RFC 4380 section 4: the client 192.0.2.45 behind the server 65.54.227.120.
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"},
		{"::192.0.2.33", "::c000:221"}, // IPv4-compatible: deprecated by RFC 4291 section 2.5.5.1
		{"2001:db8::1", "2001:db8::1"},
		{"2001:1::", "2001:1::"},
		{"2003::", "2003::"},
		{"fe80::1%eth0", "fe80::1"},
		{"::ffff:192.0.2.33%eth0", "192.0.2.33"},
		{"::", "::"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	} {
		if got, want := Unfold(netip.MustParseAddr(tc.addr)), netip.MustParseAddr(tc.want); got != want {
			t.Errorf("Unfold(%s) = %v, want %v", tc.addr, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		addr := genAddr(rapid.Bool().Draw(t, "is4")).Draw(t, "addr")
		if got, want := Unfold(addr), held(addr); got != want {
			t.Fatalf("Unfold(%v) = %v, want %v", addr, got, want)
		}
	})
}

func TestIsEmbedded(t *testing.T) {
	for prefix, want := range map[string]bool{
		"10.0.0.0/8": false, "0.0.0.0/0": false, "::/0": false, "2001:db8::/32": false, "ffff::/16": false, "8000::/1": false,
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128": false,
		"::ffff:0:0/96": true, "::ffff:0:0/95": false, "::ffff:10.0.0.0/104": true,
		"64:ff9b::/96": true, "64:ff9b::/95": false, "64:ff9b::1.2.3.4/128": true, "64:ff9b:1::/48": false,
		"2001::/32": true, "2001::/31": false, "2001:0:1::/48": true, "2001::/16": false,
		"2002::/16": true, "2002::/15": false, "2002:ffff:ffff::/48": true, "2000::/3": false,
	} {
		if got := isEmbedded(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("isEmbedded(%s) = %v, want %v", prefix, got, want)
		}
	}
}

func TestUnmap(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "2001:db8::/32": "2001:db8::/32", "::ffff:10.0.0.0/104": "10.0.0.0/8",
		"::ffff:0:0/96": "0.0.0.0/0", "::ffff:0:0/95": "::ffff:0:0/95", "::ffff:1.2.3.4/128": "1.2.3.4/32",
	} {
		if got := unmap(netip.MustParsePrefix(prefix)); got != netip.MustParsePrefix(want) {
			t.Errorf("unmap(%s) = %v, want %s", prefix, got, want)
		}
	}
}
