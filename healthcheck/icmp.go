package healthcheck

import (
	"fmt"
	"net"

	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
)

// echoBuffer is how much an ICMP socket may hold that has not been read yet, in octets, if the system allows it: the
// replies to many pings at once.
const echoBuffer = 4 << 20

// listenICMP opens a real socket. A raw one receives nothing but echo replies with the identifier: the kernel drops the rest
// before it wakes anyone.
func listenICMP(network, address string, id uint16) (packetConn, error) {
	conn, err := icmp.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	var plain net.PacketConn
	if p := conn.IPv4PacketConn(); p != nil {
		plain = p.PacketConn
	} else {
		plain = conn.IPv6PacketConn().PacketConn
	}
	if c, ok := plain.(interface{ SetReadBuffer(int) error }); ok {
		_ = c.SetReadBuffer(echoBuffer) // It works with less, too.
	}
	if err := setEchoFilter(conn, network, id); err != nil {
		conn.Close()
		return nil, fmt.Errorf("setting the filter of the ICMP socket: %w", err)
	}
	return conn, nil
}

// setEchoFilter makes the kernel drop what is no echo reply with the identifier, if the socket is a raw one.
func setEchoFilter(conn *icmp.PacketConn, network string, id uint16) error {
	// What the kernel shows to a filter starts with the IP header for IPv4, and after it for IPv6.
	var start, kind, number bpf.Instruction
	switch network {
	case ipv4.raw:
		start, kind, number = bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: 0, Size: 1}, bpf.LoadIndirect{Off: 4, Size: 2}
	case ipv6.raw:
		start, kind, number = bpf.LoadConstant{Dst: bpf.RegX}, bpf.LoadAbsolute{Off: 0, Size: 1}, bpf.LoadAbsolute{Off: 4, Size: 2}
	default:
		return nil
	}
	reply := uint32(ipv4.reply)
	if network == ipv6.raw {
		reply = uint32(ipv6.reply)
	}
	program, err := bpf.Assemble([]bpf.Instruction{
		start,
		kind,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: reply, SkipTrue: 3},
		number,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(id), SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 18}, // The whole packet.
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	if p := conn.IPv4PacketConn(); p != nil {
		return p.SetBPF(program)
	}
	return conn.IPv6PacketConn().SetBPF(program)
}
