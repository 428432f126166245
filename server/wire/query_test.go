package wire_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gtmd/server/wire"
)

func TestDecodeFate(t *testing.T) {
	plain := query("www.example.com", wire.TypeA)
	withOPT := func(records ...[]byte) []byte { return query("www.example.com", wire.TypeA, records...) }
	question1 := question("www.example.com", wire.TypeA, 1)
	manyOptions := func(n int) []byte {
		var options [][]byte
		for i := range n {
			options = append(options, option(uint16(65001+i%500)))
		}
		return withOPT(opt(1232, options...))
	}
	tests := []struct {
		id     string // row of the reliability table, or RFC and section
		packet []byte
		fate   wire.Fate
		rcode  wire.RCode
	}{
		{"well formed (RFC 1035 4.1)", plain, wire.ToAnswer, wire.NoError},
		{"H01 response", slices.Concat(header(flagQR, 1), question1), wire.ToDrop, 0},
		{"H02 nothing", nil, wire.ToDrop, 0},
		{"H02 1 octet", plain[:1], wire.ToDrop, 0},
		{"H02 11 octets", plain[:11], wire.ToDrop, 0},
		{"H03 QDCOUNT 0", header(0), wire.ToReject, wire.FormErr},
		{"H03 QDCOUNT 0 with an OPT", slices.Concat(header(0, 0, 0, 0, 1), opt(1232)), wire.ToReject, wire.FormErr},
		{"C05 QDCOUNT 0 with a client cookie (RFC 7873 5.4)", slices.Concat(header(0, 0, 0, 0, 1), opt(1232, cookie(8))), wire.ToReject, wire.NoError},
		{"C05 QDCOUNT 0 with a whole cookie", slices.Concat(header(0, 0, 0, 0, 1), opt(1232, cookie(24))), wire.ToReject, wire.NoError},
		{"C05 QDCOUNT 0 with half a cookie", slices.Concat(header(0, 0, 0, 0, 1), opt(1232, cookie(7))), wire.ToReject, wire.FormErr},
		{"C05 QDCOUNT 0, version 1", slices.Concat(header(0, 0, 0, 0, 1), record([]byte{0}, 41, 1232, 1<<16, cookie(8)...)), wire.ToReject, wire.BadVers},
		{"C05 QDCOUNT 0 and garbage", slices.Concat(header(0, 0, 0, 0, 1), opt(1232, cookie(8)), []byte{0}), wire.ToReject, wire.FormErr},
		{"C05 QDCOUNT 0, NSID only", slices.Concat(header(0, 0, 0, 0, 1), opt(1232, option(3))), wire.ToReject, wire.FormErr},
		{"C05 QDCOUNT 0, another record only", slices.Concat(header(0, 0, 0, 0, 1), record(name("k"), 250, 255, 0)), wire.ToReject, wire.FormErr},
		{"H04 QDCOUNT 2", slices.Concat(header(0, 2), question1, question1), wire.ToReject, wire.FormErr},
		{"H05 opcode 1, header only", header(opcode(1)), wire.ToReject, wire.NotImp},
		{"H05 opcode 15, header only", header(opcode(15)), wire.ToReject, wire.NotImp},
		{"H05 response with opcode 4", header(flagQR | opcode(4)), wire.ToDrop, 0},
		{"H06 opcode 2 with a question", slices.Concat(header(opcode(2), 1), question1), wire.ToReject, wire.NotImp},
		{"H07 NOTIFY", slices.Concat(header(opcode(4), 1), question("example.com", wire.TypeSOA, 1)), wire.ToReject, wire.NotImp},
		{"H08 UPDATE", slices.Concat(header(opcode(5), 1), question("example.com", wire.TypeSOA, 1)), wire.ToReject, wire.NotImp},
		{"T08 DSO", header(opcode(6)), wire.ToReject, wire.NotImp},
		{"H09 every flag", slices.Concat(header(flagAA|flagTC|flagRD|flagRA|flagZ|flagAD|flagCD|15, 1), question1), wire.ToAnswer, 0},
		{"H13 garbage behind the question", append(slices.Clone(plain), 0), wire.ToReject, wire.FormErr},
		{"H13 garbage behind the OPT", append(withOPT(opt(512)), 1, 2, 3), wire.ToReject, wire.FormErr},
		{"H14 no question", header(0, 1), wire.ToReject, wire.FormErr},
		{"H14 inside a label", plain[:15], wire.ToReject, wire.FormErr},
		{"H14 no root label", plain[:len(plain)-5], wire.ToReject, wire.FormErr},
		{"H15 no type", plain[:len(plain)-4], wire.ToReject, wire.FormErr},
		{"H15 no class", plain[:len(plain)-2], wire.ToReject, wire.FormErr},
		{"H15 half a class", plain[:len(plain)-1], wire.ToReject, wire.FormErr},
		{"H16 pointer to itself", slices.Concat(header(0, 1), []byte{0xc0, 12, 0, 1, 0, 1}), wire.ToReject, wire.FormErr},
		{"H17 forward pointer", slices.Concat(header(0, 1), []byte{0xc0, 18, 0, 1, 0, 1, 0}), wire.ToReject, wire.FormErr},
		{"H18 pointer into the header", slices.Concat(header(0, 1), []byte{0xc0, 4, 0, 1, 0, 1}), wire.ToReject, wire.FormErr},
		{"H19 label type 0x40", slices.Concat(header(0, 1), []byte{0x41, 'a', 0, 0, 1, 0, 1}), wire.ToReject, wire.FormErr},
		{"H20 label type 0x80", slices.Concat(header(0, 1), []byte{0x81, 'a', 0, 0, 1, 0, 1}), wire.ToReject, wire.FormErr},
		{"H21 name of 257 octets", query("a."+longName(), wire.TypeA), wire.ToReject, wire.FormErr},
		{"H21 name of 256 octets", query(longName()+"b", wire.TypeA), wire.ToReject, wire.FormErr},
		{"A20 name of 255 octets", query(longName(), wire.TypeA), wire.ToAnswer, 0},
		{"H22 ANCOUNT without the record", slices.Concat(header(0, 1, 1), question1), wire.ToReject, wire.FormErr},
		{"H23 ARCOUNT without the record", slices.Concat(header(0, 1, 0, 0, 1), question1), wire.ToReject, wire.FormErr},
		{"H24 ARCOUNT 65535", slices.Concat(header(0, 1, 0, 0, 65535), question1), wire.ToReject, wire.FormErr},
		{"H24 all counts 65535", slices.Concat(header(0, 1, 65535, 65535, 65535), question1), wire.ToReject, wire.FormErr},
		{"records of other sections (RFC 1995 3)", slices.Concat(header(0, 1, 0, 1), question1, record([]byte{0xc0, 12}, 6, 1, 0)), wire.ToAnswer, 0},
		{"record owned by a name", slices.Concat(header(0, 1, 0, 0, 1), question1, record(name("tsig.key"), 250, 255, 0, 1, 2)), wire.ToAnswer, 0},
		{"record owned by half a pointer", slices.Concat(header(0, 1, 0, 0, 1), question1, []byte{0xc0}), wire.ToReject, wire.FormErr},
		{"record owned by label type 0x80", slices.Concat(header(0, 1, 0, 0, 1), question1, record([]byte{0x80}, 1, 1, 0)), wire.ToReject, wire.FormErr},
		{"record owned by 256 octets", slices.Concat(header(0, 1, 0, 0, 1), question1, record(name(longName()+"b"), 1, 1, 0)), wire.ToReject, wire.FormErr},
		{"record owned by 255 octets", slices.Concat(header(0, 1, 0, 0, 1), question1, record(name(longName()), 1, 1, 0)), wire.ToAnswer, 0},
		{"record owner behind the packet", slices.Concat(header(0, 1, 0, 0, 1), question1, []byte{5, 'a'}), wire.ToReject, wire.FormErr},
		{"Q04 class CH", slices.Concat(header(0, 1), question("version.bind", 16, 3)), wire.ToAnswer, 0},
		{"Q09 type 65535", query("www.example.com", 65535), wire.ToAnswer, 0},
		{"A19 any octets in labels", slices.Concat(header(0, 1), []byte{3, 0, 255, '.', 0, 0, 1, 0, 1}), wire.ToAnswer, 0},
		{"E03 version 1", withOPT(record([]byte{0}, 41, 1232, 1<<16)), wire.ToReject, wire.BadVers},
		{"E03 version 255", withOPT(record([]byte{0}, 41, 1232, 255<<16)), wire.ToReject, wire.BadVers},
		{"E04 version 1 with an option", withOPT(record([]byte{0}, 41, 1232, 1<<16, option(65001, 1)...)), wire.ToReject, wire.BadVers},
		{"E03 version 1 with options of unknown form", withOPT(record([]byte{0}, 41, 1232, 1<<16, 1, 2, 3)), wire.ToReject, wire.BadVers},
		{"E05 unknown option", withOPT(opt(1232, option(65001, 1, 2))), wire.ToAnswer, 0},
		{"E06 unknown flags", withOPT(record([]byte{0}, 41, 1232, 0x7fff)), wire.ToAnswer, 0},
		{"E12 two OPT records", withOPT(opt(1232), opt(1232)), wire.ToReject, wire.FormErr},
		{"E13 OPT not owned by the root", withOPT(record(name("a"), 41, 1232, 0)), wire.ToReject, wire.FormErr},
		{"E14 option beyond RDLEN", withOPT(opt(1232, []byte{0, 10, 0, 9, 1, 2})), wire.ToReject, wire.FormErr},
		{"E14 half an option header", withOPT(opt(1232, []byte{0, 10, 0})), wire.ToReject, wire.FormErr},
		{"E15 RDLEN beyond the packet", withOPT(opt(1232, option(10, 1, 2, 3)))[:len(plain)+12], wire.ToReject, wire.FormErr},
		{"E15 no RDLEN", withOPT(opt(1232))[:len(plain)+10], wire.ToReject, wire.FormErr},
		{"E16 OPT in the answer section", slices.Concat(header(0, 1, 1), question1, opt(1232)), wire.ToReject, wire.FormErr},
		{"E16 OPT in the authority section", slices.Concat(header(0, 1, 0, 1), question1, opt(1232)), wire.ToReject, wire.FormErr},
		{"E22 NSID, ECS 0/0, EXPIRE, COOKIE", withOPT(opt(1232, option(3), subnet(1, 0, 0), option(9), option(10, 1, 2, 3, 4, 5, 6, 7, 8))), wire.ToAnswer, 0},
		{"E23 1 option", manyOptions(1), wire.ToAnswer, 0},
		{"E23 290 options", manyOptions(290), wire.ToAnswer, 0},
		{"S01 IPv4 /24", withOPT(opt(1232, subnet(1, 24, 0, 192, 0, 2))), wire.ToAnswer, 0},
		{"S02 IPv6 /56", withOPT(opt(1232, subnet(2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 1))), wire.ToAnswer, 0},
		{"S03 source 0", withOPT(opt(1232, subnet(1, 0, 0))), wire.ToAnswer, 0},
		{"S03 source 0, IPv6", withOPT(opt(1232, subnet(2, 0, 0))), wire.ToAnswer, 0},
		{"S03 family 0 with nothing (RFC 7871 7.1.2)", withOPT(opt(1232, subnet(0, 0, 0))), wire.ToAnswer, 0},
		{"S05 scope not 0 (RFC 7871 7.1.2)", withOPT(opt(1232, subnet(1, 24, 24, 192, 0, 2))), wire.ToReject, wire.FormErr},
		{"S06 family 3", withOPT(opt(1232, subnet(3, 24, 0, 192, 0, 2))), wire.ToReject, wire.FormErr},
		{"S06 family 256", withOPT(opt(1232, subnet(256, 0, 0))), wire.ToReject, wire.FormErr},
		{"S06 family 0 with an address", withOPT(opt(1232, subnet(0, 8, 0, 10))), wire.ToReject, wire.FormErr},
		{"S07 source over 32", withOPT(opt(1232, subnet(1, 33, 0, 1, 2, 3, 4, 0))), wire.ToReject, wire.FormErr},
		{"S08 source over 128", withOPT(opt(1232, subnet(2, 129, 0, make([]byte, 17)...))), wire.ToReject, wire.FormErr},
		{"S09 address too short", withOPT(opt(1232, subnet(1, 24, 0, 192, 0))), wire.ToReject, wire.FormErr},
		{"S10 address too long", withOPT(opt(1232, subnet(1, 24, 0, 192, 0, 2, 0))), wire.ToReject, wire.FormErr},
		{"S11 bits behind the prefix", withOPT(opt(1232, subnet(1, 20, 0, 192, 0, 0x08))), wire.ToReject, wire.FormErr},
		{"S11 last bit of the prefix", withOPT(opt(1232, subnet(1, 20, 0, 192, 0, 0x10))), wire.ToAnswer, 0},
		{"S11 bits behind a prefix of 1", withOPT(opt(1232, subnet(1, 1, 0, 0xc0))), wire.ToReject, wire.FormErr},
		{"S12 option of 3 octets", withOPT(opt(1232, option(8, 0, 1, 0))), wire.ToReject, wire.FormErr},
		{"S13 empty option", withOPT(opt(1232, option(8))), wire.ToReject, wire.FormErr},
		{"E04 version 1 with half a cookie", withOPT(record([]byte{0}, 41, 1232, 1<<16, cookie(3)...)), wire.ToReject, wire.BadVers},
		{"E05 option of code 65535", withOPT(opt(1232, option(65535))), wire.ToAnswer, 0},
		{"E06 the CO flag (RFC 9824 5)", withOPT(record([]byte{0}, 41, 1232, 0x4000)), wire.ToAnswer, 0},
		{"E17 NSID", withOPT(opt(1232, option(3))), wire.ToAnswer, 0},
		{"E17 NSID with data (RFC 5001 2.1: ignored)", withOPT(opt(1232, option(3, 1, 2))), wire.ToAnswer, 0},
		{"E18 keepalive", withOPT(opt(1232, option(11))), wire.ToAnswer, 0},
		{"E18 keepalive with a time (RFC 7828 3.2.1)", withOPT(opt(1232, option(11, 0, 9))), wire.ToAnswer, 0},
		{"E21 padding", withOPT(opt(1232, option(12, make([]byte, 100)...))), wire.ToAnswer, 0},
		{"C03 two cookies, the first counts (RFC 7873 5.2)", withOPT(opt(1232, cookie(8), cookie(24))), wire.ToAnswer, 0},
		{"C04 a second cookie of illegal length", withOPT(opt(1232, cookie(8), cookie(9))), wire.ToReject, wire.FormErr},
		{"TSIG of class IN (RFC 8945 4.2)", withOPT(record(name("key"), 250, 1, 0, 1)), wire.ToReject, wire.FormErr},
		{"TSIG before the OPT (RFC 8945 5.1)", withOPT(record(name("key"), 250, 255, 0, 1), opt(1232)), wire.ToReject, wire.FormErr},
		{"TSIG behind the OPT", withOPT(opt(1232), record(name("key"), 250, 255, 0, 1)), wire.ToAnswer, 0},
		{"two TSIG (RFC 8945 5.1)", withOPT(record(name("key"), 250, 255, 0), record(name("key"), 250, 255, 0)), wire.ToReject, wire.FormErr},
		{"TSIG in the authority section (RFC 8945 5.1)", slices.Concat(header(0, 1, 0, 1), question1, record(name("key"), 250, 255, 0)), wire.ToReject, wire.FormErr},
		{"S14 two options, the first counts", withOPT(opt(1232, subnet(1, 24, 0, 192, 0, 2), subnet(9, 1, 1))), wire.ToAnswer, 0},
	}
	for n := range 50 { // RFC 7873 sections 4 and 5.2.2
		test := tests[0]
		test.id, test.packet = fmt.Sprintf("C04 cookie of %d octets", n), withOPT(opt(1232, cookie(n)))
		if n != 8 && (n < 16 || n > 40) {
			test.fate, test.rcode = wire.ToReject, wire.FormErr
		}
		tests = append(tests, test)
	}
	for n := range uint16(16) {
		if n > 0 {
			test := tests[0]
			test.id, test.packet, test.fate, test.rcode = fmt.Sprintf("H05, H06 opcode %d", n), header(opcode(n)), wire.ToReject, wire.NotImp
			tests = append(tests, test)
			test.packet = slices.Concat(header(opcode(n)|flagRD, 1, 0, 0, 1), question1, opt(1232, cookie(8)))
			tests = append(tests, test)
		}
	}
	var q wire.Query
	for _, test := range tests {
		fate, rcode := q.Decode(test.packet)
		if fate != test.fate || rcode != test.rcode {
			t.Errorf("%s: Decode gives fate %d, rcode %d, want %d, %d", test.id, fate, rcode, test.fate, test.rcode)
		}
	}
}

