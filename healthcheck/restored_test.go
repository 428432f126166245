package healthcheck

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestEngineRestored has verdicts from before a restart, of targets that are probed once an hour: each is looked at
// soon, once, and then in its own slot; a verdict turns only after fall or rise results.
func TestEngineRestored(t *testing.T) {
	for _, tt := range []struct {
		name    string
		saved   Saved
		probe   Probe
		first   Verdict // After the first result.
		hours   int     // In which the other results come.
		verdict Verdict // After them.
	}{
		{"still up", Saved{Verdict: Up, Good: 9}, nil, Up, 2, Up},
		{"died meanwhile", Saved{Verdict: Up, Good: 9}, refusing, Up, 2, Down},
		{"came back meanwhile", Saved{Verdict: Down, Bad: 9, Reason: "bad"}, nil, Down, 1, Up},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			e := startEngine(t, EngineOptions{Saved: map[string]Saved{"a": tt.saved}})
			s := newScript(tt.probe)
			target := s.target("a")
			target.Interval, target.Rise = time.Hour, 2
			e.Set([]Target{target})
			time.Sleep(eagerStep + jitterOf(eagerStep))
			if got := targetsOf(e.Status())["a"]; len(s.calls()) != 1 || got.Verdict != tt.first || got.GoodTotal+got.BadTotal != 1 {
				t.Fatalf("%s: within a second, %d probes: %+v", tt.name, len(s.calls()), got)
			}
			schedule := newSchedule("a", start)
			if late := s.calls()[0].Sub(start) - schedule.offset(eagerStep); late < 0 || late > jitterOf(eagerStep) {
				t.Errorf("%s: the first probe is %v off its share of the first second", tt.name, late)
			}
			time.Sleep(time.Duration(tt.hours)*time.Hour + jitterOf(time.Hour))
			calls := s.calls()
			if late := calls[1].Sub(schedule.slot(time.Hour, calls[0])); late < 0 || late > jitterOf(time.Hour) {
				t.Errorf("%s: the second probe is %v off its slot", tt.name, late)
			}
			if got := targetsOf(e.Status())["a"]; got.Verdict != tt.verdict {
				t.Errorf("%s: after %d probes: %+v", tt.name, len(calls), got)
			}
		})
	}
}

// TestEngineRestoredShort has an interval below a second.
func TestEngineRestoredShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		e := startEngine(t, EngineOptions{Saved: map[string]Saved{"a": {Verdict: Up}}})
		first := make(chan time.Time, 100)
		s := newScript(func(context.Context, *Report) error { first <- time.Now(); return nil })
		target := s.target("a")
		target.Interval = 100 * time.Millisecond
		e.Set([]Target{target})
		if wait := (<-first).Sub(start); wait > target.Interval+jitterOf(target.Interval) {
			t.Errorf("the first probe came after %v", wait)
		}
	})
}
