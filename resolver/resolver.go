// Package resolver keeps the addresses of names: those of domain pools.
//
// Data moves one way:
//
//	names --Set--> Resolver --Answers--> addresses by name
//
// One goroutine per name asks the servers for A and AAAA, waits for as long as the answer holds, and asks again.
// What it finds out goes through [Answer.after], the pure rule of what a good or failed resolution makes of the answer
// before: the last good addresses stay until there are better ones, since the probes tell whether they live. Everyone
// else sees snapshots and learns from [Resolver.Changed] when to take another.
//
// The servers are recursive resolvers: they follow delegations and CNAME chains, and keep a cache. Nothing here does.
package resolver

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Resolver keeps the addresses of the names that it was last given.
// Make one with [New]; all methods are safe for concurrent use.
type Resolver struct {
	logger   *slog.Logger
	metrics  *metrics
	exchange exchange
	system   *systemServers
	lanes    lanes
	changed  chan struct{}

	ctx     context.Context // Ends with Close; every keeper's context derives from it.
	stop    context.CancelFunc
	running sync.WaitGroup // Keepers.

	mu      sync.Mutex // Guards the following.
	closed  bool
	options *Options // With defaults, and never written to.
	keepers map[string]*keeper
	saved   map[string]SavedAnswer // Not taken up yet.
}

// New returns a resolver without names. Logger receives one line when a name begins to fail, when it is good again and
// when its addresses change; nil discards them. Registerer takes the metrics until [Resolver.Close]; nil registers none.
// The error is that of registering.
func New(o Options, logger *slog.Logger, registerer prometheus.Registerer) (*Resolver, error) {
	return NewWithSaved(o, nil, logger, registerer)
}

// NewWithSaved is New with what an earlier resolver knew, as [Resolver.Saved] gave it. A name takes its entry up when it
// first appears, and is resolved within a second all the same; an entry is used once. The map is copied.
func NewWithSaved(o Options, saved map[string]SavedAnswer, logger *slog.Logger, registerer prometheus.Registerer) (*Resolver, error) {
	return newResolver(o, saved, logger, registerer, exchangeMessages)
}

// newResolver is NewWithSaved with the way to ask a server.
func newResolver(o Options, saved map[string]SavedAnswer, logger *slog.Logger, registerer prometheus.Registerer, ask exchange) (*Resolver, error) {
	if logger == nil {
		logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	o = o.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	r := &Resolver{
		logger:   logger,
		exchange: ask,
		system:   newSystemServers(resolvConf, logger),
		lanes:    newLanes(),
		changed:  make(chan struct{}, 1),
		ctx:      ctx,
		stop:     stop,
		options:  &o,
		keepers:  make(map[string]*keeper),
		saved:    maps.Clone(saved),
	}
	r.metrics = newMetrics(r.names, r.failing)
	if err := r.metrics.register(registerer); err != nil {
		stop()
		return nil, fmt.Errorf("registering the metrics of the resolver: %w", err)
	}
	return r, nil
}

// Set makes names the ones that are kept, and o the way to do so. A name is written in lower case with a dot at its end.
// A new one is resolved at once; one that is gone is forgotten; one that stays keeps its answer, and with other options
// it is resolved again within a second. Set does not wait for answers; after [Resolver.Close] it does nothing.
func (r *Resolver) Set(o Options, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	o = o.withDefaults()
	other := !o.equal(*r.options)
	r.options = &o
	wanted := make(map[string]struct{}, len(names))
	for _, name := range names {
		wanted[name] = struct{}{}
	}
	for name, k := range r.keepers {
		if _, stays := wanted[name]; !stays {
			k.cancel()
			delete(r.keepers, name)
		}
	}
	for name := range wanted {
		if k := r.keepers[name]; k == nil {
			r.keepers[name] = r.start(name)
		} else if other {
			k.update(&o)
		}
	}
}

// start begins to keep a name. The caller holds mu.
func (r *Resolver) start(name string) *keeper {
	ctx, cancel := context.WithCancel(r.ctx)
	k := newKeeper(r, name, r.options, r.saved[name].answer(), cancel)
	delete(r.saved, name)
	r.running.Add(1)
	go k.keep(ctx)
	return k
}

// Answers returns what is known of every name now, also of those that have no answer yet. The map is the caller's; what
// the answers point to is shared and not to be written to. It costs one step per name.
func (r *Resolver) Answers() map[string]Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	answers := make(map[string]Answer, len(r.keepers))
	for name, k := range r.keepers {
		answers[name] = *k.answer.Load()
	}
	return answers
}

// Changed carries a signal when a reader of [Resolver.Answers] must look again: the addresses of a name are others, it
// has its first answer, it begins to fail, or it fails no more. One signal stands for any number of changes; what led to
// it is in the answers taken after it was received. There is one channel, for one receiver; it is never closed.
func (r *Resolver) Changed() <-chan struct{} { return r.changed }

// Settled waits until each of names has been resolved, or has failed once, or was restored from what was saved. A name
// that is not kept (any more) is not waited for, and none is once the resolver is closed. The error says which names are
// still missing when ctx ends.
func (r *Resolver) Settled(ctx context.Context, names []string) error {
	for i, name := range names {
		r.mu.Lock()
		k := r.keepers[name]
		r.mu.Unlock()
		if k == nil {
			continue
		}
		select {
		case <-k.settled:
			continue
		default:
		}
		select {
		case <-k.settled:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the addresses of %s: %w", r.unsettled(names[i:]), ctx.Err())
		}
	}
	return nil
}

// unsettled names the first of names that is waited for, and counts the others.
func (r *Resolver) unsettled(names []string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first string
	others := -1
	for _, name := range names {
		if k := r.keepers[name]; k != nil && !k.isSettled() {
			if first == "" {
				first = name
			}
			others++
		}
	}
	switch {
	case first == "":
		return "no name any more"
	case others > 0:
		return fmt.Sprintf("%s and %d more", display(first), others)
	default:
		return display(first)
	}
}

// Close stops resolving, waits for every goroutine of the resolver, and unregisters its metrics. Answers keeps the last
// state. Further calls do nothing but wait.
func (r *Resolver) Close() {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.running.Wait()
	if !closed {
		r.metrics.unregister()
	}
}

// signal tells the receiver of Changed to look; it never blocks.
func (r *Resolver) signal() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// names counts the names that are kept.
func (r *Resolver) names() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return float64(len(r.keepers))
}

// failing counts the names whose last resolution failed.
func (r *Resolver) failing() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, k := range r.keepers {
		if k.answer.Load().Err != "" {
			n++
		}
	}
	return float64(n)
}
