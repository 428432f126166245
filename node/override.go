package node

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/policy"
)

// Overrides are those in force; see admin.Backend.
func (n *Node) Overrides() []admin.Override {
	w := n.world.Load()
	return w.overrideStatus(time.Now())
}

// SetOverride puts an override in force; see admin.Backend. It is on disk when this returns, as far as the disk allows.
func (n *Node) SetOverride(ctx context.Context, r admin.OverrideRequest) (admin.OverrideResult, error) {
	var result admin.OverrideResult
	err := n.ask(ctx, func() (err error) {
		result, err = n.override(ctx, r)
		return err
	})
	if err != nil {
		e := targetEvent(r.OverrideTarget)
		e.Message = fmt.Sprintf("override %s on %s", r.State, r.OverrideTarget)
		n.notMade(ctx, r.Author, e, err)
	}
	if err == nil && !n.save() {
		result.Warnings = append(result.Warnings, "it is in force, but the state could not be saved: a restart would end it")
	}
	return result, err
}

// override is the work of SetOverride that only the controller may do.
func (n *Node) override(ctx context.Context, r admin.OverrideRequest) (admin.OverrideResult, error) {
	w, now := n.world.Load(), time.Now()
	target := canonical(r.OverrideTarget)
	if err := w.known(target); err != nil {
		return admin.OverrideResult{}, err
	}
	o := &override{
		id: "o" + strconv.FormatUint(w.overrides.count()+1, 10), target: target, kind: policy.OverrideKind(r.State), reason: r.Reason,
		author: r.Author, since: now, forced: r.Force,
	}
	switch {
	case r.Until != nil:
		o.expires, o.onWall = r.Until.Round(0), true
	case r.For > 0:
		o.expires = now.Add(time.Duration(r.For))
	}
	if o.isOver(now) {
		return admin.OverrideResult{}, fmt.Errorf("the override would end at %s, which has passed", clock(o.expires))
	}
	if o.kind == policy.OverrideDrain {
		o.over = time.Duration(admin.DefaultDrain)
		if r.Over != nil {
			o.over = time.Duration(*r.Over)
		}
		o.since = now.Add(-time.Duration(float64(o.over) * w.drainedPart(target, now)))
	}
	if emptied := w.emptiedBy(o, now); len(emptied) > 0 && !r.Force {
		return admin.OverrideResult{}, &admin.EmptyError{Emptied: emptied}
	}
	changed := []*override{o}
	if old := w.overrides.on(target); old != nil {
		changed = append(changed, old)
	}
	stopped := w.drills.stopped(changed[1:], o.author, fmt.Sprintf("%s has set override %s, %s, in its place", o.author, o.id, o.kind), now)
	asked := w.overrideOf(o, now)
	e := overrideEvent(admin.EventOverrideSet, &asked, "is set until "+untilText(o.expires))
	if err := n.steer(w, w.overrides.with(o), stopped, changed, now, by(ctx, r.Author, e)); err != nil {
		return admin.OverrideResult{}, err
	}
	n.log.Warn("override set", "id", o.id, "on", shown(o.target).String(), "state", string(o.kind), "reason", o.reason, "author", o.author,
		"until", untilText(o.expires), "forced", o.forced)
	status := n.world.Load().overrideOf(o, now)
	result := admin.OverrideResult{Override: status}
	if o.expires.IsZero() {
		result.Warnings = append(result.Warnings, "it has no end: clear it when it is no longer needed")
	}
	return result, nil
}

// ClearOverride ends overrides; see admin.Backend.
func (n *Node) ClearOverride(ctx context.Context, r admin.ClearRequest) (admin.ClearResult, error) {
	var result admin.ClearResult
	err := n.ask(ctx, func() error {
		w, now := n.world.Load(), time.Now()
		target := canonical(r.OverrideTarget)
		rest, gone := w.overrides.without(func(o *override) bool { return r.All || o.id == r.ID || r.ID == "" && o.target == target })
		switch {
		case len(gone) == 0 && r.ID != "":
			return fmt.Errorf("there is no override %s", r.ID)
		case len(gone) == 0 && !r.All:
			return fmt.Errorf("there is no override on %s", r.OverrideTarget)
		}
		for _, o := range gone {
			result.Cleared = append(result.Cleared, w.overrideOf(o, now))
		}
		stopped := w.drills.stopped(gone, r.Author, "its override was cleared by hand", now)
		var events []admin.Event
		for i := range result.Cleared {
			o := &result.Cleared[i]
			e := overrideEvent(admin.EventOverrideCleared, o, "is cleared")
			e.Reason, e.Since = fmt.Sprintf("it was set by %s: %s", o.Author, o.Reason), moment(o.Since)
			events = append(events, by(ctx, r.Author, e))
		}
		if err := n.steer(w, rest, stopped, gone, now, events...); err != nil {
			return err
		}
		for _, o := range gone {
			n.log.Warn("override cleared", append(o.fields(now), "cleared_by", r.Author)...)
		}
		return nil
	})
	if err != nil {
		e := targetEvent(r.OverrideTarget)
		if e.Message = "clear override " + r.ID; r.ID == "" {
			e.Message = fmt.Sprintf("clear the override on %s", r.OverrideTarget)
		}
		n.notMade(ctx, r.Author, e, err)
	}
	if err == nil && !n.save() {
		result.Warnings = append(result.Warnings, "it is cleared, but the state could not be saved: a restart would bring it back")
	}
	return result, err
}

