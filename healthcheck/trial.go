package healthcheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// grace is how long after its deadline a probe may still hand in its result, which says more than that there
	// was none.
	grace = 250 * time.Millisecond
	// pauseSign is how long after its deadline a probe ends only when the process itself did not run (SIGSTOP, a
	// virtual machine on the move): else it would have been given up before. A bad result is void then, whether
	// the deadline or an origin that tired of waiting ended the probe.
	pauseSign = 500 * time.Millisecond
)

// errNoResult is what a probe has come to that has ended its goroutine.
var errNoResult = errors.New("probe ended without a result")

// result is what came out of one probe.
type result struct {
	err    error
	report Report
	phases Phases
	rtt    time.Duration // Zero: what the probe took.
	broken bool          // The probe itself is at fault: bad even when bad is good.
}

// trial is one run of a probe. Its timer rings at the deadline, which ends the probe's context, and when the grace is over:
// then the probe is given up and the target goes on without it.
type trial struct {
	term
	watcher *watcher
	target  *Target
	start   time.Time // On the clock of the engine.
	result  result    // Belongs to the probe until that has ended.

	mu      sync.Mutex // Guards the following.
	timer   *time.Timer
	expired bool // The deadline has come.
	paused  bool // The process did not run meanwhile.
	gone    bool // The probe has been given up.
	over    bool // It has ended.
}

// run runs the probe and concludes the round, unless that is given up meanwhile. It may end its goroutine.
func (a *trial) run() {
	a.watcher.engine.metrics.inFlight.Inc()
	a.deadline = time.Now().Add(a.target.Timeout)
	a.mu.Lock()
	a.watcher.engine.running.Add(1) // The timer's goroutine, until it can ring no more.
	a.timer = time.AfterFunc(a.target.Timeout, a.ring)
	a.mu.Unlock()
	defer a.end()
	a.result.err, a.result.broken = errNoResult, true
	a.result.probe(&a.term, a.target)
}

// probe has the probe of a target fill in the result. As long as that goes on, the result is what it was.
func (r *result) probe(ctx context.Context, target *Target) {
	err := target.Probe(ctx, &r.report)
	r.err, r.broken = err, false
	r.rtt, r.report.RTT = r.report.RTT, 0
	r.phases, r.report.Phases = r.report.Phases, Phases{}
}

// verdict is what the result says of its target: nil is good.
func (r *result) verdict(target *Target) error {
	switch {
	case !target.Invert || r.broken:
		return r.err
	case r.err == nil:
		return errAnswers
	default:
		return nil
	}
}

// measured is the time that counts of a probe that took so long.
func (r *result) measured(took time.Duration) time.Duration { return cmp.Or(r.rtt, took) }

// degraded is what is amiss with a target that answered well; warning is what is known of it beside that.
func (r *result) degraded(target *Target, took time.Duration, warning string) string {
	return degraded(r.measured(took), target.MaxLatency, warning)
}

// overdue is the result of a probe that has not ended in time.
func overdue(target *Target) result {
	return result{err: newReason(context.DeadlineExceeded, "timeout after %v, and the probe goes on", target.Timeout), broken: true}
}

// end is called when the probe has ended, however it did.
func (a *trial) end() {
	w := a.watcher
	if v := recover(); v != nil {
		a.result.err = fmt.Errorf("probe panicked: %v", v)
		w.engine.logger.Error("probe panicked", "target", w.id, "panic", v, "stack", string(debug.Stack()))
	}
	a.mu.Lock()
	a.over = true
	gone := a.gone
	if a.timer.Stop() {
		w.engine.running.Done()
	}
	a.mu.Unlock()
	a.term.end(context.Canceled)
	w.engine.metrics.inFlight.Dec()
	if !gone {
		w.conclude(a, a.result, nil)
	}
}

// ring is called by the timer.
func (a *trial) ring() {
	w := a.watcher
	late := w.engine.now().Sub(a.start.Add(a.target.Timeout)) > pauseSign
	a.mu.Lock()
	switch {
	case a.over:
		w.engine.running.Done()
	case !a.expired: // The grace starts now, after a pause of the process too.
		a.expired, a.paused = true, late
		a.timer.Reset(grace)
		a.term.end(context.DeadlineExceeded)
	case late && !a.paused:
		a.paused = true
		a.timer.Reset(grace)
	default:
		a.gone = true
		a.mu.Unlock()
		w.conclude(a, overdue(a.target), a)
		w.engine.running.Done()
		return
	}
	a.mu.Unlock()
}

// goesOn reports whether the probe has not ended.
func (a *trial) goesOn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.over
}
