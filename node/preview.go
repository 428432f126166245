package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gtmd/admin"
	"gtmd/policy"
)

// Preview says what an override, or the end of one, would change; see admin.Backend. It decides as SetOverride would, on a world
// that nobody serves.
func (n *Node) Preview(r admin.PreviewRequest) (admin.Preview, error) {
	w, now := n.world.Load(), time.Now()
	switch {
	case r.Set != nil && r.Clear == "":
		return w.previewSet(*r.Set, now)
	case r.Set == nil && r.Clear != "":
		return w.previewClear(r.Clear, now)
	default:
		return admin.Preview{}, errors.New("want an override to set, or the ID of one to clear")
	}
}

func (w *world) previewSet(r admin.OverrideRequest, now time.Time) (admin.Preview, error) {
	target := canonical(r.OverrideTarget)
	if err := w.known(target); err != nil {
		return admin.Preview{}, err
	}
	o := &override{target: target, kind: policy.OverrideKind(r.State), reason: r.Reason, author: r.Author, since: now}
	switch {
	case r.Until != nil:
		o.expires, o.onWall = *r.Until, true
	case r.For > 0:
		o.expires = now.Add(time.Duration(r.For))
	}
	preview := admin.Preview{Affects: w.affected(target)}
	changed := []*override{o}
	if old := w.overrides.on(target); old != nil {
		status := w.overrideOf(old, now)
		preview.Replaces = &status
		changed = append(changed, old)
	}
	if emptied := w.emptiedBy(o, now); len(emptied) > 0 {
		preview.Refused = (&admin.EmptyError{Emptied: emptied}).Error()
	}
	preview.Policies = w.previewPolicies(w.overrides.with(o.worst()), changed, now)
	return preview, nil
}

func (w *world) previewClear(id string, now time.Time) (admin.Preview, error) {
	rest, gone := w.overrides.without(func(o *override) bool { return o.id == id })
	if len(gone) == 0 {
		return admin.Preview{}, fmt.Errorf("there is no override %s", id)
	}
	return admin.Preview{Affects: w.affected(gone[0].target), Policies: w.previewPolicies(rest, gone, now)}, nil
}

// previewPolicies decides what changed overrides are on with all of them in place. Of policies that fall through to one of these, those
// are told that do.
func (w *world) previewPolicies(all *overrides, changed []*override, now time.Time) []admin.PolicyPreview {
	next := *w
	next.overrides, next.decisions = all, slices.Clone(w.decisions)
	due := map[slot]bool{}
	for _, s := range w.slots {
		if slices.ContainsFunc(changed, func(o *override) bool { return w.concerns(o, s) }) {
			due[s] = true
			d := policy.Decide(w.policyOf(s), next.stateOf(s, w.status), w.decision(s).Memory(), now)
			next.decisions[s.Instance] = next.decisions[s.Instance].put(s, d)
		}
	}
	previews := []admin.PolicyPreview{}
	for _, s := range w.slots {
		before, after := w.answering(s), next.answering(s)
		if !due[s] && !due[before] && !due[after] {
			continue
		}
		k := w.key(s)
		p := admin.PolicyPreview{
			Instance: k.instance, AccessDomain: w.instances[s.Instance].AccessDomain, Policy: k.policy, Family: k.family.String(),
			Before: w.setPreview(s, before), After: next.setPreview(s, after),
		}
		p.Changes = p.Before.Role != p.After.Role || p.Before.FellThrough != p.After.FellThrough || !isSameChoice(w.decision(before), next.decision(after))
		previews = append(previews, p)
	}
	return previews
}

// isSameChoice reports whether two decisions give clients the same to choose from, whatever the distances.
func isSameChoice(a, b *policy.Decision) bool {
	isSameGroup := func(x, y policy.Group) bool {
		isChosen := len(x.Records) > 1 && x.Balance != policy.BalanceAll
		isSameRecord := func(r, s policy.Record) bool { return r.Address == s.Address && (!isChosen || r.Weight == s.Weight) }
		return x.Weight == y.Weight && slices.EqualFunc(x.Records, y.Records, isSameRecord) &&
			(len(x.Records) == 1 || x.Balance == y.Balance && x.MaxAnswers == y.MaxAnswers)
	}
	for _, f := range []policy.Family{policy.IPv4, policy.IPv6} {
		if !slices.EqualFunc(policy.Compose(a, f, nil).Groups, policy.Compose(b, f, nil).Groups, isSameGroup) {
			return false
		}
	}
	return true
}

// setPreview is the set that answers clients of a policy, with what is served of it: one of the policy itself, or of that to which it
// falls through.
func (w *world) setPreview(s, answering slot) admin.SetPreview {
	d := w.decision(answering)
	p := admin.SetPreview{Role: roleOf(d), Why: string(d.Why), Addresses: []string{}}
	if answering != s {
		p.FellThrough = w.key(answering).policy
	}
	if d.Set < 0 {
		return p
	}
	for _, a := range w.memberStatus(answering, d, d.Set, w.status) {
		if a.Served {
			p.Addresses = append(p.Addresses, a.Address)
		}
	}
	return p
}

// answering is the slot whose decision answers clients of a policy: its own, or that of the policy to which it falls through.
func (w *world) answering(s slot) slot {
	in := w.instances[s.Instance]
	s.Policy = in.Answering(s.Policy, s.Family, func(i int) *policy.Decision { return w.decisions[s.Instance][i][s.Family] })
	return s
}
