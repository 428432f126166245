//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestQueryLog has every query in the query log, over a rotation by SIGHUP, and in a file of fstrm_capture that kdig reads.
func TestQueryLog(t *testing.T) {
	programs := need(t, "fstrm_capture", "kdig", "dig")
	l := newLab(t, shop)
	log, socket, captured := filepath.Join(l.dir, "query.log"), filepath.Join(l.dir, "tap.sock"), filepath.Join(l.dir, "tap.fstrm")
	startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	l.configureServices(t, []service{newService("cdn", "web", test2IP, test1IP)}, webCheck(l.OriginPort, time.Second, 500*time.Millisecond, 3),
		"[dns.query_log]\nfile = \"query.log\"\n[dns.dnstap]\nsocket = \"tap.sock\"\nidentity = \"ns1\"\n")
	capture := start(t, l.dir, programs["fstrm_capture"], "-t", "protobuf:dnstap.Dnstap", "-u", socket, "-w", captured)
	eventually(t, 10*time.Second, "fstrm_capture listens", func() bool { _, err := os.Stat(socket); return err == nil })
	l.startGTMD(t)
	eventually(t, 10*time.Second, "gtmd is connected", func() bool { return strings.Contains(l.gtmd.output(t), "connected to the dnstap collector") })

	query := func(args ...string) {
		t.Helper()
		expect(t, "dig", strings.Join(args, " "), programs["dig"], append([]string{"@" + gtmdIP, "-p", portOf(l.GTMD), "TXT", "+retry=0"}, args...), []string{"status: NXDOMAIN"})
	}
	query("first.gtm.test")
	query("second.gtm.test", "+tcp")
	eventually(t, 10*time.Second, "both are logged", func() bool { return len(loggedNames(t, log, "TXT")) == 2 })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	l.gtmd.signal(t, syscall.SIGHUP)
	eventually(t, 10*time.Second, "gtmd has begun a new file", func() bool { _, err := os.Stat(log); return err == nil })
	capture.signal(t, syscall.SIGSTOP) // a collector that hangs
	query("third.gtm.test", "+subnet=198.51.100.0/24")
	capture.signal(t, syscall.SIGCONT)
	l.gtmd.signal(t, syscall.SIGTERM)
	if code := l.gtmd.ended(t, 10*time.Second); code != 0 {
		t.Errorf("gtmd ended with %d", code)
	}
	capture.signal(t, syscall.SIGTERM)
	capture.ended(t, 10*time.Second)

	const want = "first.gtm.test. second.gtm.test. third.gtm.test."
	if got := strings.Join(append(loggedNames(t, log+".1", "TXT"), loggedNames(t, log, "TXT")...), " "); got != want {
		t.Errorf("the query log has %s, want %s", got, want)
	}
	out, err := exec.Command(programs["kdig"], "-G", captured).CombinedOutput()
	if err != nil {
		t.Fatalf("kdig: %v\n%s", err, out)
	}
	for _, name := range strings.Fields(want) {
		if strings.Count(string(out), ";; "+name+" ") != 1 {
			t.Errorf("kdig does not show one reply for %s:\n%s", name, out)
		}
	}
}

// loggedNames are the names that were asked for with a type, in the order of a query log. Its lines are whole.
func loggedNames(t *testing.T, path, kind string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		var keys struct{ Name, Type string }
		if err := json.Unmarshal([]byte(line), &keys); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if keys.Type == kind {
			names = append(names, keys.Name)
		}
	}
	return names
}
