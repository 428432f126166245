package node

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// A drill is an override down with an end, and a report of what it does. Everything that must not fail is the override's: it is
// in the saved state, and ends by itself whoever runs by then. The report (drillreport.go) follows what is served.

// StartDrill starts a drill; see admin.Backend. It is on disk when this returns, as far as the disk allows.
func (n *Node) StartDrill(ctx context.Context, r admin.DrillRequest) (admin.Drill, error) {
	var d admin.Drill
	err := n.ask(ctx, func() (err error) {
		d, err = n.startDrill(ctx, r)
		return err
	})
	if err != nil {
		e := targetEvent(r.OverrideTarget)
		e.Message = fmt.Sprintf("drill on %s", r.OverrideTarget)
		n.notMade(ctx, r.Author, e, err)
	}
	if err == nil && !n.save() {
		d.Notes = append(d.Notes, "the state could not be saved: a restart would end the drill")
	}
	return d, err
}

// startDrill is the work of StartDrill that only the controller may do.
func (n *Node) startDrill(ctx context.Context, r admin.DrillRequest) (admin.Drill, error) {
	w, now := n.world.Load(), time.Now()
	o, d, err := w.newDrill(r, n.engine.Status(), now)
	if err != nil {
		return admin.Drill{}, err
	}
	started := drillEvent(admin.EventDrillStarted, d, fmt.Sprintf("drill %s started: %s counts as down until %s", d.ID, d.OverrideTarget, clock(d.Ends)))
	if err := n.steer(w, w.overrides.with(o), w.drills.with(d), []*override{o}, now, by(ctx, r.Author, started)); err != nil {
		return admin.Drill{}, err
	}
	n.log.Warn("drill started", "id", d.ID, "on", d.OverrideTarget.String(), "override", o.id, "reason", d.Reason, "author", d.Author,
		"until", clock(d.Ends), "forced", d.Forced, "policies", len(d.Policies))
	return n.world.Load().drills.find(d.ID).shown(now), nil
}

// StopDrill ends a drill before its time; see admin.Backend.
func (n *Node) StopDrill(ctx context.Context, r admin.StopDrillRequest) (admin.Drill, error) {
	var result admin.Drill
	err := n.ask(ctx, func() error {
		w, now := n.world.Load(), time.Now()
		d := w.drills.find(r.ID)
		switch {
		case d == nil:
			return fmt.Errorf("there is no drill %s", r.ID)
		case d.State != admin.DrillRunning:
			return fmt.Errorf("drill %s is over since %s", r.ID, clock(*d.Ended))
		}
		rest, gone := w.overrides.without(func(o *override) bool { return o.drill == d.ID })
		if err := n.steer(w, rest, w.drills.stopped(gone, r.Author, "", now), gone, now); err != nil {
			return err
		}
		result = n.world.Load().drills.find(r.ID).shown(now)
		return nil
	})
	if err != nil {
		n.notMade(ctx, r.Author, admin.Event{Message: "stop drill " + r.ID}, err)
	}
	if err == nil && !n.save() {
		result.Notes = append(result.Notes, "the state could not be saved: a restart would bring the drill back, until its end")
	}
	return result, err
}

// Drills are those that run and those that are remembered, the latest first; see admin.Backend.
func (n *Node) Drills() []admin.Drill {
	all, now := n.world.Load().drills, time.Now()
	shown := make([]admin.Drill, len(all))
	for i, d := range all {
		shown[len(all)-1-i] = d.shown(now)
	}
	return shown
}

