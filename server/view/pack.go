package view

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
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

// maxPointer is the largest offset that a compression pointer can hold (RFC 1035 section 4.1.4).
const maxPointer = 1<<14 - 1

// pack packs the authoritative answer of name k. That of a wildcard is given to names of any length, so only the question's
// name itself is pointed to.
func (c *compiler) pack(k string, m message) *wire.Answer {
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
func wireName(name string) []byte {
	buffer := make([]byte, wire.MaxName+1)
	n, err := dns.PackDomainName(dns.Fqdn(name), buffer, 0, nil, false)
	if err != nil {
		return []byte{0}
	}
	return buffer[:n]
}

// key is a name's wire form in lower case, by which names are looked up.
func key(name string) string {
	packed := wireName(name)
	for i, c := range packed {
		if c-'A' < 26 {
			packed[i] = c + 'a' - 'A'
		}
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
