package server

import (
	"bytes"
	"encoding/binary"
	"net"
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

// T09, T10, T11: a connection is closed that is idle after a query, from the beginning, or inside a message.
func TestTCPIdle(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPIdleTimeout = 50 * time.Millisecond
	s := newServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	for _, test := range []struct {
		name   string
		before func(net.Conn)
	}{
		{"silent", func(net.Conn) {}},
		{"after a query", func(c net.Conn) { exchange(t, c, query) }},
		{"half a length", func(c net.Conn) { c.Write([]byte{0}) }},
		{"half a message", func(c net.Conn) { c.Write(framed(query)[:20]) }},
	} {
		conn := dial(t, "tcp", first(s))
		test.before(conn)
		if !isClosed(conn) {
			t.Errorf("%s: the connection stays open", test.name)
		}
	}
}

// At the limit of connections, over all addresses, new ones wait until one ends.
func TestTCPConnectionLimit(t *testing.T) {
	o := options("127.0.0.1:0", "[::1]:0")
	o.TCPConnections = 2
	s := newServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	a, b := dial(t, "tcp", s.Addresses()[0]), dial(t, "tcp", s.Addresses()[1])
	exchange(t, a, query)
	exchange(t, b, query)
	third := dial(t, "tcp", s.Addresses()[1])
	third.Write(framed(query))
	third.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := third.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a third connection is served")
	}
	third.SetReadDeadline(time.Now().Add(patience))
	// UDP does not mind.
	exchange(t, dial(t, "udp", s.Addresses()[1]), query)
	a.Close()
	if m := unpacked(t, readTCP(t, third)); len(m.Answer) != 1 {
		t.Errorf("reply %v", m)
	}
	// An address that a reload adds shares the room.
	o.Listen = append(o.Listen, options("127.0.0.2:0").Listen...)
	apply(t, s, o)
	fourth := dial(t, "tcp", s.Addresses()[1])
	fourth.Write(framed(query))
	fourth.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := fourth.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a third connection is served on the address that was added")
	}
}

// A reload that changes the limit starts with room of its own.
func TestTCPConnectionLimitChanged(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPConnections = 1
	s := newServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	exchange(t, dial(t, "tcp", first(s)), query)
	o.Listen[0], o.TCPConnections = first(s), 3
	apply(t, s, o)
	var conns []net.Conn
	for range 3 {
		conns = append(conns, dial(t, "tcp", first(s)))
		exchange(t, conns[len(conns)-1], query)
	}
}

// A client that sends half a query, and one that reads no reply, do not hold up Close.
func TestTCPCloseWithSlowClients(t *testing.T) {
	o := options("127.0.0.1:0")
	o.TCPIdleTimeout = 10 * time.Minute
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
