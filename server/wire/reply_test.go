package wire_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"gtmd/server/wire"
)

// address is an A record owned by the question's name.
var address = record([]byte{0xc0, 12}, 1, 1, 60, 192, 0, 2, 1)

func TestAppendAnswer(t *testing.T) {
	one := &wire.Answer{Authoritative: true, Counts: wire.Counts{Answer: 1}, Body: address}
	all := uint16(flagAA | flagTC | flagRD | flagRA | flagZ | flagAD | flagCD | 15)
	ecs := subnet(1, 20, 0, 192, 0, 0x20)
	tests := []struct {
		id     string
		query  []byte
		answer *wire.Answer
		scope  int
		want   []byte
	}{
		{"A01, E01, S04: no OPT without one", query("wWw.Example", wire.TypeA), one, 24,
			slices.Concat(header(flagQR|flagAA|flagRD, 1, 1), question("wWw.Example", 1, 1), address)},
		{"H09, H10: flags of the query", slices.Concat(header(all, 1), question("a.b", 1, 1)), one, 0,
			slices.Concat(header(flagQR|flagAA|flagRD, 1, 1), question("a.b", 1, 1), address)},
		{"E02, E05, E06: OPT, options and flags not echoed", query("a.b", wire.TypeA, record([]byte{0}, 41, 4096, 0x7fff, option(65001, 1)...)), one, 24,
			slices.Concat(header(flagQR|flagAA|flagRD, 1, 1, 0, 1), question("a.b", 1, 1), address, opt(1232))},
		{"E07: DO copied", query("a.b", wire.TypeA, record([]byte{0}, 41, 4096, 0x8000)), one, 0,
			slices.Concat(header(flagQR|flagAA|flagRD, 1, 1, 0, 1), question("a.b", 1, 1), address, record([]byte{0}, 41, 1232, 0x8000))},
		{"S01: family, source and address echoed, scope filled in", query("a.b", wire.TypeA, opt(1232, option(3), ecs)), one, 24,
			slices.Concat(header(flagQR|flagAA|flagRD, 1, 1, 0, 1), question("a.b", 1, 1), address, opt(1232, subnet(1, 20, 24, 192, 0, 0x20)))},
		{"S03: source 0", query("a.b", wire.TypeA, opt(1232, subnet(2, 0, 0))), one, 0,
			slices.Concat(header(flagQR|flagAA|flagRD, 1, 1, 0, 1), question("a.b", 1, 1), address, opt(1232, subnet(2, 0, 0)))},
		{"S02: IPv6 host", query("a.b", wire.TypeA, opt(1232, subnet(2, 128, 0, bytes.Repeat([]byte{9}, 16)...))), one, 128,
			slices.Concat(header(flagQR|flagAA|flagRD, 1, 1, 0, 1), question("a.b", 1, 1), address, opt(1232, subnet(2, 128, 128, bytes.Repeat([]byte{9}, 16)...)))},
		{"A10: rcode and authority", slices.Concat(header(0, 1), question("a.b", 1, 1)),
			&wire.Answer{RCode: wire.NXDomain, Authoritative: true, Counts: wire.Counts{Authority: 1}, Body: []byte{1, 2, 3}}, 0,
			slices.Concat(header(flagQR|flagAA|3, 1, 0, 1), question("a.b", 1, 1), []byte{1, 2, 3})},
		{"A18: referral, additional counted with the OPT", query("a.b", wire.TypeA, opt(512)),
			&wire.Answer{Counts: wire.Counts{Authority: 2, Additional: 3}, Body: []byte{4}}, 0,
			slices.Concat(header(flagQR|flagRD, 1, 0, 2, 4), question("a.b", 1, 1), []byte{4}, opt(1232))},
		{"pointers move with the length of the name", query("xx.a.b", wire.TypeA),
			&wire.Answer{Body: []byte{0xc0, 12, 7, 0xc0, 14}, Pointers: []uint16{0, 3}, NameLen: 5}, 0,
			slices.Concat(header(flagQR|flagRD, 1), question("xx.a.b", 1, 1), []byte{0xc0, 15, 7, 0xc0, 17})},
	}
	for _, test := range tests {
		var q wire.Query
		if fate, _ := q.Decode(test.query); fate != wire.ToAnswer {
			t.Fatalf("%s: fate %d", test.id, fate)
		}
		before := slices.Clone(test.answer.Body)
		got := q.AppendAnswer([]byte("xy"), test.answer, test.scope, 1232)
		if want := append([]byte("xy"), test.want...); !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %x\nwant %x", test.id, got, want)
		}
		if !bytes.Equal(test.answer.Body, before) {
			t.Errorf("%s: the packed answer was written to", test.id)
		}
	}
}

