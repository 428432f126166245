package wire

import "encoding/binary"

// The codes of options (IANA registry "DNS EDNS0 Option Codes").
const (
	optionNSID      = 3  // RFC 5001 section 3.1
	optionSubnet    = 8  // RFC 7871 section 6
	optionCookie    = 10 // RFC 7873 section 4
	optionKeepalive = 11 // RFC 7828 section 3.1
	optionPadding   = 12 // RFC 7830 section 3
	optionError     = 15 // RFC 8914 section 2
)

// The lengths of RFC 7873 section 4, in octets: a client cookie stands alone, or a server cookie of 8 to 32 follows it.
const (
	ClientCookieLen = 8
	minCookie       = ClientCookieLen + 8
	maxCookie       = ClientCookieLen + 32
)

// MaxOPT is the largest OPT record of a reply when all that can be left out is, in octets: a client subnet of 16 octets, a
// cookie of 24 and the time of a connection.
const MaxOPT = 11 + (4 + 20) + (4 + 24) + 6

// ReplyOptions are the options of a reply beside the client subnet. The zero value is none. Slices are read until the
// reply is complete.
type ReplyOptions struct {
	// Cookie is the data of the COOKIE option; nil: none. It has at most 24 octets, as RFC 9018 has it.
	Cookie []byte
	// NSID is the name of the server (RFC 5001); nil: none. It is left out where the records need its room.
	NSID []byte
	// HasKeepalive sends Keepalive, how long the connection may idle, in units of 100 ms (RFC 7828 section 3.1).
	HasKeepalive bool
	Keepalive    uint16
	// Error is the extended error; nil: none. Where the records need its room the text is left out, then all of it.
	Error *ExtendedError
	// Block pads the reply to a multiple of so many octets (RFC 8467 section 4.1); 0: no padding. For streams only: the
	// padding is not counted by Room.
	Block int
	// Reserve is the number of octets that a signature behind the reply takes of its limit; only for a query with HasTSIG.
	Reserve int
}

// ExtendedError says more of a reply than its response code (RFC 8914). Immutable.
type ExtendedError struct {
	// Code is the INFO-CODE of the IANA registry.
	Code uint16
	// Text is for people, and may be empty.
	Text string
}

// decodeOptions reads the options of an OPT record; unknown ones are ignored (RFC 6891 section 6.1.2). Of several
// client-subnet options or cookies the first counts (RFC 7873 section 5.2). It reports whether all are well formed.
func (q *Query) decodeOptions(data []byte) bool {
	for len(data) > 0 {
		if len(data) < 4 {
			return false
		}
		code, length := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if 4+length > len(data) {
			return false
		}
		value := data[4 : 4+length : 4+length]
		data = data[4+length:]
		switch code {
		case optionSubnet:
			if !q.HasSubnet && !q.decodeSubnet(value) {
				return false
			}
			continue
		case optionCookie:
			if length != ClientCookieLen && (length < minCookie || length > maxCookie) {
				return false // RFC 7873 section 5.2.2
			}
			if q.Cookie == nil {
				q.Cookie = value
			}
		case optionNSID:
			q.HasNSID = true
		case optionKeepalive:
			if length > 0 {
				continue // RFC 7828 section 3.2.1: a client sends it empty; one with a time means nothing
			}
			q.HasKeepalive = true
		case optionPadding:
			q.HasPadding = true
		default:
			continue
		}
		q.HasOptions = true
	}
	return true
}

