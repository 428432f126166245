// Package docs has no code: its test loads what the pages show.
package docs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/geo/mmdb"
	"gtmd/node"
)

var (
	block = regexp.MustCompile("(?s)```toml\n(.*?)```")
	link  = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

// pages are the documents for people, from the root of the project.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../*.md", "*.md", "adr/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// site is a directory with the files that the examples name: those of deploy, and small databases.
func site(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../deploy")); err != nil {
		t.Fatal(err)
	}
	for name, rows := range map[string]string{
		"city.mmdb": "cidr,country,subdivision\n198.18.0.0/16,CN,GD\n198.19.0.0/16,JP,13\n",
		"asn.mmdb":  "cidr,asn\n198.18.0.0/16,4134\n198.19.0.0/16,64500\n",
	} {
		input := filepath.Join(dir, name+".csv")
		if err := os.WriteFile(input, []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := mmdb.Build(mmdb.BuildOptions{Inputs: []mmdb.Input{{Path: input}}, Output: filepath.Join(dir, name)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, secret := range map[string]string{
		"push.token": "a secret\n", "tokens": "read prometheus sha256:" + strings.Repeat("0f", 32) + "\n", "cookies.secret": "00112233445566778899aabbccddeeff\n",
		"mail.password": "a secret\n", "webhook.secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "webhook.token": "a secret\n",
		"chat.url": "https://chat.example.com/hook/secret\n", "dingtalk.url": "https://oapi.dingtalk.com/robot/send?access_token=secret\n",
		"dingtalk.secret": "SECsecret\n", "feishu.url": "https://open.feishu.cn/open-apis/bot/v2/hook/secret\n", "feishu.secret": "a secret\n",
		"wecom.url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=secret\n",
		"slack.url": "https://hooks.slack.com/services/secret\n", "alertmanager.token": "a secret\n", "sms.token": "a secret\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "transfer.key"), []byte("c2VjcmV0IG9mIHRoZSBrZXkgb2YgYW4gZXhhbXBsZSE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, dir)
	return dir
}

// writeCertificate writes tls.crt and tls.key.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: certificate}, "tls.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExamples loads the TOML blocks of every page, joined, as one configuration.
func TestExamples(t *testing.T) {
	loaded, dir := 0, site(t)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var whole strings.Builder
		for _, found := range block.FindAllStringSubmatch(string(text), -1) {
			whole.WriteString(found[1])
		}
		if whole.Len() == 0 {
			continue
		}
		loaded++
		_, err = node.Check(func() (*config.Config, error) {
			return config.LoadText(filepath.Join(dir, "example.toml"), []byte(whole.String()))
		})
		if err != nil {
			t.Errorf("the TOML of %s does not load:\n%v", page, err)
		}
	}
	if loaded < 2 {
		t.Errorf("%d pages have TOML, want the README and the CDN guide at least", loaded)
	}
}

// TestLinks follows every link to a file.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target := filepath.Join(filepath.Dir(page), found[1])
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", page, found[1])
			}
		}
	}
}

// TestTree wants a line for every Go file in the tree of architecture.md, and no line for one that is not there.
func TestTree(t *testing.T) {
	text, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tree, _ := strings.Cut(string(text), "```text\n")
	tree, _, _ = strings.Cut(tree, "```")
	listed := map[string]bool{}
	dirs := []string{""}
	for line := range strings.Lines(tree) {
		name, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		dirs = append(dirs[:depth+1], "")
		if strings.HasSuffix(name, "/") {
			dirs[depth+1] = dirs[depth] + name
			continue
		}
		listed[dirs[depth]+name] = true
		if strings.TrimSpace(what) == "" {
			t.Errorf("%s has no line of its own", name)
		}
	}
	for _, pattern := range []string{"../*/*.go", "../*/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := strings.TrimPrefix(filepath.ToSlash(file), "../")
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			if !listed[name] {
				t.Errorf("%s is missing in the tree", name)
			}
			delete(listed, name)
		}
	}
	for name := range listed {
		t.Errorf("%s is in the tree but not in the project", name)
	}
}

// TestEventKinds wants every kind of event in events.md.
func TestEventKinds(t *testing.T) {
	text, err := os.ReadFile("events.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := admin.EventKind("").Values()
	source, err := os.ReadFile("../admin/event.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), " EventKind = \""); n != len(kinds) {
		t.Errorf("admin/event.go has %d kinds, and lists %d", n, len(kinds))
	}
	for _, kind := range kinds {
		row := regexp.MustCompile("(?m)^\\| [^|]*`" + string(kind) + "`[^|]* \\|")
		if !row.Match(text) {
			t.Errorf("events.md has no row about %s", kind)
		}
	}
}
