package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// field is a number of origins behind one uplink, and an engine that probes them.
type field struct {
	engine  *Engine
	log     *written
	cut     [2]atomic.Bool // The uplinks of IPv4 and IPv6.
	origins []*origins
	targets []Target
}

// origins is one of them.
type origins struct {
	id      string
	v6      int
	rtt     time.Duration
	refuses bool // When dead; else it is silent.
	dead    atomic.Bool
	local   bool // It is on this side of the uplink.
}

// probe is what a real one is: an answer comes if the origin lives when the question arrives, and the uplink is whole
// until the answer is here.
func (f *field) probe(o *origins) Probe {
	return func(ctx context.Context, _ *Report) error {
		time.Sleep(o.rtt / 2)
		dead := o.dead.Load()
		time.Sleep(o.rtt - o.rtt/2)
		switch {
		case f.cut[o.v6].Load() && !o.local, dead && !o.refuses:
			<-ctx.Done()
			return ctx.Err()
		case dead:
			return errors.New("connect: connection refused")
		}
		return nil
	}
}

// add puts one target on the field; its address is in the network of that number.
func (f *field) add(network, v6 int, change func(*Target, *origins)) {
	n := len(f.origins)
	address := netip.AddrFrom4([4]byte{10, byte(network >> 8), byte(network), byte(n%250 + 1)})
	if v6 == 1 {
		address = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", network, n+1))
	}
	o := &origins{id: fmt.Sprintf("%v/%d", address, n), v6: v6, rtt: time.Duration(n%40+1) * time.Millisecond, refuses: n%2 == 0}
	target := Target{
		ID: o.id, Protocol: HTTP, Address: address, Probe: f.probe(o),
		Interval: 5 * time.Second, Timeout: 2 * time.Second, Fall: 3, Rise: 1,
	}
	if change != nil {
		change(&target, o)
	}
	f.origins, f.targets = append(f.origins, o), append(f.targets, target)
}

func (f *field) start(t *testing.T, o EngineOptions, b BlindOptions) {
	o.Logger, f.log = plainLog()
	f.engine = startEngine(t, o)
	f.engine.SetBlind(b)
	f.engine.Set(f.targets)
}

// count returns how many targets have the verdict.
func (f *field) count(v Verdict) (n int) {
	for _, t := range targetsOf(f.engine.Status()) {
		if t.Verdict == v {
			n++
		}
	}
	return n
}

// never fails when that time brings a target down, however briefly.
func (f *field) never(t *testing.T, d time.Duration, what string) {
	t.Helper()
	synctest.Wait()
	before := len(lines(f.log, "to=down"))
	time.Sleep(d)
	synctest.Wait()
	if found := lines(f.log, "to=down"); len(found) > before {
		t.Fatalf("%s: %d turns, the first: %s", what, len(found)-before, found[before])
	}
}

var usual = BlindOptions{Share: 80, Targets: 3, Networks: 2}

