package policy

import (
	"iter"
	"slices"
	"time"
)

// Health is what is known of an address that is probed.
type Health uint8

// The states of health. Unknown, no result yet, counts as available.
const (
	Unknown Health = iota
	Up
	Down
)

// Why is the reason for which a set is in force, a row of the table at Decide.
type Why string

// The reasons.
const (
	Normal   Why = "normal"
	Failover Why = "failover"
	Waiting  Why = "failback waits"
	Held     Why = "failback is manual"
	Degraded Why = "degraded"
	FailOpen Why = "fail open"
	Pinned   Why = "pinned"
	Empty    Why = "empty"
)

// Memory is what a decision leaves for the next one. The zero value is a policy never decided. It names sets by ID,
// so it outlives a reload and a restart.
type Memory struct {
	// Set is the ID of the set in force; empty before the first decision and when nothing is served.
	Set string `json:"set"`
	// Role is the role of that set when it was decided.
	Role string `json:"role"`
	// Since is when that set came into force.
	Since time.Time `json:"since"`
	// Available has, for each set that is available, when it became so.
	Available map[string]time.Time `json:"available,omitempty"`
}

// Decision says which set of a policy is in force. Immutable.
type Decision struct {
	Policy *Policy
	// Set is the index of the set in force; -1 when nothing is served (Why is Empty).
	Set int
	Why Why
	// Serve lists what the set in force serves, in configured order. Empty only when Set is -1.
	Serve []Ref
	// Sets has the state of each set of the policy.
	Sets []SetState
	// Until is when the decision may change by itself, without a change of health; zero: never.
	Until time.Time
	// Again is when it has to be made again, because of that or because shares or the TTL are others then; zero: never.
	Again time.Time
	// TTL of the answers, in seconds.
	TTL uint32
	// Since is when the set in force came into force; without one, since when nothing is served.
	Since time.Time
}

// Memory is to be given to the next decision.
func (d *Decision) Memory() Memory {
	m := Memory{Since: d.Since, Available: make(map[string]time.Time, len(d.Sets))}
	if d.Set >= 0 {
		m.Set, m.Role = d.Policy.SetID(d.Set), d.Policy.Sets[d.Set].Role
	}
	for i := range d.Sets {
		if d.Sets[i].Available {
			m.Available[d.Policy.SetID(i)] = d.Sets[i].Since
		}
	}
	return m
}

// Ref names an address of a set: the index of the member and of the address in its pool.
type Ref struct {
	Member, Address int
	// Share is the part of its weight that it has, in twentieths (FullShare).
	Share uint32
	// Draining addresses are served where weights count, and else only when nothing else is left.
	Draining bool
}

// SetState is what Decide found of one set.
type SetState struct {
	// Available is whether the available addresses reach the threshold.
	Available bool
	// Count is the number of available addresses, Candidates of those that are not offline, Need the threshold; in a set with
	// both families, the sums over them.
	Count, Candidates, Need int
	// Since is when the set became available; zero when it is not.
	Since time.Time
	// Standings has the standing of each address: all of the first member, then of the second, and so on.
	Standings []Standing
	// forced is the number of candidates that an operator keeps from being served.
	forced int
}

// kind tells pools apart by what they answer: IPv4 and IPv6 addresses to questions of their family, names to all.
type kind int

const kinds = 3

func kindOf(t PoolType) kind {
	switch t {
	case TypeIPv4:
		return 0
	case TypeIPv6:
		return 1
	default:
		return 2
	}
}

// AllDown reports whether no set had an available address.
func (d *Decision) AllDown() bool {
	for _, s := range d.Sets {
		if s.Count > 0 {
			return false
		}
	}
	return true
}

// IsUnresolved reports whether no set has any address: their names have not been resolved yet.
func (d *Decision) IsUnresolved() bool {
	for _, s := range d.Sets {
		if len(s.Standings) > 0 {
			return false
		}
	}
	return true
}

// InForce is the set that answers; nil when nothing is served.
func (d *Decision) InForce() *Set {
	if d.Set < 0 {
		return nil
	}
	return &d.Policy.Sets[d.Set]
}

// Decide says which set of p is in force. A set is available when its available addresses reach MinAvailable; in a policy
// that decides for both families, those of each family that the set has.
//
//	switch         primary    backups (in order)      in force                                    why
//	primary/backup any        any                     the pinned one                              pinned
//	auto           available  any                     primary                                     normal
//	auto           not        one available           the first available                         failover
//	auto           not        none available          the first with an available address         degraded
//	auto           no address available anywhere      the first with an address that is neither   fail open
//	                                                  offline nor forced down: every one of these;
//	                                                  without any, the first with an address that
//	                                                  is not offline: every one of these
//
// Failback: while the set in force is available, a set before it takes over only when failback is auto and it has
// been available for FailbackDelay; until then the reason is "failback waits", and with manual failback "failback is
// manual". Where nothing is available and WhenAllDown is empty, or every address is offline, nothing is served: "empty". A
// pinned set without an available address is served open in the same way; if all its addresses are offline, or it has
// none of the family, the switch counts as auto, so that an answer is never empty while something could be served.
//
// The same input gives the same decision.
func Decide(p *Policy, state State, previous Memory, now time.Time) *Decision {
	d := &Decision{Policy: p, Sets: make([]SetState, len(p.Sets))}
	horizon := horizon{now: now}
	for i := range p.Sets {
		d.Sets[i] = survey(&p.Sets[i], state, &horizon)
		if !d.Sets[i].Available {
			continue
		}
		since, was := previous.Available[p.SetID(i)]
		if !was || since.After(now) { // The clock was set back: waiting for the old time would delay failback by the jump.
			since = now
		}
		d.Sets[i].Since = since
	}

	d.Set, d.Why = d.choose(previous, now)
	horizon.add(d.Until)
	inForce := ""
	if d.Set >= 0 {
		d.serve(state, &horizon)
		inForce = p.SetID(d.Set)
	}
	d.Since = now
	if inForce == previous.Set && !previous.Since.IsZero() {
		d.Since = previous.Since
	}
	d.TTL = p.ttl(&horizon)
	d.Until, d.Again = horizon.until, first(horizon.until, horizon.step)
	return d
}

// choose is the table of Decide.
func (d *Decision) choose(previous Memory, now time.Time) (int, Why) {
	if pinned := d.pinned(); pinned >= 0 && d.Sets[pinned].Candidates > d.Sets[pinned].forced {
		if d.Sets[pinned].Count == 0 && d.Policy.WhenAllDown == AllDownEmpty {
			return -1, Empty
		}
		return pinned, Pinned
	}
	if first := d.first(func(s SetState) bool { return s.Available }); first >= 0 {
		return d.failback(first, previous, now)
	}
	if first := d.first(func(s SetState) bool { return s.Count > 0 }); first >= 0 {
		return first, Degraded
	}
	if d.Policy.WhenAllDown == AllDownEmpty {
		return -1, Empty
	}
	if first := d.first(func(s SetState) bool { return s.Candidates > s.forced }); first >= 0 {
		return first, FailOpen
	}
	if first := d.first(func(s SetState) bool { return s.Candidates > 0 }); first >= 0 {
		return first, FailOpen
	}
	return -1, Empty
}

// failback keeps the set in force while it is available and no set before it may take over yet.
func (d *Decision) failback(first int, previous Memory, now time.Time) (int, Why) {
	current := d.Policy.index(previous.Set)
	if current >= 0 && !d.Sets[current].Available {
		current = -1
	}
	if current <= first {
		return first, orderly(first)
	}
	if d.Policy.Failback == FailbackManual {
		return current, Held
	}
	for i := first; i < current; i++ {
		if !d.Sets[i].Available {
			continue
		}
		ready := d.Sets[i].Since.Add(d.Policy.FailbackDelay)
		if !ready.After(now) {
			if d.Until.IsZero() {
				return i, orderly(i)
			}
			return i, Waiting // Of the recovered sets this one is ready, and one before it is not yet.
		}
		if d.Until.IsZero() || ready.Before(d.Until) {
			d.Until = ready
		}
	}
	return current, Waiting
}

func orderly(set int) Why {
	if set == 0 {
		return Normal
	}
	return Failover
}

