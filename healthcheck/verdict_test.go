package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// await sleeps until the script was called n more times and the engine has counted that.
func (s *script) await(n int) {
	for want := len(s.calls()) + n; len(s.calls()) < want; {
		time.Sleep(time.Millisecond)
	}
	synctest.Wait()
}

func TestEngineInvert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(refusing)
		target := s.target("a")
		target.Invert = true
		e.Set([]Target{target})
		s.await(2)
		if got := targetsOf(e.Status())["a"]; got.Verdict != Up || got.LastError != "" || got.GoodTotal != 2 {
			t.Errorf("it refuses: %+v", got)
		}
		s.set(nil)
		s.await(3)
		if got := targetsOf(e.Status())["a"]; got.Verdict != Down || got.Reason != "it answers, and it should not (invert)" {
			t.Errorf("it answers: %+v", got)
		}
		s.set(failing(syscall.EMFILE))
		s.await(1)
		if got := targetsOf(e.Status())["a"]; got.Verdict != Down || !got.Void {
			t.Errorf("no descriptors: %+v", got)
		}
		s.set(func(context.Context, *Report) error { panic("odd") })
		s.await(2)
		if got := targetsOf(e.Status())["a"]; got.Verdict != Down || got.Reason != "probe panicked: odd" {
			t.Errorf("a panic: %+v", got)
		}
	})
}

// TestEngineUndecided has a target that knows nothing yet: it leaves no trace, keeps nobody waiting, and is not asked
// more often than any other.
func TestEngineUndecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, log := plainLog()
		e := startEngine(t, EngineOptions{Logger: logger})
		s := newScript(func(context.Context, *Report) error { return fmt.Errorf("push: %w", ErrUndecided) })
		e.Set([]Target{s.target("a")})
		before := targetsOf(e.Status())["a"]
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := targetsOf(e.Status())["a"]; got != before {
			t.Errorf("%+v, was %+v", got, before)
		}
		select {
		case <-e.Settled():
		default:
			t.Error("it is waited for")
		}
		select {
		case <-e.Changed():
			t.Error("a signal")
		default:
		}
		if n := len(s.calls()); n > 6 || log.String() != "" {
			t.Errorf("%d probes in a minute, logged %s", n, log)
		}
		s.set(nil)
		e.Hurry("a")
		e.Hurry("nobody")
		synctest.Wait()
		if got := targetsOf(e.Status())["a"]; got.Verdict != Up || time.Since(got.LastProbe) != 0 {
			t.Errorf("after its first report: %+v", got)
		}
	})
}

// TestEngineHurry calls a target at odd times: each call is one probe that counts, and the schedule stays.
func TestEngineHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		e.Set([]Target{s.target("a")})
		time.Sleep(time.Minute)
		probes := len(s.calls())
		s.set(refusing)
		for range 3 {
			e.Hurry("a")
			e.Hurry("a")
			synctest.Wait()
		}
		if got := targetsOf(e.Status())["a"]; len(s.calls()) != probes+3 || got.Verdict != Down {
			t.Errorf("%d probes: %+v", len(s.calls())-probes, got)
		}
		time.Sleep(time.Minute)
		first := start.Add(newSchedule("a", start).offset(15 * time.Second))
		for _, call := range s.calls()[probes+3:] {
			if off := call.Sub(first) % (15 * time.Second); off > jitterOf(15*time.Second) {
				t.Errorf("a probe %v off its slot", off)
			}
		}
		if n := len(s.calls()) - probes - 3; n != 4 {
			t.Errorf("%d probes in the minute after", n)
		}
	})
}

