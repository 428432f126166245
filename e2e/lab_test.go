//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
)

// The addresses of the lab. Each program has its own, with a port that was free when the lab was made.
const (
	gtmdIP      = "127.0.0.10"
	resolverIP  = "127.0.0.11"
	edgeIP      = "127.0.0.12"
	authorityIP = "127.0.0.13"
	adminIP     = "127.0.0.14"
	test1IP     = "127.0.0.2"
	test2IP     = "127.0.0.3"
)

// names are those of a chain.
type names struct {
	business string // what users ask for
	access   string // what the CDN takes as its origin
	zone     string // the zone of gtmd, which has the access domain
}

// lab is a set-up under test. Which programs run in it is up to the test.
type lab struct {
	names
	dir     string
	program string // gtmd
	gtmd    *process
	client  *http.Client // of the admin API; nil: over TCP

	GTMD, GTMD6, Admin, Resolver, Edge, Authority string // addresses with ports
	OriginPort                                    string
	Socket, Dir                                   string
}

// newLab makes a directory and chooses ports.
func newLab(t *testing.T, n names) *lab {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := &lab{names: n, dir: dir, program: program, Dir: dir, Socket: filepath.Join(dir, "admin.sock")}
	port := freePort(t, gtmdIP, "::1")
	l.GTMD, l.GTMD6 = net.JoinHostPort(gtmdIP, port), net.JoinHostPort("::1", port)
	l.Admin = net.JoinHostPort(adminIP, freePort(t, adminIP))
	l.Resolver = net.JoinHostPort(resolverIP, freePort(t, resolverIP))
	l.Edge = net.JoinHostPort(edgeIP, freePort(t, edgeIP))
	l.Authority = net.JoinHostPort(authorityIP, freePort(t, authorityIP))
	l.OriginPort = freePort(t, test1IP, test2IP)
	return l
}

// freePort finds a port that is free for UDP and TCP on all of some addresses.
func freePort(t *testing.T, ips ...string) string {
	t.Helper()
	for range 100 {
		u, err := net.ListenPacket("udp", net.JoinHostPort(ips[0], "0"))
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
		port := portOf(u.LocalAddr().String())
		if isFree(port, ips) {
			return port
		}
	}
	t.Fatalf("no port is free on all of %v", ips)
	return ""
}

func isFree(port string, ips []string) bool {
	for _, ip := range ips {
		address := net.JoinHostPort(ip, port)
		u, err := net.ListenPacket("udp", address)
		if err != nil {
			return false
		}
		u.Close()
		l, err := net.Listen("tcp", address)
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// portOf is the port of an address that has one.
func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// at writes an address as unbound wants it.
func at(address string) string {
	return address[:strings.LastIndexByte(address, ':')] + "@" + portOf(address)
}

// write writes a file of the lab and returns its path.
func (l *lab) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// fill fills in a file of testdata.
func fill(t *testing.T, name string, data any) string {
	t.Helper()
	page, err := template.ParseFiles(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := page.Option("missingkey=error").Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// configureChain writes the configuration of gtmd in the chain.
func (l *lab) configureChain(t *testing.T) {
	t.Helper()
	zone, err := os.ReadFile("testdata/gtm.test.zone")
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, "gtm.test.zone", string(zone))
	l.write(t, "gtmd.toml", fill(t, "chain.toml", l))
}

// startGTMD runs gtmd with gtmd.toml of the lab and waits until it answers.
func (l *lab) startGTMD(t *testing.T) {
	t.Helper()
	l.gtmd = start(t, l.dir, l.program, "run", "--config", filepath.Join(l.dir, "gtmd.toml"))
	l.answers(t, l.GTMD, l.access)
}

// answers waits until a server answers for a name.
func (l *lab) answers(t *testing.T, server, name string) {
	t.Helper()
	eventually(t, 15*time.Second, server+" answers for "+name, func() bool {
		got, err := ask(server, name)
		return err == nil && len(got) > 0
	})
}

// ask returns the addresses that a server answers with over UDP, within a second.
func ask(server, name string) ([]string, error) {
	client := dns.Client{Timeout: time.Second}
	m, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), server)
	if err != nil {
		return nil, err
	}
	if m.Rcode != dns.RcodeSuccess {
		return nil, fmt.Errorf("%s answers %s", server, dns.RcodeToString[m.Rcode])
	}
	return addresses(m), nil
}

// addresses are those of the A and AAAA records of an answer.
func addresses(m *dns.Msg) []string {
	var all []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			all = append(all, rr.A.String())
		case *dns.AAAA:
			all = append(all, rr.AAAA.String())
		}
	}
	return all
}

