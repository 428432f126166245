package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"gtmd/handover"
)

// heir is a server that has sockets of another process and listens as options say; the test closes it.
func heir(tb testing.TB, sockets *handover.Sockets, o Options) *Server {
	tb.Helper()
	stats := NewStats()
	s := New(slog.New(slog.NewTextHandler(io.Discard, nil)), stats)
	if err := s.Swap(newView(tb, 1, stats.Counter)); err != nil {
		tb.Fatal(err)
	}
	s.Inherit(sockets)
	apply(tb, s, o)
	tb.Cleanup(s.Close)
	return s
}

// TestLeave hands the sockets of a server to another one under load, with as many workers, more, and fewer: no query is lost.
func TestLeave(t *testing.T) {
	old := newServer(t, options("127.0.0.1:0"))
	address := first(old)
	apply(t, old, on(options(), address))
	l := newLoad(t, address, 8)
	kept := dial(t, "tcp", address)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	exchange(t, kept, query)
	for _, workers := range []int{2, 4, 1, 2} {
		all, err := old.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		sockets := handover.NewSockets(all...)
		o := on(options(), address)
		o.Workers = workers
		next := heir(t, sockets, o)
		if unused := sockets.Unused(); len(unused) > 0 {
			t.Errorf("not used: %v", unused)
		}
		sockets.Settle()
		old.Leave()
		exchange(t, kept, query) // the one that has left serves its connection on
		kept = dial(t, "tcp", address)
		exchange(t, kept, query)
		old.Close()
		checkEnded(t, old)
		old = next
	}
	// The last one owns what it has: a reload opens and closes as ever.
	o := on(options(), address)
	o.Workers = 3
	apply(t, old, o)
	if lost := l.end(3000); len(lost) > 0 {
		t.Errorf("%d of %d queries lost: %v", len(lost), l.asked, lost[0])
	}
}

// passedSockets are a UDP and a TCP socket as systemd would pass them, on a port of a loopback address.
func passedSockets(t *testing.T, domain int, udp unix.Sockaddr) (sockets *handover.Sockets, port uint16) {
	t.Helper()
	var files []*os.File
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
		if err == nil && domain == unix.AF_INET6 {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
		}
		if err == nil && domain == unix.AF_INET && kind == unix.SOCK_DGRAM { // PassPacketInfo=yes
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		if err == nil {
			err = unix.Bind(fd, udp)
		}
		if kind == unix.SOCK_STREAM && err == unix.EADDRINUSE { // the port that UDP was given is another program's
			unix.Close(fd)
			files[0].Close()
			switch udp := udp.(type) {
			case *unix.SockaddrInet4:
				udp.Port = 0
			case *unix.SockaddrInet6:
				udp.Port = 0
			}
			return passedSockets(t, domain, udp)
		}
		if err == nil && kind == unix.SOCK_STREAM {
			err = unix.Listen(fd, 100)
		}
		if err != nil {
			t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			port = uint16(name.Port)
			udp.(*unix.SockaddrInet4).Port = name.Port
		case *unix.SockaddrInet6:
			port = uint16(name.Port)
			udp.(*unix.SockaddrInet6).Port = name.Port
		}
		files = append(files, os.NewFile(uintptr(fd), "passed"))
	}
	sockets, err := handover.Passed(files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sockets.Close)
	return sockets, port
}

// TestHeldSockets: what arrives while nobody serves waits in a socket that systemd holds; workers share it, and a reload that
// changes the workers keeps it.
func TestHeldSockets(t *testing.T) { heldSockets(t, netip.MustParseAddr("127.0.0.9")) }

