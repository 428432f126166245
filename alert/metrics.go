package alert

import "github.com/prometheus/client_golang/prometheus"

// metrics reads the service at every scrape, so that the series of a method appear and disappear with it.
type metrics struct{ service *Service }

var (
	messagesDesc = prometheus.NewDesc("gtmd_alerts_messages_total",
		"Alert messages that were delivered, rejected by the receiver for good, or given up after the time that they are kept (expired).",
		[]string{"group", "method", "result"}, nil)
	failuresDesc = prometheus.NewDesc("gtmd_alerts_failed_attempts_total",
		"Attempts to deliver an alert message that failed.", []string{"group", "method"}, nil)
	queueDesc = prometheus.NewDesc("gtmd_alerts_queue_length",
		"Events that wait to be told by a method, with those of a message that is being tried.", []string{"group", "method"}, nil)
	lastSuccessDesc = prometheus.NewDesc("gtmd_alerts_last_success_timestamp_seconds",
		"When a message was last delivered by a method; 0: not since the start.", []string{"group", "method"}, nil)
	firingDesc = prometheus.NewDesc("gtmd_alerts_firing",
		"Alerts that are not over.", nil, nil)
	droppedDesc = prometheus.NewDesc("gtmd_alerts_dropped_events_total",
		"Events that were dropped because too many waited.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (m metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{messagesDesc, failuresDesc, queueDesc, lastSuccessDesc, firingDesc, droppedDesc} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := m.service
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.routes {
		group, method := r.name.group, r.name.method
		counter(messagesDesc, r.stats.delivered, group, method, string(delivered))
		counter(messagesDesc, r.stats.rejected, group, method, string(rejected))
		counter(messagesDesc, r.stats.expired, group, method, string(expired))
		counter(failuresDesc, r.stats.failed, group, method)
		gauge(queueDesc, float64(r.queued()), group, method)
		last := 0.0
		if t := r.stats.lastSuccess; !t.IsZero() {
			last = float64(t.UnixMilli()) / 1000
		}
		gauge(lastSuccessDesc, last, group, method)
	}
	gauge(firingDesc, float64(len(s.firing)))
	counter(droppedDesc, s.inbox.lost())
}
