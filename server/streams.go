package server

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"
)

// streams are the open connections of a server, TCP and TLS, over all its addresses: whose they are, what each waits
// for, and since when. They decide which connection goes when there is no room for another (RFC 7766 section 6.2.3),
// and set every deadline. The lifetime of a connection and the number of its queries have no bound: a client that keeps
// asking is better served on the connection that it has, and room is made by the bounds below.
type streams struct {
	log    *slog.Logger
	stats  *streamStats
	mu     sync.Mutex // guards all below, and what streams and listeners say it guards
	limits streamLimits
	open   int
	peers  map[netip.Addr]*peer
	queues queues
	// ceiling is how many connections there may be since descriptors were short; 0: they are not.
	ceiling int
	short   time.Time // when a descriptor was last missing
	warned  time.Time // when that was last logged
}

// streamLimits bound the connections of a server.
type streamLimits struct {
	// idle is how long a connection may wait for a query; message is how long a query may take from its first octet to
	// its last, a TLS handshake from its beginning to its end, and a reply until the client has taken it.
	idle, message time.Duration
	// total bounds all connections, perClient those of one client.
	total, perClient int
}

// peer is the connections of one client: of an IPv4 address, or of an IPv6 network of 64 bits.
type peer struct {
	key    netip.Addr
	open   int
	queues queues
}

// clientKey is the client that an unmapped address belongs to.
func clientKey(source netip.Addr) netip.Addr {
	if source.Is4() {
		return source
	}
	network, _ := source.Prefix(64) // fails for no IPv6 address
	return network.Addr()
}

func newStreams(log *slog.Logger, stats *streamStats) *streams {
	return &streams{log: log, stats: stats, peers: map[netip.Addr]*peer{}}
}

// configure sets the limits, for connections that are open too. What is beyond them goes when it is idle.
func (p *streams) configure(o Options) {
	limits := streamLimits{idle: o.TCPIdleTimeout, message: o.TCPMessageTimeout, total: o.TCPConnections, perClient: o.TCPConnectionsPerClient}
	most := descriptors() / 2
	p.mu.Lock()
	defer p.mu.Unlock()
	if most < limits.total {
		if p.limits.total != most {
			p.log.Warn("connections may take half of the descriptors of the process: raise its limit of open files, or lower dns.tcp_connections",
				"tcp_connections", limits.total, "served", most)
		}
		limits.total = most
	}
	p.limits = limits
	p.shrink(time.Now())
}

// shrink ends connections until there are no more than may be, as far as some can go.
func (p *streams) shrink(now time.Time) {
	for most := p.most(now); p.open > most && p.replace(&p.queues, closedReplaced); {
	}
}

// most is how many connections there may be now.
func (p *streams) most(now time.Time) int {
	if p.ceiling > 0 && now.Sub(p.short) > shortTime {
		p.ceiling = 0
	}
	if p.ceiling > 0 {
		return min(p.ceiling, p.limits.total)
	}
	return p.limits.total
}

// admit takes a new connection in, at the cost of another one where there are too many: of the same client, or of all.
// When none of those can go, because all are being answered, there may be a few more than the limit for the moment that
// this takes. It reports false when they are there already.
func (p *streams) admit(s *stream) bool {
	now := time.Now()
	key := clientKey(s.source)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.peers[key]
	most := p.most(now)
	if c != nil && c.open >= p.limits.perClient && !p.replace(&c.queues, closedClient) && c.open >= p.limits.perClient+p.spare(p.limits.perClient) ||
		p.open >= most && !p.replace(&p.queues, closedReplaced) && p.open >= most+p.spare(most) {
		p.stats.closed[closedRefused].Add(1)
		return false
	}
	if c = p.peers[key]; c == nil { // replacing may have removed it
		c = &peer{key: key}
		p.peers[key] = c
	}
	c.open++
	p.open++
	s.peer = c
	s.listener.conns[s] = struct{}{}
	s.begun, s.partial, s.waiting = now, s.listener.secure, true
	p.settle(s, now)
	p.stats.accepted.Add(1)
	return true
}

// spare is how many connections there may be beyond a limit while all are being answered.
func (p *streams) spare(limit int) int {
	if p.ceiling > 0 {
		return 0 // it stands for descriptors, which are not there
	}
	return 1 + limit/16
}

// replace ends the connection that has been idle longest; when none is idle, the one whose unfinished message was begun
// first. It reports false when there is neither: what is being answered, and a zone transfer, stays.
func (p *streams) replace(q *queues, why closed) bool {
	s := q.first(waitsIdle)
	if s == nil {
		s = q.first(waitsRest)
	}
	if s == nil {
		return false
	}
	p.end(s, why)
	return true
}

// end makes a connection end, and its room free at once. Its goroutine finds out when it next looks: it is woken from
// what it waits for.
func (p *streams) end(s *stream, why closed) {
	if s.ended != closedNot {
		return
	}
	s.ended = why
	p.place(s, waitsNot)
	delete(s.listener.conns, s)
	p.open--
	if s.peer.open--; s.peer.open == 0 {
		delete(p.peers, s.peer.key)
	}
	p.stats.closed[why].Add(1)
	s.conn.SetDeadline(time.Unix(1, 0))
}

// remove is the end of a connection for a reason of its own; for one that was ended already it does nothing.
func (p *streams) remove(s *stream, why closed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(s, why)
}

