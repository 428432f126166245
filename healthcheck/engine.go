// Package healthcheck probes addresses and turns the results into verdicts.
//
// Data moves one way:
//
//	Options --Compile--> Check --Target--> Target --Set--> Engine --Status--> verdicts by target ID
//
// [Prober.Compile] does all fallible work (certificate files, syntax) on the [Options] of one [[health_check]].
// [Check.Target] joins the check with one address. The [Engine] probes every target on a schedule spread by a hash of its ID
// (agenda.go says when, crew.go by which goroutine) and feeds each result to a machine, the pure state machine behind the
// verdict of its [Track]. Everyone else sees immutable [Status] snapshots and learns from [Engine.Changed] when to take a
// new one.
//
// A verdict turns down only when this prober can be trusted to see ([BlindOptions]): inquiry.go asks other targets first,
// and blind.go keeps the verdicts of a family as they are while it does not.
//
// A result that says nothing of the address is void and changes no verdict: one that a lack of our own (descriptors,
// memory, ports, the right to ping) or a pause of the process has spoiled.
//
// A [Probe] is a function; each kind has a file of its name. Its error is the reason that people read.
package healthcheck

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// EngineOptions says what an [Engine] works with. The zero value is usable.
type EngineOptions struct {
	// Logger receives one line for each turn of a verdict, and one each when flapping, blindness, or a fault of our own
	// that keeps targets from being probed begins and ends. Nil discards them.
	Logger *slog.Logger
	// Registerer takes the engine's metrics, until [Engine.Close]. Nil registers none.
	Registerer prometheus.Registerer
	// MaxInFlight bounds the probes that run at the same time. Zero or less: as many as the process
	// has descriptors for, see [defaultMaxInFlight].
	MaxInFlight int
	// Saved is what an earlier engine knew, by target ID, as [Status.Saved] gave it. A target takes its entry
	// up when it first appears; an entry is used once. Its first probe comes within min(interval, 1 s), or later when there
	// are more than [eagerRate], and counts like any other. The map is copied.
	Saved map[string]Saved
}

// Engine probes the targets that it was last given, and holds their verdicts.
// Make one with [NewEngine]; all methods are safe for concurrent use.
type Engine struct {
	logger  *slog.Logger
	metrics *metrics
	faults  *faults
	sight   *sight
	blind   atomic.Pointer[[]Blindness] // What is frozen; written by sight.
	agenda  *agenda
	crew    *crew
	pulse   *pulse
	done    chan struct{} // Closed by Close.
	epoch   time.Time     // The schedules of all targets count from here.
	now     func() time.Time
	news    *news
	settled chan struct{}

	running sync.WaitGroup // The agenda, the crew, the pulse, and what they have to wait for.

	mu       sync.Mutex // Guards the following. Who needs sight's as well has taken that before.
	closed   bool
	watchers map[string]*watcher
	roster   *roster          // Of watchers.
	order    []*watcher       // By the number in the roster.
	saved    map[string]Saved // Not taken up yet.
}

// NewEngine returns an engine without targets. Its error is that of registering the metrics.
func NewEngine(o EngineOptions) (*Engine, error) {
	return newEngine(o, time.Now)
}

// newEngine is NewEngine with the clock that start and end of a probe are read from.
func newEngine(o EngineOptions, now func() time.Time) (*Engine, error) {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	limit := o.MaxInFlight
	if limit <= 0 {
		limit = defaultMaxInFlight(openFiles())
	}
	metrics := newMetrics()
	if err := metrics.register(o.Registerer); err != nil {
		return nil, fmt.Errorf("registering the metrics of the health checks: %w", err)
	}
	e := &Engine{
		logger:   logger,
		metrics:  metrics,
		faults:   newFaults(logger),
		epoch:    now(),
		now:      now,
		news:     newNews(),
		settled:  make(chan struct{}),
		watchers: make(map[string]*watcher),
		saved:    maps.Clone(o.Saved),
	}
	e.sight, e.agenda, e.crew = newSight(e), newAgenda(e), &crew{engine: e, limit: limit}
	e.blind.Store(new([]Blindness))
	e.pulse, e.done = newPulse(now), make(chan struct{})
	e.running.Add(1)
	go e.agenda.run()
	e.running.Go(func() { e.pulse.run(e.done) })
	return e, nil
}

