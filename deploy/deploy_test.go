// Package deploy holds what an operator takes as it is: example configurations, the systemd unit, the configuration of an
// edge. Its tests load and check all of them, and the guide in docs that is made of them.
package deploy

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"gtmd/config"
	"gtmd/node"
	"gtmd/server"
)

// guide is the page that builds cdn-origin.toml step by step.
const guide = "../docs/cdn-with-gtm.md"

// check loads a configuration as "gtmd check" does. Examples have no problem and no warning.
func check(t *testing.T, load func() (*config.Config, error)) *config.Config {
	t.Helper()
	c, err := node.Check(load)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Warnings {
		t.Errorf("warning: %v", w)
	}
	return c
}

func TestExampleConfigurations(t *testing.T) {
	files, err := filepath.Glob("*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no example configurations: %v", err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			check(t, func() (*config.Config, error) { return config.Load(file) })
		})
	}
}

// blocks returns the code blocks of a page that are marked with a language, without the indentation of their fence.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n")[1:])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no %s block", page, language)
	}
	return all
}

func TestTomlOfReadme(t *testing.T) {
	for _, block := range blocks(t, "../README.md", "toml") {
		check(t, func() (*config.Config, error) { return config.LoadText("README.toml", []byte(block)) })
	}
}

func TestPartsOfGuideMakeTheExample(t *testing.T) {
	joined := []byte(strings.Join(blocks(t, guide, "toml"), "\n"))
	got := check(t, func() (*config.Config, error) { return config.LoadText("guide.toml", joined) })
	want := check(t, func() (*config.Config, error) { return config.Load("cdn-origin.toml") })
	if diff := cmp.Diff(want.File, got.File, cmp.Comparer(sameZone),
		cmpopts.EquateComparable(netip.AddrPort{}), cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("cdn-origin.toml (-) and the parts of the guide (+) differ:\n%s", diff)
	}
}

// sameZone compares all but the serial number, which is the time of the last change of the files.
func sameZone(a, b server.ZoneOptions) bool {
	a.Serial, b.Serial = 0, 0
	return cmp.Equal(a, b)
}

// records parses a zone text whose relative names lie in origin.
func records(t *testing.T, text, origin string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	p := dns.NewZoneParser(strings.NewReader(text), origin, "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		all[rr.String()] = true
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestZonesOfGuide(t *testing.T) {
	zones := blocks(t, guide, "zone")
	if len(zones) != 3 {
		t.Fatalf("the guide has %d zone blocks, want the zone, the delegation and the CNAME to the CDN", len(zones))
	}
	shipped, err := os.ReadFile("gtm.example.com.zone")
	if err != nil {
		t.Fatal(err)
	}
	zone := records(t, string(shipped), "gtm.example.com.")
	if diff := cmp.Diff(zone, records(t, zones[0], "gtm.example.com.")); diff != "" {
		t.Errorf("gtm.example.com.zone (-) and the one of the guide (+) differ:\n%s", diff)
	}

	// The parent has the zone's name servers, and their addresses as glue.
	want := records(t, string(shipped), "gtm.example.com.")
	for _, z := range check(t, func() (*config.Config, error) { return config.Load("cdn-origin.toml") }).Zones {
		for _, ns := range z.Nameservers {
			want[(&dns.NS{Hdr: dns.RR_Header{Name: z.Name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 3600}, Ns: ns}).String()] = true
		}
	}
	if diff := cmp.Diff(want, records(t, zones[1], "example.com.")); diff != "" {
		t.Errorf("the delegation should be (-), is (+):\n%s", diff)
	}
}

// unit returns the values of a key of gtmd.service, in order.
func unit(t *testing.T, key string) []string {
	t.Helper()
	text, err := os.ReadFile("gtmd.service")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, m := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		values = append(values, m[1])
	}
	return values
}

// TestSocketUnitListensAsTheDefault: gtmd.socket has what gtmd listens on when nothing else is said, in words of systemd.
func TestSocketUnitListensAsTheDefault(t *testing.T) {
	text, err := os.ReadFile("gtmd.socket")
	if err != nil {
		t.Fatal(err)
	}
	field, _ := reflect.TypeFor[server.Options]().FieldByName("Listen")
	want := strings.Split(field.Tag.Get("default"), ",")
	for _, key := range []string{"ListenDatagram", "ListenStream"} {
		var listen []string
		for _, m := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(text), -1) {
			listen = append(listen, m[1])
		}
		if diff := cmp.Diff(want, listen); diff != "" {
			t.Errorf("%s= of gtmd.socket: the default of dns.listen has (-), it has (+):\n%s", key, diff)
		}
	}
	for _, line := range []string{"BindIPv6Only=ipv6-only", "ReusePort=yes", "PassPacketInfo=yes"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("gtmd.socket has no %s", line)
		}
	}
	if got := only(t, "NotifyAccess"); got != "all" {
		t.Errorf("NotifyAccess=%s, but the successor in an upgrade is not the main process when it says that it is", got)
	}
}

