// Package alert tells people what has changed. Events come in by Post, which never blocks; they are joined by their cause
// to messages, which are kept on disk for each method of the groups that want them, and delivered until that works or they
// are too old. It knows nothing of DNS.
package alert

import (
	"context"
	"time"
)

// Event is something that people may want to know. Immutable.
type Event struct {
	Time time.Time `json:"time"`
	// Since is when what it tells began; zero: at Time. In a message the text says it, in the time zone of the group.
	Since time.Time `json:"since,omitzero"`
	// Kind is what sort of thing it is, such as "address_down": what groups choose by. The end of something has the kind of its
	// beginning: Resolved tells them apart.
	Kind string `json:"kind"`
	// Key names what it is about. An event that resolves has the kind and the key of the one that it resolves. Without a key it is
	// told once and stays for nobody to resolve: a switch.
	Key      string `json:"key,omitempty"`
	Resolved bool   `json:"resolved"`
	// Cause is what is behind it, such as the address that is probed: events with the same cause are told in one message, the
	// one that is nearest to the cause first. Empty: it is its own.
	Cause string `json:"cause,omitempty"`
	// Rank orders events of one cause: 0 is the cause itself (the address), 1 what follows from it (a set), 2 what follows from that.
	Rank int `json:"rank"`
	// Instances are those that it concerns: the groups of these are told. Empty: every group. In a message they are those whose
	// events the group is told of.
	Instances []string `json:"instances,omitempty"`
	// Title says it in one line; Text says more, and may be empty.
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`
	// Fields are for machines: templates, webhooks, Alertmanager labels. Values are short.
	Fields map[string]string `json:"fields,omitempty"`
	// Test marks a test.
	Test bool `json:"test,omitempty"`

	// Began is when what is resolved began. The service sets it in events that resolve; zero: unknown.
	Began time.Time `json:"began,omitzero"`
	// Returns is how often it was over and came back since people were last told of it. The service sets it.
	Returns int `json:"returns,omitempty"`
}

// Message is what a method sends: one or more events with one cause, or of one storm.
type Message struct {
	// ID is unique, and the same at every attempt.
	ID string `json:"id"`
	// Time is when it was made: what it says was so then.
	Time time.Time `json:"time"`
	// Resolved is whether everything in it is over.
	Resolved bool `json:"resolved"`
	// Reminder is whether it tells again of what is not over.
	Reminder bool `json:"reminder,omitempty"`
	// Title says it in one line; Text is the whole, for people, in lines.
	Title string `json:"title"`
	Text  string `json:"text"`
	Group string `json:"group"`
	// Node names the gtmd that sends.
	Node   string  `json:"node"`
	Events []Event `json:"events"`
	// Omitted is how many events are not listed one by one.
	Omitted int  `json:"omitted,omitempty"`
	Test    bool `json:"test,omitempty"`
}

// Sender delivers messages by one method. It is called by one goroutine at a time.
type Sender interface {
	// Send delivers a message, or says why not. It has been delivered only when the error is nil. An error that no further try
	// can mend is a [*PermanentError]; one that says when to try again is a [*RetryError].
	Send(ctx context.Context, m *Message) error
	// To says where it sends to, without secrets.
	To() string
}

// PermanentError is why a message can never be delivered.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *PermanentError) Unwrap() error { return e.Err }

// RetryError is why a message was not delivered, by a receiver that said when to try again (RFC 9110, section 10.2.3).
type RetryError struct {
	Err error
	// After is how long from now; the service bounds it.
	After time.Duration
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *RetryError) Unwrap() error { return e.Err }
