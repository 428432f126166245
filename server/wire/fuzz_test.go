package wire_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"gtmd/server/wire"
)

func FuzzDecode(f *testing.F) {
	seeds := [][]byte{
		nil,
		header(0),
		header(flagQR, 1),
		header(opcode(5), 1),
		query("www.Example.com", wire.TypeA),
		query(longName(), wire.TypeAAAA, opt(512)),
		query(".", wire.TypeNS, opt(4096, subnet(1, 24, 0, 192, 0, 2))),
		query("a", wire.TypeANY, opt(65535, option(10, 1, 2, 3, 4, 5, 6, 7, 8), subnet(2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 1))),
		query("a", wire.TypeA, record([]byte{0}, 41, 1232, 1<<16)),
		slices.Concat(header(0, 0, 0, 0, 1), opt(1232, cookie(8))),
		query("a", wire.TypeA, opt(1232, cookie(40), option(3), option(11), option(12, 0, 0), option(15, 0, 1))),
		query("a", wire.TypeSOA, opt(1232), record(name("key"), 250, 255, 0, 1, 2)),
		query("a", wire.TypeA, opt(1232), opt(1232)),
		slices.Concat(header(0, 1, 1), question("a", 251, 1), record([]byte{0xc0, 12}, 6, 1, 0, make([]byte, 22)...)),
		slices.Concat(header(0, 1), []byte{0xc0, 12, 0, 1, 0, 1}),
		slices.Concat(header(0, 1), []byte{3, 0, 255, '.', 0, 0, 1, 0, 1}),
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		var q, again wire.Query
		original := slices.Clone(packet)
		fate, rcode := q.Decode(packet)
		again.Decode(query("left.over", wire.TypeA, opt(1232, subnet(1, 24, 0, 192, 0, 2))))
		if fate2, rcode2 := again.Decode(packet); fate2 != fate || rcode2 != rcode {
			t.Fatalf("decoded twice: fate %d rcode %d, then %d %d", fate, rcode, fate2, rcode2)
		}
		if !bytes.Equal(packet, original) {
			t.Fatal("the packet was written to")
		}
		if fate == wire.ToDrop {
			if len(packet) >= wire.HeaderLen && packet[2]&0x80 == 0 {
				t.Fatal("a query was dropped")
			}
			return
		}
		// Whatever the server says in options, the reply is whole and no larger than it may be.
		if q.HasEDNS {
			q.Reply = wire.ReplyOptions{Cookie: q.Cookie, NSID: packet[:min(len(packet), 120)], HasKeepalive: q.HasKeepalive, Error: &wire.ExtendedError{Code: 20, Text: "text"}}
			if len(q.Cookie) > 24 {
				q.Reply.Cookie = q.Cookie[:24]
			}
			if q.HasPadding {
				q.Reply.Block = 468
			}
			again.Reply = q.Reply
		}
		reply := replyTo(&q, fate, rcode)
		if !bytes.Equal(reply, replyTo(&again, fate, rcode)) {
			t.Fatal("decoded twice, two replies")
		}
		checkReply(t, packet, reply, q.Limit(1232), fate)
		if fate == wire.ToReject && isStandard(packet) {
			t.Fatalf("rejected with rcode %d, but it is a standard query", rcode)
		}
	})
}

// replyTo is the reply to a decoded query: an answer of 40 records, which does not fit everywhere, or an error.
func replyTo(q *wire.Query, fate wire.Fate, rcode wire.RCode) []byte {
	if fate == wire.ToReject {
		return q.AppendError(nil, rcode)
	}
	a := &wire.Answer{Authoritative: true, Counts: wire.Counts{Answer: 40}, Body: bytes.Repeat(address, 40)}
	return q.AppendAnswer(nil, a, 24, q.Limit(1232))
}

// checkReply checks what holds of every reply.
func checkReply(t *testing.T, packet, reply []byte, limit int, fate wire.Fate) {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("the reply %x cannot be read: %v", reply, err)
	}
	if !m.Response || m.Id != binary.BigEndian.Uint16(packet) || m.Opcode != int(packet[2]>>3&15) {
		t.Fatalf("QR %v, ID %x, opcode %d in the reply to %x", m.Response, m.Id, m.Opcode, packet[:4])
	}
	if len(reply) > limit {
		t.Fatalf("%d octets, limit %d", len(reply), limit)
	}
	if m.Zero || m.RecursionAvailable || m.AuthenticatedData || m.CheckingDisabled {
		t.Fatalf("flags %x", reply[2:4])
	}
	if len(m.Question) == 1 {
		end := wire.HeaderLen
		for packet[end] != 0 {
			end += 1 + int(packet[end])
		}
		if end += 5; !bytes.Equal(reply[wire.HeaderLen:end], packet[wire.HeaderLen:end]) {
			t.Fatalf("question %x, asked %x", reply[wire.HeaderLen:end], packet[wire.HeaderLen:end])
		}
	} else if fate == wire.ToAnswer || len(m.Extra) == 0 && len(reply) != wire.HeaderLen {
		t.Fatalf("%d questions in %x", len(m.Question), reply)
	}
	if fate == wire.ToReject && len(m.Answer)+len(m.Ns) > 0 {
		t.Fatal("records in an error reply")
	}
}

// isStandard reports whether another implementation takes the packet for a query that nothing is wrong with: one
// question, at most one OPT record, in its place and of version 0, and when that is packed again, the same octets.
func isStandard(packet []byte) bool {
	m := new(dns.Msg)
	if m.Unpack(packet) != nil || m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 || len(m.Answer)+len(m.Ns) > 0 || len(m.Extra) > 1 {
		return false
	}
	if len(m.Extra) == 1 {
		opt := m.IsEdns0()
		if opt == nil || opt.Version() != 0 || opt.Hdr.Name != "." {
			return false
		}
		for _, option := range opt.Option {
			switch option := option.(type) {
			case *dns.EDNS0_SUBNET:
				// RFC 7871 section 7.1.2: the rest is checked by packing it again.
				if option.SourceScope != 0 || option.Family > 2 {
					return false
				}
			case *dns.EDNS0_COOKIE: // in hexadecimal digits
				if n := len(option.Cookie) / 2; n != 8 && (n < 16 || n > 40) {
					return false
				}
			}
		}
	}
	packed, err := m.Pack()
	return err == nil && bytes.Equal(packed[4:], packet[4:])
}
