package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gtmd/geo"
)

// preamble defines a zone and pools of every type for the instances of tests. It has 20 lines.
const preamble = `[[zone]]
name = "gtm.example.com"
nameservers = ["ns1.example.com"]
contact = "hostmaster@example.com"
[[pool]]
name = "p4"
type = "ipv4"
addresses = ["192.0.2.1", "192.0.2.2"]
[[pool]]
name = "p4b"
type = "ipv4"
addresses = ["198.51.100.1"]
[[pool]]
name = "p6"
type = "ipv6"
addresses = ["2001:db8::1"]
[[pool]]
name = "pd"
type = "domain"
addresses = ["origin.example.net"]
`

// policies is an instance with the lines given as its policies. Line 1 of them is line 25 of preamble+policies.
func policies(lines string) string {
	return preamble + `[[instance]]
name = "i"
access_domain = "a.gtm.example.com"
business_domains = ["www.example.com"]
` + lines
}

// globalPolicy is a policy for everybody with the primary set given.
func globalPolicy(primary string) string {
	return policies(`policy = [{ name = "G", sources = ["global"], primary = ` + primary + ` }]`)
}

// zoneWith is a zone with an option line, which is line 5.
func zoneWith(line string) string {
	return "[[zone]]\nname = \"gtm.example.com\"\nnameservers = [\"ns1.example.com\"]\ncontact = \"hostmaster@example.com\"\n" + line
}

// pool is a pool of a type with the lines given, the first of which is line 4.
func pool(kind, lines string) string {
	return "[[pool]]\nname = \"p\"\ntype = \"" + kind + "\"\n" + lines
}

// manyChecks are n health checks.
func manyChecks(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "[[health_check]]\nname = \"check %d\"\nprotocol = \"ping\"\n", i)
	}
	return out.String()
}

// checkRow is a configuration, and the exact text of what is wrong with it.
type checkRow struct {
	name, text string
	want       []string
}

