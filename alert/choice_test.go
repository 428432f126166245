package alert

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestChoices has instances choose groups, events and methods.
func TestChoices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		all, duty, silent := ops("mail"), ops("chat", "sms"), ops("pager")
		duty.Name, duty.Default, duty.General = "duty", false, false
		duty.Methods[1].Events = []Kind{FailOpen}
		silent.Name, silent.Events, silent.Resolved = "silent", []Kind{AddressDown, SetUnavailable, "set_available"}, false
		s.start()
		if err := s.Configure([]GroupOptions{all, duty, silent}, map[string][]Choice{
			"plain": nil, "nobody": {},
			"fine": {
				{Group: "duty", Events: []Kind{FailOpen, AddressDown}, Methods: []string{"chat", "sms"}, Resolved: true},
				{Group: "duty", Events: []Kind{SetUnavailable}, Methods: []string{"sms"}},
			},
		}); err != nil {
			t.Fatal(err)
		}
		defer s.stop()
		n := 0
		tell := func(kind Kind, want string, instances ...string) {
			t.Helper()
			n++
			before := map[string]int{}
			for name, r := range s.receivers {
				before[name] = len(r.messages())
			}
			e := Event{Time: time.Now(), Kind: string(kind), Key: fmt.Sprint(n), Title: "began", Instances: instances}
			s.Post(e)
			s.after(10 * time.Second)
			e.Resolved, e.Time, e.Title = true, time.Now(), "over"
			s.Post(e)
			s.after(2 * time.Hour)
			var got []string
			for _, name := range []string{"mail", "chat", "sms", "pager"} {
				for _, m := range s.receivers[name].messages()[before[name]:] {
					got = append(got, fmt.Sprintf("%s %s %s", name, m.Title, strings.Join(m.Events[0].Instances, "+")))
				}
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("%s of %v: got %q, want %q", kind, instances, text, want)
			}
		}
		tell(AddressDown, "mail began plain, mail over plain, pager began plain", "plain")
		tell(SetUnavailable, "mail began plain, mail over plain, pager began plain, pager over plain", "plain")
		tell(AddressDown, "", "nobody")
		tell(AddressDown, "chat began fine, chat over fine", "fine")
		tell(FailOpen, "chat began fine, chat over fine, sms began fine, sms over fine", "fine")
		tell(SetUnavailable, "", "fine") // sms takes fail_open only
		tell(Unconfigured, "", "fine")
		tell(AddressDown, "mail began plain+unheard, mail over plain+unheard, chat began fine, chat over fine, pager began plain+unheard", "plain", "nobody", "fine", "unheard")
		tell(ProberBlind, "mail began , mail over ")
		for _, g := range s.Status().Groups {
			if want := map[string]string{"ops": "[plain]", "duty": "[fine]", "silent": "[plain]"}[g.Name]; fmt.Sprint(g.Instances) != want {
				t.Errorf("group %s has %v, want %s", g.Name, g.Instances, want)
			}
		}
	})
}

// TestReload changes groups while something goes on.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail", "chat"))
		defer s.stop()
		s.Post(down("a"))
		s.after(10 * time.Second)
		s.receivers["chat"].fail(errors.New("refused"))
		s.Post(down("b"))
		s.after(10 * time.Second)
		changed := ops("mail", "sms")
		changed.Events = []Kind{FailOpen}
		if err := s.Configure([]GroupOptions{changed}, nil); err != nil {
			t.Fatal(err)
		}
		s.after(time.Hour)
		s.Post(up("a"), down("c"))
		s.after(time.Hour)
		if got := s.receivers["mail"].titles(); got != "address a is down | address b is down | address a is up" {
			t.Errorf("mail: %q: want the end of what it was told, and nothing new", got)
		}
		if got := s.receivers["sms"].titles(); got != "" {
			t.Errorf("sms: %q: want nothing of what began before it was there", got)
		}
		if n := s.receivers["chat"].attempts; n > 3 {
			t.Errorf("%d attempts by a method that is there no longer", n)
		}
		if !strings.Contains(s.log.String(), "alert method removed with events that wait") {
			t.Errorf("log:\n%s", s.log)
		}
		s.newSender = nil // not called for no methods
		if err := s.Configure(nil, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRefusedReload keeps all as it is when a method cannot be made.
func TestRefusedReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail"))
		defer s.stop()
		bad := ops("mail", "fax")
		bad.Methods[1].Kind = "fax"
		made := s.newSender
		s.newSender = NewSender
		err := s.Configure([]GroupOptions{bad}, nil)
		s.newSender = made
		if err == nil || !strings.Contains(err.Error(), `"fax" is no method`) {
			t.Errorf("error %v", err)
		}
		s.Post(down("a"))
		s.after(10 * time.Second)
		if got := s.receivers["mail"].titles(); got != "address a is down" {
			t.Errorf("messages %q", got)
		}
	})
}

