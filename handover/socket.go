package handover

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Socket is a listening socket, or one that receives datagrams. Whoever has one closes it.
type Socket struct {
	FD int
	// Held says that another process keeps the socket open for the one after this, as systemd does: what is queued in it
	// is not lost when this one ends, and the file of a unix socket is not to be removed.
	Held bool

	socketName
	inode uint64 // the same for duplicates
}

// socketName says what a socket is.
type socketName struct {
	Network string `json:"network"` // "udp", "tcp", "unix"
	Address string `json:"address"` // as netip.AddrPort writes it, or a path
	IsHeld  bool   `json:"held,omitempty"`
}

func (s Socket) String() string { return s.Network + " " + s.Address }

// Duplicate is a socket from a descriptor, which stays the caller's.
func Duplicate(fd int) (Socket, error) {
	duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return Socket{}, os.NewSyscallError("fcntl", err)
	}
	s, err := newSocket(duplicate)
	if err != nil {
		unix.Close(duplicate)
	}
	return s, err
}

// Duplicate is another descriptor of the socket.
func (s Socket) Duplicate() (Socket, error) {
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return Socket{}, fmt.Errorf("duplicate the socket %s: %w", s, os.NewSyscallError("fcntl", err))
	}
	s.FD = fd
	return s, nil
}

// newSocket looks what a descriptor is.
func newSocket(fd int) (Socket, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return Socket{}, fmt.Errorf("descriptor %d is no socket: %w", fd, err)
	}
	var file unix.Stat_t
	if err := unix.Fstat(fd, &file); err != nil {
		return Socket{}, os.NewSyscallError("fstat", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return Socket{}, os.NewSyscallError("getsockname", err)
	}
	s := Socket{FD: fd, inode: file.Ino}
	network := map[int]string{unix.SOCK_DGRAM: "udp", unix.SOCK_STREAM: "tcp"}[kind]
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		s.Network, s.Address = network, netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port)).String()
	case *unix.SockaddrInet6:
		address := netip.AddrFrom16(name.Addr)
		if name.ZoneId != 0 {
			if link, err := net.InterfaceByIndex(int(name.ZoneId)); err == nil {
				address = address.WithZone(link.Name)
			}
		}
		s.Network, s.Address = network, netip.AddrPortFrom(address, uint16(name.Port)).String()
	case *unix.SockaddrUnix:
		if kind == unix.SOCK_STREAM {
			s.Network, s.Address = "unix", name.Name
		}
	}
	if s.Network == "" {
		return Socket{}, fmt.Errorf("descriptor %d is a socket of a type that is of no use here: it should be UDP, TCP or a unix stream", fd)
	}
	if kind == unix.SOCK_STREAM {
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			return Socket{}, fmt.Errorf("the socket %s does not listen (with systemd: Accept= is to be no)", s)
		}
	}
	return s, nil
}

// Sockets are sockets that were opened by another process and are there to be used. Find and Each take nil for none. Its
// methods may be called from any goroutine.
type Sockets struct {
	mu   sync.Mutex // guards all below
	all  []Socket
	used map[uint64]bool // by inode
}

// NewSockets takes sockets over.
func NewSockets(all ...Socket) *Sockets {
	s := &Sockets{used: map[uint64]bool{}}
	for _, one := range all {
		s.add(one)
	}
	return s
}

// Passed are the sockets that systemd has passed, as github.com/coreos/go-systemd/activation finds them. It takes
// the files over, also on an error. What is no socket that can be used is told by the error; the others are there.
func Passed(files []*os.File) (*Sockets, error) {
	s := NewSockets()
	var errs []error
	for _, f := range files {
		// Not Fd, which would make the socket blocking for everyone who has it.
		raw, err := f.SyscallConn()
		if err == nil {
			var one Socket
			controlErr := raw.Control(func(fd uintptr) { one, err = Duplicate(int(fd)) })
			if err = errors.Join(err, controlErr); err == nil {
				one.Held = true
				s.add(one)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("socket %q that was passed: %w", f.Name(), err))
		}
		f.Close()
	}
	return s, errors.Join(errs...)
}

// add takes a socket, unless it is there already.
func (s *Sockets) add(one Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.all, func(other Socket) bool { return other.inode == one.inode }) {
		unix.Close(one.FD)
		return
	}
	s.all = append(s.all, one)
}

// Join takes the sockets of other over, which is empty then.
func (s *Sockets) Join(other *Sockets) {
	if other == nil {
		return
	}
	other.mu.Lock()
	all := other.all
	other.all = nil
	other.mu.Unlock()
	for _, one := range all {
		s.add(one)
	}
}

// Find returns duplicates of the sockets with an address: the text of a netip.AddrPort, or a path.
func (s *Sockets) Find(network, address string) (found []Socket, err error) {
	if s == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if one.Network != network || one.Address != address {
			continue
		}
		duplicate, err := one.Duplicate()
		if err != nil {
			Close(found)
			return nil, err
		}
		s.used[one.inode] = true
		found = append(found, duplicate)
	}
	return found, nil
}

// Each calls f for the address of every UDP and TCP socket.
func (s *Sockets) Each(f func(netip.AddrPort)) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if address, err := netip.ParseAddrPort(one.Address); err == nil && one.Network != "unix" {
			f(address)
		}
	}
}

// Len is how many there are.
func (s *Sockets) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// Unused are the sockets that Find has not found yet. They are for their names: they stay open here.
func (s *Sockets) Unused() (unused []Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if !s.used[one.inode] {
			unused = append(unused, one)
		}
	}
	return unused
}

// Settle closes all but those that another process holds: they stay, for a configuration that asks for them later, and for
// the process after this one.
func (s *Sockets) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(one Socket) bool {
		if !one.Held {
			unix.Close(one.FD)
		}
		return !one.Held
	})
}

// Held returns duplicates of the sockets that another process holds.
func (s *Sockets) Held() (held []Socket, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if !one.Held {
			continue
		}
		duplicate, err := one.Duplicate()
		if err != nil {
			Close(held)
			return nil, err
		}
		held = append(held, duplicate)
	}
	return held, nil
}

// Close closes every socket.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	Close(s.all)
	s.all = nil
}

// Close closes sockets.
func Close(sockets []Socket) {
	for _, one := range sockets {
		unix.Close(one.FD)
	}
}

// Listener is a listener on a stream socket, which it takes over, also on an error.
func (s Socket) Listener() (net.Listener, error) {
	f := os.NewFile(uintptr(s.FD), s.String())
	defer f.Close() // FileListener duplicates it
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket %s that was passed: %w", s, err)
	}
	return l, nil
}
