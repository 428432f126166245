// Package wire is the bytes of DNS messages: it decodes a query in place and appends the reply to it.
//
// A Query is decoded from a packet, again and again, without allocating. The reply is built in three steps: Begin
// copies the question, the caller appends records (or a packed Answer), End adds the OPT record and fills in the
// header. Standard library only, and no state but the Query's own.
package wire

import (
	"encoding/binary"
	"net/netip"
)

// The sizes of RFC 1035 section 2.3.4 and 4.1.1 and of RFC 6891 section 6.2.3.
const (
	HeaderLen  = 12
	MaxName    = 255
	MinPayload = 512
)

// The types and classes that the server itself knows (RFC 1035 section 3.2, RFC 3596, RFC 6672, RFC 6891, RFC 8945).
const (
	TypeA     = 1
	TypeNS    = 2
	TypeCNAME = 5
	TypeSOA   = 6
	TypeTXT   = 16
	TypeAAAA  = 28
	TypeDNAME = 39
	TypeOPT   = 41
	TypeDS    = 43
	TypeRRSIG = 46
	TypeNSEC  = 47
	TypeTSIG  = 250
	TypeIXFR  = 251
	TypeAXFR  = 252
	TypeMAILB = 253
	TypeMAILA = 254
	TypeANY   = 255
	ClassIN   = 1
	ClassCH   = 3
	ClassANY  = 255
)

// RCode is a response code, extended ones included (RFC 6895 section 2.3).
type RCode uint16

// The response codes that the server sends.
const (
	NoError  RCode = 0
	FormErr  RCode = 1
	ServFail RCode = 2
	NXDomain RCode = 3
	NotImp   RCode = 4
	Refused  RCode = 5
	YXDomain RCode = 6
	NotAuth  RCode = 9
	BadVers  RCode = 16
	// BadCookie asks for the query again, with the cookie of the reply (RFC 7873 section 8).
	BadCookie RCode = 23
)

// Fate is what Decode found a packet to deserve.
type Fate uint8

// The fates of a packet.
const (
	// ToAnswer: the query is well formed.
	ToAnswer Fate = iota
	// ToDrop: no query at all: shorter than a header, or a response (RFC 8906 section 3.1.1; two servers must never talk in a loop).
	ToDrop
	// ToReject: no answer but the RCode that Decode returns. NoError is for a packet without a question that only wants a cookie (RFC 7873 section 5.4).
	ToReject
)

// Query is one decoded query. The zero value is ready for Decode; it is reused, and not safe for concurrent use. It
// refers to the packet it was decoded from, which must stay as it was until the reply is complete.
type Query struct {
	// Type and Class of the question.
	Type, Class uint16
	// Labels is the number of labels of the name, the root not counted.
	Labels int
	// HasEDNS: an OPT record was there. DO: its DNSSEC OK bit (RFC 3225).
	HasEDNS, DO bool
	// HasSubnet: a client-subnet option was there (RFC 7871), with this source prefix length.
	HasSubnet    bool
	SourcePrefix uint8
	// Cookie is the data of the COOKIE option (RFC 7873 section 4), of a legal length; nil: there was none.
	Cookie []byte
	// HasNSID, HasKeepalive, HasPadding: these options were there (RFC 5001, RFC 7828, RFC 7830).
	HasNSID, HasKeepalive, HasPadding bool
	// HasTSIG: the query is signed; its last record is a TSIG record (RFC 8945), which is not looked into.
	HasTSIG bool
	// HasOptions: any of these four was there.
	HasOptions bool
	// Reply is what the reply is to say in options: of what was asked for, and beside that only an extended error and the room of a signature. Decode clears it.
	Reply ReplyOptions

	header   [HeaderLen]byte
	question []byte            // as received: name, type and class; nil when there was no whole question
	name     [MaxName + 1]byte // a multiple of eight
	nameLen  int
	payload  uint16
	subnet   []byte // the option's data as received
	family   uint16
	address  [16]byte
}

// Name is the question's name in wire form, in lower case, with the root label. It is valid until the next Decode.
func (q *Query) Name() []byte { return q.name[:q.nameLen] }

// Decode reads a packet. When the fate is ToReject, rcode says with what.
func (q *Query) Decode(packet []byte) (fate Fate, rcode RCode) {
	q.question, q.nameLen, q.Labels, q.Type, q.Class = nil, 0, 0, 0, 0
	if q.HasOptions || q.Reply.Error != nil || q.HasTSIG { // of the query before: only such a one leaves anything here
		q.Cookie, q.HasNSID, q.HasKeepalive, q.HasPadding, q.HasOptions, q.Reply = nil, false, false, false, false, ReplyOptions{}
	}
	q.HasEDNS, q.DO, q.HasSubnet, q.SourcePrefix, q.payload, q.HasTSIG = false, false, false, 0, 0, false
	if len(packet) < HeaderLen || packet[2]&0x80 != 0 {
		return ToDrop, 0
	}
	q.header = [HeaderLen]byte(packet)
	if packet[2]>>3&15 != 0 {
		return ToReject, NotImp
	}
	switch binary.BigEndian.Uint16(packet[4:]) {
	case 0:
		return q.decodeGreeting(packet)
	case 1:
	default:
		return ToReject, FormErr // RFC 9619: QDCOUNT of a query is at most 1
	}
	offset := q.decodeQuestion(packet)
	if offset < 0 {
		return ToReject, FormErr
	}
	if len(packet) == offset && [6]byte(packet[6:]) == [6]byte{} {
		return ToAnswer, NoError
	}
	return q.decodeRecords(packet, offset)
}

