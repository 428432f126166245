package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// TestSuppose asks the same question under several suppositions, of one world in which the primary is up.
func TestSuppose(t *testing.T) {
	w := worldOf(t, region, nil, at(0), "192.0.2.1+", "192.0.2.2+", "2001:db8::1+")
	before := w.view
	for _, row := range []struct {
		suppose []string
		want    string // the set in force, why, and the answers
	}{
		{nil, "primary, normal: 192.0.2.1"},
		{[]string{"pool:a=down"}, "backup, failover: 192.0.2.2 192.0.2.1"},
		{[]string{"a=down"}, "backup, failover: 192.0.2.2 192.0.2.1"},
		{[]string{"192.0.2.1=down"}, "backup, failover: 192.0.2.2"},
		{[]string{"address:192.0.2.1=drain"}, "backup, failover: 192.0.2.2"},
		{[]string{"::ffff:192.0.2.1=drained"}, "backup, failover: 192.0.2.2"},
		{[]string{"set:one/Global/primary=down"}, "backup, failover: 192.0.2.2 192.0.2.1"},
		{[]string{"one/Global/backup=down"}, "primary, normal: 192.0.2.1"},
		{[]string{"192.0.2.1=down", "192.0.2.2=down"}, "primary, fail open: 192.0.2.1"},
		// The more specific one counts, whatever the order; of two on the same the last.
		{[]string{"192.0.2.1=up", "pool:a=down"}, "primary, normal: 192.0.2.1"},
		{[]string{"pool:a=down", "pool:a=up"}, "primary, normal: 192.0.2.1"},
		{[]string{"pool:six=down"}, "primary, normal: 192.0.2.1"},
	} {
		supposed, err := w.supposed(row.suppose, at(1))
		if err != nil {
			t.Errorf("%v: %v", row.suppose, err)
			continue
		}
		e, err := supposed.explain(admin.Question{Name: "one.gtm.test", Suppose: row.suppose}, w.status)
		if err != nil {
			t.Fatal(err)
		}
		text := e.InForce + ", " + e.Why + ":"
		for _, rr := range e.Answer {
			text += rr[strings.LastIndexByte(rr, ' '):]
		}
		check(t, fmt.Sprint(row.suppose), text, row.want)
		check(t, "generation", e.Generation, w.view.Generation)
		check(t, "suppositions", len(e.Suppose), len(row.suppose))
	}
	if w.view != before || !w.overrides.isEmpty() {
		t.Error("a supposition changed the world")
	}
}

func TestSupposeWhatIsNotThere(t *testing.T) {
	w := worldOf(t, region, nil, at(0))
	for text, want := range map[string]string{
		"a":                            `supposition "a": want WHAT=STATE, such as pool:test1=down or 192.0.2.1=up`,
		"=down":                        `supposition "=down": want WHAT=STATE, such as pool:test1=down or 192.0.2.1=up`,
		"a=donw":                       `supposition "a=donw": state "donw": want up, down or drain; did you mean "down"?`,
		"nam=down":                     `supposition "nam=down": there is no pool, address or set "nam"`,
		"name=down":                    `supposition "name=down": there is no pool, address or set "name"; did you mean "names"?`,
		"pool:sixx=up":                 `supposition "pool:sixx=up": there is no pool "sixx"; did you mean "six"?`,
		"address:192.0.2.9=up":         `supposition "address:192.0.2.9=up": no pool has an address "192.0.2.9"; did you mean "192.0.2.1"?`,
		"set:one/Global/primery=up":    `supposition "set:one/Global/primery=up": there is no set "one/Global/primery": want INSTANCE/POLICY/SET, as in set:cdn-origin/Global/primary; did you mean "one/Global/primary"?`,
		"origin.elsewhere.tset=down":   `supposition "origin.elsewhere.tset=down": there is no pool, address or set "origin.elsewhere.tset"; did you mean "origin.elsewhere.test"?`,
		"address:nowhere.example=down": `supposition "address:nowhere.example=down": no pool has an address "nowhere.example"`,
	} {
		_, err := w.supposed([]string{text}, at(0))
		check(t, text, fmt.Sprint(err), want)
	}
	for _, text := range []string{"origin.elsewhere.test=down", "address:Origin.Elsewhere.Test.=up"} {
		if _, err := w.supposed([]string{text}, at(0)); err != nil {
			t.Error(err)
		}
	}
}

