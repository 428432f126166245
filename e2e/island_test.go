//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// island is an Internet of its own in one network namespace, every server on port 53 of its own addresses:
//
//	.  and  island.          NSD, on a.root.island and b.root.island
//	gtm.island, cdn.island   two gtmd with one configuration, on ns1.gtm.island and ns2.gtm.island
//	child.gtm.island         NSD, delegated by gtmd
//
// The addresses are of networks that can be routed, because tools find fault with others; nothing leaves the namespace.
type island struct {
	*internet
	Root, NS [2][2]string // of each server the IPv4 and the IPv6 address
}

// serial is that of both gtmd: with one configuration they have one zone.
const islandSerial = 2026112600

// newIsland makes the namespace and starts its authoritative servers. Zones and instances are further sections of the configuration of
// both gtmd; files are by name.
func newIsland(t *testing.T, config string, files map[string]string) *island {
	t.Helper()
	need(t, "ip", "nsd")
	if os.Geteuid() != 0 {
		if os.Getenv("GTMD_E2E_REQUIRE") == "1" {
			t.Fatal("network namespaces need root, and GTMD_E2E_REQUIRE is 1")
		}
		t.Skip("network namespaces need root")
	}
	removeStale(t)
	i := &island{
		internet: &internet{newLab(t, shop), fmt.Sprintf("%s%d-", ours, os.Getpid())},
		Root:     [2][2]string{{"47.0.1.53", "2a0c:1::53"}, {"48.0.1.53", "2a0d:1::53"}},
		NS:       [2][2]string{{"45.0.1.53", "2a0e:1::53"}, {"46.0.1.53", "2a0f:1::53"}},
	}
	t.Cleanup(func() { remove(t, i.prefix) })
	i.add(t, "island")
	for _, pair := range [][2]string{i.Root[0], i.Root[1], i.NS[0], i.NS[1]} {
		i.address(t, pair[0]+"/32")
		i.address(t, pair[1]+"/128")
	}
	for _, name := range []string{"root.zone", "island.zone", "child.zone", "hints", "nsd.conf"} {
		i.write(t, "nsd/"+name, fill(t, "island/"+name, map[string]any{"Root": i.Root, "NS": i.NS, "Dir": filepath.Join(i.dir, "nsd"), "Reverse": i.reverse(t)}))
	}
	for name, text := range files {
		i.write(t, name, text)
	}
	i.inside(t, "island", func() {
		start(t, i.dir, need(t, "nsd")["nsd"], "-d", "-c", filepath.Join(i.dir, "nsd/nsd.conf"))
		for n, ns := range i.NS {
			path := i.write(t, fmt.Sprintf("gtmd%d.toml", n), fmt.Sprintf("[dns]\nlisten = [%q, %q]\n[admin]\nlisten = \"\"\nsocket = %q\n[state]\ndir = %q\n%s",
				ns[0]+":53", "["+ns[1]+"]:53", filepath.Join(i.dir, fmt.Sprintf("admin%d.sock", n)), filepath.Join(i.dir, fmt.Sprintf("state%d", n)), config))
			start(t, i.dir, i.program, "run", "--config", path)
		}
		for _, ns := range i.NS {
			i.answers(t, net.JoinHostPort(ns[0], "53"), "origin.gtm.island")
		}
		for _, name := range []string{"a.root.island", "b.root.island"} {
			i.answers(t, net.JoinHostPort(i.Root[0][0], "53"), name)
		}
	})
	return i
}

// address gives the namespace an address, with the length of its prefix.
func (i *island) address(t *testing.T, address string) {
	t.Helper()
	nodad := ""
	if strings.Contains(address, ":") {
		nodad = " nodad"
	}
	i.ip(t, "island", "addr add "+address+" dev lo"+nodad)
}

// reverse are the names of the reverse zones of the name servers, with the hosts that they lead to.
func (i *island) reverse(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	for n, ns := range i.NS {
		for _, ip := range ns {
			name, err := dns.ReverseAddr(ip)
			if err != nil {
				t.Fatal(err)
			}
			names[name] = fmt.Sprintf("ns%d.gtm.island.", n+1)
		}
	}
	return names
}

// consult asks a server of the island; over TCP when the answer over UDP is truncated. It is called inside.
func consult(server string, m *dns.Msg) (*dns.Msg, error) {
	address := net.JoinHostPort(server, "53")
	client := dns.Client{Timeout: 5 * time.Second}
	r, _, err := client.Exchange(m, address)
	if err == nil && r.Truncated {
		client.Net = "tcp"
		r, _, err = client.Exchange(m, address)
	}
	return r, err
}
