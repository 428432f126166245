package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/server"
	"gtmd/server/view"
)

// Reload loads the configuration again; see admin.Backend. The caller loads it, waits for the verdicts of addresses that
// are new and opens the sockets; the controller only publishes it, so that nothing slow keeps a change of health waiting.
func (n *Node) Reload(ctx context.Context) error {
	_, err := n.reload(ctx)
	return err
}

// ReloadDifference is Reload, and says what it has changed for clients: with the health and the overrides of the moment in which it
// was served on both sides.
func (n *Node) ReloadDifference(ctx context.Context) (admin.Difference, error) {
	c, err := n.reload(ctx)
	if err != nil {
		return admin.Difference{}, err
	}
	before := c.before.redecide(c.before.slots, c.after.status, nil, nil, c.at)
	return before.difference(c.after, c.at), nil
}

// changeover is a configuration that took the place of another one.
type changeover struct {
	before, after *world
	at            time.Time
}

func (n *Node) reload(ctx context.Context) (*changeover, error) {
	if caller := admin.CallerOf(ctx); caller != (admin.Caller{}) {
		n.noteBy(ctx, "", admin.Event{Kind: admin.EventReloadAsked, Message: "a reload of " + n.options.Name + " is asked for"})
	}
	release, err := n.startLoading(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	defer func() { n.atlas.settle(n.world.Load().plan) }()
	defer n.tidy()
	var built *view.View
	p, err := n.load(ctx, n.world.Load().databases)
	if err == nil {
		p, built, err = n.rehearse(p)
	}
	if err != nil {
		n.reloaded(err)
		n.probeAll(n.world.Load().plan)
		return nil, err
	}
	var c *changeover
	if err = n.acquaint(ctx, p, p.patience(p.beyond(n.world.Load().plan), reloadPatience)); err == nil {
		c, err = n.serve(ctx, p, built)
		n.tellMoved()
	}
	if err != nil {
		n.probeAll(n.world.Load().plan) // without what was new
	}
	return c, err
}

// rehearse finds what publish would refuse by what is known now, before anything is probed or opened. It returns the view of
// the plan, for publish: laying the map out takes time that the controller does not have. Where a plan would be refused for
// a database that is new, the plan that is returned has the one that serves.
func (n *Node) rehearse(p *plan) (*plan, *view.View, error) {
	built, err := n.rehearseOnce(p)
	if err == nil {
		return p, built, nil
	}
	loaded := n.world.Load().databases
	left, replaced := slices.Clone(p.databases), []int(nil)
	for i, d := range p.databases {
		if old := databaseOf(loaded, d.path); old != nil && old.Database != d.Database {
			left[i] = old
			replaced = append(replaced, i)
		}
	}
	if len(replaced) == 0 {
		return nil, nil, err
	}
	q, built, e := n.rehearseWith(p, left)
	if e != nil {
		return nil, nil, err
	}
	// One after the other, so that only those are refused that are to blame.
	refused := map[int]*database{}
	for _, i := range replaced {
		d, with := p.databases[i], slices.Clone(q.databases)
		with[i] = d
		next, v, why := n.rehearseWith(p, with)
		if why == nil {
			q, built = next, v
			continue
		}
		n.atlas.fail(d.path, d.stamp)
		refused[i] = databaseOf(loaded, d.path).refuse(d.stamp, fmt.Errorf("geo database %q: %w", d.path, why), time.Now())
	}
	for i, d := range refused {
		q.databases[i] = d
	}
	return q, built, nil
}

// rehearseWith is rehearseOnce for the plan with other databases, which is returned, too.
func (n *Node) rehearseWith(p *plan, databases []*database) (*plan, *view.View, error) {
	if problems := p.unmatchable(databases); len(problems) > 0 {
		return nil, nil, problems
	}
	q := *p
	q.databases = slices.Clone(databases)
	if err := q.compileMap(n.atlas); err != nil {
		return nil, nil, err
	}
	built, err := n.rehearseOnce(&q)
	return &q, built, err
}

func (n *Node) rehearseOnce(p *plan) (*view.View, error) {
	w := n.world.Load()
	next, err := first(p, n.engine.Status(), w.inherited(), w.view.Generation+1, n.stats.Counter, time.Now())
	if err != nil {
		return nil, err
	}
	if err := w.emptied(next); err != nil {
		return nil, err
	}
	return next.view, w.silenced(next)
}

// follow makes the world of a new plan that comes after w. Built is a view of the plan, by older decisions.
func (n *Node) follow(w *world, p *plan, built *view.View, now time.Time) (*world, error) {
	next := decide(p, n.engine.Status(), w.inherited(), now)
	next.view = built.Replace(w.view.Generation+1, next.viewInstances(), p.packedAll(p.slots), n.stats.Counter)
	return next, w.emptied(next)
}

// serve opens the sockets of a new plan and has the controller publish it.
func (n *Node) serve(ctx context.Context, p *plan, built *view.View) (*changeover, error) {
	change, err := n.prepare(p.config)
	if err != nil {
		n.reloaded(err)
		return nil, err
	}
	if err := configureAlerts(n.alerts, p.config); err != nil {
		change.discard()
		n.reloaded(err)
		return nil, err
	}
	var c *changeover
	err = n.ask(ctx, func() (err error) {
		c, err = n.publish(p, built, change)
		n.reloaded(err)
		return err
	})
	if err != nil {
		change.discard()
		if again := configureAlerts(n.alerts, n.world.Load().config); again != nil {
			n.log.Error("the alert groups are those of the configuration that was refused", "error", again)
		}
	}
	return c, err
}

// compileFirst is compile at start: the last good copies stand in for databases that cannot be used.
func (n *Node) compileFirst(c *config.Config, files string) (*plan, error) {
	n.atlas.copies = true
	defer func() { n.atlas.copies = false }()
	return n.compile(c, files, nil)
}

// load reads the configuration, has its names resolved, and compiles it; databases are those that serve.
func (n *Node) load(ctx context.Context, databases []*database) (*plan, error) {
	c, files, err := n.read()
	if err != nil {
		return nil, err
	}
	n.resolve(ctx, c, namesOf(c), time.Now().Add(c.File.State.StartupWait))
	return n.compile(c, files, databases)
}

// read reads the configuration, and notes what its files look like: nothing of files that may have changed since they were
// read, so that the watcher loads them once more.
func (n *Node) read() (*config.Config, string, error) {
	begin := time.Now()
	c, err := n.options.Load()
	if err != nil {
		return nil, "", err
	}
	files, changed := fingerprint(c)
	if !changed.Before(begin.Add(-clockStep)) {
		files = ""
	}
	return c, files, nil
}

// clockStep is more than the time that the clock of a file system stands still.
const clockStep = 20 * time.Millisecond

func (n *Node) compile(c *config.Config, files string, databases []*database) (*plan, error) {
	p, err := compile(c, n.prober, n.atlas, databases, n.resolver.Answers())
	if err != nil {
		return nil, err
	}
	p.files = files
	return p, nil
}

// publish serves a new plan with its sockets. Everything that can fail comes before anything changes; on an error the old
// configuration serves on, and the sockets are left to the caller.
func (n *Node) publish(p *plan, built *view.View, change *listeners) (*changeover, error) {
	w, now := n.world.Load(), time.Now()
	next, err := n.follow(w, p, built, now)
	if err != nil {
		return nil, err
	}
	if err := n.swap(w, next, now); err != nil {
		return nil, err
	}
	n.dns.SetTransfers(p.transfers)
	change.commit()
	n.probeAll(p)
	n.metrics.prune(next)
	n.touchCopies()
	n.touchBusiness()
	n.step() // without the targets that are gone, and saved
	return &changeover{w, next, now}, nil
}

// reloaded notes how a reload went, for the log, the metrics and the API.
func (n *Node) reloaded(err error) {
	n.metrics.reloaded(err)
	if err != nil {
		n.lastReload.Store(&refusal{err: err, at: time.Now()})
		n.log.Error("configuration refused: the old one serves on", "file", n.options.Name, "error", err)
		n.note(admin.Event{
			Kind: admin.EventConfigRejected, Message: "configuration " + n.options.Name + " is refused: the old one serves on", Reason: err.Error(),
		})
		return
	}
	n.lastReload.Store(nil)
	w := n.world.Load()
	for _, warning := range w.oddities(time.Now()) {
		n.log.Warn("configuration", "warning", warning.String())
	}
	for _, d := range w.databases {
		if d.refused != nil {
			n.logRefused(d)
		}
	}
	n.log.Info("configuration loaded", "file", n.options.Name, "instances", len(w.config.File.Instances),
		"pools", len(w.config.File.Pools), "targets", len(w.targets), "hash", w.config.Hash[:12],
		"databases", len(w.databases), "geo_build", w.buildDuration.Round(time.Microsecond))
	n.note(admin.Event{Kind: admin.EventConfigLoaded, Message: fmt.Sprintf("configuration %s is loaded: %s, %s, hash %s",
		n.options.Name, countOf(len(w.config.File.Instances), "instance"), countOf(len(w.config.File.Pools), "pool"), w.config.Hash[:12])})
}

// countOf writes a number of things.
func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// refusal is something that was not done: a reload that was refused, a state that was not saved.
type refusal struct {
	err error
	at  time.Time
}

// listeners are the prepared changes of both servers.
type listeners struct {
	dns   *server.Change
	admin *admin.Change
}

// prepare opens the sockets that a configuration asks for.
func (n *Node) prepare(c *config.Config) (*listeners, error) {
	dns, err := n.dns.Prepare(c.File.DNS)
	if err != nil {
		return nil, err
	}
	change, err := n.admin.Prepare(c.File.Admin)
	if err != nil {
		dns.Discard()
		return nil, err
	}
	return &listeners{dns: dns, admin: change}, nil
}

func (l *listeners) commit() {
	l.dns.Commit()
	l.admin.Commit()
}

func (l *listeners) discard() {
	l.dns.Discard()
	l.admin.Discard()
}
