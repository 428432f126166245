package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gtmd/admin"
)

// mailbox receives messages of alerts over HTTP.
type mailbox struct {
	*httptest.Server
	mu       sync.Mutex // guards messages
	messages []received
}

// received is what a webhook sends, as far as the tests look at it.
type received struct {
	Title   string `json:"title"`
	Text    string `json:"text"`
	Test    bool   `json:"test"`
	Omitted int    `json:"omitted"`
	Events  []struct {
		Kind      string   `json:"kind"`
		Title     string   `json:"title"`
		Text      string   `json:"text"`
		Instances []string `json:"instances"`
		Resolved  bool     `json:"resolved"`
	} `json:"events"`
}

func newMailbox(t *testing.T) *mailbox {
	m := &mailbox{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		var got struct{ Data received }
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if err != nil {
			t.Errorf("a message that cannot be read: %v: %s", err, text)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.messages = append(m.messages, got.Data)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *mailbox) all() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// kinds are the messages as the kinds of their events, "+" before those that are over.
func (m *mailbox) kinds() string {
	var all []string
	for _, one := range m.all() {
		var kinds []string
		for _, e := range one.Events {
			kind := e.Kind
			if e.Resolved {
				kind = "+" + kind
			}
			kinds = append(kinds, kind)
		}
		slices.Sort(kinds)
		all = append(all, strings.Join(kinds, " "))
	}
	return strings.Join(all, "\n")
}

// group is an alert group that is told at once.
const group = `
[[alert_group]]
name = "oncall"
group_wait = "500ms"
hold = "0s"
[[alert_group.method]]
kind = "webhook"
url = "$URL"
`

// two is a second instance that uses the same pools.
var two = strings.NewReplacer("cdn-origin", "static", "origin.gtm.test", "static.gtm.test").Replace(instance)

// TestAlerts follows an origin that two instances use: one message says all that follows from its end, one that all is over; a
// restart in between tells nothing again.
func TestAlerts(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	box := newMailbox(t)
	told := strings.Replace(group, "$URL", box.URL, 1)
	n := s.start(header, pools, instance, two, told)
	reply, err := n.TestAlert(context.Background(), admin.AlertTestRequest{Group: "oncall", Author: "alice"})
	if err != nil || len(reply.Deliveries) != 1 || reply.Deliveries[0].Error != "" {
		t.Fatalf("test: %+v, %v", reply, err)
	}
	if got := box.all(); len(got) != 1 || !got[0].Test {
		t.Fatalf("test messages: %+v", got)
	}
	box.mu.Lock()
	box.messages = nil
	box.mu.Unlock()
	equal(t, "who", event(t, n, admin.EventAlertTest).Author, "alice")

	s.origins[0].stop()
	down := "address_down set_unavailable set_unavailable switch switch"
	eventually(t, down, box.kinds)
	got := box.all()[0]
	first := got.Events[0]
	equal(t, "the cause is first", first.Kind, "address_down")
	equal(t, "instances", strings.Join(first.Instances, " "), "cdn-origin static")
	for _, want := range []string{"Reason: ", "connection refused", "Since: ", "To do: look at the origin"} {
		if !strings.Contains(first.Text, want) {
			t.Errorf("the text has no %q: %s", want, first.Text)
		}
	}
	if !strings.Contains(got.Title, s.origins[0].String()) {
		t.Errorf("the title is %q", got.Title)
	}
	eventually(t, "3", func() string { return fmt.Sprint(len(n.Alerts().Firing)) })
	n.Close()

	slow := strings.NewReplacer(`interval = "200ms"`, `interval = "1h"`).Replace(header)
	n = s.start(slow, pools, instance, two, told)
	eventually(t, "3", func() string { return fmt.Sprint(len(n.Alerts().Firing)) })
	// A refused configuration is told, and is over with the next one; nothing of what is known comes with it.
	s.write("foo = 1")
	if err := n.Reload(context.Background()); err == nil {
		t.Fatal("it was loaded")
	}
	eventually(t, down+"\nconfig_rejected", box.kinds)
	s.origins[0].start()
	if err := s.reload(n, header, pools, instance, two, told); err != nil {
		t.Fatal(err)
	}
	eventually(t, "true", func() string {
		text := box.kinds()
		return fmt.Sprint(strings.Count(text, "+address_down") == 1 && strings.Count(text, "+set_unavailable") == 2 && strings.Contains(text, "+config_rejected"))
	})
	eventually(t, "0", func() string { return fmt.Sprint(len(n.Alerts().Firing)) })
	time.Sleep(2 * time.Second) // a mistake would show by now
	if text := box.kinds(); strings.Count(text, "\naddress_down")+strings.Count(text, " address_down") > 0 || strings.Count(text, " set_unavailable") > 2 {
		t.Errorf("told twice:\n%s", text)
	}
	equal(t, "groups", n.Alerts().Groups[0].Methods[0].Kind, "webhook")
}

// TestAlertsOverATakeOver: what was told before is not told again, and what is over then is.
func TestAlertsOverATakeOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	box := newMailbox(t)
	n := s.start(fixed(t), pools, instance, strings.Replace(group, "$URL", box.URL, 1))
	s.origins[0].stop()
	const down = "address_down set_unavailable switch"
	eventually(t, down, box.kinds)
	n = s.replace(n)
	eventually(t, "2", func() string { return fmt.Sprint(len(n.Alerts().Firing)) })
	time.Sleep(2 * time.Second) // a mistake would show by now
	equal(t, "messages", box.kinds(), down)
	s.origins[0].start()
	eventually(t, "0", func() string { return fmt.Sprint(len(n.Alerts().Firing)) })
	eventually(t, "true", func() string { return fmt.Sprint(strings.Contains(box.kinds(), "+address_down")) })
}

// TestAlertGroupsReload: a group that cannot be set up refuses the configuration; one that is new is there after the reload.
func TestAlertGroupsReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	box := newMailbox(t)
	n := s.start(header, pools, instance)
	equal(t, "groups", len(n.Alerts().Groups), 0)
	if err := s.reload(n, header, pools, instance, strings.Replace(group, "$URL", box.URL, 1)); err != nil {
		t.Fatal(err)
	}
	equal(t, "groups", len(n.Alerts().Groups), 1)
	equal(t, "told of", strings.Join(n.Alerts().Groups[0].Instances, " "), "cdn-origin")
	s.origins[0].stop()
	eventually(t, "address_down set_unavailable switch", box.kinds)
	if err := s.reload(n, header, pools, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "groups", len(n.Alerts().Groups), 0)
}

