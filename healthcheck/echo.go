package healthcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// packetConn is what a ping needs of a socket; [icmp.PacketConn] is one.
type packetConn interface {
	ReadFrom(b []byte) (n int, from net.Addr, err error)
	WriteTo(b []byte, to net.Addr) (n int, err error)
	Close() error
}

// listenFunc opens an ICMP socket. A raw one need not pass anything but echo replies with the identifier.
type listenFunc func(network, address string, id uint16) (packetConn, error)

// family is what differs between ICMP (RFC 792) and ICMPv6 (RFC 4443). The two values are constants.
type family struct {
	name           string
	datagram, raw  string // Networks for listenICMP.
	any            string // The unspecified address.
	request, reply byte   // Types of messages.
}

var (
	ipv4 = family{"IPv4", "udp4", "ip4:icmp", "0.0.0.0", 8, 0}
	ipv6 = family{"IPv6", "udp6", "ip6:ipv6-icmp", "::", 128, 129}
)

// echoHeader is the size of the header of an echo message: type, code, checksum, identifier, sequence number.
const echoHeader = 8

// echoKey tells outstanding echo requests apart.
type echoKey struct {
	address  netip.Addr // Without a zone.
	id       uint16     // Zero for datagram sockets.
	sequence uint16
}

// waiter is an echo request that may still be answered.
type waiter struct {
	replies chan<- time.Duration // The round-trip time goes there; it has room.
	sent    time.Time
	size    int // Of the data.
}

// echoSocket is one ICMP socket, shared by all pings of one address family, and the goroutine that reads it.
// A raw socket receives every reply of the machine, so one for each ping would cost n² in the number of pings.
type echoSocket struct {
	family   *family
	conn     packetConn
	datagram bool    // The kernel chooses the identifier and passes nothing but its replies.
	id       uint16  // Of raw sockets.
	nonce    [8]byte // The data of requests begins with it: who has not seen one cannot make a reply.
	done     chan struct{}

	mu      sync.Mutex // Guards the following.
	waiting map[echoKey]waiter
	last    uint16 // The last sequence number used.
}

// openEchoSocket opens a datagram socket, which needs no privilege where the system allows it, or else a raw one.
func openEchoSocket(f *family, listen listenFunc) (*echoSocket, error) {
	s := &echoSocket{
		family:   f,
		datagram: true,
		id:       uint16(rand.Uint32()),
		done:     make(chan struct{}),
		waiting:  make(map[echoKey]waiter),
		last:     uint16(rand.Uint32()),
	}
	binary.BigEndian.PutUint64(s.nonce[:], rand.Uint64())
	conn, err := listen(f.datagram, f.any, s.id)
	if err != nil {
		var rawErr error
		s.datagram = false
		if conn, rawErr = listen(f.raw, f.any, s.id); rawErr != nil {
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

// echoRequest is the echo request of one ping, packed: its packets differ in the sequence number and the checksum only.
type echoRequest struct {
	packet []byte
	sum    uint32 // The checksum's sum (RFC 1071) over the packet but for those two.
	to     net.Addr
	key    echoKey
}

// request packs the request of a ping with so many octets of data.
func (s *echoSocket) request(to netip.Addr, size int) *echoRequest {
	r := &echoRequest{packet: make([]byte, echoHeader+size), key: echoKey{address: to.WithZone("")}}
	if s.datagram {
		r.to = &net.UDPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	} else {
		r.to, r.key.id = &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}, s.id
	}
	r.packet[0] = s.family.request
	binary.BigEndian.PutUint16(r.packet[4:], s.id)
	data := r.packet[echoHeader:]
	for i := range data {
		data[i] = byte(i)
	}
	copy(data, s.nonce[:])
	for i, octet := range r.packet {
		r.sum += uint32(octet) << (8 * (1 - i&1))
	}
	return r
}

// number gives the packet its sequence number and checksum. The checksum of ICMPv6 covers addresses (RFC 4443,
// section 2.3) and is the kernel's.
func (r *echoRequest) number(sequence uint16) {
	binary.BigEndian.PutUint16(r.packet[6:], sequence)
	if r.packet[0] != ipv4.request {
		return
	}
	sum := r.sum + uint32(sequence)
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(r.packet[2:], ^uint16(sum))
}

// send sends one echo request, whose round-trip time goes to replies, which must have room, if it is answered.
// The key that it returns must be forgotten afterwards, also when sending failed. A request is used by one goroutine at a time.
func (s *echoSocket) send(r *echoRequest, replies chan<- time.Duration) (echoKey, error) {
	key := r.key
	s.mu.Lock()
	for range 1 << 16 {
		s.last++
		key.sequence = s.last
		if _, used := s.waiting[key]; !used {
			break
		}
	}
	s.waiting[key] = waiter{replies: replies, sent: time.Now(), size: len(r.packet) - echoHeader}
	s.mu.Unlock()
	r.number(key.sequence)
	_, err := s.conn.WriteTo(r.packet, r.to)
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

// receive handles one packet. What is not a reply to a request of ours is dropped, and most of it by its first octets:
// a raw socket may see every ICMP packet of the machine.
func (s *echoSocket) receive(packet []byte, from net.Addr) {
	if len(packet) < echoHeader || packet[0] != s.family.reply || packet[1] != 0 {
		return
	}
	var key echoKey
	if !s.datagram {
		if key.id = binary.BigEndian.Uint16(packet[4:]); key.id != s.id {
			return
		}
	}
	now := time.Now()
	key.sequence = binary.BigEndian.Uint16(packet[6:])
	var ip net.IP
	switch a := from.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	address, _ := netip.AddrFromSlice(ip)
	key.address = address.Unmap()
	s.mu.Lock()
	defer s.mu.Unlock()
	w, known := s.waiting[key]
	// Some servers cut the data short, but not so short.
	if nonce := s.nonce[:min(w.size, len(s.nonce))]; known && bytes.HasPrefix(packet[echoHeader:], nonce) {
		delete(s.waiting, key)
		w.replies <- now.Sub(w.sent)
	}
}
