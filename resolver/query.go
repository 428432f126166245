package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is the largest UDP message that is asked for: one that no usual path fragments (DNS flag day 2020).
	udpSize = 1232
	// udpRoom is what is read of a message all the same, since not every server heeds that.
	udpRoom = 4096
)

// query is one question to one server.
type query struct {
	server   netip.AddrPort
	question dns.Question
	timeout  time.Duration // For all that it takes, TCP after UDP included.
}

// exchange asks a server. The message that it returns answers the question. It ends with ctx.
type exchange func(ctx context.Context, q query) (*dns.Msg, error)

var (
	errName      = errors.New("not a domain name")
	errMalformed = errors.New("malformed answer")
	errOther     = errors.New("answer to another question")
	errTruncated = errors.New("truncated answer")
)

// tcpError is an error over TCP, after UDP has worked.
type tcpError struct{ err error }

func (e *tcpError) Error() string { return "over TCP: " + e.err.Error() }
func (e *tcpError) Unwrap() error { return e.err }

// exchangeMessages asks over UDP with EDNS, without EDNS when the server does not like that (RFC 6891, section 7), and
// over TCP when the answer does not fit.
func exchangeMessages(ctx context.Context, q query) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	if _, ok := dns.IsDomainName(q.question.Name); !ok {
		return nil, errName
	}
	question := new(dns.Msg)
	question.Question = []dns.Question{q.question}
	question.RecursionDesired = true
	question.SetEdns0(udpSize, false)
	m, err := q.exchange(ctx, question)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented || m.Rcode == dns.RcodeBadVers) {
		question.Extra = nil
		m, err = q.exchange(ctx, question)
	}
	return m, err
}

// exchange asks over UDP, and over TCP when the answer does not fit.
func (q query) exchange(ctx context.Context, question *dns.Msg) (*dns.Msg, error) {
	m, err := q.exchangeOver(ctx, "udp", question)
	if !errors.Is(err, errTruncated) {
		return m, err
	}
	if m, err = q.exchangeOver(ctx, "tcp", question); err != nil {
		return nil, &tcpError{err}
	}
	return m, nil
}

// exchangeOver asks over one network, from a port of its own and with an id of its own, so that an answer is hard to
// forge (RFC 5452).
func (q query) exchangeOver(ctx context.Context, network string, question *dns.Msg) (*dns.Msg, error) {
	question.Id = dns.Id()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, q.server.String())
	if err != nil {
		return nil, err
	}
	conn := &dns.Conn{Conn: c, UDPSize: udpRoom}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.WriteMsg(question); err != nil {
		return nil, err
	}
	if network == "tcp" {
		m, err := conn.ReadMsg()
		if m == nil {
			return nil, err
		}
		return judge(question, m, err)
	}
	for others := 0; ; {
		m, err := conn.ReadMsg()
		switch {
		case errors.Is(err, dns.ErrShortRead):
			others++
			continue
		case m == nil && others > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			return nil, errOther
		case m == nil:
			return nil, err
		}
		// Whoever forges answers sends many wrong ones: each is passed over, and the right one may yet come.
		if m, err = judge(question, m, err); !errors.Is(err, errOther) {
			return m, err
		}
		others++
	}
}

// judge returns m when it answers the question. Malformed is the error of unpacking it.
func judge(question, m *dns.Msg, malformed error) (*dns.Msg, error) {
	if !m.Response || m.Id != question.Id || m.Opcode != dns.OpcodeQuery {
		return nil, errOther
	}
	asked := question.Question[0]
	switch {
	case len(m.Question) == 1:
		q := m.Question[0]
		if dns.CanonicalName(q.Name) != dns.CanonicalName(asked.Name) || q.Qtype != asked.Qtype || q.Qclass != asked.Qclass {
			return nil, errOther
		}
	case len(m.Question) == 0 && malformed == nil && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		// Some servers that refuse a question do not repeat it.
	default:
		return nil, errMalformed
	}
	switch {
	case m.Truncated:
		return nil, errTruncated
	case malformed != nil:
		return nil, errMalformed
	default:
		return m, nil
	}
}

// explain turns the error of an exchange into what people read, and into the result that is counted.
func (q query) explain(err error) (text string, r result) {
	var (
		tcp   *tcpError
		errno syscall.Errno
		wire  *net.OpError
		via   string
	)
	if errors.As(err, &tcp) {
		via = " over TCP"
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer%s from %v within %v", via, q.server, q.timeout), timeout
	case errors.Is(err, errMalformed), errors.Is(err, errOther), errors.Is(err, errTruncated):
		if tcp != nil {
			err = tcp.err
		}
		return fmt.Sprintf("%v%s from %v", err, via, q.server), malformed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("cannot ask %v%s: connection closed", q.server, via), failed
	case errors.As(err, &errno):
		return fmt.Sprintf("cannot ask %v%s: %v", q.server, via, errno), failed
	case errors.As(err, &wire):
		return fmt.Sprintf("cannot ask %v%s: %v", q.server, via, wire.Err), failed
	default:
		return fmt.Sprintf("cannot ask %v%s: %v", q.server, via, err), failed
	}
}
