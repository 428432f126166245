package node

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/resolver"
)

// business knows where the business domains of the configuration lead. Its goroutine has each resolved again and again; safe for
// concurrent use.
type business struct {
	wake chan struct{} // holds a token when there is something to do
	// lane holds a token for every chain that is resolved now, for whomever.
	lane chan struct{}

	mu      sync.Mutex // guards all below
	config  *config.Config
	seen    *knownNames
	domains map[businessKey]*businessDomain
	agenda  businessAgenda // those that wait
	busy    int            // how many checks run
}

const (
	// businessLane bounds how many chains are resolved at once.
	businessLane = 8
	// businessLimit bounds how long that takes for one domain, with the names of its instance's domain pools.
	businessLimit = 30 * time.Second
	// businessRetry is the time to the next check after one that no resolver answered.
	businessRetry = 30 * time.Second
	// businessPatience is after how many such checks in a row the last state is no longer believed.
	businessPatience = 3
	// businessPace is how long the first check of each domain may wait for those of others, when there are many.
	businessPace = 10 * time.Millisecond
)

// businessKey names a business domain of an instance.
type businessKey struct{ instance, domain string }

// businessDomain is one business domain, as it is known.
type businessDomain struct {
	rules    *domainRules
	status   admin.BusinessDomainStatus // without the note of failure
	failure  string                     // of the last check, when no resolver answered
	failures int                        // in a row
	due      time.Time
	place    int // in the agenda; -1: it is not there
}

func newBusiness() *business {
	return &business{wake: make(chan struct{}, 1), lane: make(chan struct{}, businessLane), domains: map[businessKey]*businessDomain{}}
}

// touchBusiness has the goroutine look what there is to do; it never blocks.
func (n *Node) touchBusiness() {
	select {
	case n.business.wake <- struct{}{}:
	default:
	}
}

// runBusiness checks business domains until ctx ends, and waits for what it has begun.
func (n *Node) runBusiness(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		c := n.world.Load().config
		for _, e := range n.business.set(c, time.Now()) {
			n.tellBusiness(e)
		}
		due, next := n.business.take(time.Now())
		for _, d := range due {
			running.Go(func() { n.checkBusiness(ctx, d) })
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-n.business.wake:
		case <-timer:
		}
	}
}

// checkBusiness resolves a domain that was taken from the agenda, and puts it back.
func (n *Node) checkBusiness(ctx context.Context, d *businessDomain) {
	defer n.touchBusiness()
	defer n.business.end()
	begin := time.Now()
	checked, isDone := n.resolveBusiness(ctx, d.rules)
	if !isDone {
		return // the node ends
	}
	if e, isNews := n.business.record(d, checked, begin); isNews {
		n.tellBusiness(e)
	}
}

// checkedDomain is what a check has found.
type checkedDomain struct {
	judged
	chain resolver.Chain
	took  time.Duration
}

// resolveBusiness resolves a domain now, and what it takes to judge it. It reports false when ctx ended before.
func (n *Node) resolveBusiness(ctx context.Context, rules *domainRules) (c checkedDomain, isDone bool) {
	select {
	case n.business.lane <- struct{}{}:
		defer func() { <-n.business.lane }()
	case <-ctx.Done():
		return c, false
	}
	limited, cancel := context.WithTimeout(ctx, businessLimit)
	defer cancel()
	begin := time.Now()
	c.chain = n.resolver.Chain(limited, rules.domain)
	c.judged = rules.judge(&c.chain, n.business.names(), func(name string) resolver.Chain { return n.resolver.Chain(limited, name) })
	c.took = time.Since(begin)
	return c, ctx.Err() == nil
}

// tellBusiness logs an event of a business domain, and notes it.
func (n *Node) tellBusiness(e admin.Event) {
	level := n.log.Info
	if e.Kind == admin.EventUnconfigured {
		level = n.log.Warn
	}
	level("business domain", "state", e.To, "instance", e.Instance, "domain", e.Address, "reason", e.Reason)
	n.note(e)
}

// set makes the business domains of a configuration those that are checked. One that is new, or to be judged by other rules, is due soon; one
// that is gone and was not configured is told to be over.
func (b *business) set(c *config.Config, now time.Time) (events []admin.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c == b.config {
		return nil
	}
	b.config, b.seen = c, namesIn(c)
	before := b.domains
	all := rulesOf(c)
	b.domains = make(map[businessKey]*businessDomain, len(all))
	b.agenda = b.agenda[:0]
	for _, rules := range all {
		k := businessKey{rules.instance, rules.domain}
		d := &businessDomain{rules: rules, place: -1}
		d.status = admin.BusinessDomainStatus{Domain: plainName(rules.domain), Instance: rules.instance, State: admin.ConfigNotAsked}
		b.domains[k] = d
		switch old := before[k]; {
		case rules.isExcepted:
			d.status.Reason = "it is not checked: [business] except lists it"
			continue
		case c.File.Business.CheckInterval == 0:
			d.status.Reason = "it is not checked: [business] check_interval is 0s"
			continue
		case old == nil || old.status.State == admin.ConfigNotAsked:
			d.status.Reason = "it has not been resolved yet"
			d.due = now.Add(soonOf(len(all)))
		default:
			d.status, d.failure, d.failures, d.due = old.status, old.failure, old.failures, old.due
			if old.place < 0 || !old.rules.equal(rules) {
				d.due = now.Add(soonOf(len(all)))
			}
		}
		heap.Push(&b.agenda, d)
	}
	for k, old := range before {
		isOpen := old.status.State == admin.NotConfigured || old.status.State == admin.ConfigUnknown
		if isOpen && (b.domains[k] == nil || b.domains[k].status.State == admin.ConfigNotAsked) {
			events = append(events, businessEvent(old.rules, old.status.State, admin.ConfigNotAsked, "it is not checked any longer", now))
		}
	}
	slices.SortFunc(events, func(x, y admin.Event) int {
		return cmp.Or(strings.Compare(x.Instance, y.Instance), strings.Compare(x.Address, y.Address))
	})
	return events
}

