//go:build linux

package healthcheck

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// fault is a row of the matrix: what an origin does, and what the probe must make of it. It is tried over each of: HTTP/1.1,
// in TLS, and HTTP/2 in TLS.
type fault struct {
	name string
	o    Options
	raw  func(net.Conn, func())           // In place of TLS, or of the answer in plain text.
	http func(net.Conn, func())           // Has the request; the function lets the deadline pass.
	h2   func(net.Conn, h2Server, func()) // The same in HTTP/2.
	want reasons                          // The reasons. Empty: not tried. With PORT for the port of the origin.
	real time.Duration                    // The timeout; 0: the deadline passes when the origin says so.
	// allocates is what probe and origin may allocate, in octets. 0: 4 MiB.
	allocates uint64
}

// reasons are those in HTTP/1.1, in TLS, and in HTTP/2.
type reasons struct{ plain, secure, h2 string }

// everywhere is one reason for all of them.
func everywhere(want string) reasons { return reasons{want, want, want} }

// TestFaultMatrix is what can go wrong with an origin that speaks HTTP. Each row must have its reason, end in time,
// allocate little, and leave neither descriptor nor goroutine behind.
func TestFaultMatrix(t *testing.T) {
	now := time.Now()
	ca := newAuthority(t, "Test CA", now.Add(365*day))
	good := ca.issue(t, now.Add(-day), now.Add(30*day), "www.example.com")
	file := ca.write(t, t.TempDir(), "ca.pem")
	for _, f := range faultRows() {
		for _, over := range []struct{ name, want string }{{"http", f.want.plain}, {"https", f.want.secure}, {"h2", f.want.h2}} {
			if over.want == "" {
				continue
			}
			t.Run(f.name+"/"+over.name, func(t *testing.T) {
				before := held(t)
				var ctx context.Context
				ctx, expire := newExpiring()
				if f.real > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(t.Context(), f.real)
					defer cancel()
				}
				o := f.o
				o.Protocol, o.Timeout = HTTP, time.Second
				handle := func(conn net.Conn) { f.answer(conn, expire) }
				if over.name != "http" {
					o.Protocol, o.CAFile, o.SNI, o.Verify = HTTPS, file, true, true
					handle = func(conn net.Conn) {
						f.answerSecure(conn, &tls.Config{Certificates: []tls.Certificate{good}}, over.name, expire)
					}
				}
				at := closedPort(t)
				var stop func()
				if f.raw != nil || f.http != nil || f.h2 != nil {
					at, stop = listen(t, handle)
				}
				judgeFault(t, ctx, o, at, over.want, f.allocates)
				if stop != nil {
					stop()
				}
				before.wait(t)
			})
		}
	}
}

// TestFaultMatrixTLS is what can be wrong with a server's certificate, for all kinds that look at it.
func TestFaultMatrixTLS(t *testing.T) {
	now := time.Now()
	ca, other := newAuthority(t, "Test CA", now.Add(365*day)), newAuthority(t, "Other CA", now.Add(365*day))
	file := ca.write(t, t.TempDir(), "ca.pem")
	with := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	old := with(ca.issue(t, now.Add(-day), now.Add(30*day), "www.example.com"))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	for _, tt := range []struct {
		name, want string
		server     *tls.Config
	}{
		{"good", "good", with(ca.issue(t, now.Add(-day), now.Add(30*day), "www.example.com"))},
		{"another name", "TLS: certificate is for a.example, not www.example.com", with(ca.issue(t, now.Add(-day), now.Add(30*day), "a.example"))},
		{"expired", "TLS: certificate expired 2 days ago", with(ca.issue(t, now.Add(-9*day), now.Add(-2*day-time.Hour), "www.example.com"))},
		{"not yet valid", "TLS: certificate is not valid for another 2 days", with(ca.issue(t, now.Add(2*day+time.Hour), now.Add(9*day), "www.example.com"))},
		{"self-signed", "TLS: certificate signed by unknown authority", with((&authority{}).issue(t, now.Add(-day), now.Add(30*day), "www.example.com"))},
		{"unknown CA", "TLS: certificate signed by unknown authority", with(other.issue(t, now.Add(-day), now.Add(30*day), "www.example.com"))},
		{"TLS 1.0 only", "TLS: server offers no version from 1.2 on", old},
	} {
		for _, over := range []string{"https", "h2", "tls"} {
			t.Run(tt.name+"/"+over, func(t *testing.T) {
				before := held(t)
				f := fault{http: write("HTTP/1.1 200 OK\r\n\r\n"), h2: func(_ net.Conn, s h2Server, _ func()) { s.header(true, ":status", "200") }}
				at, stop := listen(t, func(conn net.Conn) {
					f.answerSecure(conn, tt.server.Clone(), over, nil)
					linger(conn)
				})
				o := Options{Protocol: HTTPS, CAFile: file, SNI: true, Verify: true}
				if over == "tls" {
					o.Protocol = TLS
				}
				judgeFault(t, t.Context(), o, at, tt.want, 0)
				stop()
				before.wait(t)
			})
		}
	}
}

