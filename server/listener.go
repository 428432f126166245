package server

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"gtmd/handover"
)

// listener is one address with its UDP workers and its TCP acceptor; one of TLS has no workers.
type listener struct {
	address netip.AddrPort // as configured
	workers []udpWorker
	tcp     *tcpListener
	started bool
	done    sync.WaitGroup // of the workers
}

// udpWorker reads one UDP socket until it is told to stop.
type udpWorker interface {
	// run returns when stop was called and what had arrived by then is answered, or drainTime is over.
	run()
	stop()
	// leave is stop for a socket that another process reads now: run returns when what it has read is answered. Then close is
	// called, too.
	leave()
	// own is called when others have stopped or left that read the same socket, so that it is as if they had never been.
	own()
	// socket is a duplicate of the socket.
	socket() (handover.Socket, error)
	// close is for a worker that was never run, or has left.
	close()
}

// portTries is how often a port that the kernel chose for UDP is given back because TCP does not have it.
const portTries = 16

// open opens the sockets of one address.
func (c *Change) open(address netip.AddrPort) (l *listener, err error) {
	for range portTries {
		if l, err = c.openOnce(address); address.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return l, err
}

// openOnce is one try to open them. Where we do not listen yet, nobody else may: the sockets share their port among
// themselves, and would share it silently with another server too.
func (c *Change) openOnce(address netip.AddrPort) (*listener, error) {
	l := &listener{address: address}
	if err := c.inherit(l); err != nil {
		l.close()
		return nil, fmt.Errorf("listen on %s over UDP: %w", address, err)
	}
	inherited := len(l.workers) > 0
	if !inherited && address.Port() != 0 && !c.overlaps(address) {
		if err := probePort(address); err != nil {
			return nil, fmt.Errorf("listen on %s: %w%s", address, err, hint(address, err))
		}
	}
	if running := c.server.listeners[address]; running != nil && !running.tcp.secure && address.Port() != 0 {
		// Connections go on when the address gets other workers.
		l.tcp = running.tcp.share()
	}
	actual := address
	for !inherited && len(l.workers) < c.options.Workers {
		w, bound, err := c.server.openUDP(actual, c.options)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("listen on %s over UDP: %w%s", address, err, hint(address, err))
		}
		actual = bound
		l.workers = append(l.workers, w)
	}
	if l.tcp != nil {
		return l, nil
	}
	tcp, err := c.server.openTCP(actual, false)
	if err != nil {
		l.close()
		return nil, fmt.Errorf("listen on %s over TCP: %w%s", actual, err, hint(address, err))
	}
	l.tcp = tcp
	return l, nil
}

// inherit gives a listener workers on the UDP sockets of its address that were passed, if there are any. None is opened beside
// them: that would need the same user, and what is queued in it would be lost with this process, unlike theirs. Workers
// share a socket where they are more; where they are less, there is one more for each socket, or it would fill up unread.
func (c *Change) inherit(l *listener) error {
	found, err := c.server.inherited.Find("udp", l.address.String())
	if err != nil {
		return err
	}
	for i := 0; len(found) > 0 && i < max(c.options.Workers, len(found)); i++ {
		socket, err := found[i%len(found)].Duplicate()
		if err != nil {
			handover.Close(found)
			return err
		}
		w, err := c.server.inheritUDP(socket, l.address, c.options)
		if err != nil {
			handover.Close(found)
			return err
		}
		l.workers = append(l.workers, w)
	}
	handover.Close(found)
	return nil
}

// overlaps reports whether a socket of ours meets the address.
func (c *Change) overlaps(address netip.AddrPort) bool {
	for _, ours := range []map[netip.AddrPort]*listener{c.server.listeners, c.fresh} {
		for _, l := range ours {
			if meet(l.actual(), address) {
				return true
			}
		}
	}
	isMet := false
	c.server.inherited.Each(func(other netip.AddrPort) { isMet = isMet || meet(other, address) })
	return isMet
}

// meet reports whether two sockets have a port on the same address, or one of them on every address.
func meet(a, b netip.AddrPort) bool {
	return a == b || a.Port() != 0 && a.Port() == b.Port() && a.Addr().Is4() == b.Addr().Is4() && (a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

// hint says what to do about the usual reasons why an address cannot be had.
func hint(address netip.AddrPort, err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf(" (another server holds the port: see \"ss -lnptu sport = :%d\"; systemd-resolved holds 127.0.0.53, so listen on explicit addresses beside it)", address.Port())
	case errors.Is(err, syscall.EACCES):
		return " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return " (no interface of this machine has the address)"
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return " (this machine has no IPv6: list its IPv4 addresses in dns.listen)"
	default:
		return ""
	}
}

// actual is the address with the port that was chosen for port 0.
func (l *listener) actual() netip.AddrPort { return l.tcp.address }

// start serves the listener; once it is served, it changes nothing.
func (l *listener) start() {
	if l.started {
		return
	}
	l.started = true
	for _, w := range l.workers {
		l.done.Go(w.run)
	}
	l.tcp.start()
}

// stopAll ends listeners, all at the same time, and returns when what they hold is answered.
func stopAll(listeners []*listener) {
	for _, l := range listeners {
		if !l.started {
			l.close()
			continue
		}
		for _, w := range l.workers {
			w.stop()
		}
		l.tcp.stop()
	}
	for _, l := range listeners {
		l.done.Wait()
		l.tcp.wait()
	}
}

// leave stops reading, for another process that reads the same sockets, and returns when what was read over UDP is answered.
// The connections go on for a while: wait of the acceptor waits for them.
func (l *listener) leave() {
	l.tcp.leave()
	for _, w := range l.workers {
		w.leave()
	}
	l.done.Wait()
	// Who reads them now may not know when this one has left: it may have been stopped for long, or have been refused.
	for _, w := range l.workers {
		w.own()
		w.close()
	}
}

// sockets are duplicates of all sockets of the listener.
func (l *listener) sockets() (all []handover.Socket, err error) {
	for _, w := range l.workers {
		socket, err := w.socket()
		if err != nil {
			handover.Close(all)
			return nil, err
		}
		all = append(all, socket)
	}
	socket, err := socketOf(l.tcp.listener)
	if err != nil {
		handover.Close(all)
		return nil, err
	}
	return append(all, socket), nil
}

// close is for a listener that was never started.
func (l *listener) close() {
	for _, w := range l.workers {
		w.close()
	}
	if l.tcp != nil {
		l.tcp.stop()
	}
}
