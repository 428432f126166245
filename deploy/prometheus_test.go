package deploy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	alertOf      = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	testOf       = regexp.MustCompile(`(?m)^ +- name: (\w+) (fires|is quiet)$`)
	recordOf     = regexp.MustCompile(`(?m)^ +- record: (\S+)$`)
	metricOf     = regexp.MustCompile(`\bgtmd_\w+`)
	annotationOf = regexp.MustCompile(`(?m)^ +(summary|description): .+$`)
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRules: each alert says what happened and what to do, has a unit test in which it fires and one in which it does not, each
// recorded series has one, and the rules name only metrics that there are. promtool itself runs them in e2e.
func TestRules(t *testing.T) {
	rules, tests := read(t, "prometheus/gtmd.rules.yml"), read(t, "prometheus/gtmd.rules_test.yml")
	tested := map[string]bool{}
	for _, m := range testOf.FindAllStringSubmatch(tests, -1) {
		tested[m[1]+" "+m[2]] = true
	}
	alerts := alertOf.FindAllStringSubmatch(rules, -1)
	for _, m := range alerts {
		for _, kind := range []string{"fires", "is quiet"} {
			if !tested[m[1]+" "+kind] {
				t.Errorf("no unit test in which %s %s", m[1], kind)
			}
			delete(tested, m[1]+" "+kind)
		}
	}
	if len(tested) > 0 || len(alerts) < 30 {
		t.Errorf("%d alerts, tests without an alert: %v", len(alerts), tested)
	}
	records := recordOf.FindAllStringSubmatch(rules, -1)
	for _, m := range records {
		if !strings.Contains(tests, "- expr: "+m[1]+"\n") {
			t.Errorf("no unit test of %s", m[1])
		}
	}
	if len(records) < 4 {
		t.Errorf("%d recorded series", len(records))
	}
	if n := len(annotationOf.FindAllString(rules, -1)); n != 2*len(alerts) {
		t.Errorf("%d summaries and descriptions, want %d", n, 2*len(alerts))
	}
	list := read(t, "../node/testdata/metrics.txt")
	names := metricOf.FindAllString(rules, -1)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !strings.Contains("\n"+list, "\n"+name+"{") && !slices.Contains(optional, name) {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// optional are metrics that the list of a small configuration does not have.
var optional = []string{"gtmd_dns_tls_certificate_expiry_timestamp_seconds", "gtmd_dns_tls_certificate_load_failures_total"}
