package admin_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
)

// errNothing is what the made-up backend says of what it does not have.
var errNothing = errors.New("there is none of that name")

// keep puts a value into a channel, in place of one that nobody has taken.
func keep[T any](c chan T, value T) {
	for {
		select {
		case c <- value:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// refusal is a change that was refused.
type refusal struct {
	what, why string
	caller    admin.Caller
}

func (b *backend) Refused(ctx context.Context, what, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = append(b.refused, refusal{what, why, admin.CallerOf(ctx)})
}

// changed notes that something was changed, and by whom.
func (b *backend) changed(ctx context.Context) {
	b.changes.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.caller = admin.CallerOf(ctx)
}

func (b *backend) lastCaller() admin.Caller {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.caller
}

func (b *backend) refusals() []refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.refused)
}

// happen adds an event.
func (b *backend) happen(e admin.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.happened = append(b.happened, e)
	for c := range b.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (b *backend) Watch() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[c] = true
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, c)
	}
}

func (b *backend) watched() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.watchers)
}

// Events is the contract of [admin.EventQuery], but for the bounds of time.
func (b *backend) Events(q admin.EventQuery) admin.EventList {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep(b.wanted, q)
	list := admin.EventList{}
	limit := q.Limit
	if limit == 0 {
		limit = admin.DefaultEvents
	}
	all := slices.Clone(b.happened)
	if len(all) > 0 {
		list.Latest = all[len(all)-1].ID
	}
	if q.After == 0 {
		slices.Reverse(all)
	}
	for _, e := range all {
		switch {
		case e.ID <= q.After, q.Before != 0 && e.ID >= q.Before, len(q.Kinds) > 0 && !slices.Contains(q.Kinds, e.Kind),
			q.Instance != "" && e.Instance != q.Instance, q.Text != "" && !strings.Contains(e.Message, q.Text):
		case len(list.Events) == limit:
			list.More = true
		default:
			list.Events = append(list.Events, e)
		}
	}
	return list
}

// event is an event with something in every field.
func event(id uint64) admin.Event {
	return admin.Event{
		ID: id, Time: at(1), Since: new(at(0)), Kind: admin.EventSwitch, Message: "cdn-origin, policy Global (ipv4): backup after primary", Reason: "HTTP 503",
		Instance: "cdn-origin", Policy: "Global", Family: "ipv4", Set: "primary", Pool: "test1", Pools: []string{"test1", "test3"}, Address: "192.0.2.1", HealthCheck: "web",
		From: "primary", To: "backup", Author: "alice", Via: "tcp", Remote: "198.51.100.7:4711",
	}
}

func targetStatus() admin.TargetStatus {
	return admin.TargetStatus{ID: "web|192.0.2.1|", HealthCheck: "web", Protocol: "http", Address: "192.0.2.1", Host: "origin.example", Pools: []string{"test1"},
		Canary: true, ProbeStatus: probed()}
}

func (b *backend) Targets(q admin.TargetQuery) []admin.TargetStatus {
	keep(b.targeted, q)
	return []admin.TargetStatus{targetStatus()}
}

func result() admin.ProbeResult {
	return admin.ProbeResult{Time: at(1), Good: true, Reason: "HTTP 503", Milliseconds: 12.5, Phases: &admin.Phases{ConnectMS: 1}, Verdict: "down"}
}

func (b *backend) Target(id string) (admin.TargetStatus, error) {
	t := targetStatus()
	if id != t.ID {
		return admin.TargetStatus{}, errNothing
	}
	t.Results = []admin.ProbeResult{result(), {Time: at(0), Good: true, Milliseconds: 3}}
	return t, nil
}

func (b *backend) Probe(ctx context.Context, r admin.ProbeRequest) (admin.ProbeReply, error) {
	b.changed(ctx)
	expires := at(59)
	return admin.ProbeReply{Probes: []admin.ProbeNow{{HealthCheck: "web", Address: r.Address, Host: "origin.example", ProbeResult: result(),
		Degraded: "took 2s", CertificateExpires: &expires, Standing: "up", Void: true, Note: "nothing is sent"}}}, b.err
}

