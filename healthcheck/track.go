package healthcheck

import "time"

// Verdict is what the results of a target's probes add up to.
type Verdict string

// The verdicts.
const (
	// Unknown: neither enough bad nor enough good results yet. It is never returned to.
	Unknown Verdict = "unknown"
	// Up: the last results that were enough to decide were good.
	Up Verdict = "up"
	// Down: the last results that were enough to decide were bad.
	Down Verdict = "down"
)

// Track is a verdict and the streak of results that bears on it. The zero value, with an empty Verdict, is unknown.
type Track struct {
	// Verdict is what holds now.
	Verdict Verdict
	// Since is when the verdict was reached, or, for unknown, when watching began.
	Since time.Time
	// Bad and Good count the current streak; one of them is zero.
	Bad, Good int
	// Reason is the text of the last bad result while it matters: in a bad streak, and as long as the target is
	// down. Of a verdict that is flapping it says so. Otherwise it is empty.
	Reason string
}

// smoothed returns the smoothed round-trip time after one more measurement: the exponential average with which RFC 6298
// section 2 begins, whose alpha is 1/8. It is above zero, which stands for none yet.
func smoothed(rtt, measured time.Duration) time.Duration {
	if rtt == 0 {
		return max(measured, 1)
	}
	return max(rtt+(measured-rtt)/8, 1)
}

// against returns the length of the streak that argues against the verdict: bad results when up, good ones when
// down, either when unknown.
func (t Track) against() (bad, good int) {
	switch t.Verdict {
	case Up:
		return t.Bad, 0
	case Down:
		return 0, t.Good
	default:
		return t.Bad, t.Good
	}
}

// tells reports whether going from t to next is something that [Engine.Changed] must tell.
func (t Track) tells(next Track) bool {
	bad, good := t.against()
	nextBad, nextGood := next.against()
	return t.Verdict != next.Verdict || bad != nextBad || good != nextGood
}
