package healthcheck

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// Status is what an [Engine] knew at one moment of every target that is being watched. Nothing in it changes any more; do not
// write to it. The zero value knows of none.
type Status struct {
	// Blind is what this prober does not see now; empty: nothing.
	Blind []Blindness

	roster *roster
	states []*state // By the number in the roster.
}

// NewStatus is a status of these targets, by their IDs, as an engine would give it.
func NewStatus(targets map[string]TargetStatus) *Status {
	s := &Status{roster: newRoster(slices.Collect(maps.Keys(targets)))}
	for _, id := range s.roster.ids {
		s.states = append(s.states, &state{TargetStatus: targets[id]})
	}
	return s
}

// Of is what is known of a target; the zero value when it is not being watched.
func (s *Status) Of(id string) TargetStatus {
	t, _ := s.Find(id)
	return *t
}

// Find is Of without a copy, and reports whether the target is being watched. What it points to does not change; it is never nil.
func (s *Status) Find(id string) (*TargetStatus, bool) {
	if s.roster == nil {
		return new(TargetStatus), false
	}
	i, known := s.roster.numbers[id]
	if !known {
		return new(TargetStatus), false
	}
	return &s.states[i].TargetStatus, true
}

// Len is the number of targets.
func (s *Status) Len() int { return len(s.states) }

// All yields every target with its ID, in the order of the IDs.
func (s *Status) All() iter.Seq2[string, *TargetStatus] {
	return func(yield func(string, *TargetStatus) bool) {
		for i, one := range s.states {
			if !yield(s.roster.ids[i], &one.TargetStatus) {
				return
			}
		}
	}
}

// Since yields the IDs of the targets of which something is known that before did not know, or the other way round; those
// that have been probed since are among them. It costs one comparison for each target.
func (s *Status) Since(before *Status) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, one := range s.states {
			var then *state
			if s.roster == before.roster {
				then = before.states[i]
			} else if before.roster != nil {
				if j, known := before.roster.numbers[s.roster.ids[i]]; known {
					then = before.states[j]
				}
			}
			if one != then && !yield(s.roster.ids[i]) {
				return
			}
		}
		if s.roster == before.roster || before.roster == nil {
			return
		}
		for _, id := range before.roster.ids {
			if _, known := s.Find(id); !known && !yield(id) {
				return
			}
		}
	}
}

// roster numbers the targets that an engine has been given. It is immutable, and the same for every status until the
// targets are others, so that a status is no more than a list.
type roster struct {
	ids     []string // Sorted.
	numbers map[string]int32
}

func newRoster(ids []string) *roster {
	slices.Sort(ids)
	r := &roster{ids: ids, numbers: make(map[string]int32, len(ids))}
	for i, id := range ids {
		r.numbers[id] = int32(i)
	}
	return r
}

// kept is what has to be saved of a target and is of no use to anyone else.
type kept struct {
	raw    Verdict // What the results say while the verdict is flapping.
	window uint64
	burst  *burst
}

// Blindness is why failures do not count: verdicts do not turn down while it lasts.
type Blindness struct {
	// Family is "ipv4" or "ipv6": of the targets whose verdicts are frozen.
	Family string
	Since  time.Time
	// Reason is for people: "9 of 10 targets in 4 networks fail at once".
	Reason string
}

// TargetStatus is what is known of one target.
type TargetStatus struct {
	// Track is the verdict, since when it holds, its reason, and the current streak.
	Track
	// LastProbe is when the last probe that counted started. Zero: none yet since the engine started.
	LastProbe time.Time
	// LastDuration is how long that probe took.
	LastDuration time.Duration
	// RTT is the smoothed round-trip time: the average of what the good probes took, in which each new one has a weight of
	// 1/8. It tells addresses of one check apart; of http, say, it has the time to connect and to answer in it. Zero: no
	// good probe yet since the engine started.
	RTT time.Duration
	// LastError is the reason of that probe's bad result or, when Void, why there has been none since. Empty: it was
	// good, or there was none yet.
	LastError string
	// Void is whether the latest attempt was void for a fault of our own, such as a lack of file descriptors. All
	// but LastError and Report stay as they were then.
	Void bool
	// Report is that of the last probe that had anything to report, so that a probe that does not come as far as
	// the certificate does not hide its expiry.
	Report Report
	// Phases of the last probe that counted.
	Phases Phases
	// Recovered is when the verdict last turned from down to up. Zero: it never did, as far as is known.
	Recovered time.Time
	// Degraded is what is amiss with a target that passes: it is slow, or its certificate is near its end. Empty: nothing.
	Degraded string
	// Flapping is since when the verdict is held because it turned too often. Zero: it is not.
	Flapping time.Time
	// Earliest is when the verdict could turn at the earliest, as long as a streak that argues against it is open. Zero: none is.
	Earliest time.Time
	// GoodTotal and BadTotal count the results since the engine started, void ones left out.
	GoodTotal, BadTotal uint64
}
