package server

import (
	"encoding/binary"

	"gtmd/server/view"
	"gtmd/server/wire"
)

// chaos are the answers about the server itself, in class CH (RFC 4892). The zero value answers nothing. Immutable.
type chaos struct {
	version, identity *wire.Answer // nil: refused
}

// newChaos packs the two texts; an empty one is refused.
func newChaos(version, identity string) chaos {
	return chaos{version: packText(version), identity: packText(identity)}
}

// answer is what a question of class CH gets, refused where there is nothing to say.
func (c *chaos) answer(q *wire.Query, refused view.Hit) view.Hit {
	if q.Type != wire.TypeTXT && q.Type != wire.TypeANY {
		return refused
	}
	var text *wire.Answer
	switch string(q.Name()) {
	case "\x07version\x04bind\x00", "\x07version\x06server\x00":
		text = c.version
	case "\x02id\x06server\x00", "\x08hostname\x04bind\x00":
		text = c.identity
	}
	if text == nil {
		return refused
	}
	return view.Fixed(text)
}

// packText is the answer with one TXT record, not to be cached, of one text of at most 255 octets; nil for an empty one.
func packText(text string) *wire.Answer {
	if text == "" {
		return nil
	}
	body := []byte{0xc0, wire.HeaderLen, 0, wire.TypeTXT, 0, wire.ClassCH, 0, 0, 0, 0}
	body = binary.BigEndian.AppendUint16(body, uint16(1+len(text)))
	body = append(append(body, byte(len(text))), text...)
	return &wire.Answer{Authoritative: true, Counts: wire.Counts{Answer: 1}, Body: body}
}
