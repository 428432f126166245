package healthcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// nameServer is a real DNS server at one port of 127.0.0.1, over UDP and TCP.
func nameServer(t testing.TB, handle dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	listener, packets := listenBoth(t)
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handle}, {Listener: listener, Handler: handle}} {
		started, done := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(started) }
		go func() { done <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			server.Shutdown()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return packets.LocalAddr().(*net.UDPAddr).AddrPort()
}

// listenBoth opens one port of 127.0.0.1 for TCP and UDP.
func listenBoth(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	var problems []error
	for range 20 { // The port that is free for one may be in use for the other.
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			return listener, packets
		}
		listener.Close()
		problems = append(problems, err)
	}
	t.Fatal(errors.Join(problems...))
	return nil, nil
}

// answering returns a handler that answers with records, as master files write them.
func answering(t testing.TB, code int, records ...string) dns.HandlerFunc {
	t.Helper()
	var answer []dns.RR
	for _, text := range records {
		r, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		answer = append(answer, r)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetRcode(q, code)
		m.Answer = answer
		w.WriteMsg(m)
	}
}

func TestDNS(t *testing.T) {
	const name = "www.example.com"
	for _, tt := range []struct {
		name    string
		o       Options
		code    int
		records []string
		want    string
	}{
		{"any answer", Options{}, dns.RcodeSuccess, nil, "good"},
		{"SERVFAIL", Options{}, dns.RcodeServerFailure, nil, "DNS: SERVFAIL, wanted NOERROR"},
		{"REFUSED", Options{ExpectRCode: []string{"NOERROR", "NXDOMAIN"}}, dns.RcodeRefused, nil, "DNS: REFUSED, wanted NOERROR or NXDOMAIN"},
		{"NXDOMAIN is wanted", Options{ExpectRCode: []string{"NXDOMAIN"}}, dns.RcodeNameError, nil, "good"},
		{"a code without a name", Options{}, 12, nil, "DNS: RCODE12, wanted NOERROR"},
		{"the address", Options{ExpectAnswer: "192.0.2.1"}, 0, []string{name + ". A 192.0.2.7", name + ". A 192.0.2.1"}, "good"},
		{"another address", Options{ExpectAnswer: "192.0.2.1"}, 0, []string{name + ". A 192.0.2.7"},
			"DNS: no A record of www.example.com is 192.0.2.1 (got 192.0.2.7)"},
		{"other addresses", Options{ExpectAnswer: "192.0.2.1"}, 0,
			[]string{name + ". A 192.0.2.7", name + ". A 192.0.2.8", name + ". A 192.0.2.9", name + ". A 192.0.2.10", name + ". A 192.0.2.11"},
			"DNS: no A record of www.example.com is 192.0.2.1 (got 192.0.2.7, 192.0.2.8, 192.0.2.9 and 2 more)"},
		{"no data", Options{ExpectAnswer: "192.0.2.1"}, 0, nil, "DNS: no A record of www.example.com is 192.0.2.1 (got none)"},
		{"of another name", Options{ExpectAnswer: "192.0.2.1"}, 0, []string{"evil.example. A 192.0.2.1"},
			"DNS: no A record of www.example.com is 192.0.2.1 (got none)"},
		{"of another class", Options{ExpectAnswer: "192.0.2.1"}, 0, []string{name + ". CH A 192.0.2.1"},
			"DNS: no A record of www.example.com is 192.0.2.1 (got none)"},
		{"behind aliases", Options{ExpectAnswer: "192.0.2.1"}, 0,
			[]string{"b.example. CNAME c.example.", "C.example. A 192.0.2.1", "WWW.example.com. CNAME B.example."}, "good"},
		{"aliases that go round", Options{ExpectAnswer: "192.0.2.1"}, 0, []string{name + ". CNAME b.example.", "b.example. CNAME " + name + "."},
			"DNS: no A record of www.example.com is 192.0.2.1 (got none)"},
		{"the alias itself", Options{QueryType: "CNAME", ExpectAnswer: "O.Example.net"}, 0, []string{name + ". CNAME o.example.NET."}, "good"},
		{"IPv6 in another form", Options{QueryType: "AAAA", ExpectAnswer: "2001:DB8:0::1"}, 0, []string{name + ". AAAA 2001:db8::1"}, "good"},
		{"MX", Options{QueryType: "MX", ExpectAnswer: "10 Mail.example.com"}, 0, []string{name + ". MX 10 mail.example.com."}, "good"},
		{"MX of another rank", Options{QueryType: "MX", ExpectAnswer: "10 mail.example.com"}, 0, []string{name + ". MX 20 mail.example.com."},
			"DNS: no MX record of www.example.com is 10 mail.example.com (got 20 mail.example.com.)"},
		{"SOA", Options{QueryType: "SOA", ExpectAnswer: "ns1.example.com h.example.com 1 2 3 4 5"}, 0,
			[]string{name + ". SOA ns1.example.com. h.example.com. 1 2 3 4 5"}, "good"},
		{"TXT in one", Options{QueryType: "TXT", ExpectAnswer: `v=spf1 a; "-all"`}, 0, []string{name + `. TXT "v=spf1 " "a\; \"-all\""`}, "good"},
		{"TXT in parts", Options{QueryType: "TXT", ExpectAnswer: `"a" "b"`}, 0, []string{name + `. TXT "a" "b"`}, "good"},
		{"TXT in other letters", Options{QueryType: "TXT", ExpectAnswer: "OK"}, 0, []string{name + `. TXT "ok"`},
			"DNS: no TXT record of www.example.com is OK (got ok)"},
		{"TXT not fit to print", Options{QueryType: "TXT", ExpectAnswer: "OK"}, 0, []string{name + `. TXT "\027[2J\255"`},
			"DNS: no TXT record of www.example.com is OK (got \uFFFD[2J\uFFFD)"},
		{"any type", Options{QueryType: "ANY", ExpectAnswer: "o.example.net"}, 0, []string{name + ". NS O.example.net."}, "good"},
		{"any type, nothing", Options{QueryType: "ANY", ExpectAnswer: "192.0.2.1"}, 0, []string{name + ". NS o.example.net."},
			"DNS: no record of www.example.com is 192.0.2.1 (got o.example.net.)"},
		{"a name of its own", Options{Query: "api.example.com.", ExpectAnswer: "192.0.2.1"}, 0, []string{"api.example.com. A 192.0.2.1"}, "good"},
	} {
		tt.o.Protocol = DNS
		report, err := probe(t, t.Context(), tt.o, nameServer(t, answering(t, tt.code, tt.records...)), name)
		if text(err) != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
		if report.Phases.FirstByte <= 0 {
			t.Errorf("%s: the answer took %v", tt.name, report.Phases.FirstByte)
		}
	}
}

