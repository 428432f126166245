package healthcheck

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestAgendaAgainstModel holds the heap against a list: whatever is put, roused and taken, what is due comes out, the
// earliest first.
func TestAgendaAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := testEpoch
		e := &Engine{epoch: testEpoch, now: func() time.Time { return now }}
		a := newAgenda(e)
		watchers := make([]watcher, 50)
		at := map[*watcher]time.Time{}
		draw := func(what string) *watcher { return &watchers[rapid.IntRange(0, len(watchers)-1).Draw(t, what)] }
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				w, due := draw("put"), now.Add(time.Duration(rapid.IntRange(-5, 50).Draw(t, "in")))
				if _, there := at[w]; !there {
					at[w] = due
					if w.roused {
						at[w] = now
					}
					a.put(w, due)
				}
			},
			"rouse": func(t *rapid.T) {
				w := draw("rouse")
				if due, there := at[w]; there && due.After(now) {
					at[w] = now
				}
				a.rouse(w)
			},
			"take": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "after")))
				got, wait, _ := a.take(nil)
				var last time.Time
				for _, w := range got {
					if due, there := at[w]; !there || due.After(now) || due.Before(last) {
						t.Fatalf("took one that is due at %v (%v), now %v, after one at %v", due, there, now, last)
					}
					last = at[w]
					delete(at, w)
				}
				for _, due := range at {
					if !due.After(now) || len(got) == 0 && wait > due.Sub(now) {
						t.Fatalf("left one that is due at %v, now %v, wait %v", due, now, wait)
					}
				}
			},
			"": func(t *rapid.T) {
				if len(a.entries) != len(at) {
					t.Fatalf("%d entries, want %d", len(a.entries), len(at))
				}
				for i, one := range a.entries {
					if int(one.w.entry) != i+1 {
						t.Fatalf("entry %d says that it is %d", i, one.w.entry)
					}
				}
			},
		})
	})
}

// TestCrewIsReused probes 10,000 targets three times: goroutines serve one after the other, and few are kept.
func TestCrewIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{MaxInFlight: 20_000})
		e.Set(crowd(10_000, 10*time.Second))
		time.Sleep(25 * time.Second)
		synctest.Wait()
		e.crew.mu.Lock()
		defer e.crew.mu.Unlock()
		if n := len(e.crew.idle); n == 0 || n > maxIdle || e.crew.busy != 0 {
			t.Errorf("%d idle, %d busy", n, e.crew.busy)
		}
	})
}

// TestEngineStart has 30,000 targets of which nothing is known: they are first probed at 10,000 a second.
func TestEngineStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		var probes atomic.Int64
		targets := crowd(30_000, time.Hour)
		for i := range targets {
			targets[i].Probe = func(context.Context, *Report) error { probes.Add(1); return nil }
		}
		e.Set(targets)
		var seconds []int64
		for before := int64(0); len(seconds) < 3; before = probes.Load() {
			time.Sleep(time.Second)
			seconds = append(seconds, probes.Load()-before)
		}
		if least, most := slices.Min(seconds), slices.Max(seconds); least < 9000 || most > 11_000 {
			t.Errorf("%v probes in the first seconds", seconds)
		}
	})
}
