package alert

import (
	"slices"
	"time"
)

// flight is a message under way, from when it is made until it is delivered or given up.
type flight struct {
	message *Message
	takes   []take
	// attempt counts the attempts that were made; next is when the next one is made.
	attempt int
	next    time.Time
	// isSaved: it is on disk, or cannot be, so that it may be sent.
	isSaved bool
}

// take is what a flight tells of an item.
type take struct {
	item       *item
	begin, end bool
	isReminder bool
}

// outcome is what became of a flight.
type outcome string

const (
	delivered outcome = "delivered"
	rejected  outcome = "rejected" // A further try cannot mend it.
	expired   outcome = "expired"  // It was tried for as long as it is kept.
)

// tell makes a message of all that the causes have to tell by now.
func (r *route) tell(causes []candidate, isStorm bool, now time.Time, node string) *flight {
	var takes []take
	for _, c := range causes {
		c.all(func(i *item) {
			if at, ok := i.newsAt(); ok && !at.After(now) {
				takes = append(takes, take{item: i, begin: !i.isAnnounced, end: i.end != nil})
			}
		})
	}
	draft := draft{route: r, takes: takes, isStorm: isStorm && len(causes) > 1, firing: r.firing(), now: now, node: node}
	message := draft.message()
	r.dropped = 0
	for _, c := range causes {
		c.series.told(now)
		r.depart(c.cause, now)
	}
	if isStorm {
		r.storm.happen(r.group.Hold, now)
		r.storm.told(now)
		r.storm.isUrgent = slices.ContainsFunc(takes, func(t take) bool { return r.isUrgent(t.item) })
	}
	return &flight{message: message, takes: takes, next: now}
}

// depart notes that all that a cause has to tell by now is in a message.
func (r *route) depart(c *cause, now time.Time) {
	for _, i := range c.items {
		at, ok := i.newsAt()
		if !ok || at.After(now) {
			continue
		}
		i.isAnnounced, i.returns = true, 0
		if i.end != nil {
			r.remove(c, i)
		}
	}
	var later []*item
	for _, i := range c.notes {
		if i.due.After(now) {
			later = append(later, i)
		}
	}
	r.notes -= len(c.notes) - len(later)
	c.notes = later
	r.refresh(c)
}

// remind makes a message of what goes on, with what is to be told again soon.
func (r *route) remind(now time.Time, node string) *flight {
	var takes []take
	for _, i := range r.items {
		if i.isTold && i.end == nil && !i.toldAt.Add(r.repeat()/2).After(now) {
			takes = append(takes, take{item: i, isReminder: true})
		}
	}
	draft := draft{route: r, takes: takes, isReminder: true, firing: r.firing(), now: now, node: node}
	f := &flight{message: draft.message(), takes: takes, next: now}
	for _, t := range takes {
		t.item.toldAt, t.item.returns = now, 0
	}
	return f
}

// land notes what became of the message under way.
func (r *route) land(o outcome, now time.Time) {
	f := r.flight
	r.flight = nil
	switch o {
	case delivered:
		r.stats.delivered++
	case rejected:
		r.stats.rejected++
	case expired:
		r.stats.expired++
	}
	for _, t := range f.takes {
		if t.isReminder || t.item.event.Key == "" {
			continue
		}
		c := r.cause(causeOf(t.item.event))
		switch o {
		case delivered:
			t.item.isTold, t.item.toldAt = true, now
		case rejected:
			r.reject(c, t)
		case expired:
			r.requeue(c, t, now)
		}
		r.refresh(c)
	}
}

// reject forgets the end of what a receiver does not know of.
func (r *route) reject(c *cause, t take) {
	i := t.item
	if !t.begin || c.items[keyOf(i.event)] != i {
		return
	}
	if i.end != nil {
		r.remove(c, i)
		return
	}
	i.isForgone = true
}

// requeue lets be told what is still so of a message that was given up: what goes on, and the end of what the receiver knows
// to go on.
func (r *route) requeue(c *cause, t take, now time.Time) {
	i, present := t.item, c.items[keyOf(t.item.event)]
	switch {
	case !t.end && present == i && i.end == nil: // It goes on.
		i.isAnnounced, i.due = false, now
	case !t.end && present == i: // It is over, and nobody knew of it.
		r.remove(c, i)
	case t.end && !t.begin && present == nil: // It is over, and the receiver does not know.
		i.due = now
		r.add(c, i)
	case t.end && !t.begin && !present.isAnnounced: // It has begun again, and the receiver never heard that it was over.
		present.isAnnounced, present.isTold, present.toldAt = true, true, now
		present.returns++
		present.began = i.began
	}
}
