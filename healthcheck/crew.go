package healthcheck

import "sync"

// maxIdle is how many goroutines are kept that have nothing to do.
const maxIdle = 64

// crew are the goroutines that probe. Each does one round after the other, so that there are only as many as probes that
// are going on and their stacks, which have grown with the first, serve the next.
type crew struct {
	engine *Engine
	limit  int

	mu      sync.Mutex // Guards the following.
	closed  bool
	busy    int // Hands that hold a slot.
	idle    []*hand
	waiting queue // For a slot.
}

// hand is one goroutine.
type hand struct {
	next chan *watcher // Capacity 1; closed: it has to go.
}

// queue is a line of watchers.
type queue struct{ first, last *watcher }

func (q *queue) push(w *watcher) {
	if q.first == nil {
		q.first = w
	} else {
		q.last.behind = w
	}
	q.last = w
}

// pop returns nil when there is none.
func (q *queue) pop() *watcher {
	w := q.first
	if w != nil {
		q.first, w.behind = w.behind, nil
	}
	return w
}

// send has a round of a watcher done as soon as there is a slot for it.
func (c *crew) send(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch last := len(c.idle) - 1; {
	case c.closed:
	case c.busy == c.limit:
		c.waiting.push(w)
	case last >= 0:
		h := c.idle[last]
		c.idle[last] = nil
		c.idle = c.idle[:last]
		c.busy++
		h.next <- w
	default:
		c.busy++
		c.engine.running.Add(1)
		go new(hand).run(c, w)
	}
}

// run does rounds, the first one of w, in a slot that is taken. Its owner is Engine.running. It survives no probe that ends its
// goroutine.
func (h *hand) run(c *crew, w *watcher) {
	defer c.engine.running.Done()
	working := true
	defer func() {
		if working {
			c.next(nil)
		}
	}()
	for w != nil {
		w.round()
		working = false
		w = c.next(h)
		working = w != nil
	}
}

// next gives a slot back, and returns whose round the hand has to do next, which may be a while later. It holds a slot
// for that then. Nil: none. A nil hand is one that cannot go on.
func (c *crew) next(h *hand) *watcher {
	c.mu.Lock()
	c.busy--
	w := c.waiting.pop()
	switch {
	case c.closed:
		w = nil
	case w != nil && h == nil:
		c.busy++
		c.engine.running.Add(1)
		go new(hand).run(c, w)
	case w != nil:
		c.busy++
	case h != nil && len(c.idle) < maxIdle:
		if h.next == nil {
			h.next = make(chan *watcher, 1)
		}
		c.idle = append(c.idle, h)
		c.mu.Unlock()
		return <-h.next
	}
	c.mu.Unlock()
	return w
}

// close ends hands that are idle, and others at the end of their round. Who waits for a slot gets none.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.waiting = true, queue{}
	for _, h := range c.idle {
		close(h.next)
	}
	c.idle = nil
}
