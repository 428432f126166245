package admin

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Options is the [admin] section of the configuration.
type Options struct {
	// Address of the API, /metrics, /healthz and /readyz over HTTP. Without a token it is read-only but for the reports of origins on themselves (protocol push). Empty: none.
	Listen string `toml:"listen" default:"127.0.0.1:8553"`
	// Path of the unix socket that the command line uses. Empty: none.
	Socket string `toml:"socket" default:"/run/gtmd/admin.sock"`
	// File with the bearer tokens of those who ask over HTTP: lines "ROLE NAME sha256:HEX", as "gtmd token create" prints them, where the role is read or operate. When listen is not a loopback address every request must carry one; changes always must, one with the role operate. /healthz and /readyz need none, and reports of origins carry that of their health check. It is read again on a reload.
	TokenFile string `toml:"token_file"`
	// Names in the Host header of HTTP requests, beside addresses and localhost: those under which a reverse proxy or a resolver has browsers come. Other names are refused, so that no page of somebody else passes for one of this server (DNS rebinding). Empty, and reading takes a token: all names.
	Hosts []string `toml:"hosts"`
	// Whether /metrics has those of each address too. Without them a hundred thousand addresses can be scraped: pools, sets and policies are there all the same.
	AddressMetrics bool `toml:"address_metrics" default:"true"`
	// Whether /metrics has those of each policy, and of each pool, too: some thirty for a policy with a backup. Ten thousand instances make a page of tens of megabytes of them; switches are in the log and in the API all the same.
	InstanceMetrics bool `toml:"instance_metrics" default:"true"`
}

// CheckHost says what is wrong with one of Hosts.
func CheckHost(host string) error {
	if host == "" || !strings.EqualFold(host, plainHost(host)) || strings.ContainsAny(host, " /*@,") {
		return fmt.Errorf("%q is no host name: want one such as \"gtm.example.com\", without a scheme and a port", host)
	}
	return nil
}

// NeedsToken reports whether HTTP requests must carry the token of TokenFile: others than this machine can reach Listen.
// They can unless it is a loopback address, or "localhost", with a port; nobody can when it is empty.
func (o *Options) NeedsToken() bool {
	if o.Listen == "" {
		return false
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return true
	}
	if host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}
