package healthcheck

import (
	"fmt"
	"slices"
	"time"
)

// burst is the latest turns of a verdict, and what counts in its place while they are too many. More turns than [Flap]
// allows within its time are flapping: what held before the first of them counts, until there has been no turn for as
// long. It is never written to once others see it.
type burst struct {
	limit Flap
	// turns are those from up to down and back, oldest first; at most one more than the limit allows.
	turns []time.Time
	// since is when flapping began. Zero: it did not, and the following two are zero.
	since time.Time
	// held is the verdict that counts, and heldSince when it was reached.
	held      Verdict
	heldSince time.Time
}

// flapping is since when another verdict than that of the results counts. Zero: it does not.
func (m machine) flapping() time.Time {
	if m.burst == nil {
		return time.Time{}
	}
	return m.burst.since
}

// visible is the verdict that others see.
func (m machine) visible() Verdict {
	switch {
	case !m.flapping().IsZero():
		return m.burst.held
	case m.track.Verdict == "":
		return Unknown
	default:
		return m.track.Verdict
	}
}

// effective is what others see: the track, or what is held while the verdict is flapping.
func (m machine) effective() Track {
	t := m.track
	if m.flapping().IsZero() {
		return t
	}
	last := "good"
	if t.Bad > 0 && t.Reason != "" {
		last = t.Reason
	}
	t.Verdict, t.Since = m.burst.held, m.burst.heldSince
	t.Reason = clean(fmt.Sprintf("flapping: %d turns in %v, held %s; last: %s", len(m.burst.turns), brief(m.burst.limit.Within), t.Verdict, last))
	return t
}

// counted returns the burst after a turn of m to another verdict. The first verdict of all is no turn.
func (m machine) counted(to Verdict, limit Flap, now time.Time) *burst {
	if limit.Turns == 0 {
		return nil
	}
	if m.track.Verdict != Up && m.track.Verdict != Down {
		return m.burst
	}
	next := burst{limit: limit}
	if m.burst != nil {
		next.since, next.held, next.heldSince = m.burst.since, m.burst.held, m.burst.heldSince
		next.turns = slices.DeleteFunc(slices.Clone(m.burst.turns), func(at time.Time) bool { return now.Sub(at) >= limit.Within })
	}
	next.turns = append(next.turns, now)
	if more := len(next.turns) - (limit.Turns + 1); more > 0 {
		next.turns = slices.Delete(next.turns, 0, more)
	}
	if len(next.turns) <= limit.Turns || !next.since.IsZero() {
		return &next
	}
	// Each turn went to the other verdict, so that their number tells which one they began with.
	next.since, next.held, next.heldSince = now, to, now
	if len(next.turns)%2 == 1 {
		next.held, next.heldSince = m.track.Verdict, m.track.Since
	}
	return &next
}

// quiet reports whether flapping is over: there was no turn for long enough, or turns are not limited any more.
func (m machine) quiet(t *Target, now time.Time) bool {
	if m.flapping().IsZero() {
		return false
	}
	return !now.Before(m.burst.over(t))
}

// over is when flapping ends unless there is another turn; the zero time when turns are not limited any more.
func (b *burst) over(t *Target) time.Time {
	if t.Flap.Turns == 0 {
		return time.Time{}
	}
	last := b.since
	if n := len(b.turns); n > 0 {
		last = b.turns[n-1]
	}
	return last.Add(t.Flap.Within)
}

// calmed returns the state after flapping, in which the results count again.
func (m machine) calmed(now time.Time) machine {
	since := now
	if m.burst.held == m.track.Verdict {
		since = m.burst.heldSince
	}
	m.track.Since, m.burst = since, nil
	return m
}
