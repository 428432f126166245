package healthcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestTCP(t *testing.T) {
	echo := func(conn net.Conn) { io.CopyN(conn, conn, 4) }
	banner := func(s string) func(net.Conn) { return func(conn net.Conn) { io.WriteString(conn, s) } }
	reset := func(conn net.Conn) {
		io.CopyN(io.Discard, conn, 1)
		conn.(*net.TCPConn).SetLinger(0)
	}
	for _, tt := range []struct {
		name   string
		o      Options
		handle func(net.Conn)
		want   string
	}{
		{"connects", Options{}, func(net.Conn) {}, "good"},
		{"banner", Options{Expect: "220 "}, banner("220 ready\r\n"), "good"},
		{"echo", Options{Send: "ping", Expect: "ping"}, echo, "good"},
		{"other banner", Options{Expect: "220 "}, banner("554 no\r\n"), `answer lacks "220 " in its 8 octets`},
		{"silent", Options{Expect: "220 "}, func(net.Conn) {}, `answer lacks "220 " in its 0 octets`},
		{"endless", Options{Expect: "220 "}, banner(strings.Repeat("x", 1<<20)), `answer lacks "220 " in its first 65536 octets`},
		{"reset", Options{Send: "x", Expect: "220 "}, reset, "connection reset before an answer"},
	} {
		tt.o.Protocol = TCP
		if _, err := probe(t, t.Context(), tt.o, origin(t, tt.handle), ""); text(err) != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, text(err), tt.want)
		}
	}
}

func TestTCPConnect(t *testing.T) {
	if _, err := probe(t, t.Context(), Options{Protocol: TCP}, closedPort(t), ""); text(err) != "connect: connection refused" {
		t.Errorf("%v", err)
	}
	ctx, expire := newExpiring()
	expire()
	if _, err := probe(t, ctx, Options{Protocol: TCP}, closedPort(t), ""); text(err) != "timeout after 5s connecting" {
		t.Errorf("%v", err)
	}
}

func TestTCPTimeout(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		o          Options
		read       int64
	}{
		{"waiting", "timeout after 5s waiting for the answer", Options{Send: "hello", Expect: "hello"}, 5},
		{"sending", "timeout after 5s sending", Options{Send: strings.Repeat("x", 64<<20)}, 1},
	} {
		ctx, expire := newExpiring()
		tt.o.Protocol = TCP
		probed := make(chan struct{})
		at := origin(t, func(conn net.Conn) {
			io.CopyN(io.Discard, conn, tt.read)
			expire()
			<-probed
		})
		_, err := probe(t, ctx, tt.o, at, "")
		close(probed)
		if text(err) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	at := origin(t, func(conn net.Conn) {
		io.CopyN(io.Discard, conn, 1)
		cancel()
		io.Copy(io.Discard, conn)
	})
	_, err := probe(t, ctx, Options{Protocol: TCP, Send: "x", Expect: "x"}, at, "")
	if text(err) != "canceled waiting for the answer" || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
