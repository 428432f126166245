package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
)

// backend is a process whose state is made up. Its fields may be changed before pages are asked for.
type backend struct {
	status   admin.Status
	events   []admin.Event // the latest first
	targets  []admin.TargetStatus
	drills   []admin.Drill
	sources  []admin.SourceStatus
	business []admin.BusinessDomainStatus
	askers   admin.AskerList
	alerts   admin.AlertStatus
	config   admin.ConfigText
	changed  chan struct{}
}

var errNone = errors.New("there is none")

func (b *backend) Ready() error         { return nil }
func (b *backend) Status() admin.Status { return b.status }
func (b *backend) Explain(q admin.Question) (admin.Explanation, error) {
	if q.Name == "" {
		return admin.Explanation{}, errors.New("the name to explain is missing")
	}
	return admin.Explanation{Question: q, Found: "access domain", RCode: "NOERROR", Answer: []string{host(q.Name) + ". 60 IN A 192.0.2.1"}, TTL: 60, Scope: 24}, nil
}
func (b *backend) Reload(context.Context) error { return nil }
func (b *backend) Switch(_ context.Context, r admin.SwitchRequest) (admin.SwitchResult, error) {
	return admin.SwitchResult{SwitchRequest: r, Moved: []string{"ipv4"}}, nil
}
func (b *backend) Overrides() []admin.Override { return b.status.Overrides }
func (b *backend) SetOverride(_ context.Context, r admin.OverrideRequest) (admin.OverrideResult, error) {
	return admin.OverrideResult{Override: admin.Override{ID: "o9", OverrideTarget: r.OverrideTarget, State: r.State, Reason: r.Reason, Author: r.Author}}, nil
}
func (b *backend) ClearOverride(context.Context, admin.ClearRequest) (admin.ClearResult, error) {
	return admin.ClearResult{}, errNone
}
func (b *backend) Push(context.Context, admin.PushReport) error { return nil }

func (b *backend) Events(q admin.EventQuery) admin.EventList {
	var list admin.EventList
	for _, e := range b.events {
		if (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) && (q.Instance == "" || q.Instance == e.Instance) &&
			(q.Address == "" || q.Address == e.Address) && (q.Pool == "" || q.Pool == e.Pool) && (q.Since.IsZero() || !e.Time.Before(q.Since)) &&
			(q.Text == "" || strings.Contains(e.Message, q.Text)) {
			list.Events = append(list.Events, e)
		}
	}
	if limit := max(q.Limit, 1); q.Limit > 0 && len(list.Events) > limit {
		list.Events, list.More = list.Events[:limit], true
	}
	return list
}

func (b *backend) Watch() (<-chan struct{}, func())        { return b.changed, func() {} }
func (b *backend) Refused(context.Context, string, string) {}

func (b *backend) Targets(q admin.TargetQuery) []admin.TargetStatus {
	var list []admin.TargetStatus
	for _, t := range b.targets {
		if (q.Pool == "" || slices.Contains(t.Pools, q.Pool)) && (q.Address == "" || q.Address == t.Address) {
			t.Results = nil
			list = append(list, t)
		}
	}
	return list
}

func (b *backend) Target(id string) (admin.TargetStatus, error) {
	for _, t := range b.targets {
		if t.ID == id {
			return t, nil
		}
	}
	return admin.TargetStatus{}, errNone
}

