package node

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/policy"
	"gtmd/resolver"
)

// trailOf is a trail written as "www.example.com cdn.example.net 192.0.2.1": names, and addresses behind them. The end may be "NXDOMAIN", "NODATA",
// "CIRCLE", "SERVFAIL" or "SILENCE" in place of addresses.
func trailOf(text string) resolver.Trail {
	fields := strings.Fields(text)
	t := resolver.Trail{At: fields[0] + "."}
	for _, f := range fields[1:] {
		address, err := netip.ParseAddr(f)
		switch {
		case err == nil && address.Is4():
			t.Links = append(t.Links, resolver.Link{Name: t.At, Type: "A", Data: f, TTL: 60})
		case err == nil:
			t.Links = append(t.Links, resolver.Link{Name: t.At, Type: "AAAA", Data: f, TTL: 60})
		case f == "NXDOMAIN":
			t.End, t.Detail = resolver.EndNoName, "NXDOMAIN from RES"
		case f == "NODATA":
			t.End, t.Detail = resolver.EndNoData, "no A record from RES"
		case f == "CIRCLE":
			t.End, t.Detail = resolver.EndLoop, "CNAME records in a circle, from RES"
		case f == "SERVFAIL":
			t.End, t.Detail = resolver.EndFailed, "SERVFAIL from RES"
		case f == "SILENCE":
			t.End, t.Detail = resolver.EndTimeout, "no answer from RES within 2s"
		default:
			t.Links = append(t.Links, resolver.Link{Name: t.At, Type: "CNAME", Data: f + ".", TTL: 300})
			t.At = f + "."
		}
	}
	return t
}

// chainOf is a chain with the trails of A and AAAA; without the latter it has none of those addresses.
func chainOf(v4, v6 string) resolver.Chain {
	c := resolver.Chain{IPv4: trailOf(v4)}
	c.Name = strings.Fields(v4)[0] + "."
	if v6 != "" {
		c.IPv6 = trailOf(v6)
		return c
	}
	c.IPv6 = c.IPv4
	c.IPv6.Links = nil
	for _, l := range c.IPv4.Links {
		if l.Type == "CNAME" {
			c.IPv6.Links = append(c.IPv6.Links, l)
		}
	}
	if c.IPv4.End == resolver.EndAddresses {
		c.IPv6.End, c.IPv6.Detail = resolver.EndNoData, "no AAAA record from RES"
	}
	return c
}

