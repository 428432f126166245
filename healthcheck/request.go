package healthcheck

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// userAgent is what a probe calls itself unless the check's headers say otherwise.
const userAgent = "gtmd-healthcheck"

// request is one request, ready to be sent to any address. It is immutable.
type request struct {
	secure    bool
	port      uint16 // 0: one that there is not.
	name      string // The host or address to send and verify in TLS.
	authority string // The Host header, or :authority.
	method    string
	url       *url.URL // Its host is name and port.
	headers   []header // In the order in which they are sent.
	text      []byte   // All of it in HTTP/1.1.
	frames    []byte   // All of it in HTTP/2, with what starts a connection. Nil unless secure.
}

// header is a line of the header; the name is in canonical form.
type header struct{ name, value string }

// request returns the first request of a probe. An empty host asks for the address itself. Requests that name a host are
// shared by all addresses.
func (c *Check) request(address netip.Addr, host string) (*request, error) {
	if host == "" {
		return c.newRequest(address.WithZone("").String())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.requests[host]; r != nil {
		return r, nil
	}
	r, err := c.newRequest(host)
	if err == nil {
		if c.requests == nil {
			c.requests = make(map[string]*request)
		}
		c.requests[host] = r
	}
	return r, err
}

func (c *Check) newRequest(host string) (*request, error) {
	o := &c.options
	authority, err := authorityOf(host)
	if err != nil {
		return nil, err
	}
	name, _ := splitHost(host)
	u, err := url.Parse(string(o.Protocol) + "://" + net.JoinHostPort(name, strconv.Itoa(o.Port)) + o.Path)
	if err != nil {
		return nil, newReason(err, "request: %s", bare(err))
	}
	return newRequest(o.Method, u, o.Path, name, uint16(o.Port), authority, headersOf(o)), nil
}

// authorityOf returns a host as it stands in a Host header, or :authority. Its error is a reason.
func authorityOf(host string) (string, error) {
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("/?#@\\", r) }) {
		return "", newReason(nil, "request: %q is not a host", clip(host, 100))
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]", nil // RFC 3986, section 3.2.2.
	}
	return host, nil
}

// headersOf returns the header lines of a check but for Host, in the order in which they are sent.
func headersOf(o *Options) []header {
	values := map[string]string{}
	for name, value := range o.Headers {
		values[http.CanonicalHeaderKey(name)] = value
	}
	agent, ok := values["User-Agent"]
	if !ok {
		agent = userAgent
	}
	delete(values, "User-Agent")
	headers := []header{{"User-Agent", agent}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		headers = append(headers, header{name, strings.Trim(values[name], " \t")})
	}
	return headers
}

// newRequest renders a request. Target is its path and query as they are sent.
func newRequest(method string, u *url.URL, target, name string, port uint16, authority string, headers []header) *request {
	r := &request{secure: u.Scheme == "https", port: port, name: name, authority: authority, method: method, url: u, headers: headers}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, authority)
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
	}
	if r.announcesBody() {
		b.WriteString("Content-Length: 0\r\n")
	}
	b.WriteString("Connection: close\r\n\r\n")
	r.text = []byte(b.String())
	if r.secure {
		r.frames = openingFrames(r, target)
	}
	return r
}

// announcesBody reports whether servers expect to be told that there is no body (RFC 9110, section 8.6).
func (r *request) announcesBody() bool {
	return r.method == http.MethodPost || r.method == http.MethodPut || r.method == http.MethodPatch
}

// redirected returns the request that a response to r leads to, where location is not empty. The error is a reason.
func (r *request) redirected(status int, location string) (*request, error) {
	target, err := url.Parse(location)
	if err != nil {
		return nil, newReason(err, "redirect to %q, which is no URL", clip(location, 100))
	}
	u := r.url.ResolveReference(target)
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, newReason(nil, "redirect to %q, which is no http or https URL", clip(u.String(), 100))
	}
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if !legalHost(name) {
		return nil, newReason(nil, "redirect to %q, whose host is neither a domain name nor an address", clip(u.String(), 100))
	}
	authority := r.authority
	if u.Host != r.url.Host {
		authority = u.Host
	}
	headers := r.headers
	if name != r.name || r.secure && u.Scheme == "http" {
		headers = slices.DeleteFunc(slices.Clone(headers), header.isSecret)
	}
	return newRequest(methodAfter(status, r.method), u, escape(u.RequestURI()), name, portOf(u), authority, headers), nil
}

// portOf returns the port of a URL, or 0 when it names none that there is.
func portOf(u *url.URL) uint16 {
	switch port := u.Port(); {
	case port == "" && u.Scheme == "https":
		return 443
	case port == "":
		return 80
	default:
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return 0
		}
		return uint16(number)
	}
}

// methodAfter returns the method of the request that a redirect leads to (RFC 9110, section 15.4).
func methodAfter(status int, method string) string {
	switch {
	case status == http.StatusSeeOther && method != http.MethodHead:
		return http.MethodGet
	case (status == http.StatusMovedPermanently || status == http.StatusFound) && method == http.MethodPost:
		return http.MethodGet
	default:
		return method
	}
}

// isSecret reports whether a header is meant for one host alone.
func (h header) isSecret() bool {
	switch h.name {
	case "Authorization", "Cookie", "Proxy-Authorization":
		return true
	default:
		return false
	}
}

// escape returns what stands after the host of a URL with the octets that no request line may have as %XX.
func escape(target string) string {
	var b strings.Builder
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
