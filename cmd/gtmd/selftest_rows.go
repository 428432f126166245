package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// selftestRow is one question, and what its reply should be.
type selftestRow struct {
	check, rfc string // the RFC with its section
	only       string // "udp" or "tcp"; empty: both
	// packet makes the query; nil: it cannot be asked, because of skip.
	packet func() ([]byte, error)
	skip   string
	// verify says what is wrong with a reply, which answers the query; isSilent: there should be none.
	verify   func(reply *dns.Msg, raw []byte) error
	isSilent bool
}

// query is a question without EDNS and without any flag.
func query(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.RecursionDesired = false
	return m
}

// asked is a query after some changes.
func asked(name string, qtype uint16, change ...func(*dns.Msg)) func() ([]byte, error) {
	return func() ([]byte, error) {
		m := query(name, qtype)
		for _, c := range change {
			c(m)
		}
		return m.Pack()
	}
}

// edns adds an OPT record.
func edns(version uint8, flags uint16, options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) {
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232, Ttl: uint32(version)<<16 | uint32(flags)}, Option: options}
		m.Extra = append(m.Extra, o)
	}
}

const doFlag = 0x8000

// verdicts joins what is to be said of a reply.
func verdicts(all ...func(*dns.Msg) error) func(*dns.Msg, []byte) error {
	return func(m *dns.Msg, _ []byte) error {
		for _, verdict := range all {
			if err := verdict(m); err != nil {
				return err
			}
		}
		return nil
	}
}

func hasRCode(want ...int) func(*dns.Msg) error {
	return func(m *dns.Msg) error {
		got := m.Rcode
		if o := m.IsEdns0(); o != nil {
			got |= o.ExtendedRcode() &^ 0xf
		}
		var names []string
		for _, w := range want {
			if got == w {
				return nil
			}
			names = append(names, dns.RcodeToString[w])
		}
		return fmt.Errorf("response code %s, want %s", dns.RcodeToString[got], strings.Join(names, " or "))
	}
}

// hasSOA wants the SOA record of the zone as the authoritative answer.
func hasSOA(zone string) func(*dns.Msg) error {
	return func(m *dns.Msg) error {
		switch {
		case len(m.Answer) != 1 || m.Answer[0].Header().Rrtype != dns.TypeSOA || !strings.EqualFold(m.Answer[0].Header().Name, zone):
			return fmt.Errorf("an answer of %d records, want the SOA record of %s", len(m.Answer), zone)
		case !m.Authoritative:
			return errors.New("an answer without the flag AA")
		}
		return nil
	}
}

// hasNothing wants an authoritative answer without records, with the SOA record of the zone to keep it by.
func hasNothing(m *dns.Msg) error {
	switch {
	case len(m.Answer) > 0:
		return fmt.Errorf("%d records, want none", len(m.Answer))
	case !m.Authoritative:
		return errors.New("an answer without the flag AA")
	case len(m.Ns) != 1 || m.Ns[0].Header().Rrtype != dns.TypeSOA:
		return errors.New("no SOA record in the authority section")
	}
	return nil
}

func isAuthoritative(m *dns.Msg) error {
	if !m.Authoritative {
		return errors.New("an answer without the flag AA")
	}
	return nil
}

func hasRecords(m *dns.Msg) error {
	if len(m.Answer) == 0 {
		return errors.New("no record, want one at least")
	}
	return nil
}

func isEmpty(m *dns.Msg) error {
	if n := len(m.Answer) + len(m.Ns); n > 0 {
		return fmt.Errorf("%d records, want none", n)
	}
	return nil
}

// hasFlags wants the flags to be clear that a reply has no use for, and RD as it was asked.
func hasFlags(rd bool) func(*dns.Msg) error {
	return func(m *dns.Msg) error {
		switch {
		case m.Zero:
			return errors.New("the reserved flag Z is set")
		case m.AuthenticatedData:
			return errors.New("the flag AD is set, and nothing was validated")
		case m.RecursionAvailable:
			return errors.New("the flag RA is set: it offers recursion")
		case m.RecursionDesired != rd:
			return errors.New("the flag RD is not copied from the query")
		}
		return nil
	}
}

