package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// outlineAnswers are what a configuration file is made from. The zero value of each part is: not answered.
type outlineAnswers struct {
	zone, accessDomain string
	nameservers        []string
	primary, backup    []string
	healthCheck        string
}

// access is the access domain, or the default.
func (a *outlineAnswers) access() string {
	if a.accessDomain != "" {
		return plain(a.accessDomain)
	}
	return "origin." + plain(a.zone)
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// check says what is wrong with what has been answered so far.
func (a *outlineAnswers) check() error {
	for _, name := range append([]string{a.zone, a.accessDomain}, a.nameservers...) {
		if name != "" && !isName(name) {
			return fmt.Errorf("%q is no domain name: want one such as gtm.example.com", name)
		}
	}
	if a.zone != "" && a.accessDomain != "" && !dns.IsSubDomain(dns.Fqdn(plain(a.zone)), dns.Fqdn(plain(a.accessDomain))) {
		return fmt.Errorf("%q lies outside the zone %s", a.accessDomain, plain(a.zone))
	}
	for _, origins := range [][]string{a.primary, a.backup} {
		names := 0
		for _, o := range origins {
			if _, err := netip.ParseAddr(o); err == nil {
				continue
			}
			if !isName(o) {
				return fmt.Errorf("%q is neither an address nor a domain name", o)
			}
			names++
		}
		if names > 0 && names < len(origins) {
			return fmt.Errorf("addresses and names cannot stand together in %s: an answer is one or the other", strings.Join(origins, " "))
		}
	}
	_, err := a.probe()
	return err
}

// isName reports whether a text is a domain name with a dot in it, and no address. One whose last label is a number is an address
// that is written wrongly: there is no such top-level domain (RFC 3696, section 2).
func isName(text string) bool {
	_, ok := dns.IsDomainName(text)
	labels := strings.Split(strings.TrimSuffix(text, "."), ".")
	_, err := strconv.Atoi(labels[len(labels)-1])
	return ok && err != nil && strings.Contains(strings.TrimSuffix(text, "."), ".") && !strings.ContainsAny(text, " /:\"\\")
}

// probe is the health check as options of TOML; empty: nothing is probed.
func (a *outlineAnswers) probe() (string, error) {
	text := a.healthCheck
	if text == "" {
		text = "http://" + a.access() + "/"
	}
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "none":
		return "", nil
	case "ping":
		return "protocol = \"ping\"\n", nil
	case "tcp":
		port, err := strconv.Atoi(rest)
		if err != nil || port < 1 || port > 65535 {
			return "", fmt.Errorf("%q: want a port, as in tcp:443", text)
		}
		return fmt.Sprintf("protocol = \"tcp\"\nport = %d\n", port), nil
	case "http", "https":
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return "", fmt.Errorf("%q: want a URL such as https://www.example.com/health", text)
		}
		port := map[string]string{"http": "80", "https": "443"}[kind]
		if u.Port() != "" {
			port = u.Port()
		}
		path := u.RequestURI()
		return fmt.Sprintf("protocol = %q\nport = %s\n# What is sent as Host, and with https as the name of the certificate.\nhost = %q\n"+
			"# A path that is cheap, and that fails when the origin cannot serve.\npath = %q\n", kind, port, u.Hostname(), path), nil
	}
	return "", fmt.Errorf("%q: want a URL such as https://www.example.com/health, tcp:PORT, ping or none", text)
}

// pool is a pool of the outline.
type outlinePool struct {
	name, kind string
	addresses  []string
}

// outlinePools are the pools of some origins: one for each family.
func outlinePools(name string, origins []string) (all []outlinePool) {
	byKind := map[string][]string{}
	for _, o := range origins {
		kind := "domain"
		if ip, err := netip.ParseAddr(o); err == nil {
			if kind = "ipv4"; ip.Unmap().Is6() {
				kind = "ipv6"
			}
			o = ip.Unmap().String()
		}
		byKind[kind] = append(byKind[kind], o)
	}
	for _, kind := range []string{"ipv4", "ipv6", "domain"} {
		if len(byKind[kind]) > 0 {
			all = append(all, outlinePool{name, kind, byKind[kind]})
		}
	}
	if len(all) > 1 {
		for i := range all {
			all[i].name += "-" + all[i].kind
		}
	}
	return all
}

// text is the configuration file.
func (a *outlineAnswers) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# gtmd answers %s with the addresses of origins that are healthy. Every option is in docs/options.md; "gtmd check"
# says what is wrong with this file, "gtmd diff" what a change would do, "gtmd reload" puts it in force.

[dns]
# Every address of this machine, over UDP and TCP. Name single ones where another server has port 53 on one of them.
listen = ["0.0.0.0:53", "[::]:53"]

[admin]
# The API and /metrics for this machine; the socket is for the command line.
listen = "127.0.0.1:8553"
socket = "/run/gtmd/admin.sock"

[state]
# Verdicts, overrides and the sets in force are kept here over a restart.
dir = "/var/lib/gtmd"

[[zone]]
# Delegate it: in the zone above it stand NS records with these names.
name        = %q
nameservers = [%s]
contact     = %q
# How long resolvers may remember that a name is not there, in seconds.
negative_ttl = 30
`, a.access(), plain(a.zone), quotedList(a.nameservers), "hostmaster@"+plain(a.zone))
	a.writeOrigins(&b)
	return b.String()
}

// writeOrigins writes the health check, the pools, and the instance that answers with them.
func (a *outlineAnswers) writeOrigins(b *strings.Builder) {
	probe, _ := a.probe() // it has passed its check
	if probe != "" {
		fmt.Fprintf(b, `
[[health_check]]
name = "web"
%s# An address is down after so many bad probes in a row, and up again after one good one.
interval = "5s"
timeout  = "2s"
fall     = 2
rise     = 1
`, probe)
	}
	primary, backup := outlinePools("primary", a.primary), outlinePools("backup", a.backup)
	for _, p := range append(primary, backup...) {
		check := "# Nothing probes it: it counts as available.\n"
		if probe != "" {
			check = "health_check = \"web\"\n"
		}
		fmt.Fprintf(b, "\n[[pool]]\nname = %q\ntype = %q\n%saddresses = [%s]\n", p.name, p.kind, check, quotedList(p.addresses))
	}
	fmt.Fprintf(b, `
[[instance]]
name = "cdn-origin"
# The name that the CDN takes as its origin.
access_domain = %q
# Resolvers follow a switch after at most so many seconds.
ttl = 60

[[instance.policy]]
# Everybody. Policies with other sources may stand beside it: "gtmd lines" lists them.
name    = "Global"
sources = ["global"]
primary = { pools = [%s] }
`, a.access(), poolNames(primary))
	if len(backup) > 0 {
		fmt.Fprintf(b, "# It answers while the primary has no available address.\nbackup  = { pools = [%s] }\n", poolNames(backup))
	}
}

func poolNames(pools []outlinePool) string {
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.name
	}
	return quotedList(names)
}

// quotedList writes texts as the elements of a list in TOML.
func quotedList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(strings.TrimSuffix(text, "."))
	}
	return strings.Join(quoted, ", ")
}
