package healthcheck

import "time"

// earliest returns when the verdict could turn at the earliest, which is never later than it does, and whether a streak argues
// against it. The zero time: nothing does, or it may not turn down. The next result is taken to be there at any moment,
// since the probe may be called for; each further one takes a step at least. Next has the track already. The caller holds sight.
func (w *watcher) earliest(next *state, target *Target, now time.Time) (at time.Time, streak bool) {
	m := &w.machine
	if !next.Flapping.IsZero() {
		if m.track.Verdict == next.Verdict || m.track.Verdict == Down && w.frozen() {
			return time.Time{}, false
		}
		return later(m.burst.over(target), now), false
	}
	more, open := m.open(target)
	rising := next.Verdict != Up && m.track.Good > 0
	if !open || !rising && w.frozen() {
		return time.Time{}, false
	}
	if next.Verdict == Unknown { // Two streaks may turn it.
		more = min(more, 1)
	}
	bad, good := next.against()
	var eager time.Duration
	if next.isEager() {
		eager = w.engine.sight.eagerStep()
	}
	step, _ := pace(target, eager, true)
	step -= min(step/50, maxJitter)
	from := next.LastProbe
	if from.IsZero() {
		from = now
	}
	return later(from.Add(time.Duration(more-1)*step), now), bad+good > 0
}
