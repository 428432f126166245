package node

import (
	"context"
	"slices"
	"time"

	"gtmd/healthcheck"
)

// acquaint has the targets that are new in a plan probed beside those of the world that serves, and waits until each has
// a verdict, or for startup_wait at most. Without that, nobody would know of an address that is new, or probed in another
// way, whether it is up, and a policy that has failed over would return to it. On an error the engine still has them.
func (n *Node) acquaint(ctx context.Context, p *plan) error {
	w := n.world.Load()
	fresh := p.beyond(w.plan)
	if len(fresh) == 0 {
		return nil
	}
	n.engine.Set(slices.Concat(w.targets, fresh))
	missing := unproven(fresh, n.engine.Status())
	if missing == 0 { // the saved state knew them
		return nil
	}
	wait := p.config.File.State.StartupWait
	n.log.Info("waiting for the first verdicts of new addresses: the old configuration serves on", "targets", missing, "at_most", wait)
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for missing > 0 {
		select {
		case <-n.followed:
			missing = unproven(fresh, n.engine.Status())
		case <-timeout.C:
			n.log.Warn("some new addresses have no verdict yet: they count as available", "targets", missing, "waited", wait)
			return nil
		case <-n.stopped:
			return errStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// beyond lists the targets of p that old does not have.
func (p *plan) beyond(old *plan) []healthcheck.Target {
	known := make(map[string]bool, len(old.targets))
	for _, t := range old.targets {
		known[t.ID] = true
	}
	var fresh []healthcheck.Target
	for _, t := range p.targets {
		if !known[t.ID] {
			fresh = append(fresh, t)
		}
	}
	return fresh
}

// unproven counts the targets without a verdict.
func unproven(targets []healthcheck.Target, status *healthcheck.Status) int {
	count := 0
	for _, t := range targets {
		if status.Targets[t.ID].Verdict == healthcheck.Unknown {
			count++
		}
	}
	return count
}
