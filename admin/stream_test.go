package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gtmd/admin"
)

// follower reads a stream of events.
type follower struct {
	response *http.Response
	lines    chan string // closed at the end
}

// follow opens a stream through TCP or a socket. It ends with the test.
func follow(t *testing.T, address, query string, headers ...string) *follower {
	t.Helper()
	network, host := "tcp", address
	if strings.HasPrefix(address, "/") {
		network, host = "unix", "gtmd"
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+host+"/api/v1/events/stream"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{response: response, lines: make(chan string, 10000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(f.lines)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			f.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		response.Body.Close()
		<-done
		transport.CloseIdleConnections()
	})
	return f
}

// next is the ID of the next event, with what the line of data holds against it.
func (f *follower) next(t *testing.T) uint64 {
	t.Helper()
	id := ""
	for {
		select {
		case line, ok := <-f.lines:
			if !ok {
				t.Fatal("the stream has ended")
			}
			if value, ok := strings.CutPrefix(line, "id: "); ok {
				id = value
			}
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				continue
			}
			var e admin.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			equal(t, "id", id, fmt.Sprint(e.ID))
			return e.ID
		case <-time.After(soon):
			t.Fatal("no event has come")
		}
	}
}

// ended waits for the end of a stream.
func (f *follower) ended(t *testing.T) {
	t.Helper()
	for {
		select {
		case _, ok := <-f.lines:
			if !ok {
				return
			}
		case <-time.After(soon):
			t.Fatal("the stream has not ended")
		}
	}
}

func TestEventStream(t *testing.T) {
	s := newService(t)
	s.both(t)
	for _, address := range []string{s.Address().String(), s.path("admin.sock")} {
		f := follow(t, address, "")
		equal(t, "type", f.response.Header.Get("Content-Type"), "text/event-stream")
		equal(t, "caching", f.response.Header.Get("Cache-Control"), "no-store")
		last := s.backend.Events(admin.EventQuery{}).Latest
		s.backend.happen(event(last + 2))
		equal(t, "what happens", f.next(t), last+2)
		// Who comes back gets what he has missed, and then what happens.
		for i := range uint64(1500) {
			s.backend.happen(event(last + 3 + i))
		}
		again := follow(t, address, "?after=1", fmt.Sprintf("Last-Event-ID: %d", last+2))
		for i := range uint64(1500) {
			equal(t, "missed", again.next(t), last+3+i)
			equal(t, "live", f.next(t), last+3+i)
		}
		filtered := follow(t, address, fmt.Sprintf("?kind=started&after=%d", last))
		other := event(last + 2000)
		other.Kind = admin.EventStarted
		s.backend.happen(event(last + 1999))
		s.backend.happen(other)
		equal(t, "filtered", filtered.next(t), last+2000)
		equal(t, "unfiltered", again.next(t), last+1999)
	}
	for _, query := range []string{"?before=3", "?until=1h", "?after=x", "?kind=%20", "?nothing=1", "?limit=3"} {
		equal(t, query, send(t, s.Address().String(), "GET", "/api/v1/events/stream"+query, "").code, 400)
	}
	equal(t, "last ID", send(t, s.Address().String(), "GET", "/api/v1/events/stream", "", "Last-Event-ID: x").code, 400)
}

// TestStreamsEnd has streams end, and none hold up who ends them: the server, a listener, a token.
func TestStreamsEnd(t *testing.T) {
	s := newService(t)
	address := s.withTokens(t, "127.0.0.1:0")
	f := follow(t, address, "", carry(readToken))
	local := follow(t, s.path("admin.sock"), "")
	s.withTokens(t, "127.0.0.1:0") // nothing has changed
	s.backend.happen(event(50))
	equal(t, "after a reload", f.next(t), 50)

	write(t, s.path("tokens"), admin.TokenLine(admin.RoleOperate, "deploy", operateToken))
	s.listen(t, admin.Options{Listen: "127.0.0.1:0", Socket: s.path("admin.sock"), TokenFile: s.path("tokens")})
	f.ended(t)
	s.backend.happen(event(60))
	equal(t, "of the socket", local.next(t), 50)
	equal(t, "of the socket", local.next(t), 60)

	f = follow(t, address, "")
	s.listen(t, admin.Options{Socket: s.path("admin.sock")})
	f.ended(t)

	begin := time.Now()
	s.Close()
	local.ended(t)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the end took %v", took)
	}
	for begin := time.Now(); s.backend.watched() > 0; time.Sleep(time.Millisecond) {
		if time.Since(begin) > soon {
			t.Fatalf("%d still watch", s.backend.watched())
		}
	}
}

// TestStreamsBounded has a bounded number of streams for each client, and room again when one ends.
func TestStreamsBounded(t *testing.T) {
	s := newService(t)
	s.both(t)
	address := s.Address().String()
	var open []*follower
	for range 32 {
		open = append(open, follow(t, address, ""))
		equal(t, "code", open[len(open)-1].response.StatusCode, 200)
	}
	r := send(t, address, "GET", "/api/v1/events/stream", "")
	equal(t, "one too many", fmt.Sprint(r.code, r.header.Get("Retry-After")), "50310")
	equal(t, "on the socket", follow(t, s.path("admin.sock"), "").response.StatusCode, 200)
	open[0].response.Body.Close()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if follow(t, address, "").response.StatusCode == 200 {
			return
		}
		if time.Since(begin) > soon {
			t.Fatal("there is no room again")
		}
	}
}

// TestPanic has a handler fail, before and after its first words.
func TestPanic(t *testing.T) {
	dir, err := os.MkdirTemp("", "gtmd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	logged, registry := &strings.Builder{}, prometheus.NewRegistry()
	server, err := admin.New(newBackend(), registry, lockedLog(logged),
		admin.Page{Pattern: "GET /first", Name: "first", Handler: func(http.ResponseWriter, *http.Request) { panic("a secret") }},
		admin.Page{Pattern: "GET /later", Name: "later", Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("half"))
			http.NewResponseController(w).Flush()
			panic("a secret")
		}})
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
	r := send(t, address, "GET", "/first", "")
	equal(t, "code", r.code, 500)
	equal(t, "body", r.body, failed("this is a defect of gtmd: its log says more"))
	if r, err := try(address, "GET", "/later", ""); err == nil {
		t.Errorf("half a reply passes for a whole one: %v", r)
	}
	equal(t, "alive", send(t, address, "GET", "/healthz", "").code, 200)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(
		"# HELP gtmd_http_panics_total Requests to the admin API that met a defect of gtmd; the log says where.\n# TYPE gtmd_http_panics_total counter\ngtmd_http_panics_total 2\n"), "gtmd_http_panics_total"); err != nil {
		t.Error(err)
	}
	if text := logged.String(); !strings.Contains(text, "a secret") || !strings.Contains(text, "handler=first") || !strings.Contains(text, "stream_test.go") {
		t.Errorf("log: %s", text)
	}
}
