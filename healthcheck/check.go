package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
)

// Check is one [[health_check]], compiled: it makes a [Target] of any address. It is immutable.
type Check struct {
	options Options // With defaults.
	trust   *trust
	prober  *Prober
}

// Compile checks o, loads its certificate files and returns the check. Zero numbers, texts and sets of o stand for
// their defaults. The error names the health check and holds every problem, each with its key and, for a file,
// its path. o is not kept.
func (p *Prober) Compile(o Options) (*Check, error) {
	o = o.withDefaults()
	var problems []error
	o.Validate(func(key, message string) {
		problems = append(problems, fmt.Errorf("%s: %s", key, message))
	})
	trust, err := newTrust(&o)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, fmt.Errorf("health check %q: %w", o.Name, err)
	}
	o.Headers = maps.Clone(o.Headers)
	return &Check{options: o, trust: trust, prober: p}, nil
}

// Target returns the check of one address, which must be valid. Host is what http and https ask for unless the check has
// a host of its own: it goes into the Host header as it stands, but in small letters and without a last dot, and
// without its port into the TLS handshake and the verification. An empty host asks for the address itself.
//
// The target's ID is "address/check" or "address/check/host", where "/" and "%" in the name of the check are
// written as %2F and %25. For tcp and ping, to which the host means nothing, it has none.
func (c *Check) Target(address netip.Addr, host string) Target {
	address = address.Unmap()
	o := &c.options
	if o.Host != "" {
		host = o.Host
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	id := address.String() + "/" + strings.NewReplacer("%", "%25", "/", "%2F").Replace(o.Name)
	t := Target{Protocol: o.Protocol, Interval: o.Interval, Timeout: o.Timeout, Fall: o.Fall, Rise: o.Rise}
	switch o.Protocol {
	case TCP:
		t.Probe = func(ctx context.Context, _ *Report) error { return c.tcp(ctx, address) }
	case Ping:
		t.Probe = func(ctx context.Context, report *Report) error { return c.ping(ctx, address, report) }
	default:
		t.Probe = func(ctx context.Context, report *Report) error { return c.http(ctx, address, host, report) }
		if host != "" {
			id += "/" + host
		}
	}
	t.ID = id
	return t
}
