package policy_test

import (
	"encoding/json"
	"testing"
	"time"

	"gtmd/policy"
)

// step is a decision of a policy some seconds after the epoch.
type step struct {
	at   int
	sets []string
	want string
}

// TestFailback takes a policy through a story. Its policy is compiled anew at every step, as after a reload, and its
// memory is written and read again, as after a restart.
func TestFailback(t *testing.T) {
	auto := policy.PolicyOptions{Failback: policy.FailbackAuto}
	delayed := policy.PolicyOptions{Failback: policy.FailbackAuto, FailbackDelay: 30 * time.Second}
	manual := policy.PolicyOptions{Failback: policy.FailbackManual, FailbackDelay: 30 * time.Second}
	for _, row := range []struct {
		name    string
		options policy.PolicyOptions
		steps   []step
	}{
		{"auto without delay", auto, []step{
			{0, []string{"a:+", "b:+"}, "primary, normal: a1"},
			{10, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{20, []string{"a:+", "b:+"}, "primary, normal: a1"},
		}},
		{"auto with delay", delayed, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
			{25, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +15s"},
			{39, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +1s"},
			{40, []string{"a:+", "b:+"}, "primary, normal: a1"},
			{41, []string{"a:+", "b:+"}, "primary, normal: a1"},
		}},
		{"no delay on a first start", delayed, []step{
			{0, []string{"a:+", "b:+"}, "primary, normal: a1"},
		}},
		{"no delay when the set in force goes", delayed, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
			{11, []string{"a:+", "b:-"}, "primary, normal: a1"},
			{12, []string{"a:+", "b:+"}, "primary, normal: a1"},
		}},
		{"no delay when the set in force falls below its threshold", delayed, []step{
			{0, []string{"a:-", "2 b:++"}, "backup, failover: b1 b2"},
			{10, []string{"a:+", "2 b:+-"}, "primary, normal: a1"},
		}},
		{"a flap starts the delay again", delayed, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
			{30, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{35, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
			{40, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +25s"},
			{65, []string{"a:+", "b:+"}, "primary, normal: a1"},
		}},
		{"the earliest of two recovered sets", delayed, []step{
			{0, []string{"a:-", "b:-", "c:+"}, "backup 2, failover: c1"},
			{10, []string{"a:-", "b:+", "c:+"}, "backup 2, failback waits: c1 until +30s"},
			{25, []string{"a:+", "b:+", "c:+"}, "backup 2, failback waits: c1 until +15s"},
			{40, []string{"a:+", "b:+", "c:+"}, "backup, failback waits: b1 until +15s"},
			{55, []string{"a:+", "b:+", "c:+"}, "primary, normal: a1"},
		}},
		{"the primary before the backup", delayed, []step{
			{0, []string{"a:-", "b:-", "c:+"}, "backup 2, failover: c1"},
			{10, []string{"a:+", "b:-", "c:+"}, "backup 2, failback waits: c1 until +30s"},
			{25, []string{"a:+", "b:+", "c:+"}, "backup 2, failback waits: c1 until +15s"},
			{40, []string{"a:+", "b:+", "c:+"}, "primary, normal: a1"},
		}},
		{"a recovered set between", delayed, []step{
			{0, []string{"a:-", "b:-", "c:+"}, "backup 2, failover: c1"},
			{10, []string{"a:-", "b:+", "c:+"}, "backup 2, failback waits: c1 until +30s"},
			{40, []string{"a:-", "b:+", "c:+"}, "backup, failover: b1"},
		}},
		{"manual stays", manual, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:+", "b:+"}, "backup, failback is manual: b1"},
			{1000, []string{"a:+", "b:+"}, "backup, failback is manual: b1"},
			{1010, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{1020, []string{"a:+", "b:-"}, "primary, normal: a1"},
			{1030, []string{"a:+", "b:+"}, "primary, normal: a1"},
		}},
		{"fail open while waiting", delayed, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:-", "b:-"}, "primary, fail open: a1"},
			{20, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{30, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
		}},
		{"degraded, then both recover", delayed, []step{
			{0, []string{"2 a:--", "2 b:+-"}, "backup, degraded: b1"},
			{10, []string{"2 a:++", "2 b:++"}, "backup, failback waits: b1 b2 until +30s"},
			{40, []string{"2 a:++", "2 b:++"}, "primary, normal: a1 a2"},
		}},
		{"a reload makes the set in force the primary", manual, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"b:+", "a:+"}, "primary, normal: b1"},
		}},
		{"a reload makes the set in force the third", manual, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:+", "c:+", "b:+"}, "backup 2, failback is manual: b1"},
		}},
		{"a reload keeps what was waited for", delayed, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
			{20, []string{"c:+", "a:+", "b:+"}, "backup 2, failback waits: b1 until +20s"},
			{40, []string{"c:+", "a:+", "b:+"}, "backup, failback waits: a1 until +10s"},
			{50, []string{"c:+", "a:+", "b:+"}, "primary, normal: c1"},
		}},
		{"a reload removes the set in force", manual, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:+", "c:+"}, "primary, normal: a1"},
		}},
		{"a reload removes the set in force and brings it back", delayed, []step{
			{0, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{10, []string{"a:-", "c:+"}, "backup, failover: c1"},
			{20, []string{"b:+", "c:+"}, "backup, failback waits: c1 until +30s"},
		}},
		{"two sets of the same pool", delayed, []step{
			{0, []string{"2 a:+-", "1 a:+-"}, "backup, failover: a1"},
			{10, []string{"2 a:++", "1 a:++"}, "backup, failback waits: a1 a2 until +30s"},
			{40, []string{"2 a:++", "1 a:++"}, "primary, normal: a1 a2"},
		}},
		{"two sets of the same pool, manual", manual, []step{
			{0, []string{"2 a:+-", "1 a:+-"}, "backup, failover: a1"},
			{10, []string{"2 a:++", "1 a:++"}, "backup, failback is manual: a1 a2"},
		}},
		{"a clock that was set back", delayed, []step{
			{3600, []string{"a:-", "b:+"}, "backup, failover: b1"},
			{3610, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
			{0, []string{"a:+", "b:+"}, "backup, failback waits: b1 until +30s"},
			{30, []string{"a:+", "b:+"}, "primary, normal: a1"},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var memory policy.Memory
			for _, s := range row.steps {
				w, now := newWorld(), epoch.Add(time.Duration(s.at)*time.Second)
				d := policy.Decide(w.policy(row.options, s.sets...), policy.State{Health: w.of}, memory, now)
				equal(t, now.Format(time.TimeOnly), show(d, now), s.want)
				memory = saved(t, d.Memory())
			}
		})
	}
}

