package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/node"
)

// site is what a node needs around it: origins that can be stopped, a configuration file, a place for its log.
type site struct {
	t       *testing.T
	dir     string
	origins []*origin
	log     logs
}

// newSite starts n origins, each on an address of its own and all on one port.
func newSite(t *testing.T, n int) *site {
	t.Helper()
	// A unix socket has a short path, so the directory is not that of the test.
	dir, err := os.MkdirTemp("", "gtmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{t: t, dir: dir}
	for port := 0; len(s.origins) < n; {
		o := &origin{t: t, address: netip.AddrPortFrom(nextAddress(), uint16(port))}
		if err := o.listen(); errors.Is(err, syscall.EADDRINUSE) {
			continue // of a program that listens on every address: take the next port
		} else if err != nil {
			t.Fatal(err)
		}
		port = int(o.address.Port())
		s.origins = append(s.origins, o)
	}
	return s
}

var addresses atomic.Uint32

// nextAddress is a loopback address that no other test of this process uses.
func nextAddress() netip.Addr {
	n := addresses.Add(1)
	return netip.AddrFrom4([4]byte{127, 77, byte(n >> 8), byte(n)})
}

// origin is a web server.
type origin struct {
	t       *testing.T
	address netip.AddrPort
	server  *http.Server
	seen    atomic.Pointer[func(host string)] // called with each Host header
}

func (o *origin) listen() error {
	l, err := net.Listen("tcp", o.address.String())
	if err != nil {
		return err
	}
	o.address = l.Addr().(*net.TCPAddr).AddrPort()
	o.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen := o.seen.Load(); seen != nil {
			(*seen)(r.Host)
		}
		w.Write([]byte("ok"))
	})}
	go o.server.Serve(l)
	o.t.Cleanup(func() { o.server.Close() })
	return nil
}

func (o *origin) start() {
	o.t.Helper()
	if err := o.listen(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *origin) stop() { o.server.Close() }

func (o *origin) String() string { return o.address.Addr().String() }

// path is a path in the directory of the site.
func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// header is the part of the configuration that most tests share: sockets, state, zone and a health check called web.
const header = `
[dns]
listen  = ["127.0.0.1:0"]
workers = 1
[admin]
listen = "127.0.0.1:0"
socket = "$DIR/admin.sock"
[state]
dir = "$DIR/state"
[[zone]]
name        = "gtm.test"
nameservers = ["ns.example.net"]
contact     = "hostmaster@gtm.test"
[[health_check]]
name     = "web"
protocol = "http"
port     = $PORT
host     = "www.shop.test"
interval = "200ms"
timeout  = "200ms"
fall     = 2
`

// pools are two pools of one origin each.
const pools = `
[[pool]]
name = "test1"
type = "ipv4"
health_check = "web"
addresses = ["$0"]
[[pool]]
name = "test2"
type = "ipv4"
health_check = "web"
addresses = ["$1"]
`

// instance is an instance with one policy, which has test1 as its primary and test2 as its backup; options of the policy
// are appended.
const instance = `
[[instance]]
name = "cdn-origin"
access_domain = "origin.gtm.test"
ttl = 5
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["test1"] }
backup  = { pools = ["test2"] }
`

const name = "origin.gtm.test."

// text fills in a configuration: $0, $1 and so on are the addresses of the origins.
func (s *site) text(parts ...string) string {
	pairs := []string{"$DIR", s.dir}
	if len(s.origins) > 0 {
		pairs = append(pairs, "$PORT", fmt.Sprint(s.origins[0].address.Port()))
	}
	for i, o := range s.origins {
		pairs = append(pairs, fmt.Sprintf("$%d", i), o.String())
	}
	return strings.NewReplacer(pairs...).Replace(strings.Join(parts, ""))
}

// write replaces the configuration file.
func (s *site) write(parts ...string) {
	s.t.Helper()
	if err := os.WriteFile(s.path("gtmd.toml"), []byte(s.text(parts...)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// options run what is in the configuration file.
func (s *site) options() node.Options {
	return node.Options{
		Name: "gtmd.toml", Logger: slog.New(slog.NewTextHandler(&s.log, nil)), Version: admin.Version{Version: "1.2.3", Revision: "abc"},
		Load: func() (*config.Config, error) { return config.Load(s.path("gtmd.toml")) },
	}
}

// start runs a configuration until the end of the test.
func (s *site) start(parts ...string) *node.Node {
	s.t.Helper()
	s.write(parts...)
	n, err := node.Start(context.Background(), s.options())
	if err != nil {
		s.t.Fatalf("start: %v\nlog:\n%s", err, s.log.String())
	}
	s.t.Cleanup(n.Close)
	return n
}

// reload loads another configuration.
func (s *site) reload(n *node.Node, parts ...string) error {
	s.t.Helper()
	s.write(parts...)
	return n.Reload(context.Background())
}

// logs is a log that can be read while it is written.
type logs struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line returns the lines of the log that contain a text.
func (l *logs) lines(part string) []string {
	var all []string
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, part) {
			all = append(all, line)
		}
	}
	return all
}

// eventually waits until what is found is what is wanted.
func eventually(t *testing.T, want string, find func() string) {
	t.Helper()
	found := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if found = find(); found == want {
			return
		}
	}
	t.Fatalf("found %q at last, want %q", found, want)
}

// ask sends a query over UDP to the first address of a node.
func ask(n *node.Node, question string, qtype uint16, subnet string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(question, qtype)
	if subnet != "" {
		prefix := netip.MustParsePrefix(subnet)
		family := uint16(1)
		if prefix.Addr().Is6() {
			family = 2
		}
		opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		opt.SetUDPSize(1232)
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{
			Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(prefix.Bits()), Address: prefix.Addr().AsSlice(),
		})
		m.Extra = append(m.Extra, opt)
	}
	client := dns.Client{Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(m, n.Addresses()[0].String())
	return reply, err
}

// answer is the answer of a node as text: the values sorted, "NODATA", or the response code.
func answer(n *node.Node, qtype uint16, subnet string) string {
	return answerFor(n, name, qtype, subnet)
}

func answerFor(n *node.Node, question string, qtype uint16, subnet string) string {
	reply, err := ask(n, question, qtype, subnet)
	if err != nil {
		return err.Error()
	}
	if reply.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[reply.Rcode]
	}
	var values []string
	for _, rr := range reply.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			values = append(values, rr.A.String())
		case *dns.AAAA:
			values = append(values, rr.AAAA.String())
		case *dns.CNAME:
			values = append(values, rr.Target)
		default:
			values = append(values, rr.String())
		}
	}
	if len(values) == 0 {
		return "NODATA"
	}
	slices.Sort(values)
	return strings.Join(values, " ")
}

// inForce is the set in force of a policy of the first instance, and why.
func inForce(n *node.Node, policy int) string {
	p := n.Status().Instances[0].Policies[policy]
	return p.InForce + ", " + p.Why
}

// standing is the standing of the first address of a pool.
func standing(n *node.Node, pool int) string { return n.Status().Pools[pool].Addresses[0].Standing }

// lastSwitch is the latest switch.
func lastSwitch(n *node.Node) string {
	all := n.Status().Switches
	if len(all) == 0 {
		return "none"
	}
	s := all[0]
	return fmt.Sprintf("%s %s %s: %s -> %s, %s", s.Instance, s.Policy, s.Family, s.From, s.To, s.Why)
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// contains checks that an error has a text.
func contains(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}
