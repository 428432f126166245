package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/node"
)

// check loads a configuration of the site as "gtmd check" does.
func (s *site) check(parts ...string) (*config.Config, error) {
	s.write(parts...)
	return node.Check(s.options().Load)
}

// plainZone is the least that an instance needs.
const plainZone = `
[[zone]]
name        = "gtm.test"
nameservers = ["ns.example.net"]
contact     = "hostmaster@gtm.test"
`

// sourced is an instance with a policy for each source, and one for everybody.
func sourced(sources ...string) string {
	text := instance
	for i, source := range sources {
		text += fmt.Sprintf("[[instance.policy]]\nname = \"P%d\"\nsources = [%q]\nprimary = { pools = [\"test2\"] }\n", i, source)
	}
	return text
}

// TestSourcesWithoutDatabase tells of every source that nothing can match which database it needs.
func TestSourcesWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "CN CN-GD"))
	s.put("country.mmdb", mmdb(t, "GeoLite2-Country", built, "0.0.0.0/0 JP"))
	s.put("asn.mmdb", mmdb(t, "GeoLite2-ASN", built, "0.0.0.0/1 4134", "128.0.0.0/1 4837"))
	latency := "[[latency]]\nfrom = \"asn:4134\"\npool = \"test1\"\nms = 3\n"
	for _, row := range []struct {
		databases string
		sources   []string
		more      string
		want      []string // without file and line
	}{
		{``, []string{"country:JP", "cn_telecom_guangdong", "telecom", "os_asia"}, "", []string{
			`source "country:JP" needs a database with countries (City or Country): add its file to databases in [geo], which has none`,
			`source "cn_telecom_guangdong" needs an ASN or ISP database and a City database with subdivisions: add its file to databases in [geo], which has none`,
			`source "telecom" needs an ASN or ISP database: add its file to databases in [geo], which has none`,
			`source "os_asia" needs a database with countries (City or Country): add its file to databases in [geo], which has none`,
		}},
		{`"country.mmdb"`, []string{"country:JP", "subdivision:CN-GD"}, latency, []string{
			`source "subdivision:CN-GD" needs a City database with subdivisions: add its file to databases in [geo], which has GeoLite2-Country`,
			`source "asn:4134" needs an ASN database: add its file to databases in [geo], which has GeoLite2-Country`,
		}},
		{`"country.mmdb", "city.mmdb"`, []string{"asn:4134"}, "", []string{
			`source "asn:4134" needs an ASN database: add its file to databases in [geo], which has GeoLite2-Country, GeoLite2-City`,
		}},
		{`"city.mmdb", "asn.mmdb"`, []string{"country:JP", "cn_telecom_guangdong", "telecom"}, latency, nil},
		// A file that cannot be read is a problem of its own, and which sources it would match nobody knows. Others come with it.
		{`"nothing.mmdb", "none.mmdb"`, []string{"country:JP"}, "[[health_check]]\nname = \"tls\"\nprotocol = \"https\"\nca_file = \"absent.pem\"\n", []string{
			`geo database "nothing.mmdb": no such file or directory`,
			`geo database "none.mmdb": no such file or directory`,
			`health check "tls": ca_file: open absent.pem: no such file or directory`,
		}},
	} {
		_, err := s.check("[geo]\ndatabases = [", row.databases, "]\n", plainZone, static, sourced(row.sources...), row.more)
		var got []string
		if err != nil {
			for line := range strings.Lines(strings.ReplaceAll(err.Error(), s.dir+"/", "")) {
				_, message, _ := strings.Cut(line, ": ")
				got = append(got, strings.TrimSpace(message))
			}
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", row.databases, row.sources, diff)
		}
	}
}

