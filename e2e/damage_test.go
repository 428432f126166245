//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// damage is something that a machine can do to the state directory while gtmd does not run.
type damage struct {
	name string
	do   func(t *testing.T, m *mortal, good []byte)
	// lost: nothing of the state can be read.
	lost bool
}

// become is the damage of a state file that has another content.
func become(change func(good []byte) []byte) func(t *testing.T, m *mortal, good []byte) {
	return func(t *testing.T, m *mortal, good []byte) { m.put(t, "state.json", change(slices.Clone(good))) }
}

var damages = []damage{
	{name: "none", do: func(*testing.T, *mortal, []byte) {}},
	{name: "cut in the middle", lost: true, do: become(func(good []byte) []byte { return good[:len(good)/2] })},
	{name: "cut by 3 octets", lost: true, do: become(func(good []byte) []byte { return good[:len(good)-3] })},
	{name: "no content", lost: true, do: become(func([]byte) []byte { return nil })},
	{name: "zeros", lost: true, do: become(func(good []byte) []byte { return make([]byte, len(good)) })},
	{name: "noise", lost: true, do: become(func(good []byte) []byte {
		for i := range good {
			good[i] = byte(rand.N(256))
		}
		return good
	})},
	{name: "a verdict changed", lost: true, do: become(func(good []byte) []byte { return bytes.Replace(good, []byte(`"down"`), []byte(`"up"`), 1) })},
	{name: "second half from another time", lost: true, do: become(func(good []byte) []byte { return append(good[:len(good)/2], good[len(good)/3:]...) })},
	{name: "a version to come", lost: true, do: become(func(good []byte) []byte {
		return bytes.Replace(good, []byte(`"version":1,`), []byte(`"version":99,`), 1)
	})},
	{name: "a half written one beside it", do: func(t *testing.T, m *mortal, good []byte) { m.put(t, "state.json.new", good[:len(good)/2]) }},
	{name: "only a half written one", lost: true, do: func(t *testing.T, m *mortal, good []byte) {
		m.put(t, "state.json.new", good[:len(good)/2])
		if err := os.Remove(m.state("state.json")); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "no directory", lost: true, do: func(t *testing.T, m *mortal, _ []byte) {
		if err := os.RemoveAll(m.state("")); err != nil {
			t.Fatal(err)
		}
	}},
}

// put writes a file of the state directory.
func (m *mortal) put(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(m.state(name), content, 0o640); err != nil {
		t.Fatal(err)
	}
}

// TestDamage starts gtmd with a state that was damaged. What can be read is taken up; what cannot is set aside. Either way
// the first answer is right: without a state gtmd looks before it answers.
func TestDamage(t *testing.T) {
	m := newMortal(t, 0)
	w := m.watch(t)
	good, err := os.ReadFile(m.state("state.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			m.kill(t)
			if err := os.RemoveAll(m.state("")); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(m.state(""), 0o750); err != nil {
				t.Fatal(err)
			}
			m.put(t, "state.json", good)
			d.do(t, m, good)
			time.Sleep(3 * time.Millisecond)
			w.take()
			begin := time.Now()
			m.live(t)
			eventually(t, startBound, "gtmd answers", func() bool { return w.firstReply(begin) != 0 })
			time.Sleep(steadyInterval)
			// Which set a policy that fails back by hand was in is lost with the state.
			for i, s := range m.services[:manual] {
				w.mustBe(t, i, map[int]string{dead: s.Backup[0], alive: s.Primary[0]}[i], begin)
			}
			if !d.lost {
				w.mustBe(t, manual, m.services[manual].Backup[0], begin)
			}
			aside, _ := filepath.Glob(m.state("state.json.corrupt-*"))
			_, gone := os.Stat(m.state("state.json"))
			if want := d.lost && d.name != "no directory" && d.name != "only a half written one"; (len(aside) == 1) != want {
				t.Errorf("files set aside: %v, want one: %v (%v)", aside, want, gone)
			}
			eventually(t, startBound, "the state is saved", func() bool {
				text, err := os.ReadFile(m.state("state.json"))
				return err == nil && strings.Contains(string(text), `"127.1.1.1`) && strings.Contains(string(text), `"down"`)
			})
			t.Logf("first answer after %v", w.firstReply(begin).Round(time.Millisecond))
		})
	}
}