// expire ends the overrides whose time has come.
func (n *Node) expire() {
	w, now := n.world.Load(), time.Now()
	rest, gone := w.overrides.without(func(o *override) bool { return o.isOver(now) })
	if len(gone) == 0 {
		return
	}
	var events []admin.Event
	for _, o := range gone {
		status := w.overrideOf(o, now)
		events = append(events, expiredEvent(&status))
	}
	if err := n.steer(w, rest, w.drills, gone, now, events...); err != nil {
		n.log.Error("publish the answers", "error", err)
		return
	}
	for _, o := range gone {
		n.log.Warn("override expired", o.fields(now)...)
	}
	n.touch()
}

// fields are what the log says of an override.
func (o *override) fields(now time.Time) []any {
	return []any{"id", o.id, "on", shown(o.target).String(), "state", string(o.kind), "reason", o.reason, "author", o.author,
		"after", now.Sub(o.since).Round(time.Second)}
}

// steer serves with other overrides and drills. Changed are overrides that were not there before, or are no longer: what they are
// on is decided anew. The events that say so come before those of what follows from it; on an error there are none.
func (n *Node) steer(w *world, all *overrides, drills drills, changed []*override, now time.Time, events ...admin.Event) error {
	before := *w
	before.overrides, before.drills = all, drills
	var due []slot
	for _, s := range w.slots {
		if slices.ContainsFunc(changed, func(o *override) bool { return w.concerns(o, s) }) {
			due = append(due, s)
		}
	}
	if len(due) == 0 {
		n.events.add(events...)
		n.advance(w, &before, now)
		return nil
	}
	return n.swap(w, before.redecide(due, w.status, nil, n.stats.Counter, now), now, events...)
}

// concerns reports whether an override is on an address of a decision.
func (w *world) concerns(o *override, s slot) bool {
	if o.target.Instance != "" {
		k := w.key(s)
		return k.instance == o.target.Instance && k.policy == o.target.Policy
	}
	for i := range w.policyOf(s).Sets {
		for _, m := range w.policyOf(s).Sets[i].Members {
			if o.target.Pool != "" && o.target.Pool != m.Pool.Name {
				continue
			}
			if slices.ContainsFunc(m.Pool.Addresses, func(a policy.Address) bool { return covers(o.target, m.Pool, &a) }) {
				return true
			}
		}
	}
	return false
}

// drainedPart is how far, from 0 to 1, some address that a target covers has been drained already. A new drain goes on from
// there: no client comes back to what was being left.
func (w *world) drainedPart(t admin.OverrideTarget, now time.Time) float64 {
	part := 0.0
	look := func(o *override) {
		switch {
		case o == nil || o.isOver(now):
		case o.kind == policy.OverrideDown:
			part = 1
		case o.kind == policy.OverrideDrain && o.over > 0:
			part = max(part, min(float64(now.Sub(o.since))/float64(o.over), 1))
		case o.kind == policy.OverrideDrain:
			part = 1
		}
	}
	if t.Instance != "" {
		look(w.overrides.on(t))
		return part
	}
	for _, pool := range w.pools {
		for i := range pool.Addresses {
			if covers(t, pool, &pool.Addresses[i]) {
				look(w.overrides.of(policyKey{}, nil, pool, &pool.Addresses[i]))
			}
		}
	}
	return part
}

// known returns an error unless there is what an override would be on.
func (w *world) known(t admin.OverrideTarget) error {
	if t.Instance != "" {
		return w.knownSet(t)
	}
	var pools []string
	for i, pool := range w.pools {
		pools = append(pools, pool.Name)
		if t.Address == "" && t.Pool == pool.Name {
			return nil
		}
		for a := range pool.Addresses {
			if covers(t, pool, &pool.Addresses[a]) {
				return nil
			}
		}
		// A name that has not been resolved yet is one of the pool's all the same.
		for _, o := range w.config.Pools[i].Addresses {
			if o.Address == t.Address && (t.Pool == "" || t.Pool == pool.Name) {
				return nil
			}
		}
	}
	switch {
	case t.Address == "" || t.Pool != "" && !slices.Contains(pools, t.Pool):
		return fmt.Errorf("there is no pool %q", t.Pool)
	case t.Pool != "":
		return fmt.Errorf("pool %q has no address %s", t.Pool, plainName(t.Address))
	default:
		return fmt.Errorf("no pool has an address %s", plainName(t.Address))
	}
}

