//go:build e2e

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/miekg/dns"
)

// The key of gtmd and its secondaries.
const (
	transferKey    = "transfer.gtm.test"
	transferSecret = "c2VjcmV0IG9mIGd0bWQgYW5kIGl0cyBzZWNvbmRhcmllcyE="
)

// secondary is a name server that holds the zone of gtmd.
type secondary struct {
	Name, IP, Port, Dir, Primary, PrimaryAt, Key, Secret string
}

// Address is where it answers.
func (s *secondary) Address() string { return net.JoinHostPort(s.IP, s.Port) }

// secondaryFiles are the configurations, and how each server is run with one.
var secondaryFiles = map[string]struct {
	text string
	args func(file string) []string
}{
	"knotd": {`server:
    listen: {{.IP}}@{{.Port}}
    rundir: {{.Dir}}
database:
    storage: {{.Dir}}
log:
  - target: stderr
    any: info
key:
  - id: {{.Key}}
    algorithm: hmac-sha256
    secret: {{.Secret}}
remote:
  - id: gtmd
    address: {{.PrimaryAt}}
    key: {{.Key}}
acl:
  - id: told
    key: {{.Key}}
    action: notify
zone:
  - domain: gtm.test
    storage: {{.Dir}}
    master: gtmd
    acl: told
`, func(file string) []string { return []string{"-c", file} }},
	"nsd": {`server:
    ip-address: {{.IP}}
    port: {{.Port}}
    username: ""
    zonesdir: {{.Dir}}
    database: ""
    pidfile: {{.Dir}}/nsd.pid
    xfrdfile: {{.Dir}}/xfrd.state
    xfrdir: {{.Dir}}
    zonelistfile: {{.Dir}}/zone.list
    server-count: 1
    verbosity: 2
remote-control:
    control-enable: no
key:
    name: "{{.Key}}"
    algorithm: hmac-sha256
    secret: "{{.Secret}}"
zone:
    name: gtm.test
    zonefile: gtm.test.zone
    allow-notify: 127.0.0.0/8 {{.Key}}
    request-xfr: {{.PrimaryAt}} {{.Key}}
`, func(file string) []string { return []string{"-d", "-c", file} }},
	"named": {`options {
    directory "{{.Dir}}";
    listen-on port {{.Port}} { {{.IP}}; };
    listen-on-v6 { none; };
    pid-file "{{.Dir}}/named.pid";
    session-keyfile "{{.Dir}}/session.key";
    recursion no;
    notify no;
    dnssec-validation no;
};
controls { };
key "{{.Key}}" { algorithm hmac-sha256; secret "{{.Secret}}"; };
zone "gtm.test" {
    type secondary;
    primaries { {{.PrimaryIP}} port {{.PrimaryPort}} key "{{.Key}}"; };
    allow-notify { key "{{.Key}}"; };
    file "gtm.test.db";
};
`, func(file string) []string { return []string{"-g", "-c", file} }},
}

// PrimaryIP is that of gtmd.
func (s *secondary) PrimaryIP() string { return s.Primary[:strings.LastIndexByte(s.Primary, ':')] }

// PrimaryPort is that of gtmd.
func (s *secondary) PrimaryPort() string { return portOf(s.Primary) }

// start runs the server of a secondary.
func (s *secondary) start(t *testing.T, l *lab, program string) *process {
	t.Helper()
	f := secondaryFiles[s.Name]
	file := l.write(t, filepath.Join(s.Name, s.Name+".conf"), render(t, f.text, s))
	return start(t, s.Dir, program, f.args(file)...)
}

