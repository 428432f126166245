package server

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// T02: a query in segments of one octet.
func TestTCPOctetByOctet(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	conn := dial(t, "tcp", first(s))
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	for _, c := range framed(query) {
		if _, err := conn.Write([]byte{c}); err != nil { // TCP_NODELAY is the default
			t.Fatal(err)
		}
	}
	if m := unpacked(t, readTCP(t, conn)); len(m.Answer) != 1 {
		t.Errorf("reply %v", m)
	}
}

// T03, T04: 100 queries in one write are all answered, and the connection is good for more.
func TestTCPPipelined(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	conn := dial(t, "tcp", first(s))
	for range 2 {
		var all []byte
		for id := range uint16(100) {
			query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
			binary.BigEndian.PutUint16(query, id)
			all = append(all, framed(query)...)
		}
		if _, err := conn.Write(all); err != nil {
			t.Fatal(err)
		}
		seen := map[uint16]bool{}
		for range 100 {
			m := unpacked(t, readTCP(t, conn))
			if seen[m.Id] || len(m.Answer) != 1 {
				t.Fatalf("reply %v", m)
			}
			seen[m.Id] = true
		}
	}
}

// T05: a client that closes its half after the query is answered.
func TestTCPHalfClosed(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	conn := dial(t, "tcp", first(s))
	conn.Write(framed(packet(t, "big.gtm.test.", dns.TypeA, 0, "")))
	conn.(*net.TCPConn).CloseWrite()
	if m := unpacked(t, readTCP(t, conn)); len(m.Answer) != 560 {
		t.Errorf("%d answers", len(m.Answer))
	}
	if !isClosed(conn) {
		t.Error("the server does not close")
	}
}

