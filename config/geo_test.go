package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gtmd/geo"
	"gtmd/policy"
)

// sourceError is what package geo says of a text that is no request source beside custom lines of the names given.
func sourceError(text string, names ...string) string {
	var lines []geo.LineOptions
	for _, name := range names {
		lines = append(lines, geo.LineOptions{Name: name})
	}
	_, err := geo.ParseSelector(text, lines, nil)
	return errorText(err)
}

func geoRows() []checkRow {
	return []checkRow{
		{"database twice", "[geo]\ndatabases = [\"a.mmdb\", \"b.mmdb\", \"./a.mmdb\", \"\"]", []string{
			`gtmd.toml:2:34: database "a.mmdb" is listed already as databases[0]: want it once`,
			`gtmd.toml:2:46: databases[3] in [geo]: must not be empty`}},
		{"isps", `[[geo.isp]]
name = "mine"
asns = [64500, 0, 4294967296, "AS1"]
[[geo.isp]]
name = "mine"
names = ["Mine Ltd"]
[[geo.isp]]
name = "isp:other"
asns = []
[[geo.isp]]
name = "none"
replace = true
[[geo.isp]]
name = "refused"
asns = 64500`, []string{
			`gtmd.toml:3:16: asns[1] in [[geo.isp]] "mine": 0 is out of range: want 1 to 4294967295`,
			`gtmd.toml:3:19: asns[2] in [[geo.isp]] "mine": 4294967296 is out of range: want 1 to 4294967295`,
			`gtmd.toml:3:31: asns[3] in [[geo.isp]] "mine": want an integer, not the string "AS1"`,
			`gtmd.toml:5:1: isp "mine" is already defined at gtmd.toml:2:1`,
			`gtmd.toml:7:1: isp "isp:other" has neither asns nor names: give it one of them`,
			`gtmd.toml:8:1: isp name "isp:other" has a colon: want a code such as "telecom", which sources name as "isp:telecom"`,
			`gtmd.toml:10:1: isp "none" has neither asns nor names: give it one of them`,
			`gtmd.toml:15:1: asns in [[geo.isp]] "refused": want a list of integers, not the integer 64500`}},
		{"two texts of one source", policies(`policy = [
  { name = "A", sources = ["global", "os_asia_jp", "telecom"], primary = { pools = ["p4", "p6"] } },
  { name = "B", sources = ["country:JP", "isp:telecom"], primary = { pools = ["p4", "p6"] } },
  { name = "C", sources = ["country:jp"], primary = { pools = ["p4", "p6"] } },
]`), []string{
			`gtmd.toml:27:28: source "country:JP" means the same clients as "os_asia_jp", used already for A at gtmd.toml:26:38 and AAAA at gtmd.toml:26:38: want each source once in an instance`,
			`gtmd.toml:27:42: source "isp:telecom" means the same clients as "telecom", used already for A at gtmd.toml:26:52 and AAAA at gtmd.toml:26:52: want each source once in an instance`,
			`gtmd.toml:28:28: source "country:jp" means the same clients as "os_asia_jp", used already for A at gtmd.toml:26:38 and AAAA at gtmd.toml:26:38: want each source once in an instance`}},
		{"two texts of one source, one for each family", policies(`policy = [
  { name = "A", sources = ["global", "global"], primary = { pools = ["p4"] } },
  { name = "B", sources = ["default"], primary = { pools = ["p6"] } },
  { name = "C", sources = ["global"], primary = { pools = ["p4", "p6"] } },
]`), []string{
			`gtmd.toml:26:38: source "global" is used already for A at gtmd.toml:26:28: want each source once in an instance`,
			`gtmd.toml:28:28: source "global" is used already for A at gtmd.toml:26:28: want each source once in an instance`,
			`gtmd.toml:28:28: source "global" means the same clients as "default", used already for AAAA at gtmd.toml:27:28: want each source once in an instance`}},
		{"a source that may be of an isp without a name", policies(`policy = { name = "G", sources = ["global", "isp:mine"], primary = { pools = ["p4"] } }
[[geo.isp]]
asns = [64500]`), []string{
			`gtmd.toml:26:1: missing key "name" in [[geo.isp]]`}},
		{"sources left out of what is no policy", policies("policy = [1, {}, { primary = { pools = [\"p4\"] } }]"), []string{
			`gtmd.toml:25:11: policy[0] in [[instance]] "i": want a table, not the integer 1`,
			`gtmd.toml:25:14: missing key "name" in [[instance.policy]] of [[instance]] "i"`,
			`gtmd.toml:25:14: missing key "primary" in [[instance.policy]] of [[instance]] "i"`,
			`gtmd.toml:25:18: missing key "name" in [[instance.policy]] of [[instance]] "i"`,
			`gtmd.toml:25:18: missing key "sources" in [[instance.policy]] of [[instance]] "i"`}},
		{"sources left out", policies(`policy = [
  { name = "A", primary = { pools = ["p4"] } },
  { name = "B", sources = [], primary = { pools = ["p4"] } },
  { name = "C", sources = "global", primary = { pools = ["p4"] } },
]`), []string{
			`gtmd.toml:26:3: missing key "sources" in [[instance.policy]] "A" of [[instance]] "i"`,
			`gtmd.toml:27:17: sources in [[instance.policy]] "B" of [[instance]] "i": must not be empty`,
			`gtmd.toml:28:17: sources in [[instance.policy]] "C" of [[instance]] "i": want a list of strings, not the string "global"`}},
	}
}

