package healthcheck

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCanaryDead has a canary that does not answer any more, while the targets do: it is no evidence, and is written about once.
func TestCanaryDead(t *testing.T) {
	for _, share := range []int{0, 80, 100} {
		for _, n := range []int{2, 10, 100} {
			synctest.Test(t, func(t *testing.T) {
				f := &field{}
				for i := range n {
					f.add(i, 0, nil)
				}
				f.add(200, 0, func(target *Target, o *origins) { target.Canary = true })
				f.start(t, EngineOptions{}, BlindOptions{Share: share, Targets: 3, Networks: 2})
				time.Sleep(time.Minute)
				f.origins[n].dead.Store(true)
				time.Sleep(time.Minute)
				for i := range 3 {
					f.origins[0].dead.Store(true)
					time.Sleep(17*time.Second + 200*time.Millisecond)
					if !f.isDown(0) || len(lines(f.log, "is blind")) > 0 {
						t.Errorf("share %d, %d targets, time %d: down %v, %q", share, n, i, f.isDown(0), lines(f.log, "is blind"))
					}
					f.origins[0].dead.Store(false)
					time.Sleep(time.Minute)
				}
				f.origins[n].dead.Store(false)
				time.Sleep(20 * time.Second)
				if a, b := len(lines(f.log, "canaries do not answer")), len(lines(f.log, "canaries answer again")); a != 1 || b != 1 {
					t.Errorf("share %d, %d targets: %d and %d lines", share, n, a, b)
				}
			})
		}
	}
}

// TestCanaryAnswers has most targets die while a canary lives: they turn down.
func TestCanaryAnswers(t *testing.T) {
	for _, fall := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 10 {
				f.add(map[bool]int{true: i % 2, false: i}[i < 9], 0, func(target *Target, _ *origins) { target.Fall = fall })
			}
			f.add(20, 0, canary)
			f.add(21, 0, func(target *Target, o *origins) { target.Canary = true; o.dead.Store(true) })
			f.start(t, EngineOptions{}, usual)
			time.Sleep(time.Minute)
			for i := range 10 {
				f.origins[i].dead.Store(true)
			}
			time.Sleep(time.Minute)
			if f.count(Down) != 11 || len(lines(f.log, "blind")) > 0 {
				t.Errorf("fall %d: %d are down, %q", fall, f.count(Down), lines(f.log, "blind"))
			}
		})
	}
}

// TestCanaryStale has a canary fail once, and at once afterwards a target dies: the canary is asked, and the target turns down in time.
func TestCanaryStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 4 {
			f.add(i, 0, func(target *Target, _ *origins) { target.Fall = 2 })
		}
		f.add(200, 0, func(target *Target, o *origins) {
			target.Canary, o.rtt, o.refuses = true, 20*time.Millisecond, true
		})
		f.start(t, EngineOptions{}, usual)
		for round := range 30 {
			time.Sleep(30*time.Second + time.Duration(round)*77*time.Millisecond)
			f.origins[4].dead.Store(true)
			time.Sleep(5 * time.Second)
			f.origins[4].dead.Store(false)
			f.origins[round%4].dead.Store(true)
			time.Sleep(12*time.Second + 200*time.Millisecond)
			if !f.isDown(round % 4) {
				t.Errorf("round %d: blind for %v", round, f.blind())
			}
			f.origins[round%4].dead.Store(false)
		}
	})
}