// await lets a connection wait for its next octets, with a deadline for them; fresh is whether a message was completed
// since it last waited, or the octets at hand are the first of one. It reports false when the connection has ended.
func (p *streams) await(s *stream, partial, fresh bool) bool {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ended != closedNot {
		return false
	}
	if fresh {
		s.begun = now
	}
	s.partial, s.waiting = partial, true
	p.settle(s, now)
	// One that came while all were being answered has its turn in place of the first that has no more to do.
	switch {
	case !s.asked || s.queued != waitsIdle:
	case s.peer.open > p.limits.perClient:
		p.end(s, closedClient)
	case p.open > p.most(now):
		p.end(s, closedReplaced)
	}
	return s.ended == closedNot
}

// wake tells that a connection has what it waited for. It reports false when the connection has ended.
func (p *streams) wake(s *stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.waiting, s.asked = false, true
	p.place(s, waitsNot)
	return s.ended == closedNot
}

// settle puts a connection that waits into its queue, and gives it the deadline. One with a zone transfer waits as long
// as that takes, but a message once begun must end.
func (p *streams) settle(s *stream, now time.Time) {
	var deadline time.Time
	switch {
	case s.partial:
		deadline = s.begun.Add(p.limits.message)
	case s.transfers == 0:
		deadline = now.Add(s.listener.idle(p.limits.idle))
	}
	deadline = s.listener.before(deadline)
	switch {
	case s.transfers > 0:
		p.place(s, waitsNot)
	case s.partial:
		p.place(s, waitsRest)
	default:
		p.place(s, waitsIdle)
	}
	s.conn.SetReadDeadline(deadline)
}

// mayWrite gives a connection the deadline for its next reply. It reports false when the connection has ended.
func (p *streams) mayWrite(s *stream) bool {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ended != closedNot {
		return false
	}
	s.conn.SetWriteDeadline(s.listener.before(now.Add(p.limits.message)))
	return true
}

// beginTransfer notes that a zone transfer runs beside the connection's other queries. It reports false when there are
// as many already as may.
func (p *streams) beginTransfer(s *stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.transfers >= maxTransfers {
		return false
	}
	s.transfers++
	return true
}

// endTransfer is the end of one; the connection is idle when it waits for nothing else.
func (p *streams) endTransfer(s *stream) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.transfers--; s.transfers == 0 && s.waiting && s.ended == closedNot {
		p.settle(s, now)
	}
}

// starved makes room when the process is out of descriptors: some of the connections that wait go, and for shortTime
// there may not be more than are left, so that probes and the admin API find descriptors too.
func (p *streams) starved(address netip.AddrPort, err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	target := p.open - max(p.open/8, 16)
	for p.open > target && p.replace(&p.queues, closedStarved) {
	}
	p.ceiling, p.short = max(p.open, 1), now
	if now.Sub(p.warned) >= time.Minute {
		p.warned = now
		p.log.Warn("accept a connection: idle connections are closed to make room, and this is told once a minute at most",
			"address", address, "error", err, "connections", p.open)
	}
}

const (
	// shortTime is how long after a descriptor was missing there are fewer connections than configured.
	shortTime = 10 * time.Second
	// starvedPause is how long accepting rests after it failed.
	starvedPause = 100 * time.Millisecond
	// maxTransfers is how many zone transfers run beside the other queries of one connection; while there is one more, its
	// next queries wait.
	maxTransfers = 4
)

// A connection is in a queue while it waits for its client.
const (
	waitsNot  = iota - 1
	waitsIdle // for a query
	waitsRest // for the rest of one that has begun, or of a TLS handshake
	waits
)

// queues hold connections by what they wait for, the one that has waited longest first. The zero value is empty.
type queues [waits]struct{ head, tail *stream }

// link is the place of a connection in a queue.
type link struct{ before, after *stream }

// first is the connection that has waited longest, or nil.
func (q *queues) first(kind int) *stream { return q[kind].head }

// place moves a connection to the end of a queue of all and of one of its client; waitsNot is none.
func (p *streams) place(s *stream, kind int) {
	for side, q := range [2]*queues{&p.queues, &s.peer.queues} {
		if s.queued != waitsNot {
			q.remove(s, side)
		}
		if kind != waitsNot {
			q.push(s, side, kind)
		}
	}
	s.queued = kind
}

func (q *queues) push(s *stream, side, kind int) {
	last := q[kind].tail
	s.links[side] = link{before: last}
	q[kind].tail = s
	if last == nil {
		q[kind].head = s
		return
	}
	last.links[side].after = s
}

func (q *queues) remove(s *stream, side int) {
	l := s.links[side]
	s.links[side] = link{}
	if l.before == nil {
		q[s.queued].head = l.after
	} else {
		l.before.links[side].after = l.after
	}
	if l.after == nil {
		q[s.queued].tail = l.before
	} else {
		l.after.links[side].before = l.before
	}
}

// deadlineReason is why a connection ended whose deadline is over; it is for one that was not ended by streams.
func (p *streams) deadlineReason(s *stream) closed {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !s.listener.end.IsZero():
		return closedStopped
	case s.partial:
		return closedMessage
	default:
		return closedIdle
	}
}

// isTimeout reports whether a deadline is over.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
