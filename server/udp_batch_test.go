//go:build !portable && linux && (amd64 || arm64)

package server

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// A wildcard listener answers from the address that was asked: a connected client sees no other reply.
func TestWildcardAnswersFromTheAddressAsked(t *testing.T) {
	s := newServer(t, options("0.0.0.0:0", "[::]:0"))
	addresses := s.Addresses()
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	for _, asked := range []netip.AddrPort{
		withIP("127.0.0.1", addresses[0]), withIP("127.0.0.5", addresses[0]), withIP("::1", addresses[1]),
	} {
		for _, network := range []string{"udp", "tcp"} {
			for range 4 { // over both workers
				if m := unpacked(t, exchange(t, dial(t, network, asked), query)); len(m.Answer) != 1 {
					t.Errorf("%s at %v: %v", network, asked, m)
				}
			}
		}
	}
	// Also when the socket is about to be closed.
	conn := dial(t, "udp", withIP("127.0.0.5", addresses[0]))
	conn.Write(query)
	s.Close()
	if _, err := conn.Read(make([]byte, 512)); err != nil {
		t.Error(err)
	}
}

// A reply that the kernel refuses is counted and left out, the others leave.
func TestUnsentReplies(t *testing.T) {
	stats := NewStats()
	s := &Server{stats: stats}
	udp, bound, err := s.openUDP(netip.MustParseAddrPort("127.0.0.1:0"), options())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.close()
	w := udp.(*batchWorker)
	conn := dial(t, "udp", bound)
	good := netip.MustParseAddrPort(conn.LocalAddr().String())
	for i, port := range []uint16{good.Port(), 0, good.Port()} { // nothing can be sent to port 0
		w.out.vectors[i].Base = &w.out.packets[i][:1][0]
		w.out.vectors[i].SetLen(10 + i)
		h := &w.out.headers[i].hdr
		name := &w.out.names[i]
		name.Family, name.Port = unix.AF_INET, port<<8|port>>8
		name.Flowinfo = 0x0100007f // where an IPv4 name has its address
		h.Namelen = unix.SizeofSockaddrInet4
	}
	w.send(3)
	for _, want := range []int{10, 12} {
		if n, err := conn.Read(make([]byte, 100)); n != want || err != nil {
			t.Errorf("received %d octets, %v, want %d", n, err, want)
		}
	}
	if got := stats.unsent.Load(); got != 1 {
		t.Errorf("%d replies counted as unsent, want 1", got)
	}
}

// A packet that makes the answer panic leaves the others of its batch their replies.
func TestPanicInABatch(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler), NewStats())
	udp, bound, err := s.openUDP(netip.MustParseAddrPort("127.0.0.1:0"), options())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.close()
	w, r := udp.(*batchWorker), s.responder(s.stats.join(true))
	conn := dial(t, "udp", bound)
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "") // panics: there is no view
	for round, panics := range []string{"x", ".", "x.x", ".x.", "xx", "..xx..x", "x"} {
		before, want := s.stats.panics.Load(), []byte{}
		for i, c := range []byte(panics) {
			sent := query
			if c == '.' {
				sent = query[:len(query)-1] // FORMERR
				want = append(want, byte(i))
			}
			sent = slices.Clone(sent)
			sent[0], sent[1] = byte(round), byte(i)
			conn.Write(sent)
		}
		if w.receive(unix.MSG_DONTWAIT); w.received != len(panics) {
			t.Fatalf("round %d: %d packets received, want %d", round, w.received, len(panics))
		}
		w.answer(r)
		for _, id := range want {
			reply := make([]byte, 512)
			if n, err := conn.Read(reply); err != nil || n < 12 || reply[0] != byte(round) || reply[1] != id {
				t.Errorf("round %d: reply %x, %v, want that to packet %d", round, reply[:n], err, id)
			}
		}
		if got, want := s.stats.panics.Load()-before, uint64(strings.Count(panics, "x")); got != want {
			t.Errorf("round %d: %d panics, want %d", round, got, want)
		}
	}
}

