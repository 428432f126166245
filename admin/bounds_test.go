package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	l := newLimiter("tries", rate{burst: 3, every: 10 * time.Second})
	now := time.Unix(1000, 0)
	for i := range 3 {
		if err := l.take("a", now); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	err := l.take("a", now)
	if limited, ok := errors.AsType[*LimitError](err); !ok || limited.Wait != 10*time.Second {
		t.Errorf("the fourth: %v", err)
	}
	if l.take("b", now) != nil || l.left("a", now.Add(9*time.Second)) == nil || l.take("a", now.Add(10*time.Second)) != nil || l.take("a", now.Add(10*time.Second)) == nil {
		t.Error("the allowance does not come back one by one")
	}
	if l.take("a", now.Add(time.Hour)) != nil || l.left("a", now.Add(time.Hour)) != nil {
		t.Error("it does not come back whole")
	}
	// The table is bounded, and who used it most stays longest.
	for i := range 3 * maxClients {
		l.take(fmt.Sprint("client", i), now)
	}
	for range 3 {
		l.take("a", now.Add(time.Hour))
	}
	if len(l.full) > maxClients {
		t.Errorf("the table has %d", len(l.full))
	}
	l = newLimiter("tries", rate{burst: 3, every: 10 * time.Second})
	for range 3 {
		l.take("guesser", now)
	}
	for i := range 2 * maxClients {
		l.take(fmt.Sprint("client", i), now)
	}
	if l.left("guesser", now) == nil {
		t.Error("whoever used up his allowance is forgotten before others")
	}
}

func TestNetworkOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:4711": "192.0.2.1", "[::ffff:192.0.2.1]:4711": "192.0.2.1", "[2001:db8:1:2:3::4]:4711": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "", "": "",
	} {
		if got := networkOf(remote); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}

func TestSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sessions
		secret := s.begin([32]byte{1}, time.Now())
		time.Sleep(sessionTime - time.Second)
		if token, ok := s.token(secret, time.Now()); !ok || token != [32]byte{1} {
			t.Error("it is over too soon")
		}
		time.Sleep(time.Second)
		if _, ok := s.token(secret, time.Now()); ok || len(s.open) != 0 {
			t.Error("it is not over")
		}
		for i := range maxSessions + 100 {
			s.begin([32]byte{byte(i), byte(i >> 8)}, time.Now())
		}
		if len(s.open) != maxSessions {
			t.Errorf("there are %d", len(s.open))
		}
		time.Sleep(sessionTime)
		s.begin([32]byte{}, time.Now())
		if len(s.open) != 1 {
			t.Errorf("there are %d after all have ended", len(s.open))
		}
	})
}

// from is a connection from an address.
type from struct {
	net.Conn
	remote string
	closed bool
}

func (f *from) RemoteAddr() net.Addr { return address(f.remote) }
func (f *from) Close() error         { f.closed = true; return nil }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// TestCrowd fills a listener with connections, and sees which give way.
func TestCrowd(t *testing.T) {
	refused := 0
	c := newCrowd(nil, func() { refused++ })
	now := time.Unix(1000, 0)
	join := func(remote string, after time.Duration) (*connection, *connection, bool) {
		one := &connection{Conn: &from{remote: remote}, crowd: c, client: networkOf(remote), since: now.Add(after)}
		leaver, ok := c.join(one)
		return one, leaver, ok
	}
	var first []*connection
	for i := range maxClientConnections {
		one, leaver, ok := join("192.0.2.1:1", time.Duration(i))
		if !ok || leaver != nil {
			t.Fatalf("connection %d", i)
		}
		first = append(first, one)
	}
	other, _, ok := join("192.0.2.2:1", 0)
	if !ok {
		t.Fatal("another client has no room")
	}
	// One client at its limit: the oldest silent one of its own gives way, not that of another, and none that is busy.
	first[0].busy = true
	if _, leaver, ok := join("192.0.2.1:2", time.Minute); !ok || leaver != first[1] {
		t.Error("the oldest silent one does not give way")
	}
	for one := range c.all {
		one.busy = true
	}
	if _, _, ok := join("192.0.2.1:3", time.Second); ok {
		t.Error("it comes in though all are busy, and not for long")
	}
	if _, leaver, ok := join("192.0.2.1:3", time.Minute); !ok || leaver != first[0] {
		t.Error("the one that is busy longest does not give way")
	}
	for one := range c.all {
		one.busy = true
		one.isKnown.Store(true)
	}
	if _, _, ok := join("192.0.2.1:4", time.Hour); ok {
		t.Error("one that has shown a token gives way")
	}
	for i := range maxConnections {
		join(fmt.Sprintf("198.51.%d.%d:1", i/250, i%250), time.Hour+time.Duration(i))
	}
	if n := c.count(); n != maxConnections || !c.all[other] {
		t.Errorf("there are %d", n)
	}
	for one := range c.all {
		one.Close()
		one.Close()
	}
	if c.count() != 0 || len(c.clients) != 0 {
		t.Errorf("%d are left of %v", c.count(), c.clients)
	}
}

