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
	"time"
	"unicode"
)

// maxReason bounds the text of a reason, in characters, since an origin can have a say in it.
const maxReason = 300

// errStillRunning is the result of a round in which the probe of an earlier one has not ended yet.
var errStillRunning = errors.New("the probe before has not ended")

// errNoSocket is that the system denies us any ICMP socket.
var errNoSocket = errors.New("no ICMP socket")

// The commands of script checks that could not be run.
var (
	errTooManyProcesses = errors.New("too many processes of this check")
	errNoCommand        = errors.New("the command cannot be started")
)

// localFaults are the errors for which a probe says something of this machine and nothing of the address. No route
// and no permission to connect are not among them: they belong to the way to the address.
var localFaults = []error{
	syscall.EMFILE, syscall.ENFILE, // No file descriptor is left.
	syscall.ENOMEM, syscall.ENOBUFS, // No memory is.
	syscall.EADDRNOTAVAIL, // No local port is, or there is no local address at all.
	errNoSocket,
	errTooManyProcesses, errNoCommand,
}

// localFault returns which of localFaults a probe's error comes from, or nil. Such a result is void.
func localFault(err error) error {
	for _, fault := range localFaults {
		if errors.Is(err, fault) {
			return fault
		}
	}
	return nil
}

// unable returns the reason for a probe that a local fault has prevented.
func unable(cause, fault error) error { return newReason(cause, "cannot probe: %v", fault) }

// reason is the error of a probe: what people read, and what it comes from.
type reason struct {
	text  string
	cause error // Nil when the answer itself is the reason.
}

// newReason returns a reason with a clean text. Cause may be nil.
func newReason(cause error, format string, args ...any) *reason {
	return &reason{text: clean(fmt.Sprintf(format, args...)), cause: cause}
}

// Error returns the text for people.
func (r *reason) Error() string { return r.text }

// Unwrap returns what the reason comes from, or nil.
func (r *reason) Unwrap() error { return r.cause }

// clean makes text fit for a log line, a page and a message: printable, and of bounded length.
func clean(text string) string { return clip(text, maxReason) }

// clip is clean with a bound of its own.
func clip(text string, limit int) string {
	var b strings.Builder
	for _, r := range text {
		if limit == 0 {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
		limit--
	}
	return b.String()
}

// step is what a probe was doing, as it reads after "timeout after 5s".
type step string

const (
	connecting     step = "connecting"
	handshaking    step = "in the TLS handshake"
	awaitingHeader step = "waiting for headers"
	readingBody    step = "reading the body"
	sending        step = "sending"
	awaitingAnswer step = "waiting for the answer"
)

// lost returns how a connection that was closed or reset during the step reads.
func (s step) lost(how string) string {
	switch s {
	case connecting:
		return "connect: connection " + how
	case handshaking:
		return "TLS: connection " + how + " in the handshake"
	case awaitingHeader:
		return "connection " + how + " before a response"
	case readingBody:
		return "connection " + how + " in the body"
	case sending:
		return "connection " + how + " while sending"
	default:
		return "connection " + how + " before an answer"
	}
}

// isTimeout reports whether err comes from a deadline of ours. ETIMEDOUT of the kernel is none.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// explain turns an error that ended a probe during a step into the reason that people read. When ctx has ended, that is
// why, unless a local fault is. An error that is a reason already stays as it is. Nil stays nil.
func explain(ctx context.Context, err error, during step, timeout time.Duration) error {
	var (
		known *reason
		errno syscall.Errno
		op    *net.OpError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case localFault(err) != nil:
		return unable(err, localFault(err))
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	switch {
	case isTimeout(err):
		return newReason(err, "timeout after %v %s", timeout, during)
	case errors.Is(err, context.Canceled):
		return newReason(err, "canceled %s", during)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return newReason(err, "%s", during.lost("reset"))
	case errors.As(err, &errno) && during != connecting:
		return newReason(err, "%s %s", bare(err), during)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return newReason(err, "%s", during.lost("closed"))
	case errors.As(err, &op) && op.Op == "remote error":
		return newReason(err, "TLS: server says: %s", bare(op.Err))
	}
	switch during {
	case connecting:
		return newReason(err, "connect: %s", bare(err))
	case handshaking:
		return newReason(err, "TLS: %s", bare(err))
	case awaitingHeader:
		return newReason(err, "malformed response: %s", bare(err))
	default:
		return newReason(err, "%s %s", bare(err), during)
	}
}

// bare returns the text of err without what the standard library puts around it for programmers; of an error of the
// system, its own words.
func bare(err error) string {
	var (
		errno   syscall.Errno
		request *url.Error
	)
	if errors.As(err, &errno) {
		return errno.Error()
	}
	if errors.As(err, &request) {
		err = request.Err
	}
	text := err.Error()
	for _, prefix := range []string{"net/http: HTTP/1.x transport connection broken: ", "net/http: ", "tls: ", "x509: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// explainHandshake is explain for a TLS handshake, in which minimum was the lowest version accepted.
func explainHandshake(ctx context.Context, err error, minimum TLSVersion, timeout time.Duration) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return newReason(err, "TLS: server does not speak TLS")
	}
	// crypto/tls has no types for these: the alert of RFC 8446, section 6.2, and its own refusals.
	for _, text := range []string{"protocol version not supported", "unsupported protocol version", "unsupported versions"} {
		if strings.Contains(err.Error(), text) {
			return newReason(err, "TLS: server offers no version from %s on", minimum)
		}
	}
	return explain(ctx, err, handshaking, timeout)
}

// explainCertificate turns what is wrong with a certificate into a reason. Name is what was to be verified.
func explainCertificate(err error, name string, now time.Time) error {
	var (
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case localFault(err) != nil:
		return unable(err, localFault(err))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
		return newReason(err, "TLS: certificate is not valid for another %s", roughly(invalid.Cert.NotBefore.Sub(now)))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return newReason(err, "TLS: certificate expired %s ago", roughly(now.Sub(invalid.Cert.NotAfter)))
	case errors.As(err, &host):
		return newReason(err, "TLS: certificate is for %s, not %s", names(host.Certificate), name)
	case errors.As(err, &unknown):
		return newReason(err, "TLS: certificate signed by unknown authority")
	default:
		return newReason(err, "TLS: %s", bare(err))
	}
}

// names lists the first names of a certificate.
func names(c *x509.Certificate) string {
	const shown = 3
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0:
		return "no host"
	case len(all) > shown:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	default:
		return strings.Join(all, ", ")
	}
}

// roughly says how long d is, in the largest unit that fits, rounded down.
func roughly(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.length; {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "less than a minute"
}
