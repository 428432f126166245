package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWatcherPanic(t *testing.T) {
	for _, tt := range []struct {
		name, want, logged string
		probe              Probe
	}{
		{"panic", "probe panicked: odd", "watcher_test.go", func(context.Context, *Report) error { panic("odd") }},
		{"no probe", "probe panicked: runtime error: invalid memory address or nil pointer dereference", "watcher.go", nil},
		{"Goexit", "probe ended without a result", "", func(context.Context, *Report) error { runtime.Goexit(); return nil }},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			e := startEngine(t, EngineOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			e.Set([]Target{{ID: "a", Probe: tt.probe}})
			time.Sleep(10 * time.Second)
			e.Close()
			if got := targetsOf(e.Status())["a"]; got.Verdict != Down || got.Reason != tt.want {
				t.Errorf("%s: %+v", tt.name, got)
			}
			if !strings.Contains(log.String(), tt.logged) || strings.Contains(log.String(), "stack") != (tt.logged != "") {
				t.Errorf("%s: logged %s", tt.name, log.String())
			}
		})
	}
}

// TestWatcherStuckProbe has a probe that ignores its context: each round counts as bad, and no second one is started.
func TestWatcherStuckProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		release := make(chan struct{})
		s := newScript(nil)
		e.Set([]Target{s.target("a")})
		<-e.Changed()
		s.set(func(context.Context, *Report) error { <-release; return nil })
		probes := len(s.calls())

		<-e.Changed()
		stuck := s.calls()[probes]
		got := targetsOf(e.Status())["a"]
		if took := time.Since(stuck); took != 5*time.Second+grace || got.Reason != "timeout after 5s, and the probe goes on" || got.Bad != 1 {
			t.Errorf("after %v: %+v", took, got)
		}
		time.Sleep(2*15*time.Second + jitterOf(15*time.Second))
		got = targetsOf(e.Status())["a"]
		if got.Verdict != Down || got.Reason != "the probe before has not ended" || got.Bad != 3 || len(s.calls()) != probes+1 {
			t.Errorf("two rounds later, after %d more probes: %+v", len(s.calls())-probes-1, got)
		}
		s.set(nil)
		close(release)
		time.Sleep(15*time.Second + jitterOf(15*time.Second))
		if got := targetsOf(e.Status())["a"]; got.Verdict != Up {
			t.Errorf("after its end: %+v", got)
		}
	})
}

// pausable is a clock that jumps when the process is paused.
type pausable struct{ offset atomic.Int64 }

func (p *pausable) now() time.Time        { return time.Now().Add(time.Duration(p.offset.Load())) }
func (p *pausable) pause(d time.Duration) { p.offset.Add(int64(d)) }

func TestWatcherPause(t *testing.T) {
	for _, tt := range []struct {
		name  string
		probe func(clock *pausable) Probe
	}{
		{"the probe notices its deadline at once", func(clock *pausable) Probe {
			return func(ctx context.Context, _ *Report) error {
				<-ctx.Done()
				clock.pause(time.Minute)
				return ctx.Err()
			}
		}},
		{"the watcher is quicker", func(clock *pausable) Probe {
			return func(ctx context.Context, _ *Report) error {
				<-ctx.Done()
				clock.pause(time.Minute)
				time.Sleep(grace + 10*time.Millisecond)
				return newReason(ctx.Err(), "timeout after 5s waiting for headers")
			}
		}},
		{"the origin closed the connection meanwhile", func(clock *pausable) Probe {
			return func(context.Context, *Report) error {
				clock.pause(time.Minute)
				return errors.New("connection closed before a response")
			}
		}},
		{"a pause that ends before the deadline", func(clock *pausable) Probe {
			return func(context.Context, *Report) error {
				clock.pause(500 * time.Millisecond)
				return errors.New("connection closed before a response")
			}
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var clock pausable
			e, err := newEngine(EngineOptions{}, clock.now)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			s := newScript(nil)
			e.Set([]Target{s.target("a")})
			<-e.Changed()
			before := targetsOf(e.Status())["a"]
			probe := tt.probe(&clock)
			var again time.Time
			s.set(func(ctx context.Context, r *Report) error {
				err := probe(ctx, r)
				s.set(nil)
				again = time.Now()
				return err
			})
			for len(s.calls()) < int(before.GoodTotal)+2 {
				time.Sleep(time.Millisecond)
			}
			synctest.Wait()
			got := targetsOf(e.Status())["a"]
			if got.BadTotal != 0 || got.GoodTotal != before.GoodTotal+1 || got.Since != before.Since {
				t.Errorf("%s: %+v", tt.name, got)
			}
			if voids := testutil.ToFloat64(e.metrics.probes.WithLabelValues("http", "void")); voids != 1 {
				t.Errorf("%s: %v void results are counted", tt.name, voids)
			}
			calls := s.calls()
			if wait := calls[len(calls)-1].Sub(again); wait != 0 {
				t.Errorf("%s: probed again after %v", tt.name, wait)
			}
		})
	}
}

// TestWatcherSpread has targets with a long interval, whose probes wait for their share of it after a pause: they do not when
// they are called for.
func TestWatcherSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock pausable
		e, err := newEngine(EngineOptions{}, clock.now)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		s := newScript(nil)
		var targets []Target
		for _, id := range []string{"a", "b", "c", "d"} {
			target := s.target(id)
			target.Interval = time.Hour
			targets = append(targets, target)
		}
		e.Set(targets)
		time.Sleep(time.Hour)
		clock.pause(50 * time.Minute)
		e.agenda.mu.Lock()
		e.agenda.expect(-1) // As timers are late, and not lost.
		e.agenda.mu.Unlock()
		n := len(s.calls())
		e.Hurry("a") // At the very end of the pause.
		synctest.Wait()
		if got := len(s.calls()) - n; got != 1 {
			t.Errorf("%d probes of one that was called for at the end of the pause", got)
		}
		for minute := range 80 {
			time.Sleep(time.Minute)
			synctest.Wait()
			n := len(s.calls())
			for _, target := range targets {
				e.Hurry(target.ID)
			}
			synctest.Wait()
			if got := len(s.calls()) - n; got != 4 {
				t.Errorf("minute %d: %d probes of 4 that were called for", minute, got)
			}
		}
	})
}

// TestWatcherAlwaysLate has a machine on which every deadline is noticed late: a dead target still turns down.
func TestWatcherAlwaysLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock pausable
		e, err := newEngine(EngineOptions{}, clock.now)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		s := newScript(func(ctx context.Context, _ *Report) error {
			<-ctx.Done()
			clock.pause(time.Second)
			return ctx.Err()
		})
		e.Set([]Target{s.target("a")})
		for range 3 {
			<-e.Changed()
		}
		if got := targetsOf(e.Status())["a"]; got.Verdict != Down || got.BadTotal != 3 || len(s.calls()) != 3*(maxVoid+1) {
			t.Errorf("after %d probes: %+v", len(s.calls()), got)
		}
	})
}
