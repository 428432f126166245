package dashboard_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"gtmd/admin"
)

// large is a process with so many instances, each with a primary and a backup pool of half of so many addresses; every third
// primary is down, for one of three reasons.
func large(instances, addresses int) *backend {
	b := &backend{}
	b.status = admin.Status{Ready: "ready", Started: before(time.Hour), Config: admin.ConfigStatus{File: "gtmd.toml", Loaded: before(time.Hour)}}
	s := &b.status
	for i := range instances {
		var names []string
		for k, role := range []string{"primary", "backup"} {
			p := admin.PoolStatus{Name: fmt.Sprintf("pool-%04d-%s", i, role), Type: "ipv4", HealthChecks: []string{"web"}}
			for n := range addresses / 2 {
				a := admin.AddressStatus{Address: fmt.Sprintf("10.%d.%d.%d", k*16+i>>8, i&255, n), Mode: "intelligent", Weight: 1, Share: 100, Available: true, Standing: "up",
					ProbeStatus: admin.ProbeStatus{Verdict: "up", Since: earlier(time.Hour), LastProbe: earlier(time.Second), LastMilliseconds: 12}}
				if k == 0 && i%3 == 0 {
					a.Available, a.Standing, a.Verdict = false, "down", "down"
					a.Reason = []string{"connect: connection refused", "HTTP 503, wanted 200-499", "timeout after 5s"}[i/3%3]
				}
				p.Addresses = append(p.Addresses, a)
			}
			s.Pools = append(s.Pools, p)
			names = append(names, p.Name)
		}
		at, why := 0, "normal"
		if i%3 == 0 {
			at, why = 1, "failover"
		}
		in := admin.InstanceStatus{Name: fmt.Sprintf("instance-%04d", i), AccessDomain: fmt.Sprintf("i%04d.gtm.example.com.", i), TTL: 60}
		for _, family := range []string{"ipv4", "ipv6"} {
			in.Policies = append(in.Policies, policyOf("Global", []string{"global"}, family, at, why, time.Hour, names[:1], names[1:]),
				policyOf("Asia", []string{"continent:AS"}, family, at, why, time.Hour, names[:1], names[1:]))
		}
		s.Instances = append(s.Instances, in)
		s.Switches = append(s.Switches, admin.Switch{Time: before(time.Hour), Instance: in.Name, Policy: "Global", Family: "ipv4", From: "primary", To: "backup 1", Why: "failover"})
	}
	return b
}

// Limits of the overview with 1,000 instances and 10,000 addresses.
const (
	mostTime   = 200 * time.Millisecond
	mostWeight = 300_000 // octets: the page, its stylesheet and its scripts
)

func TestOverviewScales(t *testing.T) {
	s := newSite(large(1000, 10))
	best := time.Hour // of several: the machine may be busy with something else
	var body string
	for range 5 {
		begun := time.Now()
		body = s.get("/").Body.String()
		best = min(best, time.Since(begun))
	}
	if best > mostTime {
		t.Errorf("the overview took %s, want at most %s", best, mostTime)
	}
	weight, seen := len(body), map[string]bool{}
	var files []string
	collect := func(text, pattern, prefix string) {
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			if path := prefix + found[1]; !seen[path] {
				seen[path] = true
				files = append(files, path)
			}
		}
	}
	collect(body, `(?:href|src)="(/static/[^"]+)"`, "")
	for i := 0; i < len(files); i++ { // grows by what scripts import
		file := s.get(files[i])
		if file.Code != 200 {
			t.Errorf("GET %s: status %d", files[i], file.Code)
		}
		weight += file.Body.Len()
		collect(file.Body.String(), `from "\./([^"]+)"`, "/static/")
	}
	if len(files) < 6 {
		t.Errorf("only the files %v belong to the page: the test does not see them", files)
	}
	if weight > mostWeight {
		t.Errorf("the overview has %d octets, want at most %d", weight, mostWeight)
	}
	t.Logf("the overview of 1,000 instances and 10,000 addresses: %s, %d octets, of which %d are the page", best, weight, len(body))
}

func BenchmarkOverview(b *testing.B) {
	s := newSite(large(1000, 10))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}
}
