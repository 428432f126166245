package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/alert"
	"gtmd/config"
)

// newAlerts starts what tells people, with the groups of a configuration.
func (n *Node) newAlerts(c *config.Config) (*alert.Service, error) {
	s, err := alert.New(alert.Options{Dir: c.File.State.Dir, Node: nodeName(c), Log: n.log, Registerer: n.registry})
	if err != nil {
		return nil, fmt.Errorf("start the alerts: %w", err)
	}
	if err := configureAlerts(s, c); err != nil {
		closeAlerts(s)
		return nil, err
	}
	return s, nil
}

// nodeName is what this gtmd is called in messages.
func nodeName(c *config.Config) string {
	host, _ := os.Hostname()
	return cmp.Or(c.File.DNS.Identity, c.File.DNS.NSID, host, "gtmd")
}

// configureAlerts gives the service the groups of a configuration.
func configureAlerts(s *alert.Service, c *config.Config) error {
	if err := s.Configure(c.File.AlertGroups, c.AlertChoices()); err != nil {
		return fmt.Errorf("set up the alert groups: %w", err)
	}
	return nil
}

// alertPatience is how long an end waits for messages that are being sent. What is not sent by then is in the queue on disk.
const alertPatience = 3 * time.Second

func closeAlerts(s *alert.Service) error {
	ctx, cancel := context.WithTimeout(context.Background(), alertPatience)
	defer cancel()
	return s.Close(ctx)
}

// tell writes changes into the event log and posts those that people may want to know of. It is called by the teller.
func (n *Node) tell(found []change, w *world) {
	events := make([]admin.Event, len(found))
	var posts []alert.Event
	for i := range found {
		events[i] = found[i].Event
		if p, ok := post(&found[i]); ok {
			posts = append(posts, p)
		}
	}
	n.events.add(events...)
	n.alerts.Post(posts...)
	n.touch()
}

// reconcile tells the alerts, at a start, all that goes on or did so when it was last told: what the next changes end.
func (n *Node) reconcile(troubles map[string]*trouble, w *world) {
	instances := w.concerned(troubles)
	var all []alert.Event
	for _, key := range slices.Sorted(maps.Keys(troubles)) {
		t := troubles[key]
		c := change{Event: t.Event, key: t.Key, cause: t.Cause, rank: rankOf(t.Event.Kind), instances: instances[t.Key]}
		if p, ok := post(&c); ok {
			all = append(all, p)
		}
	}
	n.alerts.Reconcile(all)
}

// rankOf is the rank of what begins with a kind.
func rankOf(kind admin.EventKind) int {
	switch kind {
	case admin.EventSetUnavailable:
		return rankSet
	case admin.EventFailOpen:
		return rankPolicy
	default:
		return rankCause
	}
}

// concerned are the instances that troubles concern, by the keys of these; those that concern none are not in it.
func (w *world) concerned(troubles map[string]*trouble) map[string][]string {
	all := map[string][]string{}
	isAddress := map[string]bool{}
	for _, t := range troubles {
		switch id, isCertificate := strings.CutPrefix(t.Key, certificateKey("")); {
		case t.Event.Instance != "":
			all[t.Key] = []string{t.Event.Instance}
		case isCertificate:
			all[t.Key] = w.instancesUsing(id)
		case t.Event.Address != "":
			isAddress[t.Key] = true
		}
	}
	if len(isAddress) == 0 {
		return all
	}
	for _, pool := range w.pools {
		for i := range pool.Addresses {
			a := &pool.Addresses[i]
			if len(a.Targets) == 0 {
				continue
			}
			if key := w.addressKey(a); isAddress[key] {
				all[key] = w.instancesOf(a)
			}
		}
	}
	return all
}

// isAlert reports whether events of a kind are told to alert groups, and whether that is as an end, of which kind.
func isAlert(kind admin.EventKind) (begin admin.EventKind, isEnd, ok bool) {
	if kind == admin.EventSwitch {
		return kind, false, true
	}
	for begin, end := range ends() {
		switch kind {
		case begin:
			return begin, false, true
		case end:
			return begin, true, true
		}
	}
	return "", false, false
}

