package server

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"gtmd/server/view"
	"gtmd/server/wire"
)

// transfers gives zones to secondaries (RFC 5936, RFC 1995) and tells them of changes (notify.go). Its methods may be called from
// any goroutine.
type transfers struct {
	log   *slog.Logger
	stats *Stats
	view  *atomic.Pointer[view.View]
	now   func() time.Time
	rules atomic.Pointer[Transfers] // never nil
	// active is the number of transfers in progress.
	active  atomic.Int64
	refused logLimit
	// moved holds a token when a view or rules are new, for the notifier.
	moved chan struct{}
}

func newTransfers(log *slog.Logger, stats *Stats, v *atomic.Pointer[view.View]) *transfers {
	t := &transfers{log: log, stats: stats, view: v, now: time.Now, moved: make(chan struct{}, 1)}
	t.rules.Store(&Transfers{})
	return t
}

// errNoReply is returned for a message that deserves no reply.
var errNoReply = errors.New("not a query")

// messageSize is about the number of octets of one message of a transfer: pointers of compression reach that far (RFC 1035 section
// 4.1.4).
const messageSize = 16 << 10

// serve answers a request for which isTransfer holds that came over a stream. It holds one view to its end, so that what it gives
// is one state of the zone. An error is that of send, or says that there can be no reply.
func (t *transfers) serve(r *Responder, message []byte, source netip.Addr, send func(reply []byte) error) error {
	q, m := &r.query, r.manners.Load()
	fate, rcode := q.Decode(message)
	if fate == wire.ToDrop {
		return errNoReply
	}
	if q.HasOptions {
		r.greet(m, source)
	}
	if fate == wire.ToReject {
		return t.reply(r, nil, rcode, send)
	}
	rules := t.rules.Load()
	s, rcode := t.verify(rules, message)
	q.Reply.Reserve = s.room()
	if rcode != wire.NoError {
		return t.reply(r, s, rcode, send)
	}
	v := r.view.Load()
	e, rcode := t.admit(v, rules, q, source, s.keyName())
	if e == nil {
		if q.HasEDNS && m.confided != nil {
			m.confide(q, &view.Hit{}, rcode, source)
		}
		return t.reply(r, s, rcode, send)
	}
	out := &transfer{transfers: t, responder: r, signer: s, send: send, request: message}
	if q.Type == wire.TypeIXFR {
		serial, given := clientSerial(message)
		if !given {
			return t.reply(r, s, wire.FormErr, send)
		}
		if int32(serial-e.Serial) >= 0 { // RFC 1995 section 2, by RFC 1982
			t.stats.transfers.add(e.Zone, "current")
			return out.flush([]dns.RR{e.SOA()})
		}
	}
	if t.active.Add(1) > int64(rules.limit) {
		t.active.Add(-1)
		t.stats.transfers.add(e.Zone, "busy")
		t.log.Warn("zone not transferred: too many transfers at one time", "zone", e.Zone, "client", source, "transfers", rules.limit)
		return t.reply(r, s, wire.ServFail, send)
	}
	defer t.active.Add(-1)
	return out.give(v, e, source)
}

// admit finds the zone that a request asks for, and whether the client may have it; nil: it gets rcode, and the log says why.
func (t *transfers) admit(v *view.View, rules *Transfers, q *wire.Query, source netip.Addr, key string) (e *view.Export, rcode wire.RCode) {
	zone := rules.zoneOf(q)
	if zone == nil || q.Class != wire.ClassIN {
		return nil, wire.Refused
	}
	if why := zone.refuses(source, key); why != "" {
		t.refuse(zone, source, key, why)
		return nil, wire.Refused
	}
	e, found := v.Export(zone.name)
	if !found { // rules are newer than the view, for a moment
		t.refuse(zone, source, key, "the zone is not served yet")
		return nil, wire.ServFail
	}
	return e, wire.NoError
}

// refuse counts and logs a refused request. Strangers can make these as they like, so not each has a line.
func (t *transfers) refuse(zone *zoneRules, source netip.Addr, key, why string) {
	t.stats.transfers.add(zone.name, "refused")
	if t.refused.allows(t.now()) {
		t.log.Warn("zone transfer refused", "zone", zone.name, "client", source, "key", key, "why", why)
	}
}

