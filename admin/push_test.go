package admin_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/admin"
)

// The target that the backend of the tests believes in, and its header.
const (
	pushPath  = "/api/v1/push/a%2Fb/2001:db8::1"
	pushToken = "Authorization: Bearer secret"
)

func TestPush(t *testing.T) {
	s := newService(t)
	s.both(t)
	report := func(status, reason, host string) admin.PushReport {
		return admin.PushReport{Check: "a/b", Address: "2001:db8::1", Host: host, Token: "secret", Status: status, Reason: reason}
	}
	for _, address := range []string{s.Address().String(), s.path("admin.sock")} {
		for _, row := range []struct {
			query, body string
			want        admin.PushReport
		}{
			{"", "", report("up", "", "")},
			{"", "{}", report("up", "", "")},
			{"", `{"status":"down","reason":"disk full","host":"www.shop.test"}`, report("down", "disk full", "www.shop.test")},
			{"?status=down&reason=disk%20full", "", report("down", "disk full", "")},
			{"?host=www.shop.test", "", report("up", "", "www.shop.test")},
			{"", `{"status":"down","reason":" a\n\u001b[2Jb\u202e "}`, report("down", "a  [2Jb", "")},
			{"", `{"reason":"` + strings.Repeat("字", 201) + `"}`, report("up", strings.Repeat("字", 199)+"…", "")},
		} {
			r := send(t, address, "POST", pushPath+row.query, row.body, pushToken)
			equal(t, row.query+row.body, r.code, http.StatusNoContent)
			equal(t, row.query+row.body, r.body, "")
			equal(t, row.query+row.body, taken(t, s.backend.pushed), row.want)
		}
	}
}

// TestPushUnauthorized gives the same answer whatever is wrong, so that nobody learns what there is.
func TestPushUnauthorized(t *testing.T) {
	s := newService(t)
	s.both(t)
	var first reply
	for i, row := range []struct {
		path, header string
		asked        bool // the backend is
	}{
		{pushPath, "X: y", false},
		{pushPath, "Authorization: Bearer ", false},
		{pushPath, "Authorization: Basic secret", false},
		{pushPath, "Authorization: Bearer secre", true},
		{"/api/v1/push/a%2Fb/2001:db8::2", pushToken, true},
		{"/api/v1/push/web/2001:db8::1", pushToken, true},
		{"/api/v1/push/a%2Fb/..%2F..%2Fstatus", pushToken, true},
	} {
		r := send(t, s.Address().String(), "POST", row.path, "", row.header)
		equal(t, row.path+" "+row.header, r.code, http.StatusUnauthorized)
		equal(t, row.path+" "+row.header, r.header.Get("WWW-Authenticate"), `Bearer realm="gtmd"`)
		if i == 0 {
			first = r
		}
		equal(t, row.path+" "+row.header, r.body, first.body)
		equal(t, row.path+" "+row.header, len(s.backend.pushed), map[bool]int{true: 1}[row.asked])
		if row.asked {
			taken(t, s.backend.pushed)
		}
	}
	equal(t, "body", failure(t, first), "want the header Authorization: Bearer TOKEN, with the token of a health check with protocol push, for an address that has it")
}

