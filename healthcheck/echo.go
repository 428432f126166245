package healthcheck

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	xipv4 "golang.org/x/net/ipv4"
	xipv6 "golang.org/x/net/ipv6"
)

// packetConn is what a ping needs of a socket; [icmp.PacketConn] is one.
type packetConn interface {
	ReadFrom(b []byte) (n int, from net.Addr, err error)
	WriteTo(b []byte, to net.Addr) (n int, err error)
	Close() error
}

// family is what differs between ICMP (RFC 792) and ICMPv6 (RFC 4443). The two values are constants.
type family struct {
	name             string
	datagram, raw    string // Networks for listenICMP.
	any              string // The unspecified address.
	protocol         int    // IANA protocol number.
	request, replies icmp.Type
}

var (
	ipv4 = family{"IPv4", "udp4", "ip4:icmp", "0.0.0.0", 1, xipv4.ICMPTypeEcho, xipv4.ICMPTypeEchoReply}
	ipv6 = family{"IPv6", "udp6", "ip6:ipv6-icmp", "::", 58, xipv6.ICMPTypeEchoRequest, xipv6.ICMPTypeEchoReply}
)

// listenICMP opens a real socket. One for IPv6 receives nothing but echo replies.
func listenICMP(network, address string) (packetConn, error) {
	conn, err := icmp.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	if network == ipv6.raw {
		var filter xipv6.ICMPFilter
		filter.SetAll(true)
		filter.Accept(xipv6.ICMPTypeEchoReply)
		if err := conn.IPv6PacketConn().SetICMPFilter(&filter); err != nil {
			conn.Close()
			return nil, fmt.Errorf("setting the filter of the ICMPv6 socket: %w", err)
		}
	}
	return conn, nil
}

// echoKey tells outstanding echo requests apart. The identifier is one for the whole socket.
type echoKey struct {
	address  netip.Addr // Without a zone.
	sequence uint16
}

// echoSocket is one ICMP socket, shared by all pings of one address family, and the goroutine that reads it.
// A raw socket receives every reply of the machine, so one for each ping would cost n² in the number of pings.
type echoSocket struct {
	family   *family
	conn     packetConn
	datagram bool   // The kernel chooses the identifier and passes nothing but its replies.
	id       uint16 // Of raw sockets.
	done     chan struct{}

	mu      sync.Mutex // Guards the following.
	waiting map[echoKey]chan<- echoKey
	last    uint16 // The last sequence number used.
}

// openEchoSocket opens a datagram socket, which needs no privilege where the system allows it, or else a raw one.
func openEchoSocket(f *family, listen func(network, address string) (packetConn, error)) (*echoSocket, error) {
	s := &echoSocket{
		family:   f,
		datagram: true,
		id:       uint16(rand.Uint32()),
		done:     make(chan struct{}),
		waiting:  make(map[echoKey]chan<- echoKey),
		last:     uint16(rand.Uint32()),
	}
	conn, err := listen(f.datagram, f.any)
	if err != nil {
		var rawErr error
		s.datagram = false
		if conn, rawErr = listen(f.raw, f.any); rawErr != nil {
			return nil, noSocket(f, err, rawErr)
		}
	}
	s.conn = conn
	go s.read()
	return s, nil
}

// noSocket returns the reason for a ping of which neither socket could be opened.
func noSocket(f *family, datagram, raw error) error {
	cause := errors.Join(datagram, raw)
	text := fmt.Sprintf("no ICMP socket for %s (datagram: %s; raw: %s)", f.name, bare(datagram), bare(raw))
	switch {
	case errors.Is(cause, syscall.EPERM), errors.Is(cause, syscall.EACCES):
		return newReason(errors.Join(errNoSocket, cause), "cannot probe: %s: allow CAP_NET_RAW, or the process's group in "+
			"net.ipv4.ping_group_range", text)
	case localFault(cause) != nil:
		return newReason(cause, "cannot probe: %s", text)
	default:
		return newReason(cause, "ping: %s", text)
	}
}

// close ends read and waits for it.
func (s *echoSocket) close() error {
	err := s.conn.Close()
	<-s.done
	return err
}

// send sends one echo request and registers replies, which must have room, to receive its key if it is answered.
// The request must be forgotten afterwards, also when sending failed.
func (s *echoSocket) send(to netip.Addr, data []byte, replies chan<- echoKey) (echoKey, error) {
	key := echoKey{address: to.WithZone("")}
	s.mu.Lock()
	for range 1 << 16 {
		s.last++
		key.sequence = s.last
		if s.waiting[key] == nil {
			break
		}
	}
	s.waiting[key] = replies
	s.mu.Unlock()
	message := icmp.Message{
		Type: s.family.request,
		Body: &icmp.Echo{ID: int(s.id), Seq: int(key.sequence), Data: data},
	}
	packet, err := message.Marshal(nil) // The kernel computes the ICMPv6 checksum.
	if err != nil {
		return key, fmt.Errorf("packing an echo request: %w", err)
	}
	var address net.Addr = &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	if s.datagram {
		address = &net.UDPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	}
	_, err = s.conn.WriteTo(packet, address)
	return key, err
}

// forget gives up on requests that were not answered.
func (s *echoSocket) forget(keys []echoKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.waiting, key)
	}
}

// read hands replies to those that wait for them, until the socket is closed. Its owner is close.
func (s *echoSocket) read() {
	defer close(s.done)
	buffer := make([]byte, 2048)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// An error of one packet, or of a system short of memory, which a tight loop would not help.
			time.Sleep(10 * time.Millisecond)
		default:
			s.receive(buffer[:n], from)
		}
	}
}

// receive handles one packet. What is not a reply to a request of ours is dropped.
func (s *echoSocket) receive(packet []byte, from net.Addr) {
	message, err := icmp.ParseMessage(s.family.protocol, packet)
	if err != nil || message.Type != s.family.replies {
		return
	}
	echo, ok := message.Body.(*icmp.Echo)
	if !ok || !s.datagram && echo.ID != int(s.id) {
		return
	}
	var ip net.IP
	switch a := from.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	address, _ := netip.AddrFromSlice(ip)
	key := echoKey{address: address.Unmap(), sequence: uint16(echo.Seq)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if replies := s.waiting[key]; replies != nil {
		delete(s.waiting, key)
		replies <- key
	}
}
