package view

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/wire"
)

// Question is what Explain asks.
type Question struct {
	Name string
	Type uint16
	// Source is the packet's source address; the zero Addr stands for an unknown one.
	Source netip.Addr
	// Subnet is the client-subnet option; the zero Prefix sends none.
	Subnet netip.Prefix
}

// Explanation is what a query gets and where it came from.
type Explanation struct {
	// Reply is the message that would be sent over TCP, so never truncated.
	Reply *dns.Msg
	// Client is the address that decided, Scope the prefix length around it for which the reply holds.
	Client netip.Addr
	Scope  int
	// Found says what the name is to this server.
	Found string

	// The rest is set when the name is an access domain and the question one that its policies decide.

	Instance *policy.Instance
	// Matches are the request sources that match the client, the one that counts most first.
	Matches []geo.Match
	// Policy is the index of the policy that the client matched; -1: none.
	Policy int
	// Block is what answers; nil when no policy matched.
	Block *Block
	// Place is where the client is; nil when that is not known, or no instance asks for it.
	Place *geo.Coordinates
	// Costs says how far the pools are from the client, in kilometres or, in an instance that chooses by latency, in
	// milliseconds: those of every set that looks at it, of the policy and of the global one that it may fall through to.
	// A pool of unknown cost is not in it.
	Costs policy.Costs
	// Rows has, by pool, the source of the row of the latency table that its cost is from. The other costs of an instance
	// that chooses by latency are this server's own round-trip times.
	Rows map[string]geo.Selector
}

// Explain sends the question through Lookup and Append, the code that serves, and tells what they found.
func (v *View) Explain(question Question) (*Explanation, error) {
	packet, err := question.pack()
	if err != nil {
		return nil, fmt.Errorf("make a query for %q: %w", question.Name, err)
	}
	var q wire.Query
	if fate, rcode := q.Decode(packet); fate != wire.ToAnswer {
		return nil, fmt.Errorf("make a query for %q: it would be refused with rcode %d", question.Name, rcode)
	}
	hit := v.Lookup(&q, question.Source)
	reply := new(dns.Msg)
	if err := reply.Unpack(hit.Append(nil, &q, 0, 0, dns.MaxMsgSize)); err != nil {
		return nil, fmt.Errorf("read the reply for %q: %w", question.Name, err)
	}
	e := &Explanation{Reply: reply, Client: q.Client(question.Source), Scope: hit.scope, Found: v.found(&q), Policy: -1}
	if hit.IsDecided() {
		e.Instance = hit.access.instance
		e.Matches = v.geo.Matches(e.Client)
		e.Block = hit.decidedBy
		class, _ := v.geo.Lookup(e.Client)
		if place, known := v.geo.Place(class); known {
			e.Place = &place
		}
		if hit.region >= 0 {
			v.explainRegion(e, &hit, class)
		}
	}
	return e, nil
}

// explainRegion tells the policy of the region that was found, and the costs that made it.
func (v *View) explainRegion(e *Explanation, hit *Hit, class geo.Class) {
	r := hit.access.regions[hit.family]
	e.Policy = int(r.list[hit.region].policy)
	if e.Block == nil {
		return
	}
	var pools []*policy.Pool
	eachRanked(e.Instance, e.Policy, hit.family, func(set *policy.Set) {
		for _, m := range set.Members {
			if serves(m.Pool, hit.family) {
				pools = append(pools, m.Pool)
			}
		}
	})
	if pools == nil {
		return
	}
	e.Costs = named(pools, r.gauge.measure(class, pools, e.Block.rtt))
	if !r.gauge.latency {
		return
	}
	e.Rows = map[string]geo.Selector{}
	for _, pool := range pools {
		if ms, from := r.gauge.row(class, pool.Name); ms != unknown {
			e.Rows[pool.Name] = from
		}
	}
}

// found says what the name of q is.
func (v *View) found(q *wire.Query) string {
	i, exact := v.find(q)
	switch {
	case i < 0:
		return "outside every zone of this server"
	case v.nodes[i].referral != nil:
		return "at or below a delegation"
	case exact && v.nodes[i].access >= 0:
		if domain := v.accesses[v.nodes[i].access].instance.AccessDomain; key(domain) != string(q.Name()) {
			return "alias of the access domain " + strings.TrimSuffix(domain, ".")
		}
		return "access domain"
	case exact && len(v.nodes[i].static) > 0:
		return "static name"
	case exact:
		return "name without records, between names that have some"
	case v.nodes[i].link != nil && v.nodes[i].link.dname != nil:
		return "below a DNAME"
	case v.nodes[i].wildcard >= 0:
		return "covered by a wildcard"
	default:
		return "name that does not exist"
	}
}

func (question Question) pack() ([]byte, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(question.Name), question.Type)
	m.RecursionDesired = false
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(wire.Payload)
	if question.Subnet.IsValid() {
		family := uint16(1)
		if question.Subnet.Addr().Is6() {
			family = 2
		}
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{
			Code: dns.EDNS0SUBNET, Family: family,
			SourceNetmask: uint8(question.Subnet.Bits()), Address: question.Subnet.Masked().Addr().AsSlice(),
		})
	}
	m.Extra = append(m.Extra, opt)
	return m.Pack()
}
