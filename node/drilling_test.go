package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/node"
)

// drill starts a drill of a pool.
func drill(t *testing.T, n *node.Node, pool string, d time.Duration) admin.Drill {
	t.Helper()
	r := admin.DrillRequest{OverrideTarget: admin.OverrideTarget{Pool: pool}, For: admin.Duration(d), Reason: "game day", Author: "alice"}
	started, err := n.StartDrill(context.Background(), r)
	if err != nil {
		t.Fatalf("drill of %s: %v", pool, err)
	}
	return started
}

// TestDrillServes: what clients get by DNS changes with a drill, comes back by itself, and is what the report says.
func TestDrillServes(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	equal(t, "before", answer(n, dns.TypeA, ""), first)
	d := drill(t, n, "test1", 2*time.Second)
	equal(t, "during", answer(n, dns.TypeA, ""), second)
	equal(t, "standing", standing(n, 0), "down by override")
	equal(t, "the probes go on", n.Status().Pools[0].Addresses[0].Verdict, "up")
	eventually(t, first, func() string { return answer(n, dns.TypeA, "") })
	eventually(t, admin.DrillEnded, func() string { return n.Drills()[0].State })
	over := n.Drills()[0]
	if took := over.Ended.Sub(d.Started); took < 2*time.Second || took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	p := over.Policies[0]
	equal(t, "report", fmt.Sprint(p.Before, p.AnswerBefore, p.During, p.AnswerDuring, p.After, p.AnswerAfter, *over.CameBack),
		fmt.Sprintf("primary[origin.gtm.test. 5 IN A %s]backup[origin.gtm.test. 5 IN A %s]primary[origin.gtm.test. 5 IN A %s] true", first, second, first))
	equal(t, "switches", len(p.Switches), 2)
	equal(t, "overrides", len(n.Overrides()), 0)

	// Nothing is left when the other origin is dead.
	s.origins[1].stop()
	eventually(t, "down", func() string { return standing(n, 1) })
	_, err := n.StartDrill(context.Background(), admin.DrillRequest{OverrideTarget: admin.OverrideTarget{Pool: "test1"}, For: admin.Duration(time.Minute), Reason: "x", Author: "a"})
	var empty *admin.EmptyError
	if !errors.As(err, &empty) {
		t.Errorf("error is %v", err)
	}
	equal(t, "nothing has changed", answer(n, dns.TypeA, ""), first)
}

// TestDrillOutlives: a drill goes on over a restart without a good end and over a take-over, and rolls back by itself.
func TestDrillOutlives(t *testing.T) {
	s := newSite(t, 2)
	n := s.start(fixed(t), pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	started := drill(t, n, "test1", 4*time.Second)
	next := s.replace(n)
	equal(t, "after the take-over", answer(next, dns.TypeA, ""), second)
	equal(t, "it runs", next.Drills()[0].State, admin.DrillRunning)
	equal(t, "its end", sameMoment(next.Drills()[0].Ends, started.Ends), true)
	next.Close()
	again, err := node.Start(context.Background(), s.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	eventually(t, first, func() string { return answer(again, dns.TypeA, "") })
	eventually(t, admin.DrillEnded, func() string { return again.Drills()[0].State })
	over := again.Drills()[0]
	notes := strings.Join(over.Notes, "\n")
	for _, want := range []string{"another gtmd has taken over", "gtmd was restarted"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q: %s", want, notes)
		}
	}
	if late := over.Ended.Sub(started.Ends); late < -100*time.Millisecond || late > 5*time.Second {
		t.Errorf("it ended %v after its end", late)
	}
}

// TestDrillAPI starts, lists and stops a drill through the socket.
func TestDrillAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	socket := s.path("admin.sock")
	for _, row := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"drills", `{"pool":"test1","for":"1h","author":"a"}`, http.StatusBadRequest, `"error": "the reason is missing"`},
		{"drills", `{"pool":"test9","for":"1h","reason":"x","author":"a"}`, http.StatusUnprocessableEntity, `"error": "there is no pool \"test9\""`},
		{"drills", `{"pool":"test1","for":"1h","reason":"x","author":"a"}`, http.StatusOK, `"id": "d1"`},
		{"drills", `{"pool":"test2","for":"1h","reason":"x","author":"a"}`, http.StatusConflict, `"error": "refused: no set would have an available address left`},
		{"drills/stop", `{"id":"d2","author":"a"}`, http.StatusUnprocessableEntity, `"error": "there is no drill d2"`},
		{"drills/stop", `{"id":"1","author":"a"}`, http.StatusBadRequest, `"error": "id \"1\": want one such as d3"`},
		{"drills/stop", `{"id":"d1","author":"a"}`, http.StatusOK, `"ended_by": "a"`},
		{"probe", `{"pool":"test1"}`, http.StatusOK, `"good": true`},
		{"probe", `{"pool":"test9"}`, http.StatusUnprocessableEntity, `"error": "there is no pool \"test9\""`},
	} {
		if code, body := post(t, socket, "/api/v1/"+row.path, row.body); code != row.code || !strings.Contains(body, row.want) {
			t.Errorf("%s %s: %d %s, want %d %s", row.path, row.body, code, body, row.code, row.want)
		}
	}
	equal(t, "stopped", n.Drills()[0].State, admin.DrillStopped)
}
