package alert

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuiet has what happens at night told in the morning, but for what is urgent.
func TestQuiet(t *testing.T) {
	for _, test := range []struct{ zone, start, end string }{
		{"UTC", "2025-01-10T23:30:00Z", "2025-01-11T07:00:00Z"},
		{"Europe/Berlin", "2025-03-29T23:30:00+01:00", "2025-03-30T07:00:00+02:00"}, // the clock goes forward
		{"Europe/Berlin", "2025-10-25T23:30:00+02:00", "2025-10-26T07:00:00+01:00"}, // and back
	} {
		synctest.Test(t, func(t *testing.T) {
			begin, _ := time.Parse(time.RFC3339, test.start)
			end, _ := time.Parse(time.RFC3339, test.end)
			time.Sleep(time.Until(begin))
			s := newStage(t)
			g := ops("mail")
			g.Quiet = []Quiet{{From: 23 * 60, To: 7 * 60}}
			if err := g.TimeZone.UnmarshalText([]byte(test.zone)); err != nil {
				t.Fatal(err)
			}
			s.start(g)
			defer s.stop()
			mail := s.receivers["mail"]
			s.Post(down("a"), down("b"))
			s.after(10 * time.Minute)
			s.Post(up("a"), Event{Time: time.Now(), Kind: "fail_open", Key: "cdn", Cause: "c", Title: "fail open"})
			s.after(5 * time.Second)
			if got := mail.titles(); got != "fail open" {
				t.Errorf("%s: at night %q, want what is urgent only", test.zone, got)
			}
			if next := s.Status().Groups[0].Methods[0].Next; !next.Equal(end) {
				t.Errorf("%s: next at %v, want %v", test.zone, next, end)
			}
			s.after(time.Until(end) - time.Second)
			if got := len(mail.messages()); got != 1 {
				t.Errorf("%s: %d messages before the morning", test.zone, got)
			}
			s.after(3 * time.Second)
			if got := mail.titles(); got != "fail open | address a is down, over after 10m0s | address b is down" && got != "fail open | address a is down, over after 10m | address b is down" {
				t.Errorf("%s: in the morning %q", test.zone, got)
			}
		})
	}
}

// TestRate has more to tell than the rate allows: it is joined, and nothing is lost.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		g := ops("chat")
		g.Methods[0].Rate = Rate{3, time.Minute}
		s.start(g)
		defer s.stop()
		for i := range 30 {
			s.Post(down(fmt.Sprint(i)))
			time.Sleep(4 * time.Second)
		}
		s.after(5 * time.Minute)
		chat := s.receivers["chat"]
		sum := 0
		for i, m := range chat.messages() {
			sum += len(m.Events)
			if i >= 3 && chat.at[i].Sub(chat.at[i-3]) < time.Minute {
				t.Errorf("4 messages within %v", chat.at[i].Sub(chat.at[i-3]))
			}
		}
		if sum != 30 {
			t.Errorf("%d events told, want 30: %s", sum, chat.titles())
		}
	})
}

// TestRepeat reminds of what goes on.
func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		g := ops("mail")
		g.Repeat = time.Hour
		s.start(g)
		defer s.stop()
		s.Post(down("a"))
		s.after(90 * time.Minute)
		s.Post(up("a"))
		s.after(5 * time.Hour)
		mail := s.receivers["mail"]
		if got := mail.titles(); got != "address a is down | still: address a is down | address a is up" {
			t.Errorf("messages %q", got)
		}
		if m := mail.messages()[1]; !m.Reminder || !strings.Contains(m.Text, "(for 1h") {
			t.Errorf("reminder %+v", m)
		}
	})
}

// TestRestart stops the service at every point of an outage.
func TestRestart(t *testing.T) {
	for _, at := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 70 * time.Second, 100 * time.Second, 101 * time.Second, 110 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.start(ops("mail"))
			begin := time.Now()
			restart := func(until time.Duration) {
				if at < until && at >= time.Since(begin) {
					s.after(at - time.Since(begin))
					s.stop()
					s.start(ops("mail"))
				}
				s.after(until - time.Since(begin))
			}
			s.Post(down("a"), switched("backup", "a"))
			restart(100 * time.Second)
			s.Post(down("a"), up("a"))
			restart(200 * time.Second)
			s.stop()
			if got := s.receivers["mail"].titles(); got != "address a is down (and 1 more) | address a is up" {
				t.Errorf("restarted after %v: %q", at, got)
			}
		})
	}
}

