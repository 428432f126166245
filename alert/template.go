package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// What the title and the text of a message are when no template says otherwise.
const (
	defaultTitle = "[gtmd] {{.State}}: {{.Title}}"
	defaultText  = "{{.Text}}"
)

// maxPage bounds what a template makes, in octets.
const maxPage = 256 << 10

// page is what templates see.
type page struct {
	*Message
	// State is what sort of message it is.
	State string
	// To is the recipient, and Token what token_file holds: of sms only.
	To, Token string
}

// state is what sort of message it is, in one word for people.
type state string

// The states of messages.
const (
	stateFiring   state = "ALERT"
	stateResolved state = "RESOLVED"
	// stateReminder is of what is still so.
	stateReminder state = "REMINDER"
	// stateNotice is of what does not last, such as a switch.
	stateNotice state = "NOTICE"
	stateTest   state = "TEST"
)

// state tells what sort of message it is.
func (m *Message) state() state {
	switch {
	case m.Test:
		return stateTest
	case m.Resolved:
		return stateResolved
	case m.Reminder:
		return stateReminder
	case len(m.Events) == 0:
		return stateFiring
	}
	for i := range m.Events {
		if m.Events[i].Key != "" {
			return stateFiring
		}
	}
	return stateNotice
}

// functions are what templates may call beside those of the language.
func functions() template.FuncMap {
	return template.FuncMap{
		// json writes a value as JSON: a text with its quotes.
		"json": func(value any) (string, error) {
			text, err := marshal(value)
			return string(text), err
		},
		// cut keeps the first runes of a text, with "…" where there were more.
		"cut": func(most int, text string) string { return cutRunes(text, max(most, 1)) },
		// join writes the texts of a list with something between them.
		"join":  func(between string, list []string) string { return strings.Join(list, between) },
		"upper": strings.ToUpper,
		"lower": strings.ToLower,
		// time writes a time as RFC 3339 has it, in UTC.
		"time": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
}

// marshal is JSON without escapes that only HTML needs.
func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// parseTemplate reads a template. The error is for the operator who wrote it.
func parseTemplate(text string) (*template.Template, error) {
	t, err := template.New("").Option("missingkey=zero").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, templateError(err)
	}
	return t, nil
}

// Words for programmers in the errors of templates.
var (
	executing = regexp.MustCompile(`executing "[^"]*" at `)
	noField   = regexp.MustCompile(`can't evaluate field (\S+) in type \S+`)
)

// templateError is an error of a template without the words for programmers.
func templateError(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: ")
	if line, rest, ok := strings.Cut(strings.TrimPrefix(text, ":"), ": "); ok {
		text = "line " + line + ": " + rest
	}
	return errors.New(noField.ReplaceAllString(executing.ReplaceAllString(text, "at "), "there is no field $1"))
}

// renderPage fills in a template.
func renderPage(t *template.Template, p page) (string, error) {
	w := &boundedWriter{left: maxPage}
	if err := t.Execute(w, p); err != nil {
		return "", templateError(err)
	}
	return w.text.String(), nil
}

// boundedWriter takes so much and no more.
type boundedWriter struct {
	text strings.Builder
	left int
}

func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, fmt.Errorf("makes more than %d octets", maxPage)
	}
	return w.text.Write(p)
}

// wording makes the title and the text of messages. Immutable.
type wording struct {
	title, text *template.Template
}

// wording returns the templates of the options, or the defaults in place of those that are missing or wrong.
func (o *MethodOptions) wording() *wording {
	w := &wording{}
	for _, part := range []struct {
		into           **template.Template
		text, fallback string
	}{{&w.title, o.Title, defaultTitle}, {&w.text, o.Text, defaultText}} {
		t, err := parseTemplate(part.text)
		if err != nil || part.text == "" {
			t = template.Must(parseTemplate(part.fallback))
		}
		*part.into = t
	}
	return w
}

// words returns the title, in one line, and the text of a message, whose own texts escape has gone over, which may be nil. A
// template that fails is told of, and its place taken by the default: people must know.
func (w *wording) words(m *Message, escape func(string) string) (title, text string) {
	p := page{Message: m.escaped(escape), State: string(m.state())}
	title, err := renderPage(w.title, p)
	if err != nil || strings.TrimSpace(title) == "" {
		title, _ = renderPage(template.Must(parseTemplate(defaultTitle)), p)
	}
	text, err2 := renderPage(w.text, p)
	if err2 != nil {
		text, _ = renderPage(template.Must(parseTemplate(defaultText)), p)
	}
	if err = errors.Join(err, err2); err != nil {
		text += "\n\n(the template of this method fails: " + clean(err.Error()) + ")"
	}
	return strings.TrimSpace(oneLineOf(title)), strings.TrimSpace(clean(text))
}

// escaped is a copy of a message whose texts are clean, and escape has gone over them.
func (m *Message) escaped(escape func(string) string) *Message {
	one := func(s string) string { return oneLineOf(s) }
	many := clean
	if escape != nil {
		one = func(s string) string { return escape(oneLineOf(s)) }
		many = func(s string) string { return escape(clean(s)) }
	}
	c := *m
	c.Title, c.Text, c.Group, c.Node = one(m.Title), many(m.Text), one(m.Group), one(m.Node)
	c.Events = make([]Event, len(m.Events))
	for i, e := range m.Events {
		e.Title, e.Text, e.Key, e.Cause = one(e.Title), many(e.Text), one(e.Key), one(e.Cause)
		e.Instances = make([]string, len(m.Events[i].Instances))
		for j, instance := range m.Events[i].Instances {
			e.Instances[j] = one(instance)
		}
		e.Fields = make(map[string]string, len(m.Events[i].Fields))
		for name, value := range m.Events[i].Fields {
			e.Fields[name] = one(value)
		}
		c.Events[i] = e
	}
	return &c
}

// samples are messages of every shape, to try templates on.
func samples() []*Message {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	event := Event{
		Time: at, Kind: "address_down", Key: "address/192.0.2.1", Cause: "192.0.2.1", Instances: []string{"www"},
		Title: "192.0.2.1 is down: \"timeout\"", Text: "no answer within 5s\nC:\\temp",
		Fields: map[string]string{"address": "192.0.2.1", "pool": "hk", "reason": "\"timeout\" \\ after 5s"},
	}
	over := event
	over.Resolved = true
	of := func(events ...Event) *Message {
		m := &Message{ID: "0123456789abcdef", Time: at, Title: event.Title, Text: event.Text, Group: "ops", Node: "ns1", Events: events}
		m.Resolved = len(events) > 0 && events[0].Resolved
		return m
	}
	storm, test := of(), of(Event{Time: at, Kind: "alert_test", Title: "a test", Test: true})
	again := of(event)
	again.Reminder, storm.Omitted, test.Test = true, 10000, true
	return []*Message{of(event), of(over), of(event, event), again, storm, test}
}
