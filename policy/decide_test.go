package policy_test

import (
	"testing"
	"time"

	"gtmd/policy"
)

// TestStanding is section 2 of BEHAVIOUR.md: is an address available?
func TestStanding(t *testing.T) {
	for _, row := range []struct {
		state     string // a letter of a pool's text
		standing  policy.Standing
		available bool
		candidate bool
	}{
		{"o", policy.StandsOnline, true, true},
		{"x", policy.StandsOffline, false, false},
		{"+", policy.StandsUp, true, true},
		{"-", policy.StandsDown, false, true},
		{"?", policy.StandsUnknown, true, true},
		{".", policy.StandsUnprobed, true, true},
	} {
		t.Run(string(row.standing), func(t *testing.T) {
			w := newWorld()
			d := policy.Decide(w.policy(policy.PolicyOptions{}, "a:"+row.state), policy.State{Health: w.of}, policy.Memory{}, epoch)
			state := d.Sets[0]
			equal(t, "standings", len(state.Standings), 1)
			equal(t, "standing", state.Standings[0], row.standing)
			equal(t, "available", state.Standings[0].Available(), row.available)
			equal(t, "counted", state.Count == 1, row.available)
			equal(t, "candidate", state.Candidates == 1, row.candidate)
			equal(t, "set available", state.Available, row.available)
			equal(t, "all down", d.AllDown(), !row.available)
		})
	}
}

// TestDecide is section 3 of BEHAVIOUR.md without failback: each row decides a policy for the first time.
func TestDecide(t *testing.T) {
	pinPrimary := policy.PolicyOptions{Switch: policy.SwitchPrimary}
	pinBackup := policy.PolicyOptions{Switch: policy.SwitchBackup}
	empty := policy.PolicyOptions{WhenAllDown: policy.AllDownEmpty}
	pinEmpty := policy.PolicyOptions{Switch: policy.SwitchPrimary, WhenAllDown: policy.AllDownEmpty}
	for _, row := range []struct {
		name    string
		options policy.PolicyOptions
		sets    []string
		want    string
	}{
		{"one set, available", policy.PolicyOptions{}, []string{"a:++"}, "primary, normal: a1 a2"},
		{"one set, all options spelled out",
			policy.PolicyOptions{Switch: policy.SwitchAuto, Failback: policy.FailbackAuto, WhenAllDown: policy.AllDownOpen},
			[]string{"a:++"}, "primary, normal: a1 a2"},
		{"one set, one down", policy.PolicyOptions{}, []string{"a:-+"}, "primary, normal: a2"},
		{"one set, below the threshold", policy.PolicyOptions{}, []string{"2 a:-+"}, "primary, degraded: a2"},
		{"one set, down", policy.PolicyOptions{}, []string{"a:--"}, "primary, fail open: a1 a2"},
		{"one set, down and offline", policy.PolicyOptions{}, []string{"a:-x-"}, "primary, fail open: a1 a3"},
		{"one set, offline", policy.PolicyOptions{}, []string{"a:xx"}, "nothing, empty"},
		{"one set, down, empty", empty, []string{"a:--"}, "nothing, empty"},
		{"one set, below the threshold, empty", empty, []string{"2 a:-+"}, "primary, degraded: a2"},

		{"primary available", policy.PolicyOptions{}, []string{"a:++", "b:++"}, "primary, normal: a1 a2"},
		{"primary available, backup down", policy.PolicyOptions{}, []string{"a:+", "b:-"}, "primary, normal: a1"},
		{"primary unknown", policy.PolicyOptions{}, []string{"a:?", "b:+"}, "primary, normal: a1"},
		{"primary online", policy.PolicyOptions{}, []string{"a:-o", "b:+"}, "primary, normal: a2"},
		{"primary not", policy.PolicyOptions{}, []string{"a:--", "b:-+"}, "backup, failover: b2"},
		{"primary below the threshold", policy.PolicyOptions{}, []string{"2 a:+-", "b:+"}, "backup, failover: b1"},
		{"primary at the threshold", policy.PolicyOptions{}, []string{"2 a:+-+", "b:+"}, "primary, normal: a1 a3"},
		{"threshold over two pools", policy.PolicyOptions{}, []string{"2 a:+-/-+", "b:+"}, "primary, normal: a1 a4"},
		{"primary offline", policy.PolicyOptions{}, []string{"a:x", "b:+"}, "backup, failover: b1"},
		{"neither, primary has one", policy.PolicyOptions{}, []string{"2 a:+-", "3 b:++-"}, "primary, degraded: a1"},
		{"neither, backup has some", policy.PolicyOptions{}, []string{"2 a:--", "3 b:+-+"}, "backup, degraded: b1 b3"},
		{"none", policy.PolicyOptions{}, []string{"a:--", "b:-"}, "primary, fail open: a1 a2"},
		{"none, empty", empty, []string{"a:--", "b:-"}, "nothing, empty"},
		{"none, primary offline", policy.PolicyOptions{}, []string{"a:xx", "b:-x-"}, "backup, fail open: b1 b3"},
		{"all offline", policy.PolicyOptions{}, []string{"a:x", "b:xx"}, "nothing, empty"},
		{"neither, empty counts only without any", empty, []string{"2 a:--", "2 b:+-"}, "backup, degraded: b1"},

		{"share reached", policy.PolicyOptions{}, []string{"50% a:+-+-", "b:+"}, "primary, normal: a1 a3"},
		{"share not reached", policy.PolicyOptions{}, []string{"51% a:+-+-", "b:+"}, "backup, failover: b1"},
		{"share is rounded up", policy.PolicyOptions{}, []string{"50% a:+--", "b:+"}, "backup, failover: b1"},
		{"share is of those not offline", policy.PolicyOptions{}, []string{"50% a:+-xx", "b:+"}, "primary, normal: a1"},
		{"share of none", policy.PolicyOptions{}, []string{"1% a:xx", "b:+"}, "backup, failover: b1"},
		{"whole share", policy.PolicyOptions{}, []string{"100% a:++", "b:+"}, "primary, normal: a1 a2"},

		{"three sets, second", policy.PolicyOptions{}, []string{"a:-", "b:+", "c:+"}, "backup, failover: b1"},
		{"three sets, third", policy.PolicyOptions{}, []string{"a:-", "2 b:+-", "c:+"}, "backup 2, failover: c1"},
		{"three sets, degraded third", policy.PolicyOptions{}, []string{"a:-", "b:-", "2 c:+-"}, "backup 2, degraded: c1"},
		{"three sets, none", policy.PolicyOptions{}, []string{"a:-", "b:-", "c:-"}, "primary, fail open: a1"},
		{"three sets, none, two offline", policy.PolicyOptions{}, []string{"a:x", "b:x", "c:-"}, "backup 2, fail open: c1"},

		{"pinned to the primary", pinPrimary, []string{"a:+", "b:+"}, "primary, pinned: a1"},
		{"pinned to the primary below the threshold", pinPrimary, []string{"2 a:+-", "b:+"}, "primary, pinned: a1"},
		{"pinned to the primary, down", pinPrimary, []string{"a:--", "b:+"}, "primary, pinned: a1 a2"},
		{"pinned to the primary, down, empty", pinEmpty, []string{"a:--", "b:+"}, "nothing, empty"},
		{"pinned to the primary, one up, empty", pinEmpty, []string{"2 a:-+", "b:+"}, "primary, pinned: a2"},
		{"pinned to the primary, offline", pinPrimary, []string{"a:xx", "b:+"}, "backup, failover: b1"},
		{"pinned to the primary, offline, empty", pinEmpty, []string{"a:xx", "b:+"}, "backup, failover: b1"},
		{"pinned to the primary, all offline", pinPrimary, []string{"a:x", "b:x"}, "nothing, empty"},
		{"pinned to the backup", pinBackup, []string{"a:+", "b:+-", "c:+"}, "backup, pinned: b1"},
		{"pinned to the backup, down", pinBackup, []string{"a:+", "b:--"}, "backup, pinned: b1 b2"},
		{"pinned to the backup, offline", pinBackup, []string{"a:+", "b:x", "c:+"}, "primary, normal: a1"},
		{"pinned to a backup that is not there", pinBackup, []string{"a:+"}, "primary, normal: a1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld()
			d := policy.Decide(w.policy(row.options, row.sets...), policy.State{Health: w.of}, policy.Memory{}, epoch)
			equal(t, "decision", show(d, epoch), row.want)
		})
	}
}