func TestDecodeFields(t *testing.T) {
	var q wire.Query
	q.Decode(query("previous.example", wire.TypeA, opt(4096, subnet(1, 24, 0, 192, 0, 2))))
	if fate, _ := q.Decode(query("WwW.eXample.COM", wire.TypeAAAA)); fate != wire.ToAnswer {
		t.Fatalf("fate %d", fate)
	}
	if got, want := string(q.Name()), string(name("www.example.com")); got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	if q.Labels != 3 || q.Type != wire.TypeAAAA || q.Class != wire.ClassIN {
		t.Errorf("labels %d, type %d, class %d, want 3, 28, 1", q.Labels, q.Type, q.Class)
	}
	if q.HasEDNS || q.DO || q.HasSubnet || q.SourcePrefix != 0 {
		t.Errorf("the query before left EDNS %v, DO %v, subnet %v/%d", q.HasEDNS, q.DO, q.HasSubnet, q.SourcePrefix)
	}
	q.Decode(query(".", wire.TypeNS, record([]byte{0}, 41, 1400, 0x8000, subnet(2, 17, 0, 0x20, 1, 0x80)...)))
	if q.Labels != 0 || string(q.Name()) != "\x00" || !q.HasEDNS || !q.DO || !q.HasSubnet || q.SourcePrefix != 17 {
		t.Errorf("root: labels %d, name %q, EDNS %v, DO %v, subnet %v/%d", q.Labels, q.Name(), q.HasEDNS, q.DO, q.HasSubnet, q.SourcePrefix)
	}
	// Only letters are folded (RFC 4343 section 3), and no length octet is taken for one.
	label := "@AZ[`az{\xc1"
	q.Decode(slices.Concat(header(0, 1), []byte{byte(len(label))}, []byte(label), []byte{0, 0, 1, 0, 1}))
	if got, want := string(q.Name()), "\x09@az[`az{\xc1\x00"; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	q.Decode(query(longName(), wire.TypeA))
	if len(q.Name()) != wire.MaxName || q.Labels != 4 {
		t.Errorf("the longest name has %d octets, %d labels", len(q.Name()), q.Labels)
	}
	if q.Decode(header(0)); len(q.Name()) != 0 || q.Type != 0 {
		t.Errorf("without a question: name %q, type %d", q.Name(), q.Type)
	}
}

