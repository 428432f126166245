package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gtmd/admin"
)

// A timeline is which sets were in force of late, a lane for each policy and family.
type timeline struct {
	Ranges []tab
	Text   string // "the last 24 hours"
	Lanes  []lane
	Ticks  []string
	Rows   []switchRow // the switches, the latest first
	Legend []segment   // one of each kind
}

// A tab is a choice that is a link.
type tab struct {
	link
	Chosen bool
}

// A lane is the history of one policy in one family.
type lane struct {
	Text, Family string
	Segments     []segment
}

// A segment is a time in which one set was in force. X and Width are out of 1000.
type segment struct {
	X, Width string
	Class    string // that of the role: see roleClass
	Title    string
	Text     string
}

// timeRange is how far back a timeline goes.
type timeRange struct {
	key, text string
	length    time.Duration
	tick      string // format
}

func timeRanges() []timeRange {
	return []timeRange{{"24h", "the last 24 hours", 24 * time.Hour, "15:04"}, {"7d", "the last 7 days", 7 * 24 * time.Hour, "Jan 2, 15:04"}}
}

// roleClass is the class of a role in charts: "r0" is the primary set, r1 the first backup, r3 the third or a later one, rx none.
func roleClass(role string) string {
	switch role {
	case "primary":
		return "r0"
	case "backup", "backup 1":
		return "r1"
	case "backup 2":
		return "r2"
	case "none", "":
		return "rx"
	}
	return "r3"
}

// timelineOf is the timeline of an instance since that is known. What was before the first switch is taken from that switch.
func (d *dashboard) timelineOf(in *admin.InstanceStatus, started time.Time, key, family string) timeline {
	ranges := timeRanges()
	chosen := ranges[0]
	var t timeline
	for _, r := range ranges {
		if r.key == key {
			chosen = r
		}
	}
	for _, r := range ranges {
		t.Ranges = append(t.Ranges, tab{link{r.text, address("/instance", "name", in.Name, "range", r.key, "family", family) + "#timeline"}, r.key == chosen.key})
	}
	now := time.Now()
	start := now.Add(-chosen.length)
	t.Text = chosen.text
	list := d.backend.Events(admin.EventQuery{Kinds: []admin.EventKind{admin.EventSwitch}, Instance: in.Name, Since: start, Limit: admin.MaxEvents})
	slices.SortStableFunc(list.Events, func(a, b admin.Event) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	known := started // before that, nothing is known
	for _, e := range d.backend.Events(admin.EventQuery{Kinds: []admin.EventKind{admin.EventStarted}, Limit: admin.MaxEvents}).Events {
		known = earlier(known, e.Time)
	}
	for i := range list.Events {
		known = earlier(known, list.Events[i].Time)
	}
	for i := range in.Policies {
		known = earlier(known, in.Policies[i].Since)
	}
	seen := map[string]segment{}
	for i := range in.Policies {
		p := &in.Policies[i]
		l := lane{Text: p.Name, Family: familyName(p.Family)}
		from, role := start, ""
		if known.After(start) {
			from = known
		}
		if p.Since.After(from) && !slices.ContainsFunc(list.Events, func(e admin.Event) bool { return e.Policy == p.Name && e.Family == p.Family }) {
			from = p.Since
		}
		add := func(to time.Time, role string) {
			s := newSegment(from.Sub(start), to.Sub(start), chosen.length, role)
			s.Title = fmt.Sprintf("%s: %s, %s to %s", p.Name, s.Text, clock(from), clock(to))
			l.Segments = append(l.Segments, s)
			seen[s.Class] = s
			from = to
		}
		for _, e := range list.Events {
			if e.Policy != p.Name || e.Family != p.Family || e.Time.Before(start) || e.Time.After(now) {
				continue
			}
			add(e.Time, cmp.Or(e.From, role, "none"))
			role = e.To
		}
		add(now, cmp.Or(p.InForce, role))
		t.Lanes = append(t.Lanes, l)
	}
	for _, e := range slices.Backward(list.Events) {
		t.Rows = append(t.Rows, switchRow{admin.Switch{Time: e.Time, Instance: e.Instance, Policy: e.Policy, Family: e.Family, From: e.From, To: e.To, Reason: e.Reason}, "", familyName(e.Family)})
	}
	const most = 50
	t.Rows = t.Rows[:min(len(t.Rows), most)]
	for i := range 5 {
		t.Ticks = append(t.Ticks, start.Add(chosen.length*time.Duration(i)/4).UTC().Format(chosen.tick))
	}
	for _, class := range []string{"r0", "r1", "r2", "r3", "rx"} {
		if s, ok := seen[class]; ok {
			t.Legend = append(t.Legend, s)
		}
	}
	return t
}

// earlier is the earlier of two times; one that is zero is not known.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// newSegment places a time in a lane. A short one can be seen all the same.
func newSegment(from, to, length time.Duration, role string) segment {
	x, end := 1000*float64(from)/float64(length), 1000*float64(to)/float64(length)
	width := max(end-x, 2)
	x = max(min(x, 1000-width), 0)
	return segment{X: fmt.Sprintf("%.1f", x), Width: fmt.Sprintf("%.1f", width), Class: roleClass(role), Text: cmp.Or(role, "none")}
}
