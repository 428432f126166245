package main

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gtmd/admin"
)

// shownIn is what a page of the documentation shows of a command, without the lines on standard error that begin as given.
func shownIn(t *testing.T, page, command string, without ...string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "$ "+command+"\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("%s does not show %s", page, command)
	}
	var kept strings.Builder
lines:
	for line := range strings.Lines(block) {
		for _, start := range without {
			if strings.HasPrefix(line, start) {
				continue lines
			}
		}
		kept.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return kept.String()
}

// trimmed is a text without spaces at the ends of its lines.
func trimmed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

func docsDrill() *admin.Drill {
	begin := time.Date(2026, 11, 26, 13, 18, 35, 0, time.Local)
	end := begin.Add(10 * time.Minute)
	records := func(values ...string) (all []string) {
		for _, v := range values {
			all = append(all, "origin.gtm.example.com. 60 IN A "+v)
		}
		return all
	}
	isBack := true
	return &admin.Drill{
		ID: "d1", OverrideTarget: admin.OverrideTarget{Pool: "shanghai"}, State: admin.DrillEnded, Reason: "game day", Author: "alice",
		Started: begin, Ends: end, Ended: &end, CameBack: &isBack,
		Policies: []admin.DrillPolicy{{
			Instance: "cdn-origin", AccessDomain: "origin.gtm.example.com", Policy: "Global", Family: "ipv4", TTL: 60, TTLDuring: 60,
			Before: "primary", During: "backup", After: "primary", Changed: &begin, Restored: &end,
			AnswerBefore: records("192.0.2.1", "192.0.2.2"), AnswerDuring: records("198.51.100.1", "198.51.100.2"), AnswerAfter: records("192.0.2.1", "192.0.2.2"),
			Switches: []admin.Switch{
				{Time: begin, From: "primary", To: "backup", Why: "failover", Reason: "192.0.2.1: down by override (alice: drill d1: game day)"},
				{Time: end, From: "backup", To: "primary", Why: "normal"},
			},
		}},
	}
}

// TestDrillReportText: the report is what the documentation shows, and what is amiss stands out.
func TestDrillReportText(t *testing.T) {
	text := func(d *admin.Drill) string {
		var b strings.Builder
		if err := printDrill(&b, d); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got, want := text(docsDrill()), shownIn(t, "drills.md", "gtmd drill report"); got != want {
		t.Errorf("the report is\n%s\nand the documentation shows\n%s", got, want)
	}
	for _, row := range []struct {
		change func(*admin.Drill)
		want   []string
	}{
		{func(d *admin.Drill) {
			d.State, d.Ended, d.CameBack, d.Ends, d.Override = admin.DrillRunning, nil, nil, time.Now().Add(90*time.Second+time.Second/2), "o7"
			d.Policies[0].After, d.Policies[0].AnswerAfter, d.Policies[0].Restored = "", nil, nil
		}, []string{"1m30s left (until ", "override o7", "!after", "!As before", "!NOT"}},
		{func(d *admin.Drill) { d.State, d.EndedBy, d.Forced = admin.DrillStopped, "bob", true }, []string{"(10m0s), stopped by bob\n  with force\n"}},
		{func(d *admin.Drill) { d.CameBack, d.Policies[0].Restored = nil, nil },
			[]string{"  not everything is back yet: see below\n", "  It is NOT as it was before.\n", "!As before"}},
		{func(d *admin.Drill) {
			no := false
			d.CameBack, d.Policies[0].Restored, d.Policies[0].After, d.Policies[0].AnswerAfter = &no, nil, "gone", nil
			d.Notes = []string{"2026-11-26 13:20:00: gtmd was restarted"}
		}, []string{"  NOT everything came back: see below\n", "  after   gone: nothing\n", "\nWhat else happened\n  2026-11-26 13:20:00: gtmd was restarted\n"}},
		{func(d *admin.Drill) {
			d.Policies[0].Changed, d.Policies[0].AnswerBefore = nil, []string{"and 7 more", "a.test. 5 IN CNAME b.test."}
			d.Policies[0].Switches[0].Reason = "192.0.2.1: connection refused"
		}, []string{"  The answer was the same all the time.\n", "primary: and 7 more, b.test.\n", "(192.0.2.1: connection refused)\n", "!As before"}},
	} {
		d := docsDrill()
		row.change(d)
		got := text(d)
		for _, want := range row.want {
			if text, unwanted := strings.CutPrefix(want, "!"); strings.Contains(got, text) == unwanted {
				t.Errorf("%q in\n%s", want, got)
			}
		}
	}
}

// TestProbeTable: the table is what the documentation shows.
func TestProbeTable(t *testing.T) {
	probes := []admin.ProbeNow{
		{HealthCheck: "web", Address: "198.51.100.1", Host: "www.example.com", Standing: "down", ProbeResult: admin.ProbeResult{
			Reason: "connect: connection refused", Milliseconds: 0.1, Phases: &admin.Phases{ConnectMS: 0.1}}},
		{HealthCheck: "web", Address: "198.51.100.2", Host: "www.example.com", Standing: "up", ProbeResult: admin.ProbeResult{
			Good: true, Milliseconds: 18.3, Phases: &admin.Phases{ConnectMS: 0.1, FirstByteMS: 18.1}}},
	}
	var b strings.Builder
	if err := printProbes(&b, probes); err != nil {
		t.Fatal(err)
	}
	if got, want := trimmed(b.String()), shownIn(t, "drills.md", "gtmd probe beijing", "gtmd: "); got != want {
		t.Errorf("the table is\n%s\nand the documentation shows\n%s", got, want)
	}
	if err := badProbes(probes); err == nil || err.Error() != "1 of 2 probes were not good" {
		t.Errorf("error %v", err)
	}
	if err := badProbes(probes[1:]); err != nil {
		t.Errorf("error %v", err)
	}
	expires := time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)
	b.Reset()
	printProbes(&b, []admin.ProbeNow{
		{HealthCheck: "self", Address: "192.0.2.1", Standing: "unknown", Void: true, Note: "nothing was sent", ProbeResult: admin.ProbeResult{Reason: "nothing is known yet"}},
		{HealthCheck: "web", Address: "192.0.2.2", Standing: "up", Degraded: "slow", CertificateExpires: &expires, ProbeResult: admin.ProbeResult{Good: true}},
	})
	for _, want := range []string{" void ", "nothing is known yet; nothing was sent", " degraded ", "slow; certificate until 2027-01-02"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q in\n%s", want, &b)
		}
	}
}

// TestShowing says from time to time that work goes on.
func TestShowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		err := showing(&b, func(took string) string { return "probing test1: " + took }, func() error { time.Sleep(2*patienceStep + patienceStep/2); return nil })
		if err != nil || b.String() != "probing test1: 3s\nprobing test1: 6s\n" {
			t.Errorf("error %v, %q", err, b.String())
		}
	})
}
