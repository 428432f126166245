package healthcheck

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"
)

const (
	// maxHeader bounds the header of a response, in octets.
	maxHeader = 64 << 10
	// maxRedirects is how many redirects a probe follows.
	maxRedirects = 10
)

// http is the probe of http and https: one request, on a connection of its own.
func (c *Check) http(ctx context.Context, address netip.Addr, first *request, report *Report) error {
	x := &exchange{check: c, ctx: ctx, address: address, report: report}
	err := x.run(first)
	if err == nil {
		return nil
	}
	err = explain(ctx, err, x.during, c.options.Timeout)
	if x.hop != "" {
		return newReason(err, "%v (after a redirect to %s)", err, clip(x.hop, 100))
	}
	return err
}

// exchange is one run of the probe: a request and, if the check follows redirects, those after it. Each has a connection of
// its own, which does not outlive it.
type exchange struct {
	check   *Check
	ctx     context.Context
	address netip.Addr
	report  *Report
	hop     string // The URL of the last redirect that was followed.
	during  step
	watch   stopwatch
}

// response is what a probe looks at in a response. Body is never nil, and ends with the connection.
type response struct {
	status   int
	location string // Empty: none.
	body     io.Reader
}

// run sends the first request and those that redirects lead to, and judges the last response.
func (x *exchange) run(first *request) error {
	for r, redirects := first, 0; ; redirects++ {
		next, err := x.ask(r, redirects)
		if next == nil {
			return err
		}
		r, x.hop = next, next.url.String()
	}
}

// ask sends one request. It returns the next one when the response is a redirect to be followed, and else judges it.
func (x *exchange) ask(r *request, redirects int) (next *request, err error) {
	link, conn, speak, err := x.open(r)
	if err != nil {
		return nil, err
	}
	defer func() {
		if x.ctx.Err() != nil {
			link.Close() // In TLS, conn would wait until it has said goodbye.
		}
		conn.Close()
	}()
	x.during = awaitingHeader
	in := x.check.inbox(conn)
	defer x.check.release(in)
	got, err := speak(x, conn, in, r)
	if err != nil {
		return nil, err
	}
	if x.check.options.FollowRedirects && isRedirect(got.status) && got.location != "" {
		if redirects == maxRedirects {
			return nil, newReason(nil, "more than %d redirects", maxRedirects)
		}
		return r.redirected(got.status, got.location)
	}
	return nil, x.judge(got)
}

// speaker sends a request and reads the head of the response.
type speaker func(x *exchange, conn net.Conn, in *inbox, r *request) (response, error)

// open connects to the address under test, whatever the host of the request. Conn is what to speak over link.
func (x *exchange) open(r *request) (l *link, conn net.Conn, speak speaker, err error) {
	phases := &x.report.Phases
	x.during, x.watch = connecting, startWatch()
	if r.port == 0 {
		return nil, nil, nil, newReason(nil, "connect: no port %q", r.url.Port())
	}
	l, err = connect(x.ctx, netip.AddrPortFrom(x.address, r.port), x.check.options.Timeout)
	phases.Connect += x.watch.lap()
	if err != nil {
		return nil, nil, nil, err
	}
	if !r.secure {
		return l, l, (*exchange).http1, nil
	}
	x.during = handshaking
	client, expires, err := x.check.trust.handshake(x.ctx, l, r.name, "h2", "http/1.1")
	phases.TLS += x.watch.lap()
	x.check.noteExpiry(expires, x.report)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case client.ConnectionState().NegotiatedProtocol == "h2":
		return l, client, (*exchange).http2, nil
	default:
		return l, client, (*exchange).http1, nil
	}
}

// judge decides whether a response is a good one.
func (x *exchange) judge(got response) error {
	o := &x.check.options
	if !o.ExpectStatus.Contains(got.status) {
		return newReason(nil, "HTTP %d, wanted %s", got.status, o.ExpectStatus)
	}
	if o.ExpectBody == "" && x.check.pattern == nil {
		return nil
	}
	x.during = readingBody
	err := seek(got.body, o.ExpectBody, x.check.pattern)
	x.report.Phases.Body += x.watch.lap()
	return err
}

// isRedirect reports whether a status says that the answer is elsewhere.
func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	default:
		return false
	}
}

// noteExpiry reports when a certificate expires, if that is known.
func (c *Check) noteExpiry(expires time.Time, report *Report) {
	if !expires.IsZero() {
		report.CertificateExpires = expires
		report.Warning = expiryWarning(expires, c.options.CertExpiryWarning, time.Now())
	}
}
