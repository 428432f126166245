package alert

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// gather is how long the desk lets events come together before it looks at them.
const gather = 50 * time.Millisecond

// runDesk is the goroutine that reads events and has messages made, until ctx ends.
func (s *Service) runDesk(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.inbox.wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		case <-timer.C:
		}
		now := time.Now()
		next := s.read(now)
		timer.Reset(min(max(next.Sub(now), time.Millisecond), time.Hour))
	}
}

// look has the desk look again.
func (s *Service) look() { s.inbox.call() }

// changed asks for the state to be saved.
func (s *Service) changed() {
	select {
	case s.unsaved <- struct{}{}:
	default:
	}
}

// read takes the events that wait, makes the messages that are due, and returns when to look again.
func (s *Service) read(now time.Time) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOpen || !s.isConfigured {
		return never
	}
	whole, events := s.inbox.take()
	if whole != nil {
		events = append(s.reconcile(whole, now), events...)
	}
	for _, e := range events {
		s.event(&e, now)
	}
	if lost := s.inbox.lost(); lost > s.lost {
		s.options.Log.Error("alert events dropped: too many waited", "events", lost-s.lost)
		s.lost = lost
	}
	next = never
	isMade := false
	if !s.isClosing {
		for _, r := range s.routes {
			r.next = r.turn(now, s.options.Node)
			next = earliest(next, r.next)
			isMade = isMade || r.flight != nil && !r.flight.isSaved
		}
	}
	if isMade || len(events) > 0 {
		s.changed()
	}
	return next
}

// reconcile returns the events that lead from what is known to go on to what does.
func (s *Service) reconcile(whole []Event, now time.Time) []Event {
	isThere := map[alertKey]bool{}
	for i := range whole {
		isThere[keyOf(&whole[i])] = true
	}
	var events []Event
	for _, key := range slices.SortedFunc(maps.Keys(s.firing), alertKey.compare) {
		if !isThere[key] {
			e := *s.firing[key]
			e.Resolved, e.Time, e.Title, e.Text = true, now, "over: "+e.Title, "It ended while gtmd did not run, or is not there any more."
			events = append(events, e)
		}
	}
	return append(events, whole...)
}

// event gives one event to the routes that are told of it.
func (s *Service) event(e *Event, now time.Time) {
	if e.Resolved {
		delete(s.firing, keyOf(e))
		for _, r := range s.routes {
			r.resolve(e, now)
		}
		return
	}
	if e.Key != "" && s.firing[keyOf(e)] == nil && len(s.firing) < maxFiring {
		s.firing[keyOf(e)] = e
	}
	for _, to := range s.shares(e) {
		to.route.begin(e, to.instances, to.isEndless, now)
	}
}

const (
	// saveInterval is the least time between two writes of the state, saveSoon that while a message waits for it.
	saveInterval = time.Second
	saveSoon     = 100 * time.Millisecond
	// lockInterval is how often to try whether another process still has the state.
	lockInterval = 200 * time.Millisecond
)

// runKeeper is the goroutine that waits for the state to be had, then writes it when something has changed, until ctx ends.
func (s *Service) runKeeper(ctx context.Context, isOpen bool) {
	for !isOpen {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lockInterval):
		}
		isOpen = s.open()
	}
	isFailed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.unsaved:
		}
		start := time.Now()
		err := s.save()
		switch {
		case err != nil && !isFailed:
			s.options.Log.Error("alerts are not saved: they are kept in memory, and after a restart some would be missing; trying again", "error", err)
		case err == nil && isFailed:
			s.options.Log.Info("alerts are saved again")
		}
		isFailed = err != nil
		if isFailed {
			s.changed()
		}
		if !s.pause(ctx, start, isFailed) {
			return
		}
	}
}

// pause waits before the next write: a second, less while a message waits, and ten times as long as the last write took.
func (s *Service) pause(ctx context.Context, start time.Time, isFailed bool) bool {
	least := start.Add(max(saveSoon, 10*time.Since(start)))
	if isFailed {
		least = start.Add(saveInterval)
	}
	end := latest(least, start.Add(saveInterval))
	for {
		now := time.Now()
		if !now.Before(end) || !now.Before(least) && s.isWaited() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(min(end.Sub(now), saveSoon)):
		}
	}
}

// isWaited tells whether some message waits for the state to be saved.
func (s *Service) isWaited() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.routes {
		if r.flight != nil && !r.flight.isSaved {
			return true
		}
	}
	return false
}

// open locks and reads the saved state. It returns false while another process has it.
func (s *Service) open() bool {
	if s.store == nil {
		s.mu.Lock()
		s.isOpen = true
		s.mu.Unlock()
		return true
	}
	err := s.store.open()
	switch {
	case errors.Is(err, errLocked):
		return false
	case err != nil:
		s.options.Log.Error("alerts are not kept on disk", "directory", s.store.dir, "error", err)
	}
	state, aside, err := s.store.read()
	if err != nil {
		s.options.Log.Error("saved alerts cannot be used: starting without them", "file", aside, "error", err)
	}
	s.deliveries.open(s.store.dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved, s.heritage = newReader(&state, time.Now()), map[routeName]savedRoute{}
	for _, n := range state.Firing {
		s.firing[keyOf(state.Events[n])] = state.Events[n]
	}
	for _, r := range state.Routes {
		s.heritage[routeName{r.Group, r.Method}] = r
	}
	s.isOpen = true
	s.inherit()
	s.look()
	return true
}

// save writes the state as it is. After that the messages in it may be sent, whether it worked or not: on a full disk people are
// told all the same.
func (s *Service) save() error {
	s.mu.Lock()
	if s.store != nil && s.saved != nil { // not given to routes yet: on disk it is as it was
		s.mu.Unlock()
		return nil
	}
	var fresh []*flight
	record := newRecorder(time.Now())
	for _, r := range s.routes {
		if r.flight != nil && !r.flight.isSaved {
			fresh = append(fresh, r.flight)
		}
		if s.store != nil {
			record.route(r)
		}
	}
	for _, e := range s.firing {
		record.state.Firing = append(record.state.Firing, record.event(e))
	}
	s.mu.Unlock()
	var err error
	if s.store != nil {
		if err = s.store.write(record.state); err == nil {
			s.deliveries.compact()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range fresh {
		f.isSaved = true
	}
	for _, r := range s.routes {
		r.courier.call()
	}
	return err
}
