package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// told writes results as a text, the latest first: "+" good, "-" bad, then what it turned.
func told(results []Result) string {
	var all []string
	for _, r := range results {
		sign := "-"
		if r.Good {
			sign = "+"
		}
		all = append(all, sign+string(r.Turned))
	}
	return strings.Join(all, " ")
}

// TestResults follows a target through its results: what turned the verdict, and why what was bad was that.
func TestResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		began := time.Now()
		s := newScript(func(_ context.Context, r *Report) error {
			time.Sleep(1500 * time.Microsecond)
			r.Phases = Phases{Connect: 1200 * time.Microsecond, FirstByte: 1}
			return nil
		})
		e.Set([]Target{s.target("a")})
		s.await(2)
		time.Sleep(time.Second)
		all, known := e.Results("a")
		if told(all) != "+ +up" || !known {
			t.Fatalf("%s, known %t", told(all), known)
		}
		first := all[1]
		if first.Took != 1500*time.Microsecond || first.Phases != (Phases{Connect: 1200 * time.Microsecond, FirstByte: time.Microsecond}) ||
			first.Start.Before(began) || first.Start.After(began.Add(2*time.Second)) || first.Reason != "" {
			t.Errorf("the first: %+v", first)
		}
		s.set(refusing)
		s.await(2)
		s.set(ending(errors.New("status 503, wanted 200-299")))
		s.await(1)
		all, _ = e.Results("a")
		if told(all) != "-down - - + +up" || all[0].Reason != "status 503, wanted 200-299" || all[1].Reason != all[2].Reason || all[1].Reason == "" {
			t.Errorf("%s: %+v", told(all), all)
		}
		// A fault of our own is no result.
		s.set(failing(syscall.EMFILE))
		s.await(2)
		s.set(nil)
		s.await(1)
		all, _ = e.Results("a")
		if told(all) != "+up -down - - + +up" {
			t.Errorf("%s", told(all))
		}
		// They are the reader's own, and stay over a reload.
		all[0].Reason = "changed"
		target := s.target("a")
		target.Interval = time.Minute
		e.Set([]Target{target})
		if again, _ := e.Results("a"); told(again) != told(all) || again[0].Reason != "" {
			t.Errorf("after a reload: %s", told(again))
		}
		e.Set(nil)
		if again, known := e.Results("a"); again != nil || known {
			t.Errorf("of what is not watched: %v, %t", again, known)
		}
		e.Set([]Target{target})
		if again, known := e.Results("a"); len(again) != 0 || !known {
			t.Errorf("of what is new: %v, %t", again, known)
		}
	})
}

// TestResultsKept: the last ones are kept, however many there were, with their reasons, however many there are.
func TestResultsKept(t *testing.T) {
	for _, n := range []int{0, 1, 4, 5, 99, 100, 101, 250, 1000} {
		for _, reasons := range []int{1, 7, 100, 1000} {
			var p *past
			for i := range n {
				p = p.add(time.Unix(int64(i), 0), time.Duration(i)*time.Millisecond, Phases{}, fmt.Sprint("reason ", i%reasons), i%3 == 0)
			}
			c := p.clone()
			all := c.results()
			if len(all) != min(n, MaxResults) {
				t.Fatalf("%d results of %d", len(all), n)
			}
			for k, r := range all {
				i := n - 1 - k
				want := Result{Start: time.Unix(int64(i), 0), Took: time.Duration(i) * time.Millisecond, Good: i%3 == 0}
				if !want.Good {
					want.Reason = fmt.Sprint("reason ", i%reasons)
				}
				if r != want {
					t.Fatalf("of %d with %d reasons, %d before the last: %+v, want %+v", n, reasons, k, r, want)
				}
			}
			if p != nil && len(p.reasons) > min(reasons, MaxResults) {
				t.Errorf("%d places for %d reasons", len(p.reasons), reasons)
			}
		}
	}
}

// TestResultsTurnTakenBack: what a blind prober takes back comes of no result.
func TestResultsTurnTakenBack(t *testing.T) {
	p := (*past)(nil)
	p.turn(Up)
	p = p.add(time.Unix(1, 0), time.Second, Phases{}, "refused", false)
	p.turn(Down)
	p.turn(Up)
	p.turn(Unknown)
	c := p.clone()
	if got := told(c.results()); got != "-down" {
		t.Errorf("%s", got)
	}
}

func TestMicros(t *testing.T) {
	for _, row := range []struct{ d, want time.Duration }{
		{0, 0}, {-time.Second, 0}, {1, time.Microsecond}, {1999, time.Microsecond}, {time.Hour, time.Hour}, {2 * time.Hour, 4294967295 * time.Microsecond},
	} {
		if got := ofMicros(micros(row.d)); got != row.want {
			t.Errorf("%v: %v, want %v", row.d, got, row.want)
		}
	}
}

// TestResultsAreSmall: 100 results of a target take 4 kB at most, and once they are there a good one takes nothing more.
func TestResultsAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(outcome{}); size > 32 {
		t.Errorf("an outcome takes %d octets", size)
	}
	const targets = 1000
	all := make([]*past, targets)
	before := heap()
	for i := range all {
		for k := range 2 * MaxResults {
			all[i] = all[i].add(time.Unix(int64(k), 0), time.Second, Phases{}, fmt.Sprint("refused ", k%3), k%2 == 0)
		}
	}
	if each := (heap() - before) / targets; each > 4096 {
		t.Errorf("a target takes %d octets", each)
	}
	if n := testing.AllocsPerRun(1000, func() {
		all[0] = all[0].add(time.Unix(1, 0), time.Second, Phases{Connect: 1}, "", true)
	}); n > 0 {
		t.Errorf("a good result allocates %v times", n)
	}
	runtime.KeepAlive(all)
}

// BenchmarkFullTargets measures what the results of 100,000 targets cost when there are 100 of each.
func BenchmarkFullTargets(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		all := make([]*past, n)
		before := heap()
		for i := range all {
			for k := range MaxResults {
				all[i] = all[i].add(time.Unix(int64(k), 0), time.Second, Phases{}, "connection refused", k%10 == 0)
			}
		}
		b.ReportMetric(float64(heap()-before)/n, "B/target")
		runtime.KeepAlive(all)
	}
}

// BenchmarkAdd measures what a result costs to keep.
func BenchmarkAdd(b *testing.B) {
	for _, isGood := range []bool{true, false} {
		b.Run(fmt.Sprintf("good=%t", isGood), func(b *testing.B) {
			var p *past
			b.ReportAllocs()
			for b.Loop() {
				p = p.add(time.Unix(1, 0), time.Second, Phases{Connect: 1}, "connection refused", isGood)
			}
		})
	}
}
