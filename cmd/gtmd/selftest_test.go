package main

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serveUDPAndTCP answers every packet with what answer makes of it, one at a time; nil: nothing is sent.
func serveUDPAndTCP(t *testing.T, answer func(packet []byte) []byte) netip.AddrPort {
	t.Helper()
	var mu sync.Mutex // guards what answer writes to
	reply := func(packet []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		return answer(packet)
	}
	var udp net.PacketConn
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	for ; err == nil; tcp, err = net.Listen("tcp", "127.0.0.1:0") {
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close() // the port is taken over UDP
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 2)
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		<-ended
		<-ended
	})
	go func() {
		defer func() { ended <- struct{}{} }()
		packet := make([]byte, 65535)
		for {
			n, from, err := udp.ReadFrom(packet)
			if err != nil {
				return
			}
			if out := reply(bytes.Clone(packet[:n])); out != nil {
				udp.WriteTo(out, from)
			}
		}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		for {
			raw, err := tcp.Accept()
			if err != nil {
				return
			}
			conn := &dns.Conn{Conn: raw}
			packet := make([]byte, 65535)
			if n, err := conn.Read(packet); err == nil {
				if out := reply(bytes.Clone(packet[:n])); out != nil {
					conn.Write(out)
				}
			}
			raw.Close()
		}
	}()
	return netip.MustParseAddrPort(udp.LocalAddr().String())
}

// TestSelftestCanFail: every row fails at some server that does it wrong.
func TestSelftestCanFail(t *testing.T) {
	t.Parallel()
	for _, server := range []struct {
		name  string
		reply func([]byte) []byte
		// passes are the checks that such a server passes.
		passes []string
	}{
		{"one that sends queries back", func(packet []byte) []byte {
			packet[2] |= 0x80
			return packet
		}, nil},
		{"one that says nothing", func([]byte) []byte { return nil }, []string{"a response"}},
		{"one that refuses all", func(packet []byte) []byte {
			packet[2], packet[3] = packet[2]|0x80, dns.RcodeRefused
			return packet
		}, []string{"other class", "name of another zone"}},
	} {
		test := selftest{server: serveUDPAndTCP(t, server.reply), zone: "gtm.test.", name: "origin.gtm.test.", patience: 100 * time.Millisecond}
		report := test.run(context.Background())
		if report.OK {
			t.Errorf("%s passes", server.name)
		}
		for _, row := range report.Rows {
			if row.Skipped == "" && row.OK != strings.Contains(strings.Join(server.passes, "\n"), row.Check) {
				t.Errorf("%s: %s over %s: ok %t, %s", server.name, row.Check, row.Transport, row.OK, row.Got)
			}
		}
	}
}

// TestSelftestOfLargeAnswers has a server that cuts answers without saying so, and one that says so over TCP.
func TestSelftestOfLargeAnswers(t *testing.T) {
	t.Parallel()
	answer := func(packet []byte, records int, truncated bool) []byte {
		q := new(dns.Msg)
		if q.Unpack(packet) != nil || len(q.Question) == 0 {
			return nil
		}
		m := new(dns.Msg).SetReply(q)
		m.Authoritative, m.Truncated = true, truncated
		for range records {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{strings.Repeat("x", 250)}})
		}
		out, _ := m.Pack()
		return out
	}
	for _, row := range []struct {
		name     string
		reply    func([]byte) []byte
		udp, tcp string
	}{
		{"cut without TC", func() func([]byte) []byte {
			asked := 0
			return func(packet []byte) []byte {
				if asked++; asked == 1 { // to find a large one
					return answer(packet, 9, false)
				}
				return answer(packet, 1, false)
			}
		}(), "a part of the answer, without the flag TC", "a part of the answer over TCP: 297 octets"},
		{"too much", func(packet []byte) []byte { return answer(packet, 3, false) }, "a reply of 839 octets, and without EDNS there may be 512", ""},
		{"TC over TCP", func(packet []byte) []byte { return answer(packet, 3, true) }, "a reply of 839 octets, and without EDNS there may be 512", "a part of the answer over TCP: 839 octets"},
	} {
		test := selftest{server: serveUDPAndTCP(t, row.reply), zone: "gtm.test.", patience: 100 * time.Millisecond}
		report := test.run(context.Background())
		last := report.Rows[len(report.Rows)-2:]
		if last[0].Got != row.udp || last[1].Got != row.tcp || last[0].Skipped != "" {
			t.Errorf("%s: %q and %q, want %q and %q", row.name, last[0].Got, last[1].Got, row.udp, row.tcp)
		}
	}
}

func TestServerAddress(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5300": "192.0.2.1:5300", "2001:db8::1": "[2001:db8::1]:53",
		"[2001:db8::1]": "[2001:db8::1]:53", "[2001:db8::1]:5300": "[2001:db8::1]:5300"} {
		if got, err := serverAddress(text); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := serverAddress("ns.example"); err == nil {
		t.Error("a name is taken for an address")
	}
}
