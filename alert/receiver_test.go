package alert

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadReceiver has a receiver dead for an hour: nothing is lost, nothing doubled, and others do not wait.
func TestDeadReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail", "chat"))
		defer s.stop()
		mail, chat := s.receivers["mail"], s.receivers["chat"]
		mail.fail(errors.New("connection refused"))
		mail.hang = time.Second
		for i := range 12 {
			s.Post(down(fmt.Sprint(i)))
			s.after(4 * time.Minute)
			s.Post(up(fmt.Sprint(i)))
			s.after(time.Minute)
		}
		if n := len(chat.messages()); n != 24 {
			t.Errorf("the one that lives has %d messages, want 24", n)
		}
		if n := mail.attempts; n < 8 || n > 20 {
			t.Errorf("%d attempts in an hour", n)
		}
		if m := s.Status().Groups[0].Methods[0]; m.Queued != 24 || m.Error != "connection refused" || m.Next.Before(time.Now()) {
			t.Errorf("status %+v", m)
		}
		mail.fail(nil)
		s.after(15 * time.Minute)
		var told []string
		ids := map[string]bool{}
		for _, m := range mail.messages() {
			if ids[m.ID] {
				t.Errorf("message %s came twice", m.ID)
			}
			ids[m.ID] = true
			for _, e := range m.Events {
				told = append(told, fmt.Sprint(e.Key, " ", e.Resolved))
			}
		}
		var want []string
		for i := range 12 {
			want = append(want, fmt.Sprint(i, " ", false), fmt.Sprint(i, " ", true))
		}
		if !slices.Equal(told, want) || len(ids) > 3 {
			t.Errorf("in %d messages %v, want %v", len(ids), told, want)
		}
	})
}

// TestErrors follows the three kinds of errors.
func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail"))
		defer s.stop()
		mail := s.receivers["mail"]

		mail.fail(&RetryError{errors.New("429"), 7 * time.Minute})
		s.Post(down("a"))
		s.after(6 * time.Minute)
		if mail.attempts != 1 {
			t.Errorf("%d attempts before the receiver wants one", mail.attempts)
		}
		mail.fail(nil)
		s.after(2 * time.Minute)
		if got := mail.titles(); got != "address a is down" {
			t.Errorf("then %q", got)
		}

		mail.fail(&PermanentError{errors.New("403 Forbidden")})
		s.Post(down("b"))
		s.after(time.Hour)
		if mail.attempts != 3 {
			t.Errorf("%d attempts: a rejected message is tried again", mail.attempts)
		}
		mail.fail(nil)
		s.Post(up("b"))
		s.after(time.Hour)
		if got := mail.titles(); got != "address a is down" {
			t.Errorf("after a rejection %q: the end of what was never told", got)
		}

		mail.fail(&PermanentError{errors.New("403 Forbidden")})
		s.Post(down("c"))
		s.after(time.Hour)
		mail.fail(nil)
		if err := s.Configure([]GroupOptions{ops("mail")}, nil); err != nil {
			t.Fatal(err)
		}
		s.after(time.Minute)
		if got := mail.titles(); got != "address a is down | address c is down" {
			t.Errorf("after a reload %q", got)
		}

		mail.fail(errors.New("no route to host"))
		s.Post(down("d"), down("e"), up("a"))
		s.after(2 * time.Hour)
		s.Post(up("d"))
		s.after(24 * time.Hour)
		mail.fail(nil)
		s.after(time.Hour)
		if m := s.Status().Groups[0].Methods[0]; m.Queued != 0 {
			t.Errorf("%d wait still", m.Queued)
		}
		state := map[string]bool{}
		for _, m := range mail.messages() {
			for _, e := range m.Events {
				state[e.Key] = !e.Resolved
			}
		}
		if state["a"] || !state["c"] || state["d"] || !state["e"] {
			t.Errorf("the receiver believes %v", state)
		}
		if !strings.Contains(s.log.String(), "alert given up") {
			t.Errorf("log:\n%s", s.log)
		}
	})
}

// TestGivenUpEnd has the end of something given up after it has begun anew: the receiver is not told a second time that it began.
func TestGivenUpEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		g := ops("mail")
		g.Keep = 30 * time.Minute
		s.start(g)
		defer s.stop()
		mail := s.receivers["mail"]
		s.Post(down("a"))
		s.after(20 * time.Minute)
		mail.fail(errors.New("refused"))
		s.Post(up("a"))
		s.after(20 * time.Minute)
		s.Post(down("a"))
		s.after(30 * time.Minute)
		mail.fail(nil)
		s.after(time.Hour)
		s.Post(up("a"))
		s.after(time.Hour)
		if got := mail.titles(); got != "address a is down | address a is up" {
			t.Errorf("messages %q", got)
		}
		if e := mail.messages()[1].Events[0]; e.Returns != 1 {
			t.Errorf("came back %d times, want 1", e.Returns)
		}
	})
}
