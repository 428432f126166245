package healthcheck

import (
	"testing"
	"time"
)

// TestPulse: a clock that jumps between two beats is a process that did not run.
func TestPulse(t *testing.T) {
	start := time.Unix(1000, 0)
	now := start
	p := newPulse(func() time.Time { return now })
	after := func(d time.Duration) time.Time { return start.Add(d) }
	for range 10 {
		now = now.Add(beat)
		p.beat()
	}
	if p.skippedIn(start, now) {
		t.Error("regular beats are a gap")
	}
	// Late, as on a busy machine, and then stopped for 700 ms: from 1.2 s to 1.9 s.
	now = after(1200 * time.Millisecond)
	p.beat()
	now = after(1900 * time.Millisecond)
	for _, row := range []struct {
		from, to time.Duration
		want     bool
	}{
		{0, time.Second, false},
		{0, 1200 * time.Millisecond, false},
		{1100 * time.Millisecond, 1300 * time.Millisecond, true},
		{1300 * time.Millisecond, 1400 * time.Millisecond, true},
		{1800 * time.Millisecond, 1900 * time.Millisecond, true},
		{1900 * time.Millisecond, 1950 * time.Millisecond, false},
	} {
		if got := p.skippedIn(after(row.from), after(row.to)); got != row.want {
			t.Errorf("from %v to %v: %t, want %t", row.from, row.to, got, row.want)
		}
	}
	// Many gaps: the oldest are forgotten.
	for range maxGaps {
		now = now.Add(time.Second)
		p.beat()
	}
	if len(p.gaps) != maxGaps || p.skippedIn(start, after(1900*time.Millisecond)) || !p.skippedIn(now.Add(-beat), now) {
		t.Errorf("%d gaps: %v", len(p.gaps), p.gaps)
	}
}
