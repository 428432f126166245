package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEngineSchedule follows one target from its first probe to its place in the schedule.
func TestEngineSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		target := s.target("a")
		target.Rise = 3
		e.Set([]Target{target})
		time.Sleep(2 * time.Minute)
		calls := s.calls()

		if first := calls[0].Sub(start); first > eagerStep+jitterOf(eagerStep) {
			t.Errorf("the first probe came after %v", first)
		}
		for i := 1; i < 3; i++ {
			if gap := calls[i].Sub(calls[i-1]); gap < eagerStep-jitterOf(eagerStep) || gap > eagerStep+jitterOf(eagerStep) {
				t.Errorf("without a verdict, probe %d came %v after the one before", i, gap)
			}
		}
		grid := newSchedule("a", start)
		for i, call := range calls[3:] {
			want := grid.slot(target.Interval, calls[2]).Add(time.Duration(i) * target.Interval)
			if late := call.Sub(want); late < 0 || late > jitterOf(target.Interval) {
				t.Errorf("probe %d came %v after its slot", i+3, late)
			}
		}
		if n := len(calls); n != 3+7 && n != 3+8 {
			t.Errorf("%d probes in two minutes", n)
		}
	})
}

// TestEngineFall: fall bad rounds take at most fall intervals, one timeout and a jitter, even with probes that are
// as long as the interval.
func TestEngineFall(t *testing.T) {
	for _, timeout := range []time.Duration{5 * time.Second, 15 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			e := startEngine(t, EngineOptions{})
			s := newScript(nil)
			target := s.target("a")
			target.Timeout = timeout
			e.Set([]Target{target})
			time.Sleep(time.Minute)
			s.set(hang)
			broke := time.Now()
			time.Sleep(3*target.Interval + timeout + jitterOf(target.Interval))
			status := targetsOf(e.Status())["a"]
			if status.Verdict != Down || status.Bad != 3 || status.Reason != "context deadline exceeded" {
				t.Errorf("%v after it broke: %+v", time.Since(broke), status)
			}
			s.set(nil)
			time.Sleep(target.Interval + timeout + jitterOf(target.Interval))
			if status := targetsOf(e.Status())["a"]; status.Verdict != Up || status.Reason != "" {
				t.Errorf("after it was well again: %+v", status)
			}
		})
	}
}

func TestEngineStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		expires := time.Now().Add(9 * 24 * time.Hour)
		s := newScript(func(_ context.Context, r *Report) error {
			*r = Report{CertificateExpires: expires, Warning: "certificate expires in 9 days"}
			time.Sleep(20 * time.Millisecond)
			return nil
		})
		target := s.target("a")
		e.Set([]Target{target})
		before := time.Now()
		if got := targetsOf(e.Status())["a"]; got != (TargetStatus{Track: Track{Verdict: Unknown, Since: before}}) {
			t.Errorf("at first: %+v", got)
		}
		<-e.Changed()
		first := s.calls()[0]
		want := TargetStatus{
			Track:        Track{Verdict: Up, Since: first.Add(20 * time.Millisecond), Good: 1},
			LastProbe:    first,
			LastDuration: 20 * time.Millisecond,
			RTT:          20 * time.Millisecond,
			Report:       Report{CertificateExpires: expires, Warning: "certificate expires in 9 days"},
			Degraded:     "certificate expires in 9 days",
			GoodTotal:    1,
		}
		if diff := cmp.Diff(want, targetsOf(e.Status())["a"]); diff != "" {
			t.Errorf("after a good probe (-want +got):\n%s", diff)
		}
		old := e.Status()
		s.set(func(context.Context, *Report) error { return errors.New("connect: connection refused\n") })
		<-e.Changed()
		second := s.calls()[len(s.calls())-1]
		want.Bad, want.Good, want.Reason, want.LastError = 1, 0, "connect: connection refused\uFFFD", "connect: connection refused\uFFFD"
		want.Earliest = second.Add(target.Interval - jitterOf(target.Interval)) // The next one may be called for.
		want.LastProbe, want.LastDuration, want.BadTotal, want.GoodTotal = second, 0, 1, uint64(len(s.calls())-1)
		if diff := cmp.Diff(want, targetsOf(e.Status())["a"]); diff != "" {
			t.Errorf("after a bad probe, which has no report (-want +got):\n%s", diff)
		}
		if targetsOf(old)["a"].Bad != 0 {
			t.Error("an old status changed")
		}
	})
}

