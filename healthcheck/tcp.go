package healthcheck

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"
)

// tcp is the probe that connects, and sends and expects a text when the check says so.
func (c *Check) tcp(ctx context.Context, address netip.Addr) error {
	o := &c.options
	conn, err := connect(ctx, netip.AddrPortFrom(address, uint16(o.Port)), o.Timeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Reads and writes end with ctx.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, o.Send); err != nil {
		return explain(ctx, err, sending, o.Timeout)
	}
	if o.Expect == "" {
		return nil
	}
	octets, found, err := search(conn, o.Expect)
	switch {
	case found:
		return nil
	case err != nil:
		return explain(ctx, err, awaitingAnswer, o.Timeout)
	default:
		return lacks("answer", o.Expect, octets)
	}
}

// connect opens a TCP connection to exactly that address. Its error is a reason.
func connect(ctx context.Context, to netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, explain(ctx, err, connecting, timeout)
	}
	return conn, nil
}
