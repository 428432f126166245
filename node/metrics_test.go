package node_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gtmd/admin"
	"gtmd/node"
)

var update = flag.Bool("update", false, "write testdata/metrics.txt anew")

// scrape reads /metrics.
func scrape(t *testing.T, n *node.Node) string {
	t.Helper()
	response, err := http.Get("http://" + n.AdminAddress().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v\n%s", response.Status, err, text)
	}
	return string(text)
}

// metric is the value of a series, named as /metrics writes it.
func metric(t *testing.T, n *node.Node, series string) string {
	t.Helper()
	for line := range strings.Lines(scrape(t, n)) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return "absent"
}

// TestMetricNames compares every metric of the program, with type and labels, to the list in testdata. A metric that has
// another name breaks the dashboards and alerts of operators.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	address := netip.MustParseAddrPort(secure.Listener.Addr().String())
	s.put("city.mmdb", worldIn(t, "US"))
	i := startInternet(t, "www.shop.test. 60 CNAME cdn.test.\ncdn.test. 60 A 192.0.2.80")
	business := strings.Replace(instance, "ttl = 5", "ttl = 5\nbusiness_domains = [\"www.shop.test\"]", 1)
	n := s.start("[geo]\ndatabases = [\"$DIR/city.mmdb\"]\n", i.checked(""), s.secured(t, `"127.0.0.1:9"`), strings.Replace(pools, `["$1"]`, fmt.Sprintf("[%q]", address.Addr()), 1), business, fmt.Sprintf(`
[[pool]]
name = "secure"
type = "ipv4"
health_check = "secure"
addresses = [%q]
[[health_check]]
name = "secure"
protocol = "https"
port = %d
verify = false
interval = "200ms"
timeout = "200ms"
[[alert_group]]
name = "ops"
[[alert_group.method]]
kind = "webhook"
url = "http://127.0.0.1:9/"
`, address.Addr(), address.Port()))
	eventually(t, "up", func() string { return standing(n, 2) })
	eventually(t, "saved", func() string {
		if metric(t, n, "gtmd_state_last_save_timestamp_seconds") != "0" {
			return "saved"
		}
		return "not yet"
	})
	eventually(t, admin.Configured, func() string { return n.BusinessDomains()[0].State })
	problems, err := testutil.GatherAndLint(n.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("lint: %s: %s", p.Metric, p.Text)
	}

	families, err := n.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "gtmd_") {
			continue // of the Go runtime and the process: not ours
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		fmt.Fprintf(&got, "%s{%s} %s\n", f.GetName(), strings.Join(labels, ","), strings.ToLower(f.GetType().String()))
	}
	const golden = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the metrics are not those of %s (-want +got); if that is meant, run go test -update:\n%s", golden, diff)
	}
}

