//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// What the tests of blindness configure. A round is so short that some seconds are as many rounds as some minutes of the
// default, and so long that a busy machine, which the origins run on, too, is no fault of a network.
const (
	blindInterval = 300 * time.Millisecond
	blindTimeout  = 250 * time.Millisecond
)

// uplink is a way to cut gtmd off, and to take that back.
type uplink struct {
	name      string
	cut, mend func(t *testing.T, n *internet)
}

var uplinks = []uplink{
	{"link down",
		func(t *testing.T, n *internet) { n.ip(t, "router", "link set up0 down") },
		func(t *testing.T, n *internet) { n.ip(t, "router", "link set up0 up") }},
	{"blackhole",
		func(t *testing.T, n *internet) { n.rules(t, "iifname up0 drop") },
		func(t *testing.T, n *internet) { n.rules(t) }},
	{"prohibited",
		func(t *testing.T, n *internet) { n.rules(t, "iifname up0 reject with icmpx admin-prohibited") },
		func(t *testing.T, n *internet) { n.rules(t) }},
	{"no route of its own",
		func(t *testing.T, n *internet) { n.ip(t, "gtmd", "route del default") },
		func(t *testing.T, n *internet) { n.ip(t, "gtmd", "route add default via 10.1.0.1") }},
}

// fourNetworks are eight services: of each network two primary addresses, and the backups two networks on.
func fourNetworks() []service {
	var all []service
	for i := range 8 {
		all = append(all, newService(fmt.Sprintf("service%d", i), "web", fmt.Sprintf("10.2.%d.%d", (i+2)%4, 110+i), fmt.Sprintf("10.2.%d.%d", i%4, 10+i)))
	}
	return all
}

// TestBlind cuts gtmd off in every way: nothing switches, gtmd says that it is blind and thaws when it sees again. Origins that
// fail for themselves, one or half of them, are switched from, before, while and after gtmd has been blind. All of it also with
// fall = 1, where the first bad result would turn a verdict.
func TestBlind(t *testing.T) {
	hold := time.Duration(count(t, "GTMD_BLIND_HOLD", 3)) * time.Second
	for _, fall := range []int{3, 1} {
		t.Run(fmt.Sprintf("fall %d", fall), func(t *testing.T) {
			n := newInternet(t, 4)
			services := fourNetworks()
			origins := n.origins(t, services)
			n.configureServices(t, services, webCheck(n.OriginPort, blindInterval, blindTimeout, fall))
			a := n.begin(t)
			for _, u := range uplinks {
				t.Run(u.name, func(t *testing.T) { n.holds(t, a, services, u, hold) })
			}
			t.Run("one origin", func(t *testing.T) { n.switches(t, a, services, origins, services[:1]) })
			t.Run("half of the origins", func(t *testing.T) {
				n.switches(t, a, services, origins, []service{services[0], services[1], services[4], services[5]})
			})
			t.Run("an origin that dies meanwhile", func(t *testing.T) { n.dies(t, a, services, origins) })
			t.Run("killed, started and reloaded meanwhile", func(t *testing.T) { n.restarts(t, a, services) })
		})
	}
}

// dies lets an origin die while gtmd is cut off: it is switched from once gtmd sees, and no other is.
func (n *internet) dies(t *testing.T, a *asker, services []service, origins map[string]*origin) {
	t.Helper()
	uplinks[1].cut(t, n)
	n.awaitBlind(t, "ipv4", 1)
	dead := services[0]
	origins[dead.Primary[0]].set(t, closed)
	n.stay(t, a, services, time.Second)
	uplinks[1].mend(t, n)
	if _, err := a.turns(dead, dead.Primary[0], dead.Backup[0], 5*time.Second); err != nil {
		t.Error(err)
	}
	n.awaitBlind(t, "ipv4", 0)
	n.stay(t, a, services[1:], time.Second)
	origins[dead.Primary[0]].set(t, serving)
	if _, err := a.turns(dead, dead.Backup[0], dead.Primary[0], 5*time.Second); err != nil {
		t.Error(err)
	}
}

