package node

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/admin"
)

// eventLog remembers the latest events, gives them their IDs, and has them written to a file by a goroutine of its own: who
// adds one never waits for the disk. Safe for concurrent use.
type eventLog struct {
	log     *slog.Logger
	file    eventFile // of the goroutine that writes
	metrics eventMetrics
	wake    chan struct{} // holds a token when there is something to write
	stop    chan struct{} // closed when the goroutine has to end
	writing sync.WaitGroup

	mu sync.Mutex // guards all below
	// events have growing IDs. Nothing in it is written over: a part of it is good without the lock.
	events    []*admin.Event
	last      uint64
	unwritten []*admin.Event
	dropped   uint64 // since the log was last told
	watchers  map[chan struct{}]bool
	isOpen    bool
}

const (
	// rememberedEvents is how many events are in memory.
	rememberedEvents = 10_000
	// unwrittenEvents is how many wait for the disk; further ones take the place of the oldest.
	unwrittenEvents = 50_000
	// eventPause is the least time between two writes, so that events that come together are written together.
	eventPause = 100 * time.Millisecond
	// eventRetry is the time between two attempts to write.
	eventRetry = time.Second
)

// eventMetrics count events.
type eventMetrics struct {
	events            *prometheus.CounterVec
	dropped, failures prometheus.Counter
}

// newEventLog returns a log that takes no events yet. The function dir tells the directory of its file; it is asked before
// every write.
func newEventLog(dir func() string, log *slog.Logger, registry prometheus.Registerer) (*eventLog, error) {
	l := &eventLog{
		log: log, wake: make(chan struct{}, 1), stop: make(chan struct{}), watchers: map[chan struct{}]bool{},
		file: eventFile{dir: dir, size: eventFileSize, keep: eventFilesKept},
		metrics: eventMetrics{
			events: prometheus.NewCounterVec(prometheus.CounterOpts{
				Name: "gtmd_events_total", Help: "Events, by their kind.",
			}, []string{"kind"}),
			dropped: prometheus.NewCounter(prometheus.CounterOpts{
				Name: "gtmd_events_dropped_total", Help: "Events that are missing in the event file, because it could not be written for too long.",
			}),
			failures: prometheus.NewCounter(prometheus.CounterOpts{
				Name: "gtmd_event_write_failures_total", Help: "Writes of the event file that failed.",
			}),
		},
	}
	for _, c := range []prometheus.Collector{l.metrics.events, l.metrics.dropped, l.metrics.failures} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	for _, kind := range admin.EventKind("").Values() {
		l.metrics.events.WithLabelValues(string(kind)) // so that the first one of a kind is a rise
	}
	return l, nil
}

// open reads back what the file has and begins to take events. Nobody else writes to the file from here on.
func (l *eventLog) open() {
	events, skipped, err := readEvents(l.file.dir(), rememberedEvents)
	switch {
	case err != nil:
		l.log.Error("read the events of the past: going on without those that are missing", "error", err)
	case skipped > 0:
		l.log.Warn("some lines of the event file are no events: they are skipped", "file", l.file.path(), "lines", skipped)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events, l.isOpen = events, true
	if len(events) > 0 {
		l.last = events[len(events)-1].ID
	}
	l.writing.Go(l.run)
}

// add takes events up as they are, but for the ID, the time where it is missing, and texts, which become printable lines that
// are not too long. It returns at once. A log that is closed takes none.
func (l *eventLog) add(events ...admin.Event) {
	if len(events) == 0 {
		return
	}
	now := time.Now()
	for i := range events {
		neat(&events[i], now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isOpen {
		return
	}
	for i := range events {
		e := &events[i]
		l.metrics.events.WithLabelValues(string(e.Kind)).Inc()
		l.last = max(l.last+1, uint64(max(now.UnixMicro(), 0)))
		e.ID = l.last
		if len(l.events) >= 2*rememberedEvents {
			l.events = slices.Clone(l.events[len(l.events)-rememberedEvents+1:])
		}
		l.events = append(l.events, e)
		l.unwritten = append(l.unwritten, e)
	}
	if more := len(l.unwritten) - unwrittenEvents; more > 0 {
		l.unwritten = slices.Clone(l.unwritten[more:])
		l.dropped += uint64(more)
		l.metrics.dropped.Add(float64(more))
	}
	nudge(l.wake)
	l.signalLocked()
}

// nudge puts a token into a channel with room for one, unless it is there; it never blocks.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// signal tells those who watch that something has changed.
func (l *eventLog) signal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signalLocked()
}

func (l *eventLog) signalLocked() {
	for c := range l.watchers {
		nudge(c)
	}
}

// watch is [admin.Backend.Watch].
func (l *eventLog) watch() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[c] = true
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, c)
	}
}

