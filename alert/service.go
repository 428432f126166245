package alert

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a [Service] needs.
type Options struct {
	// Dir is the state directory; what outlives a restart is in its directory "alerts". Empty: nothing does.
	Dir string
	// Node is the name of this gtmd in messages.
	Node string
	Log  *slog.Logger
	// Registerer takes the metrics; nil: nobody does.
	Registerer prometheus.Registerer
}

// Service joins events to messages and delivers them. Data moves one way:
//
//	Post -> inbox -> desk: routes (what each receiver was told) -> flight -> keeper: disk -> couriers -> receivers
//
// The desk and the keeper are one goroutine each, and every route has a courier. Safe for concurrent use.
type Service struct {
	options    Options
	newSender  func(MethodOptions, *slog.Logger) (Sender, error)
	inbox      inbox
	deliveries deliveryLog
	store      *store        // Nil: nothing is kept on disk.
	unsaved    chan struct{} // Of capacity 1: something has changed.

	stop      context.CancelFunc // Ends the desk and the keeper.
	abandon   context.CancelFunc // Ends attempts under way.
	sending   context.Context    // Of attempts.
	tasks     sync.WaitGroup     // The desk and the keeper.
	couriers  sync.WaitGroup
	closeOnce sync.Once

	mu     sync.Mutex // Guards what follows.
	routes []*route   // In the order of the configuration.
	groups []GroupOptions
	choice map[string][]Choice
	*routing
	firing   map[alertKey]*Event
	heritage map[routeName]savedRoute // Saved, of routes that there are not yet.
	saved    *reader                  // By which heritage is read.
	// isConfigured: Configure was called. isOpen: the state was read, or there is none.
	isConfigured, isOpen, isClosing bool
	lost                            uint64 // Dropped events that were logged.
}

// maxFiring is how many alerts are known not to be over.
const maxFiring = 2 * maxItems

// New starts a service without groups. It never fails for what is on the disk: that is logged.
func New(o Options) (*Service, error) { return start(o, NewSender) }

func start(o Options, newSender func(MethodOptions, *slog.Logger) (Sender, error)) (*Service, error) {
	s := &Service{
		options: o, newSender: newSender, inbox: inbox{wake: make(chan struct{}, 1)}, unsaved: make(chan struct{}, 1),
		deliveries: deliveryLog{log: o.Log}, firing: map[alertKey]*Event{}, routing: &routing{},
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(metrics{s}); err != nil {
			return nil, fmt.Errorf("register the metrics of alerts: %w", err)
		}
	}
	if o.Dir != "" {
		s.store = &store{dir: filepath.Join(o.Dir, "alerts")}
	}
	isOpen := s.open()
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.sending, s.abandon = context.WithCancel(context.Background())
	s.tasks.Go(func() { s.runDesk(ctx) })
	s.tasks.Go(func() { s.runKeeper(ctx, isOpen) })
	return s, nil
}

