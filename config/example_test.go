package config_test

import (
	"fmt"

	"gtmd/config"
)

func ExampleLoad() {
	c, err := config.Load("testdata/example.toml")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, warning := range c.Warnings {
		fmt.Println(warning)
	}
	fmt.Println(c.File.Instances[0].AccessDomain, c.Pools[0].Addrs, c.CheckHost("test1"))
	// Output:
	// testdata/example.toml:10:1: line "office" is not a source of any policy
	// origin.gtm.example.com. [192.0.2.1 192.0.2.2] www.example.com
}

func ExampleLoadText() {
	_, err := config.LoadText("gtmd.toml", []byte(`
[[health_check]]
name = "web"
protocol = "htp"
intervall = 15

[[pool]]
name = "hk"
type = "ipv4"
addresses = ["192.0.2.1", "2001:db8::1"]
health_check = "wbe"
`))
	fmt.Println(err)
	// Output:
	// gtmd.toml:4:1: protocol in [[health_check]] "web": "htp" is unknown: want "http", "https", "tcp", "ping", "tls", "dns", "grpc", "script" or "push"; did you mean "http"?
	// gtmd.toml:5:1: unknown key "intervall" in [[health_check]] "web": did you mean "interval"?
	// gtmd.toml:10:27: 2001:db8::1 is an IPv6 address; pool "hk" is ipv4
	// gtmd.toml:11:1: there is no health check "wbe": did you mean "web"?
}
