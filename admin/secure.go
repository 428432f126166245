package admin

import (
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// secure sets what tells a browser to trust nothing but what this server sends.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// isHost reports whether a Host header is one of this server. A page of somebody else can have a name of his lead to this machine
// (DNS rebinding), and would then be a page of this server to the browser; so only names count that nobody else can have: addresses,
// localhost, and those of the configuration. A token that reading takes protects as well: the page does not have it.
func (g *gate) isHost(header string) bool {
	rules := g.server.rules.Load()
	host := plainHost(header)
	if host == "localhost" || rules.hosts[host] {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if g.socket {
		return !strings.Contains(host, ".") // what a program writes that asks through the socket, such as http://gtmd/
	}
	return g.needsToken && len(rules.hosts) == 0
}

// plainHost is the host of a Host header, in small letters, without its port, brackets, and last dot.
func plainHost(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// isJSON reports whether a request says that its body is JSON.
func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// bearer returns the token of an Authorization header (RFC 6750 section 2.1); false when it has none, or is of another scheme, as that of
// a reverse proxy which asks for passwords is.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

func unauthorized(w http.ResponseWriter, want string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="gtmd"`)
	replyError(w, http.StatusUnauthorized, errors.New(want))
}
