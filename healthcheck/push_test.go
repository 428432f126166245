package healthcheck

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pushCheck returns a push check with an interval of 15 s and a timeout of 5 s, whose token is "secret".
func pushCheck(t testing.TB) *Check {
	t.Helper()
	return compile(t, Options{Name: "self", Protocol: Push, TokenFile: tokenFile(t, "secret\n")})
}

func tokenFile(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestPush plays one origin's life in virtual time: each step waits, reports if it says something, and probes.
func TestPush(t *testing.T) {
	const undecided = "nothing is known yet"
	up, down, full := &PushReport{Up: true}, &PushReport{}, &PushReport{Reason: "disk\nfull"}
	type step struct {
		wait   time.Duration
		report *PushReport // Nil: silence.
		want   string
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"reports before it is probed", []step{{0, up, "good"}, {15 * time.Second, up, "good"}}},
		{"never reports", []step{
			{0, nil, undecided}, {15 * time.Second, nil, undecided}, {5 * time.Second, nil, undecided},
			{10 * time.Second, nil, "no report for 30s, wanted one every 15s"}, {15 * time.Second, nil, "no report for 45s, wanted one every 15s"},
		}},
		{"reports late the first time", []step{
			{0, nil, undecided}, {15 * time.Second, nil, undecided}, {15 * time.Second, nil, "no report for 30s, wanted one every 15s"},
			{time.Second, up, "good"},
		}},
		{"falls silent", []step{
			{0, up, "good"}, {15 * time.Second, nil, "good"}, {5 * time.Second, nil, "good"},
			{time.Millisecond, nil, "no report for 20s, wanted one every 15s"}, {15 * time.Second, nil, "no report for 35s, wanted one every 15s"},
			{15 * time.Second, up, "good"},
		}},
		{"says that it is down", []step{
			{0, up, "good"}, {15 * time.Second, down, "the origin reports that it is down"},
			{15 * time.Second, full, "the origin reports that it is down: disk\uFFFDfull"},
			{20 * time.Second, nil, "the origin reports that it is down: disk\uFFFDfull"},
			{15 * time.Second, nil, "no report for 35s, wanted one every 15s"},
			{0, up, "good"},
		}},
		{"we were paused", []step{
			{0, up, "good"}, {15 * time.Second, up, "good"},
			{time.Minute, nil, undecided}, {15 * time.Second, nil, undecided}, {15 * time.Second, nil, "no report for 1m30s, wanted one every 15s"},
		}},
		{"we were paused, and it goes on", []step{{0, up, "good"}, {time.Minute, nil, undecided}, {15 * time.Second, up, "good"}}},
		{"we were paused, and it has been down since", []step{{0, up, "good"}, {time.Minute, full, "the origin reports that it is down: disk\uFFFDfull"}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			check := pushCheck(t)
			target := check.Target(netip.MustParseAddr("192.0.2.1"), "www.example.com")
			if target.ID != "192.0.2.1/self" {
				t.Errorf("ID %q", target.ID)
			}
			for i, s := range tt.steps {
				time.Sleep(s.wait)
				if s.report != nil {
					check.prober.Report(target.ID, *s.report)
				}
				err := target.Probe(t.Context(), new(Report))
				if text(err) != s.want || (s.want == undecided) != errors.Is(err, ErrUndecided) {
					t.Errorf("%s: step %d: %v, want %s", tt.name, i, err, s.want)
				}
			}
		})
	}
}

func TestLastReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber()
		if r, ok := p.LastReport("a"); ok || r != (PushReport{}) {
			t.Errorf("%v before any report", r)
		}
		p.Report("a", PushReport{Up: true, Reason: strings.Repeat("x", 10000), Received: time.Unix(1, 0)})
		r, ok := p.LastReport("a")
		if want := (PushReport{true, strings.Repeat("x", maxReason) + "…", time.Now()}); !ok || r != want {
			t.Errorf("%v, want %v", r, want)
		}
		p.Report("a", PushReport{})
		if r, ok := p.LastReport("a"); !ok || r.Up || r.Reason != "" {
			t.Errorf("%v after another report", r)
		}
	})
}

// TestReportsForgotten has many targets come and go: only those of the last 26 hours take memory.
func TestReportsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := pushCheck(t)
		probed := check.Target(netip.MustParseAddr("192.0.2.1"), "")
		for hour := range 100 {
			for i := range 10 {
				check.prober.Report(strconv.Itoa(hour*10+i), PushReport{Up: true})
			}
			check.prober.Report("kept", PushReport{Up: true})
			probed.Probe(t.Context(), new(Report))
			time.Sleep(time.Hour + time.Second)
			if n, limit := len(check.prober.reports.entries), 10*28+2; n > limit {
				t.Fatalf("%d entries after %d hours, at most %d are fresh", n, hour, limit)
			}
		}
		check.prober.Report("last", PushReport{})
		for id, want := range map[string]bool{"999": true, "0": false, "700": false, "kept": true} {
			if _, ok := check.prober.LastReport(id); ok != want {
				t.Errorf("%s is there: %v", id, ok)
			}
		}
		if e := check.prober.reports.entries[probed.ID]; e == nil {
			t.Error("a target that is probed is forgotten")
		}
	})
}

func TestAuthorize(t *testing.T) {
	check := pushCheck(t)
	for token, want := range map[string]bool{"secret": true, "secret\n": false, "": false, "Secret": false, "secre": false, "secret2": false} {
		if got := check.Authorize(token); got != want {
			t.Errorf("%q: %v", token, got)
		}
	}
	if compile(t, Options{Name: "tcp", Protocol: TCP, Port: 80}).Authorize("") {
		t.Error("a check without a token lets everyone in")
	}
}

func TestPushCompile(t *testing.T) {
	absent, empty, long := filepath.Join(t.TempDir(), "absent"), tokenFile(t, " \n\t"), tokenFile(t, strings.Repeat("x", maxToken+1))
	for _, tt := range []struct {
		file, want string
	}{
		{absent, "token_file: open " + absent + ": no such file or directory"},
		{empty, "token_file: " + empty + " holds no token: it is empty"},
		{long, "token_file: " + long + " holds more than the 4096 octets that a token may have"},
		{"/", "token_file: read /: is a directory"},
	} {
		_, err := NewProber().Compile(Options{Name: "self", Protocol: Push, TokenFile: tt.file})
		if want := `health check "self": ` + tt.want; text(err) != want {
			t.Errorf("%q:\n got %v\nwant %s", tt.file, err, want)
		}
	}
}
