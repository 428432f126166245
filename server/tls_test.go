package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// writePair writes a certificate with a name, and its key.
func writePair(tb testing.TB, o TLSOptions, name string, end time.Time) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	writeFile(tb, o.CertificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	writeFile(tb, o.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// writeFile replaces a file as a whole.
func writeFile(tb testing.TB, name string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		tb.Fatal(err)
	}
}

// secureOptions listen for TLS on 127.0.0.2, and for plain queries on 127.0.0.1.
func secureOptions(tb testing.TB) Options {
	o := options("127.0.0.1:0")
	dir := tb.TempDir()
	o.TLS = TLSOptions{
		Listen:          []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:0")},
		CertificateFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"),
	}
	writePair(tb, o.TLS, "one.test", time.Now().Add(time.Hour))
	return o
}

// newSecureServer is a server that looks at its certificate often, and its log.
func newSecureServer(tb testing.TB, o Options) (*Server, *lockedBuffer) {
	tb.Helper()
	text, stats := &lockedBuffer{}, NewStats()
	s := New(slog.New(slog.NewTextHandler(text, nil)), stats)
	s.certificates.every = 5 * time.Millisecond
	if err := s.Swap(newView(tb, 1, stats.Counter)); err != nil {
		tb.Fatal(err)
	}
	apply(tb, s, o)
	tb.Cleanup(s.Close)
	return s, text
}

// dialTLS is a TLS connection without a check of the certificate (RFC 9539: opportunistic).
func dialTLS(tb testing.TB, s *Server, change func(*tls.Config)) (*tls.Conn, error) {
	tb.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	if change != nil {
		change(config)
	}
	conn := tls.Client(dial(tb, "tcp", s.TLSAddresses()[0]), config)
	return conn, conn.Handshake()
}

// shown is the name in the certificate that the server shows.
func shown(tb testing.TB, s *Server) string {
	conn, err := dialTLS(tb, s, nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// RFC 7858 section 3: the answers of TCP, over TLS of 1.2 and 1.3, several on one connection, pipelined too.
func TestTLSAnswers(t *testing.T) {
	s, _ := newSecureServer(t, secureOptions(t))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := dialTLS(t, s, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"www.gtm.test.", "big.gtm.test.", "missing.gtm.test."} {
			query := packet(t, name, dns.TypeA, 1232, "10.0.0.0/24")
			want := exchange(t, dial(t, "tcp", first(s)), query)
			if got := exchange(t, conn, query); !bytes.Equal(got, want) {
				t.Errorf("%s over TLS %#x:\ngot  %x\nwant %x", name, version, got, want)
			}
		}
		conn.Write(bytes.Repeat(framed(packet(t, "www.gtm.test.", dns.TypeA, 0, "")), 100))
		for range 100 {
			readTCP(t, conn)
		}
		// RFC 7858 section 3.4 and RFC 7766 section 6.2.4: a half that is closed.
		conn.Write(framed(packet(t, "big.gtm.test.", dns.TypeA, 0, "")))
		conn.CloseWrite()
		readTCP(t, conn)
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || err.Error() != "EOF" {
			t.Errorf("the connection does not end as TLS wants it: %v", err)
		}
	}
	const want = `
# HELP gtmd_dns_requests_total Queries answered, by transport and question type.
# TYPE gtmd_dns_requests_total counter
`
	var text strings.Builder
	text.WriteString(want)
	for _, proto := range []string{"tcp", "tls", "udp"} {
		for _, name := range typeNames {
			n := 0
			if name == "A" {
				n = map[string]int{"tcp": 6, "tls": 208}[proto]
			}
			fmt.Fprintf(&text, "gtmd_dns_requests_total{proto=%q,type=%q} %d\n", proto, name, n)
		}
	}
	if err := testutil.CollectAndCompare(s.stats, strings.NewReader(text.String()), "gtmd_dns_requests_total"); err != nil {
		t.Error(err)
	}
}

// Who is refused in the handshake, and who is not.
func TestTLSHandshake(t *testing.T) {
	s, _ := newSecureServer(t, secureOptions(t))
	for _, test := range []struct {
		name     string
		change   func(*tls.Config)
		protocol string
		err      string // a part of it
	}{
		{"RFC 7858 section 3.1: no ALPN", nil, "", ""},
		{"IANA, RFC 7858: ALPN dot", func(c *tls.Config) { c.NextProtos = []string{"dot"} }, "dot", ""},
		{"ALPN dot among others", func(c *tls.Config) { c.NextProtos = []string{"h2", "dot"} }, "dot", ""},
		{"RFC 7301 section 3.2: ALPN without dot", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "", "no application protocol"},
		{"RFC 9325 section 3.1.1: TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "", "protocol version not supported"},
	} {
		conn, err := dialTLS(t, s, test.change)
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %s", test.name, err, test.err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != test.protocol {
			t.Errorf("%s: protocol %q", test.name, got)
		}
		exchange(t, conn, packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	}
	await(t, "what must come", func() bool {
		return s.stats.streams.handshakes.Load() == 2 && s.stats.streams.closed[closedHandshake].Load() == 2
	})
}

// The limits of TCP are those of TLS: a handshake that does not end, silence, half a message, and the place of another.
func TestTLSLimits(t *testing.T) {
	const short = 50 * time.Millisecond
	query := framed(packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	for _, test := range []struct {
		name          string
		idle, message time.Duration
		before        func(s *Server) net.Conn
		why           closed
	}{
		{"no handshake", patience, short, func(s *Server) net.Conn { return dial(t, "tcp", s.TLSAddresses()[0]) }, closedHandshake},
		{"a query without TLS", patience, patience, func(s *Server) net.Conn {
			conn := dial(t, "tcp", s.TLSAddresses()[0])
			conn.Write(query)
			return conn
		}, closedHandshake},
		{"silence", short, patience, func(s *Server) net.Conn {
			conn, _ := dialTLS(t, s, nil)
			return conn
		}, closedIdle},
		{"half a message", patience, 200 * time.Millisecond, func(s *Server) net.Conn {
			conn, _ := dialTLS(t, s, nil)
			conn.Write(query[:10])
			return conn
		}, closedMessage},
		{"no query", patience, patience, func(s *Server) net.Conn {
			conn, _ := dialTLS(t, s, nil)
			conn.Write([]byte{0, 0})
			return conn
		}, closedNoQuery},
		{"replaced by one of TCP", patience, patience, func(s *Server) net.Conn {
			conn, _ := dialTLS(t, s, nil)
			exchange(t, conn, query[2:])
			await(t, "an idle connection", func() bool { return queued(s, waitsIdle) == 1 })
			exchange(t, dial(t, "tcp", first(s)), query[2:])
			return conn
		}, closedReplaced},
	} {
		o := secureOptions(t)
		o.TCPIdleTimeout, o.TCPMessageTimeout, o.TCPConnections = test.idle, test.message, 1
		s, _ := newSecureServer(t, o)
		conn := test.before(s)
		for err := error(nil); err == nil; { // an alert may come first
			if _, err = conn.Read(make([]byte, 100)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection stays open", test.name)
			}
		}
		s.Close()
		checkEnded(t, s)
		if got := s.stats.streams.closed[test.why].Load(); got != 1 {
			t.Errorf("%s: %d connections closed for %q, want 1", test.name, got, closedNames[test.why])
		}
	}
}

// A new certificate is shown without a reload, connections go on, and a client resumes its session with it; a pair that
// does not fit is refused, told once and counted, and the one before serves on.
func TestTLSCertificateChanges(t *testing.T) {
	o := secureOptions(t)
	s, log := newSecureServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	cache := tls.NewLRUClientSessionCache(10)
	resumable := func(c *tls.Config) { c.ClientSessionCache, c.ServerName = cache, "gtm.test" }
	conn, err := dialTLS(t, s, resumable)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, conn, query) // has read the tickets too

	writePair(t, o.TLS, "two.test", time.Unix(4e9, 0))
	await(t, "what must come", func() bool { return shown(t, s) == "two.test" })
	if got := s.stats.streams.expiry.Load(); got != 4e9 {
		t.Errorf("the certificate ends at %d", got)
	}
	exchange(t, conn, query)
	again, err := dialTLS(t, s, resumable)
	if err != nil {
		t.Fatal(err)
	}
	if !again.ConnectionState().DidResume {
		t.Error("the new certificate has ended the session")
	}

	key, err := os.ReadFile(o.TLS.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	writePair(t, o.TLS, "three.test", time.Now().Add(time.Hour))
	writeFile(t, o.TLS.KeyFile, key)
	await(t, "what must come", func() bool { return s.stats.streams.loads.Load() > 0 })
	for range 20 {
		if got := shown(t, s); got != "two.test" {
			t.Fatalf("certificate %s is shown", got)
		}
	}
	if n := strings.Count(log.String(), "read the certificate of DNS over TLS: the one before serves on"); n < 1 || n > 3 { // of files seen between two writes too
		t.Errorf("told %d times: %s", n, log.String())
	}
	if strings.Contains(log.String(), "PRIVATE") {
		t.Error("the log has the key")
	}
	// A reload with the bad pair is refused as a whole, and with a good one shows it at once.
	want := fmt.Sprintf("listen for DNS over TLS: certificate_file %s with key_file %s: tls: private key does not match public key", o.TLS.CertificateFile, o.TLS.KeyFile)
	if _, err := s.Prepare(o); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	writePair(t, o.TLS, "four.test", time.Now().Add(time.Hour))
	apply(t, s, o)
	if got := shown(t, s); got != "four.test" {
		t.Errorf("certificate %s is shown after the reload", got)
	}
}

// TLS is switched on and off by reloads, and an address changes its kind; wrong options are refused.
func TestTLSReload(t *testing.T) {
	o := secureOptions(t)
	plain := o
	plain.TLS.Listen = nil
	s, _ := newSecureServer(t, plain)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	apply(t, s, o)
	address := s.TLSAddresses()[0]
	o.TLS.Listen = []netip.AddrPort{address}
	plain.Listen = []netip.AddrPort{first(s)}
	o.Listen = plain.Listen
	apply(t, s, o)
	conn, err := dialTLS(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Workers = 1
	apply(t, s, o)
	exchange(t, conn, query) // the same listener
	if len(s.Addresses()) != 1 || len(s.TLSAddresses()) != 1 {
		t.Errorf("listening on %v and for TLS on %v", s.Addresses(), s.TLSAddresses())
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"in both lists": {func(o *Options) { o.Listen = append(o.Listen[:1:1], address) }, "listen on " + address.String() + " over TLS: dns.listen has " + address.String() + ": want another port, such as 853"},
		"on every address": {func(o *Options) {
			o.Listen = append(o.Listen[:1:1], netip.AddrPortFrom(netip.IPv4Unspecified(), address.Port()))
		}, fmt.Sprintf("listen on %s over TLS: dns.listen has 0.0.0.0:%d: want another port, such as 853", address, address.Port())},
		"no file": {func(o *Options) { o.TLS.CertificateFile = "none" }, "listen for DNS over TLS: read certificate_file: stat none: no such file or directory"},
		"no key":  {func(o *Options) { o.TLS.KeyFile = "." }, "listen for DNS over TLS: read key_file: . is not a regular file"},
	} {
		bad := o
		test.change(&bad)
		if _, err := s.Prepare(bad); err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v, want %s", name, err, test.want)
		}
	}
	exchange(t, conn, query)
	apply(t, s, plain)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stays open")
	}
	if s.stats.streams.expiry.Load() != 0 || len(s.TLSAddresses()) != 0 {
		t.Error("TLS is still on")
	}
}

// The port of another server is not shared.
func TestTLSPortTaken(t *testing.T) {
	foreign, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	o := secureOptions(t)
	o.TLS.Listen[0] = foreign.Addr().(*net.TCPAddr).AddrPort()
	s := newServer(t, options("127.0.0.1:0"))
	if _, err := s.Prepare(o); err == nil || !strings.Contains(err.Error(), "over TLS: listen tcp4") || !strings.Contains(err.Error(), "another server holds the port") {
		t.Errorf("error %v", err)
	}
}

func TestTLSOptions(t *testing.T) {
	for _, test := range []struct {
		options TLSOptions
		want    []string
	}{
		{TLSOptions{}, nil},
		{TLSOptions{CertificateFile: "x"}, nil},
		{TLSOptions{Listen: make([]netip.AddrPort, 1), CertificateFile: "x", KeyFile: "y"}, nil},
		{TLSOptions{Listen: make([]netip.AddrPort, 1)}, []string{
			"certificate_file listen needs it: want the path of a PEM file with the certificate",
			"key_file listen needs it: want the path of a PEM file with the private key of the certificate",
		}},
	} {
		var got []string
		test.options.Validate(func(key, message string) { got = append(got, key+" "+message) })
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%+v: problems %q, want %q", test.options, got, test.want)
		}
	}
}

// Both ends of a connection that has asked and now waits cost no more than 64 KB together.
func TestTLSMemory(t *testing.T) {
	o := secureOptions(t)
	o.TCPConnections, o.TCPConnectionsPerClient = 200, 200
	s, _ := newSecureServer(t, o)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	before := used()
	var conns []*tls.Conn
	for range 100 {
		conn, err := dialTLS(t, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, conn, query)
		conns = append(conns, conn)
	}
	await(t, "what must come", func() bool { return queued(s, waitsIdle) == len(conns) })
	each := (int64(used()) - int64(before)) / int64(len(conns))
	t.Logf("%d octets each", each)
	if each > 64<<10 {
		t.Errorf("the two ends of a connection cost %d octets", each)
	}
}

// RFC 7828 section 3.3.2, RFC 7830 section 6 with RFC 8467 section 4.1: what a reply over TLS, and one over TCP, has of
// edns-tcp-keepalive and padding. On a connection that ends soon the keepalive is 0 (RFC 7828 section 3.4).
func TestKeepaliveAndPaddingByTransport(t *testing.T) {
	o := secureOptions(t)
	o.TCPIdleTimeout = 12 * time.Second
	s, _ := newSecureServer(t, o)
	m := new(dns.Msg).SetQuestion("www.gtm.test.", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}, &dns.EDNS0_PADDING{Padding: make([]byte, 10)}}
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	secure, err := dialTLS(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := dial(t, "tcp", first(s))
	for _, closing := range []bool{false, true} {
		for _, conn := range []net.Conn{secure, plain} {
			reply := exchange(t, conn, query)
			var keepalive, padding bool
			for _, option := range unpacked(t, reply).IsEdns0().Option {
				switch option := option.(type) {
				case *dns.EDNS0_TCP_KEEPALIVE:
					keepalive = true
					if want := map[bool]uint16{false: 120}[closing]; option.Timeout != want {
						t.Errorf("closing %t: keepalive %d, want %d", closing, option.Timeout, want)
					}
				case *dns.EDNS0_PADDING:
					padding = true
				}
			}
			if isTLS := conn == net.Conn(secure); !keepalive || padding != isTLS || isTLS && len(reply)%468 != 0 {
				t.Errorf("TLS %t: keepalive %t, padding %t, %d octets", isTLS, keepalive, padding, len(reply))
			}
		}
		for _, l := range s.listeners {
			l.tcp.closing.Store(true)
		}
	}
}

// A client that reads nothing does not hold up Close by the farewell of TLS either, for which crypto/tls would wait 5 s.
func TestTLSCloseWithDeafClient(t *testing.T) {
	s, _ := newSecureServer(t, secureOptions(t))
	deaf, err := dialTLS(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	deaf.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	deaf.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	deaf.Write(bytes.Repeat(framed(packet(t, "big.gtm.test.", dns.TypeA, 0, "")), 2000)) // until the server waits for us to read
	begin := time.Now()
	s.Close()
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("Close took %v", took)
	}
	checkEnded(t, s)
}
