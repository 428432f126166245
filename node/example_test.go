package node_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/node"
)

const example = `
[dns]
listen = ["127.0.0.1:0"]
[admin]
listen = ""
socket = ""
[[zone]]
name = "gtm.example.com"
nameservers = ["ns1.example.com"]
contact = "hostmaster@example.com"
[[pool]]
name = "test1"
type = "ipv4"
addresses = ["192.0.2.1"]
[[instance]]
name = "cdn-origin"
access_domain = "origin.gtm.example.com"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["test1"] }
`

func Example() {
	dir, err := os.MkdirTemp("", "gtmd")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	n, err := node.Start(context.Background(), node.Options{
		Name:   "gtmd.toml",
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Load: func() (*config.Config, error) {
			return config.LoadText("gtmd.toml", fmt.Appendf(nil, "[state]\ndir = %q\n%s", dir, example))
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	e, err := n.Explain(admin.Question{Name: "origin.gtm.example.com", Client: "198.51.100.0/24"})
	fmt.Println(e.Policy, e.InForce, e.Answer, err)
	// Output: Global primary [origin.gtm.example.com. 60 IN A 192.0.2.1] <nil>
}

func ExampleCheck() {
	_, err := node.Check(func() (*config.Config, error) {
		return config.LoadText("gtmd.toml", []byte("[[pool]]\nname = \"test1\"\ntype = \"ipv5\"\naddresses = []\n"))
	})
	fmt.Println(err)
	// Output:
	// gtmd.toml:3:1: type in [[pool]] "test1": "ipv5" is unknown: want "ipv4", "ipv6" or "domain"; did you mean "ipv4"?
	// gtmd.toml:4:1: addresses in [[pool]] "test1": must not be empty
}

func ExampleExplain() {
	c, err := config.LoadText("gtmd.toml", []byte(example))
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := node.Explain(c, admin.Question{Name: "nowhere.gtm.example.com"})
	fmt.Println(e.Found, e.RCode, e.Health, err)
	// Output: name that does not exist NXDOMAIN false <nil>
}