func TestJudge(t *testing.T) {
	seen := &knownNames{origins: map[netip.Addr]string{netip.MustParseAddr("198.51.100.1"): "tokyo"}}
	for _, test := range []struct {
		name, v4, v6 string
		cdn          string // cdn_names
		pool         string // where the name of the instance's domain pool leads
		apex         bool
		want         string // state, "loop" if so, and the reason
	}{
		{"a CDN", "www.shop.test www.shop.test.cdn.test edge.test 192.0.2.1", "", "", "", false, "configured: it leads to the CDN name www.shop.test.cdn.test"},
		{"IPv6 only", "www.shop.test cdn.test NODATA", "www.shop.test cdn.test 2001:db8::1", "", "", false, "configured: it leads to the CDN name cdn.test"},
		{"its name", "www.shop.test alias.test x.cdn.test 192.0.2.1", "", "x.cdn.test", "", false, "configured: it leads to the CDN name x.cdn.test"},
		{"one of its names", "www.shop.test a.b.cdn.test 192.0.2.1", "", "other.test *.cdn.test", "", false, "configured: it leads to the CDN name a.b.cdn.test"},
		{"a family fails", "www.shop.test cdn.test 192.0.2.1", "www.shop.test SERVFAIL", "", "", false, "configured: it leads to the CDN name cdn.test"},
		{"over another business domain", "www.shop.test shop.test cdn.test 192.0.2.1", "", "", "", false, "configured: it leads to the CDN name cdn.test"},
		{"the access domain of another instance", "www.shop.test edges.gtm.test 192.0.2.1", "", "", "", false, "configured: it leads to the CDN name edges.gtm.test"},
		{"direct", "www.shop.test origin.gtm.test 192.0.2.1", "", "", "", false, "configured: direct: it leads straight to the access domain origin.gtm.test, with no CDN in front"},
		{"direct to an alias", "www.shop.test shop.test origin2.gtm.test 192.0.2.1", "", "", "", false, "configured: direct: it leads straight to the access domain origin2.gtm.test, with no CDN in front"},
		{"CDNs chosen by us", "www.shop.test origin.gtm.test x.cdn.test 192.0.2.1", "", "*.cdn.test", "x.cdn.test 192.0.2.1", false, "configured: by the access domain origin.gtm.test, it leads to the CDN name x.cdn.test"},

		{"NXDOMAIN", "www.shop.test NXDOMAIN", "", "", "", false, "not_configured: www.shop.test does not exist (NXDOMAIN from RES): make it a CNAME record to the name that the CDN gave for it"},
		{"NXDOMAIN of one family", "www.shop.test NXDOMAIN", "www.shop.test SILENCE", "", "", false, "not_configured: www.shop.test does not exist (NXDOMAIN from RES): make it a CNAME record to the name that the CDN gave for it"},
		{"plain addresses", "www.shop.test 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5", "", "", "", false,
			"not_configured: www.shop.test has no CNAME record but plain addresses, 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, and 1 more: make it a CNAME record to the name that the CDN gave for it"},
		{"an origin", "www.shop.test 198.51.100.1", "", "", "", false,
			"not_configured: www.shop.test has no CNAME record but plain addresses, 198.51.100.1 (an origin, of pool tokyo: users go past the CDN): make it a CNAME record to the name that the CDN gave for it"},
		{"an apex", "www.shop.test 192.0.2.1", "", "", "", true,
			"not_configured: www.shop.test has no CNAME record but plain addresses, 192.0.2.1: it is the apex of its zone, which cannot have a CNAME record. Redirect its users to a name that can, such as www.www.shop.test; if its provider follows the CDN for it (ALIAS, ANAME), list it in [business] except"},
		{"nothing", "www.shop.test NODATA", "", "", "", false, "not_configured: www.shop.test has neither a CNAME record nor addresses (no A record from RES): make it a CNAME record to the name that the CDN gave for it"},
		{"a business domain with addresses", "www.shop.test shop.test 192.0.2.1", "", "", "", false, "not_configured: www.shop.test leads to shop.test, which is a business domain too, and has plain addresses, 192.0.2.1"},
		{"something else", "www.shop.test parked.test 192.0.2.1", "", "*.cdn.test x.test", "", false, "not_configured: www.shop.test leads to parked.test, and not to a name of the CDN (*.cdn.test, x.test)"},
		{"the name above the pattern", "www.shop.test cdn.test 192.0.2.1", "", "*.cdn.test", "", false, "not_configured: www.shop.test leads to cdn.test, and not to a name of the CDN (*.cdn.test)"},
		{"direct past the CDN", "www.shop.test origin.gtm.test 192.0.2.1", "", "*.cdn.test", "", false, "not_configured: www.shop.test leads straight to the access domain origin.gtm.test, and not to a name of the CDN (*.cdn.test)"},
		{"dangling", "www.shop.test cdn.test NXDOMAIN", "", "", "", false, "not_configured: www.shop.test leads to cdn.test, which does not exist (NXDOMAIN from RES)"},
		{"empty", "www.shop.test cdn.test NODATA", "", "", "", false, "not_configured: www.shop.test leads to cdn.test, which has no addresses (no A record from RES)"},
		{"one family goes elsewhere", "www.shop.test x.cdn.test 192.0.2.1", "www.shop.test old.test 2001:db8::1", "*.cdn.test", "", false, "not_configured: www.shop.test leads to old.test, and not to a name of the CDN (*.cdn.test)"},

		{"a circle", "www.shop.test a.test www.shop.test CIRCLE", "", "", "", false, "not_configured loop: CNAME records in a circle, from RES: www.shop.test -> a.test -> www.shop.test"},
		{"back into the access domain", "www.shop.test cdn.test edge.test origin.gtm.test 198.51.100.1", "", "", "", false,
			"not_configured loop: the CDN would fetch from itself: cdn.test, its name for www.shop.test, leads back into the access domain origin.gtm.test. If it is no name of the CDN, say in cdn_names which are"},
		{"back, by a name of the CDN", "www.shop.test x.cdn.test origin2.gtm.test 198.51.100.1", "", "*.cdn.test", "", false,
			"not_configured loop: the CDN would fetch from itself: x.cdn.test, its name for www.shop.test, leads back into the access domain origin2.gtm.test"},
		{"an alias that is no CDN name", "www.shop.test alias.shop.test origin.gtm.test x.cdn.test 192.0.2.1", "", "*.cdn.test", "", false, "configured: by the access domain origin.gtm.test, it leads to the CDN name x.cdn.test"},
		{"a pool of the CDN's name", "www.shop.test x.cdn.test 192.0.2.1", "", "", "x.cdn.test 192.0.2.1", false,
			`not_configured loop: the CDN would fetch from itself: domain pool "backup" answers with x.cdn.test, the CDN's name for www.shop.test`},
		{"a pool that leads there", "www.shop.test x.cdn.test 192.0.2.1", "", "", "spare.test other.test x.cdn.test 192.0.2.1", false,
			`not_configured loop: the CDN would fetch from itself: domain pool "backup" answers with spare.test, which leads to x.cdn.test, the CDN's name for www.shop.test`},
		{"a pool that leads to a business domain", "www.shop.test x.cdn.test 192.0.2.1", "", "", "spare.test shop.test 192.0.2.1", false,
			`not_configured loop: the CDN would fetch from itself: domain pool "backup" answers with spare.test, which leads to shop.test, a business domain`},
		{"a pool elsewhere in the CDN", "www.shop.test x.cdn.test edge.cdn.test 192.0.2.1", "", "*.cdn.test", "y.cdn.test edge.cdn.test 192.0.2.1", false, "configured: it leads to the CDN name x.cdn.test"},

		{"silence", "www.shop.test SILENCE", "", "", "", false, "unknown: no answer from RES within 2s"},
		{"a failure", "www.shop.test SERVFAIL", "", "", "", false, "unknown: SERVFAIL from RES"},
		{"a failure on the way", "www.shop.test cdn.test SERVFAIL", "", "", "", false, "unknown: cdn.test could not be resolved: SERVFAIL from RES"},
		{"a family without addresses, and a failure on the way", "www.shop.test cdn.test SERVFAIL", "www.shop.test cdn.test NODATA", "", "", false, "unknown: cdn.test could not be resolved: SERVFAIL from RES"},
		{"a family without addresses, and silence", "www.shop.test SILENCE", "www.shop.test cdn.test NODATA", "", "", false, "unknown: no answer from RES within 2s"},
		{"nothing, and a failure", "www.shop.test NODATA", "www.shop.test SERVFAIL", "", "", false, "unknown: SERVFAIL from RES"},
	} {
		d := &domainRules{
			instance: "origin", domain: "www.shop.test.", access: []string{"origin.gtm.test.", "origin2.gtm.test."},
			business: []string{"www.shop.test.", "shop.test."},
		}
		for _, name := range strings.Fields(test.cdn) {
			d.cdn = append(d.cdn, name+".")
		}
		if test.pool != "" {
			d.pools = []poolName{{"backup", strings.Fields(test.pool)[0] + "."}}
		}
		c := chainOf(test.v4, test.v6)
		c.IsApex = test.apex
		j := d.judge(&c, seen, func(name string) resolver.Chain {
			if name != d.pools[0].name {
				t.Errorf("%s: resolved %s", test.name, name)
			}
			return chainOf(test.pool, "")
		})
		got := j.state + ": " + j.reason
		if j.isLoop {
			got = j.state + " loop: " + j.reason
		}
		if got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
	}
}

