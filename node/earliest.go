package node

import (
	"fmt"
	"slices"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// prospect is when an answer can change by itself at the earliest, as far as that is known, and by what. The zero value: nothing
// is about to change it.
type prospect struct {
	at  time.Time
	why string
}

// add notes that something can change the answer at a time; one that has passed means at any moment. The zero time: it cannot.
func (p *prospect) add(at time.Time, format string, args ...any) {
	if !at.IsZero() && (p.at.IsZero() || at.Before(p.at)) {
		p.at, p.why = at, fmt.Sprintf(format, args...)
	}
}

// explainEarliest adds when the answer of a block can change: by its own decision, and by that of the policy that the client
// matched when that one falls through to it.
func (w *world) explainEarliest(e *admin.Explanation, found *view.Explanation, health *healthcheck.Status, now time.Time) {
	var p prospect
	instance := slices.Index(w.instances, found.Instance)
	for _, i := range slices.Compact([]int{found.Policy, found.Block.Answering}) {
		w.foresee(&p, slot{Instance: instance, Policy: i, Family: found.Block.Family}, health, now)
	}
	if p.at.IsZero() {
		return
	}
	if p.at.Before(now) {
		p.at = now
	}
	e.Earliest, e.EarliestWhy = moment(p.at), p.why
}

// foresee adds what can change the decision of a slot. As long as the set in force is available, sets behind it do not count, nor, with
// manual failback, those before it. Where a policy is pinned no other set does, unless it falls through when all are down.
func (w *world) foresee(p *prospect, s slot, health *healthcheck.Status, now time.Time) {
	d, k := w.decision(s), w.key(s)
	if d.Why == policy.Waiting && d.Until.After(now) {
		p.add(d.Until, "a set before the one in force may take over then (failback_delay)")
	}
	for i := range d.Policy.Sets {
		if d.Set >= 0 && d.Sets[d.Set].Available && i > d.Set && d.Why != policy.FailOpen {
			break
		}
		isHeld := d.Policy.Failback == policy.FailbackManual && d.Set >= 0 && d.Sets[d.Set].Available && i < d.Set
		isBeside := d.Why == policy.Pinned && i != d.Set && !w.instances[s.Instance].Policies[s.Policy].FallThrough
		if isHeld || isBeside {
			continue
		}
		set := &d.Policy.Sets[i]
		for _, m := range set.Members {
			for a := range m.Pool.Addresses {
				w.foreseeAddress(p, k, set, m.Pool, &m.Pool.Addresses[a], health, now)
			}
		}
	}
	// What the decision knows besides: steps of a weight that rises or falls, a TTL that does.
	p.add(d.Again, "weights or the TTL change then")
}

// foreseeAddress adds what can change the standing of an address: the end of an override or of its drain, and a verdict.
func (w *world) foreseeAddress(p *prospect, k policyKey, set *policy.Set, pool *policy.Pool, a *policy.Address, health *healthcheck.Status, now time.Time) {
	name := plainName(a.Name)
	if o := w.overrides.of(k, set, pool, a); o != nil {
		if o.expires.After(now) {
			p.add(o.expires, "override %s on %s ends", o.id, shown(o.target))
		}
		if end := o.since.Add(o.over); o.kind == policy.OverrideDrain && end.After(now) {
			p.add(end, "%s is drained (override %s)", shown(o.target), o.id)
		}
		if o.kind != policy.OverrideDrain {
			return // whatever its probes say
		}
	}
	if a.Mode != policy.ModeIntelligent {
		return
	}
	for id := range a.Probed() {
		t, known := health.Find(id)
		if !known || t.Earliest.IsZero() {
			continue
		}
		to := "up"
		if t.Verdict == healthcheck.Up || t.Verdict == healthcheck.Unknown && t.Bad > 0 {
			to = "down"
		}
		p.add(t.Earliest, "health check %s of %s could turn it %s", w.probed[id].check, name, to)
	}
}
