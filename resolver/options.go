package resolver

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Options is the [resolver] section: how the names of domain pools are resolved.
type Options struct {
	// The resolvers to ask, in order, with their ports. Default: those of /etc/resolv.conf.
	Servers []netip.AddrPort `toml:"servers"`
	// Time after which the next server is asked.
	Timeout time.Duration `toml:"timeout" default:"2s" range:"100ms..30s"`
	// How often all servers are asked before a resolution has failed.
	Attempts int `toml:"attempts" default:"2" range:"1..10"`
	// A name is resolved again after the TTL of its answer, but not sooner than this.
	MinTTL time.Duration `toml:"min_ttl" default:"10s" range:"1s..24h"`
	// And not later than this.
	MaxTTL time.Duration `toml:"max_ttl" default:"5m" range:"1s..168h"`
	// Time from a resolution that failed to the next. Until one succeeds, the last good answer holds.
	Retry time.Duration `toml:"retry" default:"5s" range:"1s..1h"`
}

// Validate calls problem for everything in o that the ranges of its tags do not catch: the TOML key that is at fault,
// and what is wrong and what would be right. Zero numbers stand for their defaults.
func (o *Options) Validate(problem func(key, message string)) {
	v := o.withDefaults()
	if v.MaxTTL < v.MinTTL {
		problem("max_ttl", fmt.Sprintf("%v is shorter than the min_ttl of %v: make it at least that", v.MaxTTL, v.MinTTL))
	}
	for i, server := range o.Servers {
		switch {
		case server.Port() == 0:
			problem("servers", fmt.Sprintf("%v has no port: most resolvers have %v", server, netip.AddrPortFrom(server.Addr(), port)))
		case server.Addr().IsUnspecified(), server.Addr().IsMulticast():
			problem("servers", fmt.Sprintf("%v is not the address of one server", server.Addr()))
		case slices.Contains(o.Servers[:i], server):
			problem("servers", fmt.Sprintf("%v is listed twice", server))
		}
	}
}

// withDefaults returns a copy of o in which every number that is not above zero is the default that its tag states.
func (o Options) withDefaults() Options {
	o.Servers = slices.Clone(o.Servers)
	o.Timeout = cmp.Or(max(o.Timeout, 0), 2*time.Second)
	o.Attempts = cmp.Or(max(o.Attempts, 0), 2)
	o.MinTTL = cmp.Or(max(o.MinTTL, 0), 10*time.Second)
	o.MaxTTL = cmp.Or(max(o.MaxTTL, 0), 5*time.Minute)
	o.Retry = cmp.Or(max(o.Retry, 0), 5*time.Second)
	return o
}

// equal reports whether o and p ask the same servers in the same way at the same pace.
func (o Options) equal(p Options) bool {
	return slices.Equal(o.Servers, p.Servers) && o.Timeout == p.Timeout && o.Attempts == p.Attempts &&
		o.MinTTL == p.MinTTL && o.MaxTTL == p.MaxTTL && o.Retry == p.Retry
}
