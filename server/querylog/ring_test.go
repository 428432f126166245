package querylog

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var client = netip.MustParseAddrPort("192.0.2.1:4242")

// numbered is an entry that can be told from others.
func numbered(n uint64) *Entry {
	return &Entry{Client: client, Query: binary.BigEndian.AppendUint64(nil, n), Reply: binary.BigEndian.AppendUint64(nil, ^n)}
}

// What many workers put into a small ring comes out once each, whole, and in the order of each worker; what did not fit was
// refused. Nothing comes after the seal.
func TestRing(t *testing.T) {
	const workers, each = 8, 20000
	r := newRing(7, 16)
	var put [workers]int
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			for i := range uint64(each) {
				if s, ticket := r.reserve(); s != nil {
					s.fill(numbered(uint64(w)<<32|i), time.Time{}, true)
					s.publish(ticket)
					put[w]++
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		running.Wait()
		r.seal()
		close(ended)
	}()
	var got [workers]int
	last := [workers]int64{}
	for done := false; ; {
		s := r.take()
		if s == nil {
			if done {
				break
			}
			select {
			case <-ended:
				done = true
			default:
			}
			continue
		}
		n := binary.BigEndian.Uint64(s.query)
		w, i := n>>32, int64(uint32(n))+1
		if binary.BigEndian.Uint64(s.reply) != ^n || i <= last[w] {
			t.Fatalf("worker %d: entry %d after %d, reply %x", w, i, last[w], s.reply)
		}
		last[w] = i
		got[w]++
		r.release(s)
	}
	if got != put || !r.isDrained() {
		t.Errorf("out came %v, in went %v, drained %v", got, put, r.isDrained())
	}
	if s, _ := r.reserve(); s != nil {
		t.Error("a sealed ring takes an entry")
	}
}

// prepared is the setting as taps that are not started.
func prepared(t *testing.T, l *Log, s Setting) *Change {
	t.Helper()
	c, err := l.Prepare(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A full ring drops exactly what does not fit, and what did fit is written.
func TestFull(t *testing.T) {
	counters := &Counters{}
	l := New(slog.New(slog.DiscardHandler), counters)
	c := prepared(t, l, Setting{File: Options{File: filepath.Join(t.TempDir(), "log"), Sample: 1, Buffer: 64}, Payload: 512})
	rings := len(c.next.file.rings)
	capacity := len(c.next.file.rings[0].slots)
	const more = 13
	for lane := range uint32(rings) {
		for n := range uint64(capacity + more) {
			c.next.Note(0, lane, numbered(n))
		}
	}
	if got := counters.File.Dropped(); got != uint64(rings*more) {
		t.Errorf("%d dropped, want %d", got, rings*more)
	}
	c.Commit()
	l.Close()
	c.next.Note(0, 0, numbered(1)) // by a worker that is late
	if written, dropped := counters.File.Written(), counters.File.Dropped(); written != uint64(rings*capacity) || dropped != uint64(rings*more)+1 {
		t.Errorf("%d written, %d dropped, want %d, %d", written, dropped, rings*capacity, rings*more+1)
	}
}

func TestSample(t *testing.T) {
	for _, test := range []struct {
		sample float64
		lot    uint64
		want   bool
	}{
		{1, 0, true}, {1, ^uint64(0), true},
		{0.5, 1<<63 - 1, true}, {0.5, 1<<63 + 1, false},
		{0.000001, 1 << 44, true}, {0.000001, 1 << 45, false},
	} {
		tap := newTap(Tap{count: &Count{}}, test.sample, 64, 16)
		if got := tap.wants(test.lot, numbered(1)); got != test.want {
			t.Errorf("sample %v, lot %x: %v", test.sample, test.lot, got)
		}
	}
	for _, test := range []struct {
		only  Only
		rcode uint16
		want  bool
	}{{"", 0, true}, {OnlyAll, 3, true}, {OnlyErrors, 0, false}, {OnlyErrors, 16, true}, {OnlyAccess, 0, false}} {
		tap := newTap(Tap{count: &Count{}, only: test.only}, 1, 64, 16)
		if got := tap.wants(1, &Entry{RCode: test.rcode}); got != test.want {
			t.Errorf("only %q, rcode %d: %v", test.only, test.rcode, got)
		}
	}
}