// checkRows are also the seeds of FuzzLoad.
func checkRows() []checkRow {
	return slices.Concat(geoRows(), nearestRows(), latencyRows(), businessRows(), []checkRow{
		{"duplicate zone, letter case aside", zoneWith("") + "[[zone]]\nname = \"GTM.Example.COM.\"\nnameservers = [\"ns1.example.com\"]\ncontact = \"a@b.example\"", []string{
			`gtmd.toml:6:1: zone "gtm.example.com" is already defined at gtmd.toml:2:1`}},
		{"duplicate health check", "[[health_check]]\nname = \"c\"\nprotocol = \"http\"\n[[health_check]]\nname = \"c\"\nprotocol = \"ping\"", []string{
			`gtmd.toml:5:1: health check "c" is already defined at gtmd.toml:2:1`}},
		{"duplicate pool", pool("ipv4", "addresses = [\"192.0.2.1\"]\n") + pool("ipv4", "addresses = [\"192.0.2.1\"]"), []string{
			`gtmd.toml:6:1: pool "p" is already defined at gtmd.toml:2:1`}},
		{"duplicate instance and access domain", globalPolicy(`{ pools = ["p4"] }`) + `
[[instance]]
name = "i"
access_domain = "A.gtm.example.com"
policy = { name = "G", sources = ["global"], primary = { pools = ["p4"] } }`, []string{
			`gtmd.toml:27:1: instance "i" is already defined at gtmd.toml:22:1`,
			`gtmd.toml:28:1: access domain "a.gtm.example.com" is that of another instance already, at gtmd.toml:23:1: want one of its own`}},
		{"duplicate policy and source", policies(`policy = [
  { name = "G", sources = ["global"], primary = { pools = ["p4"] } },
  { name = "G", sources = ["default"], primary = { pools = ["p4", "p6"] } },
  { name = "H", sources = ["global"], primary = { pools = ["p6"] } },
]`), []string{
			`gtmd.toml:27:5: policy "G" is already defined at gtmd.toml:26:5`,
			`gtmd.toml:27:28: source "default" means the same clients as "global", used already for A at gtmd.toml:26:28: want each source once in an instance`,
			`gtmd.toml:28:28: source "global" means the same clients as "default", used already for AAAA at gtmd.toml:27:28: want each source once in an instance`}},
		{"one source for two families in two policies", policies(`policy = [
  { name = "A", sources = ["global"], primary = { pools = ["p4"] } },
  { name = "B", sources = ["default"], primary = { pools = ["p6"] } },
]`), nil},
		{"domain set: one table for all types", policies(`policy = [
  { name = "A", sources = ["global"], primary = { pools = ["p4"] } },
  { name = "B", sources = ["default"], primary = { pools = ["p6"] } },
  { name = "C", sources = ["office"], primary = { pools = ["pd"] } },
]
[[geo.line]]
name = "office"
prefixes = ["192.0.2.0/24"]`), []string{
			`gtmd.toml:27:28: source "default" means the same clients as "global", used already for all types at gtmd.toml:26:28: want each source once in an instance`}},
		{"unknown references", policies(`policy = [{ name = "G", sources = ["global", "ofice", "x"], primary = { pools = ["p4", { pool = "p7" }, "nothing"] } }]
[[geo.line]]
name = "office"
prefixes = ["192.0.2.0/24"]
[[pool]]
name = "q"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.1"]`), []string{
			`gtmd.toml:25:46: ` + sourceError("ofice", "office"),
			`gtmd.toml:25:55: ` + sourceError("x", "office"),
			`gtmd.toml:25:90: there is no pool "p7": did you mean "p4"?`,
			`gtmd.toml:25:105: there is no pool "nothing": want "p4", "p4b", "p6", "pd" or "q"`,
			`gtmd.toml:32:1: there is no health check "web": define it in [[health_check]]`}},
		{"many choices", pool("ipv4", "health_check = \"x\"\naddresses = [\"192.0.2.1\"]\n") + manyChecks(9), []string{
			`gtmd.toml:4:1: there is no health check "x": define it in [[health_check]]`}},
		{"missing values", "[[pool]]\nname = \"\"\naddresses = [\"192.0.2.1\"]\n[[instance]]\nname = \"i\"\naccess_domain = \"\"\npolicy = { name = \"G\", sources = [\"\"], primary = { pools = [\"\"] } }\n[[zone]]\nname = \"b.example\"\nnameservers = [\"\"]\ncontact = \"\"\n[[geo.line]]\nname = \"l\"\nprefixes = [true]", []string{
			`gtmd.toml:1:1: missing key "type" in [[pool]] "": want "ipv4", "ipv6" or "domain"`,
			`gtmd.toml:2:1: name in [[pool]] "": must not be empty`,
			`gtmd.toml:6:1: access_domain in [[instance]] "i": must not be empty`,
			`gtmd.toml:7:35: sources[0] in [[instance.policy]] "G" of [[instance]] "i": must not be empty`,
			`gtmd.toml:7:61: pools[0] in primary of [[instance.policy]] "G" of [[instance]] "i": must not be empty`,
			`gtmd.toml:10:16: nameservers[0] in [[zone]] "b.example": must not be empty`,
			`gtmd.toml:11:1: contact in [[zone]] "b.example": must not be empty`,
			`gtmd.toml:14:13: prefixes[0] in [[geo.line]] "l": want a prefix such as "192.0.2.0/24", not the boolean true`}},
		{"duplicate line, prefix twice, reserved and bad names", `[[geo.line]]
name = "default"
prefixes = ["192.0.2.0/24", "192.0.2.0/24"]
[[geo.line]]
name = "isp:x"
prefixes = ["192.0.2.0/24", "::ffff:192.0.2.0/120"]
[[geo.line]]
name = "isp:x"
prefixes = ["2001:db8::/32"]
[[geo.line]]
name = "tab\there"
prefixes = ["10.0.0.0/8", "10.0.0.0/16"]`, []string{
			`gtmd.toml:2:1: line name "default": ` + geo.LineNameProblem("default", nil),
			`gtmd.toml:3:29: 192.0.2.0/24 is already given at gtmd.toml:3:13: a prefix belongs to one line`,
			`gtmd.toml:5:1: line name "isp:x": ` + geo.LineNameProblem("isp:x", nil),
			`gtmd.toml:6:13: 192.0.2.0/24 is already given at gtmd.toml:3:13: a prefix belongs to one line`,
			`gtmd.toml:6:29: ::ffff:192.0.2.0/120 is an IPv4 address mapped to IPv6: want the IPv4 prefix`,
			`gtmd.toml:8:1: line "isp:x" is already defined at gtmd.toml:5:1`,
			`gtmd.toml:8:1: line name "isp:x": ` + geo.LineNameProblem("isp:x", nil),
			`gtmd.toml:11:1: line name "tab\there" has a control character: want plain text`}},
		{"long name", "[[health_check]]\nname = \"" + strings.Repeat("n", 65) + "\"\nprotocol = \"http\"", []string{
			`gtmd.toml:2:1: health check name "` + strings.Repeat("n", 65) + `" has 65 octets: want at most 64`}},

		{"addresses of the wrong type", pool("ipv4", `addresses = ["2001:db8::1", "192.0.2.1:80", "origin.example", { address = "::ffff:192.0.2.1" }]`) + "\n" + strings.Replace(pool("ipv6", `addresses = ["192.0.2.1", "fe80::1%eth0", "2001:db8::/32"]`), `"p"`, `"q"`, 1), []string{
			`gtmd.toml:4:14: 2001:db8::1 is an IPv6 address; pool "p" is ipv4`,
			`gtmd.toml:4:29: "192.0.2.1:80" is no address: want one such as "192.0.2.1", without port or prefix length`,
			`gtmd.toml:4:45: "origin.example" is no address: want one such as "192.0.2.1", without port or prefix length`,
			`gtmd.toml:4:65: ::ffff:192.0.2.1 is an IPv4 address mapped to IPv6: want "192.0.2.1" in a pool of type ipv4`,
			`gtmd.toml:8:14: 192.0.2.1 is an IPv4 address; pool "q" is ipv6`,
			`gtmd.toml:8:27: fe80::1%eth0 has a zone, which an answer cannot carry: want an address without`,
			`gtmd.toml:8:43: "2001:db8::/32" is no address: want one such as "2001:db8::1", without port or prefix length`}},
		{"addresses that are no origins, or twice", pool("ipv6", `addresses = ["::", "ff02::1", "2001:db8:0::1", "2001:db8::1"]`), []string{
			`gtmd.toml:4:14: :: is the unspecified address: want that of an origin`,
			`gtmd.toml:4:20: ff02::1 is a multicast address: want that of an origin`,
			`gtmd.toml:4:48: address "2001:db8::1" is already given at gtmd.toml:4:31: a pool has an address once`}},
		{"domain pool", pool("domain", "balance = \"all\"\nhealth_check = \"c\"\naddresses = [\"192.0.2.1\", \"a_b.example\", \"-a.example\", \"X.example\", \"x.example.\"]\n[[health_check]]\nname = \"c\"\nprotocol = \"ping\""), []string{
			`gtmd.toml:4:1: balance "all" in domain pool "p": a CNAME cannot have several values, want "weight", "sequence" or "sticky", or flatten = true`,
			`gtmd.toml:6:14: 192.0.2.1 is an IPv4 address; pool "p" is domain`,
			`gtmd.toml:6:27: "a_b.example" is no host name: want letters, digits and inner hyphens in label "a_b"`,
			`gtmd.toml:6:42: "-a.example" is no host name: want letters, digits and inner hyphens in label "-a"`,
			`gtmd.toml:6:69: address "x.example" is already given at gtmd.toml:6:56: a pool has an address once`}},

		{"several health checks", pool("ipv4", `health_check = ["c", "d", "c"]
judge = "most"
addresses = ["192.0.2.1", { address = "192.0.2.2", health_check = "e" }, { address = "192.0.2.3", health_check = ["c", 1] }]
[[health_check]]
name = "c"
protocol = "ping"`), []string{
			`gtmd.toml:4:22: there is no health check "d": want "c"`,
			`gtmd.toml:4:27: health check "c" is in this list already: want it once`,
			`gtmd.toml:5:1: judge in [[pool]] "p": "most" is no way to judge: want "all", "any", or a share such as "50%"`,
			`gtmd.toml:6:52: there is no health check "e": want "c"`,
			`gtmd.toml:6:120: health_check[1] in addresses[2] of [[pool]] "p": want a string, not the integer 1`}},
		{"options of pools that have no meaning", pool("ipv4", `flatten = true
min_up = 2
judge = "any"
slow_start = "1m"
addresses = ["192.0.2.1"]`), []string{
			`gtmd.toml:4:1: flatten in [[pool]] "p": has no meaning for a pool of type "ipv4", whose addresses are the answer already: remove it`,
			`gtmd.toml:5:1: min_up in [[pool]] "p": has no meaning for a pool of type "ipv4", only for domain: remove it`,
			`gtmd.toml:5:1: min_up in [[pool]] "p": nothing is probed: add a health_check, or remove it`,
			`gtmd.toml:6:1: judge in [[pool]] "p": judges several health checks of an address, and there is at most one: make health_check a list, or remove judge`,
			`gtmd.toml:7:1: slow_start in [[pool]] "p": nothing is probed, so nothing recovers: add a health_check, or remove it`}},
		{"flat domain pool", pool("domain", `flatten = true
balance = "all"
min_up = "50%"
health_check = "c"
addresses = ["x.example"]
[[health_check]]
name = "c"
protocol = "ping"`), []string{
			`gtmd.toml:6:1: min_up in [[pool]] "p": counts the addresses behind a name that is answered as a CNAME, and with flatten they are answered themselves: remove it, and use min_available of the set`}},
		{"flat and other pools in a set", globalPolicy(`{ pools = ["p4", "p6", "flat"], balance = "all", min_available = 9 }`) + "\n[[pool]]\nname = \"flat\"\ntype = \"domain\"\nflatten = true\naddresses = [\"x.example\"]", nil},
		{"the lowest TTL", policies("ttl = 60\nttl_min = 61\npolicy = { name = \"G\", sources = [\"global\"], primary = { pools = [\"p4\"] } }"), []string{
			`gtmd.toml:26:1: ttl_min in [[instance]] "i": 61 s is more than the ttl of 60 s: want less`}},
		{"canaries", `[blind]
canaries = ["192.0.2.1", "router", "::", "192.0.2.1"]`, []string{
			`gtmd.toml:2:1: no health check probes the canaries: set health_check to the name of one`,
			`gtmd.toml:2:26: "router" is no address: want one such as "192.0.2.1" or "2001:db8::1"`,
			`gtmd.toml:2:36: :: is the unspecified address: want that of an origin`,
			`gtmd.toml:2:42: canary 192.0.2.1 is in this list already: want it once`}},
		{"a check of no canaries", "[blind]\nhealth_check = \"x\"\nshare = 101\n[[health_check]]\nname = \"c\"\nprotocol = \"ping\"", []string{
			`gtmd.toml:2:1: there is no canary that it would probe: set canaries, or remove health_check`,
			`gtmd.toml:2:1: there is no health check "x": want "c"`,
			`gtmd.toml:3:1: share in [blind]: 101 is out of range: want 0 to 100`}},

		{"set: mixed, twice", globalPolicy(`{ pools = ["p4", "pd", "p4"] }`), []string{
			`gtmd.toml:25:59: domain pools and address pools are mixed: a set answers either a CNAME or addresses, make it two policies or two sets`,
			`gtmd.toml:25:80: pool "p4" is in this set already, as pools[0]: want it once`}},
		{"set: balance all of domains", globalPolicy(`{ pools = ["pd"], balance = "all" }`), []string{
			`gtmd.toml:25:75: balance "all" in a set of domain pools: a CNAME cannot have several values, want "weight", "sequence", "nearest" or "sticky"`}},
		{"set: max_answers without balance all", globalPolicy(`{ pools = ["p4"], balance = "sticky", max_answers = 2 }`), []string{
			`gtmd.toml:25:95: max_answers limits the answers of balance "all", and this is "sticky": remove it`}},
		{"set: threshold out of reach", globalPolicy(`{ pools = ["p4", "p4b", "p6"], min_available = 4 }`), []string{
			`gtmd.toml:25:88: min_available is 4, more than the set has ipv4 addresses: want at most 3`,
			`gtmd.toml:25:88: min_available is 4, more than the set has ipv6 addresses: want at most 1`}},
		{"set: threshold out of reach of addresses that are all offline", globalPolicy(`{ pools = ["off"], min_available = 2 }`) + "\n[[pool]]\nname = \"off\"\ntype = \"ipv4\"\naddresses = { address = \"192.0.2.1\", mode = \"offline\" }", []string{
			`gtmd.toml:25:76: min_available is 2, more than the set has ipv4 addresses: want at most 1`}},
		{"set: a share is never out of reach", globalPolicy(`{ pools = ["p4", "p4b", "p6"], min_available = "100%" }`), nil},
		{"set: threshold for each type in a joint instance", policies(`policy = [
  { name = "G", sources = ["global"], primary = { pools = ["p4", "p6"], min_available = 3 }, backup = { pools = ["pd"], min_available = 2 } }]`), []string{
			`gtmd.toml:26:73: min_available is 3, more than the set has ipv4 addresses: want at most 2`,
			`gtmd.toml:26:73: min_available is 3, more than the set has ipv6 addresses: want at most 1`,
			`gtmd.toml:26:121: min_available is 2, more than the set has domain names: want at most 1`}},
		{"switch to a backup that is not there", policies(`policy = [
  { name = "G", sources = ["global"], primary = { pools = ["p4", "p6"] }, switch = "backup" },
  { name = "H", sources = ["office"], primary = { pools = ["p4", "p6"] }, backup = { pools = ["p4b"] }, switch = "backup" },
  { name = "I", sources = ["lab"], primary = { pools = ["p4", "p6"] }, backup = { pools = ["p6"] }, switch = "backup" },
]
[[geo.line]]
name = "office"
prefixes = ["10.0.0.0/8"]
[[geo.line]]
name = "lab"
prefixes = ["10.1.0.0/16"]`), []string{
			`gtmd.toml:26:75: switch = "backup" and policy "G" has no backup: add one, or pin the policy to its primary`,
			`gtmd.toml:27:105: switch = "backup" and no backup of policy "H" has IPv6 addresses, as its primary has: add a pool of type ipv6`,
			`gtmd.toml:28:101: switch = "backup" and no backup of policy "I" has IPv4 addresses, as its primary has: add a pool of type ipv4`}},
		{"switch to the domain backup of addresses", policies(`policy = { name = "G", sources = ["global"], primary = { pools = ["p4", "p6"] }, backup = { pools = ["pd"] }, switch = "backup" }`), nil},
		{"no global policy", policies("policy = [{ name = \"O\", sources = [\"office\"], primary = { pools = [\"p4\", \"p6\"] }, fall_through = true }]\n[[geo.line]]\nname = \"office\"\nprefixes = [\"10.0.0.0/8\"]"), []string{
			`gtmd.toml:21:1: instance "i" has no policy with source "global" for A: add one, or set unmatched = "nodata"`,
			`gtmd.toml:21:1: instance "i" has no policy with source "global" for AAAA: add one, or set unmatched = "nodata"`,
			`gtmd.toml:25:83: fall_through goes on to the policy of the global source, and instance "i" has none: add one, or remove fall_through`}},
		{"no global policy, joint", policies("policy = [{ name = \"O\", sources = [\"office\"], primary = { pools = [\"pd\"] } }]\n[[geo.line]]\nname = \"office\"\nprefixes = [\"10.0.0.0/8\"]"), []string{
			`gtmd.toml:21:1: instance "i" has no policy with source "global" for all types: add one, or set unmatched = "nodata"`}},
		{"no global policy for one family", policies("policy = [{ name = \"O\", sources = [\"office\"], primary = { pools = [\"p6\"] } }, { name = \"G\", sources = [\"global\"], primary = { pools = [\"p4\"] } }]\n[[geo.line]]\nname = \"office\"\nprefixes = [\"10.0.0.0/8\"]"), []string{
			`gtmd.toml:21:1: instance "i" has no policy with source "global" for AAAA: add one, or set unmatched = "nodata"`}},
		{"no global policy, on purpose", policies("unmatched = \"nodata\"\npolicy = [{ name = \"O\", sources = [\"office\"], primary = { pools = [\"p4\"] } }]\n[[geo.line]]\nname = \"office\"\nprefixes = [\"10.0.0.0/8\"]"), nil},
		{"fall_through of the global policy", policies(`policy = { name = "G", sources = ["global"], primary = { pools = ["p4"] }, fall_through = true }`), []string{
			`gtmd.toml:25:76: fall_through goes on to the policy of the global source, and policy "G" is that one: remove it`}},

		{"access domain outside the zones", strings.Replace(globalPolicy(`{ pools = ["p4"] }`), "a.gtm.example.com", "a.example.com", 1) + "\n[[zone]]\nname = \"b.example\"\nnameservers = [\"ns1.example.com\"]\ncontact = \"a@b.example\"", []string{
			`gtmd.toml:23:1: access domain "a.example.com" lies in no zone: want a name in "gtm.example.com" or "b.example"`}},
		{"access domain without zones", "[[instance]]\nname = \"i\"\naccess_domain = \"a.example\"\npolicy = { name = \"G\", sources = [\"global\"], primary = { pools = [\"p\"] } }\n" + pool("ipv4", `addresses = ["192.0.2.1"]`), []string{
			`gtmd.toml:3:1: access domain "a.example" lies in no zone: define one in [[zone]]`}},
		{"access domain: wildcard", strings.Replace(globalPolicy(`{ pools = ["p4"] }`), "a.gtm.example.com", "*.gtm.example.com", 1), []string{
			`gtmd.toml:23:1: "*.gtm.example.com" is a wildcard: want a name of its own`}},
		{"access domain: a domain set at the apex", strings.Replace(globalPolicy(`{ pools = ["pd"] }`), "a.gtm.example.com", "gtm.example.com", 1), []string{
			`gtmd.toml:23:1: access domain "gtm.example.com" is the apex of its zone, which cannot have a CNAME, and some policy has domain pools: want a name below the apex, or pools of addresses`}},
		{"access domain: addresses at the apex", strings.Replace(globalPolicy(`{ pools = ["p4"] }`), "a.gtm.example.com", "gtm.example.com", 1), nil},
		{"access domain in a nested zone", strings.Replace(globalPolicy(`{ pools = ["p4"] }`), "a.gtm.example.com", "a.b.gtm.example.com", 1) + "\n[[zone]]\nname = \"b.gtm.example.com\"\nnameservers = [\"ns1.example.com\"]\ncontact = \"a@b.example\"", nil},
		{"names that are none", `[[zone]]
name = "a..example"
nameservers = ["ns_1.example.com", "192.0.2.53", "ns.example.", "NS.example"]
contact = "hostmaster"
[[zone]]
name = "."
nameservers = ["ns.bücher.example"]
contact = "a b@example.com"
[[zone]]
name = "` + strings.Repeat("a", 64) + `.example"
nameservers = ["` + strings.Repeat("a.", 130) + `example"]
contact = "a@b_c.example"
[[zone]]
name = "a b.example"
nameservers = ["ns.example"]
contact = "` + strings.Repeat("l", 64) + `@example.com"`, []string{
			`gtmd.toml:2:1: "a..example" is no domain name: it has an empty label`,
			`gtmd.toml:3:16: "ns_1.example.com" is no host name: want letters, digits and inner hyphens in label "ns_1"`,
			`gtmd.toml:3:36: 192.0.2.53 is an address: want a domain name such as "gtm.example.com"`,
			`gtmd.toml:3:65: "ns.example." is listed already as nameservers[2]`,
			`gtmd.toml:4:1: "hostmaster" is no mail address: want one such as "hostmaster@example.com"`,
			`gtmd.toml:6:1: "." is no domain name: want one such as "gtm.example.com"`,
			`gtmd.toml:7:16: "ns.bücher.example" is no domain name: want its ASCII form (xn--...)`,
			`gtmd.toml:8:1: "a b@example.com" is no mail address: want one such as "hostmaster@example.com"`,
			`gtmd.toml:10:1: "` + strings.Repeat("a", 64) + `.example" is no domain name: a label has 64 octets, want at most 63`,
			`gtmd.toml:11:16: "` + strings.Repeat("a.", 40) + `"... is no domain name: it has 267 octets, want at most 253`,
			`gtmd.toml:12:1: mail address "a@b_c.example": "b_c.example" is no host name: want letters, digits and inner hyphens in label "b_c"`,
			`gtmd.toml:14:1: "a b.example" is no domain name: want letters, digits and hyphens in label "a b"`,
			`gtmd.toml:16:1: mail address "` + strings.Repeat("l", 64) + `@example.com" does not fit into a SOA record: want a shorter one`}},

		{"business domain", strings.Replace(globalPolicy(`{ pools = ["p4"] }`), `"www.example.com"`, `"www.example.com", "*.example.com"`, 1), []string{
			`gtmd.toml:24:40: "*.example.com" is a wildcard: want a name of its own`}},
		{"CNAME loop", strings.Replace(globalPolicy(`{ pools = ["pd"] }`), "origin.example.net", "b.gtm.example.com", 1) + `
[[instance]]
name = "j"
access_domain = "b.gtm.example.com"
policy = { name = "G", sources = ["global"], primary = { pools = ["back"] } }
[[pool]]
name = "back"
type = "domain"
addresses = ["www.example.org", "a.gtm.example.com"]`, []string{
			`gtmd.toml:20:14: access domain "a.gtm.example.com" leads back to itself: a.gtm.example.com -> b.gtm.example.com -> a.gtm.example.com`,
			`gtmd.toml:33:33: access domain "b.gtm.example.com" leads back to itself: b.gtm.example.com -> a.gtm.example.com -> b.gtm.example.com`}},
		{"CNAME loop beside a way that leads nowhere", strings.Replace(policies("policy = { name = \"G\", sources = [\"global\"], primary = { pools = [\"pd\"] } }"), "\"origin.example.net\"", "\"c.gtm.example.com\", \"b.gtm.example.com\"", 1) + `
[[instance]]
name = "b"
access_domain = "b.gtm.example.com"
policy = { name = "G", sources = ["global"], primary = { pools = ["pb"] } }
[[instance]]
name = "c"
access_domain = "c.gtm.example.com"
policy = { name = "G", sources = ["global"], primary = { pools = ["p4"] } }
[[pool]]
name = "pb"
type = "domain"
addresses = ["c.gtm.example.com", "b.gtm.example.com"]`, []string{
			`gtmd.toml:37:35: access domain "b.gtm.example.com" leads back to itself: b.gtm.example.com -> b.gtm.example.com`}},
		{"CNAME chain without a loop", strings.Replace(globalPolicy(`{ pools = ["pd"] }`), "origin.example.net", "b.gtm.example.com", 1) + `
[[instance]]
name = "j"
access_domain = "b.gtm.example.com"
policy = { name = "G", sources = ["global"], primary = { pools = ["p4"] } }`, nil},

		{"listeners", "[dns]\nlisten = [\"127.0.0.1:53\", \"[::1]:53\", \"127.0.0.1:53\", \"127.0.0.1:0\", \"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1\"", []string{
			`gtmd.toml:2:39: 127.0.0.1:53 is listed already as listen[0]`,
			`gtmd.toml:4:1: "127.0.0.1" is no address with a port: want one such as "127.0.0.1:8553", or "" for none`}},
		{"names of a name server", "[dns]\nnsid = \"" + strings.Repeat("n", 129) + "\"\nversion = \"" + strings.Repeat("v", 256) + "\"\nidentity = \"" + strings.Repeat("i", 255) + "\"", []string{
			`gtmd.toml:2:1: nsid in [dns]: has 129 octets: want at most 128`,
			`gtmd.toml:3:1: version in [dns]: has 256 octets: want at most 255`}},
		{"rate limits", "[dns.rate_limit]\nresponses_per_second = -1\nslip = 101\nwindow = \"10ms\"\nipv4_prefix = 0\nexempt = [\"192.0.2.1/24\"]", []string{
			`gtmd.toml:2:1: responses_per_second in rate_limit of [dns]: -1 is out of range: want 0 to 100000`,
			`gtmd.toml:3:1: slip in rate_limit of [dns]: 101 is out of range: want 0 to 100`,
			`gtmd.toml:4:1: window in rate_limit of [dns]: 10ms is out of range: want 1s to 1h`,
			`gtmd.toml:5:1: ipv4_prefix in rate_limit of [dns]: 0 is out of range: want 1 to 32`,
			`gtmd.toml:6:11: exempt[0] in rate_limit of [dns]: "192.0.2.1/24" has bits set beyond its length: want "192.0.2.0/24"`}},
		{"DNS over TLS, on a plain address and twice", "[dns]\nlisten = [\"127.0.0.1:53\", \"[::]:53\"]\n[dns.tls]\nlisten = [\"127.0.0.1:53\", \"127.0.0.1:853\", \"127.0.0.1:853\", \"[::1]:53\", \"0.0.0.0:53\"]\ncertificate_file = \"tls.crt\"\nkey_file = \"tls.key\"", []string{
			`gtmd.toml:4:11: 127.0.0.1:53 has the TCP port of 127.0.0.1:53 in dns.listen: want another one, usually 853`,
			`gtmd.toml:4:44: 127.0.0.1:853 is listed already as listen[1]`,
			`gtmd.toml:4:61: [::1]:53 has the TCP port of [::]:53 in dns.listen: want another one, usually 853`,
			`gtmd.toml:4:73: 0.0.0.0:53 has the TCP port of 127.0.0.1:53 in dns.listen: want another one, usually 853`,
			`gtmd.toml:5:1: read certificate_file: stat tls.crt: no such file or directory: want PEM files of a certificate and its key`}},
		{"DNS over TLS without files", "[dns.tls]\nlisten = [\"127.0.0.1:853\"]", []string{
			`gtmd.toml:1:1: certificate_file in tls of [dns]: listen needs it: want the path of a PEM file with the certificate`,
			`gtmd.toml:1:1: key_file in tls of [dns]: listen needs it: want the path of a PEM file with the private key of the certificate`}},
		{"no DNS over TLS", "[dns.tls]\ncertificate_file = \"none\"", nil},
		{"admin beyond loopback", "[admin]\nlisten = \":8553\"", []string{
			`gtmd.toml:2:1: ":8553" is not a loopback address: set token_file, or listen on 127.0.0.1 or [::1]`}},
		{"admin port", "[admin]\nlisten = \"localhost:https\"", []string{
			`gtmd.toml:2:1: "localhost:https" is no address with a port: want one such as "127.0.0.1:8553", or "" for none`}},
		{"hosts of admin", "[admin]\nhosts = [\"gtm.example.com\", \"https://gtm.example.com\", \"gtm.example.com:8553\"]", []string{
			`gtmd.toml:2:29: "https://gtm.example.com" is no host name: want one such as "gtm.example.com", without a scheme and a port`,
			`gtmd.toml:2:56: "gtm.example.com:8553" is no host name: want one such as "gtm.example.com", without a scheme and a port`}},
		{"admin on localhost", "[admin]\nlisten = \"localhost:8553\"", nil},
		{"admin without HTTP", "[admin]\nlisten = \"\"", nil},
		{"health check checks itself", "[[health_check]]\nname = \"c\"\nprotocol = \"tcp\"\ninterval = \"1s\"", []string{
			`gtmd.toml:1:1: port in [[health_check]] "c": tcp has no port of its own: set the one to connect to, such as 443`,
			`gtmd.toml:1:1: timeout in [[health_check]] "c": 5s is longer than the interval of 1s: make it at most that`}},
		{"a name that is missing hides no reference", pool("ipv4", `addresses = ["192.0.2.1"]`) + "\n[[pool]]\nnam = \"q\"\ntype = \"ipv4\"\naddresses = [\"192.0.2.1\"]\nhealth_check = \"c\"\n[[geo.line]]\nprefixes = [\"10.0.0.0/8\"]\n[[zone]]\nnameservers = [\"ns.example\"]\ncontact = \"a@b.example\"\n[[instance]]\nname = \"i\"\naccess_domain = \"a.example\"\npolicy = { name = \"G\", sources = [\"global\", \"o\"], primary = { pools = [\"q\"] } }\n[[health_check]]\nprotocol = \"ping\"", []string{
			`gtmd.toml:5:1: missing key "name" in [[pool]]`,
			`gtmd.toml:6:1: unknown key "nam" in [[pool]]: did you mean "name"?`,
			`gtmd.toml:10:1: missing key "name" in [[geo.line]]`,
			`gtmd.toml:12:1: missing key "name" in [[zone]]`,
			`gtmd.toml:19:1: missing key "name" in [[health_check]]`}},
	})
}

func TestCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, row := range checkRows() {
		t.Run(row.name, func(t *testing.T) {
			_, err := LoadText("gtmd.toml", []byte(row.text))
			if diff := cmp.Diff(strings.Join(row.want, "\n"), errorText(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s\nin\n%s", diff, numbered(row.text))
			}
		})
	}
}

// numbered is a text with line numbers.
func numbered(text string) string {
	var out strings.Builder
	for i, line := range strings.Split(text, "\n") {
		fmt.Fprintf(&out, "%3d  %s\n", i+1, line)
	}
	return out.String()
}

func TestWarnings(t *testing.T) {
	check := "\n[[health_check]]\nname = \"web\"\nprotocol = \"https\"\n[[pool]]\nname = \"w\"\ntype = \"ipv4\"\nhealth_check = \"web\"\naddresses = [\"192.0.2.1\"]\n"
	instance := func(name, business string) string {
		return "[[instance]]\nname = \"" + name + "\"\naccess_domain = \"" + name + ".gtm.example.com\"\nbusiness_domains = [" + business +
			"]\npolicy = { name = \"G\", sources = [\"global\"], primary = { pools = [\"w\"] } }\n"
	}
	for _, row := range checkRowsOfWarnings(check, instance) {
		t.Run(row.name, func(t *testing.T) {
			c, err := LoadText("gtmd.toml", []byte(row.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range c.Warnings {
				if !strings.Contains(w.Message, "pool \"p") || !strings.Contains(w.Message, "not used") { // those of the preamble
					got = append(got, w.String())
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func checkRowsOfWarnings(check string, instance func(name, business string) string) []checkRow {
	return slices.Concat(geoWarnings(), latencyWarnings(), []checkRow{
		{"nothing is used", zoneWith("") + check + "[[geo.line]]\nname = \"office\"\nprefixes = [\"10.0.0.0/8\"]\n[[health_check]]\nname = \"other\"\nprotocol = \"ping\"", []string{
			`gtmd.toml:9:1: pool "w" is not used by any policy`,
			`gtmd.toml:14:1: line "office" is not a source of any policy`,
			`gtmd.toml:17:1: health check "other" is not used by any pool`}},
		{"long TTLs", strings.Replace(globalPolicy(`{ pools = ["p4"] }`), "contact", "negative_ttl = 301\ncontact", 1) + "\n[[instance]]\nname = \"j\"\naccess_domain = \"b.gtm.example.com\"\nttl = 600\npolicy = { name = \"G\", sources = [\"global\"], primary = { pools = [\"p4\"] } }", []string{
			`gtmd.toml:4:1: negative_ttl is 301 s: resolvers remember for as long that a name has no address, want at most 300`,
			`gtmd.toml:30:1: ttl is 600 s: a failover reaches clients as much later, want at most 300`}},
		{"a slow start that has no effect", zoneWith("") + strings.Replace(check, "addresses", "slow_start = \"1m\"\naddresses", 1) + instance("a", `"www.example.com"`), []string{
			`gtmd.toml:13:1: slow_start of pool "w" has no effect: the weights of its addresses count in none of its sets, want balance = "weight" in the pool, and in the set another than "all"`}},
		{"backup like the primary", policies(`policy = { name = "G", sources = ["global"], primary = { pools = ["p4", "p4b"] }, backup = { pools = ["p4b", "p4"] } }`), []string{
			`gtmd.toml:25:83: the backup has the same pools as the primary: it is down when the primary is`}},
		{"no host", preamble + check + instance("a", ""), []string{
			`gtmd.toml:28:1: health check "web" has no host, and no instance that uses pool "w" has a business domain: the address itself is asked for`}},
		{"several hosts", preamble + check + instance("z", "") + instance("a", `"www.example.com", "m.example.com"`) + instance("b", `"WWW.example.com"`) + instance("c", `"shop.example.com"`), []string{
			`gtmd.toml:28:1: health check "web" has no host, and pool "w" serves several business domains: www.example.com is asked for, shop.example.com not`}},
		{"a host of its own", preamble + strings.Replace(check, "\"https\"", "\"https\"\nhost = \"x.example\"", 1) + instance("a", "") + instance("b", `"b.example"`), nil},
		{"all offline", globalPolicy(`{ pools = ["off"] }`) + "\n[[pool]]\nname = \"off\"\ntype = \"ipv4\"\naddresses = { address = \"192.0.2.1\", mode = \"offline\" }", []string{
			`gtmd.toml:25:47: all ipv4 addresses of this set are offline: it is never available`}},
		{"all offline, names", globalPolicy(`{ pools = ["off"] }`) + "\n[[pool]]\nname = \"off\"\ntype = \"domain\"\naddresses = { address = \"x.example.net\", mode = \"offline\" }", []string{
			`gtmd.toml:25:47: all domain names of this set are offline: it is never available`}},
		{"threshold out of reach while some are offline", globalPolicy(`{ pools = ["p4", "p4b", "p6", "off"], min_available = 2 }, backup = { pools = ["off"], min_available = 2 }`) + `
[[pool]]
name = "off"
type = "ipv6"
addresses = ["2001:db8::2", { address = "2001:db8::3", mode = "offline" }]`, []string{
			`gtmd.toml:25:144: min_available is 2 and all but 1 of the set's 2 ipv6 addresses are offline, so the set is never available while they are offline`}},
		{"threshold out of reach in a joint instance while some are offline", globalPolicy(`{ pools = ["p4", "off"], min_available = 2 }, backup = { pools = ["offd"], min_available = 2 }`) + `
[[pool]]
name = "off"
type = "ipv6"
addresses = ["2001:db8::2", { address = "2001:db8::3", mode = "offline" }]
[[pool]]
name = "offd"
type = "domain"
addresses = ["x.example.net", { address = "y.example.net", mode = "offline" }]`, []string{
			`gtmd.toml:25:82: min_available is 2 and all but 1 of the set's 2 ipv6 addresses are offline, so the set is never available while they are offline`,
			`gtmd.toml:25:132: min_available is 2 and all but 1 of the set's 2 domain names are offline, so the set is never available while they are offline`}},
		{"a share out of reach of none", globalPolicy(`{ pools = ["off"], min_available = "100%" }`) + "\n[[pool]]\nname = \"off\"\ntype = \"ipv4\"\naddresses = [\"192.0.2.1\", { address = \"192.0.2.2\", mode = \"offline\" }]", nil},
		{"name server without address", "[[zone]]\nname = \"gtm.example.com\"\nnameservers = [\"ns1.gtm.example.com\", \"ns2.example.com\"]\ncontact = \"hostmaster@example.com\"\n", []string{
			`gtmd.toml:3:16: name server "ns1.gtm.example.com" lies in zone "gtm.example.com" and has no address there: add its A or AAAA record to the zone file`}},
		{"name server that is an access domain", strings.Replace(globalPolicy(`{ pools = ["p4"] }`), "ns1.example.com", "a.gtm.example.com", 1), nil},
	})
}
