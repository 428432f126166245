//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
)

// service is an instance with a primary and a backup pool. One address of the primary that is down is a switch.
type service struct {
	Name, Check, Type, Failback string
	Primary, Backup             []string
	Pools                       string // more of both pools
}

// newService is a service of IPv4 addresses with one backup.
func newService(name, check, backup string, primary ...string) service {
	return service{Name: name, Check: check, Type: "ipv4", Failback: "auto", Primary: primary, Backup: []string{backup}}
}

// domain is its access domain.
func (s service) domain() string { return s.Name + ".gtm.test" }

// kind is the type of its records.
func (s service) kind() uint16 {
	if s.Type == "ipv6" {
		return dns.TypeAAAA
	}
	return dns.TypeA
}

// webCheck is the health check "web", of the origins on a port.
func webCheck(port string, interval, timeout time.Duration, fall int) string {
	return checkOf("web", "http", interval, timeout, fall, "port = "+port)
}

// checkOf is a [[health_check]].
func checkOf(name, protocol string, interval, timeout time.Duration, fall int, more ...string) string {
	return fmt.Sprintf("[[health_check]]\nname = %q\nprotocol = %q\ninterval = %q\ntimeout = %q\nfall = %d\nrise = 1\n%s\n",
		name, protocol, interval, timeout, fall, strings.Join(more, "\n"))
}

// configureServices writes gtmd.toml with some services; sections has the rest: health checks, [blind].
func (l *lab) configureServices(t *testing.T, services []service, sections ...string) {
	t.Helper()
	l.access = services[0].domain()
	l.client = overSocket(l.Socket)
	l.write(t, "gtmd.toml", fill(t, "failover.toml", map[string]any{
		"GTMD": l.GTMD, "Socket": l.Socket, "Dir": l.dir, "Sections": strings.Join(sections, "\n"), "Services": services,
	}))
}

// overSocket is a client of the admin API over its unix socket, which is there in every network namespace.
func overSocket(path string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, // else it would hold one of the descriptors that are counted
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// asker asks gtmd over one UDP socket, which stays in the network namespace that it was made in. It has one user at a time.
type asker struct {
	conn *dns.Conn
	// stall is the longest time between two answers of the last turns. What a machine that does much else takes comes on top of
	// what a fault may take.
	stall time.Duration
}

func (l *lab) asker(t *testing.T) *asker {
	t.Helper()
	conn, err := net.Dial("udp", l.GTMD)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &asker{conn: &dns.Conn{Conn: conn}}
}

// ask returns the addresses of a service, in order, or the name that it is an alias of, as one text.
func (a *asker) ask(s service) (string, error) {
	client := dns.Client{Timeout: time.Second}
	m, _, err := client.ExchangeWithConn(new(dns.Msg).SetQuestion(dns.Fqdn(s.domain()), s.kind()), a.conn)
	switch {
	case err != nil:
		return "", err
	case m.Rcode != dns.RcodeSuccess:
		return "", fmt.Errorf("the answer is %s", dns.RcodeToString[m.Rcode])
	}
	if len(m.Answer) == 1 {
		if alias, is := m.Answer[0].(*dns.CNAME); is {
			return strings.TrimSuffix(alias.Target, "."), nil
		}
	}
	return inOrder(addresses(m)), nil
}

func inOrder(addresses []string) string {
	slices.Sort(addresses)
	return strings.Join(addresses, " ")
}

// turns asks for a service every 4 ms until the answer is not the old one any more, which it returns the moment of. The
// change must be to what is wanted, and come within a time.
func (a *asker) turns(s service, old, want string, within time.Duration) (time.Time, error) {
	last := time.Now()
	a.stall = 0
	for deadline := last.Add(within); ; time.Sleep(4 * time.Millisecond) {
		got, err := a.ask(s)
		now := time.Now()
		a.stall, last = max(a.stall, now.Sub(last)), now
		switch {
		case err != nil:
			return now, fmt.Errorf("%s: %w", s.Name, err)
		case got == want:
			return now, nil
		case got != old:
			return now, fmt.Errorf("%s: the answer is %q, want %q and then %q", s.Name, got, old, want)
		case now.After(deadline):
			return now, fmt.Errorf("%s: after %v the answer is still %q", s.Name, within, got)
		}
	}
}

// switchesOf are the switches of an instance since a moment, the oldest first.
func (l *lab) switchesOf(t *testing.T, s service, since time.Time) []admin.Switch {
	t.Helper()
	var all []admin.Switch
	for _, one := range l.status(t).Switches {
		if one.Instance == s.Name && one.Time.After(since) {
			all = append(all, one)
		}
	}
	slices.Reverse(all)
	return all
}

// allUp waits until every address of some services has been probed and is up.
func (l *lab) allUp(t *testing.T) {
	t.Helper()
	what := ""
	defer func() {
		if t.Failed() {
			t.Log(what)
		}
	}()
	eventually(t, 20*time.Second, "every address is up", func() bool {
		for _, p := range l.status(t).Pools {
			for _, a := range p.Addresses {
				if a.Standing != "up" || a.LastProbe == nil {
					what = fmt.Sprintf("%s of pool %s is %s: %s", a.Address, p.Name, a.Standing, a.Reason)
					return false
				}
			}
		}
		return true
	})
}

// standing is what is known of an address of a pool.
func (l *lab) standing(t *testing.T, pool, address string) admin.AddressStatus {
	t.Helper()
	for _, p := range l.status(t).Pools {
		for _, a := range p.Addresses {
			if p.Name == pool && a.Address == address {
				return a
			}
		}
	}
	t.Fatalf("there is no address %s in pool %s", address, pool)
	return admin.AddressStatus{}
}

// size is what a process takes.
type size struct {
	descriptors int
	resident    int // octets
}

func (p *process) size(t *testing.T) size {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "statm"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text))
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return size{len(open), pages * os.Getpagesize()}
}

// times are measurements of one kind.
type times []time.Duration

// share returns the time that a share of all is at or below.
func (all times) share(p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(p*float64(len(all))), len(all)-1)].Round(time.Millisecond)
}

// String is a row of a table: number, p50, p99, max.
func (all times) String() string {
	return fmt.Sprintf("%5d %9v %9v %9v", len(all), all.share(0.5), all.share(0.99), all.share(1))
}

// count is a number from the environment, for a proof that takes longer than a change has time for.
func count(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(variable), strconv.Itoa(otherwise)))
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number above 0", variable, os.Getenv(variable))
	}
	return n
}
