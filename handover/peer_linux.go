package handover

import "golang.org/x/sys/unix"

// peer is who is at the other end of a connection, as the kernel noted it (unix(7), SO_PEERCRED).
func (l line) peer() (who credentials, err error) {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return who, err
	}
	var noted *unix.Ucred
	var failure error
	if err := raw.Control(func(fd uintptr) { noted, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return who, err
	}
	if failure != nil {
		return who, failure
	}
	return credentials{PID: int(noted.Pid), UID: noted.Uid}, nil
}