func (w *world) knownSet(t admin.OverrideTarget) error {
	var policies, sets []string
	for _, s := range w.slots {
		k := w.key(s)
		if k.instance != t.Instance {
			continue
		}
		policies = append(policies, k.policy)
		if k.policy == t.Policy {
			sets = append(sets, rolesOf(w.policyOf(s))...)
		}
	}
	switch {
	case len(policies) == 0:
		return fmt.Errorf("there is no instance %q", t.Instance)
	case len(sets) == 0:
		return fmt.Errorf("instance %q has no policy %q", t.Instance, t.Policy)
	case !slices.Contains(sets, t.Set):
		return fmt.Errorf("policy %q has no set %q: sets are called primary, backup, backup 2 and so on", t.Policy, t.Set)
	}
	return nil
}

// emptiedBy lists the decisions in which no set would have an available address with one more override, in the end: when what is
// being drained is out, and every override that brings an address up and ends before this one has ended. Those that would have none
// without it either are not its fault.
func (w *world) emptiedBy(o *override, now time.Time) []admin.EmptiedPolicy {
	with, without := *w, *w
	without.overrides = w.overrides.worst(o)
	with.overrides = without.overrides.with(o.worst())
	var emptied []admin.EmptiedPolicy
	for _, s := range w.slots {
		if !w.concerns(o, s) {
			continue
		}
		k, p := w.key(s), w.policyOf(s)
		previous := w.decision(s).Memory()
		if policy.Decide(p, with.stateOf(s, w.status), previous, now).AllDown() &&
			!policy.Decide(p, without.stateOf(s, w.status), previous, now).AllDown() {
			emptied = append(emptied, admin.EmptiedPolicy{Instance: k.instance, Policy: k.policy, Family: k.family.String()})
		}
	}
	return emptied
}

// overrideStatus lists the overrides for the API.
func (w *world) overrideStatus(now time.Time) []admin.Override {
	all := []admin.Override{}
	for _, o := range w.overrides.all() {
		all = append(all, w.overrideOf(o, now))
	}
	return all
}

// overrideOf is an override as the API tells it.
func (w *world) overrideOf(o *override, now time.Time) admin.Override {
	out := admin.Override{
		ID: o.id, OverrideTarget: shown(o.target), State: string(o.kind), Reason: o.reason, Author: o.author, Since: o.since.Round(0),
		Expires: moment(o.expires), Forced: o.forced, Drill: o.drill, Affects: w.affected(o.target),
	}
	if o.kind == policy.OverrideDrain {
		over := admin.Duration(o.over)
		out.Over = &over
		out.Phase = "drained"
		if share, _ := policy.Share(&policy.Address{}, policy.State{}, o.effect(), now); share > 0 {
			out.Phase = fmt.Sprintf("draining, weight %d%%", sharePercent(share))
		}
	}
	return out
}

// affected is how many addresses of pools an override is on.
func (w *world) affected(t admin.OverrideTarget) int {
	if t.Instance != "" {
		seen := map[*policy.Address]bool{}
		for _, s := range w.slots {
			k := w.key(s)
			if k.instance != t.Instance || k.policy != t.Policy {
				continue
			}
			for i := range w.policyOf(s).Sets {
				if set := &w.policyOf(s).Sets[i]; set.Role == t.Set {
					for _, a := range addresses(set) {
						seen[a] = true
					}
				}
			}
		}
		return len(seen)
	}
	count := 0
	for _, pool := range w.pools {
		for i := range pool.Addresses {
			if covers(t, pool, &pool.Addresses[i]) {
				count++
			}
		}
	}
	return count
}

// note is an override as the state of an address shows it; nil: none.
func (o *override) note() *admin.OverrideNote {
	if o == nil {
		return nil
	}
	return &admin.OverrideNote{ID: o.id, State: string(o.kind), Reason: o.reason, Author: o.author, Since: o.since.Round(0), Expires: moment(o.expires)}
}

// shown is a target as people write it.
func shown(t admin.OverrideTarget) admin.OverrideTarget {
	t.Address = plainName(t.Address)
	return t
}

func untilText(t time.Time) string {
	if t.IsZero() {
		return "cleared"
	}
	return clock(t)
}

// number is that in the ID of an override; 0 for what is no such ID.
func number(id string) uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(id, "o"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// sharePercent is a share of a weight in per cent.
func sharePercent(share uint32) int { return int(share * 100 / policy.FullShare) }
