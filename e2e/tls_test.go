//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes tls.crt and tls.key of a name into the lab; pin is the hash of its public key (RFC 7858 section 4.2).
func (l *lab) writeCertificate(t *testing.T, name string) (pin string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	l.write(t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	hash := sha256.Sum256(public)
	return base64.StdEncoding.EncodeToString(hash[:])
}

// TestDNSOverTLS asks with kdig over TLS (RFC 7858): without a check of the certificate, with a check of its name and with
// one of its key, before and after the certificate is replaced.
func TestDNSOverTLS(t *testing.T) {
	kdig := need(t, "kdig")["kdig"]
	l := newLab(t, shop)
	l.configureChain(t)
	pin := l.writeCertificate(t, "one.test")
	port := freePort(t, gtmdIP)
	path := filepath.Join(l.dir, "gtmd.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, "gtmd.toml", string(text)+`
[dns.tls]
listen = ["`+gtmdIP+":"+port+`"]
certificate_file = "tls.crt"
key_file = "tls.key"
`)
	startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startGTMD(t)
	want := []string{"status: NOERROR", "ANSWER: 1", `\(TLS\)|TLS session`, `A\s+127\.0\.0\.2`}
	query := func(args ...string) []string {
		return append([]string{"@" + gtmdIP, "-p", port, "+retry=0", "+norecurse", "origin.gtm.test", "A"}, args...)
	}
	crt := filepath.Join(l.dir, "tls.crt")
	expect(t, "kdig", "opportunistic", kdig, query("+tls"), want)
	expect(t, "kdig", "name", kdig, query("+tls-ca="+crt, "+tls-hostname=one.test"), want)
	expect(t, "kdig", "key", kdig, query("+tls-pin="+pin), want)
	expect(t, "kdig", "several on one connection", kdig,
		[]string{"@" + gtmdIP, "-p", port, "+tls", "+keepopen", "+retry=0", "+norecurse", "origin.gtm.test", "A", "origin.gtm.test", "TXT"}, append(want, "ANSWER: 0"))
	if out, err := exec.Command(kdig, query("+tls-ca="+crt, "+tls-hostname=two.test")...).CombinedOutput(); err == nil && strings.Contains(string(out), "NOERROR") {
		t.Errorf("the certificate is right for two.test:\n%s", out)
	}
	next := l.writeCertificate(t, "two.test")
	eventually(t, 20*time.Second, "the new certificate is shown", func() bool {
		out, err := exec.Command(kdig, query("+tls-pin="+next)...).CombinedOutput()
		return err == nil && strings.Contains(string(out), "NOERROR")
	})
	expect(t, "kdig", "the new name", kdig, query("+tls-ca="+crt, "+tls-hostname=two.test"), want)
}
