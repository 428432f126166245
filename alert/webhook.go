package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// maxWebhook bounds the body of a webhook that has no template, in octets: events that would go beyond are left out.
const maxWebhook = 64 << 10

// webhook posts JSON, or what a template makes, signed as Standard Webhooks has it
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
type webhook struct {
	http        *httpSender
	url         string
	isSecretURL bool
	keys        *keyring
	signers     [][]byte
	headers     map[string]string
	username    string
	contentType string
	body        *template.Template // nil: JSON
	words       *wording
}

func newWebhook(o *MethodOptions, keys *keyring, words *wording, problem func(key, message string)) *webhook {
	w := &webhook{
		http: newHTTPSender(keys), url: o.URL, keys: keys, headers: o.Headers, username: o.Username,
		contentType: o.ContentType, words: words,
	}
	if o.URLFile != "" {
		w.url, w.isSecretURL = keys.url, true
	}
	for _, secret := range keys.secrets {
		key, err := webhookKey(secret)
		if err != nil {
			problem("secret_file", fmt.Sprintf("%s: %v", o.SecretFile, err))
		}
		w.signers = append(w.signers, key)
	}
	if o.Body != "" {
		w.body, _ = parseTemplate(o.Body) // Validate has tried it.
	}
	return w
}

// webhookKey is the key of a secret. The error does not quote it.
func webhookKey(secret string) ([]byte, error) {
	const wanted = `want "whsec_" and 24 to 64 octets in base64, such as the output of: echo whsec_$(openssl rand -base64 32)`
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return nil, fmt.Errorf(`a secret does not begin with "whsec_": %s`, wanted)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("a secret is not base64: %s", wanted)
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("a secret has %d octets: %s", len(key), wanted)
	}
	return key, nil
}

// To is the URL without its query, or only the host of one that is secret.
func (w *webhook) To() string {
	u, err := url.Parse(w.url)
	if err != nil || w.isSecretURL {
		return hostOf(w.url)
	}
	u.RawQuery, u.ForceQuery = "", false
	return u.String()
}

// Send posts one message. Any status of 200 to 299 is good.
func (w *webhook) Send(ctx context.Context, m *Message) error {
	body, err := w.write(m)
	if err != nil {
		return &PermanentError{w.keys.error(err)}
	}
	headers := map[string]string{}
	for name, value := range w.headers {
		headers[name] = value
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	headers["webhook-id"], headers["webhook-timestamp"] = m.ID, timestamp
	if len(w.signers) > 0 {
		headers["webhook-signature"] = w.signature(m.ID, timestamp, body)
	}
	_, err = w.http.send(ctx, httpRequest{
		method: "POST", url: w.url, contentType: w.contentType, body: body, headers: headers,
		username: w.username, isBearer: w.keys.token != "",
	})
	return err
}

// signature signs a message with every secret, so that a receiver can go from one to the next.
func (w *webhook) signature(id, timestamp, body string) string {
	var signatures []string
	for _, key := range w.signers {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "." + body))
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}

// write makes the body.
func (w *webhook) write(m *Message) (string, error) {
	c := *m
	c.Title, c.Text = w.words.words(m, nil)
	if w.body != nil {
		body, err := renderPage(w.body, page{Message: &c, State: string(m.state())})
		if err != nil {
			return "", fmt.Errorf("body: %w", err)
		}
		return body, nil
	}
	return webhookJSON(&c)
}

// webhookMessage is the JSON of a webhook. Keys are added, never renamed.
type webhookMessage struct {
	Type      string      `json:"type"` // "alert.firing", "alert.resolved", "alert.notice" or "alert.test"
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	ID       string         `json:"id"`
	Node     string         `json:"node"`
	Group    string         `json:"group"`
	Resolved bool           `json:"resolved"`
	Reminder bool           `json:"reminder"`
	Test     bool           `json:"test"`
	Title    string         `json:"title"`
	Text     string         `json:"text"`
	Events   []webhookEvent `json:"events"`
	Omitted  int            `json:"omitted"` // events that are not listed
}

type webhookEvent struct {
	Time      time.Time         `json:"time"`
	Kind      string            `json:"kind"`
	Key       string            `json:"key"`
	Resolved  bool              `json:"resolved"`
	Began     *time.Time        `json:"began,omitempty"` // of what is over, where that is known
	Cause     string            `json:"cause"`
	Instances []string          `json:"instances"`
	Title     string            `json:"title"`
	Text      string            `json:"text"`
	Fields    map[string]string `json:"fields"`
}

// webhookJSON writes a message, with as many of its events as there is room for.
func webhookJSON(m *Message) (string, error) {
	out := webhookMessage{
		Type: map[state]string{
			stateFiring: "alert.firing", stateReminder: "alert.firing", stateResolved: "alert.resolved", stateNotice: "alert.notice", stateTest: "alert.test",
		}[m.state()],
		Timestamp: m.Time.UTC(),
		Data: webhookData{
			ID: m.ID, Node: m.Node, Group: m.Group, Resolved: m.Resolved, Reminder: m.Reminder, Test: m.Test,
			Title: shorten(m.Title, 1<<10),
			Text:  shorten(m.Text, maxWebhook/8), Events: []webhookEvent{}, Omitted: m.Omitted + len(m.Events),
		},
	}
	size := maxWebhook / 2
	for _, e := range m.Events {
		event := webhookEvent{
			Time: e.Time.UTC(), Kind: e.Kind, Key: e.Key, Resolved: e.Resolved, Cause: e.Cause,
			Instances: append([]string{}, e.Instances...), Title: e.Title, Text: e.Text, Fields: map[string]string{},
		}
		if !e.Began.IsZero() {
			began := e.Began.UTC()
			event.Began = &began
		}
		for name, value := range e.Fields {
			event.Fields[name] = value
		}
		text, err := marshal(event)
		if err != nil {
			return "", fmt.Errorf("write event %s %s as JSON: %w", e.Kind, e.Key, err)
		}
		if size -= len(text) + 1; size < 0 {
			break
		}
		out.Data.Events = append(out.Data.Events, event)
		out.Data.Omitted--
	}
	text, err := marshal(out)
	return string(text), err
}
