package admin

import (
	"net"
	"syscall"
)

// peerUser is the user at the other end of a unix socket, as the kernel noted it (unix(7), SO_PEERCRED).
func peerUser(c net.Conn) (uid uint32, ok bool) {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	var noted *syscall.Ucred
	var failure error
	if err := raw.Control(func(fd uintptr) {
		noted, failure = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil || failure != nil {
		return 0, false
	}
	return noted.Uid, true
}
