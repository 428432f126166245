package node

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/policy"
)

// override is one of an operator's. Immutable.
type override struct {
	id     string
	target admin.OverrideTarget // canonical
	kind   policy.OverrideKind
	reason string
	author string
	since  time.Time
	over   time.Duration // of a drain
	// expires is when it ends; zero: never. With onWall it is meant as a time of the clock on the wall, else as the end of a
	// duration, whatever that clock does.
	expires time.Time
	onWall  bool
	forced  bool
	drill   string // the ID of the drill that it belongs to
}

// effect is what the policy takes of an override; nil is none.
func (o *override) effect() policy.Override {
	if o == nil {
		return policy.Override{}
	}
	return policy.Override{Kind: o.kind, Since: o.since, Over: o.over, Expires: o.expires}
}

// isOver reports whether an override has ended by itself.
func (o *override) isOver(now time.Time) bool { return !o.expires.IsZero() && !o.expires.After(now) }

// overrides are those in force, the oldest first. Immutable; nil is none.
type overrides struct {
	list     []*override
	byTarget map[admin.OverrideTarget]*override
	// last is the number of the latest ID that was ever given.
	last uint64
}

func newOverrides(list []*override, last uint64) *overrides {
	all := &overrides{list: list, byTarget: make(map[admin.OverrideTarget]*override, len(list)), last: last}
	for _, o := range list {
		all.byTarget[o.target] = o
	}
	return all
}

func (all *overrides) isEmpty() bool { return all == nil || len(all.list) == 0 }

// of is the override that counts for an address of a pool in a set of a policy; nil: none. The most specific one does: on the
// address in its pool, on the address, on the pool, on the set. One on a domain name counts for the addresses behind it. Without
// a set those on sets do not count.
func (all *overrides) of(k policyKey, set *policy.Set, pool *policy.Pool, a *policy.Address) *override {
	if all.isEmpty() {
		return nil
	}
	targets := []admin.OverrideTarget{{Address: a.Name, Pool: pool.Name}, {Address: a.Name}, {Pool: pool.Name}}
	if a.From != "" {
		targets = slices.Insert(targets, 2, admin.OverrideTarget{Address: a.From})
		targets = slices.Insert(targets, 1, admin.OverrideTarget{Address: a.From, Pool: pool.Name})
	}
	if set != nil {
		targets = append(targets, admin.OverrideTarget{Instance: k.instance, Policy: k.policy, Set: set.Role})
	}
	for _, t := range targets {
		if o := all.byTarget[t]; o != nil {
			return o
		}
	}
	return nil
}

// on is the override on exactly that target; nil: none.
func (all *overrides) on(t admin.OverrideTarget) *override {
	if all.isEmpty() {
		return nil
	}
	return all.byTarget[t]
}

// worst is an override in the end: what is being drained is out.
func (o *override) worst() *override {
	if o.kind != policy.OverrideDrain {
		return o
	}
	end := *o
	end.kind = policy.OverrideDown
	return &end
}

// worst are the overrides in the end, without those that bring an address up only for a time that is over before another one is.
func (all *overrides) worst(until *override) *overrides {
	var list []*override
	for _, o := range all.all() {
		isBrief := !o.expires.IsZero() && (until.expires.IsZero() || o.expires.Before(until.expires))
		if o.kind != policy.OverrideUp || !isBrief {
			list = append(list, o.worst())
		}
	}
	return newOverrides(list, all.count())
}

// with returns them with one more, in place of one on the same target.
func (all *overrides) with(o *override) *overrides {
	list := slices.DeleteFunc(all.all(), func(old *override) bool { return old.target == o.target })
	return newOverrides(append(list, o), max(all.count(), number(o.id)))
}

// without returns them without some, and those.
func (all *overrides) without(isGone func(*override) bool) (rest *overrides, gone []*override) {
	var list []*override
	for _, o := range all.all() {
		if isGone(o) {
			gone = append(gone, o)
		} else {
			list = append(list, o)
		}
	}
	return newOverrides(list, all.count()), gone
}

// all is a copy of the list.
func (all *overrides) all() []*override {
	if all == nil {
		return nil
	}
	return slices.Clone(all.list)
}

// count is how many overrides there ever were.
func (all *overrides) count() uint64 {
	if all == nil {
		return 0
	}
	return all.last
}

// until is when the first of them ends by itself; zero: none does.
func (all *overrides) until() time.Time {
	var earliest time.Time
	for _, o := range all.all() {
		if !o.expires.IsZero() && (earliest.IsZero() || o.expires.Before(earliest)) {
			earliest = o.expires
		}
	}
	return earliest
}

// canonical writes a target as the plan does: addresses in their shortest form, names in small letters with the last dot.
func canonical(t admin.OverrideTarget) admin.OverrideTarget {
	if t.Address == "" {
		return t
	}
	if ip, err := netip.ParseAddr(t.Address); err == nil {
		t.Address = ip.Unmap().String()
	} else {
		t.Address = strings.TrimSuffix(strings.ToLower(t.Address), ".") + "."
	}
	return t
}

// covers reports whether a target is on an address of a pool, whatever the policy; those on sets are on none.
func covers(t admin.OverrideTarget, pool *policy.Pool, a *policy.Address) bool {
	switch {
	case t.Instance != "":
		return false
	case t.Pool != "" && t.Pool != pool.Name:
		return false
	case t.Address == "":
		return true
	default:
		return t.Address == a.Name || t.Address == a.From
	}
}