// TestEngineDegraded has probes that are slow, warn, or both.
func TestEngineDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		target := s.target("a")
		target.MaxLatency = 500 * time.Millisecond
		e.Set([]Target{target})
		s.await(1)
		<-e.Changed()
		takes := func(d time.Duration, warning string) Probe {
			return func(_ context.Context, r *Report) error {
				time.Sleep(d)
				*r = Report{Warning: warning, CertificateExpires: time.Unix(1, 0), Phases: Phases{Connect: d}}
				return nil
			}
		}
		for _, tt := range []struct {
			run      Probe
			degraded string
			signal   bool
		}{
			{takes(500*time.Millisecond, ""), "", true}, // A report for the first time.
			{takes(812345*time.Microsecond, ""), "slow: 812ms, wanted at most 500ms", true},
			{takes(2345*time.Millisecond, ""), "slow: 2.35s, wanted at most 500ms", false},
			{takes(812*time.Millisecond, "certificate expires in 9 days"), "slow: 812ms, wanted at most 500ms; certificate expires in 9 days", true},
			{takes(time.Millisecond, "certificate expires in 9 days"), "certificate expires in 9 days", false},
			{takes(2*time.Millisecond, ""), "", true},
		} {
			s.set(tt.run)
			s.await(1)
			time.Sleep(3 * time.Second)
			got := targetsOf(e.Status())["a"]
			if got.Degraded != tt.degraded || got.Verdict != Up || got.Phases.Connect == 0 || got.Report.Phases != (Phases{}) {
				t.Errorf("%q, want %q: %+v", got.Degraded, tt.degraded, got)
			}
			select {
			case <-e.Changed():
				if !tt.signal {
					t.Errorf("%q: a signal", tt.degraded)
				}
			default:
				if tt.signal {
					t.Errorf("%q: no signal", tt.degraded)
				}
			}
		}
		s.set(takes(time.Second, ""))
		s.await(1)
		time.Sleep(time.Second)
		s.set(refusing)
		s.await(3)
		if got := targetsOf(e.Status())["a"]; got.Verdict != Down || got.Degraded != "" {
			t.Errorf("what is down is not degraded: %+v", got)
		}
	})
}

// TestEngineFastInterval breaks and heals a target: it is probed fast as long as a streak is open, and in its slots else.
func TestEngineFastInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		target := s.target("a")
		target.Interval, target.FastInterval, target.Fall, target.Rise = time.Minute, 2*time.Second, 4, 3
		e.Set([]Target{target})
		time.Sleep(10 * time.Minute)
		first := start.Add(newSchedule("a", start).offset(time.Minute))
		inSlot := func(at time.Time) bool { return at.Sub(first)%time.Minute <= jitterOf(time.Minute) }
		for round := range 3 {
			for _, run := range []Probe{refusing, nil} {
				more := target.Fall
				if run == nil {
					more = target.Rise
				}
				s.set(run)
				n := len(s.calls())
				s.await(1)
				got := targetsOf(e.Status())["a"]
				if want := got.LastProbe.Add(time.Duration(more-2) * (2*time.Second - jitterOf(2*time.Second))); got.Earliest != want {
					t.Errorf("round %d: it could turn at %v, want %v", round, got.Earliest, want)
				}
				s.await(more - 1)
				if got := targetsOf(e.Status())["a"]; (got.Verdict == Up) != (run == nil) || !got.Earliest.IsZero() || (run == nil) != (got.Recovered == got.Since) {
					t.Errorf("round %d: %+v", round, got)
				}
				s.await(2)
				calls := s.calls()[n:]
				for i := 1; i < more; i++ {
					if gap := calls[i].Sub(calls[i-1]); gap < 2*time.Second-maxJitter || gap > 2*time.Second+maxJitter {
						t.Errorf("round %d: %v between probes of the streak", round, gap)
					}
				}
				for _, i := range []int{0, more, more + 1} {
					if !inSlot(calls[i]) {
						t.Errorf("round %d: probe %d of %d is not in its slot", round, i, len(calls))
					}
				}
			}
		}
	})
}