func geoWarnings() []checkRow {
	lines := `[[geo.line]]
name = "google"
prefixes = ["192.0.2.0/24"]
[[geo.line]]
name = "aliyun_r_cn-beijing"
prefixes = ["198.51.100.0/24"]
`
	uses := func(source string) string {
		return policies(`policy = { name = "G", sources = ["global", "` + source + `"], primary = { pools = ["p4"] } }` + "\n" + lines)
	}
	return []checkRow{
		{"a search engine is used as search", uses("search"), []string{
			`gtmd.toml:29:1: line "aliyun_r_cn-beijing" is not a source of any policy`}},
		{"a cloud region is used as its provider", uses("aliyun"), []string{
			`gtmd.toml:26:1: line "google" is not a source of any policy`}},
		{"a cloud region that the catalogue does not have is used as its provider",
			strings.ReplaceAll(uses("aliyun"), "cn-beijing", "cn-nowhere"), []string{
				`gtmd.toml:26:1: line "google" is not a source of any policy`}},
		{"global uses no line", uses("google"), []string{
			`gtmd.toml:29:1: line "aliyun_r_cn-beijing" is not a source of any policy`}},
	}
}

// sharing are lines that all have the prefix 10.0.0.0/8.
func sharing(lines ...string) string {
	var out strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&out, "[[geo.line]]\nname = %q\nprefixes = [\"10.0.0.0/8\"]\n", line)
	}
	return out.String()
}

