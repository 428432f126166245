package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSyntax(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"a = ", `gtmd.toml:1:4: unexpected EOF; expected value`},
		{"watch = true\nwatch = false", "gtmd.toml:2:1: Key 'watch' has already been defined."},
		{"[dns]\n[dns]", "gtmd.toml:2:2: Key 'dns' has already been defined."},
		{"\xff\xfea", "gtmd.toml:1:1: the file is UTF-16: want UTF-8"},
		{"dns.workers = 2\ndns = 1", `gtmd.toml:2:1: a dotted key has made this key a table before: want it once`},
		{"geo = { a.b.c = 2, \"a\".b = 1 }", `gtmd.toml:1:20: a dotted key has made this key a table before: want it once`},
		{"\ufeff\ufeffwatch = true", `gtmd.toml:1:1: the file begins with two byte order marks: want one or none`},
		{"\ufeffwatc = true", `gtmd.toml:1:1: unknown key "watc": did you mean "watch"?`},
		{"watc = true\r\nwatch = 1\r\n", "gtmd.toml:1:1: unknown key \"watc\": did you mean \"watch\"?\ngtmd.toml:2:1: watch: want true or false, not the integer 1"},
	} {
		_, err := LoadText("gtmd.toml", []byte(row.text))
		if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
			t.Errorf("problems of %q (-want +got):\n%s", row.text, diff)
		}
	}
}

