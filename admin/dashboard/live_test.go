package dashboard_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A page is told at once that something has changed, and a stream whose reader is gone ends.
func TestLive(t *testing.T) {
	b := full()
	ended := make(chan struct{})
	s := newSite(&watched{b, ended})
	server := httptest.NewServer(s.mux)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if kind := reply.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("Content-Type %q", kind)
	}
	lines := bufio.NewScanner(reply.Body)
	wait := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				// Without a line of data a browser does not dispatch the event (WHATWG HTML, section 9.2.6).
				if !lines.Scan() || len(lines.Text()) < 5 || lines.Text()[:5] != "data:" {
					t.Fatalf("after %q comes %q, not data", want, lines.Text())
				}
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", want, lines.Err())
	}
	wait("event: hello")
	for range 3 {
		b.changed <- struct{}{}
		wait("event: changed")
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the stream goes on without a reader")
	}
}

// watched tells when a watch has ended.
type watched struct {
	*backend
	ended chan struct{}
}

func (w *watched) Watch() (<-chan struct{}, func()) {
	return w.backend.changed, func() { close(w.ended) }
}
