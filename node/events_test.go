package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
	"gtmd/node"
)

// eventsOf are the events of some kinds, the oldest first, as "kind: message".
func eventsOf(n *node.Node, kinds ...admin.EventKind) []string {
	var all []string
	for _, e := range n.Events(admin.EventQuery{Kinds: kinds, Limit: admin.MaxEvents}).Events {
		all = append(all, fmt.Sprintf("%s: %s", e.Kind, e.Message))
	}
	slices.Reverse(all)
	return all
}

// health are the kinds of events that follow from health.
var health = []admin.EventKind{
	admin.EventAddressDown, admin.EventAddressUp, admin.EventSetUnavailable, admin.EventSetAvailable, admin.EventSwitch,
	admin.EventFailOpen, admin.EventFailOpenEnd,
}

// event is the latest event of a kind.
func event(t *testing.T, n *node.Node, kind admin.EventKind) admin.Event {
	t.Helper()
	list := n.Events(admin.EventQuery{Kinds: []admin.EventKind{kind}, Limit: 1})
	if len(list.Events) == 0 {
		t.Fatalf("there is no event %s; there are:\n%s", kind, strings.Join(eventsOf(n), "\n"))
	}
	return list.Events[0]
}

// TestEvents follows an origin that dies and comes back: what happens is told, with the reason, in this order, once.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	eventually(t, "1", func() string { return fmt.Sprint(len(eventsOf(n, admin.EventConfigLoaded))) })
	equal(t, "at the start", len(eventsOf(n)), 2)
	equal(t, "started", event(t, n, admin.EventStarted).Message, "gtmd 1.2.3 started")
	changed, end := n.Watch()
	defer end()
	s.origins[0].stop()
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told of a change")
	}
	down := []string{
		fmt.Sprintf("address_down: %s (pool test1) is down", s.origins[0]),
		"set_unavailable: cdn-origin, policy Global (IPv4): the primary set is not available, 0 of 1 addresses are, 1 needed",
		"switch: cdn-origin, policy Global (IPv4): primary -> backup, failover",
	}
	eventually(t, strings.Join(down, "\n"), func() string { return strings.Join(eventsOf(n, health...), "\n") })
	refused := "connection refused"
	e := event(t, n, admin.EventAddressDown)
	if e.Address != s.origins[0].String() || e.Pool != "test1" || e.HealthCheck != "web" || !strings.Contains(e.Reason, refused) || e.Since == nil {
		t.Errorf("the event is %+v", e)
	}
	if e := event(t, n, admin.EventSwitch); e.From != "primary" || e.To != "backup" || !strings.Contains(e.Reason, refused) || e.Family != "ipv4" {
		t.Errorf("the event is %+v", e)
	}
	s.origins[0].start()
	back := append(down,
		fmt.Sprintf("address_up: %s (pool test1) is up again", s.origins[0]),
		"set_available: cdn-origin, policy Global (IPv4): the primary set is available, 1 of 1 addresses are, 1 needed",
		"switch: cdn-origin, policy Global (IPv4): backup -> primary, normal",
	)
	eventually(t, strings.Join(back, "\n"), func() string { return strings.Join(eventsOf(n, health...), "\n") })
	if e := event(t, n, admin.EventAddressUp); !strings.Contains(e.Reason, "was down for ") || !strings.Contains(e.Reason, refused) {
		t.Errorf("the event is %+v", e)
	}
	of := n.Events(admin.EventQuery{Instance: "cdn-origin", Limit: 1000})
	equal(t, "of the instance", len(of.Events), 6)
	equal(t, "of another", len(n.Events(admin.EventQuery{Instance: "other"}).Events), 0)
	equal(t, "of the pool", len(n.Events(admin.EventQuery{Pool: "test1"}).Events), 2)
	equal(t, "counted", metric(t, n, `gtmd_events_total{kind="address_down"}`), "1")
	equal(t, "dropped", metric(t, n, "gtmd_events_dropped_total"), "0")
}

