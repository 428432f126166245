package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// maxProbing is how many probes that somebody asked for run at the same time, whoever asked.
const maxProbing = 16

// Probe probes now, beside the schedule; see admin.Backend. The probes are those of the schedule and change no verdict.
func (n *Node) Probe(ctx context.Context, r admin.ProbeRequest) (admin.ProbeReply, error) {
	w := n.world.Load()
	targets, err := w.toProbe(canonical(admin.OverrideTarget{Address: r.Address, Pool: r.Pool}))
	if err != nil {
		return admin.ProbeReply{}, err
	}
	what := admin.OverrideTarget{Address: r.Address, Pool: r.Pool}
	if len(targets) > admin.MaxProbes {
		return admin.ProbeReply{}, fmt.Errorf("%s has %d probes, and at most %d are made at once: name an address", what, len(targets), admin.MaxProbes)
	}
	n.noteBy(ctx, r.Author, admin.Event{
		Time: time.Now().Round(0), Kind: admin.EventProbeAsked, Message: fmt.Sprintf("%s was probed on request", what), Pool: r.Pool, Address: r.Address,
	})
	reply := admin.ProbeReply{Probes: make([]admin.ProbeNow, len(targets))}
	var running sync.WaitGroup
	for i := range targets {
		running.Go(func() { reply.Probes[i] = n.probeNow(ctx, w, targets[i]) })
	}
	running.Wait()
	if err := ctx.Err(); err != nil {
		return admin.ProbeReply{}, fmt.Errorf("probe %s: %w", what, err)
	}
	return reply, nil
}

// probeNow probes one target as soon as there is room for that.
func (n *Node) probeNow(ctx context.Context, w *world, t *healthcheck.Target) admin.ProbeNow {
	select {
	case n.probing <- struct{}{}:
		defer func() { <-n.probing }()
	case <-ctx.Done():
		return admin.ProbeNow{}
	}
	found := n.engine.Try(ctx, *t)
	p := admin.ProbeNow{
		HealthCheck: w.probed[t.ID].check, Address: w.probed[t.ID].address, Host: hostOf(t), ProbeResult: resultStatus(&found.Result),
		Void: found.Void || found.Undecided, Degraded: found.Degraded, CertificateExpires: moment(found.Report.CertificateExpires),
		Standing: verdictText(targetHealth(n.health(), t.ID)),
	}
	switch {
	case t.Protocol == healthcheck.Push:
		p.Note = "nothing was sent: this is what the origin has last said of itself"
	case t.Canary:
		p.Note = "a canary: it only tells whether this server sees anything"
	}
	return p
}

// toProbe lists the targets of an address, a pool or an address of a pool, and those of canaries at the address. The error says that
// there are none, and why.
func (w *world) toProbe(on admin.OverrideTarget) (targets []*healthcheck.Target, err error) {
	wanted := map[string]bool{}
	isUnprobed, isUnresolved := false, false
	for _, pool := range w.pools {
		if on.Pool != "" && on.Pool != pool.Name {
			continue
		}
		isUnresolved = isUnresolved || len(pool.Addresses) == 0
		for i := range pool.Addresses {
			a := &pool.Addresses[i]
			ids := slices.Collect(a.Probed())
			if covers(on, pool, a) || on.Pool == "" && covers(admin.OverrideTarget{Address: on.Address}, pool, a) {
				isUnprobed = isUnprobed || len(ids) == 0
				isUnresolved = isUnresolved || len(ids) == 0 && pool.Type == policy.TypeDomain && len(w.resolved(a.Name)) == 0
			} else { // An address behind a name.
				ids = slices.DeleteFunc(ids, func(id string) bool { return on.Address == "" || w.probed[id].address != on.Address })
			}
			for _, id := range ids {
				wanted[id] = true
			}
		}
	}
	for i := range w.targets {
		if t := &w.targets[i]; wanted[t.ID] || t.Canary && on.Pool == "" && w.probed[t.ID].address == on.Address {
			targets = append(targets, t)
		}
	}
	if len(targets) > 0 {
		return targets, nil
	}
	if err := w.known(on); err != nil {
		return nil, err
	}
	switch {
	case isUnresolved:
		return nil, fmt.Errorf("%s: none of its names is resolved, or none has a health check", shown(on))
	case isUnprobed:
		return nil, fmt.Errorf("%s is not probed: it has no health check, or its mode says whether it is available", shown(on))
	default:
		return nil, fmt.Errorf("%s has nothing to probe", shown(on))
	}
}

// canaryPrefix begins the IDs of the targets of canaries.
const canaryPrefix = "canary/"