// configOf is a configuration with instances whose business domains are given.
func configOf(interval time.Duration, instances ...policy.InstanceOptions) *config.Config {
	c := &config.Config{}
	c.File.Business.CheckInterval, c.File.Resolver.MinTTL, c.File.Instances = interval, time.Second, instances
	return c
}

func shop(domains ...string) policy.InstanceOptions {
	return policy.InstanceOptions{Name: "shop", AccessDomain: "origin.gtm.test.", BusinessDomains: domains}
}

// TestBusinessStates follows one domain through what checks find: the last state stays for so long while no resolver answers, and each change is
// told once.
func TestBusinessStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBusiness()
		b.set(configOf(5*time.Minute, shop("www.shop.test.")), time.Now())
		for i, step := range []struct {
			chain string // empty: time passes
			want  string // state and reason
			event string
		}{
			{"www.shop.test SILENCE", "unknown: no answer from RES within 2s", ""},
			{"www.shop.test cdn.test 192.0.2.1", "configured: it leads to the CDN name cdn.test", "instance_configured unknown -> configured"},
			{"www.shop.test cdn.test 192.0.2.2", "configured: it leads to the CDN name cdn.test", ""},
			{"www.shop.test SILENCE", "configured: it leads to the CDN name cdn.test; the last check failed: no answer from RES within 2s", ""},
			{"www.shop.test SILENCE", "configured: it leads to the CDN name cdn.test; the last check failed: no answer from RES within 2s", ""},
			{"www.shop.test cdn.test NXDOMAIN", "not_configured: www.shop.test leads to cdn.test, which does not exist (NXDOMAIN from RES)", "instance_unconfigured configured -> not_configured"},
			{"www.shop.test SERVFAIL", "not_configured: www.shop.test leads to cdn.test, which does not exist (NXDOMAIN from RES); the last check failed: SERVFAIL from RES", ""},
			{"www.shop.test SERVFAIL", "not_configured: www.shop.test leads to cdn.test, which does not exist (NXDOMAIN from RES); the last check failed: SERVFAIL from RES", ""},
			{"www.shop.test SERVFAIL", "unknown: SERVFAIL from RES", ""},
			{"www.shop.test SILENCE", "unknown: no answer from RES within 2s", ""},
			{"www.shop.test cdn.test 192.0.2.1", "configured: it leads to the CDN name cdn.test", "instance_configured unknown -> configured"},
		} {
			time.Sleep(time.Until(b.agenda[0].due))
			due, _ := b.take(time.Now())
			if len(due) != 1 {
				t.Fatalf("step %d: %d domains are due", i, len(due))
			}
			d, begin := due[0], time.Now()
			c := checkedDomain{chain: chainOf(step.chain, ""), took: time.Second}
			c.judged = d.rules.judge(&c.chain, b.names(), nil)
			time.Sleep(c.took)
			e, isNews := b.record(d, c, begin)
			b.end()
			s := b.all()[0]
			if got := s.State + ": " + s.Reason; got != step.want {
				t.Errorf("step %d:\ngot  %s\nwant %s", i, got, step.want)
			}
			told := ""
			if isNews {
				told = fmt.Sprintf("%s %s -> %s", e.Kind, e.From, e.To)
				if e.Instance != "shop" || e.Address != "www.shop.test" || e.Reason != c.reason || !e.Time.Equal(time.Now()) || !s.Since.Equal(time.Now()) {
					t.Errorf("step %d: event %+v of %+v", i, e, s)
				}
			}
			if told != step.event {
				t.Errorf("step %d: event %q, want %q", i, told, step.event)
			}
			shortest, longest := 5*time.Minute*9/10, 5*time.Minute*11/10
			if c.state == admin.ConfigUnknown {
				shortest, longest = businessRetry*9/10, businessRetry*11/10
			}
			if wait := time.Until(d.due); wait < shortest || wait > longest {
				t.Errorf("step %d: the next check is in %v", i, wait)
			}
		}
	})
}

