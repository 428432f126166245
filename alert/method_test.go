package alert

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// began is when the messages of the tests are made.
var began = time.Date(2026, 3, 4, 3, 2, 1, 0, time.UTC)

// firing is a message about an address that is down.
func firing() *Message {
	return &Message{
		ID: "MSG1", Time: began, Group: "ops", Node: "ns1",
		Title: "192.0.2.1 of pool hk is down: timeout", Text: "192.0.2.1 of pool hk is down: timeout\nno answer within 5s",
		Events: []Event{{
			Time: began, Kind: "address_down", Key: "hk/192.0.2.1", Cause: "192.0.2.1", Instances: []string{"www", "api"},
			Title: "192.0.2.1 of pool hk is down: timeout", Text: "no answer within 5s",
			Fields: map[string]string{"pool": "hk", "address": "192.0.2.1", "reason": "timeout"},
		}},
	}
}

// resolved is the message that it is over.
func resolved() *Message {
	m := firing()
	m.ID, m.Resolved, m.Time, m.Title, m.Text = "MSG2", true, began.Add(time.Minute), "192.0.2.1 of pool hk is up", "192.0.2.1 of pool hk is up"
	e := &m.Events[0]
	e.Resolved, e.Time, e.Began, e.Title, e.Text = true, m.Time, began, m.Title, ""
	e.Fields = map[string]string{"pool": "hk", "address": "192.0.2.1"}
	return m
}

