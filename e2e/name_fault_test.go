//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// namesHold is for how long the DNS of a name is gone in each of the ways: several times what an answer holds.
const namesHold = 1500 * time.Millisecond

// nameZone is what the resolver says of the names of two domain pools.
func nameZone(one, two string) string {
	return "one.shop.test. 1 IN A " + one + "\ntwo.shop.test. 1 IN A " + two + "\n"
}

// TestNameFaults is the part of the fault matrix that is about the DNS of domain pools. While it is gone, the last addresses that
// it gave hold: nothing switches, and whether they live is told by the probes. When it is back, what it says is taken up.
func TestNameFaults(t *testing.T) {
	n := newInternet(t, 3)
	alias := service{Name: "alias", Check: "web", Type: "domain", Failback: "auto", Primary: []string{"one.shop.test"}, Backup: []string{"two.shop.test"}}
	flat := alias
	flat.Name, flat.Pools = "flat", "flatten = true"
	// What flat is answered with, and where its origins move to.
	addresses, moved := newService("flat", "web", "10.2.1.10", "10.2.0.10"), newService("flat", "web", "10.2.1.20", "10.2.0.20")
	origins := n.origins(t, []service{addresses, moved})
	n.address(t, network(2), "10.2.2.53")
	var names *authority
	n.inside(t, network(2), func() { names = startAuthority(t, "10.2.2.53:53", nameZone(addresses.Primary[0], addresses.Backup[0])) })
	n.configureServices(t, []service{flat, alias}, webCheck(n.OriginPort, interval, timeout, fall)+"host = \"www.shop.test\"\n",
		"[resolver]\nservers = [\"10.2.2.53:53\"]\ntimeout = \"200ms\"\nmin_ttl = \"1s\"\nmax_ttl = \"1s\"\nretry = \"1s\"")
	a := n.begin(t)
	stays := func(t *testing.T) {
		t.Helper()
		for end := time.Now().Add(namesHold); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			n.mustAnswer(t, a, alias, alias.Primary[0])
			n.mustAnswer(t, a, flat, addresses.Primary[0])
		}
	}
	// dies lets the origin die, and come back: the probes go on.
	dies := func(t *testing.T) {
		t.Helper()
		died := time.Now()
		origins[addresses.Primary[0]].set(t, closed)
		if _, err := a.turns(flat, addresses.Primary[0], addresses.Backup[0], 2*detectionBound); err != nil {
			t.Error(err)
		}
		if took := time.Since(died); took > detectionBound {
			t.Errorf("the origin died, and the answer changed %v later, want at most %v", took, detectionBound)
		}
		n.mustAnswer(t, a, alias, alias.Backup[0])
		origins[addresses.Primary[0]].set(t, serving)
		if _, err := a.turns(flat, addresses.Backup[0], addresses.Primary[0], 2*failbackBound); err != nil {
			t.Error(err)
		}
		n.mustAnswer(t, a, alias, alias.Primary[0])
	}
	for _, f := range []struct {
		name   string
		begin  func(t *testing.T)
		reason string // of the name, in part
		dies   bool   // so does the origin, meanwhile
	}{
		{"blackhole", func(t *testing.T) { n.rules(t, "ip daddr 10.2.2.53 drop") }, "no answer from 10.2.2.53:53 within 200ms", true},
		{"port unreachable", func(t *testing.T) { n.rules(t, "ip daddr 10.2.2.53 reject with icmp port-unreachable") }, "refused", false},
		{"SERVFAIL", func(*testing.T) { names.fail() }, "SERVFAIL", false},
		{"NXDOMAIN", func(t *testing.T) { names.serve(t, "") }, "NXDOMAIN", true},
	} {
		t.Run(f.name, func(t *testing.T) {
			begin := time.Now()
			f.begin(t)
			stays(t)
			for _, p := range n.status(t).Pools {
				for _, r := range p.Resolved {
					if !strings.Contains(r.Error, f.reason) {
						t.Errorf("the error of %s is %q, want %q in it", r.Name, r.Error, f.reason)
					}
				}
			}
			if switches := n.status(t).Switches; len(switches) != 0 && switches[0].Time.After(begin) {
				t.Errorf("there were switches: %v", switches)
			}
			if f.dies {
				dies(t)
			}
			n.rules(t)
			names.serve(t, nameZone(addresses.Primary[0], addresses.Backup[0]))
			eventually(t, 5*time.Second, "the names are resolved again", func() bool {
				for _, p := range n.status(t).Pools {
					for _, r := range p.Resolved {
						if r.Error != "" {
							return false
						}
					}
				}
				return true
			})
			stays(t)
		})
	}
	t.Run("another address", func(t *testing.T) {
		begin := time.Now()
		names.serve(t, nameZone(moved.Primary[0], moved.Backup[0]))
		if _, err := a.turns(flat, addresses.Primary[0], moved.Primary[0], 5*time.Second); err != nil {
			t.Error(err)
		}
		t.Logf("taken up after %v", time.Since(begin).Round(time.Millisecond))
		n.mustAnswer(t, a, alias, alias.Primary[0])
		if switches := n.status(t).Switches; len(switches) != 0 && switches[0].Time.After(begin) {
			t.Errorf("there were switches: %v", switches)
		}
	})
}

// mustAnswer fails the test unless a service is answered with what is wanted.
func (n *internet) mustAnswer(t *testing.T, a *asker, s service, want string) {
	t.Helper()
	if got, err := a.ask(s); err != nil || got != want {
		t.Fatalf("%s: the answer is %q, error %v, want %q", s.Name, got, err, want)
	}
}
