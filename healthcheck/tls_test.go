package healthcheck

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestHTTPS(t *testing.T) {
	var (
		now   = time.Now()
		ca    = newAuthority(t, "Test CA", now.Add(365*day))
		other = newAuthority(t, "Other CA", now.Add(365*day))
		good  = ca.issue(t, now.Add(-day), now.Add(30*day+time.Hour), "www.example.com", "127.0.0.1")
		soon  = ca.issue(t, now.Add(-day), now.Add(9*day+time.Hour), "www.example.com")
		old   = ca.issue(t, now.Add(-90*day), now.Add(-2*day-time.Hour), "www.example.com")
		early = ca.issue(t, now.Add(3*time.Hour+time.Minute), now.Add(90*day), "www.example.com")
		alien = other.issue(t, now.Add(-day), now.Add(90*day), "www.example.com")
		named = ca.issue(t, now.Add(-day), now.Add(90*day), "a.example", "www.a.example")
		dir   = t.TempDir()
		file  = ca.write(t, dir, "ca.pem")
		us    = ca.issue(t, now.Add(-day), now.Add(90*day), "prober.example")
	)
	certFile, keyFile := writePair(t, dir, us)
	on := Options{Protocol: HTTPS, CAFile: file, SNI: true, Verify: true, CertExpiryWarning: 14 * day}
	with := func(change func(*Options)) Options {
		o := on
		change(&o)
		return o
	}
	for _, tt := range []struct {
		name    string
		o       Options
		server  *tls.Config
		host    string
		want    string
		expires *tls.Certificate // Nil: none is reported.
		warning string
		sni     string
	}{
		{"good", on, &tls.Config{Certificates: []tls.Certificate{good}}, "www.example.com", "good", &good, "", "www.example.com"},
		{"host with port", on, &tls.Config{Certificates: []tls.Certificate{good}}, "www.example.com:444", "good", &good, "", "www.example.com"},
		{"address", on, &tls.Config{Certificates: []tls.Certificate{good}}, "", "good", &good, "", ""},
		{"no SNI", with(func(o *Options) { o.SNI = false }), &tls.Config{Certificates: []tls.Certificate{good}}, "www.example.com", "good", &good, "", ""},
		{"TLS 1.2", on, &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, "www.example.com", "good", &good, "", "www.example.com"},
		{"TLS 1.1 accepted", with(func(o *Options) { o.MinTLS = "1.1" }), &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			"www.example.com", "good", &good, "", "www.example.com"},
		{"TLS 1.0 accepted", with(func(o *Options) { o.MinTLS = "1.0" }), &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
			"www.example.com", "good", &good, "", "www.example.com"},
		{"TLS 1.1 refused", on, &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			"www.example.com", "TLS: server offers no version from 1.2 on", nil, "", "www.example.com"},
		{"TLS 1.2 refused", with(func(o *Options) { o.MinTLS = "1.3" }), &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12},
			"www.example.com", "TLS: server offers no version from 1.3 on", nil, "", "www.example.com"},
		{"expires soon", on, &tls.Config{Certificates: []tls.Certificate{soon}}, "www.example.com", "good", &soon, "certificate expires in 9 days", "www.example.com"},
		{"no warning wanted", with(func(o *Options) { o.CertExpiryWarning = 0 }), &tls.Config{Certificates: []tls.Certificate{soon}}, "www.example.com", "good", &soon, "", "www.example.com"},
		{"expired", on, &tls.Config{Certificates: []tls.Certificate{old}}, "www.example.com", "TLS: certificate expired 2 days ago", &old, "certificate expired 2 days ago", "www.example.com"},
		{"early", on, &tls.Config{Certificates: []tls.Certificate{early}}, "www.example.com", "TLS: certificate is not valid for another 3 hours", &early, "", "www.example.com"},
		{"another name", on, &tls.Config{Certificates: []tls.Certificate{named}}, "www.example.com", "TLS: certificate is for a.example, www.a.example, not www.example.com", &named, "", "www.example.com"},
		{"another address", on, &tls.Config{Certificates: []tls.Certificate{named}}, "", "TLS: certificate is for a.example, www.a.example, not 127.0.0.1", &named, "", ""},
		{"unknown authority", on, &tls.Config{Certificates: []tls.Certificate{alien}}, "www.example.com", "TLS: certificate signed by unknown authority", &alien, "", "www.example.com"},
		{"unknown to the system", with(func(o *Options) { o.CAFile = "" }), &tls.Config{Certificates: []tls.Certificate{good}}, "www.example.com", "TLS: certificate signed by unknown authority", &good, "", "www.example.com"},
		{"not verified", with(func(o *Options) { o.Verify = false }), &tls.Config{Certificates: []tls.Certificate{old}}, "b.example", "good", &old, "certificate expired 2 days ago", "b.example"},
		{"client certificate wanted", on, &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert}, "www.example.com", "TLS: server says: certificate required", &good, "", "www.example.com"},
		{"client certificate given", with(func(o *Options) { o.CertFile, o.KeyFile = certFile, keyFile }), &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert},
			"www.example.com", "good", &good, "", "www.example.com"},
	} {
		hello := make(chan string, 1)
		tt.server.GetConfigForClient = func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			hello <- info.ServerName
			return nil, nil
		}
		at := origin(t, func(conn net.Conn) {
			server := tls.Server(conn, tt.server)
			if server.Handshake() != nil {
				io.Copy(io.Discard, conn) // Lets the alert arrive before the connection is closed.
				return
			}
			says("HTTP/1.1 200 OK\r\n\r\n")(server)
		})
		report, err := probe(t, t.Context(), tt.o, at, tt.host)
		want := Report{Warning: tt.warning}
		if tt.expires != nil {
			want.CertificateExpires = tt.expires.Leaf.NotAfter
		}
		if report.Phases = (Phases{}); text(err) != tt.want || report != want {
			t.Errorf("%s:\n got %s %+v\nwant %s %+v", tt.name, text(err), report, tt.want, want)
		}
		if name := <-hello; name != tt.sni {
			t.Errorf("%s: SNI %q, want %q", tt.name, name, tt.sni)
		}
	}
}