func (b *backend) Probe(context.Context, admin.ProbeRequest) (admin.ProbeReply, error) {
	return admin.ProbeReply{}, errNone
}
func (b *backend) Preview(r admin.PreviewRequest) (admin.Preview, error) {
	p := admin.Preview{Affects: 1, Policies: []admin.PolicyPreview{{Instance: "cdn-origin", AccessDomain: "origin.gtm.example.com.", Policy: "Global", Family: "ipv4", Changes: true,
		Before: admin.SetPreview{Role: "primary", Why: "normal", Addresses: []string{"198.51.100.20"}}, After: admin.SetPreview{Role: "backup 1", Why: "failover", Addresses: []string{"192.0.2.77"}}}}}
	if r.Clear == "o999" {
		return admin.Preview{}, errNone
	}
	return p, nil
}
func (b *backend) Drills() []admin.Drill { return b.drills }
func (b *backend) StartDrill(context.Context, admin.DrillRequest) (admin.Drill, error) {
	return admin.Drill{}, errNone
}
func (b *backend) StopDrill(context.Context, admin.StopDrillRequest) (admin.Drill, error) {
	return admin.Drill{}, errNone
}
func (b *backend) ReloadDifference(context.Context) (admin.Difference, error) {
	return admin.Difference{}, nil
}
func (b *backend) Diff(context.Context, admin.DiffRequest) (admin.Difference, error) {
	return admin.Difference{}, errNone
}
func (b *backend) ConfigText() admin.ConfigText                  { return b.config }
func (b *backend) Sources() []admin.SourceStatus                 { return b.sources }
func (b *backend) BusinessDomains() []admin.BusinessDomainStatus { return b.business }
func (b *backend) Chain(_ context.Context, domain string) (admin.BusinessDomainStatus, error) {
	if domain == "www.shop.example." || domain == "www.shop.example" {
		return admin.BusinessDomainStatus{Domain: domain, State: admin.Configured, Chain: []admin.ChainLink{{Name: domain, Type: "CNAME", Data: "cdn.example.", TTL: 60}}}, nil
	}
	return admin.BusinessDomainStatus{}, errNone
}

func (b *backend) Askers(instance string) (admin.AskerList, error) {
	list := admin.AskerList{Forgotten: b.askers.Forgotten}
	for _, a := range b.askers.Askers {
		if instance == "" || a.Instance == instance {
			list.Askers = append(list.Askers, a)
		}
	}
	return list, nil
}

func (b *backend) Alerts() admin.AlertStatus { return b.alerts }
func (b *backend) TestAlert(context.Context, admin.AlertTestRequest) (admin.AlertTestReply, error) {
	return admin.AlertTestReply{}, errNone
}

func host(name string) string { return strings.TrimSuffix(name, ".") }

func before(d time.Duration) time.Time   { return time.Now().Add(-d).Truncate(time.Second) }
func earlier(d time.Duration) *time.Time { t := before(d); return &t }

