//go:build !portable && linux && (amd64 || arm64)

package server

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gtmd/handover"
)

// errorPause is how long a worker waits after an error of its socket, before it tries again.
const errorPause = 200 * time.Millisecond

// setReceiveTimeout sets how long a call that begins to wait for packets sleeps at most; 0 is without end. Sleeping with a timeout
// costs 0.5 µs more, so a socket that is served has none.
func setReceiveTimeout(fd int, d time.Duration) error {
	timeout := unix.NsecToTimeval(d.Nanoseconds())
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
}

// inheritUDP makes a worker of a socket that another process has opened, and takes it over, also on an error.
func (s *Server) inheritUDP(socket handover.Socket, address netip.AddrPort, options Options) (udpWorker, error) {
	err := unix.SetNonblock(socket.FD, false)
	if err == nil {
		err = prepareSocket(socket.FD, address)
	}
	if err == nil {
		err = checkFamily(socket.FD, address)
	}
	if err != nil {
		unix.Close(socket.FD)
		return nil, fmt.Errorf("use the socket %s that was passed: %w", socket, err)
	}
	w := s.newBatchWorker(socket.FD, address, options)
	w.held = socket.Held
	return w, nil
}

func (w *batchWorker) socket() (handover.Socket, error) { return handover.Duplicate(w.fd) }

func (w *batchWorker) leave() {
	w.left.Store(true)
	w.stop()
}

// own takes back the timeout that stop sets, for all who have the socket.
func (w *batchWorker) own() { setReceiveTimeout(w.fd, 0) }

// setOption sets an option of a socket.
func setOption(fd, level, option, value int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
}

// prepareSocket sets what a socket needs whoever opens it.
func prepareSocket(fd int, address netip.AddrPort) (err error) {
	set := func(level, option, value int) {
		if err == nil {
			err = setOption(fd, level, option, value)
		}
	}
	set(unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	if address.Addr().Is4() {
		if address.Addr().IsUnspecified() {
			set(unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		// Path-MTU messages, which anyone can forge, change nothing; replies are small enough not to be fragmented (RFC 9715
		// section 3.1).
		set(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
	} else {
		if address.Addr().IsUnspecified() {
			set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		set(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
	}
	if err != nil {
		return err
	}
	return setReceiveTimeout(fd, 0) // whoever had it before may have left another
}

// emptyTime is how long a worker that ends reads what its socket still holds, at most. Nothing comes in any more, so it is
// long: on a machine with too little processor time a full buffer takes longer than it should.
const emptyTime = 2 * time.Second

// openSocket makes a blocking socket that shares its port. On a wildcard address the kernel tells for each packet which
// address it was sent to, so that the reply leaves from there.
func openSocket(address netip.AddrPort) (fd int, bound netip.AddrPort, err error) {
	domain, zone := unix.AF_INET6, uint32(0)
	if address.Addr().Is4() {
		domain = unix.AF_INET
	}
	if name := address.Addr().Zone(); name != "" {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return -1, address, fmt.Errorf("find the interface %q: %w", name, err)
		}
		zone = uint32(link.Index)
	}
	fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, address, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	var name unix.Sockaddr
	if domain == unix.AF_INET {
		name = &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	} else {
		name = &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16(), ZoneId: zone}
		err = setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = prepareSocket(fd, address)
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, name))
	}
	if err != nil {
		return -1, address, err
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return -1, address, os.NewSyscallError("getsockname", err)
	}
	port := 0
	switch local := local.(type) {
	case *unix.SockaddrInet4:
		port = local.Port
	case *unix.SockaddrInet6:
		port = local.Port
	}
	return fd, netip.AddrPortFrom(address.Addr(), uint16(port)), nil
}
