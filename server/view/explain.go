package view

import (
	"fmt"
	"net/netip"

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
	if hit.decided {
		e.Instance = v.accesses[hit.access].instance
		e.Matches = v.geo.Matches(e.Client)
		e.Policy = hit.policy
		e.Block = hit.decidedBy
	}
	return e, nil
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
		return "access domain"
	case exact && len(v.nodes[i].static) > 0:
		return "static name"
	case exact:
		return "name without records, between names that have some"
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
