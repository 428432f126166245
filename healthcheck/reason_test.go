package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	system := func(op string, errno syscall.Errno) error {
		return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, errno)}
	}
	request := func(err error) error { return &url.Error{Op: "Get", URL: "http://192.0.2.1/", Err: err} }
	for _, tt := range []struct {
		err    error
		during step
		want   string
	}{
		{system("connect", syscall.ECONNREFUSED), connecting, "connect: connection refused"},
		{system("connect", syscall.EHOSTUNREACH), connecting, "connect: no route to host"},
		{system("connect", syscall.ENETUNREACH), connecting, "connect: network is unreachable"},
		{system("connect", syscall.ETIMEDOUT), connecting, "connect: connection timed out"},
		{system("connect", syscall.ECONNRESET), connecting, "connect: connection reset"},
		{system("socket", syscall.EMFILE), connecting, "cannot probe: too many open files"},
		{system("connect", syscall.EADDRNOTAVAIL), connecting, "cannot probe: cannot assign requested address"},
		{request(system("write", syscall.ENOBUFS)), awaitingHeader, "cannot probe: no buffer space available"},
		{system("connect", syscall.EPERM), connecting, "connect: operation not permitted"},
		{errors.New("odd"), connecting, "connect: odd"},
		{request(context.DeadlineExceeded), connecting, "timeout after 5s connecting"},
		{context.DeadlineExceeded, handshaking, "timeout after 5s in the TLS handshake"},
		{os.ErrDeadlineExceeded, awaitingHeader, "timeout after 5s waiting for headers"},
		{context.DeadlineExceeded, readingBody, "timeout after 5s reading the body"},
		{context.DeadlineExceeded, sending, "timeout after 5s sending"},
		{context.DeadlineExceeded, awaitingAnswer, "timeout after 5s waiting for the answer"},
		{request(context.Canceled), awaitingHeader, "canceled waiting for headers"},
		{io.EOF, handshaking, "TLS: connection closed in the handshake"},
		{system("read", syscall.ECONNRESET), handshaking, "TLS: connection reset in the handshake"},
		{request(io.EOF), awaitingHeader, "connection closed before a response"},
		{request(io.ErrUnexpectedEOF), awaitingHeader, "connection closed before a response"},
		{request(system("read", syscall.ECONNRESET)), awaitingHeader, "connection reset before a response"},
		{request(system("write", syscall.EPIPE)), awaitingHeader, "connection reset before a response"},
		{system("read", syscall.EHOSTUNREACH), awaitingHeader, "no route to host waiting for headers"},
		{io.ErrUnexpectedEOF, readingBody, "connection closed in the body"},
		{system("write", syscall.EPIPE), sending, "connection reset while sending"},
		{system("read", syscall.ECONNRESET), awaitingAnswer, "connection reset before an answer"},
		{request(fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", errors.New(`malformed HTTP status code "x"`))),
			awaitingHeader, `malformed response: malformed HTTP status code "x"`},
		{errors.New("invalid byte in chunk length"), readingBody, "invalid byte in chunk length reading the body"},
		{errors.New("tls: server chose an unconfigured cipher suite"), handshaking, "TLS: server chose an unconfigured cipher suite"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, handshaking, "TLS: server says: handshake failure"},
		{fmt.Errorf("outer: %w", newReason(nil, "inner")), connecting, "inner"},
	} {
		err := explain(t.Context(), tt.err, tt.during, 5*time.Second)
		if err.Error() != tt.want {
			t.Errorf("%v %s:\n got %s\nwant %s", tt.err, tt.during, err, tt.want)
		}
		if isTimeout(err) != isTimeout(tt.err) {
			t.Errorf("%v: the reason is a timeout: %v", tt.err, isTimeout(err))
		}
	}
	if err := explain(t.Context(), nil, connecting, time.Second); err != nil {
		t.Errorf("nil gives %v", err)
	}
	ctx, expire := newExpiring()
	expire()
	err := explain(ctx, net.ErrClosed, awaitingAnswer, 1500*time.Millisecond)
	if err.Error() != "timeout after 1.5s waiting for the answer" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context that has ended does not win: %v", err)
	}
	if err := explain(ctx, syscall.ENFILE, connecting, time.Second); err.Error() != "cannot probe: too many open files in system" {
		t.Errorf("a context that has ended hides a fault of our own: %v", err)
	}
}