// TestEventsRestart: after a restart with the same verdicts nothing is told again; what came up meanwhile is over.
func TestEventsRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	s.origins[0].stop()
	eventually(t, "3", func() string { return fmt.Sprint(len(eventsOf(n, health...))) })
	before := n.Events(admin.EventQuery{})
	n.Close()
	slow := strings.NewReplacer(`interval = "200ms"`, `interval = "1h"`).Replace(header)
	n = s.start(slow, pools, instance)
	equal(t, "events", len(eventsOf(n, health...)), 3)
	equal(t, "stopped", len(eventsOf(n, admin.EventStopped)), 1)
	eventually(t, "2 2", func() string {
		return fmt.Sprint(len(eventsOf(n, admin.EventStarted)), " ", len(eventsOf(n, admin.EventConfigLoaded)))
	})
	list := n.Events(admin.EventQuery{After: before.Latest})
	if len(list.Events) < 3 || list.Events[0].ID <= before.Latest || list.Events[0].Kind != admin.EventStopped {
		t.Errorf("after the restart: %+v", list)
	}
	n.Close()

	s.origins[0].start()
	n = s.start(header, pools, instance)
	eventually(t, fmt.Sprintf("address_up: %s (pool test1) is up again", s.origins[0]), func() string {
		return strings.Join(eventsOf(n, admin.EventAddressUp), "\n")
	})
}

// TestOverrideEndsWhileAway: an override whose time comes while gtmd does not run has its event all the same.
func TestOverrideEndsWhileAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	until := time.Now().Add(500 * time.Millisecond)
	if _, err := n.SetOverride(context.Background(), admin.OverrideRequest{
		OverrideTarget: admin.OverrideTarget{Pool: "test2"}, State: "down", Reason: "short", Author: "bob", Until: &until,
	}); err != nil {
		t.Fatal(err)
	}
	n.Close()
	time.Sleep(time.Until(until) + 10*time.Millisecond)
	n = s.start(header, pools, instance)
	equal(t, "expired", strings.Join(eventsOf(n, admin.EventOverrideExpired), "\n"), "override_expired: override o1, down on pool test2, is over")
	eventually(t, "set_available: cdn-origin, policy Global (IPv4): the backup set is available, 1 of 1 addresses are, 1 needed", func() string {
		return strings.Join(eventsOf(n, admin.EventSetAvailable), "\n")
	})
}

// TestEventsKill starts from what kill -9 leaves: the files as they were a second later, and half a line.
func TestEventsKill(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	s.origins[0].stop()
	eventually(t, "3", func() string { return fmt.Sprint(len(eventsOf(n, health...))) })
	file := s.path("state/events.jsonl")
	eventually(t, "3", func() string { // within a second, without a Close
		text, _ := os.ReadFile(file)
		return fmt.Sprint(strings.Count(string(text), `"down`) + strings.Count(string(text), `"kind":"set_un`) + strings.Count(string(text), `"kind":"switch"`) +
			strings.Count(string(text), `"kind":"address_down"`))
	})
	eventually(t, "told", func() string {
		text, _ := os.ReadFile(s.path("state/" + node.StateFile))
		if strings.Contains(string(text), `"told":[{"key":"address/`) && strings.Contains(string(text), `"key":"set/`) {
			return "told"
		}
		return string(text)
	})
	left := s.path("left")
	if err := os.CopyFS(left, os.DirFS(s.path("state"))); err != nil {
		t.Fatal(err)
	}
	last := n.Events(admin.EventQuery{}).Latest
	f, err := os.OpenFile(left+"/events.jsonl", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, `{"id":%d,"time":"20`, last+1)
	f.Close()
	n.Close()
	n = s.start(strings.Replace(header, "$DIR/state", "$DIR/left", 1), pools, instance)
	equal(t, "events", len(eventsOf(n, health...)), 3)
	equal(t, "complaints", len(s.log.lines("some lines of the event file are no events: they are skipped")), 1)
	equal(t, "stopped", len(eventsOf(n, admin.EventStopped)), 0)
	list := n.Events(admin.EventQuery{After: last})
	for i, e := range list.Events {
		if e.ID <= last || i > 0 && e.ID <= list.Events[i-1].ID {
			t.Errorf("ID %d comes again", e.ID)
		}
	}
	time.Sleep(time.Second) // a mistake would show by now
	equal(t, "events", len(eventsOf(n, health...)), 3)
}

