package admin_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
)

func TestListensNowhere(t *testing.T) {
	s := newService(t)
	if a := s.Address(); a != nil {
		t.Errorf("listens on %v", a)
	}
	s.listen(t, admin.Options{})
	if a := s.Address(); a != nil {
		t.Errorf("listens on %v", a)
	}
	s.Close()
	s.Close()
}

// TestMove moves both listeners: the new ones answer before the old ones end, and what stays is not touched.
func TestMove(t *testing.T) {
	s := newService(t)
	s.both(t)
	tcp, socket := s.Address().String(), s.path("admin.sock")

	// The same again changes nothing: port 0 keeps its port, and another spelling of the path is the same file.
	s.listen(t, admin.Options{Listen: "127.0.0.1:0", Socket: s.dir + "/./admin.sock"})
	equal(t, "address", s.Address().String(), tcp)

	change, err := s.Prepare(admin.Options{Listen: "127.0.0.2:0", Socket: s.path("other.sock")})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{tcp, socket} { // still served
		equal(t, address, send(t, address, "GET", "/healthz", "").code, http.StatusOK)
	}
	change.Commit()
	change.Discard() // after Commit it does nothing
	for _, address := range []string{s.Address().String(), s.path("other.sock")} {
		equal(t, address, send(t, address, "GET", "/healthz", "").code, http.StatusOK)
	}
	for _, address := range []string{tcp, socket} {
		if r, err := try(address, "GET", "/healthz", ""); err == nil {
			t.Errorf("%s still answers: %v", address, r)
		}
	}
	if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old socket is still there: %v", err)
	}

	s.listen(t, admin.Options{})
	for _, address := range []string{"127.0.0.2:0", s.path("other.sock")} {
		if _, err := try(address, "GET", "/healthz", ""); err == nil {
			t.Errorf("%s still answers", address)
		}
	}
}

// TestMoveDuringARequest moves the socket while a request on it waits, as a reload over the socket does: the move does not
// wait for the request, and the request gets its reply.
func TestMoveDuringARequest(t *testing.T) {
	s := newService(t)
	s.both(t)
	s.backend.hold = make(chan struct{})
	socket, done := s.path("admin.sock"), make(chan string)
	go func() {
		r, err := try(socket, "POST", "/api/v1/reload", "")
		done <- fmt.Sprint(r.code, " ", err)
	}()
	for s.backend.reloads.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.listen(t, admin.Options{Listen: "127.0.0.1:0", Socket: s.path("other.sock")})
	select {
	case r := <-done:
		t.Fatalf("the request has ended: %s", r)
	default:
	}
	equal(t, "new socket", send(t, s.path("other.sock"), "GET", "/healthz", "").code, http.StatusOK)
	close(s.backend.hold)
	equal(t, "request", <-done, "200 <nil>")
}

func TestDiscard(t *testing.T) {
	s := newService(t)
	s.both(t)
	tcp := s.Address().String()
	change, err := s.Prepare(admin.Options{Listen: "127.0.0.2:0", Socket: s.path("other.sock")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path("other.sock")); err != nil {
		t.Error(err)
	}
	change.Discard()
	if _, err := os.Stat(s.path("other.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the discarded socket is still there: %v", err)
	}
	equal(t, "address", s.Address().String(), tcp)
	for _, address := range []string{tcp, s.path("admin.sock")} {
		equal(t, address, send(t, address, "GET", "/healthz", "").code, http.StatusOK)
	}
}

// TestPrepareFails opens nothing when one of the two cannot be had.
func TestPrepareFails(t *testing.T) {
	s := newService(t)
	s.both(t)
	other := newService(t)
	_, port, err := net.SplitHostPort(s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	taken := s.Address().String()
	for _, row := range []struct {
		server  *service
		options admin.Options
		want    string
	}{
		{other, admin.Options{Listen: taken, Socket: other.path("a.sock")}, "listen for the admin API on " + taken + ": listen tcp " + taken + ": bind: address already in use"},
		{s, admin.Options{Listen: "localhost:" + port, Socket: s.path("b.sock")},
			"address already in use (by this gtmd itself, on " + taken + ": it moves to another address of the same port only by a restart)"},
		{other, admin.Options{Listen: "127.0.0.1:0", Socket: s.path("admin.sock")},
			"open the admin socket " + s.path("admin.sock") + ": another gtmd answers on it"},
		{other, admin.Options{Socket: "/dev/null/admin.sock"}, "open the admin socket: mkdir /dev/null: not a directory"},
		{other, admin.Options{Socket: other.dir}, "open the admin socket: listen unix " + other.dir + ": bind: address already in use"},
		{other, admin.Options{Listen: "nowhere"}, "listen for the admin API on nowhere: "},
	} {
		_, err := row.server.Prepare(row.options)
		contains(t, err, row.want)
		for _, socket := range []string{"a.sock", "b.sock"} {
			if _, err := os.Stat(row.server.path(socket)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left behind: %v", socket, err)
			}
		}
	}
	for _, address := range []string{taken, s.path("admin.sock")} {
		equal(t, address, send(t, address, "GET", "/healthz", "").code, http.StatusOK)
	}
	if a := other.Address(); a != nil {
		t.Errorf("the other listens on %v", a)
	}
}

func TestSocketFile(t *testing.T) {
	s := newService(t)
	// A file that a dead process left is in the way of nobody; the directory is made.
	path := s.path("made/admin.sock")
	s.listen(t, admin.Options{Socket: path})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "permissions", info.Mode().Perm(), 0o660)

	stale := s.path("stale.sock")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	s.listen(t, admin.Options{Socket: stale})
	equal(t, "over the replaced file", send(t, stale, "GET", "/healthz", "").code, http.StatusOK)

	// A file that is no socket is somebody's.
	file := s.path("file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Prepare(admin.Options{Socket: file})
	contains(t, err, "open the admin socket: listen unix "+file+": bind: address already in use")
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file has %q, %v", text, err)
	}
	s.Close()
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there after Close: %v", err)
	}
}

