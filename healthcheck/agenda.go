package healthcheck

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// batch is how many targets are woken in a row before others have their turn: were it as many as are due, a machine that
// cannot keep up would have its processors run nothing but probes for seconds.
const batch = 64

// agenda is when to wake which watcher. One goroutine waits for all of them: a target that rests costs an entry of a
// heap, and neither a goroutine nor a timer.
type agenda struct {
	engine *Engine
	alarm  chan struct{} // Capacity 1: something is due sooner than it seemed.
	ticks  atomic.Int64  // How far apart probes start together, in nanoseconds.

	mu      sync.Mutex // Guards the following, and in each watcher entry and roused.
	closed  bool
	entries []entry       // A heap, of which each has four children: the earliest is first.
	sleeps  time.Duration // When the goroutine wakes; in the past: it is awake.
}

// entry is when a watcher is woken, since Engine.epoch.
type entry struct {
	at time.Duration
	w  *watcher
}

func newAgenda(e *Engine) *agenda {
	return &agenda{engine: e, alarm: make(chan struct{}, 1), sleeps: -1}
}

// tick returns how far apart probes start together.
func (a *agenda) tick() time.Duration { return time.Duration(a.ticks.Load()) }

// run wakes watchers until the agenda is closed. Its owner is Engine.running.
func (a *agenda) run() {
	defer a.engine.running.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due []*watcher
	for {
		var wait time.Duration
		var open bool
		if due, wait, open = a.take(due[:0]); !open {
			return
		}
		for _, w := range due {
			w.ring()
		}
		clear(due)
		if len(due) > 0 {
			runtime.Gosched()
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-a.alarm:
		}
	}
}

// take takes out what is due, at most a batch, and returns it at the end of due. When there is nothing, wait is for how long.
func (a *agenda) take(due []*watcher) (_ []*watcher, wait time.Duration, open bool) {
	now := a.engine.now().Sub(a.engine.epoch)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sleeps = -1
	for len(due) < batch && len(a.entries) > 0 && a.entries[0].at <= now {
		w := a.entries[0].w
		a.remove(0)
		due = append(due, w)
	}
	if len(due) == 0 {
		a.sleeps = now + time.Hour
		if len(a.entries) > 0 {
			a.sleeps = a.entries[0].at
		}
	}
	return due, a.sleeps - now, !a.closed
}

// put has a watcher woken at a time, or at once when it has been roused since it was woken. It belongs to the agenda until then.
func (a *agenda) put(w *watcher, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	one := entry{at.Sub(a.engine.epoch), w}
	if w.roused {
		w.roused = false
		one.at = a.engine.now().Sub(a.engine.epoch)
	}
	a.entries = append(a.entries, one)
	w.entry = int32(len(a.entries))
	a.up(len(a.entries) - 1)
	a.expect(one.at)
}

// rouse has a watcher woken at once or, when it is awake, as soon as it rests.
func (a *agenda) rouse(w *watcher) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
	case w.entry == 0:
		w.roused = true
	default:
		i := int(w.entry) - 1
		now := a.engine.now().Sub(a.engine.epoch)
		if a.entries[i].at > now {
			a.entries[i].at = now
			a.up(i)
			a.expect(now)
		}
	}
}

// close ends run. Nothing is woken any more.
func (a *agenda) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed, a.entries = true, nil
	a.expect(-1)
}

// expect has the goroutine awake at a time. The caller holds mu.
func (a *agenda) expect(at time.Duration) {
	if at >= a.sleeps {
		return
	}
	select {
	case a.alarm <- struct{}{}:
	default:
	}
}

// remove takes an entry out. The caller holds mu.
func (a *agenda) remove(i int) {
	a.entries[i].w.entry = 0
	last := len(a.entries) - 1
	moved := a.entries[last]
	a.entries[last] = entry{}
	a.entries = a.entries[:last]
	if i < last {
		a.set(i, moved)
		a.down(i)
		a.up(i)
	}
}

func (a *agenda) set(i int, one entry) {
	a.entries[i] = one
	one.w.entry = int32(i) + 1
}

// up moves an entry to where none above it is later.
func (a *agenda) up(i int) {
	one := a.entries[i]
	for i > 0 {
		above := (i - 1) / 4
		if a.entries[above].at <= one.at {
			break
		}
		a.set(i, a.entries[above])
		i = above
	}
	a.set(i, one)
}

// down moves an entry to where none below it is earlier.
func (a *agenda) down(i int) {
	one := a.entries[i]
	for {
		first := 4*i + 1
		if first >= len(a.entries) {
			break
		}
		least := first
		for j := first + 1; j < min(first+4, len(a.entries)); j++ {
			if a.entries[j].at < a.entries[least].at {
				least = j
			}
		}
		if one.at <= a.entries[least].at {
			break
		}
		a.set(i, a.entries[least])
		i = least
	}
	a.set(i, one)
}
