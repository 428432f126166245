// Package healthcheck probes addresses and turns the results into verdicts.
//
// Data moves one way:
//
//	Options --Compile--> Check --Target--> Target --Set--> Engine --Status--> verdicts by target ID
//
// [Prober.Compile] does all fallible work (certificate files, syntax) on the [Options] of one [[health_check]].
// [Check.Target] joins the check with one address. The [Engine] runs one goroutine per target, which probes it on
// a schedule spread by a hash of its ID and feeds each result to a [Track], the pure state machine behind the
// verdict. Everyone else sees immutable [Status] snapshots and learns from [Engine.Changed] when to take a new one.
//
// A result that says nothing of the address is void and changes no verdict: one that a lack of our own (descriptors,
// memory, ports, the right to ping) or a pause of the process has spoiled.
//
// A [Probe] is a function; http.go, tcp.go and ping.go hold one each. Its error is the reason that people read.
package healthcheck

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DefaultMaxInFlight is how many probes run at once unless [EngineOptions] says otherwise.
const DefaultMaxInFlight = 4096

// EngineOptions says what an [Engine] works with. The zero value is usable.
type EngineOptions struct {
	// Logger receives one line for each turn of a verdict, and one each when a fault of our own begins and ends to
	// keep targets from being probed. Nil discards them.
	Logger *slog.Logger
	// Registerer takes the engine's metrics, until [Engine.Close]. Nil registers none.
	Registerer prometheus.Registerer
	// MaxInFlight bounds the probes that run at the same time. Zero or less is [DefaultMaxInFlight].
	MaxInFlight int
	// Saved is what an earlier engine knew, by target ID, as [Status.Saved] gave it. A target takes its entry
	// up when it first appears; an entry is used once. Its first probe comes within min(interval, 1 s) and counts
	// like any other. The map is copied.
	Saved map[string]Saved
}

// Engine probes the targets that it was last given, and holds their verdicts.
// Make one with [NewEngine]; all methods are safe for concurrent use.
type Engine struct {
	logger  *slog.Logger
	metrics *metrics
	faults  *faults
	slots   chan struct{} // Holds one token for each running probe.
	epoch   time.Time     // The schedules of all targets count from here.
	now     func() time.Time
	changed chan struct{}
	settled chan struct{}

	ctx     context.Context // Ends with Close; every watcher's context derives from it.
	stop    context.CancelFunc
	running sync.WaitGroup // Watchers and probes.

	mu       sync.Mutex // Guards the following.
	closed   bool
	watchers map[string]*watcher
	saved    map[string]Saved    // Not taken up yet.
	started  bool                // A non-empty Set has been seen.
	awaited  map[string]struct{} // Targets of the first non-empty Set that have no verdict yet.
}

// NewEngine returns an engine without targets. Its error is that of registering the metrics.
func NewEngine(o EngineOptions) (*Engine, error) {
	return newEngine(o, time.Now)
}

// newEngine is NewEngine with the clock that start and end of a probe are read from.
func newEngine(o EngineOptions, now func() time.Time) (*Engine, error) {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	limit := o.MaxInFlight
	if limit <= 0 {
		limit = DefaultMaxInFlight
	}
	metrics := newMetrics()
	if err := metrics.register(o.Registerer); err != nil {
		return nil, fmt.Errorf("registering the metrics of the health checks: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Engine{
		logger:   logger,
		metrics:  metrics,
		faults:   newFaults(logger),
		slots:    make(chan struct{}, limit),
		epoch:    now(),
		now:      now,
		changed:  make(chan struct{}, 1),
		settled:  make(chan struct{}),
		ctx:      ctx,
		stop:     stop,
		watchers: make(map[string]*watcher),
		saved:    maps.Clone(o.Saved),
		awaited:  make(map[string]struct{}),
	}, nil
}

// Set makes targets the ones that are probed, told apart by their ID. A new one starts; one that is gone stops and
// its state is forgotten; one that stays keeps its state and its place in the schedule, and takes its new
// parameters at its next probe, which a new interval brings to the place that the ID has in that interval.
// Of targets with equal IDs the last counts. Set does not wait for probes; after [Engine.Close] it does nothing.
func (e *Engine) Set(targets []Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	wanted := make(map[string]*Target, len(targets))
	for i := range targets {
		wanted[targets[i].ID] = targets[i].normal()
	}
	for id, w := range e.watchers {
		if wanted[id] == nil {
			w.cancel()
			delete(e.watchers, id)
			delete(e.awaited, id)
		}
	}
	for id, target := range wanted {
		if w := e.watchers[id]; w != nil {
			w.update(target)
			continue
		}
		e.watchers[id] = e.start(target)
	}
	if !e.started && len(wanted) > 0 {
		e.started = true
		for id, w := range e.watchers {
			if w.status.Load().Verdict == Unknown {
				e.awaited[id] = struct{}{}
			}
		}
	}
	e.closeSettled()
}

// start begins to watch a target. The caller holds mu.
func (e *Engine) start(target *Target) *watcher {
	track := Track{Verdict: Unknown, Since: e.now()}
	if saved, ok := e.saved[target.ID]; ok {
		track = saved.track(track)
		delete(e.saved, target.ID)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	w := newWatcher(e, target, track, cancel)
	e.running.Add(1)
	go w.watch(ctx)
	return w
}

// Status returns what is known of every target now. It costs one step per target.
func (e *Engine) Status() *Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	targets := make(map[string]TargetStatus, len(e.watchers))
	for id, w := range e.watchers {
		targets[id] = *w.status.Load()
	}
	return &Status{Targets: targets}
}

// Changed carries a signal when something has changed that a reader of [Engine.Status] must act upon or save: a
// verdict, a streak that argues against the verdict (it opened, grew or was broken), or a [Report]. A streak that
// confirms the verdict and the wording of reasons do not signal. One signal stands for any number of changes; what
// led to it is in the Status taken after it was received. There is one channel, for one receiver; it is never closed.
func (e *Engine) Changed() <-chan struct{} { return e.changed }

// Settled is closed once every target of the first non-empty [Engine.Set] has a verdict, restored ones included.
// A target that a later Set removed is no longer waited for.
func (e *Engine) Settled() <-chan struct{} { return e.settled }

// Close stops probing, waits for every goroutine of the engine, and unregisters its metrics. A [Probe] that
// ignores its context holds Close up. Status keeps the last state. Further calls do nothing but wait.
func (e *Engine) Close() {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.running.Wait()
	if !closed {
		e.metrics.unregister()
	}
}

// signal tells the receiver of Changed to look; it never blocks.
func (e *Engine) signal() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// settle notes that a watcher's target has a verdict.
func (e *Engine) settle(w *watcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.watchers[w.id] == w {
		delete(e.awaited, w.id)
		e.closeSettled()
	}
}

// closeSettled closes the channel when nothing is awaited any more. The caller holds mu.
func (e *Engine) closeSettled() {
	if !e.started || len(e.awaited) > 0 {
		return
	}
	select {
	case <-e.settled:
	default:
		close(e.settled)
	}
}
