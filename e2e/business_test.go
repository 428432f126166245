//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gtmd/admin"
)

// businessInstance is an instance whose business domains lead, by nsd and unbound, to wherever; a second one, of no pools of
// its own, whose access domain is a name of the CDN.
const businessConfig = `
[dns]
listen = ["%[1]s"]
[admin]
listen = "%[2]s"
socket = "%[3]s"
[state]
dir = "state"
[resolver]
servers  = ["%[4]s"]
timeout  = "300ms"
attempts = 1
min_ttl  = "1s"
[business]
check_interval = "1s"
[[zone]]
name = "gtm.test"
nameservers = ["ns1.gtm.test"]
contact = "hostmaster@shop.test"
[[pool]]
name = "test1"
type = "ipv4"
addresses = ["127.0.0.2"]
[[instance]]
name = "cdn-origin"
access_domain = "origin.gtm.test"
business_domains = [%[5]s]
cdn_names = ["*.cdn.test"]
ttl = 1
  [[instance.policy]]
  name = "Global"
  sources = ["global"]
  primary = { pools = ["test1"] }
`

// businessZones are those that nsd has. A name of the CDN leads on to gtmd, another one to an edge.
var businessZones = map[string]string{
	"shop.test": `@ 1 SOA ns root 1 3600 600 86400 1
@ 1 NS ns
@ 1 A 127.0.0.12
ns 1 A 127.0.0.13
www 1 CNAME www.shop.test.cdn.test.
loop 1 CNAME loop.shop.test.cdn.test.
plain 1 A 127.0.0.2
circle 1 CNAME square
square 1 CNAME circle
parked 1 CNAME parking.cdn-of-others.test.
gone 1 CNAME gone.shop.test.cdn.test.
`,
	"cdn.test": `@ 1 SOA ns root 1 3600 600 86400 1
@ 1 NS ns
ns 1 A 127.0.0.13
www.shop.test 1 CNAME edge
edge 1 A 127.0.0.12
edge 1 AAAA ::1
loop.shop.test 1 CNAME origin.gtm.test.
`,
	"cdn-of-others.test": "@ 1 SOA ns root 1 3600 600 86400 1\n@ 1 NS ns\nns 1 A 127.0.0.13\nparking 1 A 127.0.0.66\n",
}

// business is gtmd with a resolver and an authority that are real.
type business struct {
	*lab
	nsd, unbound   *process
	unboundProgram string
	serial         int
}

// zone writes a zone of nsd, with further records.
func (b *business) zone(t *testing.T, name, more string) {
	b.serial++
	text := strings.Replace(businessZones[name], "root 1 ", fmt.Sprintf("root %d ", b.serial), 1)
	b.write(t, "nsd/"+name+".zone", "$ORIGIN "+name+".\n"+text+more)
}

func startBusiness(t *testing.T, domains string) *business {
	b := startNames(t, "")
	b.configure(t, domains)
	b.startGTMD(t)
	return b
}

// startNames starts nsd and unbound, with further records in the zone cdn-of-others.test.
func startNames(t *testing.T, more string) *business {
	programs := need(t, "unbound", "nsd")
	b := &business{lab: newLab(t, shop), unboundProgram: programs["unbound"]}
	nsd := fmt.Sprintf(`server:
    ip-address: %s
    port: %s
    username: ""
    zonesdir: %[3]s
    database: ""
    pidfile: %[3]s/nsd.pid
    xfrdfile: %[3]s/xfrd.state
    xfrdir: %[3]s
    zonelistfile: %[3]s/zone.list
    server-count: 1
remote-control:
    control-enable: no
`, authorityIP, portOf(b.Authority), filepath.Join(b.dir, "nsd"))
	resolver := fmt.Sprintf(`server:
    directory: "%[1]s"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    num-threads: 1
    interface: %[2]s
    outgoing-interface: %[3]s
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-not-query-localhost: no
    local-zone: "test." nodefault
    module-config: "iterator"
    cache-max-ttl: 1
    cache-max-negative-ttl: 1
remote-control:
    control-enable: no
stub-zone:
    name: "gtm.test."
    stub-addr: %[4]s
`, b.dir, at(b.Resolver), resolverIP, at(b.GTMD))
	for name := range businessZones {
		b.zone(t, name, map[string]string{"cdn-of-others.test": more}[name])
		nsd += fmt.Sprintf("zone:\n    name: %[1]s\n    zonefile: %[1]s.zone\n", name)
		resolver += fmt.Sprintf("stub-zone:\n    name: \"%s.\"\n    stub-addr: %s\n", name, at(b.Authority))
	}
	b.write(t, "unbound.conf", resolver)
	b.nsd = start(t, b.dir, programs["nsd"], "-d", "-c", b.write(t, "nsd/nsd.conf", nsd))
	b.answers(t, b.Authority, "plain.shop.test")
	b.resolve(t)
	return b
}