// TestBlindCut cuts the uplink at many moments of fields of many kinds: no verdict may turn, however briefly, and when
// the uplink is back all is as before.
func TestBlindCut(t *testing.T) {
	for _, fall := range []int{1, 2, 3} {
		for _, n := range []int{3, 4, 10, 100} {
			for moment := range map[int]int{3: 8, 4: 8, 10: 5, 100: 2}[n] {
				synctest.Test(t, func(t *testing.T) {
					f := &field{}
					for i := range n {
						f.add(i/2, 0, func(target *Target, _ *origins) {
							target.Fall = fall
							if i%3 == 0 {
								target.Interval = time.Minute
							}
							if i%5 == 1 {
								target.Window = Window{2, 4}
							}
							if i%5 == 2 {
								target.FastInterval = time.Second
							}
						})
					}
					f.start(t, EngineOptions{}, usual)
					time.Sleep(2*time.Minute + time.Duration(moment)*777*time.Millisecond)
					f.never(t, time.Millisecond, "before")
					turns := len(lines(f.log, "verdict turned"))
					f.cut[0].Store(true)
					f.never(t, 4*time.Minute, fmt.Sprintf("fall %d, %d targets, moment %d", fall, n, moment))
					status := f.engine.Status()
					if len(status.Blind) != 1 || status.Blind[0].Family != "ipv4" || status.Blind[0].Reason == "" {
						t.Errorf("fall %d, %d targets: blind is %+v", fall, n, status.Blind)
					}
					for id, one := range targetsOf(status) {
						if !one.Earliest.IsZero() {
							t.Errorf("%s may turn at %v", id, one.Earliest)
						}
					}
					if got := testutil.ToFloat64(f.engine.metrics.blind.WithLabelValues("ipv4")); got != 1 {
						t.Errorf("the metric says %v", got)
					}
					f.cut[0].Store(false)
					f.never(t, 3*time.Minute, "after")
					if blind := f.engine.Status().Blind; len(blind) > 0 {
						t.Errorf("still blind: %+v", blind)
					}
					if n := len(lines(f.log, "verdict turned")) - turns; n > 0 {
						t.Errorf("%d turns", n)
					}
					if a, b := len(lines(f.log, "is blind")), len(lines(f.log, "sees again")); a != 1 || b != 1 {
						t.Errorf("fall %d, %d targets, moment %d: logged %d times that it is blind and %d times that it is not\n%s", fall, n, moment, a, b, strings.Join(lines(f.log, "prober"), "\n"))
					}
					for id, one := range targetsOf(f.engine.Status()) {
						if one.Bad > 0 {
							t.Errorf("%s has a streak: %+v", id, one.Track)
						}
					}
				})
			}
		}
	}
}

// TestBlindDead kills a share of the origins: each of them turns, in time, and no other.
func TestBlindDead(t *testing.T) {
	for _, fall := range []int{1, 3} {
		for _, tt := range []struct{ n, dead int }{{3, 1}, {4, 2}, {10, 1}, {10, 5}, {10, 7}, {300, 1}, {300, 150}} {
			for moment := range max(2, 5-tt.n/100) {
				synctest.Test(t, func(t *testing.T) {
					f := &field{}
					for i := range tt.n {
						f.add(i, 0, func(target *Target, _ *origins) { target.Fall = fall })
					}
					f.start(t, EngineOptions{}, usual)
					time.Sleep(time.Minute + time.Duration(moment)*777*time.Millisecond)
					for i := range tt.dead {
						f.origins[i*tt.n/tt.dead].dead.Store(true)
					}
					// Of more than half it may be later, since there the witnesses are mostly dead.
					limit := time.Duration(fall)*5*time.Second + 2*time.Second + jitterOf(5*time.Second) + 100*time.Millisecond
					if fall == 1 { // One more probe.
						limit += 2 * time.Second
					}
					time.Sleep(limit)
					down := f.count(Down)
					time.Sleep(2 * (2*2*time.Second + grace))
					if got := f.count(Down); got != tt.dead || down < tt.dead && tt.dead*2 <= tt.n {
						t.Errorf("fall %d, %d of %d dead: %d are down in time, %d at last: %+v", fall, tt.dead, tt.n, down, got, f.engine.Status().Blind)
					}
					if found := lines(f.log, "is blind"); len(found) > 0 {
						t.Errorf("fall %d, %d of %d dead, moment %d: %q", fall, tt.dead, tt.n, moment, found)
					}
					for i := range tt.n {
						if one := targetsOf(f.engine.Status())[f.origins[i].id]; f.origins[i].dead.Load() != (one.Verdict == Down) {
							w := f.engine.watchers[f.origins[i].id]
							t.Errorf("%s is %s: %+v %+v %+v\n%+v, now %v", f.origins[i].id, one.Verdict, one.Track, w.place, w.family.waiting, w.family.inquiry, f.engine.sight.now())
						}
					}
				})
			}
		}
	}
}

