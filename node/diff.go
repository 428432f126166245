package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/geo"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// Diff says what a configuration file would change; see admin.Backend. What is known of health, the overrides and the sets in force
// are the present ones on both sides; an address that is not probed yet counts as available. Nothing that serves is touched.
func (n *Node) Diff(ctx context.Context, r admin.DiffRequest) (admin.Difference, error) {
	if r.Path != "" && !filepath.IsAbs(r.Path) {
		return admin.Difference{}, fmt.Errorf("path %q: want an absolute one, since gtmd has another working directory", r.Path)
	}
	release, err := n.startLoading(ctx)
	if err != nil {
		return admin.Difference{}, err
	}
	defer release()
	defer n.tidy()
	load := n.options.Load
	if r.Path != "" {
		load = func() (*config.Config, error) { return config.Load(r.Path) }
	}
	c, err := load()
	if err != nil {
		if errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), os.ErrPermission.Error()) {
			err = fmt.Errorf("%w (it is the running gtmd that reads the file)", err)
		}
		return admin.Difference{}, err
	}
	prober := healthcheck.NewProber()
	defer prober.Close()
	w, now := n.world.Load(), time.Now()
	p, err := compile(c, prober, n.atlas.copy(), w.databases, n.resolver.Answers())
	if err != nil {
		return admin.Difference{}, err
	}
	next, err := first(p, w.status, w.inherited(), w.view.Generation, nil, now)
	if err != nil {
		return admin.Difference{}, err
	}
	d := w.redecide(w.slots, w.status, nil, nil, now).difference(next, now)
	if err := errors.Join(w.emptied(next), w.silenced(next)); err != nil {
		d.Warnings = append(d.Warnings, "a reload would be refused: "+err.Error())
	}
	if unresolved := p.unresolved(); len(unresolved) > 0 {
		d.Warnings = append(d.Warnings, "not resolved yet, so without addresses here: "+strings.Join(unresolved, ", "))
	}
	return d, nil
}

// Diff compares two configurations that are not running: nothing is known of health, so every address that is probed counts as
// available.
func Diff(before, after *config.Config) (admin.Difference, error) {
	old, err := offline(before)
	if err != nil {
		return admin.Difference{}, fmt.Errorf("the first file: %w", err)
	}
	next, err := offline(after)
	if err != nil {
		return admin.Difference{}, fmt.Errorf("the second file: %w", err)
	}
	return old.difference(next, time.Now()), nil
}

