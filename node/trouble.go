package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// trouble is something that has begun and is not over: an address that is down, a set that is not available. Immutable.
type trouble struct {
	// Key names what it is about. It is the same after a reload, and after a restart.
	Key string `json:"key"`
	// Cause is the key of what is behind it; empty: itself.
	Cause string `json:"cause,omitempty"`
	// Event is its beginning.
	Event admin.Event `json:"event"`
}

// member is an address of a pool, by its places in the plan.
type member struct{ pool, address int32 }

// enroll notes which addresses of pools each target is probed for.
func (p *plan) enroll() {
	p.members = make(map[string][]member, len(p.probed))
	for i, pool := range p.pools {
		for j := range pool.Addresses {
			m := member{int32(i), int32(j)}
			for id := range pool.Addresses[j].Probed() {
				if known := p.members[id]; len(known) == 0 || known[len(known)-1] != m {
					p.members[id] = append(known, m)
				}
			}
		}
	}
}

func (p *plan) addressOf(m member) *policy.Address { return &p.pools[m.pool].Addresses[m.address] }

// Keys of what troubles are about.

// addressKey is that of an address: the same for all pools in which it is up and down together.
func (p *plan) addressKey(a *policy.Address) string {
	if len(a.Targets) == 1 && len(a.Targets[0]) == 1 {
		if a.IP.IsValid() {
			return "address/" + a.Targets[0][0]
		}
		return "address/" + plainName(a.Name) + "/" + p.probed[a.Targets[0][0]].check
	}
	var parts []string
	for id := range a.Probed() {
		part := id
		if !a.IP.IsValid() { // what it resolves to may be another address tomorrow
			part = p.probed[id].check
		}
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return fmt.Sprintf("address/%s/%s/%v/%v", plainName(a.Name), strings.Join(parts, "+"), a.Judge, a.MinUp)
}

func setKey(instance, policy, family, role string) string {
	return "set/" + instance + "/" + policy + "/" + family + "/" + role
}

func openKey(k policyKey) string { return fmt.Sprintf("open/%s/%s/%s", k.instance, k.policy, k.family) }

func certificateKey(id string) string { return "certificate/" + id }

func databaseKey(path string) string { return "database/" + path }

func blindKey(family string) string { return "blind/" + family }

func overrideKey(o *override) string { return "override/" + o.id }

// configKey is that of a configuration that was refused.
const configKey = "config"

func unconfiguredKey(e *admin.Event) string { return "unconfigured/" + e.Instance + "/" + e.Address }

// isForeign reports whether a trouble is not one of the world: who has found it tells its end, too.
func isForeign(key string) bool {
	return key == configKey || strings.HasPrefix(key, "unconfigured/")
}

// What is said of them.

// addressText names an address with its pools.
func addressText(e *admin.Event) string {
	switch n := max(len(e.Pools), 1); {
	case e.Pool == "":
		return e.Address
	case n == 1:
		return fmt.Sprintf("%s (pool %s)", e.Address, e.Pool)
	case n <= 3:
		return fmt.Sprintf("%s (pools %s)", e.Address, strings.Join(e.Pools, ", "))
	default:
		return fmt.Sprintf("%s (%d pools, %s and others)", e.Address, n, e.Pool)
	}
}

// policyText names a decision.
func policyText(e *admin.Event) string {
	return fmt.Sprintf("%s, policy %s (%s)", e.Instance, e.Policy, familyText(e.Family))
}

// familyText is a family as people write it.
func familyText(family string) string {
	switch family {
	case policy.IPv4.String():
		return "IPv4"
	case policy.IPv6.String():
		return "IPv6"
	default:
		return "IPv4 and IPv6"
	}
}

// zonedClock is clock with the time zone.
func zonedClock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// subject are the fields of an event about an address in some pools.
func (w *world) subject(a *policy.Address, members []member) admin.Event {
	e := admin.Event{Address: plainName(a.Name)}
	for _, m := range members {
		if name := w.pools[m.pool].Name; !slices.Contains(e.Pools, name) {
			e.Pools = append(e.Pools, name)
		}
	}
	if len(e.Pools) > 0 {
		e.Pool = e.Pools[0]
	}
	if len(e.Pools) == 1 {
		e.Pools = nil
	}
	return e
}

// downEvent is that an address is down.
func (w *world) downEvent(a *policy.Address, members []member) admin.Event {
	e := w.subject(a, members)
	e.Kind, e.Reason = admin.EventAddressDown, w.reasonOf(a)
	var checks []string
	var since time.Time
	for id := range a.Probed() {
		t, _ := w.status.Find(id)
		if t.Verdict != healthcheck.Down {
			continue
		}
		if check := w.probed[id].check; !slices.Contains(checks, check) {
			checks = append(checks, check)
		}
		if t.Since.After(since) {
			since = t.Since
		}
	}
	e.HealthCheck, e.Since = strings.Join(checks, ", "), moment(since)
	e.Message = addressText(&e) + " is down"
	return e
}

// upEvent is that an address that was down is up again; w is the world in which it is.
func (w *world) upEvent(a *policy.Address, members []member, was *trouble, now time.Time) admin.Event {
	e := w.subject(a, members)
	e.Kind, e.HealthCheck, e.Since = admin.EventAddressUp, was.Event.HealthCheck, was.Event.Since
	e.Message = addressText(&e) + " is up again"
	for id := range a.Probed() {
		if t, _ := w.status.Find(id); t.Verdict == healthcheck.Up && t.Bad > 0 {
			e.Reason = "its turn down is taken back: this prober was blind"
			return e
		}
	}
	e.Reason = "was down" + lasted(was, now)
	return e
}

// lasted says how long a trouble was there and, where it has one, its reason.
func lasted(was *trouble, now time.Time) string {
	text := ""
	if since := was.Event.Since; since != nil && now.After(*since) {
		text = " for " + now.Sub(*since).Round(time.Second).String()
	}
	if was.Event.Reason != "" {
		text += ": " + was.Event.Reason
	}
	return text
}

// setEvent is about set i of a decision.
func (w *world) setEvent(k policyKey, d *policy.Decision, i int) admin.Event {
	state, set := &d.Sets[i], &d.Policy.Sets[i]
	e := admin.Event{Instance: k.instance, Policy: k.policy, Family: k.family.String(), Set: set.Role}
	is := "available"
	if e.Kind = admin.EventSetAvailable; !state.Available {
		e.Kind, is = admin.EventSetUnavailable, "not available"
		e.Reason = w.failing(k, d, d.Policy.SetID(i))
	}
	e.Message = fmt.Sprintf("%s: the %s set is %s, %d of %d addresses are, %d needed", policyText(&e), set.Role, is, state.Count, state.Candidates, state.Need)
	return e
}

// isSetTrouble reports whether a set is one that people should know of: one whose addresses are all offline by the
// configuration is as somebody wants it.
func isSetTrouble(s *policy.SetState) bool {
	return !s.Available && (s.Candidates > 0 || len(s.Standings) == 0)
}

// isOpen reports whether a decision serves what is not available, because nothing is.
func isOpen(d *policy.Decision) bool { return d.Set >= 0 && d.Sets[d.Set].Count == 0 }

// openEvent is that a decision serves all of a set of which nothing is available.
func (w *world) openEvent(k policyKey, d *policy.Decision) admin.Event {
	e := admin.Event{
		Kind: admin.EventFailOpen, Instance: k.instance, Policy: k.policy, Family: k.family.String(), Set: roleOf(d),
		Reason: w.failing(k, d, d.Policy.SetID(d.Set)),
	}
	e.Message = fmt.Sprintf("%s: no address is available, so all of the %s set are served (fail open)", policyText(&e), e.Set)
	return e
}

// switchEvent is a change of the set in force.
func switchEvent(s *admin.Switch) admin.Event {
	e := admin.Event{
		Kind: admin.EventSwitch, Time: s.Time, Instance: s.Instance, Policy: s.Policy, Family: s.Family, Set: s.To, From: s.From, To: s.To,
		Reason: s.Reason,
	}
	e.Message = fmt.Sprintf("%s: %s -> %s, %s", policyText(&e), s.From, s.To, s.Why)
	return e
}

// certificateEvent is about the certificate that a target has shown.
func (w *world) certificateEvent(id string, t *healthcheck.TargetStatus, members []member) admin.Event {
	e := w.subject(w.addressOf(members[0]), members)
	e.Kind, e.HealthCheck, e.Reason = admin.EventCertificate, w.probed[id].check, t.Report.Warning
	what := fmt.Sprintf("the certificate of %s, health check %s,", addressText(&e), e.HealthCheck)
	e.Message = fmt.Sprintf("%s expires %s", what, zonedClock(t.Report.CertificateExpires))
	if t.Report.Warning == "" {
		e.Kind = admin.EventCertificateGood
		e.Message = fmt.Sprintf("%s is good until %s", what, zonedClock(t.Report.CertificateExpires))
	}
	return e
}

// databaseEvent is that a database is refused or too old; ok is false when it is as it should be.
func (w *world) databaseEvent(d *database, now time.Time) (e admin.Event, ok bool) {
	limit := w.config.File.Geo.MaxAge
	e.Kind = admin.EventDatabaseStale
	switch {
	case d.refused != nil:
		e.Message = fmt.Sprintf("the file of geo database %s is refused: %s serves on", d.path, d.serving())
		e.Reason, e.Since = d.refused.Error(), moment(d.at)
	case limit > 0 && now.Sub(d.Built) >= limit:
		e.Message = fmt.Sprintf("geo database %s is too old", d.path)
		e.Reason, e.Since = d.ageWarning(now, limit), moment(d.Built.Add(limit))
	default:
		e.Kind = admin.EventDatabaseFresh
		e.Message = fmt.Sprintf("geo database %s is good: built %s", d.path, day(d.Built))
		return e, false
	}
	return e, true
}
