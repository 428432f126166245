package node

import (
	"maps"
	"slices"
	"time"

	"gtmd/admin"
	"gtmd/policy"
)

// change is an event that follows from a change of the world, with what alerts want to know of it. Immutable.
type change struct {
	admin.Event
	key   string // of the trouble that begins or ends; empty: it is neither, such as a switch
	cause string // key of what is behind it; empty: itself
	isEnd bool
	rank  int
	// instances are those that it concerns; empty: it concerns none in particular.
	instances []string
}

// Ranks of changes of one cause.
const (
	rankCause  = iota // an address
	rankSet           // what becomes of sets
	rankPolicy        // what policies serve then
)

// spot is an address of a pool by its names.
type spot struct{ pool, address string }

// comparison finds what has changed from what was told to a world.
type comparison struct {
	w       *world
	told    map[string]*trouble
	now     time.Time
	isWhole bool            // everything is looked at
	seen    map[string]bool // of told, when everything is looked at
	found   []change
	// What has begun or ended in this comparison.
	began, ended map[spot]string    // keys of addresses
	sets         map[string]int     // places in found of sets, by key
	slots        map[[3]string]slot // the decisions that have changed, by instance, policy and family; nil: not needed yet
	// choices are the possible causes of sets, by their places in found.
	choices map[int][]string
	names   map[string]bool // of addresses that are probed; nil: not needed yet
	checked map[string]bool // keys of the business domains that are checked; nil: not needed yet
}

// changesSince finds what has changed since told, the troubles that people know of: first addresses, then sets, then switches,
// which are given. Before is the world that told is of; nil: everything is looked at. It costs what has changed in between, as
// far as the plan is the same. Pure.
func changesSince(told map[string]*trouble, before, w *world, switches []admin.Switch, now time.Time) []change {
	c := &comparison{
		w: w, told: told, now: now, isWhole: before == nil || before.plan != w.plan, seen: map[string]bool{},
		began: map[spot]string{}, ended: map[spot]string{}, sets: map[string]int{}, choices: map[int][]string{},
	}
	c.lookAtSight()
	c.lookAtDatabases()
	c.lookAtTargets(before)
	slots := c.turned(before)
	for _, s := range slots {
		c.lookAtSets(s)
	}
	c.settleCauses()
	for i := range switches {
		c.found = append(c.found, c.switched(&switches[i], slots))
	}
	for _, s := range slots {
		c.lookAtOpen(s)
	}
	if c.isWhole {
		c.lookForGone()
	}
	return c.found
}

// look compares one thing: whether it is a trouble to whether it is told as one. It returns where in found its change is; -1:
// nothing has changed.
func (c *comparison) look(key string, isTrouble bool, begin func() change, end func(was *trouble) change) int {
	was := c.told[key]
	if was != nil && c.isWhole {
		c.seen[key] = true
	}
	var found change
	switch {
	case isTrouble && was == nil:
		found = begin()
	case !isTrouble && was != nil:
		found = end(was)
		found.isEnd = true
	default:
		return -1
	}
	found.key, found.Time = key, c.now
	if found.Since == nil && !found.isEnd { // nothing knows better
		found.Since = moment(c.now)
	}
	c.found = append(c.found, found)
	return len(c.found) - 1
}

// lookAtSight looks whether this prober is blind.
func (c *comparison) lookAtSight() {
	for _, family := range []string{policy.IPv4.String(), policy.IPv6.String()} {
		blind := slices.IndexFunc(blindStatus(c.w.status), func(b admin.BlindStatus) bool { return b.Family == family })
		c.look(blindKey(family), blind >= 0, func() change {
			b := c.w.status.Blind[blind]
			return change{Event: admin.Event{
				Kind: admin.EventBlind, Family: family, Reason: b.Reason, Since: moment(b.Since),
				Message: "this prober is blind for " + familyText(family) + ": no verdict turns down",
			}}
		}, func(was *trouble) change {
			return change{Event: admin.Event{
				Kind: admin.EventSees, Family: family, Since: was.Event.Since, Reason: "was blind" + lasted(was, c.now),
				Message: "this prober sees again for " + familyText(family) + ": verdicts turn as usual",
			}}
		})
	}
}

func (c *comparison) lookAtDatabases() {
	for _, d := range c.w.databases {
		e, isStale := c.w.databaseEvent(d, c.now)
		c.look(databaseKey(d.path), isStale, func() change { return change{Event: e} }, func(was *trouble) change {
			e.Since = was.Event.Since
			return change{Event: e}
		})
	}
}

