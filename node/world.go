package node

import (
	"fmt"
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
	decisions []decisions // by instance
	rtts      rtts
	overrides *overrides
	drills    drills
	serials   serials
	view      *view.View
}

// heritage is what a world takes over from the one before, or from a saved state. The zero value is nothing.
type heritage struct {
	memory    map[policyKey]policy.Memory
	rtts      rtts
	overrides *overrides
	drills    drills
	serials   serials
}

func (w *world) inherited() heritage {
	return heritage{w.memory(), w.rtts, w.overrides, w.drills, w.serials}
}

// memory is what its decisions leave for the next ones.
func (w *world) memory() map[policyKey]policy.Memory {
	all := make(map[policyKey]policy.Memory, len(w.slots))
	for _, s := range w.slots {
		all[w.key(s)] = w.decision(s).Memory()
	}
	return all
}

// memoryBefore is memory without that of decisions which stand in next as they are.
func (w *world) memoryBefore(next *world) map[policyKey]policy.Memory {
	if w.plan != next.plan {
		return w.memory()
	}
	changed := map[policyKey]policy.Memory{}
	for _, s := range w.slots {
		if d := w.decision(s); d != next.decision(s) {
			changed[w.key(s)] = d.Memory()
		}
	}
	return changed
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

// verdictsOf is what a status says of targets, as the policy takes it.
func verdictsOf(status *healthcheck.Status) func(target string) policy.Health {
	return func(id string) policy.Health { return targetHealth(status, id) }
}

// targetHealth is unknown for a target that the engine does not have yet.
func targetHealth(status *healthcheck.Status, id string) policy.Health {
	t, _ := status.Find(id)
	switch t.Verdict {
	case healthcheck.Up:
		return policy.Up
	case healthcheck.Down:
		return policy.Down
	default:
		return policy.Unknown
	}
}

// stateOf is what the decision of a slot asks about addresses. One that lies in no slot, -1, is under no override of a set.
func (w *world) stateOf(s slot, status *healthcheck.Status) policy.State {
	verdicts := verdictsOf(status)
	state := policy.State{Health: func(a *policy.Address) policy.Health { return a.Health(verdicts) }}
	recovered := func(id string) time.Time { return status.Of(id).Recovered }
	state.Recovered = func(a *policy.Address) time.Time { return a.Recovered(verdicts, recovered) }
	state.Earliest = func(a *policy.Address) (earliest time.Time) {
		for id := range a.Probed() {
			if t, _ := status.Find(id); !t.Earliest.IsZero() && (earliest.IsZero() || t.Earliest.Before(earliest)) {
				earliest = t.Earliest
			}
		}
		return earliest
	}
	if !w.overrides.isEmpty() {
		k := policyKey{}
		if s.Instance >= 0 {
			k = w.key(s)
		}
		state.Override = func(set *policy.Set, pool *policy.Pool, a *policy.Address) policy.Override {
			return w.overrides.of(k, set, pool, a).effect()
		}
	}
	return state
}

// poolStanding is the standing of an address in its pool, whatever the set.
func (w *world) poolStanding(pool *policy.Pool, a *policy.Address, status *healthcheck.Status, now time.Time) policy.Standing {
	state := w.stateOf(slot{Instance: -1}, status)
	return policy.StandingOf(a, state, w.overrides.of(policyKey{}, nil, pool, a).effect(), now)
}

// first makes the world of a newly loaded plan. What it inherits is taken up by name.
func first(p *plan, status *healthcheck.Status, before heritage, generation uint64,
	counter func(view.CounterKey) int, now time.Time) (*world, error) {
	w := decide(p, status, before, now)
	var err error
	w.view, err = w.build(generation, counter)
	return w, err
}

// decide is first without the view.
func decide(p *plan, status *healthcheck.Status, before heritage, now time.Time) *world {
	w := &world{
		plan: p, loaded: now, status: status, decisions: p.undecided(), overrides: before.overrides, drills: before.drills,
	}
	w.rtts = w.hold(before.rtts, status, now)
	for _, s := range p.slots {
		access := p.policyOf(s)
		d := policy.Decide(access, w.stateOf(s, status), adopt(access, before.memory[p.key(s)]), now)
		w.decisions[s.Instance].set(s, d)
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
	return w.redecide(w.due(status, now), status, nil, counter, now)
}

// redecide makes the world in which some decisions are made anew, each from its entry in memory or, where it has none, from what
// it leaves itself. Without any, its view is that of w.
func (w *world) redecide(due []slot, status *healthcheck.Status, memory map[policyKey]policy.Memory,
	counter func(view.CounterKey) int, now time.Time) *world {
	n := *w
	n.status = status
	if len(due) == 0 {
		return &n
	}
	n.decisions = slices.Clone(w.decisions)
	var packed []slot
	for _, s := range due {
		previous, isGiven := memory[w.key(s)]
		if !isGiven {
			previous = w.decision(s).Memory()
		}
		d := policy.Decide(w.policyOf(s), w.stateOf(s, status), previous, now)
		n.decisions[s.Instance] = n.decisions[s.Instance].put(s, d)
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
	for id := range status.Since(w.status) {
		before, _ := w.status.Find(id)
		after, _ := status.Find(id)
		isTurned := targetHealth(status, id) != targetHealth(w.status, id) || !before.Recovered.Equal(after.Recovered)
		if !isTurned && before.Earliest.Equal(after.Earliest) {
			continue
		}
		for _, s := range w.users[id] {
			if isTurned || w.policyOf(s).MinTTL > 0 {
				add(s)
			}
		}
	}
	for _, s := range w.slots {
		if again := w.decision(s).Again; !again.IsZero() && !again.After(now) {
			add(s)
		}
	}
	return due
}

func (w *world) decision(s slot) *policy.Decision { return w.decisions[s.Instance][s.Policy][s.Family] }

// again is the earliest time at which a decision has to be made again; zero: none has.
func (w *world) again() time.Time {
	var earliest time.Time
	for _, s := range w.slots {
		earliest = earlier(earliest, w.decision(s).Again)
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