// TestEarliest has every reason for which an answer can change by itself.
func TestEarliest(t *testing.T) {
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	turning := func(verdict healthcheck.Verdict, ids ...string) *healthcheck.Status {
		all := map[string]healthcheck.TargetStatus{}
		for _, id := range ids {
			all[id+"/web"] = healthcheck.TargetStatus{Track: healthcheck.Track{Verdict: verdict}, Earliest: soon}
		}
		return healthcheck.NewStatus(all)
	}
	override := func(kind policy.OverrideKind, over time.Duration, expires time.Time) *overrides {
		return newOverrides([]*override{{id: "o3", target: admin.OverrideTarget{Pool: "a"}, kind: kind, since: soon.Add(-over), over: over, expires: expires}}, 3)
	}
	for _, row := range []struct {
		name      string
		status    *healthcheck.Status
		overrides *overrides
		want      string
	}{
		{"manual failback: a set before that in force", turning(healthcheck.Down, "192.0.2.1"), nil, ""},
		{"pinned: another set", turning(healthcheck.Up, "192.0.2.2"), nil, ""},
		{"pinned: the set", turning(healthcheck.Up, "192.0.2.1"), nil, "health check web of 192.0.2.1 could turn it down"},
		{"nothing", statusOf("192.0.2.1+"), nil, ""},
		{"a verdict", turning(healthcheck.Up, "192.0.2.1"), nil, "health check web of 192.0.2.1 could turn it down"},
		{"a verdict that is back", turning(healthcheck.Down, "192.0.2.1"), nil, "health check web of 192.0.2.1 could turn it up"},
		{"that of a set that stands by", turning(healthcheck.Up, "192.0.2.2"), nil, ""},
		{"the end of an override", statusOf(), override(policy.OverrideDown, 0, soon), "override o3 on pool a ends"},
		{"the end of a drain", statusOf(), override(policy.OverrideDrain, time.Hour*2, time.Time{}), "pool a is drained (override o3)"},
	} {
		text := region
		if mode, _, has := strings.Cut(row.name, ":"); has {
			more := map[string]string{"manual failback": "failback = \"manual\"", "pinned": "switch = \"primary\""}[mode]
			text = strings.Replace(text, "backup = { pools = [\"b\"] }\n", "backup = { pools = [\"b\"] }\n"+more+"\n", 1)
			text = strings.Replace(text, `["192.0.2.2", "192.0.2.1"]`, `["192.0.2.2"]`, 1)
		}
		p := planOf(t, text)
		w, err := first(p, row.status, heritage{overrides: row.overrides}, 1, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		e, err := w.explain(admin.Question{Name: "one.gtm.test"}, w.status)
		if err != nil {
			t.Fatal(err)
		}
		check(t, row.name, e.EarliestWhy, row.want)
		if row.want != "" && !e.Earliest.Equal(soon) {
			t.Errorf("%s: %v, want %v", row.name, e.Earliest, soon)
		}
	}
	// One that is overdue can come at any moment.
	status := healthcheck.NewStatus(map[string]healthcheck.TargetStatus{"192.0.2.1/web": {Earliest: at(0), Track: healthcheck.Track{Verdict: healthcheck.Up}}})
	w, err := first(planOf(t, region), status, heritage{}, 1, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.explain(admin.Question{Name: "one.gtm.test"}, status)
	if err != nil || e.Earliest == nil || time.Since(*e.Earliest) > time.Minute {
		t.Errorf("an overdue verdict: %v, %v", e.Earliest, err)
	}
}
