package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/node"
)

const waiting = "waiting for the first verdicts of new addresses"

// TestReloadOfADeadPrimary changes what is probed while the primary is dead: the policy stays on its backup all the time.
func TestReloadOfADeadPrimary(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		waits int
		parts func() []string
	}{
		{"a new address", 1, func() []string {
			return []string{header, strings.Replace(pools, `["$0"]`, `["$0", "127.99.9.9"]`, 1), instance}
		}},
		{"another name of the health check", 1, func() []string {
			renamed := strings.NewReplacer(`"web"`, `"http"`)
			return []string{renamed.Replace(header), renamed.Replace(pools), instance}
		}},
		{"another host", 1, func() []string {
			return []string{strings.Replace(header, "www.shop.test", "new.shop.test", 1), pools, instance}
		}},
		{"nothing new", 0, func() []string {
			return []string{strings.Replace(header, "fall     = 2", "fall     = 3", 1), pools, instance, "failback_delay = \"1h\"\n"}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.origins[0].stop()
			n := s.start(header, pools, instance)
			eventually(t, "backup, failover", func() string { return inForce(n, 0) })
			if err := s.reload(n, row.parts()...); err != nil {
				t.Fatal(err)
			}
			equal(t, "in force", inForce(n, 0), "backup, failover")
			equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())
			equal(t, "switches", len(n.Status().Switches), 0)
			equal(t, "waits", len(s.log.lines(waiting)), row.waits)
			equal(t, "warnings", len(s.log.lines("some new addresses have no verdict yet")), 0)
		})
	}
}

// patient has an address that never answers its probes.
type patient struct {
	*site
	n      *node.Node
	header string
	silent string
}

// newPatient starts a node with two origins, and beside them a socket that accepts and says nothing.
func newPatient(t *testing.T) *patient {
	t.Helper()
	s := newSite(t, 2)
	silent, err := net.Listen("tcp", fmt.Sprintf("%v:%d", nextAddress(), s.origins[0].address.Port()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	slow := strings.NewReplacer(`timeout  = "200ms"`, `timeout  = "1m"`, `interval = "200ms"`, `interval = "1m"`).Replace(header)
	more := "\n[[health_check]]\nname = \"slow\"" + strings.SplitAfterN(slow, "name     = \"web\"", 2)[1]
	return &patient{site: s, n: s.start(header, pools, instance), header: header + more, silent: silent.Addr().(*net.TCPAddr).IP.String()}
}

// reload has the reload of a configuration with the silent address under way, and waits until it waits.
func (p *patient) reload(ctx context.Context, startupWait string, extra ...string) <-chan error {
	p.t.Helper()
	done := make(chan error, 1)
	p.write(append([]string{strings.Replace(p.header, "[state]", "[state]\nstartup_wait = \""+startupWait+"\"", 1), pools, `
[[pool]]
name = "test3"
type = "ipv4"
health_check = "slow"
addresses = ["` + p.silent + `"]
`, strings.Replace(instance, `["test1"]`, `["test1", "test3"]`, 1)}, extra...)...)
	before := len(p.log.lines(waiting))
	go func() { done <- p.n.Reload(ctx) }()
	eventually(p.t, fmt.Sprint(before+1), func() string { return fmt.Sprint(len(p.log.lines(waiting))) })
	return done
}

// TestReloadWhileItWaits follows health by the old configuration, and shows nothing of the new one, until the wait is over.
func TestReloadWhileItWaits(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := p.reload(ctx, "10m")
	p.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(p.n, 0) })
	equal(t, "answer", answer(p.n, dns.TypeA, ""), p.origins[1].String())
	equal(t, "pools", len(p.n.Status().Pools), 2)
	p.origins[0].start()
	eventually(t, "primary, normal", func() string { return inForce(p.n, 0) })

	// Its caller goes: nothing has changed, and the next reload waits anew, for as long as its own file says.
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a reload whose caller is gone: %v", err)
	}
	equal(t, "pools", len(p.n.Status().Pools), 2)
	if err := <-p.reload(context.Background(), "300ms"); err != nil {
		t.Fatal(err)
	}
	equal(t, "warnings", len(p.log.lines("some new addresses have no verdict yet: they count as available")), 1)
	both := []string{p.origins[0].String(), p.silent}
	slices.Sort(both) // as answer does
	eventually(t, strings.Join(both, " "), func() string { return answer(p.n, dns.TypeA, "") })
	equal(t, "standing", standing(p.n, 2), "no result yet")
}

// TestReloadRefusedAfterItWaited has a port that is taken: the engine goes back to what the old configuration probes.
func TestReloadRefusedAfterItWaited(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	taken, err := net.ListenPacket("udp", nextAddress().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := p.header
	p.header = strings.Replace(good, `["127.0.0.1:0"]`, fmt.Sprintf("[%q]", taken.LocalAddr()), 1)
	contains(t, <-p.reload(context.Background(), "100ms"), "address already in use")
	equal(t, "targets", p.n.TargetCount(), 2)
	p.header = good
	if err := <-p.reload(context.Background(), "100ms"); err != nil { // it waits again: the address is new again
		t.Error(err)
	}
}

// TestReloadsInOrder has a second reload wait for the one that waits; a node that stops waits for neither.
func TestReloadsInOrder(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	first := p.reload(context.Background(), "1s")
	p.write(header, pools, strings.ReplaceAll(instance, "ttl = 5", "ttl = 7"))
	if err := p.n.Reload(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	equal(t, "TTL", p.n.Status().Instances[0].TTL, 7) // that of the second, which came last
	equal(t, "pools", len(p.n.Status().Pools), 2)
	stopped := p.reload(context.Background(), "10m")
	p.n.Close()
	contains(t, <-stopped, "gtmd is stopping")
}
