package alert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestValidate has one thing wrong in each set of options; want is the key and a part of what is said.
func TestValidate(t *testing.T) {
	token, bad := file(t, "token"), filepath.Join(t.TempDir(), "nowhere")
	robot := file(t, "https://oapi.dingtalk.com/robot/send?access_token=abcdef0123456789")
	mail := func(change func(*MethodOptions)) MethodOptions {
		o := MethodOptions{Kind: Email, To: []string{"ops@example.com"}, From: "gtmd <gtmd@example.com>"}
		change(&o)
		return o
	}
	hook := func(change func(*MethodOptions)) MethodOptions {
		o := MethodOptions{Kind: Webhook, URL: "https://alerts.example.com/gtmd"}
		change(&o)
		return o
	}
	text := func(change func(*MethodOptions)) MethodOptions {
		o := MethodOptions{Kind: SMS, URL: "https://gw.example.com/?to={{.To | urlquery}}", To: []string{"+1"}}
		change(&o)
		return o
	}
	for _, tt := range []struct {
		o    MethodOptions
		want string // empty: nothing is wrong
	}{
		{mail(func(o *MethodOptions) {}), ""},
		{mail(func(o *MethodOptions) { o.To = nil }), "to: is missing"},
		{mail(func(o *MethodOptions) { o.To = []string{"ops"} }), `to[0]: "ops" is no mail address`},
		{mail(func(o *MethodOptions) { o.To = []string{"a@example.com", "a@example.com"} }), "to[1]: "},
		{mail(func(o *MethodOptions) { o.To = []string{"a@example.com\r\nBcc: b@example.com"} }), "to[0]: "},
		{mail(func(o *MethodOptions) { o.To = []string{"ops@例え.jp"} }), "to[0]: "},
		{mail(func(o *MethodOptions) { o.From = "" }), "from: is missing"},
		{mail(func(o *MethodOptions) { o.From = "gtmd" }), "from: "},
		{mail(func(o *MethodOptions) { o.Server = "mail.example.com" }), "server: "},
		{mail(func(o *MethodOptions) { o.Server = "mail.example.com:0" }), "server: "},
		{mail(func(o *MethodOptions) { o.Server = ":25" }), "server: "},
		{mail(func(o *MethodOptions) { o.Auth = PlainAuth }), "username: is missing"},
		{hook(func(o *MethodOptions) { o.Username = "u" }), "password_file: is missing"},
		{hook(func(o *MethodOptions) { o.PasswordFile = token }), "username: is missing"},
		{mail(func(o *MethodOptions) { o.Username, o.PasswordFile = "u", token }), `auth: is "none"`},
		{mail(func(o *MethodOptions) { o.Username, o.PasswordFile, o.Auth = "u", token, PlainAuth }), ""},
		{mail(func(o *MethodOptions) { o.Username, o.PasswordFile, o.Auth, o.TLS = "u", token, LoginAuth, NoTLS }), "auth: "},
		{mail(func(o *MethodOptions) {
			o.Username, o.PasswordFile, o.Auth, o.TLS = "u", token, PlainAuth, OpportunisticTLS
		}), "auth: "},
		{mail(func(o *MethodOptions) { o.CAFile, o.TLS = token, NoTLS }), "ca_file: "},
		{mail(func(o *MethodOptions) { o.CAFile = token }), "ca_file: " + token + " holds no certificate"},
		{mail(func(o *MethodOptions) { o.URL = "https://example.com" }), "url: has no meaning"},
		{mail(func(o *MethodOptions) { o.Title = "{{.Titel}}" }), "title: the template fails for an alert: line 1:2"},
		{mail(func(o *MethodOptions) { o.Title = "{{" }), "title: is no template"},
		{mail(func(o *MethodOptions) { o.Text = "{{index .Events 0}}" }), "text: the template fails for a message of many events"},
		{mail(func(o *MethodOptions) { o.Repeat = time.Second }), "repeat: "},

		{hook(func(o *MethodOptions) {}), ""},
		{hook(func(o *MethodOptions) { o.URL = "" }), "url: is missing"},
		{hook(func(o *MethodOptions) { o.URLFile = robot }), "url_file: there is a url"},
		{hook(func(o *MethodOptions) { o.URL = "alerts.example.com" }), "url: "},
		{hook(func(o *MethodOptions) { o.URL = "https://me:pass@alerts.example.com/" }), "url: has a user or a password"},
		{hook(func(o *MethodOptions) { o.URL = "https://alerts.example.com:99999/" }), "url: "},
		{hook(func(o *MethodOptions) { o.URL = "https://alerts.example.com/a b" }), "url: "},
		{hook(func(o *MethodOptions) { o.URL, o.URLFile = "", bad }), "url_file: "},
		{hook(func(o *MethodOptions) { o.URL, o.URLFile = "", token }), "url_file: " + token + " is not"},
		{hook(func(o *MethodOptions) { o.SecretFile = token }), `secret_file: ` + token + `: a secret does not begin with "whsec_"`},
		{hook(func(o *MethodOptions) { o.SecretFile = file(t, "whsec_!!") }), "is not base64"},
		{hook(func(o *MethodOptions) { o.SecretFile = file(t, "whsec_c2hvcnQ=") }), "has 5 octets"},
		{hook(func(o *MethodOptions) { o.TokenFile = file(t, " \n") }), "is empty"},
		{hook(func(o *MethodOptions) { o.TokenFile = file(t, "a\nb") }), "token_file: "},
		{hook(func(o *MethodOptions) { o.TokenFile = t.TempDir() }), "not a regular file"},
		{hook(func(o *MethodOptions) { o.TokenFile = file(t, strings.Repeat("x", 5000)) }), "more than the 4096 octets"},
		{hook(func(o *MethodOptions) { o.TokenFile, o.Username, o.PasswordFile = token, "u", token }), "token_file: there is a username"},
		{hook(func(o *MethodOptions) { o.Username, o.PasswordFile = "u:v", token }), "username: has a colon"},
		{hook(func(o *MethodOptions) { o.Headers = map[string]string{"Authorization": "Bearer x"} }), "headers: "},
		{hook(func(o *MethodOptions) { o.Headers = map[string]string{"webhook-id": "x"} }), "headers: "},
		{hook(func(o *MethodOptions) { o.Headers = map[string]string{"X": "a\r\nY: b"} }), "headers: "},
		{hook(func(o *MethodOptions) { o.Headers = map[string]string{"X Y": "a"} }), "headers: "},
		{hook(func(o *MethodOptions) { o.Headers = map[string]string{"Host": "a"} }), "headers: "},
		{hook(func(o *MethodOptions) { o.Headers = map[string]string{"x-a": "a", "X-A": "a"} }), "are the same header"},
		{hook(func(o *MethodOptions) { o.Headers = map[string]string{"Content-Type": "a"} }), "use content_type"},
		{hook(func(o *MethodOptions) { o.Body = `{"text":"{{.Text}}"}` }), "body: makes no JSON"},
		{hook(func(o *MethodOptions) { o.Body = `{"text":{{json .Text}}}` }), ""},
		{hook(func(o *MethodOptions) { o.Body, o.ContentType = `{{.Text}}`, "text/plain" }), ""},
		{hook(func(o *MethodOptions) { o.ContentType = "text/plain" }), "content_type: "},
		{hook(func(o *MethodOptions) { o.Body, o.ContentType = "x", "text"+"\n" }), "content_type: "},
		{hook(func(o *MethodOptions) { o.To = []string{"a@example.com"} }), `to: has no meaning for kind "webhook", only for email, sms`},

		{MethodOptions{Kind: DingTalk, URLFile: robot}, ""},
		{MethodOptions{Kind: DingTalk}, "url_file: is missing"},
		{MethodOptions{Kind: DingTalk, URLFile: robot, URL: "https://x.example/"}, "url: the URL of a robot is a secret"},
		{MethodOptions{Kind: WeCom, URLFile: file(t, "http://qyapi.weixin.qq.com/?key=1")}, "shows the secret in it to the network"},
		{MethodOptions{Kind: WeCom, URLFile: robot, SecretFile: token}, "secret_file: has no meaning"},
		{MethodOptions{Kind: Feishu, URLFile: robot, AtMobiles: []string{"1"}}, "at_mobiles: has no meaning"},

		{MethodOptions{Kind: Alertmanager, URLs: []string{"http://192.0.2.1:9093"}}, ""},
		{MethodOptions{Kind: Alertmanager}, "urls: is missing"},
		{MethodOptions{Kind: Alertmanager, URLs: []string{"192.0.2.1:9093"}}, "urls[0]: "},
		{MethodOptions{Kind: Alertmanager, URLs: []string{"http://a.example", "http://a.example"}}, "urls[1]: "},
		{MethodOptions{Kind: Alertmanager, URLs: []string{"http://a.example/api/v2/alerts"}}, "which is added"},
		{MethodOptions{Kind: Alertmanager, URLs: []string{"http://a.example?x=y"}}, "has a query"},
		{MethodOptions{Kind: Alertmanager, URLs: []string{"http://a.example"}, Repeat: time.Hour}, "repeat: 1h0m0s is too long"},
		{MethodOptions{Kind: Alertmanager, URLs: []string{"http://a.example"}, Title: "x"}, "title: has no meaning"},

		{text(func(o *MethodOptions) {}), ""},
		{text(func(o *MethodOptions) { o.To = nil }), "to: is missing"},
		{text(func(o *MethodOptions) { o.To = []string{"1", "1"} }), "to[1]: "},
		{text(func(o *MethodOptions) { o.URL = "https://gw.example.com/" }), "to: nothing uses the number"},
		{text(func(o *MethodOptions) { o.TokenFile = token }), "token_file: nothing uses the token"},
		{text(func(o *MethodOptions) { o.Method = "DELETE" }), "method: "},
		{text(func(o *MethodOptions) { o.Method, o.Body = "GET", "{}" }), "body: a request with method GET"},
		{text(func(o *MethodOptions) { o.Headers = map[string]string{"X": "{{.Nope}}"} }), `headers: "X": the template fails`},
		{text(func(o *MethodOptions) { o.URL, o.URLFile = "", file(t, "https://gw.example.com/?to={{.To}}") }), "needs urlquery"},
	} {
		o := withDefaults(tt.o)
		got := complaints(&o)
		switch {
		case tt.want == "" && len(got) > 0:
			t.Errorf("%+v: %q, want nothing", tt.o, got)
		case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
			t.Errorf("want %q, got %q", tt.want, got)
		}
		for _, complaint := range got {
			if strings.Contains(complaint, "me:pass") || strings.Contains(complaint, "key=1") || strings.Contains(complaint, "whsec_c2") {
				t.Errorf("shows a secret: %s", complaint)
			}
		}
	}
}