// TestDecideSets checks what a decision says of each set, and what it leaves in memory.
func TestDecideSets(t *testing.T) {
	w := newWorld()
	p := w.policy(policy.PolicyOptions{}, "2 a:+-/x?", "75% b:++--x", "c:--")
	d := policy.Decide(p, policy.State{Health: w.of}, policy.Memory{Available: map[string]time.Time{"b": epoch}}, epoch.Add(time.Minute))
	for i, want := range []policy.SetState{
		{Available: true, Count: 2, Candidates: 3, Need: 2, Since: epoch.Add(time.Minute), Standings: []policy.Standing{
			policy.StandsUp, policy.StandsDown, policy.StandsOffline, policy.StandsUnknown}},
		{Available: false, Count: 2, Candidates: 4, Need: 3, Standings: []policy.Standing{
			policy.StandsUp, policy.StandsUp, policy.StandsDown, policy.StandsDown, policy.StandsOffline}},
		{Available: false, Count: 0, Candidates: 2, Need: 1, Standings: []policy.Standing{
			policy.StandsDown, policy.StandsDown}},
	} {
		same(t, "set", d.Sets[i], want)
	}
	if d.Policy != p || d.InForce() != &p.Sets[0] {
		t.Error("the decision is not about the policy that was decided")
	}
	equal(t, "all down", d.AllDown(), false)
	equal(t, "set remembered", d.Memory().Set, "a+a/2")
	equal(t, "role remembered", d.Memory().Role, "primary")
	equal(t, "since", d.Memory().Since, epoch.Add(time.Minute))
	equalTimes(t, "available since", d.Memory().Available, map[string]time.Time{"a+a/2": epoch.Add(time.Minute)})
}

// TestDecideAllDown tells fail open from what is only below its threshold, or pinned to a set that is down.
func TestDecideAllDown(t *testing.T) {
	for _, row := range []struct {
		sets []string
		want bool
	}{
		{[]string{"a:-", "b:-x"}, true},
		{[]string{"a:x"}, true},
		{[]string{"2 a:--", "2 b:-+"}, false},
		{[]string{"a:-", "b:+"}, false},
	} {
		for _, position := range []policy.Switch{policy.SwitchAuto, policy.SwitchPrimary} {
			w := newWorld()
			p := w.policy(policy.PolicyOptions{Switch: position}, row.sets...)
			equal(t, "all down", policy.Decide(p, policy.State{Health: w.of}, policy.Memory{}, epoch).AllDown(), row.want)
		}
	}
}
