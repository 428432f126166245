package server

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gtmd/server/wire"
)

// stream is one connection, over TCP or TLS. One goroutine reads its messages and answers them; zone transfers run
// beside it, so that they hold up no other answer (RFC 7766 section 6.2.1.1).
type stream struct {
	listener  *tcpListener
	raw       *net.TCPConn
	conn      net.Conn // raw, or TLS over it
	source    netip.Addr
	port      uint16         // of the client
	local     netip.AddrPort // ours
	transfer  sync.WaitGroup
	message   []byte     // that is being answered
	writing   sync.Mutex // held while messages are written
	small     [smallBuffer]byte
	peer      *peer
	links     [2]link // in the queues of all, and of the client
	queued    int     // the kind of queue; this and all below is guarded by streams.mu
	ended     closed  // closedNot while the connection is served
	waiting   bool    // for the client's octets
	partial   bool    // some octets of a message are there, or the handshake is not complete
	asked     bool    // something came from the client
	begun     time.Time
	transfers int // that run beside
}

const (
	// smallBuffer is what a connection waits with, in octets: no query but a strange one is longer.
	smallBuffer = 512
	// burstBuffer is for one that has more to read than that, for as long as it has.
	burstBuffer = 4096
	// largeBuffer has room for the longest message and its length.
	largeBuffer = 2 + maxMessage
	// flushLen is how many octets of replies are gathered for one write.
	flushLen = 16 << 10
)

// maxMessage is the largest DNS message (RFC 1035 section 4.2.2).
const maxMessage = 65535

// transferer gives zones to other servers. It is called for the messages that isTransfer picks, on a goroutine of its
// own with a Responder of its own; send sends one reply, may be called many times, and fails when the client is gone.
type transferer interface {
	serve(r *Responder, message []byte, source netip.Addr, send func(reply []byte) error) error
}

// errNoQuery ends a connection on which something came that is no query (RFC 7766 section 8 lets the server close).
var errNoQuery = errors.New("no query")

// errEnded ends the goroutine of a connection that was ended by others.
var errEnded = errors.New("ended")

// run serves the connection until it ends.
func (s *stream) run() {
	pool := s.listener.server.streams
	why := closedError
	defer func() {
		if reason := recover(); reason != nil {
			s.listener.server.caught(reason, s.message)
			why = closedError
		}
		pool.remove(s, why)
		s.close()
		s.transfer.Wait()
	}()
	if why = s.handshake(); why != closedNot {
		return
	}
	why = s.read()
	if why == closedByClient {
		s.transfer.Wait() // it may have closed its half only
	}
}

// farewellTime is how long a client has to take the farewell of TLS.
const farewellTime = 100 * time.Millisecond

// close closes the connection, which was ended. A client that takes nothing gets no farewell of TLS: crypto/tls would wait for it for 5 s,
// and who stops the listener with it.
func (s *stream) close() {
	if s.ended == closedWrite {
		s.raw.SetLinger(0) // what the client does not take, the kernel need not keep
		s.raw.Close()
		return
	}
	if s.listener.secure {
		defer time.AfterFunc(farewellTime, func() { s.raw.Close() }).Stop()
	}
	s.conn.Close()
}

// handshake is that of TLS, where the connection has it; closedNot is success.
func (s *stream) handshake() closed {
	conn, ok := s.conn.(*tls.Conn)
	if !ok {
		return closedNot
	}
	pool := s.listener.server.streams
	if !pool.mayWrite(s) {
		return closedError // it has its reason already
	}
	if err := conn.Handshake(); err != nil {
		pool.stats.handshakes.Add(1)
		return closedHandshake
	}
	return closedNot
}

// read reads messages and answers them. It returns when no more can come, or shall.
func (s *stream) read() closed {
	pool := s.listener.server.streams
	buf, fresh := s.small[:0], true
	for {
		if !pool.await(s, len(buf) > 0, fresh) {
			return closedError // it has its reason already
		}
		n, err := s.conn.Read(buf[len(buf):cap(buf)])
		if n > 0 {
			if !pool.wake(s) {
				return closedError
			}
			begins := len(buf) == 0
			buf = buf[:len(buf)+n]
			full := len(buf) == cap(buf)
			done, failure := s.answer(buf)
			if failure != nil {
				return s.reason(failure)
			}
			rest := buf[done:]
			fresh = begins || done > 0
			buf = s.buffer(buf, rest, full)
		}
		switch {
		case err == io.EOF:
			return closedByClient
		case isTimeout(err):
			return pool.deadlineReason(s)
		case err != nil:
			return closedError
		}
	}
}

