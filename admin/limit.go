package admin

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Bounds of what a client may do over TCP.
var (
	authRate   = rate{burst: 10, every: 6 * time.Second}        // wrong tokens of a network
	changeRate = rate{burst: 30, every: 2 * time.Second}        // changes
	readRate   = rate{burst: 30, every: 200 * time.Millisecond} // reads that cost much
	noteRate   = rate{burst: 500, every: time.Second}           // refused changes in the log and among the events
)

// maxClients bounds the table of each limit.
const maxClients = 4096

// rate is how much is allowed: burst at once, and one more each time that passes.
type rate struct {
	burst int
	every time.Duration
}

// LimitError says that somebody has done something too often.
type LimitError struct {
	What string        // "wrong tokens"
	Wait time.Duration // until the next try
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("too many %s: try again in %d s", e.What, e.seconds())
}

func (e *LimitError) seconds() int { return max(1, int(math.Ceil(e.Wait.Seconds()))) }

func (e *LimitError) reply(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(e.seconds()))
	replyError(w, http.StatusTooManyRequests, e)
}

// tell is reply for people.
func (e *LimitError) tell(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(e.seconds()))
	http.Error(w, e.Error(), http.StatusTooManyRequests)
}

// limiter bounds how often each client does something. Its memory is bounded: when the table is full, whoever has been there
// longest is forgotten.
type limiter struct {
	what string
	rate rate

	mu sync.Mutex
	// full is when the allowance of a client is whole again. Who is not there has a whole one.
	full map[string]time.Time
}

func newLimiter(what string, r rate) *limiter {
	return &limiter{what: what, rate: r, full: map[string]time.Time{}}
}

// take uses one of a client's allowance. The error is a [*LimitError] when there is none left.
func (l *limiter) take(client string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(client, now); err != nil {
		return err
	}
	full, known := l.full[client]
	if !known && len(l.full) >= maxClients {
		l.forget(now)
	}
	if full.Before(now) {
		full = now
	}
	l.full[client] = full.Add(l.rate.every)
	return nil
}

// left says whether there is any of a client's allowance left, without using it.
func (l *limiter) left(client string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.check(client, now)
}

func (l *limiter) check(client string, now time.Time) error {
	most := time.Duration(l.rate.burst-1) * l.rate.every
	if left := l.full[client].Sub(now); left > most {
		return &LimitError{What: l.what, Wait: left - most}
	}
	return nil
}

// forget removes all whose allowance is whole, or when there is nobody, the one whose is soonest. The caller holds mu.
func (l *limiter) forget(now time.Time) {
	first, soonest := "", time.Time{}
	for client, full := range l.full {
		if !full.After(now) {
			delete(l.full, client)
		} else if first == "" || full.Before(soonest) {
			first, soonest = client, full
		}
	}
	if len(l.full) >= maxClients {
		delete(l.full, first)
	}
}

// clientKey names the network of a client: its address, or its /64 of IPv6, which one machine may have whole; empty over the socket.
func clientKey(r *http.Request) string { return networkOf(r.RemoteAddr) }

func networkOf(remote string) string {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	ip := address.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.Prefix(64)
	return network.String()
}

// Bounds of event streams.
const (
	maxStreams       = 256
	maxClientStreams = 32
)

// streamCount counts the open streams, of all and of each client.
type streamCount struct {
	mu      sync.Mutex
	all     int
	clients map[string]int
}

// take counts one more and returns what ends it, or false when there are too many.
func (c *streamCount) take(client string) (release func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= maxStreams || client != "" && c.clients[client] >= maxClientStreams {
		return nil, false
	}
	if c.clients == nil {
		c.clients = map[string]int{}
	}
	c.all++
	c.clients[client]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		if c.clients[client]--; c.clients[client] == 0 {
			delete(c.clients, client)
		}
	}, true
}

func (c *streamCount) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}
