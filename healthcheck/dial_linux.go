package healthcheck

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// dial opens a connection with fewer calls of the system than [net.Dialer], which asks for both addresses, sets options
// that a probe has no use for, and starts a goroutine that waits for the context.
func dial(ctx context.Context, to netip.AddrPort) (*link, error) {
	if to.Addr().Zone() != "" {
		return dialPortably(ctx, to) // It knows the numbers of the interfaces.
	}
	domain, address := sockaddr(to)
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, syscall.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	connecting := syscall.Connect(fd, address)
	switch connecting {
	case nil, syscall.EINPROGRESS, syscall.EINTR: // An interrupted connect goes on, too.
	default:
		syscall.Close(fd)
		return nil, os.NewSyscallError("connect", connecting)
	}
	s := &fileSocket{os.NewFile(uintptr(fd), "tcp"), to}
	if s.SetDeadline(time.Time{}) != nil { // The poller, which has no room for it, says so to nobody.
		s.Close()
		return nil, os.NewSyscallError("epoll_ctl", syscall.ENOMEM)
	}
	l := newLink(ctx, s)
	if err := s.establish(connecting == nil); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func sockaddr(of netip.AddrPort) (domain int, address syscall.Sockaddr) {
	if of.Addr().Is4() {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(of.Port()), Addr: of.Addr().As4()}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(of.Port()), Addr: of.Addr().As16()}
}

// fileSocket is a TCP connection in an [os.File], whose reads, writes and deadlines go through the runtime's poller like
// those of package net.
type fileSocket struct {
	*os.File
	remote netip.AddrPort
}

// establish waits until the connection is there.
func (s *fileSocket) establish(connected bool) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var self bool
	err2 := raw.Write(func(fd uintptr) bool {
		if !connected {
			if connected, err = established(int(fd)); !connected && err == nil {
				return false
			}
		}
		if err == nil {
			self = s.remote.Port() >= 1024 && isSelf(int(fd), s.remote) // Below, the system chooses none.
			// The sides of a TLS handshake write by turns, which must not wait for acknowledgements.
			err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case err2 != nil:
		return err2
	case self:
		return os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	return nil
}

// established asks how a connection stands. Neither is an answer: it is still on its way.
func established(fd int) (bool, error) {
	if _, err := syscall.Getpeername(fd); err == nil {
		return true, nil
	}
	errno, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	switch {
	case err != nil:
		return false, os.NewSyscallError("getsockopt", err)
	case errno != 0:
		return false, os.NewSyscallError("connect", syscall.Errno(errno))
	default:
		return false, nil
	}
}

// isSelf reports whether a socket is connected to itself. The system does that when it chooses, for a connection to a
// port of this host at which nothing listens, the same port (RFC 9293, section 3.5: simultaneous open).
func isSelf(fd int, remote netip.AddrPort) bool {
	local, err := syscall.Getsockname(fd)
	if err != nil {
		return false
	}
	switch local := local.(type) {
	case *syscall.SockaddrInet4:
		return local.Port == int(remote.Port()) && netip.AddrFrom4(local.Addr) == remote.Addr()
	case *syscall.SockaddrInet6:
		return local.Port == int(remote.Port()) && netip.AddrFrom16(local.Addr) == remote.Addr()
	default:
		return false
	}
}

// SetLinger sets how long Close goes on in the background.
func (s *fileSocket) SetLinger(seconds int) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	err2 := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: int32(seconds)})
	})
	if err2 != nil {
		return err2
	}
	return os.NewSyscallError("setsockopt", err)
}

// LocalAddr returns nothing of use: nobody has asked the system.
func (s *fileSocket) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr returns the address of the other side.
func (s *fileSocket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }
