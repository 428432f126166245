package node

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// world is everything that is served at one moment. Immutable: the controller makes the next one from it, readers see
// one or the other.
type world struct {
	*plan
	loaded    time.Time // when the configuration was read
	status    *healthcheck.Status
	memory    map[policyKey]policy.Memory
	decisions []decisions // by instance
	rtts      rtts
	view      *view.View
}

// policyKey names a decision by names, which outlive a reload.
type policyKey struct {
	instance, policy string
	family           policy.Family
}

func (p *plan) key(s slot) policyKey {
	in := p.instances[s.Instance]
	return policyKey{instance: in.Name, policy: in.Policies[s.Policy].Name, family: p.policyOf(s).Family}
}

// healthOf is what the policy asks of an address that is probed.
func healthOf(status *healthcheck.Status) func(*policy.Address) policy.Health {
	return func(a *policy.Address) policy.Health { return targetHealth(status, a.Target) }
}

// targetHealth is unknown for a target that the engine does not have yet.
func targetHealth(status *healthcheck.Status, id string) policy.Health {
	switch status.Targets[id].Verdict {
	case healthcheck.Up:
		return policy.Up
	case healthcheck.Down:
		return policy.Down
	default:
		return policy.Unknown
	}
}

// first makes the world of a newly loaded plan. Memory and the round-trip times of the world before are taken up by
// name; both may be nil. Memory may be that of a saved state.
func first(p *plan, status *healthcheck.Status, memory map[policyKey]policy.Memory, held rtts, generation uint64,
	counter func(view.CounterKey) int, now time.Time) (*world, error) {
	w := decide(p, status, memory, held, now)
	var err error
	w.view, err = w.build(generation, counter)
	return w, err
}

// decide is first without the view.
func decide(p *plan, status *healthcheck.Status, memory map[policyKey]policy.Memory, held rtts, now time.Time) *world {
	w := &world{plan: p, loaded: now, status: status, memory: map[policyKey]policy.Memory{}, decisions: p.undecided()}
	w.rtts = p.hold(held, status)
	for _, s := range p.slots {
		k, access := p.key(s), p.policyOf(s)
		d := policy.Decide(access, healthOf(status), adopt(access, memory[k]), now)
		w.decisions[s.Instance] = w.decisions[s.Instance].put(s, d)
		w.memory[k] = d.Memory
	}
	return w
}

// build makes the view of a world from nothing.
func (w *world) build(generation uint64, counter func(view.CounterKey) int) (*view.View, error) {
	built, err := view.Build(view.Input{
		Generation: generation, Zones: w.zones, Map: w.geo, Instances: w.viewInstances(), Counter: counter,
	})
	if err != nil {
		return nil, fmt.Errorf("build the answers: %w", err)
	}
	return built, nil
}

// viewInstances joins the instances with what was decided and measured.
func (w *world) viewInstances() []view.Instance {
	instances := make([]view.Instance, len(w.instances))
	for i, in := range w.instances {
		instances[i] = view.Instance{Instance: in, Sources: w.sources[i], Decisions: w.decisions[i]}
		if latency := w.latencyOf(i); latency != nil {
			instances[i].Latency, instances[i].RTT = latency, w.rtts.milliseconds()
		}
	}
	return instances
}

// adopt gives the set in force its new ID when its pools are others now: the set is then known by its role. Without
// that, a change of the backup's pools while it is in force would end manual failback, or the wait for failback_delay.
func adopt(p *policy.Policy, m policy.Memory) policy.Memory {
	same := ""
	for i := range p.Sets {
		switch {
		case p.SetID(i) == m.Set:
			return m
		case p.Sets[i].Role == m.Role:
			same = p.SetID(i)
		}
	}
	if m.Set != "" && same != "" {
		m.Set = same
	}
	return m
}

// next makes the world after a change of health or after a deadline: only decisions that a turned target takes part in,
// or whose own time has come, are made anew.
func (w *world) next(status *healthcheck.Status, counter func(view.CounterKey) int, now time.Time) *world {
	return w.redecide(w.due(status, now), status, w.memory, counter, now)
}

// redecide makes the world in which some decisions are made anew, each from its entry in memory. Without any, its view
// is that of w.
func (w *world) redecide(due []slot, status *healthcheck.Status, memory map[policyKey]policy.Memory,
	counter func(view.CounterKey) int, now time.Time) *world {
	n := *w
	n.status = status
	if len(due) == 0 {
		return &n
	}
	n.memory, n.decisions = maps.Clone(memory), slices.Clone(w.decisions)
	var packed []slot
	for _, s := range due {
		k := w.key(s)
		d := policy.Decide(w.policyOf(s), healthOf(status), memory[k], now)
		n.decisions[s.Instance] = n.decisions[s.Instance].put(s, d)
		n.memory[k] = d.Memory
		packed = append(packed, w.packed(s)...)
	}
	n.view = w.view.Replace(w.view.Generation+1, n.viewInstances(), packed, counter)
	return &n
}

// due lists the decisions to make anew, each once.
func (w *world) due(status *healthcheck.Status, now time.Time) []slot {
	var due []slot
	seen := map[slot]bool{}
	add := func(s slot) {
		if !seen[s] {
			seen[s] = true
			due = append(due, s)
		}
	}
	for id, users := range w.users {
		if targetHealth(status, id) != targetHealth(w.status, id) {
			for _, s := range users {
				add(s)
			}
		}
	}
	for _, s := range w.slots {
		if until := w.decision(s).Until; !until.IsZero() && !until.After(now) {
			add(s)
		}
	}
	return due
}

func (w *world) decision(s slot) *policy.Decision { return w.decisions[s.Instance][s.Policy][s.Family] }

// until is the earliest time at which a decision changes by itself; zero: none does.
func (w *world) until() time.Time {
	var earliest time.Time
	for _, s := range w.slots {
		if until := w.decision(s).Until; !until.IsZero() && (earliest.IsZero() || until.Before(earliest)) {
			earliest = until
		}
	}
	return earliest
}

// isBlank reports whether something is probed and nothing is known of any of it.
func (w *world) isBlank() bool {
	for _, t := range w.targets {
		if targetHealth(w.status, t.ID) != policy.Unknown {
			return false
		}
	}
	return len(w.targets) > 0
}
