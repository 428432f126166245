package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// tls is the probe that makes a handshake and looks at the certificate. A server that speaks TLS 1.3 and does not like
// ours says so only afterwards, and is good.
func (c *Check) tls(ctx context.Context, address netip.Addr, host string, report *Report) error {
	o := &c.options
	name, _ := splitHost(host)
	if name == "" {
		name = address.WithZone("").String()
	}
	watch := startWatch()
	link, err := connect(ctx, netip.AddrPortFrom(address, uint16(o.Port)), o.Timeout)
	report.Phases.Connect = watch.lap()
	if err != nil {
		return err
	}
	client, expires, err := c.trust.handshake(ctx, link, name)
	report.Phases.TLS = watch.lap()
	c.noteExpiry(expires, report)
	if err != nil {
		return err
	}
	client.Close()
	return nil
}

// trust is how a check speaks TLS: whom it believes, and who it says it is. It is immutable.
type trust struct {
	roots        *x509.CertPool    // Nil: those of the system.
	certificates []tls.Certificate // Our own; none or one.
	minimum      TLSVersion
	version      uint16 // minimum, as crypto/tls has it.
	// curves are those of the key exchange. The ones against quantum computers, which crypto/tls would offer too, make
	// handshakes dearer, and what a probe says is no secret.
	curves      []tls.CurveID
	sni, verify bool
	timeout     time.Duration // Of the probe, for reasons.
}

// newTrust loads the certificate files of o. Its error names key and file.
func newTrust(o *Options) (*trust, error) {
	t := &trust{
		minimum: o.MinTLS, sni: o.SNI, verify: o.Verify, timeout: o.Timeout,
		curves: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
	}
	var problems []error
	switch o.MinTLS {
	case "1.0":
		t.version = tls.VersionTLS10
	case "1.1":
		t.version = tls.VersionTLS11
	case "1.2":
		t.version = tls.VersionTLS12
	case "1.3":
		t.version = tls.VersionTLS13
	default:
		problems = append(problems, fmt.Errorf("min_tls: %q is no version of TLS: want 1.0, 1.1, 1.2 or 1.3", o.MinTLS))
	}
	if o.CAFile != "" {
		t.roots = x509.NewCertPool()
		text, err := os.ReadFile(o.CAFile)
		if err != nil {
			problems = append(problems, fmt.Errorf("ca_file: %w", err))
		} else if !t.roots.AppendCertsFromPEM(text) {
			problems = append(problems, fmt.Errorf("ca_file: %s holds no certificate in PEM form", o.CAFile))
		}
	}
	if o.CertFile != "" && o.KeyFile != "" {
		certificate, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			problems = append(problems, fmt.Errorf("cert_file %s with key_file %s: %w", o.CertFile, o.KeyFile, err))
		}
		t.certificates = []tls.Certificate{certificate}
	}
	return t, errors.Join(problems...)
}

// handshake speaks TLS as a client on conn, which it closes when it fails and which must itself end with ctx; the error is a
// reason. Name is the host or address to verify. Protocols are what to offer (ALPN); none: do not. The time at which
// the server's certificate expires is known as soon as the server has shown it, whether or not the handshake succeeds,
// and else zero.
func (t *trust) handshake(ctx context.Context, conn net.Conn, name string, protocols ...string) (client *tls.Conn, expires time.Time, err error) {
	config := &tls.Config{
		MinVersion:       t.version,
		NextProtos:       protocols,
		Certificates:     t.certificates,
		CurvePreferences: t.curves,
		// What crypto/tls would verify is verified below: it cannot tell the expiry of what it refuses, nor
		// verify a name that was not sent.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			var err error
			expires, err = t.judge(state.PeerCertificates, name, time.Now())
			return err
		},
	}
	if _, err := netip.ParseAddr(name); err != nil && t.sni {
		config.ServerName = name // RFC 6066, section 3: never an address.
	}
	client = tls.Client(conn, config)
	// With a context it would start a goroutine, which conn has no need for.
	if err := client.Handshake(); err != nil {
		conn.Close()
		return nil, expires, explainHandshake(ctx, err, t.minimum, t.timeout)
	}
	return client, expires, nil
}

// judge verifies a server's certificates, the first of which is its own, unless the check does not care. It returns
// when the first of the verified chain expires, or, without one, the server's own.
func (t *trust) judge(certificates []*x509.Certificate, name string, now time.Time) (expires time.Time, err error) {
	leaf := certificates[0]
	if !t.verify {
		return leaf.NotAfter, nil
	}
	options := x509.VerifyOptions{
		Roots:         t.roots,
		Intermediates: x509.NewCertPool(),
		DNSName:       name,
		CurrentTime:   now,
	}
	for _, c := range certificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return leaf.NotAfter, explainCertificate(err, name, now)
	}
	for _, chain := range chains {
		first := leaf.NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(expires) {
			expires = first
		}
	}
	return expires, nil
}

// expiryWarning returns what to say of a certificate that expires within the given time, or nothing.
// A zero expires is not known; a zero within never warns.
func expiryWarning(expires time.Time, within time.Duration, now time.Time) string {
	left := expires.Sub(now)
	switch {
	case expires.IsZero() || within <= 0 || left > within:
		return ""
	case left < 0:
		return fmt.Sprintf("certificate expired %s ago", roughly(-left))
	default:
		return fmt.Sprintf("certificate expires in %s", roughly(left))
	}
}
