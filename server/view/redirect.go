package view

import (
	"bytes"
	"encoding/binary"

	"gtmd/server/wire"
)

// redirection is the answer to one question below a DNAME in the making. It follows DNAME and CNAME records inside the zone as
// the compiler does for an alias (see follow), at the time of the query, because the names depend on the question.
type redirection struct {
	view *View
	q    *wire.Query
	// reply has the message so far, which starts at offset start and whose records may end at most at offset most.
	reply       []byte
	start, most int
	head        wire.Head
	// isTrial: nothing is written, only the response code is wanted.
	isTrial bool

	// name, of length octets, is looked up now, in lower case; labels is the number of its labels, at its offset in the message.
	name               [wire.MaxName]byte
	length, labels, at int
	zone               int32 // that the question lies in; -1 before it is known

	// aliases is the number of CNAME records, and steps has where each is from.
	aliases int
	steps   [maxChain]aliasStep
}

// aliasStep is the origin of a CNAME record: the node that owns it, or that owns the DNAME it is made from. Then name, of length octets,
// is its owner in lower case; else length is 0.
type aliasStep struct {
	node   int32
	length int
	name   [wire.MaxName]byte
}

// redirect is the hit of a question for a name below the DNAME of n. What there is at the end of the way decides on the response
// code, so the way is gone here, and again when the answer is appended.
func (v *View) redirect(q *wire.Query, n *node) Hit {
	r := redirection{view: v, q: q, isTrial: true}
	r.begin()
	for r.step() {
	}
	hit := Hit{redirected: v, rcode: r.head.RCode, answer: n.link.dname.answer}
	if hit.rcode == wire.NXDomain {
		hit.answer = v.zones[n.zone].nxdomain
	}
	return hit
}

// appendRedirected appends the whole reply to a question for a name below a DNAME (RFC 6672 section 3.2). A reply that does not
// fit into limit octets is truncated.
func (v *View) appendRedirected(dst []byte, q *wire.Query, rcode wire.RCode, scope, limit int) []byte {
	r := redirection{view: v, q: q, start: len(dst), reply: q.Begin(dst)}
	records := len(r.reply)
	r.most = records + q.Room(limit)
	r.begin()
	for r.step() {
	}
	r.head.RCode, r.head.Authoritative, r.head.Scope, r.head.Limit = rcode, true, scope, limit
	if r.head.Truncated {
		r.reply, r.head.Counts = r.reply[:records], wire.Counts{}
	}
	return q.End(r.reply, r.start, r.head)
}

// begin goes to the question's name.
func (r *redirection) begin() {
	r.at, r.labels, r.zone = wire.HeaderLen, r.q.Labels, -1
	r.length = copy(r.name[:], r.q.Name())
}

// step adds what the current name answers, and reports whether that led to another name to look up.
func (r *redirection) step() bool {
	i, exact := r.view.closest(r.name[:r.length], r.labels)
	if i < 0 || r.zone >= 0 && r.view.nodes[i].zone != r.zone {
		return false
	}
	n := &r.view.nodes[i]
	r.zone = n.zone
	switch {
	case n.link == nil || exact && n.access >= 0:
		return false
	case n.link.referral != nil && !(exact && n.cut && r.q.Type == wire.TypeDS):
		r.addReferral(n.link.referral)
		return false
	case !exact && n.link.dname != nil:
		return r.addRedirect(i, n.link.dname) && r.q.Type != wire.TypeCNAME && r.q.Type != wire.TypeANY
	case !exact && n.wildcard < 0:
		r.head.RCode = wire.NXDomain
		r.addSOA()
		return false
	case !exact:
		i = n.wildcard
		n = &r.view.nodes[i]
	}
	if n.link.alias != nil && !n.link.isBeside(r.q.Type) {
		return r.addAlias(i, n.link)
	}
	// A DNAME that is asked for may be there already.
	if n.link.dname == nil || r.q.Type != wire.TypeDNAME || !r.isThere(i) {
		r.addSet(n.link)
	}
	return false
}

// isThere reports whether the answer has the DNAME of node i.
func (r *redirection) isThere(i int32) bool {
	for a := range r.aliases {
		if r.steps[a].node == i && r.steps[a].length > 0 {
			return true
		}
	}
	return false
}

