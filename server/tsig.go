package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"gtmd/server/wire"
)

// The errors of a TSIG record (RFC 8945 section 3).
const (
	badSig   = 16
	badKey   = 17
	badTime  = 18
	badTrunc = 22
)

// fudge is how far from the time of signing a message of ours may be received, in seconds (RFC 8945 section 10).
const fudge = 300

// verify checks the signature of the query at hand. From here on the query is as one that is not signed, but the reply is signed with
// the same key (RFC 8945 section 5.3), and a query that is not well signed is rejected.
func (r *Responder) verify(packet []byte) (fate wire.Fate, rcode wire.RCode) {
	r.signer, rcode = r.transfers.verify(r.transfers.rules.Load(), packet)
	r.query.Reply.Reserve = r.signer.room()
	if rcode != wire.NoError {
		return wire.ToReject, rcode
	}
	return wire.ToAnswer, rcode
}

// Key is a TSIG key with its secret. Immutable.
type Key struct {
	text            string // the name
	name, algorithm string // in wire form
	hash            func() hash.Hash
	secret          []byte
}

// NewKey makes a key. The secret is in base64 (RFC 4648 section 4), with white space anywhere.
func NewKey(o KeyOptions, secret string) (*Key, error) {
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(secret), ""))
	if err != nil {
		return nil, errors.New("the secret is not in base64") // the error would tell a part of it
	}
	if len(decoded) == 0 {
		return nil, errors.New("the secret is empty: want it in base64, such as the output of: openssl rand -base64 32")
	}
	k := &Key{text: strings.TrimSuffix(o.Name, "."), name: wireName(o.Name), algorithm: wireName(string(o.Algorithm)), secret: decoded}
	switch o.Algorithm {
	case HMACSHA224:
		k.hash = sha256.New224
	case HMACSHA384:
		k.hash = sha512.New384
	case HMACSHA512:
		k.hash = sha512.New
	case HMACSHA256:
		k.hash = sha256.New
	default:
		return nil, fmt.Errorf("the algorithm %q is unknown", o.Algorithm)
	}
	return k, nil
}

// SecretLen is the number of octets of the secret.
func (k *Key) SecretLen() int { return len(k.secret) }

// String is the name, never the secret.
func (k *Key) String() string { return k.text }

// Format is String for every verb.
func (k *Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.text) }

// mac is the message authentication code of some parts.
func (k *Key) mac(parts ...[]byte) []byte {
	h := hmac.New(k.hash, k.secret)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// signer signs the replies to one request. The nil signer is that of a request without signature: it signs nothing.
type signer struct {
	key    *Key      // nil: the replies have a TSIG record without MAC
	record wire.TSIG // of the next reply
	// mac is that of the request, then of the reply before.
	mac  []byte
	next bool // not the first reply
	now  func() time.Time
}

// verify checks the signature of a request, and counts what it was. With an RCode other than NoError the request gets that and no
// answer. The order of the checks is that of RFC 8945 section 5.2.
func (t *transfers) verify(rules *Transfers, packet []byte) (*signer, wire.RCode) {
	signature, ok := wire.SignatureOf(packet)
	if !ok {
		t.stats.signatures.add("", "malformed")
		return nil, wire.FormErr
	}
	if signature == nil {
		return nil, wire.NoError
	}
	s, result := rules.check(packet, signature, t.now)
	t.stats.signatures.add("", result)
	switch {
	case s == nil && result == "badkey":
		return nil, wire.NotAuth
	case s == nil:
		return nil, wire.FormErr
	case s.record.Error != 0:
		return s, wire.NotAuth
	}
	return s, wire.NoError
}

// check is verify for the signature that a packet has. No signer is for a reply without TSIG record.
func (rules *Transfers) check(packet []byte, signature *wire.TSIG, now func() time.Time) (s *signer, result string) {
	seconds := uint64(now().Unix())
	s = &signer{now: now, record: wire.TSIG{
		Key: signature.Key, Algorithm: signature.Algorithm, Time: seconds, Fudge: fudge, OriginalID: signature.OriginalID,
	}}
	key := rules.key(string(signature.Key))
	if key == nil || key.algorithm != string(signature.Algorithm) {
		s.record.Error = badKey
		if s.record.Len(0) > len(packet)-signature.Offset {
			// Its names were compressed: as they are repeated, the reply would be longer than the request, and anyone can send that.
			return nil, "badkey"
		}
		return s, "badkey"
	}
	// RFC 8945 section 5.2.2.1: a MAC may be cut to half of its octets, and to no less than 10.
	size := key.hash().Size()
	if len(signature.MAC) > size || len(signature.MAC) < max(10, size/2) {
		return nil, "malformed"
	}
	mac := key.mac(signedPart(packet, signature), signature.Variables(nil))
	if !hmac.Equal(mac[:len(signature.MAC)], signature.MAC) {
		s.record.Error = badSig
		return s, "badsig"
	}
	s.key, s.mac = key, signature.MAC
	if distance(seconds, signature.Time) > uint64(signature.Fudge) {
		// RFC 8945 section 5.2.3: the time of the request, and that of the server beside it.
		s.record.Error, s.record.Time, s.record.Fudge = badTime, signature.Time, signature.Fudge
		s.record.Other = binary.BigEndian.AppendUint16(nil, uint16(seconds>>32))
		s.record.Other = binary.BigEndian.AppendUint32(s.record.Other, uint32(seconds))
		return s, "badtime"
	}
	if len(signature.MAC) < size {
		s.record.Error = badTrunc
		return s, "badtrunc"
	}
	return s, "good"
}

func distance(a, b uint64) uint64 {
	if a < b {
		return b - a
	}
	return a - b
}

// signedPart is a copy of what the MAC covers of a message: it as it was before it had its TSIG record (RFC 8945 section 4.3.2).
func signedPart(packet []byte, signature *wire.TSIG) []byte {
	message := append([]byte(nil), packet[:signature.Offset]...)
	binary.BigEndian.PutUint16(message, signature.OriginalID)
	binary.BigEndian.PutUint16(message[10:], binary.BigEndian.Uint16(message[10:])-1)
	return message
}

// keyName is the name of the key of a request that is well signed; empty: it is not.
func (s *signer) keyName() string {
	if s == nil || s.key == nil || s.record.Error != 0 {
		return ""
	}
	return s.key.text
}

// room is the number of octets that sign adds.
func (s *signer) room() int {
	if s == nil {
		return 0
	}
	size := 0
	if s.key != nil {
		size = s.key.hash().Size()
	}
	return s.record.Len(size)
}

// sign appends the TSIG record to the reply that begins at an offset of dst. Of several replies each covers the one before, so
// they must be sent in this order (RFC 8945 section 5.3.1).
func (s *signer) sign(dst []byte, start int) []byte {
	if s == nil {
		return dst
	}
	if s.key != nil {
		var id [2]byte
		binary.BigEndian.PutUint16(id[:], s.record.OriginalID)
		before := binary.BigEndian.AppendUint16(nil, uint16(len(s.mac)))
		variables := s.record.Variables(nil)
		if s.next {
			// A long transfer takes more than the fudge.
			s.record.Time = uint64(s.now().Unix())
			variables = s.record.Timers(nil)
		}
		s.record.MAC = s.key.mac(before, s.mac, id[:], dst[start+2:], variables)
		s.mac, s.next = s.record.MAC, true
	}
	return s.record.AppendTo(dst, start)
}
