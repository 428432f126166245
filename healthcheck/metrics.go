package healthcheck

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an [Engine] counts.
type metrics struct {
	registerer prometheus.Registerer // Nil before register, and when there is none.

	of         map[Protocol]protocolMetrics // Of each protocol that there is; not written to.
	probes     *prometheus.CounterVec       // protocol, result
	duration   *prometheus.HistogramVec     // protocol
	startDelay prometheus.Histogram
	inFlight   prometheus.Gauge
	blind      *prometheus.GaugeVec   // family
	blindTotal *prometheus.CounterVec // family
}

// protocolMetrics are the children of one protocol, which to look up takes longer than to count with.
type protocolMetrics struct {
	good, bad, void prometheus.Counter
	duration        prometheus.Observer
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
		blind: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gtmd_prober_blind",
			Help: "Whether this prober takes the failures of a family for its own and its verdicts are frozen (1) or not (0).",
		}, []string{"family"}),
		blindTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_prober_blind_total",
			Help: "How often the verdicts of a family were frozen because this prober was blind.",
		}, []string{"family"}),
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		m.blind.WithLabelValues(family)
		m.blindTotal.WithLabelValues(family)
	}
	m.of = make(map[Protocol]protocolMetrics)
	for _, protocol := range Protocol("").Values() {
		m.of[Protocol(protocol)] = m.protocol(protocol)
	}
	return m
}

func (m *metrics) protocol(name string) protocolMetrics {
	return protocolMetrics{
		good:     m.probes.WithLabelValues(name, "good"),
		bad:      m.probes.WithLabelValues(name, "bad"),
		void:     m.probes.WithLabelValues(name, "void"),
		duration: m.duration.WithLabelValues(name),
	}
}

// lookUp returns the children of a protocol.
func (m *metrics) lookUp(protocol Protocol) protocolMetrics {
	if found, ok := m.of[protocol]; ok {
		return found
	}
	return m.protocol(string(protocol))
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.probes, m.duration, m.startDelay, m.inFlight, m.blind, m.blindTotal}
}

// Describe implements [prometheus.Collector], so that all are registered together or none.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

// register hands the metrics to r. A nil r takes none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	m.registerer = r
	return r.Register(m)
}

// unregister takes the metrics back.
func (m *metrics) unregister() {
	if m.registerer != nil {
		m.registerer.Unregister(m)
	}
}

// observe counts one result that is good or bad.
func (m *metrics) observe(protocol Protocol, good bool, took time.Duration) {
	of := m.lookUp(protocol)
	if good {
		of.good.Inc()
	} else {
		of.bad.Inc()
	}
	of.duration.Observe(took.Seconds())
}

// void counts one result that is neither. How long it took says nothing.
func (m *metrics) void(protocol Protocol) {
	m.lookUp(protocol).void.Inc()
}
