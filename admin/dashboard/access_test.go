package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/admin"
	"gtmd/admin/dashboard"
)

// daemon is the pages and the API of a backend behind real listeners.
type daemon struct {
	*admin.Server
	dir         string
	read, steer string // tokens
}

func newDaemon(t *testing.T, b admin.Backend) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "gtmd") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := slog.New(slog.DiscardHandler)
	d := &daemon{dir: dir, read: admin.NewToken(), steer: admin.NewToken()}
	tokens := admin.TokenLine(admin.RoleRead, "reader", d.read) + "\n" + admin.TokenLine(admin.RoleOperate, "operator", d.steer) + "\n"
	if err := os.WriteFile(filepath.Join(dir, "tokens"), []byte(tokens), 0o600); err != nil {
		t.Fatal(err)
	}
	if d.Server, err = admin.New(b, prometheus.NewRegistry(), log, dashboard.New(b, log)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// listen serves over TCP, and returns the address there.
func (d *daemon) listen(t *testing.T, address string) string {
	t.Helper()
	change, err := d.Prepare(admin.Options{Listen: address, Socket: filepath.Join(d.dir, "s"), TokenFile: filepath.Join(d.dir, "tokens")})
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	_, port, _ := net.SplitHostPort(d.Address().String())
	return "127.0.0.1:" + port
}

// ask sends a request without following redirections, and returns the code, the header and up to 4 KB of the reply.
func ask(t *testing.T, address, method, path, body string, header http.Header) (int, http.Header, string) {
	t.Helper()
	network, host := "tcp", address
	if strings.HasPrefix(address, "/") {
		network, host = "unix", "gtmd"
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Type") == "text/event-stream" {
		return response.StatusCode, response.Header, ""
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, response.Header, string(text)
}

// level is who a route is for, as the pages of the documentation say.
func level(method, path string) string {
	switch {
	case slices.Contains([]string{"/healthz", "/-/healthy", "/readyz", "/-/ready", "/login", "/logout"}, path), strings.HasPrefix(path, "/static/"), strings.HasPrefix(path, "/api/v1/push/"):
		return "everyone"
	case method == "POST" && path == "/api/v1/diff":
		return "local"
	case method == "POST" && path != "/api/v1/overrides/preview":
		return "operators"
	}
	return "readers"
}

// TestEveryRoute asks for everything that there is in each way, with everything that one can show, and wants those refused who may not.
func TestEveryRoute(t *testing.T) {
	b := full()
	var patterns []string
	for _, p := range dashboard.New(b, slog.New(slog.DiscardHandler)) {
		patterns = append(patterns, p.Pattern)
	}
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	text, err := os.ReadFile("../openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			if pattern := strings.ToUpper(method) + " " + path; !slices.Contains(patterns, pattern) {
				patterns = append(patterns, pattern)
			}
		}
	}
	if len(patterns) < 70 {
		t.Fatalf("there are only %d routes", len(patterns))
	}
	slices.Sort(patterns)
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		for _, way := range []string{"nothing", "a wrong token", "read", "operate", "session of read", "session of operate", "session that has ended", "the socket"} {
			d := newDaemon(t, b) // whose bounds nobody has used up
			address := d.listen(t, listen)
			to, header := address, http.Header{"Content-Type": {"application/json"}}
			switch way {
			case "a wrong token":
				header.Set("Authorization", "Bearer "+admin.NewToken())
			case "read":
				header.Set("Authorization", "Bearer "+d.read)
			case "operate":
				header.Set("Authorization", "Bearer "+d.steer)
			case "session of read":
				header.Set("Cookie", d.session(t, address, d.read))
			case "session of operate":
				header.Set("Cookie", d.session(t, address, d.steer))
			case "session that has ended":
				header.Set("Cookie", d.session(t, address, d.steer))
				ask(t, address, "POST", "/logout", "", header)
			case "the socket":
				to = filepath.Join(d.dir, "s")
			}
			for _, pattern := range patterns {
				method, path, _ := strings.Cut(pattern, " ")
				if path == "/logout" || path == "/login" && method == "POST" {
					continue // they have tests of their own
				}
				who := level(method, path)
				isOpen := strings.HasPrefix(path, "/healthz") || strings.HasPrefix(path, "/readyz") || strings.HasPrefix(path, "/-/")
				allowed := false
				switch way {
				case "nothing", "session that has ended":
					allowed = who == "everyone" || who == "readers" && listen == "127.0.0.1:0"
				case "a wrong token":
					allowed = who == "everyone"
				case "read", "session of read":
					allowed = who == "everyone" || who == "readers"
				case "operate", "session of operate":
					allowed = who != "local"
				case "the socket":
					allowed = true
				}
				path = strings.NewReplacer("{$}", "", "{name}", "x", "{check}", "x", "{address}", "x").Replace(path)
				code, got, text := ask(t, to, method, path, "", header)
				what := fmt.Sprintf("%s, %s, with %s: %d %s %.100q", listen, pattern, way, code, got.Get("Location"), text)
				isRefused := code == 401 || code == 403 || code == 429 || strings.HasPrefix(got.Get("Location"), "/login?next=")
				if strings.HasPrefix(path, "/api/v1/push/") {
					isRefused = code != 401 && code != 204 // it has tokens of its own
				}
				if isRefused == allowed {
					t.Error(what)
				}
				if code >= 500 && !isOpen {
					t.Error(what)
				}
			}
		}
	}
}

