package healthcheck

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheckTarget(t *testing.T) {
	for _, tt := range []struct {
		o             Options
		address, host string
		want          string
	}{
		{Options{Name: "web", Protocol: HTTP}, "192.0.2.1", "", "192.0.2.1/web"},
		{Options{Name: "web", Protocol: HTTP}, "192.0.2.1", "WWW.Example.com.", "192.0.2.1/web/www.example.com"},
		{Options{Name: "web", Protocol: HTTPS, Host: "o.example"}, "2001:db8::1", "www.example.com", "2001:db8::1/web/o.example"},
		{Options{Name: "a/b%", Protocol: HTTP}, "::ffff:192.0.2.1", "c", "192.0.2.1/a%2Fb%25/c"},
		{Options{Name: "cert", Protocol: TLS}, "192.0.2.1", "www.example.com", "192.0.2.1/cert/www.example.com"},
		{Options{Name: "cert", Protocol: TLS}, "192.0.2.1", "", "192.0.2.1/cert"},
		{Options{Name: "rpc", Protocol: GRPC, Port: 1}, "192.0.2.1", "www.example.com", "192.0.2.1/rpc/www.example.com"},
		{Options{Name: "smtp", Protocol: TCP, Port: 25}, "192.0.2.1", "www.example.com", "192.0.2.1/smtp"},
		{Options{Name: "ping", Protocol: Ping}, "192.0.2.1", "www.example.com", "192.0.2.1/ping"},
		{Options{Name: "ns", Protocol: DNS}, "192.0.2.1", "www.example.com", "192.0.2.1/ns/www.example.com"},
		{Options{Name: "ns", Protocol: DNS, Query: "a.example"}, "192.0.2.1", "www.example.com", "192.0.2.1/ns"},
		{Options{Name: "rpc", Protocol: GRPC, Port: 1}, "192.0.2.1", "www.example.com", "192.0.2.1/rpc/www.example.com"},
		{Options{Name: "disk", Protocol: Script, Command: []string{"/bin/true"}}, "192.0.2.1", "www.example.com", "192.0.2.1/disk/www.example.com"},
	} {
		target := compile(t, tt.o).Target(netip.MustParseAddr(tt.address), tt.host)
		if target.ID != tt.want {
			t.Errorf("%s: ID %q, want %q", tt.o.Name, target.ID, tt.want)
		}
		if name := compile(t, tt.o).Name(); name != tt.o.Name {
			t.Errorf("%s: Name() = %q", tt.o.Name, name)
		}
		if target.Protocol != tt.o.Protocol || target.Interval != 15*time.Second || target.Timeout != 5*time.Second || target.Fall != 3 || target.Rise != 1 {
			t.Errorf("%s: %+v", tt.o.Name, target)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	dir := t.TempDir()
	empty, absent := filepath.Join(dir, "empty.pem"), filepath.Join(dir, "absent.pem")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		o    Options
		want []string
	}{
		{"everything at once", Options{Protocol: HTTPS, Path: "x", MinTLS: "1.4", CAFile: absent, CertFile: empty, KeyFile: empty}, []string{
			`health check "web": path: "x" does not start with "/": write "/x"`,
			`min_tls: "1.4" is no version of TLS: want 1.0, 1.1, 1.2 or 1.3`,
			`ca_file: open ` + absent + `: no such file or directory`,
			`cert_file ` + empty + ` with key_file ` + empty + `: tls: failed to find any PEM data in certificate input`,
		}},
		{"no pattern", Options{Protocol: HTTP, ExpectBodyRegex: "[a"},
			[]string{`health check "web": expect_body_regex: "[a" is no regular expression: missing closing ]: ` + "`[a`" + `: want the syntax of RE2, such as ^(OK|READY)`}},
		{"ca_file without a certificate", Options{Protocol: HTTPS, CAFile: empty},
			[]string{`health check "web": ca_file: ` + empty + ` holds no certificate in PEM form`}},
	} {
		tt.o.Name = "web"
		_, err := NewProber().Compile(tt.o)
		if err == nil || err.Error() != strings.Join(tt.want, "\n") {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, strings.Join(tt.want, "\n"))
		}
	}
}

// TestCompileKeepsNothing changes what Compile was given.
func TestCompileKeepsNothing(t *testing.T) {
	o := Options{Name: "web", Protocol: HTTP, Headers: map[string]string{"X-Probe": "1"}}
	check := compile(t, o)
	o.Headers["X-Probe"] = "2"
	if got := check.options.Headers["X-Probe"]; got != "1" {
		t.Errorf("the header is %q", got)
	}
}

// compile returns the check of options whose mistakes are the test's own.
func compile(t testing.TB, o Options) *Check {
	t.Helper()
	prober := NewProber()
	t.Cleanup(func() {
		if err := prober.Close(); err != nil {
			t.Error(err)
		}
	})
	check, err := prober.Compile(o)
	if err != nil {
		t.Fatal(err)
	}
	return check
}
