package wire

import "encoding/binary"

// TSIG is the record that signs a message (RFC 8945 section 4.2). Names are in wire form, in lower case.
type TSIG struct {
	Key, Algorithm []byte
	// Time is when the message was signed, in seconds since 1970; Fudge how far from that it may be received, in seconds.
	Time       uint64
	Fudge      uint16
	MAC        []byte
	OriginalID uint16
	Error      uint16
	Other      []byte
	// Offset is where the record begins in the message.
	Offset int
}

// SignatureOf reads the TSIG record of a message: nil when it has none. ok is false for a message that cannot be read, whose
// record is malformed, or where it is not the last one of the additional section (RFC 8945 section 5.1).
func SignatureOf(packet []byte) (t *TSIG, ok bool) {
	if len(packet) < HeaderLen {
		return nil, false
	}
	offset := HeaderLen
	for range binary.BigEndian.Uint16(packet[4:]) {
		if offset = skipName(packet, offset); offset < 0 || offset+4 > len(packet) {
			return nil, false
		}
		offset += 4
	}
	additional := int(binary.BigEndian.Uint16(packet[10:]))
	others := int(binary.BigEndian.Uint16(packet[6:])) + int(binary.BigEndian.Uint16(packet[8:]))
	for i := range others + additional {
		start := offset
		if offset = skipName(packet, offset); offset < 0 || offset+10 > len(packet) {
			return nil, false
		}
		fixed := packet[offset : offset+10]
		end := offset + 10 + int(binary.BigEndian.Uint16(fixed[8:]))
		if end > len(packet) {
			return nil, false
		}
		if binary.BigEndian.Uint16(fixed) == TypeTSIG {
			if i < others || i != others+additional-1 || end != len(packet) {
				return nil, false
			}
			return decodeTSIG(packet, start, offset, end)
		}
		offset = end
	}
	return nil, true
}

// decodeTSIG reads the record whose name begins at start, whose type is at fixed, and which ends at end.
func decodeTSIG(packet []byte, start, fixed, end int) (*TSIG, bool) {
	if binary.BigEndian.Uint16(packet[fixed+2:]) != ClassANY || binary.BigEndian.Uint32(packet[fixed+4:]) != 0 {
		return nil, false
	}
	t := &TSIG{Key: expandName(packet, start), Offset: start}
	offset := fixed + 10
	t.Algorithm = expandName(packet[:end], offset)
	if offset = skipName(packet[:end], offset); t.Key == nil || t.Algorithm == nil || offset < 0 || offset+10 > end {
		return nil, false
	}
	data := packet[offset:end]
	t.Time = uint64(binary.BigEndian.Uint16(data))<<32 | uint64(binary.BigEndian.Uint32(data[2:]))
	t.Fudge = binary.BigEndian.Uint16(data[6:])
	size := int(binary.BigEndian.Uint16(data[8:]))
	if data = data[10:]; size+6 > len(data) {
		return nil, false
	}
	t.MAC, data = data[:size], data[size:]
	t.OriginalID, t.Error = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
	size = int(binary.BigEndian.Uint16(data[4:]))
	if t.Other = data[6:]; len(t.Other) != size {
		return nil, false
	}
	return t, true
}

// expandName is the name at an offset, without compression and in lower case; nil when there is none. Pointers lead backwards.
func expandName(packet []byte, offset int) []byte {
	var name []byte
	for limit := offset; offset < len(packet); {
		length := int(packet[offset])
		switch {
		case length&0xc0 == 0xc0:
			if offset+2 > len(packet) {
				return nil
			}
			if offset = int(binary.BigEndian.Uint16(packet[offset:]) & 0x3fff); offset >= limit {
				return nil
			}
			limit = offset
		case length > 63 || offset+1+length > len(packet) || len(name)+1+length > MaxName:
			return nil
		default:
			name = append(name, byte(length))
			for _, c := range packet[offset+1 : offset+1+length] {
				name = append(name, fold(c))
			}
			if length == 0 {
				return name
			}
			offset += 1 + length
		}
	}
	return nil
}

// Variables appends what a MAC covers of the record beside the message (RFC 8945 section 4.3.3).
func (t *TSIG) Variables(dst []byte) []byte {
	dst = append(dst, t.Key...)
	dst = append(dst, 0, ClassANY, 0, 0, 0, 0)
	dst = append(dst, t.Algorithm...)
	dst = t.Timers(dst)
	dst = binary.BigEndian.AppendUint16(dst, t.Error)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(t.Other)))
	return append(dst, t.Other...)
}

// Timers appends what a MAC covers of the record in the second and further messages of a reply (RFC 8945 section 5.3.1).
func (t *TSIG) Timers(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(t.Time>>32))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.Time))
	return binary.BigEndian.AppendUint16(dst, t.Fudge)
}

// AppendTo appends the record to the message that begins at an offset of a buffer, and counts it there.
func (t *TSIG) AppendTo(message []byte, start int) []byte {
	message = append(message, t.Key...)
	message = append(message, 0, TypeTSIG, 0, ClassANY, 0, 0, 0, 0)
	message = binary.BigEndian.AppendUint16(message, uint16(len(t.Algorithm)+16+len(t.MAC)+len(t.Other)))
	message = append(message, t.Algorithm...)
	message = t.Timers(message)
	message = binary.BigEndian.AppendUint16(message, uint16(len(t.MAC)))
	message = append(message, t.MAC...)
	message = binary.BigEndian.AppendUint16(message, t.OriginalID)
	message = binary.BigEndian.AppendUint16(message, t.Error)
	message = binary.BigEndian.AppendUint16(message, uint16(len(t.Other)))
	message = append(message, t.Other...)
	count := message[start+10 : start+12]
	binary.BigEndian.PutUint16(count, binary.BigEndian.Uint16(count)+1)
	return message
}

// Len is the number of octets that the record takes, with a MAC of so many.
func (t *TSIG) Len(mac int) int { return len(t.Key) + 10 + len(t.Algorithm) + 16 + mac + len(t.Other) }