// TestEventsTakeOver: IDs go on, no event is lost or told twice, and two processes never write the same file.
func TestEventsTakeOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	head := fixed(t)
	n := s.start(head, pools, instance)
	s.origins[0].stop()
	eventually(t, "3", func() string { return fmt.Sprint(len(eventsOf(n, health...))) })
	for range 3 {
		before := n.Events(admin.EventQuery{Limit: 1000})
		old := n
		n = s.replace(n)
		after := n.Events(admin.EventQuery{Limit: 1000})
		list := n.Events(admin.EventQuery{After: before.Latest})
		equal(t, "lost", len(after.Events), len(before.Events)+len(list.Events))
		equal(t, "first", list.Events[0].Kind, admin.EventTakenOver)
		eventually(t, "true", func() string {
			all := n.Events(admin.EventQuery{After: before.Latest}).Events
			return fmt.Sprint(len(all) == 2 && all[1].Kind == admin.EventConfigLoaded)
		})
		old.Refused(context.Background(), "too late", "it has left")
	}
	equal(t, "health", len(eventsOf(n, health...)), 3)
	equal(t, "by the old ones", len(eventsOf(n, admin.EventRefused, admin.EventStopped)), 0)
	taken := event(t, n, admin.EventTakenOver)
	equal(t, "from and to", taken.From+" "+taken.To, "1.2.4 1.2.4")
	equal(t, "complaints", len(s.log.lines("events are not written")), 0)
	n.Close()
	text, err := os.ReadFile(s.path("state/events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for line := range strings.Lines(string(text)) {
		var e admin.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ID <= last {
			t.Errorf("ID %d after %d, %v: %s", e.ID, last, err, line)
		}
		last = e.ID
	}
}

// TestEventsOfRefusedTakeOver: a successor that fails leaves nothing in the events.
func TestEventsOfRefusedTakeOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(fixed(t), pools, instance)
	eventually(t, "2", func() string { return fmt.Sprint(len(eventsOf(n))) }) // started, and the configuration loaded
	s.write("nonsense")
	if _, err := s.successor(); err == nil {
		t.Fatal("it took over")
	}
	n.Refused(context.Background(), "POST /api/v1/switch", "no token")
	equal(t, "events", len(eventsOf(n)), 3)
}

