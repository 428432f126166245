package alert

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net"
	stdmail "net/mail"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// isRobot tells whether a method is a chat whose URL is a secret.
func (o *MethodOptions) isRobot() bool {
	return slices.Contains([]MethodKind{DingTalk, Feishu, WeCom, Slack}, o.Kind)
}

// Validate calls problem for everything that is wrong with the options themselves, with the TOML key that is at fault; for the
// files that they name, there is [MethodOptions.Check]. Templates are tried on messages of every shape.
func (o *MethodOptions) Validate(problem func(key, message string)) {
	lonelyEnds(o.Events, problem)
	if o.Repeat > 0 && o.Repeat < time.Minute {
		problem("repeat", fmt.Sprintf("%s is out of range: want 0s for that of the group, or at least 1m", o.Repeat))
	}
	o.validateMisplaced(problem)
	o.validateWords(problem)
	o.validatePassword(problem)
	o.validateHeaders(problem)
	switch {
	case o.Kind == Email:
		o.validateMail(problem)
	case o.isRobot():
		if o.URLFile == "" {
			problem("url_file", "is missing: want the path of a file with the URL of the robot, which is a secret")
		}
	case o.Kind == Alertmanager:
		o.validateAlertmanager(problem)
	case o.Kind == Webhook || o.Kind == SMS:
		o.validateRequest(problem)
	}
}

// validateMisplaced finds the keys of other methods.
func (o *MethodOptions) validateMisplaced(problem func(key, message string)) {
	requests := []MethodKind{Webhook, SMS}
	for _, k := range []struct {
		key   string
		set   bool
		kinds []MethodKind
	}{
		{"title", o.Title != "", []MethodKind{Email, Webhook, DingTalk, Feishu, WeCom, Slack, SMS}},
		{"text", o.Text != "", []MethodKind{Email, Webhook, DingTalk, Feishu, WeCom, Slack, SMS}},
		{"to", len(o.To) > 0, []MethodKind{Email, SMS}},
		{"from", o.From != "", []MethodKind{Email}},
		{"server", o.Server != "" && o.Server != "localhost:25", []MethodKind{Email}},
		{"tls", o.TLS != "" && o.TLS != StartTLS, []MethodKind{Email}},
		{"auth", o.Auth != "" && o.Auth != NoAuth, []MethodKind{Email}},
		{"url", o.URL != "" && !o.isRobot(), requests},
		{"url_file", o.URLFile != "", []MethodKind{Webhook, SMS, DingTalk, Feishu, WeCom, Slack}},
		{"urls", len(o.URLs) > 0, []MethodKind{Alertmanager}},
		{"method", o.Method != "" && o.Method != "POST", []MethodKind{SMS}},
		{"headers", len(o.Headers) > 0, requests},
		{"body", o.Body != "", requests},
		{"content_type", o.ContentType != "" && o.ContentType != "application/json", requests},
		{"expect", o.Expect != "", []MethodKind{SMS}},
		{"at_mobiles", len(o.AtMobiles) > 0, []MethodKind{DingTalk}},
		{"secret_file", o.SecretFile != "", []MethodKind{Webhook, DingTalk, Feishu}},
		{"token_file", o.TokenFile != "", []MethodKind{Webhook, Alertmanager, SMS}},
		{"username", o.Username != "", []MethodKind{Email, Webhook, Alertmanager, SMS}},
		{"password_file", o.PasswordFile != "", []MethodKind{Email, Webhook, Alertmanager, SMS}},
	} {
		if k.set && !slices.Contains(k.kinds, o.Kind) {
			names := make([]string, len(k.kinds))
			for i, t := range k.kinds {
				names[i] = string(t)
			}
			problem(k.key, fmt.Sprintf("has no meaning for kind %q, only for %s: remove it", o.Kind, strings.Join(names, ", ")))
		}
	}
	if o.isRobot() && o.URL != "" {
		problem("url", "the URL of a robot is a secret: write it into a file, and name that with url_file")
	}
}

// validateWords tries the templates of title and text.
func (o *MethodOptions) validateWords(problem func(key, message string)) {
	for _, part := range []struct{ key, text string }{{"title", o.Title}, {"text", o.Text}} {
		if part.text != "" {
			try(part.text, func(m *Message) page { return page{Message: m, State: string(m.state())} },
				func(message string) { problem(part.key, message) }, nil)
		}
	}
}

// try renders a template with every sample. What comes out is given to judge, which may be nil and says what is wrong with it.
func try(text string, of func(*Message) page, problem func(message string), judge func(made string) string) {
	t, err := parseTemplate(text)
	if err != nil {
		problem(fmt.Sprintf("is no template of Go's text/template: %v", err))
		return
	}
	for _, m := range samples() {
		made, err := renderPage(t, of(m))
		if err != nil {
			problem(fmt.Sprintf("the template fails for %s: %v", shapeOf(m), err))
			return
		}
		if judge != nil {
			if complaint := judge(made); complaint != "" {
				problem(complaint)
				return
			}
		}
	}
}