// knowsSubnets reports whether an unbound can send client subnets, which not every build can.
func knowsSubnets(t *testing.T, unbound string) bool {
	t.Helper()
	version, err := exec.Command(unbound, "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("unbound -V: %v\n%s", err, version)
	}
	return strings.Contains(string(version), "subnetcache")
}

// startResolver runs unbound. It reports whether it sends client subnets.
func (l *lab) startResolver(t *testing.T, unbound string) bool {
	t.Helper()
	subnets, modules := knowsSubnets(t, unbound), "iterator"
	if subnets {
		modules = "subnetcache iterator"
	}
	config := l.write(t, "unbound.conf", fill(t, "unbound.conf", map[string]any{
		"Dir": l.dir, "ResolverAt": at(l.Resolver), "GTMDAt": at(l.GTMD), "GTMDAddr": gtmdIP, "AuthorityAt": at(l.Authority),
		"Zone": l.zone, "Modules": modules, "Subnets": subnets,
	}))
	start(t, l.dir, unbound, "-d", "-c", config)
	l.answers(t, l.Resolver, l.business)
	return subnets
}

// startEdge runs nginx with the shipped configuration of an edge, in which only names, addresses, ports and time-outs are
// replaced.
func (l *lab) startEdge(t *testing.T, nginx string) {
	t.Helper()
	shipped, err := os.ReadFile("../deploy/nginx-edge.conf")
	if err != nil {
		t.Fatal(err)
	}
	edge := string(shipped)
	for _, r := range []struct{ old, new string }{
		{"listen 80;", "listen " + l.Edge + ";"},
		{"server_name www.example.com;", "server_name " + l.business + ";"},
		{"resolver 127.0.0.1:53 ", "resolver " + l.Resolver + " "},
		{"set $origin origin.gtm.example.com;", "set $origin " + l.access + ";"},
		{"proxy_pass http://$origin:80;", "proxy_pass http://$origin:" + l.OriginPort + ";"},
		{"proxy_set_header Host            www.example.com;", "proxy_set_header Host " + l.business + ";"},
		{"proxy_connect_timeout 2s;", "proxy_connect_timeout 500ms;"},
		{"proxy_read_timeout    10s;", "proxy_read_timeout 500ms;"},
	} {
		if n := strings.Count(edge, r.old); n != 1 {
			t.Fatalf("nginx-edge.conf has %q %d times, want once", r.old, n)
		}
		edge = strings.Replace(edge, r.old, r.new, 1)
	}
	dir := filepath.Join(l.dir, "edge")
	l.write(t, "edge/edge.conf", edge)
	config := l.write(t, "edge/nginx.conf", fill(t, "nginx.conf", l))
	start(t, dir, nginx, "-p", dir, "-c", config)
	eventually(t, 10*time.Second, "the edge listens", func() bool {
		conn, err := net.Dial("tcp", l.Edge)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// run runs a command of gtmd against the lab and returns what it prints and its exit code.
func (l *lab) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(l.program, args...)
	cmd.Dir, cmd.Env = l.dir, append(os.Environ(), "GTMD_SOCKET="+l.Socket)
	out, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatalf("gtmd %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// get returns what the admin API answers on a path.
func (l *lab) get(t *testing.T, path string) []byte {
	t.Helper()
	response, err := cmp.Or(l.client, http.DefaultClient).Get("http://" + l.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s of the admin API: %s, error %v\n%s", path, response.Status, err, text)
	}
	return text
}

// status is the status of gtmd.
func (l *lab) status(t *testing.T) admin.Status {
	t.Helper()
	var s admin.Status
	if err := json.Unmarshal(l.get(t, "/api/v1/status"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// metric adds up the samples of a metric that have all of some labels, written as in the exposition.
func (l *lab) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	sum, found := 0.0, false
samples:
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(\{.*\})? (\S+)$`).FindAllStringSubmatch(string(l.get(t, "/metrics")), -1) {
		for _, label := range labels {
			if !strings.Contains(m[1], label) {
				continue samples
			}
		}
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum, found = sum+value, true
	}
	if !found {
		t.Fatalf("no sample of metric %s%v", name, labels)
	}
	return sum
}
