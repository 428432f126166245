package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
)

// TestEndingListener has a request that came to a listener for others meet the rules of a reload which lets all who are on this machine
// read: it came from elsewhere, so it takes a token still.
func TestEndingListener(t *testing.T) {
	s := newService(t)
	write(t, s.path("tokens"), admin.TokenLine(admin.RoleRead, "prometheus", readToken))
	ends, err := s.HandlerFor(admin.Options{Listen: "0.0.0.0:0", TokenFile: s.path("tokens")})
	if err != nil {
		t.Fatal(err)
	}
	begins, err := s.HandlerFor(admin.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	for want, handler := range map[int]http.Handler{401: ends, 200: begins} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/api/v1/status", nil))
		equal(t, "code", w.Code, want)
	}
}

// TestOtherSchemes has a proxy before this server ask for passwords: what browsers send to it is no token, and no guess of one.
func TestOtherSchemes(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	const basic = "Authorization: Basic YWxpY2U6c2VjcmV0"
	cookie := logIn(t, address, operateToken)
	for range 15 {
		equal(t, "reading", send(t, address, "GET", "/api/v1/status", "", basic).code, 200)
	}
	equal(t, "change", send(t, address, "POST", "/api/v1/reload", "", basic).code, 401)
	equal(t, "change in a session", send(t, address, "POST", "/api/v1/reload", "", basic, cookie).code, 200)
	equal(t, "an empty token", send(t, address, "GET", "/api/v1/status", "", "Authorization: Bearer").code, 401)
	address = s.withTokens(t, "0.0.0.0:0")
	equal(t, "reading from elsewhere", send(t, address, "GET", "/api/v1/status", "", basic).code, 401)
}

// TestStreamResumes cuts a stream off on which nothing was sent yet: who comes back with the ID that it had misses nothing.
func TestStreamResumes(t *testing.T) {
	s := newService(t)
	s.both(t)
	first := follow(t, s.Address().String(), "?kind=switch")
	id := ""
	for id == "" {
		select {
		case line, ok := <-first.lines:
			if !ok {
				t.Fatal("the stream has ended")
			}
			id, _ = strings.CutPrefix(line, "id: ")
			if !strings.HasPrefix(line, "id: ") {
				id = ""
			}
		case <-time.After(soon):
			t.Fatal("no ID has come")
		}
	}
	first.response.Body.Close()
	last := s.backend.Events(admin.EventQuery{}).Latest
	equal(t, "ID", id, fmt.Sprint(last))
	missed := event(last + 1)
	missed.Kind = admin.EventSwitch
	s.backend.happen(missed)
	again := follow(t, s.Address().String(), "?kind=switch", "Last-Event-ID: "+id)
	equal(t, "missed", again.next(t), last+1)
}

// TestStreamsLeave ends streams when another process takes the listeners over: clients then come back to that one.
func TestStreamsLeave(t *testing.T) {
	s := newService(t)
	s.both(t)
	f, local := follow(t, s.Address().String(), ""), follow(t, s.path("admin.sock"), "")
	begin := time.Now()
	s.Leave()
	f.ended(t)
	local.ended(t)
	s.Close()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the end took %v", took)
	}
	if _, err := os.Stat(s.path("admin.sock")); err != nil {
		t.Errorf("the socket that another process serves: %v", err)
	}
}

// TestSocketPermissions finds the unix socket open to its group at most, whatever the umask, and at no moment to all.
func TestSocketPermissions(t *testing.T) {
	s := newService(t)
	defer admin.Umask(admin.Umask(0))
	path := s.path("bare.sock")
	l, err := admin.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "permissions before chmod", info.Mode().Perm(), 0o660)
	for _, mask := range []int{0, 0o077, 0o777} {
		admin.Umask(mask)
		path := s.path(fmt.Sprintf("%03o.sock", mask))
		s.listen(t, admin.Options{Socket: path})
		if info, err = os.Stat(path); err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprintf("permissions with umask %03o", mask), info.Mode().Perm(), 0o660)
	}
}

// TestTakesForce tells what --force would do from what is not possible.
func TestTakesForce(t *testing.T) {
	s := newService(t)
	s.both(t)
	body := `{"pool":"test1","for":"10m","reason":"r","author":"alice"}`
	for _, row := range []struct {
		err  error
		code int
	}{
		{&admin.EmptyError{Emptied: []admin.EmptiedPolicy{{Instance: "i", Policy: "p", Family: "ipv4"}}}, 409},
		{fmt.Errorf("drill: %w", &admin.DrillError{Why: []string{"the backup set is not available"}}), 409},
		{io.EOF, 422},
	} {
		s.backend.err = row.err
		r := send(t, s.path("admin.sock"), "POST", "/api/v1/drills", body)
		equal(t, row.err.Error(), r.code, row.code)
	}
}
