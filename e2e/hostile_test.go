//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/miekg/dns"
)

// hostile makes packets that a name server must survive: valid queries of every kind, the same with octets changed, cut, added and moved,
// lies in lengths and counts, and noise. It is deterministic for its random source, and not safe for concurrent use.
type hostile struct {
	random *rand.Rand
	corpus [][]byte
	packet []byte
}

// newHostile makes packets about the names of a zone.
func newHostile(seed uint64, names ...string) *hostile {
	h := &hostile{random: rand.New(rand.NewPCG(seed, 0)), packet: make([]byte, 0, 4096)}
	for _, name := range names {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeSOA, dns.TypeAXFR, dns.TypeIXFR, dns.TypeOPT, dns.TypeTSIG, dns.TypeDS, dns.TypeHTTPS, 65535} {
			h.corpus = append(h.corpus, packed(name, qtype, dns.ClassINET))
		}
		for _, class := range []uint16{dns.ClassCHAOS, dns.ClassNONE, dns.ClassANY, 0, 42} {
			h.corpus = append(h.corpus, packed(name, dns.TypeTXT, class))
		}
		h.corpus = append(h.corpus, h.withOptions(name)...)
	}
	for opcode := range 16 {
		m := new(dns.Msg).SetQuestion(names[0], dns.TypeSOA)
		m.Opcode = opcode
		h.corpus = append(h.corpus, mustPack(m))
	}
	for _, raw := range []string{
		"\xc0\x0c\x00\x01\x00\x01",                 // RFC 1035 section 4.1.4: a pointer to itself
		"\xc0\x20\x00\x01\x00\x01",                 // forwards
		"\xc0\x00\x00\x01\x00\x01",                 // into the header
		"\x41a\x00\x00\x01\x00\x01",                // label types that do not exist
		"\x81a\x00\x00\x01\x00\x01",                //
		"\x01a\xc0\x0c\x00\x01\x00\x01",            // a loop of two
		"\x00\x00\x01\x00\x01\x00\x00\x29\xff\xff", // half an OPT record
	} {
		h.corpus = append(h.corpus, append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1}, raw...))
	}
	return h
}

// withOptions are queries with an OPT record: every option that the server knows, as it should be and as it should not.
func (h *hostile) withOptions(name string) [][]byte {
	var all [][]byte
	options := map[uint16][][]byte{
		dns.EDNS0SUBNET: {{0, 1, 24, 0, 192, 0, 2}, {0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 1}, {0, 1, 0, 0}, {0, 1, 33, 0, 1, 2, 3, 4, 5}, {0, 3, 8, 0, 1}, {0, 1, 24, 24, 1, 2, 3}, {0, 1, 24, 0, 1, 2}, {0, 1, 23, 0, 1, 2, 3}, {0}},
		dns.EDNS0COOKIE: {{1, 2, 3, 4, 5, 6, 7, 8}, make([]byte, 16), make([]byte, 24), make([]byte, 40), make([]byte, 41), {1}, nil},
		dns.EDNS0NSID:   {nil, {1}}, dns.EDNS0TCPKEEPALIVE: {nil, {0, 1}, {1}}, dns.EDNS0PADDING: {nil, make([]byte, 100)},
		dns.EDNS0EXPIRE: {nil, {0, 0, 0, 1}}, dns.EDNS0EDE: {{0, 20}}, 65001: {nil, make([]byte, 1000)},
	}
	for code, datas := range options {
		for _, data := range datas {
			for version := range uint32(2) {
				m := new(dns.Msg).SetQuestion(name, dns.TypeA)
				opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 4096, Ttl: version << 16}}
				opt.Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: code, Data: data}}
				m.Extra = []dns.RR{opt}
				all = append(all, mustPack(m))
			}
		}
	}
	return all
}

func packed(name string, qtype, class uint16) []byte {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.Question[0].Qclass = class
	return mustPack(m)
}

func mustPack(m *dns.Msg) []byte {
	packet, err := m.Pack()
	if err != nil {
		panic(fmt.Sprintf("pack a query of the test: %v", err))
	}
	return packet
}