// session logs in and returns the cookie.
func (d *daemon) session(t *testing.T, address, token string) string {
	t.Helper()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	code, header, _ := ask(t, address, "POST", "/login", url.Values{"token": {token}}.Encode(), form)
	cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	if code != http.StatusSeeOther || cookie == "" {
		t.Fatalf("login: %d", code)
	}
	return cookie
}

// TestPagesCost bounds how often a client has pages made that take much, and how often a form changes something.
func TestPagesCost(t *testing.T) {
	d := newDaemon(t, full())
	address := d.listen(t, "127.0.0.1:0")
	header := http.Header{"Authorization": {"Bearer " + d.steer}, "Content-Type": {"application/x-www-form-urlencoded"}}
	for _, row := range []struct{ method, path, body string }{
		{"GET", "/explain?name=origin.gtm.example.com", ""}, {"GET", "/steer/confirm?address=198.51.100.21&state=drain&reason=r", ""},
		{"GET", "/steer/clear?id=o17", ""}, {"GET", "/business?domain=www.shop.example", ""}, {"POST", "/steer/clear", "id=o17"},
	} {
		limited := false
		for range 200 {
			if code, got, text := ask(t, address, row.method, row.path, row.body, header); code == http.StatusTooManyRequests {
				limited = true
				if got.Get("Retry-After") == "" || strings.HasPrefix(text, "{") {
					t.Errorf("%s: %v %s", row.path, got, text)
				}
				break
			}
		}
		if !limited {
			t.Errorf("%s: nothing bounds how often it is asked for", row.path)
		}
	}
	if code, _, _ := ask(t, address, "GET", "/", "", header); code != http.StatusOK {
		t.Errorf("the overview: %d", code)
	}
}

// TestForeignForms has pages of others send every form that changes something, in the session of an operator.
func TestForeignForms(t *testing.T) {
	b := full()
	d := newDaemon(t, b)
	address := d.listen(t, "127.0.0.1:0")
	cookie := d.session(t, address, d.steer)
	forms := 0
	for _, p := range dashboard.New(b, slog.New(slog.DiscardHandler)) {
		method, path, _ := strings.Cut(p.Pattern, " ")
		if method != "POST" {
			continue
		}
		forms++
		for _, foreign := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}} {
			foreign.Set("Cookie", cookie)
			foreign.Set("Content-Type", "application/x-www-form-urlencoded")
			for _, to := range []string{address, filepath.Join(d.dir, "s")} {
				if code, _, text := ask(t, to, "POST", path, "do=down&address=198.51.100.21&reason=r&author=a&id=o17", foreign); code != http.StatusForbidden {
					t.Errorf("%s %v: %d %.100s", path, foreign, code, text)
				}
			}
		}
	}
	if forms < 6 {
		t.Errorf("there are only %d forms", forms)
	}
}
