package alert

import "time"

// MethodKind is the way by which a group is told.
type MethodKind string

// The ways to tell people.
const (
	Email        MethodKind = "email"
	Webhook      MethodKind = "webhook"
	DingTalk     MethodKind = "dingtalk"
	Feishu       MethodKind = "feishu"
	WeCom        MethodKind = "wecom"
	Slack        MethodKind = "slack"
	Alertmanager MethodKind = "alertmanager"
	SMS          MethodKind = "sms"
)

// Values lists what a configuration may say.
func (MethodKind) Values() []string {
	return []string{"email", "webhook", "dingtalk", "feishu", "wecom", "slack", "alertmanager", "sms"}
}

// MailTLS is how a mail server is spoken to.
type MailTLS string

// How a mail server is spoken to.
const (
	// StartTLS encrypts and verifies the server, or does not send.
	StartTLS MailTLS = "starttls"
	// OpportunisticTLS encrypts when the server offers it, verifies nothing (RFC 7435) and so sends no password.
	OpportunisticTLS MailTLS = "opportunistic"
	// ImplicitTLS is TLS from the first octet (RFC 8314), usually on port 465.
	ImplicitTLS MailTLS = "implicit"
	// NoTLS never encrypts: for a server on this machine.
	NoTLS MailTLS = "none"
)

// Values lists what a configuration may say.
func (MailTLS) Values() []string { return []string{"starttls", "opportunistic", "implicit", "none"} }

// MailAuth is how gtmd shows a mail server who it is.
type MailAuth string

// How gtmd shows a mail server who it is.
const (
	NoAuth      MailAuth = "none"
	PlainAuth   MailAuth = "plain"
	LoginAuth   MailAuth = "login"
	CramMD5Auth MailAuth = "cram-md5"
	ScramAuth   MailAuth = "scram-sha-256"
)

// Values lists what a configuration may say.
func (MailAuth) Values() []string {
	return []string{"none", "plain", "login", "cram-md5", "scram-sha-256"}
}

// MethodOptions is one [[alert_group.method]]: a way by which the group is told.
type MethodOptions struct {
	// Name of the method, unique in its group. Default: its kind.
	Name string `toml:"name"`
	// The way by which the group is told.
	Kind MethodKind `toml:"kind" required:"true"`
	// Of the events of the group, those that are told by this method. Empty: all.
	Events []Kind `toml:"events" single:"true"`
	// Quiet times of this method, in place of those of the group; [] for none.
	Quiet []Quiet `toml:"quiet" single:"true"`
	// Remind of what is not over this long after it was told, in place of the repeat of the group. 0s: as the group says.
	Repeat time.Duration `toml:"repeat" default:"0s" range:"0s..8760h"`
	// At most so many messages within a time, such as "20/1m"; what is over is joined to one message. Default: 20/1m, what DingTalk takes from a robot.
	Rate Rate `toml:"rate" default:"20/1m"`
	// How long one attempt may take.
	Timeout time.Duration `toml:"timeout" default:"10s" range:"100ms..5m"`

	// Template (Go's text/template) of the title: the subject of a mail, the first line in a chat. Default: "[gtmd] {{.State}}: {{.Title}}". Not for alertmanager.
	Title string `toml:"title"`
	// Template of the text. Default: {{.Text}}. Not for alertmanager.
	Text string `toml:"text"`

	// email: addresses of mailboxes. sms: numbers, as the gateway wants them. Each gets a message of its own.
	To []string `toml:"to"`
	// email: the address that it comes from, such as "gtmd <gtmd@example.com>".
	From string `toml:"from"`
	// email: host and port of the mail server.
	Server string `toml:"server" default:"localhost:25"`
	// email: "starttls" encrypts and verifies, or does not send; "opportunistic" encrypts where that works; "implicit" is TLS from the start, port 465; "none" is for a server on this machine.
	TLS MailTLS `toml:"tls" default:"starttls"`
	// email: how gtmd shows the mail server who it is.
	Auth MailAuth `toml:"auth" default:"none"`

	// webhook, sms: where to send. Of sms it is a template, with {{.To}}. A URL that holds a secret belongs into url_file.
	URL string `toml:"url"`
	// dingtalk, feishu, wecom, slack: file with the URL of the chat robot, which is a secret. webhook, sms: in place of url.
	URLFile string `toml:"url_file"`
	// alertmanager: the addresses of all Alertmanagers, such as "http://192.0.2.1:9093".
	URLs []string `toml:"urls" single:"true"`
	// sms: the method of the request.
	Method string `toml:"method" default:"POST"`
	// webhook, sms: further headers; of sms their values are templates.
	Headers map[string]string `toml:"headers"`
	// webhook: template of the body. sms: the same, with {{.To}}. Default for webhook: the JSON of docs/alert-methods.md; for sms: none.
	Body string `toml:"body"`
	// webhook, sms: the type of the body. A body of JSON is checked when the configuration is loaded.
	ContentType string `toml:"content_type" default:"application/json"`
	// sms: text that the response must have, beside a status of 200 to 299. Empty: any response.
	Expect string `toml:"expect"`
	// dingtalk: numbers of members to call by their names.
	AtMobiles []string `toml:"at_mobiles"`

	// webhook: file with the secret that signs (Standard Webhooks), "whsec_" and base64; one on each line: all sign. dingtalk, feishu: file with the secret of the robot.
	SecretFile string `toml:"secret_file"`
	// webhook, alertmanager: file with a bearer token. sms: file with what {{.Token}} stands for in url, headers and body.
	TokenFile string `toml:"token_file"`
	// email: the user of auth. webhook, alertmanager, sms: the user of HTTP basic authentication.
	Username string `toml:"username"`
	// File with the password of username.
	PasswordFile string `toml:"password_file"`
	// Certificate authorities (PEM) to trust, in place of those of the system.
	CAFile string `toml:"ca_file"`
}

// Label is the name of the method, or its kind where it has none.
func (o *MethodOptions) Label() string {
	if o.Name != "" {
		return o.Name
	}
	return string(o.Kind)
}

// OptionFile is an option that names a file.
type OptionFile struct {
	Key  string
	Path *string // never empty
}

// Files returns the files that the options name. Who knows where relative paths start makes them absolute before
// [MethodOptions.Check] and [NewSender], which read them.
func (o *MethodOptions) Files() []OptionFile {
	var named []OptionFile
	for _, f := range []OptionFile{
		{"url_file", &o.URLFile}, {"secret_file", &o.SecretFile}, {"token_file", &o.TokenFile},
		{"password_file", &o.PasswordFile}, {"ca_file", &o.CAFile},
	} {
		if *f.Path != "" {
			named = append(named, f)
		}
	}
	return named
}
