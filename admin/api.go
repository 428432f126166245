package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxBody bounds the body of a request, in octets.
const maxBody = 64 << 10

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
	explanation, err := s.backend.Explain(Question{
		Name: query.Get("name"), Type: query.Get("type"), Client: query.Get("client"), Suppose: query["suppose"],
	})
	if err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusOK, explanation)
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

// Failure is the body of every reply of the API that is no success.
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
