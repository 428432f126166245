package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/handover"
)

// note adds an event to the log, with its time where it has none. It never waits, and may be called from any goroutine. What begins or ends something
// that is not of the world, such as an instance that is not configured, is told once.
func (n *Node) note(e admin.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	c := change{Event: e}
	if e.Instance != "" {
		c.instances = []string{e.Instance}
	}
	switch e.Kind {
	case admin.EventConfigRejected, admin.EventConfigLoaded:
		c.key, c.isEnd = configKey, e.Kind == admin.EventConfigLoaded
	case admin.EventUnconfigured, admin.EventConfigured:
		c.key, c.isEnd = unconfiguredKey(&e), e.Kind == admin.EventConfigured
	default:
		n.events.add(e)
		return
	}
	n.teller.note(c)
}

// noteBy is note for what somebody has asked for: by whom, and which way. The author is who the request says it was.
func (n *Node) noteBy(ctx context.Context, author string, e admin.Event) {
	n.note(by(ctx, author, e))
}

// by is an event with who has asked for it.
func by(ctx context.Context, author string, e admin.Event) admin.Event {
	caller := admin.CallerOf(ctx)
	e.Author, e.Via, e.Remote = who(caller, author), caller.Via, caller.Remote
	return e
}

// who names somebody who is known by a token, and says to be an author: the token is what counts. The author may be what [admin.Author]
// makes of both.
func who(caller admin.Caller, author string) string {
	author = strings.TrimSuffix(author, " (token "+caller.Name+")")
	switch {
	case caller.Name == "" || caller.Name == author:
		return author
	case author == "":
		return caller.Name
	default:
		return fmt.Sprintf("%s (%s)", caller.Name, author)
	}
}

// Bounds of the texts of an event, in characters.
const (
	longText  = 1000 // the reason, which may have every problem of a configuration
	shortText = 300
	nameText  = 255
	mostPools = 100
)

// neat makes an event fit for a file of lines: origins and operators have written parts of it.
func neat(e *admin.Event, now time.Time) {
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Time = e.Time.Round(0)
	if e.Since != nil {
		since := e.Since.Round(0)
		e.Since = &since
	}
	e.Kind = admin.EventKind(oneLine(string(e.Kind), nameText))
	e.Message, e.Reason = oneLine(e.Message, shortText), oneLine(e.Reason, longText)
	for _, text := range []*string{
		&e.Instance, &e.Policy, &e.Family, &e.Set, &e.Pool, &e.Address, &e.HealthCheck, &e.From, &e.To, &e.Author, &e.Via, &e.Remote,
	} {
		*text = oneLine(*text, nameText)
	}
	e.Pools = e.Pools[:min(len(e.Pools), mostPools)]
}

// oneLine makes a text one line of characters that can be printed, at most so many. Lines are joined by "; ".
func oneLine(text string, most int) string {
	isFine := len(text) <= most
	for i := 0; i < len(text) && isFine; i++ {
		isFine = text[i] >= ' ' && text[i] < 0x7f
	}
	if isFine {
		return text
	}
	var b strings.Builder
	count := 0
	for line := range strings.Lines(strings.ToValidUTF8(text, string(utf8.RuneError))) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if b.Len() > 0 {
			line = "; " + line
		}
		for _, c := range line {
			if count == most-1 {
				b.WriteRune('…')
				return b.String()
			}
			if !unicode.IsPrint(c) {
				c = ' '
			}
			b.WriteRune(c)
			count++
		}
	}
	return b.String()
}

// refusals bound how many refused changes are events: who may change nothing must not wash the others out of the log.
type refusals struct {
	mu      sync.Mutex // guards all below
	minute  time.Time  // when the present one began
	count   int        // in it
	omitted int        // since the last event
}

// refusedPerMinute is how many refused changes are events, in each minute.
const refusedPerMinute = 30

// admit reports whether one more is an event, and how many have been none since the last one.
func (r *refusals) admit(now time.Time) (omitted int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.minute) >= time.Minute || now.Before(r.minute) {
		r.minute, r.count = now, 0
	}
	if r.count++; r.count > refusedPerMinute {
		r.omitted++
		return 0, false
	}
	omitted, r.omitted = r.omitted, 0
	return omitted, true
}

// Refused notes that a change was refused; see admin.Backend.
func (n *Node) Refused(ctx context.Context, what, why string) {
	n.refused(ctx, "", admin.Event{Message: what, Reason: why})
}

// refused notes a change that somebody has asked for and that was not made. The message says what it was.
func (n *Node) refused(ctx context.Context, author string, e admin.Event) {
	omitted, ok := n.refusals.admit(time.Now())
	if !ok {
		return
	}
	e.Kind, e.Message = admin.EventRefused, "refused: "+e.Message
	if omitted > 0 {
		e.Message += fmt.Sprintf(" (%d further ones before are not listed)", omitted)
	}
	n.noteBy(ctx, author, e)
}

// notMade notes that a change that was asked for was not made, and why.
func (n *Node) notMade(ctx context.Context, author string, e admin.Event, why error) {
	if errors.Is(why, errStopping) || ctx.Err() != nil {
		return // nobody has looked at it
	}
	e.Reason = why.Error()
	n.refused(ctx, author, e)
}

// targetEvent has the fields of what an override is on.
func targetEvent(t admin.OverrideTarget) admin.Event {
	return admin.Event{Instance: t.Instance, Policy: t.Policy, Set: t.Set, Pool: t.Pool, Address: plainName(t.Address)}
}

// overrideEvent is about an override; did says what became of it.
func overrideEvent(kind admin.EventKind, o *admin.Override, did string) admin.Event {
	e := targetEvent(o.OverrideTarget)
	e.Kind, e.Reason = kind, o.Reason
	e.Message = fmt.Sprintf("override %s, %s on %s, %s", o.ID, o.State, o.OverrideTarget, did)
	return e
}

// expiredEvent is the end of an override that nobody has ended.
func expiredEvent(o *admin.Override) admin.Event {
	e := overrideEvent(admin.EventOverrideExpired, o, "is over")
	e.Reason, e.Since = fmt.Sprintf("it was set by %s: %s", o.Author, o.Reason), moment(o.Since)
	return e
}

// begin notes how this process began, and what ended by itself while none ran.
func (n *Node) begin(taking *handover.Taking, saved *stateBody, w *world) {
	version := n.options.Version.Version
	e := admin.Event{Kind: admin.EventStarted, To: version, Message: "gtmd " + version + " started"}
	if taking != nil {
		e.Kind, e.From = admin.EventTakenOver, taking.Program
		e.Message = fmt.Sprintf("gtmd %s took over from gtmd %s, process %d", version, taking.Program, taking.PID)
	}
	n.note(e)
	for _, s := range saved.Overrides {
		if !slices.ContainsFunc(w.overrides.all(), func(o *override) bool { return o.id == s.ID }) {
			n.note(expiredEvent(&admin.Override{
				ID: s.ID, OverrideTarget: shown(s.OverrideTarget), State: string(s.State), Reason: s.Reason, Author: s.Author, Since: s.Since,
			}))
		}
	}
}

// stateDir is the state directory; that of c before anything serves.
func (n *Node) stateDir(c *config.Config) string {
	if w := n.world.Load(); w != nil {
		c = w.config
	}
	return c.File.State.Dir
}

// endTelling tells what is left to be told, and lets the files of events and alerts go. Further calls do nothing.
func (n *Node) endTelling() {
	n.telling.Do(func() {
		n.teller.close()
		if err := closeAlerts(n.alerts); err != nil {
			n.log.Warn("end the alerts", "error", err)
		}
		n.events.close()
	})
}
