package node

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// apart is a configuration of an instance that goes by latency, and of one that does not.
const apart = `
[[zone]]
name = "gtm.test"
nameservers = ["ns.example.net"]
contact = "hostmaster@gtm.test"
[[geo.line]]
name = "office"
prefixes = ["198.51.100.0/24"]
[[latency]]
from = "office"
pool = "b"
ms = 4.6
[[latency]]
from = "office"
pool = "other"
ms = 1
[[health_check]]
name = "web"
protocol = "http"
[[pool]]
name = "a"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.1", "192.0.2.11", { address = "192.0.2.12", mode = "offline" }]
[[pool]]
name = "b"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.2"]
[[pool]]
name = "other"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.3"]
[[instance]]
name = "near"
access_domain = "near.gtm.test"
access_policy_type = "latency"
[[instance.policy]]
name = "Global"
primary = { pools = ["a", "b"] }
[[instance]]
name = "plain"
access_domain = "plain.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["a", "b", "other"] }
`

// timed is a status with a round-trip time in milliseconds for each address written as "192.0.2.1+30"; the sign is as in
// statusOf.
func timed(times ...string) *healthcheck.Status {
	var verdicts []string
	rtt := map[string]time.Duration{}
	for _, text := range times {
		var last, ms int
		var sign rune
		fmt.Sscanf(text, "192.0.2.%d%c%d", &last, &sign, &ms)
		address := fmt.Sprintf("192.0.2.%d", last)
		verdicts = append(verdicts, address+string(sign))
		rtt[address+"/web"] = time.Duration(ms) * time.Millisecond
	}
	targets := map[string]healthcheck.TargetStatus{}
	for id, t := range statusOf(verdicts...).All() {
		timed := *t
		timed.RTT = rtt[id]
		targets[id] = timed
	}
	return healthcheck.NewStatus(targets)
}

func TestRemeasure(t *testing.T) {
	w, err := first(planOf(t, apart), timed("192.0.2.1+30", "192.0.2.11+50", "192.0.2.2+0", "192.0.2.3+1"), heritage{}, 1, nil, at(0))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "measures", w.measures(), true)
	check(t, "the smallest of each pool that matters", fmt.Sprint(w.rtts), "map[a:30]")
	for _, row := range []struct {
		name  string
		times []string
		want  string
		moves bool
	}{
		{"the first of a pool", []string{"192.0.2.1+30", "192.0.2.2+40"}, "map[a:30 b:40]", true},
		{"a little", []string{"192.0.2.1+35", "192.0.2.2+34"}, "map[a:30 b:40]", false},
		{"much", []string{"192.0.2.1+60", "192.0.2.2+40"}, "map[a:60 b:40]", true},
		{"the nearest address is down", []string{"192.0.2.1-10", "192.0.2.11+80", "192.0.2.2+40"}, "map[a:80 b:40]", true},
		{"one that is offline does not count", []string{"192.0.2.1+80", "192.0.2.12+1"}, "map[a:80 b:40]", false},
		{"all are down: what held holds", []string{"192.0.2.1-1", "192.0.2.11-2", "192.0.2.2-3"}, "map[a:80 b:40]", false},
		{"nothing is known any more", nil, "map[a:80 b:40]", false},
	} {
		next := w.remeasure(timed(row.times...), nil)
		check(t, row.name, fmt.Sprint(next.rtts), row.want)
		check(t, row.name+": generations", next.view.Generation-w.view.Generation, map[bool]uint64{true: 1}[row.moves])
		check(t, row.name+": the view is shared", next.view == w.view, !row.moves)
		w = next
	}

	// A reload keeps what held, and forgets pools that are gone.
	p := planOf(t, apart)
	again, err := first(p, timed("192.0.2.1+82"), heritage{rtts: rtts{"a": 80, "gone": 3}}, 9, nil, at(1))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "after a reload", fmt.Sprint(again.rtts), "map[a:80]")
	check(t, "nothing to measure", planOf(t, region).measures(), false)
}

