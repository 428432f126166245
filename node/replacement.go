package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gtmd/server/view"
)

// databaseInterval is how often the files of the databases are looked at. One that has changed is read when it has stayed
// as it is for that long.
const databaseInterval = 250 * time.Millisecond

// runDatabaseWatcher takes up databases whose files have been replaced, and warns of those that become too old.
func (n *Node) runDatabaseWatcher(ctx context.Context) {
	ticker := time.NewTicker(databaseInterval)
	defer ticker.Stop()
	changes := changes{seen: map[string]stamp{}}
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		w, now := n.world.Load(), time.Now()
		if due := changes.look(w.databases); len(due) > 0 {
			n.refreshDatabases(ctx, due)
		}
		n.tellAge(ctx, w, last, now)
		last = now
	}
}

// changes are the files of databases that have changed and may still be changing.
type changes struct {
	seen   map[string]stamp // as they were at the last look
	waited int              // looks for which some were ready and others were not
	looks  int
}

// unreadLooks is how many looks a file that could not be read waits for the next attempt.
const unreadLooks = 40

// maxWaited is how many looks a file that is ready waits for others, so that those that are replaced together are taken up
// together.
const maxWaited = 4

// look looks at the files and returns the paths of those to read now: they have changed and were the same at the last look,
// or could not be read.
func (c *changes) look(databases []*database) map[string]bool {
	due, isChanging := map[string]bool{}, false
	c.looks++
	for _, d := range databases {
		present := stampOf(d.path)
		before, isSeen := c.seen[d.path]
		switch {
		case present == d.stamp && d.unread && c.looks%unreadLooks == 0:
			due[d.path] = true
		case present == d.stamp:
			delete(c.seen, d.path)
			continue
		case isSeen && before == present:
			due[d.path] = true
		default:
			isChanging = true
		}
		c.seen[d.path] = present
	}
	if len(due) > 0 && isChanging && c.waited < maxWaited {
		c.waited++
		return nil
	}
	c.waited = 0
	return due
}

// tellAge logs which databases have become too old between two times.
func (n *Node) tellAge(ctx context.Context, w *world, before, now time.Time) {
	for _, d := range w.databases {
		limit := w.config.File.Geo.MaxAge
		if before.Sub(d.Built) < limit {
			n.tellOld(w, d, now)
		}
		if before.Sub(d.Built) < limit && now.Sub(d.Built) >= limit {
			n.ask(ctx, func() error { // the present world, in its place among the others
				n.teller.follow(n.world.Load(), nil, time.Now())
				return nil
			})
		}
	}
}

// tellOld logs that a database is too old, when it is.
func (n *Node) tellOld(w *world, d *database, now time.Time) {
	if limit := w.config.File.Geo.MaxAge; limit > 0 && now.Sub(d.Built) >= limit {
		n.log.Warn("geo database is old", "warning", d.ageWarning(now, limit))
	}
}

// refreshDatabases reads the databases at some paths, whose files have changed, and serves from them. What cannot serve leaves everything
// as it was, until the file changes again.
func (n *Node) refreshDatabases(ctx context.Context, due map[string]bool) {
	select {
	case n.loading <- struct{}{}:
		defer func() { <-n.loading }()
	case <-ctx.Done():
		return
	}
	w := n.world.Load() // its plan stays as long as the token is held
	next := n.atlas.refresh(w.plan, due, time.Now())
	p, built, err := n.replan(w, next)
	if err != nil {
		p, built = n.replanEach(w, next)
	}
	if err := n.ask(ctx, func() error { return n.relocate(w, p, built) }); err != nil {
		if !errors.Is(err, errStopping) && ctx.Err() == nil {
			n.log.Error("publish the answers from new geo databases", "error", err)
		}
		return
	}
	n.atlas.settle(p)
	n.tellDatabases(w, p.databases, p.buildDuration)
}