func drill() admin.Drill {
	ended := at(40)
	return admin.Drill{
		ID: "d1", OverrideTarget: admin.OverrideTarget{Pool: "test1"}, State: admin.DrillStopped, Reason: "quarterly", Author: "alice", Forced: true,
		Started: at(1), Ends: at(50), Ended: &ended, EndedBy: "bob", Override: "o3",
		Policies: []admin.DrillPolicy{{Instance: "cdn-origin", AccessDomain: "origin.gtm.test.", Policy: "Global", Family: "ipv4", TTL: 60, TTLDuring: 5, Changed: new(at(3)), Restored: new(at(42)),
			Before: "primary", During: "backup", After: "primary", AnswerBefore: []string{"192.0.2.1"}, AnswerDuring: []string{"192.0.2.2"}, AnswerAfter: []string{"192.0.2.1"},
			Switches: []admin.Switch{{Time: at(2), Instance: "cdn-origin", Policy: "Global", Family: "ipv4", From: "primary", To: "backup", Why: "failover", Reason: "drill"}}}},
		CameBack: new(true),
		Notes:    []string{"192.0.2.2 was down for 3s"},
	}
}

func (b *backend) Drills() []admin.Drill {
	running := drill()
	running.ID, running.State, running.Ended, running.EndedBy = "d2", admin.DrillRunning, nil, ""
	return []admin.Drill{running, drill()}
}

func (b *backend) StartDrill(ctx context.Context, r admin.DrillRequest) (admin.Drill, error) {
	b.changed(ctx)
	keep(b.drilled, r)
	d := b.Drills()[0]
	d.OverrideTarget, d.Reason, d.Author, d.Forced = r.OverrideTarget, r.Reason, r.Author, r.Force
	return d, b.err
}

func (b *backend) StopDrill(ctx context.Context, r admin.StopDrillRequest) (admin.Drill, error) {
	b.changed(ctx)
	if r.ID != "d1" {
		return admin.Drill{}, errNothing
	}
	return drill(), b.err
}

func (b *backend) Preview(r admin.PreviewRequest) (admin.Preview, error) {
	if r.Clear != "" && r.Clear != "o1" {
		return admin.Preview{}, errNothing
	}
	preview := admin.Preview{Affects: 1, Policies: []admin.PolicyPreview{{
		Instance: "cdn-origin", AccessDomain: "origin.gtm.test.", Policy: "Global", Family: "ipv4", Changes: true,
		Before: admin.SetPreview{Role: "primary", Why: "normal", Addresses: []string{"192.0.2.1"}},
		After:  admin.SetPreview{FellThrough: "Office", Role: "none", Why: "nothing is available", Addresses: []string{}},
	}}}
	if r.Set != nil {
		preview.Replaces, preview.Refused = &b.Overrides()[0], "refused: it takes force"
	}
	return preview, b.err
}

func (b *backend) ReloadDifference(ctx context.Context) (admin.Difference, error) {
	if err := b.Reload(ctx); err != nil {
		return admin.Difference{}, err
	}
	return difference(), nil
}

func (b *backend) Diff(ctx context.Context, r admin.DiffRequest) (admin.Difference, error) {
	b.changed(ctx) // it is no change, but nobody reads files who may not
	if r.Path == "/none" {
		return admin.Difference{}, errors.New("open /none: no such file or directory")
	}
	return difference(), b.err
}

func difference() admin.Difference {
	return admin.Difference{From: "00ff", To: "00fe", Names: []admin.NameDifference{{
		Name: "origin.gtm.test.", Type: "A", Change: "changed", ShareIPv4: 0.25, ShareIPv6: 0.5,
		Examples: []admin.ClientDifference{{Client: "198.51.100.0/24", Line: "country:JP", Before: []string{"192.0.2.1"}, After: []string{"192.0.2.2"}}},
		Note:     "TTL 60 -> 30",
	}}, Unchanged: 4, Other: []string{"health check web: interval 5s -> 10s"}, Warnings: []string{"hm"}}
}

