package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server"
)

// listeners checks the addresses of [dns] and [admin].
func (k *checker) listeners() {
	first := map[netip.AddrPort]int{}
	for i, listen := range k.config.File.DNS.Listen {
		if j, ok := first[listen]; ok && listen.Port() != 0 {
			k.errorf(element("dns.listen", i), "%s is listed already as listen[%d]", listen, j)
			continue
		}
		first[listen] = i
	}
	for i, listen := range k.config.File.DNS.TLS.Listen {
		path := element("dns.tls.listen", i)
		if other := server.Clash(listen, k.config.File.DNS.Listen); other.IsValid() {
			k.errorf(path, "%s has the TCP port of %s in dns.listen: want another one, usually 853", listen, other)
		} else if j := slices.Index(k.config.File.DNS.TLS.Listen, listen); j < i {
			k.errorf(path, "%s is listed already as listen[%d]", listen, j)
		}
	}
	api := &k.config.File.Admin
	for i, host := range api.Hosts {
		if err := admin.CheckHost(host); err != nil {
			k.errorf(element("admin.hosts", i), "%v", err)
		}
	}
	if api.Listen == "" {
		return
	}
	_, port, err := net.SplitHostPort(api.Listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		k.errorf("admin.listen", "%s is no address with a port: want one such as \"127.0.0.1:8553\", or \"\" for none", quote(api.Listen))
		return
	}
	if api.NeedsToken() && api.TokenFile == "" {
		k.errorf("admin.listen", "%s is not a loopback address: set token_file, or listen on 127.0.0.1 or [::1]", quote(api.Listen))
	}
}

// files makes the paths in options lead to their files from the working directory, and checks those of secrets.
func (k *checker) files() {
	if log := &k.config.File.DNS.QueryLog; log.File != "-" {
		k.resolve(&log.File, "dns.query_log.file")
	}
	k.resolve(&k.config.File.DNS.Dnstap.Socket, "dns.dnstap.socket")
	k.cookieSecrets()
	k.checkCertificate(&k.config.File.DNS.TLS)
	api := &k.config.File.Admin
	if api.TokenFile == "" {
		return
	}
	k.resolve(&api.TokenFile, "admin.token_file")
	k.checkTokens(api.TokenFile)
}

// checkTokens checks the tokens of the admin API.
func (k *checker) checkTokens(file string) {
	tokens, err := admin.ReadTokens(file)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			k.errorf("admin.token_file", "%s", strings.TrimSpace(line))
		}
		return
	}
	for _, warning := range tokens.Warnings {
		k.warnf("admin.token_file", "%s", warning)
	}
}

// cookieSecrets checks the secrets of DNS cookies.
func (k *checker) cookieSecrets() {
	const key = "dns.cookies.secret_file"
	file := &k.config.File.DNS.Cookies.SecretFile
	if *file == "" {
		return
	}
	k.resolve(file, key)
	text, err := readSecret(*file)
	if err != nil {
		k.errorf(key, "%v", err)
	} else if err := server.CheckCookieSecrets(text); err != nil {
		k.errorf(key, "%s: %v", *file, err)
	}
}

// checkCertificate checks the certificate of DNS over TLS, where that is listened for.
func (k *checker) checkCertificate(o *server.TLSOptions) {
	if len(o.Listen) == 0 || o.CertificateFile == "" || o.KeyFile == "" {
		return
	}
	k.resolve(&o.CertificateFile, "dns.tls.certificate_file")
	k.resolve(&o.KeyFile, "dns.tls.key_file")
	pair, err := o.Certificate()
	if err != nil {
		k.errorf("dns.tls.certificate_file", "%v: want PEM files of a certificate and its key", err)
	} else if end := pair.Leaf.NotAfter; end.Before(time.Now()) {
		k.warnf("dns.tls.certificate_file", "the certificate ended on %s: clients that check it refuse it", end.UTC().Format(time.DateOnly))
	}
}

// readSecret reads a small regular file that is not to become a part of the hash.
func readSecret(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("read %s: not a regular file", name)
	}
	content, err := os.ReadFile(name)
	return string(content), err
}

// resolve makes a path relative to the file that gives it lead there from the working directory.
func (k *checker) resolve(name *string, path string) {
	*name = beside(k.config.merged.locate(path).doc.name, *name)
}