func nearestRows() []checkRow {
	at := func(lines string) string { return pool("ipv4", "addresses = [\"192.0.2.1\"]\n"+lines) }
	return []checkRow{
		{"a prefix in lines of several ranks", sharing("office", "google", "search", "aliyun_r_cn-beijing", "aliyun"), nil},
		{"a prefix in lines of one rank", sharing("google", "office", "baidu", "lab"), []string{
			`gtmd.toml:9:13: 10.0.0.0/8 is already given at gtmd.toml:3:13: a prefix belongs to one line`,
			`gtmd.toml:12:13: 10.0.0.0/8 is already given at gtmd.toml:6:13: a prefix belongs to one line`}},
		{"a line named like one of a provider", "[[geo.isp]]\nname = \"campus\"\nasns = [64500]\n" + sharing("cn_campus_shannxi"), []string{
			`gtmd.toml:5:1: line name "cn_campus_shannxi": it is a line that gtmd takes from databases (see gtmd lines): choose another name`}},
		{"nearest: location of a place", at(`location = "JP"`), nil},
		{"nearest: no such place", at(`location = "XX"`), []string{
			`gtmd.toml:5:1: there is no place "XX": want the code of a country, such as "JP", or of a province of China, such as "CN-GD"; or latitude and longitude`}},
		{"nearest: location of a line", at(`location = "os_asia_jp"`), nil},
		{"nearest: a name", at(`location = "japan"`), []string{
			`gtmd.toml:5:1: there is no place "japan": want the code of a country, such as "JP", or of a province of China, such as "CN-GD"; or latitude and longitude; did you mean "JP"?`}},
		{"nearest: unknown keys", at(`location = { lat = 35.7, lon = 139.7 }`), []string{
			`gtmd.toml:5:14: unknown key "lat" in location of [[pool]] "p": known keys are latitude, longitude and place`,
			`gtmd.toml:5:26: unknown key "lon" in location of [[pool]] "p": known keys are latitude, longitude and place`}},
		{"nearest: location of nothing", at(`location = ""`), []string{
			`gtmd.toml:5:1: place in location in [[pool]] "p": the location says nothing: want a place such as "JP", or latitude and longitude`}},
		{"nearest: empty location", at(`[pool.location]`), []string{
			`gtmd.toml:5:1: place in location of [[pool]] "p": the location says nothing: want a place such as "JP", or latitude and longitude`}},
		{"nearest: location of a wrong type", at(`location = 35.7`), []string{
			`gtmd.toml:5:1: location in [[pool]] "p": want a string or a table, not the number 35.7`}},
		{"nearest: one coordinate", at(`location = { latitude = 35.7 }`), []string{
			`gtmd.toml:5:14: latitude in location of [[pool]] "p": the longitude is missing: want a place such as "JP", or latitude and longitude`}},
		{"nearest: the other coordinate", at(`location.longitude = 139`), []string{
			`gtmd.toml:5:10: longitude in location of [[pool]] "p": the latitude is missing: want a place such as "JP", or latitude and longitude`}},
		{"nearest: place and coordinate", at(`location = { place = "CN-GD", longitude = 113.3 }`), []string{
			`gtmd.toml:5:31: longitude in location of [[pool]] "p": the place says where the pool is: remove place, or latitude and longitude`}},
		{"nearest: coordinates out of range", at(`location = { latitude = -90.5, longitude = 181 }`), []string{
			`gtmd.toml:5:14: latitude in location of [[pool]] "p": -90.5 is out of range: want -90 to 90`,
			`gtmd.toml:5:32: longitude in location of [[pool]] "p": 181 is out of range: want -180 to 180`}},
		{"nearest: coordinates that are no numbers", at(`location = { latitude = "35.7", longitude = nan }`), []string{
			`gtmd.toml:5:14: latitude in location of [[pool]] "p": want a number, not the string "35.7"`,
			`gtmd.toml:5:33: longitude in location of [[pool]] "p": want a finite number, not NaN`}},
		{"nearest: balance of a pool", at(`balance = "nearest"`), []string{
			`gtmd.toml:5:1: balance "nearest" in pool "p": nearest chooses among the pools of a set, want another for the addresses of one pool`}},
		{"nearest: pools without location", globalPolicy(`{ pools = ["p4", "p4b", "there", "bad"], balance = "nearest", max_answers = 1 }`) + `
[[pool]]
name = "there"
type = "ipv4"
location = { latitude = 0, longitude = 0 }
addresses = ["192.0.2.1"]
[[pool]]
name = "bad"
type = "ipv4"
location = 1
addresses = ["192.0.2.1"]
`, []string{
			`gtmd.toml:25:68: pool "p4" has no location, and primary of policy "G" has balance "nearest": give the pool at gtmd.toml:5:1 one, such as location = "JP"`,
			`gtmd.toml:25:74: pool "p4b" has no location, and primary of policy "G" has balance "nearest": give the pool at gtmd.toml:9:1 one, such as location = "JP"`,
			`gtmd.toml:25:119: max_answers limits the answers of balance "all", and this is "nearest": remove it`,
			`gtmd.toml:34:1: location in [[pool]] "bad": want a string or a table, not the integer 1`}},
		{"nearest: names", globalPolicy(`{ pools = ["there", "pd"], balance = "nearest" }`) + `
[[pool]]
name = "there"
type = "domain"
location = { latitude = 0, longitude = 0 }
addresses = ["x.example.net"]`, []string{
			`gtmd.toml:25:77: pool "pd" has no location, and primary of policy "G" has balance "nearest": give the pool at gtmd.toml:17:1 one, such as location = "JP"`}},
	}
}