// reply sends one message without records.
func (t *transfers) reply(r *Responder, s *signer, rcode wire.RCode, send func([]byte) error) error {
	message := s.sign(r.query.AppendError(nil, rcode), 0)
	r.count.query(&r.query, rcode, message)
	return send(message)
}

// current is what an IXFR over UDP gets: the SOA record alone, by which the client sees whether it needs a transfer over TCP (RFC
// 1995 section 2).
func (t *transfers) current(v *view.View, q *wire.Query, source netip.Addr, key string) view.Hit {
	e, rcode := t.admit(v, t.rules.Load(), q, source, key)
	if e == nil {
		return view.Fixed(&wire.Answer{RCode: rcode})
	}
	t.stats.transfers.add(e.Zone, "current")
	q.Type = wire.TypeSOA
	hit := v.Lookup(q, source)
	q.Type = wire.TypeIXFR
	return hit
}

// transfer is one that is being sent.
type transfer struct {
	*transfers
	responder       *Responder // with the request decoded
	signer          *signer
	send            func([]byte) error
	request         []byte
	messages        int
	records, octets int
}

// give sends a zone, and tells what came of it.
func (t *transfer) give(v *view.View, e *view.Export, source netip.Addr) error {
	begin := t.now()
	err := t.run(v, e)
	fields := []any{"zone", e.Zone, "client", source, "key", t.signer.keyName(), "serial", e.Serial, "records", t.records,
		"octets", t.octets, "duration", t.now().Sub(begin).Round(time.Microsecond)}
	if err != nil {
		t.stats.transfers.add(e.Zone, "failed")
		t.log.Warn("zone transfer broken off", append(fields, "error", err)...)
		return err
	}
	t.stats.transfers.add(e.Zone, "sent")
	t.log.Info("zone transferred", fields...)
	return nil
}

// run sends all records of a zone.
func (t *transfer) run(v *view.View, e *view.Export) error {
	var batch []dns.RR
	size := 0
	for rr := range v.Records(e) {
		length := dns.Len(rr)
		if size+length > messageSize && len(batch) > 0 {
			if err := t.flush(batch); err != nil {
				return err
			}
			batch, size = batch[:0], 0
		}
		batch, size = append(batch, rr), size+length
	}
	return t.flush(batch)
}

// flush sends one message with some records. The first has the question (RFC 5936 section 2.2.1).
func (t *transfer) flush(records []dns.RR) error {
	q := &t.responder.query
	message, err := t.pack(q, records)
	if err != nil {
		return err
	}
	message = t.signer.sign(message, 0)
	if t.messages == 0 {
		t.responder.count.query(q, wire.NoError, message)
	}
	t.messages++
	t.records += len(records)
	t.octets += len(message)
	return t.send(message)
}

// pack makes the next message of the reply to q; the first repeats the question and answers the OPT record.
func (t *transfer) pack(q *wire.Query, records []dns.RR) ([]byte, error) {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: binary.BigEndian.Uint16(t.request), Response: true, Authoritative: true, RecursionDesired: t.request[2]&1 != 0}, Compress: true, Answer: records}
	if t.messages > 0 {
		return m.Pack()
	}
	name, _, err := dns.UnpackDomainName(t.request, wire.HeaderLen)
	if err != nil {
		return nil, err
	}
	m.Question = []dns.Question{{Name: name, Qtype: q.Type, Qclass: q.Class}}
	message, err := m.Pack()
	if err != nil {
		return nil, err
	}
	return q.End(message, 0, wire.Head{Authoritative: true, Counts: wire.Counts{Answer: uint16(len(records))}, Limit: maxMessage}), nil
}

// clientSerial is the serial number that an IXFR says the client has: that of the SOA record of its authority section (RFC 1995
// section 3).
func clientSerial(message []byte) (serial uint32, given bool) {
	m := new(dns.Msg)
	if err := m.Unpack(message); err != nil {
		return 0, false
	}
	i := slices.IndexFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
	if i < 0 {
		return 0, false
	}
	return m.Ns[i].(*dns.SOA).Serial, true
}