func TestAppendError(t *testing.T) {
	tests := []struct {
		id   string
		sent []byte
		want []byte
	}{
		{"C05: cookie without a question", slices.Concat(header(flagRD, 0, 0, 0, 1), opt(1232, cookie(8))), slices.Concat(header(flagQR|flagRD, 0, 0, 0, 1), opt(1232))},
		{"E02: OPT also without a question", slices.Concat(header(0, 0, 0, 0, 1), opt(1232)), slices.Concat(header(flagQR|1, 0, 0, 0, 1), opt(1232))},
		{"C04: a cookie of illegal length is not echoed", query("a", wire.TypeA, opt(1232, cookie(9))),
			slices.Concat(header(flagQR|flagRD|1, 1, 0, 0, 1), question("a", 1, 1), opt(1232))},
		{"H03: header only", header(flagRD | flagCD), header(flagQR | flagRD | 1)},
		{"H04: two questions, none echoed", slices.Concat(header(0, 2), question("a", 1, 1), question("a", 1, 1)), header(flagQR | 1)},
		{"H05: opcode echoed, other flags clear (RFC 8906 8.1.5)", header(opcode(15) | flagAA | flagTC | flagRD | flagRA | flagZ | flagAD | flagCD | 7), header(flagQR | opcode(15) | 4)},
		{"H07: NOTIFY", slices.Concat(header(opcode(4)|flagAA|flagRD, 1), question("a", 6, 1)), header(flagQR | opcode(4) | 4)},
		{"H14: half a question", slices.Concat(header(flagRD, 1), []byte{3, 'a'}), header(flagQR | flagRD | 1)},
		{"H23: question echoed", slices.Concat(header(flagRD, 1, 0, 0, 1), question("A.b", 1, 1)),
			slices.Concat(header(flagQR|flagRD|1, 1), question("A.b", 1, 1))},
		{"E03: BADVERS with version 0", query("a", wire.TypeA, record([]byte{0}, 41, 4096, 1<<16|0x8000, option(65001, 1)...)),
			slices.Concat(header(flagQR|flagRD, 1, 0, 0, 1), question("a", 1, 1), record([]byte{0}, 41, 1232, 1<<24|0x8000))},
		{"E12: FORMERR with an OPT", query("a", wire.TypeA, opt(1232), opt(1232)),
			slices.Concat(header(flagQR|flagRD|1, 1, 0, 0, 1), question("a", 1, 1), opt(1232))},
		{"S06: malformed client subnet not echoed", query("a", wire.TypeA, opt(1232, subnet(3, 0, 0))),
			slices.Concat(header(flagQR|flagRD|1, 1, 0, 0, 1), question("a", 1, 1), opt(1232))},
	}
	for _, test := range tests {
		var q wire.Query
		fate, rcode := q.Decode(test.sent)
		if fate != wire.ToReject {
			t.Fatalf("%s: fate %d", test.id, fate)
		}
		if got := q.AppendError(nil, rcode); !bytes.Equal(got, test.want) {
			t.Errorf("%s:\ngot  %x\nwant %x", test.id, got, test.want)
		}
	}
}

