package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// reportFor is how long after the end of a drill its report waits for what it concerns to come back.
const reportFor = 24 * time.Hour

// transition is what led to a world, for the reports of drills.
type transition struct {
	before   *world // nil: that of another process
	next     *world
	now      time.Time
	slots    map[reportKey]slot // of next, that are in a report which grows
	switches []admin.Switch
}

// reportKey names a policy of a report.
type reportKey struct{ instance, policy, family string }

func keyOf(p *admin.DrillPolicy) reportKey { return reportKey{p.Instance, p.Policy, p.Family} }

// follow returns the drills of next with what has happened since the world before, whose decisions left that memory. It costs
// nothing when no report grows.
func (w *world) follow(before *world, memory map[policyKey]policy.Memory, now time.Time) drills {
	all := w.drills
	if !slices.ContainsFunc(all, (*drill).isFollowed) {
		return all
	}
	t := &transition{before: before, next: w, now: now, slots: w.reported(all), switches: w.switches(memory, now)}
	all = slices.Clone(all)
	for i, d := range all {
		if d.isFollowed() {
			c := d.clone()
			t.observe(c)
			all[i] = c
		}
	}
	return all
}

// reported are the slots of the policies in the reports that grow.
func (w *world) reported(all drills) map[reportKey]slot {
	instances, wanted := map[string]bool{}, map[reportKey]bool{}
	for _, d := range all {
		for i := range d.Policies {
			if d.isFollowed() {
				wanted[keyOf(&d.Policies[i])], instances[d.Policies[i].Instance] = true, true
			}
		}
	}
	slots := make(map[reportKey]slot, len(wanted))
	for _, s := range w.slots {
		if !instances[w.instances[s.Instance].Name] {
			continue
		}
		k := w.key(s)
		if key := (reportKey{k.instance, k.policy, k.family.String()}); wanted[key] {
			slots[key] = s
		}
	}
	return slots
}

// dropLost ends the drills whose target the configuration does not have any more, and their overrides, which are on nothing. It is for
// a world that nobody else sees yet.
func (w *world) dropLost(now time.Time) {
	for _, d := range w.drills {
		if d.State != admin.DrillRunning || w.known(canonical(d.OverrideTarget)) == nil {
			continue
		}
		rest, gone := w.overrides.without(func(o *override) bool { return o.drill == d.ID })
		w.overrides = rest
		w.drills = w.drills.stopped(gone, "gtmd", fmt.Sprintf("the configuration no longer has %s: there is nothing left to drill", d.OverrideTarget), now)
	}
}

// describe fills in what a drill concerns, as it is before.
func (w *world) describe(d *drill, concerned []slot) {
	d.Policies = make([]admin.DrillPolicy, 0, min(len(concerned), admin.MaxDrillPolicies))
	for i, s := range concerned {
		if i == admin.MaxDrillPolicies {
			d.note(d.Started, fmt.Sprintf("it concerns %d policies, of which this report has the first %d", len(concerned), i))
			break
		}
		k := w.key(s)
		p := admin.DrillPolicy{
			Instance: k.instance, AccessDomain: plainName(w.instances[s.Instance].AccessDomain), Policy: k.policy, Family: k.family.String(),
			Before: w.roleServed(s), AnswerDuring: []string{},
		}
		p.AnswerBefore, p.TTL = w.records(s)
		d.Policies = append(d.Policies, p)
	}
}

// roleServed is the role of the set that answers clients of a policy, and of which policy, where it falls through to another.
func (w *world) roleServed(s slot) string {
	answering := w.answering(s)
	role := roleOf(w.decision(answering))
	if answering != s {
		role += " of " + w.key(answering).policy
	}
	return role
}

// records are what clients of a policy are served, as texts, and for how long they may keep it.
func (w *world) records(s slot) (all []string, ttl uint32) {
	all, ttl = []string{}, w.decision(s).TTL
	families := []policy.Family{s.Family}
	if w.policyOf(s).Family == policy.FamilyBoth {
		families = []policy.Family{policy.IPv4, policy.IPv6}
	}
	for _, f := range families {
		records, count, err := w.view.Served(slot{Instance: s.Instance, Policy: s.Policy, Family: f}, admin.MaxDrillRecords)
		if err != nil {
			return append(all, err.Error()), ttl
		}
		for _, text := range texts(records) {
			if !slices.Contains(all, text) { // a CNAME answers both families
				all = append(all, text)
			}
		}
		if len(records) > 0 {
			ttl = records[0].Header().Ttl
		}
		if more := count - len(records); more > 0 {
			all = append(all, fmt.Sprintf("and %d more", more))
		}
	}
	return all, ttl
}

