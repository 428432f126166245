package healthcheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
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
	// maxVoid is how many results in a row a pause may make void. It keeps a machine that is always late from
	// never seeing a dead target.
	maxVoid = 3
)

// watcher is one target and the goroutine that probes it, the only writer of its streak.
type watcher struct {
	engine   *Engine
	id       string
	schedule schedule
	cancel   context.CancelFunc
	target   atomic.Pointer[Target]       // The latest parameters; written by Engine.Set.
	replan   chan struct{}                // Capacity 1: the interval is another one.
	status   atomic.Pointer[TargetStatus] // What others see; written by watch.
	fault    error                        // The local fault that made the last result void; watch's own.
}

// result is what came out of one probe.
type result struct {
	err    error
	report Report
	rtt    time.Duration // Zero: what the probe took.
}

func newWatcher(e *Engine, target *Target, track Track, cancel context.CancelFunc) *watcher {
	w := &watcher{
		engine:   e,
		id:       target.ID,
		schedule: newSchedule(target.ID, e.epoch),
		cancel:   cancel,
		replan:   make(chan struct{}, 1),
	}
	w.target.Store(target)
	w.status.Store(&TargetStatus{Track: track})
	return w
}

// update gives the watcher the parameters for its next probe.
func (w *watcher) update(target *Target) {
	if old := w.target.Swap(target); old.Interval == target.Interval {
		return
	}
	select {
	case w.replan <- struct{}{}:
	default:
	}
}

// watch probes the target until ctx ends. Its owner is Engine.running.
func (w *watcher) watch(ctx context.Context) {
	defer w.engine.running.Done()
	defer func() { w.engine.faults.leave(w.fault) }()
	var (
		last  plan
		stuck <-chan result // Of a probe that did not end in time. At most one.
		void  int           // Results in a row that a pause made void.
	)
	for {
		due := w.engine.now() // After a pause: at once.
		if void == 0 {
			var ok bool
			if last, due, ok = w.rest(ctx, last); !ok {
				return
			}
		}
		if stuck != nil {
			select {
			case <-stuck:
				stuck = nil
			default:
				w.record(w.target.Load(), result{err: errStillRunning}, w.engine.now(), 0)
				continue
			}
		}
		if !w.acquire(ctx) {
			return
		}
		target, start := w.target.Load(), w.engine.now()
		w.engine.metrics.startDelay.Observe(max(0, start.Sub(due)).Seconds())
		var r result
		r, stuck = w.attempt(ctx, target)
		if ctx.Err() != nil {
			return
		}
		if localFault(r.err) != nil {
			void = 0
			w.discard(target, r)
			continue
		}
		took := w.engine.now().Sub(start)
		paused := stuck == nil && r.err != nil && took > target.Timeout+pauseSign
		if paused && void < maxVoid {
			void++
			w.engine.metrics.void(target.Protocol)
			continue
		}
		void = 0
		w.record(target, r, start, took)
	}
}

// rest sleeps until the probe after last is due. It reports false when ctx has ended.
func (w *watcher) rest(ctx context.Context, last plan) (next plan, due time.Time, ok bool) {
	for {
		status := w.status.Load()
		eager := status.Verdict == Unknown || status.LastProbe.IsZero()
		next = w.schedule.next(last, eager, w.target.Load().Interval, w.engine.now())
		due = next.at.Add(jitter(next.step))
		timer := time.NewTimer(due.Sub(w.engine.now()))
		select {
		case <-timer.C:
			return next, due, ctx.Err() == nil
		case <-ctx.Done():
			timer.Stop()
			return next, due, false
		case <-w.replan:
			timer.Stop()
		}
	}
}

// acquire takes the slot that a probe runs in. It reports false when ctx has ended.
func (w *watcher) acquire(ctx context.Context) bool {
	select {
	case w.engine.slots <- struct{}{}:
		// Close reaches one watcher after the other, and a probe that it has ended may have made this room.
		if ctx.Err() == nil && w.engine.ctx.Err() == nil {
			return true
		}
		<-w.engine.slots
		return false
	case <-ctx.Done():
		return false
	}
}

