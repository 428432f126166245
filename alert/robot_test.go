package alert

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestSignatures holds both signatures against constants that openssl made:
//
//	printf '%s\n%s' 1700000000123 SEC4a8f2c9d0b7e6 | openssl dgst -sha256 -hmac SEC4a8f2c9d0b7e6 -binary | base64
//	printf '' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf '1700000000\nQx7kQm2rT5vW9z' | xxd -p) -binary | base64
func TestSignatures(t *testing.T) {
	if got, want := dingTalkSignature("SEC4a8f2c9d0b7e6", "1700000000123"), "c59D3KGxOa5Jl+6hIJv4Ya9AfIalOUTraUfm0sXbsYs="; got != want {
		t.Errorf("DingTalk: %s, want %s", got, want)
	}
	if got, want := feishuSignature("Qx7kQm2rT5vW9z", "1700000000"), "z5kRA4f0MhfPy04CU/S8ZP5IYhu0Tm2JxTe51iMxX1c="; got != want {
		t.Errorf("Feishu: %s, want %s", got, want)
	}
}

// TestSignedURL is the same vector in the URL, where "+", "/" and "=" are escaped.
func TestSignedURL(t *testing.T) {
	o := &MethodOptions{
		Kind: DingTalk, URLFile: file(t, "https://oapi.dingtalk.com/robot/send?access_token=abcdef0123456789"),
		SecretFile: file(t, "SEC4a8f2c9d0b7e6\n"),
	}
	d := newDingTalk(o, newKeyring(o, func(key, message string) { t.Error(key, message) }), o.wording())
	const want = "https://oapi.dingtalk.com/robot/send?access_token=abcdef0123456789" +
		"&sign=c59D3KGxOa5Jl%2B6hIJv4Ya9AfIalOUTraUfm0sXbsYs%3D&timestamp=1700000000123"
	if got := d.signed(time.UnixMilli(1700000000123)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDingTalk(t *testing.T) {
	r := newWebReceiver(t, `{"errcode":0,"errmsg":"ok"}`)
	s := newTestSender(t, MethodOptions{
		Kind: DingTalk, URLFile: file(t, r.URL+"/robot/send?access_token=abcdef0123456789"), SecretFile: file(t, "SECsecret"),
		AtMobiles: []string{"13800000000"},
	})
	got := deliverTo(t, s, r, firing())
	query, err := url.ParseQuery(got.query)
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.ParseInt(query.Get("timestamp"), 10, 64)
	if age := time.Since(time.UnixMilli(at)); err != nil || age < -time.Second || age > time.Minute {
		t.Errorf("timestamp %q is %v old: want milliseconds of now", query.Get("timestamp"), age)
	}
	if query.Get("sign") != dingTalkSignature("SECsecret", query.Get("timestamp")) || query.Get("access_token") != "abcdef0123456789" {
		t.Errorf("query %s", got.query)
	}
	type message struct {
		Type     string `json:"msgtype"`
		Markdown struct{ Title, Text string }
		At       struct {
			AtMobiles []string
			IsAtAll   bool
		}
	}
	m := jsonOf[message](t, got.body)
	if m.Type != "markdown" || m.Markdown.Title != "[gtmd] ALERT: 192.0.2.1 of pool hk is down: timeout" || m.At.IsAtAll ||
		len(m.At.AtMobiles) != 1 || !strings.HasSuffix(m.Markdown.Text, "\n@13800000000") || !strings.Contains(m.Markdown.Text, "within 5s") {
		t.Errorf("message %+v", m)
	}
}

func TestFeishu(t *testing.T) {
	r := newWebReceiver(t, `{"code":0,"msg":"success","data":{}}`)
	s := newTestSender(t, MethodOptions{Kind: Feishu, URLFile: file(t, r.URL+"/open-apis/bot/v2/hook/0123456789abcdef"), SecretFile: file(t, "secret")})
	type message struct {
		Type      string `json:"msg_type"`
		Timestamp string
		Sign      string
		Card      struct {
			Header struct {
				Title    struct{ Tag, Content string }
				Template string
			}
			Elements []struct{ Text struct{ Tag, Content string } }
		}
	}
	m := jsonOf[message](t, deliverTo(t, s, r, resolved()).body)
	at, err := strconv.ParseInt(m.Timestamp, 10, 64)
	if age := time.Since(time.Unix(at, 0)); err != nil || age < -time.Second || age > time.Minute {
		t.Errorf("timestamp %q: want seconds of now", m.Timestamp)
	}
	if m.Sign != feishuSignature("secret", m.Timestamp) {
		t.Errorf("sign %s", m.Sign)
	}
	if m.Type != "interactive" || m.Card.Header.Template != "green" || m.Card.Header.Title.Tag != "plain_text" ||
		m.Card.Header.Title.Content != "[gtmd] RESOLVED: 192.0.2.1 of pool hk is up" || m.Card.Elements[0].Text.Tag != "plain_text" {
		t.Errorf("message %+v", m)
	}
}

func TestWeCom(t *testing.T) {
	r := newWebReceiver(t, `{"errcode":0,"errmsg":"ok"}`)
	s := newTestSender(t, MethodOptions{Kind: WeCom, URLFile: file(t, r.URL+"/cgi-bin/webhook/send?key=0123456789abcdef")})
	type message struct {
		Type     string `json:"msgtype"`
		Markdown struct{ Content string }
	}
	m := jsonOf[message](t, deliverTo(t, s, r, firing()).body)
	if m.Type != "markdown" || !strings.HasPrefix(m.Markdown.Content, `<font color="warning">[gtmd] ALERT: 192.0.2.1`) {
		t.Errorf("message %+v", m)
	}
	big := firing()
	big.Text, big.Title = strings.Repeat("地址不可用<@all>\n", 2000), strings.Repeat("长", 2000)
	content := jsonOf[message](t, deliverTo(t, s, r, big).body).Markdown.Content
	if len(content) > 4096 || !utf8.ValidString(content) || !strings.Contains(content, "more lines") {
		t.Errorf("%d octets, the end is %q", len(content), content[len(content)-40:])
	}
}

func TestSlack(t *testing.T) {
	r := newWebReceiver(t, "ok")
	s := newTestSender(t, MethodOptions{Kind: Slack, URLFile: file(t, r.URL+"/services/T000/B000/abcdefghijklmnopqrstuvwx")})
	m := firing()
	m.Text = "a < b && c > d"
	type message struct {
		Text        string
		Attachments []struct{ Color, Text string }
	}
	got := jsonOf[message](t, deliverTo(t, s, r, m).body)
	if got.Text != "[gtmd] ALERT: 192.0.2.1 of pool hk is down: timeout" || got.Attachments[0].Color != "danger" ||
		!strings.HasPrefix(got.Attachments[0].Text, "a &lt; b &amp;&amp; c &gt; d") {
		t.Errorf("message %+v", got)
	}
	r.answer = "invalid_token"
	if err := s.Send(t.Context(), m); class(err) != "again" {
		t.Errorf("a response that is not ok: %v", err)
	}
}

// TestRobotRefusals tells what a number in a response with status 200 means.
func TestRobotRefusals(t *testing.T) {
	for _, tt := range []struct {
		kind         MethodKind
		answer, want string
	}{
		{DingTalk, `{"errcode":310000,"errmsg":"sign not match"}`, "again"},
		{DingTalk, `{"errcode":130101,"errmsg":"send too fast"}`, "wait 1m0s"},
		{DingTalk, `{"errcode":40035,"errmsg":"json"}`, "permanent"},
		{DingTalk, `{}`, "again"}, {DingTalk, `<html>a portal</html>`, "again"}, {DingTalk, ``, "again"},
		{Feishu, `{"code":19021,"msg":"sign match fail"}`, "again"},
		{Feishu, `{"code":11232,"msg":"frequency limited"}`, "wait 1m0s"},
		{Feishu, `{"code":19001,"msg":"param invalid"}`, "permanent"},
		{Feishu, `{"code":"0"}`, "again"},
		{WeCom, `{"errcode":93000,"errmsg":"invalid webhook url"}`, "again"},
		{WeCom, `{"errcode":45009,"errmsg":"api freq out of limit"}`, "wait 1m0s"},
		{WeCom, `{"errcode":45002,"errmsg":"content size out of limit"}`, "permanent"},
	} {
		r := newWebReceiver(t, tt.answer)
		s := newTestSender(t, MethodOptions{Kind: tt.kind, URLFile: file(t, r.URL+"/0123456789abcdef")})
		err := s.Send(t.Context(), firing())
		if got := class(err); got != tt.want {
			t.Errorf("%s answers %s: %s (%v), want %s", tt.kind, tt.answer, got, err, tt.want)
		}
	}
}

// TestNoInjection has an origin say what would be a link, a mention of everybody, a picture or a heading.
func TestNoInjection(t *testing.T) {
	hostile := "# now\n[click](http://evil.example/) ![x](https://evil.example/p.png) <http://evil.example|ok> @all @所有人 " +
		"<@all> <!channel> <at user_id=\"all\">all</at> <font color=\"info\">x</font> <a href='x'> *b* `c` &#64;all &lt;@all&gt;\n> quote\u202e"
	for _, kind := range []MethodKind{DingTalk, Feishu, WeCom, Slack} {
		r := newWebReceiver(t, "")
		r.answer = map[MethodKind]string{DingTalk: `{"errcode":0}`, WeCom: `{"errcode":0}`, Feishu: `{"code":0}`, Slack: "ok"}[kind]
		s := newTestSender(t, MethodOptions{
			Kind: kind, URLFile: file(t, r.URL+"/0123456789abcdef"),
			Text: "{{.Text}}{{range .Events}}{{.Title}}{{.Text}}{{.Fields.reason}}{{range .Instances}}{{.}}{{end}}{{end}}",
		})
		m := firing()
		m.Title, m.Text = hostile, hostile
		m.Events[0].Title, m.Events[0].Text, m.Events[0].Fields["reason"], m.Events[0].Instances = hostile, hostile, hostile, []string{hostile}
		body := deliverTo(t, s, r, m).body
		for _, harm := range []string{
			"](", "http://", "https://", "@a", "@所", "<@", "<!", "<at", "<a ", "<http", "&#", "&lt;@", "\\n# ", "\\n> ", "*", "`c", "\u202e",
			`<font color=\"info\">x`,
		} {
			if harm == "&lt;@" && kind == Slack { // which shows entities as text
				continue
			}
			if strings.Contains(body, harm) {
				t.Errorf("%s is sent %q in %s", kind, harm, body)
			}
		}
		if !strings.Contains(body, "evil.example") || !strings.Contains(body, "click") {
			t.Errorf("%s is not sent the text: %s", kind, body)
		}
	}
}

// TestSecrets looks for secrets in all that a sender shows, with a receiver that repeats what it is sent.
func TestSecrets(t *testing.T) {
	secret := "s3cr3t+/token=" + strings.Repeat("x", 20)
	webhookSecret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstuv"))
	r := newWebReceiver(t, "")
	r.status = 403
	echo := "no: " + secret + " " + strings.ReplaceAll(secret, "/", `\/`) + " " + url.QueryEscape(secret) + " /hook/" + url.PathEscape(secret)
	urlFile := func() string { return file(t, r.URL+"/hook/"+url.PathEscape(secret)+"?key="+url.QueryEscape(secret)) }
	for _, o := range []MethodOptions{
		{Kind: DingTalk, URLFile: urlFile(), SecretFile: file(t, secret)},
		{Kind: Feishu, URLFile: urlFile(), SecretFile: file(t, secret)},
		{Kind: WeCom, URLFile: urlFile()},
		{Kind: Slack, URLFile: urlFile()},
		{Kind: Webhook, URLFile: urlFile(), SecretFile: file(t, webhookSecret), TokenFile: file(t, secret)},
		{Kind: Webhook, URL: r.URL, SecretFile: file(t, webhookSecret), Username: "me", PasswordFile: file(t, secret)},
		{Kind: Alertmanager, URLs: []string{r.URL}, TokenFile: file(t, secret)},
		{Kind: Alertmanager, URLs: []string{r.URL}, Username: "me", PasswordFile: file(t, secret)},
		{Kind: SMS, To: []string{"+1"}, URLFile: urlFile(), TokenFile: file(t, secret), Body: `{"to":{{json .To}},"key":{{json .Token}}}`},
	} {
		s := newTestSender(t, o)
		r.answer = echo
		if o.Username != "" {
			r.answer += base64.StdEncoding.EncodeToString([]byte("me:" + secret))
		}
		if o.Kind == Webhook {
			r.answer = strings.Repeat("x", 150) + webhookSecret // What an excerpt shows ends within it.
		}
		for _, status := range []int{200, 302, 400, 403, 503} {
			r.status = status
			r.header.Set("Location", "/"+url.PathEscape(secret))
			err := s.Send(t.Context(), firing())
			shown := fmt.Sprintf("%v %+v %s", err, err, s.To())
			for _, hidden := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), webhookSecret, "whsec_MDEyMzQ1Njc4OWFiY2Rl", base64.StdEncoding.EncodeToString([]byte("me:" + secret))} {
				if strings.Contains(shown, hidden) {
					t.Errorf("%s, status %d: shows %q in %s", o.Kind, status, hidden, shown)
				}
			}
		}
	}
	// The network fails: net/http puts the URL into its errors.
	r.Close()
	for _, o := range []MethodOptions{{Kind: WeCom, URLFile: urlFile()}, {Kind: Webhook, URLFile: urlFile()}} {
		if err := newTestSender(t, o).Send(t.Context(), firing()); err == nil || strings.Contains(err.Error(), "hook") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", o.Kind, err)
		}
	}
}
