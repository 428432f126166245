package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Finding is what a single probe has found.
type Finding struct {
	// Result is that of the probe; it has turned nothing.
	Result
	// Void is whether it says nothing of the address: Reason is a fault of our own, or what keeps the probe from being made.
	// Undecided is whether there is nothing to say yet. Neither is good.
	Void, Undecided bool
	// Degraded is what is amiss with a target that answered well. Empty: nothing.
	Degraded string
	// Report has what the probe has found out beyond that.
	Report Report
}

// Try probes a target once, now and beside the schedule: with the same probe, the same timeout and the same judgement of
// what comes out as when the engine probes it, but it counts for nothing. The target need not be one of the engine's. When ctx
// ends first, or the engine is closed, the finding is void. A probe that ignores its context is left to itself after its timeout
// and holds up only [Engine.Close].
func (e *Engine) Try(ctx context.Context, t Target) Finding {
	target, start := t.normal(), e.now()
	ended := make(chan result, 1)
	probing, cancel := context.WithTimeout(ctx, target.Timeout)
	defer cancel()
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return Finding{Result: Result{Start: start.Round(0), Reason: "the health checks have ended"}, Void: true}
	}
	e.running.Go(func() { e.try(probing, target, ended) })
	e.mu.Unlock()
	late := time.NewTimer(target.Timeout + grace)
	defer late.Stop()
	select {
	case r := <-ended:
		return e.finding(target, r, start, ctx.Err())
	case <-ctx.Done():
	case <-late.C:
	}
	select {
	case r := <-ended:
		return e.finding(target, r, start, ctx.Err())
	default:
		return e.finding(target, overdue(target), start, ctx.Err())
	}
}

// try runs the probe of a target once.
func (e *Engine) try(ctx context.Context, target *Target, ended chan<- result) {
	r := result{err: errNoResult, broken: true}
	defer func() {
		if v := recover(); v != nil {
			r.err = fmt.Errorf("probe panicked: %v", v)
			e.logger.Error("probe panicked", "target", target.ID, "panic", v, "stack", string(debug.Stack()))
		}
		ended <- r
	}()
	r.probe(ctx, target)
}

// finding judges the result of a single probe; stopped is why nobody waits for it any more, or nil.
func (e *Engine) finding(target *Target, r result, start time.Time, stopped error) Finding {
	now := e.now()
	took := now.Sub(start)
	f := Finding{Report: r.report, Result: Result{Start: start.Round(0), Took: took, Phases: r.phases}}
	paused := r.err != nil && (took > target.Timeout+pauseSign || e.pulse.skippedIn(start, now))
	err := r.verdict(target)
	switch {
	case errors.Is(r.err, ErrUndecided):
		f.Undecided, f.Reason = true, clean(r.err.Error())
	case r.err != nil && stopped != nil:
		f.Void, f.Reason = true, "it was given up: "+stopped.Error()
	case localFault(r.err) != nil:
		f.Void, f.Reason = true, clean(r.err.Error())
	case paused:
		f.Void, f.Reason = true, "the process did not run meanwhile: "+clean(r.err.Error())
	case err != nil:
		f.Reason = clean(err.Error())
	default:
		f.Good, f.Degraded = true, r.degraded(target, took, r.report.Warning)
	}
	return f
}
