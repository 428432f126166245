package healthcheck

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestRedirected(t *testing.T) {
	const start = "https://www.example.com:443/a/b?c"
	for _, tt := range []struct {
		method   string
		status   int
		location string
		want     string // Or the reason.
	}{
		{"GET", 302, "d", "GET https://www.example.com:443/a/d Host: www.example.com secret"},
		{"GET", 302, "?d", "GET https://www.example.com:443/a/b?d Host: www.example.com secret"},
		{"GET", 302, "/d#e", "GET https://www.example.com:443/d Host: www.example.com secret"},
		{"GET", 302, "//www.example.com:443/d", "GET https://www.example.com:443/d Host: www.example.com secret"},
		{"GET", 302, "https://www.example.com/d", "GET https://www.example.com:443/d Host: www.example.com secret"},
		{"GET", 302, "HTTPS://WWW.Example.com./d", "GET https://www.example.com:443/d Host: WWW.Example.com. secret"},
		{"GET", 302, "https://www.example.com:8443/d", "GET https://www.example.com:8443/d Host: www.example.com:8443 secret"},
		{"GET", 302, "http://www.example.com/d", "GET http://www.example.com:80/d Host: www.example.com"},
		{"GET", 302, "https://other.example/", "GET https://other.example:443/ Host: other.example"},
		{"GET", 302, "https://user:word@other.example", "GET https://other.example:443/ Host: other.example"},
		{"GET", 302, "https://[2001:db8::1]:8443/", "GET https://2001:db8::1:8443/ Host: [2001:db8::1]:8443"},
		{"GET", 302, "/a b?c d\xc3\xa4", "GET https://www.example.com:443/a%20b?c%20d%C3%A4 Host: www.example.com secret"},
		{"GET", 302, "https://www.example.com:0/", "GET https://www.example.com:0/ Host: www.example.com:0 secret"},
		{"GET", 302, "https://www.example.com:65536/", "GET https://www.example.com:0/ Host: www.example.com:65536 secret"},
		{"GET", 302, "ftp://www.example.com/", `redirect to "ftp://www.example.com/", which is no http or https URL`},
		{"GET", 302, "mailto:a@example.com", `redirect to "mailto:a@example.com", which is no http or https URL`},
		{"GET", 302, "https://b\xc3\xbccher.example/", `redirect to "https://b%C3%BCcher.example/", whose host is neither a domain name nor an address`},
		{"GET", 302, "/a\r\nX: y", `redirect to "/a` + "\uFFFD\uFFFD" + `X: y", which is no URL`},
		{"GET", 302, "http://a b/", `redirect to "http://a b/", which is no URL`},
		// RFC 9110, section 15.4.
		{"POST", 301, "/", "GET https://www.example.com:443/ Host: www.example.com secret"},
		{"POST", 302, "/", "GET https://www.example.com:443/ Host: www.example.com secret"},
		{"POST", 303, "/", "GET https://www.example.com:443/ Host: www.example.com secret"},
		{"POST", 307, "/", "POST https://www.example.com:443/ Host: www.example.com secret"},
		{"POST", 308, "/", "POST https://www.example.com:443/ Host: www.example.com secret"},
		{"OPTIONS", 302, "/", "OPTIONS https://www.example.com:443/ Host: www.example.com secret"},
		{"PUT", 303, "/", "GET https://www.example.com:443/ Host: www.example.com secret"},
		{"HEAD", 303, "/", "HEAD https://www.example.com:443/ Host: www.example.com secret"},
	} {
		check := compile(t, Options{Protocol: HTTPS, Method: tt.method, Path: strings.TrimPrefix(start, "https://www.example.com:443"),
			Headers: map[string]string{"authorization": "secret", "Cookie": "a=b", "X-Probe": "1"}})
		first, err := check.request(netip.MustParseAddr("192.0.2.1"), "www.example.com")
		if err != nil || first.url.String() != start {
			t.Fatalf("%+v, %v", first, err)
		}
		next, err := first.redirected(tt.status, tt.location)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			lines := strings.Split(string(next.text), "\r\n")
			method, target, _ := strings.Cut(strings.TrimSuffix(lines[0], " HTTP/1.1"), " ")
			got = fmt.Sprintf("%s %s://%s:%d%s %s", method, next.url.Scheme, next.name, next.port, target, lines[1])
			for _, line := range lines {
				if line == "Authorization: secret" {
					got += " secret"
				}
			}
			if has := strings.Contains(string(next.text), "Content-Length: 0\r\n"); has != (method == "POST") {
				t.Errorf("%s %d: Content-Length: %v", tt.method, tt.status, has)
			}
			if !strings.Contains(string(next.text), "\r\nX-Probe: 1\r\n") || (next.frames != nil) != (next.url.Scheme == "https") {
				t.Errorf("%s: %q", tt.location, next.text)
			}
		}
		if got != tt.want {
			t.Errorf("%s %d %q:\n got %s\nwant %s", tt.method, tt.status, tt.location, got, tt.want)
		}
	}
}

// TestRequestShared: addresses with the same host share the request, and those without have their own.
func TestRequestShared(t *testing.T) {
	check := compile(t, Options{Protocol: HTTP})
	of := func(address, host string) *request {
		r, err := check.request(netip.MustParseAddr(address), host)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if of("192.0.2.1", "a") != of("192.0.2.2", "a") || of("192.0.2.1", "a") == of("192.0.2.1", "b") {
		t.Error("requests are not one for each host")
	}
	if a, b := of("192.0.2.1", ""), of("192.0.2.2", ""); a.authority != "192.0.2.1" || b.authority != "192.0.2.2" {
		t.Errorf("%s, %s", a.authority, b.authority)
	}
}
