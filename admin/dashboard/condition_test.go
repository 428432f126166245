package dashboard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"gtmd/admin"
)

// conditionsOf are the conditions on the overview of a backend: their text, without times.
func conditionsOf(t *testing.T, b *backend) (all []string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(newSite(b).get("/").Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "li" && strings.HasPrefix(attribute(n, "class"), "condition ") {
			var words []string
			for d := range n.Descendants() {
				if d.Type == html.TextNode && (d.Parent.Data == "bdi" || d.Parent.Data == "a") {
					words = append(words, strings.TrimSpace(d.Data))
				}
			}
			all = append(all, strings.Join(words, " | "))
		}
	}
	return all
}

// TestConditionSince: the set in force may have been so for longer than everything of it is down.
func TestConditionSince(t *testing.T) {
	b := &backend{status: admin.Status{Ready: "ready", Started: before(9 * time.Hour)}}
	b.status.Pools = []admin.PoolStatus{poolOf(b, "a", "ipv4", []string{"web"}, "192.0.2.1", "192.0.2.2")}
	for i, since := range []time.Duration{3 * time.Hour, 2 * time.Hour} {
		a := &b.status.Pools[0].Addresses[i]
		a.Available, a.Standing, a.Verdict, a.Reason, a.Since = false, "down", "down", "HTTP 503", earlier(since)
	}
	b.status.Instances = []admin.InstanceStatus{{Name: "shop", AccessDomain: "shop.gtm.test.", Policies: []admin.PolicyStatus{
		policyOf("Global", []string{"global"}, "ipv4", 0, "fail open", 9*time.Hour, []string{"a"})}}}
	for why, want := range map[string]string{"fail open": "2 h", "degraded": "", "failover": "9 h"} {
		b.status.Instances[0].Policies[0].Why = why
		got := ""
		for _, li := range elements(t, newSite(b).get("/").Body.String(), "li", "condition") {
			for n := range li.Descendants() {
				if strings.HasPrefix(attribute(li, "data-key"), "policies-") && n.Type == html.TextNode && attribute(n.Parent.Parent, "class") == "condition-since" && n.Parent.Data == "time" {
					got += n.Data
				}
			}
		}
		if got != want {
			t.Errorf("%s for %q, want %q", why, got, want)
		}
	}
}