// pinned is the index of the set to which the policy is pinned: the primary, or the first backup that has pools of the
// family. -1 when it is not pinned, or has no such set.
func (d *Decision) pinned() int {
	switch d.Policy.Switch {
	case SwitchPrimary:
		return slices.IndexFunc(d.Policy.Sets, func(s Set) bool { return s.Role == role(0) })
	case SwitchBackup:
		return slices.IndexFunc(d.Policy.Sets, func(s Set) bool { return s.Role != role(0) })
	default:
		return -1
	}
}

func (d *Decision) first(wanted func(SetState) bool) int {
	for i, s := range d.Sets {
		if wanted(s) {
			return i
		}
	}
	return -1
}

// serve lists the available addresses of the set in force; where it has none of a kind, every address of that kind that is
// neither offline nor forced down or, without any, that is not offline, unless nothing is to be answered then.
func (d *Decision) serve(state State, horizon *horizon) {
	set, standings := &d.Policy.Sets[d.Set], d.Sets[d.Set].Standings
	var some, unforced [kinds]bool
	for m, a := range set.addresses() {
		k := kindOf(set.Members[m].Pool.Type)
		some[k] = some[k] || standings[a.index].Available()
		unforced[k] = unforced[k] || standings[a.index] == StandsDown
	}
	for m, a := range set.addresses() {
		pool, standing := set.Members[m].Pool, standings[a.index]
		k := kindOf(pool.Type)
		isOpen := !some[k] && d.Policy.WhenAllDown != AllDownEmpty && standing != StandsOffline && !(unforced[k] && standing.isForced())
		if !standing.Available() && !isOpen {
			continue
		}
		ref := Ref{Member: m, Address: a.inPool, Share: FullShare, Draining: standing == StandsDraining}
		if standing.Available() {
			address, holds := &pool.Addresses[a.inPool], time.Duration(0)
			ref.Share, holds = Share(address, state, state.override(set, pool, address), horizon.now)
			if set.weighs(pool) {
				horizon.after(holds)
			}
		}
		d.Serve = append(d.Serve, ref)
	}
}

// survey finds the standing of each address of a set, and what they add up to. Each kind of address that the set has must
// reach the threshold by itself, so that a set which is decided for both families has something for either. A set without any
// address, whose names have not been resolved, is not available.
func survey(set *Set, state State, horizon *horizon) SetState {
	var found SetState
	var has [kinds]bool
	var candidates [kinds]int
	for _, m := range set.Members {
		k := kindOf(m.Pool.Type)
		has[k] = has[k] || len(m.Pool.Addresses) > 0
		for i := range m.Pool.Addresses {
			a := &m.Pool.Addresses[i]
			override := state.override(set, m.Pool, a)
			standing := StandingOf(a, state, override, horizon.now)
			found.Standings = append(found.Standings, standing)
			if standing != StandsOffline {
				candidates[k]++
			}
			if standing.isForced() {
				found.forced++
			}
			horizon.add(override.Expires)
			if override.Kind == OverrideDrain {
				horizon.add(override.Since.Add(override.Over))
			}
			if state.Earliest != nil && len(a.Targets) > 0 {
				horizon.expect(state.Earliest(a))
			}
		}
	}
	found.Available = slices.Contains(has[:], true)
	for k, count := range found.counts(set) {
		if !has[k] {
			continue
		}
		need := set.MinAvailable.Need(candidates[k])
		found.Count, found.Candidates, found.Need = found.Count+count, found.Candidates+candidates[k], found.Need+need
		found.Available = found.Available && count >= need
	}
	return found
}

// counts are the available addresses of the set that the state is of, by kind.
func (s *SetState) counts(set *Set) (counts [kinds]int) {
	for m, a := range set.addresses() {
		if s.Standings[a.index].Available() {
			counts[kindOf(set.Members[m].Pool.Type)]++
		}
	}
	return counts
}

// place is where an address of a set is: its index in the pool, and in [SetState.Standings].
type place struct{ inPool, index int }

// addresses yields the addresses of a set with the index of their member.
func (s *Set) addresses() iter.Seq2[int, place] {
	return func(yield func(int, place) bool) {
		index := 0
		for m := range s.Members {
			for a := range s.Members[m].Pool.Addresses {
				if !yield(m, place{a, index}) {
					return
				}
				index++
			}
		}
	}
}
