package dashboard_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"gtmd/admin"
)

// elements are those of a page with a class, in order.
func elements(t *testing.T, body, name, class string) (all []*html.Node) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == name && (" "+attribute(n, "class")+" ") != "  " && strings.Contains(" "+attribute(n, "class")+" ", " "+class+" ") {
			all = append(all, n)
		}
	}
	return all
}

// A lane is cut where the set in force has changed.
func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * 24 * time.Hour)
		hour := func(ago int) time.Time { return time.Now().Add(-time.Duration(ago) * time.Hour) }
		b := &backend{}
		b.status.Instances = []admin.InstanceStatus{{Name: "shop", AccessDomain: "shop.test.", Policies: []admin.PolicyStatus{
			{Name: "Global", Family: "ipv4", InForce: "primary", Why: "normal", Since: hour(6)},
			{Name: "Global", Family: "ipv6", InForce: "backup", Why: "failover", Since: hour(48)},
			{Name: "New", Family: "ipv4", InForce: "primary", Why: "normal", Since: hour(12)},
			{Name: "Gone", Family: "ipv4", InForce: "none", Why: "empty", Since: hour(48)},
		}}}
		change := func(ago int, from, to string) admin.Event {
			return admin.Event{ID: uint64(100 - ago), Time: hour(ago), Kind: admin.EventSwitch, Instance: "shop", Policy: "Global", Family: "ipv4", From: from, To: to}
		}
		b.events = []admin.Event{change(6, "backup", "primary"), change(12, "primary", "backup"), change(30, "backup 2", "primary"),
			{ID: 1, Time: hour(3), Kind: admin.EventSwitch, Instance: "other", Policy: "Global", Family: "ipv4", From: "a", To: "b"},
			{ID: 2, Time: hour(60), Kind: admin.EventStarted}, {ID: 3, Time: hour(4), Kind: admin.EventStarted}}
		lanes := func(path string) (all []string) {
			for _, lane := range elements(t, newSite(b).get(path).Body.String(), "svg", "lane") {
				var parts []string
				for n := range lane.Descendants() {
					if n.Data == "rect" {
						parts = append(parts, attribute(n, "class")+" "+attribute(n, "x")+"+"+attribute(n, "width"))
					}
				}
				all = append(all, strings.Join(parts, ", "))
			}
			return all
		}
		for _, tt := range []struct {
			path string
			want []string
		}{
			{"/instance?name=shop", []string{"r0 0.0+500.0, r1 500.0+250.0, r0 750.0+250.0", "r1 0.0+1000.0", "r0 500.0+500.0", "rx 0.0+1000.0"}},
			{"/instance?name=shop&range=7d", []string{"r2 642.9+178.6, r0 821.4+107.1, r1 928.6+35.7, r0 964.3+35.7", "r1 714.3+285.7", "r0 928.6+71.4", "rx 714.3+285.7"}},
			{"/instance?name=shop&range=nonsense", []string{"r0 0.0+500.0, r1 500.0+250.0, r0 750.0+250.0", "r1 0.0+1000.0", "r0 500.0+500.0", "rx 0.0+1000.0"}},
		} {
			if got := lanes(tt.path); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("GET %s: got\n%s\nwant\n%s", tt.path, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		}
	})
}

// A page with results of one target.
func withResults(results ...admin.ProbeResult) *site {
	b := &backend{}
	b.status.Pools = []admin.PoolStatus{{Name: "a", Addresses: []admin.AddressStatus{{Address: "192.0.2.1", Standing: "up", Available: true, Share: 100, Mode: "intelligent"}}}}
	b.targets = []admin.TargetStatus{{ID: "t", HealthCheck: "web", Protocol: "https", Address: "192.0.2.1", Pools: []string{"a"}, Results: results}}
	return newSite(b)
}

