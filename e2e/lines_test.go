//go:build e2e

package e2e

import (
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// subnetText finds the client subnet in what dig and kdig print: address/source/scope.
var subnetText = regexp.MustCompile(`CLIENT-SUBNET: (\S+)/(\d+)/(\d+)`)

// TestLines asks gtmd with client subnets. The scope is the widest prefix around the client in which every address gets
// the same policy: "east" is 127.1.0.0/16 and "office", inside it, 127.1.2.0/24.
func TestLines(t *testing.T) {
	programs := need(t, "dig", "kdig")
	l := newLab(t, shop)
	l.configureChain(t)
	startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startGTMD(t)
	for _, row := range []struct {
		name, subnet, want string
		scope              int
	}{
		{"lines.gtm.test", "127.1.2.0/24", "127.0.0.23", 24},           // office
		{"lines.gtm.test", "127.1.2.77/32", "127.0.0.23", 24},          // a client of it
		{"lines.gtm.test", "127.1.3.0/24", "127.0.0.22", 24},           // east, next to office
		{"lines.gtm.test", "127.1.0.0/24", "127.0.0.22", 23},           // east, 127.1.0.0/23 has no office
		{"lines.gtm.test", "127.1.128.0/24", "127.0.0.22", 17},         // east, the half without office
		{"lines.gtm.test", "127.0.0.0/24", "127.0.0.21", 16},           // everybody, next to east
		{"lines.gtm.test", "192.0.2.0/24", "127.0.0.21", 1},            // everybody, the upper half of IPv4
		{"lines.gtm.test", "8000::/56", "127.0.0.21", 1},               // no line has IPv6, but 0 would mean IPv4 too
		{"lines.gtm.test", "2001:db8::/56", "127.0.0.21", 21},          // beside Teredo, 2001::/32, whose clients have an IPv4 address
		{"lines.gtm.test", "2002:7f01:205::/48", "127.0.0.23", 40},     // office, 6to4: 16 bits and 24
		{"lines.gtm.test", "64:ff9b::7f01:305/128", "127.0.0.22", 120}, // east, next to office, NAT64: 96 bits and 24
		{"origin.gtm.test", "127.1.2.0/24", "127.0.0.2", 0},            // one policy for all
		{"ns1.gtm.test", "127.1.2.0/24", "127.0.0.10", 0},              // no access domain
		{"lines.gtm.test", "127.1.0.0/16", "127.0.0.22", 23},           // wider than any answer
		{"lines.gtm.test", "127.1.129.3/32", "127.0.0.22", 17},         // wider than the client's prefix
		{"lines.gtm.test", "126.255.255.0/24", "127.0.0.21", 8},        // everybody, below 127/8
		{"lines.gtm.test", "127.128.0.0/24", "127.0.0.21", 9},          // everybody
		{"lines.gtm.test", "127.2.0.0/15", "127.0.0.21", 15},           // everybody, above east
	} {
		for _, program := range []string{"dig", "kdig"} {
			out, err := exec.Command(programs[program], "@"+gtmdIP, "-p", portOf(l.GTMD), row.name, "A", "+subnet="+row.subnet).CombinedOutput()
			if err != nil {
				t.Errorf("%s %s +subnet=%s: %v\n%s", program, row.name, row.subnet, err, out)
				continue
			}
			m := subnetText.FindStringSubmatch(string(out))
			prefix := netip.MustParsePrefix(row.subnet).Masked()
			answer := regexp.MustCompile(`(?m)\sIN\s+A\s+` + regexp.QuoteMeta(row.want) + `$`).Match(out)
			if m == nil || !answer || m[1] != prefix.Addr().String() || m[2] != strconv.Itoa(prefix.Bits()) || m[3] != strconv.Itoa(row.scope) {
				t.Errorf("%s %s +subnet=%s: want %s and client subnet %s/%d:\n%s", program, row.name, row.subnet, row.want, prefix, row.scope, out)
			}
		}
	}
}

// testLinesThroughCache has clients of different lines ask one cache: each gets the answer of its line, the second time
// from the cache, which then asks gtmd for nothing. The resolver sends the client's /24.
func (c *chain) testLinesThroughCache(t *testing.T) {
	if !c.subnets {
		t.Skip("this unbound has no subnetcache module")
	}
	count := func() float64 { return c.metric(t, "gtmd_answers_total", `instance="lines"`) }
	const isNew, isCached = 1, 0
	for _, row := range []struct {
		client, want string
		queries      float64
	}{
		{"127.1.2.5", "127.0.0.23", isNew},    // office
		{"127.1.3.5", "127.0.0.22", isNew},    // east, next to office
		{"127.0.0.5", "127.0.0.21", isNew},    // everybody
		{"127.1.2.9", "127.0.0.23", isCached}, // the same /24
		{"127.1.3.9", "127.0.0.22", isCached},
		{"127.0.0.9", "127.0.0.21", isCached},
		{"127.1.200.1", "127.0.0.22", isNew},    // east, in the half without office: scope 17
		{"127.1.130.1", "127.0.0.22", isCached}, // another /24 in it
		{"127.1.2.5", "127.0.0.23", isCached},   // the narrower answers are still there
		{"127.0.77.1", "127.0.0.21", isCached},  // scope 16 of everybody
	} {
		before := count()
		got := askFrom(t, row.client, "", c.Resolver, "lines.gtm.test")
		if asked := count() - before; got != row.want || asked != row.queries {
			t.Errorf("client %s got %s, gtmd was asked %v times; want %s and %v", row.client, got, asked, row.want, row.queries)
		}
	}
	// Clients may also send a subnet of their own, as a resolver behind a resolver does.
	for _, row := range []struct{ subnet, want string }{
		{"127.1.2.0/24", "127.0.0.23"}, {"127.1.99.0/24", "127.0.0.22"}, {"198.51.100.0/24", "127.0.0.21"},
		{"127.1.2.0/24", "127.0.0.23"}, {"127.1.99.0/24", "127.0.0.22"}, {"198.51.100.0/24", "127.0.0.21"},
	} {
		if got := askFrom(t, "127.0.0.1", row.subnet, c.Resolver, "lines.gtm.test"); got != row.want {
			t.Errorf("client subnet %s got %s, want %s", row.subnet, got, row.want)
		}
	}
}

// askFrom asks from an address of a client, with a client subnet unless it is empty, and returns the addresses answered.
func askFrom(t *testing.T, client, subnet, server, name string) string {
	t.Helper()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	if subnet != "" {
		prefix := netip.MustParsePrefix(subnet)
		q.SetEdns0(1232, false)
		q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_SUBNET{
			Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(prefix.Bits()), Address: prefix.Addr().AsSlice(),
		})
	}
	c := dns.Client{Timeout: 5 * time.Second, Dialer: dialerFrom(client)}
	m, _, err := c.Exchange(q, server)
	if err != nil {
		t.Fatalf("ask from %s: %v", client, err)
	}
	return strings.Join(addresses(m), " ")
}
