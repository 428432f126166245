package admin_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gtmd/admin"
)

// TestJSON holds the JSON of the API, whose fields others rely on, in golden files.
func TestJSON(t *testing.T) {
	s := newService(t)
	s.both(t)
	for _, address := range []string{s.Address().String(), s.path("admin.sock")} {
		r := send(t, address, "GET", "/api/v1/status", "")
		equal(t, "code", r.code, http.StatusOK)
		equal(t, "type", r.header.Get("Content-Type"), "application/json")
		equal(t, "caching", r.header.Get("Cache-Control"), "no-store")
		golden(t, "status.json", r.body)

		r = send(t, address, "GET", "/api/v1/explain?name=origin.gtm.test&type=A&client=198.51.100.0/24", "")
		equal(t, "code", r.code, http.StatusOK)
		golden(t, "explain.json", r.body)
		question := admin.Question{Name: "origin.gtm.test", Type: "A", Client: "198.51.100.0/24"}
		if diff := cmp.Diff(question, taken(t, s.backend.asked)); diff != "" {
			t.Errorf("question:\n%s", diff)
		}

		r = send(t, address, "GET", "/api/v1/explain", "")
		equal(t, "code", r.code, http.StatusBadRequest)
		golden(t, "failure.json", r.body)
		taken(t, s.backend.asked)
	}
	r := send(t, s.path("admin.sock"), "POST", "/api/v1/reload", "")
	equal(t, "code", r.code, http.StatusOK)
	golden(t, "reload.json", r.body)
	request := `{"instance":"cdn-origin","policy":"Global","set":"primary","author":"alice"}`
	r = send(t, s.path("admin.sock"), "POST", "/api/v1/switch", request)
	equal(t, "code", r.code, http.StatusOK)
	golden(t, "switch.json", r.body)
	equal(t, "request", taken(t, s.backend.switched), admin.SwitchRequest{Instance: "cdn-origin", Policy: "Global", Set: "primary", Author: "alice"})
}

// TestRefused sends the problems of the backend as they are.
func TestRefused(t *testing.T) {
	s := newService(t)
	s.both(t)
	s.backend.err = errors.New("gtmd.toml:1:1: no\ngtmd.toml:2:1: no")
	r := send(t, s.path("admin.sock"), "POST", "/api/v1/reload", "")
	equal(t, "code of a refused reload", r.code, http.StatusUnprocessableEntity)
	equal(t, "body", r.body, "{\n  \"error\": \"gtmd.toml:1:1: no\\ngtmd.toml:2:1: no\"\n}\n")
	r = send(t, s.path("admin.sock"), "POST", "/api/v1/switch", `{"instance":"i","policy":"p","set":"primary"}`)
	equal(t, "code of a refused switch", r.code, http.StatusUnprocessableEntity)
	equal(t, "body", r.body, "{\n  \"error\": \"gtmd.toml:1:1: no\\ngtmd.toml:2:1: no\"\n}\n")
}

// failed is the body of a reply with an error.
func failed(text string) string { return "{\n  \"error\": \"" + text + "\"\n}\n" }

func nothing(path string) string {
	return failed("there is nothing at " + path + ": /api/v1/openapi.json has what there is")
}

const readOnly = "over TCP this is read-only: use the unix socket, or set token_file in [admin]"

