//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReverseProxy runs nginx with the server block of docs/api.md, in which only addresses are those of the lab: pages, sessions, changes,
// tokens and events get through it, and neither foreign names nor foreign pages do.
func TestReverseProxy(t *testing.T) {
	program := need(t, "nginx")["nginx"]
	l := startAdminLoad(t, "gtm.example.com")
	l.writeCertificate(t, "gtm.example.com")
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "\n    server {\n")
	block, _, closed := strings.Cut(block, "\n    }\n")
	if !found || !closed {
		t.Fatal("docs/api.md has no server block")
	}
	for old, new := range map[string]string{"listen      443 ssl;": "listen " + l.Edge + " ssl;", "http://127.0.0.1:8553;": "http://" + l.Admin + ";"} {
		if strings.Count(block, old) != 1 {
			t.Fatalf("the server block has not %q once", old)
		}
		block = strings.Replace(block, old, new, 1)
	}
	l.write(t, "edge/edge.conf", fmt.Sprintf("ssl_certificate %s;\nssl_certificate_key %s;\nserver {\n%s\n}\n", filepath.Join(l.dir, "tls.crt"), filepath.Join(l.dir, "tls.key"), block))
	dir := filepath.Join(l.dir, "edge")
	start(t, dir, program, "-p", dir, "-c", l.write(t, "edge/nginx.conf", fill(t, "nginx.conf", l)))

	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // made by the test
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, l.Edge)
		},
	}
	defer transport.CloseIdleConnections()
	origin := "https://gtm.example.com:" + portOf(l.Edge)
	send := func(method, path, body string, header http.Header) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, origin+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header.Clone()
		r.Host = header.Get("Host")
		return transport.RoundTrip(r)
	}
	do := func(method, path, body string, header http.Header) (int, http.Header, string) {
		t.Helper()
		response, err := send(method, path, body, header)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header, string(text)
	}
	eventually(t, 5*time.Second, "nginx answers", func() bool {
		response, err := send("GET", "/healthz", "", http.Header{})
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})

	if code, header, _ := do("GET", "/", "", http.Header{}); code != http.StatusOK || header.Get("Content-Security-Policy") == "" {
		t.Errorf("the overview: %d %v", code, header)
	}
	if code, _, text := do("GET", "/api/v1/status", "", http.Header{"Host": {"evil.example"}}); code != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host: %d %.200s", code, text)
	}
	// A browser that sends no Sec-Fetch-Site is known by its Origin, which has the port.
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {origin}}
	code, header, text := do("POST", "/login", url.Values{"token": {operateToken}, "next": {"/steer"}}.Encode(), form)
	cookie, attributes, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	if code != http.StatusSeeOther || header.Get("Location") != "/steer" || !strings.Contains(attributes, "; Secure") {
		t.Fatalf("login: %d %v %.200s", code, header, text)
	}
	if code, _, text := do("GET", "/api/v1/status", "", http.Header{"Authorization": {"Bearer " + readToken}}); code != http.StatusOK {
		t.Errorf("with a token: %d %.200s", code, text)
	}

	stream, err := send("GET", "/api/v1/events/stream?kind=override_set", "", http.Header{"Cookie": {cookie}})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	came := make(chan string, 1)
	go func() {
		defer close(came)
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				came <- data
				return
			}
		}
	}()
	const override = `{"address":"127.0.1.1","state":"up","reason":"a test","for":"10m"}`
	change := http.Header{"Content-Type": {"application/json"}, "Cookie": {cookie}, "Origin": {"https://evil.example"}}
	if code, _, text := do("POST", "/api/v1/overrides", override, change); code != http.StatusForbidden {
		t.Errorf("a change from a foreign page: %d %.200s", code, text)
	}
	change.Set("Origin", origin)
	if code, _, text := do("POST", "/api/v1/overrides", override, change); code != http.StatusOK {
		t.Fatalf("a change: %d %.200s", code, text)
	}
	select {
	case event := <-came:
		if !strings.Contains(event, `"author":"operate-of-the-lab"`) || !strings.Contains(event, `"via":"tcp"`) {
			t.Errorf("the event is %s", event)
		}
	case <-time.After(5 * time.Second): // the proxy would keep events back for longer
		t.Error("no event has come through the proxy")
	}
}
