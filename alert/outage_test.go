package alert

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutage follows one outage: the cause first, what follows in the same message, then the end.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail"))
		defer s.stop()
		var events []Event
		for i := range 40 {
			events = append(events, Event{
				Time: time.Now(), Kind: "set_unavailable", Key: fmt.Sprintf("i%d/Global/primary", i), Cause: "192.0.2.1", Rank: 1,
				Title: fmt.Sprintf("set primary of i%d is unavailable", i), Instances: []string{fmt.Sprintf("i%d", i)},
			})
		}
		s.Post(events...)
		s.Post(switched("backup", "192.0.2.1"), down("192.0.2.1"))
		s.after(3 * time.Second)
		mail := s.receivers["mail"]
		if got, want := mail.titles(), "address 192.0.2.1 is down (and 41 more)"; got != want {
			t.Fatalf("messages %q, want %q", got, want)
		}
		m := mail.messages()[0]
		if took := mail.at[0].Sub(m.Events[0].Time); took > 2500*time.Millisecond {
			t.Errorf("told after %v", took)
		}
		if m.Events[0].Kind != "address_down" || m.Events[41].Kind != "switch" || m.Resolved {
			t.Errorf("events from %s to %s, resolved %t: want the cause first and what follows last", m.Events[0].Kind, m.Events[41].Kind, m.Resolved)
		}
		want := "00:00:00  address 192.0.2.1 is down\n          connection refused\n00:00:00  set primary of i0 is unavailable\n"
		if !strings.HasPrefix(m.Text, want) || !strings.Contains(m.Text, "... and 22 more.\n") {
			t.Errorf("text:\n%s", m.Text)
		}
		if n := len(s.Status().Firing); n != 41 {
			t.Errorf("%d firing, want 41", n)
		}
		s.after(10 * time.Minute)
		for i := range events {
			events[i].Resolved, events[i].Time = true, time.Now()
		}
		s.Post(append(events, up("192.0.2.1"), switched("primary", "192.0.2.1"))...)
		s.after(3 * time.Second)
		last := mail.messages()[1]
		if got := last.Title; got != "address 192.0.2.1 is up (and 41 more)" || !last.Resolved {
			t.Errorf("the end: %q, resolved %t", got, last.Resolved)
		}
		if last.Events[0].Began != m.Events[0].Time || !strings.Contains(last.Text, "address 192.0.2.1 is up (after 10m3s)") {
			t.Errorf("the end does not say since when:\n%s", last.Text)
		}
		if status := s.Status(); len(status.Firing) != 0 || len(status.Deliveries) != 2 || status.Groups[0].Methods[0].Queued != 0 {
			t.Errorf("status %+v", status)
		}
	})
}

// TestBrief has something over before the message is made: one message tells both.
func TestBrief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail"))
		defer s.stop()
		s.Post(down("a"))
		s.after(time.Second)
		s.Post(up("a"))
		s.after(5 * time.Second)
		if got := s.receivers["mail"].titles(); got != "address a is down, over after 1s" {
			t.Errorf("messages %q", got)
		}
		if m := s.receivers["mail"].messages()[0]; !m.Resolved || len(m.Events) != 2 {
			t.Errorf("message %+v", m)
		}
	})
}

// TestDelay has what is over soon not told at all.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		g := ops("mail")
		g.Delay = time.Minute
		s.start(g)
		defer s.stop()
		s.Post(down("a"), down("b"))
		s.after(59 * time.Second)
		s.Post(up("a"))
		s.after(time.Hour)
		if got := s.receivers["mail"].titles(); got != "address b is down" {
			t.Errorf("messages %q", got)
		}
	})
}

// TestStorm has 10,000 addresses go down within half a minute, and come back.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail", "chat"))
		defer s.stop()
		const n = 10_000
		for i := range n {
			s.Post(down(fmt.Sprintf("10.0.%d.%d", i/256, i%256)))
			if i%100 == 0 {
				time.Sleep(300 * time.Millisecond)
			}
		}
		s.after(10 * time.Minute)
		for name, r := range s.receivers {
			got := r.messages()
			sum := 0
			for _, m := range got {
				sum += len(m.Events) + m.Omitted
				if m.Omitted > 0 && len(m.Events) != maxEvents {
					t.Errorf("%d events listed, %d omitted", len(m.Events), m.Omitted)
				}
			}
			if len(got) > 5 || sum != n {
				t.Errorf("%s: %d messages tell of %d events: want at most 5, of %d", name, len(got), sum, n)
			}
			if last := got[len(got)-1]; !strings.Contains(last.Text, "not over now: 10,000\n") {
				t.Errorf("last message:\n%s", last.Text)
			}
		}
		begun := len(s.receivers["mail"].messages())
		for i := range n {
			s.Post(up(fmt.Sprintf("10.0.%d.%d", i/256, i%256)))
		}
		s.after(10 * time.Minute)
		got := s.receivers["mail"].messages()[begun:]
		if len(got) != 1 || got[0].Title != "10,000 events: 10,000 address_up" || !got[0].Resolved {
			t.Errorf("%d messages of the end, the first %q", len(got), got[0].Title)
		}
	})
}

// TestFlapping has an address flap for a day.
func TestFlapping(t *testing.T) {
	for _, period := range []time.Duration{5 * time.Second, 40 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.dir = "" // a day of writes to a disk takes long
			s.start(ops("mail"))
			defer s.stop()
			begins := 0
			for start := time.Now(); time.Since(start) < 24*time.Hour; begins++ {
				s.Post(down("a"), switched("backup", "a"))
				time.Sleep(period)
				s.Post(up("a"), switched("primary", "a"))
				time.Sleep(period)
			}
			s.after(2 * time.Hour)
			got := s.receivers["mail"].messages()
			if len(got) > 40 {
				t.Errorf("period %v: %d messages in a day", period, len(got))
			}
			told, isDown := 0, false
			for _, m := range got {
				for _, e := range m.Events {
					if e.Kind != "address_down" {
						continue
					}
					if e.Resolved != isDown {
						t.Fatalf("%s told twice", e.Title)
					}
					isDown = !e.Resolved
					told += e.Returns
					if isDown {
						told++
					}
				}
			}
			if isDown || told != begins {
				t.Errorf("period %v: down at the end: %t; %d beginnings told of %d", period, isDown, told, begins)
			}
		})
	}
}