// TestLatencyAnswers follows the answers from the table and from what is measured, and what explain says of them.
func TestLatencyAnswers(t *testing.T) {
	w, err := first(planOf(t, apart), timed("192.0.2.1+30", "192.0.2.11-5", "192.0.2.2+40", "192.0.2.3+1"), heritage{}, 1, nil, at(0))
	if err != nil {
		t.Fatal(err)
	}
	const fromOffice, fromElsewhere = "198.51.100.0/24", "203.0.113.0/24"
	explained := func(w *world, client string) string {
		e, err := w.explain(admin.Question{Name: "near.gtm.test", Client: client}, w.status)
		if err != nil {
			return err.Error()
		}
		text := ""
		for _, d := range e.Distances {
			text += fmt.Sprintf("%s %v %d %s %s; ", d.Pool, d.Known, d.Value, d.Unit, d.From)
		}
		return text + fmt.Sprint(e.Answer, e.Scope)
	}
	check(t, "elsewhere", explained(w, fromElsewhere),
		"a true 30 ms this server's round-trip time; b true 40 ms this server's round-trip time; [near.gtm.test. 60 IN A 192.0.2.1] 5")
	check(t, "office", explained(w, fromOffice),
		"b true 5 ms latency table, office; a true 30 ms this server's round-trip time; [near.gtm.test. 60 IN A 192.0.2.2] 24")

	w = w.remeasure(timed("192.0.2.1+90", "192.0.2.2+40"), nil)
	check(t, "elsewhere, then", explained(w, fromElsewhere),
		"b true 40 ms this server's round-trip time; a true 90 ms this server's round-trip time; [near.gtm.test. 60 IN A 192.0.2.2] 5")
	unknown, err := first(planOf(t, apart), statusOf("192.0.2.1+", "192.0.2.2+"), heritage{}, 1, nil, at(0))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "not measured", explained(unknown, fromOffice),
		"b true 5 ms latency table, office; a false 0 ms not in the latency table for this client, and not measured yet; [near.gtm.test. 60 IN A 192.0.2.2] 24")

	// A down address of the nearest pool, in the decision: the next pool answers.
	w = w.next(timed("192.0.2.1+90", "192.0.2.2-40"), nil, at(5))
	e, err := w.explain(admin.Question{Name: "near.gtm.test", Client: fromOffice, Type: dns.TypeToString[dns.TypeA]}, w.status)
	check(t, "failed over", fmt.Sprint(e.Answer, err), "[near.gtm.test. 60 IN A 192.0.2.1] <nil>")
}

// TestRelocated puts the view of another map under a world that has moved on since the view was begun: all of it must be
// as if it were built from nothing.
func TestRelocated(t *testing.T) {
	before, err := first(planOf(t, apart), timed("192.0.2.1+30", "192.0.2.11+5", "192.0.2.2+40", "192.0.2.3+1"), heritage{}, 1, nil, at(0))
	if err != nil {
		t.Fatal(err)
	}
	moved := *before.plan
	moved.config = before.config
	begun := *before
	begun.plan = &moved
	built, err := begun.build(before.view.Generation, nil)
	if err != nil {
		t.Fatal(err)
	}
	// One instance has another decision, the other one the same and other times.
	status := timed("192.0.2.1+300", "192.0.2.11+500", "192.0.2.2+40", "192.0.2.3-1")
	present := before.next(status, nil, at(1)).remeasure(status, nil)
	check(t, "the same decision", present.decision(slot{}) == before.decision(slot{}), true)
	got := present.relocated(before, &moved, built, nil)
	check(t, "generation", got.view.Generation, present.view.Generation+1)
	check(t, "plan", got.plan == &moved, true)
	fresh := *got
	if fresh.view, err = fresh.build(1, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"near.gtm.test", "plain.gtm.test"} {
		for _, client := range []string{"198.51.100.0/24", "203.0.113.0/24"} {
			for _, kind := range []string{"A", "AAAA"} {
				q := admin.Question{Name: name, Client: client, Type: kind}
				one, err := got.explain(q, got.status)
				if err != nil {
					t.Fatal(err)
				}
				other, err := fresh.explain(q, got.status)
				if err != nil {
					t.Fatal(err)
				}
				one.Generation, other.Generation = 0, 0
				texts := make([]string, 2)
				for i, e := range []admin.Explanation{one, other} {
					text, err := json.Marshal(e)
					if err != nil {
						t.Fatal(err)
					}
					texts[i] = string(text)
				}
				check(t, fmt.Sprint(q), texts[0], texts[1])
			}
		}
	}
	s := slot{Instance: 1, Policy: 0, Family: policy.IPv4}
	check(t, "decision", got.decision(s) == present.decision(s) && got.decision(s) != before.decision(s), true)
}
