//go:build e2e

package e2e

import (
	"regexp"
	"testing"
	"time"
)

// networkFault is a row of the fault matrix: what happens between gtmd and an origin at 10.2.0.10 or, when it is about
// ping, 10.2.0.11. The origin itself is well.
type networkFault struct {
	name    string
	rules   []string      // of the router
	routes  string        // what ip(8) does to the router's routes
	restore string        // what takes that back
	service int           // index of the service that fails; all others stay as they are
	hold    time.Duration // how long it lasts when the others have to show something, too
	reason  string        // pattern
}

const (
	web = iota
	pinged
	patient
)

var networkFaults = []networkFault{
	{name: "blackhole", rules: []string{"ip daddr 10.2.0.10 drop"}, service: web,
		reason: `^timeout after 500ms connecting$`},
	{name: "blackhole on the way back", rules: []string{"ip saddr 10.2.0.10 drop"}, service: web,
		reason: `^timeout after 500ms connecting$`},
	{name: "nothing passes but handshakes", rules: []string{"ip daddr 10.2.0.10 tcp flags & (syn | rst) == 0x0 meta length > 60 drop"}, service: web,
		reason: `^timeout after 500ms waiting for headers$`},
	{name: "port unreachable", rules: []string{"ip daddr 10.2.0.10 reject with icmp port-unreachable"}, service: web,
		reason: `^connect: connection refused$`},
	{name: "host unreachable", rules: []string{"ip daddr 10.2.0.10 reject with icmp host-unreachable"}, service: web,
		reason: `^connect: no route to host$`},
	{name: "prohibited", rules: []string{"ip daddr 10.2.0.10 reject with icmp admin-prohibited"}, service: web,
		reason: `^connect: no route to host$`},
	{name: "a firewall resets", rules: []string{"ip daddr 10.2.0.10 meta l4proto tcp reject with tcp reset"}, service: web,
		reason: `^connect: connection refused$`},
	{name: "route gone", routes: "route add throw 10.2.0.10/32", restore: "route del throw 10.2.0.10/32", service: web,
		reason: `^connect: network is unreachable$`},
	{name: "route unreachable", routes: "route add unreachable 10.2.0.10/32", restore: "route del unreachable 10.2.0.10/32", service: web,
		reason: `^connect: no route to host$`},
	{name: "ICMP filtered", rules: []string{"ip daddr 10.2.0.11 meta l4proto icmp drop"}, service: pinged,
		reason: `^ping: lost 50 of 50 packets \(100%\), bad from 10%$`},
	{name: "ICMP prohibited", rules: []string{"ip daddr 10.2.0.11 meta l4proto icmp reject with icmp admin-prohibited"}, service: pinged,
		reason: `^ping: lost 50 of 50 packets \(100%\), bad from 10%$`},
	// Of 50 packets fewer than 5 are lost once in 5,000 probes. HTTP has time for a second and a third SYN, 1 s and 3 s after
	// the first: it fails once in 40 probes, three times in a row once in 50,000. The kernel of the lab may have no netem.
	{name: "loss of 30 %", rules: []string{"ip daddr 10.2.0.11-10.2.0.20 numgen random mod 100 < 30 drop"}, service: pinged, hold: 12 * time.Second,
		reason: `^ping: lost \d+ of 50 packets \(\d+%\), bad from 10%$`},
}

// TestNetworkFaults is the part of the fault matrix that needs a network: verdict and reason are those of the fault, the answer
// changes in time and changes back, no other service is touched, and gtmd is no larger afterwards.
func TestNetworkFaults(t *testing.T) {
	n := newInternet(t, 2)
	services := []service{
		web:     newService("web", "web", "10.2.1.10", "10.2.0.10"),
		pinged:  newService("pinged", "ping", "10.2.1.11", "10.2.0.11"),
		patient: newService("patient", "patient", "10.2.1.12", "10.2.0.12", "10.2.0.13", "10.2.0.14", "10.2.0.15", "10.2.0.16"),
	}
	n.origins(t, services)
	n.configureServices(t, services,
		webCheck(n.OriginPort, interval, timeout, fall),
		checkOf("ping", "ping", interval, timeout, fall, "packets = 50", "loss_rate = 10"),
		checkOf("patient", "http", 4*time.Second, 4*time.Second, 3, "port = "+n.OriginPort))
	a := n.begin(t)
	n.meet(t, a, services, networkFaults[0]) // what gtmd allocates once is allocated
	time.Sleep(interval)
	before := n.gtmd.size(t)
	for _, f := range networkFaults {
		t.Run(f.name, func(t *testing.T) { n.meet(t, a, services, f) })
	}
	time.Sleep(interval)
	n.judgeSize(t, before)
}

// meet has gtmd meet one fault and its end.
func (n *internet) meet(t *testing.T, a *asker, services []service, f networkFault) {
	t.Helper()
	s, start := services[f.service], time.Now()
	primary, backup := s.Primary[0], s.Backup[0]
	defer n.rules(t)
	begin := time.Now()
	n.rules(t, f.rules...)
	if f.routes != "" {
		n.ip(t, "router", f.routes)
	}
	changed, err := a.turns(s, primary, backup, 2*detectionBound)
	if err != nil {
		t.Error(err)
	}
	there, stalled := changed.Sub(begin), a.stall
	standing := n.standing(t, s.Name+"-primary", primary)
	if standing.Standing != "down" || !regexp.MustCompile(f.reason).MatchString(standing.Reason) {
		t.Errorf("%s is %s, reason %q, want down, %q", primary, standing.Standing, standing.Reason, f.reason)
	}
	time.Sleep(f.hold)
	begin = time.Now()
	n.rules(t)
	if f.restore != "" {
		n.ip(t, "router", f.restore)
	}
	changed, err = a.turns(s, backup, primary, 2*failbackBound)
	if err != nil {
		t.Error(err)
	}
	back, again := changed.Sub(begin), a.stall
	t.Logf("%-30s %-60q there %v, back %v", f.name, standing.Reason, there.Round(time.Millisecond), back.Round(time.Millisecond))
	if there > detectionBound+stalled || back > failbackBound+again {
		t.Errorf("there after %v, back after %v, want at most %v and %v; the machine stalled for %v and %v", there, back, detectionBound, failbackBound, stalled, again)
	}
	for i, other := range services {
		if switches := n.switchesOf(t, other, start); i != f.service && len(switches) != 0 {
			t.Errorf("%s has switched: %v", other.Name, switches)
		} else if i == f.service && len(switches) != 2 {
			t.Errorf("%s has switched %d times, want there and back: %v", s.Name, len(switches), switches)
		}
	}
}

// judgeSize fails the test when gtmd holds more descriptors than before, or much more memory. Probes may be on their way,
// each with a socket.
func (l *lab) judgeSize(t *testing.T, before size) {
	t.Helper()
	after := l.gtmd.size(t)
	for range 20 { // until no probe is on its way
		if after.descriptors <= before.descriptors {
			break
		}
		time.Sleep(50 * time.Millisecond)
		after = l.gtmd.size(t)
	}
	t.Logf("gtmd: %d descriptors, %d KiB resident before, %d and %d after", before.descriptors, before.resident>>10, after.descriptors, after.resident>>10)
	if after.descriptors > before.descriptors {
		t.Errorf("gtmd has %d descriptors, before %d", after.descriptors, before.descriptors)
	}
	if after.resident > before.resident+growthBytes {
		t.Errorf("gtmd has grown from %d to %d KiB", before.resident>>10, after.resident>>10)
	}
}
