package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gtmd/policy"
)

// write makes a directory with the files of a txtar-like text: "-- name --" begins each file.
func write(t *testing.T, files string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, part := range strings.Split("\n"+files, "\n-- ")[1:] {
		name, content, ok := strings.Cut(part, " --\n")
		if !ok {
			t.Fatalf("no file in %q", part)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// errorText is the text of an error, or "".
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// warningText is the warnings of a configuration, one on each line.
func warningText(c *Config) string {
	return Problems(c.Warnings).Error()
}

func TestLoadExample(t *testing.T) {
	c, err := Load("testdata/example.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || c.Warnings[0].String() != `testdata/example.toml:10:1: line "office" is not a source of any policy` {
		t.Errorf("warnings:\n%s", warningText(c))
	}
	set := func(pool string) policy.SetOptions {
		return policy.SetOptions{
			Pools: []policy.PoolRefOptions{{Pool: pool, Weight: 1}}, Balance: policy.BalanceAll, MinAvailable: policy.Count(1),
		}
	}
	want := []policy.InstanceOptions{{
		Name: "cdn-origin", AccessDomain: "origin.gtm.example.com.", BusinessDomains: []string{"www.example.com."},
		TTL: 60, AccessPolicyType: policy.PolicyGeography, Unmatched: policy.UnmatchedError,
		Policies: []policy.PolicyOptions{{
			Name: "Global", Sources: []string{"global"}, Primary: set("test1"), Backup: []policy.SetOptions{set("test2")},
			Switch: policy.SwitchAuto, Failback: policy.FailbackAuto, WhenAllDown: policy.AllDownOpen,
		}},
	}}
	if diff := cmp.Diff(want, c.File.Instances, cmp.AllowUnexported(policy.Threshold{}, policy.Judge{})); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	wantPool := Pool{
		PoolOptions: &policy.PoolOptions{Name: "test1", Type: policy.TypeIPv4, Balance: policy.BalanceAll, HealthCheck: []string{"web"}, MinUp: policy.Count(1),
			Addresses: []policy.AddressOptions{
				{Address: "192.0.2.1", Mode: policy.ModeIntelligent, Weight: 1},
				{Address: "192.0.2.2", Mode: policy.ModeIntelligent, Weight: 1, Remark: "rack 2"},
			}},
		Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")},
	}
	if diff := cmp.Diff(wantPool, c.Pools[0], cmpopts.EquateComparable(netip.Addr{}, policy.Judge{}, policy.Threshold{})); diff != "" {
		t.Errorf("first pool (-want +got):\n%s", diff)
	}
	zone := c.Zones[0]
	var records []string
	for _, rr := range zone.Records {
		records = append(records, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	wantRecords := []string{
		"gtm.example.com. 300 IN MX 10 mail.example.com.",
		`gtm.example.com. 300 IN TXT "v=spf1 -all"`,
		"status.gtm.example.com. 300 IN A 192.0.2.80",
		"docs.gtm.example.com. 60 IN CNAME www.example.net.",
		"sub.gtm.example.com. 300 IN NS ns.sub.gtm.example.com.",
		"ns.sub.gtm.example.com. 300 IN A 192.0.2.53",
	}
	if diff := cmp.Diff(wantRecords, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if zone.Name != "gtm.example.com." || zone.Mbox != "hostmaster.example.com." || zone.File != "testdata/static.zone" {
		t.Errorf("zone is %q with contact %q and file %q", zone.Name, zone.Mbox, zone.File)
	}
	if c.File.Admin.TokenFile != "testdata/admin.token" {
		t.Errorf("token file is %q", c.File.Admin.TokenFile)
	}
	if diff := cmp.Diff([]string{"testdata/example.toml", "testdata/static.zone"}, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestLoadDefaults(t *testing.T) {
	c, err := LoadText("gtmd.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.File.DNS.Listen); got != "[0.0.0.0:53 [::]:53]" {
		t.Errorf("dns.listen is %s", got)
	}
	if got := c.File.State; got != (StateOptions{Dir: "/var/lib/gtmd", StartupWait: 10 * time.Second}) {
		t.Errorf("state is %+v", got)
	}
	if c.File.Watch || c.File.DNS.MaxUDPPayload != 1232 || c.File.Admin.Socket != "/run/gtmd/admin.sock" {
		t.Errorf("file is %+v", c.File)
	}
}

func TestLoadMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := Load("gtmd.toml")
	if got, want := errorText(err), "gtmd.toml: stat gtmd.toml: no such file or directory"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	_, err = Load(".")
	if got, want := errorText(err), ".: read .: not a regular file"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}

func TestHash(t *testing.T) {
	write(t, "-- gtmd.toml --\ninclude = [\"conf.d/*.toml\"]\n-- conf.d/a.toml --\nwatch = true\n")
	load := func() *Config {
		t.Helper()
		c, err := Load("gtmd.toml")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := load()
	if !first.File.Watch || len(first.Hash) != 64 {
		t.Errorf("watch is %t, hash %q", first.File.Watch, first.Hash)
	}
	if again := load(); again.Hash != first.Hash {
		t.Errorf("hash of the same files changed from %s to %s", first.Hash, again.Hash)
	}
	if err := os.WriteFile("conf.d/a.toml", []byte("watch = false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed := load(); changed.Hash == first.Hash {
		t.Errorf("hash of a changed included file is still %s", first.Hash)
	}
}

func TestSerial(t *testing.T) {
	write(t, `-- gtmd.toml --
[[zone]]
name = "a.example"
nameservers = ["ns.example.com"]
contact = "hostmaster@example.com"
[[zone]]
name = "b.example"
nameservers = ["ns.example.com"]
contact = "first.last@example.com"
serial = 7
file = "b.zone"
-- b.zone --
www A 192.0.2.1
`)
	for name, seconds := range map[string]int64{"gtmd.toml": 1_700_000_000, "b.zone": 1_700_000_500} {
		if err := os.Chtimes(name, time.Time{}, time.Unix(seconds, 0)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load("gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Zones[0].Serial != 1_700_000_500 || c.Zones[1].Serial != 7 {
		t.Errorf("serials are %d and %d, want the later change 1700000500, and 7", c.Zones[0].Serial, c.Zones[1].Serial)
	}
	if c.Zones[1].Mbox != `first\.last.example.com.` {
		t.Errorf("contact is %q", c.Zones[1].Mbox)
	}
	text, err := LoadText("x.toml", []byte("[[zone]]\nname = \"a.example\"\nnameservers = [\"ns.example.com\"]\ncontact = \"a@example.com\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if text.Zones[0].Serial != 1 {
		t.Errorf("serial without files is %d, want 1", text.Zones[0].Serial)
	}
}

func TestProblemOfConfig(t *testing.T) {
	write(t, `-- gtmd.toml --
include = ["more.toml"]
[[pool]]
name = "a"
type = "ipv4"
addresses = ["192.0.2.1"]
-- more.toml --
[[pool]]
name = "b"
type = "ipv4"
addresses = [
  "192.0.2.1",
  { address = "192.0.2.2", weight = 3 },
]
`)
	c, err := Load("gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"pool[0].type":                "gtmd.toml:4:1: x",
		"pool[1].addresses[1].weight": "more.toml:6:28: x",
		"pool[1].addresses[0].weight": "more.toml:5:3: x",
		"pool[1].health_check":        "more.toml:1:1: x",
		"dns.listen":                  "gtmd.toml: x",
	} {
		if got := c.Problem(path, "x").String(); got != want {
			t.Errorf("problem of %s is %q, want %q", path, got, want)
		}
	}
	if got := c.Problem("pool[1].type", "x").Key; got != "pool[0].type" {
		t.Errorf("key is %q, want its path in its own file", got)
	}
}

func TestCheckHost(t *testing.T) {
	c, err := LoadText("gtmd.toml", []byte(preamble+`
[[pool]]
name = "other"
type = "ipv4"
addresses = ["192.0.2.9"]
[[instance]]
name = "first"
access_domain = "a.gtm.example.com"
policy = { name = "Global", sources = ["global"], primary = { pools = ["p4"] }, backup = [{ pools = ["p4b"] }] }
[[instance]]
name = "second"
access_domain = "b.gtm.example.com"
business_domains = ["WWW.example.com.", "example.com"]
policy = { name = "Global", sources = ["global"], primary = { pools = ["p4b"] } }
`))
	if err != nil {
		t.Fatal(err)
	}
	for pool, want := range map[string]string{"p4b": "www.example.com", "p4": "", "other": "", "none": ""} {
		if got := c.CheckHost(pool); got != want {
			t.Errorf("CheckHost(%q) = %q, want %q", pool, got, want)
		}
	}
}