// TestBusinessReload: what is the same after a reload keeps its state and its time; what is new or judged by other rules is due soon; what is gone
// and was not configured is told to be over.
func TestBusinessReload(t *testing.T) {
	b := newBusiness()
	start := time.Now()
	b.set(configOf(time.Hour, shop("a.test.", "b.test.", "c.test.")), start)
	due, _ := b.take(start.Add(time.Minute))
	for _, d := range due {
		b.record(d, checkedDomain{judged: no("none")}, start.Add(time.Minute))
		b.end()
	}
	describe := func() string {
		var all []string
		for _, s := range b.all() {
			d := b.domains[businessKey{s.Instance, s.Domain + "."}]
			when := "soon"
			switch {
			case d.place < 0:
				when = "never"
			case d.due.Sub(start) > 30*time.Minute:
				when = "later"
			}
			all = append(all, strings.Join([]string{s.Instance, s.Domain, s.State, when}, " "))
		}
		return strings.Join(all, "; ")
	}
	if got, want := describe(), "shop a.test not_configured later; shop b.test not_configured later; shop c.test not_configured later"; got != want {
		t.Errorf("at first: %s", got)
	}
	now := start.Add(2 * time.Minute)

	// An instance with the domains of before, one of them excepted, one gone, one new, and another instance.
	c := configOf(time.Hour, shop("a.test.", "c.test.", "d.test."), policy.InstanceOptions{Name: "more", AccessDomain: "x.gtm.test.", BusinessDomains: []string{"a.test."}})
	c.File.Business.Except = []string{"c.test."}
	c.File.Instances[0].BusinessDomains = []string{"a.test.", "c.test.", "d.test."}
	events := b.set(c, now)
	// Their business domains are others, so all of the first instance are judged anew.
	if got, want := describe(), "more a.test not_asked soon; shop a.test not_configured soon; shop c.test not_asked never; shop d.test not_asked soon"; got != want {
		t.Errorf("after a reload: %s", got)
	}
	told := ""
	for _, e := range events {
		told += fmt.Sprintf("%s %s %s: %s; ", e.Kind, e.Address, e.To, e.Message)
	}
	if want := `instance_configured b.test not_asked: business domain b.test of instance "shop" is not checked any longer; instance_configured c.test not_asked: business domain c.test of instance "shop" is not checked any longer; `; told != want {
		t.Errorf("told %s", told)
	}
	if events := b.set(c, now); events != nil {
		t.Errorf("the same once more: %v", events)
	}

	// The same again by another pointer: nothing is due but what was.
	due, _ = b.take(now.Add(time.Minute))
	for _, d := range due {
		b.record(d, checkedDomain{judged: judged{state: admin.Configured}}, now)
		b.end()
	}
	before := describe()
	other := *c
	if b.set(&other, now); describe() != before {
		t.Errorf("after a reload of the same: %s, before: %s", describe(), before)
	}

	// A check that ends after a reload changes nothing.
	due, _ = b.take(now.Add(3 * time.Hour))
	again := *c
	again.File.Instances = []policy.InstanceOptions{shop("a.test.")}
	b.set(&again, now)
	if _, isNews := b.record(due[0], checkedDomain{judged: no("none")}, now); isNews {
		t.Error("a check of a configuration that is gone is told")
	}

	// Switched off, all is as if it had not been asked.
	off := again
	off.File.Business.CheckInterval = 0
	b.set(&off, now)
	if got, want := describe(), "shop a.test not_asked never"; got != want {
		t.Errorf("switched off: %s", got)
	}
}