func TestConditions(t *testing.T) {
	// quiet is a process in which everything is normal.
	quiet := func() *backend {
		b := &backend{status: admin.Status{Ready: "ready", Started: before(time.Hour)}}
		b.status.Pools = []admin.PoolStatus{poolOf(b, "a", "ipv4", []string{"web"}, "192.0.2.1", "192.0.2.2"), poolOf(b, "b", "ipv4", []string{"web"}, "192.0.2.1")}
		b.status.Instances = []admin.InstanceStatus{{Name: "shop", AccessDomain: "shop.gtm.test.", Policies: []admin.PolicyStatus{
			policyOf("Global", []string{"global"}, "ipv4", 0, "normal", time.Hour, []string{"a"}, []string{"b"})}}}
		return b
	}
	down := func(a *admin.AddressStatus, reason string) {
		a.Available, a.Standing, a.Verdict, a.Reason = false, "down", "down", reason
	}
	in := func(b *backend) *admin.PolicyStatus { return &b.status.Instances[0].Policies[0] }
	for _, tt := range []struct {
		name   string
		change func(*backend)
		want   []string
	}{
		{"nothing", func(*backend) {}, nil},
		{"an address in two pools is one", func(b *backend) {
			down(&b.status.Pools[0].Addresses[0], "HTTP 503")
			down(&b.status.Pools[1].Addresses[0], "HTTP 503")
		}, []string{"down | 1 address is down | HTTP 503 | 192.0.2.1 | in 2 pools"}},
		{"a reason that names the address is one cause", func(b *backend) {
			down(&b.status.Pools[0].Addresses[0], "dial 192.0.2.1: refused")
			down(&b.status.Pools[0].Addresses[1], "dial 192.0.2.2: refused")
		}, []string{"down | 2 addresses are down | dial the address: refused | 192.0.2.1 | pool a | 192.0.2.2 | pool a"}},
		{"two causes", func(b *backend) {
			down(&b.status.Pools[0].Addresses[0], "refused")
			down(&b.status.Pools[0].Addresses[1], "timeout")
		}, []string{"down | 1 address is down | refused | 192.0.2.1 | pool a", "down | 1 address is down | timeout | 192.0.2.2 | pool a"}},
		{"always offline is as it should be", func(b *backend) {
			b.status.Pools[0].Addresses[0].Available, b.status.Pools[0].Addresses[0].Standing = false, "always offline"
		}, nil},
		{"forced up, but down", func(b *backend) {
			a := &b.status.Pools[0].Addresses[0]
			a.Verdict, a.Reason, a.Standing, a.Override = "down", "HTTP 503", "up by override", &admin.OverrideNote{ID: "o1"}
		}, []string{"down | 1 address is down | HTTP 503 | 192.0.2.1 | pool a"}},
		{"on backup", func(b *backend) {
			*in(b) = policyOf("Global", nil, "ipv4", 1, "failover", time.Hour, []string{"a"}, []string{"b"})
		}, []string{"on backup | A backup set answers (1 instance) | shop | Global (IPv4): backup 1"}},
		{"failback waits", func(b *backend) {
			*in(b) = policyOf("Global", nil, "ipv4", 1, "failback waits", time.Hour, []string{"a"}, []string{"b"})
		}, []string{"on backup | A backup set answers (1 instance) | shop | Global (IPv4): backup 1"}},
		{"fail open", func(b *backend) { *in(b) = policyOf("Global", nil, "both", 0, "fail open", time.Hour, []string{"a"}) },
			[]string{"fail open | Nothing is available, everything is answered (1 instance) | shop | Global (IPv4 and IPv6): primary"}},
		{"empty", func(b *backend) { *in(b) = policyOf("Global", nil, "ipv6", 9, "empty", time.Hour, []string{"a"}) },
			[]string{"empty | Nothing is answered (1 instance) | shop | Global (IPv6): none"}},
		{"degraded", func(b *backend) { *in(b) = policyOf("Global", nil, "ipv6", 0, "degraded", time.Hour, []string{"a"}) },
			[]string{"degraded | Too few addresses are available in every set (1 instance) | shop | Global (IPv6): primary"}},
		{"no spare", func(b *backend) { in(b).Sets[1].Available = false },
			[]string{"no spare | A set that stands by is not available (1 instance) | shop | Global (IPv4): backup 1"}},
		{"not ready", func(b *backend) { b.status.Ready = "waiting for the first round of probes" },
			[]string{"not ready | Queries are not answered yet | waiting for the first round of probes"}},
		{"refused", func(b *backend) { b.status.Config.Error = "a:1:1: no\nb\nc\nd" },
			[]string{"refused | The configuration was refused; the one before it serves on | a:1:1: no\nb\nc\n…"}},
		{"not saved", func(b *backend) { b.status.StateError = "no space left on device" },
			[]string{"not saved | The state cannot be saved: a restart would forget verdicts and overrides | no space left on device"}},
		{"blind", func(b *backend) {
			b.status.Blind = []admin.BlindStatus{{Family: "ipv4", Since: before(time.Minute), Reason: "9 of 10"}}
		},
			[]string{"blind | Probes over IPv4 fail for a reason of this machine | No verdict turns down meanwhile. 9 of 10"}},
		{"certificates", func(b *backend) {
			ends, later := time.Now().Add(48*time.Hour), time.Now().Add(30*24*time.Hour)
			b.status.Pools[0].Addresses[0].CertificateExpires, b.status.Pools[1].Addresses[0].CertificateExpires = &ends, &ends
			b.status.Pools[0].Addresses[1].CertificateExpires = &later
		}, []string{"certificate | 1 certificate ends soon | 192.0.2.1"}},
		{"a refused database", func(b *backend) {
			b.status.Databases = []admin.DatabaseStatus{{Path: "city.mmdb", State: admin.DatabaseCopied, Error: "it has 0 octets"}}
		}, []string{"refused | Geo database city.mmdb is refused, the last good copy of it serves | it has 0 octets"}},
		{"a stale one", func(b *backend) {
			b.status.Config.Warnings = []string{`geo database "city.mmdb" was built 2026-01-02, 70 days ago: want a newer one, at most 60 days old (max_age)`}
		}, []string{`stale | A geo database is old | geo database "city.mmdb" was built 2026-01-02, 70 days ago: want a newer one, at most 60 days old (max_age)`}},
		{"other warnings", func(b *backend) { b.status.Config.Warnings = []string{"hm"} }, []string{"warning | 1 warning of the configuration | hm"}},
		{"business", func(b *backend) {
			b.business = []admin.BusinessDomainStatus{{Domain: "www.shop.test.", State: admin.NotConfigured, Reason: "no CNAME"}, {Domain: "ok.test.", State: admin.Configured}}
		}, []string{"not configured | 1 business domain is not configured | www.shop.test | no CNAME"}},
		{"alerts", func(b *backend) {
			b.alerts.Groups = []admin.AlertGroupStatus{{Name: "ops", Methods: []admin.AlertMethodStatus{{Name: "mail", Error: "refused", Queued: 2}, {Name: "chat"}}}}
		}, []string{"not told | 1 way to tell people does not work | ops, mail | 2 messages wait: refused"}},
		{"a drill is told once", func(b *backend) {
			target := admin.OverrideTarget{Pool: "a"}
			b.status.Overrides = []admin.Override{{ID: "o1", Drill: "d1", OverrideTarget: target, State: "down", Reason: "r", Author: "carol"}}
			b.drills = []admin.Drill{{ID: "d1", OverrideTarget: target, State: admin.DrillRunning, Reason: "r", Author: "carol", Override: "o1", Ends: time.Now().Add(time.Hour)}, {ID: "d0", State: admin.DrillEnded}}
		}, []string{"drill | 1 drill runs | pool a | carol: r"}},
		{"the worst first", func(b *backend) {
			b.status.Overrides = []admin.Override{{ID: "o1", OverrideTarget: admin.OverrideTarget{Pool: "a"}, State: "down", Reason: "r", Author: "bob"}}
			b.status.Config.Warnings = []string{"hm"}
			b.status.StateError = "disk full"
		}, []string{"not saved | The state cannot be saved: a restart would forget verdicts and overrides | disk full", "warning | 1 warning of the configuration | hm",
			"override | 1 override is in force | pool a | down, bob: r"}},
		{"many addresses are few words", func(b *backend) {
			p := &b.status.Pools[0]
			p.Addresses = nil
			for i := range 40 {
				p.Addresses = append(p.Addresses, admin.AddressStatus{Address: fmt.Sprintf("198.51.100.%d", i), Standing: "down", ProbeStatus: admin.ProbeStatus{Verdict: "down", Reason: "refused"}})
			}
		}, []string{"down | 40 addresses are down | refused | 198.51.100.0 | pool a | 198.51.100.1 | pool a | 198.51.100.2 | pool a | 198.51.100.3 | pool a | 198.51.100.4 | pool a | 198.51.100.5 | pool a | and 34 more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := quiet()
			tt.change(b)
			got := conditionsOf(t, b)
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if body := newSite(b).get("/").Body.String(); strings.Contains(body, "Everything is normal") != (len(tt.want) == 0) {
				t.Errorf("whether the overview says that everything is normal is not right")
			}
		})
	}
}

// Many causes are few conditions, and none of their addresses is lost.
func TestManyCauses(t *testing.T) {
	b := &backend{status: admin.Status{Ready: "ready"}}
	p := admin.PoolStatus{Name: "a"}
	for i := range 100 {
		p.Addresses = append(p.Addresses, admin.AddressStatus{Address: fmt.Sprintf("198.51.100.%d", i), Standing: "down", ProbeStatus: admin.ProbeStatus{Reason: fmt.Sprintf("reason %d", i)}})
	}
	b.status.Pools = []admin.PoolStatus{p}
	got := conditionsOf(t, b)
	if len(got) != 8 || !strings.HasPrefix(got[7], "down | 93 addresses are down | 93 other reasons") {
		t.Errorf("got %d conditions:\n%s", len(got), strings.Join(got, "\n"))
	}
}
