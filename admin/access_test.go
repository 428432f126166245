package admin_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
)

// Tokens of the tests, of the form that gtmd makes.
var (
	operateToken = admin.NewToken()
	readToken    = admin.NewToken()
)

func carry(token string) string { return "Authorization: Bearer " + token }

const jsonBody = "Content-Type: application/json"

// withTokens serves over TCP, and on a socket, with two tokens, and returns the address.
func (s *service) withTokens(t *testing.T, listen string, hosts ...string) string {
	t.Helper()
	write(t, s.path("tokens"), "# ours\n"+admin.TokenLine(admin.RoleOperate, "deploy", operateToken)+"\n\n"+admin.TokenLine(admin.RoleRead, "prometheus", readToken)+"\n")
	s.listen(t, admin.Options{Listen: listen, Socket: s.path("admin.sock"), TokenFile: s.path("tokens"), Hosts: hosts})
	_, port, err := net.SplitHostPort(s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + port
}

// TestRoles has each way in read and change: over TCP on loopback and for others, without a token, with one of each role, and through
// the socket.
func TestRoles(t *testing.T) {
	s := newService(t)
	for _, row := range []struct {
		listen, header string
		read, change   int
		noted          string
	}{
		{"127.0.0.1:0", "", 200, 401, "a bearer token with the role operate is needed: one of the token_file"},
		{"127.0.0.1:0", carry("gtmd_wrong"), 401, 401, "a bearer token is needed: one of the token_file"},
		{"127.0.0.1:0", carry(readToken), 200, 403, "the token prometheus may only read: this takes one with the role operate"},
		{"127.0.0.1:0", carry(operateToken), 200, 200, ""},
		{"0.0.0.0:0", "", 401, 401, "a bearer token with the role operate is needed: one of the token_file"},
		{"0.0.0.0:0", carry(readToken), 200, 403, "the token prometheus may only read: this takes one with the role operate"},
		{"0.0.0.0:0", carry(operateToken), 200, 200, ""},
	} {
		address := s.withTokens(t, row.listen)
		what := row.listen + " " + row.header
		headers := []string{jsonBody}
		if row.header != "" {
			headers = append(headers, row.header)
		}
		before, refused := s.backend.changes.Load(), len(s.backend.refusals())
		equal(t, "read, "+what, send(t, address, "GET", "/api/v1/status", "", headers...).code, row.read)
		for _, change := range []struct{ path, body string }{
			{"reload", ""}, {"switch", `{"instance":"i","policy":"p","set":"primary"}`}, {"overrides", setBody}, {"overrides/clear", `{"id":"o1"}`},
			{"drills", `{"pool":"test1","for":"10m","reason":"r"}`}, {"drills/stop", `{"id":"d1"}`}, {"probe", `{"pool":"test1"}`}, {"alerts/test", `{"group":"ops"}`},
		} {
			equal(t, change.path+", "+what, send(t, address, "POST", "/api/v1/"+change.path, change.body, headers...).code, row.change)
		}
		noted := s.backend.refusals()[refused:]
		if row.change == 200 {
			equal(t, "changes, "+what, s.backend.changes.Load()-before, 8)
			equal(t, "refused, "+what, len(noted), 0)
			caller := s.backend.lastCaller()
			equal(t, "caller", caller.Name+" "+caller.Via, "deploy tcp")
			if !strings.HasPrefix(caller.Remote, "127.0.0.1:") {
				t.Errorf("the caller is at %q", caller.Remote)
			}
			continue
		}
		equal(t, "changes, "+what, s.backend.changes.Load()-before, 0)
		equal(t, "refused, "+what, len(noted), 8)
		equal(t, "what", noted[0].what, "POST /api/v1/reload")
		equal(t, "why", noted[0].why, row.noted)
		equal(t, "via", noted[0].caller.Via, "tcp")
	}
	// Reading files is for the socket alone, whatever the token.
	address := s.withTokens(t, "127.0.0.1:0")
	before := s.backend.changes.Load()
	equal(t, "diff over TCP", send(t, address, "POST", "/api/v1/diff", "{}", jsonBody, carry(operateToken)).code, 403)
	equal(t, "diffs", s.backend.changes.Load()-before, 0)
	equal(t, "diff over the socket", send(t, s.path("admin.sock"), "POST", "/api/v1/diff", "{}").code, 200)
	caller := s.backend.lastCaller()
	equal(t, "caller", caller.Name+" "+caller.Via+caller.Remote, me(t)+" socket")
}

// TestAuthor has the token in the author of a change over TCP, whoever the request names, and the user of the socket where it names none.
func TestAuthor(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	for _, row := range []struct{ address, author, want string }{
		{address, "", "deploy"},
		{address, "deploy", "deploy"},
		{address, "alice", "alice (token deploy)"},
		{s.path("admin.sock"), "", me(t)},
		{s.path("admin.sock"), "alice", "alice"},
	} {
		body := fmt.Sprintf(`{"pool":"test1","for":"10m","reason":"r","author":%q}`, row.author)
		equal(t, row.want, send(t, row.address, "POST", "/api/v1/drills", body, jsonBody, carry(operateToken)).code, 200)
		equal(t, row.address, taken(t, s.backend.drilled).Author, row.want)
	}
}

// TestHosts refuses names that a page of somebody else could have lead here.
func TestHosts(t *testing.T) {
	s := newService(t)
	refused := func(code int) int {
		if code == http.StatusMisdirectedRequest {
			return code
		}
		return 0
	}
	for _, row := range []struct {
		listen string // empty: through the socket
		hosts  []string
		host   string
		code   int
	}{
		{"127.0.0.1:0", nil, "127.0.0.1:8553", 0},
		{"127.0.0.1:0", nil, "[::1]:8553", 0},
		{"127.0.0.1:0", nil, "[::1]", 0},
		{"127.0.0.1:0", nil, "LOCALHOST:1", 0},
		{"127.0.0.1:0", nil, "localhost.", 0},
		{"127.0.0.1:0", nil, "192.0.2.1", 0},
		{"127.0.0.1:0", nil, "evil.example", 421},
		{"127.0.0.1:0", nil, "evil.example:8553", 421},
		{"127.0.0.1:0", nil, "127.0.0.1.evil.example", 421},
		{"127.0.0.1:0", nil, "localhost.evil.example", 421},
		{"127.0.0.1:0", nil, "gtmd", 421},
		{"127.0.0.1:0", []string{"GTM.example.com"}, "gtm.example.com:443", 0},
		{"127.0.0.1:0", []string{"gtm.example.com"}, "gtm.example.com.", 0},
		{"127.0.0.1:0", []string{"gtm.example.com"}, "x.gtm.example.com", 421},
		{"0.0.0.0:0", nil, "evil.example", 0}, // whoever has no token is refused
		{"0.0.0.0:0", []string{"gtm.example.com"}, "evil.example", 421},
		{"0.0.0.0:0", []string{"gtm.example.com"}, "192.0.2.1:8553", 0},
		{"", nil, "gtmd", 0},
		{"", nil, "localhost", 0},
		{"", nil, "evil.example", 421}, // a browser, through a forwarded port
		{"", []string{"gtm.example.com"}, "gtm.example.com", 0},
	} {
		listen := row.listen
		if listen == "" {
			listen = "127.0.0.1:0"
		}
		address := s.withTokens(t, listen, row.hosts...)
		if row.listen == "" {
			address = s.path("admin.sock")
		}
		before := s.backend.changes.Load()
		for _, path := range []string{"/api/v1/status", "/metrics", "/nothing", "/api/v1/openapi.json"} {
			equal(t, fmt.Sprint(row), refused(send(t, address, "GET", path, "", carry(operateToken), "Host: "+row.host).code), row.code)
		}
		r := send(t, address, "POST", "/api/v1/reload", "", carry(operateToken), "Host: "+row.host)
		equal(t, fmt.Sprint(row), refused(r.code), row.code)
		equal(t, "reloads", s.backend.changes.Load() > before, row.code == 0)
		// What programs ask who have no token is open under every name; so is the report of an origin, which has its own.
		equal(t, "healthz", send(t, address, "GET", "/healthz", "", "Host: "+row.host).code, 200)
		equal(t, "push", send(t, address, "POST", "/api/v1/push/a%2Fb/2001:db8::1", "", carry("secret"), "Host: "+row.host).code, 204)
	}
}

// TestHeaders finds the headers that bind a browser on everything, errors too, and none that tells what runs.
func TestHeaders(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "0.0.0.0:0")
	for _, path := range []string{"/", "/healthz", "/metrics", "/api/v1/status", "/api/v1/nothing", "//x/..", "/debug/pprof/"} {
		for _, header := range []string{carry(readToken), carry("gtmd_wrong")} {
			r := send(t, address, "GET", path, "", header)
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; " +
					"base-uri 'none'; frame-ancestors 'none'",
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
				"Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "",
			} {
				equal(t, path+" "+name, r.header.Get(name), want)
			}
		}
	}
}

