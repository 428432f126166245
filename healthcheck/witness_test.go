package healthcheck

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestWitnessMixed has a data center of frequently probed targets die, among many healthy ones that are probed rarely: what is known
// of the last seconds is of the dead ones, and the witnesses tell better.
func TestWitnessMixed(t *testing.T) {
	for _, tt := range []struct {
		fast, slow int
		every      time.Duration
	}{{24, 200, time.Minute}, {40, 400, 5 * time.Minute}, {100, 500, 5 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range tt.fast {
				f.add(i%3, 0, func(target *Target, _ *origins) {
					target.Interval, target.Timeout, target.Fall = time.Second, 500*time.Millisecond, 2
				})
			}
			for i := range tt.slow {
				f.add(100+i, 0, func(target *Target, _ *origins) { target.Interval = tt.every })
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(6 * time.Minute)
			for i := range tt.fast {
				f.origins[i].dead.Store(true)
			}
			time.Sleep(10 * time.Second)
			if f.count(Down) != tt.fast || len(lines(f.log, "is blind")) > 0 {
				t.Errorf("%d of %d: %d are down, %q", tt.fast, tt.fast+tt.slow, f.count(Down), lines(f.log, "is blind"))
			}
			time.Sleep(2 * time.Minute)
			if f.count(Down) != tt.fast || len(lines(f.log, "is blind")) > 0 {
				t.Errorf("%d of %d: %d are down later, %q", tt.fast, tt.fast+tt.slow, f.count(Down), lines(f.log, "is blind"))
			}
		})
	}
}

// TestWitnessBriefCut cuts the uplink for less than a round, again and again: when the witnesses are asked it is back, and nothing
// turns.
func TestWitnessBriefCut(t *testing.T) {
	for _, fall := range []int{1, 2, 3} {
		for _, length := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 4 * time.Second, 6 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				f := &field{}
				for i := range 40 {
					f.add(i, 0, func(target *Target, o *origins) { target.Fall = fall })
				}
				f.start(t, EngineOptions{}, usual)
				time.Sleep(time.Minute)
				for round := range 20 {
					time.Sleep(16*time.Second + time.Duration(round)*77*time.Millisecond)
					f.cut[0].Store(true)
					time.Sleep(length)
					f.cut[0].Store(false)
				}
				time.Sleep(20 * time.Second)
				if found := lines(f.log, "to=down"); len(found) > 0 || f.count(Up) != 40 {
					t.Errorf("fall %d, cuts of %v: %d are up, turns: %q", fall, length, f.count(Up), found[:min(len(found), 1)])
				}
			})
		}
	}
}

// TestWitnessSlow has witnesses that take long to answer: the turn does not wait for them longer than its own timeout.
func TestWitnessSlow(t *testing.T) {
	for _, slow := range []time.Duration{2400 * time.Millisecond, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			f.add(0, 0, func(target *Target, o *origins) { target.Timeout, target.Fall, o.refuses = time.Second, 2, false })
			for i := range 6 {
				f.add(1+i, 0, func(target *Target, o *origins) {
					o.rtt, target.Interval, target.Timeout = slow, 3*slow, 2*slow+200*time.Millisecond
				})
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(time.Hour)
			f.origins[0].dead.Store(true)
			time.Sleep(2*5*time.Second + time.Second + jitterOf(5*time.Second) + 2*(time.Second+grace))
			if !f.isDown(0) {
				t.Errorf("witnesses take %v: not down", slow)
			}
		})
	}
}

// TestWitnessSilent cuts the uplink where all but the targets that fail first have longer timeouts: that they are silent for much longer
// than they take tells enough.
func TestWitnessSilent(t *testing.T) {
	for moment := range 10 {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			f.add(0, 0, func(target *Target, o *origins) {
				target.Interval, target.Timeout, target.Fall = time.Second, 500*time.Millisecond, 1
			})
			for i := range 5 {
				f.add(1+i, 0, func(target *Target, o *origins) { target.Interval, target.Timeout = time.Minute, 30*time.Second })
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(5*time.Minute + time.Duration(moment)*131*time.Millisecond)
			f.cut[0].Store(true)
			f.never(t, 5*time.Minute, "cut")
			if got := f.blind(); len(got) != 1 {
				t.Errorf("blind for %v", got)
			}
			f.cut[0].Store(false)
			f.never(t, time.Minute, "whole again")
			if got := f.blind(); len(got) > 0 {
				t.Errorf("blind for %v at last", got)
			}
		})
	}
}

