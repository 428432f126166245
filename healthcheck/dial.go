package healthcheck

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// socket is a TCP connection as the system gives it.
type socket interface {
	net.Conn
	// SetLinger with 0 makes Close drop the connection with a reset.
	SetLinger(seconds int) error
}

// link is the connection of one probe. Once the context that it was made with has ended, every read and write on it fails,
// without a goroutine that waits for that. Its owner closes it.
type link struct {
	socket
	stop func() bool
}

func newLink(ctx context.Context, s socket) *link {
	return &link{s, afterDone(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })}
}

// Close closes the connection.
func (l *link) Close() error {
	l.stop()
	return l.socket.Close()
}

// connect opens a TCP connection to exactly that address. Its error is a reason.
func connect(ctx context.Context, to netip.AddrPort, timeout time.Duration) (*link, error) {
	if ctx.Err() != nil {
		return nil, explain(ctx, ctx.Err(), connecting, timeout)
	}
	l, err := dial(ctx, to)
	if err != nil {
		return nil, explain(ctx, err, connecting, timeout)
	}
	return l, nil
}

// dialPortably is dial by the means of the standard library.
func dialPortably(ctx context.Context, to netip.AddrPort) (*link, error) {
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, to)
	if err != nil {
		return nil, err
	}
	return newLink(ctx, conn), nil
}
