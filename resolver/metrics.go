package resolver

import (
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// result is what came of one query, as the metrics count it.
type result string

const (
	found     result = "found"     // Addresses.
	empty     result = "empty"     // The name has none of this family.
	nxdomain  result = "nxdomain"  // There is no such name.
	servfail  result = "servfail"  // The server could not find out.
	refused   result = "refused"   // The server does not want to, or does no recursion.
	timeout   result = "timeout"   // There was no answer in time.
	malformed result = "malformed" // The answer cannot be used.
	failed    result = "failed"    // The server cannot be reached, or gave another response code.
)

// results lists them all.
func results() []result {
	return []result{found, empty, nxdomain, servfail, refused, timeout, malformed, failed}
}

// resultOf returns the result of a response code that means a failure.
func resultOf(code int) result {
	switch code {
	case dns.RcodeServerFailure:
		return servfail
	case dns.RcodeRefused:
		return refused
	default:
		return failed
	}
}

// metrics are what a [Resolver] counts.
type metrics struct {
	registerer prometheus.Registerer // Nil before register, and when there is none.

	queries *prometheus.CounterVec // result
	names   prometheus.GaugeFunc
	failing prometheus.GaugeFunc
}

// newMetrics returns the metrics, with all children at zero. The functions are called at a scrape.
func newMetrics(names, failing func() float64) *metrics {
	m := &metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_resolver_queries_total",
			Help: "Queries for the addresses of names, by result; one that was asked again over TCP counts once.",
		}, []string{"result"}),
		names: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gtmd_resolver_names",
			Help: "Names whose addresses are kept.",
		}, names),
		failing: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gtmd_resolver_failing",
			Help: "Names whose last resolution failed, wholly or for one family.",
		}, failing),
	}
	for _, r := range results() {
		m.queries.WithLabelValues(string(r))
	}
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.queries, m.names, m.failing}
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

// observe counts one query.
func (m *metrics) observe(r result) { m.queries.WithLabelValues(string(r)).Inc() }
