package node

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// Ready says why queries are not answered; nil: they are.
func (n *Node) Ready() error {
	if why := n.phase.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

// Status is the state of everything.
func (n *Node) Status() admin.Status {
	w := n.world.Load()
	status := admin.Status{
		Version: n.options.Version, Started: n.started, Ready: "ready", Listen: append([]netip.AddrPort{}, n.Addresses()...),
		Config:    n.configStatus(w),
		Overrides: n.Overrides(), Databases: w.databaseStatus(time.Now()), Instances: w.instanceStatus(), Switches: n.history.latest(),
	}
	health := n.health()
	status.Blind, status.Pools = blindStatus(health), n.poolStatus(w, health, time.Now())
	if err := n.Ready(); err != nil {
		status.Ready = err.Error()
	}
	if failed := n.saveFailed.Load(); failed != nil {
		status.StateError, status.StateFailed = failed.err.Error(), &failed.at
	}
	return status
}

// configStatus is the state of the configuration of a world, and how the last reload went.
func (n *Node) configStatus(w *world) admin.ConfigStatus {
	s := admin.ConfigStatus{
		File: n.options.Name, Hash: w.config.Hash, Loaded: w.loaded, Generation: w.view.Generation, Warnings: texts(w.allWarnings(time.Now())),
	}
	if refused := n.lastReload.Load(); refused != nil {
		s.Error, s.Refused = refused.err.Error(), &refused.at
	}
	return s
}

// health is the present knowledge of the targets: fresher than that of the world, which knows the verdicts decided on.
func (n *Node) health() *healthcheck.Status { return n.engine.Status() }

// databaseStatus is the state of the databases in the order of the configuration.
func (p *plan) databaseStatus(now time.Time) []admin.DatabaseStatus {
	all := make([]admin.DatabaseStatus, len(p.databases))
	for i, d := range p.databases {
		s := admin.DatabaseStatus{
			Path: d.path, Type: d.Type, Description: d.Description, Built: d.Built, AgeSeconds: int64(now.Sub(d.Built) / time.Second),
			Hash: d.Hash, Networks4: d.Networks4, Networks6: d.Networks6, State: admin.DatabaseServes,
		}
		if d.refused != nil {
			s.State, s.Error, s.Refused = admin.DatabaseRefused, d.refused.Error(), moment(d.at)
			if d.copied {
				s.State = admin.DatabaseCopied
			}
		}
		all[i] = s
	}
	return all
}

func (w *world) instanceStatus() []admin.InstanceStatus {
	all := make([]admin.InstanceStatus, len(w.instances))
	for i, in := range w.instances {
		o := w.config.File.Instances[i]
		all[i] = admin.InstanceStatus{Name: in.Name, AccessDomain: in.AccessDomain, Aliases: in.Aliases, BusinessDomains: o.BusinessDomains, TTL: in.TTL}
	}
	for _, s := range w.slots {
		access := w.instances[s.Instance].Policies[s.Policy]
		d := w.decision(s)
		all[s.Instance].Policies = append(all[s.Instance].Policies, admin.PolicyStatus{
			Name: access.Name, Sources: access.Sources, Family: d.Policy.Family.String(),
			InForce: roleOf(d), Why: string(d.Why), Since: d.Since, Until: moment(d.Until), Sets: w.setStatus(s, d, nil),
		})
	}
	return all
}

// setStatus is the state of the sets of the decision of a slot. With health, their addresses are listed too.
func (w *world) setStatus(slot slot, d *policy.Decision, health *healthcheck.Status) []admin.SetStatus {
	all := make([]admin.SetStatus, len(d.Policy.Sets))
	for i := range d.Policy.Sets {
		set, state := &d.Policy.Sets[i], d.Sets[i]
		s := admin.SetStatus{
			Role: set.Role, InForce: i == d.Set, Available: state.Available, Since: moment(state.Since), Balance: string(set.Balance),
			UpAddresses: state.Count, Addresses: state.Candidates, Need: state.Need, Verdict: verdict(d, i),
		}
		for _, member := range set.Members {
			s.Pools = append(s.Pools, member.Pool.Name)
		}
		if health != nil {
			s.Members = w.memberStatus(slot, d, i, health)
		}
		all[i] = s
	}
	return all
}

// verdict says, for people, why set i is in force or is not.
func verdict(d *policy.Decision, i int) string {
	state := d.Sets[i]
	count := fmt.Sprintf("%d of %d addresses available, %d needed", state.Count, state.Candidates, state.Need)
	switch {
	case i == d.Set:
		return fmt.Sprintf("in force (%s): %s", d.Why, count)
	case d.Why == policy.Pinned:
		return "not in force, the policy is pinned: " + count
	case !state.Available:
		return "not available: " + count
	case d.Why == policy.Waiting && i < d.Set:
		return fmt.Sprintf("available since %s, takes over at %s: %s", clock(state.Since), clock(state.Since.Add(d.Policy.FailbackDelay)), count)
	case d.Why == policy.Held && i < d.Set:
		return "available, waits for gtmd switch because failback is manual: " + count
	default:
		return "stands by: " + count
	}
}

// moment is nil for the zero time, so that JSON leaves it out.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Round(0) // without the monotonic clock
	return &t
}

// clock writes a time for people, with its zone: who reads it may be elsewhere.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
