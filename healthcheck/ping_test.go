package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/icmp"
	xipv4 "golang.org/x/net/ipv4"
	xipv6 "golang.org/x/net/ipv6"
)

func TestPingLoopback(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			check := compile(t, Options{Name: "ping", Protocol: Ping, Packets: 2, Timeout: 2 * time.Second})
			at := netip.MustParseAddr(address)
			if _, err := check.prober.socket(at); err != nil {
				t.Skipf("this system gives no ICMP socket: %v", err)
			}
			if at.Is6() && !hasLoopback6() {
				t.Skip("this system has no ::1")
			}
			if err := check.Target(at, "").Probe(t.Context(), new(Report)); err != nil {
				t.Error(err)
			}
		})
	}
}

func hasLoopback6() bool {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		listener.Close()
	}
	return err == nil
}

func TestPingLoss(t *testing.T) {
	for _, tt := range []struct {
		name     string
		o        Options
		drop     func(n int) bool // n counts from 0.
		want     string
		sent     time.Duration // When the last packet left.
		duration time.Duration
	}{
		{"none", Options{}, func(int) bool { return false }, "good", 2375 * time.Millisecond, 2375 * time.Millisecond},
		{"one of 20, bad from 10%", Options{}, func(n int) bool { return n == 7 }, "good", 2375 * time.Millisecond, 2385 * time.Millisecond},
		{"two of 20, bad from 10%", Options{}, func(n int) bool { return n < 2 }, "ping: lost 2 of 20 packets (10%), bad from 10%", 2375 * time.Millisecond, 5 * time.Second},
		{"all", Options{}, func(int) bool { return true }, "ping: lost 20 of 20 packets (100%), bad from 10%", 2375 * time.Millisecond, 5 * time.Second},
		{"all but one, bad from 100%", Options{LossRate: 100}, func(n int) bool { return n > 0 }, "good", 2375 * time.Millisecond, 2375 * time.Millisecond},
		{"all, bad from 100%", Options{LossRate: 100}, func(int) bool { return true }, "ping: lost 20 of 20 packets (100%), bad from 100%", 2375 * time.Millisecond, 5 * time.Second},
		{"one of one", Options{Packets: 1, LossRate: 100}, func(int) bool { return false }, "good", 0, 10 * time.Millisecond},
		{"one of three", Options{Packets: 3, LossRate: 34}, func(n int) bool { return n == 0 }, "good", 5 * time.Second / 3, 5*time.Second/3 + 10*time.Millisecond},
	} {
		for _, datagram := range []bool{true, false} {
			for _, address := range []string{"192.0.2.1", "fe80::1%eth0"} {
				synctest.Test(t, func(t *testing.T) {
					tt.o.Protocol, tt.o.Name = Ping, "ping"
					network := &fakeNetwork{refuseDatagram: !datagram, drop: tt.drop}
					check := compileFake(t, tt.o, network)
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					start := time.Now()
					var report Report
					err := check.Target(netip.MustParseAddr(address), "").Probe(ctx, &report)
					if text(err) != tt.want {
						t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
					}
					if want := map[bool]time.Duration{true: 10 * time.Millisecond}[err == nil]; report.RTT != want {
						t.Errorf("%s: reports a round trip of %v, want %v", tt.name, report.RTT, want)
					}
					if took := time.Since(start); took.Round(time.Millisecond) != tt.duration.Round(time.Millisecond) {
						t.Errorf("%s: took %v, want %v", tt.name, took, tt.duration)
					}
					if sent := network.lastSent.Sub(start); sent.Round(time.Millisecond) != tt.sent.Round(time.Millisecond) {
						t.Errorf("%s: the last packet left after %v, want %v", tt.name, sent, tt.sent)
					}
					if left := len(network.socket(t, check).waiting); left > 0 {
						t.Errorf("%s: %d requests are still waited for", tt.name, left)
					}
				})
			}
		}
	}
}

