package alert

import (
	"slices"
	"time"
)

// alertKey tells apart what begins and ends.
type alertKey struct{ kind, key string }

func keyOf(e *Event) alertKey { return alertKey{e.Kind, e.Key} }

// causeOf is the cause of an event, or itself.
func causeOf(e *Event) string {
	switch {
	case e.Cause != "":
		return e.Cause
	case e.Key != "":
		return e.Kind + " " + e.Key
	default:
		return e.Kind + " " + e.Title
	}
}

// item is one alert as a route knows it: from its beginning until its end has been told. One without a key has no end, and is
// there until it is told.
//
//	announced  end   | what there is to tell
//	no         nil   | the beginning, from due on
//	no         set   | the beginning and the end
//	yes        nil   | nothing: it came back, if it was over meanwhile
//	yes        set   | the end
type item struct {
	event *Event // The latest beginning.
	end   *Event // Nil while it goes on.
	// instances are those of the event that the route is told of.
	instances []string
	// began is the time of the first beginning that is not told as over, by the events.
	began time.Time
	// due is when what there is to tell became worth telling, by this machine.
	due time.Time
	// isAnnounced: the beginning is in a message, delivered or not; isTold: delivered, at toldAt.
	isAnnounced, isTold bool
	toldAt              time.Time
	// isForgone: the receiver has rejected the message about the beginning. The end is not told.
	isForgone bool
	// isEndless: nobody wants to know of the end.
	isEndless bool
	// returns is how often it was over and came back since that was last told.
	returns int
}

// newsAt is when the item has, or will have, something to tell.
func (i *item) newsAt() (at time.Time, ok bool) {
	if i.isForgone || i.isAnnounced && i.end == nil {
		return time.Time{}, false
	}
	return i.due, true
}

// isFiring tells whether it has not ended; what has no key is over at once.
func (i *item) isFiring() bool { return i.end == nil && i.event.Key != "" }

// lines are the events that tell the news of the item.
func (i *item) lines() []Event {
	var all []Event
	if !i.isAnnounced {
		begin := *i.event
		begin.Instances, begin.Began = i.instances, time.Time{}
		if i.returns > 0 {
			begin.Began, begin.Returns = i.began, i.returns
		}
		all = append(all, begin)
	}
	if i.end != nil {
		end := *i.end
		end.Instances, end.Began = i.instances, i.began
		if i.isAnnounced {
			end.Returns = i.returns
		}
		all = append(all, end)
	}
	return all
}

// merge adds instances to those that it concerns.
func (i *item) merge(instances []string) {
	for _, name := range instances {
		if !slices.Contains(i.instances, name) {
			i.instances = append(slices.Clip(i.instances), name)
		}
	}
}

// cause is what a route knows of one cause.
type cause struct {
	name   string
	items  map[alertKey]*item
	notes  []*item // without a key
	series series
}

// all calls f with every item.
func (c *cause) all(f func(*item)) {
	for _, i := range c.items {
		f(i)
	}
	for _, i := range c.notes {
		f(i)
	}
}

// series is a row of messages about one cause, each later than the one before.
type series struct {
	// length is how many there were; last is when the last was made.
	length int
	last   time.Time
	// event is when something last happened.
	event time.Time
	// isUrgent: the last message was about a storm, and had what is urgent in it.
	isUrgent bool
}

const (
	maxHold = time.Hour
	// calm is for how many times the hold all must be quiet for a series to end.
	calm = 10
)

// hold is how long no further message is made after the last one.
func (s *series) hold(first time.Duration) time.Duration {
	if s.length == 0 || first == 0 {
		return 0
	}
	return min(first<<min(s.length-1, 12), max(first, maxHold))
}

// notBefore is when the next message may be made.
func (s *series) notBefore(first time.Duration) time.Time {
	return s.last.Add(s.hold(first))
}

// maxUrgentHold is how long a storm holds up what is urgent at most.
const maxUrgentHold = 5 * time.Minute

// urgentNotBefore is when the next message may be made of what is urgent, in a storm: people have just been told of such a thing.
func (s *series) urgentNotBefore(first time.Duration) time.Time {
	if !s.isUrgent {
		return time.Time{}
	}
	return s.last.Add(min(s.hold(first), max(first, maxUrgentHold)))
}

// isOver tells whether the series has ended by itself.
func (s *series) isOver(first time.Duration, now time.Time) bool {
	quiet := min(calm*s.hold(first), max(s.hold(first), maxHold))
	return s.length == 0 || now.Sub(s.last) >= quiet && now.Sub(s.event) >= quiet
}

// happen notes that something happened. It may begin a new series.
func (s *series) happen(first time.Duration, now time.Time) {
	if s.isOver(first, now) {
		*s = series{}
	}
	s.event = now
}

// told notes that a message was made.
func (s *series) told(now time.Time) {
	s.length++
	s.last = now
}