func TestLocalFault(t *testing.T) {
	wrap := func(errno syscall.Errno) error {
		return fmt.Errorf("outer: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)})
	}
	for _, tt := range []struct {
		err  error
		want error
	}{
		{nil, nil},
		{wrap(syscall.EMFILE), syscall.EMFILE},
		{wrap(syscall.ENFILE), syscall.ENFILE},
		{wrap(syscall.ENOMEM), syscall.ENOMEM},
		{wrap(syscall.ENOBUFS), syscall.ENOBUFS},
		{wrap(syscall.EADDRNOTAVAIL), syscall.EADDRNOTAVAIL},
		{newReason(wrap(syscall.EMFILE), "any text"), syscall.EMFILE},
		{newReason(newReason(syscall.EMFILE, "any text"), "after a redirect"), syscall.EMFILE},
		{errors.Join(syscall.EACCES, errNoSocket), errNoSocket},
		{x509.SystemRootsError{Err: wrap(syscall.EMFILE)}, syscall.EMFILE},
		// These say something of the origin, or of the way to it.
		{wrap(syscall.ECONNREFUSED), nil},
		{wrap(syscall.ECONNRESET), nil},
		{wrap(syscall.EHOSTUNREACH), nil},
		{wrap(syscall.ENETUNREACH), nil},
		{wrap(syscall.ETIMEDOUT), nil},
		{wrap(syscall.EPERM), nil},
		{wrap(syscall.EACCES), nil},
		{context.DeadlineExceeded, nil},
		{newReason(nil, "connect: too many open files"), nil},
	} {
		if got := localFault(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}

func TestExplainHandshake(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "TLS: server does not speak TLS"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")}, "TLS: server offers no version from 1.2 on"},
		{errors.New("tls: server selected unsupported protocol version 302"), "TLS: server offers no version from 1.2 on"},
		{context.DeadlineExceeded, "timeout after 5s in the TLS handshake"},
	} {
		if err := explainHandshake(t.Context(), tt.err, "1.2", 5*time.Second); err.Error() != tt.want {
			t.Errorf("%v:\n got %s\nwant %s", tt.err, err, tt.want)
		}
	}
}

func TestExplainCertificate(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	valid := func(from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to)}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{x509.CertificateInvalidError{Cert: valid(-99*time.Hour, -49*time.Hour), Reason: x509.Expired}, "TLS: certificate expired 2 days ago"},
		{x509.CertificateInvalidError{Cert: valid(time.Hour, 99*time.Hour), Reason: x509.Expired}, "TLS: certificate is not valid for another 1 hour"},
		{x509.CertificateInvalidError{Cert: valid(-1, 1), Reason: x509.TooManyIntermediates}, "TLS: too many intermediates for path length constraint"},
		{x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a.example"}}}, "TLS: certificate is for a.example, not www.example.com"},
		{x509.HostnameError{Certificate: &x509.Certificate{}}, "TLS: certificate is for no host, not www.example.com"},
		{x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a", "b", "c"}, IPAddresses: []net.IP{{192, 0, 2, 1}}}},
			"TLS: certificate is for a, b, c and 1 more, not www.example.com"},
		{x509.UnknownAuthorityError{}, "TLS: certificate signed by unknown authority"},
		{x509.SystemRootsError{Err: &os.PathError{Op: "open", Path: "ca.pem", Err: syscall.EMFILE}}, "cannot probe: too many open files"},
	} {
		if err := explainCertificate(tt.err, "www.example.com", now); err.Error() != tt.want {
			t.Errorf("%v:\n got %s\nwant %s", tt.err, err, tt.want)
		}
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a minute", 59 * time.Second: "less than a minute", time.Minute: "1 minute",
		59*time.Minute + 59*time.Second: "59 minutes", time.Hour: "1 hour", 23 * time.Hour: "23 hours",
		24 * time.Hour: "1 day", 47 * time.Hour: "1 day", 240 * time.Hour: "10 days",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	if got := clean("a\r\n\x1b[31mä\xff"); got != "a\uFFFD\uFFFD\uFFFD[31mä\uFFFD" {
		t.Errorf("%q", got)
	}
	if got := clean(strings.Repeat("é", maxReason)); got != strings.Repeat("é", maxReason) {
		t.Errorf("a text of the longest length became %q", got)
	}
	if got := clean(strings.Repeat("é", maxReason+1)); got != strings.Repeat("é", maxReason)+"…" {
		t.Errorf("%q", got)
	}
}

// expiring is a context whose deadline passes when the test says so.
type expiring struct {
	context.Context
	done chan struct{}
}

// newExpiring returns the context, and the function, to be called once, that lets its deadline pass.
func newExpiring() (context.Context, func()) {
	e := &expiring{context.Background(), make(chan struct{})}
	return e, func() { close(e.done) }
}

func (e *expiring) Done() <-chan struct{} { return e.done }

func (e *expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
