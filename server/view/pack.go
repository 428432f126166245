package view

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"gtmd/server/wire"
)

// message is an answer before it is packed.
type message struct {
	rcode                         wire.RCode
	answer, authority, additional []dns.RR
}

// maxBody is the number of octets that records may take, so that with any question and OPT record they fit into a
// message of 65535 octets (RFC 1035 section 4.2.2).
const maxBody = 65535 - wire.HeaderLen - (wire.MaxName + 4) - wire.MaxOPT

// maxRecords is how many records maxBody holds when they have no data: a pointer, type, class, TTL and length.
const maxRecords = maxBody / 12

// maxPointer is the largest offset that a compression pointer can hold (RFC 1035 section 4.1.4).
const maxPointer = 1<<14 - 1

// pack packs the authoritative answer of name k. That of a wildcard is given to names of any length, so only the question's
// name itself is pointed to.
func (c *compiler) pack(k string, m message) *wire.Answer {
	if a := m.packAddresses(k); a != nil {
		return c.limited(c.display[k], a)
	}
	if !strings.HasPrefix(k, "\x01*") {
		return c.packCompressed(c.display[k], m)
	}
	a := m.answerFor(k)
	for _, rr := range slices.Concat(m.answer, m.authority, m.additional) {
		packed, err := packRR(rr, k)
		if err != nil {
			c.builder.fail("pack the records of %s: %w", c.display[k], err)
		}
		a.Body = append(a.Body, packed...)
	}
	return c.limited(c.display[k], a)
}

// packCompressed packs an answer to questions for owner (RFC 1035 section 4.1.4).
func (c *compiler) packCompressed(owner string, m message) *wire.Answer {
	return c.limited(owner, c.packMessage(owner, m, true))
}

// packMessage packs an answer of any size.
func (c *compiler) packMessage(owner string, m message, compress bool) *wire.Answer {
	k := key(owner)
	a := m.answerFor(k)
	packet, err := (&dns.Msg{
		Compress: compress,
		Question: []dns.Question{{Name: owner, Qtype: dns.TypeA, Qclass: dns.ClassINET}},
		Answer:   m.answer, Ns: m.authority, Extra: m.additional,
	}).Pack()
	if err != nil {
		c.builder.fail("pack the records of %s: %w", owner, err)
		return a
	}
	a.Body = packet[wire.HeaderLen+len(k)+4:]
	return a
}

// limited refuses an answer that no message can hold.
func (c *compiler) limited(owner string, a *wire.Answer) *wire.Answer {
	if c.export >= 0 {
		a.NoteSerials(c.export)
	}
	if len(a.Body) > maxBody {
		c.builder.fail("pack the records of %s: they take %d octets, want at most %d", owner, len(a.Body), maxBody)
	}
	return a
}

// packShared packs an answer of SOA, NS and address records that is given to questions for owner and for names below
// it. One so large that a pointer could not follow its target behind a longer name has no pointers.
func (c *compiler) packShared(owner string, m message) *wire.Answer {
	a := c.packMessage(owner, m, true)
	if wire.HeaderLen+wire.MaxName+4+len(a.Body) > maxPointer {
		return c.limited(owner, c.packMessage(owner, m, false))
	}
	if c.export >= 0 {
		a.NoteSerials(c.export)
	}
	for at := 0; at < len(a.Body); {
		at = notePointer(a, at)
		qtype, data := binary.BigEndian.Uint16(a.Body[at:]), at+10
		at = data + int(binary.BigEndian.Uint16(a.Body[at+8:]))
		switch qtype {
		case dns.TypeNS:
			notePointer(a, data)
		case dns.TypeSOA:
			notePointer(a, notePointer(a, data))
		}
	}
	return a
}

// notePointer notes the compression pointer of the name at this offset of the body, if it ends in one, and returns the
// offset behind the name.
func notePointer(a *wire.Answer, at int) int {
	for a.Body[at] != 0 {
		if a.Body[at]&0xc0 != 0 {
			a.Pointers = append(a.Pointers, uint16(at))
			return at + 2
		}
		at += 1 + int(a.Body[at])
	}
	return at + 1
}

