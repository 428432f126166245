package admin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// PushReport is what an origin says of itself.
type PushReport struct {
	// Check and Address name the target, as the configuration has them. Host tells targets apart that differ in it alone.
	Check, Address, Host string
	// Token is what the request carries. It is not empty.
	Token string
	// Status is "up" or "down"; Reason says why, on one line, and may be empty.
	Status, Reason string
}

// Why a report is not believed. The one who sent it gets the same answer for both.
var (
	ErrPushToken  = errors.New("the token is not that of the health check")
	ErrPushTarget = errors.New("there is no such health check with protocol push, or it has no such address")
)

// Bounds of a report: the octets of its body, and the characters of its reason.
const (
	maxReport       = 4 << 10
	maxReportReason = 200
)

// pushBody is the body of a report, or its query. Everything may be left out.
type pushBody struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
	Host   string `json:"host"`
}

// push takes the report of an origin. It is open to all who reach the API, so it asks for the token of the health check, and
// does not tell what health checks and addresses there are.
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	result := s.takePush(w, r)
	s.metrics.pushes.WithLabelValues(string(result)).Inc()
	if result != pushTaken {
		s.log.Debug("push report refused", "why", string(result), "check", r.PathValue("check"), "address", r.PathValue("address"), "from", r.RemoteAddr)
	}
}

// takePush replies to a report and says what became of it.
func (s *Server) takePush(w http.ResponseWriter, r *http.Request) pushResult {
	const want = "want the header Authorization: Bearer TOKEN, with the token of a health check with protocol push, for an address that has it"
	token, _ := bearer(r)
	if token == "" {
		unauthorized(w, want)
		return pushNoToken
	}
	body, ok := readReport(w, r)
	if !ok {
		return pushMalformed
	}
	err := s.backend.Push(r.Context(), PushReport{
		Check: r.PathValue("check"), Address: r.PathValue("address"), Host: body.Host,
		Token: token, Status: body.Status, Reason: body.Reason,
	})
	switch {
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return pushTaken
	case errors.Is(err, ErrPushToken):
		unauthorized(w, want)
		return pushWrongToken
	case errors.Is(err, ErrPushTarget):
		unauthorized(w, want)
		return pushUnknown
	default:
		replyError(w, http.StatusServiceUnavailable, err)
		return pushFailed
	}
}

// readReport reads a report from the body or the query of a request. When it makes no sense, this replies and returns false.
func readReport(w http.ResponseWriter, r *http.Request) (pushBody, bool) {
	var report pushBody
	refuse := func(format string, args ...any) (pushBody, bool) {
		replyError(w, http.StatusBadRequest, fmt.Errorf(format, args...))
		return report, false
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse("read the query: %w", err)
	}
	for key, values := range query {
		field := map[string]*string{"status": &report.Status, "reason": &report.Reason, "host": &report.Host}[key]
		if field == nil || len(values) > 1 {
			return refuse("want status, reason and host in the query, each once at most: %s", r.URL.RawQuery)
		}
		*field = values[0]
	}
	body := bufio.NewReader(http.MaxBytesReader(w, r.Body, maxReport))
	if _, err := body.Peek(1); err != io.EOF {
		if len(query) > 0 {
			return refuse("want the report in the body or in the query, not in both")
		}
		r.Body = io.NopCloser(body)
		if !readBody(w, r, &report, `{"status":"down","reason":"disk full"}`) {
			return report, false
		}
	}
	switch report.Status {
	case "":
		report.Status = "up"
	case "up", "down":
	default:
		return refuse("status %q: want up or down", report.Status)
	}
	report.Reason = oneLine(report.Reason, maxReportReason)
	return report, true
}

// oneLine makes a text that others wrote fit for a terminal and a table: without control characters, and cut to a limit in
// characters.
func oneLine(text string, limit int) string {
	text = strings.TrimSpace(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, text))
	if letters := []rune(text); len(letters) > limit {
		text = string(letters[:limit-1]) + "…"
	}
	return text
}
