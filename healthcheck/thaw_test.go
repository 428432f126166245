package healthcheck

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// isDown reports whether the target of an origin is down.
func (f *field) isDown(i int) bool { return f.engine.Status().Of(f.origins[i].id).Verdict == Down }

// blind returns the families that are frozen.
func (f *field) blind() (families []string) {
	for _, b := range f.engine.Status().Blind {
		families = append(families, b.Family)
	}
	return families
}

// canary makes a target one.
func canary(target *Target, _ *origins) { target.Canary = true }

// TestThawTogether has both families frozen together: 2 targets of IPv4 really die meanwhile, and IPv6 is back.
func TestThawTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 12 {
			f.add(i, min(i/2, 1), nil)
		}
		f.start(t, EngineOptions{}, usual)
		time.Sleep(time.Minute)
		f.cut[0].Store(true)
		f.cut[1].Store(true)
		f.never(t, time.Minute, "both are cut")
		if got := f.blind(); len(got) != 2 {
			t.Fatalf("blind for %v", got)
		}
		f.origins[0].dead.Store(true)
		f.origins[1].dead.Store(true)
		f.cut[0].Store(false)
		f.cut[1].Store(false)
		time.Sleep(time.Minute)
		if got := f.blind(); len(got) > 0 || f.count(Down) != 2 {
			t.Errorf("blind for %v, %d are down", got, f.count(Down))
		}
	})
}

// TestThawOther has two targets of each family, which only together are enough, and a canary of one of them that answers again: then
// what is left of the other cannot freeze, and in the same moment it is not.
func TestThawOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 4 {
			f.add(i, i/2, func(target *Target, _ *origins) { target.Fall = 1 + 8*(i/2) })
		}
		f.add(10, 1, canary)
		f.start(t, EngineOptions{}, usual)
		time.Sleep(time.Minute)
		f.cut[0].Store(true)
		f.cut[1].Store(true)
		time.Sleep(20 * time.Second)
		if got := f.blind(); len(got) != 2 {
			t.Fatalf("blind for %v", got)
		}
		f.origins[2].dead.Store(true)
		f.origins[3].dead.Store(true)
		f.cut[1].Store(false)
		for len(f.blind()) == 2 {
			<-f.engine.Changed()
			synctest.Wait()
		}
		if got := f.blind(); len(got) > 0 {
			t.Errorf("blind for %v", got)
		}
	})
}

// TestThawCanary has a canary answer again, while most of the few targets are dead.
func TestThawCanary(t *testing.T) {
	for _, share := range []int{0, 80} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 5 {
				f.add(i/4, 0, nil)
			}
			f.add(10, 0, canary)
			f.add(11, 0, canary)
			f.start(t, EngineOptions{}, BlindOptions{Share: share, Targets: 3, Networks: 2})
			time.Sleep(time.Minute)
			f.cut[0].Store(true)
			time.Sleep(time.Minute)
			if got := f.blind(); len(got) != 1 || f.count(Up) != 5 {
				t.Fatalf("blind for %v, %d are up", got, f.count(Up))
			}
			for i := range 5 {
				f.origins[i].dead.Store(true)
			}
			f.origins[6].dead.Store(true) // One canary of two.
			f.cut[0].Store(false)
			time.Sleep(time.Minute)
			if got := f.blind(); len(got) > 0 || f.count(Down) != 6 {
				t.Errorf("share %d: blind for %v, %d are down", share, got, f.count(Down))
			}
		})
	}
}

