//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// detectionBound is how long after a fault the answer may still be the old one, and after its end likewise.
const (
	detectionBound = fall*interval + timeout + 100*time.Millisecond
	failbackBound  = rise*interval + timeout + 100*time.Millisecond
)

// faults are the ways in which an origin breaks.
var faults = []struct {
	name string
	behaviour
}{{"refuse", closed}, {"hang", silent}, {"503", failing}, {"RST", resetting}}

// failover is what one fault led to.
type failover struct {
	fault           int // index of faults
	there, andAgain time.Duration
	stalled, again  time.Duration // what the machine stalled meanwhile
}

// TestDetection breaks origins GTMD_FAILOVERS times (200), each in one of four ways and at a random moment, forty origins
// at once. Every fault changes the answer within fall x interval + timeout + 100 ms, every recovery within
// rise x interval + timeout + 100 ms, and nothing else changes it: one switch there and one back for each.
func TestDetection(t *testing.T) {
	const parallel = 40
	rounds := (count(t, "GTMD_FAILOVERS", 200) + parallel - 1) / parallel
	l := newLab(t, shop)
	var services []service
	var all []string
	for i := range parallel {
		s := newService(fmt.Sprintf("service%d", i), "web", fmt.Sprintf("127.2.%d.1", i), fmt.Sprintf("127.1.%d.1", i))
		services, all = append(services, s), append(all, s.Primary[0], s.Backup[0])
	}
	port := freePort(t, all...)
	origins := map[string]*origin{}
	for _, ip := range all {
		origins[ip] = startOrigin(t, ip, ip+":"+port, l.business)
	}
	l.configureServices(t, services, webCheck(port, interval, timeout, fall))
	l.startGTMD(t)
	l.allUp(t)
	begin := time.Now()

	var (
		running sync.WaitGroup
		mu      sync.Mutex // guards found
		found   []failover
	)
	for i, s := range services {
		a := l.asker(t)
		running.Go(func() {
			for round := range rounds {
				one, err := breakOnce(a, s, origins[s.Primary[0]], (i+round)%len(faults))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				found = append(found, one)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	time.Sleep(3 * interval) // what would flap has the time to

	for _, s := range services {
		switches := l.metric(t, "gtmd_policy_switches_total", fmt.Sprintf("instance=%q", s.Name))
		if switches != float64(2*rounds) {
			t.Errorf("%s: %v switches in %d rounds, want one there and one back in each", s.Name, switches, rounds)
		}
		for i, one := range l.switchesOf(t, s, begin) {
			if want := []string{"backup", "primary"}[i%2]; rounds <= 12 && one.To != want { // gtmd remembers 1,000 of all services
				t.Errorf("%s: switch %d is to %s, want to %s", s.Name, i+1, one.To, want)
			}
		}
	}
	if len(found) != parallel*rounds {
		t.Errorf("%d failovers, want %d", len(found), parallel*rounds)
	}
	tabulate(t, found)
}

// breakOnce breaks an origin at a random moment of its interval, waits for the backup, mends it and waits for the primary.
func breakOnce(a *asker, s service, o *origin, fault int) (failover, error) {
	one := failover{fault: fault}
	primary, backup := s.Primary[0], s.Backup[0]
	time.Sleep(rand.N(interval))
	begin := time.Now()
	if err := o.turn(faults[fault].behaviour); err != nil {
		return one, err
	}
	changed, err := a.turns(s, primary, backup, 2*detectionBound)
	if err != nil {
		return one, fmt.Errorf("%s: %w", faults[fault].name, err)
	}
	one.there, one.stalled = changed.Sub(begin), a.stall
	time.Sleep(rand.N(interval))
	begin = time.Now()
	if err := o.turn(serving); err != nil {
		return one, err
	}
	changed, err = a.turns(s, backup, primary, 2*failbackBound)
	if err != nil {
		return one, fmt.Errorf("after %s: %w", faults[fault].name, err)
	}
	one.andAgain, one.again = changed.Sub(begin), a.stall
	return one, nil
}

// tabulate logs what faults led to, and fails the test for what took too long.
func tabulate(t *testing.T, found []failover) {
	t.Helper()
	row := func(name string, is func(fault int) bool) {
		var there, again times
		for _, f := range found {
			if is(f.fault) {
				there, again = append(there, f.there), append(again, f.andAgain)
			}
		}
		t.Logf("%-8s %v | %v", name, there, again)
	}
	t.Logf("%-8s %5s %9s %9s %9s | %5s %9s %9s %9s", "fault", "n", "p50", "p99", "max", "back", "p50", "p99", "max")
	for i := range faults {
		row(faults[i].name, func(fault int) bool { return fault == i })
	}
	row("all", func(int) bool { return true })
	var stalls times
	for _, f := range found {
		stalls = append(stalls, f.stalled, f.again)
		if f.there > detectionBound+f.stalled || f.andAgain > failbackBound+f.again {
			t.Errorf("%s: there after %v, back after %v, want at most %v and %v; the machine stalled for %v and %v", faults[f.fault].name,
				f.there.Round(time.Millisecond), f.andAgain.Round(time.Millisecond), detectionBound, failbackBound, f.stalled, f.again)
		}
	}
	t.Logf("%-8s %v", "stalls", stalls)
}
