package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// sink is a connection that counts writes and takes everything.
type sink struct {
	net.Conn
	writes, octets int
}

func (s *sink) Write(b []byte) (int, error) {
	s.writes++
	s.octets += len(b)
	return len(b), nil
}

func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// newSink is a stream that writes to a sink.
func newSink(tb testing.TB) (*stream, *sink) {
	s := newServer(tb, options())
	out := &sink{}
	l := &tcpListener{server: s, count: s.stats.joinStream(false), conns: map[*stream]struct{}{}}
	st := &stream{listener: l, conn: out, source: client, queued: waitsNot}
	if !s.streams.admit(st) {
		tb.Fatal("not admitted")
	}
	return st, out
}

// RFC 7766 section 6.2.1.1 and 8: replies that are ready leave together, with their lengths, in one write each flushLen.
func TestStreamWrites(t *testing.T) {
	for _, test := range []struct {
		name            string
		queries, writes int
	}{
		{"www.gtm.test.", 1, 1}, {"www.gtm.test.", 100, 1}, {"big.gtm.test.", 10, 5},
	} {
		s, out := newSink(t)
		query := framed(packet(t, test.name, dns.TypeA, 0, ""))
		all := bytes.Repeat(query, test.queries)
		done, err := s.answer(append(all, query[:20]...))
		if err != nil || done != len(all) {
			t.Errorf("%d octets of %d answered, error %v", done, len(all), err)
		}
		if out.writes != test.writes {
			t.Errorf("%d replies to %s left in %d writes, want %d", test.queries, test.name, out.writes, test.writes)
		}
	}
}

func TestStreamAllocatesNothing(t *testing.T) {
	s, _ := newSink(t)
	all := bytes.Repeat(framed(packet(t, "www.gtm.test.", dns.TypeA, 1232, "10.0.0.0/24")), 10)
	s.answer(all)
	// What is allocated for a query is at least 10; a garbage collection, or the race detector, empties the pool of desks.
	if n := testing.AllocsPerRun(1000, func() { s.answer(all) }); n >= 5 {
		t.Errorf("%v allocations for 10 queries", n)
	}
}

// What a connection reads into is as large as what has arrived, and small again afterwards.
func TestStreamBuffer(t *testing.T) {
	s := &stream{}
	for _, test := range []struct{ size, read, done, want, rest int }{
		{smallBuffer, 100, 100, smallBuffer, 0},
		{smallBuffer, 100, 60, smallBuffer, 40},
		{smallBuffer, 512, 512, burstBuffer, 0},
		{smallBuffer, 512, 500, burstBuffer, 12},
		{smallBuffer, 512, 0, burstBuffer, 512},
		{burstBuffer, 4096, 4096, burstBuffer, 0},
		{burstBuffer, 4095, 4095, smallBuffer, 0},
		{burstBuffer, 4096, 0, 32768, 4096},
		{32768, 32768, 0, largeBuffer, 32768},
		{largeBuffer, largeBuffer, largeBuffer, burstBuffer, 0},
		{largeBuffer, largeBuffer, largeBuffer - 10, burstBuffer, 10},
		{largeBuffer, largeBuffer - 1, 0, largeBuffer, largeBuffer - 1},
	} {
		buf := make([]byte, test.read, test.size)
		for i := range buf {
			buf[i] = byte(i)
		}
		want := bytes.Clone(buf[test.done:])
		got := s.buffer(buf, buf[test.done:], test.read == test.size)
		if cap(got) != test.want || !bytes.Equal(got, want) {
			t.Errorf("%+v: %d octets in a buffer of %d", test, len(got), cap(got))
		}
	}
}

