//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// shop are the names of the chain.
var shop = names{business: "www.shop.test", access: "origin.gtm.test", zone: "gtm.test."}

// What testdata/chain.toml says.
const (
	interval = time.Second
	timeout  = 500 * time.Millisecond
	fall     = 2
	rise     = 1
	ttl      = time.Second
)

// The allowance on top of what the configuration promises. Resolver and edge count TTLs in whole seconds: an answer that
// came late in a second is kept until the second after its last one ends. Work is what five programs on a busy machine,
// the jitter of the probes, and the user's step add.
const (
	granularity = time.Second
	work        = 250 * time.Millisecond
)

// chain is the whole of it: user, resolver, edge, gtmd, two origins.
type chain struct {
	*lab
	user         *user
	test1, test2 *origin
	subnets      bool // the resolver sends client subnets
}

func startChain(t *testing.T) *chain {
	programs := need(t, "unbound", "nginx")
	l := newLab(t, shop)
	c := &chain{lab: l, user: newUser(l.business, l.Resolver, portOf(l.Edge))}
	c.test1 = startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	c.test2 = startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	startAuthority(t, l.Authority, fmt.Sprintf("%[1]s. 60 IN CNAME %[1]s.cdn.test.\n%[1]s.cdn.test. 60 IN A %[2]s\n", l.business, edgeIP))
	l.configureChain(t)
	l.startGTMD(t)
	c.subnets = l.startResolver(t, programs["unbound"])
	l.startEdge(t, programs["nginx"])
	return c
}

// TestChain takes the user's request through every fault in turn. The steps share one chain: each begins and ends with
// both origins serving.
func TestChain(t *testing.T) {
	c := startChain(t)
	for _, s := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a request is served by the primary", c.testRequest},
		{"the primary's listener is stopped", func(t *testing.T) { c.testFailover(t, closed) }},
		{"the primary answers 503", func(t *testing.T) { c.testFailover(t, failing) }},
		{"the primary accepts and never answers", func(t *testing.T) { c.testFailover(t, silent) }},
		{"both are down", c.testFailOpen},
		{"a broken file is refused", c.testBrokenFile},
		{"lines through the resolver's cache", c.testLinesThroughCache},
	} {
		t.Run(s.name, s.run)
	}
}

// testRequest follows the business domain to the edge, by CNAME, and fetches from there.
func (c *chain) testRequest(t *testing.T) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(c.business), dns.TypeA)
	m, err := dns.Exchange(q, c.Resolver)
	if err != nil || len(m.Answer) != 2 || m.Answer[0].Header().Rrtype != dns.TypeCNAME || !slices.Equal(addresses(m), []string{edgeIP}) {
		t.Fatalf("%s leads to %v, error %v, want a CNAME and the edge %s", c.business, m, err, edgeIP)
	}
	begin := time.Now()
	by, err := c.user.get(t.Context())
	if err != nil || by != "test1" {
		t.Fatalf("the edge serves from %q, error %v, want test1", by, err)
	}
	t.Logf("served from test1 in %v", time.Since(begin))
}

// testFailover breaks test1 under a steady user, and heals it again.
func (c *chain) testFailover(t *testing.T, how behaviour) {
	l := c.user.steady(t)
	before := time.Now()
	time.Sleep(500 * time.Millisecond)
	if n := l.only(t, "test1", before); n < 10 {
		t.Fatalf("only %d requests before the fault, want about 25", n)
	}

	broken := time.Now()
	c.test1.set(t, how)
	bound := fall*interval + timeout + ttl + granularity + work
	first := c.taken(t, l, "test2", broken, bound)
	failed := 0
	for _, r := range l.since(broken) {
		if r.err != nil {
			failed++
		}
	}
	s := c.status(t).Switches[0]
	t.Logf("fault -> gtmd switches after %v -> edge serves from test2 after %v (bound %v); %d requests failed meanwhile",
		s.Time.Sub(broken).Round(time.Millisecond), first.end.Sub(broken).Round(time.Millisecond), bound, failed)
	t.Logf("gtmd says: %s -> %s, %s: %s", s.From, s.To, s.Why, s.Reason)
	if s.From != "primary" || s.To != "backup" || !strings.Contains(s.Reason, test1IP) {
		t.Errorf("the switch is %+v, want primary -> backup because of %s", s, test1IP)
	}
	time.Sleep(2 * time.Second)
	t.Logf("then %d requests, all to be served by test2", l.only(t, "test2", first.end))

	healed := time.Now()
	c.test1.set(t, serving)
	bound = rise*interval + ttl + granularity + work
	back := c.taken(t, l, "test1", healed, bound)
	t.Logf("healed -> edge serves from test1 after %v (bound %v)", back.end.Sub(healed).Round(time.Millisecond), bound)
	time.Sleep(time.Second)
	l.only(t, "test1", back.end)
	for _, r := range l.since(first.end) {
		if r.err != nil {
			t.Errorf("a request failed %v after test1 was healed: %v", r.start.Sub(healed), r.err)
		}
	}
}