// TestEngineChanged counts signals: only what a reader must act upon or save gives one.
func TestEngineChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		target := s.target("a")
		target.Rise = 2
		e.Set([]Target{target})
		signal := func(want bool, why string) {
			t.Helper()
			synctest.Wait()
			select {
			case <-e.Changed():
				if !want {
					t.Errorf("%s: a signal", why)
				}
			default:
				if want {
					t.Errorf("%s: no signal", why)
				}
			}
		}
		await := func(n int) {
			for len(s.calls()) < n {
				time.Sleep(time.Millisecond)
			}
		}
		bad := func(context.Context, *Report) error { return errors.New("bad") }
		signal(false, "no result yet")
		await(1)
		signal(true, "a streak without a verdict")
		await(2)
		signal(true, "up")
		await(4)
		signal(false, "up goes on")
		s.set(bad)
		await(5)
		signal(true, "a bad streak opens")
		s.set(nil)
		await(6)
		signal(true, "it is broken")
		s.set(bad)
		await(9)
		signal(true, "down, after three changes")
		signal(false, "one signal holds them all")
		await(12)
		signal(false, "down goes on")
		s.set(func(_ context.Context, r *Report) error {
			r.Warning = "certificate expired 1 day ago"
			return errors.New("bad")
		})
		await(13)
		signal(true, "another report")
	})
}

func TestEngineSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		kept, gone, added := newScript(nil), newScript(nil), newScript(nil)
		e.Set([]Target{newScript(hang).target("kept"), kept.target("kept"), gone.target("gone")})
		time.Sleep(time.Minute)
		before, probes := targetsOf(e.Status())["kept"], len(gone.calls())
		if before.Verdict != Up {
			t.Fatalf("of two targets with one ID the last does not count: %+v", before)
		}

		later := newScript(func(context.Context, *Report) error { return errors.New("bad") })
		changed := later.target("kept")
		changed.Fall = 1
		e.Set([]Target{changed, added.target("added")})
		if got := targetsOf(e.Status()); len(got) != 2 || got["kept"] != before || got["added"].Verdict != Unknown {
			t.Errorf("right after: %+v", got)
		}
		time.Sleep(15*time.Second + jitterOf(15*time.Second))
		got := targetsOf(e.Status())
		if got["kept"].Verdict != Down || got["kept"].BadTotal != 1 || got["kept"].GoodTotal != before.GoodTotal || got["added"].Verdict != Up {
			t.Errorf("an interval later: %+v", got)
		}
		last, next := kept.calls(), later.calls()[0]
		if period := next.Sub(last[len(last)-1]); period < 15*time.Second-jitterOf(15*time.Second) || period > 15*time.Second+jitterOf(15*time.Second) {
			t.Errorf("the kept target lost its place: %v between two probes", period)
		}
		if len(gone.calls()) != probes {
			t.Error("a target that is gone was probed")
		}

		e.Set([]Target{gone.target("gone")})
		if got := targetsOf(e.Status()); len(got) != 1 || got["gone"].Verdict != Unknown {
			t.Errorf("a target that came back kept its state: %+v", got)
		}
		e.Set(nil)
		if got := targetsOf(e.Status()); len(got) != 0 {
			t.Errorf("after an empty Set: %+v", got)
		}
	})
}

// TestEngineInterval shortens a long interval, which must not wait for the long one to end.
func TestEngineInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		target := s.target("a")
		target.Interval = 24 * time.Hour
		e.Set([]Target{target})
		time.Sleep(time.Minute)
		probes := len(s.calls())
		target.Interval = 10 * time.Second
		e.Set([]Target{target})
		target.Interval = 20 * time.Second
		e.Set([]Target{target})
		time.Sleep(time.Minute)
		if n := len(s.calls()) - probes; n != 3 {
			t.Errorf("%d probes in a minute", n)
		}
	})
}

func TestEngineNormalTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		e.Set([]Target{{ID: "a", Probe: s.probe}})
		time.Sleep(time.Minute)
		if n := len(s.calls()); n != 4 && n != 5 {
			t.Errorf("%d probes in a minute", n)
		}
		if got := targetsOf(e.Status())["a"]; got.Verdict != Up {
			t.Errorf("%+v", got)
		}
	})
	if got := (Target{Interval: time.Second, Timeout: time.Minute}).normal(); got.Timeout != time.Second {
		t.Errorf("the timeout is %v", got.Timeout)
	}
}