// resolve starts unbound.
func (b *business) resolve(t *testing.T) {
	b.unbound = start(t, b.dir, b.unboundProgram, "-d", "-c", filepath.Join(b.dir, "unbound.conf"))
	b.answers(t, b.Resolver, "plain.shop.test")
}

func (b *business) configure(t *testing.T, domains string) {
	b.write(t, "gtmd.toml", fmt.Sprintf(businessConfig, b.GTMD, b.Admin, b.Socket, b.Resolver, domains))
}

// state is that of a business domain, with its reason.
func (b *business) state(t *testing.T, domain string) (s admin.BusinessDomainStatus) {
	t.Helper()
	var list admin.BusinessDomainList
	if err := json.Unmarshal(b.get(t, "/api/v1/business-domains"), &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Domains {
		if s.Domain == domain {
			return s
		}
	}
	return admin.BusinessDomainStatus{State: "absent"}
}

// reaches waits until a business domain is in a state.
func (b *business) reaches(t *testing.T, domain, state string) admin.BusinessDomainStatus {
	t.Helper()
	eventually(t, 10*time.Second, domain+" is "+state, func() bool { return b.state(t, domain).State == state })
	return b.state(t, domain)
}

// TestBusiness follows business domains from unbound to nsd and to gtmd: right from the start, wrong in every way, without a
// resolver, mended. The resolver is listed as who asks for the access domain only once it has asked.
func TestBusiness(t *testing.T) {
	b := startBusiness(t, `"www.shop.test"`)
	s := b.reaches(t, "www.shop.test", admin.Configured)
	if s.Reason != "it leads to the CDN name www.shop.test.cdn.test" || len(s.Chain) != 4 || s.Chain[3].Data != "::1" {
		t.Errorf("%+v", s)
	}

	// Nobody but this test has asked for the access domain: not over the resolver.
	out, code := b.run(t, "chain")
	if code != 0 || !strings.Contains(out, "www.shop.test: configured for ") || strings.Contains(out, resolverIP) {
		t.Errorf("gtmd chain ends with %d:\n%s", code, out)
	}
	if v := b.metric(t, "gtmd_business_domain_configured", `domain="www.shop.test"`); v != 1 {
		t.Errorf("gtmd_business_domain_configured is %v", v)
	}
	before := time.Now().Truncate(time.Second)
	if got, err := ask(b.Resolver, "origin.gtm.test"); err != nil || len(got) != 1 {
		t.Fatalf("the resolver answers %v, error %v", got, err)
	}
	out, code = b.run(t, "chain", "www.shop.test")
	if code != 0 || !strings.Contains(out, "\n  "+resolverIP+"  ") {
		t.Errorf("after a query of the resolver gtmd chain ends with %d:\n%s", code, out)
	}
	t.Logf("gtmd chain www.shop.test\n%s", out)
	var askers admin.AskerList
	if err := json.Unmarshal(b.get(t, "/api/v1/askers?instance=cdn-origin"), &askers); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, a := range askers.Askers {
		found = found || a.Address.String() == resolverIP && !a.Last.Before(before.Add(-time.Second)) && a.Instance == "cdn-origin"
	}
	if !found {
		t.Errorf("askers: %+v", askers)
	}
	if v := b.metric(t, "gtmd_access_domain_last_query_timestamp_seconds", `instance="cdn-origin"`); v < float64(before.Unix()-1) {
		t.Errorf("the access domain was last asked for at %v, want %v or later", v, before.Unix())
	}

	// All that can be wrong.
	b.configure(t, `"www.shop.test", "loop.shop.test", "plain.shop.test", "circle.shop.test", "parked.shop.test", "gone.shop.test", "none.shop.test", "shop.test"`)
	if out, code := b.run(t, "reload"); code != 0 {
		t.Fatalf("gtmd reload ends with %d:\n%s", code, out)
	}
	for domain, reason := range map[string]string{
		"loop.shop.test":   "the CDN would fetch from itself: loop.shop.test.cdn.test, its name for loop.shop.test, leads back into the access domain origin.gtm.test",
		"plain.shop.test":  "plain.shop.test has no CNAME record but plain addresses, 127.0.0.2 (an origin, of pool test1: users go past the CDN): make it",
		"circle.shop.test": "CNAME records in a circle, from " + b.Resolver + ": circle.shop.test -> square.shop.test -> circle.shop.test",
		"parked.shop.test": "parked.shop.test leads to parking.cdn-of-others.test, and not to a name of the CDN (*.cdn.test)",
		"gone.shop.test":   "gone.shop.test leads to gone.shop.test.cdn.test, which does not exist (NXDOMAIN from " + b.Resolver + ")",
		"none.shop.test":   "none.shop.test does not exist (NXDOMAIN from " + b.Resolver + ")",
		"shop.test":        "it is the apex of its zone, which cannot have a CNAME record",
	} {
		if s := b.reaches(t, domain, admin.NotConfigured); !strings.Contains(s.Reason, reason) || s.Loop != (domain == "loop.shop.test" || domain == "circle.shop.test") {
			t.Errorf("%s: %+v\nwant %s", domain, s, reason)
		}
	}
	out, code = b.run(t, "chain")
	if code != 1 || !strings.Contains(out, "loop.shop.test: NOT CONFIGURED, LOOP") || strings.Index(out, "www.shop.test: configured") < strings.Index(out, "plain.shop.test: NOT CONFIGURED") {
		t.Errorf("gtmd chain ends with %d:\n%s", code, out)
	}
	t.Logf("gtmd chain\n%s", out)

	// The resolver dies: what was known stays for a while, and is unknown then. DNS answers all the same.
	begin := time.Now()
	b.unbound.end(t)
	eventually(t, 10*time.Second, "the failure is told", func() bool {
		return strings.Contains(b.state(t, "www.shop.test").Reason, "; the last check failed: ")
	})
	if s := b.state(t, "www.shop.test"); s.State != admin.Configured {
		t.Errorf("after one failure: %+v", s)
	}
	b.reaches(t, "www.shop.test", admin.ConfigUnknown)
	b.reaches(t, "loop.shop.test", admin.ConfigUnknown)
	t.Logf("resolver dead -> unknown after %v", time.Since(begin).Round(time.Millisecond))
	if got, err := ask(b.GTMD, b.access); err != nil || len(got) != 1 {
		t.Errorf("without a resolver gtmd answers %v, error %v", got, err)
	}
	if out, code := b.run(t, "chain", "www.shop.test"); code != 1 || !strings.Contains(out, "UNKNOWN") {
		t.Errorf("gtmd chain ends with %d:\n%s", code, out)
	}

	// It lives again, and a domain is mended.
	b.zone(t, "cdn.test", "gone.shop.test 1 CNAME edge\n")
	b.nsd.signal(t, syscall.SIGHUP)
	b.resolve(t)
	b.reaches(t, "www.shop.test", admin.Configured)
	b.reaches(t, "gone.shop.test", admin.Configured)
	b.reaches(t, "plain.shop.test", admin.NotConfigured)
	if log := b.gtmd.output(t); strings.Count(log, "domain=gone.shop.test") < 2 {
		t.Errorf("the log has no line of a domain that is configured now:\n%s", tail(log, 20))
	}
}