// taken waits until an origin serves, and fails the test when that takes longer than the bound.
func (c *chain) taken(t *testing.T, l *timeline, by string, from time.Time, bound time.Duration) request {
	t.Helper()
	var r request
	eventually(t, bound+5*time.Second, by+" serves", func() (ok bool) {
		r, ok = l.first(by, from)
		return ok
	})
	if took := r.end.Sub(from); took > bound {
		t.Errorf("%s served after %v, want at most %v", by, took, bound)
	}
	return r
}

// testFailOpen takes both origins down: the answer is then the primary's, and is never empty on the way there and back.
func (c *chain) testFailOpen(t *testing.T) {
	asked := c.askSteadily(t)
	begin := time.Now()
	c.test1.set(t, closed)
	c.test2.set(t, closed)
	bound := fall*interval + timeout + work
	eventually(t, bound+5*time.Second, "gtmd fails open", func() bool { return c.status(t).Instances[0].Policies[0].Why == "fail open" })
	took := time.Since(begin)
	t.Logf("both down -> fail open after %v (bound %v)", took.Round(time.Millisecond), bound)
	if took > bound {
		t.Errorf("gtmd failed open after %v, want at most %v", took, bound)
	}
	if got, err := ask(c.GTMD, c.access); err != nil || !slices.Equal(got, []string{test1IP}) {
		t.Errorf("gtmd answers %v, error %v, want the primary's address %s", got, err, test1IP)
	}
	out, code := c.run(t, "explain", c.access)
	if code != 0 || !strings.Contains(out, "in force  primary (fail open)") {
		t.Errorf("explain ends with %d and says:\n%s", code, out)
	}
	if v := c.metric(t, "gtmd_policy_fail_open", `instance="cdn-origin"`); v != 1 {
		t.Errorf("gtmd_policy_fail_open is %v, want 1", v)
	}

	c.test1.set(t, serving)
	c.test2.set(t, serving)
	c.whole(t)
	t.Logf("%d queries meanwhile, each with an answer", asked())
}

// whole waits until both origins are up and the user is served by test1.
func (c *chain) whole(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, "both origins are up", func() bool {
		s := c.status(t)
		return s.Pools[0].Addresses[0].Standing == "up" && s.Pools[1].Addresses[0].Standing == "up"
	})
	eventually(t, 10*time.Second, "test1 serves", func() bool {
		by, err := c.user.get(t.Context())
		return err == nil && by == "test1"
	})
}

// askSteadily asks gtmd every few milliseconds until stop is called or the test ends. An answer without an address fails
// the test. stop returns how many queries there were.
func (c *chain) askSteadily(t *testing.T) (stop func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	n := 0
	running.Go(func() {
		for ; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
			if got, err := ask(c.GTMD, c.access); err != nil || len(got) == 0 {
				t.Errorf("query %d: gtmd answers %v, error %v", n, got, err)
			}
		}
	})
	stop = func() int {
		cancel()
		running.Wait()
		return n
	}
	t.Cleanup(func() { stop() })
	return stop
}

// testBrokenFile reloads a file with a problem: the old one serves on, and status, log and metric say so.
func (c *chain) testBrokenFile(t *testing.T) {
	path := filepath.Join(c.dir, "gtmd.toml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hash := c.status(t).Config.Hash
	const problem = `there is no pool "test3"`
	c.write(t, "gtmd.toml", strings.Replace(string(good), `backup  = { pools = ["test2"]`, `backup  = { pools = ["test3"]`, 1))
	c.gtmd.signal(t, syscall.SIGHUP)
	eventually(t, 5*time.Second, "the reload is refused", func() bool { return c.status(t).Config.Error != "" })

	if s := c.status(t); s.Config.Hash != hash || !strings.Contains(s.Config.Error, problem) || s.Instances[0].Policies[0].Sets[1].Pools[0] != "test2" {
		t.Errorf("after a broken file: %+v", s.Config)
	}
	if out, _ := c.run(t, "status"); !strings.Contains(out, "REFUSED") || !strings.Contains(out, problem) {
		t.Errorf("gtmd status does not show the problem:\n%s", out)
	}
	if log := c.gtmd.output(t); !strings.Contains(log, "configuration refused") || !strings.Contains(log, "test3") {
		t.Errorf("the log does not show the problem:\n%s", tail(log, 20))
	}
	if v := c.metric(t, "gtmd_config_last_reload_successful"); v != 0 {
		t.Errorf("gtmd_config_last_reload_successful is %v, want 0", v)
	}
	if out, code := c.run(t, "reload"); code != 1 || !strings.Contains(out, problem) {
		t.Errorf("gtmd reload ends with %d, want 1 and the problem:\n%s", code, out)
	}
	if by, err := c.user.get(t.Context()); err != nil || by != "test1" {
		t.Errorf("the edge serves from %q, error %v, want test1", by, err)
	}

	c.write(t, "gtmd.toml", string(good))
	if out, code := c.run(t, "reload"); code != 0 {
		t.Errorf("gtmd reload of the good file ends with %d:\n%s", code, out)
	}
	if v := c.metric(t, "gtmd_config_last_reload_successful"); v != 1 {
		t.Errorf("gtmd_config_last_reload_successful is %v, want 1", v)
	}
	if e := c.status(t).Config.Error; e != "" {
		t.Errorf("after the good file status still shows: %s", e)
	}
}
