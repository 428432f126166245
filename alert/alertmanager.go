package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Alertmanager takes for over what it has not been told of for firingFor: it is reminded every minute, and of this method the
// repeat is at most maxRemind. A notice counts for noticeFor.
const (
	firingFor    = 5 * time.Minute
	maxRemind    = 2 * time.Minute
	noticeFor    = 5 * time.Minute
	alertmanPath = "/api/v2/alerts"
)

// alertmanager tells Prometheus Alertmanagers, by API v2.
type alertmanager struct {
	http     *httpSender
	urls     []string
	username string
	keys     *keyring
	log      *slog.Logger
}

func newAlertmanager(o *MethodOptions, keys *keyring, log *slog.Logger) *alertmanager {
	return &alertmanager{http: newHTTPSender(keys), urls: o.URLs, username: o.Username, keys: keys, log: log}
}

// To is the hosts.
func (a *alertmanager) To() string {
	var hosts []string
	for _, url := range a.urls {
		hosts = append(hosts, hostOf(url))
	}
	return strings.Join(hosts, ", ")
}

// Send posts the events to all Alertmanagers, which do not tell each other. It has been delivered when one has taken it: the
// others are told with the next reminder, and the log names them.
func (a *alertmanager) Send(ctx context.Context, m *Message) error {
	body, err := marshal(amAlerts(m, time.Now()))
	if err != nil {
		return &PermanentError{fmt.Errorf("write JSON: %w", err)}
	}
	failures := make([]error, len(a.urls))
	var all sync.WaitGroup
	for i, url := range a.urls {
		all.Go(func() {
			_, failures[i] = a.http.send(ctx, httpRequest{
				method: "POST", url: strings.TrimSuffix(url, "/") + alertmanPath, contentType: "application/json",
				body: string(body), username: a.username, isBearer: a.keys.token != "",
			})
		})
	}
	all.Wait()
	var failed []error
	isPermanent := true
	for _, err := range failures {
		if err == nil {
			continue
		}
		failed = append(failed, err)
		permanent := (*PermanentError)(nil)
		isPermanent = isPermanent && errors.As(err, &permanent)
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) < len(a.urls):
		a.log.Warn("an Alertmanager was not told, others were", "error", joined(failed))
		return nil
	case isPermanent:
		return &PermanentError{joined(failed)}
	}
	return joined(failed)
}

// amAlert is an alert of API v2.
type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    *time.Time        `json:"startsAt,omitempty"`
	EndsAt      time.Time         `json:"endsAt"`
}

// amIdentity are the fields that are the same when something begins and when it ends: labels. All others are annotations.
var amIdentity = []string{"instance", "policy", "family", "set", "pool", "address", "health_check"}

// amAlerts makes an alert of each event, the last of those with one key; and one that says how many more there are.
func amAlerts(m *Message, now time.Time) []amAlert {
	alerts := []amAlert{}
	type alertID struct{ kind, key string }
	last := map[alertID]int{}
	for i := range m.Events {
		last[alertID{m.Events[i].Kind, m.Events[i].Key}] = i
	}
	for i := range m.Events {
		e := &m.Events[i]
		if e.Key != "" && last[alertID{e.Kind, e.Key}] != i {
			continue
		}
		labels := map[string]string{
			"alertname": cutRunes(e.Kind, 200), "key": e.Key, "node": m.Node, "alert_group": m.Group, "service": "gtmd",
		}
		annotations := map[string]string{"summary": e.Title, "description": e.Text, "instances": strings.Join(e.Instances, ", ")}
		for name, value := range e.Fields {
			annotations[amName(name)] = value
		}
		for _, name := range amIdentity {
			labels[name] = e.Fields[name]
			delete(annotations, name)
		}
		if e.Test {
			labels["test"] = "true"
		}
		a := newAMAlert(labels, annotations, e.Time, now, e.Resolved, e.Key != "")
		if e.Resolved && !e.Began.IsZero() && !e.Began.After(e.Time) {
			began := e.Began.UTC()
			a.StartsAt = &began
		}
		alerts = append(alerts, a)
	}
	if m.Omitted > 0 {
		alerts = append(alerts, newAMAlert(
			map[string]string{"alertname": "alerts_omitted", "node": m.Node, "alert_group": m.Group, "service": "gtmd"},
			map[string]string{"summary": m.Title, "description": m.Text, "omitted": fmt.Sprint(m.Omitted)},
			m.Time, now, m.Resolved, true))
	}
	return alerts
}

// newAMAlert makes an alert that is valid: values are UTF-8 and short, and those without text are not there.
func newAMAlert(labels, annotations map[string]string, at, now time.Time, isOver, canEnd bool) amAlert {
	for _, texts := range []map[string]string{labels, annotations} {
		for name, text := range texts {
			if text = shorten(clean(text), 2<<10); text == "" {
				delete(texts, name)
			} else {
				texts[name] = text
			}
		}
	}
	a := amAlert{Labels: labels, Annotations: annotations}
	switch {
	case isOver: // Where no start is known, Alertmanager keeps the one that it has.
		a.EndsAt = at.UTC()
		return a
	case canEnd:
		a.EndsAt = now.Add(firingFor).UTC()
	default:
		a.EndsAt = now.Add(noticeFor).UTC()
	}
	if at.After(now) { // The clock has been set back.
		at = now
	}
	at = at.UTC()
	a.StartsAt = &at
	return a
}

var notAMName = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// amName makes a name that labels and annotations can have.
func amName(name string) string {
	name = notAMName.ReplaceAllString(name, "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