// replan is the plan of a world with other databases, and its view; that is nil when no answer changes. An error says that it
// cannot be compiled, or would empty an answer.
func (n *Node) replan(w *world, databases []*database) (*plan, *view.View, error) {
	p := *w.plan
	p.databases = databases
	if err := p.compileMap(n.atlas); err != nil {
		return nil, nil, err
	}
	if p.geo == w.geo {
		return &p, nil, nil
	}
	next := *w
	next.plan = &p
	if err := w.silenced(&next); err != nil {
		return nil, nil, err
	}
	built, err := next.build(w.view.Generation, n.stats.Counter)
	return &p, built, err
}

// replanEach is replan when that has failed: it takes up what it can of the new databases, one after the other, and refuses
// the rest.
func (n *Node) replanEach(w *world, next []*database) (*plan, *view.View) {
	unchanged := *w.plan
	p, built := &unchanged, (*view.View)(nil)
	left := slices.Clone(next)
	for i, old := range w.databases {
		if next[i].Database != old.Database {
			left[i] = old
		}
	}
	for i, old := range w.databases {
		d := next[i]
		if d.Database == old.Database {
			continue
		}
		with := slices.Clone(left)
		with[i] = d
		err := w.loses(old, d, knowledge(w.databases), knowledge(with))
		if err == nil {
			var q *plan
			var v *view.View
			if q, v, err = n.replan(w, with); err == nil {
				p, built, left = q, v, with
				continue
			}
			err = fmt.Errorf("geo database %q: %w", d.path, err)
		}
		n.atlas.fail(d.path, d.stamp)
		left[i] = old.refuse(d.stamp, err, time.Now())
	}
	p.databases = left
	return p, built
}

// relocate serves from the databases of a plan that differs from that of w in nothing else. Built is its view with the
// decisions of w; nil when no answer changes.
func (n *Node) relocate(w *world, p *plan, built *view.View) error {
	present := n.world.Load()
	if built == nil {
		next := *present
		next.plan = p
		n.world.Store(&next)
		n.teller.follow(&next, nil, time.Now())
		return nil
	}
	if err := n.swap(present, present.relocated(w, p, built, n.stats.Counter), time.Now()); err != nil {
		return err
	}
	n.touchCopies()
	return nil
}

// relocated is the world with the view of another map. Built is that view as of an earlier world; what has been decided and
// measured since is packed anew.
func (w *world) relocated(before *world, p *plan, built *view.View, counter func(view.CounterKey) int) *world {
	next := *w
	next.plan = p
	var since []slot
	for _, s := range p.slots {
		if w.decision(s) != before.decision(s) {
			since = append(since, s)
		}
	}
	for pool, users := range p.measured {
		if w.rtts[pool] != before.rtts[pool] {
			since = append(since, users...)
		}
	}
	next.view = built.Replace(w.view.Generation+1, next.viewInstances(), p.packedAll(since), counter)
	return &next
}

// tellDatabases logs what became of each file that has changed, which has been loaded.
func (n *Node) tellDatabases(before *world, after []*database, took time.Duration) {
	n.tidy()
	for i, d := range after {
		old := before.databases[i]
		switch {
		case d == old:
		case d.refused != nil:
			n.logRefused(d)
		case d.Database != old.Database:
			n.log.Info("geo database replaced", "path", d.path, "type", d.Type, "built", day(d.Built), "before", old.serving(),
				"networks", d.Networks4+d.Networks6, "geo_build", took.Round(time.Millisecond))
			n.tellOld(before, d, time.Now())
		case old.refused != nil:
			n.log.Info("geo database is good again", "path", d.path, "type", d.Type, "built", day(d.Built))
		}
	}
}

func (n *Node) logRefused(d *database) {
	n.log.Error("geo database refused: an older one serves on", "path", d.path, "error", d.refused, "serves", d.serving(),
		"action", "put a good file there: it is picked up by itself; if the file is right, do what the error says")
}