// startLoading waits until nothing else is being loaded. The function ends it.
func (n *Node) startLoading(ctx context.Context) (release func(), err error) {
	select {
	case n.loading <- struct{}{}:
		return func() { <-n.loading }, nil
	case <-n.handedOver:
		return nil, ErrHandedOver
	case <-n.stopped:
		return nil, errStopping
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// copy is an atlas that knows what a knows, for a plan that is thrown away: nothing that it reads or refuses is remembered.
func (a *atlas) copy() *atlas {
	next := newAtlas()
	maps.Copy(next.files, a.files)
	next.built, next.input, next.duration = a.built, a.input, a.duration
	return next
}

// unresolved lists the names whose addresses are the answer and that have not been resolved.
func (p *plan) unresolved() []string {
	var names []string
	for _, o := range p.config.Pools {
		for _, a := range o.Addresses {
			if o.Flatten && len(p.resolved(a.Address)) == 0 && !slices.Contains(names, plainName(a.Address)) {
				names = append(names, plainName(a.Address))
			}
		}
	}
	return names
}

// mostExamples is how many clients are named for one name and type.
const mostExamples = 3

// difference is what next changes for the clients of w.
func (w *world) difference(next *world, now time.Time) admin.Difference {
	out := admin.Difference{From: w.config.Hash, To: next.config.Hash, Names: []admin.NameDifference{}, Warnings: texts(next.allWarnings(now))}
	all, alike := w.view.Differences(next.view)
	out.Unchanged = alike
	lines := [2]liner{newLiner(next), newLiner(w)}
	for i := range all {
		out.Names = append(out.Names, nameDifference(&all[i], lines))
	}
	out.Other = append(w.config.Changes(next.config), w.databaseChanges(next)...)
	return out
}

func nameDifference(d *view.Difference, lines [2]liner) admin.NameDifference {
	out := admin.NameDifference{
		Name: d.Name, Type: dns.Type(d.Type).String(), Change: "changed", ShareIPv4: d.Share.IPv4, ShareIPv6: d.Share.IPv6,
	}
	switch {
	case !d.Before && d.After:
		out.Change = "added"
	case d.Before && !d.After:
		out.Change = "removed"
	}
	for i, c := range d.Changes {
		if i == mostExamples {
			break
		}
		example := admin.ClientDifference{Client: c.Clients.String(), Before: outcomeTexts(&c.Before, d.Type), After: outcomeTexts(&c.After, d.Type)}
		if example.Line = lines[0].of(d, c); example.Line == "" {
			example.Line = lines[1].of(d, c)
		}
		out.Examples = append(out.Examples, example)
	}
	var notes []string
	for _, t := range d.TTLs {
		note := fmt.Sprintf("TTL %d -> %d", t.Before, t.After)
		if min(t.Share.IPv4, t.Share.IPv6) < 1 {
			note += fmt.Sprintf(" for %s of IPv4 and %s of IPv6", percent(t.Share.IPv4), percent(t.Share.IPv6))
		}
		notes = append(notes, note)
	}
	out.Note = strings.Join(notes, "; ")
	return out
}

// liner finds the request sources by which the clients of access domains get what they get.
type liner struct {
	world     *world
	instances map[string]int // by name that they answer
}

func newLiner(w *world) liner {
	l := liner{w, make(map[string]int, len(w.instances))}
	for i, in := range w.instances {
		for name := range in.Names() {
			l.instances[name] = i
		}
	}
	return l
}

// of is the source that counts for the clients of a change; empty when no policy has them, or the name is no access domain.
func (l liner) of(d *view.Difference, c view.Change) string {
	instance, is := l.instances[d.Name]
	if !is {
		return ""
	}
	family := policy.IPv4
	if d.Type == dns.TypeAAAA {
		family = policy.IPv6
	}
	table := l.world.sourcesFor(instance, family)
	class, _ := l.world.geo.Lookup(c.Client)
	for _, source := range append(slices.Clone(l.world.geo.Chain(class)), geo.Global) {
		if slices.ContainsFunc(table, func(of []geo.Selector) bool { return slices.Contains(of, source) }) {
			return source.String()
		}
	}
	return ""
}

// outcomeTexts writes what clients get: each record of which all are sent, or in words how one is chosen. Without any, why, in
// parentheses.
func outcomeTexts(o *view.Outcome, qtype uint16) []string {
	if o.Block == nil {
		return replyTexts(o.Reply, qtype)
	}
	groups := o.Block.Answer.Groups
	if len(groups) == 0 {
		return []string{"(no data)"}
	}
	if len(groups) > 1 || groups[0].Balance != policy.BalanceAll {
		return []string{choice(o.Block.Answer)}
	}
	var all []string
	for _, r := range groups[0].Records {
		name := plainName(r.Address.Name)
		if !r.Address.IP.IsValid() {
			name = "CNAME " + name
		}
		all = append(all, name)
	}
	if g := groups[0]; g.MaxAnswers > 0 && g.MaxAnswers < len(all) {
		all = append(all, fmt.Sprintf("(%d of these)", g.MaxAnswers))
	}
	return all
}

func replyTexts(reply *dns.Msg, qtype uint16) []string {
	var all []string
	for _, rr := range slices.Concat(reply.Answer, reply.Ns) {
		h := rr.Header()
		if h.Rrtype == dns.TypeSOA && qtype != dns.TypeSOA {
			continue
		}
		text := strings.ReplaceAll(strings.TrimPrefix(rr.String(), h.String()), "\t", " ")
		if h.Rrtype != qtype {
			text = dns.Type(h.Rrtype).String() + " " + text
		}
		all = append(all, text)
	}
	switch {
	case len(all) > 0:
	case reply.Rcode == dns.RcodeSuccess:
		all = append(all, "(no data)")
	default:
		all = append(all, "("+dns.RcodeToString[reply.Rcode]+")")
	}
	return all
}

// databaseChanges are the databases that are others.
func (w *world) databaseChanges(next *world) []string {
	var all []string
	for _, d := range next.databases {
		if old := databaseOf(w.databases, d.path); old != nil && old.Hash != d.Hash {
			all = append(all, fmt.Sprintf("geo database %q: built %s -> built %s", d.path, day(old.Built), day(d.Built)))
		}
	}
	return all
}
