package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gtmd/config"
)

// FuzzZoneFile: no master file stops the program, and what the configuration accepts of it can be served.
func FuzzZoneFile(f *testing.F) {
	for _, seed := range []string{
		"", "www A 192.0.2.1", "$TTL 5\n@ MX 10 mail\nmail AAAA 2001:db8::1\n", "* CNAME www\nwww A 192.0.2.1",
		"$ORIGIN sub\n$GENERATE 1-5/2 h${0,3,d} A 192.0.2.$\n", "$INCLUDE gtmd.toml", "$INCLUDE zone", "a.b.c TXT \"\\000\\255\" ( ; comment\n)",
		"child NS ns.child\nns.child A 192.0.2.1\nx.child A 192.0.2.2", "d DNAME example.com.\n", "x TYPE65280 \\# 2 ffff", "@ SOA a b 1 2 3 4 5",
		"s HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1\nt TLSA 3 1 1 ab\nu CAA 0 issue \";\"\nv SSHFP 1 1 00", "l1 CNAME l2\nl2 CNAME l1", "a 1w IN A 192.0.2.1\na 1 IN A 192.0.2.2",
		"\\001\\\".w A 192.0.2.1", "origin A 192.0.2.1", "x.origin A 192.0.2.1", "origin.gtm.test. CNAME www", "$GENERATE 0-4294967295 a$ A 192.0.2.1",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	file := filepath.Join(dir, "gtmd.toml")
	const text = `[admin]
listen = ""
socket = ""
[[zone]]
name = "gtm.test"
nameservers = ["ns1.gtm.test"]
contact = "hostmaster@gtm.test"
file = "zone"
[[zone]]
name = "below.gtm.test"
nameservers = ["ns1.gtm.test"]
contact = "hostmaster@gtm.test"
[[pool]]
name = "one"
type = "ipv4"
addresses = ["192.0.2.1"]
[[instance]]
name = "origin"
access_domain = "origin.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["one"] }
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, zone string) {
		if err := os.WriteFile(filepath.Join(dir, "zone"), []byte(zone), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Check(func() (*config.Config, error) { return config.Load(file) })
		var problems config.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("the configuration accepts it, but it cannot be served: %v", err)
		}
		for _, p := range problems {
			if p.File == "" || p.Line < 1 || p.Message == "" {
				t.Fatalf("a problem without a place: %+v", p)
			}
		}
	})
}