// TestThawSet changes targets and options while frozen, so that what is left could not freeze.
func TestThawSet(t *testing.T) {
	for _, tt := range []struct {
		name     string
		canaries int
		options  BlindOptions
		change   func(*field)
	}{
		{"targets are removed", 0, usual, func(f *field) { f.engine.Set(f.targets[:1]) }},
		{"more targets are wanted", 0, usual, func(f *field) { f.engine.SetBlind(BlindOptions{Share: 80, Targets: 100, Networks: 2}) }},
		{"more networks are wanted", 0, usual, func(f *field) { f.engine.SetBlind(BlindOptions{Share: 80, Targets: 3, Networks: 20}) }},
		{"only canaries tell", 0, usual, func(f *field) { f.engine.SetBlind(BlindOptions{Targets: 3, Networks: 2}) }},
		{"the canary is removed", 1, BlindOptions{Targets: 3, Networks: 2}, func(f *field) { f.engine.Set(f.targets[:6]) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 6 {
				f.add(i, 0, nil)
			}
			for i := range tt.canaries {
				f.add(20+i, 0, canary)
			}
			f.start(t, EngineOptions{}, tt.options)
			time.Sleep(time.Minute)
			f.cut[0].Store(true)
			time.Sleep(time.Minute)
			if got := f.blind(); len(got) != 1 || f.count(Up) != 6 {
				t.Fatalf("%s: blind for %v before, %d are up", tt.name, got, f.count(Up))
			}
			tt.change(f)
			if got := f.blind(); len(got) > 0 {
				t.Errorf("%s: blind for %v at once", tt.name, got)
			}
			time.Sleep(time.Minute)
			if got := f.blind(); len(got) > 0 || !f.isDown(0) {
				t.Errorf("%s: blind for %v after it", tt.name, got)
			}
		})
	}
}

// TestThawSoon has targets of which most are probed once an hour: the end of a cut is known within seconds all the same, and so it
// is of a large field.
func TestThawSoon(t *testing.T) {
	for _, tt := range []struct {
		fast, slow int
		every, cut time.Duration
	}{{2, 20, time.Hour, 10 * time.Second}, {2, 1, time.Hour, 10 * time.Second}, {2, 1000, 10 * time.Minute, 11 * time.Minute}} {
		for moment := range 3 {
			synctest.Test(t, func(t *testing.T) {
				f := &field{}
				for i := range tt.fast {
					f.add(i, 0, func(target *Target, _ *origins) {
						target.Interval, target.Timeout, target.Fall = time.Second, 500*time.Millisecond, 2
					})
				}
				for i := range tt.slow {
					f.add(1000+i, 0, func(target *Target, _ *origins) { target.Interval = tt.every })
				}
				f.start(t, EngineOptions{}, usual)
				time.Sleep(tt.every + time.Minute + time.Duration(moment)*777*time.Millisecond)
				f.cut[0].Store(true)
				f.never(t, tt.cut, "cut")
				if got := f.blind(); len(got) != 1 {
					t.Fatalf("blind for %v", got)
				}
				f.cut[0].Store(false)
				f.never(t, 10*time.Second, "whole again")
				if got := f.blind(); len(got) > 0 {
					t.Errorf("%d and %d: 10 s after the end blind for %v", tt.fast, tt.slow, got)
				}
			})
		}
	}
}

// TestThawSums has freezing take back what fell in the round before, and most die really: what is counted twice would hold the rest.
func TestThawSums(t *testing.T) {
	cases := 0
	for moment := range 6 {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 40 {
				f.add(i, 0, func(target *Target, o *origins) { target.Fall, o.local = 1, i < 6 })
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(time.Minute + time.Duration(moment)*333*time.Millisecond)
			f.cut[0].Store(true)
			time.Sleep(20 * time.Second)
			f.engine.sight.mu.Lock()
			z := f.engine.sight.families[0].frozen
			sum := 0
			if z != nil {
				sum = z.failing + z.passing
			}
			f.engine.sight.mu.Unlock()
			if z == nil { // Enough of the few that live happened to be asked.
				return
			}
			if cases++; sum > 40 {
				t.Errorf("%d results of 40 targets", sum)
			}
			for i := 9; i < 40; i++ { // 77.5 %
				f.origins[i].dead.Store(true)
			}
			f.cut[0].Store(false)
			time.Sleep(time.Minute)
			if got := f.blind(); len(got) > 0 || f.count(Down) != 31 {
				t.Errorf("blind for %v, %d are down", got, f.count(Down))
			}
		})
	}
	if cases == 0 {
		t.Error("it was never blind")
	}
}