// only is the value of a key that stands once.
func only(t *testing.T, key string) string {
	t.Helper()
	values := unit(t, key)
	if len(values) != 1 {
		t.Fatalf("gtmd.service has %d %s=, want one", len(values), key)
	}
	return values[0]
}

func TestUnitMakesTheDefaultDirectories(t *testing.T) {
	c := check(t, func() (*config.Config, error) { return config.Load("cdn-origin.toml") })
	for _, row := range []struct{ key, parent, path string }{
		{"RuntimeDirectory", "/run", filepath.Dir(c.File.Admin.Socket)},
		{"StateDirectory", "/var/lib", c.File.State.Dir},
	} {
		if made := filepath.Join(row.parent, only(t, row.key)); made != row.path {
			t.Errorf("%s= makes %s, cdn-origin.toml uses %s", row.key, made, row.path)
		}
	}
}

func TestUnitRunsRealCommands(t *testing.T) {
	program := filepath.Join(t.TempDir(), "gtmd")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/gtmd").CombinedOutput(); err != nil {
		t.Fatalf("build gtmd: %v\n%s", err, out)
	}
	if before := unit(t, "ExecStartPre"); len(before) > 0 {
		t.Errorf("ExecStartPre=%q: a check before the start refuses geo databases that the start would replace by their last good copy", before)
	}
	missing := filepath.Join(t.TempDir(), "missing.toml")
	for _, row := range []struct{ key, command, says string }{
		{"ExecStart", "/usr/bin/gtmd run --config /etc/gtmd/gtmd.toml", "gtmd does not start"},
	} {
		command := only(t, row.key)
		if command != row.command {
			t.Errorf("%s=%s, want %s", row.key, command, row.command)
		}
		// With a file that is not there, a command that exists ends with 1, and wrong usage with 2.
		words := strings.Fields(strings.ReplaceAll(command, "/etc/gtmd/gtmd.toml", missing))
		out, err := exec.Command(program, words[1:]...).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), row.says) {
			t.Errorf("%s ended with %v, want exit status 1 and %q in:\n%s", command, err, row.says, out)
		}
	}
}

func TestUnitByTheStandardsOfSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, err := os.ReadFile("gtmd.service")
	if err != nil {
		t.Fatal(err)
	}
	// It wants the program to be there.
	installed := filepath.Join(t.TempDir(), "gtmd.service")
	if err := os.WriteFile(installed, bytes.ReplaceAll(text, []byte("/usr/bin/gtmd"), []byte("/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	sockets, err := os.ReadFile("gtmd.socket")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(filepath.Dir(installed), "gtmd.socket")
	if err := os.WriteFile(socket, sockets, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", installed},
		{"verify", "--man=no", socket},
		{"security", "--offline=true", "--threshold=20", installed}, // exposure 2.0 of 10, less is better
	} {
		out, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && strings.Contains(string(out), filepath.Dir(installed)) {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