// What options say is there, also behind each other, and gone with the next query.
func TestDecodeOptions(t *testing.T) {
	type said struct {
		cookie                         string
		nsid, keepalive, padding, tsig bool
	}
	tests := []struct {
		id      string
		records [][]byte
		want    said
	}{
		{"no EDNS", nil, said{}},
		{"E17 NSID", [][]byte{opt(1232, option(3))}, said{nsid: true}},
		{"E19 keepalive", [][]byte{opt(1232, option(11))}, said{keepalive: true}},
		{"E19 keepalive with a time (RFC 7828 3.2.1)", [][]byte{opt(1232, option(11, 0, 9))}, said{}},
		{"E21 padding", [][]byte{opt(1232, option(12, 0, 0))}, said{padding: true}},
		{"C01 client cookie", [][]byte{opt(1232, option(10, []byte("clientCk")...))}, said{cookie: "clientCk"}},
		{"C03 the first of two cookies (RFC 7873 5.2)", [][]byte{opt(1232, option(10, []byte("clientCk")...), option(10, []byte("clientCKserver16servers!")...))}, said{cookie: "clientCk"}},
		{"signed (RFC 8945 5.1)", [][]byte{opt(1232), record(name("k"), 250, 255, 0)}, said{tsig: true}},
		{"signed without EDNS", [][]byte{record(name("k"), 250, 255, 0)}, said{tsig: true}},
		{"E22 all at once", [][]byte{opt(1232, option(3), subnet(1, 0, 0), option(9), option(10, []byte("clientCk")...), option(11), option(12)), record(name("k"), 250, 255, 0)},
			said{"clientCk", true, true, true, true}},
		{"and none again", nil, said{}},
		{"the fields of a FORMERR", [][]byte{opt(1232, option(3), option(10, 1))}, said{nsid: true}},
		{"and none again", [][]byte{opt(1232)}, said{}},
	}
	var q wire.Query
	for _, test := range tests {
		q.Decode(query("a.b", wire.TypeA, test.records...))
		if got := (said{string(q.Cookie), q.HasNSID, q.HasKeepalive, q.HasPadding, q.HasTSIG}); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.id, got, test.want)
		}
		if q.Reply.NSID != nil {
			t.Errorf("%s: the options of the reply before are there", test.id)
		}
		if q.HasOptions != (q.Cookie != nil || q.HasNSID || q.HasKeepalive || q.HasPadding) {
			t.Errorf("%s: options: %v", test.id, q.HasOptions)
		}
		if q.HasOptions {
			q.Reply.NSID = []byte("left over")
		} else if q.HasEDNS {
			q.Reply = wire.ReplyOptions{NSID: []byte("left over"), Error: &wire.ExtendedError{}}
		}
	}
}

