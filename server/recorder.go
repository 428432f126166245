package server

import (
	"net/netip"

	"gtmd/policy"
	"gtmd/server/querylog"
	"gtmd/server/view"
)

// recorder offers the queries of one Responder to the query log. The zero value is off for good.
type recorder struct {
	log  *querylog.Log
	lane uint32
	// lot is the state of the draw that decides on samples: one of its own, so that answers are chosen alike with and
	// without a log.
	lot uint64
	// Where queries come from and go to, set by whoever calls Respond: port is that of the client, 0 for unknown; local is
	// this server's address, unspecified for a UDP socket that listens on all of them.
	port      uint16
	local     netip.AddrPort
	transport querylog.Transport
}

// note offers a query that was answered; the zero Hit says without a view.
func (r *recorder) note(taps *querylog.Taps, hit *view.Hit, packet, reply []byte, source netip.Addr, rcode uint16) {
	r.lot += golden
	taps.Note(policy.Mix(r.lot), r.lane, &querylog.Entry{
		Client: netip.AddrPortFrom(source, r.port), Server: r.local, Transport: r.transport,
		Query: packet, Reply: reply, RCode: rcode, Hit: *hit,
	})
}