// packAddresses packs the address records that k owns; nil when the message is anything else. It is pack for what long zones
// have most.
func (m *message) packAddresses(k string) *wire.Answer {
	if m.rcode != wire.NoError || len(m.answer) == 0 || len(m.authority)+len(m.additional) > 0 {
		return nil
	}
	size := 0
	for _, rr := range m.answer {
		data := addressOf(rr)
		// An owner that is written otherwise is no name to point to.
		if data == nil || rr.Header().Name != m.answer[0].Header().Name {
			return nil
		}
		size += 12 + len(data)
	}
	if key(m.answer[0].Header().Name) != k {
		return nil
	}
	a := m.answerFor(k)
	a.Body = make([]byte, 0, size)
	for _, rr := range m.answer {
		h, data := rr.Header(), addressOf(rr)
		a.Body = append(a.Body, 0xc0, wire.HeaderLen)
		a.Body = binary.BigEndian.AppendUint16(a.Body, h.Rrtype)
		a.Body = binary.BigEndian.AppendUint16(a.Body, h.Class)
		a.Body = binary.BigEndian.AppendUint32(a.Body, h.Ttl)
		a.Body = binary.BigEndian.AppendUint16(a.Body, uint16(len(data)))
		a.Body = append(a.Body, data...)
	}
	return a
}

// addressOf is the data of an A or AAAA record; nil for any other record, and for one whose address is of another length.
func addressOf(rr dns.RR) []byte {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.To4()
	case *dns.AAAA:
		if len(rr.AAAA) == 16 {
			return rr.AAAA
		}
	}
	return nil
}

// answerFor is the answer without its records.
func (m *message) answerFor(k string) *wire.Answer {
	return &wire.Answer{
		RCode: m.rcode, Authoritative: true, NameLen: len(k),
		Counts: wire.Counts{Answer: uint16(len(m.answer)), Authority: uint16(len(m.authority)), Additional: uint16(len(m.additional))},
	}
}

// packRR packs a record uncompressed; an owner equal to the key becomes a pointer to the question's name. It goes
// through a message because dns.PackRR writes to the record, which others may be reading.
func packRR(rr dns.RR, owner string) ([]byte, error) {
	packet, err := (&dns.Msg{Answer: []dns.RR{rr}}).Pack()
	if err != nil {
		return nil, err
	}
	packed := packet[wire.HeaderLen:]
	if own := key(rr.Header().Name); own == owner {
		return append([]byte{0xc0, wire.HeaderLen}, packed[len(own):]...), nil
	}
	return packed, nil
}

// wireName is a domain name in wire form.
func wireName(name string) []byte { return appendName(nil, name) }

// appendName appends a domain name in wire form.
func appendName(dst []byte, name string) []byte {
	if packed, ok := appendPlainName(dst, name); ok {
		return packed
	}
	buffer := make([]byte, wire.MaxName+1)
	n, err := dns.PackDomainName(dns.Fqdn(name), buffer, 0, nil, false)
	if err != nil {
		return append(dst, 0)
	}
	return append(dst, buffer[:n]...)
}

// appendPlainName is appendName for a name that is fully qualified, has no escapes, and is neither too long nor has an empty
// label; any other is left to the library.
func appendPlainName(dst []byte, name string) ([]byte, bool) {
	if len(name) < 2 || len(name) >= wire.MaxName || name[len(name)-1] != '.' || strings.IndexByte(name, '\\') >= 0 {
		return dst, false
	}
	for rest, packed := name, dst; ; {
		length := strings.IndexByte(rest, '.')
		if length < 1 || length > 63 {
			return dst, false
		}
		packed = append(append(packed, byte(length)), rest[:length]...)
		if rest = rest[length+1:]; rest == "" {
			return append(packed, 0), true
		}
	}
}

// key is a name's wire form in lower case, by which names are looked up.
func key(name string) string {
	var buffer [wire.MaxName + 1]byte
	packed := appendName(buffer[:0], name)
	for i, c := range packed {
		packed[i] = fold(c)
	}
	return string(packed)
}

// parent is the name without its first label; that of the root is the root.
func parent(k string) string {
	if k[0] == 0 {
		return k
	}
	return k[1+int(k[0]):]
}

// text is a name as people write it.
func text(k string) string {
	name, _, err := dns.UnpackDomainName([]byte(k), 0)
	if err != nil {
		return strconv.Quote(k)
	}
	return name
}

// labels is the number of labels, the root not counted.
func labels(k string) int {
	n := 0
	for ; k[0] != 0; k = parent(k) {
		n++
	}
	return n
}

// isBelow reports whether k is apex or lies below it, at a label boundary.
func isBelow(k, apex string) bool {
	for len(k) > len(apex) {
		k = parent(k)
	}
	return k == apex
}

func sortTyped(answers []typedAnswer) {
	slices.SortFunc(answers, func(a, b typedAnswer) int { return cmp.Compare(a.qtype, b.qtype) })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
