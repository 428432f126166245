package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gtmd/config"
	"gtmd/handover"
	"gtmd/healthcheck"
)

// TookOver reports whether the node has taken over from another process.
func (n *Node) TookOver() bool { return n.tookOver }

// succeed begins to take over from the node that runs with the same configuration, and returns nil when there is none.
// Whatever can be wrong with the configuration has been found before that one is asked.
func (n *Node) succeed(ctx context.Context, c *config.Config) (*handover.Taking, error) {
	if !n.options.TakeOver {
		return nil, nil
	}
	path := doorOf(c)
	if !handover.IsDoor(path) {
		return nil, nil
	}
	if err := n.foresee(c); err != nil {
		return nil, err
	}
	taking, err := handover.TakeOver(ctx, path, n.options.Version.Version)
	switch {
	case errors.Is(err, handover.ErrGone):
		n.log.Warn("the gtmd that ran has ended: starting without it", "error", err)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("take over from the gtmd that runs: %w", err)
	case taking != nil:
		n.log.Info("taking over from the gtmd that runs", "pid", taking.PID, "version", taking.Program, "sockets", taking.Sockets.Len())
	}
	return taking, nil
}

// foresee compiles the configuration once and throws it away; the databases stay in memory.
func (n *Node) foresee(c *config.Config) error {
	p, err := compile(c, n.prober, n.atlas, nil, nil)
	if err != nil {
		return err
	}
	_, err = first(p, &healthcheck.Status{}, heritage{}, 1, nil, n.started)
	return err
}

// origin is what a start goes on from: what was saved, or handed over, and the generation of the last view.
type origin struct {
	stateBody
	generation uint64
	secret     []byte // of DNS cookies; empty: nobody told
}

// saved reads the saved state.
func (n *Node) saved(c *config.Config) origin {
	o := origin{stateBody: readState(c.File.State.Dir, n.log)}
	o.revive(time.Now(), presentBoot())
	return o
}

// originOf reads what was handed over.
func originOf(text []byte) (origin, error) {
	h, body, err := decodeHanded(text)
	if err != nil {
		return origin{}, err
	}
	body.revive(time.Now(), presentBoot())
	return origin{body, h.Generation, h.CookieSecret}, nil
}

// still has the other node stand still, when all that takes time is done, and returns its last state, with what was met of
// targets that it does not know.
func (n *Node) still(taking *handover.Taking, met map[string]healthcheck.Saved, offered origin) (origin, error) {
	last := offered
	state, err := taking.Freeze()
	switch {
	case errors.Is(err, handover.ErrGone):
		n.log.Warn("the gtmd that ran has ended: going on with what it handed over", "error", err)
	case err != nil:
		return offered, fmt.Errorf("take over from the gtmd that runs: %w", err)
	default:
		if last, err = originOf(state); err != nil {
			return offered, err
		}
	}
	if last.Targets == nil {
		last.Targets = map[string]healthcheck.Saved{}
	}
	for id, s := range met {
		if _, known := last.Targets[id]; !known {
			last.Targets[id] = s
		}
	}
	return last, nil
}

// meet probes the targets of a plan that are not known, as a reload does, and returns what is known of them then.
func (n *Node) meet(ctx context.Context, p *plan, known map[string]healthcheck.Saved) (map[string]healthcheck.Saved, error) {
	var fresh []healthcheck.Target
	for _, t := range p.targets {
		if _, isKnown := known[t.ID]; !isKnown {
			fresh = append(fresh, t)
		}
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	engine, err := healthcheck.NewEngine(healthcheck.EngineOptions{Logger: n.log})
	if err != nil {
		return nil, fmt.Errorf("start the health checks of new addresses: %w", err)
	}
	defer engine.Close()
	engine.Set(fresh)
	wait := p.patience(fresh, reloadPatience)
	n.log.Info("waiting for the first verdicts of new addresses: the gtmd that runs serves on", "targets", len(fresh), "at_most", wait)
	select {
	case <-engine.Settled():
	case <-time.After(wait):
		n.log.Warn("some new addresses have no verdict yet: they count as available", "waited", wait)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return engine.Status().Saved(), nil
}

// takeOver answers on the sockets of the other node and has it leave. On an error that one serves on, and this one has let go
// of them.
func (n *Node) takeOver(taking *handover.Taking, change *listeners, w *world) error {
	if err := n.dns.Swap(w.view); err != nil {
		return err
	}
	n.dns.SetTransfers(w.transfers)
	change.dns.Commit()
	if err := taking.Serving(); err != nil {
		n.dns.Leave()
		n.dns.Close()
		return fmt.Errorf("take over from the gtmd that runs: %w", err)
	}
	n.dns.Own()
	n.tookOver = true
	n.log.Info("took over", "pid", taking.PID, "version", taking.Program, "generation", w.view.Generation,
		"took", time.Since(n.started).Round(time.Millisecond))
	return nil
}

// settle ends the use of sockets that other processes have opened, and says which were of no use.
func (n *Node) settle() {
	var gone []handover.Socket
	for _, s := range n.sockets.Unused() {
		if s.Held {
			n.log.Warn("nobody reads a socket that was passed: the configuration does not ask for it", "socket", s.String())
		} else {
			n.log.Info("stopped listening", "socket", s.String())
			gone = append(gone, s)
		}
	}
	n.dns.Finish(gone)
	n.sockets.Settle()
}