func TestReplyOptions(t *testing.T) {
	ck, ede := cookie(24), &wire.ExtendedError{Code: 20, Text: "no zone"}
	ecs := subnet(1, 20, 0, 192, 0, 0x20)
	none, asked := &wire.Answer{}, [][]byte{opt(1232, option(3))}
	// The question a.b, an OPT record and its header take 32 octets.
	tests := []struct {
		id      string
		records [][]byte
		reply   wire.ReplyOptions
		limit   int
		want    []byte // the OPT record
	}{
		{"E01 nothing without EDNS", nil, wire.ReplyOptions{}, 512, nil},
		{"E20 an error that nobody asked for", [][]byte{opt(1232)}, wire.ReplyOptions{Error: &wire.ExtendedError{Code: 300}}, 512, opt(1232, option(15, 1, 44))},
		{"C01 nothing that was not asked for", [][]byte{opt(1232, option(9))}, wire.ReplyOptions{Cookie: ck[4:], NSID: []byte("n"), HasKeepalive: true, Block: 468}, 512, opt(1232)},
		{"C01 cookie", asked, wire.ReplyOptions{Cookie: ck[4:]}, 512, opt(1232, ck)},
		{"E17 NSID (RFC 5001 2.2)", asked, wire.ReplyOptions{NSID: []byte("ns1")}, 512, opt(1232, option(3, 'n', 's', '1'))},
		{"E19 keepalive in 100 ms (RFC 7828 3.1)", asked, wire.ReplyOptions{HasKeepalive: true, Keepalive: 300}, 512, opt(1232, option(11, 1, 44))},
		{"E19 keepalive 0: to be closed", asked, wire.ReplyOptions{HasKeepalive: true}, 512, opt(1232, option(11, 0, 0))},
		{"E20 extended error (RFC 8914 2)", asked, wire.ReplyOptions{Error: ede}, 512, opt(1232, option(15, 0, 20, 'n', 'o', ' ', 'z', 'o', 'n', 'e'))},
		{"E20 without text", asked, wire.ReplyOptions{Error: &wire.ExtendedError{Code: 300}}, 512, opt(1232, option(15, 1, 44))},
		{"all, and client subnet", [][]byte{opt(1232, option(3), ecs)}, wire.ReplyOptions{Cookie: ck[4:], NSID: []byte("n"), HasKeepalive: true, Keepalive: 1, Error: ede}, 512,
			opt(1232, subnet(1, 20, 24, 192, 0, 0x20), ck, option(11, 0, 1), option(15, 0, 20, 'n', 'o', ' ', 'z', 'o', 'n', 'e'), option(3, 'n'))},
		{"no room for the text", asked, wire.ReplyOptions{NSID: []byte("n"), Error: ede}, 32 + 6 + 6, opt(1232, option(15, 0, 20), option(3, 'n'))},
		{"no room for NSID either", asked, wire.ReplyOptions{NSID: []byte("n"), Error: ede}, 32 + 6 + 4, opt(1232, option(15, 0, 20))},
		{"no room for an error", asked, wire.ReplyOptions{NSID: []byte("n"), Error: ede}, 32 + 5, opt(1232, option(3, 'n'))},
		{"no room for anything", asked, wire.ReplyOptions{NSID: []byte("n"), Error: ede, Block: 468}, 32, opt(1232)},
		{"E21 padding to a block (RFC 8467 4.1)", asked, wire.ReplyOptions{Cookie: ck[4:], Block: 128}, 65535, opt(1232, ck, option(12, make([]byte, 128-32-28-4)...))},
		{"E21 exactly a block", asked, wire.ReplyOptions{Block: 36}, 65535, opt(1232, option(12))},
		{"E21 an octet more", asked, wire.ReplyOptions{Block: 35}, 65535, opt(1232, option(12, make([]byte, 34)...))},
		{"E21 no more than the limit", asked, wire.ReplyOptions{Block: 468}, 60, opt(1232, option(12, make([]byte, 60-36)...))},
	}
	for _, test := range tests {
		var q wire.Query
		q.Decode(query("a.b", wire.TypeA, test.records...))
		q.Reply = test.reply
		additional := uint16(len(test.records))
		want := slices.Concat(header(flagQR|flagRD, 1, 0, 0, additional), question("a.b", 1, 1), test.want)
		if got := q.AppendAnswer([]byte("xy"), none, 24, test.limit)[2:]; !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %x\nwant %x", test.id, got, want)
		}
	}
}

