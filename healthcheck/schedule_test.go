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
		if got := s.next(tt.last, tt.eager, interval, tt.now); got != tt.want {
			t.Errorf("%s:\n got %v\nwant %v", tt.name, got, tt.want)
		}
	}
	if got := s.next(plan{}, true, 100*time.Millisecond, at(0)); got != (plan{at(0.05), 100 * time.Millisecond, false}) {
		t.Errorf("eager with a short interval: %v", got)
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
