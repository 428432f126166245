package alert

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWebhookVector is the vector of the reference libraries of Standard Webhooks. openssl makes the same:
//
//	printf '%s' 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}' | openssl dgst -sha256 -mac HMAC \
//	  -macopt hexkey:$(printf MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw | base64 -d | xxd -p) -binary | base64
func TestWebhookVector(t *testing.T) {
	key, err := webhookKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	w := &webhook{signers: [][]byte{key}}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := w.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// verify is a receiver's side of Standard Webhooks, written from the specification.
func verify(t *testing.T, got received, secret string) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	id, timestamp := got.header.Get("webhook-id"), got.header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age < -5*time.Minute || age > 5*time.Minute {
		t.Errorf("webhook-timestamp %q", timestamp)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, got.body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !slices.Contains(strings.Fields(got.header.Get("webhook-signature")), want) {
		t.Errorf("webhook-signature %q has no %q", got.header.Get("webhook-signature"), want)
	}
}

func TestWebhook(t *testing.T) {
	secrets := []string{
		"whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", 24))),
		"whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", 64))),
	}
	r := newWebReceiver(t, "")
	s := newTestSender(t, MethodOptions{
		Kind: Webhook, URL: r.URL + "/hook?tenant=7", SecretFile: file(t, strings.Join(secrets, "\n")+"\n"),
		TokenFile: file(t, "the-token\n"), Headers: map[string]string{"X-Team": "cdn"},
	})
	got := deliverTo(t, s, r, firing())
	for _, secret := range secrets {
		verify(t, got, secret)
	}
	if got.method != "POST" || got.path != "/hook" || got.query != "tenant=7" || got.header.Get("webhook-id") != "MSG1" ||
		got.header.Get("X-Team") != "cdn" || got.header.Get("Authorization") != "Bearer the-token" ||
		got.header.Get("Content-Type") != "application/json" {
		t.Errorf("request %+v", got)
	}
	const want = `{"type":"alert.firing","timestamp":"2026-03-04T03:02:01Z","data":{"id":"MSG1","node":"ns1","group":"ops",` +
		`"resolved":false,"reminder":false,"test":false,"title":"[gtmd] ALERT: 192.0.2.1 of pool hk is down: timeout",` +
		`"text":"192.0.2.1 of pool hk is down: timeout\nno answer within 5s",` +
		`"events":[{"time":"2026-03-04T03:02:01Z","kind":"address_down","key":"hk/192.0.2.1","resolved":false,"cause":"192.0.2.1",` +
		`"instances":["www","api"],"title":"192.0.2.1 of pool hk is down: timeout","text":"no answer within 5s",` +
		`"fields":{"address":"192.0.2.1","pool":"hk","reason":"timeout"}}],"omitted":0}}`
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Error(diff)
	}
	if to := s.To(); to != r.URL+"/hook" {
		t.Errorf("To %q", to)
	}
	again := deliverTo(t, s, r, firing())
	if again.header.Get("webhook-id") != "MSG1" || again.body != got.body {
		t.Error("the second attempt is another message")
	}
	over := deliverTo(t, s, r, resolved())
	if !strings.Contains(over.body, `"type":"alert.resolved"`) || !strings.Contains(over.body, `"began":"2026-03-04T03:02:01Z"`) {
		t.Errorf("body %s", over.body)
	}
}

// TestWebhookTypes has one type for every sort of message.
func TestWebhookTypes(t *testing.T) {
	test, notice, reminder := firing(), firing(), firing()
	test.Test, reminder.Reminder = true, true
	notice.Events[0].Key = ""
	for want, m := range map[string]*Message{
		"alert.test": test, "alert.notice": notice, "alert.firing": firing(), "alert.resolved": resolved(),
	} {
		if body, err := webhookJSON(m); err != nil || !strings.HasPrefix(body, `{"type":"`+want+`"`) {
			t.Errorf("%s: %s, error %v", want, body, err)
		}
	}
	if body, _ := webhookJSON(reminder); !strings.HasPrefix(body, `{"type":"alert.firing"`) || !strings.Contains(body, `"reminder":true`) {
		t.Errorf("reminder: %s", body)
	}
}

// TestWebhookSize leaves out events that nobody has room for, and counts them.
func TestWebhookSize(t *testing.T) {
	m := firing()
	for range 9999 {
		m.Events = append(m.Events, m.Events[0])
	}
	m.Text, m.Omitted = strings.Repeat("\"\\\n", 100000), 5
	body, err := webhookJSON(m)
	if err != nil || len(body) > maxWebhook {
		t.Fatalf("%d octets, error %v", len(body), err)
	}
	data := jsonOf[webhookMessage](t, body).Data
	if len(data.Events) < 50 || len(data.Events)+data.Omitted != 10005 {
		t.Errorf("%d events and %d omitted", len(data.Events), data.Omitted)
	}
}

func TestWebhookBody(t *testing.T) {
	r := newWebReceiver(t, "")
	s := newTestSender(t, MethodOptions{
		Kind: Webhook, URL: r.URL, Title: "{{.State}} {{.Title}}",
		Body: `{"content":{{json .Title}},"at":{{json (time .Time)}},"who":[{{range $i, $e := .Events}}{{if $i}},{{end}}{{json (join ", " $e.Instances)}}{{end}}]}`,
	})
	// The body asks for the first event: a message without any cannot be written, which the check of options says.
	o := MethodOptions{Kind: Webhook, URL: r.URL, ContentType: "application/json", Body: `{"x":{{json (index .Events 0).Kind}}}`}
	if got := complaints(&o); len(got) != 1 || !strings.Contains(got[0], "body: the template fails for a message of many events") {
		t.Errorf("complaints %q", got)
	}
	m := firing()
	m.Title = "a \"quote\" \\ and\nmore </script>"
	got := deliverTo(t, s, r, m)
	if !json.Valid([]byte(got.body)) || !strings.Contains(got.body, `"at":"2026-03-04T03:02:01Z","who":["www, api"]`) {
		t.Errorf("body %s", got.body)
	}
}
