package node

import (
	"context"
	"slices"
	"time"

	"gtmd/healthcheck"
)

// acquaint has the targets that are new in a plan probed beside those of the world that serves, and waits until each has
// a verdict, or for the given time at most. Without that, nobody would know of an address that is new, or probed in another
// way, whether it is up, and a policy that has failed over would return to it. On an error the engine still has them.
func (n *Node) acquaint(ctx context.Context, p *plan, wait time.Duration) error {
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

// patience is how long to wait for the first verdicts of targets: as long as they take at most, so many probes as turn one
// down, each with its whole timeout; but startup_wait where that would be more than a limit. Those that wait for the reports of
// origins are not waited for.
func (p *plan) patience(targets []healthcheck.Target, limit time.Duration) time.Duration {
	longest := time.Duration(0)
	for _, t := range targets {
		if t.Protocol != healthcheck.Push {
			longest = max(longest, time.Duration(max(t.Fall, t.Rise))*(max(t.Timeout, time.Second)+time.Second))
		}
	}
	if longest > limit {
		longest = 0
	}
	return max(longest, p.config.File.State.StartupWait)
}

// The limits of patience: somebody waits for a reload, and nobody for new addresses behind a name.
const (
	reloadPatience = 30 * time.Second
	namesPatience  = 10 * time.Minute
)

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
		if status.Of(t.ID).Verdict == healthcheck.Unknown {
			count++
		}
	}
	return count
}