// TestToken listens where others could reach it.
func TestToken(t *testing.T) {
	s := newService(t)
	token := s.path("token")
	everywhere := admin.Options{Listen: "0.0.0.0:0", TokenFile: token}
	for _, row := range []struct {
		content *string
		options admin.Options
		want    string
	}{
		{nil, admin.Options{Listen: "0.0.0.0:0"}, "listen for the admin API on 0.0.0.0:0: others can reach it, so token_file is needed"},
		{nil, admin.Options{Listen: ":0"}, "listen for the admin API on :0: others can reach it, so token_file is needed"},
		{nil, everywhere, "read the admin token: stat " + token + ": no such file or directory"},
		{new(string), everywhere, "read the admin token: " + token + " is empty: want a token in it"},
	} {
		if row.content != nil {
			write(t, token, *row.content)
		}
		_, err := s.Prepare(row.options)
		contains(t, err, row.want)
	}

	write(t, token, "  secret\n")
	s.listen(t, everywhere)
	_, port, err := net.SplitHostPort(s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + port
	for _, path := range []string{"/healthz", "/readyz", "/-/healthy", "/-/ready"} {
		equal(t, path, send(t, address, "GET", path, "").code, http.StatusOK)
	}
	// Whatever is wrong with it, the reply is the same.
	for i, header := range []string{"X: y", "Authorization: Bearer secre", "Authorization: Bearer secretX", "Authorization: Bearer ",
		"Authorization: Bearer " + strings.Repeat("s", 5000), "Authorization: Basic secret", "Authorization: secret"} {
		for j, path := range []string{"/metrics", "/api/v1/status", "/nothing"} {
			if i > 0 && i%3 != j {
				continue // there is a limit for wrong tokens
			}
			r := send(t, address, "GET", path, "", header)
			equal(t, header, r.code, http.StatusUnauthorized)
			equal(t, header, r.header.Get("WWW-Authenticate"), `Bearer realm="gtmd"`)
			equal(t, header, r.body, failed("a bearer token is needed: one of the token_file"))
		}
	}
	for _, header := range []string{"Authorization: Bearer secret", "Authorization: bearer  secret "} {
		equal(t, header, send(t, address, "GET", "/api/v1/status", "", header).code, http.StatusOK)
	}

	// A new token counts from the next Commit on, without another listener.
	write(t, token, "other")
	change, err := s.Prepare(everywhere)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "before", send(t, address, "GET", "/metrics", "", "Authorization: Bearer secret").code, http.StatusOK)
	change.Commit()
	equal(t, "old token", send(t, address, "GET", "/metrics", "", "Authorization: Bearer secret").code, http.StatusUnauthorized)
	equal(t, "new token", send(t, address, "GET", "/metrics", "", "Authorization: Bearer other").code, http.StatusOK)

	// This machine needs none, also when there is one; nor does the socket.
	s.listen(t, admin.Options{Listen: "localhost:0", Socket: s.path("admin.sock"), TokenFile: token})
	equal(t, "loopback", send(t, s.Address().String(), "GET", "/metrics", "").code, http.StatusOK)
	equal(t, "socket", send(t, s.path("admin.sock"), "GET", "/metrics", "").code, http.StatusOK)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCloseWaits gives a request in flight the time to end, but not for ever.
func TestCloseWaits(t *testing.T) {
	s := newService(t)
	s.both(t)
	s.backend.hold = make(chan struct{})
	done := make(chan string)
	go func() {
		r, err := try(s.path("admin.sock"), "POST", "/api/v1/reload", "")
		done <- fmt.Sprint(r.code, " ", err)
	}()
	for s.backend.reloads.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	close(s.backend.hold)
	equal(t, "request", <-done, "200 <nil>")
	<-closed
}