// answer is the origin of a row in plain text.
func (f *fault) answer(conn net.Conn, expire func()) {
	if f.raw != nil {
		f.raw(conn, expire)
		return
	}
	if readRequest(conn) {
		f.http(conn, expire)
	}
}

// answerSecure is the origin of a row in TLS.
func (f *fault) answerSecure(conn net.Conn, config *tls.Config, over string, expire func()) {
	if f.raw != nil && over == "https" {
		f.raw(conn, expire)
		return
	}
	config.NextProtos = map[string][]string{"https": {"http/1.1"}, "h2": {"h2"}}[over]
	secure := tls.Server(conn, config)
	defer secure.Close()
	if over != "h2" {
		if readRequest(secure) {
			f.http(secure, expire)
		}
		return
	}
	s := h2Server{http2.NewFramer(secure, secure)}
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(secure, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	for {
		frame, err := s.ReadFrame()
		if err != nil {
			return
		}
		if frame.Header().Type == http2.FrameHeaders {
			break
		}
	}
	f.h2(secure, s, expire)
	// What the client sends meanwhile must not turn the end into a reset.
	secure.CloseWrite()
	linger(secure)
}

// judgeFault runs one probe and holds it against what it must do.
func judgeFault(t *testing.T, ctx context.Context, o Options, at netip.AddrPort, want string, allocates uint64) {
	t.Helper()
	o.Port = int(at.Port())
	target := compile(t, o).Target(at.Addr(), "www.example.com")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err := target.Probe(ctx, &Report{})
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if got := strings.ReplaceAll(text(err), fmt.Sprint(at.Port()), "PORT"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if limit := 20 * time.Second; took > limit {
		t.Errorf("took %v", took)
	}
	// What was ever allocated, by the origin too, bounds what was held at any time.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > max(allocates, 4<<20) {
		t.Errorf("allocated %d octets", grown)
	}
}

// holdings are what a process can lose.
type holdings struct{ descriptors, goroutines int }

// held counts them, and keeps the collector of garbage, which closes what nobody has, from doing so until the test ends.
func held(t *testing.T) holdings {
	t.Helper()
	before := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	return count(t)
}

func count(t *testing.T) holdings {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return holdings{len(open), runtime.NumGoroutine()}
}

// wait waits until no more is held than there was. What a probe leaves behind stays for ever.
func (h holdings) wait(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		now := count(t)
		if now.descriptors <= h.descriptors && now.goroutines <= h.goroutines {
			return
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("holds %+v, before %+v\n%s", now, h, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// listen is origin for those who want its end to be sooner than that of the test.
func listen(t *testing.T, handle func(net.Conn)) (at netip.AddrPort, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(15 * time.Second)) // A connection that was left behind is to be counted, not waited for.
			handle(conn)                                       // One by one, as a probe asks.
			conn.Close()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort(), func() {
		listener.Close()
		<-done
	}
}

// readRequest reads the header of a request, and reports whether there was one.
func readRequest(conn net.Conn) bool {
	var got []byte
	for !bytes.HasSuffix(got, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil {
			return false
		}
		got = append(got, b[0])
	}
	return true
}

// h2Server writes what a server may, and what it may not.
type h2Server struct{ *http2.Framer }

// header sends the settings and a header.
func (s h2Server) header(end bool, pairs ...string) {
	s.WriteSettings()
	s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(pairs...), EndHeaders: true, EndStream: end})
}

// linger keeps a connection until the other side ends it.
func linger(conn net.Conn) { io.Copy(io.Discard, conn) }

// drip writes an octet each millisecond, and lets the deadline pass after some, until the other side is gone.
func drip(conn net.Conn, what string, expire func()) {
	for i := 0; ; i++ {
		if _, err := conn.Write([]byte{what[min(i, len(what)-1)]}); err != nil {
			return
		}
		if i == 20 {
			expire()
		}
		time.Sleep(time.Millisecond)
	}
}

// flood writes the same text again and again, 10 GB in all at most.
func flood(conn net.Conn, what string) {
	chunk := []byte(strings.Repeat(what, max(1, 16384/len(what))))
	for sent := 0; sent < 10<<30; sent += len(chunk) {
		if _, err := conn.Write(chunk); err != nil {
			return
		}
	}
}
