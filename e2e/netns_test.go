//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// internet is a lab of network namespaces:
//
//	gtmd 10.1.0.2 -- up0 [router] net0 -- 10.2.0.0/24, origins
//	                              net1 -- 10.2.1.0/24, origins
//	                              ...
//
// Each network is a namespace, and so are gtmd and the router. Network n has fd00:2:n+1::/48, too, and gtmd fd00:1::2. Queries are
// sent on the loopback of gtmd's namespace, which no fault of its uplink reaches.
type internet struct {
	*lab
	prefix string // of the names of namespaces
}

// ours is how the names of namespaces and disks of these tests begin; the ID of the process that made them comes next.
const ours = "gtmd-e2e-"

// newInternet makes the namespaces and removes them when the test ends.
func newInternet(t *testing.T, networks int) *internet {
	t.Helper()
	need(t, "ip", "nft")
	if os.Geteuid() != 0 {
		if os.Getenv("GTMD_E2E_REQUIRE") == "1" {
			t.Fatal("network namespaces need root, and GTMD_E2E_REQUIRE is 1")
		}
		t.Skip("network namespaces need root")
	}
	removeStale(t)
	n := &internet{newLab(t, shop), fmt.Sprintf("%s%d-", ours, os.Getpid())}
	t.Cleanup(func() { remove(t, n.prefix) })
	n.add(t, "router")
	n.add(t, "gtmd")
	n.inside(t, "router", func() {
		for name, value := range map[string]string{
			"ipv4/ip_forward":          "1",
			"ipv6/conf/all/forwarding": "1",
			// A link that goes down and up again has its IPv6 addresses still, and every rejection is told.
			"ipv6/conf/all/keep_addr_on_down": "1",
			"ipv4/icmp_ratelimit":             "0",
			"ipv6/icmp/ratelimit":             "0",
		} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
				t.Fatal(err)
			}
		}
	})
	n.link(t, "gtmd", "up0", "10.1.0", "fd00:1:0:")
	for i := range networks {
		n.add(t, network(i))
		n.link(t, network(i), network(i), fmt.Sprintf("10.2.%d", i), fmt.Sprintf("fd00:2:%d:", i+1))
	}
	return n
}

// network is the name of a network, and of the router's interface to it.
func network(i int) string { return fmt.Sprintf("net%d", i) }

// removeStale removes the namespaces and unmounts the disks that runs which were killed have left behind.
func removeStale(t *testing.T) {
	t.Helper()
	entries, _ := os.ReadDir("/run/netns") // missing: there is none
	for _, e := range entries {
		if isStale(e.Name()) {
			remove(t, e.Name())
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); isStale(fields[0]) {
			if err := unix.Unmount(fields[1], 0); err != nil {
				t.Errorf("unmount %s: %v", fields[1], err)
			}
		}
	}
}

// isStale reports whether something is named as ours and its process is gone.
func isStale(name string) bool {
	rest, is := strings.CutPrefix(name, ours)
	pid, _, _ := strings.Cut(rest, "-")
	_, err := os.Stat(filepath.Join("/proc", pid))
	return is && os.IsNotExist(err)
}

// remove deletes the namespaces with a prefix, and with them their links.
func remove(t *testing.T, prefix string) {
	t.Helper()
	all, err := filepath.Glob("/run/netns/" + prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if out, err := exec.Command("ip", "netns", "del", filepath.Base(path)).CombinedOutput(); err != nil {
			t.Errorf("ip netns del %s: %v\n%s", filepath.Base(path), err, out)
		}
	}
}

// add makes a namespace with a loopback.
func (n *internet) add(t *testing.T, name string) {
	t.Helper()
	n.command(t, "ip", "netns", "add", n.prefix+name)
	n.ip(t, name, "link set lo up")
}

