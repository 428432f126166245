//go:build unix

package healthcheck

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// originProcess is the variable of the environment that makes this test binary an origin; its value is the protocol.
const originProcess = "GTMD_TEST_ORIGIN"

const benchAnswer = "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

// benchAddresses is at how many addresses, from 127.0.0.1 on, the origin answers. With one, the system would spend its
// time on the search for a local port that is free for it.
const benchAddresses = 64

// BenchmarkHTTPProbe holds the probe against the way of the blackbox exporter, which is net/http with a transport for each
// probe. The origin is a process of its own, so that what is measured is the probe, with the part of the origin's work
// that the loopback device does in the name of the prober.
func BenchmarkHTTPProbe(b *testing.B) {
	for _, kind := range []struct {
		name string
		o    Options
	}{
		{"status", Options{Protocol: HTTP}},
		{"body", Options{Protocol: HTTP, ExpectBody: "ok"}},
		{"tls", Options{Protocol: HTTPS}},
	} {
		at := startOrigin(b, string(kind.o.Protocol))
		o := kind.o
		o.Port = int(at.Port())
		check := compile(b, o)
		for _, flight := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, flight), func(b *testing.B) {
				compare(b, at, flight, func(at netip.AddrPort) attempt { return attemptOf(check, at) },
					func(at netip.AddrPort) attempt { return netHTTP(o, at) })
			})
		}
	}
}

// BenchmarkTCPProbe holds the probe against [net.Dialer].
func BenchmarkTCPProbe(b *testing.B) {
	at := startOrigin(b, "http")
	check := compile(b, Options{Protocol: TCP, Port: int(at.Port())})
	compare(b, at, 16, func(at netip.AddrPort) attempt { return attemptOf(check, at) }, func(at netip.AddrPort) attempt {
		return func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
			if err != nil {
				return err
			}
			conn.(*net.TCPConn).SetLinger(0)
			return conn.Close()
		}
	})
}

// attempt is one probe of one address.
type attempt func(context.Context) error

func attemptOf(check *Check, at netip.AddrPort) attempt {
	probe := check.Target(at.Addr(), "www.example.com").Probe
	return func(ctx context.Context) error { return probe(ctx, &Report{}) }
}

// netHTTP returns the probe as it would be with net/http.
func netHTTP(o Options, at netip.AddrPort) attempt {
	return func(ctx context.Context) error {
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "www.example.com"},
		}}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, string(o.Protocol)+"://"+at.String()+"/", nil)
		if err != nil {
			return err
		}
		request.Host = "www.example.com"
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, maxSearch))
		if err != nil || response.StatusCode != 200 || !strings.Contains(string(body), o.ExpectBody) {
			return fmt.Errorf("status %d, body %q, %v", response.StatusCode, body, err)
		}
		return nil
	}
}

// compare runs two ways to probe by turns, so that both see the same machine, so many probes at a time. It reports the time of
// processors that one probe takes in either, their ratio, and that of the time outside of the system.
func compare(b *testing.B, first netip.AddrPort, flight int, own, other func(netip.AddrPort) attempt) {
	const block = 512
	var used, inUser [2]time.Duration
	ways := [2][]attempt{}
	for at := first; len(ways[0]) < benchAddresses; at = netip.AddrPortFrom(at.Addr().Next(), at.Port()) {
		ways[0], ways[1] = append(ways[0], own(at)), append(ways[1], other(at))
	}
	b.ResetTimer()
	for done := 0; done < b.N; done += block {
		for i, attempts := range ways {
			all, user := cpuTime(b)
			runAttempts(b, attempts, flight, min(block, b.N-done))
			allNow, userNow := cpuTime(b)
			used[i] += allNow - all
			inUser[i] += userNow - user
		}
	}
	perProbe := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(perProbe(used[0]), "own-cpu-us")
	b.ReportMetric(perProbe(used[1]), "other-cpu-us")
	b.ReportMetric(float64(used[1])/float64(used[0]), "ratio")
	b.ReportMetric(float64(inUser[1])/float64(inUser[0]), "user-ratio")
}

// runAttempts makes so many attempts, and at most flight at a time.
func runAttempts(b *testing.B, attempts []attempt, flight, count int) {
	var (
		failed  atomic.Pointer[error]
		turn    atomic.Int64
		running sync.WaitGroup
	)
	for range flight {
		running.Go(func() {
			for i := turn.Add(1); i <= int64(count); i = turn.Add(1) {
				ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
				if err := attempts[i%benchAddresses](ctx); err != nil {
					failed.Store(&err)
				}
				cancel()
			}
		})
	}
	running.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
}

// cpuTime returns the time of processors that this process has used, and what of it outside of the system.
func cpuTime(b *testing.B) (all, user time.Duration) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), time.Duration(u.Utime.Nano())
}

// startOrigin starts a process that answers every request with benchAnswer.
func startOrigin(b *testing.B, protocol string) netip.AddrPort {
	b.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestOriginProcess$")
	command.Env = append(os.Environ(), originProcess+"="+protocol)
	in, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close() // Ends it.
		command.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return netip.MustParseAddrPort(strings.TrimSpace(line))
}

// TestOriginProcess is the other process.
func TestOriginProcess(t *testing.T) {
	protocol := os.Getenv(originProcess)
	if protocol == "" {
		t.Skip("is the origin of the benchmarks")
	}
	answer := func(conn net.Conn) {
		var request [4096]byte
		if n, _ := conn.Read(request[:]); n > 0 {
			io.WriteString(conn, benchAnswer)
		}
	}
	handle := answer
	if protocol == "https" {
		now := time.Now()
		pair := newAuthority(t, "CA", now.Add(day)).issue(t, now.Add(-day), now.Add(day), "www.example.com")
		handle = func(conn net.Conn) {
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}})
			answer(secure)
			secure.Close()
		}
	}
	first := origin(t, handle)
	for at := first; at.Addr().As4()[3] < benchAddresses; {
		at = netip.AddrPortFrom(at.Addr().Next(), at.Port())
		originAt(t, at.String(), handle)
	}
	fmt.Println(first)
	io.Copy(io.Discard, os.Stdin)
}