// T06: what is no query closes its own connection only.
func TestTCPGarbage(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	response := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	response[2] |= 0x80
	for _, message := range [][]byte{{}, make([]byte, 5), make([]byte, 11), response} {
		conn := dial(t, "tcp", first(s))
		conn.Write(framed(message))
		if !isClosed(conn) {
			t.Errorf("%d octets: the connection stays open", len(message))
		}
	}
	exchange(t, dial(t, "tcp", first(s)), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
}

// T08: errors keep the connection.
func TestTCPErrorsKeepTheConnection(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	conn := dial(t, "tcp", first(s))
	malformed := append(packet(t, "www.gtm.test.", dns.TypeA, 0, ""), 0)
	dso := packet(t, "www.gtm.test.", dns.TypeA, 0, "")[:12]
	dso[2], dso[5] = 6<<3, 0
	for _, test := range []struct {
		query []byte
		rcode int
	}{{malformed, dns.RcodeFormatError}, {dso, dns.RcodeNotImplemented}, {malformed[:len(malformed)-1], dns.RcodeSuccess}} {
		if m := unpacked(t, exchange(t, conn, test.query)); m.Rcode != test.rcode {
			t.Errorf("rcode %d, want %d", m.Rcode, test.rcode)
		}
	}
}

// T09, T10, T11: a connection is closed that is idle after a query or from the beginning (RFC 7766 section 6.2.3), and one
// whose message has begun and does not end: that has less time.
func TestTCPIdle(t *testing.T) {
	const short = 50 * time.Millisecond
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	for _, test := range []struct {
		name          string
		idle, message time.Duration
		before        func(net.Conn)
		why           closed
	}{
		{"silent", short, patience, func(net.Conn) {}, closedIdle},
		{"after a query", short, patience, func(c net.Conn) { exchange(t, c, query) }, closedIdle},
		{"half a length", patience, short, func(c net.Conn) { c.Write([]byte{0}) }, closedMessage},
		{"half a message", patience, short, func(c net.Conn) { c.Write(framed(query)[:20]) }, closedMessage},
		{"half a message after a query", patience, short, func(c net.Conn) { c.Write(append(framed(query), 0)); readTCP(t, c) }, closedMessage},
		{"a length of 64 KB", patience, short, func(c net.Conn) { c.Write([]byte{255, 255, 1}) }, closedMessage},
		{"no DNS at all", patience, short, func(c net.Conn) { c.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, closedMessage},
	} {
		o := options("127.0.0.1:0")
		o.TCPIdleTimeout, o.TCPMessageTimeout = test.idle, test.message
		s := newServer(t, o)
		conn := dial(t, "tcp", first(s))
		test.before(conn)
		if !isClosed(conn) {
			t.Errorf("%s: the connection stays open", test.name)
		}
		s.Close()
		if got := s.stats.streams.closed[test.why].Load(); got != 1 {
			t.Errorf("%s: %d connections closed for %q, want 1", test.name, got, closedNames[test.why])
		}
	}
}

// An octet now and then does not give a message more time, complete messages do.
func TestTCPSlowMessage(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPMessageTimeout = 100 * time.Millisecond
	s := newServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	conn := dial(t, "tcp", first(s))
	exchange(t, conn, query)
	started := time.Now()
	pace := time.NewTicker(o.TCPMessageTimeout / 10)
	defer pace.Stop()
	var err error
	for sent := 0; err == nil; sent++ {
		if sent == maxMessage {
			t.Fatal("the connection stays open")
		}
		octet := []byte{0}
		if sent == 0 {
			octet[0] = 255 // a message that will take long
		}
		<-pace.C
		_, err = conn.Write(octet)
	}
	if took := time.Since(started); took < o.TCPMessageTimeout {
		t.Errorf("closed after %v", took)
	}
	// Ten times the time of one message, for ten messages.
	conn = dial(t, "tcp", first(s))
	for range 30 {
		<-pace.C
		exchange(t, conn, query)
	}
}

// At the limit of connections, over all addresses, a new one takes the place of the one idle longest (RFC 7766 section
// 6.2.3), also of one whose message does not end when none is idle.
func TestTCPConnectionLimit(t *testing.T) {
	o := options("127.0.0.1:0", "[::1]:0")
	o.TCPConnections = 3
	s := newServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	// A connection takes its place behind the others only after its reply is there.
	settled := func() {
		await(t, "what must come", func() bool { return int64(queued(s, waitsIdle)+queued(s, waitsRest)) == s.stats.tcpOpen.Load() })
	}
	ask := func(conn net.Conn) {
		exchange(t, conn, query)
		settled()
	}
	connect := func(i int) net.Conn {
		conn := dial(t, "tcp", s.Addresses()[i])
		ask(conn)
		return conn
	}
	half := connect(1)
	half.Write(framed(query)[:20])
	await(t, "what must come", func() bool { return queued(s, waitsRest) == 1 })
	a, b := connect(0), connect(1)
	ask(a) // now b is idle longest
	c := connect(1)
	if !isClosed(b) {
		t.Error("the connection idle longest stays open")
	}
	ask(a)
	half.Write(framed(query)[20:])
	readTCP(t, half)
	settled()
	ask(c)
	// An address that a reload adds shares the room.
	o.Listen = append(o.Listen, options("127.0.0.2:0").Listen...)
	apply(t, s, o)
	d := connect(1)
	if !isClosed(a) {
		t.Error("an address that was added has room of its own")
	}
	for _, conn := range []net.Conn{half, c, d} {
		conn.Write(framed(query)[:20])
	}
	await(t, "what must come", func() bool { return queued(s, waitsRest) == 3 })
	connect(0) // whichever the server read first goes
	if got := queued(s, waitsRest); got != 2 {
		t.Errorf("%d unfinished messages are waited for, want 2", got)
	}
	// UDP does not mind.
	exchange(t, dial(t, "udp", s.Addresses()[1]), query)
	if got := s.stats.streams.closed[closedReplaced].Load(); got != 3 {
		t.Errorf("%d connections replaced, want 3", got)
	}
}

// queued is how many connections are in a queue.
func queued(s *Server, kind int) (n int) {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	for conn := s.streams.queues[kind].head; conn != nil; conn = conn.links[0].after {
		n++
	}
	return n
}

// A client beyond its own limit loses a connection of its own, whoever else has been idle longer.
func TestTCPConnectionLimitOfAClient(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPConnectionsPerClient = 2
	s := newServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	connect := func(from string) net.Conn {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.Dial("tcp", first(s).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		exchange(t, conn, query)
		await(t, "all connections idle", func() bool { return int64(queued(s, waitsIdle)) == s.stats.tcpOpen.Load() })
		return conn
	}
	other := connect("127.0.1.1")
	a, b := connect("127.0.1.2"), connect("127.0.1.2")
	c := connect("127.0.1.2")
	if !isClosed(a) {
		t.Error("the client's connection idle longest stays open")
	}
	for _, conn := range []net.Conn{other, b, c} {
		exchange(t, conn, query)
	}
	if got := s.stats.streams.closed[closedClient].Load(); got != 1 {
		t.Errorf("%d connections closed, want 1", got)
	}
}

func TestClientKey(t *testing.T) {
	for source, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "::1": "::",
	} {
		if got := clientKey(netip.MustParseAddr(source)); got.String() != want {
			t.Errorf("client %v of %s, want %s", got, source, want)
		}
	}
}

// A reload that changes limits keeps the connections that fit, and they have the new ones.
func TestTCPLimitsChanged(t *testing.T) {
	o := options("127.0.0.1:0")
	s := newServer(t, o)
	o.Listen[0] = first(s)
	apply(t, s, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	var conns []net.Conn
	for range 3 {
		conn := dial(t, "tcp", first(s))
		exchange(t, conn, query)
		conns = append(conns, conn)
		await(t, "the server waits for the next query on each", func() bool { return waiting(s) == len(conns) })
	}
	o.TCPConnections = 2
	apply(t, s, o)
	if !isClosed(conns[0]) {
		t.Error("the connection idle longest stays open")
	}
	o.TCPIdleTimeout = 50 * time.Millisecond
	apply(t, s, o)
	for _, conn := range conns[1:] {
		exchange(t, conn, query)
	}
	for _, conn := range conns[1:] {
		if !isClosed(conn) {
			t.Error("the connection does not have the new idle time")
		}
	}
}

// waiting is how many connections the server waits for a query on.
func waiting(s *Server) (count int) {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	for _, l := range s.listeners {
		for c := range l.tcp.conns {
			if c.waiting && !c.partial {
				count++
			}
		}
	}
	return count
}

// A client that reads no answers is closed, and what it did not read is not kept.
func TestTCPDeafClient(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPMessageTimeout = 100 * time.Millisecond
	s := newServer(t, o)
	conn := dial(t, "tcp", first(s))
	conn.(*net.TCPConn).SetReadBuffer(4096)
	big := bytes.Repeat(framed(packet(t, "big.gtm.test.", dns.TypeA, 0, "")), 200)
	var err error
	for sent := 0; err == nil; sent++ {
		if sent == 1000 {
			t.Fatal("the connection stays open") // 1.8 GB of replies
		}
		_, err = conn.Write(big)
	}
	await(t, "what must come", func() bool { return s.stats.streams.closed[closedWrite].Load() == 1 })
	exchange(t, dial(t, "tcp", first(s)), packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
}

// Listeners that other workers replace keep their connections, so that a reload resets none.
func TestReloadKeepsConnections(t *testing.T) {
	o := options("127.0.0.1:0")
	s := newServer(t, o)
	o.Listen[0] = first(s)
	apply(t, s, o)
	query := framed(packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	conn := dial(t, "tcp", first(s))
	for workers := 1; workers <= 3; workers++ {
		o.Workers = workers
		conn.Write(query[:20])
		change, err := s.Prepare(o)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, dial(t, "tcp", first(s)), query[2:])
		if workers == 1 {
			change.Discard()
		} else {
			change.Commit()
		}
		conn.Write(query[20:])
		readTCP(t, conn)
		exchange(t, dial(t, "tcp", first(s)), query[2:])
	}
	s.Close()
	checkEnded(t, s)
	if !isClosed(conn) {
		t.Error("the connection stays open after the end")
	}
}

// A client that sends half a query, and one that reads no reply, do not hold up Close.
func TestTCPCloseWithSlowClients(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPIdleTimeout, o.TCPMessageTimeout = 10*time.Minute, 2*time.Minute
	s := newServer(t, o)
	query := framed(packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	half := dial(t, "tcp", first(s))
	half.Write(query[:10])
	silent := dial(t, "tcp", first(s))
	exchange(t, silent, query[2:])
	deaf := dial(t, "tcp", first(s))
	deaf.(*net.TCPConn).SetReadBuffer(4096)
	big := bytes.Repeat(framed(packet(t, "big.gtm.test.", dns.TypeA, 0, "")), 2000)
	deaf.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	deaf.Write(big) // until the server waits for us to read: 2000 replies are 18 MB
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("Close waits for a client")
	}
	checkEnded(t, s)
	if !isClosed(half) || !isClosed(silent) {
		t.Error("a connection stays open")
	}
}

// What was begun before stop is answered when its end comes within drainTime. The test may be too slow for that, so it
// has several tries.
func TestTCPEndOfAQueryAfterStop(t *testing.T) {
	const tries = 10
	for range tries {
		if endOfAQueryAfterStop(t) {
			return
		}
	}
	t.Errorf("no answer in %d tries", tries)
}

func endOfAQueryAfterStop(t *testing.T) (answered bool) {
	s := newServer(t, options("127.0.0.1:0"))
	var l *tcpListener
	for _, running := range s.listeners {
		l = running.tcp
	}
	query := framed(packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	conn := dial(t, "tcp", first(s))
	exchange(t, conn, query[2:]) // accepted
	conn.Write(query[:10])
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	<-l.stopped
	conn.Write(query[10:])
	reply := make([]byte, maxMessage)
	n, _ := conn.Read(reply)
	<-closed
	if !isClosed(conn) {
		t.Error("the connection stays open")
	}
	return n > 14 && reply[9] == 1
}
