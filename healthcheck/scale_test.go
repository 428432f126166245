package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crowd returns n targets in n/200 networks whose probes are good and take no time.
func crowd(n int, interval time.Duration) []Target {
	targets := make([]Target, n)
	for i := range targets {
		address := netip.AddrFrom4([4]byte{10, byte(i / 200 / 256), byte(i / 200), byte(i % 200)})
		targets[i] = Target{
			ID: fmt.Sprintf("%v/web/www.example.com", address), Protocol: HTTP, Address: address,
			Probe:    func(context.Context, *Report) error { return nil },
			Interval: interval, Timeout: time.Second, Fall: 3, Rise: 1,
		}
	}
	return targets
}

// heap returns what the process has in use: objects and stacks.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// BenchmarkIdleTargets measures what a target costs while it waits for its next probe.
func BenchmarkIdleTargets(b *testing.B) {
	const n = 100_000
	targets := crowd(n, time.Hour)
	for b.Loop() {
		e, err := NewEngine(EngineOptions{})
		if err != nil {
			b.Fatal(err)
		}
		before := heap()
		start := time.Now()
		e.Set(targets)
		set := time.Since(start)
		<-e.Settled()
		b.ReportMetric(float64(heap()-before)/n, "B/target")
		b.ReportMetric(float64(set.Milliseconds()), "ms/Set")
		start = time.Now()
		e.Set(targets)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/SetAgain")
		start = time.Now()
		for range 10 {
			runtime.KeepAlive(e.Status())
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds())/10, "ms/Status")
		e.Close()
		runtime.KeepAlive(targets)
	}
}

// BenchmarkRound measures what the engine adds to each probe.
func BenchmarkRound(b *testing.B) {
	e, err := NewEngine(EngineOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	target := crowd(1, time.Hour)[0]
	e.Set([]Target{target})
	<-e.Settled()
	w := e.watchers[target.ID]
	b.ReportAllocs()
	for b.Loop() {
		w.round()
	}
}

// BenchmarkEvidence measures what an inquiry looks at when half of 100,000 targets fail: it is to end within milliseconds.
func BenchmarkEvidence(b *testing.B) {
	s := newSight(&Engine{epoch: time.Now(), now: time.Now})
	s.options = usual
	for i, target := range crowd(100_000, time.Hour) {
		w := &watcher{engine: s.engine}
		w.target.Store(&target)
		s.join(w, &target)
		w.own().at, w.own().bad = time.Duration(i), i%2 == 0
	}
	f := &s.families[0]
	q := &inquiry{subjects: []*watcher{f.seats[0].w}, good: true}
	for b.Loop() {
		if found := s.evidence(f, q); found.reason != "" {
			b.Fatal(found.reason)
		}
	}
}

// TestCrowdCut cuts the uplink of 2,000 targets that are probed every 10 s: none turns, and the inquiries ask few.
func TestCrowdCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, log := plainLog()
		e := startEngine(t, EngineOptions{Logger: logger, MaxInFlight: 20_000})
		e.SetBlind(usual)
		var cut atomic.Bool
		var probes atomic.Int64
		targets := crowd(2000, 10*time.Second)
		for i := range targets {
			targets[i].Fall = 1 + i%2
			targets[i].Probe = func(context.Context, *Report) error {
				probes.Add(1)
				if cut.Load() {
					return errors.New("connect: network is unreachable")
				}
				return nil
			}
		}
		e.Set(targets)
		time.Sleep(30 * time.Second)
		cut.Store(true)
		before := probes.Load()
		time.Sleep(20 * time.Second)
		if n := len(lines(log, "to=down")); n > 0 || len(e.Status().Blind) != 1 {
			t.Errorf("%d turned down, blind %+v", n, e.Status().Blind)
		}
		if n := probes.Load() - before; n > 4000+2*allWitnesses {
			t.Errorf("%d probes in two rounds of 2,000", n)
		}
		cut.Store(false)
		time.Sleep(11 * time.Second)
		if n := len(lines(log, "to=down")); n > 0 || len(e.Status().Blind) != 0 {
			t.Errorf("after it: %d turned down, blind %+v", n, e.Status().Blind)
		}
		// Half of them refuse: each turns in time, with few witnesses.
		for i := range targets {
			if i%4 < 2 {
				targets[i].Probe = refusing
			}
		}
		e.Set(targets)
		before = probes.Load()
		time.Sleep(20*time.Second + 200*time.Millisecond)
		if n := len(lines(log, "to=down")); n != 1000 {
			t.Errorf("%d of 1000 turned down", n)
		}
		if n := probes.Load() - before; n > 2100+int64(20*time.Second/inquiryGap)*firstWitnesses {
			t.Errorf("%d probes of the living in two rounds of 1,000", n)
		}
	})
}

func TestDefaultMaxInFlight(t *testing.T) {
	for _, tt := range []struct {
		files uint64
		want  int
	}{{0, 256}, {1024, 768}, {20_000, 15_000}, {1 << 20, 65536}, {^uint64(0), 65536}} {
		if got := defaultMaxInFlight(tt.files); got != tt.want {
			t.Errorf("%d files: %d probes, want %d", tt.files, got, tt.want)
		}
	}
	if openFiles() == 0 {
		t.Error("no file may be open")
	}
}

// TestNews has a Status that takes 100 ms: signals keep a distance, and none is lost.
func TestNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNews()
		defer n.close()
		got := func() bool {
			synctest.Wait()
			select {
			case <-n.changed:
				return true
			default:
				return false
			}
		}
		n.signal()
		n.signal()
		if !got() || got() {
			t.Error("two signals at once are not one")
		}
		for range 3 {
			n.took(100 * time.Millisecond)
			for range newsShare - 1 {
				n.signal()
				time.Sleep(100 * time.Millisecond)
				if got() {
					t.Error("too soon")
				}
			}
			time.Sleep(100 * time.Millisecond)
			if !got() || got() {
				t.Error("the signals that waited are not one")
			}
		}
		n.took(time.Microsecond)
		n.signal()
		if !got() {
			t.Error("a quick Status makes signals wait")
		}
	})
}