// TestBlindFew has too few targets, or all in one network: nothing waits, and nothing is held.
func TestBlindFew(t *testing.T) {
	for _, tt := range []struct{ n, networks int }{{1, 1}, {2, 2}, {5, 1}} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range tt.n {
				f.add(i%tt.networks, 0, func(target *Target, _ *origins) { target.Fall = 1 })
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(time.Minute)
			f.cut[0].Store(true)
			time.Sleep(5*time.Second + 2*time.Second + jitterOf(5*time.Second) + 100*time.Millisecond)
			if got := f.count(Down); got != tt.n {
				t.Errorf("%d of %d in %d networks are down", got, tt.n, tt.networks)
			}
		})
	}
}

// TestBlindFamily cuts IPv6 only.
func TestBlindFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 10 {
			f.add(i, i%2, func(target *Target, _ *origins) { target.Fall = 2 })
		}
		f.start(t, EngineOptions{}, usual)
		time.Sleep(time.Minute)
		f.cut[1].Store(true)
		f.never(t, time.Minute, "IPv6 is cut")
		if blind := f.engine.Status().Blind; len(blind) != 1 || blind[0].Family != "ipv6" || blind[0].Reason != "5 of 5 targets in 5 networks fail at once" {
			t.Errorf("%+v", blind)
		}
		f.origins[0].dead.Store(true) // IPv4
		time.Sleep(13 * time.Second)
		if got := targetsOf(f.engine.Status())[f.origins[0].id].Verdict; got != Down || f.count(Down) != 1 {
			t.Errorf("a dead one of the other family is %s, and %d are down", got, f.count(Down))
		}
	})
}

// TestBlindTogether has two targets of each family, which only together are enough.
func TestBlindTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 4 {
			f.add(i, i%2, func(target *Target, _ *origins) { target.Fall = 1 })
		}
		f.start(t, EngineOptions{}, usual)
		time.Sleep(time.Minute)
		f.cut[0].Store(true)
		f.cut[1].Store(true)
		f.never(t, time.Minute, "both are cut")
		if blind := f.engine.Status().Blind; len(blind) != 2 {
			t.Errorf("%+v", blind)
		}
		f.cut[0].Store(false)
		f.cut[1].Store(false)
		f.never(t, time.Minute, "both are back")
		if blind := f.engine.Status().Blind; len(blind) != 0 {
			t.Errorf("%+v", blind)
		}
	})
}

// TestBlindCanary has two targets and two canaries, and then canaries that die alone.
func TestBlindCanary(t *testing.T) {
	for _, share := range []int{0, 80} {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 2 {
				f.add(i, 0, func(target *Target, _ *origins) { target.Fall = 1 })
			}
			for i := range 2 {
				f.add(10+i, 0, func(target *Target, o *origins) { target.Canary, o.refuses = true, false })
			}
			f.start(t, EngineOptions{}, BlindOptions{Share: share, Targets: 3, Networks: 2})
			time.Sleep(time.Minute)
			f.origins[0].dead.Store(true)
			time.Sleep(8 * time.Second)
			if got := f.count(Down); got != 1 {
				t.Errorf("one dies while the canaries are well: %d are down", got)
			}
			f.origins[0].dead.Store(false)
			time.Sleep(8 * time.Second)
			f.cut[0].Store(true)
			for range 600 {
				time.Sleep(100 * time.Millisecond)
				if targetsOf(f.engine.Status())[f.origins[0].id].Verdict != Up || targetsOf(f.engine.Status())[f.origins[1].id].Verdict != Up {
					t.Fatal("a target turned down while all canaries fail")
				}
			}
			if blind := f.engine.Status().Blind; len(blind) != 1 || blind[0].Reason != "none of 2 canaries answers" {
				t.Errorf("%+v", blind)
			}
			f.cut[0].Store(false)
			time.Sleep(10 * time.Second)
			if blind := f.engine.Status().Blind; len(blind) != 0 || f.count(Up) != 4 {
				t.Errorf("after it: %+v, %d are up", blind, f.count(Up))
			}
		})
	}
}

