package server

import (
	"math/bits"
	"net/netip"
	"sync/atomic"

	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

// Responder answers packets, one at a time: each worker and each connection has its own. It holds what a query writes to:
// the decoded query, the cookie of its reply, the dice, the counters.
type Responder struct {
	view      *atomic.Pointer[view.View]
	manners   *atomic.Pointer[manners]
	clock     *clock
	count     *counters
	askers    *askers
	encrypted bool // the transport hides what is said, so that it pays to hide how much it is
	closing   bool // the connection ends soon
	query     wire.Query
	cookie    [cookieLen]byte
	dice      dice
	// transfers are the rules for secondaries, and keys. signer signs the reply at hand; nil: the query is not signed.
	transfers *transfers
	signer    *signer
	// record offers what was answered to the query log.
	record recorder
}

// Respond appends the reply to a packet that came from source, an unmapped address, and returns dst; nothing is
// appended for a packet that deserves no reply. The reply has at most limit octets, over UDP also no more than the
// client takes. It is the whole path of a query: no socket, no lock, no allocation beyond what dst lacks; but for a query that is
// signed, or an IXFR.
func (r *Responder) Respond(dst, packet []byte, source netip.Addr, limit int) []byte {
	q, m, start := &r.query, r.manners.Load(), len(dst)
	var hit view.Hit
	fate, rcode := q.Decode(packet)
	if fate == wire.ToDrop {
		r.count.dropped.Add(1)
		return dst
	}
	r.signer = nil
	if fate == wire.ToAnswer && q.HasTSIG {
		fate, rcode = r.verify(packet)
	}
	isKnown := q.HasOptions && r.greet(m, source)
	if r.count.udp {
		limit = q.Limit(limit)
	}
	if fate == wire.ToReject {
		rcode = m.reject(rcode)
	} else {
		hit = r.find(m, source)
		rcode = hit.RCode()
	}
	action := curbNone
	if m.limit != nil && r.count.udp && !isKnown {
		action = r.curb(m, fate, &hit, source)
	}
	switch {
	case action == curbDrop:
		return dst
	case action == curbTruncate:
		rcode = wire.NoError
		dst = q.AppendTruncated(dst)
	case action == curbCookie:
		rcode = wire.BadCookie
		dst = q.AppendError(dst, rcode)
	case fate == wire.ToReject:
		dst = q.AppendError(dst, rcode)
	default:
		if q.HasEDNS && m.confided != nil {
			m.confide(q, &hit, rcode, source)
		}
		turn, random := r.dice.roll()
		dst = hit.Append(dst, q, turn, random, limit)
		r.count.answer(hit.Counter())
		if number := hit.Instance(); number >= 0 {
			r.asked(number, source, isKnown)
		}
	}
	if r.signer != nil {
		dst = r.signer.sign(dst, start) // RFC 8945 section 5.3
	}
	r.count.query(q, rcode, dst[start:])
	if taps := r.record.log.Taps(); taps != nil {
		r.record.note(taps, &hit, packet, dst[start:], source, uint16(rcode))
	}
	return dst
}

// find finds what a well-formed query gets.
func (r *Responder) find(m *manners, source netip.Addr) view.Hit {
	q, v := &r.query, r.view.Load()
	hit := v.Lookup(q, source)
	switch {
	case q.Class == wire.ClassCH:
		return m.chaos.answer(q, hit)
	case q.Type == wire.TypeIXFR && r.count.udp:
		return r.transfers.current(v, q, source, r.signer.keyName())
	}
	return hit
}

// dice makes the numbers that answers are chosen by. Not safe for concurrent use.
type dice struct{ turn, state uint64 }

// golden is 2^64 divided by the golden ratio: steps of it spread evenly over the circle, also when only every second
// or third query asks for the same name.
const golden = 0x9e3779b97f4a7c15

// newDice starts from a random seed.
func newDice(seed uint64) dice { return dice{turn: seed, state: bits.Reverse64(seed)} }

// roll returns the next turn, a sequence spread evenly over 64 bits, and the next random number (splitmix64).
func (d *dice) roll() (turn, random uint64) {
	d.turn += golden
	d.state += golden
	return d.turn, policy.Mix(d.state)
}