// Set makes targets the ones that are probed, told apart by their ID. A new one starts; one that is gone stops and
// its state is forgotten; one that stays keeps its state and its place in the schedule, and takes its new
// parameters at its next probe, which a new interval brings to the place that the ID has in that interval.
// Of targets with equal IDs the last counts. Set does not wait for probes; after [Engine.Close] it does nothing.
func (e *Engine) Set(targets []Target) {
	e.sight.mu.Lock()
	defer e.sight.unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	wanted, rate := make(map[string]*Target, len(targets)), 0.0
	for i := range targets {
		target := targets[i].normal()
		wanted[target.ID] = target
		rate += 1 / target.Interval.Seconds()
	}
	e.agenda.ticks.Store(int64(tickOf(rate)))
	for id, w := range e.watchers {
		if wanted[id] == nil {
			e.sight.leave(w)
			e.sight.calm(w)
			e.sight.settle(w)
			w.stop()
			delete(e.watchers, id)
		}
	}
	var fresh []*watcher
	for id, target := range wanted {
		if w := e.watchers[id]; w != nil {
			e.sight.update(w, target)
			w.update(target)
			continue
		}
		w := e.take(target)
		e.watchers[id] = w
		fresh = append(fresh, w)
	}
	e.enroll()
	e.sight.review()
	if len(wanted) > 0 {
		e.sight.begin()
	}
	for _, w := range fresh { // Now that it is known how many there are.
		w.rest()
	}
}

// enroll makes the roster that of the watchers. The caller holds mu.
func (e *Engine) enroll() {
	isOther := len(e.order) != len(e.watchers)
	for i := 0; i < len(e.order) && !isOther; i++ {
		isOther = e.watchers[e.roster.ids[i]] != e.order[i]
	}
	if !isOther {
		return
	}
	e.roster = newRoster(slices.Collect(maps.Keys(e.watchers)))
	e.order = make([]*watcher, len(e.roster.ids))
	for i, id := range e.roster.ids {
		e.order[i] = e.watchers[id]
	}
}

// take returns the watcher of a target that is new. The caller holds mu and sight.
func (e *Engine) take(target *Target) *watcher {
	m := machine{track: Track{Verdict: Unknown, Since: e.now()}}
	if saved, ok := e.saved[target.ID]; ok {
		m = saved.machine(m, target)
		delete(e.saved, target.ID)
	}
	w := newWatcher(e, target, m)
	e.sight.join(w, target)
	e.sight.await(w)
	return w
}

// Hurry has the target with that ID probed now, or once more when a probe is going on. The result counts like any other,
// and the target keeps its place in the schedule. Any number of calls before the probe starts are one.
func (e *Engine) Hurry(id string) {
	e.mu.Lock()
	w := e.watchers[id]
	e.mu.Unlock()
	if w != nil {
		w.call(hurried)
	}
}

// Status returns what is known of every target now. It costs one pointer per target.
func (e *Engine) Status() *Status {
	began := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &Status{Blind: *e.blind.Load(), roster: e.roster, states: make([]*state, len(e.order))}
	for i, w := range e.order {
		s.states[i] = w.status.Load()
	}
	e.news.took(time.Since(began))
	return s
}

// Changed carries a signal when something has changed that a reader of [Engine.Status] must act upon or save: a
// verdict, what argues against the verdict (a streak opened, grew or was broken, a bad result entered or left the
// window), a [Report], and whether a target is degraded, flapping, or may turn, or this prober blind. A streak that
// confirms the verdict, figures that change with each probe, and the wording of reasons do not signal. Signals keep a
// distance when a Status takes long, so that to take one for each costs at most a third of the time. One signal stands for any number of changes; what
// led to it is in the Status taken after it was received. There is one channel, for one receiver; it is never closed.
func (e *Engine) Changed() <-chan struct{} { return e.news.changed }

// Settled is closed once every target of the first non-empty [Engine.Set] has a verdict, restored ones included.
// A target that a later Set removed is no longer waited for.
func (e *Engine) Settled() <-chan struct{} { return e.settled }

// Close stops probing, waits for every goroutine of the engine, and unregisters its metrics. A [Probe] that
// ignores its context holds Close up. Status keeps the last state. Further calls do nothing but wait.
func (e *Engine) Close() {
	e.mu.Lock()
	closed := e.closed
	if !closed {
		close(e.done)
	}
	e.closed = true
	e.agenda.close()
	e.crew.close()
	for _, w := range e.watchers {
		w.stop()
	}
	e.mu.Unlock()
	e.sight.close()
	e.news.close()
	e.running.Wait()
	if !closed {
		e.metrics.unregister()
	}
}

// signal tells the receiver of Changed to look; it never blocks.
func (e *Engine) signal() { e.news.signal() }
