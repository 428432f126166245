package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// aliased is globalPolicy with aliases, which are line 24.
func aliased(primary, aliases string) string {
	return strings.Replace(globalPolicy(primary), "business_domains", "aliases = "+aliases+"\nbusiness_domains", 1)
}

// Aliases are access domains in all that can be wrong with them.
func TestAliases(t *testing.T) {
	const p4, pd = `{ pools = ["p4"] }`, `{ pools = ["pd"] }`
	other := "\n[[instance]]\nname = \"j\"\naccess_domain = \"j.gtm.example.com\"\naliases = [\"b.gtm.example.com\"]\npolicy = [{ name = \"G\", sources = [\"global\"], primary = { pools = [\"p4b\"] } }]\n"
	for _, row := range []struct{ name, text, want string }{
		{"good", aliased(p4, `["b.gtm.example.com", "C.gtm.example.com."]`), ""},
		{"the apex, for addresses", aliased(p4, `["gtm.example.com"]`), ""},
		{"none", aliased(p4, `[]`), ""},
		{"the access domain itself", aliased(p4, `["A.gtm.example.com"]`),
			`gtmd.toml:24:12: access domain "a.gtm.example.com" is a name of this instance already, at gtmd.toml:23:1: want it once`},
		{"twice", aliased(p4, `["b.gtm.example.com", "b.gtm.example.com"]`),
			`gtmd.toml:24:33: access domain "b.gtm.example.com" is a name of this instance already, at gtmd.toml:24:12: want it once`},
		{"an alias of another", aliased(p4, `["b.gtm.example.com"]`) + other,
			`gtmd.toml:30:12: access domain "b.gtm.example.com" is that of another instance already, at gtmd.toml:24:12: want one of its own`},
		{"the access domain of another", aliased(p4, `["j.gtm.example.com"]`) + other,
			`gtmd.toml:29:1: access domain "j.gtm.example.com" is that of another instance already, at gtmd.toml:24:12: want one of its own`},
		{"outside the zones", aliased(p4, `["b.example.com"]`),
			`gtmd.toml:24:12: access domain "b.example.com" lies in no zone: want a name in "gtm.example.com"`},
		{"no name", aliased(p4, `["b gtm"]`), `gtmd.toml:24:12: "b gtm" is no domain name: want letters, digits and hyphens in label "b gtm"`},
		{"a wildcard", aliased(p4, `["*.gtm.example.com"]`), `gtmd.toml:24:12: "*.gtm.example.com" is a wildcard: want a name of its own`},
		{"the apex, for names", aliased(pd, `["gtm.example.com"]`),
			`gtmd.toml:24:12: access domain "gtm.example.com" is the apex of its zone, which cannot have a CNAME, and some policy has domain pools: want a name below the apex, or pools of addresses`},
		{"a domain pool that leads to the alias", strings.Replace(aliased(pd, `["b.gtm.example.com"]`), "origin.example.net", "b.gtm.example.com", 1),
			`gtmd.toml:20:14: access domain "b.gtm.example.com" leads back to itself: b.gtm.example.com -> b.gtm.example.com`},
		{"no list", aliased(p4, `"b.gtm.example.com"`), `gtmd.toml:24:1: aliases in [[instance]] "i": want a list of strings, not the string "b.gtm.example.com"`},
	} {
		c, err := LoadText("gtmd.toml", []byte(row.text))
		if diff := cmp.Diff(row.want, errorText(err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
		if row.name == "good" && !slices.Equal(c.File.Instances[0].Aliases, []string{"b.gtm.example.com.", "c.gtm.example.com."}) {
			t.Errorf("aliases are %q", c.File.Instances[0].Aliases)
		}
	}
}

// An alias and a record of a zone file exclude each other, and a name server may be an alias.
func TestAliasInZone(t *testing.T) {
	text := zoneToml("", "p4")
	text = strings.Replace(text, "business_domains", "aliases = [\"www.gtm.example.com\"]\nbusiness_domains", 1)
	write(t, text+"www A 192.0.2.1\n")
	_, err := Load("gtmd.toml")
	if want := `access domain "www.gtm.example.com" has a A record in the zone file at z.zone:1: remove one of the two`; !strings.Contains(errorText(err), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}
