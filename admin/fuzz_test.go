package admin_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gtmd/admin"
)

// hostile is what clients send who mean no good, or do not know better.
var (
	hostileMethods = []string{"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND"}
	hostileValues  = []string{"", "x", "-1", "99999999999999999999", "1e9", "NaN", "true", "\x00", "\x1b[31m", "\r\nX: y", "../../etc/passwd", "%", "\xff\xfe", "é\u202e",
		"' OR 1=1 --", "<script>alert(1)</script>", "${jndi:ldap://x}", strings.Repeat("A", 5000), "2026-01-02T03:04:05Z", "24h", "-24h", "192.0.2.1", "0.0.0.0/0", "::/0"}
	hostileBodies = []string{"", "{", "[]", "null", "0", `""`, "{}", `{"a":1}`, strings.Repeat("[", 40000), strings.Repeat(`{"a":`, 10000), `{"instance":null}`,
		`{"for":-1}`, `{"for":"-1h","pool":"p","reason":"r"}`, `{"pool":{"a":[]}}`, `{"id":"o1"}{"id":"o2"}`, `{"reason":"` + strings.Repeat("x", 70000) + `"}`, "\x00\x01",
		`{"address":"\u0000","state":"down","reason":"\u001b[2J","author":"a"}`, `{"until":"yesterday"}`, `{"over":1e400}`, "token=" + strings.Repeat("x", 70000), "\xff{"}
	hostileHeaders = [][2]string{{"Host", "evil.example"}, {"Host", ""}, {"Host", "127.0.0.1:99999"}, {"Authorization", "Bearer x"}, {"Authorization", "Basic !!!"},
		{"Authorization", "Bearer " + strings.Repeat("x", 9000)}, {"Cookie", "gtmd_session=x"}, {"Cookie", "gtmd_session=" + strings.Repeat("y", 9000)}, {"Cookie", ";;=;"},
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Content-Type", "text/plain"}, {"Content-Type", "application/json"},
		{"Content-Type", "application/json; ;;"}, {"Last-Event-ID", "x"}, {"Last-Event-ID", "-1"}, {"Transfer-Encoding", "chunked"}, {"Expect", "100-continue"},
		{"X-Forwarded-Proto", "https"}, {"X-HTTP-Method-Override", "POST"}, {"Accept", "text/html"}, {"Range", "bytes=0-"}}
)

// keysOf are what a query may have.
var keysOf = []string{"limit", "offset", "instance", "policy", "pool", "address", "available", "verdict", "health_check", "id", "after", "before", "kind", "text", "since", "until",
	"name", "type", "client", "suppose", "domain", "status", "reason", "host", "nothing"}

// TestHostile sends each route what makes no sense: nothing fails, and nothing changes for who may change nothing.
func TestHostile(t *testing.T) {
	for _, row := range []struct{ name, listen, token string }{
		{"nobody", "0.0.0.0:0", ""}, {"this machine", "127.0.0.1:0", ""}, {"a reader", "0.0.0.0:0", readToken}, {"an operator", "0.0.0.0:0", operateToken},
	} {
		t.Run(row.name, func(t *testing.T) { sendHostile(t, row.listen, row.token) })
	}
}

func sendHostile(t *testing.T, listen, token string) {
	s := newService(t)
	address := s.withTokens(t, listen)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(all []string) string { return all[random.IntN(len(all))] }
	before, sent, codes := s.backend.changes.Load(), 0, map[int]int{}
	for _, pattern := range s.Patterns() {
		_, path, _ := strings.Cut(pattern, " ")
		if strings.HasSuffix(path, "/stream") {
			continue // whoever is let in is not answered to the end; TestEventStream has what is refused
		}
		for range 30 {
			to := path
			for strings.Contains(to, "{") {
				begin, end := strings.Index(to, "{"), strings.Index(to, "}")
				to = to[:begin] + url.PathEscape(pick(hostileValues)) + to[end+1:]
			}
			query := url.Values{}
			for range random.IntN(4) {
				query.Add(pick(keysOf), pick(hostileValues))
			}
			if len(query) > 0 {
				to += "?" + query.Encode()
			}
			if random.IntN(8) == 0 {
				to += "&%zz=;\x7f"
			}
			headers := [][2]string{hostileHeaders[random.IntN(len(hostileHeaders))], hostileHeaders[random.IntN(len(hostileHeaders))]}
			if token != "" {
				headers = append([][2]string{{"Authorization", "Bearer " + token}, {"Content-Type", "application/json"}}, headers[0])
			}
			method := pick(hostileMethods)
			if random.IntN(2) == 0 {
				method, _, _ = strings.Cut(pattern, " ")
			}
			code, err := sendRaw(address, method, to, pick(hostileBodies), headers...)
			if err != nil {
				t.Fatalf("%s: %v", to, err)
			}
			sent++
			codes[code]++
			if code >= 500 && code != http.StatusNotImplemented || code == 0 {
				t.Errorf("%s: %d", to, code)
			}
		}
	}
	t.Logf("%d requests: %v", sent, codes)
	if token != operateToken {
		equal(t, "changes", s.backend.changes.Load()-before, 0)
		if len(s.backend.refusals()) < 20 {
			t.Errorf("%d refused changes are noted", len(s.backend.refusals()))
		}
	}
	equal(t, "alive", send(t, address, "GET", "/api/v1/status", "", carry(readToken)).code, 200)
}