// shapeOf names a sample.
func shapeOf(m *Message) string {
	switch {
	case m.Test:
		return "a test"
	case len(m.Events) == 0:
		return "a message of many events, which lists none"
	case m.Resolved:
		return "an alert that is over"
	}
	return "an alert"
}

func (o *MethodOptions) validatePassword(problem func(key, message string)) {
	if o.Username != "" && o.PasswordFile == "" {
		problem("password_file", "is missing: username needs the path of a file with its password")
	}
	if o.PasswordFile != "" && o.Username == "" {
		problem("username", "is missing: password_file has its password")
	}
	if strings.ContainsFunc(o.Username, isControl) {
		problem("username", "has a control character: remove it")
	}
	if o.Kind == Email {
		return
	}
	if strings.Contains(o.Username, ":") {
		problem("username", "has a colon, which ends the user in HTTP basic authentication: want one without")
	}
	if o.Username != "" && o.TokenFile != "" && o.Kind != SMS {
		problem("token_file", "there is a username, too, and one request has one of them: remove token_file or username")
	}
}

// isControl tells whether a rune cannot stand in a header.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func (o *MethodOptions) validateMail(problem func(key, message string)) {
	if len(o.To) == 0 {
		problem("to", `is missing: want addresses such as ["ops@example.com"]`)
	}
	for i, to := range o.To {
		if complaint := mailComplaint(to); complaint != "" {
			problem(fmt.Sprintf("to[%d]", i), complaint)
		} else if slices.Contains(o.To[:i], to) {
			problem(fmt.Sprintf("to[%d]", i), fmt.Sprintf("%q is in this list already: want it once", to))
		}
	}
	if o.From == "" {
		problem("from", `is missing: want an address such as "gtmd <gtmd@example.com>"`)
	} else if complaint := mailComplaint(o.From); complaint != "" {
		problem("from", complaint)
	}
	host, port, err := net.SplitHostPort(o.Server)
	if err == nil {
		var at netip.AddrPort
		if at, err = netip.ParseAddrPort("0.0.0.0:" + port); at.Port() == 0 {
			err = fmt.Errorf("no port")
		}
	}
	if err != nil || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' }) {
		problem("server", fmt.Sprintf("%q is no host with a port: want one such as \"mail.example.com:587\"", o.Server))
	}
	o.validateMailAuth(problem)
}

func (o *MethodOptions) validateMailAuth(problem func(key, message string)) {
	hasAuth := o.Auth != NoAuth && o.Auth != ""
	if o.Username != "" && !hasAuth {
		problem("auth", `is "none", but there is a username: want "plain" as most servers do, "login", "cram-md5" or "scram-sha-256"`)
	}
	if hasAuth && o.Username == "" && o.PasswordFile == "" {
		problem("username", fmt.Sprintf("is missing: auth %q needs username and password_file", o.Auth))
	}
	if (o.Auth == PlainAuth || o.Auth == LoginAuth) && (o.TLS == NoTLS || o.TLS == OpportunisticTLS) {
		problem("auth", fmt.Sprintf("%q shows the password to the network with tls = %q: want tls = \"starttls\" or \"implicit\"", o.Auth, o.TLS))
	}
	if o.CAFile != "" && (o.TLS == NoTLS || o.TLS == OpportunisticTLS) {
		problem("ca_file", fmt.Sprintf("has no meaning with tls = %q, which verifies nothing: want tls = \"starttls\" or \"implicit\", or remove it", o.TLS))
	}
}

// mailComplaint says what is wrong with an address of a mailbox; "" when nothing is.
func mailComplaint(text string) string {
	a, err := stdmail.ParseAddress(text)
	if err != nil || strings.ContainsFunc(text, isControl) {
		return fmt.Sprintf("%q is no mail address: want one such as \"ops@example.com\"", text)
	}
	if strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '[' }) {
		return fmt.Sprintf("%q has an address that not every mail server takes: want ASCII, and a domain in its xn-- form", text)
	}
	return ""
}

func (o *MethodOptions) validateAlertmanager(problem func(key, message string)) {
	if len(o.URLs) == 0 {
		problem("urls", `is missing: want the addresses of all Alertmanagers, such as ["http://192.0.2.1:9093"]`)
	}
	if o.Repeat > maxRemind {
		problem("repeat", fmt.Sprintf("%s is too long: Alertmanager takes for over what it is not told of for %v; want at most %v, or none for a minute", o.Repeat, firingFor, maxRemind))
	}
	for i, url := range o.URLs {
		key := fmt.Sprintf("urls[%d]", i)
		switch complaint := urlComplaint(url); {
		case complaint != "":
			problem(key, complaint)
		case strings.Contains(url, "?"):
			problem(key, "has a query: want the address alone, such as http://192.0.2.1:9093")
		case strings.HasSuffix(strings.TrimSuffix(url, "/"), alertmanPath):
			problem(key, fmt.Sprintf("ends with %s, which is added: want the address alone, such as http://192.0.2.1:9093", alertmanPath))
		case slices.Contains(o.URLs[:i], url):
			problem(key, "is in this list already: want it once")
		}
	}
}