// attempt runs one probe in the slot that the caller has acquired. When the probe does not end in time, stuck is
// where its result will arrive. When ctx ends, what is returned means nothing.
func (w *watcher) attempt(ctx context.Context, target *Target) (r result, stuck <-chan result) {
	results := make(chan result, 1)
	w.engine.running.Add(1)
	go w.probe(ctx, target, results)
	deadline := w.engine.now().Add(target.Timeout)
	timer := time.NewTimer(target.Timeout + grace)
	defer timer.Stop()
	for paused := false; ; paused = true {
		select {
		case r = <-results:
			return r, nil
		case <-ctx.Done():
			return result{err: ctx.Err()}, nil
		case <-timer.C:
		}
		// After a pause of the process this timer and the probe's deadline fire together: the grace starts now.
		if paused || w.engine.now().Sub(deadline) <= pauseSign {
			err := newReason(context.DeadlineExceeded, "timeout after %v, and the probe goes on", target.Timeout)
			return result{err: err}, results
		}
		timer.Reset(grace)
	}
}

// probe runs the target's probe and gives its slot back at the end. Its owner is Engine.running.
func (w *watcher) probe(ctx context.Context, target *Target, results chan<- result) {
	defer w.engine.running.Done()
	w.engine.metrics.inFlight.Inc()
	r := result{err: errors.New("probe ended without a result")}
	defer func() {
		if v := recover(); v != nil {
			r.err = fmt.Errorf("probe panicked: %v", v)
			w.engine.logger.Error("probe panicked", "target", w.id, "panic", v, "stack", string(debug.Stack()))
		}
		w.engine.metrics.inFlight.Dec()
		<-w.engine.slots
		results <- r
	}()
	ctx, cancel := context.WithTimeout(ctx, target.Timeout)
	defer cancel()
	r.err = target.Probe(ctx, &r.report)
	r.rtt, r.report.RTT = r.report.RTT, 0
}

// record counts a result and publishes what it makes of the target.
func (w *watcher) record(target *Target, r result, start time.Time, took time.Duration) {
	now := w.engine.now()
	old := w.status.Load()
	next := *old
	next.Track = old.Next(r.err, target.Fall, target.Rise, now)
	next.LastProbe, next.LastDuration, next.LastError, next.Void = start, took, "", false
	if r.err != nil {
		next.LastError = clean(r.err.Error())
		next.BadTotal++
	} else {
		next.GoodTotal++
		next.RTT = smoothed(old.RTT, cmp.Or(r.rtt, took))
	}
	if r.report != (Report{}) {
		next.Report = r.report
	}
	w.status.Store(&next)
	w.turn(nil, now)
	w.engine.metrics.observe(target.Protocol, r.err == nil, took)
	if old.Verdict != next.Verdict {
		w.log(old.Track, next.Track, r.err)
		if old.Verdict == Unknown {
			w.engine.settle(w)
		}
	}
	if old.tells(next.Track) || old.Report != next.Report {
		w.engine.signal()
	}
}

// discard publishes that a result is void for a local fault: it counts neither as good nor as bad. What the probe
// found out before stays true.
func (w *watcher) discard(target *Target, r result) {
	old := w.status.Load()
	next := *old
	next.LastError, next.Void = clean(r.err.Error()), true
	if r.report != (Report{}) {
		next.Report = r.report
	}
	w.status.Store(&next)
	w.turn(localFault(r.err), w.engine.now())
	w.engine.metrics.void(target.Protocol)
	if old.Report != next.Report {
		w.engine.signal()
	}
}

// turn notes which local fault keeps the target from being probed; nil is none.
func (w *watcher) turn(fault error, now time.Time) {
	w.engine.faults.move(w.id, w.fault, fault, now)
	w.fault = fault
}

// log writes the line of a verdict's turn: Warn when it turned down, else Info.
func (w *watcher) log(from, to Track, err error) {
	level, reason := slog.LevelInfo, "good"
	if err != nil {
		level, reason = slog.LevelWarn, to.Reason
	}
	w.engine.logger.Log(context.Background(), level, "verdict turned",
		"target", w.id, "from", from.Verdict, "to", to.Verdict, "reason", reason, "after", to.Since.Sub(from.Since))
}
