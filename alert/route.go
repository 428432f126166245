package alert

import (
	"cmp"
	"slices"
	"time"
)

const (
	// maxSingle is how many causes that are told at one time have a message each. More are a storm, told in one.
	maxSingle = 3
	// maxItems is how many alerts a route knows of, and how many events without a key wait in it. More are dropped and counted.
	maxItems = 100_000
)

// routeName is the name of a group and that of a method in it.
type routeName struct{ group, method string }

// route is the way to one group by one method: what its receiver was told, and what waits to be told. It decides when a message is
// made, and of what; at most one is under way. The service's mutex guards it.
type route struct {
	name   routeName
	group  *GroupOptions
	method *MethodOptions
	sender Sender
	// reach is how many instances are told to the group.
	reach int

	causes  map[string]*cause
	items   map[alertKey]*item
	pending map[*cause]struct{} // Those with something to tell, now or later.
	notes   int
	dropped int // What was not kept since the last message.
	storm   series
	flight  *flight
	sent    []time.Time // The latest attempts, as many as the rate counts.
	swept   time.Time
	next    time.Time // When to look again, as of the last turn.

	courier courier
	stats   routeStats
}

// routeStats are for people and for metrics.
type routeStats struct {
	delivered, rejected, expired, failed uint64
	lastSuccess, lastFailure             time.Time
	lastError                            string
}

func newRoute(name routeName) *route {
	return &route{name: name, causes: map[string]*cause{}, items: map[alertKey]*item{}, pending: map[*cause]struct{}{}, courier: courier{wake: make(chan struct{}, 1)}}
}

// never is later than anything.
var never = time.Unix(1<<40, 0)

func (r *route) quiet() []Quiet {
	if r.method.Quiet != nil {
		return r.method.Quiet
	}
	return r.group.Quiet
}

// repeat is when what goes on is told again; 0: never.
func (r *route) repeat() time.Duration {
	if r.method.Kind == Alertmanager { // It takes what it does not hear of for over after five minutes, whatever the group says.
		return cmp.Or(r.method.Repeat, time.Minute)
	}
	return cmp.Or(r.method.Repeat, r.group.Repeat)
}

func (r *route) isUrgent(i *item) bool { return slices.Contains(r.group.Urgent, Kind(i.event.Kind)) }

// cause is what is known of a cause, made when there is nothing yet.
func (r *route) cause(name string) *cause {
	c := r.causes[name]
	if c == nil {
		c = &cause{name: name, items: map[alertKey]*item{}}
		r.causes[name] = c
	}
	return c
}

// begin takes the beginning of something, or what has no end. Instances are those whose choices name the route.
func (r *route) begin(e *Event, instances []string, isEndless bool, now time.Time) {
	known := r.items[keyOf(e)]
	switch {
	case e.Key == "":
		if r.notes >= maxItems {
			r.dropped++
			return
		}
		c := r.cause(causeOf(e))
		c.series.happen(r.group.Hold, now)
		c.notes = append(c.notes, &item{event: e, instances: instances, began: e.Time, due: now.Add(r.group.Delay)})
		r.notes++
		r.pending[c] = struct{}{}
	case known == nil:
		if len(r.items) >= maxItems {
			r.dropped++
			return
		}
		c := r.cause(causeOf(e))
		c.series.happen(r.group.Hold, now)
		r.add(c, &item{event: e, instances: instances, began: e.Time, due: now.Add(r.group.Delay), isEndless: isEndless})
	case known.end == nil:
		known.merge(instances)
	default:
		c := r.cause(causeOf(known.event))
		c.series.happen(r.group.Hold, now)
		known.end, known.returns, known.isEndless = nil, known.returns+1, isEndless
		known.merge(instances)
		if !known.isAnnounced {
			latest := *e
			latest.Cause = known.event.Cause // under which it is kept
			known.event = &latest
		}
		r.refresh(c)
	}
}

// resolve takes the end of something. It means nothing to a route that was not told of the beginning.
func (r *route) resolve(e *Event, now time.Time) {
	i := r.items[keyOf(e)]
	if i == nil || i.end != nil {
		return
	}
	c := r.cause(causeOf(i.event))
	c.series.happen(r.group.Hold, now)
	isBrief := !i.isAnnounced && now.Before(i.due)
	if isBrief || i.isForgone || i.isEndless && i.isAnnounced {
		r.remove(c, i)
	} else {
		i.end = e
		if i.isAnnounced {
			i.due = now
		}
	}
	r.refresh(c)
}

func (r *route) add(c *cause, i *item) {
	c.items[keyOf(i.event)] = i
	r.items[keyOf(i.event)] = i
	r.refresh(c)
}

func (r *route) remove(c *cause, i *item) {
	delete(c.items, keyOf(i.event))
	delete(r.items, keyOf(i.event))
}

// refresh looks again whether a cause has something to tell.
func (r *route) refresh(c *cause) {
	hasNews := false
	c.all(func(i *item) {
		_, ok := i.newsAt()
		hasNews = hasNews || ok
	})
	if hasNews {
		r.pending[c] = struct{}{}
	} else {
		delete(r.pending, c)
	}
}

