package admin

import "time"

// AlertStatus is the answer of GET /api/v1/alerts.
type AlertStatus struct {
	Groups []AlertGroupStatus `json:"groups"`
	// Firing are the alerts whose cause is not over, the latest first.
	Firing []FiringAlert `json:"firing"`
	// Deliveries are the latest attempts, the latest first.
	Deliveries []Delivery `json:"deliveries"`
}

// AlertGroupStatus is one alert group.
type AlertGroupStatus struct {
	Name      string              `json:"name"`
	Instances []string            `json:"instances"`
	Methods   []AlertMethodStatus `json:"methods"`
}

// AlertMethodStatus is one way by which a group is told.
type AlertMethodStatus struct {
	Name string `json:"name"` // unique in the group
	Kind string `json:"kind"` // "email", "webhook", ...
	// To says where, without secrets.
	To string `json:"to"`
	// Queued are messages that wait.
	Queued int `json:"queued"`
	// LastSuccess and LastFailure; nil: none since the start. Error is that of the latest attempt, empty when it worked.
	LastSuccess *time.Time `json:"last_success,omitempty"`
	LastFailure *time.Time `json:"last_failure,omitempty"`
	Error       string     `json:"error,omitempty"`
	// Next is when the next attempt is made, where one waits.
	Next *time.Time `json:"next,omitempty"`
}

// FiringAlert is one that people were told of and that is not over.
type FiringAlert struct {
	Key       string    `json:"key"`
	Kind      EventKind `json:"kind"`
	Since     time.Time `json:"since"`
	Title     string    `json:"title"`
	Instances []string  `json:"instances,omitempty"`
}

// Delivery is one attempt to tell a group by a method.
type Delivery struct {
	Time    time.Time `json:"time"`
	Group   string    `json:"group"`
	Method  string    `json:"method"`
	Message string    `json:"message"` // its title
	ID      string    `json:"id"`      // of the message, the same in every attempt
	Attempt int       `json:"attempt"`
	Error   string    `json:"error,omitempty"` // empty: delivered
}

// AlertTestRequest asks for a test message to a group.
type AlertTestRequest struct {
	Group  string `json:"group"`
	Method string `json:"method,omitempty"` // one of its methods; empty: all
	Author string `json:"author"`
}

// AlertTestReply is what became of it, for each method.
type AlertTestReply struct {
	Deliveries []Delivery `json:"deliveries"`
}
