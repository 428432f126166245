//go:build linux

package healthcheck

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// TestNothingLeft runs probes of each kind that end well, at their deadline and early, and counts goroutines and descriptors.
func TestNothingLeft(t *testing.T) {
	silent := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	good := serveGRPC(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) })
	hanging := nameServer(t, func(dns.ResponseWriter, *dns.Msg) {})
	for _, tt := range []struct {
		name string
		o    Options
		at   netip.AddrPort
		good bool
	}{
		{"dns", Options{Protocol: DNS}, nameServer(t, answering(t, 0)), true},
		{"dns, silence", Options{Protocol: DNS}, hanging, false},
		{"dns, silence over TCP", Options{Protocol: DNS}, truncatedOver(t, silent), false},
		{"grpc", Options{Protocol: GRPC}, good, true},
		{"grpc, silence", Options{Protocol: GRPC}, origin(t, silent), false},
		{"grpc, silence in the handshake", Options{Protocol: GRPC, TLS: true}, origin(t, silent), false},
		{"grpc, refused", Options{Protocol: GRPC}, closedPort(t), false},
		{"script", shell("echo x"), netip.AddrPort{}, true},
		{"script, hanging", shell("sleep 1000 & sleep 1000"), netip.AddrPort{}, false},
	} {
		tt.o.Name = "x"
		if tt.o.Protocol != Script {
			tt.o.Port = int(tt.at.Port())
		}
		target := compile(t, tt.o).Target(netip.MustParseAddr("127.0.0.1"), "www.example.com")
		run := func(ctx context.Context) {
			if err := target.Probe(ctx, new(Report)); tt.good && err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		var goroutines, files int
		for i := range 12 {
			if i == 2 { // What the first probes make and keep, such as the runtime's poller, has been made.
				goroutines, files = settled(t, 0, 0, 20)
			}
			if tt.good {
				run(t.Context())
				continue
			}
			short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			run(short)
			cancel()
			early, cancel := context.WithCancel(t.Context())
			time.AfterFunc(2*time.Millisecond, cancel)
			run(early)
			cancel()
		}
		if g, f := settled(t, goroutines, files, 1000); g > goroutines || f > files {
			t.Errorf("%s: %d goroutines and %d descriptors, there were %d and %d", tt.name, g, f, goroutines, files)
		}
	}
}

// settled counts goroutines and descriptors. It waits until there are no more than those given, or until the numbers are the
// same so many times: servers of the test close their connections in their own time.
func settled(t *testing.T, goroutines, files, times int) (g, f int) {
	t.Helper()
	same := 0
	for same < times {
		time.Sleep(2 * time.Millisecond)
		g2, f2 := runtime.NumGoroutine(), descriptors(t)
		if g2 <= goroutines && f2 <= files {
			return g2, f2
		}
		if g2 == g && f2 == f {
			same++
		} else {
			same = 0
		}
		g, f = g2, f2
	}
	return g, f
}
