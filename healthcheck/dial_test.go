package healthcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// TestDial holds the two ways to connect against one another.
func TestDial(t *testing.T) {
	for name, dial := range map[string]func(context.Context, netip.AddrPort) (*link, error){"dial": dial, "dialPortably": dialPortably} {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
			at := originAt(t, address, func(conn net.Conn) { io.Copy(conn, conn) })
			l, err := dial(t.Context(), at)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := l.RemoteAddr().String(); got != at.String() {
				t.Errorf("%s: connected to %s, want %s", name, got, at)
			}
			var echo [4]byte
			if _, err := io.WriteString(l, "ping"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := io.ReadFull(l, echo[:]); err != nil || string(echo[:]) != "ping" {
				t.Errorf("%s: %q, %v", name, echo, err)
			}
			if err := errors.Join(l.SetLinger(0), l.Close()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := dial(t.Context(), closedPort(t)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLinkEnds reads from an origin that says nothing, until the context ends.
func TestLinkEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := origin(t, func(conn net.Conn) {
		cancel()
		io.Copy(io.Discard, conn)
	})
	l, err := connect(ctx, at, 0)
	if errors.Is(err, context.Canceled) {
		return // The origin was the faster one.
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("%v", err)
	}
	if _, err := connect(ctx, at, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