func TestIsTransfer(t *testing.T) {
	axfr := packet(t, "gtm.test.", dns.TypeAXFR, 0, "")
	response, notify, none := bytes.Clone(axfr), bytes.Clone(axfr), bytes.Clone(axfr)
	response[2] |= 0x80
	notify[2] |= dns.OpcodeNotify << 3
	none[5] = 0
	for _, test := range []struct {
		name    string
		message []byte
		want    bool
	}{
		{"AXFR", axfr, true},
		{"IXFR with EDNS", packet(t, "gtm.test.", dns.TypeIXFR, 1232, ""), true},
		{"of the root", packet(t, ".", dns.TypeAXFR, 0, ""), true},
		{"SOA", packet(t, "gtm.test.", dns.TypeSOA, 0, ""), false},
		{"response", response, false},
		{"NOTIFY", notify, false},
		{"no question", none, false},
		{"cut in the type", axfr[:len(axfr)-3], false},
		{"cut in the name", axfr[:15], false},
		{"header", axfr[:12], false},
		{"nothing", nil, false},
		{"compressed", append(bytes.Clone(axfr[:12]), 0xc0, 12, 0, 252, 0, 1), false},
	} {
		if got := isTransfer(test.message); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

// zoneGiver is a transferer whose replies the test gives.
type zoneGiver struct {
	begun chan struct{}
	reply chan []byte // nil ends one transfer well, an empty reply ends it with an error
}

func (z *zoneGiver) serve(_ *Responder, message []byte, _ netip.Addr, send func([]byte) error) error {
	z.begun <- struct{}{}
	for reply := range z.reply {
		switch {
		case reply == nil:
			return nil
		case len(reply) == 0:
			return errors.New("test")
		case string(reply) == "panic":
			panic("test")
		}
		if err := send(append(message[:2:2], reply...)); err != nil {
			return err
		}
	}
	return nil
}

// newZoneServer is a server with a zoneGiver.
func newZoneServer(t *testing.T, o Options) (*Server, *zoneGiver) {
	stats := NewStats()
	s := New(slog.New(slog.DiscardHandler), stats)
	z := &zoneGiver{begun: make(chan struct{}), reply: make(chan []byte)}
	s.transferer = z
	if err := s.Swap(newView(t, 1, stats.Counter)); err != nil {
		t.Fatal(err)
	}
	apply(t, s, o)
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(z.reply) }) // a test that fails leaves no transfer that Close would wait for
	return s, z
}

// RFC 7766 section 6.2.1.1, RFC 5936 section 4.1.1: a transfer holds up no other answer, its messages go between others,
// and the connection is not idle while it runs.
func TestTransferBesideQueries(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPIdleTimeout, o.TCPConnections = 50*time.Millisecond, 1
	s, z := newZoneServer(t, o)
	conn := dial(t, "tcp", first(s))
	axfr, query := packet(t, "gtm.test.", dns.TypeAXFR, 0, ""), packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	if _, err := conn.Write(append(framed(axfr), framed(query)...)); err != nil {
		t.Fatal(err)
	}
	<-z.begun
	if m := unpacked(t, readTCP(t, conn)); len(m.Answer) != 1 {
		t.Errorf("reply %v", m)
	}
	for i := range 3 {
		z.reply <- []byte(fmt.Sprint("zone", i))
		if got, want := readTCP(t, conn), fmt.Appendf(axfr[:2:2], "zone%d", i); !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		exchange(t, conn, query)
	}
	// A transfer is not replaced: one connection more than the limit is served until it is idle, and no more than one.
	other := dial(t, "tcp", first(s))
	exchange(t, other, query)
	if !isClosed(other) {
		t.Error("a connection beyond the limit stays open")
	}
	// It is longer than the idle time, which begins at its end.
	time.Sleep(2 * o.TCPIdleTimeout)
	exchange(t, conn, query)
	z.reply <- nil
	if !isClosed(conn) {
		t.Error("the connection stays open after the transfer")
	}
	if got := s.stats.streams.closed[closedIdle].Load(); got != 1 {
		t.Errorf("%d idle connections closed, want 1", got)
	}
}

// A client that has closed its half gets all of the transfer.
func TestTransferHalfClosed(t *testing.T) {
	s, z := newZoneServer(t, options("127.0.0.1:0"))
	conn := dial(t, "tcp", first(s))
	conn.Write(framed(packet(t, "gtm.test.", dns.TypeIXFR, 0, "")))
	conn.(*net.TCPConn).CloseWrite()
	<-z.begun
	for range 3 {
		z.reply <- []byte("zone")
		readTCP(t, conn)
	}
	z.reply <- nil
	if !isClosed(conn) {
		t.Error("the connection stays open")
	}
}

