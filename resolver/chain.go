package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Chain is what a name leads to, family by family: mostly twice the same CNAME records with other addresses at the end.
type Chain struct {
	Name string // as it was asked for
	// IPv4 and IPv6 are the trails of A and AAAA.
	IPv4, IPv6 Trail
	// IsApex is whether the name is that of a zone, which cannot have a CNAME. It is found out only of a name that has none.
	IsApex bool
}

// Trail is where a name leads to for one family.
type Trail struct {
	// Links are the CNAME records in their order, and behind them the addresses in theirs.
	Links []Link
	End   End
	// At is the name at which it ends: the last target, or the name itself.
	At string
	// Detail says, for people, what a server said there: "NXDOMAIN from 127.0.0.53:53". Empty where there are addresses.
	Detail string
}

// Link is one record of a trail.
type Link struct {
	Name string // in lower case, with a dot at its end
	Type string // "CNAME", "A" or "AAAA"
	Data string // a name like Name, or an address
	TTL  uint32 // in seconds, as the resolver has it: what is left of it
}

// End is how a trail ends.
type End int

// The ends of a trail. Of the last two nothing is known but for the links.
const (
	EndAddresses End = iota // at addresses
	EndNoData               // at a name without addresses of the family
	EndNoName               // at a name that does not exist (NXDOMAIN)
	EndLoop                 // at a CNAME record that leads to a name before it
	EndTooLong              // at more CNAME records than are followed
	EndFailed               // at a resolver that could not find out, or cannot be asked
	EndTimeout              // at resolvers that did not answer in time
)

// IsKnown reports whether the resolver could say how the trail ends.
func (e End) IsKnown() bool { return e < EndFailed }

// Chain resolves a name now, beside those that are kept, with the options and servers of the last Set. The name is written in
// lower case with a dot at its end. It takes at most as long as ctx, and ends with [Resolver.Close]; a trail that is not done by
// then ends with EndTimeout.
func (r *Resolver) Chain(ctx context.Context, name string) Chain {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	r.mu.Lock()
	o := r.options
	r.mu.Unlock()
	servers := o.Servers
	if len(servers) == 0 {
		servers = r.system.current()
	}
	c := Chain{Name: name}
	var asking sync.WaitGroup
	asking.Go(func() { c.IPv4 = r.trail(ctx, name, dns.TypeA, o, servers) })
	c.IPv6 = r.trail(ctx, name, dns.TypeAAAA, o, servers)
	asking.Wait()
	if c.IPv4.isBare(name) && c.IPv6.isBare(name) {
		c.IsApex = r.isApex(ctx, name, o, servers)
	}
	return c
}

// isBare reports whether the name is known to have no CNAME.
func (t *Trail) isBare(name string) bool {
	return t.At == name && (t.End == EndAddresses || t.End == EndNoData)
}

// trail follows a name to the addresses of one family. A resolver gives the whole way at once; where it gives a part, it is
// asked for the rest; where it gives up, as at a circle, it is asked for one CNAME record after the other.
func (r *Resolver) trail(ctx context.Context, name string, qtype uint16, o *Options, servers []netip.AddrPort) Trail {
	t := Trail{At: name}
	for {
		question := dns.Question{Name: t.At, Qtype: qtype, Qclass: dns.ClassINET}
		m, server, end, detail := r.askFor(ctx, question, o, servers)
		if end == EndFailed {
			question.Qtype = dns.TypeCNAME
			if alone, server, _, _ := r.askFor(ctx, question, o, servers); alone != nil {
				aliases, _ := answered(alone, dns.TypeCNAME)
				if t.pass(aliases[t.At], server) {
					return t
				}
			}
			if t.At != question.Name {
				continue
			}
		}
		if m == nil {
			t.End, t.Detail = end, detail
			return t
		}
		if isDone := t.follow(m, server, qtype); isDone {
			return t
		}
	}
}

