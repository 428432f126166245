package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cycleToml is zoneToml for a domain pool with one target, which is at 21:14 of gtmd.toml, and one business domain.
func cycleToml(target, business, zone string) string {
	text := strings.Replace(zoneToml("", "pd"), "origin.example.net", target, 1)
	return strings.Replace(text, "www.example.com", business, 1) + zone
}

// The answers of a domain pool can lead back through the CNAME records of zone files.
func TestStaticCycle(t *testing.T) {
	const back = `gtmd.toml:21:14: access domain "a.gtm.example.com" leads back to itself: `
	for _, row := range []struct{ name, target, zone, want string }{
		{"one record", "www.gtm.example.com", "www CNAME A",
			back + "a.gtm.example.com -> www.gtm.example.com -> a.gtm.example.com"},
		{"several records, letter case aside", "www.gtm.example.com", "WWW CNAME two\nTwo CNAME three\nthree CNAME a",
			back + "a.gtm.example.com -> www.gtm.example.com -> two.gtm.example.com -> three.gtm.example.com -> a.gtm.example.com"},
		{"wildcard", "x.y.gtm.example.com", "* CNAME a",
			back + "a.gtm.example.com -> x.y.gtm.example.com -> a.gtm.example.com"},
		{"wildcard of the closest encloser", "x.y.sub.gtm.example.com", "* CNAME else.example.\n*.sub CNAME a",
			back + "a.gtm.example.com -> x.y.sub.gtm.example.com -> a.gtm.example.com"},
		{"the wildcard's own name", "w.gtm.example.com", "w CNAME *.sub\n*.sub CNAME a",
			back + "a.gtm.example.com -> w.gtm.example.com -> *.sub.gtm.example.com -> a.gtm.example.com"},

		{"a record that ends elsewhere", "www.gtm.example.com", "www CNAME two\ntwo CNAME www.example.org.", ""},
		{"records that lead to each other", "www.gtm.example.com", "www CNAME two\ntwo CNAME www", ""},
		{"addresses", "www.gtm.example.com", "www A 192.0.2.1\n* CNAME a", ""},
		{"a name that does not exist", "www.gtm.example.com", "two CNAME a", ""},
		{"no wildcard at a name above others", "ent.gtm.example.com", "* CNAME a\nx.ent A 192.0.2.1", ""},
		{"no wildcard below a name that exists", "x.ent.gtm.example.com", "* CNAME a\ny.ent A 192.0.2.1", ""},
		{"no wildcard below an access domain", "x.a.gtm.example.com", "* CNAME a", ""},
		{"the apex", "gtm.example.com", "* CNAME a", ""},
		{"a delegation", "www.sub.gtm.example.com", "sub NS ns.example.\n* CNAME a", ""},
		{"a record for others behind a delegation", "www.sub.gtm.example.com", "sub NS ns.example.\nwww.sub CNAME a", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, cycleToml(row.target, "www.example.com", row.zone))
			_, err := Load("gtmd.toml")
			if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// A way may go through several zones and access domains. The records of a zone do not hold for names of a zone inside.
func TestCycleThroughZones(t *testing.T) {
	const more = `
[[zone]]
name = "b.gtm.example.com"
nameservers = ["ns1.example.com"]
contact = "hostmaster@example.com"
file = "b.zone"
[[instance]]
name = "j"
access_domain = "j.gtm.example.com"
policy = { name = "G", sources = ["global"], primary = { pools = ["pj"] } }
[[pool]]
name = "pj"
type = "domain"
addresses = ["other.example.net", "x.b.gtm.example.com"]
-- z.zone --
www CNAME j
*.b CNAME a
* CNAME a
`
	for _, row := range []struct{ zone, want string }{
		{"* CNAME a.gtm.example.com.", `gtmd.toml:21:14: access domain "a.gtm.example.com" leads back to itself: a.gtm.example.com -> www.gtm.example.com -> j.gtm.example.com -> x.b.gtm.example.com -> a.gtm.example.com
gtmd.toml:39:35: access domain "j.gtm.example.com" leads back to itself: j.gtm.example.com -> x.b.gtm.example.com -> a.gtm.example.com -> www.gtm.example.com -> j.gtm.example.com`},
		{"y CNAME a.gtm.example.com.", ""},
	} {
		write(t, strings.Replace(cycleToml("www.gtm.example.com", "www.example.com", ""), "\n-- z.zone --\n", more, 1)+"-- b.zone --\n"+row.zone)
		_, err := Load("gtmd.toml")
		if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
			t.Errorf("problems with %q (-want +got):\n%s", row.zone, diff)
		}
	}
}

// A business domain leads to its access domain through the CDN, so what leads to the business domain is a loop.
func TestBusinessCycle(t *testing.T) {
	const warning = `gtmd.toml:21:14: access domain "a.gtm.example.com" leads to its business domain "`
	for _, row := range []struct {
		name, target, business, zone string
		want                         []string
	}{
		{"the same name", "www.example.com", "WWW.example.com", "", []string{
			warning + `www.example.com", which a CDN leads back to it: a.gtm.example.com -> www.example.com -> CDN -> a.gtm.example.com`}},
		{"a record", "o.gtm.example.com", "www.example.com", "o CNAME www.example.com.", []string{
			warning + `www.example.com", which a CDN leads back to it: a.gtm.example.com -> o.gtm.example.com -> www.example.com -> CDN -> a.gtm.example.com`}},
		{"the second business domain", "o.gtm.example.com", `x.example", "m.example`, "* CNAME m.example.", []string{
			warning + `m.example", which a CDN leads back to it: a.gtm.example.com -> o.gtm.example.com -> m.example -> CDN -> a.gtm.example.com`}},
		{"another name", "origin.example.com", "www.example.com", "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, cycleToml(row.target, row.business, row.zone))
			c, err := Load("gtmd.toml")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range c.Warnings {
				if !strings.Contains(w.Message, "not used") {
					got = append(got, w.String())
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
