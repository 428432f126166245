package healthcheck

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// maxVoid is how many results in a row a pause may make void. It keeps a machine that is always late from never seeing a
// dead target.
const maxVoid = 3

// watcher is one target and what is known of it. It has no goroutine: it rests in the engine's agenda, which rings when its
// time has come, and then the crew does a round of it, at the end of which it rests again. At any time one of them has it,
// and its course.
type watcher struct {
	engine   *Engine
	id       string
	schedule schedule
	gone     atomic.Bool            // It is not to be probed any more.
	target   atomic.Pointer[Target] // The latest parameters; written by Engine.Set.
	calls    atomic.Uint32          // Whether to probe now: call bits.
	trial    atomic.Pointer[trial]  // That goes on. Nil: none does, or it was given up.
	status   atomic.Pointer[state]  // What others see; written with Engine.sight locked.
	course   course

	// Guarded by Engine.agenda.
	entry  int32 // In its heap, from 1. 0: it is not there.
	roused bool  // It is to be woken as soon as it rests.

	behind *watcher // In the queue of the crew, which guards it.

	// Guarded by Engine.sight.
	place
	machine machine
	past    *past // What the results were.
	awaited bool  // Engine.Settled waits for its verdict.
	eager   bool  // It counts among sight.eager.
}

// course is what a watcher knows from one round to the next. It belongs to who has the watcher.
type course struct {
	last    plan
	next    plan
	due     time.Time
	resting time.Time // Since when.
	until   time.Time // When its share of the time after a pause is over. Zero: there was none.
	witness bool      // The probe is only there to tell whether this prober sees anything.
	waiting bool      // The last probe had nothing to say yet.
	void    int       // Results in a row that a pause made void.
	stuck   *trial    // That did not end in time. At most one.
	fault   error     // The local fault that made the last result void.
}

// The bits of watcher.calls.
const (
	hurried  = 1 << iota // The result counts like any other.
	summoned             // This prober asks whether it sees anything: see [watcher.record].
)

// state is what is known of a target, and what has to be saved beside it.
type state struct {
	TargetStatus
	kept kept
	fast bool // Whether a streak argues against the verdict, and may turn it.
	held bool // Whether the verdict may not turn down, as this prober is blind.
}

// isEager reports whether a target is to be probed soon: it has no verdict, or no result since the engine started.
func (s *state) isEager() bool { return s.Verdict == Unknown || s.LastProbe.IsZero() }

func newWatcher(e *Engine, target *Target, m machine) *watcher {
	w := &watcher{
		engine:   e,
		id:       target.ID,
		schedule: newSchedule(target.ID, e.epoch),
		machine:  m,
	}
	w.target.Store(target)
	w.store(&state{}, target, e.now())
	return w
}

// update gives the watcher the parameters for its next probe. The caller holds sight.
func (w *watcher) update(target *Target) {
	old := w.target.Swap(target)
	if old.turning() != target.turning() {
		w.show(w.machine)
	}
	if old.Interval != target.Interval || old.FastInterval != target.FastInterval {
		w.engine.agenda.rouse(w)
	}
}

// call makes the watcher probe now, or once more when it is probing.
func (w *watcher) call(how uint32) {
	w.calls.Or(how)
	w.engine.agenda.rouse(w)
}

// stop ends the watcher, and the probe that goes on.
func (w *watcher) stop() {
	w.gone.Store(true)
	if a := w.trial.Load(); a != nil {
		a.term.end(context.Canceled)
	}
	w.engine.agenda.rouse(w)
}

// probing reports whether a probe is going on that has not been given up.
func (w *watcher) probing() bool { return w.trial.Load() != nil }

// rest puts the watcher into the agenda until its next probe is due or called for; after a pause it is at once.
func (w *watcher) rest() {
	c, now := &w.course, w.engine.now()
	c.resting = now
	if c.void > 0 {
		c.due = now
	} else {
		w.plan(now)
	}
	w.engine.agenda.put(w, c.due)
}