// TestLatencySourcesWithoutDatabase tells the row of the file that has the source, not the key that names a file.
func TestLatencySourcesWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.overwrite("one.csv", []byte("from,pool,ms\nglobal,test1,3\n"))
	s.overwrite("two.csv", []byte("from,pool,ms\nglobal,test2,3\ncountry:JP,test1,5\ncountry:JP,test2,6\n"))
	s.write(plainHeader, static, `
[[latency]]
file = "one.csv"
[[latency]]
file = "two.csv"
[[instance]]
name = "cdn-origin"
access_domain = "origin.gtm.test"
access_policy_type = "latency"
[[instance.policy]]
name = "Global"
primary = { pools = ["test1", "test2"] }
`)
	_, err := node.Check(s.options().Load)
	if want := s.path("two.csv") + `:3:1: source "country:JP" needs a database with countries (City or Country): ` +
		"add its file to databases in [geo], which has none"; err == nil || err.Error() != want {
		t.Errorf("got %v, want\n%s", err, want)
	}
}

func TestGeographyWarnings(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "CN CN-GD"))
	s.put("asn.mmdb", mmdb(t, "GeoLite2-ASN", time.Now().Add(-48*time.Hour), "0.0.0.0/1 4134", "128.0.0.0/1 4837"))
	nearest := strings.NewReplacer("\"test1\"\ntype", "\"test1\"\nlocation = \"JP\"\ntype", `pools = ["test1"]`, `pools = ["test1"], balance = "nearest"`)
	for _, row := range []struct {
		name, databases, more string
		parts                 []string
		want                  []string
	}{
		{"nothing to warn of", `"city.mmdb"`, "", []string{static, sourced("country:JP", "subdivision:CN-GD")}, nil},
		{"sources without a network", `"city.mmdb"`, "", []string{static, sourced("country:JP", "country:FR", "subdivision:CN-BJ")}, []string{
			`gtmd.toml:33:12: source "country:FR" matches no network of the database`,
			`gtmd.toml:37:12: source "subdivision:CN-BJ" matches no network of the database`}},
		{"an old database", `"city.mmdb", "asn.mmdb"`, "max_age = \"36h\"\n", []string{static, sourced("asn:4134", "asn:1")}, []string{
			`gtmd.toml:2:27: geo database "asn.mmdb" was built ` + time.Now().Add(-48*time.Hour).UTC().Format(time.DateOnly) + `, 2 days ago: want a newer one, at most 1 day old (max_age)`,
			`gtmd.toml:34:12: source "asn:1" matches no network of the databases`}},
		{"no age limit", `"city.mmdb", "asn.mmdb"`, "max_age = \"0s\"\n", []string{static, sourced("asn:4134")}, nil},
		{"nearest without places", `"asn.mmdb"`, "", []string{nearest.Replace(static), nearest.Replace(instance)}, []string{
			`gtmd.toml:26:32: balance "nearest" is the order of the pools as long as no City or Country database says where clients are: add its file to databases in [geo], which has GeoLite2-ASN`}},
		{"nearest", `"city.mmdb"`, "", []string{nearest.Replace(static), nearest.Replace(instance)}, nil},
	} {
		c, err := s.check(append([]string{"[geo]\ndatabases = [", row.databases, "]\n", row.more, plainZone}, row.parts...)...)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		var got []string
		for _, w := range c.Warnings {
			got = append(got, strings.ReplaceAll(w.String(), s.dir+"/", ""))
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestCoverage counts the address space of each policy. A half of IPv4 is Japan, a quarter Guangdong and a quarter France.
func TestCoverage(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", mmdb(t, "GeoLite2-City", built, "0.0.0.0/1 JP", "128.0.0.0/2 CN CN-GD", "192.0.0.0/2 FR", "2000::/4 JP", "2001:db8::/32 CN"))
	s.write(`[geo]
databases = ["$DIR/city.mmdb"]
[[geo.line]]
name = "office"
prefixes = ["10.0.0.0/8"]
[[geo.line]]
name = "paris"
prefixes = ["192.0.0.0/2"]
`, plainZone, static, `
[[pool]]
name = "six"
type = "ipv6"
addresses = ["2001:db8::1"]
[[instance]]
name = "one"
access_domain = "one.gtm.test"
unmatched = "nodata"
[[instance.policy]]
name = "Asia"
sources = ["country:JP", "os_asia_kr"]
primary = { pools = ["test1", "six"] }
[[instance.policy]]
name = "South"
sources = ["subdivision:CN-GD"]
primary = { pools = ["test1", "six"] }
[[instance.policy]]
name = "China"
sources = ["internal", "cn_region_huanan"]
primary = { pools = ["test2"] }
[[instance.policy]]
name = "Office"
sources = ["office"]
primary = { pools = ["test2"] }
[[instance.policy]]
name = "France"
sources = ["os_euro_fr", "paris"]
primary = { pools = ["test2"] }
[[instance]]
name = "two"
access_domain = "two.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["test1", "six"] }
`)
	c, coverage, err := node.Coverage(s.options().Load)
	if err != nil || c == nil {
		t.Fatal(err)
	}
	const eight = 1. / 256
	// Of 2000::/3 the addresses of 6to4 and Teredo are left out: they hold IPv4 addresses.
	const whole = 1 - 1./(1<<13) - 1./(1<<29)
	const line, japan, rest = 1. / (1 << 29) / whole, (whole - 0.5 - 1./(1<<29)) / whole, 0.5 / whole
	share := func(ipv4, ipv6 float64) node.Share { return node.Share{IPv4: ipv4, IPv6: ipv6} }
	want := []node.InstanceCoverage{{
		Instance: "one", Questions: "A", Unmatched: share(0, rest),
		Policies: []node.PolicyCoverage{
			{Policy: "Asia", Sources: []string{"country:JP", "os_asia_kr"}, Share: share(0.5-eight, japan)},
			{Policy: "South", Sources: []string{"subdivision:CN-GD"}, Share: share(0.25, 0)},
			{Policy: "China", Sources: []string{"internal", "cn_region_huanan"}, Share: share(0, line)},
			{Policy: "Office", Sources: []string{"office"}, Share: share(eight, 0)},
			{Policy: "France", Sources: []string{"os_euro_fr", "paris"}, Share: share(0.25, 0)},
		},
		Idle: []node.SourceCoverage{{Source: "os_asia_kr", Policy: "Asia"}},
		Shadowed: []node.SourceCoverage{
			{Source: "cn_region_huanan", Policy: "China", By: []node.ShadowingSource{{Source: "subdivision:CN-GD", Policy: "South"}}}},
	}, {
		Instance: "one", Questions: "AAAA", Unmatched: share(0.25, rest+line),
		Policies: []node.PolicyCoverage{
			{Policy: "Asia", Sources: []string{"country:JP", "os_asia_kr"}, Share: share(0.5, japan)},
			{Policy: "South", Sources: []string{"subdivision:CN-GD"}, Share: share(0.25, 0)},
		},
		Idle: []node.SourceCoverage{{Source: "os_asia_kr", Policy: "Asia"}}, Shadowed: []node.SourceCoverage{},
	}, {
		Instance: "two", Questions: "A and AAAA", Unmatched: share(0, 0),
		Policies: []node.PolicyCoverage{{Policy: "Global", Sources: []string{"global"}, Share: share(1, 1)}},
		Idle:     []node.SourceCoverage{}, Shadowed: []node.SourceCoverage{},
	}}
	if diff := cmp.Diff(want, coverage, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("coverage (-want +got):\n%s", diff)
	}
}

// TestExplainWithoutPools asks for AAAA where a policy of an instance with domain pools has none: its clients are still its own.
func TestExplainWithoutPools(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "US"))
	domain := "[[pool]]\nname = \"cname\"\ntype = \"domain\"\naddresses = [\"origin.example.net\"]\n"
	n := s.start(plainHeader, static, domain, strings.Replace(geography, `["test1"]`, `["cname"]`, 1))
	e, err := n.Explain(admin.Question{Name: name, Client: inJapan, Type: "AAAA"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", answer(n, dns.TypeAAAA, inJapan), "NODATA")
	equal(t, "policy", e.Policy+e.InForce, "Japan")
	equal(t, "line", fmt.Sprint(e.Lines[0].Source, " ", e.Lines[0].Policy, " ", e.Lines[0].Chosen), "country:JP Japan true")
	equal(t, "next", fmt.Sprint(e.Lines[1].Source, " ", e.Lines[1].Policy, " ", e.Lines[1].Chosen), "global Global false")
}
