package server

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// tcpListener accepts the connections of one address, those of TCP (RFC 7766) or those of TLS (RFC 7858). It outlives a
// reload that opens the address anew with other options: the old and the new listener share it.
type tcpListener struct {
	server   *Server
	listener *net.TCPListener
	address  netip.AddrPort
	secure   bool // TLS
	count    *counters
	desks    sync.Pool // of *desk
	stopped  chan struct{}
	closing  atomic.Bool    // connections end soon
	done     sync.WaitGroup // the acceptor
	served   sync.WaitGroup // the connections

	// guarded by streams.mu
	users   int // listeners that have it
	started bool
	conns   map[*stream]struct{}
	end     time.Time // when connections must have ended; zero before stop and leave
	left    bool      // another process has the socket
}

// openTCP opens the TCP socket of an address, for TLS where it is secure.
func (s *Server) openTCP(address netip.AddrPort, secure bool) (*tcpListener, error) {
	l, err := s.listenTCP(address)
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	return &tcpListener{
		server: s, listener: l, address: netip.AddrPortFrom(address.Addr(), port), secure: secure, users: 1,
		stopped: make(chan struct{}), conns: map[*stream]struct{}{},
	}, nil
}

// drainTime is how long a socket is still served after it was told to stop, at most: for queries that have arrived, and
// for connections to send what they have begun to send.
const drainTime = 200 * time.Millisecond

// backlogTime is how long connections are still accepted after stop: those that the kernel has accepted already.
const backlogTime = 10 * time.Millisecond

// share is the listener for one more user.
func (t *tcpListener) share() *tcpListener {
	t.server.streams.mu.Lock()
	defer t.server.streams.mu.Unlock()
	t.users++
	return t
}

// start accepts connections, if no other user has it do so already.
func (t *tcpListener) start() {
	t.server.streams.mu.Lock()
	defer t.server.streams.mu.Unlock()
	if t.started {
		return
	}
	t.started = true
	t.count = t.server.stats.joinStream(t.secure)
	t.done.Go(t.run)
}

// run accepts connections until stop and returns when they have ended. When the process is out of descriptors it makes
// room and tries again after a pause, without spinning.
func (t *tcpListener) run() {
	defer t.server.stats.leave(t.count)
	defer t.served.Wait()
	defer t.listener.Close()
	for {
		conn, err := t.listener.AcceptTCP()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			t.server.streams.starved(t.address, err)
			select {
			case <-t.stopped:
				return
			case <-time.After(starvedPause):
			}
		default:
			t.take(conn)
		}
	}
}

// take serves a connection, or closes it where there is no room.
func (t *tcpListener) take(conn *net.TCPConn) {
	peer, local := conn.RemoteAddr().(*net.TCPAddr).AddrPort(), conn.LocalAddr().(*net.TCPAddr).AddrPort()
	source := peer.Addr().Unmap().WithZone("")
	s := &stream{listener: t, raw: conn, conn: conn, source: source, port: peer.Port(), local: local, queued: waitsNot}
	if t.secure {
		s.conn = t.server.certificates.secure(conn)
	}
	if !t.server.streams.admit(s) {
		conn.Close()
		return
	}
	t.server.stats.tcpOpen.Add(1)
	t.served.Go(func() {
		defer t.server.stats.tcpOpen.Add(-1)
		s.run()
	})
}

// stop ends accepting, when the last user asks for it. Connections have drainTime to send what they have begun to send,
// and are answered.
func (t *tcpListener) stop() {
	pool := t.server.streams
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if t.users == 0 {
		return // it was left
	}
	t.users--
	switch {
	case t.users > 0:
	case !t.started:
		t.listener.Close()
	default:
		close(t.stopped)
		t.closing.Store(true)
		now := time.Now()
		t.listener.SetDeadline(now.Add(backlogTime))
		t.end = now.Add(drainTime)
		for s := range t.conns {
			s.conn.SetDeadline(t.end)
		}
	}
}

// leaveTime is how long connections are served at most after another process has the socket, and leaveIdle how long one may
// then be idle.
const (
	leaveTime = 5 * time.Second
	leaveIdle = time.Second
)

// leave ends accepting, which another process does now on the same socket: connections that wait in it are for that one.
// Those that are open are served until they are idle for leaveIdle, for leaveTime at most.
func (t *tcpListener) leave() {
	pool := t.server.streams
	pool.mu.Lock()
	defer pool.mu.Unlock()
	t.users = 0
	close(t.stopped)
	t.closing.Store(true)
	now := time.Now()
	t.listener.SetDeadline(time.Unix(1, 0))
	t.end, t.left = now.Add(leaveTime), true
	for s := range t.conns {
		if s.waiting {
			pool.settle(s, now)
		}
	}
}

// idle is how long a connection may be idle, of the usual time.
func (t *tcpListener) idle(usual time.Duration) time.Duration {
	if t.left {
		return min(usual, leaveIdle)
	}
	return usual
}

// wait returns when the listener and its connections have ended, or at once when it has another user.
func (t *tcpListener) wait() {
	t.server.streams.mu.Lock()
	users := t.users
	t.server.streams.mu.Unlock()
	if users == 0 {
		t.done.Wait()
	}
}

// before is a deadline, or the end of the listener when that is sooner. The zero time is no deadline.
func (t *tcpListener) before(deadline time.Time) time.Time {
	if !t.end.IsZero() && (deadline.IsZero() || t.end.Before(deadline)) {
		return t.end
	}
	return deadline
}

// desk is what a connection needs while it answers. Connections that wait have none.
type desk struct {
	responder *Responder
	out       []byte
}

// keptOut is the largest buffer of replies that a desk keeps, in octets.
const keptOut = 2 * flushLen

// keep gives the desk its buffer back.
func (d *desk) keep(out []byte) {
	d.out = out
	if cap(out) > keptOut {
		d.out = nil
	}
}
