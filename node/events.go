package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// history remembers the latest switches. Safe for concurrent use.
type history struct {
	mu       sync.Mutex // guards switches
	switches []admin.Switch
}

// historyLen is how many switches are remembered.
const historyLen = 1000

// restore takes up the switches of a saved state, the latest first.
func (h *history) restore(saved []admin.Switch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.switches = slices.Clone(saved[:min(len(saved), historyLen)])
}

func (h *history) add(s admin.Switch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.switches = slices.Insert(h.switches, 0, s)
	h.switches = h.switches[:min(len(h.switches), historyLen)]
}

// latest returns the switches, the latest first; never nil.
func (h *history) latest() []admin.Switch {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]admin.Switch{}, h.switches...)
}

// announce logs, counts, remembers and returns the switches that led from what was in force before to w.
func (n *Node) announce(before map[policyKey]policy.Memory, w *world, now time.Time) []admin.Switch {
	all := w.switches(before, now)
	for _, s := range all {
		n.log.Warn("switch", "instance", s.Instance, "policy", s.Policy, "family", s.Family,
			"from", s.From, "to", s.To, "why", s.Why, "reason", s.Reason)
		n.history.add(s)
		n.metrics.switched(s)
	}
	return all
}

// countTurns counts the verdicts that have turned from one world to the next, and reports whether any has.
func (n *Node) countTurns(w, next *world) (any bool) {
	for id := range next.status.Since(w.status) {
		t, _ := next.status.Find(id)
		if before, known := w.status.Find(id); known && before.Verdict != t.Verdict && t.Verdict != healthcheck.Unknown {
			n.metrics.turned(id, t.Verdict)
			any = true
		}
	}
	return any
}

// switches lists the policies of w that answer from another set than before: one of another role and with other pools. A
// set whose pools were changed, or that was moved in the order, is still the same set. Policies without a before are
// no switch.
func (w *world) switches(before map[policyKey]policy.Memory, now time.Time) []admin.Switch {
	var all []admin.Switch
	for _, s := range w.slots {
		if len(before) == 0 {
			break
		}
		k, d := w.key(s), w.decision(s)
		old, known := before[k]
		if !known {
			continue
		}
		if m := d.Memory(); old.Set == m.Set || old.Role == m.Role {
			continue
		}
		all = append(all, admin.Switch{
			Time: now.Round(0), Instance: k.instance, Policy: k.policy, Family: k.family.String(),
			From: roleText(old.Role), To: roleOf(d), Why: string(d.Why), Reason: w.failing(k, d, old.Set),
		})
	}
	return all
}

// roleOf is the role of the set in force; "none" when nothing is served.
func roleOf(d *policy.Decision) string {
	if inForce := d.InForce(); inForce != nil {
		return inForce.Role
	}
	return noSet
}

func roleText(role string) string {
	if role == "" {
		return noSet
	}
	return role
}

// noSet stands where the role of a set would, when nothing is served.
const noSet = "none"

// failing names what is down in the set with this ID, with reasons; empty when nothing is.
func (w *world) failing(k policyKey, d *policy.Decision, id string) string {
	const most = 5
	var failing []string
	for i := range d.Policy.Sets {
		if d.Policy.SetID(i) != id {
			continue
		}
		for m, a := range addresses(&d.Policy.Sets[i]) {
			switch d.Sets[i].Standings[m] {
			case policy.StandsForcedDown, policy.StandsDrained:
				o := w.overrides.of(k, &d.Policy.Sets[i], poolOf(&d.Policy.Sets[i], m), a)
				failing = append(failing, fmt.Sprintf("%s: %s (%s: %s)", plainName(a.Name), d.Sets[i].Standings[m], o.author, o.reason))
			case policy.StandsDown:
				failing = append(failing, fmt.Sprintf("%s: %s", plainName(a.Name), w.reasonOf(a)))
			}
		}
	}
	if more := len(failing) - most; more > 0 {
		failing = append(failing[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(failing, "; ")
}

// poolOf is the pool of the address with this index in the order of SetState.Standings.
func poolOf(set *policy.Set, index int) *policy.Pool {
	for _, m := range set.Members {
		if index < len(m.Pool.Addresses) {
			return m.Pool
		}
		index -= len(m.Pool.Addresses)
	}
	return nil
}

// reasonOf says why an address that is probed is down: the reasons of its targets that are, each once.
func (w *world) reasonOf(a *policy.Address) string {
	var reasons []string
	for id := range a.Probed() {
		if t := w.status.Of(id); t.Verdict == healthcheck.Down && !slices.Contains(reasons, t.Reason) {
			reasons = append(reasons, t.Reason)
		}
	}
	if len(reasons) == 0 {
		return fmt.Sprintf("fewer than %d addresses behind it are up", a.MinUp.Need(len(a.Targets)))
	}
	return strings.Join(reasons, ", ")
}

// addresses lists the addresses of a set in the order of SetState.Standings.
func addresses(set *policy.Set) []*policy.Address {
	var all []*policy.Address
	for _, m := range set.Members {
		for a := range m.Pool.Addresses {
			all = append(all, &m.Pool.Addresses[a])
		}
	}
	return all
}
