package healthcheck

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an [Engine] counts.
type metrics struct {
	registerer prometheus.Registerer // Nil before register, and when there is none.

	probes     *prometheus.CounterVec   // protocol, result
	duration   *prometheus.HistogramVec // protocol
	startDelay prometheus.Histogram
	inFlight   prometheus.Gauge
}

// newMetrics returns the metrics, with all children at zero.
func newMetrics() *metrics {
	m := &metrics{
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_probes_total",
			Help: "Health check probes, by protocol and result; void ones count neither for nor against an address.",
		}, []string{"protocol", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gtmd_probe_duration_seconds",
			Help:    "Time from the start of a probe to its result, by protocol.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"protocol"}),
		startDelay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "gtmd_probe_start_delay_seconds",
			Help:    "How much later than planned a probe started.",
			Buckets: []float64{.0005, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gtmd_probes_in_flight",
			Help: "Probes that are running now.",
		}),
	}
	for _, protocol := range Protocol("").Values() {
		m.probes.WithLabelValues(protocol, "good")
		m.probes.WithLabelValues(protocol, "bad")
		m.probes.WithLabelValues(protocol, "void")
		m.duration.WithLabelValues(protocol)
	}
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.probes, m.duration, m.startDelay, m.inFlight}
}

// register hands the metrics to r, all or none. A nil r takes none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			for _, done := range m.collectors()[:i] {
				r.Unregister(done)
			}
			return err
		}
	}
	m.registerer = r
	return nil
}

// unregister takes the metrics back.
func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors() {
		m.registerer.Unregister(c)
	}
}

// observe counts one result that is good or bad.
func (m *metrics) observe(protocol Protocol, good bool, took time.Duration) {
	result := "bad"
	if good {
		result = "good"
	}
	m.probes.WithLabelValues(string(protocol), result).Inc()
	m.duration.WithLabelValues(string(protocol)).Observe(took.Seconds())
}

// void counts one result that is neither. How long it took says nothing.
func (m *metrics) void(protocol Protocol) {
	m.probes.WithLabelValues(string(protocol), "void").Inc()
}
