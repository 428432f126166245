package alert

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	firstRetry = 5 * time.Second
	maxRetry   = 10 * time.Minute
	// maxRetryAfter is how long a receiver may put us off.
	maxRetryAfter = time.Hour
)

// courier is the goroutine that delivers the messages of a route.
type courier struct {
	wake   chan struct{} // Of capacity 1.
	cancel context.CancelFunc
}

// call has the courier look again.
func (c *courier) call() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// runCourier delivers the messages of a route until ctx ends or the service closes.
func (s *Service) runCourier(ctx context.Context, r *route) {
	for {
		m, wait := s.pick(r)
		switch {
		case m != nil:
			s.attempt(ctx, r, m)
			continue
		case wait < 0:
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-r.courier.wake:
		case <-time.After(wait):
		}
	}
}

// parcel is an attempt to be made.
type parcel struct {
	flight  *flight
	sender  Sender
	timeout time.Duration
	number  int
}

// pick returns the attempt to make now; nil, and how long to wait, when there is none. It is less than 0 when there will be none.
func (s *Service) pick(r *route) (*parcel, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing {
		return nil, -1
	}
	f := r.flight
	if f == nil || !f.isSaved {
		return nil, time.Hour
	}
	now := time.Now()
	if _, free := r.room(now); free.After(f.next) {
		f.next = free
	}
	if wait := f.next.Sub(now); wait > 0 {
		return nil, wait
	}
	f.attempt++
	r.count(now)
	return &parcel{f, r.sender, r.method.Timeout, f.attempt}, 0
}

// attempt makes one attempt, and notes what became of it.
func (s *Service) attempt(ctx context.Context, r *route, p *parcel) {
	err := deliver(ctx, p.sender, p.flight.message, p.timeout)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("given up to end: %w", err)
	}
	now := time.Now()
	var permanent *PermanentError
	s.mu.Lock()
	keep := r.group.Keep
	s.mu.Unlock()
	d := Delivery{Time: now, Group: r.name.group, Method: r.name.method, Message: p.flight.message.Title, ID: p.flight.message.ID, Attempt: p.number}
	d.IsLast = err == nil || errors.As(err, &permanent) && ctx.Err() == nil
	if err != nil {
		d.Error = err.Error()
		if !d.IsLast && now.Sub(p.flight.message.Time) >= keep {
			d.IsLast, d.IsExpired = true, true
		}
	}
	s.deliveries.add(d)
	s.report(r, d)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		r.stats.lastSuccess, r.stats.lastError = now, ""
	} else {
		r.stats.lastFailure, r.stats.lastError = now, d.Error
		r.stats.failed++
	}
	switch {
	case d.IsExpired:
		r.land(expired, now)
	case err == nil:
		r.land(delivered, now)
	case d.IsLast:
		r.land(rejected, now)
	default:
		p.flight.next = now.Add(backOff(p.number, err))
	}
	s.changed()
	s.look()
}

// report logs what a person should know of an attempt: the first failure, what is given up, and that it works again.
func (s *Service) report(r *route, d Delivery) {
	log := s.options.Log.With("group", d.Group, "method", d.Method, "message", d.Message, "id", d.ID, "attempt", d.Attempt)
	switch {
	case d.IsExpired:
		log.Error("alert given up: it could not be delivered for as long as it is kept", "error", d.Error)
	case d.Error != "" && d.IsLast:
		log.Error("alert rejected: no further attempt is made", "error", d.Error)
	case d.Error != "" && d.Attempt == 1:
		log.Warn("alert not delivered: it is tried again", "error", d.Error)
	case d.Error != "":
		log.Debug("alert not delivered: it is tried again", "error", d.Error)
	case d.Attempt > 1:
		log.Info("alert delivered after all")
	default:
		log.Debug("alert delivered")
	}
}

// deliver is one attempt. A sender that panics has failed for good.
func deliver(ctx context.Context, to Sender, m *Message, timeout time.Duration) (err error) {
	defer func() {
		if bug := recover(); bug != nil {
			err = &PermanentError{fmt.Errorf("the sender failed on this message: %v", bug)}
		}
	}()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return to.Send(ctx, m)
}

// backOff is how long to wait after a failed attempt: 5 s, then twice as long each time up to 10 min, give or take a fifth, so
// that several do not come at once. What the receiver says counts instead.
func backOff(attempt int, err error) time.Duration {
	var retry *RetryError
	if errors.As(err, &retry) && retry.After > 0 {
		return min(max(retry.After, time.Second), maxRetryAfter)
	}
	d := min(firstRetry<<min(attempt-1, 10), maxRetry)
	return d - d/5 + rand.N(2*d/5)
}
