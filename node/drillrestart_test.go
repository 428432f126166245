package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gtmd/admin"
)

// TestDrillReload: a reload that removes what is drilled ends the drill; one that removes a policy is noted.
func TestDrillReload(t *testing.T) {
	onStage(t, game, func(t *testing.T, s *stage, n *Node) {
		defer s.end(n)
		startDrill(t, n, time.Hour, admin.OverrideTarget{Pool: "shanghai", Address: "192.0.2.2"}, false)
		time.Sleep(time.Minute)
		s.reload(n, strings.Replace(game, `"192.0.2.1", "192.0.2.2"`, `"192.0.2.1"`, 1))
		d := report(t, n, "d1")
		check(t, "state", d.State+" by "+d.EndedBy+" "+isBack(d), "stopped by gtmd not yet")
		wantNote(t, d, "the configuration no longer has 192.0.2.2 of pool shanghai: there is nothing left to drill")
		check(t, "overrides", len(n.Overrides()), 0)
		s.reload(n, game)
		check(t, "it is there again, and not drilled", isBack(report(t, n, "d1"))+" "+fmt.Sprint(len(n.Overrides())), "true 0")

		startDrill(t, n, time.Hour, pool("shanghai"), false)
		i := strings.Index(game, "[[instance]]\nname = \"media\"")
		s.reload(n, game[:i])
		d = report(t, n, "d2")
		check(t, "goes on", d.State, admin.DrillRunning)
		time.Sleep(time.Hour)
		synctest.Wait()
		d = report(t, n, "d2")
		check(t, "policies", brief(d), "shop/Global/ipv4: primary "+shanghai+", backup "+beijing+", primary "+shanghai+"\n"+
			"media/Global/ipv4: primary "+beijing+", primary "+beijing+", gone ")
		check(t, "came back", isBack(d), "false")
		wantNote(t, d, `instance "media" has no policy "Global" (ipv4) any more`)
	})
}

// TestDrillRestart restarts, or takes over, in the middle of a drill: it goes on and ends in its time, or has ended meanwhile.
func TestDrillRestart(t *testing.T) {
	for _, row := range []struct {
		name     string
		tookOver bool
		away     time.Duration
	}{
		{"restart", false, time.Minute}, {"take-over", true, 0}, {"too late", false, time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			onStage(t, game, func(t *testing.T, s *stage, n *Node) {
				first := startDrill(t, n, 10*time.Minute, pool("shanghai"), false)
				time.Sleep(3 * time.Minute)
				left := s.stop(n, row.tookOver)
				time.Sleep(row.away)
				n = s.start(game, left, row.tookOver)
				defer func() { s.end(n) }()
				synctest.Wait()
				d := report(t, n, "d1")
				wantNote(t, d, map[bool]string{false: "gtmd was restarted", true: "another gtmd has taken over"}[row.tookOver])
				if row.away < time.Hour {
					check(t, "goes on", d.State+" "+d.Policies[0].During, "running backup")
					check(t, "its end", d.Ends.Equal(first.Ends), true)
					time.Sleep(7*time.Minute - row.away - time.Second)
					synctest.Wait()
					check(t, "still", report(t, n, "d1").State, admin.DrillRunning)
					time.Sleep(time.Second)
				} else {
					wantNote(t, d, "its time was over while gtmd did not run: it has ended now")
				}
				synctest.Wait()
				d = report(t, n, "d1")
				check(t, "over", d.State+" "+isBack(d), "ended true")
				check(t, "policies", brief(d), "shop/Global/ipv4: primary "+shanghai+", backup "+beijing+", primary "+shanghai+"\n"+
					"media/Global/ipv4: primary "+beijing+", primary "+beijing+", primary "+beijing)
				check(t, "switches", len(d.Policies[0].Switches), 2)
				check(t, "the next ID", startDrill(t, n, time.Minute, pool("shanghai"), false).ID, "d2")
			})
		})
	}
	// After a restart with a configuration that does not have the pool any more.
	onStage(t, game, func(t *testing.T, s *stage, n *Node) {
		startDrill(t, n, 10*time.Minute, admin.OverrideTarget{Pool: "shanghai", Address: "192.0.2.2"}, false)
		left := s.stop(n, false)
		n = s.start(strings.Replace(game, `"192.0.2.1", "192.0.2.2"`, `"192.0.2.1"`, 1), left, false)
		defer s.end(n)
		d := report(t, n, "d1")
		check(t, "ended", d.State+" by "+d.EndedBy+" "+fmt.Sprint(len(n.Overrides())), "stopped by gtmd 0")
	})
}

// TestDrillsRemembered: the last ones are, in the saved state too, and those that run.
func TestDrillsRemembered(t *testing.T) {
	onStage(t, game, func(t *testing.T, s *stage, n *Node) {
		for range admin.MaxDrills + 5 {
			startDrill(t, n, time.Second, pool("shanghai"), false)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		startDrill(t, n, time.Hour, pool("shanghai"), false)
		left := s.stop(n, false)
		if len(left) > 300_000 {
			t.Errorf("the saved state has %d octets", len(left))
		}
		n = s.start(game, left, false)
		defer s.end(n)
		all := n.Drills()
		check(t, "how many", len(all), admin.MaxDrills+1)
		check(t, "which", all[0].ID+" "+all[0].State+" "+all[admin.MaxDrills].ID, fmt.Sprintf("d%d running d6", admin.MaxDrills+6))
	})
}

// TestDrillNotes: notes are bounded, and an override that counts before the drill is among them.
func TestDrillNotes(t *testing.T) {
	onStage(t, game, func(t *testing.T, s *stage, n *Node) {
		defer s.end(n)
		r := admin.OverrideRequest{OverrideTarget: admin.OverrideTarget{Address: "192.0.2.1"}, State: "up", Reason: "x", Author: "a"}
		if _, err := n.SetOverride(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		d := startDrill(t, n, time.Hour, pool("shanghai"), false)
		wantNote(t, d, "override o1 keeps 192.0.2.1 up: it counts before the drill")
		check(t, "it does", d.Policies[0].During, "primary")
		for range maxNotes {
			s.reload(n, game)
		}
		d = report(t, n, "d1")
		check(t, "notes", len(d.Notes), maxNotes)
		wantNote(t, d, "more happened than is noted here")
	})
}

// TestOldState: a state that was saved before there were drills has none.
func TestOldState(t *testing.T) {
	body := `{"saved":"2026-01-01T00:00:00Z","targets":{},"policies":[],"switches":[],"last_override":4,"overrides":[` +
		`{"id":"o4","pool":"a","state":"down","reason":"x","author":"a","since":"2026-01-01T00:00:00Z","expires":"2026-01-01T01:00:00Z"}]}`
	b, err := decodeState([]byte(`{"version":1,"checksum":"` + checksum([]byte(body)) + `","body":` + body + `}`))
	if err != nil {
		t.Fatal(err)
	}
	h := b.heritage(at(60), slog.New(slog.DiscardHandler))
	check(t, "drills", len(h.drills), 0)
	check(t, "the first ID", h.drills.nextID(), "d1")
	check(t, "override", h.overrides.all()[0].id, "o4")
}
