package healthcheck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestEarliest lets targets of many kinds fail at random, with probes that take a while and one that is called for now and then: none
// turns before a moment that was said to be the earliest.
func TestEarliest(t *testing.T) {
	turns, said := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		target := *drawTarget(rt)
		target.ID, target.Protocol = "a", HTTP
		target.Interval = time.Duration(rapid.IntRange(1, 60).Draw(rt, "interval")) * time.Second
		target.Timeout = min(target.Interval, 5*time.Second)
		target.FastInterval = time.Duration(rapid.IntRange(0, 20).Draw(rt, "fast")) * time.Second / 2
		target.Flap.Within *= 10
		seed := rapid.Uint64().Draw(rt, "seed")
		slow := rapid.Bool().Draw(rt, "slow")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			s := earlySim{target: target, random: rand.New(rand.NewPCG(seed, 1)), slow: slow}
			wrong = s.run(t)
			turns, said = turns+s.turns, said+s.said
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
	if turns < 1000 || said < turns {
		t.Errorf("%d turns, and %d times it was said when", turns, said)
	}
}

// earlySim is one run of TestEarliest.
type earlySim struct {
	target      Target
	random      *rand.Rand // Of the probe, that of the engine's target only.
	slow        bool
	turns, said int
}

// run returns what was wrong.
func (s *earlySim) run(t *testing.T) string {
	e := startEngine(t, EngineOptions{})
	defer e.Close()
	chance := 50
	s.target.Probe = func(ctx context.Context, _ *Report) error {
		if s.random.IntN(8) == 0 {
			chance = []int{0, 20, 50, 80, 100}[s.random.IntN(5)]
		}
		if s.slow {
			time.Sleep(time.Duration(s.random.Int64N(int64(s.target.Timeout) - 1)))
		}
		if s.random.IntN(100) < chance {
			return refusing(ctx, nil)
		}
		return nil
	}
	e.Set([]Target{s.target})
	end := time.After(150 * s.target.Interval)
	called := time.NewTicker(41*s.target.Interval + s.target.Interval/3)
	defer called.Stop()
	last := e.Status().Of("a")
	var earliest, at time.Time // The latest that was said since the last turn, and when.
	for {
		select {
		case <-end:
			return ""
		case <-called.C:
			if earliest.IsZero() { // One call is expected, a series is not.
				e.Hurry("a")
			}
		case <-e.Changed():
		}
		synctest.Wait()
		now, got := time.Now(), e.Status().Of("a")
		if got.Verdict != last.Verdict {
			s.turns++
			if earliest.After(now) {
				return fmt.Sprintf("at %v it was to turn at %v at the earliest, and turned at %v: from %+v", at, earliest, now, last)
			}
			earliest = time.Time{}
		}
		switch {
		case got.Earliest.IsZero():
			earliest = time.Time{}
		case got.Earliest.After(earliest):
			s.said++
			earliest, at = got.Earliest, now
		}
		last = got
	}
}

// TestEarliestUpdate changes what a turn takes while a streak is open: it is known at once when it could turn now.
func TestEarliestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		s := newScript(nil)
		target := s.target("a")
		target.Interval, target.Fall = time.Hour, 5
		e.Set([]Target{target})
		time.Sleep(3 * time.Hour)
		s.set(refusing)
		s.await(1)
		got := e.Status().Of("a")
		if want := got.LastProbe.Add(3 * (time.Hour - maxJitter)); !got.Earliest.Equal(want) {
			t.Errorf("it could turn at %v, want %v", got.Earliest, want)
		}
		target.Interval = time.Minute
		e.Set([]Target{target})
		if got := e.Status().Of("a"); got.Earliest.After(time.Now().Add(3 * time.Minute)) {
			t.Errorf("every minute: it could turn at %v, now is %v", got.Earliest, time.Now())
		}
		target.Fall = 2
		e.Set([]Target{target})
		if got := e.Status().Of("a"); got.Earliest.After(time.Now()) {
			t.Errorf("with the next result: it could turn at %v, now is %v", got.Earliest, time.Now())
		}
	})
}