// decodeGreeting reads a packet without a question: nothing but a cookie can be had by it (RFC 7873 section 5.4).
func (q *Query) decodeGreeting(packet []byte) (Fate, RCode) {
	if fate, rcode := q.decodeRecords(packet, HeaderLen); fate != ToAnswer {
		return fate, rcode
	}
	if !q.HasEDNS || q.Cookie == nil {
		return ToReject, FormErr
	}
	return ToReject, NoError
}

// decodeQuestion reads the name, folded to lower case, type and class; it returns the offset behind them, or -1.
func (q *Query) decodeQuestion(packet []byte) int {
	offset := HeaderLen
	for {
		if offset >= len(packet) {
			return -1
		}
		length := int(packet[offset])
		if length == 0 {
			break
		}
		offset += 1 + length
		// A compression pointer cannot point backwards to a name here, so any high bit is an error.
		if length > 63 || offset-HeaderLen >= MaxName {
			return -1
		}
		q.Labels++
	}
	offset++
	if offset+4 > len(packet) {
		return -1
	}
	q.nameLen = offset - HeaderLen
	q.foldName(packet[HeaderLen:])
	q.Type = binary.BigEndian.Uint16(packet[offset:])
	q.Class = binary.BigEndian.Uint16(packet[offset+2:])
	offset += 4
	q.question = packet[HeaderLen:offset]
	return offset
}

// foldName copies the name from the beginning of packet in lower case, eight octets at a time; what it writes behind the end does not
// matter. Lengths of labels are at most 63 and so never look like a letter.
func (q *Query) foldName(packet []byte) {
	i := 0
	for ; i < q.nameLen && i+8 <= len(packet); i += 8 {
		binary.NativeEndian.PutUint64(q.name[i:], foldEight(binary.NativeEndian.Uint64(packet[i:])))
	}
	for ; i < q.nameLen; i++ {
		q.name[i] = fold(packet[i])
	}
}

// decodeRecords walks the records behind the question, whatever section they are counted in, for the OPT record and a
// signature.
func (q *Query) decodeRecords(packet []byte, offset int) (Fate, RCode) {
	others := int(binary.BigEndian.Uint16(packet[6:])) + int(binary.BigEndian.Uint16(packet[8:]))
	records := others + int(binary.BigEndian.Uint16(packet[10:]))
	version := byte(0)
	for i := range records {
		start := offset
		offset = skipName(packet, offset)
		if offset < 0 || offset+10 > len(packet) {
			return ToReject, FormErr
		}
		fixed := packet[offset : offset+10]
		offset += 10
		end := offset + int(binary.BigEndian.Uint16(fixed[8:]))
		if end > len(packet) {
			return ToReject, FormErr
		}
		if binary.BigEndian.Uint16(fixed) == TypeOPT {
			// RFC 6891 section 6.1.1: one OPT record, owned by the root, in the additional section.
			if q.HasEDNS || packet[start] != 0 || i < others {
				return ToReject, FormErr
			}
			q.HasEDNS = true
			q.payload = binary.BigEndian.Uint16(fixed[2:])
			version = fixed[5]
			q.DO = fixed[6]&0x80 != 0
			if version == 0 && !q.decodeOptions(packet[offset:end]) {
				return ToReject, FormErr
			}
		}
		if binary.BigEndian.Uint16(fixed) == TypeTSIG {
			// RFC 8945 sections 4.2 and 5.1: of class ANY, the last record of the additional section.
			if i != records-1 || i < others || binary.BigEndian.Uint16(fixed[2:]) != ClassANY {
				return ToReject, FormErr
			}
			q.HasTSIG = true
		}
		offset = end
	}
	switch {
	case offset != len(packet):
		return ToReject, FormErr
	case version != 0:
		return ToReject, BadVers
	}
	return ToAnswer, NoError
}

// skipName returns the offset behind a name that may end in a compression pointer, or -1.
func skipName(packet []byte, offset int) int {
	for octets := 0; offset < len(packet); {
		length := int(packet[offset])
		switch {
		case length == 0:
			return offset + 1
		case length&0xc0 == 0xc0:
			if offset+2 > len(packet) {
				return -1
			}
			return offset + 2
		case length > 63:
			return -1
		}
		octets += 1 + length
		if octets >= MaxName {
			return -1
		}
		offset += 1 + length
	}
	return -1
}

// Client is the address that decides what is answered: that of the client-subnet option when it was sent with a source
// prefix above 0 (RFC 7871 section 7.2.1), else the packet's source, which must be unmapped.
func (q *Query) Client(source netip.Addr) netip.Addr {
	if q.SourcePrefix == 0 {
		return source
	}
	if q.family == 1 {
		return netip.AddrFrom4([4]byte(q.address[:4]))
	}
	return netip.AddrFrom16(q.address)
}

// Limit is the largest UDP reply in octets: 512 without EDNS, else what the client offers, from 512 to most.
func (q *Query) Limit(most int) int {
	if !q.HasEDNS {
		return MinPayload
	}
	return max(MinPayload, min(int(q.payload), most))
}

// fold lowers an ASCII letter and nothing else (RFC 4343 section 3).
func fold(c byte) byte {
	if c-'A' < 26 {
		return c + 'a' - 'A'
	}
	return c
}

// foldEight is fold for each octet of a word.
func foldEight(word uint64) uint64 {
	const each = 0x0101010101010101
	const top = 0x80 * each
	low := word &^ top // so that no sum carries into the next octet
	// The top bit of an octet tells whether it is at least 'A', or above 'Z'.
	fromA, aboveZ := low+(0x80-'A')*each, low+(0x7f-'Z')*each
	capital := (fromA ^ aboveZ) &^ word & top
	return word | capital>>2 // 0x20 is what sets small letters apart
}