// TestContentType wants JSON named as such over TCP: no form of a page can send it.
func TestContentType(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	body := `{"pool":"test1","for":"10m","reason":"r"}`
	for kind, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "": 415,
	} {
		equal(t, kind, send(t, address, "POST", "/api/v1/drills", body, carry(operateToken), "Content-Type: "+kind).code, want)
	}
	equal(t, "without a body", send(t, address, "POST", "/api/v1/reload", "", carry(operateToken)).code, 200)
	equal(t, "over the socket", send(t, s.path("admin.sock"), "POST", "/api/v1/drills", body).code, 200)
}

// TestWrongTokens bounds guessing, and locks nobody out whose token cannot be guessed.
func TestWrongTokens(t *testing.T) {
	s := newService(t)
	write(t, s.path("tokens"), admin.TokenLine(admin.RoleRead, "old", "short")+"\n"+admin.TokenLine(admin.RoleOperate, "deploy", operateToken)+"\n")
	s.listen(t, admin.Options{Listen: "127.0.0.1:0", TokenFile: s.path("tokens")})
	address := s.Address().String()
	equal(t, "short token", send(t, address, "GET", "/metrics", "", carry("short")).code, 200)
	codes := map[int]int{}
	for i := range 20 {
		r := send(t, address, "GET", "/metrics", "", carry(fmt.Sprint("guess", i)))
		codes[r.code]++
		if wait := r.header.Get("Retry-After"); (r.code == 429) != (wait != "") {
			t.Errorf("%d with Retry-After %q", r.code, wait)
		}
	}
	if codes[401] < 10 || codes[401] > 12 || codes[429] != 20-codes[401] {
		t.Errorf("codes: %v", codes)
	}
	equal(t, "short token after guesses", send(t, address, "GET", "/metrics", "", carry("short")).code, 429)
	equal(t, "made token after guesses", send(t, address, "POST", "/api/v1/reload", "", carry(operateToken)).code, 200)
	equal(t, "without a token", send(t, address, "GET", "/api/v1/status", "").code, 200)
	equal(t, "change with a wrong one", send(t, address, "POST", "/api/v1/reload", "", carry("short")).code, 429)
	refusals := s.backend.refusals()
	equal(t, "refused", len(refusals), 1)
	if !strings.HasPrefix(refusals[0].why, "too many wrong tokens: ") {
		t.Errorf("why: %s", refusals[0].why)
	}
}