func TestPingErrors(t *testing.T) {
	noBuffers := &net.OpError{Op: "write", Err: os.NewSyscallError("sendto", syscall.ENOBUFS)}
	for _, tt := range []struct {
		name    string
		network fakeNetwork
		want    string
		fault   error
	}{
		{"no socket", fakeNetwork{refuseDatagram: true, refuseRaw: true},
			"cannot probe: no ICMP socket for IPv4 (datagram: permission denied; raw: operation not permitted): " +
				"allow CAP_NET_RAW, or the process's group in net.ipv4.ping_group_range", errNoSocket},
		{"no files", fakeNetwork{listenError: syscall.EMFILE},
			"cannot probe: no ICMP socket for IPv4 (datagram: too many open files; raw: too many open files)", syscall.EMFILE},
		{"no ICMP", fakeNetwork{listenError: syscall.EPROTONOSUPPORT},
			"ping: no ICMP socket for IPv4 (datagram: protocol not supported; raw: protocol not supported)", nil},
		{"no buffers", fakeNetwork{sendError: noBuffers}, "cannot probe: no buffer space available", syscall.ENOBUFS},
		{"no buffers for some, all others answered", fakeNetwork{sendError: noBuffers, sendErrors: 18}, "cannot probe: no buffer space available", syscall.ENOBUFS},
		{"no buffers for one", fakeNetwork{sendError: noBuffers, sendErrors: 1}, "good", nil},
		{"no buffers for some, one other lost", fakeNetwork{sendError: noBuffers, sendErrors: 5, drop: func(n int) bool { return n == 0 }},
			"cannot probe: no buffer space available", syscall.ENOBUFS},
		{"no buffers for some, two others lost", fakeNetwork{sendError: noBuffers, sendErrors: 5, drop: func(n int) bool { return n < 2 }},
			"ping: lost 7 of 20 packets (35%), bad from 10%", nil},
		{"no route", fakeNetwork{sendError: &net.OpError{Op: "write", Err: os.NewSyscallError("sendto", syscall.ENETUNREACH)}}, "ping: sending: network is unreachable", nil},
		{"strangers answer", fakeNetwork{stranger: true}, "ping: lost 20 of 20 packets (100%), bad from 10%", nil},
		{"another process's replies", fakeNetwork{refuseDatagram: true, otherID: true}, "ping: lost 20 of 20 packets (100%), bad from 10%", nil},
		{"noise", fakeNetwork{noise: true}, "good", nil},
		{"reading fails at times", fakeNetwork{readErrors: 3}, "good", nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			check := compileFake(t, Options{Protocol: Ping, Name: "ping"}, &tt.network)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := check.Target(netip.MustParseAddr("192.0.2.1"), "").Probe(ctx, new(Report))
			if text(err) != tt.want {
				t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
			}
			if fault := localFault(err); fault != tt.fault {
				t.Errorf("%s: fault %v, want %v", tt.name, fault, tt.fault)
			}
		})
	}
}

func TestPingCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := compileFake(t, Options{Protocol: Ping, Name: "ping"}, &fakeNetwork{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := check.Target(netip.MustParseAddr("192.0.2.1"), "").Probe(ctx, new(Report))
		if text(err) != "canceled waiting for the answer" || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestProberClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &fakeNetwork{}
		check := compileFake(t, Options{Protocol: Ping, Name: "ping", Packets: 1}, network)
		target := check.Target(netip.MustParseAddr("192.0.2.1"), "")
		for range 3 {
			if err := target.Probe(t.Context(), new(Report)); err != nil {
				t.Error(err)
			}
		}
		if network.opened != 1 {
			t.Errorf("%d sockets were opened for three pings", network.opened)
		}
		network.closeError = errors.New("odd")
		if err := check.prober.Close(); text(err) != "closing the ICMP socket for IPv4: odd" {
			t.Errorf("%v", err)
		}
		if err := check.prober.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
		if err := target.Probe(t.Context(), new(Report)); text(err) != "ping: the prober is closed" {
			t.Errorf("%v", err)
		}
	})
}

