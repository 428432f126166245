package resolver

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const zeroMetrics = `
# HELP gtmd_resolver_failing Names whose last resolution failed, wholly or for one family.
# TYPE gtmd_resolver_failing gauge
gtmd_resolver_failing 0
# HELP gtmd_resolver_names Names whose addresses are kept.
# TYPE gtmd_resolver_names gauge
gtmd_resolver_names 0
# HELP gtmd_resolver_queries_total Queries for the addresses of names, by result; one that was asked again over TCP counts once.
# TYPE gtmd_resolver_queries_total counter
gtmd_resolver_queries_total{result="empty"} 0
gtmd_resolver_queries_total{result="failed"} 0
gtmd_resolver_queries_total{result="found"} 0
gtmd_resolver_queries_total{result="malformed"} 0
gtmd_resolver_queries_total{result="nxdomain"} 0
gtmd_resolver_queries_total{result="refused"} 0
gtmd_resolver_queries_total{result="servfail"} 0
gtmd_resolver_queries_total{result="timeout"} 0
`

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, registry := newScript(t), prometheus.NewPedanticRegistry()
		r := s.start(nil, nil, registry)
		expect := func(text string) {
			t.Helper()
			if err := testutil.GatherAndCompare(registry, strings.NewReader(text)); err != nil {
				t.Error(err)
			}
		}
		expect(zeroMetrics)
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		s.set("a. A", "a. 300 A 192.0.2.1")
		s.set("b. A", "SERVFAIL")
		s.set("b. AAAA", "silence")
		s.set("c. A", "NXDOMAIN")
		s.set("c. AAAA", "REFUSED")
		r.Set(oneServer(), []string{"a.", "b.", "c."})
		time.Sleep(4500 * time.Millisecond)
		expect(strings.NewReplacer(
			`names 0`, `names 3`, `failing 0`, `failing 2`, `"found"} 0`, `"found"} 1`, `"empty"} 0`, `"empty"} 1`,
			`"servfail"} 0`, `"servfail"} 2`, `"timeout"} 0`, `"timeout"} 2`, `"nxdomain"} 0`, `"nxdomain"} 1`, `"refused"} 0`, `"refused"} 2`,
		).Replace(zeroMetrics))
		r.Close()
		if families, err := registry.Gather(); err != nil || len(families) > 0 {
			t.Errorf("after Close: %v, %v", families, err)
		}
	})
}

func TestMetricsRegistered(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "gtmd_resolver_failing", Help: "Names whose last resolution failed, wholly or for one family."}))
	_, err := New(Options{}, nil, registry)
	if err == nil || err.Error() != "registering the metrics of the resolver: descriptor Desc{fqName: \"gtmd_resolver_failing\", help: \"Names whose last resolution failed, wholly or for one family.\", unit: \"\", constLabels: {}, variableLabels: {}} already exists with the same fully-qualified name and const label values" {
		t.Errorf("%v", err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 1 {
		t.Errorf("the others stayed registered: %v, %v", families, err)
	}
}
