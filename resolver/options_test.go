package resolver

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestOptionsValidate(t *testing.T) {
	servers := func(all ...string) (servers []netip.AddrPort) {
		for _, text := range all {
			servers = append(servers, netip.MustParseAddrPort(text))
		}
		return servers
	}
	for _, tt := range []struct {
		name string
		o    Options
		want []string
	}{
		{"zero", Options{}, nil},
		{"usual", Options{Servers: servers("127.0.0.53:53", "[2001:db8::53]:5353"), MinTTL: time.Minute, MaxTTL: time.Minute}, nil},
		{"ceiling below the floor", Options{MinTTL: time.Minute, MaxTTL: time.Second},
			[]string{"max_ttl: 1s is shorter than the min_ttl of 1m0s: make it at least that"}},
		{"ceiling below the default floor", Options{MaxTTL: time.Second},
			[]string{"max_ttl: 1s is shorter than the min_ttl of 10s: make it at least that"}},
		{"servers", Options{Servers: servers("192.0.2.1:0", "0.0.0.0:53", "[ff02::1]:53", "192.0.2.2:53", "192.0.2.2:53")}, []string{
			"servers: 192.0.2.1:0 has no port: most resolvers have 192.0.2.1:53",
			"servers: 0.0.0.0 is not the address of one server",
			"servers: ff02::1 is not the address of one server",
			"servers: 192.0.2.2:53 is listed twice",
		}},
	} {
		var got []string
		tt.o.Validate(func(key, message string) { got = append(got, key+": "+message) })
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