// soonOf is a random time over which the first checks of so many domains are spread.
func soonOf(count int) time.Duration {
	return rand.N(min(time.Duration(count)*businessPace, time.Minute) + 1)
}

// take takes the domains that are due, as many as may be resolved at once, and tells when the next one is. When more are due it
// tells no time: an end of a check wakes the goroutine.
func (b *business) take(now time.Time) (due []*businessDomain, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.agenda) > 0 {
		d := b.agenda[0]
		if d.due.After(now) {
			return due, d.due
		}
		if b.busy >= businessLane {
			return due, time.Time{}
		}
		heap.Pop(&b.agenda)
		b.busy++
		due = append(due, d)
	}
	return due, time.Time{}
}

// end ends a check of a domain that was taken.
func (b *business) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy--
}

// record takes up what a check has found of a domain, and puts that on the agenda again. With an event the state is another one
// than before. A domain that is no longer that of the configuration changes nothing.
func (b *business) record(d *businessDomain, c checkedDomain, begin time.Time) (e admin.Event, isNews bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := businessKey{d.rules.instance, d.rules.domain}
	if b.domains[k] != d {
		return e, false
	}
	at := begin.Add(c.took)
	interval := b.config.File.Business.CheckInterval
	before := d.status
	if c.state == admin.ConfigUnknown {
		d.failures++
		d.failure = c.reason
		interval = min(interval, businessRetry)
		if before.State == admin.ConfigNotAsked || d.failures >= businessPatience && before.State != admin.ConfigUnknown {
			d.status.State, d.status.Since = admin.ConfigUnknown, moment(at)
		}
		if d.status.State == admin.ConfigUnknown {
			d.status.Reason, d.failure = c.reason, ""
			if len(c.chain.IPv4.Links)+len(c.chain.IPv6.Links) > 0 || before.State == admin.ConfigNotAsked {
				d.status.Chain = b.seen.links(&c.chain, c.cdn)
			}
		}
	} else {
		d.failures, d.failure = 0, ""
		d.status.State, d.status.Reason, d.status.Loop = c.state, c.reason, c.isLoop
		d.status.Chain = b.seen.links(&c.chain, c.cdn)
		d.status.Checked, d.status.Milliseconds = moment(at), milliseconds(c.took)
		if before.State != c.state {
			d.status.Since = moment(at)
		}
		if isNews = before.State != c.state; isNews {
			e = businessEvent(d.rules, before.State, c.state, c.reason, at)
		}
	}
	if d.place < 0 {
		floor := b.config.File.Resolver.MinTTL
		d.due = at.Add(max(floor, interval-interval/10+rand.N(interval/5+1)))
		heap.Push(&b.agenda, d)
	}
	return e, isNews
}

// businessEvent tells that a business domain is in another state. The event names the domain as its address.
func businessEvent(rules *domainRules, from, to, reason string, at time.Time) admin.Event {
	e := admin.Event{
		Time: at.Round(0), Kind: admin.EventConfigured, Instance: rules.instance, Address: plainName(rules.domain), From: from, To: to, Reason: reason,
	}
	what := "is configured"
	switch to {
	case admin.NotConfigured:
		e.Kind, what = admin.EventUnconfigured, "is not configured"
	case admin.ConfigNotAsked:
		what = "is not checked any longer"
	}
	e.Message = fmt.Sprintf("business domain %s of instance %q %s", e.Address, e.Instance, what)
	return e
}

// names are what names are to the present configuration.
func (b *business) names() *knownNames {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

// all lists the domains that are checked, in order.
func (b *business) all() []admin.BusinessDomainStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]admin.BusinessDomainStatus, 0, len(b.domains))
	for _, d := range b.domains {
		s := d.status
		if d.failure != "" {
			s.Reason += fmt.Sprintf("; the last check failed: %s", d.failure)
		}
		s.Chain = append([]admin.ChainLink{}, s.Chain...)
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y admin.BusinessDomainStatus) int {
		return cmp.Or(strings.Compare(x.Domain, y.Domain), strings.Compare(x.Instance, y.Instance))
	})
	return all
}

// businessAgenda is a heap of domains by when they are due.
type businessAgenda []*businessDomain

func (a businessAgenda) Len() int           { return len(a) }
func (a businessAgenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a businessAgenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// Push implements heap.Interface.
func (a *businessAgenda) Push(x any) {
	d := x.(*businessDomain)
	d.place = len(*a)
	*a = append(*a, d)
}

// Pop implements heap.Interface.
func (a *businessAgenda) Pop() any {
	last := len(*a) - 1
	d := (*a)[last]
	*a, d.place = (*a)[:last], -1
	return d
}