// A socket that is served has no timeout, which would cost at every sleep; stop wakes it all the same.
func TestStopWakesASleeper(t *testing.T) {
	s := New(slog.New(slog.DiscardHandler), NewStats())
	reject := packet(t, "www.gtm.test.", dns.TypeA, 0, "")[:20]
	for i := range 60 { // asleep, before it sleeps, and before it runs
		udp, bound, err := s.openUDP(netip.MustParseAddrPort("127.0.0.1:0"), options())
		if err != nil {
			t.Fatal(err)
		}
		w := udp.(*batchWorker)
		timeout, err := unix.GetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
		if err != nil || *timeout != (unix.Timeval{}) {
			t.Fatalf("timeout %v, %v, want none", timeout, err)
		}
		ended := make(chan struct{})
		go func() {
			w.run()
			close(ended)
		}()
		if i%3 > 0 {
			exchange(t, dial(t, "udp", bound), reject)
		}
		if i%3 > 1 {
			runtime.Gosched()
		}
		w.stop()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the worker sleeps on")
		}
	}
}

func TestOpenSocketErrors(t *testing.T) {
	for _, test := range []struct {
		address string
		want    error
	}{
		{"192.0.2.1:0", unix.EADDRNOTAVAIL},
		{"[2001:db8::1]:0", unix.EADDRNOTAVAIL},
	} {
		fd, _, err := openSocket(netip.MustParseAddrPort(test.address))
		if fd != -1 || !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.address, err, test.want)
		}
		if _, isCall := err.(*os.SyscallError); !isCall {
			t.Errorf("%s: %v does not say what was done", test.address, err)
		}
	}
	want := `find the interface "none0": route ip+net: no such network interface`
	if _, _, err := openSocket(netip.MustParseAddrPort("[fe80::1%none0]:0")); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// Replies from a link-local address keep their interface, all others leave it to the route.
func TestReplyInterface(t *testing.T) {
	var w batchWorker
	for _, test := range []struct {
		level, kind int32
		data        []byte
		at          int
		want        byte
	}{
		{unix.IPPROTO_IP, unix.IP_PKTINFO, []byte{7, 0, 0, 0, 127, 0, 0, 5, 127, 0, 0, 5}, 0, 0},
		{unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(append([]byte{0x20, 1}, make([]byte, 14)...), 7, 0, 0, 0), 16, 0},
		{unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(append([]byte{0xfe, 0x80}, make([]byte, 14)...), 7, 0, 0, 0), 16, 7},
	} {
		control := &w.in.controls[3]
		*control = [controlLen]byte{}
		control[0] = byte(unix.CmsgLen(len(test.data)))
		control[8], control[12] = byte(test.level), byte(test.kind)
		copy(control[unix.CmsgLen(0):], test.data)
		w.in.headers[3].hdr.Controllen = uint64(unix.CmsgSpace(len(test.data)))
		w.in.headers[3].hdr.Namelen = 28
		w.address(1, 3)
		if got := w.in.controls[3][unix.CmsgLen(0)+test.at]; got != test.want {
			t.Errorf("level %d: interface %d, want %d", test.level, got, test.want)
		}
		if w.out.headers[1].hdr.Control != &w.in.controls[3][0] || w.out.headers[1].hdr.Namelen != 28 {
			t.Errorf("level %d: the reply has not the control message of its packet", test.level)
		}
	}
	w.in.headers[3].hdr.Controllen = 0
	if w.address(1, 3); w.out.headers[1].hdr.Controllen != 0 {
		t.Error("a packet without a control message gets one of another")
	}
}

// Replies leave from the address that was asked also through a socket that was passed.
func TestHeldWildcard(t *testing.T) { heldSockets(t, netip.IPv4Unspecified()) }