// TestEchoSequence has so many requests outstanding that numbers come round again: those in use are passed over.
func TestEchoSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := NewProber()
		prober.listen = (&fakeNetwork{drop: func(int) bool { return true }}).listen
		defer prober.Close()
		at := netip.MustParseAddr("192.0.2.1")
		socket, err := prober.socket(at)
		if err != nil {
			t.Fatal(err)
		}
		replies := make(chan time.Duration, 1)
		request := socket.request(at, 0)
		first, _ := socket.send(request, replies)
		socket.last = first.sequence - 1
		second, _ := socket.send(request, replies)
		other, _ := socket.send(socket.request(netip.MustParseAddr("192.0.2.2"), 0), replies)
		if second.sequence != first.sequence+1 || other.sequence != second.sequence+1 || len(socket.waiting) != 3 {
			t.Errorf("%v, %v, %v", first, second, other)
		}
		if _, err := socket.send(socket.request(at, 1<<16), replies); err == nil {
			t.Error("a packet that is too long for the network was sent")
		}
	})
}

// TestEchoRequest holds packed requests against the messages of another library, checksum and all.
func TestEchoRequest(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 56, 1399, 1400} {
		socket := &echoSocket{family: &ipv4, id: 0xfedc, nonce: [8]byte{0xff, 0xfe, 3, 4, 5, 6, 7, 8}}
		request := socket.request(netip.MustParseAddr("192.0.2.1"), size)
		for _, sequence := range []uint16{0, 1, 0xffff, 0x8000, uint16(size) * 31} {
			request.number(sequence)
			message := icmp.Message{Type: xipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 0xfedc, Seq: int(sequence), Data: request.packet[8:]}}
			want, err := message.Marshal(nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(request.packet, want) {
				t.Errorf("%d octets, number %d:\n got %x\nwant %x", size, sequence, request.packet, want)
			}
		}
	}
}

