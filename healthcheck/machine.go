package healthcheck

import (
	"math/bits"
	"time"
)

// machine is the state behind a verdict: all that decides what it becomes, and all that a restart must keep of that.
// It is a value; what its pointer leads to is never written to. The zero value is unknown.
//
// A result is first counted and then looked at ([machine.count], [machine.turn]):
//
//	verdict   result  streak with it    verdict   since   reason
//	unknown   bad     decides nothing   unknown   kept    of the result
//	unknown   bad     turns it down     down      now     of the result
//	unknown   good    below rise        unknown   kept    none
//	unknown   good    rise or more      up        now     none
//	up        bad     decides nothing   up        kept    of the result
//	up        bad     turns it down     down      now     of the result
//	up        good    any               up        kept    none
//	down      bad     any               down      kept    of the result
//	down      good    below rise        down      kept    kept
//	down      good    rise or more      up        now     none
//
// A bad result turns the verdict down when its streak is as long as fall, or when as many of the last results as the
// window wants were bad. The window begins empty at each turn, so that what led to one does not lead to the next.
//
// Over that lies the limit on turns (flap.go).
type machine struct {
	// track is what the results add up to. It is what others see, except while the verdict is flapping.
	track Track
	// window has a set bit for each bad one of the last results, the latest lowest. It is zero without a [Window] and
	// while down: none of the results before counts then.
	window uint64
	// recovered is when the verdict that others see last turned from down to up. Zero: never.
	recovered time.Time
	// burst has the latest turns. Nil: none, or they are not limited.
	burst *burst
}

// count returns the state after one more result, which decides nothing yet: nil is good, an error is bad and its text
// the reason.
func (m machine) count(result error, t *Target) machine {
	if m.track.Verdict == "" {
		m.track.Verdict = Unknown
	}
	m.window <<= 1
	if result != nil {
		m.track.Bad, m.track.Good = m.track.Bad+1, 0
		m.track.Reason = clean(result.Error())
		m.window |= 1
	} else {
		m.track.Bad, m.track.Good = 0, m.track.Good+1
		if m.track.Verdict != Down {
			m.track.Reason = ""
		}
	}
	m.window &= t.Window.mask()
	if m.track.Verdict == Down {
		m.window = 0
	}
	return m
}

// turn returns the state in which the verdict is what the results that were counted make of it. Unless mayFall, the
// verdict that others see does not turn down; held reports that it would have.
func (m machine) turn(t *Target, now time.Time, mayFall bool) (next machine, held bool) {
	before := m.visible()
	switch {
	case m.rises(t):
		m = m.turned(Up, t, now)
	case m.falls(t) && mayFall:
		m = m.turned(Down, t, now)
	case m.falls(t):
		held = true
	}
	if m.quiet(t, now) {
		if m.track.Verdict == Down && before == Up && !mayFall {
			held = true
		} else {
			m = m.calmed(now)
		}
	}
	if before == Down && m.visible() == Up {
		m.recovered = now
	}
	return m, held
}

// rises reports whether the good streak turns the verdict up.
func (m machine) rises(t *Target) bool { return m.track.Verdict != Up && m.track.Good >= t.Rise }

// falls reports whether the last result, which must be bad, and those before it turn the verdict down.
func (m machine) falls(t *Target) bool {
	if m.track.Verdict == Down || m.track.Bad == 0 {
		return false
	}
	return m.track.Bad >= t.Fall || t.Window.Bad > 0 && bits.OnesCount64(m.window) >= t.Window.Bad
}

// turned returns the state after a turn.
func (m machine) turned(to Verdict, t *Target, now time.Time) machine {
	before := m
	m.track.Verdict, m.track.Since, m.window = to, now, 0
	if to == Up {
		m.track.Reason = ""
	}
	m.burst = before.counted(to, t.Flap, now)
	return m
}

// forgiven returns the state without the bad results that have not turned the verdict.
func (m machine) forgiven() machine {
	if m.track.Verdict != Down && m.track.Bad > 0 {
		m.track.Bad, m.track.Reason = 0, ""
	}
	m.window = 0
	return m
}

// open returns after how many more results the verdict could turn at the earliest, as long as something argues against
// it. That may be none, while it is held.
func (m machine) open(t *Target) (more int, ok bool) {
	if m.track.Good > 0 && m.track.Verdict != Up {
		return max(t.Rise-m.track.Good, 0), true
	}
	if m.track.Verdict == Down || m.track.Bad == 0 && m.window == 0 {
		return 0, false
	}
	more = max(t.Fall-m.track.Bad, 0)
	if t.Window.Bad == 0 {
		return more, true
	}
	for n, window := 0, m.window; n < more; n++ { // n bad results from now on.
		if bits.OnesCount64(window) >= t.Window.Bad && (n > 0 || m.track.Bad > 0) {
			return n, true
		}
		window = (window<<1 | 1) & t.Window.mask()
	}
	return more, true
}

// tells reports whether going from m to next is something that [Engine.Changed] must tell: what a reader acts upon, and
// what a restart must not lose.
func (m machine) tells(next machine) bool {
	return m.visible() != next.visible() || m.track.tells(next.track) || m.window != next.window || m.burst != next.burst
}

// mask has a bit for each result that the window looks at.
func (w Window) mask() uint64 {
	if w.Of >= maxWindow {
		return ^uint64(0)
	}
	return 1<<max(w.Of, 0) - 1
}
