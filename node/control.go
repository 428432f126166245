package node

import (
	"context"
	"time"

	"gtmd/admin"
)

// request is something that only the controller may do; it answers on done.
type request struct {
	work func() error
	done chan error
}

// ask has the controller do some work and waits for it. When ctx ends before the controller has taken the request, or the
// node stops, the work is never done; once taken it is done to its end, so the error always tells what became of it.
func (n *Node) ask(ctx context.Context, work func() error) error {
	r := request{work: work, done: make(chan error, 1)}
	select {
	case n.requests <- r:
		return <-r.done
	case <-n.stopped:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runController is the only writer of the world: each case makes the next world and publishes it, or leaves all as it is.
// It reads no file and opens no socket: who asks for something has done that before. Only a reload that closes listeners
// keeps it, for as long as they take to drain.
func (n *Node) runController(ctx context.Context) {
	ticker := time.NewTicker(rttInterval)
	ticker.Stop()
	defer ticker.Stop()
	isTicking := false
	for ctx.Err() == nil {
		deadline := n.timer()
		if measures := n.world.Load().measures(); measures != isTicking {
			ticker.Stop()
			if isTicking = measures; isTicking {
				ticker.Reset(rttInterval)
			}
		}
		select {
		case <-ctx.Done():
			return
		case r := <-n.requests:
			r.done <- r.work()
		case <-n.engine.Changed():
			n.step()
			n.tellFollowed()
		case <-deadline:
			n.expire()
			n.step()
		case <-ticker.C:
			n.remeasure()
		}
	}
}

// tellFollowed wakes the reload that waits for verdicts; it never blocks.
func (n *Node) tellFollowed() {
	select {
	case n.followed <- struct{}{}:
	default:
	}
}

// timer fires when a decision has to be made again, or an override ends; nil when none has.
func (n *Node) timer() <-chan time.Time {
	w := n.world.Load()
	until := earlier(w.again(), w.overrides.until())
	if until.IsZero() {
		return nil
	}
	wait := time.Until(until)
	if !w.overrides.isEmpty() {
		wait = min(wait, wallCheck)
	}
	return time.After(wait)
}

// wallCheck is how often the clock on the wall is looked at while there are overrides, since somebody may set it.
const wallCheck = 5 * time.Second

// earlier is the first of two times; the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// step takes up the present health and time.
func (n *Node) step() {
	w, now := n.world.Load(), time.Now()
	next := w.next(n.engine.Status(), n.stats.Counter, now)
	if next.view == w.view {
		n.advance(w, next, now)
	} else if err := n.swap(w, next, now); err != nil {
		n.log.Error("publish the answers", "error", err)
		return
	}
	n.touch()
}

// swap publishes the answers of a world and goes on from it. On an error everything is as it was. The events are what has led to
// it: they come before those that follow.
func (n *Node) swap(w, next *world, now time.Time, events ...admin.Event) error {
	next.number(w.serials, now)
	if err := n.dns.Swap(next.view); err != nil {
		return err
	}
	n.events.add(events...)
	n.advance(w, next, now)
	return nil
}

// advance makes next the present world and tells what it changed.
func (n *Node) advance(w, next *world, now time.Time) {
	memory := w.memoryBefore(next)
	if next.config != w.config {
		next.dropLost(now)
	}
	next.drills = next.follow(w, memory, now)
	n.world.Store(next)
	switches := n.announce(memory, next, now)
	n.tellDrills(w.drills, next.drills) // before what follows from their end
	n.teller.follow(next, switches, now)
	if n.countTurns(w, next) || next.view != w.view {
		n.events.signal()
	}
}
