package alert

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// listed is how many events the text of a message lists, one in a line.
	listed = 20
	// maxEvents is how many events a message has for machines. Alertmanager gets all: it takes what it does not hear of for over.
	maxEvents = 200
)

// draft is a message that is being written. What it says is so at now.
type draft struct {
	route               *route
	takes               []take
	isStorm, isReminder bool
	firing              int
	now                 time.Time
	node                string
}

// message writes it.
func (d *draft) message() *Message {
	d.sort()
	var events []Event
	isOver, hasKey := true, false
	for _, t := range d.takes {
		if t.isReminder {
			e := *t.item.event
			e.Instances, e.Time, e.Returns = t.item.instances, t.item.began, t.item.returns
			events = append(events, e)
		} else {
			events = append(events, t.item.lines()...)
		}
		if t.item.event.Key != "" {
			hasKey = true
			isOver = isOver && t.item.end != nil
		}
	}
	for i := range events {
		e := &events[i]
		if isNews := e.Rank == 0 || e.Time.Sub(e.Since) >= time.Second; !e.Since.IsZero() && !e.Resolved && isNews {
			e.Text = strings.TrimSuffix("Since: "+d.clock(e.Since, false)+"\n"+e.Text, "\n")
		}
	}
	m := &Message{
		ID: rand.Text(), Time: d.now, Resolved: isOver && hasKey, Reminder: d.isReminder,
		Group: d.route.name.group, Node: d.node, Omitted: d.route.dropped,
	}
	m.Title, m.Text = d.title(events), d.text(events)
	if d.route.method.Kind != Alertmanager && len(events) > maxEvents {
		m.Omitted += len(events) - maxEvents
		events = slices.Clip(events[:maxEvents])
	}
	m.Events = events
	return m
}

// sort brings what is nearest to the cause to the front, and of that what was first.
func (d *draft) sort() {
	slices.SortStableFunc(d.takes, func(a, b take) int {
		x, y := a.item.event, b.item.event
		return cmp.Or(cmp.Compare(x.Rank, y.Rank), a.item.began.Compare(b.item.began), cmp.Compare(x.Kind, y.Kind),
			cmp.Compare(x.Key, y.Key), cmp.Compare(x.Title, y.Title))
	})
}

// title says it in one line.
func (d *draft) title(events []Event) string {
	first := &events[0]
	switch {
	case d.isReminder && len(events) == 1:
		return "still: " + first.Title
	case d.isReminder:
		return fmt.Sprintf("%s alerts are not over, the longest since %s: %s", thousands(len(events)), d.clock(d.longest(), true), tally(events, false))
	case d.isStorm:
		return fmt.Sprintf("%s events: %s", thousands(len(events)), tally(events, false))
	}
	title := first.Title
	if begin, end := d.takes[0].begin, d.takes[0].end; begin && end {
		title += ", over after " + lasted(events[1].Time.Sub(events[1].Began))
	}
	if more := len(d.takes) - 1; more > 0 {
		title += fmt.Sprintf(" (and %s more)", thousands(more))
	}
	return title
}

// longest is when the first of what goes on began.
func (d *draft) longest() time.Time {
	first := d.now
	for _, t := range d.takes {
		first = earliest(first, t.item.began)
	}
	return first
}

// text is the whole for people.
func (d *draft) text(events []Event) string {
	var b strings.Builder
	if d.isStorm {
		fmt.Fprintf(&b, "As of %s:\n%s\n", d.clock(d.now, false), tally(events, true))
		fmt.Fprintf(&b, "not over now: %s\n", thousands(d.firing))
		instances := map[string]bool{}
		for i := range events {
			for _, name := range events[i].Instances {
				instances[name] = true
			}
		}
		if len(instances) > 0 {
			fmt.Fprintf(&b, "instances concerned: %s of the %s that are told to this group (%s)\n", thousands(len(instances)), thousands(max(d.route.reach, len(instances))), percent(len(instances), max(d.route.reach, len(instances))))
		}
		b.WriteString("\n")
	}
	for i := range events[:min(listed, len(events))] {
		d.line(&b, &events[i])
	}
	if more := len(events) - listed; more > 0 {
		fmt.Fprintf(&b, "... and %s more.\n", thousands(more))
	}
	if d.route.dropped > 0 {
		fmt.Fprintf(&b, "%s further events were dropped: too many came.\n", thousands(d.route.dropped))
	}
	if !d.isStorm {
		fmt.Fprintf(&b, "As of %s.\n", d.clock(d.now, false))
	}
	return strings.TrimRight(b.String(), "\n")
}

// line writes one event.
func (d *draft) line(b *strings.Builder, e *Event) {
	fmt.Fprintf(b, "%s  %s", d.clock(e.Time, true), e.Title)
	var notes []string
	switch {
	case d.isReminder:
		notes = append(notes, "for "+lasted(d.now.Sub(e.Time)))
	case e.Resolved && !e.Began.IsZero():
		notes = append(notes, "after "+lasted(e.Time.Sub(e.Began)))
	}
	if e.Returns > 0 {
		notes = append(notes, "was over and came back "+times(e.Returns)+" meanwhile")
	}
	if len(notes) > 0 {
		fmt.Fprintf(b, " (%s)", strings.Join(notes, "; "))
	}
	b.WriteString("\n")
	if e.Text != "" && !d.isStorm {
		for text := range strings.Lines(strings.TrimRight(e.Text, "\n")) {
			b.WriteString("          " + strings.TrimRight(text, "\n") + "\n")
		}
	}
}

// clock is a time on the wall of the group; a brief one has its date only when that is another day than the message's.
func (d *draft) clock(t time.Time, isBrief bool) string {
	zone := d.route.group.TimeZone.Location()
	t, now := t.In(zone), d.now.In(zone)
	switch {
	case !isBrief:
		return t.Format("2006-01-02 15:04:05 MST")
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// tally counts events by kind, the most first: in one line, or with shares in several.
func tally(events []Event, isLong bool) string {
	counts := map[string]int{}
	for i := range events {
		counts[name(&events[i])]++
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, kind := range kinds {
		if isLong {
			parts = append(parts, fmt.Sprintf("%s: %s (%s)", kind, thousands(counts[kind]), percent(counts[kind], len(events))))
		} else {
			parts = append(parts, thousands(counts[kind])+" "+kind)
		}
	}
	if isLong {
		return strings.Join(parts, "\n")
	}
	return strings.Join(parts, ", ")
}

// name is the kind of an event; an end goes by its own name.
func name(e *Event) string {
	if !e.Resolved {
		return e.Kind
	}
	if end := Kind(e.Kind).End(); end != "" {
		return string(end)
	}
	return e.Kind + " over"
}

// percent is a share that is never rounded to all or to nothing.
func percent(part, whole int) string {
	switch p := part * 100 / whole; {
	case p == 0 && part > 0:
		return "< 1 %"
	default:
		return fmt.Sprintf("%d %%", p)
	}
}

// thousands writes a number as people read it: 10,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return thousands(n) + " times"
}

// lasted is how long something took, in two units at most.
func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		return max(d, 0).Round(time.Millisecond).String()
	case d < time.Hour:
		return brief(d.Round(time.Second))
	case d < 48*time.Hour:
		return brief(d.Round(time.Minute))
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