// TestReconcile has things begin and end while the service does not run.
func TestReconcile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail"))
		s.Post(down("a"), down("b"))
		s.after(10 * time.Minute)
		s.stop()
		s.start(ops("mail"))
		defer s.stop()
		s.Reconcile([]Event{down("b"), down("c")})
		s.after(time.Minute)
		if got := s.receivers["mail"].titles(); got != "address a is down | address b is down | over: address a is down | address c is down" {
			t.Errorf("messages %q", got)
		}
	})
}

// TestTakeOver has a second process wait for the first.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newStage(t)
		old.start(ops("mail"))
		old.receivers["mail"].fail(errors.New("refused"))
		old.Post(down("a"))
		old.after(10 * time.Second)
		next := &stage{t: t, dir: old.dir, receivers: map[string]*addressee{}, log: &strings.Builder{}}
		next.start(ops("mail"))
		defer next.stop()
		next.Post(down("b"))
		next.after(time.Minute)
		if n := next.receivers["mail"].attempts; n != 0 || !next.Status().IsWaiting {
			t.Fatalf("%d attempts while the other process has the state", n)
		}
		id := old.Status().Deliveries[0].ID
		old.stop()
		next.after(time.Minute)
		got := next.receivers["mail"].messages()
		if len(got) != 2 || got[0].ID != id || got[1].Title != "address b is down" {
			t.Errorf("messages %q", next.receivers["mail"].titles())
		}
		if n := old.receivers["mail"].messages(); len(n) != 0 {
			t.Errorf("the old one has delivered %d", len(n))
		}
	})
}

// TestCorrupt starts with files that cannot be used.
func TestCorrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail"))
		s.Post(down("a"))
		s.after(10 * time.Second)
		s.stop()
		for _, name := range []string{stateFile, deliveriesFile} {
			path := filepath.Join(s.dir, "alerts", name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append([]byte("{broken\n"), text...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.start(ops("mail"))
		defer s.stop()
		if n := len(s.Status().Deliveries); n != 1 {
			t.Errorf("%d good lines read, want 1", n)
		}
		s.Post(down("b"))
		s.after(10 * time.Second)
		if got := s.receivers["mail"].titles(); got != "address a is down | address b is down" {
			t.Errorf("messages %q", got)
		}
		for _, pattern := range []string{stateFile, deliveriesFile} {
			if found, _ := filepath.Glob(filepath.Join(s.dir, "alerts", pattern+".corrupt-*")); len(found) != 1 {
				t.Errorf("%s is not set aside", pattern)
			}
		}
	})
}

// TestFullDisk has the state directory not take anything.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		if err := os.WriteFile(filepath.Join(s.dir, "alerts"), nil, 0o600); err != nil { // no directory can be there
			t.Fatal(err)
		}
		s.start(ops("mail"))
		defer s.stop()
		s.Post(down("a"))
		s.after(time.Minute)
		s.Post(up("a"))
		s.after(time.Minute)
		if got := s.receivers["mail"].titles(); got != "address a is down | address a is up" {
			t.Errorf("messages %q", got)
		}
		if n := strings.Count(s.log.String(), "alerts are not saved"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, s.log)
		}
	})
}

// TestTrial sends tests, while the queue stands still.
func TestTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail", "chat"))
		defer s.stop()
		s.receivers["chat"].fail(errors.New("refused"))
		got, err := s.Test(t.Context(), "ops", "")
		if err != nil || len(got) != 2 || got[0].Error != "" || got[1].Error != "refused" {
			t.Errorf("test: %+v, %v", got, err)
		}
		if m := s.receivers["mail"].messages()[0]; !m.Test || !m.Events[0].Test {
			t.Errorf("message %+v", m)
		}
		if _, err := s.Test(t.Context(), "oops", ""); err == nil || err.Error() != `there is no alert group "oops": want one of ["ops"]` {
			t.Errorf("unknown group: %v", err)
		}
		if _, err := s.Test(t.Context(), "ops", "fax"); err == nil || err.Error() != `alert group "ops" has no method "fax": want one of ["mail" "chat"]` {
			t.Errorf("unknown method: %v", err)
		}
	})
}
