package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Check is one [[health_check]], compiled: it makes a [Target] of any address. It is safe for concurrent use.
type Check struct {
	options Options // With defaults.
	slug    string  // The name as it stands in an ID.
	trust   *trust
	pattern *regexp.Regexp // Nil: none is expected in the body.
	prober  *Prober

	question  *question     // Of dns.
	processes chan struct{} // Of script: holds one token for each running process.
	token     *token        // Of push.

	inboxes sync.Pool // Of *inbox.

	mu       sync.Mutex          // Guards the following.
	requests map[string]*request // By host; each is made once.
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
	problems = append(problems, err)
	o.Headers, o.Command = maps.Clone(o.Headers), slices.Clone(o.Command)
	check := &Check{options: o, slug: strings.NewReplacer("%", "%25", "/", "%2F").Replace(o.Name), trust: trust, prober: p}
	problems = append(problems, check.prepare())
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("health check %q: %w", o.Name, err)
	}
	return check, nil
}

// prepare makes what the kind of probe needs beyond its options, which may have problems of their own. Its error names the key.
func (c *Check) prepare() (err error) {
	o := &c.options
	switch o.Protocol {
	case HTTP, HTTPS:
		if o.ExpectBodyRegex != "" {
			c.pattern, _ = regexp.Compile(o.ExpectBodyRegex) // Validate names the problem.
		}
	case DNS:
		c.question, err = newQuestion(o)
	case Script:
		c.processes = make(chan struct{}, max(o.MaxProcesses, 1))
	case Push:
		c.token, err = readToken(o.TokenFile)
	}
	return err
}

// Name returns the name of the health check.
func (c *Check) Name() string { return c.options.Name }

// Target returns the check of one address, which must be valid. Host is what http, https, tls and grpc ask for unless the
// check has a host of its own: it goes into the Host header as it stands, but in small letters and without a last dot,
// and without its port into the TLS handshake and the verification. An empty host asks for the address itself.
//
// The target's ID is "address/check" or "address/check/host", where "/" and "%" in the name of the check are
// written as %2F and %25. For tcp, ping, push and a dns check with a query, to which the host means nothing, it has none.
func (c *Check) Target(address netip.Addr, host string) Target {
	if c.options.Host != "" {
		host = c.options.Host
	}
	return c.target(address.Unmap(), strings.TrimSuffix(strings.ToLower(host), "."))
}

// target is Target with a plain address and the host that is asked for. What its parameters are does not change, so that the
// probes, of which there may be very many, hold them by value.
func (c *Check) target(address netip.Addr, host string) Target {
	o := &c.options
	t := Target{
		ID:       address.String() + "/" + c.slug,
		Protocol: o.Protocol, Address: address, Interval: o.Interval, Timeout: o.Timeout, Fall: o.Fall, Rise: o.Rise,
		Window: o.Window, FastInterval: o.FastInterval, Flap: o.Flap, MaxLatency: o.MaxLatency, Invert: o.Invert,
	}
	named := false // Whether the host means something.
	switch o.Protocol {
	case TCP:
		t.Probe = func(ctx context.Context, report *Report) error { return c.tcp(ctx, address, report) }
	case Ping:
		t.Probe = func(ctx context.Context, report *Report) error { return c.ping(ctx, address, report) }
	case DNS:
		t.Probe = func(ctx context.Context, report *Report) error { return c.dns(ctx, address, host, report) }
		named = o.Query == ""
	case GRPC:
		t.Probe = func(ctx context.Context, report *Report) error { return c.grpc(ctx, address, host, report) }
		named = true
	case Script:
		t.Probe = func(ctx context.Context, _ *Report) error { return c.script(ctx, address, host) }
		named = true
	case Push:
		id := t.ID
		t.Probe = func(context.Context, *Report) error { return c.push(id) }
	case TLS:
		t.Probe = func(ctx context.Context, report *Report) error { return c.tls(ctx, address, host, report) }
		named = true
	default:
		request, err := c.request(address, host)
		t.Probe = func(ctx context.Context, report *Report) error { return c.http(ctx, address, request, report) }
		if err != nil {
			t.Probe = func(context.Context, *Report) error { return err }
		}
		named = true
	}
	if named && host != "" {
		t.ID += "/" + host
	}
	return t
}
