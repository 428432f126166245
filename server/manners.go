package server

import (
	"net/netip"
	"slices"
	"time"

	"gtmd/server/view"
	"gtmd/server/wire"
)

// manners are how the server treats its clients, whatever they ask for: what can change at a reload beside the view. The
// zero value gives them nothing that is optional. Immutable; published by one atomic pointer, and loaded once for a query.
type manners struct {
	cookies   *cookies   // nil: cookies are unknown options
	limit     *rateLimit // nil: no limits
	nsid      []byte     // nil: none
	chaos     chaos
	keepalive uint16         // how long a stream may idle, in units of 100 ms
	confided  []netip.Prefix // who is told extended errors
}

// newManners is what options ask for. The secret makes cookies when no file has one; before are the manners in use.
func newManners(o Options, secret cookieSecret, before *manners) (*manners, error) {
	cookies, err := newCookies(o.Cookies, secret)
	if err != nil {
		return nil, err
	}
	m := &manners{
		cookies: cookies, limit: newRateLimit(o.RateLimit, before.limit), chaos: newChaos(o.Version, o.Identity),
		keepalive: uint16(min(o.TCPIdleTimeout/(100*time.Millisecond), 1<<16-1)), confided: slices.Clone(o.ExtendedErrors),
	}
	if o.NSID != "" {
		m.nsid = []byte(o.NSID)
	}
	return m, nil
}

// paddingBlock is what replies over encrypted streams are padded to a multiple of, in octets (RFC 8467 section 4.1).
const paddingBlock = 468

// greet fills in the options of the reply that the query asked for, and reports whether the client sent a valid server cookie:
// its address is not forged.
func (r *Responder) greet(m *manners, source netip.Addr) (isKnown bool) {
	q := &r.query
	if q.Cookie != nil && m.cookies != nil {
		var result cookieResult
		result, q.Reply.Cookie = m.cookies.check(q.Cookie, source, r.clock.wall.Load(), &r.cookie)
		r.count.cookies[result].Add(1)
		isKnown = result == cookieValid
	}
	if q.HasNSID {
		q.Reply.NSID = m.nsid
	}
	if !r.count.udp {
		// RFC 7828 section 3.3.1: over UDP the option is ignored.
		q.Reply.HasKeepalive, q.Reply.Keepalive = q.HasKeepalive, m.keepalive
		if r.closing {
			q.Reply.Keepalive = 0 // RFC 7828 section 3.4: the connection is to be closed
		}
		if q.HasPadding && r.encrypted {
			q.Reply.Block = paddingBlock
		}
	}
	return isKnown
}

// reject is the response code for a query that was not well formed, or wants nothing but a cookie.
func (m *manners) reject(rcode wire.RCode) wire.RCode {
	if rcode == wire.NoError && m.cookies == nil {
		return wire.FormErr // RFC 7873 section 5.4: without cookies, no question is no query
	}
	return rcode
}

// The extended errors that the server sends (RFC 8914 section 4).
var (
	extendedFailOpen     = &wire.ExtendedError{Code: 0, Text: "no address is available: what is answered is the last resort"}
	extendedProhibited   = &wire.ExtendedError{Code: 18, Text: "zone transfers are not allowed"}
	extendedNoAuthority  = &wire.ExtendedError{Code: 20, Text: "this server has no zone with the name"}
	extendedNotSupported = &wire.ExtendedError{Code: 21, Text: "this class or type is not supported"}
)

// confide tells clients that may know it why the answer is what it is.
func (m *manners) confide(q *wire.Query, hit *view.Hit, rcode wire.RCode, source netip.Addr) {
	if !slices.ContainsFunc(m.confided, func(p netip.Prefix) bool { return p.Contains(source) }) {
		return
	}
	switch {
	case rcode == wire.NoError && hit.IsFailOpen():
		q.Reply.Error = extendedFailOpen
	case rcode != wire.Refused:
	case q.Class != wire.ClassIN, q.Type == wire.TypeMAILA, q.Type == wire.TypeMAILB:
		q.Reply.Error = extendedNotSupported
	case q.Type == wire.TypeAXFR, q.Type == wire.TypeIXFR:
		q.Reply.Error = extendedProhibited
	default:
		q.Reply.Error = extendedNoAuthority
	}
}

// curb finds what becomes of a reply over UDP, by the rate limits; hit counts unless the query is rejected.
func (r *Responder) curb(m *manners, fate wire.Fate, hit *view.Hit, source netip.Addr) curb {
	kind, subject := view.KindError, uint64(0)
	if fate == wire.ToAnswer {
		kind, subject = hit.Subject()
	}
	_, chance := r.dice.roll()
	action, class := m.limit.judge(source, kind, subject, r.query.Reply.Cookie != nil, r.clock.elapsed.Load(), chance)
	if action != curbNone {
		r.count.limited[class][action].Add(1)
	}
	return action
}