// post is a change as alert groups are told of it; ok is false when they are not.
func post(c *change) (e alert.Event, ok bool) {
	kind, isEnd, ok := isAlert(c.Kind)
	if !ok {
		return e, false
	}
	told := c.Event
	neat(&told, time.Now())
	e = alert.Event{
		Time: told.Time, Kind: string(kind), Key: c.key, Resolved: isEnd, Cause: cmp.Or(c.cause, c.key), Rank: c.rank, Instances: c.instances,
		Title: alertTitle(&told), Text: alertText(&told, c), Fields: alertFields(&told),
	}
	if told.Since != nil {
		e.Since = *told.Since
	}
	return e, true
}

// alertTitle is a message in one line; of an address with the reason, since a text message has no more.
func alertTitle(e *admin.Event) string {
	if e.Kind == admin.EventAddressDown && e.Reason != "" {
		return e.Message + ": " + oneLine(e.Reason, reasonInTitle)
	}
	return e.Message
}

// reasonInTitle bounds a reason in a title, in characters.
const reasonInTitle = 100

// alertText is what a message says below the title: why, whom it concerns, and what to do. Since when it is so is told above it.
func alertText(e *admin.Event, c *change) string {
	var lines []string
	if e.Reason != "" {
		lines = append(lines, "Reason: "+e.Reason)
	}
	if len(e.Pools) > 1 {
		lines = append(lines, "Pools: "+some(e.Pools))
	}
	if e.Instance == "" && len(c.instances) > 0 {
		lines = append(lines, "Instances: "+some(c.instances))
	}
	if advice := advice(e, c.cause); advice != "" {
		lines = append(lines, advice)
	}
	return strings.Join(lines, "\n")
}

// some lists names, but not too many.
func some(names []string) string {
	const most = 10
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// advice says what to do about an event with a cause; empty: nothing.
func advice(e *admin.Event, cause string) string {
	id, isForced := strings.CutPrefix(cause, overrideKey(&override{}))
	switch e.Kind {
	case admin.EventAddressDown:
		return "To do: look at the origin. \"gtmd probe " + e.Address + "\" asks it now; \"gtmd status\" shows what serves meanwhile."
	case admin.EventSetUnavailable:
		if isForced {
			return "To do: nothing, if override " + id + " is meant: \"gtmd override list\" shows it, \"gtmd override clear " + id + "\" ends it."
		}
		return "To do: bring its addresses back. \"gtmd status\" shows which set answers meanwhile."
	case admin.EventSwitch:
		text := "To do: nothing, if the set that answers now can carry the load. \"gtmd status\" shows it."
		if isForced {
			text += " It follows from override " + id + "."
		}
		return text
	case admin.EventFailOpen:
		if isForced {
			return "To do: end override " + id + " with \"gtmd override clear " + id + "\", or bring another address back, now: clients are sent to addresses that are not available."
		}
		return "To do: bring any address back now: clients are sent to addresses that fail their health checks."
	case admin.EventUnconfigured:
		return "To do: point the business domain at the CDN, and the CDN at the access domain. \"gtmd chain\" shows where it leads now."
	case admin.EventBlind:
		return "To do: look at the network of this host. Verdicts stay as they are; what goes down now is not noticed."
	case admin.EventConfigRejected:
		return "To do: correct the file and reload. The configuration before it serves on. \"gtmd check\" shows every problem."
	case admin.EventDatabaseStale:
		return "To do: put a newer, complete file there: it is picked up by itself."
	case admin.EventCertificate:
		return "To do: renew the certificate on the origin."
	default:
		return ""
	}
}

// alertFields are an event for machines.
func alertFields(e *admin.Event) map[string]string {
	fields := map[string]string{"event": string(e.Kind)}
	for name, value := range map[string]string{
		"instance": e.Instance, "policy": e.Policy, "family": e.Family, "set": e.Set, "pool": e.Pool, "address": e.Address,
		"health_check": e.HealthCheck, "from": e.From, "to": e.To, "reason": oneLine(e.Reason, shortText),
	} {
		if value != "" {
			fields[name] = value
		}
	}
	return fields
}
