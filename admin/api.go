package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxBody bounds the body of a request, in octets.
const maxBody = 64 << 10

// route is one thing that the API answers.
type route struct {
	pattern string // as [http.ServeMux] reads it
	name    string // in metrics
	who     access
	handler http.HandlerFunc
}

// access is who may use a route.
type access int

const (
	readers  access = iota // over TCP those with the admin token, where one is needed; all who may use the socket
	everyone               // no admin token is needed
	steerers               // only those who may use the socket: the permissions of its file say who
)

func (s *Server) routes() []route {
	return []route{
		{"GET /healthz", "healthz", everyone, s.healthz},
		{"GET /-/healthy", "healthz", everyone, s.healthz},
		{"GET /readyz", "readyz", everyone, s.readyz},
		{"GET /-/ready", "readyz", everyone, s.readyz},
		{"GET /metrics", "metrics", readers, promhttp.HandlerFor(s.gatherer, promhttp.HandlerOpts{}).ServeHTTP},
		{"GET /api/v1/status", "status", readers, func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.backend.Status()) }},
		{"GET /api/v1/explain", "explain", readers, s.explain},
		{"GET /api/v1/overrides", "overrides", readers, s.listOverrides},
		{"POST /api/v1/push/{check}/{address}", "push", everyone, s.push}, // it wants a token of its own
		{"POST /api/v1/reload", "reload", steerers, s.reload},
		{"POST /api/v1/switch", "switch", steerers, s.switchSet},
		{"POST /api/v1/overrides", "override", steerers, s.setOverride},
		{"POST /api/v1/overrides/clear", "override_clear", steerers, s.clearOverride},
	}
}

// handler returns the handler of one listener, the socket's or that over TCP.
func (s *Server) handler(socket bool) http.Handler {
	mux, open := http.NewServeMux(), map[string]bool{}
	for _, r := range s.routes() {
		if r.who == steerers && !socket {
			continue
		}
		mux.Handle(r.pattern, s.metrics.observe(r.name, r.handler))
		open[r.pattern] = r.who == everyone
	}
	if socket {
		return http.MaxBytesHandler(mux, maxBody)
	}
	return http.MaxBytesHandler(s.requireToken(mux, open), maxBody)
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
	if !readBody(w, r, &request, `{"instance":"cdn-origin","policy":"Global","set":"primary"}`) {
		return
	}
	result, err := s.backend.Switch(r.Context(), request)
	if err != nil {
		replyError(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, http.StatusOK, result)
}

func (s *Server) listOverrides(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, OverrideList{Overrides: append([]Override{}, s.backend.Overrides()...)})
}

func (s *Server) setOverride(w http.ResponseWriter, r *http.Request) {
	var request OverrideRequest
	if !readBody(w, r, &request, `{"address":"192.0.2.1","state":"down","reason":"new kernel","author":"alice","for":"30m"}`) {
		return
	}
	if err := request.Check(time.Now()); err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	result, err := s.backend.SetOverride(r.Context(), request)
	if err != nil {
		code := http.StatusUnprocessableEntity
		if _, empties := errors.AsType[*EmptyError](err); empties {
			code = http.StatusConflict
		}
		replyError(w, code, err)
		return
	}
	reply(w, http.StatusOK, result)
}

func (s *Server) clearOverride(w http.ResponseWriter, r *http.Request) {
	var request ClearRequest
	if !readBody(w, r, &request, `{"id":"o17","author":"alice"}`) {
		return
	}
	if err := request.Check(); err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	result, err := s.backend.ClearOverride(r.Context(), request)
	if err != nil {
		replyError(w, http.StatusUnprocessableEntity, err)
		return
	}
	result.Cleared = append([]Override{}, result.Cleared...)
	reply(w, http.StatusOK, result)
}

// readBody decodes the body of a request, one JSON value like the example. When it is not, this replies and returns false.
func readBody(w http.ResponseWriter, r *http.Request, into any, example string) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		switch _, err = decoder.Token(); {
		case errors.Is(err, io.EOF):
			return true
		case err == nil:
			err = errors.New("something follows it")
		}
	}
	code := http.StatusBadRequest
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		code = http.StatusRequestEntityTooLarge
	}
	replyError(w, code, fmt.Errorf("want a JSON body such as %s: %w", example, err))
	return false
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