// TestFreezeOldFall has targets of a short interval die one after the other, and one of a long interval later: the old ones stay
// down, and nobody is blind.
func TestFreezeOldFall(t *testing.T) {
	for moment := range 4 {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 10 {
				f.add(i, 0, nil)
			}
			f.add(20, 0, nil)
			f.add(21, 0, nil)
			f.add(22, 0, func(target *Target, _ *origins) { target.Interval, target.Fall = time.Hour, 1 })
			f.start(t, EngineOptions{}, usual)
			time.Sleep(2*time.Hour + time.Duration(moment)*10*time.Minute)
			for i := range 10 {
				f.origins[i].dead.Store(true)
				time.Sleep(time.Minute)
			}
			time.Sleep(20 * time.Minute)
			f.origins[12].dead.Store(true)
			time.Sleep(time.Hour + time.Minute)
			if n := len(lines(f.log, "taken back")); n > 0 || f.count(Down) != 11 {
				t.Errorf("%d turns are taken back, %d are down", n, f.count(Down))
			}
		})
	}
}

// TestFreezeUnknown has targets without a verdict while this prober is blind: they are probed at their interval, beside the samples
// that tell when it sees again, and soon after that.
func TestFreezeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 20 {
			f.add(i, 0, func(target *Target, _ *origins) { target.Interval, target.Timeout = time.Minute, 500*time.Millisecond })
		}
		f.cut[0].Store(true)
		f.start(t, EngineOptions{}, usual)
		time.Sleep(time.Minute)
		probes := func() uint64 {
			n := uint64(0)
			for _, one := range f.engine.Status().All() {
				n += one.BadTotal
			}
			return n
		}
		before := probes()
		time.Sleep(time.Hour)
		if n := probes() - before; n < 20*58 || n > 20*62 || len(f.blind()) != 1 {
			t.Errorf("%d results that count of 20 targets with an interval of 1m in an hour, blind for %v", n, f.blind())
		}
		f.cut[0].Store(false)
		time.Sleep(15 * time.Second)
		if f.count(Up) != 20 {
			t.Errorf("%d are up soon after it", f.count(Up))
		}
	})
}

// TestFreezeHearsay has many push targets fall silent, and one of the few others die: that most fail tells nothing then.
func TestFreezeHearsay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 20 {
			f.add(i, 0, func(target *Target, o *origins) { target.Protocol, o.refuses = Push, true })
		}
		for i := range 3 {
			f.add(30+i, 0, nil)
		}
		f.start(t, EngineOptions{}, usual)
		time.Sleep(time.Minute)
		for i := range 21 {
			f.origins[i].dead.Store(true)
		}
		time.Sleep(time.Minute)
		if found := lines(f.log, "is blind"); len(found) > 0 || f.count(Down) != 21 {
			t.Errorf("%d are down, %q", f.count(Down), found)
		}
	})
}

// TestFreezePush has push targets: alone they prove nothing, and among others they are held with them.
func TestFreezePush(t *testing.T) {
	for _, others := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 5 {
				f.add(i, 0, func(target *Target, o *origins) { target.Protocol, target.Fall, o.refuses = Push, 2, true })
			}
			for i := range others {
				f.add(10+i, 0, func(target *Target, o *origins) { target.Fall = 2 })
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(time.Minute)
			f.cut[0].Store(true)
			time.Sleep(time.Minute)
			if want := map[int]int{0: 5, 5: 0}[others]; f.count(Down) != want {
				t.Errorf("beside %d others: %d are down, want %d", others, f.count(Down), want)
			}
			f.cut[0].Store(false)
			time.Sleep(time.Minute)
			if len(f.blind()) > 0 || f.count(Up) != 5+others {
				t.Errorf("beside %d others: blind for %v, %d are up\n%s", others, f.blind(), f.count(Up), strings.Join(lines(f.log, "prober"), "\n"))
			}
			f.origins[0].dead.Store(true)
			time.Sleep(20 * time.Second)
			if !f.isDown(0) || f.count(Down) != 1 {
				t.Errorf("beside %d others: one died, %d are down", others, f.count(Down))
			}
		})
	}
}
