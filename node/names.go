package node

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/policy"
	"gtmd/resolver"
)

// namesOf lists the names of a configuration that have to be resolved: those of domain pools that are probed, or that
// answer with the addresses behind them.
func namesOf(c *config.Config) []string {
	var names []string
	for _, o := range c.Pools {
		if o.Type != policy.TypeDomain {
			continue
		}
		for i := range o.Addresses {
			a := &o.Addresses[i]
			isProbed := a.Mode == policy.ModeIntelligent && len(o.HealthCheck)+len(a.HealthCheck) > 0
			if (o.Flatten || isProbed) && !slices.Contains(names, a.Address) {
				names = append(names, a.Address)
			}
		}
	}
	return names
}

// resolved are the addresses of a name.
func (p *plan) resolved(name string) []netip.Addr {
	answer := p.answers[name]
	return slices.Concat(answer.IPv4, answer.IPv6)
}

// plainName is a name as people write it, without the last dot.
func plainName(name string) string { return strings.TrimSuffix(name, ".") }

// resolve has the names of a configuration resolved beside those that serve, and waits until there is an answer or an error
// for some of them, at most until a deadline.
func (n *Node) resolve(ctx context.Context, c *config.Config, awaited []string, deadline time.Time) {
	all := namesOf(c)
	if len(all) == 0 {
		return
	}
	if w := n.world.Load(); w != nil {
		all = append(all, w.names...)
	}
	n.resolver.Set(c.File.Resolver, all)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := n.resolver.Settled(ctx, awaited); err != nil {
		n.log.Warn("some names of domain pools are not resolved yet", "error", err)
	}
}

// namesToAwait lists the names that a start waits for: all, without any saved verdict; else none, so that serving starts at once.
func (n *Node) namesToAwait(c *config.Config, saved *stateBody) []string {
	if len(saved.Targets) > 0 {
		return nil
	}
	return namesOf(c)
}

// runResolved serves from what the names of domain pools resolve to now. It goes the way of a reload: addresses that are new
// are probed before clients are sent to them.
func (n *Node) runResolved(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.resolver.Changed():
		}
		select {
		case n.loading <- struct{}{}:
		case <-ctx.Done():
			return
		}
		n.renew(ctx)
		<-n.loading
	}
}

// renew compiles the pools from the present answers, when an address among them is another, and serves them. The caller holds
// loading.
func (n *Node) renew(ctx context.Context) {
	w, answers := n.world.Load(), n.resolver.Answers()
	isOther := func(name string) bool {
		now, then := answers[name], w.answers[name]
		return !slices.Equal(now.IPv4, then.IPv4) || !slices.Equal(now.IPv6, then.IPv6)
	}
	if !slices.ContainsFunc(w.names, isOther) {
		return
	}
	p := *w.plan
	p.compileInstances(answers)
	if err := w.emptied(decide(&p, n.engine.Status(), w.inherited(), time.Now())); err != nil {
		n.log.Error("names have lost their addresses: the last ones serve on", "error", err)
		p.compileInstances(keepFamilies(w.answers, answers))
	}
	err := n.acquaint(ctx, &p, p.patience(p.beyond(w.plan), namesPatience))
	if err == nil {
		err = n.ask(ctx, func() error { return n.move(&p) })
	}
	if err != nil && ctx.Err() == nil {
		n.log.Error("publish the answers from new addresses of names", "error", err)
		n.probeAll(n.world.Load().plan)
	}
}

// keepFamilies are answers in which a name that has lost every address of a family keeps those that it had.
func keepFamilies(before, now map[string]resolver.Answer) map[string]resolver.Answer {
	kept := make(map[string]resolver.Answer, len(now))
	for name, answer := range now {
		if len(answer.IPv4) == 0 {
			answer.IPv4 = before[name].IPv4
		}
		if len(answer.IPv6) == 0 {
			answer.IPv6 = before[name].IPv6
		}
		kept[name] = answer
	}
	return kept
}

// move serves a plan that differs from the present one in the addresses behind its names.
func (n *Node) move(p *plan) error {
	w, now := n.world.Load(), time.Now()
	next := decide(p, n.engine.Status(), w.inherited(), now)
	next.loaded = w.loaded
	next.view = w.view.Replace(w.view.Generation+1, next.viewInstances(), p.packedAll(p.slots), n.stats.Counter)
	if err := n.swap(w, next, now); err != nil {
		return err
	}
	n.probeAll(p)
	n.metrics.prune(next)
	n.step() // without the targets that are gone
	return nil
}

// resolvedStatus is what the names of a pool resolve to.
func (n *Node) resolvedStatus(o *config.Pool) []admin.ResolvedStatus {
	var all []admin.ResolvedStatus
	answers := n.resolver.Answers()
	for i := range o.Addresses {
		name := o.Addresses[i].Address
		answer, isKept := answers[name]
		if !isKept || o.Type != policy.TypeDomain {
			continue
		}
		all = append(all, admin.ResolvedStatus{
			Name: plainName(name), Addresses: slices.Concat(answer.IPv4, answer.IPv6), At: moment(answer.Resolved), Error: answer.Err,
		})
	}
	return all
}