// Options that can be left out never cost a record: Room does not count them, and they fit in when there is room left.
func TestOptionsGiveWay(t *testing.T) {
	var q wire.Query
	reply := wire.ReplyOptions{Cookie: cookie(24)[4:], NSID: bytes.Repeat([]byte("n"), 100), HasKeepalive: true, Error: &wire.ExtendedError{Code: 1, Text: "text"}}
	for spare := range 130 {
		q.Decode(query(longName(), wire.TypeA, opt(512, cookie(8), subnet(2, 128, 0, make([]byte, 16)...))))
		q.Reply = reply
		body := make([]byte, q.Room(512)-spare)
		got := q.AppendAnswer(nil, &wire.Answer{Counts: wire.Counts{Answer: 1}, Body: body}, 0, 512)
		if len(got) > 512 || got[2]&2 != 0 || got[7] != 1 {
			t.Errorf("%d octets spare: %d octets, TC %d, ANCOUNT %d", spare, len(got), got[2]&2, got[7])
		}
		if hasText := bytes.Contains(got, []byte("text")); hasText != (spare >= 10) {
			t.Errorf("%d octets spare: the text of the error is there: %v", spare, hasText)
		}
		if hasNSID := bytes.Contains(got, reply.NSID); hasNSID != (spare >= 114) {
			t.Errorf("%d octets spare: NSID is there: %v", spare, hasNSID)
		}
	}
	if largest := wire.HeaderLen + wire.MaxName + 4 + wire.MaxOPT + q.Room(65535); largest != 65535 {
		t.Errorf("MaxOPT is wrong by %d octets", 65535-largest)
	}
}

// A truncated reply is the header, the question and the OPT record (RFC 2181 section 9).
func TestAppendTruncated(t *testing.T) {
	var q wire.Query
	q.Decode(query("a.b", wire.TypeA, opt(512, cookie(8))))
	q.Reply.Cookie = cookie(24)[4:]
	want := slices.Concat(header(flagQR|flagTC|flagRD, 1, 0, 0, 1), question("a.b", 1, 1), opt(1232, cookie(24)))
	if got := q.AppendTruncated(nil); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestTruncation(t *testing.T) {
	for _, test := range []struct {
		id      string
		records [][]byte
	}{
		{"E09: without EDNS", nil},
		{"E10: the OPT record stays", [][]byte{opt(512)}},
		{"S18: client subnet stays", [][]byte{opt(512, subnet(2, 128, 0, bytes.Repeat([]byte{1}, 16)...))}},
	} {
		var q wire.Query
		q.Decode(query(longName(), wire.TypeA, test.records...))
		room := q.Room(512)
		fits := &wire.Answer{Authoritative: true, RCode: wire.NXDomain, Counts: wire.Counts{Authority: 1}, Body: make([]byte, room)}
		reply := q.AppendAnswer(nil, fits, 0, 512)
		if len(reply) != 512 || reply[2]&2 != 0 || reply[9] != 1 {
			t.Errorf("%s: an answer that just fits has %d octets, TC %d, NSCOUNT %d", test.id, len(reply), reply[2]&2, reply[9])
		}
		large := &wire.Answer{Authoritative: true, RCode: wire.NXDomain, Counts: wire.Counts{1, 2, 3}, Body: make([]byte, room+1)}
		reply = q.AppendAnswer(nil, large, 0, 512)
		want := q.AppendError(nil, wire.NXDomain)
		want[2] |= 0x06 // AA, TC (RFC 2181 section 9)
		if !bytes.Equal(reply, want) {
			t.Errorf("%s: one octet more:\ngot  %x\nwant %x", test.id, reply, want)
		}
	}
}

// H11: every ID is echoed.
func TestID(t *testing.T) {
	for _, id := range []uint16{0, 1, 65535} {
		packet := query("a", wire.TypeA)
		packet[0], packet[1] = byte(id>>8), byte(id)
		var q wire.Query
		q.Decode(packet)
		if reply := q.AppendError(nil, wire.Refused); reply[0] != packet[0] || reply[1] != packet[1] {
			t.Errorf("ID %d came back as %x", id, reply[:2])
		}
	}
}

func Example() {
	packet, _ := new(dns.Msg).SetQuestion("Origin.example.", dns.TypeA).Pack()

	var q wire.Query // reused for every packet
	fate, rcode := q.Decode(packet)
	switch fate {
	case wire.ToDrop:
		return
	case wire.ToReject:
		fmt.Println("rcode", rcode)
		return
	}
	answer := &wire.Answer{Authoritative: true, Counts: wire.Counts{Answer: 1}, Body: address}
	reply := new(dns.Msg)
	reply.Unpack(q.AppendAnswer(nil, answer, 0, q.Limit(wire.Payload)))
	fmt.Printf("%q\n%v\n", q.Name(), reply.Answer[0])
	// Output:
	// "\x06origin\aexample\x00"
	// Origin.example.	60	IN	A	192.0.2.1
}
