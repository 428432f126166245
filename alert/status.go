package alert

import "time"

// Status is how alerting is. It is the caller's own.
type Status struct {
	Groups []GroupStatus
	// Firing are the alerts that are not over, the latest first.
	Firing []Event
	// Deliveries are the latest attempts, the latest first.
	Deliveries []Delivery
	// Dropped is how many events were lost since the start, because too many came at once.
	Dropped uint64
	// IsWaiting is whether another process still has the state; nothing is delivered meanwhile.
	IsWaiting bool
}

// GroupStatus is one alert group.
type GroupStatus struct {
	Name string
	// Instances are those that are told to it, in order.
	Instances []string
	Methods   []MethodStatus
}

// MethodStatus is one way by which a group is told.
type MethodStatus struct {
	Name string
	Kind MethodKind
	// To says where, without secrets.
	To string
	// Queued is how many events wait to be told, with those of a message that is being tried.
	Queued int
	// LastSuccess and LastFailure; zero: none since the start. Error is that of the latest attempt, empty when it worked.
	LastSuccess, LastFailure time.Time
	Error                    string
	// Next is when the next attempt is made; zero: none waits.
	Next time.Time
}

// Delivery is one attempt to tell a group by a method.
type Delivery struct {
	Time   time.Time `json:"time"`
	Group  string    `json:"group"`
	Method string    `json:"method"`
	// Message is its title, ID that of the message, the same in every attempt.
	Message string `json:"message"`
	ID      string `json:"id"`
	Attempt int    `json:"attempt"`
	// Error is why it failed; empty: delivered.
	Error string `json:"error,omitempty"`
	// IsLast: no further attempt follows, as it was delivered, or given up.
	IsLast bool `json:"last,omitempty"`
	// IsExpired: given up because it was tried for as long as it is kept.
	IsExpired bool `json:"expired,omitempty"`
}
