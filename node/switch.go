package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/policy"
)

// Switch puts a set in force; see admin.Backend. A set that is in force already stays so.
func (n *Node) Switch(ctx context.Context, r admin.SwitchRequest) (admin.SwitchResult, error) {
	var result admin.SwitchResult
	e := admin.Event{
		Kind: admin.EventSwitchAsked, Instance: r.Instance, Policy: r.Policy, Set: r.Set, To: r.Set, Reason: r.Reason,
		Message: fmt.Sprintf("%s, policy %s: the %s set is asked for", r.Instance, r.Policy, r.Set),
	}
	err := n.ask(ctx, func() (err error) {
		result, err = n.switchSet(r, by(ctx, r.Author, e))
		return err
	})
	if err != nil {
		n.notMade(ctx, r.Author, e, err)
	}
	return result, err
}

// switchSet puts a set in force for every family of a policy that can have it: what was in force is forgotten and the set
// remembered in its place, as if it had been chosen just now. The event says that it was asked for.
func (n *Node) switchSet(r admin.SwitchRequest, asked admin.Event) (admin.SwitchResult, error) {
	w, now := n.world.Load(), time.Now()
	memory := map[policyKey]policy.Memory{} // of what is moved
	result := admin.SwitchResult{SwitchRequest: r}
	known, found := false, false
	var moved []slot
	for _, s := range w.slots {
		k := w.key(s)
		if k.instance != r.Instance || k.policy != r.Policy {
			continue
		}
		known = true
		has, err := w.moveTo(s, r.Set, memory, now)
		found = found || has
		switch {
		case err != nil:
			result.Kept = append(result.Kept, admin.KeptFamily{Family: k.family.String(), Reason: err.Error()})
		case !has:
			reason := fmt.Sprintf("policy %q has no %s set for %s", k.policy, r.Set, k.family)
			result.Kept = append(result.Kept, admin.KeptFamily{Family: k.family.String(), Reason: reason})
		default:
			moved, result.Moved = append(moved, s), append(result.Moved, k.family.String())
		}
	}
	switch {
	case !known:
		return result, fmt.Errorf("there is no policy %q in an instance %q", r.Policy, r.Instance)
	case !found:
		return result, fmt.Errorf("policy %q has no set %q: sets are called primary, backup, backup 2 and so on", r.Policy, r.Set)
	case len(moved) == 0:
		return result, kept(result.Kept)
	}
	if err := n.swap(w, w.redecide(moved, w.status, memory, n.stats.Counter, now), now, asked); err != nil {
		return result, err
	}
	n.touch()
	return result, nil
}

// kept is the error of a switch that moved no family: each reason once.
func kept(families []admin.KeptFamily) error {
	var reasons []string
	for _, f := range families {
		if !slices.Contains(reasons, f.Reason) {
			reasons = append(reasons, f.Reason)
		}
	}
	return errors.New(strings.Join(reasons, "; "))
}

// moveTo enters the memory of a decision, changed so that the set of this role is in force, into memory; it reports whether there is such a set.
func (w *world) moveTo(s slot, role string, memory map[policyKey]policy.Memory, now time.Time) (found bool, err error) {
	d, k := w.decision(s), w.key(s)
	i := 0
	for i < len(d.Policy.Sets) && d.Policy.Sets[i].Role != role {
		i++
	}
	switch {
	case i == len(d.Policy.Sets):
		return false, nil
	case d.Policy.Switch != policy.SwitchAuto:
		return true, fmt.Errorf("policy %q is pinned by switch = %q: change that in the configuration", k.policy, d.Policy.Switch)
	case i == d.Set:
		return true, nil
	case !d.Sets[i].Available:
		return true, fmt.Errorf("the %s set of policy %q (%s) is not available: %d addresses up, %d needed",
			role, k.policy, k.family, d.Sets[i].Count, d.Sets[i].Need)
	case d.Policy.Failback == policy.FailbackAuto && d.Set >= 0 && d.Set < i && d.Sets[d.Set].Available:
		return true, fmt.Errorf("policy %q has failback = \"auto\" and its %s set is available, so it would return at once: "+
			"put an override on that set, or set failback = \"manual\" or switch in the configuration", k.policy, roleOf(d))
	}
	m := d.Memory()
	m.Set, m.Role, m.Since = d.Policy.SetID(i), role, now
	memory[k] = m
	return true, nil
}