// lookAtTargets looks at the addresses and certificates of the targets that have changed since before.
func (c *comparison) lookAtTargets(before *world) {
	looked := map[string]bool{} // addresses of several targets
	each := func(id string) {
		t, _ := c.w.status.Find(id)
		members := c.w.members[id]
		if len(members) == 0 {
			return
		}
		c.lookAtCertificate(id, members)
		if !c.isWhole {
			if old, _ := before.status.Find(id); old.Verdict == t.Verdict {
				return
			}
		}
		for len(members) > 0 { // those of one key together
			a := c.w.addressOf(members[0])
			key := c.w.addressKey(a)
			var same, others []member
			for _, m := range members {
				if other := c.w.addressOf(m); other == a || c.w.addressKey(other) == key {
					same = append(same, m)
				} else {
					others = append(others, m)
				}
			}
			members = others
			if !looked[key] {
				looked[key] = true
				c.lookAtAddress(key, a, same, id)
			}
		}
	}
	if c.isWhole {
		for _, t := range c.w.targets {
			each(t.ID)
		}
		return
	}
	for id := range c.w.status.Since(before.status) {
		each(id)
	}
}

func (c *comparison) lookAtAddress(key string, a *policy.Address, members []member, id string) {
	isDown := a.Health(verdictsOf(c.w.status)) == policy.Down
	instances := func() []string { return c.w.instancesOf(a) }
	at := c.look(key, isDown, func() change {
		return change{Event: c.w.downEvent(a, members), instances: instances()}
	}, func(was *trouble) change {
		return change{Event: c.w.upEvent(a, members, was, c.now), instances: instances()}
	})
	if at < 0 {
		return
	}
	turned := c.began
	if c.found[at].isEnd {
		turned = c.ended
	}
	for _, m := range members {
		turned[spot{c.w.pools[m.pool].Name, a.Name}] = key
	}
}

