//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestPause stops gtmd for GTMD_PAUSE seconds (8), as a virtual machine on the move is, with 120 targets at intervals of one
// second whose probes take a fifth of that: about 24 are on their way at any time. One bad result of any of them would be a
// switch. Afterwards no target is down, nothing has switched, and the answers are right. Shorter pauses likewise.
func TestPause(t *testing.T) {
	pause := time.Duration(count(t, "GTMD_PAUSE", 8)) * time.Second
	l := newLab(t, shop)
	var services []service
	var all []string
	for i := range 12 {
		s := newService(fmt.Sprintf("service%d", i), "web", fmt.Sprintf("127.2.%d.1", i))
		for j := range 10 {
			s.Primary = append(s.Primary, fmt.Sprintf("127.1.%d.%d", i, j+1))
		}
		services, all = append(services, s), append(append(all, s.Primary...), s.Backup...)
	}
	port := freePort(t, all...)
	for _, ip := range all {
		startOrigin(t, ip, ip+":"+port, l.business).set(t, slow)
	}
	l.configureServices(t, services, webCheck(port, interval, 800*time.Millisecond, 1))
	l.startGTMD(t)
	l.allUp(t)
	a := l.asker(t)
	// Short ones, too, end after the deadline of probes that were on their way.
	for _, pause := range []time.Duration{pause, 1700 * time.Millisecond, time.Second, 700 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) { l.pause(t, a, services, pause) })
	}
}

// pause stops gtmd for a time and judges what that has changed: nothing.
func (l *lab) pause(t *testing.T, a *asker, services []service, pause time.Duration) {
	t.Helper()
	l.allUp(t)
	time.Sleep(2 * interval)
	begin, turns, void := time.Now(), l.metric(t, "gtmd_address_transitions_total"), l.void(t)
	l.gtmd.signal(t, syscall.SIGSTOP)
	time.Sleep(pause)
	l.gtmd.signal(t, syscall.SIGCONT)
	wrong := 0
	for end := time.Now().Add(2 * interval); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, s := range services {
			if got, err := a.ask(s); err != nil || got != inOrder(s.Primary) {
				if wrong++; wrong == 1 {
					t.Errorf("the answer of %s is %q, error %v", s.Name, got, err)
				}
			}
		}
	}
	turns = l.metric(t, "gtmd_address_transitions_total") - turns
	switches := 0
	for _, s := range services {
		switches += len(l.switchesOf(t, s, begin))
	}
	t.Logf("stopped for %v: %v void results, %v turns of verdicts, %d switches, %d wrong answers", pause, l.void(t)-void, turns, switches, wrong)
	if turns != 0 || switches != 0 {
		t.Errorf("%v verdicts have turned and %d switches were made", turns, switches)
	}
}

// void is how many results did not count.
func (l *lab) void(t *testing.T) float64 { return l.metric(t, "gtmd_probes_total", `result="void"`) }

// TestPauseInFailure stops gtmd while an origin fails and the verdict has not turned yet: it turns soon after the pause.
func TestPauseInFailure(t *testing.T) {
	for _, f := range faults[:2] { // an answer at once, and none
		t.Run(f.name, func(t *testing.T) {
			l := newLab(t, shop)
			s := newService("service", "web", test2IP, test1IP)
			test1 := startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
			startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
			l.configureServices(t, []service{s}, webCheck(l.OriginPort, interval, timeout, fall))
			l.startGTMD(t)
			l.allUp(t)
			a := l.asker(t)
			test1.set(t, f.behaviour)
			eventually(t, 5*time.Second, "the first bad result", func() bool {
				return l.standing(t, "service-primary", test1IP).Bad == 1
			})
			l.gtmd.signal(t, syscall.SIGSTOP)
			time.Sleep(3 * interval)
			l.gtmd.signal(t, syscall.SIGCONT)
			begin := time.Now()
			changed, err := a.turns(s, test1IP, test2IP, 2*detectionBound)
			if err != nil {
				t.Fatal(err)
			}
			if took := changed.Sub(begin); took > detectionBound {
				t.Errorf("the answer changed %v after the pause, want at most %v", took, detectionBound)
			} else {
				t.Logf("the answer changed %v after the pause", took.Round(time.Millisecond))
			}
			if switches := l.status(t).Switches; len(switches) != 1 {
				t.Errorf("want one switch: %v", switches)
			}
		})
	}
}
