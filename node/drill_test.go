package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gtmd/admin"
	"gtmd/config"
)

// game is a configuration of two instances with pools of two origins each.
const game = `
[[zone]]
name = "gtm.test"
nameservers = ["ns.example.net"]
contact = "hostmaster@gtm.test"
[[health_check]]
name = "web"
protocol = "http"
interval = "10s"
timeout = "1s"
fall = 2
[[pool]]
name = "shanghai"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.1", "192.0.2.2"]
[[pool]]
name = "beijing"
type = "ipv4"
health_check = "web"
addresses = ["198.51.100.1", "198.51.100.2"]
[[pool]]
name = "spare"
type = "ipv4"
health_check = "web"
addresses = ["203.0.113.1"]
[[instance]]
name = "shop"
access_domain = "shop.gtm.test"
ttl = 60
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["shanghai"] }
backup = { pools = ["beijing"], min_available = 2 }
[[instance]]
name = "media"
access_domain = "media.gtm.test"
ttl = 30
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["beijing"] }
backup = { pools = ["shanghai"] }
`

func pool(name string) admin.OverrideTarget { return admin.OverrideTarget{Pool: name} }

// drillFor asks for a drill.
func drillFor(n *Node, d time.Duration, target admin.OverrideTarget, force bool) (admin.Drill, error) {
	r := admin.DrillRequest{OverrideTarget: target, For: admin.Duration(d), Reason: "game day", Author: "alice", Force: force}
	if err := r.Check(); err != nil {
		return admin.Drill{}, err
	}
	return n.StartDrill(context.Background(), r)
}

func startDrill(t *testing.T, n *Node, d time.Duration, target admin.OverrideTarget, force bool) admin.Drill {
	t.Helper()
	started, err := drillFor(n, d, target, force)
	if err != nil {
		t.Fatalf("drill of %s: %v", target, err)
	}
	return started
}

// report is the report of a drill, as it is now.
func report(t *testing.T, n *Node, id string) admin.Drill {
	t.Helper()
	all := n.Drills()
	i := slices.IndexFunc(all, func(d admin.Drill) bool { return d.ID == id })
	if i < 0 {
		t.Fatalf("there is no drill %s among %d", id, len(all))
	}
	return all[i]
}

// brief is what a report says of its policies in a line each: sets in force, and the addresses of the answers.
func brief(d admin.Drill) string {
	addresses := func(records []string) string {
		var all []string
		for _, r := range records {
			all = append(all, r[strings.LastIndex(r, " ")+1:])
		}
		return strings.Join(all, ",")
	}
	var all []string
	for _, p := range d.Policies {
		all = append(all, fmt.Sprintf("%s/%s/%s: %s %s, %s %s, %s %s", p.Instance, p.Policy, p.Family,
			p.Before, addresses(p.AnswerBefore), p.During, addresses(p.AnswerDuring), p.After, addresses(p.AnswerAfter)))
	}
	return strings.Join(all, "\n")
}

// wantNote reports whether a report has a note that ends so.
func wantNote(t *testing.T, d admin.Drill, text string) {
	t.Helper()
	if !slices.ContainsFunc(d.Notes, func(note string) bool { return strings.HasSuffix(note, ": "+text) }) {
		t.Errorf("drill %s has no note %q: %q", d.ID, text, d.Notes)
	}
}

func isBack(d admin.Drill) string {
	if d.CameBack == nil {
		return "not yet"
	}
	return fmt.Sprint(*d.CameBack)
}

const (
	shanghai = "192.0.2.1,192.0.2.2"
	beijing  = "198.51.100.1,198.51.100.2"
)

// onStage runs a test with a node of a configuration, in virtual time.
func onStage(t *testing.T, text string, test func(t *testing.T, s *stage, n *Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		n := s.start(text, nil, false)
		synctest.Wait()
		test(t, s, n)
	})
}