// latest are the events in memory, the oldest first, and the ID of the last one. Nobody may write to them.
func (l *eventLog) latest() ([]*admin.Event, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[max(0, len(l.events)-rememberedEvents):], l.last
}

// close has everything written, as far as the disk allows, and ends; nobody writes to the file any more then. Further calls
// do nothing.
func (l *eventLog) close() {
	l.mu.Lock()
	wasOpen := l.isOpen
	l.isOpen = false
	l.mu.Unlock()
	if wasOpen {
		close(l.stop)
	}
	l.writing.Wait()
}

// run writes events until the log is closed.
func (l *eventLog) run() {
	defer l.file.close()
	isFailing, hasDropped := false, false
	for isLast := false; !isLast; {
		select {
		case <-l.wake:
		case <-l.stop:
			isLast = true
		}
		err := l.flush()
		switch {
		case err != nil && !isFailing:
			l.log.Error("events are not written: after a restart they would be missing; trying again", "file", l.file.path(), "error", err)
		case err == nil && isFailing:
			l.log.Info("events are written again", "file", l.file.path())
			hasDropped = false
		}
		isFailing = err != nil
		if dropped := l.takeDropped(); dropped > 0 && !hasDropped {
			hasDropped = true
			l.log.Error("events are lost for the event file: too many wait for the disk", "file", l.file.path(), "at_most", unwrittenEvents)
		}
		pause := eventPause
		if isFailing {
			nudge(l.wake)
			pause = eventRetry
		}
		select {
		case <-time.After(pause):
		case <-l.stop:
		}
	}
}

func (l *eventLog) takeDropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.dropped
	l.dropped = 0
	return n
}

// flush writes what waits.
func (l *eventLog) flush() error {
	for {
		l.mu.Lock()
		batch := l.unwritten[:min(len(l.unwritten), 1000)]
		l.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		written, err := l.file.write(batch)
		if written > 0 {
			l.forget(batch[written-1].ID)
		}
		if err != nil {
			l.metrics.failures.Inc()
			return err
		}
	}
}

// forget takes those that are written off the list; it may have lost some of them meanwhile.
func (l *eventLog) forget(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.unwritten) && l.unwritten[n].ID <= id {
		n++
	}
	if l.unwritten = l.unwritten[n:]; len(l.unwritten) == 0 {
		l.unwritten = nil
	}
}

// query finds the events of a query. Pools, when not nil, are those whose events belong to the instance that is asked for.
func (l *eventLog) query(q admin.EventQuery, pools map[string]bool) admin.EventList {
	events, last := l.latest()
	list := admin.EventList{Events: []admin.Event{}, Latest: last}
	limit := q.Limit
	if limit <= 0 {
		limit = admin.DefaultEvents
	}
	limit = min(limit, admin.MaxEvents)
	byID := func(e *admin.Event, id uint64) int {
		switch {
		case e.ID < id:
			return -1
		case e.ID > id:
			return 1
		default:
			return 0
		}
	}
	from, to := 0, len(events)
	if q.After > 0 {
		from, _ = slices.BinarySearchFunc(events, q.After+1, byID)
	}
	if q.Before > 0 {
		to, _ = slices.BinarySearchFunc(events, q.Before, byID)
	}
	if from >= to {
		return list
	}
	events = events[from:to]
	q.Text = strings.ToLower(q.Text)
	for i := range events {
		e := events[i]
		if q.After == 0 {
			e = events[len(events)-1-i]
		}
		if !fits(e, &q, pools) {
			continue
		}
		if len(list.Events) == limit {
			list.More = true
			break
		}
		list.Events = append(list.Events, *e)
	}
	return list
}

// fits reports whether an event is one that a query asks for, whatever its ID; the text is in small letters.
func fits(e *admin.Event, q *admin.EventQuery, pools map[string]bool) bool {
	switch {
	case len(q.Kinds) > 0 && !slices.Contains(q.Kinds, e.Kind),
		q.Pool != "" && e.Pool != q.Pool && !slices.Contains(e.Pools, q.Pool),
		q.Address != "" && e.Address != q.Address,
		!q.Since.IsZero() && e.Time.Before(q.Since),
		!q.Until.IsZero() && !e.Time.Before(q.Until):
		return false
	case q.Instance != "" && e.Instance != q.Instance:
		isItsPool := func(pool string) bool { return pools[pool] }
		if e.Instance != "" || !pools[e.Pool] && !slices.ContainsFunc(e.Pools, isItsPool) {
			return false
		}
	}
	if q.Text == "" {
		return true
	}
	return slices.ContainsFunc([]string{e.Message, e.Reason, e.Author}, func(text string) bool {
		return strings.Contains(strings.ToLower(text), q.Text)
	})
}
