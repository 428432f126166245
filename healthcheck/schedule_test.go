package healthcheck

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testEpoch = time.Unix(1_000_000, 0)

// TestScheduleNext uses a target whose place is 4.25 s into any interval that is longer, and 0.25 s into a second.
func TestScheduleNext(t *testing.T) {
	at := func(seconds float64) time.Time { return testEpoch.Add(time.Duration(seconds * float64(time.Second))) }
	s := schedule{epoch: testEpoch, hash: uint64(4250 * time.Millisecond)}
	const interval = 15 * time.Second
	for _, tt := range []struct {
		name  string
		last  plan
		eager bool
		now   time.Time
		want  plan
	}{
		{"eager first", plan{}, true, at(100), plan{at(100.25), time.Second, false}},
		{"eager second", plan{at(100.25), time.Second, false}, true, at(100.3), plan{at(101.25), time.Second, false}},
		{"eager after a slow probe", plan{at(100.25), time.Second, false}, true, at(105), plan{at(105), time.Second, false}},
		{"from eager to the grid", plan{at(100.25), time.Second, false}, false, at(100.3), plan{at(109.25), interval, true}},
		{"not planned yet, before its first slot", plan{}, false, at(1), plan{at(4.25), interval, true}},
		{"not planned yet, at its slot", plan{}, false, at(4.25), plan{at(19.25), interval, true}},
		{"on the grid", plan{at(4.25), interval, true}, false, at(6), plan{at(19.25), interval, true}},
		{"a probe as long as its interval", plan{at(4.25), interval, true}, false, at(19.3), plan{at(19.25), interval, true}},
		{"late by an interval", plan{at(4.25), interval, true}, false, at(34.25), plan{at(19.25), interval, true}},
		{"late by more", plan{at(4.25), interval, true}, false, at(34.26), plan{at(49.25), interval, true}},
		{"another interval", plan{at(4.25), time.Minute, true}, false, at(6), plan{at(19.25), interval, true}},
	} {
		step, grid := pace(&Target{Interval: interval}, eagerness(tt.eager), true)
		if got := s.next(tt.last, step, grid, tt.now); got != tt.want {
			t.Errorf("%s:\n got %v\nwant %v", tt.name, got, tt.want)
		}
	}
	step, grid := pace(&Target{Interval: 100 * time.Millisecond}, eagerStep, false)
	if got := s.next(plan{}, step, grid, at(0)); got != (plan{at(0.05), 100 * time.Millisecond, false}) {
		t.Errorf("eager with a short interval: %v", got)
	}
}

// eagerness is the pace of those that are eager, when they are few.
func eagerness(eager bool) time.Duration {
	if eager {
		return eagerStep
	}
	return 0
}

// TestPaceOf has the eager ask for 10,000 probes a second at most.
func TestPaceOf(t *testing.T) {
	for _, tt := range []struct {
		eager int64
		want  time.Duration
	}{{0, time.Second}, {10_000, time.Second}, {15_000, 1500 * time.Millisecond}, {100_000, 10 * time.Second}} {
		if got := paceOf(tt.eager); got != tt.want {
			t.Errorf("%d: %v, want %v", tt.eager, got, tt.want)
		}
	}
}

// TestPace has an interval of 15 s.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name          string
		fast          time.Duration
		eager, streak bool
		step          time.Duration
		grid          bool
	}{
		{"the interval", 0, false, false, 15 * time.Second, true},
		{"a streak", 0, false, true, 15 * time.Second, true},
		{"a fast streak", 2 * time.Second, false, true, 2 * time.Second, false},
		{"fast, no streak", 2 * time.Second, false, false, 15 * time.Second, true},
		{"fast is slower", time.Minute, false, true, 15 * time.Second, true},
		{"eager", 0, true, false, time.Second, false},
		{"eager is faster", 2 * time.Second, true, true, time.Second, false},
		{"fast is faster", 200 * time.Millisecond, true, true, 200 * time.Millisecond, false},
	} {
		target := &Target{Interval: 15 * time.Second, FastInterval: tt.fast}
		if step, grid := pace(target, eagerness(tt.eager), tt.streak); step != tt.step || grid != tt.grid {
			t.Errorf("%s: %v, %v", tt.name, step, grid)
		}
	}
}

func TestScheduleSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "interval"))
		now := testEpoch.Add(time.Duration(rapid.Int64Range(0, int64(72*time.Hour)).Draw(t, "now")))
		s := newSchedule(rapid.String().Draw(t, "id"), testEpoch)
		slot := s.slot(interval, now)
		if wait := slot.Sub(now); wait <= 0 || wait > interval {
			t.Fatalf("the next slot is %v away, the interval is %v", wait, interval)
		}
		if off := slot.Sub(testEpoch.Add(s.offset(interval))); off%interval != 0 {
			t.Fatalf("the slot is %v off the grid", off%interval)
		}
	})
}

// TestScheduleSpreads holds the number of targets in each hundredth of the interval against what chance allows:
// of 10,000 targets 100 each, with a deviation of 10.
func TestScheduleSpreads(t *testing.T) {
	var counts [100]int
	for i := range 10_000 {
		offset := newSchedule(fmt.Sprintf("192.0.2.%d/web", i), testEpoch).offset(time.Second)
		counts[offset/(10*time.Millisecond)]++
	}
	for i, n := range counts {
		if n < 50 || n > 150 {
			t.Errorf("%d of 10,000 targets in slot %d of 100", n, i)
		}
	}
}

// TestPlanStart holds starts against what they have to be: within the jitter and, where there is one, at a tick.
func TestPlanStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan{
			at:   testEpoch.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(time.Hour)).Draw(t, "at"))),
			step: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "step")),
		}
		tick := time.Duration(rapid.Int64Range(0, int64(maxTick)).Draw(t, "tick"))
		start, most := p.start(testEpoch, tick), min(p.step/50, maxJitter)
		if late := start.Sub(p.at); late < 0 || late > most {
			t.Fatalf("%v late, at most %v is right", late, most)
		}
		if tick > 0 && most >= tick && start.Sub(testEpoch)%tick != 0 {
			t.Fatalf("%v is no multiple of %v", start.Sub(testEpoch), tick)
		}
	})
}

func TestTickOf(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		want time.Duration
	}{{0, maxTick}, {1000, maxTick}, {1600, maxTick}, {10_000, 800 * time.Microsecond}} {
		if got := tickOf(tt.rate); got != tt.want {
			t.Errorf("%v probes a second: %v, want %v", tt.rate, got, tt.want)
		}
	}
}

func TestJitter(t *testing.T) {
	for _, tt := range []struct{ step, most time.Duration }{
		{100 * time.Millisecond, 2 * time.Millisecond}, {time.Hour, 50 * time.Millisecond}, {1, 0},
	} {
		var highest time.Duration
		for range 10_000 {
			j := jitter(tt.step)
			if j < 0 || j > tt.most {
				t.Fatalf("jitter(%v) = %v, at most %v is right", tt.step, j, tt.most)
			}
			highest = max(highest, j)
		}
		if highest < tt.most/2 {
			t.Errorf("jitter(%v) never came above %v", tt.step, highest)
		}
	}
}
