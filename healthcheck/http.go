package healthcheck

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

const (
	// maxHeader bounds the header of a response, in octets.
	maxHeader = 64 << 10
	// maxRedirects is how many redirects a probe follows.
	maxRedirects = 10
	// userAgent is what a probe calls itself unless the check's headers say otherwise.
	userAgent = "gtmd-healthcheck"
)

// http is the probe of http and https: one request, on a connection of its own.
func (c *Check) http(ctx context.Context, address netip.Addr, host string, report *Report) error {
	x := &exchange{check: c, ctx: ctx, address: address, during: connecting}
	err := x.run(host)
	during, expires := x.state()
	if !expires.IsZero() {
		report.CertificateExpires = expires
		report.Warning = expiryWarning(expires, c.options.CertExpiryWarning, time.Now())
	}
	if err == nil {
		return nil
	}
	err = explain(ctx, err, during, c.options.Timeout)
	if x.hop != "" {
		return newReason(err, "%v (after a redirect to %s)", err, clip(x.hop, 100))
	}
	return err
}

// exchange is one run of the probe: a request and, if the check follows redirects, those after it. Each has a
// transport and thus connections of its own, none of which outlives it.
type exchange struct {
	check   *Check
	ctx     context.Context
	address netip.Addr
	hop     string // The URL of the last redirect that was followed.

	mu      sync.Mutex // Guards the following, which net/http's dialing goroutine writes.
	during  step
	expires time.Time // Of the certificate seen last.
}

// run sends the request and judges the response.
func (x *exchange) run(host string) error {
	o := &x.check.options
	transport := &http.Transport{
		Proxy:                  nil, // Variables of the environment are none of a probe's business.
		DialContext:            x.dial,
		DialTLSContext:         x.dialTLS,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: x.redirect}
	request, err := x.request(host)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if !o.ExpectStatus.Contains(response.StatusCode) {
		return newReason(nil, "HTTP %d, wanted %s", response.StatusCode, o.ExpectStatus)
	}
	if o.ExpectBody == "" {
		return nil
	}
	x.enter(readingBody)
	octets, found, err := search(response.Body, o.ExpectBody)
	switch {
	case found:
		return nil
	case err != nil:
		return err
	default:
		return lacks("body", o.ExpectBody, octets)
	}
}

// request returns the first request. Its URL has the name to send and verify in TLS, which is the address when
// there is no host; where it goes is up to dial.
func (x *exchange) request(host string) (*http.Request, error) {
	o := &x.check.options
	if host == "" {
		host = x.address.WithZone("").String()
	}
	name, _ := splitHost(host)
	header := host
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		header = "[" + host + "]" // RFC 3986, section 3.2.2.
	}
	target := string(o.Protocol) + "://" + net.JoinHostPort(name, strconv.Itoa(o.Port)) + o.Path
	request, err := http.NewRequestWithContext(x.ctx, o.Method, target, nil)
	if err != nil {
		return nil, newReason(err, "request: %s", bare(err))
	}
	request.Host = header
	request.Header.Set("User-Agent", userAgent)
	for name, value := range o.Headers {
		request.Header.Set(name, value)
	}
	return request, nil
}

// redirect decides whether net/http follows a redirect. It only asks for 301, 302, 303, 307 and 308 with a Location.
func (x *exchange) redirect(next *http.Request, via []*http.Request) error {
	switch {
	case !x.check.options.FollowRedirects:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return newReason(nil, "more than %d redirects", maxRedirects)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https" || next.URL.Host == "":
		return newReason(nil, "redirect to %q, which is no http or https URL", clip(next.URL.Redacted(), 100))
	}
	if before := via[len(via)-1]; before.URL.Host == next.URL.Host {
		next.Host = before.Host
	} else {
		next.Host = next.URL.Host
	}
	x.hop = next.URL.Redacted()
	return nil
}

// dial connects to the address under test, at the port of the URL, whatever the URL's host.
func (x *exchange) dial(_ context.Context, _, hostPort string) (net.Conn, error) {
	conn, _, err := x.connect(hostPort)
	if err != nil {
		return nil, err
	}
	x.enter(awaitingHeader)
	return newPatientConn(conn), nil
}

// dialTLS is dial with a handshake for the URL's host.
func (x *exchange) dialTLS(_ context.Context, _, hostPort string) (net.Conn, error) {
	conn, name, err := x.connect(hostPort)
	if err != nil {
		return nil, err
	}
	x.enter(handshaking)
	client, expires, err := x.check.trust.handshake(x.ctx, conn, name)
	x.mu.Lock()
	x.expires = expires
	x.mu.Unlock()
	if err != nil {
		return nil, err
	}
	x.enter(awaitingHeader)
	return newPatientConn(client), nil
}

func (x *exchange) connect(hostPort string) (conn net.Conn, name string, err error) {
	x.enter(connecting)
	name, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, "", err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return nil, "", newReason(err, "connect: no port %q", port)
	}
	conn, err = connect(x.ctx, netip.AddrPortFrom(x.address, uint16(number)), x.check.options.Timeout)
	return conn, name, err
}

func (x *exchange) enter(s step) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.during = s
}

func (x *exchange) state() (during step, expires time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.during, x.expires
}

// patientConn holds back what a server says until something has been written to it. net/http reads at once, takes
// what comes before its request for a broken connection, and logs it to the default logger.
type patientConn struct {
	net.Conn
	once    sync.Once
	written chan struct{} // Closed at the first Write, or Close.
}

func newPatientConn(conn net.Conn) *patientConn {
	return &patientConn{Conn: conn, written: make(chan struct{})}
}

func (c *patientConn) Read(b []byte) (int, error) {
	<-c.written
	return c.Conn.Read(b)
}

func (c *patientConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.release()
	return n, err
}

func (c *patientConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

func (c *patientConn) release() { c.once.Do(func() { close(c.written) }) }
