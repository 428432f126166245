package resolver

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// keeper is one name and the goroutine that keeps its answer, whose only writer that is.
type keeper struct {
	resolver *Resolver
	name     string
	cancel   context.CancelFunc
	options  atomic.Pointer[Options] // The latest; written by Resolver.Set.
	renewed  chan struct{}           // Capacity 1: the options are others.
	answer   atomic.Pointer[Answer]  // What others see; written by keep.
	settled  chan struct{}           // Closed once there is a result, and when keep ends.

	failures int // Resolutions in a row that failed; keep's own.
}

func newKeeper(r *Resolver, name string, o *Options, answer Answer, cancel context.CancelFunc) *keeper {
	k := &keeper{
		resolver: r,
		name:     name,
		cancel:   cancel,
		renewed:  make(chan struct{}, 1),
		settled:  make(chan struct{}),
	}
	answer.Next = time.Now()
	if answer.Known {
		answer.Next = answer.Next.Add(soon())
		close(k.settled)
	}
	k.options.Store(o)
	k.answer.Store(&answer)
	return k
}

// update gives the keeper other options, with which it soon resolves the name again.
func (k *keeper) update(o *Options) {
	k.options.Store(o)
	select {
	case k.renewed <- struct{}{}:
	default:
	}
}

// keep resolves the name whenever its answer has run out, until ctx ends. Its owner is Resolver.running.
func (k *keeper) keep(ctx context.Context) {
	defer k.resolver.running.Done()
	defer k.settle()
	for k.rest(ctx) {
		lane := k.resolver.lanes.of(k.answer.Load())
		if !lane.enter(ctx) {
			return
		}
		o := k.options.Load()
		v4, v6 := k.resolve(ctx, o)
		lane.leave()
		if ctx.Err() != nil {
			return
		}
		k.record(o, v4, v6)
	}
}

// rest sleeps until the next resolution is due. It reports false when ctx has ended.
func (k *keeper) rest(ctx context.Context) bool {
	timer := time.NewTimer(time.Until(k.answer.Load().Next))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		case <-k.renewed:
			k.failures = 0
			timer.Reset(min(soon(), max(0, time.Until(k.answer.Load().Next))))
		}
	}
}

// resolve asks for both families at once. When ctx ends, what it returns means nothing.
func (k *keeper) resolve(ctx context.Context, o *Options) (v4, v6 reply) {
	servers := o.Servers
	if len(servers) == 0 {
		servers = k.resolver.system.current()
	}
	var asking sync.WaitGroup
	asking.Go(func() { v4 = k.ask(ctx, dns.TypeA, o, servers) })
	v6 = k.ask(ctx, dns.TypeAAAA, o, servers)
	asking.Wait()
	return v4, v6
}

// ask asks the servers for one family, in order and as often as the options say, until one gives a reply that can be
// believed.
func (k *keeper) ask(ctx context.Context, qtype uint16, o *Options, servers []netip.AddrPort) reply {
	question := dns.Question{Name: k.name, Qtype: qtype, Qclass: dns.ClassINET}
	failed := make([]string, len(servers))
	for range o.Attempts {
		for i, server := range servers {
			q := query{server: server, question: question, timeout: o.Timeout}
			m, err := k.resolver.exchange(ctx, q)
			if ctx.Err() != nil {
				return reply{}
			}
			r := q.read(m, err)
			k.resolver.metrics.observe(r.result)
			if r.failed == "" {
				return r
			}
			failed[i] = r.failed
		}
	}
	return reply{failed: strings.Join(failed, ", ")}
}

// record publishes what the replies make of the answer, and when the name is due again.
func (k *keeper) record(o *Options, v4, v6 reply) {
	now, old := time.Now(), k.answer.Load()
	next := old.after(k.name, v4, v6, now)
	if next.Err == "" {
		k.failures = 0
	} else {
		k.failures++
	}
	next.Next = now.Add(pause(o, ttl(v4, v6), k.failures))
	k.answer.Store(&next)
	k.log(old, &next, now)
	k.settle()
	if old.tells(&next) {
		k.resolver.signal()
	}
}

// log writes the lines of what has changed between two answers.
func (k *keeper) log(old, next *Answer, now time.Time) {
	logger := k.resolver.logger.With("name", display(k.name))
	switch {
	case old.Err == "" && next.Err != "":
		logger.Warn("name does not resolve", "error", next.Err, "kept", len(next.IPv4)+len(next.IPv6))
	case old.Err != "" && next.Err == "":
		logger.Info("name resolves again", "after", now.Sub(old.Failing))
	}
	if old.Known && !old.same(next) {
		logger.Info("addresses changed", "added", old.missing(next), "removed", next.missing(old))
	}
}

// settle notes that there is a result, or that there will be none. Only keep calls it.
func (k *keeper) settle() {
	if !k.isSettled() {
		close(k.settled)
	}
}

func (k *keeper) isSettled() bool {
	select {
	case <-k.settled:
		return true
	default:
		return false
	}
}

// display returns a name as people write it.
func display(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}
