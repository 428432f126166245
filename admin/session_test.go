package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gtmd/admin"
)

const form = "Content-Type: application/x-www-form-urlencoded"

// logIn begins a session and returns its cookie, as a browser sends it.
func logIn(t *testing.T, address, token string) string {
	t.Helper()
	r := send(t, address, "POST", "/login", url.Values{"token": {token}, "next": {"/events?kind=switch"}}.Encode(), form)
	equal(t, "login", fmt.Sprint(r.code, r.header.Get("Location")), "303/events?kind=switch")
	cookie, rest, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	equal(t, "cookie", rest, " Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")
	if len(cookie) < len("gtmd_session=")+50 || strings.Contains(cookie, token) {
		t.Errorf("cookie: %s", cookie)
	}
	return "Cookie: " + cookie
}

func TestSession(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "0.0.0.0:0")
	cookie := logIn(t, address, operateToken)
	equal(t, "read", send(t, address, "GET", "/api/v1/status", "", cookie).code, 200)
	equal(t, "change", send(t, address, "POST", "/api/v1/drills", `{"pool":"test1","for":"10m","reason":"r"}`, cookie, jsonBody).code, 200)
	equal(t, "author", taken(t, s.backend.drilled).Author, "deploy")
	reader := logIn(t, address, readToken)
	equal(t, "change of a reader", send(t, address, "POST", "/api/v1/reload", "", reader).code, 403)

	// A reload without changes of the file ends nothing; without its token a session is over.
	s.withTokens(t, "0.0.0.0:0")
	equal(t, "after a reload", send(t, address, "GET", "/api/v1/status", "", cookie).code, 200)
	write(t, s.path("tokens"), admin.TokenLine(admin.RoleRead, "deploy", operateToken))
	s.listen(t, admin.Options{Listen: "0.0.0.0:0", TokenFile: s.path("tokens")})
	equal(t, "with another role", send(t, address, "POST", "/api/v1/reload", "", cookie).code, 403)
	equal(t, "without its token", send(t, address, "GET", "/api/v1/status", "", reader).code, 401)

	// Logout ends one session.
	other := logIn(t, address, operateToken)
	r := send(t, address, "POST", "/logout", "", cookie)
	equal(t, "logout", fmt.Sprint(r.code, r.header.Get("Location"), r.header.Get("Set-Cookie")), "303/gtmd_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
	equal(t, "after logout", send(t, address, "GET", "/api/v1/status", "", cookie).code, 401)
	equal(t, "another session", send(t, address, "GET", "/api/v1/status", "", other).code, 200)

	// Over https, also that of a proxy, the cookie is for https.
	r = send(t, address, "POST", "/login", url.Values{"token": {operateToken}}.Encode(), form, "X-Forwarded-Proto: https")
	equal(t, "location", r.header.Get("Location"), "/")
	if cookie := r.header.Get("Set-Cookie"); !strings.HasSuffix(cookie, "; HttpOnly; Secure; SameSite=Strict") {
		t.Errorf("cookie: %s", cookie)
	}
	// The number of sessions of a token is bounded: the oldest one ends.
	for range 64 {
		logIn(t, address, operateToken)
	}
	equal(t, "the oldest session", send(t, address, "GET", "/api/v1/status", "", other).code, 401)
}

func TestLoginRefused(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	for _, next := range []string{"//evil.example/", "https://evil.example/", `/\evil.example`, "javascript:alert(1)", "", "/x\r\nSet-Cookie: a=b", "/\tx", "/%zz"} {
		r := send(t, address, "POST", "/login", url.Values{"token": {operateToken}, "next": {next}}.Encode(), form)
		equal(t, next, fmt.Sprint(r.code, r.header.Get("Location")), "303/")
	}
	codes := map[int]int{}
	for range 20 {
		r := send(t, address, "POST", "/login", "token=guess&next=%2Fevents", form)
		codes[r.code]++
		if r.code == http.StatusSeeOther {
			equal(t, "location", r.header.Get("Location"), "/login?failed=1&next=%2Fevents")
		}
		equal(t, "cookie", r.header.Get("Set-Cookie"), "")
	}
	if codes[303] != 10 || codes[429] != 10 {
		t.Errorf("codes: %v", codes)
	}
	// Without tokens, and through the socket, there is nothing to log in to.
	equal(t, "socket", send(t, s.path("admin.sock"), "POST", "/login", "token="+operateToken, form).header.Get("Set-Cookie"), "")
	s.listen(t, admin.Options{Listen: "127.0.0.1:0"})
	equal(t, "no tokens", send(t, s.Address().String(), "POST", "/login", "token="+operateToken, form).header.Get("Set-Cookie"), "")
}

// TestCrossOrigin has pages of other servers send changes with the cookie of a session, or through a forwarded socket.
func TestCrossOrigin(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	cookie := logIn(t, address, operateToken)
	for _, row := range []struct {
		header string
		code   int
	}{
		{"Sec-Fetch-Site: same-origin", 200},
		{"Sec-Fetch-Site: none", 200},
		{"Origin: http://" + address, 200},
		{"X: y", 200}, // no browser
		{"Sec-Fetch-Site: cross-site", 403},
		{"Sec-Fetch-Site: same-site", 403},
		{"Origin: https://evil.example", 403},
		{"Origin: null", 403},
	} {
		for _, to := range []string{address, s.path("admin.sock")} {
			if row.code == 200 && strings.HasPrefix(row.header, "Origin") && to != address {
				continue // there the host is another
			}
			before := s.backend.changes.Load()
			r := send(t, to, "POST", "/api/v1/reload", "", cookie, row.header)
			equal(t, to+" "+row.header, r.code, row.code)
			equal(t, "reloads, "+row.header, s.backend.changes.Load()-before, map[int]int64{200: 1, 403: 0}[row.code])
			if row.code == 403 {
				refusals := s.backend.refusals()
				equal(t, "why", refusals[len(refusals)-1].why, "a page of another server has sent this: only pages of this server may change something")
			}
			equal(t, "reading, "+row.header, send(t, to, "GET", "/api/v1/status", "", cookie, row.header).code, 200)
		}
		want := http.StatusSeeOther
		if row.code == 403 {
			want = 403
		}
		equal(t, "login, "+row.header, send(t, address, "POST", "/login", "token="+operateToken, form, row.header).code, want)
		if row.code == 403 {
			equal(t, "logout, "+row.header, send(t, address, "POST", "/logout", "", cookie, row.header).code, 403)
		}
	}
}
