package healthcheck

import (
	"math"
	"time"
	"unique"
)

// MaxResults is how many results of each target are kept.
const MaxResults = 100

// Result is one result of a probe that counted for its target.
type Result struct {
	// Start is when the probe started, by the clock on the wall at that time.
	Start time.Time
	// Took is how long it took, to a microsecond.
	Took time.Duration
	// Phases of it, each to a microsecond.
	Phases Phases
	// Good is whether it was what is wanted; Reason says why not.
	Good   bool
	Reason string
	// Turned is the verdict that the result has led to, where it turned it; empty: it did not.
	Turned Verdict
}

// Results returns the last results of a target, the latest first, at most [MaxResults], and whether the target is being
// watched. They are the caller's. A result that is void, or that only told whether this prober sees anything, is not among
// them. Results are kept as long as the engine watches a target of that ID.
func (e *Engine) Results(id string) (results []Result, known bool) {
	e.mu.Lock()
	w := e.watchers[id]
	e.mu.Unlock()
	if w == nil {
		return nil, false
	}
	e.sight.mu.Lock()
	past := w.past.clone()
	e.sight.mu.Unlock()
	return past.results(), true
}

// past is the last results of one target, packed: 32 octets each, without a pointer for the collector of garbage to follow.
// Nil: there are none. It is guarded by Engine.sight.
type past struct {
	outcomes []outcome // As many as MaxResults at most; then the oldest is at next.
	next     int
	// reasons are those of bad outcomes, each once; a handle that none has is the zero one. As long as a target always fails
	// in the same way, there is one.
	reasons []unique.Handle[string]
}

// outcome is one result. Its durations are in microseconds; 4294967295 is that or more.
type outcome struct {
	start  int64 // Nanoseconds since 1970.
	took   uint32
	phases [4]uint32
	reason uint8 // Of a bad one: its place in past.reasons, from 1. 0: it is good.
	turned uint8 // 1: up, 2: down.
}

// add puts one more result in. Whose target is well allocates nothing, once there are MaxResults.
func (p *past) add(start time.Time, took time.Duration, phases Phases, reason string, isGood bool) *past {
	if p == nil {
		p = new(past)
	}
	one := outcome{
		start: start.UnixNano(), took: micros(took),
		phases: [4]uint32{micros(phases.Connect), micros(phases.TLS), micros(phases.FirstByte), micros(phases.Body)},
	}
	if len(p.outcomes) == MaxResults { // Room first: its reason may be free then.
		p.outcomes[p.next].reason = 0
	}
	if !isGood {
		one.reason = p.reasonOf(reason)
	}
	if len(p.outcomes) == MaxResults {
		p.outcomes[p.next] = one
		p.next = (p.next + 1) % MaxResults
		return p
	}
	if len(p.outcomes) == cap(p.outcomes) {
		grown := make([]outcome, len(p.outcomes), min(max(2*len(p.outcomes), 4), MaxResults))
		copy(grown, p.outcomes)
		p.outcomes = grown
	}
	p.outcomes = append(p.outcomes, one)
	return p
}

// reasonOf is the place of a reason, from 1. There are never more than outcomes.
func (p *past) reasonOf(text string) uint8 {
	reason := unique.Make(text)
	for i, r := range p.reasons {
		if r == reason {
			return uint8(i + 1)
		}
	}
	used := make([]bool, len(p.reasons)+1)
	for i := range p.outcomes {
		used[p.outcomes[i].reason] = true
	}
	for i := range p.reasons {
		if !used[i+1] {
			p.reasons[i] = reason
			return uint8(i + 1)
		}
	}
	p.reasons = append(p.reasons, reason)
	return uint8(len(p.reasons))
}

// turn notes that the verdict has turned, with the latest result if that speaks for it: a turn that is taken back comes of none.
func (p *past) turn(to Verdict) {
	if p == nil {
		return
	}
	last := &p.outcomes[(p.next+len(p.outcomes)-1)%len(p.outcomes)]
	switch isGood := last.reason == 0; {
	case to == Up && isGood:
		last.turned = 1
	case to == Down && !isGood:
		last.turned = 2
	}
}

// clone is a copy of nothing but values that do not change.
func (p *past) clone() past {
	if p == nil {
		return past{}
	}
	c := past{next: p.next, outcomes: make([]outcome, len(p.outcomes)), reasons: make([]unique.Handle[string], len(p.reasons))}
	copy(c.outcomes, p.outcomes)
	copy(c.reasons, p.reasons)
	return c
}

// results are the outcomes unpacked, the latest first.
func (p *past) results() []Result {
	all := make([]Result, len(p.outcomes))
	for i := range all {
		one := &p.outcomes[(p.next+len(all)-1-i)%len(all)]
		all[i] = Result{
			Start: time.Unix(0, one.start), Took: ofMicros(one.took), Good: one.reason == 0,
			Phases: Phases{ofMicros(one.phases[0]), ofMicros(one.phases[1]), ofMicros(one.phases[2]), ofMicros(one.phases[3])},
			Turned: [...]Verdict{"", Up, Down}[one.turned],
		}
		if one.reason > 0 {
			all[i].Reason = p.reasons[one.reason-1].Value()
		}
	}
	return all
}

// micros is a duration in microseconds. One that is not zero is at least 1, since zero says that there was none.
func micros(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min(max(d.Microseconds(), 1), math.MaxUint32))
}

func ofMicros(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
