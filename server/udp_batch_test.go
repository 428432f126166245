//go:build !portable && linux && (amd64 || arm64)

package server

import (
	"errors"
	"net/netip"
	"os"
	"testing"

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
		if got := w.out.controls[1][unix.CmsgLen(0)+test.at]; got != test.want {
			t.Errorf("level %d: interface %d, want %d", test.level, got, test.want)
		}
		if w.out.headers[1].hdr.Control != &w.out.controls[1][0] || w.out.headers[1].hdr.Namelen != 28 {
			t.Errorf("level %d: the reply has no control message of its own", test.level)
		}
	}
	w.in.headers[3].hdr.Controllen = 0
	if w.address(1, 3); w.out.headers[1].hdr.Control != nil {
		t.Error("a packet without a control message gets one of another")
	}
}