// As many transfers as may run beside; the queries behind one more wait for one to end, those before it do not.
func TestTransfersAtOneTime(t *testing.T) {
	s, z := newZoneServer(t, options("127.0.0.1:0"))
	conn := dial(t, "tcp", first(s))
	axfr, query := framed(packet(t, "gtm.test.", dns.TypeAXFR, 0, "")), framed(packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	conn.Write(slices.Concat(query, bytes.Repeat(axfr, maxTransfers+1), query))
	for range maxTransfers + 1 {
		<-z.begun
	}
	readTCP(t, conn)
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("the query is answered while too many transfers run")
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	for range maxTransfers + 1 {
		z.reply <- nil
	}
	if m := unpacked(t, readTCP(t, conn)); len(m.Answer) != 1 {
		t.Errorf("reply %v", m)
	}
}

// A transfer that fails or panics ends its connection, and nothing else; one that runs does not hold up Close.
func TestTransferFails(t *testing.T) {
	s, z := newZoneServer(t, options("127.0.0.1:0"))
	axfr := framed(packet(t, "gtm.test.", dns.TypeAXFR, 0, ""))
	for _, end := range []string{"", "panic", strings.Repeat("x", maxMessage)} { // the last with the ID is too long
		conn := dial(t, "tcp", first(s))
		conn.Write(axfr)
		<-z.begun
		z.reply <- []byte(end)
		if !isClosed(conn) {
			t.Errorf("the connection stays open after %.5q", end)
		}
	}
	exchange(t, dial(t, "tcp", first(s)), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	conn := dial(t, "tcp", first(s))
	conn.Write(axfr)
	<-z.begun
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	// Its sends fail once the connection has ended.
	for open := true; open; {
		select {
		case z.reply <- []byte("zone"):
		case <-closed:
			open = false
		}
		if open {
			conn.SetReadDeadline(time.Now().Add(time.Second))
			io.ReadFull(conn, make([]byte, 8))
		}
	}
	checkEnded(t, s)
}

// RFC 7766 section 6.2.4 (T03, T05): a client that closes its half after 100 queries gets 100 replies.
func TestHalfClosedAfterMany(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	conn := dial(t, "tcp", first(s))
	query := packet(t, "big.gtm.test.", dns.TypeA, 0, "")
	go func() {
		for id := range uint16(100) {
			binary.BigEndian.PutUint16(query, id)
			conn.Write(framed(query))
		}
		conn.(*net.TCPConn).CloseWrite()
	}()
	for id := range uint16(100) {
		if m := unpacked(t, readTCP(t, conn)); m.Id != id || len(m.Answer) != 560 {
			t.Fatalf("reply %d has id %d and %d answers", id, m.Id, len(m.Answer))
		}
	}
	if !isClosed(conn) {
		t.Error("the server does not close")
	}
}

// The Responder is told what the protocol needs to know of the transport.
func TestDesk(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	for _, secure := range []bool{false, true} {
		l := &tcpListener{server: s, secure: secure, count: s.stats.joinStream(secure)}
		for _, closing := range []bool{false, true} {
			l.closing.Store(closing)
			r := (&stream{listener: l}).desk().responder
			if r.closing != closing || r.encrypted != secure || r.count.proto() != map[bool]string{true: "tls", false: "tcp"}[secure] {
				t.Errorf("closing %t, encrypted %t, counted as %s", r.closing, r.encrypted, r.count.proto())
			}
		}
	}
}

// used is the memory that is in use.
func used() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// When another process has the socket, what waits in it is for that one; open connections are served until they are idle.
func TestTCPLeave(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	address := first(s)
	conn, silent := dial(t, "tcp", address), dial(t, "tcp", address)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	exchange(t, conn, query)
	exchange(t, silent, query)
	l := s.listeners[options("127.0.0.1:0").Listen[0]].tcp
	file, err := l.listener.File() // as the other process has it
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	started := time.Now()
	l.leave()
	<-l.stopped
	other, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	// A connection that comes while the last call of accept runs is still this process's: at most one is.
	for try := 1; ; try++ {
		next := dial(t, "tcp", address)
		other.(*net.TCPListener).SetDeadline(time.Now().Add(2 * time.Second))
		accepted, err := other.Accept()
		if err != nil && try == 1 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if accepted.RemoteAddr().String() != next.LocalAddr().String() {
			t.Error("a connection that came later is not the other process's")
		}
		accepted.Close()
		break
	}
	exchange(t, conn, query)
	if !isClosed(silent) {
		t.Error("an idle connection stays open")
	}
	if took := time.Since(started); took < leaveIdle {
		t.Errorf("closed after %v", took)
	}
	l.wait()
}
