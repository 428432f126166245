package healthcheck

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// healthMethod is the method of the health checking protocol of gRPC.
	healthMethod = "/grpc.health.v1.Health/Check"
	// maxMessage bounds the message of an answer, in octets. A HealthCheckResponse has two.
	maxMessage = 4 << 10
)

// grpc is the probe that calls grpc.health.v1.Health/Check: one call, on a connection of its own. Serving is good.
func (c *Check) grpc(ctx context.Context, address netip.Addr, host string, report *Report) error {
	x := &call{check: c, ctx: ctx, report: report}
	err := x.run(address, host)
	return explain(ctx, explainCall(err), x.during, c.options.Timeout)
}

// call is one run of the probe.
type call struct {
	check  *Check
	ctx    context.Context
	report *Report
	during step
	watch  stopwatch
}

// run makes the call and judges the answer. Its error is a reason, or one that ended the step.
func (x *call) run(address netip.Addr, host string) error {
	o := &x.check.options
	if host == "" {
		host = address.WithZone("").String()
	}
	frames, err := x.check.callFrames(host)
	if err != nil {
		return err
	}
	link, conn, err := x.open(netip.AddrPortFrom(address, uint16(o.Port)), host)
	if err != nil {
		return err
	}
	defer func() {
		if x.ctx.Err() != nil {
			link.Close() // In TLS, conn would wait until it has said goodbye.
		}
		conn.Close()
	}()
	x.during = awaitingHeader
	if _, err := conn.Write(frames); err != nil {
		return err
	}
	s := newStream(conn, bufio.NewReader(conn))
	status, header, err := s.final()
	x.report.Phases.FirstByte = x.watch.lap()
	if err != nil {
		return err
	}
	x.during = readingBody
	err = judgeCall(status, header, s)
	x.report.Phases.Body = x.watch.lap()
	return err
}

// open connects, with TLS if the check says so. Conn is what to speak over link.
func (x *call) open(to netip.AddrPort, host string) (l *link, conn net.Conn, err error) {
	o, phases := &x.check.options, &x.report.Phases
	x.during, x.watch = connecting, startWatch()
	if l, err = connect(x.ctx, to, o.Timeout); err != nil {
		return nil, nil, err
	}
	phases.Connect = x.watch.lap()
	if !o.TLS {
		return l, l, nil
	}
	x.during = handshaking
	name, _ := splitHost(host)
	client, expires, err := x.check.trust.handshake(x.ctx, l, name, "h2")
	x.check.noteExpiry(expires, x.report)
	if err != nil {
		return nil, nil, err
	}
	phases.TLS = x.watch.lap()
	if client.ConnectionState().NegotiatedProtocol != "h2" {
		l.Close()
		return nil, nil, newReason(nil, "TLS: server does not offer HTTP/2 (ALPN h2)")
	}
	return l, client, nil
}

// callFrames returns all that a call sends (the gRPC protocol over HTTP/2). Its error is a reason.
func (c *Check) callFrames(host string) ([]byte, error) {
	authority, err := authorityOf(host)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if c.options.TLS {
		scheme = "https"
	}
	message := healthRequest(c.options.Service)
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))) // Not compressed.
	return opening([]hpack.HeaderField{
		{Name: ":method", Value: http.MethodPost}, {Name: ":scheme", Value: scheme},
		{Name: ":authority", Value: authority}, {Name: ":path", Value: healthMethod},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
		{Name: "user-agent", Value: userAgent},
	}, append(body, message...)), nil
}

// judgeCall reads the answer to a call after its header. Its error is a reason, or one of reading.
func judgeCall(status int, header []hpack.HeaderField, s *stream) error {
	if status != http.StatusOK {
		return newReason(nil, "gRPC: HTTP %d, wanted 200", status)
	}
	if kind := valueOf(header, "content-type"); !isCallType(kind) {
		return newReason(nil, "gRPC: content type %q, wanted application/grpc", clip(kind, 60))
	}
	if valueOf(header, "grpc-status") != "" { // An answer of trailers alone.
		if err := judgeStatus(header); err != nil {
			return err
		}
		return newReason(nil, "gRPC: answer without a message")
	}
	message, err := readMessage(s)
	if err != nil {
		return err
	}
	if err := judgeStatus(s.trailer); err != nil {
		return err
	}
	if message == nil {
		return newReason(nil, "gRPC: answer without a message")
	}
	return judgeHealth(message)
}

// readMessage reads the one message of an answer and what follows it, up to the trailers. Nil: there is none. Its
// error is a reason, or one of reading.
func readMessage(body io.Reader) ([]byte, error) {
	octets, err := io.ReadAll(io.LimitReader(body, 5+maxMessage+1))
	switch {
	case len(octets) >= 5 && octets[0] != 0:
		return nil, newReason(err, "gRPC: message is compressed, which was not asked for")
	case len(octets) > 5+maxMessage, len(octets) >= 5 && binary.BigEndian.Uint32(octets[1:]) > maxMessage:
		return nil, newReason(err, "gRPC: answer is longer than %d octets", maxMessage)
	case err != nil:
		return nil, err
	case len(octets) == 0:
		return nil, nil
	case len(octets) < 5 || int(binary.BigEndian.Uint32(octets[1:])) != len(octets)-5:
		return nil, newReason(nil, "gRPC: malformed answer: message of another length than it says")
	}
	return octets[5:], nil
}

// explainCall says in the words of gRPC what HTTP/2 calls an error, and returns every other error as it is.
func explainCall(err error) error {
	var (
		reset   http2.StreamError
		leaving goAway
	)
	switch {
	case errors.As(err, &reset):
		return newReason(err, "gRPC: call reset (%v)", reset.Code)
	case errors.As(err, &leaving):
		return newReason(err, "gRPC: server goes away (%v)", http2.ErrCode(leaving))
	case errors.Is(err, errNotHTTP2):
		return newReason(err, "gRPC: server does not speak HTTP/2")
	default:
		return err
	}
}
