package healthcheck

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// errAnswers is the result of a good probe of what must not answer.
var errAnswers = errors.New("it answers, and it should not (invert)")

// record counts a result and publishes what it makes of the target. That of a witness tells only whether this prober sees
// anything: to be asked must bring a target neither closer to its fall nor away from it. But a good one ends a turn that
// waits.
func (w *watcher) record(target *Target, r result, start time.Time, took time.Duration, witness bool) {
	err := r.verdict(target)
	w.engine.metrics.observe(target.Protocol, err == nil, took)
	w.turn(nil, w.engine.now())
	s := w.engine.sight
	s.mu.Lock()
	defer s.unlock()
	if w.gone.Load() {
		return
	}
	s.note(w, start, err == nil)
	if !witness || err == nil && w.pending {
		w.count(target, r, err, start, took)
	}
	s.hear(w)
}

// count is record for a result that counts for the target. The caller holds sight.
func (w *watcher) count(target *Target, r result, err error, start time.Time, took time.Duration) {
	s, old := w.engine.sight, w.status.Load()
	next := &state{TargetStatus: old.TargetStatus}
	next.LastProbe, next.LastDuration, next.LastError, next.Void, next.Phases = start, took, "", false, r.phases
	if r.report != (Report{}) {
		next.Report = r.report
	}
	if err != nil {
		next.LastError = clean(err.Error())
		next.BadTotal++
	} else {
		next.GoodTotal++
		next.RTT = smoothed(old.RTT, r.measured(took))
		next.Degraded = r.degraded(target, took, next.Report.Warning)
	}
	w.past = w.past.add(start, took, r.phases, next.LastError, err == nil)
	was := w.machine
	if err == nil || !s.deaf(w, start) {
		w.machine = was.count(err, target)
		if w.machine.track.Bad == 1 {
			w.opened = s.since(start)
		}
	}
	w.decide(target, next, was)
}

// decide turns the verdict if the results say so and this prober can be trusted to see, and publishes next. Was is the
// machine before the last result. The caller holds sight.
func (w *watcher) decide(target *Target, next *state, was machine) {
	s, now := w.engine.sight, w.engine.now()
	m, held := w.machine.turn(target, now, false)
	if held && (s.trusted(w) || w.confirmed()) {
		m, held = w.machine.turn(target, now, true)
	}
	w.machine = m
	w.publish(next, target, was, now)
	if held {
		s.ask(w)
	} else {
		w.unhold()
	}
}

// publish shows next with what the machine makes of it, and tells whom it concerns. Was is the machine before. The caller
// holds sight.
func (w *watcher) publish(next *state, target *Target, was machine, now time.Time) {
	old := w.status.Load()
	w.store(next, target, now)
	s := w.engine.sight
	if old.Verdict != next.Verdict {
		w.past.turn(next.Verdict)
		s.stand(w, was)
		s.logTurn(w, old.Track, next.Track)
		if old.Verdict == Unknown {
			s.settle(w)
		}
	}
	if old.Flapping.IsZero() != next.Flapping.IsZero() {
		s.logFlapping(w, old, next, now)
	}
	if w.eager && !next.isEager() {
		s.calm(w)
	}
	if was.tells(w.machine) || old.tells(next) {
		s.news = true
	}
}

// show publishes what the machine makes of the target now; was is the machine before. The caller holds sight.
func (w *watcher) show(was machine) {
	w.publish(&state{TargetStatus: w.status.Load().TargetStatus}, w.target.Load(), was, w.engine.now())
}

// store fills next in from the machine and shows it.
func (w *watcher) store(next *state, target *Target, now time.Time) {
	m := &w.machine
	next.Track, next.Recovered, next.Flapping = m.effective(), m.recovered, m.flapping()
	next.kept = kept{window: m.window, burst: m.burst}
	if !next.Flapping.IsZero() {
		next.kept.raw = m.track.Verdict
	}
	if next.Verdict == Down {
		next.Degraded = ""
	}
	next.held = w.frozen()
	next.Earliest, next.fast = w.earliest(next, target, now)
	w.status.Store(next)
}

// tells reports whether going from s to next is something that [Engine.Changed] must tell, beside the verdict.
func (s *state) tells(next *state) bool {
	return s.Report != next.Report || s.Earliest.IsZero() != next.Earliest.IsZero() || (s.Degraded == "") != (next.Degraded == "")
}

// degraded returns what is amiss with a target that answered well.
func degraded(took, wanted time.Duration, warning string) string {
	if wanted == 0 || took <= wanted {
		return warning
	}
	slow := "slow: " + rounded(took).String() + ", wanted at most " + wanted.String()
	if warning != "" {
		slow += "; " + warning
	}
	return slow
}

// rounded leaves three digits or so of a duration.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	default:
		return d.Round(10 * time.Microsecond)
	}
}

// discard notes that a result counts neither as good nor as bad: it had nothing to say, or is void for a local fault. What
// the probe found out before the fault stays true.
func (w *watcher) discard(target *Target, r result) {
	fault := localFault(r.err)
	w.turn(fault, w.engine.now())
	if fault != nil {
		w.engine.metrics.void(target.Protocol)
	}
	s := w.engine.sight
	s.mu.Lock()
	defer s.unlock()
	if w.gone.Load() {
		return
	}
	defer s.excuse(w)
	if fault == nil {
		s.settle(w)
		return
	}
	old := w.status.Load()
	next := *old
	next.LastError, next.Void = clean(r.err.Error()), true
	if r.report != (Report{}) {
		next.Report = r.report
	}
	w.status.Store(&next)
	s.news = s.news || old.Report != next.Report
}

// turn notes which local fault keeps the target from being probed; nil is none.
func (w *watcher) turn(fault error, now time.Time) {
	w.engine.faults.move(w.id, w.course.fault, fault, now)
	w.course.fault = fault
}

// logTurn writes the line of a verdict's turn: Warn when it turned down, else Info, and Debug when that a target is up is all
// that was ever known of it. The caller holds mu.
func (s *sight) logTurn(w *watcher, from, to Track) {
	level, reason := slog.LevelInfo, "good"
	switch {
	case to.Verdict == Down:
		level, reason = slog.LevelWarn, to.Reason
	case from.Verdict == Unknown:
		level = slog.LevelDebug
	case to.Bad > 0:
		reason = "taken back, this prober is blind"
	}
	after := to.Since.Sub(from.Since)
	if after < 0 { // It is older than the turn that is taken back.
		after = s.engine.now().Sub(from.Since)
	}
	s.later(func() {
		s.engine.logger.Log(context.Background(), level, "verdict turned",
			"target", w.id, "from", from.Verdict, "to", to.Verdict, "reason", reason, "after", after)
	})
}

// logFlapping writes the line of the begin or the end of flapping. The caller holds mu.
func (s *sight) logFlapping(w *watcher, old, next *state, now time.Time) {
	if next.Flapping.IsZero() {
		s.later(func() {
			s.engine.logger.Info("verdict is stable again", "target", w.id, "verdict", next.Verdict, "after", now.Sub(old.Flapping))
		})
		return
	}
	limit := next.kept.burst.limit
	s.later(func() {
		s.engine.logger.Warn("verdict is flapping", "target", w.id, "held", next.Verdict,
			"turns", len(next.kept.burst.turns), "within", limit.Within, "reason", next.Reason)
	})
}