// render fills in a text.
func render(t *testing.T, text string, data any) string {
	t.Helper()
	page, err := template.New("").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := page.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// serial is the serial number of the zone at a server; 0 while it has none.
func serial(server string) uint32 {
	client := dns.Client{Timeout: time.Second}
	m, _, err := client.Exchange(new(dns.Msg).SetQuestion("gtm.test.", dns.TypeSOA), server)
	if err != nil || len(m.Answer) != 1 {
		return 0
	}
	if soa, is := m.Answer[0].(*dns.SOA); is {
		return soa.Serial
	}
	return 0
}

// TestSecondaries has Knot, NSD and BIND take the zone from gtmd with TSIG. A failover of gtmd changes the access domain in each by
// NOTIFY: the refresh time of the zone is an hour. Neither a restart nor a crash of gtmd takes the serial number back, and the
// secondaries serve on while it is gone.
func TestSecondaries(t *testing.T) {
	programs := need(t, "knotd", "nsd", "named", "dig")
	l := newLab(t, shop)
	l.configureChain(t)
	var secondaries []*secondary
	var told []string
	for i, name := range []string{"knotd", "nsd", "named"} {
		ip := fmt.Sprintf("127.0.0.%d", 17+i)
		if name == "named" {
			ip = "127.0.0.1" // it listens on addresses of interfaces only
		}
		s := &secondary{Name: name, IP: ip, Port: freePort(t, ip), Dir: filepath.Join(l.dir, name), Primary: l.GTMD, PrimaryAt: at(l.GTMD),
			Key: transferKey, Secret: transferSecret}
		secondaries = append(secondaries, s)
		told = append(told, fmt.Sprintf("%q", s.Address()))
	}
	l.write(t, "transfer.key", transferSecret+"\n")
	text := fill(t, "chain.toml", l)
	const file = `file         = "gtm.test.zone"`
	if !strings.Contains(text, file) {
		t.Fatalf("chain.toml has no line %s", file)
	}
	l.write(t, "gtmd.toml", strings.Replace(text, file, file+fmt.Sprintf(`
transfer_to   = ["127.0.0.0/8"]
transfer_keys = [%q]
notify        = [%s]
notify_key    = %q
[[tsig_key]]
name        = %q
secret_file = "transfer.key"
`, transferKey, strings.Join(told, ", "), transferKey, transferKey), 1))
	test1 := startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startGTMD(t)
	for _, s := range secondaries {
		s.start(t, l, programs[s.Name])
	}
	all := func(what string, holds func(s *secondary) bool) time.Duration {
		t.Helper()
		begin := time.Now()
		for _, s := range secondaries {
			eventually(t, 20*time.Second, s.Name+" "+what, func() bool { return holds(s) })
		}
		return time.Since(begin)
	}
	serves := func(address string) func(s *secondary) bool {
		return func(s *secondary) bool {
			got, err := ask(s.Address(), l.access)
			return err == nil && slices.Equal(got, []string{address})
		}
	}
	all("has the zone", func(s *secondary) bool { return serial(s.Address()) != 0 })
	all("serves the primary", serves(test1IP))
	first := serial(l.GTMD)
	l.sameZone(t, secondaries)

	test1.set(t, closed)
	eventually(t, 10*time.Second, "gtmd fails over", func() bool {
		got, err := ask(l.GTMD, l.access)
		return err == nil && slices.Equal(got, []string{test2IP})
	})
	t.Logf("the secondaries had the failover %v after gtmd", all("follows the failover", serves(test2IP)))
	second := serial(l.GTMD)
	if int32(second-first) <= 0 {
		t.Errorf("serial number %d after %d", second, first)
	}
	all("has the serial number of gtmd", func(s *secondary) bool { return serial(s.Address()) == second })
	l.sameZone(t, secondaries)

	l.gtmd.end(t)
	all("serves on without gtmd", serves(test2IP))
	l.startGTMD(t)
	if again := serial(l.GTMD); again != second {
		t.Errorf("serial number %d after a restart, %d before", again, second)
	}
	l.gtmd.signal(t, syscall.SIGKILL)
	l.gtmd.ended(t, 5*time.Second)
	l.startGTMD(t)
	crashed := serial(l.GTMD)
	if int32(crashed-second) <= 0 {
		t.Errorf("serial number %d after a crash, %d before", crashed, second)
	}
	test1.set(t, serving)
	all("follows the way back after a restart", serves(test1IP))
	last := serial(l.GTMD)
	all("has the last serial number", func(s *secondary) bool { return serial(s.Address()) == last })
	l.sameZone(t, secondaries)

	for _, row := range []struct {
		name, want string
		unverified bool // dig cannot verify the reply
		args       []string
	}{
		{"AXFR without a key", "Transfer failed.", false, []string{"axfr"}},
		{"AXFR with the key", "origin.gtm.test.", false, []string{"axfr", "-y", "hmac-sha256:" + transferKey + ":" + transferSecret}},
		{"AXFR with another secret", "tsig indicates error", true, []string{"axfr", "-y", "hmac-sha256:" + transferKey + ":b3RoZXI="}},
		{"SOA with the key", "NOERROR", false, []string{"soa", "-y", "hmac-sha256:" + transferKey + ":" + transferSecret}},
		{"SOA with an unknown key", "BADKEY", true, []string{"soa", "-y", "hmac-sha256:unknown:" + transferSecret}},
	} {
		args := append([]string{"@" + gtmdIP, "-p", portOf(l.GTMD), "+tries=1", "gtm.test"}, row.args...)
		out, err := exec.Command(programs["dig"], args...).CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || !strings.Contains(string(out), row.want) ||
			strings.Contains(string(out), "Couldn't verify signature") != row.unverified {
			t.Errorf("%s: want %q (%v) in\n%s", row.name, row.want, err, out)
		}
	}
}

// sameZone asks gtmd and the secondaries for every name and type of the zone.
func (l *lab) sameZone(t *testing.T, secondaries []*secondary) {
	t.Helper()
	answer := func(server string, q dns.Question) string {
		client := dns.Client{Timeout: 2 * time.Second}
		m := new(dns.Msg).SetQuestion(q.Name, q.Qtype)
		m.RecursionDesired = false
		m, _, err := client.Exchange(m, server)
		if err != nil {
			return err.Error()
		}
		lines := []string{dns.RcodeToString[m.Rcode], fmt.Sprint("aa ", m.Authoritative)}
		section := m.Answer
		if len(section) == 0 {
			section = m.Ns
		}
		for _, rr := range section {
			lines = append(lines, strings.ToLower(rr.String()))
		}
		slices.SortFunc(lines[2:], cmp.Compare[string])
		return strings.Join(lines, "\n")
	}
	for _, q := range []dns.Question{
		{Name: "gtm.test.", Qtype: dns.TypeNS}, {Name: "gtm.test.", Qtype: dns.TypeMX}, {Name: "ns1.gtm.test.", Qtype: dns.TypeA},
		{Name: l.access + ".", Qtype: dns.TypeA}, {Name: l.access + ".", Qtype: dns.TypeAAAA}, {Name: "lines.gtm.test.", Qtype: dns.TypeA},
		{Name: "none.gtm.test.", Qtype: dns.TypeA},
	} {
		want := answer(l.GTMD, q)
		for _, s := range secondaries {
			if got := answer(s.Address(), q); got != want {
				t.Errorf("%s for %s %s:\n%s\ngtmd:\n%s", s.Name, q.Name, dns.TypeToString[q.Qtype], got, want)
			}
		}
	}
}