func hasNoEDNS(m *dns.Msg) error {
	if m.IsEdns0() != nil {
		return errors.New("an OPT record that nobody asked for")
	}
	return nil
}

// hasEDNS wants an OPT record of version 0 with these flags, and no option but those that are allowed.
func hasEDNS(flags uint16, options ...uint16) func(*dns.Msg) error {
	return func(m *dns.Msg) error {
		o := m.IsEdns0()
		switch {
		case o == nil:
			return errors.New("no OPT record")
		case o.Version() != 0:
			return fmt.Errorf("EDNS version %d, want 0", o.Version())
		case uint16(o.Hdr.Ttl) != flags:
			return fmt.Errorf("EDNS flags %#04x, want %#04x", uint16(o.Hdr.Ttl), flags)
		}
		for _, option := range o.Option {
			isAllowed := option.Option() == dns.EDNS0EDE
			for _, code := range options {
				isAllowed = isAllowed || option.Option() == code
			}
			if !isAllowed {
				return fmt.Errorf("the EDNS option %d, which is not known or was not asked for", option.Option())
			}
		}
		return nil
	}
}

// hasSubnet wants the client subnet of the query back, with a scope (RFC 7871 section 7.2.1).
func hasSubnet(want netip.Prefix) func(*dns.Msg) error {
	return func(m *dns.Msg) error {
		if o := m.IsEdns0(); o != nil {
			for _, option := range o.Option {
				s, is := option.(*dns.EDNS0_SUBNET)
				if !is {
					continue
				}
				if got := fmt.Sprintf("%s/%d", s.Address, s.SourceNetmask); got != want.String() || int(s.SourceScope) > want.Addr().BitLen() {
					return fmt.Errorf("the client subnet %s with scope %d, want %s back", got, s.SourceScope, want)
				}
				return nil
			}
		}
		return errors.New("no client subnet: the server does not look at it, so every client of a resolver gets the same")
	}
}

