package healthcheck

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

const (
	// eagerStep is the longest time between probes of a target that is eager, unless there are more than eagerRate.
	eagerStep = time.Second
	// eagerRate is how many probes of eager targets a second are enough.
	eagerRate = 10_000
	// maxJitter is the most that a probe starts after its slot on purpose.
	maxJitter = 50 * time.Millisecond
	// maxTick is the longest time between moments at which probes start together, and together is how many do on average.
	// To wake the process costs as much as a probe; many at once would wait for each other, and that would be measured.
	maxTick  = 5 * time.Millisecond
	together = 8
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

// next returns the plan after last, for a target that is probed every step; grid tells that step is its interval, and that
// it keeps to its slots. Without the grid it is first probed within its share of step, and then one step after the
// plan before. The result may lie in the past: then
// the probe is late and due at once. What is late by more than an interval waits for the next slot instead, lest
// all targets start together after a pause of the process.
func (s schedule) next(last plan, step time.Duration, grid bool, now time.Time) plan {
	if !grid {
		at := now.Add(s.offset(step))
		if !last.at.IsZero() {
			at = last.at.Add(step)
			if at.Before(now) {
				at = now
			}
		}
		return plan{at: at, step: step}
	}
	if last.grid && last.step == step {
		if at := last.at.Add(step); now.Sub(at) <= step {
			return plan{at: at, step: step, grid: true}
		}
	}
	return plan{at: s.slot(step, now), step: step, grid: true}
}

// paceOf returns how often targets are probed that are eager, because they have no verdict or no result since the engine
// started, when there are so many of them: those that start together do not ask for more than the machine can do.
func paceOf(eager int64) time.Duration {
	return max(eagerStep, time.Duration(eager)*(time.Second/eagerRate))
}

// pace returns how often a target is probed, and whether that is its interval. One that is eager is probed at the pace of those,
// which is 0 for others, if that is faster; one whose verdict a streak argues against, every FastInterval. A streak without a
// verdict may be both.
func pace(t *Target, eager time.Duration, streak bool) (step time.Duration, grid bool) {
	step = t.Interval
	if eager > 0 {
		step = min(step, eager)
	}
	if streak && t.FastInterval > 0 {
		step = min(step, t.FastInterval)
	}
	return step, eager == 0 && step == t.Interval
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

// start returns when a probe starts: at a random time not before p and at most [maxJitter] later, which is a multiple of tick
// since epoch if there is one.
func (p plan) start(epoch time.Time, tick time.Duration) time.Time {
	late := jitter(p.step)
	if tick > 0 {
		since := p.at.Sub(epoch) + late
		aligned := late - (since%tick+tick)%tick
		if aligned < 0 {
			aligned += tick
		}
		if aligned <= min(p.step/50, maxJitter) {
			late = aligned
		}
	}
	return p.at.Add(late)
}

// tickOf returns the tick for so many probes a second.
func tickOf(rate float64) time.Duration {
	return time.Duration(min(float64(maxTick), together*float64(time.Second)/max(rate, 1)))
}

// jitter returns a random delay in [0, min(step/50, 50 ms)], which keeps probes of several nodes from meeting.
func jitter(step time.Duration) time.Duration {
	return rand.N(min(step/50, maxJitter) + 1)
}