// sendRaw writes a request as it is and returns the code of the reply; 400 when the connection is closed without one.
func sendRaw(address, method, path, body string, headers ...[2]string) (int, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(soon))
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\n", method, path)
	has := map[string]bool{}
	for _, h := range headers {
		if !has[h[0]] {
			fmt.Fprintf(&request, "%s: %s\r\n", h[0], h[1])
		}
		has[h[0]] = true
	}
	if !has["Host"] {
		request.WriteString("Host: 127.0.0.1\r\n")
	}
	if has["Transfer-Encoding"] {
		fmt.Fprintf(&request, "Connection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	} else {
		fmt.Fprintf(&request, "Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	conn.Write(request.Bytes()) // the server may have answered and closed before all is written
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err == nil && response.StatusCode == http.StatusContinue {
		response, err = http.ReadResponse(reader, &http.Request{Method: method})
	}
	if err != nil {
		return http.StatusBadRequest, nil // cut off while it sent too much
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.StatusCode, nil
}

// FuzzAPI hands requests to the handler of a listener that wants a token: whatever they are, none fails, and none changes anything.
// With the token of an operator none fails either.
func FuzzAPI(f *testing.F) {
	probe, err := admin.New(newBackend(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	for _, pattern := range probe.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		f.Add(method, strings.NewReplacer("{name}", "test1", "{check}", "a%2Fb", "{address}", "192.0.2.1").Replace(path), "", "127.0.0.1", false)
	}
	for _, row := range asked {
		f.Add(row.method, "/api/v1"+row.path, row.body, "localhost:1", true)
	}
	for i, body := range hostileBodies {
		f.Add("POST", "/api/v1/overrides", body, "evil.example", i%2 == 0)
	}
	for _, value := range hostileValues {
		f.Add("GET", "/api/v1/events?limit=1&text="+url.QueryEscape(value), "", "[::1]", true)
	}
	dir, err := os.MkdirTemp("", "gtmd")
	if err != nil {
		f.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tokens := dir + "/tokens"
	if err := os.WriteFile(tokens, []byte(admin.TokenLine(admin.RoleOperate, "deploy", operateToken)), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, body, host string, isOperator bool) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", method, target, host, len(body), body))))
		if err != nil || strings.HasSuffix(request.URL.Path, "/stream") {
			t.Skip("net/http does not let it in, or it has no end")
		}
		registry, b := prometheus.NewRegistry(), newBackend()
		server, err := admin.New(b, registry, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		handler, err := server.HandlerFor(admin.Options{Listen: "0.0.0.0:0", TokenFile: tokens})
		if err != nil {
			t.Fatal(err)
		}
		request.RemoteAddr = "198.51.100.7:4711"
		request.Header.Set("Content-Type", "application/json")
		if isOperator {
			request.Header.Set("Authorization", "Bearer "+operateToken)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		if w.Code >= 400 && strings.HasPrefix(request.URL.Path, "/api/") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d without JSON: %q", w.Code, w.Body)
		}
		if !isOperator && b.changes.Load() > 0 {
			t.Errorf("something has changed: %d", w.Code)
		}
		if n, err := testutil.GatherAndCount(registry, "gtmd_http_requests_total"); err != nil || n > 200 {
			t.Errorf("%d series, %v", n, err)
		}
	})
}

// TestStreamBeats sends something when nothing happens, and ends after an hour: whoever follows then shows again that he may.
func TestStreamBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		server, err := admin.New(b, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		handler, err := server.HandlerFor(admin.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		request := httptest.NewRequest("GET", "http://127.0.0.1/api/v1/events/stream", nil)
		begin := time.Now()
		handler.ServeHTTP(w, request)
		equal(t, "time", time.Since(begin), time.Hour)
		if beats := strings.Count(w.Body.String(), "\n: "); beats < 239 || beats > 240 {
			t.Errorf("%d beats in an hour", beats)
		}
		equal(t, "watched", b.watched(), 0)
	})
}