// TestDrill: a drill takes effect at once, ends by itself, and its report says what was served before, during and after.
func TestDrill(t *testing.T) {
	onStage(t, game, func(t *testing.T, s *stage, n *Node) {
		defer s.end(n)
		begin := time.Now().Round(0)
		d := startDrill(t, n, 10*time.Minute, pool("shanghai"), false)
		check(t, "running", brief(d), "shop/Global/ipv4: primary "+shanghai+", backup "+beijing+",  \n"+
			"media/Global/ipv4: primary "+beijing+", primary "+beijing+",  ")
		check(t, "ID, state, override", d.ID+" "+d.State+" "+d.Override+" "+isBack(d), "d1 running o1 not yet")
		check(t, "ends", d.Ends.Equal(begin.Add(10*time.Minute)), true)
		check(t, "TTL", fmt.Sprint(d.Policies[0].TTL, d.Policies[1].TTL, d.Policies[0].TTLDuring), "60 30 60")
		check(t, "record", d.Policies[0].AnswerDuring[0], "shop.gtm.test. 60 IN A 198.51.100.1")
		check(t, "changed", d.Policies[0].Changed != nil && d.Policies[0].Changed.Equal(begin) && d.Policies[1].Changed == nil, true)
		o := n.Overrides()[0]
		check(t, "override", fmt.Sprint(o.State, o.Reason, o.Drill, o.Affects), "downdrill d1: game dayd12")

		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		check(t, "just before", report(t, n, "d1").State, admin.DrillRunning)
		time.Sleep(time.Second)
		synctest.Wait()
		d = report(t, n, "d1")
		check(t, "over", brief(d), "shop/Global/ipv4: primary "+shanghai+", backup "+beijing+", primary "+shanghai+"\n"+
			"media/Global/ipv4: primary "+beijing+", primary "+beijing+", primary "+beijing)
		check(t, "state", d.State+" by "+d.EndedBy+" "+isBack(d), "ended by  true")
		check(t, "ended", d.Ended.Equal(begin.Add(10*time.Minute)) && d.Policies[0].Restored.Equal(*d.Ended), true)
		check(t, "switches", len(d.Policies[0].Switches), 2)
		check(t, "overrides", len(n.Overrides()), 0)
		check(t, "notes", d.Notes, nil)
		for _, line := range []string{`msg="drill started" id=d1 on="pool shanghai" override=o1`, `msg="drill ended" id=d1 on="pool shanghai" state=ended by="" after=10m0s`} {
			if strings.Count(s.log.String(), line) != 1 {
				t.Errorf("the log has no %s:\n%s", line, s.log)
			}
		}
		check(t, "the next", startDrill(t, n, time.Minute, pool("beijing"), true).ID, "d2")
		check(t, "the latest first", n.Drills()[0].ID+n.Drills()[1].ID, "d2d1")
	})
}

// TestDrillStopped: a drill ends when it is stopped, when its override is cleared, and when somebody sets another in its place; the
// last one stays.
func TestDrillStopped(t *testing.T) {
	for _, row := range []struct {
		name      string
		stop      func(n *Node, d admin.Drill) error
		note      string
		overrides int
		back      string
	}{
		{"stopped", func(n *Node, d admin.Drill) error {
			_, err := n.StopDrill(context.Background(), admin.StopDrillRequest{ID: d.ID, Author: "bob"})
			return err
		}, "", 0, "true"},
		{"cleared", func(n *Node, d admin.Drill) error {
			_, err := n.ClearOverride(context.Background(), admin.ClearRequest{ID: d.Override, Author: "bob"})
			return err
		}, "its override was cleared by hand", 0, "true"},
		{"all cleared", func(n *Node, d admin.Drill) error {
			_, err := n.ClearOverride(context.Background(), admin.ClearRequest{All: true, Author: "bob"})
			return err
		}, "its override was cleared by hand", 0, "true"},
		{"replaced", func(n *Node, d admin.Drill) error {
			_, err := n.SetOverride(context.Background(), admin.OverrideRequest{OverrideTarget: pool("shanghai"), State: "down", Reason: "fire", Author: "bob"})
			return err
		}, "bob has set override o2, down, in its place", 1, "not yet"},
	} {
		t.Run(row.name, func(t *testing.T) {
			onStage(t, game, func(t *testing.T, s *stage, n *Node) {
				defer s.end(n)
				d := startDrill(t, n, 10*time.Minute, pool("shanghai"), false)
				time.Sleep(2 * time.Minute)
				if err := row.stop(n, d); err != nil {
					t.Fatal(err)
				}
				d = report(t, n, "d1")
				check(t, "state", d.State+" by "+d.EndedBy+" "+isBack(d), "stopped by bob "+row.back)
				check(t, "how long", d.Ended.Sub(d.Started), 2*time.Minute)
				check(t, "overrides", len(n.Overrides()), row.overrides)
				if row.note != "" {
					wantNote(t, d, row.note)
				}
				_, err := n.StopDrill(context.Background(), admin.StopDrillRequest{ID: "d1", Author: "bob"})
				check(t, "again", fmt.Sprint(err), "drill d1 is over since "+clock(*d.Ended))
				time.Sleep(time.Hour)
				synctest.Wait()
				check(t, "and stays so", report(t, n, "d1").State, admin.DrillStopped)
				if row.overrides > 0 { // Its report waits until what was drilled is back.
					if _, err := n.ClearOverride(context.Background(), admin.ClearRequest{All: true, Author: "bob"}); err != nil {
						t.Fatal(err)
					}
					check(t, "back at last", isBack(report(t, n, "d1")), "true")
				}
			})
		})
	}
	onStage(t, game, func(t *testing.T, s *stage, n *Node) {
		defer s.end(n)
		_, err := n.StopDrill(context.Background(), admin.StopDrillRequest{ID: "d9", Author: "bob"})
		check(t, "no such drill", fmt.Sprint(err), "there is no drill d9")
	})
}