func TestHTTPSHandshake(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		handle     func(net.Conn)
	}{
		{"plain text", "TLS: server does not speak TLS", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, conn)
		}},
		{"closed", "TLS: connection closed in the handshake", func(conn net.Conn) { readSome(conn) }},
		{"reset", "TLS: connection reset in the handshake", func(conn net.Conn) {
			readSome(conn)
			conn.(*net.TCPConn).SetLinger(0)
		}},
	} {
		_, err := probe(t, t.Context(), Options{Protocol: HTTPS, Verify: true}, origin(t, tt.handle), "www.example.com")
		if text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	ctx, expire := newExpiring()
	at := origin(t, func(conn net.Conn) {
		readSome(conn)
		expire()
		io.Copy(io.Discard, conn)
	})
	if _, err := probe(t, ctx, Options{Protocol: HTTPS}, at, ""); text(err) != "timeout after 5s in the TLS handshake" {
		t.Errorf("%v", err)
	}
	if _, err := probe(t, t.Context(), Options{Protocol: HTTPS}, closedPort(t), ""); text(err) != "connect: connection refused" {
		t.Errorf("%v", err)
	}
}

// TestHTTPSRedirect goes from http to https, where the name of the redirect is what is sent and verified.
func TestHTTPSRedirect(t *testing.T) {
	now := time.Now()
	ca := newAuthority(t, "Test CA", now.Add(365*day))
	certificate := ca.issue(t, now.Add(-day), now.Add(5*day+time.Hour), "secure.example")
	name := make(chan string, 1)
	secure := origin(t, func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
		if server.Handshake() == nil {
			name <- server.ConnectionState().ServerName
			says("HTTP/1.1 204 No Content\r\n\r\n")(server)
		}
	})
	plain := origin(t, says(fmt.Sprintf("HTTP/1.1 301 Moved Permanently\r\nLocation: https://secure.example:%d/\r\n\r\n", secure.Port())))
	o := Options{Protocol: HTTP, FollowRedirects: true, ExpectStatus: statusSet(t, "204"), SNI: true, Verify: true,
		CAFile: ca.write(t, t.TempDir(), "ca.pem"), CertExpiryWarning: 14 * day}
	report, err := probe(t, t.Context(), o, plain, "www.example.com")
	if report.Phases = (Phases{}); err != nil || report != (Report{CertificateExpires: certificate.Leaf.NotAfter, Warning: "certificate expires in 5 days"}) {
		t.Errorf("%v, %+v", err, report)
	}
	if got := <-name; got != "secure.example" {
		t.Errorf("SNI %q", got)
	}
}