// buffer is what to read into next, with the rest of what was read at its beginning. It grows with what has arrived, not
// with what a length promises.
func (s *stream) buffer(buf, rest []byte, full bool) []byte {
	switch {
	case len(rest) == cap(buf):
		return append(make([]byte, 0, min(8*cap(buf), largeBuffer)), rest...)
	case full && cap(buf) < burstBuffer, cap(buf) > burstBuffer && len(rest) < burstBuffer && len(rest) < len(buf):
		return append(make([]byte, 0, burstBuffer), rest...)
	case len(rest) == 0 && !full:
		return s.small[:0]
	default:
		return buf[:copy(buf[:cap(buf)], rest)]
	}
}

// answer answers the whole messages in buf, with as few writes as there can be; it returns how many octets they are.
func (s *stream) answer(buf []byte) (done int, err error) {
	if !hasMessage(buf) {
		return 0, nil
	}
	d := s.desk()
	defer s.listener.desks.Put(d)
	out := d.out[:0]
	for hasMessage(buf[done:]) {
		n := 2 + int(binary.BigEndian.Uint16(buf[done:]))
		message := buf[done+2 : done+n]
		s.message = message
		done += n
		if isTransfer(message) {
			if len(out) > 0 { // it may take long
				if err := s.write(out); err != nil {
					return done, err
				}
				out = out[:0]
			}
			s.serveTransfer(message)
			continue
		}
		// Prefix and message leave in one write (RFC 7766 section 8).
		start := len(out)
		out = d.responder.Respond(append(out, 0, 0), message, s.source, maxMessage)
		if len(out) == start+2 {
			out, err = out[:start], errNoQuery
			break
		}
		binary.BigEndian.PutUint16(out[start:], uint16(len(out)-start-2))
		if len(out) >= flushLen {
			if err := s.write(out); err != nil {
				return done, err
			}
			out = out[:0]
		}
	}
	if len(out) > 0 {
		if failure := s.write(out); failure != nil {
			return done, failure
		}
	}
	d.keep(out)
	return done, err
}

// desk takes a desk, whose Responder knows the connection; the caller puts it back.
func (s *stream) desk() *desk {
	t := s.listener
	d, ok := t.desks.Get().(*desk)
	if !ok {
		d = &desk{responder: t.server.responder(t.count)}
		d.responder.encrypted = t.secure
	}
	d.responder.closing = t.closing.Load()
	d.responder.record.port, d.responder.record.local = s.port, s.local
	return d
}

// hasMessage reports whether buf begins with a whole message.
func hasMessage(buf []byte) bool {
	return len(buf) >= 2 && len(buf)-2 >= int(binary.BigEndian.Uint16(buf))
}

// write sends framed messages.
func (s *stream) write(framed []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if !s.listener.server.streams.mayWrite(s) {
		return errEnded
	}
	_, err := s.conn.Write(framed)
	return err
}

// reason is why a connection ends whose answering failed.
func (s *stream) reason(err error) closed {
	switch {
	case err == errNoQuery:
		return closedNoQuery
	case isTimeout(err):
		return closedWrite
	default:
		return closedError
	}
}

// serveTransfer has a zone transfer given, beside the other queries, or before the next when there are many already.
func (s *stream) serveTransfer(message []byte) {
	pool := s.listener.server.streams
	if !pool.beginTransfer(s) {
		s.giveZone(message)
		return
	}
	message = append([]byte(nil), message...)
	s.transfer.Go(func() {
		defer pool.endTransfer(s)
		s.giveZone(message)
	})
}

// giveZone has a zone transfer given; the connection ends when that fails.
func (s *stream) giveZone(message []byte) {
	pool := s.listener.server.streams
	why := closedError
	defer func() {
		if reason := recover(); reason != nil {
			s.listener.server.caught(reason, message)
		}
		if why != closedNot {
			pool.remove(s, why)
		}
	}()
	d := s.desk()
	defer s.listener.desks.Put(d)
	send := func(reply []byte) error {
		if len(reply) > maxMessage {
			return fmt.Errorf("a message of %d octets is longer than any can be", len(reply))
		}
		d.out = append(binary.BigEndian.AppendUint16(d.out[:0], uint16(len(reply))), reply...)
		return s.write(d.out)
	}
	err := s.listener.server.transferer.serve(d.responder, message, s.source, send)
	d.keep(d.out)
	if why = closedNot; err != nil {
		why = s.reason(err)
	}
}

// isTransfer reports whether a message asks for a zone transfer: an AXFR or IXFR query (RFC 5936, RFC 1995).
func isTransfer(message []byte) bool {
	if len(message) < wire.HeaderLen || message[2]&0xf8 != 0 || binary.BigEndian.Uint16(message[4:]) != 1 {
		return false
	}
	for at := wire.HeaderLen; at < len(message); at += 1 + int(message[at]) {
		switch {
		case message[at] > 63:
			return false
		case message[at] == 0:
			if len(message) < at+5 {
				return false
			}
			qtype := binary.BigEndian.Uint16(message[at+1:])
			return qtype == wire.TypeIXFR || qtype == wire.TypeAXFR
		}
	}
	return false
}
