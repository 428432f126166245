// Package view is the compiled snapshot that answers queries: every name that the server knows, and for every access
// domain the answers packed beforehand.
//
// The clients of an access domain are told apart by regions: by the policy of their request source and, where a set looks at
// how far its pools are, by what that comes to. Each region has one packed answer.
//
// Build makes a View from zones, instances and their decisions; Replace makes the next one when only decisions have
// changed, and shares everything else. Lookup finds what a query gets, Hit.Append writes it. A View is immutable: it is
// published by one atomic pointer and used without a lock. Explain asks the same Lookup and tells what it found.
package view

import (
	"net/netip"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/wire"
)

// View is what the server answers from. Immutable, safe for concurrent use.
type View struct {
	// Generation only grows; the server refuses a View that is older than the one it has.
	Generation uint64

	names nameTable // the number of a name is its index of nodes
	nodes []node
	zones []zone
	// depth is the largest number of labels of any name.
	depth    int
	accesses []access
	slots    slotTable
	exports  []Export
	refused  *wire.Answer
	geo      *geo.Map // for Explain
}

// node is a name that exists: with records, as an access domain, or only because names exist below it.
type node struct {
	zone     int32
	access   int32 // index of accesses; -1: none
	wildcard int32 // node of the "*" label directly below; -1: none
	// referral is the answer for this name and all below it, when they lie at or below a delegation.
	referral *wire.Answer
	// cut: this name is the delegation itself, so the parent answers DS.
	cut bool
	// static has the packed answers by type; other is for every type that is not among them, any for type ANY.
	static     []typedAnswer
	other, any *wire.Answer
	// link is what answers are made from that reach this name over a DNAME; nil where none can, and this has none itself.
	link *link
}

type typedAnswer struct {
	qtype  uint16
	answer *wire.Answer
}

// access is what an access domain and its aliases answer from: for A and AAAA what its clients are told apart by, and the slot of the first region.
type access struct {
	instance *policy.Instance
	sources  [][]geo.Selector // by policy
	geo      *geo.Map
	regions  [2]*regions // nil: no policy of the instance has a pool of the family
	slots    [2]int32
	exports  []int32 // indexes of the View's exports that have names of it
	number   int     // of the instance, as Input.Counter gave it; -1: none
}

// Hit is what a query gets: a static answer, or a block of an access domain. It is valid as long as its View.
type Hit struct {
	view   *View // for the serial numbers of its zones; nil where the answer has no SOA record
	answer *wire.Answer
	block  *Block
	node   *node        // the name that the block is of
	nodata *wire.Answer // of the block's zone, for a block that is empty
	client netip.Addr
	scope  int
	// For Explain and Origin: the access domain when its policies decided (nil: they did not), the family, the region of the
	// client (-1: no policy matched), and the block of that even where it does not answer the type.
	access    *access
	family    policy.Family
	region    int
	decidedBy *Block
	// redirected is set for a name below a DNAME: Append makes the answer from it, with this response code. Then answer is what
	// that is about: the DNAME, or no such name.
	redirected *View
	rcode      wire.RCode
}

// Counter is the number under which the answer is counted, as Input.Counter gave it; -1: it is not counted by policy.
func (h *Hit) Counter() int {
	if h.block == nil {
		return -1
	}
	return h.block.counter
}

// Instance is the number, as Input.Counter gave it, of the instance whose policies decided the answer; -1: none did, or has one.
func (h *Hit) Instance() int {
	if h.access == nil {
		return -1
	}
	return h.access.number
}

// Lookup finds what q gets when it comes from source, an unmapped address. It allocates nothing.
func (v *View) Lookup(q *wire.Query, source netip.Addr) Hit {
	if q.Class != wire.ClassIN || wire.TypeIXFR <= q.Type && q.Type <= wire.TypeMAILA {
		return Hit{answer: v.refused}
	}
	i, exact := v.find(q)
	if i < 0 {
		return Hit{answer: v.refused}
	}
	n := &v.nodes[i]
	if n.referral != nil && !(exact && n.cut && q.Type == wire.TypeDS) {
		return Hit{view: v, answer: n.referral}
	}
	if !exact {
		if n.link != nil && n.link.dname != nil {
			return v.redirect(q, n)
		}
		if n.wildcard < 0 {
			return Hit{view: v, answer: v.zones[n.zone].nxdomain}
		}
		n = &v.nodes[n.wildcard]
	}
	for _, s := range n.static {
		if s.qtype == q.Type {
			return Hit{view: v, answer: s.answer}
		}
	}
	if n.access >= 0 {
		return v.lookupAccess(n, q, source)
	}
	if q.Type == wire.TypeANY {
		return Hit{view: v, answer: n.any}
	}
	return Hit{view: v, answer: n.other}
}