// TestDNSQuestion looks at what servers are asked.
func TestDNSQuestion(t *testing.T) {
	for _, tt := range []struct {
		o          Options
		host, want string
	}{
		{Options{}, "WWW.example.com.", "www.example.com. A"},
		{Options{}, "www.example.com:8443", "www.example.com. A"},
		{Options{Query: "_sip._udp.example.com", QueryType: "SRV"}, "www.example.com", "_sip._udp.example.com. SRV"},
		{Options{Query: ".", QueryType: "NS"}, "", ". NS"},
		{Options{}, "", "DNS: there is no name to ask for: set query"},
		{Options{}, strings.Repeat("x", 64) + ".example", `DNS: "` + strings.Repeat("x", 64) + `.example" cannot be asked for: dns: bad rdata`},
	} {
		asked := make(chan string, 1)
		at := nameServer(t, func(w dns.ResponseWriter, q *dns.Msg) {
			asked <- q.Question[0].Name + " " + dns.TypeToString[q.Question[0].Qtype]
			if q.Opcode != dns.OpcodeQuery || !q.RecursionDesired || len(q.Question) != 1 || len(q.Extra) != 0 {
				t.Errorf("asked %v", q)
			}
			w.WriteMsg(new(dns.Msg).SetReply(q))
		})
		tt.o.Protocol = DNS
		_, err := probe(t, t.Context(), tt.o, at, tt.host)
		got := text(err)
		if err == nil {
			got = <-asked
		}
		if got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.o, got, tt.want)
		}
	}
}

