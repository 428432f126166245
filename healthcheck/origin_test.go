package healthcheck

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
)

// origin is a real listener at 127.0.0.1 whose every connection a test's own function handles.
func origin(t testing.TB, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	return originAt(t, "127.0.0.1:0", handle)
}

func originAt(t testing.TB, address string, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		open    []net.Conn
	)
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// says returns a handler that reads one request and answers with the text.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			request.Body.Close()
			io.WriteString(conn, text)
		}
	}
}

// closedPort returns an address at which nothing listens.
func closedPort(t testing.TB) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// probe runs the check once against an address.
func probe(t testing.TB, ctx context.Context, o Options, at netip.AddrPort, host string) (Report, error) {
	t.Helper()
	o.Port = int(at.Port())
	var report Report
	err := compile(t, o).Target(at.Addr(), host).Probe(ctx, &report)
	return report, err
}

// text returns the reason of a result, "good" for none.
func text(err error) string {
	if err == nil {
		return "good"
	}
	return err.Error()
}
