package node

import (
	"fmt"
	"slices"
	"strings"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// Targets are those that fit a query, in the order of the configuration, without their results; see admin.Backend.
func (n *Node) Targets(q admin.TargetQuery) []admin.TargetStatus {
	w, health := n.world.Load(), n.health()
	pools := w.poolsOf()
	all := []admin.TargetStatus{}
	for i := range w.targets {
		id := w.targets[i].ID
		if q.HealthCheck != "" && q.HealthCheck != w.probed[id].check || q.Pool != "" && !slices.Contains(pools[id], q.Pool) {
			continue
		}
		if q.Address != "" && !w.isAt(&w.targets[i], canonical(admin.OverrideTarget{Address: q.Address}).Address) {
			continue
		}
		if s := w.targetStatus(&w.targets[i], pools[id], health); q.Verdict == "" || q.Verdict == s.Verdict {
			all = append(all, s)
		}
	}
	return all
}

// Target is one target with its results; see admin.Backend.
func (n *Node) Target(id string) (admin.TargetStatus, error) {
	w := n.world.Load()
	i := slices.IndexFunc(w.targets, func(t healthcheck.Target) bool { return t.ID == id })
	if i < 0 {
		return admin.TargetStatus{}, fmt.Errorf("there is no target %q", id)
	}
	s := w.targetStatus(&w.targets[i], w.poolsWith(id), n.health())
	results, _ := n.engine.Results(id)
	s.Results = make([]admin.ProbeResult, len(results))
	for i := range results {
		s.Results[i] = resultStatus(&results[i])
	}
	return s, nil
}

// targetStatus is the state of a target that is in some pools.
func (w *world) targetStatus(t *healthcheck.Target, pools []string, health *healthcheck.Status) admin.TargetStatus {
	s := admin.TargetStatus{
		ID: t.ID, HealthCheck: w.probed[t.ID].check, Protocol: string(t.Protocol), Address: w.probed[t.ID].address, Host: hostOf(t),
		Pools: append([]string{}, pools...), Canary: t.Canary,
	}
	known, _ := health.Find(t.ID)
	s.ProbeStatus = probeStatus(known)
	return s
}

// poolsOf lists, by target, the names of the pools that it is in.
func (p *plan) poolsOf() map[string][]string {
	all := make(map[string][]string, len(p.targets))
	for _, pool := range p.pools {
		for i := range pool.Addresses {
			for id := range pool.Addresses[i].Probed() {
				if in := all[id]; len(in) == 0 || in[len(in)-1] != pool.Name {
					all[id] = append(in, pool.Name)
				}
			}
		}
	}
	return all
}

// poolsWith lists the names of the pools that a target is in.
func (p *plan) poolsWith(id string) (all []string) {
	for _, pool := range p.pools {
		for i := range pool.Addresses {
			if slices.ContainsFunc(pool.Addresses[i].Targets, func(checks []string) bool { return slices.Contains(checks, id) }) {
				all = append(all, pool.Name)
				break
			}
		}
	}
	return all
}

// isAt reports whether a target is an address or, of a name in canonical form, one of the addresses behind it.
func (p *plan) isAt(t *healthcheck.Target, address string) bool {
	if !strings.HasSuffix(address, ".") {
		return p.probed[t.ID].address == address
	}
	return slices.Contains(p.resolved(address), t.Address) && slices.ContainsFunc(p.pools, func(pool *policy.Pool) bool {
		return slices.ContainsFunc(pool.Addresses, func(a policy.Address) bool {
			return covers(admin.OverrideTarget{Address: address}, pool, &a) && slices.Contains(slices.Collect(a.Probed()), t.ID)
		})
	})
}

// hostOf is the name that is asked of a target, from its ID: see [healthcheck.Check.Target].
func hostOf(t *healthcheck.Target) string {
	id := t.ID
	if t.Canary {
		id = strings.TrimPrefix(id, canaryPrefix)
	}
	if parts := strings.SplitN(id, "/", 3); len(parts) == 3 {
		return parts[2]
	}
	return ""
}

// resultStatus is a result as the API tells it.
func resultStatus(r *healthcheck.Result) admin.ProbeResult {
	return admin.ProbeResult{
		Time: r.Start, Good: r.Good, Reason: r.Reason, Milliseconds: milliseconds(r.Took), Phases: phasesStatus(r.Phases), Verdict: string(r.Turned),
	}
}
