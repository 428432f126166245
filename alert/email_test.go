package alert

import (
	"io"
	"mime"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"testing"
	"time"
)

// mailTo are options for a server.
func mailTo(s *smtpServer, change func(*MethodOptions)) MethodOptions {
	o := MethodOptions{
		Kind: Email, Server: s.address, From: "gtmd on ns1 <gtmd@example.com>", To: []string{"ops@example.net"}, TLS: NoTLS,
		Timeout: 5 * time.Second,
	}
	change(&o)
	return o
}

func unchanged(*MethodOptions) {}

// body decodes the text of a mail.
func (l *letterSeen) body(t *testing.T) string {
	t.Helper()
	_, encoded, _ := strings.Cut(l.data, "\n\n")
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(encoded)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestMail looks at the mail that arrives.
func TestMail(t *testing.T) {
	server := newSMTPServer(t, func(*smtpServer) {})
	s := newTestSender(t, mailTo(server, func(o *MethodOptions) { o.To = []string{"ops@example.net", "Boss <boss@example.net>"} }))
	m := firing()
	m.Title = "北京 的 192.0.2.1 不可用: timeout"
	m.Text = m.Title + "\n.\n.a line with a dot\nFrom here on, " + strings.Repeat("long ", 300) + "end"
	for _, message := range []*Message{m, m, resolved()} {
		if err := s.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}
	mails := server.seen()
	if len(mails) != 6 {
		t.Fatalf("%d mails, want one for each of two people, three times", len(mails))
	}
	h := mails[0].header(t)
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil || subject != "[gtmd] ALERT: "+m.Title {
		t.Errorf("subject %q, error %v", subject, err)
	}
	for name, want := range map[string]string{
		"From": `"gtmd on ns1" <gtmd@example.com>`, "To": "<ops@example.net>", "Auto-Submitted": "auto-generated",
		"Message-Id": "<gtmd.MSG1@example.com>", "Date": "Wed, 04 Mar 2026 03:02:01 +0000", "Content-Type": "text/plain; charset=UTF-8",
		"X-Gtmd-State": "ALERT",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(mails[0].data, "go-mail") {
		t.Error("the mail says which library wrote it")
	}
	if mails[0].from != "gtmd@example.com" || mails[0].to != "ops@example.net" || mails[1].to != "boss@example.net" {
		t.Errorf("from %s to %s and %s", mails[0].from, mails[0].to, mails[1].to)
	}
	if got := mails[0].body(t); got != m.Text+"\n" {
		t.Errorf("text %q", got)
	}
	// A second delivery is the same message; the one that it is over is another, in the same thread.
	again, over := mails[2].header(t), mails[4].header(t)
	if again.Get("Message-Id") != h.Get("Message-Id") {
		t.Error("a doubled delivery has another Message-ID")
	}
	thread := regexp.MustCompile(`^<gtmd\.[0-9a-f]{24}@example\.com>$`)
	if over.Get("Message-Id") != "<gtmd.MSG2@example.com>" || !thread.MatchString(h.Get("References")) ||
		over.Get("References") != h.Get("References") || over.Get("In-Reply-To") != h.Get("References") {
		t.Errorf("threads: %v and %v", h, over)
	}
	other := firing()
	other.Events[0].Cause = "198.51.100.1"
	if other.thread() == firing().thread() {
		t.Error("another cause has the same thread")
	}
}

// TestMailInjection has an origin say lines that would be headers, and an ID that would be one.
func TestMailInjection(t *testing.T) {
	server := newSMTPServer(t, func(*smtpServer) {})
	s := newTestSender(t, mailTo(server, unchanged))
	m := firing()
	m.Title = "x\r\nBcc: evil@example.org\r\n\r\nbody\x00\u202e"
	m.ID = "id>\r\nBcc: evil@example.org"
	m.Text = "\r\n.\r\nMAIL FROM:<evil@example.org>\r\n"
	m.Events[0].Cause = "c>\r\nBcc: evil@example.org"
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	mails := server.seen()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	h := mails[0].header(t)
	if h.Get("Bcc") != "" || h.Get("Subject") != "[gtmd] ALERT: x Bcc: evil@example.org body" {
		t.Errorf("header %q", h)
	}
	if id := h.Get("Message-Id"); !regexp.MustCompile(`^<gtmd\.[0-9a-f]{24}@example\.com>$`).MatchString(id) {
		t.Errorf("Message-ID %q", id)
	}
}

// TestMailTLS holds what each policy promises.
func TestMailTLS(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		tls                     MailTLS
		hasStartTLS, isImplicit bool
		isTrusted               bool
		want                    string
		isSecure                bool
	}{
		{"starttls", StartTLS, true, false, true, "delivered", true},
		{"starttls that is not offered", StartTLS, false, false, true, "again", false},
		{"starttls by a stranger", StartTLS, true, false, false, "again", false},
		{"opportunistic", OpportunisticTLS, true, false, false, "delivered", true},
		{"opportunistic, not offered", OpportunisticTLS, false, false, false, "delivered", false},
		{"implicit", ImplicitTLS, false, true, true, "delivered", true},
		{"implicit by a stranger", ImplicitTLS, false, true, false, "again", false},
		{"implicit that is not there", ImplicitTLS, true, false, true, "again", false},
		{"none", NoTLS, true, false, false, "delivered", false},
	} {
		server := newSMTPServer(t, func(s *smtpServer) { s.hasStartTLS, s.isImplicit = tt.hasStartTLS, tt.isImplicit })
		s := newTestSender(t, mailTo(server, func(o *MethodOptions) {
			o.TLS, o.Timeout = tt.tls, 2*time.Second
			if tt.isTrusted {
				o.CAFile = file(t, server.authority)
			}
		}))
		err := s.Send(t.Context(), firing())
		if class(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		for _, mail := range server.seen() {
			if err != nil || mail.isSecure != tt.isSecure {
				t.Errorf("%s: a mail arrived, encrypted: %t", tt.name, mail.isSecure)
			}
		}
	}
}

// TestMailAuth shows who gtmd is, and no password to anybody else.
func TestMailAuth(t *testing.T) {
	const password = "pass word+/="
	server := newSMTPServer(t, func(s *smtpServer) { s.hasStartTLS, s.users = true, map[string]string{"gtmd": password} })
	for _, auth := range []MailAuth{PlainAuth, LoginAuth, CramMD5Auth} {
		options := mailTo(server, func(o *MethodOptions) {
			o.TLS, o.CAFile, o.Auth, o.Username, o.PasswordFile = StartTLS, file(t, server.authority), auth, "gtmd", file(t, password+"\n")
		})
		before := len(server.seen())
		if err := newTestSender(t, options).Send(t.Context(), firing()); err != nil {
			t.Errorf("%s: %v", auth, err)
		}
		if mails := server.seen(); len(mails) != before+1 || mails[before].user != "gtmd" {
			t.Errorf("%s: %+v", auth, mails[before:])
		}
		options.PasswordFile = file(t, "wrong password")
		err := newTestSender(t, options).Send(t.Context(), firing())
		if class(err) != "again" || strings.Contains(err.Error(), "wrong password") || !strings.Contains(err.Error(), "535") {
			t.Errorf("%s with a wrong password: %v", auth, err)
		}
	}
	if err := newTestSender(t, mailTo(server, unchanged)).Send(t.Context(), firing()); class(err) != "again" || !strings.Contains(err.Error(), "530") {
		t.Errorf("without: %v", err)
	}
	server = newSMTPServer(t, func(s *smtpServer) { s.hasStartTLS, s.users = true, map[string]string{"gtmd": password} })
	err := newTestSender(t, mailTo(server, func(o *MethodOptions) {
		o.TLS, o.Auth, o.Username, o.PasswordFile = StartTLS, PlainAuth, "gtmd", file(t, password)
	})).Send(t.Context(), firing())
	if class(err) != "again" || server.count("AUTH") != 0 {
		t.Errorf("a stranger: %v, and %d times AUTH", err, server.count("AUTH"))
	}
}

// TestMailRefused retries what may go better, for those who do not have the mail.
func TestMailRefused(t *testing.T) {
	server := newSMTPServer(t, func(s *smtpServer) {
		s.refuse = map[string]string{"gone@example.net": "550 5.1.1 no such user", "grey@example.net": "451 4.7.1 come back later"}
	})
	s := newTestSender(t, mailTo(server, func(o *MethodOptions) {
		o.To = []string{"gone@example.net", "grey@example.net", "ops@example.net"}
	}))
	if err := s.Send(t.Context(), firing()); class(err) != "again" || !strings.Contains(err.Error(), "451 4.7.1 come back later") ||
		!strings.Contains(err.Error(), "gone@example.net") {
		t.Errorf("the first attempt: %v", err)
	}
	server.setRefuse(map[string]string{"gone@example.net": "550 5.1.1 no such user"})
	if err := s.Send(t.Context(), firing()); class(err) != "permanent" || !strings.Contains(err.Error(), "550 5.1.1 no such user") {
		t.Errorf("the second attempt: %v", err)
	}
	var to []string
	for _, mail := range server.seen() {
		to = append(to, mail.to)
	}
	if got := strings.Join(to, " "); got != "ops@example.net grey@example.net" || server.count("RCPT TO:<gone@example.net>") != 1 {
		t.Errorf("mails to %q, and %d questions for who is gone", got, server.count("RCPT TO:<gone@example.net>"))
	}
	for answer, want := range map[string]string{"554 5.6.0 spam": "permanent", "452 4.3.1 disk full": "again", "250 ok": "delivered"} {
		server := newSMTPServer(t, func(s *smtpServer) { s.answer = func(int) string { return answer } })
		if err := newTestSender(t, mailTo(server, unchanged)).Send(t.Context(), firing()); class(err) != want {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}

// TestMailServerGone fails in time.
func TestMailServerGone(t *testing.T) {
	server := newSMTPServer(t, func(s *smtpServer) { s.hang = true })
	s := newTestSender(t, mailTo(server, func(o *MethodOptions) { o.Timeout = 100 * time.Millisecond }))
	if err := s.Send(t.Context(), firing()); class(err) != "again" {
		t.Errorf("a server that says nothing: %v", err)
	}
	s = newTestSender(t, mailTo(server, func(o *MethodOptions) { o.Server = "127.0.0.1:1" }))
	if err := s.Send(t.Context(), firing()); class(err) != "again" || !strings.Contains(err.Error(), "refused") {
		t.Errorf("no server: %v", err)
	}
	if to := s.To(); to != "ops@example.net by 127.0.0.1:1" {
		t.Errorf("To %q", to)
	}
}
