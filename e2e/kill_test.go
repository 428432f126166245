//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What gtmd may lose is a second; writing what happened before that takes some time, too.
const (
	lostBound  = time.Second
	writeTime  = 250 * time.Millisecond
	startBound = 5 * time.Second // on a machine that does much else; the log says what it takes
)

// Origins that change several times in a second change verdicts about as often. Those that do not change have the time that a
// busy machine needs.
const (
	hastyInterval  = 150 * time.Millisecond
	steadyInterval = 500 * time.Millisecond
)

// mortal is a gtmd that is killed and started again, with services of every kind.
type mortal struct {
	*lab
	services []service
	origins  map[string]*origin
	log      *os.File // of all lives
}

// The services of a mortal: the origin of dead is down and was ever, that of alive is up, manual was moved to its backup
// when the origin was down for a time, and the origins of the others flap.
const (
	dead = iota
	alive
	manual
	flapping
)

// newMortal starts gtmd and waits until its state is saved.
func newMortal(t *testing.T, flaps int) *mortal {
	t.Helper()
	l := newLab(t, shop)
	m := &mortal{lab: l, origins: map[string]*origin{}}
	var all []string
	for i := range flapping + flaps {
		name := fmt.Sprintf("flapping%d", i-flapping)
		if i < flapping {
			name = []string{dead: "dead", alive: "alive", manual: "manual"}[i]
		}
		check := "steady"
		if i >= flapping {
			check = "web"
		}
		s := newService(name, check, fmt.Sprintf("127.1.2.%d", i+1), fmt.Sprintf("127.1.1.%d", i+1))
		m.services, all = append(m.services, s), append(all, s.Primary[0], s.Backup[0])
	}
	m.services[manual].Failback = "manual"
	port := freePort(t, all...)
	for _, ip := range all {
		m.origins[ip] = startOrigin(t, ip, ip+":"+port, l.business)
	}
	// Many more targets make a state file that takes a while to write.
	ballast := newService("ballast", "rare", "127.1.3.1")
	for i := range 240 {
		ballast.Primary = append(ballast.Primary, fmt.Sprintf("127.1.4.%d", i+1))
	}
	l.configureServices(t, append(slices.Clone(m.services), ballast),
		webCheck(port, hastyInterval, hastyInterval, 2),
		checkOf("steady", "http", steadyInterval, steadyInterval, 2, "port = "+port),
		checkOf("rare", "tcp", 24*time.Hour, time.Second, 1, "port = "+port), "[blind]\nshare = 0")
	var err error
	if m.log, err = os.Create(filepath.Join(l.dir, "gtmd.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l.gtmd != nil {
			l.gtmd.end(t)
		}
		m.log.Close()
		if text, err := os.ReadFile(m.log.Name()); t.Failed() && err == nil {
			t.Logf("output of gtmd:\n%s", tail(string(text), 60))
		}
	})
	m.live(t)
	a := l.asker(t)
	eventually(t, startBound, "gtmd answers", func() bool { _, err := a.ask(m.services[alive]); return err == nil })
	for _, i := range []int{dead, manual} {
		m.origins[m.services[i].Primary[0]].set(t, closed)
	}
	for _, i := range []int{dead, manual} {
		if _, err := a.turns(m.services[i], m.services[i].Primary[0], m.services[i].Backup[0], startBound); err != nil {
			t.Fatal(err)
		}
	}
	m.origins[m.services[manual].Primary[0]].set(t, serving)
	eventually(t, startBound, "the origin of manual is up again", func() bool {
		return l.standing(t, "manual-primary", m.services[manual].Primary[0]).Standing == "up"
	})
	time.Sleep(lostBound + writeTime)
	return m
}

