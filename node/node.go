// Package node is one running process: it loads a configuration, probes, decides, and keeps the DNS server supplied with
// views. Several nodes can run in one test.
//
// All change passes through one goroutine, the controller (control.go). It holds the world (world.go), an immutable
// snapshot of configuration, health, decisions and answers; each event makes the next world, which is published with
// one pointer. What a configuration means is compiled in build.go, and comes in through reload.go; state.go keeps what
// outlives a restart; backend.go shows it all to the admin API.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/admin"
	"gtmd/admin/dashboard"
	"gtmd/alert"
	"gtmd/config"
	"gtmd/handover"
	"gtmd/healthcheck"
	"gtmd/resolver"
	"gtmd/server"
)

// Options say what a node runs.
type Options struct {
	// Name is what the configuration is called in logs and in the API.
	Name string
	// Load loads the configuration, at start and at every reload. It is called by one goroutine at a time.
	Load func() (*config.Config, error)
	// Logger receives what operators should know. Not nil.
	Logger *slog.Logger
	// Version says which program runs.
	Version admin.Version
	// Loaded, when not nil, is called by a goroutine of the node some time after a configuration or a database has been
	// loaded, or refused: what loading took is no longer needed then.
	Loaded func()
	// Serving, when not nil, is called before Start returns, once queries are answered. A process that was taken over from does
	// not end before it has returned, or some seconds are over.
	Serving func(*Node)
	// TakeOver has the node take the sockets and the state over from one that runs with the same admin socket, if there is
	// one, in this process or in another.
	TakeOver bool
	// Sockets were passed by whoever started the process; nil: none. The node closes them.
	Sockets *handover.Sockets
}

// Node is a running process. Its methods may be called from any goroutine.
type Node struct {
	options Options
	log     *slog.Logger
	started time.Time

	registry *prometheus.Registry
	metrics  *metrics
	stats    *server.Stats
	prober   *healthcheck.Prober
	engine   *healthcheck.Engine
	resolver *resolver.Resolver
	dns      *server.Server
	admin    *admin.Server

	world      atomic.Pointer[world]
	lastReload atomic.Pointer[refusal] // nil: the last reload was good
	phase      atomic.Pointer[string]  // why queries are not answered; nil: they are
	history    history
	events     *eventLog
	teller     *teller
	alerts     *alert.Service
	refusals   refusals
	telling    sync.Once // ends it
	business   *business

	probing    chan struct{} // holds a token for each probe that runs because somebody asked for it
	loading    chan struct{} // holds a token while a configuration or a database is loaded
	atlas      *atlas        // of whoever holds it
	requests   chan request
	stopped    chan struct{}           // closed when the controller takes no more requests
	followed   chan struct{}           // holds a token when the controller has taken up a change of health, for the reload that waits for one
	unsaved    chan struct{}           // holds a token when the state has changed
	saving     sync.Mutex              // guards the state file and ended
	saveFailed atomic.Pointer[refusal] // why the state could not be saved, and since when; nil: it was. Written with saving held
	ended      bool                    // nothing is served any more
	uncopied   chan struct{}           // holds a token when a database may have no copy
	untidy     chan struct{}           // holds a token when something has been loaded

	sockets    *handover.Sockets // that others have opened
	moved      chan struct{}     // holds a token when the door may have another place
	handedOver chan struct{}     // closed when another process has taken over
	successor  int               // its number; written before that
	left       atomic.Bool       // another process has the sockets and the state
	tookOver   bool

	closing sync.Once
	cancel  context.CancelFunc
	running sync.WaitGroup
}

var errStopping = errors.New("gtmd is stopping")

// ErrHandedOver is returned by Reload when another process has taken over meanwhile: it is for that one to load.
var ErrHandedOver = errors.New("another gtmd has taken over")