func TestInclude(t *testing.T) {
	for _, row := range []struct{ name, files, want string }{
		{"lists are appended in the order of the files", `-- gtmd.toml --
include = ["conf.d/*.toml", "geo.toml", "conf.d/b.toml", "none*.toml"]
[[pool]]
name = "main"
type = "ipv4"
addresses = ["192.0.2.1"]
-- conf.d/b.toml --
[[pool]]
name = "b"
type = "ipv4"
addresses = ["192.0.2.2"]
[[pool]]
name = "main"
type = "ipv6"
addresses = ["192.0.2.2"]
-- conf.d/a.toml --
pool = { name = "b", type = "ipv4", addresses = ["192.0.2.3"] }
[geo]
line = { name = "x", prefixes = ["10.0.0.0/8"] }
-- geo.toml --
[[geo.line]]
name = "x"
prefixes = ["10.0.0.0/8"]
`, `conf.d/b.toml:2:1: pool "b" is already defined at conf.d/a.toml:1:10
conf.d/b.toml:6:1: pool "main" is already defined at gtmd.toml:3:1
conf.d/b.toml:8:14: 192.0.2.2 is an IPv4 address; pool "main" is ipv6
geo.toml:2:1: line "x" is already defined at conf.d/a.toml:3:10
geo.toml:3:13: 10.0.0.0/8 is already given at conf.d/a.toml:3:34: a prefix belongs to one line`},
		{"a section in two files", `-- gtmd.toml --
include = ["a.toml", "b.toml"]
watch = true
[dns]
workers = 1
-- a.toml --
watch = true
[dns]
workers = 2
[state]
dir = "a"
-- b.toml --
[state]
startup_wait = "1s"
`, `a.toml:1:1: watch is already given at gtmd.toml:2:1: give it in one file only
a.toml:2:1: dns is already given at gtmd.toml:3:1: give it in one file only
b.toml:1:1: state is already given at a.toml:4:1: give it in one file only`},
		{"no such file, bad pattern", `-- gtmd.toml --
include = ["a.toml", "[", "/nowhere/b.toml", "dir*"]
-- dir/x --
`, `gtmd.toml:1:12: include "a.toml": there is no file a.toml
gtmd.toml:1:22: include pattern "[": syntax error in pattern
gtmd.toml:1:27: include "/nowhere/b.toml": there is no file /nowhere/b.toml
gtmd.toml:1:46: read dir: not a regular file`},
		{"nested, and the file itself", `-- gtmd.toml --
include = ["*.toml"]
-- a.toml --
include = ["b.toml"]
`, `a.toml:1:1: an included file cannot include others: write the pattern into gtmd.toml
gtmd.toml:1:12: "*.toml" includes the file itself: want a pattern that does not match gtmd.toml`},
		{"a file with an error of syntax says nothing about references", `-- gtmd.toml --
include = ["a.toml"]
watch = 1
[[instance]]
name = "i"
access_domain = "a.example"
policy = { name = "G", sources = ["global"], primary = { pools = ["p"] } }
-- a.toml --
[[pool]
`, "a.toml:1:7: expected end of table array name delimiter ']', but got '\\n' instead\ngtmd.toml:2:1: watch: want true or false, not the integer 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, row.files)
			_, err := Load("gtmd.toml")
			if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// Paths are relative to the file that gives them, whatever the working directory and however odd its name.
func TestPaths(t *testing.T) {
	write(t, `-- etc [x]/gtmd.toml --
include = ["conf.d/*.toml"]
[dns.query_log]
file = "query.log"
[dns.dnstap]
socket = "tap.sock"
[admin]
token_file = "token"
-- etc [x]/token --
secret
-- etc [x]/conf.d/a.toml --
[[health_check]]
name = "c"
protocol = "https"
ca_file = "ca.pem"
cert_file = "/etc/cert.pem"
key_file = "../key.pem"
`)
	c, err := Load("etc [x]/gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	check := c.File.HealthChecks[0]
	got := []string{c.File.DNS.QueryLog.File, c.File.DNS.Dnstap.Socket, c.File.Admin.TokenFile, check.CAFile, check.CertFile, check.KeyFile}
	if diff := cmp.Diff([]string{"etc [x]/query.log", "etc [x]/tap.sock", "etc [x]/token", "etc [x]/conf.d/ca.pem", "/etc/cert.pem", "etc [x]/key.pem"}, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"etc [x]/gtmd.toml", "etc [x]/conf.d/a.toml"}, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestTokenFile(t *testing.T) {
	write(t, "-- blank --\n \n-- bad --\n# ours\nsecret of mine too\nread alice sha256:00\n-- dir/x --\n")
	for file, want := range map[string]string{
		"none":  "gtmd.toml:2:1: stat none: no such file or directory",
		"blank": "gtmd.toml:2:1: blank is empty: want a token in it",
		"dir":   "gtmd.toml:2:1: read dir: not a regular file",
		"bad": `gtmd.toml:2:1: bad:2: want "ROLE NAME sha256:HEX", as "gtmd token create" prints it` + "\n" +
			`gtmd.toml:2:1: bad:3: the third word is no hash: want "ROLE NAME sha256:HEX", as "gtmd token create" prints it`,
	} {
		_, err := LoadText("gtmd.toml", []byte("[admin]\ntoken_file = \""+file+"\"\n"))
		if errorText(err) != want {
			t.Errorf("problems of %s are %v, want %s", file, err, want)
		}
	}
}

func TestCookieSecretFile(t *testing.T) {
	const digits = "00112233445566778899aabbccddeeff"
	write(t, "-- good --\n# shared\n"+digits+"\n-- bad --\n"+digits+"\n0011\n-- empty --\n\n-- dir/x --\n")
	const how = `want a line of 32 hexadecimal digits, such as "openssl rand -hex 16" prints`
	for file, want := range map[string]string{
		"good":  "",
		"none":  "gtmd.toml:2:1: stat none: no such file or directory",
		"dir":   "gtmd.toml:2:1: read dir: not a regular file",
		"empty": "gtmd.toml:2:1: empty: there is no secret: " + how,
		"bad":   `gtmd.toml:2:1: bad: line 2 is no secret: want 32 hexadecimal digits, such as "openssl rand -hex 16" prints`,
	} {
		c, err := LoadText("gtmd.toml", []byte("[dns.cookies]\nsecret_file = \""+file+"\"\n"))
		if errorText(err) != want {
			t.Errorf("problems of %s are %v, want %s", file, err, want)
		}
		if err == nil && (!c.File.DNS.Cookies.Enabled || slices.Contains(c.Files, "good")) {
			t.Errorf("cookies enabled: %v; files %v, without that of the secret", c.File.DNS.Cookies.Enabled, c.Files)
		}
	}
}

func TestFileTooLarge(t *testing.T) {
	write(t, "-- big.toml --\n")
	if err := os.Truncate("big.toml", maxFileSize+1); err != nil {
		t.Fatal(err)
	}
	_, err := Load("big.toml")
	if want := "big.toml: read big.toml: larger than 268435456 octets"; errorText(err) != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestSurvive(t *testing.T) {
	err := survive(func() error { panic("BUG: impossible") })
	if want := "the TOML parser cannot read this text: BUG: impossible"; errorText(err) != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestProblemsText(t *testing.T) {
	ps := Problems{
		{File: "b", Line: 1, Message: "third"}, {File: "a", Line: 2, Column: 1, Message: "second"}, {Message: "zeroth"},
		{File: "a", Line: 1, Column: 9, Message: "first"}, {File: "a", Line: 1, Column: 9, Message: "first"},
	}.sorted()
	if want := "zeroth\na:1:9: first\na:2:1: second\nb:1: third"; ps.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", ps.Error(), want)
	}
}

// FuzzLoad loads arbitrary text.
func FuzzLoad(f *testing.F) {
	for _, row := range checkRows() {
		f.Add([]byte(row.text))
	}
	example, err := os.ReadFile("testdata/example.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	directory := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := LoadText(directory+"/gtmd.toml", text)
		if err == nil {
			if len(c.Hash) != 64 || c.File.DNS.MaxUDPPayload < 512 {
				t.Errorf("%q loads as %+v", text, c)
			}
			return
		}
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range err.(Problems) {
			if p.Message == "" || p.File == directory+"/gtmd.toml" && (p.Line < 1 || p.Line > lines) {
				t.Errorf("problem %+v of %q", p, text)
			}
		}
	})
}
