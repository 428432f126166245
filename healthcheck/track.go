package healthcheck

import "time"

// Verdict is what the results of a target's probes add up to.
type Verdict string

// The verdicts.
const (
	// Unknown: neither enough bad nor enough good results in a row yet. It is never returned to.
	Unknown Verdict = "unknown"
	// Up: the last streak that was long enough to decide was a good one.
	Up Verdict = "up"
	// Down: the last streak that was long enough to decide was a bad one.
	Down Verdict = "down"
)

// Track is the state behind a verdict. It is a value: [Track.Next] returns the next one.
// The zero value, with an empty Verdict, is unknown.
type Track struct {
	// Verdict is what holds now.
	Verdict Verdict
	// Since is when the verdict was reached, or, for unknown, when watching began.
	Since time.Time
	// Bad and Good count the current streak; one of them is zero.
	Bad, Good int
	// Reason is the text of the last bad result while it matters: in a bad streak, and as long as the target is
	// down. Otherwise it is empty.
	Reason string
}

// Next returns the state after one more result: nil is good, an error is bad and its text the reason.
// fall and rise are at least 1. The whole machine:
//
//	verdict   result  streak with it   verdict   since   reason
//	unknown   bad     below fall       unknown   kept    of the result
//	unknown   bad     fall or more     down      now     of the result
//	unknown   good    below rise       unknown   kept    none
//	unknown   good    rise or more     up        now     none
//	up        bad     below fall       up        kept    of the result
//	up        bad     fall or more     down      now     of the result
//	up        good    any              up        kept    none
//	down      bad     any              down      kept    of the result
//	down      good    below rise       down      kept    kept
//	down      good    rise or more     up        now     none
func (t Track) Next(result error, fall, rise int, now time.Time) Track {
	if t.Verdict == "" {
		t.Verdict = Unknown
	}
	if result != nil {
		t.Bad, t.Good = t.Bad+1, 0
		t.Reason = clean(result.Error())
		if t.Verdict != Down && t.Bad >= fall {
			t.Verdict, t.Since = Down, now
		}
		return t
	}
	t.Bad, t.Good = 0, t.Good+1
	if t.Verdict != Up && t.Good >= rise {
		t.Verdict, t.Since = Up, now
	}
	if t.Verdict != Down {
		t.Reason = ""
	}
	return t
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