// Configure replaces the groups, and the choices of instances by their names: an instance with nil chooses none and is told
// to the groups with Default; one with an empty list is told to nobody. Groups and methods keep, by their names, what they have
// to tell. Nothing changes when it fails: a method cannot be made.
func (s *Service) Configure(groups []GroupOptions, choices map[string][]Choice) error {
	groups = slices.Clone(groups)
	var routes []*route
	for i := range groups {
		g := &groups[i]
		for j := range g.Methods {
			m := &g.Methods[j]
			sender, err := s.newSender(*m, s.options.Log.With("group", g.Name, "method", m.Label()))
			if err != nil {
				return fmt.Errorf("alert group %q: %w", g.Name, err)
			}
			r := newRoute(routeName{g.Name, m.Label()})
			r.group, r.method, r.sender = g, m, sender
			routes = append(routes, r)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing {
		return nil
	}
	now := time.Now()
	old := s.routes
	for i, r := range routes {
		known := s.route(r.name)
		if known == nil {
			s.employ(r)
			continue
		}
		known.group, known.method, known.sender = r.group, r.method, r.sender
		known.anew(now)
		known.courier.call()
		routes[i] = known
	}
	for _, r := range old {
		if !slices.Contains(routes, r) {
			s.dismiss(r)
		}
	}
	s.routes, s.groups, s.choice = routes, groups, choices
	s.routing = newRouting(routes, choices)
	s.isConfigured = true
	s.inherit()
	s.changed()
	s.look()
	return nil
}

// route finds a route by its name; nil when there is none.
func (s *Service) route(name routeName) *route {
	for _, r := range s.routes {
		if r.name == name {
			return r
		}
	}
	return nil
}

// employ starts the courier of a route.
func (s *Service) employ(r *route) {
	var ctx context.Context
	ctx, r.courier.cancel = context.WithCancel(s.sending)
	s.couriers.Go(func() { s.runCourier(ctx, r) })
}

// dismiss ends a route that is configured no longer. What waits in it is not told.
func (s *Service) dismiss(r *route) {
	r.courier.cancel()
	if n := r.queued(); n > 0 {
		s.options.Log.Warn("alert method removed with events that wait: they are not told", "group", r.name.group, "method", r.name.method, "events", n)
	}
}

// inherit gives routes what was saved of them, once both are there.
func (s *Service) inherit() {
	if !s.isOpen || !s.isConfigured || s.saved == nil {
		return
	}
	for _, r := range s.routes {
		saved, ok := s.heritage[r.name]
		if !ok {
			continue
		}
		s.saved.route(r, saved)
		if r.flight == nil {
			continue
		}
		if o, ok := s.deliveries.landed(r.name, r.flight.message.ID); ok {
			r.land(o, time.Now())
			r.stats = routeStats{} // which count from the start
		}
		r.anew(time.Now())
		r.courier.call()
	}
	for name, saved := range s.heritage {
		if s.route(name) == nil && (saved.Flight != nil || len(saved.Causes) > 0) {
			s.options.Log.Warn("saved alerts of a method that is configured no longer: they are not told", "group", name.group, "method", name.method)
		}
	}
	s.heritage, s.saved = nil, nil
}

// Post takes events and returns at once. When too many wait, they are dropped and counted.
func (s *Service) Post(events ...Event) {
	s.inbox.put(events)
}

// Reconcile takes all that goes on, at a start, before anything is posted: what is not known yet begins, and what is known and not
// among it has ended while nobody looked. It returns at once.
func (s *Service) Reconcile(firing []Event) {
	s.inbox.reconcile(firing)
}

// Status returns how alerting is.
func (s *Service) Status() Status {
	status := Status{Deliveries: s.deliveries.all(), Dropped: s.inbox.lost()}
	s.mu.Lock()
	defer s.mu.Unlock()
	status.IsWaiting = !s.isOpen
	for i := range s.groups {
		g := &s.groups[i]
		group := GroupStatus{Name: g.Name}
		for _, r := range s.routes {
			if r.name.group == g.Name {
				group.Methods = append(group.Methods, r.status())
			}
		}
		for instance, of := range s.routing.instances {
			if slices.ContainsFunc(of, func(c choice) bool { return c.route.name.group == g.Name }) {
				group.Instances = append(group.Instances, instance)
			}
		}
		slices.Sort(group.Instances)
		status.Groups = append(status.Groups, group)
	}
	for _, e := range s.firing {
		status.Firing = append(status.Firing, *e)
	}
	slices.SortFunc(status.Firing, func(a, b Event) int {
		return cmp.Or(b.Time.Compare(a.Time), keyOf(&a).compare(keyOf(&b)))
	})
	return status
}

// status is how a route is.
func (r *route) status() MethodStatus {
	m := MethodStatus{
		Name: r.name.method, Kind: r.method.Kind, To: r.sender.To(), Queued: r.queued(),
		LastSuccess: r.stats.lastSuccess, LastFailure: r.stats.lastFailure, Error: r.stats.lastError,
	}
	switch {
	case r.flight != nil:
		m.Next = r.flight.next
	case len(r.pending) > 0 && r.next.Before(never):
		m.Next = r.next
	}
	return m
}

// Close waits for the attempts that are being made, until ctx ends, saves the state and lets another process have it.
func (s *Service) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { s.close(ctx) })
	return nil
}

func (s *Service) close(ctx context.Context) {
	s.inbox.close()
	s.mu.Lock()
	s.isClosing = true
	for _, r := range s.routes {
		r.courier.call()
	}
	s.mu.Unlock()
	isDone := make(chan struct{})
	go func() {
		s.couriers.Wait()
		close(isDone)
	}()
	select {
	case <-isDone:
	case <-ctx.Done():
	}
	s.abandon()
	<-isDone
	s.stop()
	s.tasks.Wait()
	if s.store != nil {
		s.mu.Lock()
		isOpen := s.isOpen
		s.mu.Unlock()
		if isOpen {
			s.read(time.Now()) // what was posted last
			s.save()
		}
		s.deliveries.close()
		s.store.close()
	}
	if s.options.Registerer != nil {
		s.options.Registerer.Unregister(metrics{s})
	}
}