func (b *backend) ConfigText() admin.ConfigText {
	return admin.ConfigText{ConfigStatus: b.Status().Config, Files: []admin.ConfigFile{{Name: "gtmd.toml", Text: "[dns]\n", Changed: true}},
		Problems: []admin.ConfigProblem{{File: "gtmd.toml", Line: 1, Column: 2, Message: "no", Text: "[dns"}}}
}

func (b *backend) Sources() []admin.SourceStatus {
	built := at(0)
	return []admin.SourceStatus{
		{Source: "cn:guangdong:telecom", Name: "Guangdong, China Telecom", Country: "CN", Continent: "AS", Subdivision: "CN-GD", Prefixes: []string{"198.51.100.0/24"},
			Uses:      []admin.SourceUse{{Instance: "cdn-origin", Policy: "Global", Family: "ipv4", InForce: "backup", Why: "failback waits"}},
			Databases: []string{"city.mmdb"}, DatabasesBuilt: &built},
		{Source: "global", Uses: []admin.SourceUse{}},
	}
}

func domainStatus(domain string) admin.BusinessDomainStatus {
	since := at(1)
	return admin.BusinessDomainStatus{Domain: domain, Instance: "cdn-origin", State: admin.NotConfigured, Since: &since, Reason: "it leads elsewhere", Loop: true,
		Chain: []admin.ChainLink{{Name: domain, Type: "CNAME", Data: "shop.cdn.test.", TTL: 60, Note: "business domain"}}, Checked: &since, Milliseconds: 2.5}
}

func (b *backend) BusinessDomains() []admin.BusinessDomainStatus {
	return []admin.BusinessDomainStatus{domainStatus("www.shop.test.")}
}

func (b *backend) Chain(_ context.Context, domain string) (admin.BusinessDomainStatus, error) {
	if strings.ContainsAny(domain, " /") {
		return admin.BusinessDomainStatus{}, errors.New("that is no name")
	}
	return domainStatus(domain), nil
}

func (b *backend) Askers(instance string) (admin.AskerList, error) {
	if instance != "" && instance != "cdn-origin" {
		return admin.AskerList{}, errNothing
	}
	return admin.AskerList{Askers: []admin.Asker{{Instance: "cdn-origin", Address: netip.MustParseAddr("198.51.100.53"), First: at(1), Last: at(2), Subnet: true, Facts: "AS JP"}},
		Forgotten: true}, nil
}

func delivery() admin.Delivery {
	return admin.Delivery{Time: at(3), Group: "ops", Method: "mail", Message: "origin down", ID: "m1", Attempt: 2, Error: "451 later"}
}

func (b *backend) Alerts() admin.AlertStatus {
	success, failure, next := at(1), at(3), at(9)
	return admin.AlertStatus{
		Groups: []admin.AlertGroupStatus{{Name: "ops", Instances: []string{"cdn-origin"}, Methods: []admin.AlertMethodStatus{{Name: "mail", Kind: "email",
			To: "ops@example.test", Queued: 1, LastSuccess: &success, LastFailure: &failure, Error: "451 later", Next: &next}}}},
		Firing:     []admin.FiringAlert{{Key: "down/192.0.2.1", Kind: admin.EventAddressDown, Since: at(1), Title: "192.0.2.1 is down", Instances: []string{"cdn-origin"}}},
		Deliveries: []admin.Delivery{delivery()},
	}
}

func (b *backend) TestAlert(ctx context.Context, r admin.AlertTestRequest) (admin.AlertTestReply, error) {
	b.changed(ctx)
	if r.Group != "ops" {
		return admin.AlertTestReply{}, errNothing
	}
	return admin.AlertTestReply{Deliveries: []admin.Delivery{delivery()}}, b.err
}

var _ admin.Backend = (*backend)(nil)

// soon is how long a test waits for what has to come.
const soon = 10 * time.Second