// TestBlindStart begins with the uplink cut, without and with what an earlier engine knew.
func TestBlindStart(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, saved := &field{}, map[string]Saved{}
			for i := range 10 {
				f.add(i, 0, nil)
				if restart {
					saved[f.origins[i].id] = Saved{Verdict: Up, Since: time.Now(), Bad: i % 4, Reason: "bad"}
				}
			}
			f.cut[0].Store(true)
			f.start(t, EngineOptions{Saved: saved}, usual)
			f.never(t, time.Minute, "cut from the start")
			if blind := f.engine.Status().Blind; len(blind) != 1 {
				t.Errorf("restart %v: %+v", restart, blind)
			}
			f.cut[0].Store(false)
			f.never(t, time.Minute, "after it")
			if got := f.count(Up); got != 10 {
				t.Errorf("restart %v: %d are up", restart, got)
			}
		})
	}
}

// TestBlindPartly cuts off nine of ten origins, with the tenth on this side of the cut: turns that happened before that
// could be known are taken back.
func TestBlindPartly(t *testing.T) {
	for moment := range 10 {
		synctest.Test(t, func(t *testing.T) {
			f := &field{}
			for i := range 20 {
				f.add(i, 0, func(target *Target, o *origins) { target.Fall, o.local = 1, i < 2 })
			}
			f.start(t, EngineOptions{}, usual)
			time.Sleep(time.Minute + time.Duration(moment)*777*time.Millisecond)
			since := targetsOf(f.engine.Status())[f.origins[5].id].Since
			f.cut[0].Store(true)
			time.Sleep(30 * time.Second)
			if blind := f.engine.Status().Blind; len(blind) != 1 || f.count(Down) != 0 {
				t.Errorf("%+v, and %d are down", blind, f.count(Down))
			}
			if got := targetsOf(f.engine.Status())[f.origins[5].id].Since; got != since {
				t.Errorf("up since %v, was %v", got, since)
			}
		})
	}
}

// TestBlindRecovery has a target that was down before: it may turn up while the others are frozen.
func TestBlindRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 10 {
			f.add(i, 0, func(_ *Target, o *origins) { o.local = i == 0 })
		}
		f.origins[0].dead.Store(true)
		f.start(t, EngineOptions{}, usual)
		time.Sleep(time.Minute)
		f.cut[0].Store(true)
		time.Sleep(time.Minute)
		f.origins[0].dead.Store(false)
		time.Sleep(6 * time.Second)
		if got := f.count(Up); got != 10 || len(f.engine.Status().Blind) != 1 {
			t.Errorf("%d are up, blind %+v", got, f.engine.Status().Blind)
		}
	})
}

// TestBlindWitness has a target that turns every few seconds, for which others are asked each time: one that is not well
// for a moment between two probes of its own does not fall for that.
func TestBlindWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &field{}
		for i := range 4 {
			f.add(i, 0, func(target *Target, o *origins) {
				target.Interval, o.refuses = time.Hour, true
				if i == 0 {
					target.Interval, target.Timeout, target.Fall = time.Second, time.Second, 1
				}
			})
		}
		f.start(t, EngineOptions{}, usual)
		time.Sleep(10 * time.Second)
		asked := f.origins[1]
		asked.dead.Store(true)
		turns := len(lines(f.log, "to=down"))
		for i := range 20 {
			f.origins[0].dead.Store(i%2 == 0)
			time.Sleep(1100 * time.Millisecond)
		}
		synctest.Wait()
		if got := targetsOf(f.engine.Status())[asked.id]; got.Verdict != Up || got.Bad > 0 || got.BadTotal > 0 {
			t.Errorf("%+v", got)
		}
		if n := len(lines(f.log, "to=down")) - turns; n < 8 {
			t.Errorf("%d turns", n)
		}
		if n := testutil.ToFloat64(f.engine.metrics.probes.WithLabelValues("http", "bad")); n < 12 {
			t.Errorf("%v bad results: the others were not asked", n)
		}
	})
}