// file writes a file and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// newTestSender makes a sender of options that are good.
func newTestSender(t *testing.T, o MethodOptions) Sender {
	t.Helper()
	o = withDefaults(o)
	for _, complaint := range complaints(&o) {
		t.Errorf("options: %s", complaint)
	}
	s, err := NewSender(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withDefaults gives options the defaults that the configuration gives them.
func withDefaults(o MethodOptions) MethodOptions {
	for _, d := range []struct {
		into     *string
		fallback string
	}{{&o.Server, "localhost:25"}, {&o.Method, "POST"}, {&o.ContentType, "application/json"}} {
		if *d.into == "" {
			*d.into = d.fallback
		}
	}
	if o.TLS == "" {
		o.TLS = StartTLS
	}
	if o.Auth == "" {
		o.Auth = NoAuth
	}
	return o
}

// complaints are what Validate and, where that finds nothing, Check say.
func complaints(o *MethodOptions) []string {
	var all []string
	say := func(key, message string) { all = append(all, key+": "+message) }
	o.Validate(say)
	if len(all) == 0 {
		o.Check(say)
	}
	return all
}

// received is a request that a webReceiver has got.
type received struct {
	method, path, query string
	header              http.Header
	body                string
}

// webReceiver is a web server that keeps what it gets and answers with a status and a body.
type webReceiver struct {
	*httptest.Server
	got    []received
	status int
	answer string
	header http.Header
}

// newWebReceiver starts a webReceiver. Senders call it one request at a time.
func newWebReceiver(t *testing.T, answer string) *webReceiver {
	r := &webReceiver{status: 200, answer: answer, header: http.Header{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.got = append(r.got, received{req.Method, req.URL.Path, req.URL.RawQuery, req.Header, string(body)})
		for name, values := range r.header {
			w.Header()[name] = values
		}
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

// deliverTo sends a message that must arrive, and returns the one request that it makes.
func deliverTo(t *testing.T, s Sender, r *webReceiver, m *Message) received {
	t.Helper()
	before := len(r.got)
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if len(r.got) != before+1 {
		t.Fatalf("%d requests, want 1", len(r.got)-before)
	}
	return r.got[before]
}

// jsonOf reads JSON.
func jsonOf[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

// class says what sort of error it is.
func class(err error) string {
	permanent, retry := (*PermanentError)(nil), (*RetryError)(nil)
	switch {
	case err == nil:
		return "delivered"
	case errors.As(err, &permanent):
		return "permanent"
	case errors.As(err, &retry):
		return "wait " + retry.After.String()
	}
	return "again"
}

// TestResponses tells what a receiver's answer means, by the method that adds nothing of its own.
func TestResponses(t *testing.T) {
	r := newWebReceiver(t, "the reason\r\nwhy\x00")
	s := newTestSender(t, MethodOptions{Kind: Webhook, URL: r.URL + "/hook"})
	for _, tt := range []struct {
		status     int
		retryAfter string
		want       string
	}{
		{200, "", "delivered"}, {204, "", "delivered"}, {299, "", "delivered"},
		{301, "", "again"}, {307, "", "again"},
		{400, "", "permanent"}, {410, "", "permanent"}, {413, "5", "permanent"}, {415, "", "permanent"}, {422, "", "permanent"},
		{401, "", "again"}, {403, "", "again"}, {404, "", "again"}, {408, "", "again"},
		{429, "", "again"}, {429, "7", "wait 7s"}, {429, "nonsense", "again"}, {429, "-1", "again"}, {429, "0", "again"},
		{429, "99999999", "wait 24h0m0s"}, {503, "120", "wait 2m0s"}, {500, "", "again"}, {502, "", "again"},
	} {
		r.status = tt.status
		r.header = http.Header{"Location": {"http://elsewhere.example/secret-path"}}
		if tt.retryAfter != "" {
			r.header.Set("Retry-After", tt.retryAfter)
		}
		err := s.Send(t.Context(), firing())
		if got := class(err); got != tt.want {
			t.Errorf("status %d, Retry-After %q: %s (%v), want %s", tt.status, tt.retryAfter, got, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret-path") || strings.ContainsAny(err.Error(), "\r\n\x00")) {
			t.Errorf("status %d: the error shows what it should not: %q", tt.status, err)
		}
		if err != nil && tt.status >= 400 && !strings.Contains(err.Error(), "the reason why") {
			t.Errorf("status %d: the error does not say what the receiver does: %q", tt.status, err)
		}
	}
}

func TestRetryAfterDate(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	if got := retryAfter("Wed, 04 Mar 2026 05:07:07 GMT", now); got != time.Minute {
		t.Errorf("a date a minute on: %v", got)
	}
	if got := retryAfter("Wed, 04 Mar 2026 05:05:07 GMT", now); got != 0 {
		t.Errorf("a date that has been: %v", got)
	}
}

// TestRedirect follows none: what is there would get the message, and its headers.
func TestRedirect(t *testing.T) {
	elsewhere := newWebReceiver(t, "")
	r := newWebReceiver(t, "")
	r.status, r.header = 302, http.Header{"Location": {elsewhere.URL}}
	s := newTestSender(t, MethodOptions{Kind: Webhook, URL: r.URL, TokenFile: file(t, "the-token")})
	if err := s.Send(t.Context(), firing()); class(err) != "again" || !strings.Contains(err.Error(), "it leads to") {
		t.Errorf("error %v", err)
	}
	if len(elsewhere.got) != 0 {
		t.Error("the redirect was followed")
	}
}

// TestNoProxy sends straight to the receiver, whatever the environment says.
func TestNoProxy(t *testing.T) {
	proxy := newWebReceiver(t, "")
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	s := newTestSender(t, MethodOptions{Kind: Webhook, URL: "http://gtmd.invalid/"})
	if err := s.Send(t.Context(), firing()); err == nil || len(proxy.got) != 0 {
		t.Errorf("error %v, the proxy got %d requests", err, len(proxy.got))
	}
}

// TestSlowReceiver gives up on receivers that do not answer, or never end.
func TestSlowReceiver(t *testing.T) {
	release := make(chan struct{})
	for name, handler := range map[string]http.HandlerFunc{
		"silent": func(http.ResponseWriter, *http.Request) { <-release },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "o")
			w.(http.Flusher).Flush()
			<-release
		},
	} {
		server := httptest.NewServer(handler)
		defer server.Close()
		s := newTestSender(t, MethodOptions{Kind: Webhook, URL: server.URL, Timeout: 100 * time.Millisecond})
		if err := s.Send(t.Context(), firing()); class(err) != "again" {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := newTestSender(t, MethodOptions{Kind: Webhook, URL: server.URL}).Send(ctx, firing()); class(err) != "again" {
			t.Errorf("%s, given up: %v", name, err)
		}
	}
	close(release)
}

// TestBigResponse reads no more than it believes.
func TestBigResponse(t *testing.T) {
	r := newWebReceiver(t, strings.Repeat("x", 1<<20))
	s := newTestSender(t, MethodOptions{Kind: Webhook, URL: r.URL})
	deliverTo(t, s, r, firing())
	r.status = 500
	if err := s.Send(t.Context(), firing()); err == nil || len(err.Error()) > 1000 {
		t.Errorf("error of %d octets", len(err.Error()))
	}
}

// TestTLS verifies the receiver, by the authorities of ca_file where there is one.
func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s := newTestSender(t, MethodOptions{Kind: Webhook, URL: server.URL})
	if err := s.Send(t.Context(), firing()); class(err) != "again" || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	s = newTestSender(t, MethodOptions{Kind: Webhook, URL: server.URL, CAFile: file(t, certificatePEM(server.Certificate().Raw))})
	if err := s.Send(t.Context(), firing()); err != nil {
		t.Errorf("with ca_file: %v", err)
	}
}