// TestRates bounds what each client may have done over TCP; the socket has no bound.
func TestRates(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	for _, row := range []struct{ method, path, body string }{
		{"GET", "/api/v1/explain?name=x", ""}, {"POST", "/api/v1/overrides", setBody},
	} {
		limited := 0
		for range 60 {
			if r := send(t, address, row.method, row.path, row.body, carry(operateToken), jsonBody); r.code == 429 {
				limited++
				equal(t, "wait", r.header.Get("Retry-After") != "", true)
			}
		}
		if limited == 0 || limited > 31 {
			t.Errorf("%s: %d of 60 are refused", row.path, limited)
		}
		for range 60 {
			equal(t, "socket", send(t, s.path("admin.sock"), row.method, row.path, row.body).code, 200)
		}
	}
	equal(t, "another client", send(t, address, "GET", "/api/v1/explain?name=x", "").code, 200)
	equal(t, "status", send(t, address, "GET", "/api/v1/status", "", carry(operateToken)).code, 200)
}

// TestPageHelpers says what pages learn of their readers.
func TestPageHelpers(t *testing.T) {
	seen := make(chan string, 1)
	page := admin.Page{Pattern: "GET /{$}", Name: "page", Handler: func(w http.ResponseWriter, r *http.Request) {
		keep(seen, fmt.Sprint(admin.RoleOf(r.Context()), admin.IsLoggedIn(r.Context()), admin.CanLogIn(r.Context()), admin.NeedsLogin(r), admin.CallerOf(r.Context()).Via))
	}}
	steer := admin.Page{Pattern: "POST /steer", Name: "steer", Access: admin.Operators, Handler: func(w http.ResponseWriter, r *http.Request) {
		keep(seen, admin.Author(r.Context(), "")+" by "+admin.CallerOf(r.Context()).Via)
	}}
	private := admin.Page{Pattern: "GET /private", Name: "private", Access: admin.Operators, Handler: func(w http.ResponseWriter, r *http.Request) {}}
	s := newService(t, page, steer, private)
	address := s.withTokens(t, "127.0.0.1:0")
	equal(t, "page", send(t, address, "GET", "/", "").code, 200)
	equal(t, "nobody", taken(t, seen), "read false true truedashboard")
	send(t, address, "GET", "/", "", carry(operateToken))
	equal(t, "operator", taken(t, seen), "operate false true falsedashboard")
	send(t, s.path("admin.sock"), "GET", "/", "")
	equal(t, "socket", taken(t, seen), "operate false false falsedashboard")
	send(t, address, "POST", "/steer", "", carry(operateToken))
	equal(t, "who", taken(t, seen), "deploy by dashboard")
	send(t, s.path("admin.sock"), "POST", "/steer", "")
	equal(t, "who", taken(t, seen), me(t)+" by dashboard")

	r := send(t, address, "GET", "/private?x=1&y=//evil", "")
	equal(t, "to the login", fmt.Sprint(r.code, r.header.Get("Location")), "303/login?next=%2Fprivate%3Fx%3D1%26y%3D%2F%2Fevil")
	r = send(t, address, "GET", "/private", "", carry(readToken))
	equal(t, "may not", fmt.Sprint(r.code, r.body), "403the token prometheus may only read: this takes one with the role operate\n")
	address = s.withTokens(t, "0.0.0.0:0")
	r = send(t, address, "GET", "/", "")
	equal(t, "to the login", fmt.Sprint(r.code, r.header.Get("Location")), "303/login?next=%2F")

	// Tests of handlers do without a server.
	ctx := admin.WithRole(context.Background(), admin.RoleOperate)
	equal(t, "role", admin.RoleOf(ctx), admin.RoleOperate)
	equal(t, "role of nothing", admin.RoleOf(context.Background()), admin.NoRole)
	equal(t, "login", admin.CanLogIn(ctx), false)
}

// TestSlowClients has two hundred clients hold connections without a word: others get through at once.
func TestSlowClients(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	for i := range 200 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		switch i % 3 {
		case 0:
			fmt.Fprintf(conn, "GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
		case 1:
			fmt.Fprintf(conn, "POST /api/v1/switch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%s\r\nContent-Length: 500\r\n\r\n{", carry(operateToken))
		}
	}
	for range 20 {
		begin := time.Now()
		equal(t, "status", send(t, address, "GET", "/api/v1/status", "").code, 200)
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	}
	equal(t, "socket", send(t, s.path("admin.sock"), "GET", "/api/v1/status", "").code, 200)
}