// TestDNSStray has packets come before the answer that do not answer the query.
func TestDNSStray(t *testing.T) {
	change := func(f func(m *dns.Msg)) func(*dns.Msg) []byte {
		return func(q *dns.Msg) []byte {
			m := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			f(m)
			packet, err := m.Pack()
			if err != nil {
				t.Error(err)
			}
			return packet
		}
	}
	for _, tt := range []struct {
		name  string
		stray func(q *dns.Msg) []byte
		want  string
	}{
		{"the answer, in other letters", change(func(m *dns.Msg) { m.Question[0].Name = "WWW.Example.com." }), "DNS: SERVFAIL, wanted NOERROR"},
		{"no question", change(func(m *dns.Msg) { m.Question = nil }), "DNS: SERVFAIL, wanted NOERROR"},
		{"empty", func(*dns.Msg) []byte { return nil }, "good"},
		{"short", func(*dns.Msg) []byte { return []byte{1, 2, 3} }, "good"},
		{"another number", change(func(m *dns.Msg) { m.Id++ }), "good"},
		{"the query itself", change(func(m *dns.Msg) { m.Response = false }), "good"},
		{"another kind of query", change(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), "good"},
		{"another name", change(func(m *dns.Msg) { m.Question[0].Name = "wwx.example.com." }), "good"},
		{"a longer name", change(func(m *dns.Msg) { m.Question[0].Name = "www.example.com.cn." }), "good"},
		{"another type", change(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }), "good"},
		{"another class", change(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), "good"},
		{"two questions", change(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), "good"},
		{"no question, and well", change(func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeSuccess }), "good"},
		{"cut in the question", func(q *dns.Msg) []byte { return change(func(*dns.Msg) {})(q)[:20] }, "good"},
		{"cut after it", func(q *dns.Msg) []byte {
			packet := change(func(m *dns.Msg) { m.Rcode = 0 })(q)
			packet[7] = 1 // One record in the answer.
			return packet
		}, "DNS: malformed answer: 0 records, and it says 1"},
		{"cut in a record", func(q *dns.Msg) []byte {
			packet := change(func(m *dns.Msg) {
				m.Rcode, m.Answer = 0, []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "a.", Rrtype: dns.TypeA, Class: 1}, A: net.IPv4(1, 2, 3, 4)}}
			})(q)
			return packet[:len(packet)-1]
		}, "DNS: malformed answer: overflowing header size"},
	} {
		at := nameServer(t, func(w dns.ResponseWriter, q *dns.Msg) {
			w.Write(tt.stray(q))
			w.WriteMsg(new(dns.Msg).SetReply(q))
		})
		if _, err := probe(t, t.Context(), Options{Protocol: DNS}, at, "www.example.com"); text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestDNSStranger has another port answer in the server's place.
func TestDNSStranger(t *testing.T) {
	stranger, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	at := nameServer(t, func(w dns.ResponseWriter, q *dns.Msg) {
		packet, _ := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure).Pack()
		stranger.WriteTo(packet, w.RemoteAddr())
		w.WriteMsg(new(dns.Msg).SetReply(q))
	})
	if _, err := probe(t, t.Context(), Options{Protocol: DNS}, at, "www.example.com"); err != nil {
		t.Error(err)
	}
}

func TestDNSTruncated(t *testing.T) {
	for _, tt := range []struct {
		name string
		tcp  func(w dns.ResponseWriter, q *dns.Msg)
		want string
	}{
		{"large", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			for i := range 3000 {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(192, 0, byte(i>>8), byte(i))})
			}
			m.Compress = true
			w.WriteMsg(m)
		}, "good"},
		{"of something else", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			m.Id++
			w.WriteMsg(m)
		}, "DNS: answer over UDP truncated, and over TCP: not an answer to the query"},
		{"closed", func(w dns.ResponseWriter, _ *dns.Msg) { w.Close() },
			"DNS: answer over UDP truncated, and over TCP: connection closed before an answer"},
	} {
		at := nameServer(t, func(w dns.ResponseWriter, q *dns.Msg) {
			if w.LocalAddr().Network() == "tcp" {
				tt.tcp(w, q)
				return
			}
			m := new(dns.Msg).SetReply(q)
			m.Truncated = true
			w.WriteMsg(m)
		})
		o := Options{Protocol: DNS, ExpectAnswer: "192.0.11.183"}
		if _, err := probe(t, t.Context(), o, at, "www.example.com"); text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// truncatedOver returns a server that answers over UDP that the answer is to be had over TCP, which handle serves.
func truncatedOver(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, packets := listenBoth(t)
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		w.WriteMsg(m)
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	var running sync.WaitGroup
	running.Go(func() { server.ActivateAndServe() })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handle(conn)
			conn.Close()
		}
	})
	<-started
	t.Cleanup(func() {
		server.Shutdown()
		listener.Close()
		running.Wait()
	})
	return packets.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestDNSStream(t *testing.T) {
	readQuery := func(conn net.Conn) {
		var length [2]byte
		io.ReadFull(conn, length[:])
		io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(length[:])))
	}
	for _, tt := range []struct {
		name, want string
		handle     func(net.Conn)
	}{
		{"nothing", "DNS: answer over UDP truncated, and over TCP: connection closed before an answer", readQuery},
		{"half a length", "DNS: answer over UDP truncated, and over TCP: connection closed before an answer",
			func(conn net.Conn) { readQuery(conn); conn.Write([]byte{1}) }},
		{"less than promised", "DNS: answer over UDP truncated, and over TCP: connection closed before an answer",
			func(conn net.Conn) { readQuery(conn); conn.Write(append([]byte{0xff, 0xff}, make([]byte, 100)...)) }},
		{"zeros", "DNS: answer over UDP truncated, and over TCP: not an answer to the query",
			func(conn net.Conn) { readQuery(conn); conn.Write(append([]byte{0, 100}, make([]byte, 100)...)) }},
		{"no octets", "DNS: answer over UDP truncated, and over TCP: not an answer to the query",
			func(conn net.Conn) { readQuery(conn); conn.Write([]byte{0, 0}) }},
		{"reset", "DNS: answer over UDP truncated, and over TCP: connection reset before an answer",
			func(conn net.Conn) { readQuery(conn); conn.(*net.TCPConn).SetLinger(0) }},
	} {
		if _, err := probe(t, t.Context(), Options{Protocol: DNS}, truncatedOver(t, tt.handle), "www.example.com"); text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	ctx, expire := newExpiring()
	at := truncatedOver(t, func(conn net.Conn) {
		readQuery(conn)
		expire()
		io.Copy(io.Discard, conn)
	})
	_, err := probe(t, ctx, Options{Protocol: DNS}, at, "www.example.com")
	if text(err) != "timeout after 5s asking again over TCP, since the answer over UDP was truncated" || !isTimeout(err) {
		t.Errorf("silence: %v", err)
	}
}

