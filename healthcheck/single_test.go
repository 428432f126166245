package healthcheck

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestTry probes once: whatever comes out is judged as in the schedule, and counts for nothing.
func TestTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		e.Set([]Target{s.target("a")})
		s.await(1)
		before, kept := targetsOf(e.Status())["a"], len(must(e.Results("a")))
		for _, row := range []struct {
			name   string
			probe  Probe
			change func(*Target)
			want   Finding
		}{
			{name: "good", probe: nil, want: Finding{Result: Result{Good: true}}},
			{name: "bad", probe: ending(errors.New("status 503")), want: Finding{Result: Result{Reason: "status 503"}}},
			{name: "slow", probe: func(_ context.Context, r *Report) error {
				time.Sleep(time.Second)
				r.Phases, r.Warning = Phases{Connect: time.Second}, "certificate expires soon"
				return nil
			}, change: func(t *Target) { t.MaxLatency = 100 * time.Millisecond }, want: Finding{
				Result:   Result{Good: true, Took: time.Second, Phases: Phases{Connect: time.Second}},
				Degraded: "slow: 1s, wanted at most 100ms; certificate expires soon", Report: Report{Warning: "certificate expires soon"}}},
			{name: "inverted", probe: nil, change: func(t *Target) { t.Invert = true },
				want: Finding{Result: Result{Reason: "it answers, and it should not (invert)"}}},
			{name: "inverted and refused", probe: refusing, change: func(t *Target) { t.Invert = true }, want: Finding{Result: Result{Good: true}}},
			{name: "timeout", probe: hang, want: Finding{Result: Result{Took: 5 * time.Second, Reason: "context deadline exceeded"}}},
			{name: "deaf", probe: func(context.Context, *Report) error { time.Sleep(time.Minute); return nil },
				want: Finding{Result: Result{Took: 5*time.Second + grace, Reason: "timeout after 5s, and the probe goes on"}}},
			{name: "deaf and inverted", probe: func(context.Context, *Report) error { time.Sleep(time.Minute); return nil },
				change: func(t *Target) { t.Invert = true },
				want:   Finding{Result: Result{Took: 5*time.Second + grace, Reason: "timeout after 5s, and the probe goes on"}}},
			{name: "panic", probe: func(context.Context, *Report) error { panic("odd") }, want: Finding{Result: Result{Reason: "probe panicked: odd"}}},
			{name: "no descriptors", probe: failing(syscall.EMFILE), want: Finding{Result: Result{Reason: "cannot probe: too many open files"}, Void: true}},
			{name: "undecided", probe: ending(ErrUndecided), want: Finding{Result: Result{Reason: "nothing is known yet"}, Undecided: true}},
		} {
			other := newScript(row.probe)
			target := other.target("a")
			if row.change != nil {
				row.change(&target)
			}
			start := time.Now().Round(0)
			got := e.Try(t.Context(), target)
			if !got.Start.Equal(start) {
				t.Errorf("%s: started at %v, want %v", row.name, got.Start, start)
			}
			got.Start = time.Time{}
			if got != row.want {
				t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
			}
		}
		synctest.Wait()
		if after := targetsOf(e.Status())["a"]; after.Verdict != before.Verdict || after.BadTotal != 0 {
			t.Errorf("the target: %+v", after)
		}
		for _, r := range must(e.Results("a")) {
			if kept++; !r.Good {
				t.Errorf("a result that was not scheduled is kept: %+v", r)
			}
		}
	})
}

// TestTryEnds: the probe ends when nobody waits for it any more, and Close waits for the probe.
func TestTryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := NewEngine(EngineOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		target := newScript(hang).target("a")
		if got := e.Try(ctx, target); !got.Void || got.Reason != "it was given up: context canceled" || got.Took != time.Second {
			t.Errorf("%+v", got)
		}
		over := make(chan struct{})
		target.Probe = func(context.Context, *Report) error { time.Sleep(time.Minute); close(over); return nil }
		go e.Try(context.Background(), target)
		synctest.Wait()
		e.Close()
		select {
		case <-over:
		default:
			t.Error("Close did not wait")
		}
		if got := e.Try(t.Context(), target); !got.Void || got.Reason != "the health checks have ended" {
			t.Errorf("after Close: %+v", got)
		}
	})
}

func must[T any](v T, _ bool) T { return v }

// ending is a probe with that result.
func ending(err error) Probe { return func(context.Context, *Report) error { return err } }
