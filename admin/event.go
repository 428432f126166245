package admin

import "time"

// EventKind is what sort of thing happened.
type EventKind string

// Kinds of events. Those of the first group are told to alert groups, too.
const (
	EventAddressDown     EventKind = "address_down"
	EventAddressUp       EventKind = "address_up"
	EventSetUnavailable  EventKind = "set_unavailable"
	EventSetAvailable    EventKind = "set_available"
	EventSwitch          EventKind = "switch"
	EventFailOpen        EventKind = "fail_open"
	EventFailOpenEnd     EventKind = "fail_open_end"
	EventUnconfigured    EventKind = "instance_unconfigured"
	EventConfigured      EventKind = "instance_configured"
	EventBlind           EventKind = "prober_blind"
	EventSees            EventKind = "prober_sees"
	EventConfigRejected  EventKind = "config_rejected"
	EventConfigLoaded    EventKind = "config_loaded"
	EventDatabaseStale   EventKind = "geo_database_stale"
	EventDatabaseFresh   EventKind = "geo_database_fresh"
	EventCertificate     EventKind = "certificate_expiring"
	EventCertificateGood EventKind = "certificate_renewed"

	EventOverrideSet     EventKind = "override_set"
	EventOverrideCleared EventKind = "override_cleared"
	EventOverrideExpired EventKind = "override_expired"
	EventSwitchAsked     EventKind = "switch_asked"
	EventDrillStarted    EventKind = "drill_started"
	EventDrillEnded      EventKind = "drill_ended"
	EventProbeAsked      EventKind = "probe_asked"
	EventReloadAsked     EventKind = "reload_asked"
	EventRefused         EventKind = "change_refused" // a change by somebody who may not, or that was not taken
	EventAlertTest       EventKind = "alert_test"
	EventStarted         EventKind = "started"
	EventTakenOver       EventKind = "taken_over"
	EventStopped         EventKind = "stopped"
)

// Values lists all kinds.
func (EventKind) Values() []EventKind {
	return []EventKind{
		EventAddressDown, EventAddressUp, EventSetUnavailable, EventSetAvailable, EventSwitch, EventFailOpen, EventFailOpenEnd,
		EventUnconfigured, EventConfigured, EventBlind, EventSees, EventConfigRejected, EventConfigLoaded, EventDatabaseStale,
		EventDatabaseFresh, EventCertificate, EventCertificateGood, EventOverrideSet, EventOverrideCleared, EventOverrideExpired,
		EventSwitchAsked, EventDrillStarted, EventDrillEnded, EventProbeAsked, EventReloadAsked, EventRefused, EventAlertTest,
		EventStarted, EventTakenOver, EventStopped,
	}
}

// Event is one thing that happened. Immutable.
type Event struct {
	// ID only grows, over restarts too. It is about the time in microseconds since 1970, and fits a float64.
	ID   uint64    `json:"id"`
	Time time.Time `json:"time"`
	// Since is when what the event tells began or, of an end, when what is over began. Nil: at Time.
	Since *time.Time `json:"since,omitempty"`
	Kind  EventKind  `json:"kind"`
	// Message says it in one line, for people.
	Message string `json:"message"`
	// Reason is why: of the health check, or what the operator gave.
	Reason string `json:"reason,omitempty"`
	// What it is about; empty where it is about nothing of the kind.
	Instance string `json:"instance,omitempty"`
	Policy   string `json:"policy,omitempty"`
	Family   string `json:"family,omitempty"`
	Set      string `json:"set,omitempty"`
	Pool     string `json:"pool,omitempty"`
	// Pools are all that it is about where they are several; Pool is the first of them.
	Pools       []string `json:"pools,omitempty"`
	Address     string   `json:"address,omitempty"`
	HealthCheck string   `json:"health_check,omitempty"`
	From        string   `json:"from,omitempty"`
	To          string   `json:"to,omitempty"`
	// Who did it; empty: it happened by itself.
	Author string `json:"author,omitempty"`
	// Via is the way by which it was asked: "socket", "tcp", "dashboard" or "signal".
	Via string `json:"via,omitempty"`
	// Remote is the address of who asked over TCP.
	Remote string `json:"remote,omitempty"`
}

// EventQuery asks for events. The zero value asks for the latest ones.
type EventQuery struct {
	// After and Before are IDs: only events between them, without those themselves. 0: no bound.
	After, Before uint64
	// Kinds are those wanted; empty: all.
	Kinds []EventKind
	// Instance, Pool and Address are exact; Text is part of the message, the reason or the author, whatever the case. With an
	// instance come also the events of addresses that it uses.
	Instance, Pool, Address, Text string
	// Since and Until bound the time; zero: no bound.
	Since, Until time.Time
	// Limit is how many at most. 0: [DefaultEvents]; the most is [MaxEvents].
	Limit int
}

// How many events are sent at once.
const (
	DefaultEvents = 100
	MaxEvents     = 1000
)

// EventList is the answer of GET /api/v1/events.
type EventList struct {
	// Events are the latest first; with After the oldest first, so that who follows loses none.
	Events []Event `json:"events"`
	// Latest is the ID of the latest event that there is, 0 when there is none.
	Latest uint64 `json:"latest"`
	// More is whether there are further ones that fit the query.
	More bool `json:"more"`
}
