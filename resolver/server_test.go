package resolver

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// server is a DNS server on loopback, over UDP and TCP on one port, that does as its handler says.
type server struct {
	at netip.AddrPort

	mu    sync.Mutex
	asked []string // As "udp A", or "udp A plain" without EDNS.
}

// handler answers one message. It may write whatever it likes, or nothing.
type handler func(w dns.ResponseWriter, network string, asked *dns.Msg)

// serve starts a server that the test's end stops.
func serve(t testing.TB, handle handler) *server {
	t.Helper()
	packets, stream := listen(t)
	s := &server{at: packets.LocalAddr().(*net.UDPAddr).AddrPort()}
	s.run(t, &dns.Server{PacketConn: packets}, handle)
	s.run(t, &dns.Server{Listener: stream}, handle)
	return s
}

// listen returns two sockets of loopback with one port.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for try := 0; ; try++ {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		stream, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, stream
		}
		packets.Close()
		if try == 100 {
			t.Fatal(err)
		}
	}
}

// run has a server handle messages until the test's end.
func (s *server) run(t testing.TB, srv *dns.Server, handle handler) {
	srv.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		network := w.LocalAddr().Network()
		text := network + " " + dns.TypeToString[m.Question[0].Qtype]
		if m.IsEdns0() == nil {
			text += " plain"
		}
		s.mu.Lock()
		s.asked = append(s.asked, text)
		s.mu.Unlock()
		handle(w, network, m)
	})
	started := make(chan struct{})
	srv.NotifyStartedFunc = func() { close(started) }
	var running sync.WaitGroup
	running.Go(func() {
		if err := srv.ActivateAndServe(); err != nil {
			t.Error(err)
		}
	})
	<-started
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
}

// took returns what was asked since the last call.
func (s *server) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// answer returns an answer to m with these records.
func answer(t testing.TB, m *dns.Msg, records ...string) *dns.Msg {
	a := message(t, records...)
	reply := new(dns.Msg).SetReply(m)
	reply.RecursionAvailable, reply.Answer = true, a.Answer
	return reply
}

// silent returns a UDP socket of loopback that answers nothing, until the test's end.
func silent(t testing.TB) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// closed returns an address of loopback where nothing listens.
func closed(t testing.TB) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}
