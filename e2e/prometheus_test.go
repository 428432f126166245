//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// TestPromtool has promtool check the shipped rules and run their unit tests.
func TestPromtool(t *testing.T) {
	promtool := need(t, "promtool")["promtool"]
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"check", "rules", "gtmd.rules.yml"}, {"test", "rules", "gtmd.rules_test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, tail(string(out), 60))
		}
	}
}

// prometheus is a Prometheus that scrapes the gtmd of a lab every second, with the shipped rules.
type prometheus struct{ address string }

func (l *lab) startPrometheus(t *testing.T, program string) *prometheus {
	t.Helper()
	p := &prometheus{address: adminIP + ":" + freePort(t, adminIP)}
	rules, err := os.ReadFile("../deploy/prometheus/gtmd.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, "prometheus/gtmd.rules.yml", string(rules))
	config, err := os.ReadFile("../deploy/prometheus/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("127.0.0.1:8553", l.Admin, "_interval: 15s", "_interval: 1s").Replace(string(config))
	path := l.write(t, "prometheus/prometheus.yml", text)
	start(t, l.dir, program, "--config.file="+path, "--storage.tsdb.path="+filepath.Join(l.dir, "tsdb"), "--web.listen-address="+p.address)
	return p
}

// series is one series of an answer.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// query asks for the present value of an expression.
func (p *prometheus) query(expr string) ([]series, error) {
	response, err := http.Get("http://" + p.address + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var reply struct {
		Status, Error string
		Data          struct{ Result []series }
	}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		return nil, err
	}
	if reply.Status != "success" {
		return nil, fmt.Errorf("%s: %s", expr, reply.Error)
	}
	return reply.Data.Result, nil
}

// selectors of an expression: the name of a metric and what is asked of its labels.
var selectors = regexp.MustCompile(`\b(?:up|gtmd:\w+:\w+|(?:gtmd|process|go)_\w+)\b(?:\{[^}]*\})?`)

// TestPrometheus: a real Prometheus scrapes gtmd; each expression of the shipped rules, and of the dashboard, is one that it
// understands, and finds its series; and the rule of an outage fires.
func TestPrometheus(t *testing.T) {
	program := need(t, "prometheus")["prometheus"]
	l := newLab(t, shop)
	l.writeCertificate(t, "origin.test")
	city := newTree(t, "GeoLite2-City")
	insert(t, city, netip.MustParsePrefix("198.51.100.0/24"), mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("JP")}})
	write(t, city, filepath.Join(l.dir, "city.mmdb"))
	l.write(t, "gtmd.toml", fill(t, "monitored.toml", map[string]string{
		"GTMD": l.GTMD, "TLS": gtmdIP + ":" + freePort(t, gtmdIP), "Admin": l.Admin, "Socket": l.Socket, "Dir": l.dir, "OriginPort": l.OriginPort,
		"Nowhere": adminIP + ":" + freePort(t, adminIP),
	}))
	var origins []*httptest.Server
	for _, ip := range []string{test1IP, test2IP} {
		origins = append(origins, startSecureOrigin(t, l.dir, ip+":"+l.OriginPort))
	}
	l.startGTMD(t)
	p := l.startPrometheus(t, program)
	eventually(t, 30*time.Second, "the recorded rate of queries is there", func() bool {
		ask(l.GTMD, l.access)
		found, err := p.query("gtmd:dns_requests:rate5m > 0")
		return err == nil && len(found) == 1
	})
	rules, err := os.ReadFile("../deploy/prometheus/gtmd.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, expr := range expressions(string(rules)) {
		p.finds(t, "rule", expr, nil)
	}
	dashboard, err := os.ReadFile("../deploy/grafana/gtmd.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, expr := range queries(t, dashboard) {
		p.finds(t, "dashboard", expr, absent)
	}

	for _, o := range origins {
		o.Close()
	}
	eventually(t, 30*time.Second, "GtmdFailOpen fires", func() bool {
		found, err := p.query(`ALERTS{alertname="GtmdFailOpen", alertstate="firing", exported_instance="cdn-origin", policy="Global", family="ipv4", severity="page"}`)
		return err == nil && len(found) == 1
	})
}

// finds checks that an expression is understood and that each of its selectors finds a series, but for metrics that a small
// configuration does not have.
func (p *prometheus) finds(t *testing.T, what, expr string, absent []string) {
	t.Helper()
	if _, err := p.query(expr); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	all := selectors.FindAllString(expr, -1)
	if len(all) == 0 {
		t.Errorf("%s: %q asks for nothing", what, expr)
	}
	for _, selector := range all {
		name, _, _ := strings.Cut(selector, "{")
		if slices.Contains(absent, name) {
			continue
		}
		if found, err := p.query(selector); err != nil || len(found) == 0 {
			t.Errorf("%s %q: %s finds no series, error %v", what, expr, selector, err)
		}
	}
}

// absent are metrics that need what this lab does not have: secondaries, query logs, push checks and keys.
var absent = []string{
	"gtmd_dns_notifies_total", "gtmd_dns_transfers_total", "gtmd_query_log_entries_total", "gtmd_zone_serial",
}

var exprLine = regexp.MustCompile(`(?m)^( +)expr: (.*)$`)

// expressions are those of a file of rules.
func expressions(text string) (all []string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		m := exprLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		expr := m[2]
		if expr == "|" {
			expr = ""
			for _, more := range lines[i+1:] {
				if !strings.HasPrefix(more, m[1]+"  ") {
					break
				}
				expr += more + " "
			}
		}
		all = append(all, strings.TrimSpace(expr))
	}
	return all
}

// queries are the expressions of a dashboard, with its variables filled in.
func queries(t *testing.T, dashboard []byte) (all []string) {
	t.Helper()
	var root any
	if err := json.Unmarshal(dashboard, &root); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$job", "gtmd", "$instance", ".*", "$gtm", ".*")
	var visit func(any)
	visit = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if expr, ok := value["expr"].(string); ok {
				all = append(all, fill.Replace(expr))
			}
			for _, v := range value {
				visit(v)
			}
		case []any:
			for _, v := range value {
				visit(v)
			}
		}
	}
	visit(root)
	if len(all) < 40 {
		t.Fatalf("the dashboard has only %d queries", len(all))
	}
	return all
}

// startSecureOrigin serves everything over TLS, with the certificate of the lab.
func startSecureOrigin(t *testing.T, dir, address string) *httptest.Server {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	o := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	o.Listener.Close()
	o.Listener, o.TLS = listener, &tls.Config{Certificates: []tls.Certificate{certificate}}
	o.Config.ErrorLog = log.New(io.Discard, "", 0)
	o.StartTLS()
	t.Cleanup(o.Close)
	return o
}
