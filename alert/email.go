package alert

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	stdmail "net/mail"
	"regexp"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"
)

// Bounds of the parts of a mail, in octets.
const (
	mailSubject = 300
	mailText    = 64 << 10
)

// mailer sends mail by SMTP, to each recipient one of its own.
type mailer struct {
	partials
	host   string
	port   int
	tls    MailTLS
	auth   MailAuth
	user   string
	from   string
	domain string // of from, at which Message-IDs are
	to     []string
	keys   *keyring
	words  *wording
}

func newMailer(o *MethodOptions, keys *keyring, words *wording) *mailer {
	m := &mailer{
		tls: o.TLS, auth: o.Auth, user: o.Username, from: o.From, to: o.To, keys: keys, words: words,
	}
	host, port, _ := net.SplitHostPort(o.Server) // Validate has looked at these.
	m.host = host
	m.port, _ = strconv.Atoi(port)
	if from, err := stdmail.ParseAddress(o.From); err == nil {
		m.domain = from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	}
	return m
}

// To is the mailboxes and the server.
func (s *mailer) To() string {
	return strings.Join(s.to, ", ") + " by " + net.JoinHostPort(s.host, strconv.Itoa(s.port))
}

// Send sends the mail to those who do not have it, over one connection.
func (s *mailer) Send(ctx context.Context, m *Message) error {
	ctx, cancel := context.WithTimeout(ctx, s.keys.timeout)
	defer cancel()
	var conn net.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	client, err := s.client(func(c net.Conn) { conn = c })
	if err != nil {
		return s.keys.error(fmt.Errorf("mail to %s: %w", s.host, err))
	}
	if err := client.DialWithContext(ctx); err != nil {
		return s.keys.error(fmt.Errorf("mail by %s: %s", net.JoinHostPort(s.host, strconv.Itoa(s.port)), smtpReason(err)))
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = s.each(ctx, m.ID, s.to, func(recipient string) error { return s.deliver(client, m, recipient) })
	if stop() {
		// A server that does not say good-bye has the mail all the same.
		_ = client.Close()
	}
	return err
}

// client makes an SMTP client, which tells its connection.
func (s *mailer) client(connected func(net.Conn)) (*mail.Client, error) {
	trust := s.keys.trust.Clone()
	trust.ServerName = s.host
	trust.InsecureSkipVerify = s.tls == OpportunisticTLS
	policy := map[MailTLS]mail.TLSPolicy{
		StartTLS: mail.TLSMandatory, OpportunisticTLS: mail.TLSOpportunistic, ImplicitTLS: mail.NoTLS, NoTLS: mail.NoTLS,
	}[s.tls]
	options := []mail.Option{
		mail.WithPort(s.port), mail.WithTimeout(s.keys.timeout), mail.WithTLSConfig(trust), mail.WithTLSPolicy(policy),
		mail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			connected(conn)
			if s.tls != ImplicitTLS {
				return conn, nil
			}
			secure := tls.Client(conn, trust)
			return secure, secure.HandshakeContext(ctx)
		}),
	}
	if s.auth != NoAuth && s.auth != "" {
		kind := map[MailAuth]mail.SMTPAuthType{
			PlainAuth: mail.SMTPAuthPlain, LoginAuth: mail.SMTPAuthLogin, CramMD5Auth: mail.SMTPAuthCramMD5,
			ScramAuth: mail.SMTPAuthSCRAMSHA256,
		}[s.auth]
		options = append(options, mail.WithSMTPAuth(kind), mail.WithUsername(s.user), mail.WithPassword(s.keys.password))
	}
	return mail.NewClient(s.host, options...)
}

// deliver sends the mail to one recipient.
func (s *mailer) deliver(client *mail.Client, m *Message, recipient string) error {
	letter, err := s.letter(m, recipient)
	if err != nil {
		return &PermanentError{s.keys.error(fmt.Errorf("write a mail to %s: %w", recipient, err))}
	}
	err = client.Send(letter)
	if err == nil || letter.IsDelivered() { // What comes after the server has taken it does not count.
		return nil
	}
	failure := s.keys.error(fmt.Errorf("mail to %s by %s: %s", recipient, s.host, smtpReason(err)))
	var sent *mail.SendError
	if errors.As(err, &sent) && isPermanent(sent) {
		return &PermanentError{failure}
	}
	return failure
}

// isPermanent tells whether a server has refused this mail, or its recipient, for good (RFC 5321, section 4.2.1).
func isPermanent(err *mail.SendError) bool {
	switch err.Reason {
	case mail.ErrSMTPRcptTo, mail.ErrSMTPDataClose:
		return err.ErrorCode() >= 500
	}
	return false
}

// quoted is an answer of a server as go-mail shows it.
var quoted = regexp.MustCompile(`\b([245]\d\d) "([^"]*)"`)

// smtpReason is what a server has answered, without what else go-mail tells.
func smtpReason(err error) string {
	text, _, _ := strings.Cut(err.Error(), ", affected recipient(s): ")
	text, _, _ = strings.Cut(text, ", affected message ID: ")
	return quoted.ReplaceAllString(strings.TrimPrefix(text, "client_send: "), "$1 $2")
}

// letter writes the mail to one recipient: RFC 5322, with RFC 3834 against answers by machines.
func (s *mailer) letter(m *Message, recipient string) (*mail.Msg, error) {
	title, text := s.words.words(m, nil)
	letter := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := letter.From(s.from); err != nil {
		return nil, err
	}
	if err := letter.To(recipient); err != nil {
		return nil, err
	}
	letter.Subject(shorten(title, mailSubject))
	if m.Time.IsZero() {
		letter.SetDate()
	} else {
		letter.SetDateWithValue(m.Time)
	}
	letter.SetMessageIDWithValue("gtmd." + idOf(m.ID) + "@" + s.domain)
	if thread := m.thread(); thread != "" {
		// All mails about one cause hang below the same message, which was never sent: mail readers show them as a thread.
		reference := "<gtmd." + thread + "@" + s.domain + ">"
		letter.SetGenHeader(mail.HeaderInReplyTo, reference)
		letter.SetGenHeader(mail.HeaderReferences, reference)
	}
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetGenHeader("X-Auto-Response-Suppress", "All")
	letter.SetGenHeader("X-Gtmd-State", string(m.state()))
	letter.SetBodyString(mail.TypeTextPlain, shorten(text, mailText)+"\n")
	return letter, nil
}

// plainID is what an ID may be to be part of a Message-ID as it is (RFC 5322, section 3.6.4).
var plainID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// idOf is an ID that can be part of a Message-ID.
func idOf(id string) string {
	if plainID.MatchString(id) {
		return id
	}
	return hashOf(id)
}

// thread names what a message is about, the same when it begins and when it ends. Empty: nothing that could end.
func (m *Message) thread() string {
	if len(m.Events) == 0 || m.Test {
		return ""
	}
	first := &m.Events[0]
	switch {
	case first.Cause != "":
		return hashOf(m.Group, first.Cause)
	case first.Key != "":
		return hashOf(m.Group, first.Kind, first.Key)
	}
	return ""
}

// hashOf is a short name of some texts.
func hashOf(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:12])
}
