package node

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

func (n *Node) poolStatus(w *world, health *healthcheck.Status, now time.Time) []admin.PoolStatus {
	all := make([]admin.PoolStatus, len(w.pools))
	for i, p := range w.pools {
		o := &w.config.Pools[i]
		all[i] = admin.PoolStatus{
			Name: p.Name, Type: string(p.Type), HealthChecks: o.HealthCheck, Addresses: []admin.AddressStatus{}, Resolved: n.resolvedStatus(o),
		}
		if len(o.HealthCheck) > 1 {
			all[i].Judge = o.Judge.String()
		}
		for a := range p.Addresses {
			address := &p.Addresses[a]
			all[i].Addresses = append(all[i].Addresses, w.addressStatus(policyKey{}, nil, p, address, health, now))
		}
	}
	return all
}

// memberStatus is the state of the addresses of set i of the decision of a slot.
func (w *world) memberStatus(s slot, d *policy.Decision, i int, health *healthcheck.Status) []admin.AddressStatus {
	set, k := &d.Policy.Sets[i], w.key(s)
	drawn := slices.Concat(d.Draws(policy.IPv4), d.Draws(policy.IPv6))
	var all []admin.AddressStatus
	for m, member := range set.Members {
		for a := range member.Pool.Addresses {
			status := w.addressStatus(k, set, member.Pool, &member.Pool.Addresses[a], health, time.Now())
			status.Pool = member.Pool.Name
			standing := d.Sets[i].Standings[len(all)] // what was decided on, which may be older than the present health
			status.Available, status.Standing = standing.Available(), string(standing)
			status.Served = i == d.Set && slices.ContainsFunc(drawn, func(ref policy.Ref) bool { return ref.Member == m && ref.Address == a })
			all = append(all, status)
		}
	}
	return all
}

// addressStatus joins what the policy, an operator and the health checks know of an address of a pool in a set; nil is no set.
func (w *world) addressStatus(k policyKey, set *policy.Set, pool *policy.Pool, a *policy.Address, health *healthcheck.Status, now time.Time) admin.AddressStatus {
	o := w.overrides.of(k, set, pool, a)
	state := w.stateOf(slot{Instance: -1}, health)
	standing := policy.StandingOf(a, state, o.effect(), now)
	share, _ := policy.Share(a, state, o.effect(), now)
	s := admin.AddressStatus{
		Address: plainName(a.Name), Remark: a.Remark, Mode: string(a.Mode), Weight: a.Weight, Available: standing.Available(),
		Standing: string(standing), Share: sharePercent(share), Override: o.note(), ProbeStatus: w.joined(a, health),
	}
	ids := slices.Collect(a.Probed())
	if len(ids) < 2 {
		return s
	}
	for _, id := range ids {
		if t, known := health.Find(id); known {
			s.Checks = append(s.Checks, admin.CheckStatus{HealthCheck: w.probed[id].check, Address: w.probed[id].address, ProbeStatus: probeStatus(t)})
		}
	}
	return s
}

// joined is what the health checks of an address know together: the verdict that counts, and of the rest what is worst.
func (w *world) joined(a *policy.Address, health *healthcheck.Status) admin.ProbeStatus {
	var all []admin.ProbeStatus
	for id := range a.Probed() {
		if t, known := health.Find(id); known {
			all = append(all, probeStatus(t))
		}
	}
	if len(all) == 0 {
		return admin.ProbeStatus{}
	}
	if len(all) == 1 {
		return all[0]
	}
	verdict := a.Health(verdictsOf(health))
	s := admin.ProbeStatus{Verdict: verdictText(verdict)}
	for _, p := range all {
		// The verdict is as old as the latest turn to it.
		if p.Verdict == s.Verdict && later(p.Since, s.Since) {
			s.Since = p.Since
		}
		if later(p.LastProbe, s.LastProbe) {
			s.LastProbe, s.LastMilliseconds, s.Phases = p.LastProbe, p.LastMilliseconds, p.Phases
		}
		s.Bad = max(s.Bad, p.Bad)
		s.Reason, s.LastError = also(s.Reason, p.Reason), also(s.LastError, p.LastError)
		s.Degraded, s.Warning = also(s.Degraded, p.Degraded), also(s.Warning, p.Warning)
		s.CannotProbe = s.CannotProbe || p.CannotProbe
		if p.Flapping != nil && (s.Flapping == nil || p.Flapping.Before(*s.Flapping)) {
			s.Flapping = p.Flapping
		}
		if p.CertificateExpires != nil && (s.CertificateExpires == nil || p.CertificateExpires.Before(*s.CertificateExpires)) {
			s.CertificateExpires = p.CertificateExpires
		}
	}
	return s
}

// probeStatus is what one health check knows of one address.
func probeStatus(t *healthcheck.TargetStatus) admin.ProbeStatus {
	s := admin.ProbeStatus{
		Verdict: string(cmp.Or(t.Verdict, healthcheck.Unknown)), Since: moment(t.Since), Reason: t.Reason, Good: t.Good, Bad: t.Bad,
		LastProbe: moment(t.LastProbe), LastError: t.LastError, CannotProbe: t.Void, LastMilliseconds: milliseconds(t.LastDuration),
		Degraded: t.Degraded, Flapping: moment(t.Flapping), Warning: t.Report.Warning, CertificateExpires: moment(t.Report.CertificateExpires),
	}
	s.Phases = phasesStatus(t.Phases)
	return s
}

// phasesStatus is nil when a probe had no phases.
func phasesStatus(p healthcheck.Phases) *admin.Phases {
	if p == (healthcheck.Phases{}) {
		return nil
	}
	return &admin.Phases{
		ConnectMS: milliseconds(p.Connect), TLSMS: milliseconds(p.TLS), FirstByteMS: milliseconds(p.FirstByte), BodyMS: milliseconds(p.Body),
	}
}

func blindStatus(health *healthcheck.Status) []admin.BlindStatus {
	all := []admin.BlindStatus{}
	for _, b := range health.Blind {
		all = append(all, admin.BlindStatus{Family: b.Family, Since: b.Since.Round(0), Reason: b.Reason})
	}
	return all
}

func verdictText(h policy.Health) string {
	switch h {
	case policy.Up:
		return string(healthcheck.Up)
	case policy.Down:
		return string(healthcheck.Down)
	default:
		return string(healthcheck.Unknown)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// later reports whether a is a time after b; nil is before every time.
func later(a, b *time.Time) bool { return a != nil && (b == nil || a.After(*b)) }

// also joins two texts for people, each once.
func also(a, b string) string {
	switch {
	case b == "" || strings.Contains(a, b):
		return a
	case a == "":
		return b
	default:
		return a + "; " + b
	}
}