// TestAlertsOfAnOverride: what follows from what an operator does is told, with who and why, and nobody is sent to look at an origin
// that is well.
func TestAlertsOfAnOverride(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	box := newMailbox(t)
	n := s.start(header, pools, instance, strings.Replace(group, "$URL", box.URL, 1))
	target := admin.OverrideTarget{Pool: "test1"}
	if _, err := n.SetOverride(context.Background(), admin.OverrideRequest{OverrideTarget: target, State: "down", Reason: "new kernel", Author: "bob"}); err != nil {
		t.Fatal(err)
	}
	const down = "set_unavailable switch"
	eventually(t, down, box.kinds)
	for _, want := range []string{"down by override (bob: new kernel)", "To do: nothing, if override o1 is meant", `"gtmd override clear o1"`, "It follows from override o1."} {
		if text := box.all()[0].Text; !strings.Contains(text, want) || strings.Contains(text, "bring its addresses back") {
			t.Errorf("the text has no %q:\n%s", want, text)
		}
	}
	if _, err := n.ClearOverride(context.Background(), admin.ClearRequest{ID: "o1", Author: "bob"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, down+"\n+set_unavailable switch", box.kinds)
	if _, err := n.StartDrill(context.Background(), admin.DrillRequest{OverrideTarget: target, For: admin.Duration(time.Second), Reason: "game day", Author: "alice"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, down+"\n+set_unavailable switch\n"+down+"\n+set_unavailable switch", box.kinds)
	if text := box.all()[2].Text; !strings.Contains(text, "(alice: drill d1: game day)") {
		t.Errorf("the text does not tell of the drill:\n%s", text)
	}
}

// TestBusinessDomainGone: a domain that is not configured when gtmd ends, and is not there any more when it starts, is over; one that
// is not checked any more, too.
func TestBusinessDomainGone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(head, in string) string{
		"removed":   func(head, in string) string { return head + instance },
		"unchecked": func(head, in string) string { return head + "[business]\ncheck_interval = \"0s\"\n" + in },
		"excepted":  func(head, in string) string { return head + "[business]\nexcept = [\"www.shop.test\"]\n" + in },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			box := newMailbox(t)
			net := startInternet(t, "www.shop.test. 60 IN A 192.0.2.1\n")
			head := header + fmt.Sprintf("[resolver]\nservers = [%q]\n", net.address)
			in := strings.Replace(instance, "ttl = 5", "ttl = 5\nbusiness_domains = [\"www.shop.test\"]", 1)
			told := pools + strings.Replace(group, "$URL", box.URL, 1)
			n := s.start(head, in, told)
			eventually(t, "instance_unconfigured", box.kinds)
			n.Close()
			n = s.start(change(head, in), told)
			eventually(t, "instance_unconfigured\n+instance_unconfigured", box.kinds)
			eventually(t, "0", func() string { return fmt.Sprint(len(n.Alerts().Firing)) })
		})
	}
}
