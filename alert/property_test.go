package alert

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// history is what a receiver has to have been told in the end.
type history struct {
	begins map[string]int
	isDown map[string]bool
	notes  int
}

// step is one thing that happens, and how long it is quiet after it.
type step struct {
	what     int
	key      string
	cause    string
	receiver string
	err      error
	hang     time.Duration
	wait     time.Duration
}

// play is a set-up, and what happens in it.
type play struct {
	group GroupOptions
	steps []step
}

// TestEverything holds the service against a model of what its receivers should have seen: random events, receivers that fail,
// restarts, and kills of which only the disk stays. In the end every receiver knows what is so; every beginning was told, or
// counted as a return; nothing was told twice, but for messages under way at a kill; and no end came before its beginning.
//
// With GTMD_LONG=1 in the environment, or -rapid.checks, there are more plays.
func TestEverything(t *testing.T) {
	checks, isGiven := flag.Lookup("rapid.checks"), false
	flag.Visit(func(f *flag.Flag) { isGiven = isGiven || f == checks })
	if os.Getenv("GTMD_LONG") == "" && !isGiven {
		before := checks.Value.String()
		defer checks.Value.Set(before)
		if err := checks.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		g := ops("mail", "chat")
		g.Hold = rapid.SampledFrom([]time.Duration{0, 30 * time.Second, 10 * time.Minute}).Draw(rt, "hold")
		g.Keep = rapid.SampledFrom([]time.Duration{24 * time.Hour, 24 * time.Hour, 30 * time.Minute}).Draw(rt, "keep")
		g.GroupWait = rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(rt, "group_wait")
		g.Methods[1].Rate = rapid.SampledFrom([]Rate{{}, {1, time.Minute}, {20, time.Minute}}).Draw(rt, "rate")
		g.Methods[1].Repeat = rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(rt, "repeat")
		if rapid.Bool().Draw(rt, "quiet") {
			g.Quiet = []Quiet{{From: 60, To: 120}, {From: 23 * 60, To: 30}}
		}
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				what:     rapid.IntRange(0, 9).Draw(rt, "what"),
				key:      rapid.StringMatching(`[a-e][12]`).Draw(rt, "key"),
				cause:    rapid.SampledFrom([]string{"", "cause a"}).Draw(rt, "cause"),
				receiver: rapid.SampledFrom([]string{"mail", "chat"}).Draw(rt, "receiver"),
				err:      rapid.SampledFrom([]error{nil, errors.New("refused"), &RetryError{errors.New("busy"), 90 * time.Second}}).Draw(rt, "error"),
				hang:     rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(rt, "hang"),
				wait:     rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, time.Second, 2100 * time.Millisecond, 5 * time.Second, time.Minute, 10 * time.Minute, 2 * time.Hour}).Draw(rt, "wait"),
			}
		}), 1, 40).Draw(rt, "steps")
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = (&play{g, steps}).run(t) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// run plays it, and says what is wrong.
func (p *play) run(t *testing.T) (wrong string) {
	s, dir := newStage(t), t.TempDir()
	s.dir = filepath.Join(dir, "0")
	s.start(p.group)
	defer func() { s.stop() }()
	kills := 0
	want := history{map[string]int{}, map[string]bool{}, 0}
	end := func(key string) {
		want.isDown[key] = false
		e := up(key)
		e.Cause = "cause " + key[:1]
		s.Post(e)
	}
	for _, step := range p.steps {
		r := s.receivers[step.receiver]
		switch step.what {
		case 0, 1, 2, 3:
			if want.isDown[step.key] {
				end(step.key)
				break
			}
			want.isDown[step.key] = true
			want.begins[step.key]++
			e := down(step.key)
			e.Cause = "cause " + step.key[:1]
			s.Post(e)
		case 4:
			want.notes++
			s.Post(switched(fmt.Sprint(want.notes), step.cause))
		case 5, 6:
			r.fail(step.err)
			r.mu.Lock()
			r.hang = step.hang
			r.mu.Unlock()
		case 7:
			s.stop()
			s.start(p.group)
		case 8:
			s.after(3 * time.Second) // what was posted last may be lost in a kill
			kills++
			next := filepath.Join(dir, fmt.Sprint(kills))
			if err := os.CopyFS(next, os.DirFS(s.dir)); err != nil {
				t.Fatal(err)
			}
			for _, r := range s.receivers {
				r.kill(true)
			}
			s.stop()
			s.dir = next
			for _, r := range s.receivers {
				r.kill(false)
			}
			s.start(p.group)
		}
		s.after(step.wait)
	}
	for _, r := range s.receivers {
		r.fail(nil)
		r.mu.Lock()
		r.hang = 0
		r.mu.Unlock()
	}
	s.after(6 * time.Hour)
	for key, isDown := range want.isDown {
		if isDown {
			end(key)
		}
	}
	s.after(6 * time.Hour)
	for name, r := range s.receivers {
		if wrong := want.check(r, kills, strings.Contains(s.log.String(), "alert given up")); wrong != "" {
			return name + ": " + wrong
		}
	}
	if n := len(s.Status().Firing); n > 0 {
		return fmt.Sprintf("%d still firing", n)
	}
	return ""
}

// check holds what a receiver was told against what happened, and says what is wrong. What was given up need not be told,
// but what is so in the end.
func (h *history) check(r *addressee, kills int, isExpired bool) string {
	ids, again := map[string]bool{}, 0
	begins, isDown, notes := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, m := range r.messages() {
		if ids[m.ID] {
			again++
			continue
		}
		ids[m.ID] = true
		if m.Omitted > 0 {
			return fmt.Sprintf("%d omitted", m.Omitted)
		}
		for _, e := range m.Events {
			switch {
			case m.Reminder:
				begins[e.Key] += e.Returns
				if !isDown[e.Key] {
					return fmt.Sprintf("reminded of %s, which is not down for it", e.Key)
				}
			case e.Kind == "switch":
				if notes[e.Title] {
					return fmt.Sprintf("%s told twice", e.Title)
				}
				notes[e.Title] = true
			case e.Resolved != isDown[e.Key]:
				return fmt.Sprintf("%s, resolved %t, told to one who knew that", e.Title, e.Resolved)
			case e.Resolved:
				isDown[e.Key] = false
				begins[e.Key] += e.Returns
			default:
				isDown[e.Key] = true
				begins[e.Key] += 1 + e.Returns
			}
		}
	}
	for key, n := range h.begins {
		if begins[key] != n && !isExpired || isDown[key] {
			return fmt.Sprintf("%d beginnings of %s told, want %d; down in the end: %t", begins[key], key, n, isDown[key])
		}
	}
	if len(notes) != h.notes && !isExpired {
		return fmt.Sprintf("%d events without a key told, want %d", len(notes), h.notes)
	}
	if again > kills {
		return fmt.Sprintf("%d messages came twice after %d kills", again, kills)
	}
	return ""
}
