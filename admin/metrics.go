package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count the requests to the API.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	pushes    *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_http_requests_total", Help: "Requests to the admin API, by handler and status code.",
		}, []string{"handler", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gtmd_http_request_duration_seconds", Help: "Time to answer requests to the admin API.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 7),
		}, []string{"handler"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_push_reports_total", Help: "Reports that origins sent on themselves, by what became of them.",
		}, []string{"result"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.pushes} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	for _, result := range []pushResult{pushTaken, pushMalformed, pushNoToken, pushWrongToken, pushUnknown, pushFailed} {
		m.pushes.WithLabelValues(string(result))
	}
	return m, nil
}

// pushResult is what became of the report of an origin.
type pushResult string

const (
	pushTaken      pushResult = "taken"
	pushMalformed  pushResult = "malformed"
	pushNoToken    pushResult = "no_token"
	pushWrongToken pushResult = "wrong_token"
	pushUnknown    pushResult = "unknown_target"
	pushFailed     pushResult = "failed"
)

// observe counts and times a handler.
func (m *metrics) observe(name string, h http.HandlerFunc) http.Handler {
	m.requests.WithLabelValues(name, "200")
	duration := m.durations.WithLabelValues(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		recorder := &statusRecorder{ResponseWriter: w, code: http.StatusOK}
		h(recorder, r)
		duration.Observe(time.Since(begin).Seconds())
		m.requests.WithLabelValues(name, strconv.Itoa(recorder.code)).Inc()
	})
}

// statusRecorder remembers the status code that a handler sent.
type statusRecorder struct {
	http.ResponseWriter
	code int
}

func (r *statusRecorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the writer behind.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
