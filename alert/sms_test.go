package alert

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestSMS(t *testing.T) {
	r := newWebReceiver(t, `{"status":"OK"}`)
	s := newTestSender(t, MethodOptions{
		Kind: SMS, To: []string{"+8613800000000", "+8613900000000"}, URL: r.URL + "/send?to={{.To | urlquery}}",
		Headers: map[string]string{"X-Key": "{{.Token}}"}, TokenFile: file(t, "gateway-key"), ContentType: "application/x-www-form-urlencoded",
		Body: "text={{.Title | cut 40 | urlquery}}", Expect: `"OK"`,
	})
	m := firing()
	m.Title = "a & b = " + strings.Repeat("长", 100)
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if len(r.got) != 2 || r.got[0].query != "to=%2B8613800000000" || r.got[1].query != "to=%2B8613900000000" || r.got[0].header.Get("X-Key") != "gateway-key" {
		t.Fatalf("requests %+v", r.got)
	}
	form, err := url.ParseQuery(r.got[0].body)
	if text := form.Get("text"); err != nil || !strings.HasPrefix(text, "[gtmd] ALERT: a & b = 长") || len([]rune(text)) != 40 {
		t.Errorf("body %s: %q", r.got[0].body, form.Get("text"))
	}
	r.answer = `{"status":"NO CREDIT"}`
	if err := s.Send(t.Context(), m); class(err) != "again" || !strings.Contains(err.Error(), "NO CREDIT") {
		t.Errorf("a gateway that says no with status 200: %v", err)
	}
	if to := s.To(); to != "+8613800000000, +8613900000000 by "+hostOf(r.URL) {
		t.Errorf("To %q", to)
	}
}

// TestSMSRetry tells again only those who have not been told.
func TestSMSRetry(t *testing.T) {
	status := map[string]int{"1": 200, "2": 500, "3": 400}
	calls := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls[r.FormValue("to")]++
		w.WriteHeader(status[r.FormValue("to")])
	}))
	defer server.Close()
	s := newTestSender(t, MethodOptions{Kind: SMS, To: []string{"1", "2", "3"}, URL: server.URL + "/?to={{.To | urlquery}}"})
	if err := s.Send(t.Context(), firing()); class(err) != "again" || !strings.Contains(err.Error(), "2: ") {
		t.Errorf("the first attempt: %v", err)
	}
	if err := s.Send(t.Context(), resolved()); class(err) != "again" {
		t.Errorf("another message between: %v", err)
	}
	status["2"] = 200
	if err := s.Send(t.Context(), firing()); class(err) != "permanent" || !strings.Contains(err.Error(), "3: ") {
		t.Errorf("the second attempt: %v", err)
	}
	if calls["1"] != 2 || calls["2"] != 3 || calls["3"] != 2 {
		t.Errorf("requests %v: want 2 for 1 and 3, once for each message, and 3 for 2", calls)
	}
}

// TestSMSURL keeps messages from choosing where they are sent.
func TestSMSURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://gw.example/?to={{.To | urlquery}}": "",
		"http://gw.example/?to={{.To}}":            "needs urlquery",
		"http://{{.To | urlquery}}.example/":       "URL",
		"http://{{.State | lower}}.example/":       "has a host that changes",
		"http://gw.example/{{.Nope}}":              "there is no field Nope",
		"ftp://gw.example/":                        "web server",
	} {
		_, _, err := smsURL(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	r := newWebReceiver(t, "")
	s := newTestSender(t, MethodOptions{Kind: SMS, To: []string{"1"}, URL: r.URL + "{{if eq .Title \"x\"}}@evil.example{{end}}/?{{.To | urlquery}}"})
	m := firing()
	m.Title = "x"
	s.(*sms).words = (&MethodOptions{Title: "{{.Title}}"}).wording()
	if err := s.Send(t.Context(), m); class(err) != "permanent" || len(r.got) != 0 {
		t.Errorf("a URL of another host: %v", err)
	}
}
