package querylog

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// line is an entry as people and jq read it. docs/querylog.md explains the keys.
type line struct {
	Time      string   `json:"time"`
	Client    string   `json:"client"`
	Port      uint16   `json:"port,omitempty"`
	Server    string   `json:"server,omitempty"`
	Transport string   `json:"transport"`
	Name      string   `json:"name,omitempty"`
	Type      string   `json:"type,omitempty"`
	Class     string   `json:"class,omitempty"` // when it is not IN
	RCode     string   `json:"rcode"`
	Flags     string   `json:"flags,omitempty"`
	Size      int      `json:"size"`
	ECS       string   `json:"ecs,omitempty"`
	Scope     *uint8   `json:"scope,omitempty"`
	TTL       *uint32  `json:"ttl,omitempty"`
	Answers   []string `json:"answers,omitempty"`
	Cut       bool     `json:"cut,omitempty"`
	*origin
}

// origin is where the answer of an access domain came from.
type origin struct {
	Instance    string `json:"instance"`
	Family      string `json:"family"`
	Policy      string `json:"policy,omitempty"`
	Line        string `json:"line,omitempty"`
	FellThrough string `json:"fell_through,omitempty"`
	Set         string `json:"set,omitempty"`
	Why         string `json:"why,omitempty"`
}

// originOf is the origin of a slot's answer; nil when no access policy decided.
func originOf(s *slot) *origin {
	o, decided := s.hit.Origin()
	if !decided {
		return nil
	}
	return &origin{
		Instance: o.Instance, Family: o.Family.String(), Policy: o.Policy, Line: o.Line, FellThrough: o.FellThrough,
		Set: o.Set, Why: string(o.Why),
	}
}

// jsonLine is the line of a slot, with its end.
func jsonLine(s *slot, anonymize bool) []byte {
	l := line{
		Time: s.at.UTC().Format(time.RFC3339Nano), Client: cut(s.client.Addr(), anonymize).String(), Port: s.client.Port(),
		Transport: s.transport.String(), RCode: rcodeName(s.rcode), Size: s.replyLen, Cut: s.isCut(), origin: originOf(s),
	}
	if isKnown(s.server) {
		l.Server = s.server.String()
	}
	m := new(dns.Msg)
	if err := m.Unpack(beginning(s)); err == nil {
		l.describe(m, anonymize)
	}
	text, _ := json.Marshal(l) // strings and numbers: it cannot fail
	return append(text, '\n')
}

// describe fills in what the reply tells.
func (l *line) describe(m *dns.Msg, anonymize bool) {
	var flags []string
	for _, flag := range []struct {
		name  string
		isSet bool
	}{{"aa", m.Authoritative}, {"tc", m.Truncated}, {"rd", m.RecursionDesired}} {
		if flag.isSet {
			flags = append(flags, flag.name)
		}
	}
	if len(m.Question) > 0 {
		q := m.Question[0]
		l.Name, l.Type = strings.ToLower(q.Name), dns.Type(q.Qtype).String()
		if q.Qclass != dns.ClassINET {
			l.Class = dns.Class(q.Qclass).String()
		}
	}
	for i, rr := range m.Answer {
		header := rr.Header()
		if i == 0 {
			l.TTL = &header.Ttl
		}
		data := strings.TrimPrefix(rr.String(), header.String())
		if name := dns.Type(header.Rrtype).String(); name != l.Type {
			data = name + " " + data
		}
		l.Answers = append(l.Answers, data)
	}
	if opt := m.IsEdns0(); opt != nil {
		if opt.Do() {
			flags = append(flags, "do")
		}
		for _, o := range opt.Option {
			if subnet, isSubnet := o.(*dns.EDNS0_SUBNET); isSubnet {
				l.ECS, l.Scope = subnetText(subnet, anonymize), &subnet.SourceScope
			}
		}
	}
	l.Flags = strings.Join(flags, " ")
}

// subnetText is the network of a client-subnet option.
func subnetText(subnet *dns.EDNS0_SUBNET, anonymize bool) string {
	address, _ := netip.AddrFromSlice(subnet.Address)
	if subnet.Family == 1 {
		address = address.Unmap()
	}
	if !address.IsValid() {
		return "" // family 0 (RFC 7871 section 7.1.2)
	}
	bits := int(subnet.SourceNetmask)
	if anonymize {
		bits = min(bits, anonymousBits(address))
	}
	prefix, _ := address.Prefix(bits)
	return prefix.String()
}

// cut is an address without what makes out a single client, when that is wanted.
func cut(address netip.Addr, anonymize bool) netip.Addr {
	if !anonymize || !address.IsValid() {
		return address
	}
	prefix, _ := address.Prefix(anonymousBits(address))
	return prefix.Addr()
}

// anonymousBits is how much of an address an anonymous log keeps: about a site.
func anonymousBits(address netip.Addr) int {
	if address.Is4() {
		return 24
	}
	return 48
}

// beginning is the reply, or when it is cut what can be read of it: header and question.
func beginning(s *slot) []byte {
	if s.isCut() && len(s.reply) >= 12 {
		clear(s.reply[6:12]) // the counts of answer, authority and additional section
	}
	return s.reply
}

// isKnown reports whether an address and port are those of a socket.
func isKnown(a netip.AddrPort) bool { return a.IsValid() && !a.Addr().IsUnspecified() }

// rcodeName is the name of a response code in the IANA registry.
func rcodeName(rcode uint16) string {
	if rcode == dns.RcodeBadVers {
		return "BADVERS" // the same number as BADSIG, which is not for the header
	}
	if name, known := dns.RcodeToString[int(rcode)]; known {
		return name
	}
	return fmt.Sprintf("RCODE%d", rcode)
}
