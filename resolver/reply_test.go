package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// message returns an answer of a recursive server with the records of its answer section, as a zone file has them.
func message(t testing.TB, records ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Response, m.RecursionAvailable = true, true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func asking(qtype uint16) query {
	return query{
		server:   netip.MustParseAddrPort("192.0.2.53:53"),
		question: dns.Question{Name: "www.example.net.", Qtype: qtype, Qclass: dns.ClassINET},
		timeout:  2 * time.Second,
	}
}

func TestReadAnswer(t *testing.T) {
	chain := func(n int) (records []string) {
		for i := range n {
			owner := fmt.Sprintf("c%d.example.net.", i)
			if i == 0 {
				owner = "www.example.net."
			}
			records = append(records, fmt.Sprintf("%s 60 CNAME c%d.example.net.", owner, i+1))
		}
		return append(records, fmt.Sprintf("c%d.example.net. 60 A 192.0.2.1", n))
	}
	const nothing = "none: no address from 192.0.2.53:53 (empty)"
	for _, tt := range []struct {
		name    string
		qtype   uint16
		records []string
		change  func(*dns.Msg)
		want    string
	}{
		{"A", dns.TypeA, []string{"www.example.net. 60 A 192.0.2.2", "www.example.net. 30 A 192.0.2.1"}, nil, "[192.0.2.1 192.0.2.2] for 30s (found)"},
		{"AAAA", dns.TypeAAAA, []string{"www.example.net. 60 AAAA 2001:db8::1"}, nil, "[2001:db8::1] for 1m0s (found)"},
		{"in another case", dns.TypeA, []string{"WWW.Example.NET. 60 A 192.0.2.2"}, nil, "[192.0.2.2] for 1m0s (found)"},
		{"of another type", dns.TypeA, []string{"www.example.net. 60 AAAA 2001:db8::1"}, nil, nothing},
		{"of another name", dns.TypeA, []string{"ftp.example.net. 60 A 192.0.2.2"}, nil, nothing},
		{"of another class", dns.TypeA, []string{"www.example.net. 60 CH A 192.0.2.2"}, nil, nothing},
		{"chain", dns.TypeA, []string{"www.example.net. 20 CNAME Edge.example.com.", "edge.example.com. 10 CNAME e1.example.org.", "e1.example.org. 60 A 192.0.2.1"}, nil,
			"[192.0.2.1] for 10s (found)"},
		{"chain, shuffled", dns.TypeA, []string{"e1.example.org. 5 A 192.0.2.1", "edge.example.com. 10 CNAME e1.example.org.", "www.example.net. 20 CNAME edge.example.com."}, nil,
			"[192.0.2.1] for 5s (found)"},
		{"chain, with a stranger", dns.TypeA, []string{"www.example.net. 20 CNAME edge.example.com.", "www.example.com. 1 A 203.0.113.1", "edge.example.com. 60 A 192.0.2.1"}, nil,
			"[192.0.2.1] for 20s (found)"},
		{"chain to nothing", dns.TypeA, []string{"www.example.net. 20 CNAME edge.example.com."}, nil, nothing},
		{"chain broken off by an authoritative server", dns.TypeA, []string{"www.example.net. 20 CNAME edge.example.com."},
			func(m *dns.Msg) { m.RecursionAvailable, m.Authoritative = false, true }, "failed: no recursion by 192.0.2.53:53 (refused)"},
		{"longest chain", dns.TypeA, chain(16), nil, "[192.0.2.1] for 1m0s (found)"},
		{"longer chain", dns.TypeA, chain(17), nil, "failed: CNAME chain without an end from 192.0.2.53:53 (malformed)"},
		{"ring", dns.TypeA, []string{"www.example.net. 20 CNAME edge.example.com.", "edge.example.com. 20 CNAME www.example.net."}, nil,
			"failed: CNAME chain without an end from 192.0.2.53:53 (malformed)"},
		{"alias and address", dns.TypeA, []string{"www.example.net. 20 CNAME edge.example.com.", "www.example.net. 60 A 192.0.2.1"}, nil, "[192.0.2.1] for 1m0s (found)"},
		{"nothing", dns.TypeA, nil, nil, nothing},
		{"nothing, by an authoritative server", dns.TypeA, nil, func(m *dns.Msg) { m.RecursionAvailable, m.Authoritative = false, true }, nothing},
		{"referral", dns.TypeA, nil, func(m *dns.Msg) { m.RecursionAvailable = false }, "failed: no recursion by 192.0.2.53:53 (refused)"},
		{"blocked", dns.TypeA, []string{"www.example.net. 60 A 0.0.0.0"}, nil, "failed: no usable address (0.0.0.0) from 192.0.2.53:53 (malformed)"},
		{"some unusable", dns.TypeAAAA, []string{"www.example.net. 60 AAAA fe80::1", "www.example.net. 60 AAAA 2001:db8::1"}, nil, "[2001:db8::1] for 1m0s (found)"},
		{"TTL above 2^31-1", dns.TypeA, []string{"www.example.net. 4294967295 A 192.0.2.1"}, nil, "[192.0.2.1] for 0s (found)"},
		{"NXDOMAIN", dns.TypeA, nil, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, "none: NXDOMAIN from 192.0.2.53:53 (nxdomain)"},
		{"chain to NXDOMAIN", dns.TypeA, []string{"www.example.net. 20 CNAME edge.example.com."}, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError },
			"none: NXDOMAIN from 192.0.2.53:53 (nxdomain)"},
		{"SERVFAIL", dns.TypeA, nil, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, "failed: SERVFAIL from 192.0.2.53:53 (servfail)"},
		{"REFUSED", dns.TypeA, nil, func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, "failed: REFUSED from 192.0.2.53:53 (refused)"},
		{"NOTAUTH", dns.TypeA, nil, func(m *dns.Msg) { m.Rcode = dns.RcodeNotAuth }, "failed: NOTAUTH from 192.0.2.53:53 (failed)"},
		{"a code of nobody", dns.TypeA, nil, func(m *dns.Msg) { m.Rcode = 4000 }, "failed: RCODE 4000 from 192.0.2.53:53 (failed)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := message(t, tt.records...)
			if tt.change != nil {
				tt.change(m)
			}
			if got := asking(tt.qtype).read(m, nil).String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// String writes a reply as the tables of tests do.
func (r reply) String() string {
	switch {
	case r.failed != "":
		return fmt.Sprintf("failed: %s (%s)", r.failed, r.result)
	case r.none != "":
		return fmt.Sprintf("none: %s (%s)", r.none, r.result)
	default:
		return fmt.Sprintf("%v for %v (%s)", r.addrs, r.ttl, r.result)
	}
}

// FuzzRead reads whatever a server may send.
func FuzzRead(f *testing.F) {
	for _, records := range [][]string{
		nil,
		{"www.example.net. 60 A 192.0.2.2", "www.example.net. 30 A 192.0.2.1"},
		{"www.example.net. 60 AAAA 2001:db8::1", "www.example.net. 60 AAAA ::"},
		{"www.example.net. 20 CNAME edge.example.com.", "edge.example.com. 20 CNAME www.example.net."},
		{"www.example.net. 20 CNAME edge.example.com.", "edge.example.com. 10 A 192.0.2.1"},
	} {
		m := message(f, records...)
		m.Question = []dns.Question{asking(dns.TypeA).question}
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, false)
		f.Add(packet, true)
	}
	f.Fuzz(func(t *testing.T, packet []byte, six bool) {
		q := asking(dns.TypeA)
		if six {
			q = asking(dns.TypeAAAA)
		}
		asked := new(dns.Msg)
		asked.Question = []dns.Question{q.question}
		m := new(dns.Msg)
		unpacked := m.Unpack(packet)
		asked.Id = m.Id
		judged, err := judge(asked, m, unpacked)
		if (judged == nil) == (err == nil) {
			t.Fatalf("%v, %v", judged, err)
		}
		r := q.read(judged, err)
		set := 0
		for _, is := range []bool{len(r.addrs) > 0, r.none != "", r.failed != ""} {
			if is {
				set++
			}
		}
		if set != 1 || !slices.Contains(results(), r.result) {
			t.Fatalf("%+v", r)
		}
		if len(r.addrs) > maxAddrs || !slices.IsSortedFunc(r.addrs, netip.Addr.Compare) || r.ttl < 0 || r.ttl > (1<<31-1)*time.Second {
			t.Fatalf("%+v", r)
		}
		for i, a := range r.addrs {
			held := slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == q.question.Qtype && address(rr) == a })
			if a.Is6() != six || !usable(a) || i > 0 && a == r.addrs[i-1] || !held {
				t.Fatalf("%v of %v", a, r.addrs)
			}
		}
	})
}
