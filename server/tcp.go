package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// tcpListener accepts the TCP connections of one address (RFC 7766).
type tcpListener struct {
	server   *Server
	listener *net.TCPListener
	address  netip.AddrPort
	idle     time.Duration
	count    *counters
	// room has a token for each connection of the server that is open.
	room    chan struct{}
	stopped chan struct{}

	mu    sync.Mutex // guards conns and end
	conns map[*net.TCPConn]struct{}
	end   time.Time // when connections must have ended; zero before stop
	done  sync.WaitGroup
}

// openTCP opens the TCP socket of an address.
func (s *Server) openTCP(address netip.AddrPort, options Options, room chan struct{}) (*tcpListener, error) {
	l, err := listenTCP(address)
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	return &tcpListener{
		server: s, listener: l, address: netip.AddrPortFrom(address.Addr(), port), idle: options.TCPIdleTimeout,
		room: room, stopped: make(chan struct{}), conns: map[*net.TCPConn]struct{}{},
	}, nil
}

// drainTime is how long a socket is still served after it was told to stop, at most: for queries that have arrived, and
// for connections to send what they have begun to send.
const drainTime = 200 * time.Millisecond

// backlogTime is how long connections are still accepted after stop: those that the kernel has accepted already.
const backlogTime = 10 * time.Millisecond

// run accepts connections until stop and returns when they have ended. At the limit of connections the one accepted
// last waits; when the process is out of descriptors it tries again after a pause, without spinning.
func (t *tcpListener) run() {
	t.count = t.server.stats.join(false)
	defer t.server.stats.leave(t.count)
	defer t.done.Wait()
	defer t.listener.Close()
	for pause := time.Duration(0); ; {
		conn, err := t.listener.AcceptTCP()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			t.server.log.Warn("accept a TCP connection", "address", t.address, "error", err, "retry_after", pause)
			select {
			case <-t.stopped:
				return
			case <-time.After(pause):
			}
		case !t.reserve():
			conn.Close()
			return
		default:
			pause = 0
			t.add(conn)
			t.done.Go(func() { t.serve(conn) })
		}
	}
}

// reserve takes room for a connection, and waits for it. It reports false when there is none and the listener is stopped.
// Only a connection takes room, not an acceptor: addresses share it, and an idle one must not keep it from the others.
func (t *tcpListener) reserve() bool {
	select {
	case t.room <- struct{}{}:
		return true
	default:
	}
	select {
	case t.room <- struct{}{}:
		return true
	case <-t.stopped:
		return false
	}
}

// stop ends accepting. Connections have drainTime to send what they have begun to send, and are answered.
func (t *tcpListener) stop() {
	close(t.stopped)
	now := time.Now()
	t.listener.SetDeadline(now.Add(backlogTime))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = now.Add(drainTime)
	for conn := range t.conns {
		conn.SetDeadline(t.end)
	}
}

// add notes a connection that was accepted.
func (t *tcpListener) add(conn *net.TCPConn) {
	t.server.stats.tcpOpen.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[conn] = struct{}{}
}

// remove closes a connection and makes room for another.
func (t *tcpListener) remove(conn *net.TCPConn) {
	conn.Close()
	t.mu.Lock()
	delete(t.conns, conn)
	t.mu.Unlock()
	t.server.stats.tcpOpen.Add(-1)
	<-t.room
}

// extend gives a connection the idle time for its next step, or after stop what is left of drainTime.
func (t *tcpListener) extend(conn *net.TCPConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	deadline := t.end
	if deadline.IsZero() {
		deadline = time.Now().Add(t.idle)
	}
	conn.SetDeadline(deadline)
}

// serve answers the queries of one connection in order, until it is idle for too long, sends garbage, or ends.
func (t *tcpListener) serve(conn *net.TCPConn) {
	defer t.remove(conn)
	var in, out []byte
	defer func() {
		if reason := recover(); reason != nil {
			t.server.caught(reason, in)
		}
	}()
	peer, local := conn.RemoteAddr().(*net.TCPAddr).AddrPort(), conn.LocalAddr().(*net.TCPAddr).AddrPort()
	source := peer.Addr().Unmap().WithZone("")
	r := t.server.responder(t.count)
	r.record.local, r.record.port = local, peer.Port()
	reader := bufio.NewReaderSize(conn, 2048)
	var length [2]byte
	for {
		t.extend(conn)
		if _, err := io.ReadFull(reader, length[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if cap(in) < n {
			in = make([]byte, n)
		}
		in = in[:n]
		if _, err := io.ReadFull(reader, in); err != nil {
			return
		}
		if isTransfer(in) {
			err := t.server.transfers.serve(r, in, source, func(reply []byte) error {
				t.extend(conn)
				_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
				return err
			})
			if err != nil {
				return
			}
			continue
		}
		// Prefix and message leave in one write (RFC 7766 section 8).
		out = r.Respond(append(out[:0], 0, 0), in, source, maxMessage)
		if len(out) == 2 {
			return // not a query: RFC 7766 section 8 lets the server close
		}
		binary.BigEndian.PutUint16(out, uint16(len(out)-2))
		t.extend(conn)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// maxMessage is the largest DNS message (RFC 1035 section 4.2.2).
const maxMessage = 65535