func TestRoutes(t *testing.T) {
	s := newService(t)
	s.both(t)
	tcp, socket := s.Address().String(), s.path("admin.sock")
	for _, row := range []struct {
		address, method, path string
		code                  int
		body                  string
	}{
		{tcp, "GET", "/healthz", 200, "ok\n"},
		{tcp, "GET", "/-/healthy", 200, "ok\n"},
		{tcp, "GET", "/readyz", 200, "ready\n"},
		{tcp, "GET", "/-/ready", 200, "ready\n"},
		{tcp, "HEAD", "/readyz", 200, ""},
		{socket, "GET", "/healthz", 200, "ok\n"},
		{tcp, "GET", "/", 404, "404 page not found\n"},
		{tcp, "GET", "/api/v1/nothing", 404, nothing("/api/v1/nothing")},
		{tcp, "GET", "/api/v2/status", 404, nothing("/api/v2/status")},
		{tcp, "GET", "/debug/pprof/", 404, "404 page not found\n"},
		{tcp, "POST", "/api/v1/status", 405, failed("/api/v1/status: want the method GET, HEAD")},
		{tcp, "DELETE", "/metrics", 405, "Method Not Allowed\n"},
		// What changes something is not for all over TCP.
		{tcp, "POST", "/api/v1/reload", 403, failed(readOnly)},
		{tcp, "POST", "/api/v1/switch", 403, failed(readOnly)},
		{tcp, "POST", "/api/v1/diff", 403, failed("this is only for the unix socket")},
		{socket, "GET", "/api/v1/reload", 405, failed("/api/v1/reload: want the method POST")},
		{socket, "GET", "/api/v1/switch", 405, failed("/api/v1/switch: want the method POST")},
		{tcp, "POST", "/api/v1/overrides", 403, failed(readOnly)},
		{tcp, "POST", "/api/v1/overrides/clear", 403, failed(readOnly)},
		{tcp, "DELETE", "/api/v1/overrides", 405, failed("/api/v1/overrides: want the method GET, HEAD, POST")},
		{socket, "DELETE", "/api/v1/overrides", 405, failed("/api/v1/overrides: want the method GET, HEAD, POST")},
		{socket, "GET", "/api/v1/overrides/clear", 405, failed("/api/v1/overrides/clear: want the method POST")},
		{tcp, "GET", "/api/v1/push/web/192.0.2.1", 405, failed("/api/v1/push/web/192.0.2.1: want the method POST")},
		{socket, "PUT", "/api/v1/push/web/192.0.2.1", 405, failed("/api/v1/push/web/192.0.2.1: want the method POST")},
		{tcp, "POST", "/api/v1/push/web", 404, nothing("/api/v1/push/web")},
	} {
		r := send(t, row.address, row.method, row.path, "")
		equal(t, row.method+" "+row.path, r.code, row.code)
		equal(t, row.method+" "+row.path, r.body, row.body)
	}
	equal(t, "reloads", s.backend.reloads.Load(), 0)

	s.backend.down.Store(true)
	for _, path := range []string{"/readyz", "/-/ready"} {
		r := send(t, tcp, "GET", path, "")
		equal(t, path, r.code, http.StatusServiceUnavailable)
		equal(t, path, r.body, "waiting for the first round of probes\n")
	}
	equal(t, "healthz", send(t, tcp, "GET", "/healthz", "").code, http.StatusOK)
}

func TestSwitchBody(t *testing.T) {
	s := newService(t)
	s.both(t)
	const want = `want a JSON body such as {\"instance\":\"cdn-origin\",\"policy\":\"Global\",\"set\":\"primary\"}: `
	for _, row := range []struct {
		body string
		code int
		why  string
	}{
		{"", 400, "EOF"},
		{"[]", 400, "json: cannot unmarshal array into Go value of type admin.SwitchRequest"},
		{`{"instance":1}`, 400, "json: cannot unmarshal number into Go struct field SwitchRequest.instance of type string"},
		{`{"pool":"test1"}`, 400, `json: unknown field \"pool\"`},
		{`{"set":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "http: request body too large"},
	} {
		r := send(t, s.path("admin.sock"), "POST", "/api/v1/switch", row.body)
		equal(t, row.why, r.code, row.code)
		equal(t, row.why, r.body, "{\n  \"error\": \""+want+row.why+"\"\n}\n")
	}
	select {
	case r := <-s.backend.switched:
		t.Errorf("a switch was ordered: %v", r)
	default:
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	server, err := admin.New(newBackend(), registry, log)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := admin.New(newBackend(), registry, log); err == nil || !strings.HasPrefix(err.Error(), "register the metrics of the admin API: ") {
		t.Errorf("two servers with one registry: %v", err)
	}
	change, err := server.Prepare(admin.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	address := server.Address().String()
	body := send(t, address, "GET", "/metrics", "").body
	for _, series := range []string{ // at 0 before the first request
		`gtmd_http_requests_total{code="200",handler="status"} 0`,
		`gtmd_http_request_duration_seconds_count{handler="explain"} 0`,
	} {
		if !strings.Contains(body, series+"\n") {
			t.Errorf("there is no %s in\n%s", series, body)
		}
	}
	send(t, address, "GET", "/api/v1/status", "")
	send(t, address, "GET", "/api/v1/explain", "") // has no name
	send(t, address, "GET", "/nothing", "")        // is not counted: the path is the client's to choose
	body = send(t, address, "GET", "/metrics", "").body
	for _, series := range []string{
		`gtmd_http_requests_total{code="200",handler="metrics"} 1`,
		`gtmd_http_requests_total{code="200",handler="status"} 1`,
		`gtmd_http_requests_total{code="400",handler="explain"} 1`,
		`gtmd_http_request_duration_seconds_count{handler="explain"} 1`,
	} {
		if !strings.Contains(body, series+"\n") {
			t.Errorf("there is no %s in\n%s", series, body)
		}
	}
	if strings.Contains(body, "nothing") || strings.Contains(body, `code="404"`) {
		t.Errorf("a path that is not there is counted:\n%s", body)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
