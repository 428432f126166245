package admin

import (
	"cmp"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count the requests to the API.
type metrics struct {
	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	pushes       *prometheus.CounterVec
	refused      *prometheus.CounterVec
	closed       *prometheus.CounterVec
	authFailures prometheus.Counter
	panics       prometheus.Counter
	panicked     func(r *http.Request, name string, value any) // logs
}

func newMetrics(registerer prometheus.Registerer, s *Server) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_http_requests_total", Help: "Requests to the admin API, by handler and status code.",
		}, []string{"handler", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gtmd_http_request_duration_seconds", Help: "Time to answer requests to the admin API, but for event streams.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 7),
		}, []string{"handler"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_push_reports_total", Help: "Reports that origins sent on themselves, by what became of them.",
		}, []string{"result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_http_refused_total", Help: "Requests to the admin API that were refused before they were read, by why: host (a foreign Host header), origin (a page of another server), token (none, or a wrong one), role (it may not), limit (too often), type (of its body).",
		}, []string{"why"}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_http_connections_closed_total", Help: "Connections to the admin API that were closed because there were too many.",
		}, []string{"listener"}),
		authFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gtmd_http_auth_failures_total", Help: "Wrong tokens that were shown to the admin API.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gtmd_http_panics_total", Help: "Requests to the admin API that met a defect of gtmd; the log says where.",
		}),
		panicked: func(r *http.Request, name string, value any) {
			s.log.Error("a handler of the admin API panicked", "handler", name, "method", r.Method, "path", oneLine(r.URL.Path, maxName), "panic", value, "stack", string(debug.Stack()))
		},
	}
	streams := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gtmd_http_streams", Help: "Event streams that are open.",
	}, func() float64 { return float64(s.streams.count()) })
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.pushes, m.refused, m.closed, m.authFailures, m.panics, streams} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	for _, result := range []pushResult{pushTaken, pushMalformed, pushNoToken, pushWrongToken, pushUnknown, pushFailed} {
		m.pushes.WithLabelValues(string(result))
	}
	for _, why := range []string{"host", "origin", "token", "role", "limit", "type"} {
		m.refused.WithLabelValues(why)
	}
	return m, nil
}

// observe counts and times a route. A panic of its handler is logged and answered, without what it was about.
func (m *metrics) observe(name string, h http.HandlerFunc) http.Handler {
	m.requests.WithLabelValues(name, "200")
	duration := m.durations.WithLabelValues(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		recorder := &statusRecorder{ResponseWriter: w}
		defer func() {
			value := recover()
			if value == http.ErrAbortHandler { // the handler itself breaks the connection
				panic(value)
			}
			begun := recorder.code != 0
			if value != nil {
				m.panics.Inc()
				m.panicked(r, name, value)
				recorder.code = http.StatusInternalServerError
			}
			if w.Header().Get("Content-Type") != "text/event-stream" {
				duration.Observe(time.Since(begin).Seconds())
			}
			m.requests.WithLabelValues(name, strconv.Itoa(cmp.Or(recorder.code, http.StatusOK))).Inc()
			switch {
			case value != nil && begun: // only a broken connection tells that the reply is not whole
				panic(http.ErrAbortHandler)
			case value != nil:
				replyError(w, http.StatusInternalServerError, errors.New("this is a defect of gtmd: its log says more"))
			}
		}()
		h(recorder, r)
	})
}

// statusRecorder remembers the status code that a handler sent; 0: none yet.
type statusRecorder struct {
	http.ResponseWriter
	code int
}

func (r *statusRecorder) WriteHeader(code int) {
	if r.code == 0 && code >= 200 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *statusRecorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer behind.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

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