// restarts kills and starts gtmd while it is cut off, and has it reload: the saved verdicts hold.
func (n *internet) restarts(t *testing.T, a *asker, services []service) {
	t.Helper()
	n.allUp(t)
	time.Sleep(lostBound + writeTime) // saved
	begin := time.Now()
	uplinks[1].cut(t, n)
	n.awaitBlind(t, "ipv4", 1)
	n.gtmd.signal(t, syscall.SIGKILL)
	n.gtmd.ended(t, 5*time.Second)
	n.inside(t, "gtmd", func() { n.startGTMD(t) })
	n.stay(t, a, services, 2*time.Second)
	n.awaitBlind(t, "ipv4", 1)
	if out, code := n.run(t, "reload"); code != 0 {
		t.Errorf("gtmd reload ends with %d:\n%s", code, out)
	}
	n.stay(t, a, services, time.Second)
	uplinks[1].mend(t, n)
	n.awaitBlind(t, "ipv4", 0)
	n.stay(t, a, services, time.Second)
	if switches := n.status(t).Switches; len(switches) != 0 && switches[0].Time.After(begin) {
		t.Errorf("there were switches: %v", switches)
	}
}

// TestCanaries lets only canaries tell: gtmd is blind when they fail, and not when all origins do.
func TestCanaries(t *testing.T) {
	n := newInternet(t, 4)
	services := fourNetworks()
	origins := n.origins(t, services)
	n.configureServices(t, services, webCheck(n.OriginPort, blindInterval, blindTimeout, 3),
		checkOf("canary", "ping", blindInterval, blindTimeout, 1, "packets = 2"),
		"[blind]\nshare = 0\ncanaries = [\"10.2.0.2\", \"10.2.3.2\"]\nhealth_check = \"canary\"") // hosts without origins
	a := n.begin(t)
	t.Run("uplink", func(t *testing.T) { n.holds(t, a, services, uplinks[1], 2*time.Second) })
	t.Run("one canary", func(t *testing.T) { // the other is enough to see by
		n.rules(t, "ip daddr 10.2.3.2 drop")
		n.stay(t, a, services, time.Second)
		n.switches(t, a, services, origins, services[:1])
		n.rules(t)
	})
	t.Run("all origins", func(t *testing.T) {
		for _, o := range origins {
			o.set(t, closed)
		}
		eventually(t, 5*time.Second, "every address is down", func() bool {
			for _, s := range services {
				if n.standing(t, s.Name+"-primary", s.Primary[0]).Standing != "down" || n.standing(t, s.Name+"-backup", s.Backup[0]).Standing != "down" {
					return false
				}
			}
			return true
		})
		if blind := n.metric(t, "gtmd_prober_blind", `family="ipv4"`); blind != 0 {
			t.Errorf("gtmd_prober_blind is %v, and the canaries answer", blind)
		}
		n.stay(t, a, services, 500*time.Millisecond) // fail open
	})
}

// TestBlindFamily cuts IPv6 only: what is known over IPv4 goes on to be decided by.
func TestBlindFamily(t *testing.T) {
	n := newInternet(t, 4)
	services := fourNetworks()
	for i := range 8 {
		s := newService(fmt.Sprintf("six%d", i), "web", fmt.Sprintf("fd00:2:%d::%d", (i+2)%4+1, 110+i), fmt.Sprintf("fd00:2:%d::%d", i%4+1, 10+i))
		s.Type = "ipv6"
		services = append(services, s)
	}
	origins := n.origins(t, services)
	n.configureServices(t, services, webCheck(n.OriginPort, blindInterval, blindTimeout, 2))
	a := n.begin(t)
	begin := time.Now()
	n.rules(t, "iifname up0 meta nfproto ipv6 drop")
	n.awaitBlind(t, "ipv6", 1)
	n.stay(t, a, services, 2*time.Second)
	n.switches(t, a, services, origins, services[:1])
	if blind := n.metric(t, "gtmd_prober_blind", `family="ipv4"`); blind != 0 {
		t.Errorf("gtmd_prober_blind of ipv4 is %v, and only IPv6 is cut", blind)
	}
	n.rules(t)
	n.awaitBlind(t, "ipv6", 0)
	n.stay(t, a, services, time.Second)
	n.switches(t, a, services, origins, services[8:9])
	for _, s := range services[9:] {
		if switches := n.switchesOf(t, s, begin); len(switches) != 0 {
			t.Errorf("%s has switched: %v", s.Name, switches)
		}
	}
}

