package server

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"gtmd/handover"
)

// network is "udp" or "tcp" with the family of the address, so that 0.0.0.0 and [::] can be listened on side by side.
func network(kind string, address netip.AddrPort) string {
	if address.Addr().Is4() {
		return kind + "4"
	}
	return kind + "6"
}

// probePort reports whether an address is free, by taking it for a moment without sharing.
func probePort(address netip.AddrPort) error {
	conn, err := net.ListenPacket(network("udp", address), address.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// listenTCP takes the TCP socket of an address that was passed, or opens one that shares its port with others of this process.
// The caller holds mu.
func (s *Server) listenTCP(address netip.AddrPort) (*net.TCPListener, error) {
	found, err := s.inherited.Find("tcp", address.String())
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		handover.Close(found[1:]) // opened only by mistake: a connection in the queue of one of them is lost
		l, err := found[0].Listener()
		if err != nil {
			return nil, err
		}
		return l.(*net.TCPListener), nil
	}
	config := net.ListenConfig{Control: shared}
	l, err := config.Listen(context.Background(), network("tcp", address), address.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// descriptors is how many descriptors the process may have open.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}

// socketOf is a duplicate of the socket of a listener.
func socketOf(l syscall.Conn) (socket handover.Socket, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return socket, err
	}
	if controlErr := raw.Control(func(fd uintptr) { socket, err = handover.Duplicate(int(fd)) }); controlErr != nil {
		return socket, controlErr
	}
	return socket, err
}

// shared sets SO_REUSEPORT: the kernel spreads queries over the sockets of a port, and a reload can open a port anew
// before it closes the old socket.
func shared(_, _ string, conn syscall.RawConn) error {
	var failure error
	err := conn.Control(func(fd uintptr) {
		failure = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return failure
}

// receiveBuffer is asked of the kernel for each UDP socket, in octets: room for about 4000 queries that arrive while the
// worker does not run. The kernel gives less where net.core.rmem_max is lower.
const receiveBuffer = 4 << 20

// packetLen is the longest query read over UDP, in octets. Queries are at most some 400; a longer packet is cut, and cut
// packets are malformed.
const packetLen = 2048

// retire makes the kernel give new packets of a UDP socket to the other sockets of its port, by connecting it to itself:
// a connected socket takes packets of its peer only. Without it, a packet that arrives between the last read and the
// close would be lost. It is no error when it does not work: then a few packets are.
func retire(fd int) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		if name.Addr == [4]byte{} {
			name.Addr = [4]byte{127, 0, 0, 1}
		}
	case *unix.SockaddrInet6:
		if name.Addr == [16]byte{} {
			name.Addr = [16]byte{15: 1}
		}
	}
	unix.Connect(fd, name)
}

// checkFamily refuses a socket that was passed for an IPv6 address and takes IPv4 beside it.
func checkFamily(fd int, address netip.AddrPort) error {
	if !address.Addr().Is6() {
		return nil
	}
	if only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err != nil || only == 0 {
		return errors.New("it takes IPv4, too (with systemd: set BindIPv6Only=ipv6-only)")
	}
	return nil
}
