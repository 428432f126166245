package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	const before = `
[dns]
listen = ["127.0.0.1:5300"]
[[zone]]
name = "gtm.test"
nameservers = ["ns.example.net"]
contact = "h@gtm.test"
[[health_check]]
name = "web"
protocol = "http"
headers = { X-Token = "a" }
[[pool]]
name = "a"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.1", { address = "192.0.2.2", weight = 2 }]
[[pool]]
name = "b"
type = "ipv4"
addresses = ["192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14", "192.0.2.15", "192.0.2.16"]
[[instance]]
name = "cdn-origin"
access_domain = "origin.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["a"] }
backup = { pools = ["b"] }
`
	load := func(text string) *Config {
		c, err := LoadText("gtmd.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, row := range []struct {
		pairs []string
		want  string
	}{
		{nil, ""},
		{[]string{"5300", "5301"}, `dns.listen: [127.0.0.1:5300] -> [127.0.0.1:5301]`},
		{[]string{`protocol = "http"`, "protocol = \"http\"\ninterval = \"1m\""}, `health_check "web": interval: 15s -> 1m0s`},
		{[]string{`X-Token = "a"`, `X-Token = "b", Accept = "x"`}, `health_check "web": headers: { X-Token = "***" } -> { Accept = "x", X-Token = "***" }`},
		{[]string{`weight = 2`, `weight = 3`}, `pool "a": addresses "192.0.2.2": weight: 2 -> 3`},
		{[]string{`"192.0.2.1", {`, `{`, `"192.0.2.16"]`, `"192.0.2.16", "192.0.2.17"]`}, `pool "a": addresses "192.0.2.1" removed; pool "b": addresses "192.0.2.17" added`},
		{[]string{`"192.0.2.11", "192.0.2.12"`, `"192.0.2.12", "192.0.2.11"`}, `pool "b": addresses: in another order`},
		{[]string{`pools = ["b"]`, `pools = ["b"], balance = "weight"`}, `instance "cdn-origin": policy "Global": backup 1: balance: "all" -> "weight"`},
		{[]string{`sources = ["global"]`, "sources = [\"global\"]\nfailback_delay = \"5m\""}, `instance "cdn-origin": policy "Global": failback_delay: 0s -> 5m0s`},
	} {
		after := strings.NewReplacer(row.pairs...).Replace(before)
		if diff := cmp.Diff(row.want, strings.Join(load(before).Changes(load(after)), "; ")); diff != "" {
			t.Errorf("%q: %s", row.pairs, diff)
		}
	}
}
