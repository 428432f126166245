// Package querylog tells people and collectors which queries were answered, and why so: as lines of JSON in a file, and
// as dnstap over a unix socket. Each is a sink of its own, with its own sample of the queries.
//
// Nothing here slows an answer. A worker that answers offers the query to Taps.Note, which copies it into a ring
// (ring.go) when it is in the sample: no lock, no allocation, no system call but the clock of the process. A goroutine
// for each sink (tap.go) looks into the rings every few milliseconds, finds out where the answer came from, and writes.
// What the sink is too slow for finds the ring full, and is dropped and counted.
//
//	Respond -> Taps.Note -> ring -> Tap -> lines -> file (file.go, line.go)
//	                     -> ring -> Tap -> frames -> collector (collector.go, framestream.go, message.go)
package querylog

import (
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gtmd/server/view"
)

// Log is the query log and dnstap of one server. A nil Log is off for good. Log.Taps and Log.Lane may be called from any
// goroutine; the rest by one at a time.
type Log struct {
	log      *slog.Logger
	counters *Counters
	taps     atomic.Pointer[Taps]
	lanes    atomic.Uint32
	retired  sync.WaitGroup // the taps that were taken off and are still writing
}

// New returns a Log that is off.
func New(log *slog.Logger, counters *Counters) *Log {
	return &Log{log: log, counters: counters}
}

// Taps is what queries are offered to; nil while nothing is logged.
func (l *Log) Taps() *Taps {
	if l == nil {
		return nil
	}
	return l.taps.Load()
}

// Lane is a number for a worker or connection to give with its entries: those with different numbers rarely meet in a ring.
func (l *Log) Lane() uint32 {
	if l == nil {
		return 0
	}
	return l.lanes.Add(1)
}

// Taps are the sinks that are on. Immutable.
type Taps struct{ file, dnstap *Tap }

// Entry is a query that was answered. Note copies what it keeps.
type Entry struct {
	// Client is where the query came from, an unmapped address; its port may be 0 for unknown. Server is where it was
	// sent to; the zero AddrPort, or an unspecified address, is unknown.
	Client, Server netip.AddrPort
	Transport      Transport
	Query, Reply   []byte
	// RCode is the response code of the reply, an extended one whole.
	RCode uint16
	// Hit is what answered; the zero Hit for a query that was answered without a view.
	Hit view.Hit
}

// Transport is how a query came. Its zero value is UDP.
type Transport uint8

// The transports, in the order of dnstap's SocketProtocol.
const (
	UDP Transport = iota
	TCP
	DoT
)

func (t Transport) String() string {
	switch t {
	case UDP:
		return "udp"
	case TCP:
		return "tcp"
	default:
		return "dot"
	}
}

// Note takes e for each sink whose sample it is in. lot is a number uniform over 64 bits that decides on that: the smaller
// sample is a part of the larger. lane is what Log.Lane gave. Safe for concurrent use; it allocates nothing.
func (t *Taps) Note(lot uint64, lane uint32, e *Entry) {
	file, dnstap := t.file.wants(lot, e), t.dnstap.wants(lot, e)
	if !file && !dnstap {
		return
	}
	now := time.Now()
	if file {
		t.file.note(lane, e, now)
	}
	if dnstap {
		t.dnstap.note(lane, e, now)
	}
}

// Setting is what a Log is to do.
type Setting struct {
	File   Options
	Dnstap DnstapOptions
	// Payload is the largest reply over UDP, in octets: such replies are logged whole.
	Payload int
}

// Change is a prepared change of a Log; Commit or Discard ends it. A nil Change does nothing.
type Change struct {
	log  *Log
	next Taps
	// reopened is the file of a file sink that stays; nil when that goes on with the one it has.
	reopened *os.File
}

// Prepare opens what a setting needs: the file, once more also where nothing has changed, so that a rotated one is let go.
// An error is one of the setting, such as a directory that is not there. What may go by, such as a full disk, and a
// collector that is away are no errors: the sinks try again.
func (l *Log) Prepare(s Setting) (*Change, error) {
	c := &Change{log: l}
	current := l.taps.Load()
	if current == nil {
		current = &Taps{}
	}
	if s.File.File != "" {
		file, err := openLog(s.File.File)
		if err != nil {
			return nil, err
		}
		if current.file != nil && current.file.setting == fileSetting(s) {
			c.next.file, c.reopened = current.file, file
		} else {
			c.next.file = l.newFileTap(s, file)
		}
	}
	if s.Dnstap.Socket != "" {
		if c.next.dnstap = current.dnstap; current.dnstap == nil || current.dnstap.setting != dnstapSetting(s) {
			c.next.dnstap = l.newDnstapTap(s)
		}
	}
	return c, nil
}

// Discard closes what Prepare opened.
func (c *Change) Discard() {
	if c == nil {
		return
	}
	closeLog(c.reopened)
	if file := c.next.file; file != nil && !file.started {
		file.sink.close()
	}
}

// Commit makes the change. It waits for nothing: what the old sinks hold is written meanwhile.
func (c *Change) Commit() {
	if c == nil {
		return
	}
	l, before := c.log, c.log.taps.Load()
	if c.reopened != nil {
		c.next.file.sink.(*fileSink).reopen(c.reopened)
	}
	for _, tap := range []*Tap{c.next.file, c.next.dnstap} {
		if tap != nil {
			tap.start()
		}
	}
	if c.next == (Taps{}) {
		l.taps.Store(nil)
	} else {
		l.taps.Store(&c.next)
	}
	if before == nil {
		return
	}
	if before.file != c.next.file {
		l.retire(before.file)
	}
	if before.dnstap != c.next.dnstap {
		l.retire(before.dnstap)
	}
}

// retire ends a tap that is no longer offered queries.
func (l *Log) retire(t *Tap) {
	if t != nil {
		l.retired.Go(t.stop)
	}
}

// Close writes what the sinks hold, for as long as stopTime at most, and ends them. Further queries are dropped.
func (l *Log) Close() {
	if before := l.taps.Swap(nil); before != nil {
		l.retire(before.file)
		l.retire(before.dnstap)
	}
	l.retired.Wait()
}
