package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The files of DNS over TLS are beside the file that names them; a certificate that has ended is a warning.
func TestCertificateOfDNS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		end     time.Time
		warning string
	}{
		{time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), ""},
		{time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), "gtmd.toml:3:1: the certificate ended on 2020-01-01: clients that check it refuse it"},
	} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: test.end}
		certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: certificate}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := LoadText(filepath.Join(dir, "gtmd.toml"), []byte("[dns.tls]\nlisten = [\"127.0.0.1:853\"]\ncertificate_file = \"tls.crt\"\nkey_file = \"tls.key\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.File.DNS.TLS.KeyFile; got != filepath.Join(dir, "tls.key") {
			t.Errorf("the key is %s", got)
		}
		var warnings []string
		for _, w := range c.Warnings {
			if strings.Contains(w.String(), "certificate") {
				warnings = append(warnings, strings.TrimPrefix(w.String(), dir+"/"))
			}
		}
		if got := strings.Join(warnings, "\n"); got != test.warning {
			t.Errorf("warning %q, want %q", got, test.warning)
		}
	}
}