// Start loads the configuration, takes up the saved state, begins to probe, and returns when queries are answered: at
// once with saved verdicts, else after the first round of probes or the configured wait, whichever comes first. On an
// error, or when ctx ends before that, nothing is left running.
func Start(ctx context.Context, o Options) (_ *Node, err error) {
	stats := server.NewStats()
	n := &Node{
		options: o, log: o.Logger, started: time.Now(), registry: prometheus.NewRegistry(), stats: stats,
		prober: healthcheck.NewProber(), dns: server.New(o.Logger, stats),
		probing: make(chan struct{}, maxProbing), loading: make(chan struct{}, 1), requests: make(chan request), stopped: make(chan struct{}),
		followed: make(chan struct{}, 1), unsaved: make(chan struct{}, 1), uncopied: make(chan struct{}, 1), untidy: make(chan struct{}, 1), atlas: newAtlas(), business: newBusiness(),
		sockets: o.Sockets, moved: make(chan struct{}, 1), handedOver: make(chan struct{}),
	}
	if n.sockets == nil {
		n.sockets = handover.NewSockets()
	}
	n.setPhase("starting")
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	undo = append(undo, n.sockets.Close, func() { n.prober.Close() })

	n.loading <- struct{}{}
	defer func() { <-n.loading }()
	c, files, err := n.read()
	if err != nil {
		return nil, err
	}
	if n.metrics, err = newMetrics(n); err != nil {
		return nil, fmt.Errorf("register the metrics: %w", err)
	}
	if n.admin, err = admin.New(n, n.registry, n.log, dashboard.New(n, n.log)...); err != nil {
		return nil, err
	}
	if n.events, err = newEventLog(func() string { return n.stateDir(c) }, n.log, n.registry); err != nil {
		return nil, fmt.Errorf("register the metrics of events: %w", err)
	}
	n.teller = newTeller(n.tell, n.reconcile)
	var saved origin
	taking, err := n.succeed(ctx, c)
	if err != nil {
		return nil, err
	}
	if taking != nil {
		undo = append(undo, taking.Close)
		n.sockets.Join(taking.Sockets)
		if saved, err = originOf(taking.State); err != nil {
			return nil, err
		}
		if len(saved.secret) == 16 {
			n.dns.SetCookieSecret([16]byte(saved.secret))
		}
	}
	n.dns.Inherit(n.sockets)
	n.admin.Inherit(n.sockets)
	var change *listeners
	if taking == nil {
		// Both servers are bound before anything is probed and before the state is touched: a second gtmd that does not take over
		// ends here, without a trace.
		if change, err = n.prepare(c); err != nil {
			return nil, err
		}
		undo = append(undo, change.discard)
		saved = n.saved(c)
	}
	if n.resolver, err = resolver.NewWithSaved(c.File.Resolver, saved.Names, n.log, n.registry); err != nil {
		return nil, fmt.Errorf("start to resolve the names of domain pools: %w", err)
	}
	undo = append(undo, n.resolver.Close)
	deadline := time.Now().Add(c.File.State.StartupWait)
	n.resolve(ctx, c, n.namesToAwait(c, &saved.stateBody), deadline)
	p, err := n.compileFirst(c, files)
	if err != nil {
		return nil, err
	}
	if taking != nil {
		met, err := n.meet(ctx, p, saved.Targets)
		if err != nil {
			return nil, err
		}
		// Not before: an address that is part of a wildcard address of the other process has its queries from here on.
		if change, err = n.prepare(c); err != nil {
			return nil, err
		}
		undo = append(undo, change.discard)
		if saved, err = n.still(taking, met, saved); err != nil {
			return nil, err
		}
	}
	n.history.restore(saved.Switches)
	if n.alerts, err = n.newAlerts(c); err != nil {
		return nil, err
	}
	undo = append(undo, n.endTelling)
	n.engine, err = healthcheck.NewEngine(healthcheck.EngineOptions{Logger: n.log, Registerer: n.registry, Saved: saved.Targets})
	if err != nil {
		return nil, fmt.Errorf("start the health checks: %w", err)
	}
	undo = append(undo, n.engine.Close)
	n.probeAll(p)
	before := saved.heritage(time.Now(), n.log)
	w, err := first(p, n.engine.Status(), before, saved.generation+1, n.stats.Counter, time.Now())
	if err != nil {
		return nil, err
	}
	w.number(before.serials, time.Now())
	n.world.Store(w)
	n.business.set(c, time.Now())
	if taking != nil {
		if err := n.takeOver(taking, change, w); err != nil {
			return nil, err
		}
	}
	n.events.open() // nobody else writes to it now
	n.teller.open(saved.Told)
	change.admin.Commit()
	undo = append(undo, n.admin.Close)
	n.admin.Own()
	if w.isBlank() && taking == nil {
		if err := n.firstRound(ctx, time.Until(deadline)); err != nil {
			return nil, err
		}
		if w, err = first(p, n.engine.Status(), before, 2, n.stats.Counter, time.Now()); err != nil {
			return nil, err
		}
		w.number(before.serials, time.Now())
		n.world.Store(w)
	}
	if taking == nil {
		if len(w.serials) > 0 {
			n.save() // what was saved at the last end does not hold any longer; see stateBody.serials
		}
		if err := n.dns.Swap(w.view); err != nil {
			return nil, err
		}
		n.dns.SetTransfers(p.transfers)
		change.dns.Commit()
	}
	n.settle()
	n.setPhase("")
	n.begin(taking, &saved.stateBody, w)
	n.teller.follow(w, n.announce(saved.memory(), w, w.loaded), w.loaded)
	n.reloaded(nil)
	n.resumeDrills(saved.memory(), w)
	n.atlas.settle(p)
	n.touch()
	n.tidy()
	n.touchCopies()

	running, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.running.Go(func() { n.runController(running) })
	n.running.Go(func() { n.runSaver(running) })
	n.running.Go(func() { n.dns.Notify(running) })
	n.running.Go(func() { n.runWatcher(running) })
	n.running.Go(func() { n.runDatabaseWatcher(running) })
	n.running.Go(func() { n.runCopier(running) })
	n.running.Go(func() { n.runResolved(running) })
	n.running.Go(func() { n.runTidier(running) })
	n.running.Go(func() { n.runBusiness(running) })
	door, path := n.openDoor()
	n.running.Go(func() { n.runDoor(running, door, path) })
	if o.Serving != nil {
		o.Serving(n)
	}
	if taking != nil {
		taking.Close()
	}
	return n, nil
}