// TestBusinessAgenda: many domains are checked a few at a time, each once, the ones that are due first before the others.
func TestBusinessAgenda(t *testing.T) {
	b := newBusiness()
	var domains []string
	for i := range 1000 {
		domains = append(domains, fmt.Sprintf("d%d.test.", i))
	}
	now := time.Now()
	b.set(configOf(time.Hour, shop(domains...)), now)
	now = now.Add(time.Minute)
	checked := map[string]int{}
	last := time.Time{}
	for {
		due, next := b.take(now)
		if len(due) == 0 {
			if len(checked) != 1000 || next.Before(now.Add(50*time.Minute)) {
				t.Errorf("%d domains were checked, the next is due at %v", len(checked), next)
			}
			break
		}
		if len(due) > businessLane {
			t.Fatalf("%d at once", len(due))
		}
		if more, _ := b.take(now); len(due) == businessLane && len(more) > 0 {
			t.Fatalf("%d more at once", len(more))
		}
		for _, d := range due {
			if d.due.Before(last) {
				t.Errorf("%s is late", d.rules.domain)
			}
			last = d.due
			checked[d.rules.domain]++
			b.record(d, checkedDomain{judged: judged{state: admin.Configured}}, now)
			b.end()
		}
	}
	for name, n := range checked {
		if n != 1 {
			t.Errorf("%s was checked %d times", name, n)
		}
	}
}

// TestBusinessLane: a chain that somebody asks for waits for room, and gives up with its context.
func TestBusinessLane(t *testing.T) {
	n := &Node{business: newBusiness()}
	for range businessLane {
		n.business.lane <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, isDone := n.resolveBusiness(ctx, &domainRules{}); isDone {
		t.Error("resolved without room")
	}
}
