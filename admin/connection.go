package admin

import (
	"context"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the connections to one listener.
const (
	maxConnections       = 512
	maxClientConnections = 128 // of one network
	// patience is how long a connection may be busy before it may give way to a new one, unless its client is known.
	patience = 5 * time.Second
)

// crowd is the connections of one listener. At a limit a new one takes the place of another: first of the one that has been silent
// longest, then of the one that has been busy longest. So who holds connections to do harm loses them first.
type crowd struct {
	net.Listener
	refused func() // counts

	mu      sync.Mutex
	all     map[*connection]bool
	clients map[string]int
}

func newCrowd(l net.Listener, refused func()) *crowd {
	return &crowd{Listener: l, refused: refused, all: map[*connection]bool{}, clients: map[string]int{}}
}

// connection is one of a crowd.
type connection struct {
	net.Conn
	crowd  *crowd
	client string // its network; empty on a unix socket
	// isKnown is whether it has shown a token, or is from the socket: it never gives way while it is busy.
	isKnown atomic.Bool

	// The rest is guarded by the mutex of the crowd.
	busy  bool // a request has been read and is not answered yet
	since time.Time
}

// Accept returns the next connection for which there is room.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		one := &connection{Conn: conn, crowd: c, client: networkOf(conn.RemoteAddr().String()), since: time.Now()}
		leaver, ok := c.join(one)
		if leaver != nil {
			leaver.Close()
			c.refused()
		}
		if ok {
			return one, nil
		}
		conn.Close()
		c.refused()
	}
}

// join takes a connection in, and returns the one that gives way; false when it may not come in.
func (c *crowd) join(one *connection) (leaver *connection, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := len(c.all) >= maxConnections
	fullClient := one.client != "" && c.clients[one.client] >= maxClientConnections
	if full || fullClient {
		if leaver = c.leaver(one, fullClient); leaver == nil {
			return nil, false
		}
		c.leave(leaver)
	}
	c.all[one] = true
	c.clients[one.client]++
	return leaver, true
}

// leaver is the connection that gives way to a new one, nil when none has to. The caller holds mu.
func (c *crowd) leaver(one *connection, ofClient bool) (worst *connection) {
	for other := range c.all {
		switch {
		case ofClient && other.client != one.client:
		case other.busy && (other.isKnown.Load() || one.since.Sub(other.since) < patience):
		case worst == nil, worst.busy && !other.busy, worst.busy == other.busy && other.since.Before(worst.since):
			worst = other
		}
	}
	return worst
}

// leave forgets a connection. The caller holds mu.
func (c *crowd) leave(one *connection) {
	if !c.all[one] {
		return
	}
	delete(c.all, one)
	if c.clients[one.client]--; c.clients[one.client] == 0 {
		delete(c.clients, one.client)
	}
}

// Close closes the connection and makes room.
func (c *connection) Close() error {
	c.crowd.mu.Lock()
	c.crowd.leave(c)
	c.crowd.mu.Unlock()
	return c.Conn.Close()
}

// count is how many there are.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// note keeps what [http.Server] says of the state of a connection.
func note(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*connection)
	if !ok || state != http.StateActive && state != http.StateIdle {
		return
	}
	c.crowd.mu.Lock()
	defer c.crowd.mu.Unlock()
	c.busy, c.since = state == http.StateActive, time.Now()
}

type connectionKey struct{}

// withConnection lets a request find its connection.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// peerName is the name of the user at the other end of a unix socket, "uid 1000" when he has none, empty when that is not known.
func peerName(ctx context.Context) string {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return ""
	}
	uid, ok := peerUser(c.Conn)
	if !ok {
		return ""
	}
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + number
}
