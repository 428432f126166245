package querylog

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"
)

// Tap takes the entries of one sink from the workers and has them written.
type Tap struct {
	name    string
	setting any // what it was made from; comparable
	log     *slog.Logger
	sink    sink
	count   *Count
	// share is the highest lot that is in the sample.
	share      uint64
	only       Only
	wantsQuery bool
	rings      []*ring

	started  bool
	stopping chan struct{}
	done     chan struct{}

	// The rest belongs to the goroutine.
	dropped  uint64 // as last seen
	losing   bool   // and the log knows
	since    uint64 // dropped when that began
	lastLoss time.Time
}

// sink is where entries go. It belongs to the goroutine of its tap.
type sink interface {
	// tend is called every pollTime at least, before entries are added.
	tend(now time.Time)
	// add adds an entry to what is to be written.
	add(s *slot)
	// pending is how many octets and entries are to be written.
	pending() (octets, entries int)
	// flush writes them and forgets them. It returns how many entries it wrote, and why those are not all.
	flush() (written int, err error)
	close()
}

const (
	// maxRings bounds the rings of a tap: more workers than that share them.
	maxRings = 16
	// pollTime is how often rings are looked into: workers wake nobody, that would take a system call.
	pollTime = 10 * time.Millisecond
	// batchOctets is how much is written with one system call, about.
	batchOctets = 64 << 10
	// stepTime is how long one step with a collector may take: to connect, to take a batch, to say farewell.
	stepTime = 500 * time.Millisecond
	// stopTime is how long a tap has to write what it holds. A collector takes no more than three steps; a file system
	// may hang for ever, and keeps its goroutine.
	stopTime = 4 * stepTime
	// calmTime is how long nothing must have been lost before the log says that it is over.
	calmTime = time.Minute
	// spareOctets is the room for a query beside the reply: larger ones are rare, and left out then.
	spareOctets = 512
)

// newTap returns a tap that is not started. room is the octets of messages kept of an entry.
func newTap(t Tap, sample float64, buffer, room int) *Tap {
	t.share = math.MaxUint64
	if sample < 1 {
		t.share = uint64(sample * (1 << 63) * 2)
	}
	n := min(runtime.GOMAXPROCS(0), maxRings)
	for range n {
		t.rings = append(t.rings, newRing(max(buffer/n, 2), room))
	}
	t.stopping, t.done = make(chan struct{}), make(chan struct{})
	t.dropped = t.count.Dropped()
	return &t
}

// wants reports whether an entry is in the sample. A nil Tap wants nothing.
func (t *Tap) wants(lot uint64, e *Entry) bool {
	if t == nil || lot > t.share {
		return false
	}
	switch t.only {
	case OnlyErrors:
		return e.RCode != 0
	case OnlyAccess:
		return e.Hit.IsDecided()
	default:
		return true
	}
}

// note puts an entry into a ring.
func (t *Tap) note(lane uint32, e *Entry, at time.Time) {
	i := int(lane % uint32(len(t.rings)))
	s, ticket := t.rings[i].reserve()
	if s == nil {
		t.count.full[i].n.Add(1)
		return
	}
	s.fill(e, at, t.wantsQuery)
	s.publish(ticket)
}

// start starts the goroutine; once started, it changes nothing.
func (t *Tap) start() {
	if !t.started {
		t.started = true
		go t.run() // stop waits for it
	}
}

// stop takes no more entries, has those in the rings written, and returns when the goroutine has ended, or after stopTime.
func (t *Tap) stop() {
	for _, r := range t.rings {
		r.seal()
	}
	close(t.stopping)
	select {
	case <-t.done:
	case <-time.After(stopTime):
		t.log.Error("the "+t.name+" hangs: what it still held is lost", "waited", stopTime)
	}
}

// run moves entries from the rings to the sink until stop.
func (t *Tap) run() {
	defer close(t.done)
	defer t.sink.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.stopping:
			t.drain()
			return
		case now := <-timer.C:
			t.sink.tend(now)
		}
		if full := t.pass(); full {
			timer.Reset(0)
		} else {
			timer.Reset(pollTime)
		}
		t.tell(time.Now())
	}
}

// pass writes what is in the rings, each once around at most. It reports whether one was so full that it should be looked
// into again at once.
func (t *Tap) pass() (full bool) {
	for _, r := range t.rings {
		n := 0
		for ; n < len(r.slots); n++ {
			s := r.take()
			if s == nil {
				break
			}
			t.add(s)
			r.release(s)
			if octets, _ := t.sink.pending(); octets >= batchOctets {
				t.flush()
			}
		}
		full = full || n > len(r.slots)/2
	}
	t.flush()
	return full
}

// add gives an entry to the sink. One that makes that panic is lost, nothing else.
func (t *Tap) add(s *slot) {
	defer func() {
		if reason := recover(); reason != nil {
			t.count.lost.Add(1)
			t.log.Error("panic while writing to the "+t.name+": please report it", "reason", fmt.Sprint(reason), "reply", fmt.Sprintf("%x", s.reply))
		}
	}()
	t.sink.add(s)
}

// flush writes what the sink has, and counts it.
func (t *Tap) flush() {
	_, entries := t.sink.pending()
	if entries == 0 {
		return
	}
	written, err := t.sink.flush()
	t.count.written.Add(uint64(written))
	t.count.lost.Add(uint64(entries - written))
	if err != nil {
		t.lose(err)
	}
}

// drain writes what sealed rings hold. A worker that was filling a slot has time until then.
func (t *Tap) drain() {
	t.sink.tend(time.Now())
	for end := time.Now().Add(stepTime); ; time.Sleep(time.Millisecond) {
		t.pass()
		left := false
		for _, r := range t.rings {
			left = left || !r.isDrained()
		}
		if !left || time.Now().After(end) {
			return
		}
	}
}

// tell tells the log, once, that entries are lost because the ring is full, and when that is over.
func (t *Tap) tell(now time.Time) {
	dropped := t.count.Dropped()
	switch {
	case dropped != t.dropped:
		t.lose(nil)
		t.dropped, t.lastLoss = dropped, now
	case t.losing && now.Sub(t.lastLoss) > calmTime:
		t.losing = false
		t.log.Info("the "+t.name+" is whole again", "dropped", dropped-t.since)
	}
}

var errFull = errors.New("queries come faster than they are written: lower sample, or raise buffer")

// lose tells the log that entries are lost, unless it knows. A nil error stands for a full ring.
func (t *Tap) lose(err error) {
	if t.losing {
		return
	}
	t.losing, t.since = true, t.dropped
	if err == nil {
		err = errFull
	}
	t.log.Warn("the "+t.name+" drops entries", "error", err)
}