// addRedirect adds the DNAME record of node i, unless it is there already, and the CNAME record made from it.
func (r *redirection) addRedirect(i int32, d *redirect) bool {
	for a := range r.aliases {
		if s := &r.steps[a]; bytes.Equal(s.name[:s.length], r.name[:r.length]) {
			return false // a loop
		}
	}
	below := r.length - d.owner // octets of the labels below the DNAME
	if !r.isThere(i) && !r.add(r.at+below, d.record) {
		return false
	}
	if below+len(d.target) > wire.MaxName {
		r.head.RCode = wire.YXDomain // RFC 6672 section 2.2
		return false
	}
	if !r.fits(12+below+len(d.target)) || !r.remember(i, r.length) {
		return false
	}
	if !r.isTrial {
		labels := r.start + r.at
		r.addPointer(r.at)
		r.reply = append(r.reply, d.cname...)
		r.reply = binary.BigEndian.AppendUint16(r.reply, uint16(below+len(d.target)))
		r.at = len(r.reply) - r.start
		r.reply = append(append(r.reply, r.reply[labels:labels+below]...), d.target...)
		r.head.Counts.Answer++
	}
	r.rename(below, d.target)
	return true
}

// addAlias adds the CNAME record of node i.
func (r *redirection) addAlias(i int32, l *link) bool {
	for a := range r.aliases {
		if r.steps[a].node == i && r.steps[a].length == 0 {
			return false // a loop
		}
	}
	at := len(r.reply) - r.start + 12
	if !r.remember(i, 0) || !r.add(r.at, l.alias) {
		return false
	}
	r.at = at
	r.rename(0, l.alias[10:])
	return true
}

// addSet ends the answer with the records of the asked type, or with none.
func (r *redirection) addSet(l *link) {
	if r.isTrial {
		return
	}
	for _, s := range l.sets {
		if s.qtype != r.q.Type {
			continue
		}
		for records := s.records; len(records) > 0; {
			size := 12 + int(binary.BigEndian.Uint16(records[10:]))
			if !r.add(r.at, records[2:size]) {
				return
			}
			records = records[size:]
		}
		return
	}
	r.addSOA()
}

// addSOA adds the SOA record that goes with NODATA and NXDOMAIN.
func (r *redirection) addSOA() {
	if soa := r.view.zones[r.zone].soa; !r.isTrial && r.fits(len(soa)) {
		r.reply = append(r.reply, soa...)
		r.setSerial()
		r.head.Counts.Authority++
	}
}

// setSerial puts the present serial number into the SOA record that was added last.
func (r *redirection) setSerial() {
	if number := r.view.zones[r.zone].export; number >= 0 {
		binary.BigEndian.PutUint32(r.reply[len(r.reply)-20:], r.view.exports[number].Serial) // before refresh, retry, expire and minimum
	}
}

// addReferral adds the NS records and the glue of a delegation.
func (r *redirection) addReferral(a *wire.Answer) {
	if !r.isTrial && r.fits(len(a.Body)) {
		r.reply = append(r.reply, a.Body...)
		r.head.Counts.Authority, r.head.Counts.Additional = a.Counts.Authority, a.Counts.Additional
	}
}

// add adds a record of the answer: that of the name at an offset of the message, from its type on.
func (r *redirection) add(owner int, record []byte) bool {
	if r.isTrial || !r.fits(2+len(record)) {
		return r.isTrial
	}
	r.addPointer(owner)
	r.reply = append(r.reply, record...)
	if binary.BigEndian.Uint16(record) == wire.TypeSOA {
		r.setSerial()
	}
	r.head.Counts.Answer++
	return true
}

// addPointer adds a compression pointer. What precedes a name that is pointed to has a few thousand octets at most, less
// than a pointer can hold.
func (r *redirection) addPointer(at int) {
	r.reply = binary.BigEndian.AppendUint16(r.reply, 0xc000|uint16(at))
}

// fits reports whether there is room for n octets more.
func (r *redirection) fits(n int) bool {
	r.head.Truncated = r.head.Truncated || !r.isTrial && len(r.reply)+n > r.most
	return !r.head.Truncated
}

// remember notes an alias of node i, with the first octets of the current name; it returns false when there have been enough.
func (r *redirection) remember(i int32, length int) bool {
	if r.aliases == maxChain {
		return false
	}
	s := &r.steps[r.aliases]
	s.node, s.length = i, copy(s.name[:], r.name[:length])
	r.aliases++
	return true
}

// rename makes the current name one of its first octets and a name behind them.
func (r *redirection) rename(below int, name []byte) {
	r.length = below + len(name)
	for i, c := range name {
		r.name[below+i] = fold(c)
	}
	r.labels = 0
	for n := 0; r.name[n] != 0; n += 1 + int(r.name[n]) {
		r.labels++
	}
}

// fold lowers an ASCII letter. Octets that are the length of a label are no letters.
func fold(c byte) byte {
	if c-'A' < 26 {
		return c + 'a' - 'A'
	}
	return c
}
