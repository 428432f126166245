package healthcheck

import (
	"net/netip"
	"syscall"
	"testing"
)

// TestIsSelf connects a socket to its own port, which the system allows.
func TestIsSelf(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(address), 0)
		domain, any := sockaddr(at)
		fd, err := syscall.Socket(domain, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		if err := syscall.Bind(fd, any); err != nil {
			t.Fatal(err)
		}
		local, err := syscall.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		switch local := local.(type) {
		case *syscall.SockaddrInet4:
			at = netip.AddrPortFrom(at.Addr(), uint16(local.Port))
		case *syscall.SockaddrInet6:
			at = netip.AddrPortFrom(at.Addr(), uint16(local.Port))
		}
		if err := syscall.Connect(fd, local); err != nil {
			t.Fatal(err)
		}
		if connected, err := established(fd); !connected || err != nil {
			t.Errorf("%s: %v, %v", at, connected, err)
		}
		if !isSelf(fd, at) {
			t.Errorf("%s: a connection of a socket to itself is none", at)
		}
		if isSelf(fd, netip.AddrPortFrom(at.Addr(), at.Port()+1)) || isSelf(fd, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), at.Port())) {
			t.Errorf("%s: a connection to elsewhere is one of a socket to itself", at)
		}
	}
}
