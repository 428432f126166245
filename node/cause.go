package node

import (
	"slices"
	"time"

	"gtmd/admin"
	"gtmd/policy"
)

// causes are the keys of what can be behind the turn of a set: the addresses of it that have turned with it. When none has, what
// keeps it down is: overrides, else the addresses that are down.
func (c *comparison) causes(k policyKey, d *policy.Decision, i int, isEnd bool) []string {
	set := &d.Policy.Sets[i]
	turned := c.began
	if isEnd {
		turned = c.ended
	}
	var fresh, forced, old []string
	known := map[string]bool{}
	add := func(list *[]string, key string) {
		if key != "" && !known[key] {
			known[key] = true
			*list = append(*list, key)
		}
	}
	index := 0
	for _, m := range set.Members {
		for j := range m.Pool.Addresses {
			a := &m.Pool.Addresses[j]
			standing := d.Sets[i].Standings[index]
			index++
			if isEnd == standing.Available() && len(turned) > 0 {
				add(&fresh, turned[spot{m.Pool.Name, a.Name}])
			}
			if isEnd {
				continue
			}
			switch standing {
			case policy.StandsForcedDown, policy.StandsDrained:
				if o := c.w.overrides.of(k, set, m.Pool, a); o != nil {
					add(&forced, overrideKey(o))
				}
			case policy.StandsDown:
				add(&old, c.w.addressKey(a))
			}
		}
	}
	switch {
	case len(fresh) > 0:
		return fresh
	case len(forced) > 0:
		return forced
	default:
		return old
	}
}

// settleCauses gives each set the one of its possible causes that is that of most sets: so few messages tell it all.
func (c *comparison) settleCauses() {
	counts := map[string]int{}
	for _, choices := range c.choices {
		for _, key := range choices {
			counts[key]++
		}
	}
	for at, choices := range c.choices {
		c.found[at].cause = slices.MaxFunc(choices, func(a, b string) int { return counts[a] - counts[b] })
	}
}

// switched is the change of a set in force. Its cause is that of the set that was left, or else of the one that has come back. A
// failback that has waited has the address for its cause that was the last one to come back.
func (c *comparison) switched(s *admin.Switch, slots []slot) change {
	found := change{Event: switchEvent(s), rank: rankPolicy, instances: []string{s.Instance}}
	for _, role := range []string{s.From, s.To} {
		if at, isTurned := c.sets[setKey(s.Instance, s.Policy, s.Family, role)]; isTurned {
			found.cause = c.found[at].cause
			return found
		}
	}
	if was := c.told[setKey(s.Instance, s.Policy, s.Family, s.From)]; was != nil {
		found.cause = was.Cause
		return found
	}
	if c.slots == nil {
		c.slots = map[[3]string]slot{}
		for _, at := range slots {
			k := c.w.key(at)
			c.slots[[3]string{k.instance, k.policy, k.family.String()}] = at
		}
	}
	if at, ok := c.slots[[3]string{s.Instance, s.Policy, s.Family}]; ok {
		found.cause = c.w.lastBack(c.w.decision(at))
	}
	return found
}

// lastBack is the key of the address of the set in force that was the last one to recover; empty: none ever did.
func (w *world) lastBack(d *policy.Decision) string {
	inForce := d.InForce()
	if inForce == nil {
		return ""
	}
	var last *policy.Address
	var at time.Time
	for _, a := range addresses(inForce) {
		recovered := a.Recovered(verdictsOf(w.status), func(id string) time.Time { return w.status.Of(id).Recovered })
		if recovered.After(at) {
			last, at = a, recovered
		}
	}
	if last == nil {
		return ""
	}
	return w.addressKey(last)
}