// askFor asks the servers in order, as often as the options say, until one gives an answer that can be believed. Without a
// message the end and the detail say what was wrong.
func (r *Resolver) askFor(ctx context.Context, question dns.Question, o *Options, servers []netip.AddrPort) (*dns.Msg, netip.AddrPort, End, string) {
	failures, end := make([]string, len(servers)), EndTimeout
	for range o.Attempts {
		for i, server := range servers {
			q := query{server: server, question: question, timeout: o.Timeout}
			m, err := r.exchange(ctx, q)
			if ctx.Err() != nil {
				return nil, server, EndTimeout, fmt.Sprintf("no answer from %v before the time for the whole chain was over", server)
			}
			failure, result := q.refusal(m, err)
			r.metrics.observe(result)
			if failure == "" {
				return m, server, EndAddresses, ""
			}
			failures[i] = failure
			if result != timeout {
				end = EndFailed
			}
		}
	}
	return nil, netip.AddrPort{}, end, strings.Join(failures, ", ")
}

// refusal says why a message is no answer, empty when it is one, and what it counts as.
func (q query) refusal(m *dns.Msg, err error) (string, result) {
	switch {
	case err != nil:
		return q.explain(err)
	case m.Rcode == dns.RcodeNameError:
		return "", nxdomain
	case m.Rcode != dns.RcodeSuccess:
		return rcode(m.Rcode) + " from " + q.server.String(), resultOf(m.Rcode)
	case !m.RecursionAvailable && !m.Authoritative:
		return fmt.Sprintf("no recursion by %v", q.server), refused
	case len(m.Answer) == 0:
		return "", empty
	default:
		return "", found
	}
}

// pass goes on by a CNAME record; nil is none. It reports whether it leads to no end.
func (t *Trail) pass(alias *dns.CNAME, server netip.AddrPort) (isEndless bool) {
	if alias == nil {
		return false
	}
	target := dns.CanonicalName(alias.Target)
	isSeen := target == t.At || slices.ContainsFunc(t.Links, func(l Link) bool { return l.Name == target })
	t.Links = append(t.Links, Link{t.At, "CNAME", target, seconds(alias)})
	t.At = target
	switch {
	case isSeen:
		t.End, t.Detail = EndLoop, fmt.Sprintf("CNAME records in a circle, from %v", server)
		return true
	case len(t.Links) == maxChain:
		t.End, t.Detail = EndTooLong, fmt.Sprintf("more than %d CNAME records, from %v", maxChain-1, server)
		return true
	default:
		return false
	}
}

// follow goes on through an answer about t.At. It reports whether that is the end.
func (t *Trail) follow(m *dns.Msg, server netip.AddrPort, qtype uint16) (isDone bool) {
	aliases, records := answered(m, qtype)
	start := t.At
	for len(records[t.At]) == 0 && aliases[t.At] != nil {
		if t.pass(aliases[t.At], server) {
			return true
		}
	}
	for _, rr := range records[t.At] {
		if a := address(rr); a.IsValid() {
			t.Links = append(t.Links, Link{t.At, dns.TypeToString[qtype], a.String(), seconds(rr)})
			t.End = EndAddresses
			isDone = true
		}
	}
	switch {
	case isDone:
	case len(records[t.At]) > 0:
		t.End, t.Detail = EndFailed, fmt.Sprintf("an address record without an address, from %v", server)
	case m.Rcode == dns.RcodeNameError:
		t.End, t.Detail = EndNoName, "NXDOMAIN from "+server.String()
	case t.At == start || hasNegative(m):
		t.End, t.Detail = EndNoData, fmt.Sprintf("no %s record from %v", dns.TypeToString[qtype], server)
	default:
		return false // the rest is to be asked for
	}
	return true
}

// hasNegative reports whether a message says that what it ends at has no such record: then it has a SOA record (RFC 2308
// section 2.2).
func hasNegative(m *dns.Msg) bool {
	return slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
}

// seconds is the TTL of a record. One with the highest bit set is zero (RFC 2181, section 8).
func seconds(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl <= 1<<31-1 {
		return ttl
	}
	return 0
}

// isApex reports whether a zone has the name, as far as that can be found out.
func (r *Resolver) isApex(ctx context.Context, name string, o *Options, servers []netip.AddrPort) bool {
	m, _, _, _ := r.askFor(ctx, dns.Question{Name: name, Qtype: dns.TypeSOA, Qclass: dns.ClassINET}, o, servers)
	return m != nil && slices.ContainsFunc(m.Answer, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeSOA && dns.CanonicalName(rr.Header().Name) == name
	})
}
