package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const zeroCounters = `
# HELP gtmd_probes_in_flight Probes that are running now.
# TYPE gtmd_probes_in_flight gauge
gtmd_probes_in_flight 0
# HELP gtmd_probes_total Health check probes, by protocol and result; void ones count neither for nor against an address.
# TYPE gtmd_probes_total counter
gtmd_probes_total{protocol="dns",result="bad"} 0
gtmd_probes_total{protocol="dns",result="good"} 0
gtmd_probes_total{protocol="dns",result="void"} 0
gtmd_probes_total{protocol="grpc",result="bad"} 0
gtmd_probes_total{protocol="grpc",result="good"} 0
gtmd_probes_total{protocol="grpc",result="void"} 0
gtmd_probes_total{protocol="http",result="bad"} 0
gtmd_probes_total{protocol="http",result="good"} 0
gtmd_probes_total{protocol="http",result="void"} 0
gtmd_probes_total{protocol="https",result="bad"} 0
gtmd_probes_total{protocol="https",result="good"} 0
gtmd_probes_total{protocol="https",result="void"} 0
gtmd_probes_total{protocol="ping",result="bad"} 0
gtmd_probes_total{protocol="ping",result="good"} 0
gtmd_probes_total{protocol="ping",result="void"} 0
gtmd_probes_total{protocol="push",result="bad"} 0
gtmd_probes_total{protocol="push",result="good"} 0
gtmd_probes_total{protocol="push",result="void"} 0
gtmd_probes_total{protocol="script",result="bad"} 0
gtmd_probes_total{protocol="script",result="good"} 0
gtmd_probes_total{protocol="script",result="void"} 0
gtmd_probes_total{protocol="tcp",result="bad"} 0
gtmd_probes_total{protocol="tcp",result="good"} 0
gtmd_probes_total{protocol="tcp",result="void"} 0
gtmd_probes_total{protocol="tls",result="bad"} 0
gtmd_probes_total{protocol="tls",result="good"} 0
gtmd_probes_total{protocol="tls",result="void"} 0
`

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		e := startEngine(t, EngineOptions{Registerer: registry})
		expect := func(text string) {
			t.Helper()
			if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "gtmd_probes_total", "gtmd_probes_in_flight"); err != nil {
				t.Error(err)
			}
		}
		expect(zeroCounters)
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}

		bad, slow := newScript(func(context.Context, *Report) error { return errors.New("bad") }), newScript(hang)
		ping := slow.target("slow")
		ping.Protocol, ping.Interval = Ping, 5*time.Second
		e.Set([]Target{newScript(nil).target("good"), bad.target("bad"), ping})
		time.Sleep(4 * time.Second)
		goods, bads := targetsOf(e.Status())["good"].GoodTotal, targetsOf(e.Status())["bad"].BadTotal
		expect(strings.NewReplacer(
			`gtmd_probes_in_flight 0`, `gtmd_probes_in_flight 1`,
			`{protocol="http",result="good"} 0`, fmt.Sprintf(`{protocol="http",result="good"} %d`, goods),
			`{protocol="http",result="bad"} 0`, fmt.Sprintf(`{protocol="http",result="bad"} %d`, bads),
		).Replace(zeroCounters))

		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			h := family.GetMetric()[0].GetHistogram()
			switch family.GetName() {
			case "gtmd_probe_duration_seconds":
				for _, child := range family.GetMetric() {
					if child.GetLabel()[0].GetValue() == "http" {
						h = child.GetHistogram()
					}
				}
				if n := len(family.GetMetric()); n != 9 || h.GetSampleCount() != goods+bads {
					t.Errorf("%d children, %d durations for http", n, h.GetSampleCount())
				}
			case "gtmd_probe_start_delay_seconds":
				if h.GetSampleCount() != goods+bads+1 || h.GetSampleSum() != 0 {
					t.Errorf("%d probes, %v s late", h.GetSampleCount(), h.GetSampleSum())
				}
			}
		}

		e.Close()
		if families, err := registry.Gather(); err != nil || len(families) > 0 {
			t.Errorf("after Close: %v, %v", families, err)
		}
	})
}

func TestMetricsRegistered(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "gtmd_probes_in_flight", Help: "Probes that are running now."}))
	_, err := NewEngine(EngineOptions{Registerer: registry})
	if err == nil || err.Error() != "registering the metrics of the health checks: descriptor Desc{fqName: \"gtmd_probes_in_flight\", help: \"Probes that are running now.\", unit: \"\", constLabels: {}, variableLabels: {}} already exists with the same fully-qualified name and const label values" {
		t.Errorf("%v", err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 1 {
		t.Errorf("the others stayed registered: %v, %v", families, err)
	}
}