// TestNewSenderErrors tells all that is wrong at once.
func TestNewSenderErrors(t *testing.T) {
	_, err := NewSender(MethodOptions{Name: "bridge", Kind: Webhook, URLFile: "/nowhere/a", SecretFile: "/nowhere/b"}, nil)
	if err == nil || !strings.Contains(err.Error(), "alert method bridge: url_file: ") || !strings.Contains(err.Error(), "secret_file: ") {
		t.Errorf("error %v", err)
	}
	if _, err := NewSender(MethodOptions{Kind: "pigeon"}, nil); err == nil {
		t.Error("a method that there is not")
	}
}

// TestFiles names every option that ends with _file.
func TestFiles(t *testing.T) {
	o := MethodOptions{URLFile: "a", SecretFile: "b", TokenFile: "c", PasswordFile: "d", CAFile: "e"}
	var keys []string
	for _, f := range o.Files() {
		keys = append(keys, f.Key)
		*f.Path = "/" + *f.Path
	}
	if strings.Join(keys, " ") != "url_file secret_file token_file password_file ca_file" || o.CAFile != "/e" {
		t.Errorf("files %v of %+v", keys, o)
	}
	source, err := os.ReadFile("methodoptions.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "_file\"`"); n != len(keys) {
		t.Errorf("%d options end with _file, and %d are files", n, len(keys))
	}
}
