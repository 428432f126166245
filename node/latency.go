package node

import (
	"math"
	"slices"
	"time"

	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// rttInterval is how often the round-trip times of the probes are looked at for instances that go by latency.
const rttInterval = 10 * time.Second

// rtts are the round-trip times to pools that hold, by name, in milliseconds: those that this server's own probes
// measure, with a hysteresis that keeps clients from going to and fro. Immutable; nil: none.
type rtts map[string]float64

// milliseconds are the times in whole milliseconds.
func (r rtts) milliseconds() map[string]uint32 {
	whole := make(map[string]uint32, len(r))
	for pool, ms := range r {
		whole[pool] = uint32(math.Round(ms))
	}
	return whole
}

// measure notes that the latency of the pools of a policy matters to a decision.
func (p *plan) measure(decided *policy.Policy, s slot) {
	for _, set := range decided.Sets {
		for _, m := range set.Members {
			if users := p.measured[m.Pool.Name]; len(users) == 0 || users[len(users)-1] != s {
				p.measured[m.Pool.Name] = append(users, s)
			}
		}
	}
}

// measures reports whether there is anything to measure: an address that is probed, in an instance that goes by latency.
func (p *plan) measures() bool {
	return slices.ContainsFunc(p.pools, func(pool *policy.Pool) bool {
		return p.measured[pool.Name] != nil && slices.ContainsFunc(pool.Addresses, func(a policy.Address) bool { return len(a.Targets) > 0 })
	})
}

// hold returns the times that hold from now on: for each pool that matters the smallest of its available addresses.
func (w *world) hold(held rtts, status *healthcheck.Status, now time.Time) rtts {
	next := rtts{}
	for _, pool := range w.pools {
		if w.measured[pool.Name] == nil {
			continue
		}
		if ms := policy.Hysteresis(held[pool.Name], w.fastest(pool, status, now)); ms != 0 {
			next[pool.Name] = ms
		}
	}
	return next
}

// fastest is the smallest smoothed round-trip time of the available addresses of a pool, in milliseconds; 0: none is known.
func (w *world) fastest(pool *policy.Pool, status *healthcheck.Status, now time.Time) float64 {
	least := time.Duration(0)
	for i := range pool.Addresses {
		a := &pool.Addresses[i]
		if !w.poolStanding(pool, a, status, now).Available() {
			continue
		}
		for id := range a.Probed() {
			if rtt := status.Of(id).RTT; rtt > 0 && (least == 0 || rtt < least) {
				least = rtt
			}
		}
	}
	return float64(least) / float64(time.Millisecond)
}

// measured is the world with the round-trip times of a status, its own where none has moved. Decisions stay as they are.
func (w *world) remeasure(status *healthcheck.Status, counter func(view.CounterKey) int) *world {
	held := w.hold(w.rtts, status, time.Now())
	var moved []slot
	for pool, users := range w.measured {
		if math.Round(held[pool]) != math.Round(w.rtts[pool]) || (held[pool] == 0) != (w.rtts[pool] == 0) {
			moved = append(moved, users...)
		}
	}
	next := *w
	next.rtts = held
	if len(moved) > 0 {
		next.view = w.view.Replace(w.view.Generation+1, next.viewInstances(), w.packedAll(moved), counter)
	}
	return &next
}

// packedAll lists the slots of the view that some decisions change, each once.
func (p *plan) packedAll(decided []slot) []slot {
	var all []slot
	seen := map[slot]bool{}
	for _, d := range decided {
		for _, s := range p.packed(d) {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}

// remeasure takes up the present round-trip times. The decisions are those of the present world: a turn of health that has
// not been taken up yet comes with its own signal.
func (n *Node) remeasure() {
	w, now := n.world.Load(), time.Now()
	next := w.remeasure(n.engine.Status(), n.stats.Counter)
	if next.view == w.view {
		n.world.Store(next)
		return
	}
	if err := n.swap(w, next, now); err != nil {
		n.log.Error("publish the answers", "error", err)
		return
	}
	n.touch()
}
