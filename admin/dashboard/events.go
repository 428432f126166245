package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gtmd/admin"
)

// eventList is what the page of events shows.
type eventList struct {
	Filter eventFilter
	Kinds  []eventKind
	Events []shownEvent
	// Older leads to the events before these; Newer to the latest. Empty: there are none.
	Older, Newer string
	IsFiltered   bool
}

type eventFilter struct{ Kind, Instance, Pool, Address, Text, Since string }

type eventKind struct {
	Kind  admin.EventKind
	Label string
}

type shownEvent struct {
	admin.Event
	Mark mark
}

// eventsPerPage is how many events a page has.
const eventsPerPage = 100

func (d *dashboard) events(_ http.ResponseWriter, r *http.Request) (*view, error) {
	form := r.URL.Query()
	field := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	l := eventList{Filter: eventFilter{field("kind"), field("instance"), field("pool"), field("address"), field("text"), field("since")}}
	f := l.Filter
	query := admin.EventQuery{Instance: f.Instance, Pool: f.Pool, Address: f.Address, Text: f.Text, Limit: eventsPerPage}
	if f.Kind != "" {
		query.Kinds = []admin.EventKind{admin.EventKind(f.Kind)}
	}
	if f.Since != "" {
		span, err := time.ParseDuration(f.Since)
		if err != nil || span <= 0 {
			return nil, unfit(&fault{text: "since: want a time back from now, such as 2h"})
		}
		query.Since = time.Now().Add(-span)
	}
	if before := field("before"); before != "" {
		id, err := strconv.ParseUint(before, 10, 64)
		if err != nil {
			return nil, unfit(&fault{text: "before: want the number of an event"})
		}
		query.Before = id
		form.Del("before")
		l.Newer = "/events?" + form.Encode()
	}
	found := d.backend.Events(query)
	for _, e := range found.Events {
		l.Events = append(l.Events, shownEvent{e, eventMark(e.Kind)})
	}
	if found.More && len(found.Events) > 0 {
		form.Set("before", strconv.FormatUint(found.Events[len(found.Events)-1].ID, 10))
		l.Older = "/events?" + form.Encode()
	}
	l.IsFiltered = f != eventFilter{}
	for kind := range eventTones {
		l.Kinds = append(l.Kinds, eventKind{kind, eventLabel(kind)})
	}
	slices.SortFunc(l.Kinds, func(a, b eventKind) int { return strings.Compare(a.Label, b.Label) })
	v := &view{Title: "Events", Section: "/events", JSON: "/api/v1/events", Data: l, Still: l.Newer != "",
		Lead: "What happened, the latest first: by itself, and by whom."}
	if len(l.Events) > 0 {
		v.Say = l.Events[0].Message
	}
	return v, nil
}

// eventTones is how each kind of event is marked.
var eventTones = map[admin.EventKind]tone{
	admin.EventAddressDown: bad, admin.EventAddressUp: good, admin.EventSetUnavailable: bad, admin.EventSetAvailable: good,
	admin.EventSwitch: warn, admin.EventFailOpen: bad, admin.EventFailOpenEnd: good, admin.EventUnconfigured: warn, admin.EventConfigured: good,
	admin.EventBlind: bad, admin.EventSees: good, admin.EventConfigRejected: bad, admin.EventConfigLoaded: good, admin.EventDatabaseStale: warn,
	admin.EventDatabaseFresh: good, admin.EventCertificate: warn, admin.EventCertificateGood: good,
	admin.EventOverrideSet: steer, admin.EventOverrideCleared: steer, admin.EventOverrideExpired: steer, admin.EventSwitchAsked: steer,
	admin.EventDrillStarted: steer, admin.EventDrillEnded: steer, admin.EventProbeAsked: steer, admin.EventReloadAsked: steer,
	admin.EventRefused: warn, admin.EventAlertTest: steer, admin.EventStarted: idle, admin.EventTakenOver: idle, admin.EventStopped: idle,
}

func eventMark(kind admin.EventKind) mark {
	t, ok := eventTones[kind]
	if !ok {
		t = idle
	}
	return mark{t, eventLabel(kind)}
}

// eventLabel is a kind in words.
func eventLabel(kind admin.EventKind) string { return strings.ReplaceAll(string(kind), "_", " ") }
