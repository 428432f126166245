package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// failing returns a probe that fails as [connect] does when the system refuses a socket.
func failing(errno syscall.Errno) Probe {
	return func(ctx context.Context, _ *Report) error {
		err := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}
		return explain(ctx, err, connecting, 5*time.Second)
	}
}

// refusing is a probe of an origin that is down.
func refusing(context.Context, *Report) error { return errors.New("connect: connection refused") }

// written is what a logger has written, while it writes on.
type written struct {
	mu   sync.Mutex // Guards the following.
	text bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// plainLog returns a logger without times, and what it has written.
func plainLog() (*slog.Logger, *written) {
	log := new(written)
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), log
}

// lines returns the lines of a log that have the text.
func lines(log fmt.Stringer, text string) (found []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// TestEngineFault takes the sockets away from targets in every state and gives them back.
func TestEngineFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, log := plainLog()
		registry := prometheus.NewPedanticRegistry()
		e := startEngine(t, EngineOptions{Logger: logger, Registerer: registry, Saved: map[string]Saved{
			"shaky": {Verdict: Up, Bad: 1, Reason: "HTTP 503, wanted 200-499"},
		}})
		up, down, shaky, unknown := newScript(nil), newScript(refusing), newScript(refusing), newScript(failing(syscall.EMFILE))
		e.Set([]Target{up.target("up"), down.target("down"), shaky.target("shaky"), unknown.target("unknown")})
		for targetsOf(e.Status())["down"].Verdict != Down {
			time.Sleep(time.Millisecond) // Shaky has had its first probe meanwhile, and no second one.
		}
		for _, s := range []*script{up, down, shaky} {
			s.set(failing(syscall.EMFILE))
		}
		select {
		case <-e.Changed():
		default:
		}
		before := targetsOf(e.Status())
		if before["up"].Verdict != Up || before["down"].Verdict != Down || before["shaky"].Verdict != Up || before["shaky"].Bad != 2 {
			t.Fatalf("the test needs other targets: %+v", before)
		}
		upProbes, unknownProbes := len(up.calls()), len(unknown.calls())

		time.Sleep(2 * time.Minute)
		after := targetsOf(e.Status())
		for id, old := range before {
			want := old
			want.LastError, want.Void = "cannot probe: too many open files", true
			if diff := cmp.Diff(want, after[id]); diff != "" {
				t.Errorf("%s (-before +after two minutes):\n%s", id, diff)
			}
		}
		if after["unknown"].Verdict != Unknown || after["unknown"].Reason != "" || !after["unknown"].LastProbe.IsZero() {
			t.Errorf("never probed, but %+v", after["unknown"])
		}
		select {
		case <-e.Changed():
			t.Error("void results give a signal")
		default:
		}
		if n := len(up.calls()) - upProbes; n != 8 {
			t.Errorf("%d tries in two minutes every 15 s", n)
		}
		if n := len(unknown.calls()) - unknownProbes; n < 115 || n > 121 {
			t.Errorf("%d tries in two minutes without a verdict", n)
		}
		counters := strings.NewReplacer(
			`{protocol="http",result="good"} 0`, fmt.Sprintf(`{protocol="http",result="good"} %d`, after["up"].GoodTotal),
			`{protocol="http",result="bad"} 0`, fmt.Sprintf(`{protocol="http",result="bad"} %d`, after["down"].BadTotal+after["shaky"].BadTotal),
			`{protocol="http",result="void"} 0`, fmt.Sprintf(`{protocol="http",result="void"} %d`, 3*8+len(unknown.calls())),
		).Replace(zeroCounters)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(counters), "gtmd_probes_total", "gtmd_probes_in_flight"); err != nil {
			t.Error(err)
		}

		for _, s := range []*script{up, unknown} {
			s.set(nil)
		}
		for _, s := range []*script{down, shaky} {
			s.set(refusing)
		}
		time.Sleep(16 * time.Second)
		after = targetsOf(e.Status())
		if got := after["shaky"]; got.Verdict != Down || got.Bad != 3 || got.Void || got.LastError != "connect: connection refused" {
			t.Errorf("the streak does not go on: %+v", got)
		}
		if after["up"].Good <= before["up"].Good || after["up"].LastError != "" || after["up"].Void || after["unknown"].Verdict != Up {
			t.Errorf("after it: %+v, %+v", after["up"], after["unknown"])
		}
		synctest.Wait()
		got := lines(log, "probe")
		if len(got) != 2 || got[0] != `level=WARN msg="cannot probe" fault="too many open files" target=unknown` ||
			!strings.HasPrefix(got[1], `level=INFO msg="can probe again" fault="too many open files" after=2m`) {
			t.Errorf("logged %q", got)
		}
	})
}

