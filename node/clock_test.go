package node

import (
	"testing"
	"time"
	"unsafe"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// stepped is a reading of the clocks at the same moment by a clock on the wall that was set by d. It writes into the
// representation of time.Time with a monotonic reading: seconds of the wall from bit 30 on, and nothing of the monotonic clock.
func stepped(t time.Time, d time.Duration) time.Time {
	raw := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	raw.wall += uint64(int64(d/time.Second)) << 30
	return t
}

func TestStepped(t *testing.T) {
	now := time.Now()
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		after := stepped(now, step)
		check(t, "the wall", after.Round(0).Sub(now.Round(0)), step)
		check(t, "the monotonic clock", after.Sub(now), 0)
	}
}

// bodyAt is a state of a running process at a time.
func bodyAt(now time.Time) stateBody {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	return stateBody{
		Saved:   now,
		Targets: map[string]healthcheck.Saved{"t": {Verdict: healthcheck.Up, Since: ago(time.Hour)}, "unset": {}},
		Policies: []savedPolicy{{"i", "p", "ipv4", policy.Memory{
			Set: "a", Since: ago(2 * time.Minute), Available: map[string]time.Time{"a": ago(90 * time.Second)}}}},
		Overrides: []savedOverride{
			{ID: "o1", Since: ago(time.Minute), Expires: now.Add(10 * time.Minute)},
			{ID: "o2", Since: ago(time.Minute), Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), OnWall: true},
			{ID: "o3", Since: ago(time.Minute), Expires: now.Add(10 * time.Minute), Drill: "d2"},
		},
		Drills: drills{
			{admin.Drill{ID: "d1", State: admin.DrillEnded, Ends: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
			{admin.Drill{ID: "d2", State: admin.DrillRunning, Ends: now.Add(10 * time.Minute)}},
		},
	}
}

// TestClockSteps saves a state and takes it up again, while somebody sets the clock on the wall: whatever was meant as a
// duration is as long as it was, and what was meant as a time of the wall stays that.
func TestClockSteps(t *testing.T) {
	const downtime = 30 * time.Second
	for _, row := range []struct {
		name             string
		running, stopped time.Duration // how far the clock is set while the process runs, and while it does not
		reboots          bool
		lost             time.Duration // how much of the downtime is not known of
	}{
		{"none", 0, 0, false, 0},
		{"forward while running", time.Hour, 0, false, 0},
		{"back while running", -time.Hour, 0, false, 0},
		{"forward while stopped", 0, time.Hour, false, 0},
		{"back while stopped", 0, -time.Hour, false, 0},
		{"over a reboot", 0, 0, true, 0},
		{"back over a reboot", 0, -time.Hour, true, downtime},
	} {
		start := time.Now()
		b := bodyAt(start)
		// 5 minutes later, by a clock that was set meanwhile, the state is saved.
		saved := stepped(start.Add(5*time.Minute), row.running)
		b.Saved = saved
		b.onWall(saved)
		b.Boot = boot{"a", time.Hour}
		text, err := encodeState(b)
		if err != nil {
			t.Fatal(err)
		}
		b, err = decodeState(text)
		if err != nil {
			t.Fatal(err)
		}
		present := boot{"a", time.Hour + downtime}
		if row.reboots {
			present = boot{"b", time.Minute}
		}
		now := stepped(saved.Add(downtime), row.stopped)
		b.revive(now, present)

		known := 5*time.Minute + downtime - row.lost
		for what, got := range map[string][2]time.Duration{
			"verdict":   {now.Sub(b.Targets["t"].Since), time.Hour + known},
			"set":       {now.Sub(b.Policies[0].Since), 2*time.Minute + known},
			"available": {now.Sub(b.Policies[0].Available["a"]), 90*time.Second + known},
			"override":  {now.Sub(b.Overrides[0].Since), time.Minute + known},
			"expiry":    {b.Overrides[0].Expires.Sub(now), 10*time.Minute - known},
			"drill":     {b.Overrides[2].Expires.Sub(now), 10*time.Minute - known},
			"its end":   {b.Drills[1].Ends.Sub(now), 10*time.Minute - known},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: %s is %v, want %v", row.name, what, got[0], got[1])
			}
		}
		check(t, row.name+": a time of the wall", b.Overrides[1].Expires.Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), true)
		check(t, row.name+": a drill that is over", b.Drills[0].Ends.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), true)
		check(t, row.name+": shown by the wall as it is", b.Drills[1].shown(now).Ends.Equal(now.Round(0).Add(10*time.Minute-known)), true)
		check(t, row.name+": the zero time", b.Targets["unset"].Since.IsZero(), true)
		// From now on setting the clock on the wall changes nothing.
		later := stepped(now.Add(time.Minute), 24*time.Hour)
		check(t, row.name+": later", later.Sub(b.Policies[0].Since), 3*time.Minute+known)
		check(t, row.name+": an end by duration is not reached by setting the clock", b.Overrides[0].Expires.After(later), true)
	}
}

// TestPresentBoot: this machine tells how long it has been running.
func TestPresentBoot(t *testing.T) {
	b := presentBoot()
	if b == (boot{}) {
		t.Skip("this machine has no /proc/uptime")
	}
	again := presentBoot()
	if again.ID != b.ID || again.Uptime < b.Uptime || len(b.ID) < 30 {
		t.Errorf("%+v and then %+v", b, again)
	}
}