func TestClient(t *testing.T) {
	source := netip.MustParseAddr("198.51.100.7")
	tests := []struct {
		name    string
		records [][]byte
		want    string
	}{
		{"no EDNS", nil, "198.51.100.7"},
		{"no option", [][]byte{opt(1232)}, "198.51.100.7"},
		{"S03 source 0 (RFC 7871 7.2.1)", [][]byte{opt(1232, subnet(1, 0, 0))}, "198.51.100.7"},
		{"IPv4", [][]byte{opt(1232, subnet(1, 24, 0, 192, 0, 2))}, "192.0.2.0"},
		{"IPv4 host", [][]byte{opt(1232, subnet(1, 32, 0, 192, 0, 2, 9))}, "192.0.2.9"},
		{"S19 IPv6 over IPv4", [][]byte{opt(1232, subnet(2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x80))}, "2001:db8:8000::"},
		{"S14 the first of two", [][]byte{opt(1232, subnet(1, 8, 0, 10), subnet(1, 8, 0, 11))}, "10.0.0.0"},
		// The private networks of offices are custom lines: they say where a client is, which its resolver's address does not.
		{"P6 private (RFC 1918)", [][]byte{opt(1232, subnet(1, 16, 0, 10, 7))}, "10.7.0.0"},
		{"P6 private (RFC 4193)", [][]byte{opt(1232, subnet(2, 8, 0, 0xfd))}, "fd00::"},
		{"P6 loopback", [][]byte{opt(1232, subnet(1, 8, 0, 127))}, "127.0.0.0"},
	}
	for _, test := range tests {
		var q wire.Query
		if fate, _ := q.Decode(query("a.b", wire.TypeA, test.records...)); fate != wire.ToAnswer {
			t.Fatalf("%s: fate %d", test.name, fate)
		}
		if got := q.Client(source); got.String() != test.want {
			t.Errorf("%s: client %v, want %s", test.name, got, test.want)
		}
	}
}

