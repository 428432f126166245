package alert

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// smtpServer is a mail server (RFC 5321) that keeps what it gets. Its fields are set before it is used.
type smtpServer struct {
	address     string
	certificate tls.Certificate
	authority   string // PEM
	hasStartTLS bool
	isImplicit  bool
	users       map[string]string      // who must show a password; nil: nobody
	refuse      map[string]string      // answers to recipients
	answer      func(mails int) string // to the data; nil: taken
	hang        bool                   // after the connection is there
	mutex       sync.Mutex             // guards what follows
	mails       []letterSeen
	commands    []string
}

// letterSeen is a mail that the server has taken.
type letterSeen struct {
	from, to string
	data     string
	isSecure bool
	user     string
}

// newSMTPServer starts a server. With configure its fields are set.
func newSMTPServer(t *testing.T, configure func(*smtpServer)) *smtpServer {
	t.Helper()
	s := &smtpServer{}
	s.certificate, s.authority = newCertificate(t, "localhost")
	configure(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s.address = "localhost:" + port
	var all sync.WaitGroup
	var conns sync.Map
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(conn, true)
			all.Go(func() {
				defer conn.Close()
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		all.Wait()
	})
	return s
}

// newCertificate makes a certificate that vouches for itself.
func newCertificate(t *testing.T, host string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certificatePEM(der)
}

// seen are the mails so far.
func (s *smtpServer) seen() []letterSeen {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]letterSeen{}, s.mails...)
}

// setRefuse says which recipients are refused from now on.
func (s *smtpServer) setRefuse(answers map[string]string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.refuse = answers
}

// count is how many commands there have been that begin so.
func (s *smtpServer) count(prefix string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	n := 0
	for _, c := range s.commands {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// serve speaks with one client.
func (s *smtpServer) serve(raw net.Conn) {
	if s.hang {
		_, _ = io.Copy(io.Discard, raw)
		return
	}
	isSecure := s.isImplicit
	if isSecure {
		raw = tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{s.certificate}})
	}
	conn := textproto.NewConn(raw)
	say := func(text string) { _ = conn.PrintfLine("%s", text) }
	say("220 ready")
	var mail letterSeen
	for {
		line, err := conn.ReadLine()
		if err != nil {
			return
		}
		s.mutex.Lock()
		s.commands = append(s.commands, line)
		s.mutex.Unlock()
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-localhost")
			if s.hasStartTLS && !isSecure {
				say("250-STARTTLS")
			}
			if s.users != nil {
				say("250-AUTH PLAIN LOGIN CRAM-MD5")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			secure := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{s.certificate}})
			if secure.Handshake() != nil {
				return
			}
			raw, isSecure = secure, true
			conn = textproto.NewConn(raw)
		case "AUTH":
			user, ok := s.authenticate(conn, rest)
			if !ok {
				say("535 5.7.8 wrong user or password")
				continue
			}
			mail.user = user
			say("235 welcome")
		case "MAIL":
			if s.users != nil && mail.user == "" {
				say("530 5.7.0 authentication required")
				continue
			}
			mail.from, mail.to, mail.isSecure = angled(rest), "", isSecure
			say("250 ok")
		case "RCPT":
			s.mutex.Lock()
			answer := s.refuse[angled(rest)]
			s.mutex.Unlock()
			if answer != "" {
				say(answer)
				continue
			}
			mail.to = angled(rest)
			say("250 ok")
		case "DATA":
			say("354 go on")
			data, err := io.ReadAll(conn.DotReader())
			if err != nil {
				return
			}
			mail.data = string(data)
			s.mutex.Lock()
			answer := ""
			if s.answer != nil {
				answer = s.answer(len(s.mails))
			}
			if answer == "" || strings.HasPrefix(answer, "2") {
				s.mails = append(s.mails, mail)
			}
			s.mutex.Unlock()
			if answer == "" {
				answer = "250 taken"
			}
			say(answer)
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// angled is what is between < and >.
func angled(text string) string {
	_, text, _ = strings.Cut(text, "<")
	text, _, _ = strings.Cut(text, ">")
	return text
}

// authenticate checks a password by PLAIN (RFC 4616), LOGIN or CRAM-MD5 (RFC 2195).
func (s *smtpServer) authenticate(conn *textproto.Conn, rest string) (user string, ok bool) {
	kind, initial, _ := strings.Cut(rest, " ")
	ask := func(prompt string) string {
		_ = conn.PrintfLine("334 %s", base64.StdEncoding.EncodeToString([]byte(prompt)))
		line, _ := conn.ReadLine()
		answer, _ := base64.StdEncoding.DecodeString(line)
		return string(answer)
	}
	switch kind {
	case "PLAIN":
		text, _ := base64.StdEncoding.DecodeString(initial)
		parts := strings.Split(string(text), "\x00")
		return parts[1], len(parts) == 3 && s.users[parts[1]] == parts[2] && parts[2] != ""
	case "LOGIN":
		user, password := ask("Username:"), ask("Password:")
		return user, s.users[user] == password && password != ""
	case "CRAM-MD5":
		const challenge = "<1.2@localhost>"
		user, digest, _ := strings.Cut(ask(challenge), " ")
		mac := hmac.New(md5.New, []byte(s.users[user]))
		mac.Write([]byte(challenge))
		return user, digest == hex.EncodeToString(mac.Sum(nil))
	}
	return "", false
}

// header reads the header of a mail, as any mail reader does.
func (l *letterSeen) header(t *testing.T) textproto.MIMEHeader {
	t.Helper()
	h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.ReplaceAll(l.data, "\n", "\r\n")))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(fmt.Errorf("%w in %s", err, l.data))
	}
	return h
}
