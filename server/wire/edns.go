package wire

import "encoding/binary"

// optionSubnet is the code of the client-subnet option (RFC 7871 section 6).
const optionSubnet = 8

// decodeOptions reads the options of an OPT record; unknown ones are ignored (RFC 6891 section 6.1.2). Of several
// client-subnet options the first counts. It reports whether all are well formed.
func (q *Query) decodeOptions(data []byte) bool {
	for len(data) > 0 {
		if len(data) < 4 {
			return false
		}
		code, length := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if 4+length > len(data) {
			return false
		}
		if code == optionSubnet && !q.HasSubnet && !q.decodeSubnet(data[4:4+length]) {
			return false
		}
		data = data[4+length:]
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

// optLen is the size of the OPT record of the reply.
func (q *Query) optLen() int {
	switch {
	case !q.HasEDNS:
		return 0
	case q.HasSubnet:
		return 11 + 4 + len(q.subnet)
	default:
		return 11
	}
}

// appendOPT adds the OPT record of the reply: version 0, DO copied (RFC 3225), other flags 0, and the client-subnet
// option of the query with the scope filled in.
func (q *Query) appendOPT(dst []byte, rcode RCode, payload uint16, scope int) []byte {
	flags := byte(0)
	if q.DO {
		flags = 0x80
	}
	dst = append(dst, 0, 0, TypeOPT, byte(payload>>8), byte(payload), byte(rcode>>4), 0, flags, 0)
	if !q.HasSubnet {
		return append(dst, 0, 0)
	}
	n := len(q.subnet)
	dst = append(dst, 0, byte(4+n), 0, optionSubnet, 0, byte(n))
	dst = append(dst, q.subnet...)
	dst[len(dst)-n+3] = byte(scope)
	return dst
}