// TestInbox posts more than there is room for.
func TestInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.dir = ""
		s.start(ops("mail"))
		defer s.stop()
		s.mu.Lock() // the desk stands still
		for i := range maxInbox + 10 {
			s.Post(down(fmt.Sprint(i)))
		}
		s.mu.Unlock()
		s.after(time.Minute)
		if n := s.Status().Dropped; n != 10 {
			t.Errorf("%d dropped, want 10", n)
		}
		if !strings.Contains(s.log.String(), "alert events dropped") {
			t.Errorf("log:\n%s", s.log)
		}
	})
}

// TestMetrics follows the series of methods.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.start(ops("mail", "chat"))
		registry := prometheus.NewRegistry()
		if err := registry.Register(metrics{s.Service}); err != nil {
			t.Fatal(err)
		}
		defer s.stop()
		check := func(want string) {
			t.Helper()
			if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "gtmd_alerts_messages_total", "gtmd_alerts_failed_attempts_total",
				"gtmd_alerts_queue_length", "gtmd_alerts_firing", "gtmd_alerts_dropped_events_total"); err != nil {
				t.Error(err)
			}
		}
		const help = `# HELP gtmd_alerts_dropped_events_total Events that were dropped because too many waited.
# TYPE gtmd_alerts_dropped_events_total counter
gtmd_alerts_dropped_events_total 0
# HELP gtmd_alerts_failed_attempts_total Attempts to deliver an alert message that failed.
# TYPE gtmd_alerts_failed_attempts_total counter
`
		const messages = `# HELP gtmd_alerts_messages_total Alert messages that were delivered, rejected by the receiver for good, or given up after the time that they are kept (expired).
# TYPE gtmd_alerts_messages_total counter
`
		const queue = `# HELP gtmd_alerts_queue_length Events that wait to be told by a method, with those of a message that is being tried.
# TYPE gtmd_alerts_queue_length gauge
`
		const firing = `# HELP gtmd_alerts_firing Alerts that are not over.
# TYPE gtmd_alerts_firing gauge
`
		check(help + `gtmd_alerts_failed_attempts_total{group="ops",method="chat"} 0
gtmd_alerts_failed_attempts_total{group="ops",method="mail"} 0
` + firing + "gtmd_alerts_firing 0\n" + messages + `gtmd_alerts_messages_total{group="ops",method="chat",result="delivered"} 0
gtmd_alerts_messages_total{group="ops",method="chat",result="expired"} 0
gtmd_alerts_messages_total{group="ops",method="chat",result="rejected"} 0
gtmd_alerts_messages_total{group="ops",method="mail",result="delivered"} 0
gtmd_alerts_messages_total{group="ops",method="mail",result="expired"} 0
gtmd_alerts_messages_total{group="ops",method="mail",result="rejected"} 0
` + queue + `gtmd_alerts_queue_length{group="ops",method="chat"} 0
gtmd_alerts_queue_length{group="ops",method="mail"} 0
`)
		s.receivers["mail"].fail(errors.New("refused"))
		s.Post(down("a"), down("b"))
		s.after(4 * time.Second)
		if err := s.Configure([]GroupOptions{ops("mail")}, nil); err != nil {
			t.Fatal(err)
		}
		s.after(500 * time.Millisecond)
		check(help + `gtmd_alerts_failed_attempts_total{group="ops",method="mail"} 2
` + firing + "gtmd_alerts_firing 2\n" + messages + `gtmd_alerts_messages_total{group="ops",method="mail",result="delivered"} 0
gtmd_alerts_messages_total{group="ops",method="mail",result="expired"} 0
gtmd_alerts_messages_total{group="ops",method="mail",result="rejected"} 0
` + queue + `gtmd_alerts_queue_length{group="ops",method="mail"} 2
`)
		problems, err := testutil.GatherAndLint(registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
	})
}
