//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mailbox is a mail server with one maildir, which takes mail for anybody.
type mailbox struct {
	address string // host and port
	maildir string
}

// letter is a mail that has arrived.
type letter struct {
	mail.Header
	subject, text string
}

// startOpenSMTPD runs OpenSMTPD, which delivers to a maildir. There is one at a time on a machine: where its queue and its
// control socket are is built in.
func startOpenSMTPD(t *testing.T, program string) *mailbox {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("GTMD_E2E_REQUIRE") == "1" {
			t.Fatal("OpenSMTPD needs root, and GTMD_E2E_REQUIRE is 1")
		}
		t.Skip("OpenSMTPD needs root")
	}
	// Mail is delivered as nobody, who cannot go into the directories of tests.
	dir, err := os.MkdirTemp("", "gtmd-mail-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	box := &mailbox{address: "127.0.0.1:" + freePort(t, "127.0.0.1"), maildir: filepath.Join(dir, "maildir")}
	config := filepath.Join(dir, "smtpd.conf")
	text := fmt.Sprintf("table people { \"@\" = nobody }\nlisten on 127.0.0.1 port %s\naction box maildir %q virtual <people>\nmatch from any for any action box\n",
		portOf(box.address), box.maildir)
	const nobody = 65534
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.Mkdir(box.maildir, 0o755), os.Chown(box.maildir, nobody, nobody), os.WriteFile(config, []byte(text), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir, program, "-d", "-F", "-f", config)
	box.waits(t)
	return box
}

// startMailServer runs a mail server of aiosmtpd that wants STARTTLS and a password. Its certificate is in cert.pem of the lab.
func startMailServer(t *testing.T, l *lab, user, password string) *mailbox {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	box := &mailbox{address: "localhost:" + freePort(t, "127.0.0.1"), maildir: filepath.Join(l.dir, "maildir")}
	start(t, l.dir, "/usr/bin/python3", // of Debian, which has its aiosmtpd
		absolute(t, "testdata/mailserver.py"), portOf(box.address),
		l.write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))),
		l.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))),
		box.maildir, user, password)
	box.waits(t)
	return box
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// waits returns when the server listens.
func (b *mailbox) waits(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, "the mail server listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+portOf(b.address))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// letters are the mails that have arrived.
func (b *mailbox) letters(t *testing.T) []letter {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(b.maildir, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []letter
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, letter{m.Header, subject, string(text)})
	}
	return all
}

// find waits for the mail whose subject has all of some words.
func (b *mailbox) find(t *testing.T, within time.Duration, words ...string) letter {
	t.Helper()
	var found letter
	eventually(t, within, fmt.Sprintf("a mail with %q", words), func() bool {
	letters:
		for _, l := range b.letters(t) {
			for _, word := range words {
				if !strings.Contains(l.subject, word) {
					continue letters
				}
			}
			found = l
			return true
		}
		return false
	})
	return found
}