// TestFailbackAfterPin unpins a policy: manual failback stays with the set that was pinned, automatic failback goes
// back at once when the primary was available all the while.
func TestFailbackAfterPin(t *testing.T) {
	for _, row := range []struct {
		failback policy.Failback
		want     string
	}{
		{policy.FailbackAuto, "primary, normal: a1"},
		{policy.FailbackManual, "backup, failback is manual: b1"},
	} {
		w, o := newWorld(), policy.PolicyOptions{Failback: row.failback, FailbackDelay: 30 * time.Second}
		o.Switch = policy.SwitchBackup
		d := policy.Decide(w.policy(o, "a:+", "b:+"), policy.State{Health: w.of}, policy.Memory{}, epoch)
		equal(t, "pinned", show(d, epoch), "backup, pinned: b1")
		o.Switch = policy.SwitchAuto
		d = policy.Decide(w.policy(o, "a:+", "b:+"), policy.State{Health: w.of}, d.Memory(), epoch.Add(time.Minute))
		equal(t, string(row.failback), show(d, epoch), row.want)
	}
}

// TestMemory follows Since and Available through a story.
func TestMemory(t *testing.T) {
	second := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	o := policy.PolicyOptions{WhenAllDown: policy.AllDownEmpty}
	var memory policy.Memory
	for _, s := range []struct {
		at        int
		sets      []string
		set, role string
		since     int
		available map[string]time.Time
	}{
		{0, []string{"a:+", "b:+"}, "a", "primary", 0, map[string]time.Time{"a": second(0), "b": second(0)}},
		{5, []string{"a:+", "b:-"}, "a", "primary", 0, map[string]time.Time{"a": second(0)}},
		{10, []string{"a:-", "b:+"}, "b", "backup", 10, map[string]time.Time{"b": second(10)}},
		{15, []string{"b:+", "a:-"}, "b", "primary", 10, map[string]time.Time{"b": second(10)}},
		{20, []string{"a:-", "b:-"}, "", "", 20, map[string]time.Time{}},
		{25, []string{"a:-", "b:-"}, "", "", 20, map[string]time.Time{}},
		{30, []string{"2 a:+-", "b:-"}, "a", "primary", 30, map[string]time.Time{}},
		{35, []string{"2 a:++", "b:-"}, "a", "primary", 30, map[string]time.Time{"a": second(35)}},
		{40, []string{"c:+"}, "c", "primary", 40, map[string]time.Time{"c": second(40)}},
	} {
		w := newWorld()
		d := policy.Decide(w.policy(o, s.sets...), policy.State{Health: w.of}, memory, second(s.at))
		what := second(s.at).Format(time.TimeOnly)
		equal(t, what, d.Memory().Set, s.set)
		equal(t, what, d.Memory().Role, s.role)
		equal(t, what, d.Memory().Since, second(s.since))
		equalTimes(t, what, d.Memory().Available, s.available)
		for i, state := range d.Sets {
			equal(t, what, state.Since, s.available[d.Policy.SetID(i)])
		}
		memory = saved(t, d.Memory())
	}
}

// TestMemoryFirstEmpty checks that a policy which serves nothing from the start says since when.
func TestMemoryFirstEmpty(t *testing.T) {
	w := newWorld()
	d := policy.Decide(w.policy(policy.PolicyOptions{}, "a:x"), policy.State{Health: w.of}, policy.Memory{}, epoch)
	equal(t, "since", d.Memory().Since, epoch)
	d = policy.Decide(d.Policy, policy.State{Health: w.of}, d.Memory(), epoch.Add(time.Hour))
	equal(t, "since", d.Memory().Since, epoch)
}

// TestMemoryText pins the form in which memory is saved.
func TestMemoryText(t *testing.T) {
	w := newWorld()
	d := policy.Decide(w.policy(policy.PolicyOptions{}, "a:+", "b:-"), policy.State{Health: w.of}, policy.Memory{}, epoch)
	text, err := json.Marshal(d.Memory())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "saved", string(text),
		`{"set":"a","role":"primary","since":"2026-01-01T00:00:00Z","available":{"a":"2026-01-01T00:00:00Z"}}`)
}

// saved is memory written and read again.
func saved(t *testing.T, memory policy.Memory) (read policy.Memory) {
	t.Helper()
	text, err := json.Marshal(memory)
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	return read
}