// The bars of results are stacked from below, the latest on the right, and failures say why.
func TestPhases(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := withResults(
		admin.ProbeResult{Time: at.Add(20 * time.Second), Good: false, Reason: "HTTP 503", Milliseconds: 10, Verdict: "down", Phases: &admin.Phases{ConnectMS: 10}},
		admin.ProbeResult{Time: at.Add(10 * time.Second), Good: true, Milliseconds: 20, Phases: &admin.Phases{ConnectMS: 5, TLSMS: 5, FirstByteMS: 5, BodyMS: 5}},
		admin.ProbeResult{Time: at, Good: true, Milliseconds: 30},
	)
	body := s.get("/address?address=192.0.2.1").Body.String()
	var bars []string
	for _, chart := range elements(t, body, "svg", "bars") {
		for n := range chart.Descendants() {
			if n.Data == "g" {
				var parts []string
				for r := range n.Descendants() {
					if class := attribute(r, "class"); strings.HasPrefix(class, "p-") {
						parts = append(parts, class+" "+attribute(r, "x")+" "+attribute(r, "y")+"+"+attribute(r, "height"))
					}
				}
				bars = append(bars, strings.Join(parts, ", "))
			}
		}
	}
	// The scale goes to 40 ms, so that a millisecond is 4.3 of the 172 that are drawn on.
	want := []string{
		"p-rest 882.0 51.0+129.0",
		"p-connect 922.0 158.5+21.5, p-tls 922.0 137.0+21.5, p-first 922.0 115.5+21.5, p-body 922.0 94.0+21.5",
		"p-failed 962.0 0+180, p-connect 962.0 137.0+43.0",
	}
	if strings.Join(bars, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(bars, "\n"), strings.Join(want, "\n"))
	}
	failed := elements(t, body, "g", "failed")
	if len(failed) != 1 || attribute(failed[0], "aria-label") != "2026-01-02 03:04:25 UTC: failed, HTTP 503; 10.0 ms, connect 10.0 ms; the verdict turned to down" || attribute(failed[0], "tabindex") != "0" {
		t.Errorf("the failure says %q", attribute(failed[0], "aria-label"))
	}
}

func TestSpark(t *testing.T) {
	good := func(ms float64) admin.ProbeResult { return admin.ProbeResult{Good: true, Milliseconds: ms} }
	s := withResults(good(10), admin.ProbeResult{Reason: "no"}, good(10), good(10))
	body := s.get("/pool?name=a").Body.String()
	sparks := elements(t, body, "svg", "spark")
	if len(sparks) != 1 {
		t.Fatalf("%d sparks", len(sparks))
	}
	var lines, fails []string
	for n := range sparks[0].Descendants() {
		switch n.Data {
		case "polyline":
			lines = append(lines, attribute(n, "points"))
		case "path":
			fails = append(fails, attribute(n, "d"))
		}
	}
	// The top of the scale is 13 ms: 10 of them are 13.8 of 18 above the ground at 20.
	if got, want := strings.Join(lines, " | "), "115.8,6.2 117.0,6.2 | 119.4,6.2 119.4,6.2"; got != want {
		t.Errorf("lines %q, want %q", got, want)
	}
	if got, want := strings.Join(fails, " | "), "M118.2 1V21"; got != want {
		t.Errorf("failures %q, want %q", got, want)
	}
	if got, want := attribute(sparks[0], "aria-label"), "web: 4 results: median 10.0 ms, most 10.0 ms; 1 failed"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// The page of a list that a reader asks for is there, and the links beside it lead to its neighbours with the same filter.
func TestPager(t *testing.T) {
	s := newSite(large(120, 2))
	for _, tt := range []struct{ path, text, previous, next string }{
		{"/instances", "1–50 of 120", "", "/instances?page=2"},
		{"/instances?page=2&state=&q=instance", "51–100 of 120", "/instances?page=1&q=instance&state=", "/instances?page=3&q=instance&state="},
		{"/instances?page=3", "101–120 of 120", "/instances?page=2", ""},
		{"/instances?page=99", "101–120 of 120", "/instances?page=2", ""},
		{"/instances?page=-1", "1–50 of 120", "", "/instances?page=2"},
		{"/instances?page=x", "1–50 of 120", "", "/instances?page=2"},
		{"/?page=2", "51–100 of 120", "/?page=1", "/?page=3"},
		{"/pools?page=2", "51–100 of 240", "/pools?page=1", "/pools?page=3"},
	} {
		pagers := elements(t, s.get(tt.path).Body.String(), "nav", "pager")
		if len(pagers) != 1 {
			t.Errorf("GET %s: %d pagers", tt.path, len(pagers))
			continue
		}
		links := map[string]string{}
		for n := range pagers[0].Descendants() {
			if rel := attribute(n, "rel"); rel != "" {
				links[rel] = attribute(n, "href")
			}
		}
		if !strings.Contains(text(pagers[0]), tt.text) || links["prev"] != tt.previous || links["next"] != tt.next {
			t.Errorf("GET %s: %q, previous %q, next %q", tt.path, text(pagers[0]), links["prev"], links["next"])
		}
	}
}
