package healthcheck

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

const (
	// eagerStep is the longest time between probes of a target that is eager.
	eagerStep = time.Second
	// maxJitter is the most that a probe starts after its slot on purpose.
	maxJitter = 50 * time.Millisecond
)

// schedule says when one target is probed. Its slots lie one interval apart on a grid whose offset is a hash of the
// target's ID, so that any number of targets spread evenly over the interval and each keeps its place.
// It is immutable.
type schedule struct {
	epoch time.Time
	hash  uint64
}

// newSchedule returns the schedule of a target whose slots count from epoch.
func newSchedule(id string, epoch time.Time) schedule {
	sum := sha256.Sum256([]byte(id))
	return schedule{epoch: epoch, hash: binary.BigEndian.Uint64(sum[:])}
}

// plan is the moment of one probe. The zero value is that of a target that has not been planned yet.
type plan struct {
	at   time.Time
	step time.Duration
	grid bool // Whether at is a slot of the grid of intervals as long as step.
}

// next returns the plan after last. A target without a verdict, or whose verdict no result since the engine started
// has looked at, is eager: first within its share of min(interval, 1 s), then every min(interval, 1 s). Any other
// keeps to its slots. The result may lie in the past: then
// the probe is late and due at once. What is late by more than an interval waits for the next slot instead, lest
// all targets start together after a pause of the process.
func (s schedule) next(last plan, eager bool, interval time.Duration, now time.Time) plan {
	if eager {
		step := min(interval, eagerStep)
		at := now.Add(s.offset(step))
		if !last.at.IsZero() {
			at = last.at.Add(step)
			if at.Before(now) {
				at = now
			}
		}
		return plan{at: at, step: step}
	}
	if last.grid && last.step == interval {
		if at := last.at.Add(interval); now.Sub(at) <= interval {
			return plan{at: at, step: interval, grid: true}
		}
	}
	return plan{at: s.slot(interval, now), step: interval, grid: true}
}

// slot returns the first slot that is strictly later than now; it is at most one interval away.
func (s schedule) slot(interval time.Duration, now time.Time) time.Time {
	first := s.epoch.Add(s.offset(interval))
	if now.Before(first) {
		return first
	}
	return first.Add((now.Sub(first)/interval + 1) * interval)
}

// offset returns the target's place, in [0, step).
func (s schedule) offset(step time.Duration) time.Duration {
	return time.Duration(s.hash % uint64(step))
}

// jitter returns a random delay in [0, min(step/50, 50 ms)], which keeps probes of several nodes from meeting.
func jitter(step time.Duration) time.Duration {
	return rand.N(min(step/50, maxJitter) + 1)
}