// TestTLS is the kind that makes no more than a handshake.
func TestTLS(t *testing.T) {
	ca := newAuthority(t, "Test CA", time.Now().Add(365*day))
	certificate := ca.issue(t, time.Now().Add(-day), time.Now().Add(9*day+time.Hour), "www.example.com", "127.0.0.1")
	file := ca.write(t, t.TempDir(), "ca.pem")
	hello := make(chan string, 1)
	at := origin(t, func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}, GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			hello <- fmt.Sprintf("%s %v", info.ServerName, info.SupportedProtos)
			return nil, nil
		}})
		if server.Handshake() == nil {
			io.Copy(io.Discard, server)
		}
	})
	for _, tt := range []struct{ host, want, hello string }{
		{"www.example.com", "good", "www.example.com []"},
		{"www.example.com:8443", "good", "www.example.com []"},
		{"", "good", " []"},
		{"other.example", "TLS: certificate is for www.example.com, 127.0.0.1, not other.example", "other.example []"},
	} {
		report, err := probe(t, t.Context(), Options{Protocol: TLS, CAFile: file, SNI: true, Verify: true, CertExpiryWarning: 14 * day}, at, tt.host)
		if text(err) != tt.want || !report.CertificateExpires.Equal(certificate.Leaf.NotAfter) || report.Warning != "certificate expires in 9 days" {
			t.Errorf("%q: %v, %+v", tt.host, err, report)
		}
		if got := <-hello; got != tt.hello {
			t.Errorf("%q: hello %q, want %q", tt.host, got, tt.hello)
		}
		if p := report.Phases; p.Connect == 0 || p.TLS == 0 || p.FirstByte != 0 || p.Body != 0 {
			t.Errorf("%q: phases %+v", tt.host, p)
		}
	}
	if _, err := probe(t, t.Context(), Options{Protocol: TLS}, closedPort(t), ""); text(err) != "connect: connection refused" {
		t.Errorf("%v", err)
	}
	ctx, expire := newExpiring()
	silent := origin(t, func(conn net.Conn) {
		readSome(conn)
		expire()
		io.Copy(io.Discard, conn)
	})
	if _, err := probe(t, ctx, Options{Protocol: TLS}, silent, ""); text(err) != "timeout after 5s in the TLS handshake" {
		t.Errorf("%v", err)
	}
}

// TestTrustJudge is about the rest of the chain: the first of it to expire counts, and of several chains the best.
func TestTrustJudge(t *testing.T) {
	now := time.Now()
	root := newAuthority(t, "Root", now.Add(90*day))
	short := root.authority(t, "Intermediate", now.Add(3*day))
	leaf := short.issue(t, now.Add(-day), now.Add(30*day), "www.example.com")
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	verify := &trust{roots: roots, verify: true}
	expires, err := verify.judge([]*x509.Certificate{leaf.Leaf, short.certificate}, "www.example.com", now)
	if err != nil || !expires.Equal(short.certificate.NotAfter) {
		t.Errorf("%v, %v", expires, err)
	}
	roots.AddCert(short.certificate)
	long := root.certificate.NotAfter
	if expires, err = verify.judge([]*x509.Certificate{leaf.Leaf}, "www.example.com", now); err != nil || expires.After(long) {
		t.Errorf("%v, %v", expires, err)
	}
	if _, err = verify.judge([]*x509.Certificate{leaf.Leaf, short.certificate}, "www.example.com", now.Add(100*day)); err == nil {
		t.Error("an expired chain is good")
	}
}

func TestExpiryWarning(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		expires time.Time
		within  time.Duration
		want    string
	}{
		{time.Time{}, day, ""},
		{now.Add(9 * day), 14 * day, "certificate expires in 9 days"},
		{now.Add(14 * day), 14 * day, "certificate expires in 14 days"},
		{now.Add(14*day + 1), 14 * day, ""},
		{now.Add(9 * day), 0, ""},
		{now.Add(-time.Hour), day, "certificate expired 1 hour ago"},
	} {
		if got := expiryWarning(tt.expires, tt.within, now); got != tt.want {
			t.Errorf("%v within %v: %q, want %q", tt.expires, tt.within, got, tt.want)
		}
	}
}

// authority is a certificate authority of a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, until time.Time) *authority {
	return (&authority{}).authority(t, name, until)
}

// authority returns an authority that a has signed, or, when a is zero, one that has signed itself.
func (a *authority) authority(t testing.TB, name string, until time.Time) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-365 * day), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	certificate := a.sign(t, template)
	return &authority{certificate.Leaf, certificate.PrivateKey.(*ecdsa.PrivateKey)}
}

// issue returns a certificate of a server with these names and addresses.
func (a *authority) issue(t testing.TB, from, until time.Time, names ...string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return a.sign(t, template)
}

func (a *authority) sign(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// write stores the authority's certificate and returns the path.
func (a *authority) write(t testing.TB, dir, name string) string {
	t.Helper()
	return writePEM(t, dir, name, "CERTIFICATE", a.certificate.Raw)
}

func writePair(t testing.TB, dir string, c tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, dir, "cert.pem", "CERTIFICATE", c.Certificate[0]), writePEM(t, dir, "key.pem", "PRIVATE KEY", key)
}

func writePEM(t testing.TB, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readSome reads the ClientHello.
func readSome(conn net.Conn) {
	conn.Read(make([]byte, 64<<10))
}
