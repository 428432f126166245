package wire

import "encoding/binary"

// Payload is the EDNS payload size that the server announces for itself, in octets (RFC 9715 section 3, DNS flag day 2020).
const Payload = 1232

// Counts are the numbers of records in the answer, authority and additional sections, the OPT record not counted.
type Counts struct{ Answer, Authority, Additional uint16 }

// Answer is everything behind the question, packed once. Immutable.
type Answer struct {
	RCode RCode
	// Authoritative is the AA bit.
	Authoritative bool
	Counts        Counts
	// Body holds the records. Its compression pointers are right for a question whose name has NameLen octets.
	Body []byte
	// Pointers are the offsets in Body of the compression pointers that move with the length of the question's name: for
	// an answer that is given to longer names too, below the name it was packed for. NameLen matters only with them.
	Pointers []uint16
	NameLen  int
	// Serials are the serial numbers in Body that are put in when it is sent; see SetSerial.
	Serials Serials
	// Optional is the number of octets at the end of Body, the whole additional section, that are left out where they do not fit
	// (RFC 2181 section 9); not with Pointers.
	Optional int
}

// Begin appends the room for the header, and the question byte for byte as it was asked.
func (q *Query) Begin(dst []byte) []byte {
	dst = append(dst, q.header[:]...)
	return append(dst, q.question...)
}

// Room is the number of octets that records may take in a reply of at most limit octets, with the options of Reply that
// cannot be left out and the signature.
func (q *Query) Room(limit int) int {
	return limit - HeaderLen - len(q.question) - q.optLen() - q.Reply.Reserve
}

// Head is what End needs to know of a reply.
type Head struct {
	RCode         RCode
	Authoritative bool
	// Truncated is the TC bit: the records did not fit and were left out (RFC 2181 section 9).
	Truncated bool
	Counts    Counts
	// Scope is the prefix length, in the family of the client-subnet option, for which the reply holds. It is sent only when asked.
	Scope int
	// Limit is the most octets that the reply may have, as Room was asked: options that can be left out are, when they do not fit.
	Limit int
}

// End completes the reply that Begin started at offset start with the OPT record and the header.
func (q *Query) End(dst []byte, start int, head Head) []byte {
	if q.HasEDNS {
		dst = q.appendOPT(dst, start, head)
		head.Counts.Additional++
	}
	h := dst[start : start+HeaderLen]
	// QR, the opcode of the query, AA, TC; RA, Z, AD and CD are 0 (RFC 4035 section 3.1.6). RD is copied into the reply
	// to a standard query (RFC 1035 section 4.1.1), and means nothing for another opcode.
	h[2] = 0x80 | q.header[2]&0x78
	if h[2] == 0x80 {
		h[2] |= q.header[2] & 0x01
	}
	if head.Authoritative {
		h[2] |= 0x04
	}
	if head.Truncated {
		h[2] |= 0x02
	}
	h[3] = byte(head.RCode & 15)
	binary.BigEndian.PutUint16(h[4:], 0)
	if q.question != nil {
		h[5] = 1
	}
	binary.BigEndian.PutUint16(h[6:], head.Counts.Answer)
	binary.BigEndian.PutUint16(h[8:], head.Counts.Authority)
	binary.BigEndian.PutUint16(h[10:], head.Counts.Additional)
	return dst
}

// AppendAnswer appends the whole reply for a packed answer; one that does not fit into limit octets is truncated.
func (q *Query) AppendAnswer(dst []byte, a *Answer, scope, limit int) []byte {
	start := len(dst)
	dst = q.Begin(dst)
	head := Head{RCode: a.RCode, Authoritative: a.Authoritative, Scope: scope, Limit: limit}
	records, counts := a.Body, a.Counts
	if room := q.Room(limit); len(records) > room {
		records, counts.Additional = records[:len(records)-a.Optional], 0
		head.Truncated = a.Optional == 0 || len(records) > room
	}
	if !head.Truncated {
		head.Counts = counts
		dst = append(dst, records...)
		body := dst[start+HeaderLen+len(q.question):]
		for _, at := range a.Pointers {
			binary.BigEndian.PutUint16(body[at:], binary.BigEndian.Uint16(body[at:])+uint16(q.nameLen-a.NameLen))
		}
	}
	return q.End(dst, start, head)
}

// AppendError appends a reply without records. It is no longer than the query and an OPT record, and never longer than
// MinPayload.
func (q *Query) AppendError(dst []byte, rcode RCode) []byte {
	start := len(dst)
	return q.End(q.Begin(dst), start, Head{RCode: rcode, Limit: MinPayload})
}

// AppendTruncated appends a reply that has no records and says that there is more over TCP.
func (q *Query) AppendTruncated(dst []byte) []byte {
	start := len(dst)
	return q.End(q.Begin(dst), start, Head{Truncated: true, Limit: MinPayload})
}
