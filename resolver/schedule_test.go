package resolver

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPause(t *testing.T) {
	const s = time.Second
	usual := Options{MinTTL: 10 * s, MaxTTL: 5 * time.Minute, Retry: 5 * s}
	for _, tt := range []struct {
		name     string
		o        Options
		ttl      time.Duration
		failures int
		from, to time.Duration
	}{
		{"TTL", usual, 60 * s, 0, 60 * s, 66 * s},
		{"TTL zero", usual, 0, 0, 10 * s, 11 * s},
		{"TTL below the floor", usual, 9 * s, 0, 10 * s, 11 * s},
		{"TTL at the ceiling", usual, 300 * s, 0, 270 * s, 300 * s},
		{"TTL near the ceiling", usual, 299 * s, 0, 270 * s, 300 * s},
		{"TTL above the ceiling", usual, 24 * time.Hour, 0, 270 * s, 300 * s},
		{"no room", Options{MinTTL: 30 * s, MaxTTL: 30 * s, Retry: s}, 60 * s, 0, 30 * s, 30 * s},
		{"first failure", usual, -1, 1, 5 * s, 5500 * time.Millisecond},
		{"second", usual, -1, 2, 10 * s, 11 * s},
		{"third", usual, -1, 3, 20 * s, 22 * s},
		{"fourth", usual, -1, 4, 40 * s, 44 * s},
		{"fifth", usual, -1, 5, 54 * s, 60 * s},
		{"thousandth", usual, -1, 1000, 54 * s, 60 * s},
		{"short ceiling", Options{MinTTL: s, MaxTTL: 8 * s, Retry: 5 * s}, -1, 9, 7200 * time.Millisecond, 8 * s},
		{"long retry", Options{MinTTL: s, MaxTTL: 8 * s, Retry: time.Hour}, -1, 9, time.Hour, time.Hour},
		{"in part", usual, 60 * s, 1, 5 * s, 5500 * time.Millisecond},
		{"in part, for long", usual, 30 * s, 9, 30 * s, 33 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			least, most := time.Duration(1<<62), time.Duration(0)
			for range 1000 {
				d := pause(&tt.o, tt.ttl, tt.failures)
				least, most = min(least, d), max(most, d)
			}
			if least < tt.from || most > tt.to {
				t.Errorf("from %v to %v, want %v to %v", least, most, tt.from, tt.to)
			}
			if tt.to > tt.from && most-least < (tt.to-tt.from)/2 {
				t.Errorf("from %v to %v: there is no jitter", least, most)
			}
		})
	}
}

// TestPauseWithinBounds: whatever the options, no name is asked for sooner or later than they say.
func TestPauseWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		second := func(label string, from, to int) time.Duration {
			return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * time.Second
		}
		o := Options{MinTTL: second("min_ttl", 1, 86400), Retry: second("retry", 1, 3600)}
		o.MaxTTL = o.MinTTL + second("more", 0, 604800)
		ttl := second("ttl", 0, 1<<31-1)
		if d := pause(&o, ttl, 0); d < o.MinTTL || d > o.MaxTTL {
			t.Errorf("good: %v", d)
		}
		n := rapid.IntRange(1, 1<<30).Draw(t, "failures")
		if d := pause(&o, -1, n); d < o.Retry || d > max(o.Retry, min(o.MaxTTL, time.Minute)) {
			t.Errorf("failed: %v", d)
		}
	})
}