// newDrill is a drill with its override, or why there is none: what is asked for is not there, or takes force.
func (w *world) newDrill(r admin.DrillRequest, health *healthcheck.Status, now time.Time) (*override, *drill, error) {
	target := canonical(r.OverrideTarget)
	if err := w.known(target); err != nil {
		return nil, nil, err
	}
	if o := w.overrides.on(target); o != nil {
		return nil, nil, fmt.Errorf("there is an override on %s already: %s, %s by %s (%s): clear it first, since the drill would take its place",
			shown(target), o.id, o.kind, o.author, o.reason)
	}
	d := &drill{admin.Drill{
		ID: w.drills.nextID(), OverrideTarget: shown(target), State: admin.DrillRunning, Reason: r.Reason, Author: r.Author, Forced: r.Force,
		Started: now.Round(0), Ends: now.Add(time.Duration(r.For)), Override: "o" + strconv.FormatUint(w.overrides.count()+1, 10),
	}}
	o := &override{
		id: d.Override, target: target, kind: policy.OverrideDown, reason: "drill " + d.ID + ": " + r.Reason, author: r.Author, since: now,
		expires: d.Ends, forced: r.Force, drill: d.ID,
	}
	var concerned []slot
	for _, s := range w.slots {
		if w.concerns(o, s) {
			concerned = append(concerned, s)
		}
	}
	if len(concerned) == 0 || w.affected(target) == 0 {
		return nil, nil, fmt.Errorf("%s has no address in any policy: a drill would change nothing", shown(target))
	}
	if !r.Force {
		if err := w.refuseDrill(o, concerned, health, now); err != nil {
			return nil, nil, err
		}
	}
	w.describe(d, concerned)
	for _, other := range w.overrides.all() {
		if other.kind == policy.OverrideUp && w.isWithin(other.target, target) {
			d.note(now, fmt.Sprintf("override %s keeps %s up: it counts before the drill", other.id, shown(other.target)))
		}
	}
	return o, d, nil
}

// isWithin reports whether an override on a is on some address that one on b is on too, and counts before that.
func (w *world) isWithin(a, b admin.OverrideTarget) bool {
	if a.Instance != "" || a.Address == "" && b.Instance == "" {
		return false
	}
	for _, pool := range w.pools {
		for i := range pool.Addresses {
			if covers(a, pool, &pool.Addresses[i]) && (b.Instance != "" || covers(b, pool, &pool.Addresses[i])) {
				return true
			}
		}
	}
	return false
}

// refuseDrill says what makes a drill one that takes force: another one runs on the same instance, it would empty an instance, or
// what would answer is not available, or not known to be.
func (w *world) refuseDrill(o *override, concerned []slot, health *healthcheck.Status, now time.Time) error {
	if emptied := w.emptiedBy(o, now); len(emptied) > 0 {
		return &admin.EmptyError{Emptied: emptied}
	}
	var why []string
	add := func(text string) {
		if !slices.Contains(why, text) {
			why = append(why, text)
		}
	}
	for _, other := range w.overrides.all() {
		if other.drill == "" {
			continue
		}
		for _, s := range w.slots {
			if w.concerns(other, s) && slices.ContainsFunc(concerned, func(c slot) bool { return c.Instance == s.Instance }) {
				add(fmt.Sprintf("drill %s runs on instance %q until %s", other.drill, w.key(s).instance, clock(other.expires)))
			}
		}
	}
	for _, s := range concerned {
		for _, text := range w.risks(o, s, health, now) {
			add(text)
		}
	}
	if len(why) == 0 {
		return nil
	}
	if more := len(why) - maxWhy; more > 0 {
		why = append(why[:maxWhy], fmt.Sprintf("and %d more", more))
	}
	return &admin.DrillError{Why: why}
}

// maxWhy is how many reasons a refusal gives.
const maxWhy = 10