// full is a process in which something of every kind is going on.
func full() *backend {
	b := &backend{changed: make(chan struct{}, 1)}
	b.status = admin.Status{
		Version: admin.Version{Version: "1.2.3", Go: "go1.26.0", Platform: "linux/amd64"}, Started: before(9 * 24 * time.Hour), Ready: "ready",
		Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:53")},
		Config: admin.ConfigStatus{File: "/etc/gtmd/gtmd.toml", Hash: "00ff00ff", Loaded: before(5 * time.Hour), Generation: 7,
			Error:   "/etc/gtmd/gtmd.toml:41:12: pool \"hk-origin\": there is no health check \"htp\": did you mean \"http\"?",
			Refused: earlier(2 * time.Hour), Warnings: []string{`geo database "isp.mmdb" was built 2026-01-02, 75 days ago: want a newer one, at most 60 days old (max_age)`, "gtmd.toml:9:1: pool \"spare\" is used by no policy"}},
		Databases: []admin.DatabaseStatus{
			{Path: "city.mmdb", Type: "GeoLite2-City", Built: before(6 * 24 * time.Hour), State: admin.DatabaseServes, Networks4: 10, Networks6: 5},
			{Path: "isp.mmdb", Type: "GeoIP2-ISP", Built: before(75 * 24 * time.Hour), State: admin.DatabaseRefused, Error: "it has 0 octets", Refused: earlier(time.Hour)},
		},
		Blind: []admin.BlindStatus{{Family: "ipv6", Since: before(4 * time.Minute), Reason: "9 of 10 targets in 4 networks fail at once"}},
	}
	pools := []admin.PoolStatus{
		poolOf(b, "sh-origin", "ipv4", []string{"web"}, "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13"),
		poolOf(b, "hk-origin", "ipv4", []string{"web"}, "198.51.100.20", "198.51.100.21"),
		poolOf(b, "fra-origin", "ipv4", []string{"web", "tls"}, "192.0.2.30", "192.0.2.31", "192.0.2.32"),
		poolOf(b, "sh-origin-6", "ipv6", []string{"web"}, "2001:db8:1::10", "2001:db8:1::11"),
		poolOf(b, "hk-origin-6", "ipv6", []string{"web"}, "2001:db8:2::20"),
		poolOf(b, "vendor", "domain", []string{"web"}, "origin.vendor.example", "origin2.vendor.example"),
		poolOf(b, "spare", "ipv4", nil, "192.0.2.99"),
	}
	pools[5].Resolved = []admin.ResolvedStatus{
		{Name: "origin.vendor.example", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8:7::7")}, At: earlier(20 * time.Second)},
		{Name: "origin2.vendor.example", At: earlier(3 * time.Hour), Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.78")}, Error: "SERVFAIL from 192.0.2.53"},
	}
	b.status.Pools = pools
	fail := func(pool, address int, since time.Duration, reason string) {
		a := &b.status.Pools[pool].Addresses[address]
		a.Available, a.Standing, a.Verdict, a.Reason, a.Since, a.Bad, a.Good = false, "down", "down", reason, earlier(since), 41, 0
	}
	for i := range 4 {
		fail(0, i, 12*time.Minute, "HTTP 503, wanted 200-499")
	}
	fail(2, 1, 3*time.Hour, "connect: connection refused")
	fail(4, 0, 26*time.Hour, "timeout after 5s waiting for the first byte")
	ends, later := time.Now().Add(50*time.Hour), time.Now().Add(11*24*time.Hour)
	pools[1].Addresses[0].CertificateExpires, pools[1].Addresses[0].Degraded = &ends, "the certificate expires in 2 days"
	pools[2].Addresses[0].CertificateExpires = &later
	pools[2].Addresses[2].Degraded, pools[2].Addresses[2].LastMilliseconds = "took 2.1s, more than 1s", 2100
	pools[3].Addresses[1].Flapping = earlier(9 * time.Minute)
	until := time.Now().Add(40 * time.Minute)
	pools[1].Addresses[1].Override = &admin.OverrideNote{ID: "o17", State: "drain", Reason: "new kernel", Author: "alice", Since: before(3 * time.Minute), Expires: &until}
	pools[1].Addresses[1].Standing, pools[1].Addresses[1].Share = "draining", 40
	over := admin.DefaultDrain
	b.status.Overrides = []admin.Override{
		{ID: "o17", OverrideTarget: admin.OverrideTarget{Address: "198.51.100.21", Pool: "hk-origin"}, State: "drain", Reason: "new kernel", Author: "alice",
			Since: before(3 * time.Minute), Expires: &until, Over: &over, Phase: "draining, weight 40%", Affects: 1},
		{ID: "o18", OverrideTarget: admin.OverrideTarget{Instance: "static", Policy: "Global", Set: "backup 1"}, State: "down", Reason: "not paid", Author: "bob",
			Since: before(8 * 24 * time.Hour), Forced: true, Affects: 2},
		{ID: "o19", Drill: "d4", OverrideTarget: admin.OverrideTarget{Pool: "fra-origin"}, State: "down", Reason: "quarterly drill", Author: "carol",
			Since: before(2 * time.Minute), Expires: &until, Affects: 3},
	}
	b.drills = []admin.Drill{{ID: "d4", OverrideTarget: admin.OverrideTarget{Pool: "fra-origin"}, State: admin.DrillRunning, Reason: "quarterly drill", Author: "carol",
		Started: before(2 * time.Minute), Ends: until, Override: "o19"}}
	b.status.Instances = []admin.InstanceStatus{
		{Name: "cdn-origin", AccessDomain: "origin.gtm.example.com.", Aliases: []string{"o2.gtm.example.com."}, BusinessDomains: []string{"www.shop.example.", "img.shop.example."}, TTL: 60,
			Policies: []admin.PolicyStatus{
				policyOf("Mainland", []string{"internal"}, "ipv4", 1, "failover", 12*time.Minute, []string{"sh-origin"}, []string{"hk-origin"}),
				policyOf("Mainland", []string{"internal"}, "ipv6", 0, "normal", 9*24*time.Hour, []string{"sh-origin-6"}, []string{"hk-origin-6"}),
				policyOf("Guangdong Telecom", []string{"cn_telecom_guangdong", "subdivision:CN-GD"}, "ipv4", 0, "normal", 30*time.Hour, []string{"hk-origin"}, []string{"sh-origin"}),
				policyOf("Europe", []string{"continent:EU", "continent:AF"}, "ipv4", 0, "normal", 4*24*time.Hour, []string{"fra-origin"}, []string{"hk-origin"}),
				policyOf("Office", []string{"office"}, "ipv4", 0, "pinned", 4*24*time.Hour, []string{"hk-origin"}, []string{"fra-origin"}),
				policyOf("Global", []string{"global"}, "ipv4", 0, "normal", 4*24*time.Hour, []string{"hk-origin", "fra-origin"}, []string{"vendor"}),
				policyOf("Global", []string{"global"}, "ipv6", 0, "fail open", 26*time.Hour, []string{"hk-origin-6"}, nil),
			}},
		{Name: "static", AccessDomain: "static.gtm.example.com.", TTL: 30, Policies: []admin.PolicyStatus{
			policyOf("Global", []string{"global"}, "both", 0, "normal", 9*24*time.Hour, []string{"fra-origin"}, []string{"vendor"}),
		}},
		{Name: "api", AccessDomain: "api.gtm.example.com.", TTL: 10, Policies: []admin.PolicyStatus{
			policyOf("Global", []string{"global"}, "ipv4", 0, "degraded", 7*time.Minute, []string{"sh-origin"}, nil),
		}},
	}
	b.status.Switches = []admin.Switch{
		{Time: before(12 * time.Minute), Instance: "cdn-origin", Policy: "Mainland", Family: "ipv4", From: "primary", To: "backup 1", Why: "failover", Reason: "203.0.113.10: HTTP 503, wanted 200-499; 203.0.113.11: the same; and 2 more"},
		{Time: before(26 * time.Hour), Instance: "cdn-origin", Policy: "Global", Family: "ipv6", From: "backup 1", To: "primary", Why: "fail open", Reason: "2001:db8:2::20: timeout"},
		{Time: before(30 * time.Hour), Instance: "cdn-origin", Policy: "Guangdong Telecom", Family: "ipv4", From: "backup 1", To: "primary", Why: "normal"},
	}
	for i, s := range b.status.Switches {
		b.events = append(b.events, admin.Event{ID: uint64(90 - i), Time: s.Time, Kind: admin.EventSwitch, Instance: s.Instance, Policy: s.Policy, Family: s.Family,
			From: s.From, To: s.To, Reason: s.Reason, Message: fmt.Sprintf("%s, policy %s: %s to %s", s.Instance, s.Policy, s.From, s.To)})
	}
	for i, h := range []float64{5, 3.5, 2} {
		from, to := "primary", "backup 1"
		if i%2 == 1 {
			from, to = to, from
		}
		b.events = append(b.events, admin.Event{ID: uint64(50 - i), Time: before(time.Duration((12 - h*0 + float64(i)*1.5) * float64(time.Hour))), Kind: admin.EventSwitch, Instance: "cdn-origin",
			Policy: "Europe", Family: "ipv4", From: to, To: from, Message: "cdn-origin, policy Europe: " + to + " to " + from})
	}
	b.events = append(b.events,
		admin.Event{ID: 40, Time: before(12 * time.Minute), Kind: admin.EventAddressDown, Address: "203.0.113.10", Pool: "sh-origin", Message: "203.0.113.10 is down", Reason: "HTTP 503, wanted 200-499", From: "up", To: "down"},
		admin.Event{ID: 12, Time: before(50 * time.Hour), Kind: admin.EventAddressUp, Address: "203.0.113.10", Pool: "sh-origin", Message: "203.0.113.10 is up", From: "down", To: "up"},
		admin.Event{ID: 11, Time: before(51 * time.Hour), Kind: admin.EventAddressDown, Address: "203.0.113.10", Pool: "sh-origin", Message: "203.0.113.10 is down", Reason: "connect: connection refused", From: "up", To: "down"})
	b.sources = sourcesOf(&b.status.Instances[0])
	b.business = []admin.BusinessDomainStatus{
		{Domain: "www.shop.example.", Instance: "cdn-origin", State: admin.Configured, Since: earlier(9 * 24 * time.Hour), Reason: "its CNAME leads to www.shop.example.cdn.example", Checked: earlier(40 * time.Second),
			Chain: []admin.ChainLink{{Name: "www.shop.example.", Type: "CNAME", Data: "www.shop.example.cdn.example.", TTL: 300, Note: "business domain"}}},
		{Domain: "img.shop.example.", Instance: "cdn-origin", State: admin.NotConfigured, Since: earlier(2 * time.Hour), Reason: "it has addresses and no CNAME", Checked: earlier(40 * time.Second)},
	}
	b.askers = admin.AskerList{Askers: []admin.Asker{
		{Instance: "cdn-origin", Address: netip.MustParseAddr("198.51.100.53"), First: before(5 * time.Hour), Last: before(3 * time.Second), Subnet: true, Facts: "AS JP AS4713"},
		{Instance: "cdn-origin", Address: netip.MustParseAddr("2001:db8:53::53"), First: before(2 * time.Hour), Last: before(8 * time.Minute), Facts: "EU DE AS3320"},
	}}
	b.alerts = admin.AlertStatus{Groups: []admin.AlertGroupStatus{{Name: "ops", Instances: []string{"cdn-origin"}, Methods: []admin.AlertMethodStatus{
		{Name: "mail", Kind: "email", To: "ops@example.com", LastSuccess: earlier(12 * time.Minute)},
		{Name: "chat", Kind: "slack", To: "hooks.slack.example", Queued: 3, LastFailure: earlier(40 * time.Second), Error: "HTTP 500 from hooks.slack.example"},
	}}}}
	b.config = admin.ConfigText{ConfigStatus: b.status.Config, Files: []admin.ConfigFile{{Name: "/etc/gtmd/gtmd.toml", Text: "[dns]\nlisten = [\"192.0.2.53:53\"]\n"}},
		Problems: []admin.ConfigProblem{{File: "/etc/gtmd/gtmd.toml", Line: 41, Column: 12, Message: "there is no health check \"htp\"", Text: "health_check = \"htp\""}}}
	return b
}

// poolOf is a pool whose addresses are up, and their targets with results.
func poolOf(b *backend, name, kind string, checks []string, addresses ...string) admin.PoolStatus {
	p := admin.PoolStatus{Name: name, Type: kind, HealthChecks: checks, Addresses: []admin.AddressStatus{}}
	if len(checks) > 1 {
		p.Judge = "all"
	}
	for i, a := range addresses {
		s := admin.AddressStatus{Address: a, Mode: "intelligent", Weight: uint32(1 + i), Share: 100, Available: true, Standing: "up", Remark: fmt.Sprintf("rack %d", i+1)}
		if len(checks) == 0 {
			s.Standing = "not probed"
			p.Addresses = append(p.Addresses, s)
			continue
		}
		s.ProbeStatus = admin.ProbeStatus{Verdict: "up", Since: earlier(9 * 24 * time.Hour), Good: 5000, LastProbe: earlier(4 * time.Second), LastMilliseconds: 12.4 + float64(i),
			Phases: &admin.Phases{ConnectMS: 3.1, TLSMS: 4.2, FirstByteMS: 4.6, BodyMS: 0.5}}
		for k, c := range checks {
			if len(checks) > 1 {
				s.Checks = append(s.Checks, admin.CheckStatus{HealthCheck: c, Address: a, ProbeStatus: s.ProbeStatus})
			}
			t := admin.TargetStatus{ID: fmt.Sprintf("%s/%s", c, a), HealthCheck: c, Protocol: "https", Address: a, Host: "www.shop.example", Pools: []string{name}, ProbeStatus: s.ProbeStatus}
			down := name == "sh-origin"
			for n := range admin.MaxResults {
				wave := float64((n*7919+i*31+k*17)%23) / 4
				r := admin.ProbeResult{Time: before(time.Duration(n*10+4) * time.Second), Good: true,
					Phases: &admin.Phases{ConnectMS: 2 + wave/3, TLSMS: 3 + wave/2, FirstByteMS: 4 + wave, BodyMS: 0.4 + wave/9}}
				r.Milliseconds = r.Phases.ConnectMS + r.Phases.TLSMS + r.Phases.FirstByteMS + r.Phases.BodyMS
				if down && n < 70 || n%41 == 40 {
					r.Good, r.Reason, r.Phases = false, "HTTP 503, wanted 200-499", &admin.Phases{ConnectMS: 2, TLSMS: 3, FirstByteMS: 5}
					r.Milliseconds = 10
				}
				if down && n == 68 {
					r.Verdict = "down"
				}
				t.Results = append(t.Results, r)
			}
			if down {
				t.Verdict, t.Since = "down", earlier(12*time.Minute)
			}
			b.targets = append(b.targets, t)
		}
		p.Addresses = append(p.Addresses, s)
	}
	return p
}

// policyOf is a policy in which the set of an index is in force.
func policyOf(name string, sources []string, family string, inForce int, why string, since time.Duration, sets ...[]string) admin.PolicyStatus {
	p := admin.PolicyStatus{Name: name, Sources: sources, Family: family, Why: why, Since: before(since), InForce: "none"}
	for i, pools := range sets {
		if pools == nil {
			continue
		}
		s := admin.SetStatus{Role: "primary", Balance: "weighted", Need: 1, Addresses: 2 * len(pools), UpAddresses: 2 * len(pools), Pools: pools, Available: true, Since: earlier(since), InForce: i == inForce}
		if i > 0 {
			s.Role = fmt.Sprintf("backup %d", i)
		}
		if i < inForce || why == "degraded" || why == "fail open" {
			s.Available, s.UpAddresses, s.Since = false, 0, nil
		}
		s.Verdict = fmt.Sprintf("%d of %d addresses available, %d needed", s.UpAddresses, s.Addresses, s.Need)
		if s.InForce {
			p.InForce = s.Role
		}
		p.Sets = append(p.Sets, s)
	}
	return p
}

// sourcesOf are the sources of an instance.
func sourcesOf(in *admin.InstanceStatus) (all []admin.SourceStatus) {
	names := map[string]admin.SourceStatus{
		"internal":             {Name: "Mainland China", Country: "CN"},
		"cn_telecom_guangdong": {Name: "Guangdong, China Telecom"},
		"subdivision:CN-GD":    {Name: "Guangdong", Subdivision: "CN-GD"},
		"continent:EU":         {Name: "Europe", Continent: "EU"},
		"continent:AF":         {Name: "Africa", Continent: "AF"},
		"office":               {Prefixes: []string{"198.51.100.0/24", "2001:db8:1::/48"}},
		"global":               {Name: "Global"},
	}
	index := map[string]int{}
	for _, p := range in.Policies {
		for _, s := range p.Sources {
			at, known := index[s]
			if !known {
				at = len(all)
				index[s] = at
				status := names[s]
				status.Source = s
				all = append(all, status)
			}
			all[at].Uses = append(all[at].Uses, admin.SourceUse{Instance: in.Name, Policy: p.Name, Family: p.Family, InForce: p.InForce, Why: p.Why})
		}
	}
	return all
}
