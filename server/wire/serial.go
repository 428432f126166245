package wire

import "encoding/binary"

// Serials are the places in the Body of an Answer where SOA records have their serial numbers, for a zone whose number moves
// while the answer stays. The zero value is none.
type Serials struct {
	// Offsets in Body of the numbers, four octets each.
	Offsets []uint16
	// Zone is whose number they are, as the maker of the answer counts its zones.
	Zone int32
}

// SetSerial puts the serial number of its zone into a reply that AppendAnswer has made of a. One that was truncated has none.
func (q *Query) SetSerial(reply []byte, a *Answer, serial uint32) {
	if reply[2]&0x02 != 0 {
		return
	}
	body := reply[HeaderLen+len(q.question):]
	for _, at := range a.Serials.Offsets {
		binary.BigEndian.PutUint32(body[at:], serial)
	}
}

// NoteSerials notes where the SOA records of the Body have their serial numbers: those of this zone.
func (a *Answer) NoteSerials(zone int32) {
	a.Serials.Zone = zone
	for at := 0; at < len(a.Body); {
		at = skipName(a.Body, at)
		if at < 0 || at+10 > len(a.Body) {
			return
		}
		qtype, end := binary.BigEndian.Uint16(a.Body[at:]), at+10+int(binary.BigEndian.Uint16(a.Body[at+8:]))
		if qtype == TypeSOA {
			a.Serials.Offsets = append(a.Serials.Offsets, uint16(end-20)) // before refresh, retry, expire and minimum
		}
		at = end
	}
}