// TestTurns has one reply made at a time, and none of those who wait for something, or read slowly, hold up another.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &turns{free: make(chan struct{}, 1)}
		turns.free <- struct{}{}
		making, most := 0, 0
		make := func(took time.Duration) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				making++
				most = max(most, making)
				w.WriteHeader(http.StatusTeapot)
				w.Write([]byte("ha"))
				time.Sleep(took)
				w.Write([]byte("lf"))
				making--
			}
		}
		request := httptest.NewRequest("GET", "/", nil)
		begin := time.Now()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				w := httptest.NewRecorder()
				if err := turns.serve(w, request, make(100*time.Millisecond)); err != nil || w.Code != http.StatusTeapot || w.Body.String() != "half" || w.Header().Get("Content-Length") != "4" {
					t.Errorf("%v: %d %q %v", err, w.Code, w.Body, w.Header())
				}
			})
		}
		all.Wait()
		// Five times 100 ms, and as long a rest after each of the first four.
		if took := time.Since(begin); most != 1 || took != 900*time.Millisecond {
			t.Errorf("%d at once, in %v", most, took)
		}

		// What is sent, and a stream from its first flush on, holds up nobody.
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		slow := &stuck{ResponseRecorder: httptest.NewRecorder(), until: ctx.Done()}
		all.Go(func() { turns.serve(slow, request, make(0)) })
		all.Go(func() {
			turns.serve(httptest.NewRecorder(), request, func(w http.ResponseWriter, _ *http.Request) {
				w.Write([]byte("begin"))
				http.NewResponseController(w).Flush()
				<-ctx.Done()
			})
		})
		synctest.Wait()
		if err := turns.serve(httptest.NewRecorder(), request, make(0)); err != nil {
			t.Error(err)
		}
		// A panic gives the turn back, and leaves nothing of the reply behind.
		w := httptest.NewRecorder()
		func() {
			defer func() { recover() }()
			turns.serve(w, request, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("half")); panic("x") })
		}()
		if w.Body.Len() > 0 {
			t.Errorf("after a panic there is %q", w.Body)
		}
		// Who does not wait is told.
		end, err := turns.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		over, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := turns.serve(httptest.NewRecorder(), request.WithContext(over), make(0)); err != errBusy {
			t.Error(err)
		}
		begin = time.Now()
		if err := turns.serve(httptest.NewRecorder(), request, make(0)); err != errBusy || time.Since(begin) != maxTurnWait {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		end()
		end()
		cancel()
		all.Wait()
		time.Sleep(2 * time.Second)
		if len(turns.free) != 1 || turns.held.Load() != 0 {
			t.Errorf("%d turns are free, %d octets are held", len(turns.free), turns.held.Load())
		}
		// Too much that nobody reads is not kept.
		turns.held.Store(maxDrafts)
		w = httptest.NewRecorder()
		if err := turns.serve(w, request, make(0)); err != errBusy || w.Body.Len() > 0 || turns.held.Load() != maxDrafts {
			t.Errorf("%v: %q", err, w.Body)
		}
		time.Sleep(2 * time.Second)
	})
}

// stuck is a client that reads nothing for a while.
type stuck struct {
	*httptest.ResponseRecorder
	until <-chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) { <-s.until; return s.ResponseRecorder.Write(b) }

func TestParseTokens(t *testing.T) {
	hash := strings.Repeat("0f", 32)
	for _, row := range []struct{ text, want string }{
		{"", "f is empty: want a token in it"},
		{"# nothing\n\n", "f is empty: want a token in it"},
		{"read a sha256:" + hash, "[{read a}]"},
		{"\ufeffread a sha256:" + hash + "\r\n\toperate  b  sha256:" + strings.ToUpper(hash) + " \n", "[{read a} {operate b}]"},
		{" secret\n", "[{read token_file}]"},
		{"# mine\nsecret", "[{read token_file}]"},
		{"secret\nother", `f:1: want "ROLE NAME sha256:HEX", as "gtmd token create" prints it` + "\n" + `f:2: want "ROLE NAME sha256:HEX", as "gtmd token create" prints it`},
		{"read a sha256:" + hash[2:], `f:1: the third word is no hash: want "ROLE NAME sha256:HEX", as "gtmd token create" prints it`},
		{"read a " + hash, `f:1: the third word is no hash: want "ROLE NAME sha256:HEX", as "gtmd token create" prints it`},
		{"Read a sha256:" + hash, `f:1: the first word is neither read nor operate: want "ROLE NAME sha256:HEX", as "gtmd token create" prints it`},
		{"read a/b sha256:" + hash, `f:1: name "a/b": want 1 to 64 letters, digits and . - _ @ +`},
	} {
		tokens, err := parseTokens("f", row.text)
		got := fmt.Sprint(err)
		if err == nil {
			var all []string
			for _, token := range tokens.Tokens {
				all = append(all, fmt.Sprintf("{%s %s}", token.Role, token.Name))
			}
			got = fmt.Sprint(all)
		}
		if got != row.want {
			t.Errorf("%q: %s, want %s", row.text, got, row.want)
		}
	}
}