// plan says when the next probe is.
func (w *watcher) plan(now time.Time) {
	c, target, status := &w.course, w.target.Load(), w.status.Load()
	var eager time.Duration
	if !c.waiting && !status.held && status.isEager() { // While held, a probe as soon as possible would tell nothing.
		eager = w.engine.sight.eagerStep()
	}
	step, grid := pace(target, eager, status.fast)
	c.next = w.schedule.next(c.last, step, grid, now)
	c.due = c.next.start(w.engine.epoch, w.engine.agenda.tick())
}

// ring is called when the time for the next probe has come, or the watcher was roused. A probe that was called for leaves the
// plan as it is.
func (w *watcher) ring() {
	c, now := &w.course, w.engine.now()
	switch {
	case w.gone.Load():
		w.engine.faults.leave(c.fault)
		return
	case !c.until.IsZero():
		if now.Before(c.until) && w.calls.Load() == 0 {
			w.engine.agenda.put(w, c.until)
			return
		}
		c.until = time.Time{}
	case c.void > 0:
	case now.Before(c.due):
		w.plan(now)
		c.resting = now
		calls := uint32(0)
		if c.due.After(now) { // What is due anyway comes first: witnesses that are asked again and again must not miss their own probes.
			calls = w.calls.Swap(0)
		}
		if calls == 0 {
			w.engine.agenda.put(w, c.due)
			return
		}
		c.due, c.witness = now, calls&hurried == 0
	default:
		c.last, c.witness = c.next, false
		if w.spread(now) {
			return
		}
	}
	if c.stuck != nil && c.stuck.goesOn() {
		w.engine.running.Add(1)
		go w.goWithout()
		return
	}
	c.stuck = nil
	w.engine.crew.send(w)
}

// spread puts the watcher back for the target's share of the time by which the agenda was late, when that says that the
// process did not run: else all targets that were due in a pause would start together at its end. One that is called for
// does not wait.
func (w *watcher) spread(now time.Time) bool {
	c := &w.course
	late := now.Sub(later(c.due, c.resting))
	if late <= pauseSign || w.calls.Load() != 0 {
		return false
	}
	c.until = now.Add(w.schedule.offset(min(late, c.next.step)))
	w.engine.agenda.put(w, c.until)
	return true
}

// later returns the later one of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// round probes the target once and counts the result. A hand of the crew calls it.
func (w *watcher) round() {
	c, e := &w.course, w.engine
	if w.gone.Load() {
		e.faults.leave(c.fault)
		return
	}
	if w.calls.Swap(0)&hurried != 0 { // Whoever has called so far, this is the probe.
		c.witness = false
	}
	a := &trial{watcher: w, target: w.target.Load(), start: e.now()}
	e.metrics.startDelay.Observe(max(0, a.start.Sub(c.due)).Seconds())
	w.trial.Store(a)
	if w.gone.Load() { // stop may not have seen it.
		w.trial.Store(nil)
		e.faults.leave(c.fault)
		return
	}
	a.run()
}

// goWithout is the round of a watcher whose probe goes on from an earlier one. It takes no slot: that probe still has its own.
// Its owner is Engine.running.
func (w *watcher) goWithout() {
	defer w.engine.running.Done()
	w.record(w.target.Load(), result{err: errStillRunning, broken: true}, w.engine.now(), 0, w.course.witness)
	w.rest()
}

// conclude counts the result of a trial and lets the watcher rest. Stuck is the trial if that has been given up.
func (w *watcher) conclude(a *trial, r result, stuck *trial) {
	c, e := &w.course, w.engine
	w.trial.Store(nil)
	c.stuck = stuck
	defer w.rest()
	if w.gone.Load() {
		return
	}
	c.waiting = errors.Is(r.err, ErrUndecided)
	if c.waiting || localFault(r.err) != nil {
		c.void = 0
		w.discard(a.target, r)
		return
	}
	now := e.now()
	took := now.Sub(a.start)
	paused := stuck == nil && r.err != nil && (took > a.target.Timeout+pauseSign || e.pulse.skippedIn(a.start, now))
	if paused && c.void < maxVoid {
		c.void++
		e.metrics.void(a.target.Protocol)
		return
	}
	c.void = 0
	w.record(a.target, r, a.start, took, c.witness)
}
