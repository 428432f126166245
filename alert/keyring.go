package alert

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// defaultTimeout is how long an attempt may take when the options do not say.
const defaultTimeout = 10 * time.Second

// maxSecret bounds a file with a secret, maxAuthorities one with certificates, in octets.
const (
	maxSecret      = 4 << 10
	maxAuthorities = 4 << 20
)

// keyring is what a method reads from files: its secrets, and whom it trusts. It also has the time that an attempt may take.
// Immutable once made.
type keyring struct {
	url      string // of url_file
	secrets  []string
	token    string
	password string
	trust    *tls.Config // without a server name
	redacted *strings.Replacer
	timeout  time.Duration
}

// newKeyring reads the files. What it cannot read it tells, and leaves empty.
func newKeyring(o *MethodOptions, problem func(key, message string)) *keyring {
	k := &keyring{trust: &tls.Config{MinVersion: tls.VersionTLS12}, timeout: o.Timeout}
	if k.timeout <= 0 {
		k.timeout = defaultTimeout
	}
	read := func(key, path string) string {
		if path == "" {
			return ""
		}
		text, err := readSmall(path, maxSecret)
		if err != nil {
			problem(key, err.Error())
			return ""
		}
		secret := strings.TrimSpace(string(text))
		if secret == "" {
			problem(key, path+" is empty: want a secret in it")
		}
		return secret
	}
	k.url = read("url_file", o.URLFile)
	k.token = oneLine(read("token_file", o.TokenFile), func(m string) { problem("token_file", o.TokenFile+" "+m) })
	k.password = oneLine(read("password_file", o.PasswordFile), func(m string) { problem("password_file", o.PasswordFile+" "+m) })
	k.secrets = strings.Fields(read("secret_file", o.SecretFile))
	if k.url != "" && o.Kind != SMS {
		if complaint := urlComplaint(k.url); complaint != "" {
			problem("url_file", o.URLFile+" "+complaint)
		} else if o.isRobot() && isClear(k.url) {
			problem("url_file", o.URLFile+" has a URL with http, which shows the secret in it to the network: want https")
		}
	}
	if o.CAFile != "" {
		if err := k.addAuthorities(o.CAFile); err != nil {
			problem("ca_file", err.Error())
		}
	}
	k.redact(o.Username)
	return k
}

// oneLine returns a secret that has no second line, which no header can carry.
func oneLine(secret string, problem func(message string)) string {
	if strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		problem("has several lines or a control character: want the secret alone, on one line")
	}
	return secret
}

// addAuthorities trusts the certificates of a file in place of those of the system.
func (k *keyring) addAuthorities(file string) error {
	text, err := readSmall(file, maxAuthorities)
	if err != nil {
		return err
	}
	k.trust.RootCAs = x509.NewCertPool()
	if !k.trust.RootCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return nil
}

// redact learns what must not be in an error: the secrets, also as URLs and base64 show them, and all of a secret URL but its
// host.
func (k *keyring) redact(username string) {
	var pairs []string
	hide := func(secret string) {
		if len(secret) < 4 { // Would blank out half of every message, and guards nothing.
			return
		}
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)),
			strings.ReplaceAll(secret, "/", `\/`), // as many write JSON
		} {
			pairs = append(pairs, form, "***")
		}
	}
	hide(k.token)
	if k.password != "" { // as HTTP and SMTP send it with its user
		hide(username + ":" + k.password)
		hide("\x00" + username + "\x00" + k.password)
	}
	hide(k.password)
	for _, secret := range k.secrets {
		hide(secret)
		hide(strings.TrimPrefix(secret, "whsec_"))
	}
	if k.url != "" {
		hide(k.url)
		if u, err := url.Parse(k.url); err == nil {
			hide(u.RequestURI())
			hide(strings.TrimPrefix(u.EscapedPath(), "/"))
			hide(u.RawQuery)
			for _, values := range u.Query() {
				for _, value := range values {
					hide(value)
				}
			}
			if password, ok := u.User.Password(); ok {
				hide(password)
			}
			for part := range strings.SplitSeq(u.Path, "/") {
				if len(part) >= 16 { // a key, not a word such as "webhook"
					hide(part)
				}
			}
		}
	}
	k.redacted = strings.NewReplacer(pairs...)
}

// error is an error whose text has no secret, no control character, and bounded length.
func (k *keyring) error(err error) error {
	const most = 500
	return errors.New(cutRunes(oneLineOf(k.redacted.Replace(err.Error())), most))
}

// excerpt is the beginning of a response, in one line and without secrets: what a person would want to read of it.
func (k *keyring) excerpt(body []byte) string {
	const most = 200
	return cutRunes(strings.TrimSpace(oneLineOf(k.redacted.Replace(string(body)))), most)
}

// readSmall reads a small regular file. Its error names the file.
func readSmall(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("read %s: more than the %d octets that it may have", name, most)
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
}

// urlComplaint says what is wrong with a URL to send to, without quoting it; "" when nothing is.
func urlComplaint(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "is not a URL: want one such as https://alerts.example.com/gtmd"
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "is not the URL of a web server: want one such as https://alerts.example.com/gtmd"
	case u.User != nil:
		return "has a user or a password before the host: use username and password_file"
	case u.Fragment != "":
		return "has a fragment, which is never sent: remove what starts with \"#\""
	}
	if port := u.Port(); port != "" {
		if _, err := netip.ParseAddrPort("0.0.0.0:" + port); err != nil || port == "0" {
			return "has no legal port: want 1 to 65535"
		}
	}
	return ""
}

// isClear tells whether a URL shows what is sent to a network.
func isClear(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http" && !isLoopback(u.Hostname())
}

// isLoopback tells whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
