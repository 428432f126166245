package alert

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"
)

// savedState is what outlives a restart. Events are numbers in Events.
type savedState struct {
	Saved  time.Time    `json:"saved"`
	Events []*Event     `json:"events"`
	Firing []int        `json:"firing"`
	Routes []savedRoute `json:"routes"`
}

type savedRoute struct {
	Group   string       `json:"group"`
	Method  string       `json:"method"`
	Causes  []savedCause `json:"causes,omitempty"`
	Storm   savedSeries  `json:"storm,omitzero"`
	Flight  *savedFlight `json:"flight,omitempty"`
	Sent    []time.Time  `json:"sent,omitempty"`
	Dropped int          `json:"dropped,omitempty"`
}

type savedCause struct {
	Name   string      `json:"name"`
	Series savedSeries `json:"series"`
	Items  []savedItem `json:"items,omitempty"`
}

type savedSeries struct {
	Length int       `json:"length"`
	Last   time.Time `json:"last"`
	Event  time.Time `json:"event"`
	Urgent bool      `json:"urgent,omitempty"`
}

type savedItem struct {
	Event     int       `json:"event"`
	End       *int      `json:"end,omitempty"`
	Instances []string  `json:"instances,omitempty"` // Absent: those of the event.
	Began     time.Time `json:"began"`
	Due       time.Time `json:"due"`
	Announced bool      `json:"announced,omitempty"`
	Told      time.Time `json:"told,omitzero"`
	Forgone   bool      `json:"forgone,omitempty"`
	Endless   bool      `json:"endless,omitempty"`
	Returns   int       `json:"returns,omitempty"`
}

type savedFlight struct {
	Message *Message    `json:"message"`
	Attempt int         `json:"attempt"`
	Next    time.Time   `json:"next"`
	Takes   []savedTake `json:"takes"`
}

type savedTake struct {
	Item     savedItem `json:"item"`
	Begin    bool      `json:"begin,omitempty"`
	End      bool      `json:"end,omitempty"`
	Reminder bool      `json:"reminder,omitempty"`
}

// check says what makes a state unusable, whatever its checksum.
func (s *savedState) check() error {
	bad := errors.New("read the saved alerts: they name an event that is not there")
	isEvent := func(n int) bool { return n >= 0 && n < len(s.Events) && s.Events[n] != nil }
	isItem := func(i savedItem) bool { return isEvent(i.Event) && (i.End == nil || isEvent(*i.End)) }
	for _, n := range s.Firing {
		if !isEvent(n) {
			return bad
		}
	}
	for _, r := range s.Routes {
		for _, c := range r.Causes {
			if slices.ContainsFunc(c.Items, func(i savedItem) bool { return !isItem(i) }) {
				return bad
			}
		}
		if r.Flight != nil && (r.Flight.Message == nil || slices.ContainsFunc(r.Flight.Takes, func(t savedTake) bool { return !isItem(t.Item) })) {
			return bad
		}
	}
	return nil
}

// recorder makes a savedState of what is there.
type recorder struct {
	state   savedState
	numbers map[*Event]int
}

func newRecorder(now time.Time) *recorder {
	return &recorder{savedState{Saved: now}, map[*Event]int{}}
}

func (r *recorder) event(e *Event) int {
	n, ok := r.numbers[e]
	if !ok {
		n = len(r.state.Events)
		r.numbers[e] = n
		r.state.Events = append(r.state.Events, e)
	}
	return n
}

func (r *recorder) item(i *item) savedItem {
	s := savedItem{
		Event: r.event(i.event), Began: i.began, Due: i.due, Announced: i.isAnnounced, Forgone: i.isForgone, Endless: i.isEndless, Returns: i.returns,
	}
	if i.isTold {
		s.Told = i.toldAt
	}
	if i.end != nil {
		n := r.event(i.end)
		s.End = &n
	}
	if !slices.Equal(i.instances, i.event.Instances) {
		s.Instances = i.instances
	}
	return s
}

// route records a route.
func (r *recorder) route(from *route) {
	s := savedRoute{Group: from.name.group, Method: from.name.method, Storm: from.storm.saved(), Sent: from.sent, Dropped: from.dropped}
	for _, name := range slices.Sorted(maps.Keys(from.causes)) {
		c := from.causes[name]
		saved := savedCause{Name: name, Series: c.series.saved()}
		for _, key := range slices.SortedFunc(maps.Keys(c.items), alertKey.compare) {
			saved.Items = append(saved.Items, r.item(c.items[key]))
		}
		for _, i := range c.notes {
			saved.Items = append(saved.Items, r.item(i))
		}
		s.Causes = append(s.Causes, saved)
	}
	if f := from.flight; f != nil {
		s.Flight = &savedFlight{Message: f.message, Attempt: f.attempt, Next: f.next}
		for _, t := range f.takes {
			s.Flight.Takes = append(s.Flight.Takes, savedTake{r.item(t.item), t.begin, t.end, t.isReminder})
		}
	}
	r.state.Routes = append(r.state.Routes, s)
}

func (k alertKey) compare(other alertKey) int {
	return cmp.Or(cmp.Compare(k.kind, other.kind), cmp.Compare(k.key, other.key))
}

func (s *series) saved() savedSeries { return savedSeries{s.length, s.last, s.event, s.isUrgent} }

// reader makes what was of a savedState.
type reader struct {
	state *savedState
	// back is how far the clock on the wall was set back meanwhile: by that all times are earlier now.
	back time.Duration
}

func newReader(s *savedState, now time.Time) *reader {
	return &reader{s, max(s.Saved.Sub(now), 0)}
}

func (r *reader) time(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-r.back)
}

func (r *reader) item(s savedItem) *item {
	i := &item{
		event: r.state.Events[s.Event], instances: s.Instances, began: s.Began, due: r.time(s.Due), isAnnounced: s.Announced,
		isTold: !s.Told.IsZero(), toldAt: r.time(s.Told), isForgone: s.Forgone, isEndless: s.Endless, returns: s.Returns,
	}
	if s.End != nil {
		i.end = r.state.Events[*s.End]
	}
	if i.instances == nil {
		i.instances = i.event.Instances
	}
	return i
}

func (r *reader) series(s savedSeries) series {
	return series{s.Length, r.time(s.Last), r.time(s.Event), s.Urgent}
}

// route fills a new route with what was.
func (r *reader) route(into *route, s savedRoute) {
	into.storm, into.dropped = r.series(s.Storm), s.Dropped
	for _, t := range s.Sent {
		into.sent = append(into.sent, r.time(t))
	}
	for _, saved := range s.Causes {
		c := into.cause(saved.Name)
		c.series = r.series(saved.Series)
		for _, item := range saved.Items {
			i := r.item(item)
			if i.event.Key == "" {
				c.notes = append(c.notes, i)
				into.notes++
			} else {
				c.items[keyOf(i.event)] = i
				into.items[keyOf(i.event)] = i
			}
		}
		into.refresh(c)
	}
	if s.Flight == nil {
		return
	}
	f := &flight{message: s.Flight.Message, attempt: s.Flight.Attempt, next: r.time(s.Flight.Next), isSaved: true}
	for _, saved := range s.Flight.Takes {
		t := take{item: r.item(saved.Item), begin: saved.Begin, end: saved.End, isReminder: saved.Reminder}
		if present := into.items[keyOf(t.item.event)]; present != nil && present.isAnnounced && !t.end {
			t.item = present
		}
		f.takes = append(f.takes, t)
	}
	into.flight = f
}