// decodeSubnet checks a client-subnet option of a query as RFC 7871 section 7.1.2 and 6 demand: a known family (0 only
// with nothing in it), a source prefix that the family has, scope 0, just the octets that the prefix needs, and no bit
// set behind it.
func (q *Query) decodeSubnet(data []byte) bool {
	if len(data) < 4 {
		return false
	}
	family, source, scope := binary.BigEndian.Uint16(data), data[2], data[3]
	address := data[4:]
	longest := byte(0)
	switch family {
	case 0:
	case 1:
		longest = 32
	case 2:
		longest = 128
	default:
		return false
	}
	if source > longest || scope != 0 || len(address) != (int(source)+7)/8 {
		return false
	}
	if stray := source % 8; stray != 0 && address[len(address)-1]<<stray != 0 {
		return false
	}
	q.address = [16]byte{}
	copy(q.address[:], address)
	q.HasSubnet, q.SourcePrefix, q.family, q.subnet = true, source, family, data
	return true
}

// optLen is the size of the OPT record of the reply with what cannot be left out: the client subnet, the cookie and the
// time of the connection.
func (q *Query) optLen() int {
	if !q.HasEDNS {
		return 0
	}
	n := 11
	if q.HasSubnet {
		n += 4 + len(q.subnet)
	}
	if q.HasOptions {
		if q.Reply.Cookie != nil {
			n += 4 + len(q.Reply.Cookie)
		}
		if q.Reply.HasKeepalive {
			n += 6
		}
	}
	return n
}

// appendOPT adds the OPT record of the reply that began at start and has at most limit octets: version 0, DO copied (RFC
// 3225), other flags 0, the client-subnet option of the query with the scope filled in, and the options of Reply.
func (q *Query) appendOPT(dst []byte, start int, head Head) []byte {
	flags := byte(0)
	if q.DO {
		flags = 0x80
	}
	length := 0
	if q.HasSubnet {
		length = 4 + len(q.subnet)
	}
	dst = append(dst, 0, 0, TypeOPT, byte(Payload>>8), byte(Payload&0xff), byte(head.RCode>>4), 0, flags, 0, 0, byte(length))
	options := len(dst)
	if q.HasSubnet {
		dst = appendOption(dst, optionSubnet, q.subnet)
		dst[options+4+3] = byte(head.Scope)
	}
	if !q.HasOptions && q.Reply.Error == nil {
		return dst
	}
	reply := &q.Reply
	if reply.Cookie != nil {
		dst = appendOption(dst, optionCookie, reply.Cookie)
	}
	if reply.HasKeepalive {
		dst = append(dst, 0, optionKeepalive, 0, 2, byte(reply.Keepalive>>8), byte(reply.Keepalive))
	}
	if reply.NSID != nil || reply.Error != nil || reply.Block > 0 {
		dst = q.appendOptional(dst, start, head.Limit)
	}
	binary.BigEndian.PutUint16(dst[options-2:], uint16(len(dst)-options))
	return dst
}

// appendOptional adds the options for which there is room.
func (q *Query) appendOptional(dst []byte, start, limit int) []byte {
	reply := &q.Reply
	fits := func(n int) bool { return len(dst)-start+4+n+reply.Reserve <= limit }
	if e := reply.Error; e != nil && fits(2) {
		text := e.Text
		if !fits(2 + len(text)) {
			text = ""
		}
		dst = binary.BigEndian.AppendUint16(dst, optionError)
		dst = binary.BigEndian.AppendUint16(dst, uint16(2+len(text)))
		dst = binary.BigEndian.AppendUint16(dst, e.Code)
		dst = append(dst, text...)
	}
	if reply.NSID != nil && fits(len(reply.NSID)) {
		dst = appendOption(dst, optionNSID, reply.NSID)
	}
	// Padding comes last, when the size of all else is known; the largest message ends between two blocks.
	if reply.Block > 0 && fits(0) {
		length := len(dst) - start + 4 + reply.Reserve
		padded := min((length+reply.Block-1)/reply.Block*reply.Block, limit)
		dst = binary.BigEndian.AppendUint16(dst, optionPadding)
		dst = binary.BigEndian.AppendUint16(dst, uint16(padded-length))
		for range padded - length {
			dst = append(dst, 0)
		}
	}
	return dst
}

func appendOption(dst []byte, code uint16, data []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, code)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	return append(dst, data...)
}
