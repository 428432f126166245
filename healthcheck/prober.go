package healthcheck

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// Prober is what all probes share: one ICMP socket for each address family, and the reports of the origins that push.
// Make one with [NewProber]; all methods are safe for concurrent use.
type Prober struct {
	reports reports
	listen  listenFunc

	mu      sync.Mutex // Guards the following.
	closed  bool
	sockets map[*family]*echoSocket
}

// NewProber returns a prober that has nothing open yet.
func NewProber() *Prober {
	return &Prober{listen: listenICMP, sockets: make(map[*family]*echoSocket)}
}

// Close closes the sockets and waits for those that read them. Pings fail from then on; other probes go on.
// Further calls do nothing.
func (p *Prober) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var problems []error
	for family, socket := range p.sockets {
		if err := socket.close(); err != nil {
			problems = append(problems, fmt.Errorf("closing the ICMP socket for %s: %w", family.name, err))
		}
	}
	clear(p.sockets)
	return errors.Join(problems...)
}

// socket returns the ICMP socket for an address, and opens it when it is the first of its family. A failure is not
// remembered: the next ping tries again. The error is a reason.
func (p *Prober) socket(address netip.Addr) (*echoSocket, error) {
	family := &ipv4
	if address.Is6() {
		family = &ipv6
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, newReason(nil, "ping: the prober is closed")
	}
	if s := p.sockets[family]; s != nil {
		return s, nil
	}
	s, err := openEchoSocket(family, p.listen)
	if err != nil {
		return nil, err
	}
	p.sockets[family] = s
	return s, nil
}
