package healthcheck

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// serveGRPC runs a server of grpc-go at 127.0.0.1.
func serveGRPC(t testing.TB, register func(*grpc.Server), o ...grpc.ServerOption) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(o...)
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

func TestGRPC(t *testing.T) {
	services := health.NewServer()
	services.SetServingStatus("shop.Cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	services.SetServingStatus("shop.New", grpc_health_v1.HealthCheckResponse_UNKNOWN)
	services.SetServingStatus("shop.Odd", grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN)
	services.SetServingStatus("shop.Later", 99)
	at := serveGRPC(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, services) })
	for _, tt := range []struct {
		service, want string
	}{
		{"", "good"},
		{"shop.Cart", "gRPC: NOT_SERVING"},
		{"shop.New", "gRPC: UNKNOWN"},
		{"shop.Odd", "gRPC: SERVICE_UNKNOWN"},
		{"shop.Later", "gRPC: serving status 99, which the protocol does not have"},
		{"shop.None", "gRPC: status 5 (not found): unknown service"},
	} {
		report, err := probe(t, t.Context(), Options{Protocol: GRPC, Service: tt.service}, at, "www.example.com")
		if text(err) != tt.want {
			t.Errorf("%q: %v, want %s", tt.service, err, tt.want)
		}
		if p := report.Phases; p.Connect <= 0 || p.FirstByte <= 0 || p.TLS != 0 {
			t.Errorf("%q: phases %+v", tt.service, p)
		}
	}
	none := serveGRPC(t, func(*grpc.Server) {})
	if _, err := probe(t, t.Context(), Options{Protocol: GRPC}, none, ""); text(err) != "gRPC: status 12 (unimplemented): unknown service grpc.health.v1.Health" {
		t.Errorf("a server without the service: %v", err)
	}
	if _, err := probe(t, t.Context(), Options{Protocol: GRPC}, closedPort(t), ""); text(err) != "connect: connection refused" {
		t.Errorf("closed: %v", err)
	}
}

// TestGRPCAuthority looks at the :authority that a server sees.
func TestGRPCAuthority(t *testing.T) {
	got := make(chan string, 10)
	at := serveGRPC(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) },
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			fields, _ := metadata.FromIncomingContext(ctx)
			got <- strings.Join(fields.Get(":authority"), " and ")
			if r := request.(*grpc_health_v1.HealthCheckRequest); r.Service == "down" {
				return nil, status.Error(codes.Unavailable, "50 % done: \u2603\n")
			}
			return next(ctx, request)
		}))
	for _, host := range []string{"www.example.com", "www.example.com:8443", "", "2001:db8::1"} {
		want := host
		switch host {
		case "":
			want = "127.0.0.1"
		case "2001:db8::1":
			want = "[2001:db8::1]"
		}
		if _, err := probe(t, t.Context(), Options{Protocol: GRPC}, at, host); err != nil {
			t.Errorf("%q: %v", host, err)
		} else if authority := <-got; authority != want {
			t.Errorf("%q: asked for %s, want %s", host, authority, want)
		}
	}
	if _, err := probe(t, t.Context(), Options{Protocol: GRPC, Service: "down"}, at, ""); text(err) != "gRPC: status 14 (unavailable): 50 % done: \u2603\uFFFD" {
		t.Errorf("a message with an escape: %v", err)
	}
}

func TestGRPCTLS(t *testing.T) {
	var (
		now  = time.Now()
		ca   = newAuthority(t, "Test CA", now.Add(365*day))
		good = ca.issue(t, now.Add(-day), now.Add(9*day+time.Hour), "www.example.com")
		o    = Options{Protocol: GRPC, TLS: true, CAFile: ca.write(t, t.TempDir(), "ca.pem"), SNI: true, Verify: true, CertExpiryWarning: 14 * day}
	)
	at := serveGRPC(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) },
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{good}})))
	for _, tt := range []struct {
		host, want string
	}{
		{"www.example.com", "good"},
		{"www.example.com:8443", "good"},
		{"b.example", "TLS: certificate is for www.example.com, not b.example"},
	} {
		report, err := probe(t, t.Context(), o, at, tt.host)
		if text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.host, err, tt.want)
		}
		if !report.CertificateExpires.Equal(good.Leaf.NotAfter) || report.Warning != "certificate expires in 9 days" {
			t.Errorf("%s: %+v", tt.host, report)
		}
		if err == nil && report.Phases.TLS <= 0 {
			t.Errorf("%s: phases %+v", tt.host, report.Phases)
		}
	}
	for _, tt := range []struct {
		name      string
		protocols []string
		want      string
	}{
		{"no ALPN", nil, "TLS: server does not offer HTTP/2 (ALPN h2)"},
		{"another protocol", []string{"http/1.1"}, "TLS: server says: no application protocol"},
	} {
		config := &tls.Config{Certificates: []tls.Certificate{good}, NextProtos: tt.protocols}
		at := origin(t, func(conn net.Conn) { readSome(tls.Server(conn, config)) })
		if _, err := probe(t, t.Context(), o, at, "www.example.com"); text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	plain := serveGRPC(t, func(*grpc.Server) {})
	if _, err := probe(t, t.Context(), o, plain, "www.example.com"); text(err) != "TLS: server does not speak TLS" {
		t.Errorf("a server in the clear: %v", err)
	}
	if _, err := probe(t, t.Context(), Options{Protocol: GRPC}, at, "www.example.com"); err == nil {
		t.Error("good in the clear at a server with TLS")
	}
}