func TestLimit(t *testing.T) {
	tests := []struct {
		id      string
		records [][]byte
		most    int
		want    int
	}{
		{"no EDNS (RFC 1035 4.2.1)", nil, 1232, 512},
		{"E08 size 0", [][]byte{opt(0)}, 1232, 512},
		{"E08 size 100", [][]byte{opt(100)}, 1232, 512},
		{"E09 size 700", [][]byte{opt(700)}, 1232, 700},
		{"E11 size 4096", [][]byte{opt(4096)}, 1232, 1232},
		{"size 65535", [][]byte{opt(65535)}, 4096, 4096},
	}
	for _, test := range tests {
		var q wire.Query
		q.Decode(query("a.b", wire.TypeA, test.records...))
		if got := q.Limit(test.most); got != test.want {
			t.Errorf("%s: limit %d, want %d", test.id, got, test.want)
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	packets := [][]byte{
		query("www.example.com", wire.TypeA),
		query(strings.Repeat("a.", 127), wire.TypeA),
		query("www.example.com", wire.TypeA, opt(1232, subnet(1, 24, 0, 192, 0, 2))),
		query("www.example.com", wire.TypeA, opt(1232), opt(1232)),
		query("www.example.com", wire.TypeA, opt(1232, cookie(24), option(3), option(11), option(12))),
		header(opcode(4)),
	}
	extended := &wire.ExtendedError{Code: 20, Text: "a text"}
	var q wire.Query
	reply := make([]byte, 0, 1232)
	answer := &wire.Answer{Body: bytes.Repeat([]byte{7}, 100)}
	if n := testing.AllocsPerRun(100, func() {
		for _, packet := range packets {
			fate, rcode := q.Decode(packet)
			if q.HasEDNS {
				q.Reply = wire.ReplyOptions{Cookie: q.Cookie, NSID: packet[:9], HasKeepalive: true, Error: extended, Block: 468}
			}
			if fate == wire.ToReject {
				q.AppendError(reply, rcode)
			} else {
				q.AppendAnswer(reply, answer, 24, q.Limit(1232))
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