// mustBe fails the test unless all answers of this life are what is wanted.
func (w *watch) mustBe(t *testing.T, i int, want string, begin time.Time) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if all := w.since[i]; len(all) != 1 || all[0].answer != want {
		var text []string
		for _, one := range all {
			text = append(text, fmt.Sprintf("%s after %v", one.answer, one.at.Sub(begin).Round(time.Millisecond)))
		}
		t.Errorf("%s is answered with %v, want %s", w.services[i].Name, text, want)
	}
}

// TestFullDisk runs gtmd with its state on a disk that gets full, with no room or with room for a part of the state. The answers
// go on, the saved state stays whole, and a start finds what was saved last. Once there is room, gtmd saves by itself.
func TestFullDisk(t *testing.T) {
	m := newMortal(t, 0)
	m.kill(t)
	good, err := os.ReadFile(m.state("state.json"))
	if err != nil {
		t.Fatal(err)
	}
	removeStale(t)
	if err := syscall.Mount(fmt.Sprintf("%s%d", ours, os.Getpid()), m.state(""), "tmpfs", 0, "size=256k"); err != nil {
		if os.Geteuid() == 0 || os.Getenv("GTMD_E2E_REQUIRE") == "1" {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		m.gtmd.end(t)
		if err := syscall.Unmount(m.state(""), 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	m.put(t, "state.json", good)
	m.live(t)
	w := m.watch(t)
	a := m.asker(t)
	s := m.services[alive]
	before, behind := s.Primary[0], s.Backup[0]
	for _, room := range []int{0, 8 << 10, len(good) - 4096} {
		t.Run(fmt.Sprintf("room for %d octets", room), func(t *testing.T) {
			m.fillDisk(t, room)
			m.origins[s.Primary[0]].set(t, closed)
			if _, err := a.turns(s, before, behind, startBound); err != nil {
				t.Fatalf("with a full disk: %v", err)
			}
			eventually(t, startBound, "a write has failed", func() bool { return m.metric(t, "gtmd_state_save_failures_total") > 0 })
			for range 10 {
				w.take()
				m.kill(t)
				time.Sleep(3 * time.Millisecond)
				w.take()
				m.savedState(t) // is whole
				begin := time.Now()
				m.live(t)
				eventually(t, startBound, "gtmd answers", func() bool { return w.firstReply(begin) != 0 })
				time.Sleep(rand.N(steadyInterval))
				w.mustBe(t, dead, m.services[dead].Backup[0], begin)
				w.mustBe(t, manual, m.services[manual].Backup[0], begin)
			}
			if _, err := a.turns(s, before, behind, startBound); err != nil { // the saved state has it up
				t.Error(err)
			}
			if err := os.Remove(m.state("fill")); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			eventually(t, startBound, "the state is saved again", func() bool { return m.savedState(t).Body.Saved.After(begin) })
			t.Logf("saved %v after there was room", time.Since(begin).Round(time.Millisecond))
			w.take()
			m.kill(t)
			w.take()
			begin = time.Now()
			m.live(t)
			eventually(t, startBound, "gtmd answers", func() bool { return w.firstReply(begin) != 0 })
			time.Sleep(steadyInterval / 4)
			w.mustBe(t, alive, behind, begin) // nothing is lost any more
			m.origins[s.Primary[0]].set(t, serving)
			if _, err := a.turns(s, behind, before, startBound); err != nil {
				t.Error(err)
			}
			time.Sleep(lostBound + writeTime) // saved, for the next
		})
	}
}

// fillDisk fills the disk of the state but for some room.
func (m *mortal) fillDisk(t *testing.T, room int) {
	t.Helper()
	f, err := os.Create(m.state("fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := 0
	for {
		n, err := f.Write(make([]byte, 4096))
		size += n
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(size - room)); err != nil {
		t.Fatal(err)
	}
}