// serveH2C runs a handler over HTTP/2 in the clear.
func serveH2C(t testing.TB, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// TestGRPCHostile has servers answer what gRPC does not allow.
func TestGRPCHostile(t *testing.T) {
	const good = "\x00\x00\x00\x00\x02\x08\x01"
	for _, tt := range []struct {
		name, body, want string
		code             int    // 0: 200.
		kind             string // Empty: application/grpc.
		status           string // "-": none.
	}{
		{name: "good", body: good, want: "good"},
		{name: "kind with an encoding", body: good, kind: "application/grpc+proto", want: "good"},
		{name: "unknown fields", body: "\x00\x00\x00\x00\x07\x12\x01x\x08\x00\x08\x01", want: "good"},
		{name: "HTTP 503", code: 503, want: "gRPC: HTTP 503, wanted 200"},
		{name: "a page", body: "<html>", kind: "text/html", want: `gRPC: content type "text/html", wanted application/grpc`},
		{name: "nearly the kind", body: good, kind: "application/grpc-web", want: `gRPC: content type "application/grpc-web", wanted application/grpc`},
		{name: "no status", body: good, status: "-", want: "gRPC: answer without a status"},
		{name: "odd status", body: good, status: "0x0ÿ", want: `gRPC: malformed answer: status "0x0ÿ"`},
		{name: "a status without a name", body: good, status: "17", want: "gRPC: status 17"},
		{name: "a status and no message", status: "13", want: "gRPC: status 13 (internal)"},
		{name: "no message", want: "gRPC: answer without a message"},
		{name: "an empty one", body: "\x00\x00\x00\x00\x00", want: "gRPC: UNKNOWN"},
		{name: "half a frame", body: good[:4], want: "gRPC: malformed answer: message of another length than it says"},
		{name: "half a message", body: good[:6], want: "gRPC: malformed answer: message of another length than it says"},
		{name: "two messages", body: good + good, want: "gRPC: malformed answer: message of another length than it says"},
		{name: "compressed", body: "\x01" + good[1:], want: "gRPC: message is compressed, which was not asked for"},
		{name: "huge", body: "\x00\xff\xff\xff\xff", want: "gRPC: answer is longer than 4096 octets"},
		{name: "long", body: good + strings.Repeat("x", 1<<20), want: "gRPC: answer is longer than 4096 octets"},
		{name: "no protobuf", body: "\x00\x00\x00\x00\x02\x08\xff", want: "gRPC: malformed answer: unexpected EOF"},
		{name: "no tag", body: "\x00\x00\x00\x00\x01\xff", want: "gRPC: malformed answer: unexpected EOF"},
		{name: "no field", body: "\x00\x00\x00\x00\x02\x12\x05", want: "gRPC: malformed answer: unexpected EOF"},
		{name: "a field 0", body: "\x00\x00\x00\x00\x02\x00\x05", want: "gRPC: malformed answer: invalid field number"},
	} {
		at := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
			kind, status, code := tt.kind, tt.status, tt.code
			if kind == "" {
				kind = "application/grpc"
			}
			if status == "" {
				status = "0"
			}
			if code == 0 {
				code = 200
			}
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			io.WriteString(w, tt.body)
			w.(http.Flusher).Flush()
			if status != "-" {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
			}
		})
		if _, err := probe(t, t.Context(), Options{Protocol: GRPC}, at, "www.example.com"); text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	trailersOnly := serveH2C(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "0")
	})
	if _, err := probe(t, t.Context(), Options{Protocol: GRPC}, trailersOnly, ""); text(err) != "gRPC: answer without a message" {
		t.Errorf("trailers alone: %v", err)
	}
}