func TestDNSEnds(t *testing.T) {
	silent := func(f func()) dns.HandlerFunc { return func(dns.ResponseWriter, *dns.Msg) { f() } }
	ctx, expire := newExpiring()
	_, err := probe(t, ctx, Options{Protocol: DNS}, nameServer(t, silent(expire)), "www.example.com")
	if text(err) != "timeout after 5s waiting for the answer" || !isTimeout(err) {
		t.Errorf("silence: %v", err)
	}
	ctx, expire = newExpiring()
	_, err = probe(t, ctx, Options{Protocol: DNS}, nameServer(t, func(w dns.ResponseWriter, q *dns.Msg) {
		for range 2 {
			m := new(dns.Msg).SetReply(q)
			m.Id++
			w.WriteMsg(m)
		}
		// Both are in the probe's socket by now, before it is told to end; it reads what is there only before that.
		w.WriteMsg(&dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id + 2, Response: true}})
		expire()
	}), "www.example.com")
	if !strings.HasPrefix(text(err), "timeout after 5s waiting for the answer") || !isTimeout(err) {
		t.Errorf("noise: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	_, err = probe(t, canceled, Options{Protocol: DNS}, nameServer(t, silent(cancel)), "www.example.com")
	if text(err) != "canceled waiting for the answer" || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := probe(t, t.Context(), Options{Protocol: DNS}, closedPort(t), "www.example.com"); text(err) != "connection refused waiting for the answer" {
		t.Errorf("closed: %v", err)
	}
}

func TestDNSCompile(t *testing.T) {
	_, err := NewProber().Compile(Options{Name: "ns", Protocol: DNS, ExpectAnswer: "www.example.com"})
	if want := `health check "ns": expect_answer: "www.example.com" is not the data of an A record: want an address`; text(err) != want {
		t.Errorf(" got %v\nwant %s", err, want)
	}
}

// FuzzDNSAnswer judges arbitrary packets: no panic, a bounded reason, and no good answer that does not have the address.
func FuzzDNSAnswer(f *testing.F) {
	query := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
	query.Id = 7
	packed, err := query.Pack()
	if err != nil {
		f.Fatal(err)
	}
	for _, record := range []string{"www.example.com. A 192.0.2.1", "www.example.com. CNAME b.", "b. A 192.0.2.1", `www.example.com. TXT "\000\""`} {
		r, err := dns.NewRR(record)
		if err != nil {
			f.Fatal(err)
		}
		m := new(dns.Msg).SetReply(query)
		m.Answer = append(m.Answer, r)
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
		f.Add(packet[:len(packet)-1])
	}
	f.Add(packed)
	q, err := newQuestion(&Options{QueryType: "A", ExpectRCode: []string{"NOERROR"}, ExpectAnswer: "192.0.2.1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > 1<<16-1 {
			return
		}
		known := answers(packet, packed)
		err := q.judge(packet, "www.example.com")
		if err != nil {
			if n := len([]rune(err.Error())); n > maxReason+1 {
				t.Errorf("a reason of %d characters", n)
			}
			return
		}
		if known && !strings.Contains(string(packet), "\xc0\x00\x02\x01") {
			t.Errorf("good without the address: %x", packet)
		}
	})
}
