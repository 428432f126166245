package node_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestDomainSets(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	n := s.start(header, `
[[pool]]
name = "test1"
type = "ipv4"
health_check = "web"
addresses = ["$0"]
[[pool]]
name = "test2"
type = "domain"
addresses = ["origin.elsewhere.test"]
`, instance)
	equal(t, "in force", inForce(n, 0), "primary, normal")
	equal(t, "A", answer(n, dns.TypeA, ""), s.origins[0].String())
	equal(t, "AAAA", answer(n, dns.TypeAAAA, ""), "NODATA")
	s.origins[0].stop()
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeHTTPS} {
		eventually(t, "origin.elsewhere.test.", func() string { return answer(n, qtype, "") })
	}
	equal(t, "switch", lastSwitch(n), "cdn-origin Global both: primary -> backup, failover")
	equal(t, "family", n.Status().Instances[0].Policies[0].Family, "both")
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	o := &origin{t: t, address: netip.AddrPortFrom(netip.IPv6Loopback(), s.origins[0].address.Port())}
	o.start()
	n := s.start(header, pools, `
[[pool]]
name = "six1"
type = "ipv6"
health_check = "web"
addresses = ["::1"]
[[pool]]
name = "six2"
type = "ipv6"
addresses = [{ address = "2001:db8::2", mode = "online" }]
`, strings.NewReplacer(`["test1"]`, `["test1", "six1"]`, `["test2"]`, `["test2", "six2"]`).Replace(instance))
	equal(t, "A", answer(n, dns.TypeA, ""), s.origins[0].String())
	equal(t, "AAAA", answer(n, dns.TypeAAAA, ""), "::1")
	// Each family is decided on its own.
	o.stop()
	eventually(t, "2001:db8::2", func() string { return answer(n, dns.TypeAAAA, "") })
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv6: primary -> backup, failover")
	equal(t, "A", answer(n, dns.TypeA, ""), s.origins[0].String())
	equal(t, "in force", inForce(n, 0)+"; "+inForce(n, 1), "primary, normal; backup, failover")
}

func TestCustomLine(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, `
[[geo.line]]
name = "office"
prefixes = ["198.51.100.0/24", "2001:db8:1::/48"]
`, instance, `
[[instance.policy]]
name = "Office"
sources = ["office"]
primary = { pools = ["test2"] }
`)
	for _, row := range []struct {
		subnet string
		origin int
		scope  uint8
	}{
		{"198.51.100.0/24", 1, 24},
		{"198.51.100.7/32", 1, 24},
		{"198.51.101.0/24", 0, 24}, // 198.51.100.0/23 holds both policies
		{"198.51.102.0/24", 0, 23},
		{"10.0.0.0/8", 0, 1},
		{"2001:db8:1:2::/64", 1, 48},
		{"2001:db8:2::/48", 0, 47},
	} {
		equal(t, row.subnet, answer(n, dns.TypeA, row.subnet), s.origins[row.origin].String())
		reply, err := ask(n, name, dns.TypeA, row.subnet)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "scope of "+row.subnet, reply.IsEdns0().Option[0].(*dns.EDNS0_SUBNET).SourceScope, row.scope)
	}
	reply, err := ask(n, name, dns.TypeA, "")
	if err != nil {
		t.Fatal(err)
	}
	if reply.IsEdns0() != nil {
		t.Errorf("there is EDNS in the reply to a query without: %v", reply)
	}
}

func TestStaticNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	for _, row := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"gtm.test.", dns.TypeNS, "gtm.test.\t3600\tIN\tNS\tns.example.net."},
		{"none.gtm.test.", dns.TypeA, "NXDOMAIN"},
		{"example.org.", dns.TypeA, "REFUSED"},
		{"ORIGIN.gtm.TEST.", dns.TypeTXT, "NODATA"},
	} {
		equal(t, row.name, answerFor(n, row.name, row.qtype, ""), row.want)
	}
}
