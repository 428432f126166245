package alert

import "sync"

// maxInbox is how many events wait for the desk at most.
const maxInbox = 1 << 16

// inbox holds events until the desk takes them. Whoever puts them in waits for nobody. Safe for concurrent use.
type inbox struct {
	mu       sync.Mutex // guards what follows; held for an append
	events   []Event
	whole    []Event // All that goes on, to be read before events; nil: nothing is known of that.
	dropped  uint64
	isClosed bool
	wake     chan struct{} // of capacity 1
}

// put adds events, or drops them when there is no room.
func (b *inbox) put(events []Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := maxInbox - len(b.events)
	if b.isClosed {
		room = 0
	}
	taken := events[:min(room, len(events))]
	b.events = append(b.events, taken...)
	b.dropped += uint64(len(events) - len(taken))
	b.call()
}

// reconcile puts all that goes on.
func (b *inbox) reconcile(whole []Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.whole = append([]Event{}, whole...)
	b.call()
}

// call wakes the desk.
func (b *inbox) call() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take empties it. Whole is nil when it is not known what goes on.
func (b *inbox) take() (whole, events []Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	whole, events = b.whole, b.events
	b.whole, b.events = nil, nil
	return whole, events
}

// close drops what comes later.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isClosed = true
}

func (b *inbox) lost() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