// find returns the node of the query's name, or of its closest encloser (RFC 4592 section 3.3.1); -1 outside every zone.
func (v *View) find(q *wire.Query) (index int32, exact bool) { return v.closest(q.Name(), q.Labels) }

// closest is find for any name in lower case.
func (v *View) closest(name []byte, labels int) (index int32, exact bool) {
	for exact = true; labels > v.depth; labels-- {
		name, exact = name[1+name[0]:], false
	}
	for ; ; exact = false {
		if i, found := v.names.find(name); found {
			return i, exact
		}
		if name[0] == 0 {
			return -1, false
		}
		name = name[1+name[0]:]
	}
}

// lookupAccess answers for an access domain. Types other than A and AAAA exist there only as far as a set that is in
// force answers with a CNAME, which holds for every type (RFC 1034 section 3.6.2).
func (v *View) lookupAccess(n *node, q *wire.Query, source netip.Addr) Hit {
	a := &v.accesses[n.access]
	family := policy.IPv4
	switch {
	case q.Type == wire.TypeAAAA:
		family = policy.IPv6
	case q.Type != wire.TypeA && !a.instance.Together:
		if q.Type == wire.TypeANY {
			return Hit{view: v, answer: n.any}
		}
		return Hit{view: v, answer: n.other}
	}
	regions := a.regions[family]
	if regions == nil {
		return Hit{view: v, answer: n.other}
	}
	hit := Hit{view: v, client: q.Client(source), access: a, family: family, node: n, nodata: n.other}
	hit.region, hit.scope = regions.plan.Lookup(hit.client)
	if hit.region < 0 {
		hit.answer = n.other
		return hit
	}
	hit.block = v.slots.at(a.slots[family] + int32(hit.region))
	hit.decidedBy = hit.block
	if hit.block == nil { // the policy has no pool of the family, and shares its sources with those that have
		hit.answer = n.other
		return hit
	}
	if q.Type != wire.TypeA && q.Type != wire.TypeAAAA && !hit.block.cname {
		hit.answer, hit.block = n.other, nil
		if q.Type == wire.TypeANY {
			hit.answer = n.any
		}
		return hit
	}
	if hit.block.sticky {
		// The network is one of the client's own family, also where that holds an IPv4 address: it is hashed and cut alike.
		hit.scope = max(hit.scope, policy.StickyBits(hit.client))
	}
	return hit
}

// Append appends the reply to dst, at most limit octets. turn chooses the rotation and random the weighted pick, each
// uniform over 64 bits; turn may be a sequence. It allocates nothing but what dst lacks.
func (h *Hit) Append(dst []byte, q *wire.Query, turn, random uint64, limit int) []byte {
	scope := h.scope
	if q.SourcePrefix == 0 {
		scope = 0 // RFC 7871 section 7.2.1: nothing was said of the client
	}
	if h.redirected != nil {
		return h.redirected.appendRedirected(dst, q, h.rcode, scope, limit)
	}
	if h.block == nil {
		return h.appendAnswer(dst, q, h.answer, scope, limit)
	}
	if len(h.block.groups) == 0 {
		return h.appendAnswer(dst, q, h.nodata, scope, limit)
	}
	start := len(dst)
	dst = q.Begin(dst)
	dst, count, fits := h.block.append(dst, h.client, turn, random, q.Room(limit))
	return q.End(dst, start, wire.Head{
		Authoritative: true, Truncated: !fits, Counts: wire.Counts{Answer: uint16(count)}, Scope: scope, Limit: limit,
	})
}

// appendAnswer appends the reply for a packed answer, with the present serial number of its zone.
func (h *Hit) appendAnswer(dst []byte, q *wire.Query, a *wire.Answer, scope, limit int) []byte {
	start := len(dst)
	dst = q.AppendAnswer(dst, a, scope, limit)
	if a.Serials.Offsets != nil {
		q.SetSerial(dst[start:], a, h.view.exports[a.Serials.Zone].Serial)
	}
	return dst
}

// RCode is the response code that Append will send.
func (h *Hit) RCode() wire.RCode {
	switch {
	case h.redirected != nil:
		return h.rcode
	case h.block != nil:
		return wire.NoError
	}
	return h.answer.RCode
}