// TestEngineFlapping has a target that turns every 20 s, then stays down, and a restart in between.
func TestEngineFlapping(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			logger, log := plainLog()
			e := startEngine(t, EngineOptions{Logger: logger})
			s := newScript(nil)
			target := s.target("a")
			target.Interval, target.Timeout, target.Fall, target.Flap = 5*time.Second, time.Second, 1, Flap{4, 10 * time.Minute}
			e.Set([]Target{target})
			time.Sleep(time.Hour)
			for i := range 10 {
				s.set([]Probe{refusing, nil}[i%2])
				time.Sleep(20 * time.Second)
			}
			s.set(refusing)
			time.Sleep(20 * time.Second)
			got := targetsOf(e.Status())["a"]
			if got.Verdict != Up || got.Flapping.IsZero() || got.Reason != "flapping: 5 turns in 10m, held up; last: connect: connection refused" || got.Earliest.Before(time.Now().Add(9*time.Minute+30*time.Second)) {
				t.Errorf("%+v", got)
			}
			if n := len(lines(log, "verdict turned")); n != 4 {
				t.Errorf("%d turns:\n%s", n, log)
			}
			if restart {
				saved := e.Status().Saved()
				e.Close()
				e = startEngine(t, EngineOptions{Logger: logger, Saved: saved})
				e.Set([]Target{target})
				synctest.Wait()
				if again := e.Status(); targetsOf(again)["a"].Track != got.Track || !cmp.Equal(again.Saved(), saved) {
					t.Errorf("restored: %+v, was %+v", targetsOf(again)["a"].Track, got.Track)
				}
			}
			time.Sleep(10*time.Minute - 25*time.Second)
			if got := targetsOf(e.Status())["a"]; got.Verdict != Up || got.Flapping.IsZero() {
				t.Errorf("just before it has been quiet for long enough: %+v", got)
			}
			time.Sleep(15 * time.Second)
			if got := targetsOf(e.Status())["a"]; got.Verdict != Down || !got.Flapping.IsZero() || got.Reason != "connect: connection refused" {
				t.Errorf("after it: %+v", got)
			}
			flapping, stable := lines(log, "is flapping"), lines(log, "is stable")
			if len(flapping) != 1 || len(stable) != 1 || !strings.HasPrefix(flapping[0], `level=WARN msg="verdict is flapping" target=a held=up turns=5 within=10m0s`) ||
				!strings.HasPrefix(stable[0], `level=INFO msg="verdict is stable again" target=a verdict=down after=`) {
				t.Errorf("logged %q, %q", flapping, stable)
			}
		})
	}
}

// TestSavedWhole carries every kind of state over a restart, through the file's format.
func TestSavedWhole(t *testing.T) {
	target := (Target{ID: "a", Fall: 5, Rise: 1, Window: Window{3, 6}, Flap: Flap{3, time.Hour}}).normal()
	m := machine{}
	at := time.Unix(0, 0)
	for i, letter := range strings.Repeat("gbbb", 4) + "ggbgb" {
		var err error
		if letter == 'b' {
			err = errors.New("bad")
		}
		at = at.Add(time.Second)
		m = m.fed(err, target, at)
		now := &state{TargetStatus: TargetStatus{Track: m.effective(), Recovered: m.recovered, Flapping: m.flapping()}, kept: kept{window: m.window, burst: m.burst}}
		if !m.flapping().IsZero() {
			now.kept.raw = m.track.Verdict
		}
		status := &Status{roster: newRoster([]string{"a"}), states: []*state{now}}
		saved := status.Saved()["a"]
		again := saved.Map(func(t time.Time) time.Time { return t }).machine(machine{}, target)
		if diff := cmp.Diff(m, again, cmp.AllowUnexported(machine{}, burst{}), cmp.FilterPath(func(p cmp.Path) bool {
			return p.String() == "track.Since" // Of the results, while others see another one.
		}, cmp.Ignore())); diff != "" {
			t.Errorf("after result %d (-was +is):\n%s", i, diff)
		}
	}
	if m.flapping().IsZero() || m.window == 0 {
		t.Errorf("the test needs other results: %+v", m)
	}
	if got := letters(0b1010011); got != "bgbggbb" || bitsOf(got) != 0b1010011 || letters(0) != "" {
		t.Errorf("letters: %s", got)
	}
}

// TestPauseMany stops the process for a minute with probes of many targets in flight, whose origins give up meanwhile.
func TestPauseMany(t *testing.T) {
	for moment := range 20 {
		synctest.Test(t, func(t *testing.T) {
			var clock pausable
			logger, log := plainLog()
			e, err := newEngine(EngineOptions{Logger: logger}, clock.now)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			e.SetBlind(usual)
			var targets []Target
			for i, target := range crowd(300, 5*time.Second) {
				target.Fall = 1 + i%2
				target.FastInterval = time.Duration(i%3) * time.Second
				if i%5 == 0 {
					target.Window = Window{1, 3}
				}
				target.Probe = func(context.Context, *Report) error {
					before := clock.offset.Load()
					time.Sleep(time.Duration(i%900) * time.Millisecond)
					if clock.offset.Load() != before {
						return errors.New("connection closed before a response")
					}
					return nil
				}
				targets = append(targets, target)
			}
			e.Set(targets)
			time.Sleep(time.Minute + time.Duration(moment)*137*time.Millisecond)
			clock.pause(time.Minute)
			time.Sleep(30 * time.Second)
			if found := lines(log, "to=down"); len(found) > 0 {
				t.Errorf("%d turned, the first: %s", len(found), found[0])
			}
			if blind := e.Status().Blind; len(blind) > 0 {
				t.Errorf("%+v", blind)
			}
		})
	}
}