// TestDrillMeanwhile: what else happens while a drill runs is in its report.
func TestDrillMeanwhile(t *testing.T) {
	onStage(t, game, func(t *testing.T, s *stage, n *Node) {
		defer s.end(n)
		startDrill(t, n, time.Hour, pool("shanghai"), false)
		time.Sleep(10 * time.Minute)
		s.set("198.51.100.1", false) // the backup falls below its threshold
		time.Sleep(time.Minute)
		synctest.Wait()
		wantNote(t, report(t, n, "d1"), "198.51.100.1 (web) turned down: connection refused")
		s.set("198.51.100.1", true)
		s.set("192.0.2.1", false) // what is drilled dies
		time.Sleep(time.Minute)
		r := admin.OverrideRequest{OverrideTarget: admin.OverrideTarget{Address: "198.51.100.2"}, State: "up", Reason: "to be sure", Author: "bob", For: admin.Duration(time.Minute)}
		if _, err := n.SetOverride(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		s.reload(n, strings.Replace(game, "ttl = 60", "ttl = 20", 1))
		time.Sleep(time.Hour)
		synctest.Wait()
		d := report(t, n, "d1")
		for _, text := range []string{
			"198.51.100.1 (web) turned up", "192.0.2.1 (web) turned down: connection refused", "override o2: up was set on 198.51.100.2 by bob (to be sure)",
			"override o2 ended: up on 198.51.100.2 by bob (to be sure)", "the configuration was loaded again",
		} {
			wantNote(t, d, text)
		}
		check(t, "what is dead stays out", brief(d), "shop/Global/ipv4: primary "+shanghai+", backup "+beijing+", primary 192.0.2.2\n"+
			"media/Global/ipv4: primary "+beijing+", primary "+beijing+", primary "+beijing)
		check(t, "came back", d.State+" "+isBack(d), "ended not yet")
		s.set("192.0.2.1", true)
		time.Sleep(time.Minute)
		synctest.Wait()
		d = report(t, n, "d1")
		check(t, "came back", isBack(d)+" "+brief(d)[:len("shop/Global/ipv4")], "true shop/Global/ipv4")
		check(t, "the TTL of the answer is another", d.Policies[0].AnswerAfter[0], "shop.gtm.test. 20 IN A 192.0.2.1")
	})
}

// TestDrillNeverBack: a report does not wait for ever, and not when the next drill begins.
func TestDrillNeverBack(t *testing.T) {
	manual := strings.Replace(game, "primary = { pools = [\"shanghai\"] }", "primary = { pools = [\"shanghai\"] }\nfailback = \"manual\"", 1)
	onStage(t, manual, func(t *testing.T, s *stage, n *Node) {
		defer s.end(n)
		for i, wait := range []time.Duration{time.Minute, 25 * time.Hour} {
			id := fmt.Sprintf("d%d", i+1)
			startDrill(t, n, time.Minute, pool("shanghai"), false)
			time.Sleep(time.Minute)
			synctest.Wait()
			check(t, "held", report(t, n, id).State+" "+isBack(report(t, n, id))+" "+report(t, n, id).Policies[0].After, "ended not yet backup")
			time.Sleep(wait)
			if i == 0 {
				if _, err := n.Switch(context.Background(), admin.SwitchRequest{Instance: "shop", Policy: "Global", Set: "primary"}); err != nil {
					t.Fatal(err)
				}
				check(t, "switched", isBack(report(t, n, id)), "true")
			}
		}
		s.set("203.0.113.1", false) // something happens
		time.Sleep(time.Minute)
		synctest.Wait()
		check(t, "given up", isBack(report(t, n, "d2")), "false")
		startDrill(t, n, time.Minute, pool("beijing"), true)
		time.Sleep(time.Second)
		if _, err := n.StopDrill(context.Background(), admin.StopDrillRequest{ID: "d3", Author: "x"}); err != nil {
			t.Fatal(err)
		}
	})
	onStage(t, manual, func(t *testing.T, s *stage, n *Node) {
		defer s.end(n)
		startDrill(t, n, time.Minute, pool("shanghai"), false)
		time.Sleep(2 * time.Minute)
		startDrill(t, n, time.Minute, pool("beijing"), true)
		d := report(t, n, "d1")
		check(t, "came back", isBack(d), "false")
		wantNote(t, d, "drill d2 began before everything was as before")
	})
}

// TestDrillOfNames: a policy that answers with a name is decided for both families, and its report has the CNAME once.
func TestDrillOfNames(t *testing.T) {
	w := worldOf(t, region, nil, at(0), "192.0.2.1+", "192.0.2.2+", "2001:db8::1+")
	set := admin.OverrideTarget{Instance: "two", Policy: "Global", Set: "primary"}
	o, d, err := w.newDrill(admin.DrillRequest{OverrideTarget: set, For: admin.Duration(time.Minute), Reason: "x", Author: "a"}, w.status, at(1))
	if err != nil {
		t.Fatal(err)
	}
	before := *w
	before.overrides, before.drills = w.overrides.with(o), w.drills.with(d)
	next := before.redecide([]slot{{Instance: 1, Policy: 0}}, w.status, nil, nil, at(1))
	next.drills = next.follow(w, w.memory(), at(1))
	p := next.drills[0].Policies[0]
	check(t, "policy", p.Policy+" "+p.Family+" "+p.Before+" "+p.During, "Global both primary backup")
	check(t, "before", p.AnswerBefore, []string{"two.gtm.test. 60 IN A 192.0.2.1"})
	check(t, "during", p.AnswerDuring, []string{"two.gtm.test. 60 IN CNAME origin.elsewhere.test."})
	check(t, "the world before has none", len(w.drills), 0)
}

// TestSameAnswer: neither TTL nor order make another answer.
func TestSameAnswer(t *testing.T) {
	a := []string{"x. 60 IN A 192.0.2.1", "x. 60 IN A 192.0.2.2"}
	for _, row := range []struct {
		b    []string
		want bool
	}{
		{[]string{"x. 5 IN A 192.0.2.2", "x. 5 IN A 192.0.2.1"}, true},
		{a[:1], false},
		{[]string{"x. 60 IN A 192.0.2.1", "x. 60 IN A 192.0.2.3"}, false},
		{nil, false},
	} {
		check(t, fmt.Sprint(row.b), isSameAnswer(a, row.b), row.want)
	}
	check(t, "none", isSameAnswer(nil, []string{}), true)
}

// BenchmarkFollow measures what a drill of 100 policies costs at each change of health, with 10,000 instances.
func BenchmarkFollow(b *testing.B) {
	var text strings.Builder
	text.WriteString(game[:strings.Index(game, "[[instance]]")])
	for i := range 10_000 {
		primary := "spare"
		if i%100 == 0 {
			primary = "shanghai"
		}
		fmt.Fprintf(&text, "[[instance]]\nname = \"i%d\"\naccess_domain = \"i%d.gtm.test\"\n[[instance.policy]]\nname = \"Global\"\nsources = [\"global\"]\n"+
			"primary = { pools = [%q] }\nbackup = { pools = [\"beijing\"] }\n", i, i, primary)
	}
	c, err := config.LoadText("gtmd.toml", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	w, err := offline(c)
	if err != nil {
		b.Fatal(err)
	}
	request := admin.DrillRequest{OverrideTarget: pool("shanghai"), For: admin.Duration(time.Hour), Reason: "x", Author: "a", Force: true}
	o, d, err := w.newDrill(request, w.status, at(1))
	if err != nil {
		b.Fatal(err)
	}
	next := *w
	next.overrides, next.drills = w.overrides.with(o), w.drills.with(d)
	next.drills = next.follow(w, nil, at(1))
	for b.Loop() {
		next.follow(w, nil, at(2))
	}
}
