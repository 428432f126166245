package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gtmd/policy"
)

// goldenSet is a set as goldenDecide sees it.
type goldenSet struct {
	role, id              string
	available, candidates int
	isAvailable           bool
}

// goldenSets is the slow way to the sets of a policy that have pools which count, with the health of the random world r.
func goldenSets(r *randomWorld, o policy.PolicyOptions, counts func(policy.PoolType) bool) (sets []goldenSet) {
	seen := map[string]int{}
	for i, so := range append([]policy.SetOptions{o.Primary}, o.Backup...) {
		s := goldenSet{role: []string{"primary", "backup", "backup 2", "backup 3"}[i]}
		var names []string
		have, of := map[policy.PoolType]int{}, map[policy.PoolType]int{} // available, not offline
		for _, ref := range so.Pools {
			pool := r.options[ref.Pool]
			if !counts(pool.Type) {
				continue
			}
			names = append(names, ref.Pool)
			if len(pool.Addresses) > 0 {
				have[pool.Type] += 0
			}
			for _, a := range pool.Addresses {
				isProbed := len(pool.HealthCheck) > 0 && pool.Type != policy.TypeDomain
				if a.Mode != policy.ModeOffline {
					s.candidates++
					of[pool.Type]++
					if a.Mode == policy.ModeOnline || !isProbed || r.health[a.Address] != policy.Down {
						s.available++
						have[pool.Type]++
					}
				}
			}
		}
		if len(names) == 0 {
			continue
		}
		s.id = strings.Join(names, "+")
		if seen[s.id]++; seen[s.id] > 1 {
			s.id += fmt.Sprint("#", seen[s.id])
		}
		var count, percent int
		if text, isShare := strings.CutSuffix(so.MinAvailable.String(), "%"); isShare {
			fmt.Sscan(text, &percent)
		} else {
			fmt.Sscan(text, &count)
		}
		s.isAvailable = len(have) > 0
		for kind, n := range have {
			s.isAvailable = s.isAvailable && n > 0 && n >= count && n*100 >= percent*of[kind]
		}
		sets = append(sets, s)
	}
	return sets
}

// goldenDecide is the table of section 3 of BEHAVIOUR.md, read aloud: the role of the set in force, and why.
func goldenDecide(sets []goldenSet, o policy.PolicyOptions, previous policy.Memory, now time.Time) (string, policy.Why) {
	filter := func(wanted func(goldenSet) bool) (found []goldenSet) {
		for _, s := range sets {
			if wanted(s) {
				found = append(found, s)
			}
		}
		return found
	}
	pinned := filter(func(s goldenSet) bool {
		return o.Switch == policy.SwitchPrimary && s.role == "primary" || o.Switch == policy.SwitchBackup && s.role != "primary"
	})
	available := filter(func(s goldenSet) bool { return s.isAvailable })
	surviving := filter(func(s goldenSet) bool { return s.available > 0 })
	candidates := filter(func(s goldenSet) bool { return s.candidates > 0 })
	switch {
	case len(pinned) > 0 && pinned[0].available > 0:
		return pinned[0].role, policy.Pinned
	case len(pinned) > 0 && pinned[0].candidates > 0 && o.WhenAllDown == policy.AllDownEmpty:
		return "", policy.Empty
	case len(pinned) > 0 && pinned[0].candidates > 0:
		return pinned[0].role, policy.Pinned
	case len(surviving) == 0 && (len(candidates) == 0 || o.WhenAllDown == policy.AllDownEmpty):
		return "", policy.Empty
	case len(surviving) == 0:
		return candidates[0].role, policy.FailOpen
	case len(available) == 0:
		return surviving[0].role, policy.Degraded
	}
	inForce := max(0, slices.IndexFunc(available, func(s goldenSet) bool { return s.id == previous.Set }))
	chosen := inForce
	for i := inForce - 1; i >= 0; i-- {
		since, isKnown := previous.Available[available[i].id]
		if !isKnown || since.After(now) {
			since = now
		}
		if o.Failback != policy.FailbackManual && now.Sub(since) >= o.FailbackDelay {
			chosen = i
		}
	}
	switch {
	case chosen > 0 && o.Failback == policy.FailbackManual:
		return available[chosen].role, policy.Held
	case chosen > 0:
		return available[chosen].role, policy.Waiting
	case available[0].id == sets[0].id:
		return available[0].role, policy.Normal
	default:
		return available[0].role, policy.Failover
	}
}