// selftestRows is everything that is asked. The sections of RFC 8906 are those of its tests. large is a question whose answer has more
// than 512 octets; nil: none is known.
func selftestRows(zone, name string, large *dns.Question) []selftestRow {
	soa, noError := hasSOA(zone), hasRCode(dns.RcodeSuccess)
	plain := verdicts(noError, soa, hasFlags(false), hasNoEDNS)
	badVersion := func(flags uint16) func(*dns.Msg, []byte) error {
		return verdicts(hasRCode(dns.RcodeBadVers), isEmpty, hasEDNS(flags))
	}
	unknown := &dns.EDNS0_LOCAL{Code: 100, Data: []byte("gtmd")}
	missing := "gtmd-selftest-no-such-name." + strings.TrimPrefix(zone, ".")
	rows := []selftestRow{
		{check: "plain query", rfc: "8906 8.1.1", packet: asked(zone, dns.TypeSOA), verify: plain},
		{check: "unknown type", rfc: "8906 8.1.2", packet: asked(zone, 1000), verify: verdicts(noError, hasNothing, hasNoEDNS)},
		{check: "flag CD", rfc: "8906 8.1.3.1", packet: asked(zone, dns.TypeSOA, func(m *dns.Msg) { m.CheckingDisabled = true }), verify: verdicts(noError, soa, hasFlags(false))},
		{check: "flag AD", rfc: "8906 8.1.3.2", packet: asked(zone, dns.TypeSOA, func(m *dns.Msg) { m.AuthenticatedData = true }), verify: plain},
		{check: "reserved flag", rfc: "8906 8.1.3.3", packet: asked(zone, dns.TypeSOA, func(m *dns.Msg) { m.Zero = true }), verify: plain},
		{check: "flag RD", rfc: "8906 8.1.3.4", packet: asked(zone, dns.TypeSOA, func(m *dns.Msg) { m.RecursionDesired = true }), verify: verdicts(noError, soa, hasFlags(true))},
		{check: "unknown opcode", rfc: "8906 8.1.4", packet: func() ([]byte, error) {
			return (&dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id(), Opcode: 15}}).Pack()
		}, verify: verdicts(hasRCode(dns.RcodeNotImplemented), isEmpty)},
		{check: "EDNS", rfc: "8906 8.2.1", packet: asked(zone, dns.TypeSOA, edns(0, 0)), verify: verdicts(noError, soa, hasFlags(false), hasEDNS(0))},
		{check: "EDNS version 1", rfc: "8906 8.2.2", packet: asked(zone, dns.TypeSOA, edns(1, 0)), verify: badVersion(0)},
		{check: "unknown EDNS option", rfc: "8906 8.2.3", packet: asked(zone, dns.TypeSOA, edns(0, 0, unknown)), verify: verdicts(noError, soa, hasEDNS(0))},
		{check: "unknown EDNS flag", rfc: "8906 8.2.4", packet: asked(zone, dns.TypeSOA, edns(0, 0x40)), verify: verdicts(noError, soa, hasEDNS(0))},
		{check: "EDNS version 1, unknown flag", rfc: "8906 8.2.5", packet: asked(zone, dns.TypeSOA, edns(1, 0x40)), verify: badVersion(0)},
		{check: "EDNS version 1, unknown option", rfc: "8906 8.2.6", packet: asked(zone, dns.TypeSOA, edns(1, 0, unknown)), verify: badVersion(0)},
		{check: "DO", rfc: "8906 8.2.8", packet: asked(zone, dns.TypeSOA, edns(0, doFlag)), verify: verdicts(noError, isAuthoritative, hasEDNS(doFlag))},
		{check: "EDNS version 1, DO", rfc: "8906 8.2.9", packet: asked(zone, dns.TypeSOA, edns(1, doFlag)), verify: verdicts(hasRCode(dns.RcodeBadVers), isEmpty)},
		{check: "several EDNS options", rfc: "8906 8.2.10", packet: asked(zone, dns.TypeSOA, edns(0, 0, &dns.EDNS0_NSID{}, &dns.EDNS0_EXPIRE{Empty: true},
			&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})),
			verify: verdicts(noError, soa, hasEDNS(0, dns.EDNS0NSID, dns.EDNS0EXPIRE, dns.EDNS0COOKIE))},
		{check: "no such record", rfc: "2308 2.2", packet: asked(zone, dns.TypeNULL), verify: verdicts(noError, hasNothing)},
		{check: "no such name", rfc: "2308 2.1", packet: asked(missing, dns.TypeNULL), verify: verdicts(hasRCode(dns.RcodeNameError, dns.RcodeSuccess), hasNothing)}, // a wildcard may be there
		{check: "other class", rfc: "6895 3.2", packet: asked(zone, dns.TypeSOA, func(m *dns.Msg) { m.Question[0].Qclass = 100 }),
			verify: verdicts(hasRCode(dns.RcodeRefused, dns.RcodeNotImplemented, dns.RcodeNotAuth), isEmpty)},
		{check: "name of another zone", rfc: "8906 7", packet: asked("gtmd-selftest.invalid.", dns.TypeA), verify: verdicts(hasRCode(dns.RcodeRefused), isEmpty)},
		{check: "case of the name", rfc: "4343 4.1", packet: asked(mixed(zone), dns.TypeSOA), verify: func(m *dns.Msg, raw []byte) error {
			if len(m.Question) != 1 || m.Question[0].Name != mixed(zone) {
				return errors.New("the name of the question is not as it was asked")
			}
			return plain(m, raw)
		}},
		{check: "type ANY", rfc: "8482 4", packet: asked(zone, dns.TypeANY), verify: verdicts(noError, isAuthoritative, hasRecords)},
		{check: "two questions", rfc: "9619 4", packet: asked(zone, dns.TypeSOA, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
			verify: verdicts(hasRCode(dns.RcodeFormatError), isEmpty)},
		{check: "a message cut short", rfc: "1035 4.1.1", packet: cutShort(zone), verify: func(m *dns.Msg, _ []byte) error { return hasRCode(dns.RcodeFormatError)(m) }},
		{check: "a response", rfc: "8906 3.1.1", only: "udp", isSilent: true, packet: asked(zone, dns.TypeSOA, func(m *dns.Msg) { m.Response = true })},
		{check: "client subnet", rfc: "7871 7.2.1", packet: asked(name, dns.TypeA, edns(0, 0, subnet(documentation))), verify: verdicts(noError, isAuthoritative, hasSubnet(documentation))},
		{check: "client subnet of IPv6", rfc: "7871 7.2.1", packet: asked(name, dns.TypeA, edns(0, 0, subnet(documentation6))), verify: verdicts(noError, isAuthoritative, hasSubnet(documentation6))},
		{check: "TTL of an answer", rfc: "2181 8", packet: asked(name, dns.TypeA), verify: verdicts(noError, isAuthoritative, hasEvenTTLs)},
	}
	rows = append(rows, largeRows(large)...)
	for i := range rows {
		if name == "" && (strings.HasPrefix(rows[i].check, "client subnet") || strings.HasPrefix(rows[i].check, "TTL")) {
			rows[i].packet, rows[i].skip = nil, "no access domain is known: name one with --name"
		}
	}
	return rows
}