// sweep forgets the causes of which there is nothing to know any more.
func (r *route) sweep(now time.Time) {
	if now.Sub(r.swept) < time.Minute {
		return
	}
	r.swept = now
	for name, c := range r.causes {
		if len(c.items) == 0 && len(c.notes) == 0 && c.series.isOver(r.group.Hold, now) {
			delete(r.causes, name)
			delete(r.pending, c)
		}
	}
}

// candidate is a cause that may be told now, and from when on it has to be.
type candidate struct {
	*cause
	ready time.Time
}

// turn makes a message when one is due, and returns when to look again.
func (r *route) turn(now time.Time, node string) time.Time {
	r.sweep(now)
	if r.flight != nil {
		return never
	}
	room, free := r.room(now)
	next := never
	var candidates []candidate
	quiet := quietUntil(r.quiet(), r.group.TimeZone.Location(), now)
	held := latest(r.storm.notBefore(r.group.Hold), quiet)
	for c := range r.pending {
		ready, isCandidate := r.readiness(c, held, r.storm.urgentNotBefore(r.group.Hold), now)
		next = earliest(next, ready)
		if isCandidate {
			candidates = append(candidates, candidate{c, ready})
		}
	}
	remind := r.remindAt(quiet)
	switch {
	case next.After(now) && remind.After(now):
		return earliest(next, remind)
	case room == 0:
		return free
	case next.After(now):
		r.flight = r.remind(now, node)
	case len(candidates) > min(maxSingle, room), now.Before(r.storm.notBefore(r.group.Hold)): // the storm goes on, with something urgent
		r.flight = r.tell(r.stormy(quiet, now), true, now, node)
	default:
		slices.SortFunc(candidates, func(a, b candidate) int {
			return cmp.Or(a.ready.Compare(b.ready), cmp.Compare(a.name, b.name))
		})
		r.flight = r.tell(candidates[:1], false, now, node)
	}
	return never
}

// stormy are the causes that a message about a storm is of: also what only the storm before has held up, since one message disturbs
// no more than the other. Quiet is until when all waits that is not urgent.
func (r *route) stormy(quiet, now time.Time) []candidate {
	var all []candidate
	for c := range r.pending {
		if ready, isCandidate := r.readiness(c, quiet, time.Time{}, now); isCandidate {
			all = append(all, candidate{c, ready})
		}
	}
	return all
}

// readiness is when a message about the cause is to be made, and whether it has something to tell by now that nothing holds
// up. Held is until when all waits that is not urgent, and urgent until when what is does.
func (r *route) readiness(c *cause, held, urgent, now time.Time) (ready time.Time, isCandidate bool) {
	ready = never
	hold := c.series.notBefore(r.group.Hold)
	c.all(func(i *item) {
		at, ok := i.newsAt()
		if !ok {
			return
		}
		wait, isUrgent := time.Time{}, r.isUrgent(i)
		if !isUrgent || i.isAnnounced {
			wait = hold
		}
		if isUrgent {
			wait = latest(wait, urgent)
		} else {
			wait = latest(wait, held)
		}
		isCandidate = isCandidate || !latest(at, wait).After(now)
		ready = earliest(ready, latest(at.Add(r.group.GroupWait), wait))
	})
	return ready, isCandidate
}

// room is how many messages the rate allows now and, where none, when the next is allowed.
func (r *route) room(now time.Time) (n int, free time.Time) {
	rate := r.method.Rate
	if rate.Count == 0 {
		return maxSingle, time.Time{}
	}
	used := 0
	for _, t := range r.sent {
		if now.Sub(t) < rate.Within {
			used++
		}
	}
	if used < rate.Count {
		return rate.Count - used, time.Time{}
	}
	return 0, r.sent[len(r.sent)-rate.Count].Add(rate.Within)
}

// count notes an attempt for the rate.
func (r *route) count(now time.Time) {
	r.sent = append(r.sent, now)
	if most := r.method.Rate.Count; len(r.sent) > most {
		r.sent = slices.Clone(r.sent[len(r.sent)-most:])
	}
}

// remindAt is when to tell again of what goes on. Alertmanager is reminded in quiet times, too: it would take it for over.
func (r *route) remindAt(quiet time.Time) time.Time {
	repeat, first := r.repeat(), never
	if repeat == 0 {
		return never
	}
	for _, i := range r.items {
		if i.isTold && i.end == nil {
			first = earliest(first, i.toldAt.Add(repeat))
		}
	}
	if r.method.Kind != Alertmanager {
		first = latest(first, quiet)
	}
	return first
}

// queued is how many events wait to be told, with those under way.
func (r *route) queued() int {
	n := 0
	if r.flight != nil {
		n = len(r.flight.message.Events) + r.flight.message.Omitted
	}
	for c := range r.pending {
		c.all(func(i *item) {
			if _, ok := i.newsAt(); ok {
				n++
				if !i.isAnnounced && i.end != nil {
					n++
				}
			}
		})
	}
	return n
}

// firing is how many alerts go on that the route knows of.
func (r *route) firing() int {
	n := 0
	for _, i := range r.items {
		if i.isFiring() {
			n++
		}
	}
	return n
}

// anew lets what a receiver has rejected be told after all: its options may be better now.
func (r *route) anew(now time.Time) {
	for _, i := range r.items {
		if i.isForgone {
			i.isForgone, i.isAnnounced, i.due = false, false, now
			r.refresh(r.cause(causeOf(i.event)))
		}
	}
	if r.flight != nil {
		r.flight.next = now
	}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
