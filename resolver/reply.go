package resolver

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxChain bounds the CNAME records that are followed in one message.
const maxChain = 16

// reply is what came of asking for one family of a name. Of addrs, none and failed exactly one is set.
type reply struct {
	addrs  []netip.Addr  // As [tidy] returns them.
	ttl    time.Duration // Of the addresses, and of the CNAME chain that leads to them.
	none   string        // Why there certainly are no addresses: "NXDOMAIN from 127.0.0.53:53".
	failed string        // Why it is not known: "SERVFAIL from 127.0.0.53:53".
	result result        // For the metrics.
}

// read makes a reply of what [exchange] returned for q.
func (q query) read(m *dns.Msg, err error) reply {
	switch {
	case err != nil:
		text, result := q.explain(err)
		return reply{failed: text, result: result}
	case m.Rcode == dns.RcodeSuccess:
		return q.readAnswer(m)
	case m.Rcode == dns.RcodeNameError:
		return reply{none: "NXDOMAIN from " + q.server.String(), result: nxdomain}
	default:
		return reply{failed: rcode(m.Rcode) + " from " + q.server.String(), result: resultOf(m.Rcode)}
	}
}

// readAnswer follows the CNAME chain of a message that says NOERROR, and takes the addresses at its end. Records of any
// other name are not looked at.
func (q query) readAnswer(m *dns.Msg) reply {
	aliases, records := answered(m, q.question.Qtype)
	owner, shortest := dns.CanonicalName(q.question.Name), time.Duration(-1)
	links := 0
	for ; len(records[owner]) == 0 && aliases[owner] != nil; links++ {
		if links == maxChain {
			return reply{failed: fmt.Sprintf("CNAME chain without an end from %v", q.server), result: malformed}
		}
		shortest = shorter(shortest, aliases[owner].Hdr.Ttl)
		owner = dns.CanonicalName(aliases[owner].Target)
	}
	var addrs []netip.Addr
	for _, rr := range records[owner] {
		shortest = shorter(shortest, rr.Header().Ttl)
		if a := address(rr); a.IsValid() {
			addrs = append(addrs, a)
		}
	}
	good := tidy(addrs)
	switch {
	case len(good) > 0:
		return reply{addrs: good, ttl: shortest, result: found}
	case len(addrs) > 0:
		return reply{failed: fmt.Sprintf("no usable address (%v) from %v", addrs[0], q.server), result: malformed}
	case !m.RecursionAvailable && (!m.Authoritative || links > 0):
		return reply{failed: fmt.Sprintf("no recursion by %v", q.server), result: refused}
	default:
		return reply{none: "no address from " + q.server.String(), result: empty}
	}
}

// answered sorts an answer by owner: the first CNAME record of each, and the records of the type asked for.
func answered(m *dns.Msg, qtype uint16) (aliases map[string]*dns.CNAME, records map[string][]dns.RR) {
	aliases, records = make(map[string]*dns.CNAME), make(map[string][]dns.RR)
	for _, rr := range m.Answer {
		h := rr.Header()
		if h.Class != dns.ClassINET {
			continue
		}
		owner := dns.CanonicalName(h.Name)
		if c, ok := rr.(*dns.CNAME); ok && aliases[owner] == nil {
			aliases[owner] = c
		} else if h.Rrtype == qtype {
			records[owner] = append(records[owner], rr)
		}
	}
	return aliases, records
}

// shorter returns the shorter of a duration, if not negative, and the TTL of a record. One with the highest bit set is
// zero (RFC 2181, section 8).
func shorter(d time.Duration, ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		ttl = 0
	}
	other := time.Duration(ttl) * time.Second
	if d < 0 {
		return other
	}
	return min(d, other)
}

// address returns the address of an A or AAAA record, and the zero Addr when it has none, as with an RDLENGTH of zero.
func address(rr dns.RR) netip.Addr {
	switch rr := rr.(type) {
	case *dns.A:
		a, _ := netip.AddrFromSlice(rr.A.To4())
		return a
	case *dns.AAAA:
		a, _ := netip.AddrFromSlice(rr.AAAA)
		return a
	default:
		return netip.Addr{}
	}
}

// rcode returns the name of a response code, or its number when it has none.
func rcode(code int) string {
	if name := dns.RcodeToString[code]; name != "" {
		return strings.ToUpper(name)
	}
	return "RCODE " + strconv.Itoa(code)
}
