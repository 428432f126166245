package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// responder is a UDP socket that drops so many queries and answers all others; below 0 it drops all.
func responder(t *testing.T, drop int64) (address netip.AddrPort, asked *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		if n := asked.Add(1); drop >= 0 && n > drop {
			w.WriteMsg(new(dns.Msg).SetRcode(query, dns.RcodeRefused))
		}
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), asked
}

// tcpResponder is a TCP socket that answers, on a port where no UDP is.
func tcpResponder(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetRcode(query, dns.RcodeRefused))
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestAskOurselves(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	flooded, asked := responder(t, 3)
	dead, _ := responder(t, -1)
	live, _ := responder(t, 0)
	for _, row := range []struct {
		name      string
		addresses []netip.AddrPort
	}{
		{"nothing is listened on", nil},
		{"the first queries get lost", []netip.AddrPort{flooded}},
		{"the first address is dead", []netip.AddrPort{dead, live}},
		{"the last address is dead", []netip.AddrPort{live, dead}},
		{"TCP alone answers", []netip.AddrPort{dead, tcpResponder(t)}},
	} {
		if err := askOurselves(ctx, row.addresses, 4*time.Second); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if n := asked.Load(); n < 4 {
		t.Errorf("the flooded address was asked %d times: it answers the fourth query", n)
	}
	err := askOurselves(ctx, []netip.AddrPort{dead}, 200*time.Millisecond)
	for _, want := range []string{"ask " + dead.String() + " over udp: ", "ask " + dead.String() + " over tcp: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a dead address: error is %v, want %q", err, want)
		}
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for listened, want := range map[string]string{
		"0.0.0.0:53": "127.0.0.1:53", "[::]:53": "[::1]:53", "192.0.2.1:53": "192.0.2.1:53", "[2001:db8::1]:53": "[2001:db8::1]:53",
	} {
		if got := reachable(netip.MustParseAddrPort(listened)).String(); got != want {
			t.Errorf("%s: got %s, want %s", listened, got, want)
		}
	}
}