// next is the next packet, valid until the one after.
func (h *hostile) next() []byte {
	r := h.random
	p := append(h.packet[:0], h.corpus[r.IntN(len(h.corpus))]...)
	binary.BigEndian.PutUint16(p, uint16(r.Uint32()))
	switch r.IntN(16) {
	case 0: // as it is
	case 1: // noise
		p = p[:min(cap(p), r.IntN(600))]
		for i := range p {
			p[i] = byte(r.Uint32())
		}
	case 2: // noise behind a header of one question
		for i := 12; i < len(p); i++ {
			p[i] = byte(r.Uint32())
		}
	case 3: // cut
		p = p[:r.IntN(len(p)+1)]
	case 4: // a response
		p[2] |= 0x80
	case 5: // counts
		binary.BigEndian.PutUint16(p[4+2*r.IntN(4):], uint16(r.Uint32()))
	case 6: // two packets in one
		p = append(p, h.corpus[r.IntN(len(h.corpus))]...)
	case 7: // much behind it
		p = append(p, make([]byte, r.IntN(2048))...)
	default:
		for range 1 + r.IntN(4) {
			p = h.change(p)
		}
	}
	h.packet = p[:0]
	return p
}

// change changes a packet at one place.
func (h *hostile) change(p []byte) []byte {
	r := h.random
	if len(p) < 2 {
		return append(p, byte(r.Uint32()))
	}
	at := r.IntN(len(p))
	switch r.IntN(6) {
	case 0:
		p[at] ^= 1 << r.IntN(8)
	case 1:
		p[at] = [...]byte{0, 1, 63, 64, 127, 128, 191, 192, 255}[r.IntN(9)]
	case 2: // a length that lies
		if at+1 < len(p) {
			binary.BigEndian.PutUint16(p[at:], [...]uint16{0, 1, 12, 512, 0x7fff, 0x8000, 0xc00c, 0xffff}[r.IntN(8)])
		}
	case 3: // an octet goes
		p = append(p[:at], p[at+1:]...)
	case 4: // one comes
		p = append(p[:at+1], p[at:]...)
		p[at] = byte(r.Uint32())
	default: // a part comes twice
		end := min(len(p), at+1+r.IntN(32))
		if len(p)+end-at < cap(p) {
			p = append(p, p[at:end]...)
		}
	}
	return p
}

// malformed says what is wrong with a reply as such; empty: nothing is. RFC 1035 section 4.1, RFC 6891, RFC 8906 section 4.
func malformed(reply []byte, most int) string {
	switch {
	case len(reply) < 12:
		return "it has no whole header"
	case len(reply) > most:
		return fmt.Sprintf("it has %d octets, want at most %d", len(reply), most)
	case reply[2]&0x80 == 0:
		return "QR is not set"
	case reply[3]&0xf0 != 0:
		return "RA, Z, AD or CD is set"
	}
	at, questions := 12, int(binary.BigEndian.Uint16(reply[4:]))
	if questions > 1 {
		return "it has more than one question"
	}
	for range questions {
		if at = behindName(reply, at); at < 0 || at+4 > len(reply) {
			return "the question does not end"
		}
		at += 4
	}
	records, opts := 0, 0
	for section := range 3 {
		records += int(binary.BigEndian.Uint16(reply[6+2*section:]))
	}
	for range records {
		if at = behindName(reply, at); at < 0 || at+10 > len(reply) {
			return "a record does not end"
		}
		if binary.BigEndian.Uint16(reply[at:]) == dns.TypeOPT {
			opts++
		}
		if at += 10 + int(binary.BigEndian.Uint16(reply[at+8:])); at > len(reply) {
			return "the data of a record do not end"
		}
	}
	switch {
	case at != len(reply):
		return fmt.Sprintf("%d octets are behind the last record", len(reply)-at)
	case opts > 1:
		return "it has two OPT records"
	case reply[2]&0x02 != 0 && binary.BigEndian.Uint16(reply[6:]) > 0:
		return "it is truncated and has an answer"
	}
	return ""
}

// behindName is the offset behind a name whose pointers lead backwards; -1: it is none.
func behindName(p []byte, at int) int {
	end, limit := -1, at
	for octets := 0; octets < 255 && at < len(p); {
		switch n := int(p[at]); {
		case n == 0:
			if end < 0 {
				end = at + 1
			}
			return end
		case n&0xc0 == 0xc0:
			if at+1 >= len(p) {
				return -1
			}
			if end < 0 {
				end = at + 2
			}
			to := (n&0x3f)<<8 | int(p[at+1])
			if to < 12 || to >= limit {
				return -1
			}
			at, limit = to, to
		case n > 63:
			return -1
		default:
			octets += n + 1
			at += n + 1
		}
	}
	return -1
}
