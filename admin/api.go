package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxBody bounds the body of a request, in octets.
const maxBody = 64 << 10

// routes returns the handler of one listener. What changes state is there only over the unix socket, whose file
// permissions say who may.
func (s *Server) routes(socket bool) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, name string, h http.HandlerFunc) {
		mux.Handle(pattern, s.metrics.observe(name, h))
	}
	handle("GET /healthz", "healthz", s.healthz)
	handle("GET /-/healthy", "healthz", s.healthz)
	handle("GET /readyz", "readyz", s.readyz)
	handle("GET /-/ready", "readyz", s.readyz)
	handle("GET /metrics", "metrics", promhttp.HandlerFor(s.gatherer, promhttp.HandlerOpts{}).ServeHTTP)
	handle("GET /api/v1/status", "status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.backend.Status()) })
	handle("GET /api/v1/explain", "explain", s.explain)
	if socket {
		handle("POST /api/v1/reload", "reload", s.reload)
		handle("POST /api/v1/switch", "switch", s.switchSet)
	}
	return http.MaxBytesHandler(mux, maxBody)
}

// healthz says that the process is alive: it answers HTTP.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }

// readyz says whether queries are answered.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.backend.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ready\n"))
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	explanation, err := s.backend.Explain(Question{Name: query.Get("name"), Type: query.Get("type"), Client: query.Get("client")})
	if err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusOK, explanation)
}

// reload has no time limit but the backend's own: it waits for addresses that are new. (When the time to read a request
// is over, net/http ends the context of one that was read, too.)
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	limits := http.NewResponseController(w)
	if err := errors.Join(limits.SetReadDeadline(time.Time{}), limits.SetWriteDeadline(time.Time{})); err != nil {
		replyError(w, http.StatusInternalServerError, err)
		return
	}
	if err := s.backend.Reload(r.Context()); err != nil {
		replyError(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, http.StatusOK, s.backend.Status().Config)
}

func (s *Server) switchSet(w http.ResponseWriter, r *http.Request) {
	var request SwitchRequest
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		code := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			code = http.StatusRequestEntityTooLarge
		}
		replyError(w, code, errors.New(`want a JSON body such as {"instance":"cdn-origin","policy":"Global","set":"primary"}: `+err.Error()))
		return
	}
	result, err := s.backend.Switch(r.Context(), request)
	if err != nil {
		replyError(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, http.StatusOK, result)
}

// Failure is the body of every API reply that is no success, but for paths and methods that do not exist.
type Failure struct {
	Error string `json:"error"`
}

func replyError(w http.ResponseWriter, code int, err error) {
	reply(w, code, Failure{Error: err.Error()})
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.Encode(body) // the client is gone when this fails
}
