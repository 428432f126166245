package wire_test

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Flags of the second word of a header (RFC 1035 section 4.1.1, RFC 4035 section 3.1.6).
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagZ  = 1 << 6
	flagAD = 1 << 5
	flagCD = 1 << 4
)

func opcode(n uint16) uint16 { return n << 11 }

// header is a header with the ID 0xabcd and the counts of the four sections.
func header(flags uint16, counts ...uint16) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0xab, 0xcd}, flags)
	for i := range 4 {
		n := uint16(0)
		if i < len(counts) {
			n = counts[i]
		}
		h = binary.BigEndian.AppendUint16(h, n)
	}
	return h
}

// name is a name without escapes in wire form.
func name(text string) []byte {
	var b []byte
	for label := range strings.SplitSeq(strings.Trim(text, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

func question(text string, qtype, class uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(name(text), qtype), class)
}

// record is a record behind an owner in wire form.
func record(owner []byte, rrtype, class uint16, ttl uint32, data ...byte) []byte {
	b := binary.BigEndian.AppendUint16(slices.Clone(owner), rrtype)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// opt is an OPT record of version 0 without flags.
func opt(payload uint16, options ...[]byte) []byte {
	return record([]byte{0}, 41, payload, 0, slices.Concat(options...)...)
}

func option(code uint16, data ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// subnet is a client-subnet option.
func subnet(family uint16, source, scope byte, address ...byte) []byte {
	return option(8, append([]byte{byte(family >> 8), byte(family), source, scope}, address...)...)
}

// query is a query with one question and the records of the additional section.
func query(text string, qtype uint16, additional ...[]byte) []byte {
	return slices.Concat(header(flagRD, 1, 0, 0, uint16(len(additional))), question(text, qtype, 1), slices.Concat(additional...))
}

// longName is a name of 255 octets in wire form, the longest that is legal.
func longName() string {
	label := strings.Repeat("a", 63)
	return strings.Join([]string{label, label, label, strings.Repeat("b", 61)}, ".")
}

// cookie is a COOKIE option of n octets.
func cookie(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i)
	}
	return option(10, data...)
}