// TestEchoForged hands a socket packets that are nearly the reply it waits for.
func TestEchoForged(t *testing.T) {
	at := &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}
	for _, tt := range []struct {
		name   string
		size   int
		change func(packet []byte) []byte
		from   net.Addr
		known  bool
	}{
		{"the reply", 56, func(p []byte) []byte { return p }, at, true},
		{"data cut", 56, func(p []byte) []byte { return p[:16] }, at, true},
		{"no data", 0, func(p []byte) []byte { return p }, at, true},
		{"little data", 3, func(p []byte) []byte { return p }, at, true},
		{"another address", 56, func(p []byte) []byte { return p }, &net.IPAddr{IP: net.IPv4(192, 0, 2, 2)}, false},
		{"no address", 56, func(p []byte) []byte { return p }, &net.UnixAddr{}, false},
		{"another id", 56, func(p []byte) []byte { p[5] ^= 1; return p }, at, false},
		{"another number", 56, func(p []byte) []byte { p[7] ^= 1; return p }, at, false},
		{"a request", 56, func(p []byte) []byte { p[0] = ipv4.request; return p }, at, false},
		{"unreachable", 56, func(p []byte) []byte { p[0] = 3; return p }, at, false},
		{"another code", 56, func(p []byte) []byte { p[1] = 1; return p }, at, false},
		{"other data", 56, func(p []byte) []byte { p[8] ^= 1; return p }, at, false},
		{"other little data", 3, func(p []byte) []byte { p[10] ^= 1; return p }, at, false},
		{"data cut too short", 56, func(p []byte) []byte { return p[:15] }, at, false},
		{"header cut", 56, func(p []byte) []byte { return p[:7] }, at, false},
		{"empty", 56, func(p []byte) []byte { return nil }, at, false},
	} {
		prober := NewProber()
		prober.listen = (&fakeNetwork{refuseDatagram: true, drop: func(int) bool { return true }}).listen
		socket, err := prober.socket(netip.MustParseAddr("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		replies := make(chan time.Duration, 2)
		request := socket.request(netip.MustParseAddr("192.0.2.1"), tt.size)
		if _, err := socket.send(request, replies); err != nil {
			t.Fatal(err)
		}
		reply := bytes.Clone(request.packet)
		reply[0] = ipv4.reply
		for range 2 { // The second time it is not waited for any more.
			socket.receive(tt.change(bytes.Clone(reply)), tt.from)
		}
		if want := map[bool]int{true: 1}[tt.known]; len(replies) != want || len(socket.waiting) != 1-want {
			t.Errorf("%s: %d replies, want %d; %d requests are waited for", tt.name, len(replies), want, len(socket.waiting))
		}
		prober.Close()
	}
}

// TestEchoFilter sends requests of two identifiers through the real kernel: the socket gets the replies to its own.
func TestEchoFilter(t *testing.T) {
	for _, f := range []*family{&ipv4, &ipv6} {
		at := netip.MustParseAddr(map[*family]string{&ipv4: "127.0.0.1", &ipv6: "::1"}[f])
		if at.Is6() && !hasLoopback6() {
			continue
		}
		conn, err := listenICMP(f.raw, f.any, 0x1234)
		if err != nil {
			t.Skipf("this system gives no raw ICMP socket: %v", err)
		}
		defer conn.Close()
		socket := &echoSocket{family: f, conn: conn, waiting: make(map[echoKey]waiter)}
		for _, id := range []uint16{0x3412, 0x1235, 0x1234} {
			socket.id = id
			if _, err := socket.send(socket.request(at, 20), make(chan time.Duration, 1)); err != nil {
				t.Fatal(err)
			}
		}
		buffer := make([]byte, 100)
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if got := buffer[:n]; n != 28 || got[0] != f.reply || got[4] != 0x12 || got[5] != 0x34 || got[7] != 3 {
			t.Errorf("%s: the first packet is %x", f.name, got)
		}
	}
}

// TestPingMany pings many addresses of the loopback at once: every request is answered, over one socket.
func TestPingMany(t *testing.T) {
	check := compile(t, Options{Name: "ping", Protocol: Ping, Packets: 1, LossRate: 100, Timeout: 5 * time.Second})
	socket, err := check.prober.socket(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Skipf("this system gives no ICMP socket: %v", err)
	}
	var running sync.WaitGroup
	for i := range 1000 {
		at := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		running.Go(func() {
			var report Report
			if err := check.Target(at, "").Probe(t.Context(), &report); err != nil || report.RTT <= 0 {
				t.Errorf("%v: %v, %v", at, err, report.RTT)
			}
		})
	}
	running.Wait()
	if n := len(socket.waiting); n > 0 {
		t.Errorf("%d requests are still waited for", n)
	}
}

// BenchmarkPing pings 10,000 addresses of the loopback at once, and tells the CPU time of an echo, the kernel's part of sending,
// answering and receiving it included.
func BenchmarkPing(b *testing.B) {
	const targets, packets = 10000, 4
	check := compile(b, Options{Name: "ping", Protocol: Ping, Packets: packets, Timeout: time.Second, Size: 56})
	if _, err := check.prober.socket(netip.MustParseAddr("127.0.0.1")); err != nil {
		b.Skipf("this system gives no ICMP socket: %v", err)
	}
	cpu := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	b.ReportAllocs()
	start := cpu()
	var lost atomic.Int64
	for b.Loop() {
		var running sync.WaitGroup
		for i := range targets {
			at := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
			running.Go(func() {
				ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
				defer cancel()
				if err := check.Target(at, "").Probe(ctx, new(Report)); err != nil {
					lost.Add(1)
				}
			})
		}
		running.Wait()
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N*targets*packets), "cpu-ns/echo")
	b.ReportMetric(float64(lost.Load())/float64(b.N), "bad/op")
}

// compileFake returns a check whose pings go over the network.
func compileFake(t *testing.T, o Options, network *fakeNetwork) *Check {
	t.Helper()
	check := compile(t, o)
	check.prober.listen = network.listen
	return check
}