// largeRows ask for an answer that is too large for UDP without EDNS (RFC 1035 section 4.2.1).
func largeRows(large *dns.Question) []selftestRow {
	udp := selftestRow{check: "answer of more than 512 octets", rfc: "8906 8.2.7", only: "udp", skip: "no answer of this zone is known to have as many"}
	tcp := udp
	tcp.only = "tcp"
	if large == nil {
		return []selftestRow{udp, tcp}
	}
	udp.packet = asked(large.Name, large.Qtype)
	udp.verify = func(m *dns.Msg, raw []byte) error {
		switch {
		case len(raw) > dns.MinMsgSize:
			return fmt.Errorf("a reply of %d octets, and without EDNS there may be 512", len(raw))
		case !m.Truncated:
			return errors.New("a part of the answer, without the flag TC")
		}
		return nil
	}
	tcp.packet = udp.packet
	tcp.verify = func(m *dns.Msg, raw []byte) error {
		if len(raw) <= dns.MinMsgSize || m.Truncated {
			return fmt.Errorf("a part of the answer over TCP: %d octets", len(raw))
		}
		return nil
	}
	return []selftestRow{udp, tcp}
}

// The networks of RFC 5737 and RFC 3849.
var (
	documentation  = netip.MustParsePrefix("198.51.100.0/24")
	documentation6 = netip.MustParsePrefix("2001:db8::/48")
)

func subnet(p netip.Prefix) dns.EDNS0 {
	family := uint16(1)
	if p.Addr().Is6() {
		family = 2
	}
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()}
}

// mixed is a name in small and large letters by turns.
func mixed(name string) string {
	b := []byte(name)
	for i := range b {
		if i%2 == 0 {
			b[i] = bytes.ToUpper(b[i : i+1])[0]
		}
	}
	return string(b)
}

// cutShort is a query whose last octets are missing.
func cutShort(zone string) func() ([]byte, error) {
	return func() ([]byte, error) {
		packet, err := query(zone, dns.TypeSOA).Pack()
		if err != nil {
			return nil, err
		}
		binary.BigEndian.PutUint16(packet[4:], 1)
		return packet[:len(packet)-3], nil
	}
}

// hasEvenTTLs wants one TTL for the records of a set (RFC 2181 section 5.2), below 2^31.
func hasEvenTTLs(m *dns.Msg) error {
	for _, rr := range m.Answer {
		switch ttl := rr.Header().Ttl; {
		case ttl != m.Answer[0].Header().Ttl:
			return fmt.Errorf("records with the TTLs %d and %d in one set", m.Answer[0].Header().Ttl, ttl)
		case ttl >= 1<<31:
			return fmt.Errorf("a TTL of %d", ttl)
		}
	}
	return nil
}