func TestPushBody(t *testing.T) {
	s := newService(t)
	s.both(t)
	const want = `want a JSON body such as {"status":"down","reason":"disk full"}: `
	for _, row := range []struct {
		query, body string
		code        int
		want        string
	}{
		{"", "status=down", 400, want + "invalid character 's' looking for beginning of value"},
		{"", " ", 400, want + "EOF"},
		{"", `{"state":"down"}`, 400, want + `json: unknown field "state"`},
		{"", "{}{}", 400, want + "something follows it"},
		{"", `{"reason":"` + strings.Repeat("x", 4<<10) + `"}`, 413, want + "http: request body too large"},
		{"", `{"status":"sick"}`, 400, `status "sick": want up or down`},
		{"?status=DOWN", "", 400, `status "DOWN": want up or down`},
		{"?state=down", "", 400, "want status, reason and host in the query, each once at most: state=down"},
		{"?status=up&status=down", "", 400, "want status, reason and host in the query, each once at most: status=up&status=down"},
		{"?reason=100%", "", 400, `read the query: invalid URL escape "%"`},
		{"?status=up", `{"status":"down"}`, 400, "want the report in the body or in the query, not in both"},
	} {
		r := send(t, s.Address().String(), "POST", pushPath+row.query, row.body, pushToken)
		equal(t, row.want, r.code, row.code)
		equal(t, row.want, failure(t, r), row.want)
	}
	equal(t, "requests to the backend", len(s.backend.pushed), 0)
	s.backend.err = errors.New("gtmd is stopping")
	r := send(t, s.Address().String(), "POST", pushPath, "", pushToken)
	equal(t, "code", r.code, http.StatusServiceUnavailable)
	equal(t, "body", failure(t, r), "gtmd is stopping")
}

// TestPushBesideToken reports to an API that wants the admin token for everything else: neither token opens what the
// other does, however the path is spelled.
func TestPushBesideToken(t *testing.T) {
	s := newService(t)
	write(t, s.path("token"), "admin")
	s.listen(t, admin.Options{Listen: "0.0.0.0:0", TokenFile: s.path("token")})
	_, port, err := net.SplitHostPort(s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + port
	equal(t, "push", send(t, address, "POST", pushPath, "", pushToken).code, http.StatusNoContent)
	taken(t, s.backend.pushed)
	equal(t, "with the admin token", send(t, address, "POST", pushPath, "", "Authorization: Bearer admin").code, http.StatusUnauthorized)
	taken(t, s.backend.pushed)
	for _, row := range []struct{ method, path string }{
		{"GET", "/api/v1/status"}, {"GET", "/api/v1/overrides"}, {"POST", "/api/v1/overrides"}, {"GET", pushPath}, {"GET", "/api/v1/push/"},
		{"GET", "/api/v1/push/a/..%2F..%2Fstatus"}, {"GET", "/api/v1/%70ush/a/b"}, {"GET", "//api/v1/status"}, {"GET", "/api/v1/push/../status"},
	} {
		r := send(t, address, row.method, row.path, "", pushToken)
		equal(t, row.method+" "+row.path, r.code, http.StatusUnauthorized)
	}
	equal(t, "overrides", send(t, address, "GET", "/api/v1/overrides", "", "Authorization: Bearer admin").code, http.StatusOK)
	equal(t, "requests to the backend", len(s.backend.pushed), 0)
}

func TestPushMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := newBackend()
	server, err := admin.New(b, registry, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	change, err := server.Prepare(admin.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	address := server.Address().String()
	counts := func() (lines []string) {
		for line := range strings.Lines(send(t, address, "GET", "/metrics", "").body) {
			if strings.HasPrefix(line, "gtmd_push_reports_total") {
				lines = append(lines, strings.TrimPrefix(strings.TrimSpace(line), "gtmd_push_reports_total"))
			}
		}
		return lines
	}
	equal(t, "at first", strings.Join(counts(), " "), `{result="failed"} 0 {result="malformed"} 0 {result="no_token"} 0 {result="taken"} 0 `+
		`{result="unknown_target"} 0 {result="wrong_token"} 0`)
	for _, row := range []struct{ path, header string }{
		{pushPath, pushToken}, {pushPath + "?x=y", pushToken}, {pushPath, "X: y"}, {pushPath, "Authorization: Bearer x"}, {pushPath + "0", pushToken},
	} {
		send(t, address, "POST", row.path, "", row.header)
		select {
		case <-b.pushed:
		default:
		}
	}
	b.err = errors.New("gtmd is stopping")
	send(t, address, "POST", pushPath, "", pushToken)
	equal(t, "then", strings.Join(counts(), " "), `{result="failed"} 1 {result="malformed"} 1 {result="no_token"} 1 {result="taken"} 1 `+
		`{result="unknown_target"} 1 {result="wrong_token"} 1`)
}