// TestEngineFaultLog has two faults at once: each gets its own two lines, and a target that is removed gets none.
func TestEngineFaultLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, log := plainLog()
		e := startEngine(t, EngineOptions{Logger: logger})
		files, ports, gone := newScript(failing(syscall.EMFILE)), newScript(failing(syscall.EADDRNOTAVAIL)), newScript(failing(syscall.ENOMEM))
		e.Set([]Target{files.target("files"), ports.target("ports"), gone.target("gone")})
		time.Sleep(10 * time.Second)
		files.set(failing(syscall.EADDRNOTAVAIL))
		time.Sleep(10 * time.Second)
		ports.set(refusing)
		time.Sleep(10 * time.Second)
		e.Set([]Target{files.target("files"), ports.target("ports")})
		time.Sleep(10 * time.Second)
		files.set(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var got []string
		for _, line := range lines(log, "probe") {
			line, _, _ = strings.Cut(line, " after=")
			line, _, _ = strings.Cut(line, " target=")
			got = append(got, line)
		}
		for _, tt := range []struct {
			fault string
			want  int // Lines: begun, or begun and ended.
		}{{"too many open files", 2}, {"cannot assign requested address", 2}, {"cannot allocate memory", 1}} {
			var n int
			for _, line := range got {
				if strings.Contains(line, tt.fault) {
					n++
				}
			}
			if n != tt.want {
				t.Errorf("%d lines for %s: %q", n, tt.fault, got)
			}
		}
		if len(got) != 5 {
			t.Errorf("logged %q", got)
		}
		if last := got[max(0, len(got)-1):]; len(last) == 1 && last[0] != `level=INFO msg="can probe again" fault="cannot assign requested address"` {
			t.Errorf("at last %s", last[0])
		}
	})
}

// TestEngineFaultReport has a probe that learns something of the origin before a fault of our own ends it.
func TestEngineFaultReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(func(ctx context.Context, r *Report) error {
			r.Warning = "certificate expires in 9 days"
			return failing(syscall.ENOBUFS)(ctx, r)
		})
		e.Set([]Target{s.target("a")})
		<-e.Changed()
		got := targetsOf(e.Status())["a"]
		if got.Report.Warning != "certificate expires in 9 days" || got.Verdict != Unknown || got.LastError != "cannot probe: no buffer space available" {
			t.Errorf("%+v", got)
		}
	})
}

// TestProbeWithoutFiles lets real probes find no free descriptor.
func TestProbeWithoutFiles(t *testing.T) {
	at := origin(t, says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	checks := []Options{{Name: "tcp", Protocol: TCP}, {Name: "web", Protocol: HTTP}, {Name: "secure", Protocol: HTTPS}}
	var targets []Target
	for _, o := range checks {
		o.Port = int(at.Port())
		targets = append(targets, compile(t, o).Target(at.Addr(), ""))
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	var results []error
	for _, target := range targets {
		results = append(results, target.Probe(t.Context(), new(Report)))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for i, err := range results {
		if text(err) != "cannot probe: too many open files" || localFault(err) != syscall.EMFILE {
			t.Errorf("%s: %v", checks[i].Name, err)
		}
	}
}