// TestLocation loads every way to write a location, in lists of tables, single tables and included files.
func TestLocation(t *testing.T) {
	jp, ok := geo.Locate("JP")
	if !ok {
		t.Fatal("package geo does not know where JP is")
	}
	gd, _ := geo.Locate("CN-GD")
	for _, row := range []struct {
		text string
		want *policy.Location
	}{
		{``, nil},
		{`location = "JP"`, &policy.Location{Latitude: jp.Latitude, Longitude: jp.Longitude}},
		{`location = "cn-gd"`, &policy.Location{Latitude: gd.Latitude, Longitude: gd.Longitude}},
		{`location = { place = "CN-GD" }`, &policy.Location{Latitude: gd.Latitude, Longitude: gd.Longitude}},
		{`location = { latitude = 35.7, longitude = 139 }`, &policy.Location{Latitude: 35.7, Longitude: 139}},
		{`location = { latitude = -90, longitude = -180 }`, &policy.Location{Latitude: -90, Longitude: -180}},
		{`location = { latitude = 0, longitude = 0.0 }`, &policy.Location{}},
		{"location.latitude = 1\nlocation.longitude = 2", &policy.Location{Latitude: 1, Longitude: 2}},
	} {
		c, err := LoadText("gtmd.toml", []byte(pool("ipv4", "addresses = [\"192.0.2.1\"]\n"+row.text)))
		if err != nil {
			t.Errorf("%s: %v", row.text, err)
			continue
		}
		got := policy.NewPool(*c.Pools[0].PoolOptions, nil).Location
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.text, diff)
		}
	}
}

// TestNearest loads a set whose pools have their locations in each of the forms in which a file can give them.
func TestNearest(t *testing.T) {
	write(t, `-- gtmd.toml --
include = ["a.toml", "b.toml"]
[[zone]]
name = "gtm.example.com"
nameservers = ["ns1.example.com"]
contact = "hostmaster@example.com"
[[pool]]
name = "header"
type = "ipv4"
addresses = ["192.0.2.1"]
[pool.location]
latitude = 1
longitude = 1
[[instance]]
name = "i"
access_domain = "a.gtm.example.com"
policy = { name = "G", sources = ["global"], primary = { pools = ["header", "single", "dotted"], balance = "nearest" } }
-- a.toml --
pool = { name = "single", type = "ipv4", addresses = ["192.0.2.2"], location = { latitude = 2, longitude = 2 } }
-- b.toml --
[[pool]]
name = "dotted"
type = "ipv4"
addresses = ["192.0.2.3"]
location.latitude = 3
location.longitude = 3
`)
	c, err := Load("gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.File.Instances[0].Policies[0].Primary.Balance; got != policy.BalanceNearest {
		t.Errorf("balance is %q", got)
	}
	for i, pool := range c.Pools {
		want := policy.Location{Latitude: float64(i + 1), Longitude: float64(i + 1)}
		if got := pool.Location.Point(); got == nil || *got != want {
			t.Errorf("pool %s is at %v, want %v", pool.Name, got, want)
		}
	}
}

// TestDatabases checks that the paths of databases start at the file that gives them.
func TestDatabases(t *testing.T) {
	write(t, `-- etc/gtmd.toml --
include = ["conf.d/geo.toml"]
-- etc/conf.d/geo.toml --
[geo]
databases = ["City.mmdb", "/var/lib/ASN.mmdb", "../ISP.mmdb"]
`)
	c, err := Load("etc/gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"etc/conf.d/City.mmdb", "/var/lib/ASN.mmdb", "etc/ISP.mmdb"}
	if diff := cmp.Diff(want, c.File.Geo.Databases); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"etc/gtmd.toml", "etc/conf.d/geo.toml"}, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
