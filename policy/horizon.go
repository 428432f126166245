package policy

import "time"

// horizon collects when a decision may change: by itself, and by what the addresses are about to show.
type horizon struct {
	now time.Time
	// until is the earliest time after now at which another set may come into force, or serve others, by itself; zero: never.
	until time.Time
	// step is the earliest time after now at which no more than shares or the TTL change by themselves; zero: never.
	step time.Time
	// expected is the earliest time at which a health could turn; zero: none is about to.
	expected time.Time
}

// add notes that the decision changes at a time. One that has passed does not count, nor does the zero time.
func (h *horizon) add(at time.Time) {
	if at.After(h.now) {
		h.until = first(h.until, at)
	}
}

// after notes that shares or the TTL change after a time; zero: never.
func (h *horizon) after(d time.Duration) {
	if d > 0 {
		h.step = first(h.step, h.now.Add(d))
	}
}

// first is the earlier of two times; the zero time is none.
func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expect notes that a health could turn at a time, which may have passed; zero: it is not about to.
func (h *horizon) expect(at time.Time) {
	h.expected = first(h.expected, at)
}

// ttl is the TTL of answers. It is halved as often as it takes for every answer
// given until then to have run out before the earliest possible change, but never below the lowest.
func (p *Policy) ttl(h *horizon) uint32 {
	change := first(first(h.until, h.step), h.expected)
	if p.MinTTL == 0 || p.MinTTL >= p.TTL || change.IsZero() {
		return p.TTL
	}
	left := change.Sub(h.now)
	for ttl := p.TTL; ttl > p.MinTTL; ttl = max(ttl/2, p.MinTTL) {
		if promise := time.Duration(ttl) * time.Second; promise < left {
			h.after(left - promise)
			return ttl
		}
	}
	return p.MinTTL
}
