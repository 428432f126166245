package node_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
	"gtmd/node"
)

// now probes on request.
func now(t *testing.T, n *node.Node, r admin.ProbeRequest) []admin.ProbeNow {
	t.Helper()
	reply, err := n.Probe(context.Background(), r)
	if err != nil {
		t.Fatalf("probe %+v: %v", r, err)
	}
	return reply.Probes
}

const unprobed = `
[[pool]]
name = "test3"
type = "ipv4"
addresses = ["192.0.2.3"]
[[health_check]]
name     = "port"
protocol = "tcp"
port     = $PORT
interval = "200ms"
timeout  = "200ms"
[blind]
canaries = ["$1"]
health_check = "port"
`

// TestProbe probes on request what the schedule probes, seldom: the result is at once that of the moment, and changes nothing.
func TestProbe(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	seldom := strings.NewReplacer(`interval = "200ms"`, `interval = "10m"`)
	n := s.start(seldom.Replace(header), pools, unprobed, instance)
	first, second := s.origins[0], s.origins[1].String()
	found := now(t, n, admin.ProbeRequest{Address: first.String()})
	if len(found) != 1 {
		t.Fatalf("%+v", found)
	}
	p := found[0]
	equal(t, "what", p.HealthCheck+" "+p.Address+" "+p.Host, "web "+first.String()+" www.shop.test")
	equal(t, "result", fmt.Sprintf("%t/%s/%s/%s/%t", p.Good, p.Reason, p.Standing, p.Verdict, p.Void), "true//up//false")
	if p.Phases == nil || p.Phases.ConnectMS <= 0 || p.Phases.FirstByteMS <= 0 || p.Milliseconds < p.Phases.ConnectMS || time.Since(p.Time) > time.Minute {
		t.Errorf("times: %+v %+v", p, p.Phases)
	}
	var hosts []string
	seen := func(host string) { hosts = append(hosts, host) }
	first.seen.Store(&seen)
	now(t, n, admin.ProbeRequest{Pool: "test1"})
	equal(t, "the same request", strings.Join(hosts, " "), "www.shop.test")

	first.stop()
	p = now(t, n, admin.ProbeRequest{Pool: "test1", Address: first.String()})[0]
	if p.Good || !strings.HasSuffix(p.Reason, "connection refused") || p.Standing != "up" {
		t.Errorf("of a dead one: %+v", p)
	}
	equal(t, "it counts for nothing", standing(n, 0), "up")

	// The other address is a canary, too.
	found = now(t, n, admin.ProbeRequest{Address: second})
	var all []string
	for _, p := range found {
		all = append(all, p.HealthCheck+" "+p.Note)
	}
	slices.Sort(all)
	equal(t, "a canary", strings.Join(all, ", "), "port a canary: it only tells whether this server sees anything, web ")

	for _, row := range []struct {
		request admin.ProbeRequest
		want    string
	}{
		{admin.ProbeRequest{Pool: "test9"}, `there is no pool "test9"`},
		{admin.ProbeRequest{Address: "192.0.2.9"}, "no pool has an address 192.0.2.9"},
		{admin.ProbeRequest{Address: "192.0.2.3", Pool: "test1"}, `pool "test1" has no address 192.0.2.3`},
		{admin.ProbeRequest{Pool: "test3"}, "pool test3 is not probed: it has no health check, or its mode says whether it is available"},
		{admin.ProbeRequest{Address: "192.0.2.3"}, "192.0.2.3 is not probed: it has no health check, or its mode says whether it is available"},
	} {
		_, err := n.Probe(context.Background(), row.request)
		equal(t, "error", fmt.Sprint(err), row.want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := n.Probe(ctx, admin.ProbeRequest{Pool: "test2"})
	equal(t, "nobody waits", fmt.Sprint(err), "probe pool test2: context canceled")
}

// TestProbeMany bounds how many are probed.
func TestProbeMany(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	many := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("%q", fmt.Sprintf("127.9.%d.%d", i/250, i%250+1)))
		}
		return "[[pool]]\nname = \"many\"\ntype = \"ipv4\"\nhealth_check = \"web\"\naddresses = [" + strings.Join(all, ", ") + "]\n"
	}
	n := s.start(header, pools, many(admin.MaxProbes+1), instance)
	_, err := n.Probe(context.Background(), admin.ProbeRequest{Pool: "many"})
	equal(t, "error", fmt.Sprint(err), "pool many has 201 probes, and at most 200 are made at once: name an address")
	if err := s.reload(n, header, pools, many(admin.MaxProbes), instance); err != nil {
		t.Fatal(err)
	}
	found := now(t, n, admin.ProbeRequest{Pool: "many"})
	equal(t, "all", len(found), admin.MaxProbes)
	equal(t, "in order", found[0].Address+" "+found[199].Address, "127.9.0.1 127.9.0.200")
}

