package healthcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxDatagram bounds what is read of one packet. The query has no EDNS, so an answer over UDP has at most 512
	// octets (RFC 1035, section 4.2.1); a server that sends more than this has its answer cut, and is malformed.
	maxDatagram = 4096
	// askingAgain is the step of the query over TCP that a truncated answer leads to.
	askingAgain step = "asking again over TCP, since the answer over UDP was truncated"
)

// errForeign is that a packet is no answer to the query.
var errForeign = errors.New("not an answer to the query")

// dns is the probe that asks for a name: over UDP, and over TCP when the answer is truncated. Packets that do not
// answer the query, by its number and its question, are ignored, and so cost nothing but time.
// The host is what to ask for unless the check has a name of its own.
func (c *Check) dns(ctx context.Context, address netip.Addr, host string, report *Report) error {
	q := c.question
	name, _ := splitHost(host)
	if q.name != "" {
		name = q.name
	}
	if name == "" {
		return newReason(nil, "DNS: there is no name to ask for: set query")
	}
	x := &dnsExchange{ctx: ctx, to: netip.AddrPortFrom(address, uint16(c.options.Port)), timeout: c.options.Timeout, report: report}
	message := dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: uint16(rand.Uint32()), RecursionDesired: true},
		Question: []dns.Question{{Name: dns.Fqdn(name), Qtype: q.kind, Qclass: dns.ClassINET}},
	}
	var err error
	if x.query, err = message.Pack(); err != nil {
		return newReason(err, "DNS: %q cannot be asked for: %s", name, bare(err))
	}
	packet, err := x.udp()
	if err == nil && packet[2]&flagTruncated != 0 {
		packet, err = x.tcp()
	}
	if err != nil {
		return err
	}
	return q.judge(packet, name)
}

// dnsExchange is one run of the probe.
type dnsExchange struct {
	ctx     context.Context
	to      netip.AddrPort
	timeout time.Duration
	report  *Report
	query   []byte // Packed.
}

// udp returns the answer over UDP. The socket is connected, so that the kernel passes nothing from other addresses. Its error
// is a reason.
func (x *dnsExchange) udp() ([]byte, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(x.ctx, "udp", x.to.String())
	if err != nil {
		return nil, explain(x.ctx, err, connecting, x.timeout)
	}
	defer conn.Close()
	defer endWith(x.ctx, conn)()
	start := time.Now()
	if _, err := conn.Write(x.query); err != nil {
		return nil, explain(x.ctx, err, sending, x.timeout)
	}
	buffer := make([]byte, maxDatagram)
	for ignored := 0; ; ignored++ {
		n, err := conn.Read(buffer)
		if err != nil {
			err = explain(x.ctx, err, awaitingAnswer, x.timeout)
			if ignored > 0 && isTimeout(err) {
				err = newReason(err, "%v (%d packets ignored, which do not answer the query)", err, ignored)
			}
			return nil, err
		}
		if answers(buffer[:n], x.query) {
			x.report.Phases.FirstByte = time.Since(start)
			return buffer[:n], nil
		}
	}
}

// tcp returns the answer over TCP. Its error is a reason.
func (x *dnsExchange) tcp() ([]byte, error) {
	packet, err := x.stream()
	if err == nil {
		return packet, nil
	}
	err = explain(x.ctx, err, askingAgain, x.timeout)
	if isTimeout(err) || localFault(err) != nil || errors.Is(err, context.Canceled) {
		return nil, err
	}
	return nil, newReason(err, "DNS: answer over UDP truncated, and over TCP: %v", err)
}

func (x *dnsExchange) stream() ([]byte, error) {
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(x.ctx, "tcp", x.to.String())
	if err != nil {
		if x.ctx.Err() != nil {
			return nil, err
		}
		return nil, explain(x.ctx, err, connecting, x.timeout)
	}
	defer conn.Close()
	defer endWith(x.ctx, conn)()
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(x.query))), x.query...) // RFC 1035, section 4.2.2.
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, packet); err != nil {
		return nil, err
	}
	if !answers(packet, x.query) {
		return nil, newReason(errForeign, "%v", errForeign)
	}
	return packet, nil
}

// endWith makes reads and writes of conn end with ctx, until the function that it returns is called.
func endWith(ctx context.Context, conn net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}