// probeAll makes the targets of a plan, and names, the ones that are looked after.
func (n *Node) probeAll(p *plan) {
	n.engine.SetBlind(p.config.File.Blind)
	n.engine.Set(p.targets)
	n.resolver.Set(p.config.File.Resolver, p.names)
}

// firstRound waits until every target has a verdict, or for so long at most.
func (n *Node) firstRound(ctx context.Context, wait time.Duration) error {
	n.setPhase("waiting for the first round of probes")
	n.log.Info("waiting for the first round of probes", "targets", len(n.world.Load().targets), "at_most", wait)
	select {
	case <-n.engine.Settled():
	case <-time.After(wait):
		n.log.Warn("some addresses have no verdict yet: they count as available", "waited", wait.Round(time.Millisecond))
	case <-ctx.Done():
		return fmt.Errorf("wait for the first round of probes: %w", ctx.Err())
	}
	return nil
}

// Close drains and ends the node: it stops listening, answers what is in flight, saves the state, and waits for every
// goroutine. Further calls wait for the first and do nothing. When another process has taken over, what is in flight are
// only connections, and the state is that one's.
func (n *Node) Close() { n.closing.Do(n.close) }

func (n *Node) close() {
	n.setPhase("stopping")
	close(n.stopped)
	n.cancel()
	n.running.Wait()
	n.dns.Close()
	n.teller.close()
	if !n.left.Load() {
		n.note(admin.Event{Kind: admin.EventStopped, Message: "gtmd " + n.options.Version.Version + " stopped"})
	}
	n.saving.Lock()
	n.ended = true
	n.saving.Unlock()
	n.save()
	n.engine.Close()
	n.resolver.Close()
	n.prober.Close()
	n.admin.Close()
	n.endTelling()
	n.sockets.Close()
	n.log.Info("stopped")
}

// Addresses are the DNS addresses listened on.
func (n *Node) Addresses() []netip.AddrPort { return n.dns.Addresses() }

// AdminAddress is the TCP address of the admin API; nil when there is none.
func (n *Node) AdminAddress() net.Addr { return n.admin.Address() }

// setPhase says why queries are not answered; empty: they are.
func (n *Node) setPhase(why string) {
	if why == "" {
		n.phase.Store(nil)
		return
	}
	n.phase.Store(&why)
}

// Check loads and compiles a configuration and builds all that serving would build, then throws it away. The error has
// every problem; the warnings of the configuration that is returned are also those of its databases.
func Check(load func() (*config.Config, error)) (*config.Config, error) {
	c, _, err := inspect(load)
	return c, err
}

// inspect is Check, and returns the world too.
func inspect(load func() (*config.Config, error)) (*config.Config, *world, error) {
	c, err := load()
	if err != nil {
		return nil, nil, err
	}
	w, err := offline(c)
	if err != nil {
		return c, nil, err
	}
	checked := *c
	checked.Warnings = w.allWarnings(time.Now())
	return &checked, w, nil
}

// offline is the world of a configuration of whose health nothing is known.
func offline(c *config.Config) (*world, error) {
	prober := healthcheck.NewProber()
	defer prober.Close()
	p, err := compile(c, prober, newAtlas(), nil, nil)
	if err != nil {
		return nil, err
	}
	return first(p, &healthcheck.Status{}, heritage{}, 1, nil, time.Now())
}
