package healthcheck

import (
	"sync"
	"time"
)

// newsShare is by how much longer than the last Status took the next signal has to wait.
const newsShare = 2

// news is the channel of signals. A Status of very many targets takes a while, and when most of them change at once each
// signal would ask for another: so they keep a distance. All methods are safe for concurrent use.
type news struct {
	changed chan struct{} // Capacity 1.

	mu     sync.Mutex  // Guards the following.
	quiet  time.Time   // No signal before.
	timer  *time.Timer // Gives the signal that waits. Nil: none did so far.
	waits  bool
	closed bool
}

func newNews() *news { return &news{changed: make(chan struct{}, 1)} }

// signal gives a signal, at once or soon; it never blocks.
func (n *news) signal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait := time.Until(n.quiet)
	switch {
	case wait <= 0:
		n.give()
	case n.waits || n.closed:
	case n.timer == nil:
		n.waits, n.timer = true, time.AfterFunc(wait, n.ring)
	default:
		n.waits = true
		n.timer.Reset(wait)
	}
}

// ring gives the signal that has waited.
func (n *news) ring() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waits = false
	if !n.closed {
		n.give()
	}
}

// give puts a signal into the channel unless one is there. The caller holds mu.
func (n *news) give() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// took notes that a Status has just been made, and how long that took.
func (n *news) took(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d < time.Millisecond {
		d = 0
	}
	n.quiet = time.Now().Add(newsShare * min(d, time.Second))
}

// close stops the timer; signals that wait are lost.
func (n *news) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.timer != nil {
		n.timer.Stop()
	}
}
