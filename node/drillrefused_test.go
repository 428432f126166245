package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
)

// TestDrillRefused: what takes force, and what is no drill at all.
func TestDrillRefused(t *testing.T) {
	const force = ". It takes force to do it all the same"
	single := strings.Replace(game, "backup = { pools = [\"beijing\"], min_available = 2 }\n", "", 1)
	pinned := strings.Replace(game, "primary = { pools = [\"shanghai\"] }", "primary = { pools = [\"shanghai\"] }\nswitch = \"primary\"", 1)
	set := admin.OverrideTarget{Instance: "shop", Policy: "Global", Set: "primary"}
	for _, row := range []struct {
		name, text string
		before     func(t *testing.T, s *stage, n *Node)
		target     admin.OverrideTarget
		want       string
		always     bool // whether it is refused with force, too
	}{
		{name: "the other set is below its threshold", text: game, target: pool("shanghai"), before: func(t *testing.T, s *stage, n *Node) {
			s.set("198.51.100.1", false)
			time.Sleep(time.Minute)
		}, want: `refused: instance "shop", policy "Global" (ipv4): the backup set would answer, and it is not available: 1 of 2 addresses available, 2 needed` + force},
		{name: "of a set", text: game, target: set, before: func(t *testing.T, s *stage, n *Node) {
			s.set("198.51.100.1", false)
			time.Sleep(time.Minute)
		}, want: `refused: instance "shop", policy "Global" (ipv4): the backup set would answer, and it is not available: 1 of 2 addresses available, 2 needed` + force},
		{name: "an override that keeps it up ends first", text: game, target: pool("shanghai"), before: func(t *testing.T, s *stage, n *Node) {
			s.set("198.51.100.1", false)
			time.Sleep(time.Minute)
			r := admin.OverrideRequest{OverrideTarget: admin.OverrideTarget{Address: "198.51.100.1"}, State: "up", Reason: "x", Author: "a", For: admin.Duration(time.Minute)}
			if _, err := n.SetOverride(context.Background(), r); err != nil {
				t.Fatal(err)
			}
		}, want: `refused: instance "shop", policy "Global" (ipv4): the backup set would answer, and it is not available: 1 of 2 addresses available, 2 needed` + force},
		{name: "it empties an instance", text: single, target: pool("shanghai"),
			want: `refused: no set would have an available address left: instance "shop", policy "Global" (ipv4)` + force},
		{name: "a policy is pinned to it", text: pinned, target: admin.OverrideTarget{Address: "192.0.2.1"}, before: func(t *testing.T, s *stage, n *Node) {
			s.set("192.0.2.2", false)
			time.Sleep(time.Minute)
		},
			want: `refused: instance "shop", policy "Global" (ipv4): the primary set would answer, to which switch = "primary" pins the policy, ` +
				`and it is not available: 0 of 2 addresses available, 1 needed` + force},
		{name: "another drill runs", text: game, target: admin.OverrideTarget{Instance: "media", Policy: "Global", Set: "backup"},
			before: func(t *testing.T, s *stage, n *Node) { startDrill(t, n, time.Hour, pool("shanghai"), false) },
			want:   `refused: drill d1 runs on instance "media" until $HOUR` + force},
		{name: "there is an override", text: game, target: pool("shanghai"), always: true, before: func(t *testing.T, s *stage, n *Node) {
			r := admin.OverrideRequest{OverrideTarget: pool("shanghai"), State: "drain", Reason: "rack moves", Author: "carol"}
			if _, err := n.SetOverride(context.Background(), r); err != nil {
				t.Fatal(err)
			}
		}, want: "there is an override on pool shanghai already: o1, drain by carol (rack moves): clear it first, since the drill would take its place"},
		{name: "nothing is concerned", text: game, target: pool("spare"), always: true, want: "pool spare has no address in any policy: a drill would change nothing"},
		{name: "no such pool", text: game, target: pool("tokyo"), always: true, want: `there is no pool "tokyo"`},
		{name: "no such set", text: game, target: admin.OverrideTarget{Instance: "shop", Policy: "Global", Set: "backup 2"}, always: true,
			want: `policy "Global" has no set "backup 2": sets are called primary, backup, backup 2 and so on`},
	} {
		t.Run(row.name, func(t *testing.T) {
			onStage(t, row.text, func(t *testing.T, s *stage, n *Node) {
				defer s.end(n)
				if row.before != nil {
					row.before(t, s, n)
				}
				_, err := drillFor(n, time.Hour, row.target, false)
				check(t, "error", fmt.Sprint(err), strings.ReplaceAll(row.want, "$HOUR", clock(time.Now().Add(time.Hour))))
				if row.always {
					_, err = drillFor(n, time.Hour, row.target, true)
					check(t, "with force", fmt.Sprint(err), row.want)
					return
				}
				before := len(n.Drills())
				d := startDrill(t, n, time.Hour, row.target, true)
				check(t, "forced", fmt.Sprint(d.Forced, len(n.Drills())-before), "true 1")
				time.Sleep(time.Hour)
				synctest.Wait()
				check(t, "it ends all the same", report(t, n, d.ID).State, admin.DrillEnded)
			})
		})
	}
}

// TestDrillBlind: what takes over is not known to be well while this server does not see.
func TestDrillBlind(t *testing.T) {
	w := worldOf(t, game, nil, at(0), "192.0.2.1+")
	status := *w.status
	status.Blind = []healthcheck.Blindness{{Family: "ipv4", Reason: "9 of 10 targets fail at once"}}
	_, _, err := w.newDrill(admin.DrillRequest{OverrideTarget: pool("shanghai"), For: admin.Duration(time.Minute), Reason: "x", Author: "a"}, &status, at(1))
	var refused *admin.DrillError
	if !errors.As(err, &refused) || !slices.Contains(refused.Why, "this server does not see ipv4 now (9 of 10 targets fail at once): whether what would take over is well is not known") {
		t.Errorf("%v", err)
	}
}

// TestDrillUnknown: an address that has not been probed yet counts as available for clients, and not for a drill.
func TestDrillUnknown(t *testing.T) {
	for verdicts, want := range map[string]string{
		"198.51.100.1+ 198.51.100.2+": "<nil>",
		"198.51.100.1+ 198.51.100.2?": `refused: instance "shop", policy "Global" (ipv4): the backup set would answer, and too little is known of it yet: ` +
			"1 of 2 addresses known to be available, 2 needed. It takes force to do it all the same",
	} {
		w := worldOf(t, game, nil, at(0), strings.Fields("192.0.2.1+ 192.0.2.2+ "+verdicts)...)
		_, _, err := w.newDrill(admin.DrillRequest{OverrideTarget: pool("shanghai"), For: admin.Duration(time.Minute), Reason: "x", Author: "a"}, w.status, at(1))
		check(t, verdicts, fmt.Sprint(err), want)
	}
}