func TestEngineSettled(t *testing.T) {
	settled := func(e *Engine) bool {
		synctest.Wait()
		select {
		case <-e.Settled():
			return true
		default:
			return false
		}
	}
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{Saved: map[string]Saved{"restored": {Verdict: Down}}})
		e.Set(nil)
		if settled(e) {
			t.Error("settled by an empty Set")
		}
		good, slow := newScript(nil), newScript(hang)
		e.Set([]Target{good.target("restored"), good.target("a"), slow.target("slow")})
		time.Sleep(10 * time.Second)
		if settled(e) {
			t.Error("settled before slow had three bad results")
		}
		e.Set([]Target{slow.target("slow"), slow.target("later")})
		time.Sleep(6*time.Second + jitterOf(time.Second))
		if !settled(e) {
			t.Error("not settled when all of the first targets had a verdict")
		}
		time.Sleep(time.Minute)
	})
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		e.Set([]Target{newScript(hang).target("a")})
		e.Set([]Target{newScript(hang).target("b")})
		if !settled(e) {
			t.Error("waits for a target that is gone")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{Saved: map[string]Saved{"restored": {Verdict: Down}}})
		e.Set([]Target{newScript(hang).target("restored")})
		if !settled(e) {
			t.Error("restored verdicts do not count")
		}
	})
}

// TestEngineInFlight has more slow targets than may run at once, and one that is quick.
func TestEngineInFlight(t *testing.T) {
	for _, limit := range []int{3, 100} {
		synctest.Test(t, func(t *testing.T) {
			e := startEngine(t, EngineOptions{MaxInFlight: limit})
			var running, most atomic.Int64
			slow := newScript(func(ctx context.Context, _ *Report) error {
				now := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				<-ctx.Done()
				return ctx.Err()
			})
			var targets []Target
			for i := range 20 {
				targets = append(targets, slow.target(fmt.Sprintf("slow %d", i)))
			}
			quick := newScript(nil)
			e.Set(append(targets, quick.target("quick")))
			time.Sleep(5 * time.Minute)
			if n := most.Load(); n != int64(min(limit, len(targets))) {
				t.Errorf("limit %d: %d slow probes at once", limit, n)
			}
			calls := quick.calls()
			for i := 2; limit > 20 && i < len(calls); i++ {
				if gap := calls[i].Sub(calls[i-1]); gap > 15*time.Second+jitterOf(15*time.Second) {
					t.Errorf("the quick target waited %v", gap)
				}
			}
		})
	}
}

func TestEngineLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		e := startEngine(t, EngineOptions{Logger: logger})
		s := newScript(func(context.Context, *Report) error { return errors.New("HTTP 503, wanted 200-499") })
		target := s.target("192.0.2.1/web")
		target.Fall = 1
		e.Set([]Target{target})
		start := time.Now()
		<-e.Changed()
		turned := time.Now()
		s.set(nil)
		<-e.Changed()
		want := fmt.Sprintf("level=WARN msg=\"verdict turned\" target=192.0.2.1/web from=unknown to=down reason=\"HTTP 503, wanted 200-499\" after=%v\n"+
			"level=INFO msg=\"verdict turned\" target=192.0.2.1/web from=down to=up reason=good after=%v\n", turned.Sub(start), time.Since(turned))
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} { // That an address is well from the start is no news.
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			e := startEngine(t, EngineOptions{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))})
			e.Set([]Target{newScript(nil).target("a")})
			<-e.Settled()
			e.Close()
			if said := strings.Contains(log.String(), "from=unknown to=up"); said != (level == slog.LevelDebug) {
				t.Errorf("%v: logged %s", level, log.String())
			}
		})
	}
}

func TestEngineClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{MaxInFlight: 1})
		s := newScript(hang)
		e.Set([]Target{s.target("a"), s.target("b"), s.target("c")}) // One runs, two wait for its slot.
		time.Sleep(2 * time.Second)
		if n := len(s.calls()); n != 1 {
			t.Fatalf("%d probes run", n)
		}
		e.Close()
		e.Close()
		e.Set([]Target{s.target("d")})
		time.Sleep(time.Hour)
		if n := len(s.calls()); n != 1 {
			t.Errorf("%d probes ran after Close", n-1)
		}
		if got := targetsOf(e.Status()); len(got) != 3 || got["a"].BadTotal != 0 {
			t.Errorf("%+v", got)
		}
	})
}