// instancesOf are those that use the targets of an address.
func (w *world) instancesOf(a *policy.Address) []string {
	var all []string
	for id := range a.Probed() {
		all = append(all, w.instancesUsing(id)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// instancesUsing are the instances in whose decisions a target takes part, in order.
func (w *world) instancesUsing(id string) []string {
	var all []string
	last := -1
	for _, s := range w.users[id] { // in the order of instances
		if s.Instance != last {
			last = s.Instance
			all = append(all, w.instances[s.Instance].Name)
		}
	}
	return all
}

// lookAtCertificate looks at what the target has shown since this process began; until it has, what was told stays so.
func (c *comparison) lookAtCertificate(id string, members []member) {
	t, _ := c.w.status.Find(id)
	if t.Report.CertificateExpires.IsZero() {
		if c.isWhole {
			c.seen[certificateKey(id)] = true
		}
		return
	}
	key := certificateKey(id)
	at := c.look(key, t.Report.Warning != "", func() change {
		return change{Event: c.w.certificateEvent(id, t, members)}
	}, func(was *trouble) change {
		found := change{Event: c.w.certificateEvent(id, t, members), cause: was.Cause}
		found.Since = was.Event.Since
		return found
	})
	if at >= 0 {
		c.found[at].instances = c.w.instancesUsing(id)
		if !c.found[at].isEnd { // a certificate that many addresses have is told once
			c.found[at].cause = "certificate/" + t.Report.CertificateExpires.UTC().Format(time.RFC3339)
		}
	}
}

// turned are the decisions that are not those of before.
func (c *comparison) turned(before *world) []slot {
	if c.isWhole {
		return c.w.slots
	}
	var all []slot
	for _, s := range c.w.slots {
		if c.w.decision(s) != before.decision(s) {
			all = append(all, s)
		}
	}
	return all
}

func (c *comparison) lookAtSets(s slot) {
	k, d := c.w.key(s), c.w.decision(s)
	for i := range d.Policy.Sets {
		event := func() change {
			return change{Event: c.w.setEvent(k, d, i), rank: rankSet, instances: []string{k.instance}}
		}
		key := setKey(k.instance, k.policy, k.family.String(), d.Policy.Sets[i].Role)
		at := c.look(key, isSetTrouble(&d.Sets[i]), event, func(was *trouble) change {
			found := event()
			found.Since, found.cause = was.Event.Since, was.Cause
			return found
		})
		if at < 0 {
			continue
		}
		c.sets[key] = at
		if choices := c.causes(k, d, i, c.found[at].isEnd); len(choices) > 0 {
			c.choices[at] = choices
		}
	}
}

// lookAtOpen looks whether a decision serves what is not available. The cause is that of a set of the policy.
func (c *comparison) lookAtOpen(s slot) {
	k, d := c.w.key(s), c.w.decision(s)
	at := c.look(openKey(k), isOpen(d), func() change {
		return change{Event: c.w.openEvent(k, d)}
	}, func(was *trouble) change {
		e := admin.Event{
			Kind: admin.EventFailOpenEnd, Instance: k.instance, Policy: k.policy, Family: k.family.String(), Set: roleOf(d), Since: was.Event.Since,
			Reason: "served all of a set that was not available" + lasted(&trouble{Event: admin.Event{Since: was.Event.Since}}, c.now),
		}
		if e.Message = policyText(&e) + ": what is available is served again, from the " + e.Set + " set"; d.Set < 0 {
			e.Message = policyText(&e) + ": nothing is served any more"
		}
		return change{Event: e, cause: was.Cause}
	})
	if at < 0 {
		return
	}
	c.found[at].rank, c.found[at].instances = rankPolicy, []string{k.instance}
	for i := range d.Policy.Sets {
		key := setKey(k.instance, k.policy, k.family.String(), d.Policy.Sets[i].Role)
		if set, isTurned := c.sets[key]; isTurned {
			c.found[at].cause = c.found[set].cause
			return
		}
		if was := c.told[key]; was != nil && !c.found[at].isEnd {
			c.found[at].cause = was.Cause
		}
	}
}

// lookForGone ends what is told and there no more: it is not in the configuration.
func (c *comparison) lookForGone() {
	for _, key := range slices.Sorted(maps.Keys(c.told)) {
		was := c.told[key]
		if c.seen[key] || isForeign(key) && c.isAwaited(key) {
			continue
		}
		e := was.Event
		e.ID, e.Time, e.Kind, e.Reason = 0, c.now, endOf(e.Kind), "what it is about has been taken out of the configuration"
		if was.Event.Kind == admin.EventUnconfigured {
			e.Reason = "it is not checked any longer, by the configuration"
		}
		e.Message = "no longer in the configuration: " + e.Message
		if was.Event.Kind == admin.EventAddressDown && c.hasAddress(e.Address) {
			e.Message, e.Reason = addressText(&e)+" is checked in another way", "what is found by that is told for itself"
		}
		found := change{Event: e, key: key, cause: was.Cause, isEnd: true}
		if e.Instance != "" {
			found.instances = []string{e.Instance}
		}
		c.found = append(c.found, found)
	}
}

// hasAddress reports whether a pool still has an address, so that only its health checks are others.
func (c *comparison) hasAddress(name string) bool {
	if c.names == nil {
		c.names = map[string]bool{}
		for _, pool := range c.w.pools {
			for i := range pool.Addresses {
				if a := &pool.Addresses[i]; len(a.Targets) > 0 {
					c.names[plainName(a.Name)] = true
				}
			}
		}
	}
	return c.names[name]
}

// isAwaited reports whether somebody else will tell the end of a foreign trouble: of a business domain only while it is checked.
func (c *comparison) isAwaited(key string) bool {
	if key == configKey {
		return true
	}
	if c.checked == nil {
		c.checked = map[string]bool{}
		if c.w.config.File.Business.CheckInterval > 0 {
			for _, rules := range rulesOf(c.w.config) {
				e := businessEvent(rules, "", "", "", c.now)
				c.checked[unconfiguredKey(&e)] = !rules.isExcepted
			}
		}
	}
	return c.checked[key]
}

// ends are the kinds of events that begin something, with those of the end.
func ends() map[admin.EventKind]admin.EventKind {
	return map[admin.EventKind]admin.EventKind{
		admin.EventAddressDown:    admin.EventAddressUp,
		admin.EventSetUnavailable: admin.EventSetAvailable,
		admin.EventFailOpen:       admin.EventFailOpenEnd,
		admin.EventUnconfigured:   admin.EventConfigured,
		admin.EventBlind:          admin.EventSees,
		admin.EventConfigRejected: admin.EventConfigLoaded,
		admin.EventDatabaseStale:  admin.EventDatabaseFresh,
		admin.EventCertificate:    admin.EventCertificateGood,
	}
}

// endOf is the kind of the end of what begins with a kind.
func endOf(kind admin.EventKind) admin.EventKind { return ends()[kind] }