// TestWitnessDoesNotCount has a target that fails four times of five, beside one that flaps, for which it is asked all the time: it is
// down for as much of the time as without.
func TestWitnessDoesNotCount(t *testing.T) {
	down := map[bool]int{}
	for _, neighbour := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			f := &field{}
			for i := range 4 {
				f.add(i, 0, func(target *Target, o *origins) {
					target.Interval, target.Timeout, o.refuses = 15*time.Second, 5*time.Second, true
					if i == 0 {
						target.Interval, target.Timeout, target.Fall = time.Second, time.Second, 1
					}
					if i == 1 {
						target.Probe = func(context.Context, *Report) error {
							if r.IntN(10) < 8 {
								return errors.New("HTTP 503")
							}
							return nil
						}
					}
				})
			}
			f.start(t, EngineOptions{}, usual)
			for i := range 3600 {
				f.origins[0].dead.Store(neighbour && i%4 < 2)
				time.Sleep(time.Second)
				if f.isDown(1) {
					down[neighbour]++
				}
			}
			if n := f.engine.Status().Of(f.origins[1].id); n.GoodTotal+n.BadTotal > 3600/15+60 {
				t.Errorf("%d results count", n.GoodTotal+n.BadTotal)
			}
		})
	}
	if down[true] < down[false]/2 {
		t.Errorf("down for %d s of an hour, and %d s beside one that flaps", down[false], down[true])
	}
}

// TestWitnessOwnResult has just as many targets as are wanted, one of which is asked nothing else than its own result.
func TestWitnessOwnResult(t *testing.T) {
	for moment := range 20 {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 3 {
				f.add(i, 0, func(target *Target, o *origins) { target.Fall, o.refuses = 1+i%2, true })
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(time.Minute + time.Duration(moment)*333*time.Millisecond)
			for i := range 3 {
				f.origins[i].dead.Store(true)
			}
			f.never(t, time.Minute, "all fail at once")
		})
	}
}

// TestSightSums changes targets, options, uplinks and origins at random: what is counted on the way is what a count finds, and in
// the end all is as it should be.
func TestSightSums(t *testing.T) {
	for seed := range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			f := &field{}
			for i := range 30 {
				f.add(i/2, i%2, func(target *Target, o *origins) {
					target.Fall = 1 + r.IntN(2)
					target.Interval = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second}[r.IntN(3)]
					target.Timeout = target.Interval / 2
					target.Canary = r.IntN(10) == 0
					if r.IntN(8) == 0 {
						target.Protocol = Push
					}
				})
			}
			f.start(t, EngineOptions{}, usual)
			for range 400 {
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
				f.disturb(r)
				f.engine.sight.checkSums(t)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			f.cut[0].Store(false)
			f.cut[1].Store(false)
			f.engine.SetBlind(usual)
			for i := range f.targets {
				f.targets[i].Canary, f.targets[i].Protocol = false, HTTP
				f.origins[i].dead.Store(i < 4)
			}
			f.engine.Set(f.targets)
			time.Sleep(time.Minute)
			if f.count(Down) != 4 || f.count(Up) != 26 || len(f.engine.Status().Blind) > 0 {
				t.Errorf("seed %d: %d are down, %d up, blind for %v", seed, f.count(Down), f.count(Up), f.blind())
			}
		})
	}
}

// disturb changes something of the field.
func (f *field) disturb(r *rand.Rand) {
	switch r.IntN(6) {
	case 0:
		f.cut[r.IntN(2)].Store(r.IntN(2) == 0)
	case 1:
		f.origins[r.IntN(30)].dead.Store(r.IntN(2) == 0)
	case 2:
		var some []Target
		for _, one := range f.targets {
			if r.IntN(4) > 0 {
				if r.IntN(9) == 0 {
					one.Canary = !one.Canary
				}
				some = append(some, one)
			}
		}
		f.engine.Set(some)
	case 3:
		f.engine.SetBlind(BlindOptions{Share: []int{0, 50, 80, 100}[r.IntN(4)], Targets: r.IntN(5), Networks: r.IntN(4)})
	case 4:
		f.engine.Hurry(f.targets[r.IntN(30)].ID)
	}
}

// checkSums counts again what is counted on the way.
func (s *sight) checkSums(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.families {
		f := &s.families[i]
		standing, failing, passing := 0, 0, 0
		networks, failed := map[uint64]bool{}, map[uint64]bool{}
		for j := range f.seats {
			one := &f.seats[j]
			if one.w.seat != j || one.w.family != f || one.standing != (one.w.machine.visible() != Down) {
				t.Errorf("%s: seat %d is %+v", f.name, j, one)
			}
			if !one.standing || one.w.hearsay {
				continue
			}
			standing++
			networks[one.w.network] = true
			if z := f.frozen; z != nil && one.at >= 0 && one.at >= z.from {
				if one.bad {
					failing++
					failed[one.w.network] = true
				} else {
					passing++
				}
			}
		}
		if standing != f.standing || len(networks) != len(f.networks) {
			t.Errorf("%s: %d stand in %d networks, counted %d in %d", f.name, standing, len(networks), f.standing, len(f.networks))
		}
		if z := f.frozen; z != nil && (failing != z.failing || passing != z.passing || len(failed) != len(z.networks) || !s.holds(f)) {
			t.Errorf("%s: %d fail and %d pass in %d networks, counted %d, %d, %d; it holds: %v",
				f.name, failing, passing, len(failed), z.failing, z.passing, len(z.networks), s.holds(f))
		}
		if q := f.inquiry; q != nil && (q.awaited < 0 || f.frozen != nil || slices.Contains(q.subjects, nil)) {
			t.Errorf("%s: %+v", f.name, q)
		}
	}
}