// live starts gtmd. The lab does not wait for it.
func (m *mortal) live(t *testing.T) {
	t.Helper()
	p := &process{name: "gtmd", cmd: exec.Command(m.program, "run", "--config", filepath.Join(m.dir, "gtmd.toml")), log: m.log.Name(), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = m.dir, m.log, m.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.wait()
	m.gtmd = p
}

// kill kills gtmd.
func (m *mortal) kill(t *testing.T) {
	t.Helper()
	m.gtmd.signal(t, syscall.SIGKILL)
	if code := m.gtmd.ended(t, 5*time.Second); code != -1 {
		t.Fatalf("gtmd had ended with %d before it was killed", code)
	}
}

// terminate ends gtmd politely and returns how long that took. At the very begin of its life the signal may kill it.
func (m *mortal) terminate(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	m.gtmd.signal(t, syscall.SIGTERM)
	if code := m.gtmd.ended(t, 5*time.Second); code != 0 && code != -1 {
		t.Fatalf("gtmd ended with %d, want 0", code)
	}
	return time.Since(begin)
}

// state is the path of a file of the state directory.
func (m *mortal) state(name string) string { return filepath.Join(m.dir, "state", name) }

// TestKills ends gtmd GTMD_KILLS times (100) while origins flap, at random moments of its start, of its life and of its
// writing the state: by SIGKILL and by SIGTERM in turn. It starts every time. Its first answers are those that it gave within the last second of the life before,
// unless probes know better by then: never an origin that was down before. The saved state is whole at any time.
func TestKills(t *testing.T) {
	kills := count(t, "GTMD_KILLS", 100)
	m := newMortal(t, 6)
	flaps := m.flap(t)
	w := m.watch(t)
	var (
		starts, ends, cutWrites, known, turned, silent = times{}, times{}, 0, 0, 0, 0
		saved                                          = m.savedState(t)
		last                                           time.Time // when the life before ended
	)
	m.kill(t)
	last = time.Now()
	w.take()
	for i := range kills {
		begin := time.Now()
		m.live(t)
		m.liveFor(t, w, i)
		if n := w.firstReply(begin); n != 0 {
			starts = append(starts, n)
		}
		if i%2 == 0 {
			m.kill(t)
		} else {
			ends = append(ends, m.terminate(t))
		}
		now := time.Now()
		if _, err := os.Stat(m.state("state.json.new")); err == nil {
			cutWrites++
		}
		time.Sleep(3 * time.Millisecond) // what gtmd has sent arrives
		for j, s := range m.services {
			verdict := w.judge(j, s, last, i%2 == 0 && i > 0, begin, flaps[s.Primary[0]])
			switch {
			case verdict == "as before":
				known++
			case verdict == "turned":
				turned++
			case verdict == "none":
				silent++
			default:
				t.Errorf("kill %d: %s: %s", i, s.Name, verdict)
			}
		}
		w.take()
		last = now
		next := m.savedState(t)
		if err := follows(saved, next); err != nil {
			t.Errorf("kill %d: %v", i, err)
		}
		saved = next
		if t.Failed() {
			break
		}
	}
	begin := time.Now()
	m.live(t)
	eventually(t, startBound, "gtmd answers", func() bool { return w.firstReply(begin) != 0 })
	starts = append(starts, w.firstReply(begin))
	if corrupt, _ := filepath.Glob(m.state("*corrupt*")); len(corrupt) != 0 {
		t.Errorf("states were set aside: %v", corrupt)
	}
	t.Logf("%d kills, %d of them with a state half written; %d starts with an answer: first one after p50 %v, p99 %v, max %v",
		kills, cutWrites, len(starts), starts.share(0.5), starts.share(0.99), starts.share(1))
	t.Logf("first answers: %d as before the kill, %d turned since by probes, %d lives too short to answer", known, turned, silent)
	t.Logf("%d of them by SIGTERM: ended after p50 %v, max %v", len(ends), ends.share(0.5), ends.share(1))
	if starts.share(1) > startBound {
		t.Errorf("a start took %v, want at most %v", starts.share(1), startBound)
	}
}

// liveFor waits for the moment to kill: of ten times five soon after the start, or even before it is over, two soon after the
// first answer, two in the middle of a write, one after a longer life.
func (m *mortal) liveFor(t *testing.T, w *watch, i int) {
	t.Helper()
	begin := time.Now()
	answered := func() {
		eventually(t, startBound, "gtmd answers", func() bool { return w.firstReply(begin) != 0 })
	}
	switch kind := i % 10; {
	case kind < 5:
		time.Sleep(rand.N(400 * time.Millisecond))
	case kind < 7:
		answered()
		time.Sleep(rand.N(400 * time.Millisecond))
	case kind < 9:
		m.awaitWrite(t, 2*time.Second)
		time.Sleep(rand.N(300 * time.Microsecond))
	default:
		answered()
		time.Sleep(rand.N(2500 * time.Millisecond))
	}
}

// awaitWrite waits until a state begins to be written, at most for a time.
func (m *mortal) awaitWrite(t *testing.T, within time.Duration) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	notices := os.NewFile(uintptr(fd), "inotify")
	defer notices.Close()
	if _, err := unix.InotifyAddWatch(fd, m.state(""), unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	notices.SetReadDeadline(time.Now().Add(within))
	notices.Read(make([]byte, 4096)) // or its deadline: then this is a kill at another moment
}

// truth is how an origin was, from when on.
type truth struct {
	mu    sync.Mutex // guards since
	since []turn
}

type turn struct {
	at time.Time
	up bool
}

// flap makes the primaries of the flapping services go and come until the test ends.
func (m *mortal) flap(t *testing.T) map[string]*truth {
	t.Helper()
	all := map[string]*truth{}
	var running sync.WaitGroup
	stop := make(chan struct{})
	for _, s := range m.services[flapping:] {
		one := &truth{}
		all[s.Primary[0]] = one
		running.Go(func() {
			for up := false; ; up = !up {
				select {
				case <-stop:
					return
				case <-time.After(300*time.Millisecond + rand.N(1200*time.Millisecond)):
				}
				now := closed
				if up {
					now = serving
				}
				if err := m.origins[s.Primary[0]].turn(now); err != nil {
					t.Error(err)
					return
				}
				one.mu.Lock()
				one.since = append(one.since, turn{time.Now(), up})
				one.mu.Unlock()
			}
		})
	}
	t.Cleanup(func() { close(stop); running.Wait() })
	return all
}

// was reports whether the origin was up, or down, at some moment between two.
func (o *truth) was(up bool, from, to time.Time) bool {
	if o == nil {
		return false // it does not change
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	before := true
	for _, one := range o.since {
		if one.at.After(to) {
			break
		}
		if before == up && one.at.After(from) {
			return true
		}
		before = one.up
	}
	return before == up
}

// follows returns an error when the switches of one saved state are not in the one that came after it.
func follows(before, after savedState) error {
	if len(before.Body.Switches) == 0 {
		return nil
	}
	newest := before.Body.Switches[0]
	if !slices.Contains(after.Body.Switches, newest) {
		return fmt.Errorf("the saved state of %v lacks the switch %v, which that of %v had", after.Body.Saved, newest, before.Body.Saved)
	}
	if after.Body.Saved.Before(before.Body.Saved) {
		return fmt.Errorf("the saved state of %v came after that of %v", after.Body.Saved, before.Body.Saved)
	}
	return nil
}