// isSameAnswer reports whether records are the same, whatever their TTL and order.
func isSameAnswer(a, b []string) bool {
	plain := func(records []string) []string {
		all := make([]string, len(records))
		for i, record := range records {
			all[i] = record
			if fields := strings.SplitN(record, " ", 3); len(fields) == 3 {
				all[i] = fields[0] + " " + fields[2]
			}
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(plain(a), plain(b))
}

// observe brings the report of a drill up to date.
func (t *transition) observe(d *drill) {
	isNew := slices.ContainsFunc(d.Policies, func(p admin.DrillPolicy) bool { return p.During == "" })
	if d.State == admin.DrillRunning && !slices.ContainsFunc(t.next.overrides.all(), func(o *override) bool { return o.drill == d.ID }) {
		d.end(admin.DrillEnded, "", t.now)
	}
	if t.before != nil && !isNew {
		concerned := map[slot]bool{}
		for i := range d.Policies {
			if s, found := t.slots[keyOf(&d.Policies[i])]; found {
				concerned[s] = true
			}
		}
		t.noteVerdicts(d, concerned)
		t.noteOverrides(d, concerned)
		if t.before.config != t.next.config {
			d.note(t.now, "the configuration was loaded again")
		}
	}
	for i := range d.Policies {
		t.observePolicy(d, &d.Policies[i])
	}
	if d.State == admin.DrillRunning {
		return
	}
	isBack := !slices.ContainsFunc(d.Policies, func(p admin.DrillPolicy) bool { return p.Restored == nil })
	isAwaited := slices.ContainsFunc(d.Policies, func(p admin.DrillPolicy) bool { return p.Restored == nil && p.After != gone })
	if isBack || !isAwaited || t.now.Sub(*d.Ended) > reportFor {
		d.CameBack = &isBack
	}
}

// gone stands for the set in force of a policy that there is no more.
const gone = "gone"

// observePolicy brings the part of a report up to date that is of one policy.
func (t *transition) observePolicy(d *drill, p *admin.DrillPolicy) {
	const mostSwitches = 50
	if p.Restored != nil {
		return
	}
	for _, s := range t.switches {
		if (reportKey{s.Instance, s.Policy, s.Family}) == keyOf(p) && len(p.Switches) < mostSwitches {
			p.Switches = append(slices.Clip(p.Switches), s)
		}
	}
	isOver := d.State != admin.DrillRunning
	if t.before != nil && t.before.view == t.next.view && p.During != "" && (!isOver || p.After != "") {
		return
	}
	role, answer, ttl := gone, []string{}, uint32(0)
	if s, found := t.slots[keyOf(p)]; found {
		role = t.next.roleServed(s)
		answer, ttl = t.next.records(s)
	}
	if p.During == "" {
		p.During, p.AnswerDuring, p.TTLDuring = role, answer, ttl
	}
	isSame := isSameAnswer(answer, p.AnswerBefore)
	if p.Changed == nil && !isSame {
		p.Changed = moment(t.now)
	}
	if !isOver {
		return
	}
	if role == gone && p.After != gone {
		d.note(t.now, fmt.Sprintf("instance %q has no policy %q (%s) any more", p.Instance, p.Policy, p.Family))
	}
	p.After, p.AnswerAfter = role, answer
	if isSame && role == p.Before {
		p.Restored = moment(t.now)
	}
}

// noteVerdicts notes the verdicts that have turned of what takes part in some slots of next.
func (t *transition) noteVerdicts(d *drill, concerned map[slot]bool) {
	for id := range t.next.status.Since(t.before.status) {
		is, known := t.next.status.Find(id)
		was, wasKnown := t.before.status.Find(id)
		isTurned := known && wasKnown && is.Verdict != was.Verdict && is.Verdict != healthcheck.Unknown
		if !isTurned || !slices.ContainsFunc(t.next.users[id], func(s slot) bool { return concerned[s] }) {
			continue
		}
		probed := t.next.probed[id]
		text := fmt.Sprintf("%s (%s) turned %s", probed.address, probed.check, is.Verdict)
		if is.Verdict == healthcheck.Down {
			text += ": " + is.Reason
		}
		d.note(t.now, text)
	}
}

// noteOverrides notes the overrides, but for the drill's own, that have begun or ended on some slots of next.
func (t *transition) noteOverrides(d *drill, concerned map[slot]bool) {
	if t.before.overrides == t.next.overrides {
		return
	}
	was, is := t.before.overrides.all(), t.next.overrides.all()
	isNews := func(o *override, others []*override) bool {
		if o.drill == d.ID || slices.ContainsFunc(others, func(other *override) bool { return other.id == o.id }) {
			return false
		}
		for s := range concerned {
			if t.next.concerns(o, s) {
				return true
			}
		}
		return false
	}
	for _, o := range is {
		if isNews(o, was) {
			d.note(t.now, fmt.Sprintf("override %s: %s was set on %s by %s (%s)", o.id, o.kind, shown(o.target), o.author, o.reason))
		}
	}
	for _, o := range was {
		if isNews(o, is) {
			d.note(t.now, fmt.Sprintf("override %s ended: %s on %s by %s (%s)", o.id, o.kind, shown(o.target), o.author, o.reason))
		}
	}
}

// resume returns w with the drills of the process before taken up, when this one has just started; how says what became of that
// process. Drills whose time was over meanwhile have ended.
func (w *world) resume(memory map[policyKey]policy.Memory, how string, now time.Time) *world {
	next := *w
	next.drills = slices.Clone(w.drills)
	for i, d := range next.drills {
		if !d.isFollowed() {
			continue
		}
		c := d.clone()
		c.note(now, how)
		if d.State == admin.DrillRunning && !slices.ContainsFunc(w.overrides.all(), func(o *override) bool { return o.drill == d.ID }) {
			c.note(now, "its time was over while gtmd did not run: it has ended now")
		}
		next.drills[i] = c
	}
	next.dropLost(now)
	next.drills = next.follow(nil, memory, now)
	return &next
}