// checkHealthChecks checks the names of health checks and resolves their files.
func (k *checker) checkHealthChecks() {
	checks := k.config.File.HealthChecks
	names := make([]string, len(checks))
	for i := range checks {
		at := element("health_check", i)
		names[i] = checks[i].Name
		k.checkName(at+".name", "health check", checks[i].Name)
		k.resolve(&checks[i].CAFile, at+".ca_file")
		k.resolve(&checks[i].CertFile, at+".cert_file")
		k.resolve(&checks[i].KeyFile, at+".key_file")
		k.resolve(&checks[i].TokenFile, at+".token_file")
	}
	k.checks = k.unique("health check", names, func(i int) string { return element("health_check", i) + ".name" })
}

// checkBlind checks the canaries, and makes their addresses canonical.
func (k *checker) checkBlind() {
	blind := &k.config.File.Blind
	if blind.HealthCheck != "" {
		k.lookup(k.checks, "health check", "[[health_check]]", blind.HealthCheck, "blind.health_check")
		if len(blind.Canaries) == 0 {
			k.errorf("blind.health_check", "there is no canary that it would probe: set canaries, or remove health_check")
		}
		if i, ok := k.checks.first[blind.HealthCheck]; ok && k.config.File.HealthChecks[i].Protocol == healthcheck.Push {
			k.errorf("blind.health_check", "health check %s has protocol \"push\", which does not show whether this server sees anything: want one that goes out",
				quote(blind.HealthCheck))
		}
	}
	for i := range blind.Canaries {
		path := element("blind.canaries", i)
		address, err := netip.ParseAddr(blind.Canaries[i])
		switch {
		case err != nil:
			k.errorf(path, "%s is no address: want one such as \"192.0.2.1\" or \"2001:db8::1\"", quote(blind.Canaries[i]))
			continue
		case unfit(address) != "":
			k.errorf(path, "%s %s", address, unfit(address))
			continue
		case blind.HealthCheck == "" && i == 0:
			k.errorf("blind.canaries", "no health check probes the canaries: set health_check to the name of one")
		}
		blind.Canaries[i] = address.String()
		if slices.Contains(blind.Canaries[:i], blind.Canaries[i]) {
			k.errorf(path, "canary %s is in this list already: want it once", address)
		}
	}
}

// checkHosts finds the host that the health check of each pool asks for when its template names none, and warns where
// there is no such host, or where it is the business domain of one instance of several.
func (k *checker) checkHosts() {
	file := &k.config.File
	domains := map[string][]string{} // first business domains of the instances that use a pool, in file order
	used := map[string]bool{}
	for i := range file.Instances {
		instance := &file.Instances[i]
		for pool := range members(instance) {
			used[pool] = true
			if len(instance.BusinessDomains) == 0 {
				continue
			}
			if domain := plainName(instance.BusinessDomains[0]); !slices.Contains(domains[pool], domain) {
				domains[pool] = append(domains[pool], domain)
			}
		}
	}
	k.config.hosts = map[string]string{}
	for pool, of := range domains {
		k.config.hosts[pool] = of[0]
	}
	for i := range file.Pools {
		pool := &file.Pools[i]
		name := ""
		for _, check := range checksOf(pool) {
			if j, ok := k.checks.first[check]; ok && isHTTP(file.HealthChecks[j].Protocol) && file.HealthChecks[j].Host == "" {
				name = check
				break
			}
		}
		if name == "" || pool.Type == policy.TypeDomain { // whose names are the hosts
			continue
		}
		path := element("pool", i) + ".health_check"
		switch of := domains[pool.Name]; {
		case used[pool.Name] && len(of) == 0:
			k.warnf(path, "health check %s has no host, and no instance that uses pool %s has a business domain: the address itself is asked for",
				quote(name), quote(pool.Name))
		case len(of) > 1:
			k.warnf(path, "health check %s has no host, and pool %s serves several business domains: %s is asked for, %s not",
				quote(name), quote(pool.Name), of[0], enumerate(of[1:], "and"))
		}
	}
}

// isHTTP tells whether a probe sends a Host header.
func isHTTP(p healthcheck.Protocol) bool {
	return p == healthcheck.HTTP || p == healthcheck.HTTPS
}