// TestGRPCNoServer has listeners that speak no HTTP/2, or stop in the middle.
func TestGRPCNoServer(t *testing.T) {
	// framer reads the preface and the request, and returns what to write the answer with.
	framer := func(conn net.Conn) *http2.Framer {
		io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface)))
		f := http2.NewFramer(conn, conn)
		f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil || frame.Header().Type == http2.FrameData && frame.Header().Flags.Has(http2.FlagDataEndStream) {
				return f
			}
		}
	}
	headers := func(f *http2.Framer, fields ...hpack.HeaderField) {
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for _, field := range append([]hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}}, fields...) {
			encoder.WriteField(field)
		}
		first, rest := block.Bytes(), []byte(nil)
		if len(first) > 16000 {
			first, rest = first[:16000], first[16000:]
		}
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: rest == nil})
		for len(rest) > 0 {
			n := min(len(rest), 16000)
			f.WriteContinuation(1, n == len(rest), rest[:n])
			rest = rest[n:]
		}
	}
	// closing sends no more, and reads what there still is, so that no reset comes of it.
	closing := func(conn net.Conn) {
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	}
	var huge []hpack.HeaderField
	for i := range 2000 {
		huge = append(huge, hpack.HeaderField{Name: "x-" + strconv.Itoa(i), Value: strings.Repeat("v", 100)})
	}
	for _, tt := range []struct {
		name   string
		handle func(net.Conn)
		want   string
	}{
		{"closes", func(conn net.Conn) { framer(conn); closing(conn) }, "connection closed before a response"},
		{"HTTP/1.1", func(conn net.Conn) {
			bufio.NewReader(conn).ReadString('\n')
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			io.Copy(io.Discard, conn)
		}, "gRPC: server does not speak HTTP/2"},
		{"another protocol", func(conn net.Conn) {
			io.WriteString(conn, "SSH-2.0-x\r\n")
			io.Copy(io.Discard, conn)
		}, "malformed response: HTTP/2 frame of more than 16384 octets"},
		{"goes away", func(conn net.Conn) {
			framer(conn).WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("busy"))
			closing(conn)
		}, "gRPC: server goes away (ENHANCE_YOUR_CALM)"},
		{"resets the stream", func(conn net.Conn) {
			framer(conn).WriteRSTStream(1, http2.ErrCodeRefusedStream)
			io.Copy(io.Discard, conn)
		}, "gRPC: call reset (REFUSED_STREAM)"},
		{"header without end", func(conn net.Conn) {
			headers(framer(conn), huge...)
			io.Copy(io.Discard, conn)
		}, "malformed response: the header does not end within 65536 octets"},
		{"closes after the header", func(conn net.Conn) { headers(framer(conn)); closing(conn) }, "connection closed in the body"},
		{"resets after the header", func(conn net.Conn) {
			f := framer(conn)
			headers(f)
			f.WriteRSTStream(1, http2.ErrCodeInternal)
			io.Copy(io.Discard, conn)
		}, "gRPC: call reset (INTERNAL_ERROR)"},
	} {
		if _, err := probe(t, t.Context(), Options{Protocol: GRPC}, origin(t, tt.handle), ""); text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	// long sends the longest message, or the first octets of it, and waits until they have been read: then a ping is answered.
	long := func(f *http2.Framer, octets int) {
		headers(f)
		f.WriteData(1, false, append([]byte{0, 0, 0, 0x10, 0}, make([]byte, 4096)...)[:octets])
		f.WritePing(false, [8]byte{})
		for {
			if frame, err := f.ReadFrame(); err != nil || frame.Header().Type == http2.FramePing && frame.Header().Flags.Has(http2.FlagPingAck) {
				return
			}
		}
	}
	for _, tt := range []struct {
		name   string
		before func(net.Conn)
		want   string
	}{
		{"silence", func(conn net.Conn) { io.CopyN(io.Discard, conn, 24) }, "timeout after 5s waiting for headers"},
		{"silence to the request", func(conn net.Conn) { framer(conn) }, "timeout after 5s waiting for headers"},
		{"half a message", func(conn net.Conn) { long(framer(conn), 4100) }, "timeout after 5s reading the body"},
		{"no trailers", func(conn net.Conn) { long(framer(conn), 4101) }, "timeout after 5s reading the body"},
	} {
		ctx, expire := newExpiring()
		at := origin(t, func(conn net.Conn) {
			tt.before(conn)
			expire()
			io.Copy(io.Discard, conn)
		})
		if _, err := probe(t, ctx, Options{Protocol: GRPC}, at, ""); text(err) != tt.want || !isTimeout(err) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	at := origin(t, func(conn net.Conn) {
		framer(conn)
		cancel()
		io.Copy(io.Discard, conn)
	})
	if _, err := probe(t, ctx, Options{Protocol: GRPC}, at, ""); text(err) != "canceled waiting for headers" || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// FuzzHealthStatus reads arbitrary messages like the library of protobuf does.
func FuzzHealthStatus(f *testing.F) {
	for _, message := range []string{"", "\x08\x01", "\x08\x02\x08\x01", "\x12\x01x\x08\x01", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0b\x0c\x08\x01", "\x00\x01", "\xa0\x9c\x9c\x9c00"} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := healthStatus(message)
		var want grpc_health_v1.HealthCheckResponse
		if wantErr := proto.Unmarshal(message, &want); (err == nil) != (wantErr == nil) {
			t.Fatalf("%x: %v, protobuf says %v", message, err, wantErr)
		}
		if err == nil && got != int32(want.Status) {
			t.Errorf("%x: status %d, protobuf says %d", message, got, want.Status)
		}
	})
}