// holds cuts gtmd off for a time and mends it: blind, all answers as before, no verdict turns, sees again.
func (n *internet) holds(t *testing.T, a *asker, services []service, u uplink, hold time.Duration) {
	t.Helper()
	n.awaitBlind(t, "ipv4", 0)
	turns := n.metric(t, "gtmd_address_transitions_total")
	begin := time.Now()
	u.cut(t, n)
	blind := n.awaitBlind(t, "ipv4", 1)
	n.stay(t, a, services, hold)
	n.awaitBlind(t, "ipv4", 1)
	u.mend(t, n)
	sees := n.awaitBlind(t, "ipv4", 0)
	n.stay(t, a, services, time.Second)
	for _, s := range services {
		if switches := n.switchesOf(t, s, begin); len(switches) != 0 {
			t.Errorf("%s has switched: %v", s.Name, switches)
		}
	}
	if now := n.metric(t, "gtmd_address_transitions_total"); now != turns {
		t.Errorf("%v verdicts have turned", now-turns)
	}
	t.Logf("%s: blind after %v, cut off for %v, sees %v after its end", u.name, blind, hold, sees)
}

// stay asks for all services for a time: none may leave its primary.
func (n *internet) stay(t *testing.T, a *asker, services []service, hold time.Duration) {
	t.Helper()
	for end := time.Now().Add(hold); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, s := range services {
			if got, err := a.ask(s); err != nil || got != inOrder(s.Primary) {
				t.Fatalf("%s: the answer is %q, error %v, want %q", s.Name, got, err, inOrder(s.Primary))
			}
		}
	}
}

// switches kills the primaries of some services: each is switched from, and back to when it is there again; no other is.
func (n *internet) switches(t *testing.T, a *asker, services []service, origins map[string]*origin, dead []service) {
	t.Helper()
	begin := time.Now()
	for _, s := range dead {
		origins[s.Primary[0]].set(t, closed)
	}
	for _, s := range dead {
		if _, err := a.turns(s, s.Primary[0], s.Backup[0], 5*time.Second); err != nil {
			t.Error(err)
		}
	}
	took := time.Since(begin)
	for _, s := range dead {
		origins[s.Primary[0]].set(t, serving)
	}
	for _, s := range dead {
		if _, err := a.turns(s, s.Backup[0], s.Primary[0], 5*time.Second); err != nil {
			t.Error(err)
		}
	}
	want := map[string]int{}
	for _, s := range dead {
		want[s.Name] = 2
	}
	for _, s := range services {
		if switches := n.switchesOf(t, s, begin); len(switches) != want[s.Name] {
			t.Errorf("%s has switched %d times, want %d: %v", s.Name, len(switches), want[s.Name], switches)
		}
	}
	t.Logf("%d origins dead: all switched from after %v", len(dead), took.Round(time.Millisecond))
}

// awaitBlind waits until gtmd says, in its metrics and in its status, whether it is blind for a family, and returns how long
// that took.
func (n *internet) awaitBlind(t *testing.T, family string, blind float64) time.Duration {
	t.Helper()
	begin := time.Now()
	reason := ""
	eventually(t, 5*time.Second, fmt.Sprintf("gtmd_prober_blind of %s is %v", family, blind), func() bool {
		said := 0.0
		for _, b := range n.status(t).Blind {
			if b.Family == family {
				said, reason = 1, b.Reason
			}
		}
		return said == blind && n.metric(t, "gtmd_prober_blind", fmt.Sprintf("family=%q", family)) == blind
	})
	took := time.Since(begin).Round(time.Millisecond)
	if blind == 1 && reason == "" {
		t.Errorf("blind for %s without a reason", family)
	}
	return took
}