// fakeNetwork makes sockets at which every request is answered after 10 ms, unless its fields say otherwise.
type fakeNetwork struct {
	refuseDatagram, refuseRaw bool
	drop                      func(n int) bool // Nil drops none.
	stranger                  bool             // Another address answers.
	otherID                   bool             // The replies have another identifier.
	noise                     bool             // What is no reply of ours comes before each reply.
	readErrors                int              // So many reads fail first.
	sendError, closeError     error
	listenError               error // Of any socket.
	sendErrors                int   // So many sends fail with sendError; 0 is all.

	opened   int
	refused  int
	sent     int
	lastSent time.Time
}

func (n *fakeNetwork) listen(network, _ string, _ uint16) (packetConn, error) {
	datagram := network == "udp4" || network == "udp6"
	switch {
	case n.listenError != nil:
		return nil, n.listenError
	case datagram && n.refuseDatagram:
		return nil, os.NewSyscallError("socket", syscall.EACCES)
	case !datagram && n.refuseRaw:
		return nil, &net.OpError{Op: "listen", Net: network, Err: os.NewSyscallError("socket", syscall.EPERM)}
	}
	n.opened++
	f := &ipv4
	if strings.Contains(network, "6") {
		f = &ipv6
	}
	return &fakeSocket{network: n, family: f, packets: make(chan fakePacket, 1000), closed: make(chan struct{}), readErrors: n.readErrors}, nil
}

// socket returns the one socket that the check's prober has open.
func (n *fakeNetwork) socket(t *testing.T, c *Check) *echoSocket {
	for _, s := range c.prober.sockets {
		return s
	}
	t.Fatal("there is no socket")
	return nil
}

type fakePacket struct {
	data []byte
	from net.Addr
}

type fakeSocket struct {
	network    *fakeNetwork
	family     *family
	packets    chan fakePacket
	closed     chan struct{}
	readErrors int
	once       sync.Once
}

func (s *fakeSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	n := s.network
	if n.sendError != nil && (n.sendErrors == 0 || n.refused < n.sendErrors) {
		n.refused++
		return 0, n.sendError
	}
	if len(b) > 65507 {
		return 0, &net.OpError{Op: "write", Err: os.NewSyscallError("sendto", syscall.EMSGSIZE)}
	}
	index := n.sent
	n.sent++
	n.lastSent = time.Now()
	if n.drop != nil && n.drop(index) {
		return len(b), nil
	}
	protocol, replies := 1, icmp.Type(xipv4.ICMPTypeEchoReply)
	if s.family == &ipv6 {
		protocol, replies = 58, xipv6.ICMPTypeEchoReply
	}
	request, err := icmp.ParseMessage(protocol, b)
	if err != nil || request.Type != xipv4.ICMPTypeEcho && request.Type != xipv6.ICMPTypeEchoRequest {
		return 0, fmt.Errorf("no echo request: %v, %w", request, err)
	}
	reply := icmp.Message{Type: replies, Body: request.Body}
	if n.otherID {
		reply.Body.(*icmp.Echo).ID ^= 1
	}
	if n.stranger {
		to = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 99)}
	}
	if udp, ok := to.(*net.UDPAddr); ok && udp.IP.To4() != nil {
		udp.IP = udp.IP.To16() // As package net does.
	}
	data, err := reply.Marshal(nil)
	if err != nil {
		return 0, err
	}
	time.AfterFunc(10*time.Millisecond, func() {
		if n.noise {
			s.packets <- fakePacket{[]byte{1, 2}, to}
			s.packets <- fakePacket{b, to} // The request itself, as raw sockets see it on the loopback.
			s.packets <- fakePacket{data, &net.UnixAddr{}}
		}
		s.packets <- fakePacket{data, to}
	})
	return len(b), nil
}

func (s *fakeSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	if s.readErrors > 0 {
		s.readErrors--
		return 0, nil, os.NewSyscallError("recvfrom", syscall.EHOSTUNREACH)
	}
	select {
	case p := <-s.packets:
		return copy(b, p.data), p.from, nil
	case <-s.closed:
		return 0, nil, &net.OpError{Op: "read", Err: net.ErrClosed}
	}
}

func (s *fakeSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.network.closeError
}
