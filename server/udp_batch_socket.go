//go:build !portable && linux && (amd64 || arm64)

package server

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errorPause is how long a worker waits after an error of its socket, before it tries again.
const errorPause = 200 * time.Millisecond

// setReceiveTimeout sets how long a call that begins to wait for packets sleeps at most; 0 is without end. Sleeping with a timeout
// costs 0.5 µs more, so a socket that is served has none.
func setReceiveTimeout(fd int, d time.Duration) error {
	timeout := unix.NsecToTimeval(d.Nanoseconds())
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
}

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
	set := func(level, option, value int) {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
		}
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	set(unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	var name unix.Sockaddr
	if domain == unix.AF_INET {
		name = &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
		if address.Addr().IsUnspecified() {
			set(unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		// Path-MTU messages, which anyone can forge, change nothing; replies are small enough not to be fragmented (RFC 9715
		// section 3.1).
		set(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
	} else {
		name = &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16(), ZoneId: zone}
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		if address.Addr().IsUnspecified() {
			set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		set(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
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
