//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// behaviour is how an origin treats connections.
type behaviour int

const (
	serving   behaviour = iota // answers with its name
	closed                     // has no listener: connections are refused
	failing                    // answers 503
	silent                     // accepts and never answers
	resetting                  // reads the request and resets the connection
	slow                       // answers with its name after slowness
)

// slowness is how long a slow origin takes.
const slowness = 200 * time.Millisecond

// origin is a web server whose behaviour can be changed while it runs. It answers only requests for the business domain,
// with its own name.
type origin struct {
	name, address, host string
	// inside runs the function that opens the listener, for an origin in a network namespace. Nil: there is none.
	inside func(func())

	mu      sync.Mutex // guards all below
	now     behaviour
	server  *http.Server
	release chan struct{} // closed when requests that hang are cut
	running sync.WaitGroup
}

// startOrigin starts an origin on an address; it ends with the test.
func startOrigin(t *testing.T, name, address, host string) *origin {
	t.Helper()
	o := &origin{name: name, address: address, host: host, now: closed, release: make(chan struct{})}
	o.set(t, serving)
	t.Cleanup(func() { o.set(t, closed) })
	return o
}

// set changes the behaviour. Once it returns, every new connection meets the new one.
func (o *origin) set(t *testing.T, b behaviour) {
	t.Helper()
	if err := o.turn(b); err != nil {
		t.Fatal(err)
	}
}

// turn is set for goroutines that may not end the test.
func (o *origin) turn(b behaviour) error {
	o.mu.Lock()
	old := o.now
	o.now = b
	close(o.release)
	o.release = make(chan struct{})
	o.mu.Unlock()
	switch {
	case b == closed && old != closed:
		o.server.Close()
		o.running.Wait()
	case b != closed && old == closed:
		var l net.Listener
		var err error
		open := func() { l, err = net.Listen("tcp", o.address) }
		if o.inside != nil {
			o.inside(open)
		} else {
			open()
		}
		if err != nil {
			return fmt.Errorf("start origin %s: %w", o.name, err)
		}
		o.server = &http.Server{Handler: o, ReadHeaderTimeout: 5 * time.Second}
		o.running.Go(func() { o.server.Serve(l) })
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	now, release := o.now, o.release
	o.mu.Unlock()
	switch {
	case now == silent:
		select {
		case <-release:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case now == resetting:
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // never: this is HTTP/1.1
		}
		conn.(*net.TCPConn).SetLinger(0) // closing sends RST
		conn.Close()
	case now == slow:
		time.Sleep(slowness)
		fmt.Fprint(w, o.name)
	case now == failing:
		http.Error(w, "out of order", http.StatusServiceUnavailable)
	case r.Host != o.host && r.Host != net.JoinHostPort(o.host, portOf(o.address)):
		http.Error(w, fmt.Sprintf("no site %q here", r.Host), http.StatusMisdirectedRequest)
	default:
		fmt.Fprint(w, o.name)
	}
}