// heldSockets asks 127.0.0.9, where a server listens on ip.
func heldSockets(t *testing.T, ip netip.Addr) {
	sockets, port := passedSockets(t, unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4()})
	every := netip.AddrPortFrom(ip, port)
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), port)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	for round := range 3 {
		waiting, connected := dial(t, "udp", asked), dial(t, "tcp", asked)
		if _, err := waiting.Write(query); err != nil {
			t.Fatal(err)
		}
		connected.Write(framed(query))
		o := on(options(), every)
		o.Workers = 3
		s := heir(t, sockets, o)
		reply := make([]byte, 512)
		if n, err := waiting.Read(reply); err != nil || n < 12 || reply[7] != 1 { // a connected socket takes replies of the address that it asked
			t.Errorf("round %d: the query that waited has reply %x, error %v", round, reply[:n], err)
		}
		readTCP(t, connected)
		o.Workers, o.MaxUDPPayload = 2, 600
		apply(t, s, o)
		for range 20 {
			exchange(t, dial(t, "udp", asked), query)
		}
		exchange(t, dial(t, "tcp", asked), query)
		s.Close()
		checkEnded(t, s)
	}
	if sockets.Len() != 2 {
		t.Errorf("%d sockets are left, want those that were passed", sockets.Len())
	}
}

// TestPassedForBothFamilies: a socket that takes IPv4 beside IPv6 is refused, with what to do. The other servers of the port
// would starve.
func TestPassedForBothFamilies(t *testing.T) {
	sockets, port := passedSockets(t, unix.AF_INET6, &unix.SockaddrInet6{})
	s := newServer(t, options("127.0.0.1:0"))
	s.Inherit(sockets)
	_, err := s.Prepare(on(options(), first(s), netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	want := fmt.Sprintf("listen on [::]:%d over UDP: use the socket udp [::]:%[1]d that was passed: it takes IPv4, too", port)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := net.Dial("tcp", first(s).String()); err != nil {
		t.Error(err)
	}
}

// TestLeaveOverTLS: the socket of DNS over TLS goes along, connections that are open are served by the one that has left.
func TestLeaveOverTLS(t *testing.T) {
	o := secureOptions(t)
	old, _ := newSecureServer(t, o)
	o.Listen, o.TLS.Listen = old.Addresses(), old.TLSAddresses()
	apply(t, old, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	kept, err := dialTLS(t, old, nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, kept, query)
	all, err := old.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	sockets := handover.NewSockets(all...)
	next := heir(t, sockets, o)
	if unused := sockets.Unused(); len(unused) > 0 {
		t.Errorf("not used: %v", unused)
	}
	sockets.Settle()
	old.Leave()
	next.Own()
	exchange(t, kept, query)
	for range 5 {
		conn, err := dialTLS(t, next, nil)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, conn, query)
	}
	old.Close()
	if !isClosed(kept) {
		t.Error("the connection of the one that has left stays open")
	}
}

// TestLeaveLetsSleep: a server that has left leaves no timeout in the sockets, whose readers would wake up for nothing for ever:
// neither in those of the one that goes on after all, nor in those of one that has waited for it no longer.
func TestLeaveLetsSleep(t *testing.T) {
	old := newServer(t, options("127.0.0.1:0"))
	apply(t, old, on(options(), first(old)))
	next := heir(t, socketsOf(t, old), on(options(), first(old)))
	for _, pair := range []struct{ leaves, stays *Server }{{next, old}, {old, heir(t, socketsOf(t, old), on(options(), first(old)))}} {
		pair.leaves.Leave()
		pair.leaves.Close()
		all, err := pair.stays.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			timeout, err := unix.GetsockoptTimeval(one.FD, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
			if err != nil || timeout.Nano() != 0 {
				t.Errorf("%s has a timeout of %d ns, error %v", one, timeout.Nano(), err)
			}
		}
		handover.Close(all)
	}
}

// socketsOf are the sockets of a server, for another one.
func socketsOf(t *testing.T, s *Server) *handover.Sockets {
	t.Helper()
	all, err := s.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	sockets := handover.NewSockets(all...)
	t.Cleanup(sockets.Close)
	return sockets
}