// validateRequest checks what webhook and sms send.
func (o *MethodOptions) validateRequest(problem func(key, message string)) {
	switch {
	case o.URL == "" && o.URLFile == "":
		problem("url", "is missing: want where to send to, or url_file, a file that holds it")
	case o.URL != "" && o.URLFile != "":
		problem("url_file", "there is a url, too: remove one of them")
	case o.URL != "" && o.Kind == SMS:
		if _, _, err := smsURL(o.URL); err != nil {
			problem("url", err.Error())
		}
	case o.URL != "":
		if complaint := urlComplaint(o.URL); complaint != "" {
			problem("url", complaint)
		}
	}
	o.validateBody(problem)
	if o.Kind != SMS {
		return
	}
	if len(o.To) == 0 {
		problem("to", `is missing: want numbers as the gateway takes them, such as ["+8613800000000"]`)
	}
	for i, to := range o.To {
		if to == "" || strings.ContainsFunc(to, isControl) || slices.Contains(o.To[:i], to) {
			problem(fmt.Sprintf("to[%d]", i), fmt.Sprintf("%q is empty, has a control character, or is in this list already: want each number once", to))
		}
	}
	if o.Method != "POST" && o.Method != "GET" && o.Method != "PUT" {
		problem("method", fmt.Sprintf("%q cannot be sent: want \"POST\", \"PUT\" or \"GET\"", o.Method))
	}
	templates := o.URL + o.Body + strings.Join(slices.Collect(maps.Values(o.Headers)), "")
	if o.Method == "GET" && o.Body != "" {
		problem("body", "a request with method GET has none: use POST, or write all into url")
	}
	if o.TokenFile != "" && o.URLFile == "" && !strings.Contains(templates, ".Token") {
		problem("token_file", "nothing uses the token: write {{.Token}} where the gateway wants it, in headers, body or url")
	}
	if o.URLFile == "" && !strings.Contains(templates, ".To") {
		problem("to", "nothing uses the number: write {{.To}} where the gateway wants it, in url or body")
	}
}

// validateBody tries the template of the body, and wants JSON where that is what it says it is.
func (o *MethodOptions) validateBody(problem func(key, message string)) {
	kind, _, err := mime.ParseMediaType(o.ContentType)
	if err != nil || strings.ContainsFunc(o.ContentType, isControl) {
		problem("content_type", fmt.Sprintf("%q is no type: want one such as \"application/json\" or \"application/x-www-form-urlencoded\"", o.ContentType))
	}
	if o.Body == "" {
		if o.Kind == Webhook && kind != "application/json" {
			problem("content_type", "has no meaning without a body of your own: remove it, or set body")
		}
		return
	}
	judge := func(made string) string {
		if (kind == "application/json" || strings.HasSuffix(kind, "+json")) && !json.Valid([]byte(made)) {
			return fmt.Sprintf("makes no JSON, as content_type %q wants it: write a text as {{json .Title}}, which brings its own quotes", o.ContentType)
		}
		return ""
	}
	of := func(m *Message) page {
		return page{Message: m, State: string(m.state()), To: "+86 13800000000", Token: `a "token"`}
	}
	try(o.Body, of, func(message string) { problem("body", message) }, judge)
}

// validateHeaders checks the headers of webhook and sms.
func (o *MethodOptions) validateHeaders(problem func(key, message string)) {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		lower := strings.ToLower(name)
		if other, ok := seen[lower]; ok {
			problem("headers", fmt.Sprintf("%q and %q are the same header: remove one", other, name))
		}
		seen[lower] = name
		o.validateHeader(name, lower, problem)
	}
}

func (o *MethodOptions) validateHeader(name, lower string, problem func(key, message string)) {
	value := o.Headers[name]
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isTokenRune(r) }):
		problem("headers", fmt.Sprintf("%q is not the name of a header: want letters, digits and dashes", name))
	case slices.Contains([]string{"host", "connection", "content-length", "keep-alive", "proxy-connection", "te", "transfer-encoding", "trailer", "upgrade"}, lower):
		problem("headers", fmt.Sprintf("%q belongs to the connection: remove it", name))
	case lower == "content-type":
		problem("headers", fmt.Sprintf("%q has a key of its own: use content_type", name))
	case strings.HasPrefix(lower, "webhook-") && o.Kind == Webhook:
		problem("headers", fmt.Sprintf("%q is one of Standard Webhooks, which are set for every message: remove it", name))
	case lower == "authorization" && (o.Kind == Webhook || o.Username != ""):
		problem("headers", fmt.Sprintf("%q holds a secret, which belongs into a file: use token_file, or username with password_file", name))
	case strings.ContainsFunc(value, func(r rune) bool { return isControl(r) && r != '\t' }):
		problem("headers", fmt.Sprintf("the value of %q has a line break or another control character: remove it", name))
	case o.Kind == SMS:
		of := func(m *Message) page {
			return page{Message: m, State: string(m.state()), To: "+86 13800000000", Token: "a token"}
		}
		try(value, of, func(message string) { problem("headers", fmt.Sprintf("%q: %s", name, message)) }, nil)
	}
}

// isTokenRune tells whether a rune can be in the name of a header (RFC 9110, section 5.6.2).
func isTokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