// TestMetricChildren follows the series of a pool and of a policy through their lives.
func TestMetricChildren(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	// test1 and extra have the same address: one target, two series.
	extra := `
[[pool]]
name = "extra"
type = "ipv4"
health_check = "web"
addresses = ["$0", { address = "192.0.2.8", mode = "offline" }]
`
	n := s.start(header, pools, extra, instance)
	first := s.origins[0].String()
	policy := `instance="cdn-origin",policy="Global"`
	for series, want := range map[string]string{
		`gtmd_address_up{address="` + first + `",pool="test1"}`:                                "1",
		`gtmd_address_up{address="` + first + `",pool="extra"}`:                                "1",
		`gtmd_address_up{address="192.0.2.8",pool="extra"}`:                                    "0",
		`gtmd_address_transitions_total{address="` + first + `",pool="test1",to="down"}`:       "0",
		`gtmd_address_transitions_total{address="` + first + `",pool="extra",to="down"}`:       "0",
		`gtmd_address_transitions_total{address="192.0.2.8",pool="extra",to="down"}`:           "absent",
		`gtmd_pool_addresses{pool="extra"}`:                                                    "1",
		`gtmd_pool_available_addresses{pool="extra"}`:                                          "1",
		`gtmd_set_available{family="ipv4",` + policy + `,set="primary"}`:                       "1",
		`gtmd_set_required_addresses{family="ipv4",` + policy + `,set="backup"}`:               "1",
		`gtmd_policy_active_set{family="ipv4",` + policy + `,set="primary"}`:                   "1",
		`gtmd_policy_active_set{family="ipv4",` + policy + `,set="backup"}`:                    "0",
		`gtmd_policy_fail_open{family="ipv4",` + policy + `}`:                                  "0",
		`gtmd_policy_switches_total{family="ipv4",from="primary",` + policy + `,to="backup"}`:  "0",
		`gtmd_policy_switches_total{family="ipv4",from="backup",` + policy + `,to="none"}`:     "0",
		`gtmd_policy_switches_total{family="ipv4",from="primary",` + policy + `,to="primary"}`: "absent",
		`gtmd_answers_total{family="ipv4",` + policy + `,set="primary"}`:                       "0",
		`gtmd_answers_total{family="ipv4",` + policy + `,set="none"}`:                          "0",
		`gtmd_answers_total{family="ipv6",` + policy + `,set="primary"}`:                       "absent",
		`gtmd_probes_total{protocol="ping",result="bad"}`:                                      "0",
		`gtmd_state_save_failures_total`:                                                       "0",
	} {
		equal(t, series, metric(t, n, series), want)
	}
	if info := scrape(t, n); !strings.Contains(info, `gtmd_build_info{goversion="go1.`) || !strings.Contains(info, `revision="abc",version="1.2.3"} 1`) {
		t.Errorf("build info is missing")
	}

	equal(t, "answer", answer(n, dns.TypeA, ""), first)
	equal(t, "answers", metric(t, n, `gtmd_answers_total{family="ipv4",`+policy+`,set="primary"}`), "1")
	s.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	for series, want := range map[string]string{
		`gtmd_address_up{address="` + first + `",pool="extra"}`:                               "0",
		`gtmd_address_transitions_total{address="` + first + `",pool="test1",to="down"}`:      "1",
		`gtmd_address_transitions_total{address="` + first + `",pool="extra",to="down"}`:      "1",
		`gtmd_probe_success{address="` + first + `",pool="test1"}`:                            "0",
		`gtmd_policy_switches_total{family="ipv4",from="primary",` + policy + `,to="backup"}`: "1",
		`gtmd_policy_active_set{family="ipv4",` + policy + `,set="backup"}`:                   "1",
	} {
		equal(t, series, metric(t, n, series), want)
	}

	// A pinned set whose addresses are all down is served open, although the other set is up.
	if err := s.reload(n, header, pools, extra, instance, "switch = \"primary\"\n"); err != nil {
		t.Fatal(err)
	}
	equal(t, "fail open", metric(t, n, `gtmd_policy_fail_open{family="ipv4",`+policy+`}`), "1")

	// What is gone from the configuration is gone from the metrics, and begins at 0 when it comes back.
	if err := s.reload(n, header, static, strings.ReplaceAll(instance, "Global", "Other")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "false", func() string { return fmt.Sprint(strings.Contains(scrape(t, n), first)) })
	for _, gone := range []string{`pool="extra"`, `policy="Global"`} {
		if strings.Contains(scrape(t, n), gone) {
			t.Errorf("%s is still in the metrics", gone)
		}
	}
	if err := s.reload(n, header, pools, extra, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "switches", metric(t, n, `gtmd_policy_switches_total{family="ipv4",from="primary",`+policy+`,to="backup"}`), "0")
	equal(t, "turns", metric(t, n, `gtmd_address_transitions_total{address="`+first+`",pool="test1",to="up"}`), "0")
}

// TestAnswersOfAPolicyThatFallsThrough has series for every set that may answer.
func TestAnswersOfAPolicyThatFallsThrough(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, `
[[pool]]
name = "six"
type = "ipv6"
addresses = ["2001:db8::1"]
[[geo.line]]
name = "office"
prefixes = ["198.51.100.0/24"]
`, strings.Replace(instance, "ttl = 5", "ttl = 5\nunmatched = \"nodata\"", 1), `
[[instance.policy]]
name = "Office"
sources = ["office"]
fall_through = true
primary = { pools = ["test1", "six"] }
backup = [{ pools = ["six"] }, { pools = ["test2"] }]
`)
	got := ""
	for _, set := range []string{"primary", "backup", "backup 2", "none"} {
		got += metric(t, n, fmt.Sprintf(`gtmd_answers_total{family="ipv4",instance="cdn-origin",policy="Office",set=%q}`, set)) + " "
	}
	equal(t, "answers", got, "0 0 0 0 ")
}

// TestDetailMetrics: without those of each address /metrics still has pools and sets, and without those of each instance it still
// has addresses.
func TestDetailMetrics(t *testing.T) {
	t.Parallel()
	address := []string{"gtmd_address_up", "gtmd_address_transitions_total", "gtmd_probe_success"}
	instances := []string{"gtmd_pool_available_addresses", "gtmd_set_available", "gtmd_policy_active_set", "gtmd_policy_switches_total", "gtmd_answers_total", "gtmd_access_domain_last_query_timestamp_seconds"}
	all := []string{"gtmd_probes_total", "gtmd_overrides", "gtmd_config_info"}
	for _, row := range []struct {
		option     string
		has, hasNo []string
	}{
		{"address_metrics = false", slices.Concat(instances, all), address},
		{"instance_metrics = false", slices.Concat(address, all), instances},
		{"address_metrics = false\ninstance_metrics = false", all, slices.Concat(address, instances)},
		{"", slices.Concat(address, instances, all), nil},
	} {
		s := newSite(t, 2)
		n := s.start(strings.Replace(header, "[admin]", "[admin]\n"+row.option, 1), pools, instance)
		families, err := n.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, f := range families {
			has[f.GetName()] = true
		}
		for _, name := range row.has {
			if !has[name] {
				t.Errorf("%q: %s is not there", row.option, name)
			}
		}
		for _, name := range row.hasNo {
			if has[name] {
				t.Errorf("%q: %s is there", row.option, name)
			}
		}
	}
}