// TestTargets lists targets, and shows one with what it was probed for.
func TestTargets(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, unprobed, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	ids := func(q admin.TargetQuery) string {
		var all []string
		for _, target := range n.Targets(q) {
			all = append(all, target.ID)
		}
		return strings.Join(all, " ")
	}
	one, two, canary := first+"/web/www.shop.test", second+"/web/www.shop.test", "canary/"+second+"/port"
	equal(t, "all", ids(admin.TargetQuery{}), strings.Join([]string{one, two, canary}, " "))
	equal(t, "of a pool", ids(admin.TargetQuery{Pool: "test1"}), one)
	equal(t, "of an address", ids(admin.TargetQuery{Address: second}), two+" "+canary)
	equal(t, "of a health check", ids(admin.TargetQuery{HealthCheck: "port"}), canary)
	equal(t, "of none", ids(admin.TargetQuery{Pool: "x"}), "")
	eventually(t, one, func() string { return ids(admin.TargetQuery{Verdict: "up", Pool: "test1"}) })

	s.origins[0].stop()
	eventually(t, "down", func() string {
		target, err := n.Target(one)
		if err != nil {
			return err.Error()
		}
		return target.Verdict
	})
	target, err := n.Target(one)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what", fmt.Sprintf("%s %s %s %s %v %t", target.HealthCheck, target.Protocol, target.Address, target.Host, target.Pools, target.Canary),
		fmt.Sprintf("web http %s www.shop.test [test1] false", first))
	turned := slices.IndexFunc(target.Results, func(r admin.ProbeResult) bool { return r.Verdict == "down" })
	if turned < 0 || target.Results[turned].Good || !strings.HasSuffix(target.Results[turned].Reason, "connection refused") {
		t.Fatalf("no result has turned it: %+v", target.Results)
	}
	oldest := target.Results[len(target.Results)-1]
	equal(t, "the oldest", fmt.Sprintf("%t %s %t", oldest.Good, oldest.Verdict, oldest.Phases != nil), "true up true")
	if oldest.Time.After(target.Results[0].Time) {
		t.Error("the latest is not the first")
	}
	for _, found := range n.Targets(admin.TargetQuery{HealthCheck: "port"}) {
		equal(t, "canary", fmt.Sprintf("%t %v %q %t", found.Canary, found.Pools, found.Host, found.Results == nil), `true [] "" true`)
	}
	before := len(target.Results)
	if err := s.reload(n, header, pools, unprobed, instance, "failback = \"manual\"\n"); err != nil {
		t.Fatal(err)
	}
	if target, err = n.Target(one); err != nil || len(target.Results) < before {
		t.Errorf("after a reload there are %d results, there were %d: %v", len(target.Results), before, err)
	}
	_, err = n.Target("x")
	equal(t, "error", fmt.Sprint(err), `there is no target "x"`)
}

// TestProbeNames: of a domain name what it resolves to is probed, with its host; one that does not resolve has nothing to probe.
func TestProbeNames(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", "flatten = true\n"} {
		s, d := newSite(t, 3), startDirectory(t)
		d.set("one.origin.test.", s.origins[0].String(), s.origins[1].String())
		d.set("two.origin.test.", s.origins[2].String())
		patient := strings.NewReplacer(`host     = "www.shop.test"`, "", `interval = "200ms"`, `interval = "2s"`, `timeout  = "200ms"`, `timeout  = "2s"`)
		n := s.start(patient.Replace(header), d.names(more), instance)
		want := fmt.Sprintf("%s one.origin.test true, %s one.origin.test true", s.origins[0], s.origins[1])
		for _, r := range []admin.ProbeRequest{{Pool: "test1"}, {Address: "one.origin.test"}} {
			var all []string
			for _, p := range now(t, n, r) {
				all = append(all, fmt.Sprint(p.Address, " ", p.Host, " ", p.Good))
			}
			slices.Sort(all)
			equal(t, "probed", strings.Join(all, ", "), want)
		}
		equal(t, "one behind it", len(now(t, n, admin.ProbeRequest{Address: s.origins[1].String()})), 1)
		equal(t, "targets of a name", len(n.Targets(admin.TargetQuery{Address: "ONE.origin.test."})), 2)
		d.set("two.origin.test.")
		if err := s.reload(n, header, strings.Replace(d.names(more), "two.origin", "none.origin", 1), instance, "when_all_down = \"empty\"\n"); err != nil {
			t.Fatal(err)
		}
		_, err := n.Probe(context.Background(), admin.ProbeRequest{Pool: "test2"})
		equal(t, "error", fmt.Sprint(err), "pool test2: none of its names is resolved, or none has a health check")
	}
}

// TestProbePush: nothing can be sent to an origin that reports by itself.
func TestProbePush(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	token := s.path("token")
	if err := os.WriteFile(token, []byte("a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := s.start(header, pools, instance, "[[health_check]]\nname = \"self\"\nprotocol = \"push\"\ninterval = \"1m\"\ntoken_file = \""+token+"\"\n",
		"[[pool]]\nname = \"test3\"\ntype = \"ipv4\"\nhealth_check = \"self\"\naddresses = [\"192.0.2.3\"]\n")
	const note = "nothing was sent: this is what the origin has last said of itself"
	p := now(t, n, admin.ProbeRequest{Pool: "test3"})[0]
	equal(t, "before any report", fmt.Sprintf("%t/%t/%s/%s", p.Good, p.Void, p.Reason, p.Note), "false/true/nothing is known yet/"+note)
	for _, status := range []string{"down", "up"} {
		err := n.Push(context.Background(), admin.PushReport{Check: "self", Address: "192.0.2.3", Status: status, Reason: "rest", Token: "a secret"})
		if err != nil {
			t.Fatal(err)
		}
		p = now(t, n, admin.ProbeRequest{Address: "192.0.2.3"})[0]
		equal(t, status, fmt.Sprintf("%t/%t/%s", p.Good, p.Void, p.Note), fmt.Sprintf("%t/false/%s", status == "up", note))
	}
}