// TestAudit: every change that is asked for is in the log, with who, which way and why, before what follows from it.
func TestAudit(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	eventually(t, "1", func() string { return fmt.Sprint(len(eventsOf(n, admin.EventConfigLoaded))) })
	ctx := admin.WithCaller(context.Background(), admin.Caller{Name: "deploy", Via: "tcp", Remote: "192.0.2.77"})
	socket := admin.WithCaller(context.Background(), admin.Caller{Via: "socket"})
	last := func() uint64 { return n.Events(admin.EventQuery{}).Latest }
	// after are the events after an ID as "kind author via: message; reason".
	after := func(id uint64) string {
		var all []string
		for _, e := range n.Events(admin.EventQuery{After: id}).Events {
			all = append(all, fmt.Sprintf("%s %s %s: %s; %s", e.Kind, e.Author, e.Via, e.Message, e.Reason))
		}
		return strings.Join(all, "\n")
	}

	id := last()
	r, err := n.SetOverride(ctx, admin.OverrideRequest{
		OverrideTarget: admin.OverrideTarget{Pool: "test1"}, State: "down", Reason: "new\nkernel", Author: admin.Author(ctx, "alice"), For: admin.Duration(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf(`override_set deploy (alice) tcp: override o1, down on pool test1, is set until %s; new; kernel
set_unavailable  : cdn-origin, policy Global (IPv4): the primary set is not available, 0 of 1 addresses are, 1 needed; %s: down by override (alice (token deploy): new; kernel)
switch  : cdn-origin, policy Global (IPv4): primary -> backup, failover; %[2]s: down by override (alice (token deploy): new; kernel)`,
		r.Expires.Local().Format(time.DateTime+" MST"), s.origins[0]), func() string { return after(id) })
	equal(t, "remote", event(t, n, admin.EventOverrideSet).Remote, "192.0.2.77")
	if _, err := n.Probe(ctx, admin.ProbeRequest{Pool: "test1", Author: admin.Author(ctx, "alice")}); err != nil {
		t.Fatal(err)
	}
	equal(t, "who probed", event(t, n, admin.EventProbeAsked).Author, "deploy (alice)")

	id = last()
	if _, err := n.SetOverride(socket, admin.OverrideRequest{OverrideTarget: admin.OverrideTarget{Pool: "test2"}, State: "down", Reason: "x", Author: "bob"}); err == nil {
		t.Fatal("it was set")
	}
	equal(t, "refused", after(id), `change_refused bob socket: refused: override down on pool test2; refused: no set would have an available address left: instance "cdn-origin", policy "Global" (ipv4). It takes force to do it all the same`)

	id = last()
	if _, err := n.ClearOverride(socket, admin.ClearRequest{ID: "o1", Author: "bob"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, `override_cleared bob socket: override o1, down on pool test1, is cleared; it was set by alice (token deploy): new
kernel
set_available  : cdn-origin, policy Global (IPv4): the primary set is available, 1 of 1 addresses are, 1 needed; 
switch  : cdn-origin, policy Global (IPv4): backup -> primary, normal; `, func() string { return strings.Replace(after(id), "new; kernel", "new\nkernel", 1) })

	id = last()
	if _, err := n.SetOverride(socket, admin.OverrideRequest{
		OverrideTarget: admin.OverrideTarget{Address: "192.0.2.1"}, State: "down", Reason: "x", Author: "bob",
	}); err == nil {
		t.Fatal("it was set")
	}
	equal(t, "no such address", after(id), "change_refused bob socket: refused: override down on 192.0.2.1; no pool has an address 192.0.2.1")

	id = last()
	if _, err := n.Switch(socket, admin.SwitchRequest{Instance: "cdn-origin", Policy: "Global", Set: "backup", Author: "bob", Reason: "drill"}); err == nil {
		t.Fatal("it was switched")
	}
	if list := n.Events(admin.EventQuery{After: id}).Events; len(list) != 1 || list[0].Kind != admin.EventRefused || list[0].Instance != "cdn-origin" || list[0].Set != "backup" {
		t.Errorf("the events are %+v", list)
	}

	id = last()
	short, err := n.SetOverride(socket, admin.OverrideRequest{
		OverrideTarget: admin.OverrideTarget{Pool: "test1"}, State: "drain", Reason: "short", Author: "bob", For: admin.Duration(time.Second), Over: new(admin.Duration),
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "override_expired: override "+short.ID+", drain on pool test1, is over", func() string { return strings.Join(eventsOf(n, admin.EventOverrideExpired), "\n") })
	expired := event(t, n, admin.EventOverrideExpired)
	equal(t, "who set it", expired.Author+expired.Reason, "it was set by bob: short")

	id = last()
	signal := admin.WithCaller(context.Background(), admin.Caller{Via: "signal"})
	if err := n.Reload(signal); err != nil {
		t.Fatal(err)
	}
	want := "reload_asked  signal: a reload of gtmd.toml is asked for; \nconfig_loaded  : configuration gtmd.toml is loaded: 1 instance, 2 pools, hash " + n.Status().Config.Hash[:12] + "; "
	eventually(t, want, func() string { return strings.Join(reloads(after(id)), "\n") })

	id = last()
	s.write("[dns]\nlisten = [\"nonsense\"]\nfoo = 1\n")
	if err := n.Reload(context.Background()); err == nil {
		t.Fatal("it was loaded")
	}
	eventually(t, "1", func() string { return fmt.Sprint(len(eventsOf(n, admin.EventConfigRejected))) })
	if e := event(t, n, admin.EventConfigRejected); !strings.Contains(e.Reason, "foo") || strings.Contains(e.Reason, "\n") {
		t.Errorf("the event is %+v", e)
	}

	id = last()
	if _, err := n.TestAlert(socket, admin.AlertTestRequest{Group: "nobody", Author: "bob"}); err == nil {
		t.Fatal("there is a group")
	}
	if text := after(id); !strings.HasPrefix(text, "change_refused bob socket: refused: a test message for alert group nobody; ") {
		t.Errorf("events: %s", text)
	}
	n.Refused(ctx, "POST /api/v1/switch", "the token may only read")
	if text := after(id); !strings.HasSuffix(text, "\nchange_refused deploy tcp: refused: POST /api/v1/switch; the token may only read") {
		t.Errorf("events: %s", text)
	}
	for range 100 {
		n.Refused(ctx, "POST /api/v1/switch", "again")
	}
	if count := len(eventsOf(n, admin.EventRefused)); count > 60 {
		t.Errorf("%d refused changes are events", count)
	}
}

// reloads are the lines about reloads.
func reloads(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "reload_asked") && !strings.HasPrefix(line, "config_")
	})
}

// TestEventsFullDisk: without a place for the file events are in memory all the same, and are written when there is one.
func TestEventsFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	if err := os.WriteFile(s.path("state"), nil, 0o600); err != nil { // a file is in the way of the directory
		t.Fatal(err)
	}
	n := s.start(header, pools, instance)
	s.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	eventually(t, "3", func() string { return fmt.Sprint(len(eventsOf(n, health...))) })
	eventually(t, "1", func() string {
		return fmt.Sprint(len(s.log.lines("events are not written: after a restart they would be missing")))
	})
	if metric(t, n, "gtmd_event_write_failures_total") == "0" {
		t.Error("failures are not counted")
	}
	if err := os.Remove(s.path("state")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "1", func() string { return fmt.Sprint(len(s.log.lines("events are written again"))) })
}