// link joins a namespace with the router: eth0 there is an interface of some name here. The router has address 1 of the /24 and
// the /64, the other side 2; it sends everything to the router.
func (n *internet) link(t *testing.T, name, at, net4, net6 string) {
	t.Helper()
	n.ip(t, "router", fmt.Sprintf("link add %s type veth peer name eth0 netns %s", at, n.prefix+name))
	n.ip(t, "router", fmt.Sprintf("addr add %s.1/24 dev %s", net4, at))
	n.ip(t, "router", fmt.Sprintf("addr add %s:1/64 dev %s nodad", net6, at))
	n.ip(t, "router", "link set "+at+" up")
	n.address(t, name, net4+".2", net6+":2")
	n.ip(t, name, "link set eth0 up")
	n.ip(t, name, "route add default via "+net4+".1")
	n.ip(t, name, "route add default via "+net6+":1")
}

// address gives a namespace more addresses.
func (n *internet) address(t *testing.T, name string, ips ...string) {
	t.Helper()
	for _, ip := range ips {
		if strings.Contains(ip, ":") {
			n.ip(t, name, "addr add "+ip+"/64 dev eth0 nodad")
		} else {
			n.ip(t, name, "addr add "+ip+"/24 dev eth0")
		}
	}
}

// ip runs ip(8) in a namespace.
func (n *internet) ip(t *testing.T, name, args string) {
	t.Helper()
	n.command(t, "ip", append([]string{"-n", n.prefix + name}, strings.Fields(args)...)...)
}

// rules makes the router treat packets that it forwards by some rules of nft, in place of those before. None: it forwards all.
func (n *internet) rules(t *testing.T, rules ...string) {
	t.Helper()
	script := "table inet e2e {}\ndelete table inet e2e\n"
	if len(rules) > 0 {
		script += "table inet e2e { chain forward { type filter hook forward priority 0; " + strings.Join(rules, "; ") + "; }; }\n"
	}
	n.inside(t, "router", func() {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("nft: %v\n%s\n%s", err, out, script)
		}
	})
}

func (n *internet) command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// inside runs f in a namespace: what f opens and starts, in its own goroutine, stays there.
func (n *internet) inside(t *testing.T, name string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := os.Open(filepath.Join("/run/netns", n.prefix+name))
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatalf("enter namespace %s: %v", name, err)
	}
	defer func() {
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Fatalf("leave namespace %s: %v", name, err) // locked: the thread ends with its goroutine
		}
		runtime.UnlockOSThread()
	}()
	f()
}

// origins starts an origin on each address of a network that services name, and gives the network those that it has not yet.
func (n *internet) origins(t *testing.T, services []service) map[string]*origin {
	t.Helper()
	all := map[string]*origin{}
	for _, s := range services {
		for _, ip := range append(append([]string{}, s.Primary...), s.Backup...) {
			if all[ip] != nil {
				continue
			}
			name := networkOf(t, ip)
			n.address(t, name, ip)
			n.inside(t, name, func() { all[ip] = startOrigin(t, ip, net.JoinHostPort(ip, n.OriginPort), n.business) })
			all[ip].inside = func(f func()) { n.inside(t, name, f) }
		}
	}
	return all
}

// networkOf is the network of an address of an origin: 10.2.n.x or fd00:2:n+1::x.
func networkOf(t *testing.T, ip string) string {
	t.Helper()
	fields := strings.FieldsFunc(ip, func(r rune) bool { return r == '.' || r == ':' })
	i, err := strconv.Atoi(fields[2])
	if err != nil {
		t.Fatalf("%s is in no network of the lab", ip)
	}
	if strings.Contains(ip, ":") {
		i--
	}
	return network(i)
}

// begin starts gtmd in its namespace and waits until all origins are up.
func (n *internet) begin(t *testing.T) (a *asker) {
	t.Helper()
	n.inside(t, "gtmd", func() {
		n.startGTMD(t)
		a = n.asker(t)
	})
	n.allUp(t)
	return a
}
