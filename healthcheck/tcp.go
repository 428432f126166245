package healthcheck

import (
	"context"
	"io"
	"net/netip"
)

// tcp is the probe that connects, and sends and expects a text when the check says so.
func (c *Check) tcp(ctx context.Context, address netip.Addr, report *Report) error {
	o, phases := &c.options, &report.Phases
	watch := startWatch()
	conn, err := connect(ctx, netip.AddrPortFrom(address, uint16(o.Port)), o.Timeout)
	phases.Connect = watch.lap()
	if err != nil {
		return err
	}
	defer conn.Close()
	if o.Send == "" && o.Expect == "" {
		// A reset leaves no socket in TIME_WAIT, which would hold a local port for a minute after each probe. Where
		// something was said, it could take from the other side what is still on its way to it. A failure does no harm.
		_ = conn.SetLinger(0)
		return nil
	}
	if _, err := io.WriteString(conn, o.Send); err != nil {
		return explain(ctx, err, sending, o.Timeout)
	}
	if o.Expect == "" {
		return nil
	}
	watch.lap()
	answer := arrival{Reader: conn}
	octets, found, err := search(&answer, o.Expect)
	phases.FirstByte = watch.lapAt(answer.at)
	switch {
	case found:
		return nil
	case err != nil:
		return explain(ctx, err, awaitingAnswer, o.Timeout)
	default:
		return lacks("answer", o.Expect, octets)
	}
}