// risks says why what would answer clients of a decision during a drill may not be well, at this moment or when the overrides that
// keep it up have ended: none of its sets is available, or nothing can be seen of it. It is nothing when what answers stays the same.
func (w *world) risks(o *override, s slot, health *healthcheck.Status, now time.Time) (why []string) {
	k, p := w.key(s), w.policyOf(s)
	previous := w.decision(s).Memory()
	isOther := false
	for _, all := range []*overrides{w.overrides, w.overrides.worst(o)} {
		with, without := *w, *w
		with.overrides, without.overrides = all.with(o), all
		before := policy.Decide(p, without.stateOf(s, health), previous, now)
		during := policy.Decide(p, with.stateOf(s, health), previous, now)
		if isSame := before.Set == during.Set && slices.Equal(before.Serve, during.Serve); isSame {
			continue
		}
		isOther = true
		if during.Set >= 0 && during.Sets[during.Set].Available {
			if known := policy.Decide(p, onlyKnown(with.stateOf(s, health)), previous, now).Sets[during.Set]; !known.Available {
				why = append(why, fmt.Sprintf("instance %q, policy %q (%s): the %s set would answer, and too little is known of it yet: %d of %d addresses known to be available, %d needed",
					k.instance, k.policy, k.family, roleOf(during), known.Count, known.Candidates, known.Need))
				break
			}
			continue
		}
		if during.Set < 0 {
			why = append(why, fmt.Sprintf("instance %q, policy %q (%s) would answer nothing", k.instance, k.policy, k.family))
			break
		}
		state := during.Sets[during.Set]
		pinned := ""
		if during.Why == policy.Pinned {
			pinned = fmt.Sprintf(", to which switch = %q pins the policy", p.Switch)
		}
		why = append(why, fmt.Sprintf("instance %q, policy %q (%s): the %s set would answer%s, and it is not available: %d of %d addresses available, %d needed",
			k.instance, k.policy, k.family, roleOf(during), pinned, state.Count, state.Candidates, state.Need))
		break
	}
	if !isOther {
		return nil
	}
	for _, b := range health.Blind {
		if k.family == policy.FamilyBoth || k.family.String() == b.Family {
			why = append(why, fmt.Sprintf("this server does not see %s now (%s): whether what would take over is well is not known", b.Family, b.Reason))
		}
	}
	return why
}

// resumeDrills goes on with the drills of the process before, when the node starts.
func (n *Node) resumeDrills(memory map[policyKey]policy.Memory, w *world) {
	how := "gtmd was restarted"
	if n.tookOver {
		how = "another gtmd has taken over"
	}
	next := w.resume(memory, how, time.Now())
	n.world.Store(next)
	n.tellDrills(w.drills, next.drills)
}

// onlyKnown is a state in which what has no verdict yet does not count as available.
func onlyKnown(state policy.State) policy.State {
	health := state.Health
	state.Health = func(a *policy.Address) policy.Health {
		if h := health(a); h != policy.Unknown {
			return h
		}
		return policy.Down
	}
	return state
}

// tellDrills logs the ends of drills from one world to the next, and makes events of them.
func (n *Node) tellDrills(before, now drills) {
	for _, d := range now {
		was := before.find(d.ID)
		if was == nil || was.State != admin.DrillRunning || d.State == admin.DrillRunning {
			continue
		}
		text := fmt.Sprintf("drill %s ended: %s counts as it is again", d.ID, d.OverrideTarget)
		if d.State == admin.DrillStopped {
			text = fmt.Sprintf("drill %s was stopped by %s: %s counts as it is again", d.ID, d.EndedBy, d.OverrideTarget)
		}
		n.log.Warn("drill ended", "id", d.ID, "on", d.OverrideTarget.String(), "state", d.State, "by", d.EndedBy, "after", d.Ended.Sub(d.Started).Round(time.Second))
		e := drillEvent(admin.EventDrillEnded, d, text)
		e.Author = d.EndedBy
		n.note(e)
	}
}

// drillEvent is an event about a drill.
func drillEvent(kind admin.EventKind, d *drill, message string) admin.Event {
	return admin.Event{
		Time: time.Now().Round(0), Kind: kind, Message: message, Reason: d.Reason,
		Instance: d.Instance, Policy: d.Policy, Set: d.Set, Pool: d.Pool, Address: d.Address,
	}
}

// drillNumber is that in the ID of a drill; 0 for what is no such ID.
func drillNumber(id string) uint64 {
	number, err := strconv.ParseUint(strings.TrimPrefix(id, "d"), 10, 64)
	if err != nil {
		return 0
	}
	return number
}
