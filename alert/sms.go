package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"text/template"
)

// sms asks any gateway for text messages that takes HTTP requests, one for each recipient.
type sms struct {
	partials
	http        *httpSender
	method      string
	url         *template.Template
	host        string // of every URL that the template makes
	headers     map[string]*template.Template
	contentType string
	body        *template.Template
	username    string
	expect      string
	to          []string
	keys        *keyring
	words       *wording
}

func newSMS(o *MethodOptions, keys *keyring, words *wording, problem func(key, message string)) *sms {
	s := &sms{
		http: newHTTPSender(keys), method: o.Method, contentType: o.ContentType, username: o.Username, expect: o.Expect,
		to: o.To, keys: keys, words: words, headers: map[string]*template.Template{},
	}
	key, text, name := "url", o.URL, ""
	if o.URLFile != "" {
		key, text, name = "url_file", keys.url, o.URLFile+": "
	}
	var err error
	if s.url, s.host, err = smsURL(text); err != nil {
		problem(key, name+err.Error())
	}
	// Validate has tried these.
	s.body, _ = parseTemplate(o.Body)
	for name, value := range o.Headers {
		s.headers[name], _ = parseTemplate(value)
	}
	if o.Body == "" {
		s.contentType = ""
	}
	return s
}

// smsURL reads the template of a URL, and tells the host of what it makes. The error does not quote it.
func smsURL(text string) (*template.Template, string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return nil, "", fmt.Errorf("is no template: %w", err)
	}
	host := ""
	for _, m := range samples() {
		made, err := renderPage(t, page{Message: m, State: string(m.state()), To: "+86 13800000000", Token: "a token"})
		if err != nil {
			return nil, "", err
		}
		if complaint := urlComplaint(made); complaint != "" {
			return nil, "", fmt.Errorf("%s; a value in it needs urlquery: {{.To | urlquery}}", complaint)
		}
		if host != "" && hostOf(made) != host {
			return nil, "", errors.New("has a host that changes with the message: want a fixed one")
		}
		host = hostOf(made)
	}
	return t, host, nil
}

// To is the numbers and the host.
func (s *sms) To() string {
	text := ""
	for i, to := range s.to {
		if i > 0 {
			text += ", "
		}
		text += to
	}
	return text + " by " + s.host
}

// Send asks for a message to everyone who has not got it.
func (s *sms) Send(ctx context.Context, m *Message) error {
	c := *m
	c.Title, c.Text = s.words.words(m, nil)
	return s.each(ctx, m.ID, s.to, func(to string) error {
		return s.deliver(ctx, page{Message: &c, State: string(m.state()), To: to, Token: s.keys.token})
	})
}

func (s *sms) deliver(ctx context.Context, p page) error {
	r := httpRequest{method: s.method, contentType: s.contentType, username: s.username, headers: map[string]string{}}
	failed := func(key string, err error) error {
		return &PermanentError{s.keys.error(fmt.Errorf("%s to %s: %s: %w", s.method, s.host, key, err))}
	}
	var err error
	if r.url, err = renderPage(s.url, p); err != nil {
		return failed("url", err)
	}
	if u, err := url.Parse(r.url); err != nil || u.Host != s.host {
		return failed("url", errors.New("the template makes no URL of this host: write {{.To | urlquery}}"))
	}
	if r.body, err = renderPage(s.body, p); err != nil {
		return failed("body", err)
	}
	for name, value := range s.headers {
		text, err := renderPage(value, p)
		if err != nil {
			return failed("headers."+name, err)
		}
		r.headers[name] = oneLineOf(text)
	}
	response, err := s.http.send(ctx, r)
	if err != nil {
		return forRecipient(p.To, err)
	}
	if s.expect != "" && !bytes.Contains(response, []byte(s.expect)) {
		return s.keys.error(fmt.Errorf("%s: %s to %s: the response has no %q: %s", p.To, s.method, s.host, s.expect, s.keys.excerpt(response)))
	}
	return nil
}

// forRecipient names who does not get a message, and keeps what sort of error it is.
func forRecipient(to string, err error) error {
	if permanent := (*PermanentError)(nil); errors.As(err, &permanent) {
		return &PermanentError{fmt.Errorf("%s: %w", to, permanent.Err)}
	}
	return fmt.Errorf("%s: %w", to, err)
}
