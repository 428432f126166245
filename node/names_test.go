package node_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
)

// directory is a DNS server that says what names resolve to, or fails.
type directory struct {
	address string

	mu        sync.Mutex // guards the following
	addresses map[string][]string
	isBroken  bool
}

func startDirectory(t *testing.T) *directory {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &directory{address: conn.LocalAddr().String(), addresses: map[string][]string{}}
	server := &dns.Server{PacketConn: conn, Handler: d}
	var running sync.WaitGroup
	running.Go(func() { server.ActivateAndServe() })
	t.Cleanup(func() {
		conn.Close()
		running.Wait()
	})
	return d
}

func (d *directory) set(name string, addresses ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addresses[name] = addresses
}

func (d *directory) fail(isBroken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isBroken = isBroken
}

func (d *directory) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if d.isBroken {
		m.Rcode = dns.RcodeServerFailure
	}
	for _, text := range d.addresses[q.Question[0].Name] {
		ip := net.ParseIP(text)
		header := dns.RR_Header{Name: q.Question[0].Name, Class: dns.ClassINET, Ttl: 1}
		switch isV4 := ip.To4() != nil; {
		case d.isBroken:
		case isV4 && q.Question[0].Qtype == dns.TypeA:
			header.Rrtype = dns.TypeA
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: ip})
		case !isV4 && q.Question[0].Qtype == dns.TypeAAAA:
			header.Rrtype = dns.TypeAAAA
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: header, AAAA: ip})
		}
	}
	w.WriteMsg(m)
}

// names are the parts of a configuration with two domain pools, whose names the directory resolves.
func (d *directory) names(more string) string {
	return fmt.Sprintf(`
[resolver]
servers = ["%s"]
min_ttl = "1s"
max_ttl = "1s"
retry   = "1s"
[[pool]]
name = "test1"
type = "domain"
health_check = "web"
addresses = ["one.origin.test"]
%s
[[pool]]
name = "test2"
type = "domain"
health_check = "web"
addresses = ["two.origin.test"]
%s
`, d.address, more, more)
}

// TestDomainPool: a name is up while enough of the addresses behind it are, and is answered as a CNAME.
func TestDomainPool(t *testing.T) {
	t.Parallel()
	s, d := newSite(t, 3), startDirectory(t)
	d.set("one.origin.test.", s.origins[0].String(), s.origins[1].String())
	d.set("two.origin.test.", s.origins[2].String())
	hosts := hostsOf(t, s)
	n := s.start(strings.Replace(header, `host     = "www.shop.test"`, "", 1), d.names(""), instance)
	equal(t, "answer", answer(n, dns.TypeA, ""), "one.origin.test.")
	equal(t, "the same for every type", answer(n, dns.TypeAAAA, ""), "one.origin.test.")
	eventually(t, "one.origin.test", hosts.first)

	s.origins[0].stop()
	eventually(t, "down", func() string { return n.Status().Pools[0].Addresses[0].Checks[0].Verdict })
	equal(t, "one of two is enough", answer(n, dns.TypeA, ""), "one.origin.test.")
	s.origins[1].stop()
	eventually(t, "two.origin.test.", func() string { return answer(n, dns.TypeA, "") })
	pool := n.Status().Pools[0]
	equal(t, "resolved", fmt.Sprint(pool.Resolved[0].Name, pool.Resolved[0].Addresses), fmt.Sprintf("one.origin.test[%s %s]", s.origins[0], s.origins[1]))
	equal(t, "as the address is called", pool.Addresses[0].Address, "one.origin.test")

	// The name moves to a machine that is alive.
	d.set("one.origin.test.", s.origins[2].String())
	eventually(t, "one.origin.test.", func() string { return answer(n, dns.TypeA, "") })

	// When the name cannot be resolved any more, what was known holds.
	d.fail(true)
	eventually(t, "true", func() string { return fmt.Sprint(strings.Contains(n.Status().Pools[0].Resolved[0].Error, "SERVFAIL")) })
	equal(t, "answer", answer(n, dns.TypeA, ""), "one.origin.test.")
	equal(t, "last good answer", fmt.Sprint(n.Status().Pools[0].Resolved[0].Addresses), fmt.Sprintf("[%s]", s.origins[2]))
	n.Close()
	n = s.start(strings.Replace(header, `host     = "www.shop.test"`, "", 1), d.names(""), instance)
	equal(t, "after a restart", answer(n, dns.TypeA, ""), "one.origin.test.")
	equal(t, "last good answer", fmt.Sprint(n.Status().Pools[0].Resolved[0].Addresses), fmt.Sprintf("[%s]", s.origins[2]))
}

// hostsOf notes the Host headers that the first origin is asked for.
type hosts struct {
	mu  sync.Mutex // guards all
	all []string
}

func hostsOf(t *testing.T, s *site) *hosts {
	t.Helper()
	h := &hosts{}
	note := func(host string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, host)
	}
	s.origins[0].seen.Store(&note)
	return h
}

func (h *hosts) first() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == 0 {
		return ""
	}
	return h.all[0]
}

// TestDomainPoolMinUp wants half of the addresses behind a name.
func TestDomainPoolMinUp(t *testing.T) {
	t.Parallel()
	s, d := newSite(t, 3), startDirectory(t)
	d.set("one.origin.test.", s.origins[0].String(), s.origins[1].String())
	d.set("two.origin.test.", s.origins[2].String())
	n := s.start(header, d.names(`min_up = "100%"`), instance)
	equal(t, "answer", answer(n, dns.TypeA, ""), "one.origin.test.")
	s.origins[0].stop()
	eventually(t, "two.origin.test.", func() string { return answer(n, dns.TypeA, "") })
}

// TestFlatten answers with the addresses behind the names that are up.
func TestFlatten(t *testing.T) {
	t.Parallel()
	s, d := newSite(t, 4), startDirectory(t)
	d.set("one.origin.test.", s.origins[0].String(), s.origins[1].String())
	d.set("two.origin.test.", s.origins[2].String())
	n := s.start(header, d.names("flatten = true"), instance)
	both := s.origins[0].String() + " " + s.origins[1].String()
	equal(t, "answer", answer(n, dns.TypeA, ""), both)
	equal(t, "no IPv6 address", answer(n, dns.TypeAAAA, ""), "NODATA")
	s.origins[0].stop()
	eventually(t, s.origins[1].String(), func() string { return answer(n, dns.TypeA, "") })
	s.origins[1].stop()
	eventually(t, s.origins[2].String(), func() string { return answer(n, dns.TypeA, "") })
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: primary -> backup, failover")

	// A new address behind the name is probed before clients get it; a dead one they never get.
	d.set("one.origin.test.", "127.77.255.254", s.origins[3].String())
	eventually(t, s.origins[3].String(), func() string {
		got := answer(n, dns.TypeA, "")
		if strings.Contains(got, "127.77.255.254") {
			t.Errorf("the answer has an address that is dead: %s", got)
		}
		return got
	})
	equal(t, "back in the primary", inForce(n, 0), "primary, normal")
	equal(t, "generation grows", n.Status().Config.Generation > 2, true)

	// An override on the name holds for what is behind it.
	result := force(t, n, "down", on("One.Origin.Test"))
	equal(t, "affects", result.Affects, 2)
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[2].String())
	e, err := n.Explain(admin.Question{Name: name, Type: "A"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "explained", e.Sets[0].Members[0].Standing, "down by override")
	lift(t, n, result.ID)

	// What is no longer behind the name is not probed any more.
	d.set("one.origin.test.", s.origins[3].String())
	eventually(t, "2", func() string { return fmt.Sprint(n.TargetCount()) })
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[3].String())
}

// TestResolverDead: a start with a resolver that says nothing waits no longer than startup_wait, and serves the names.
func TestResolverDead(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d := &directory{address: silent.LocalAddr().String()}
	text := strings.Replace(header, `dir = "$DIR/state"`, "dir = \"$DIR/state\"\nstartup_wait = \"300ms\"", 1)
	begin := time.Now()
	n := s.start(text, d.names(""), instance)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the start took %v", took)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "one.origin.test.")
	equal(t, "standing", standing(n, 0), "not probed")

	// Flat, there would be nothing to answer with: the old configuration serves on.
	contains(t, s.reload(n, text, d.names("flatten = true"), instance), `instance "cdn-origin", policy "Global" (ipv4): none of its names `+
		`has an address yet, so clients that get an answer now would get none`)
	equal(t, "answer", answer(n, dns.TypeA, ""), "one.origin.test.")
	n.Close()

	// A first start has nothing else to serve.
	s.dir = t.TempDir()
	n = s.start(text, d.names("flatten = true"), instance)
	equal(t, "answer", answer(n, dns.TypeA, ""), "NODATA")
	want := "resolve one.origin.test: no answer from " + d.address + " within 2s"
	eventually(t, want, func() string { return n.Status().Pools[0].Resolved[0].Error })
}

// TestFlattenEmptied: names that lose every address of a family do not empty an answer.
func TestFlattenEmptied(t *testing.T) {
	t.Parallel()
	s, d := newSite(t, 3), startDirectory(t)
	d.set("one.origin.test.", s.origins[0].String())
	d.set("two.origin.test.", s.origins[1].String())
	n := s.start(header, d.names("flatten = true"), instance)
	d.set("one.origin.test.", "2001:db8::1")
	d.set("two.origin.test.", "2001:db8::2")
	eventually(t, "1", func() string { return fmt.Sprint(min(len(s.log.lines("names have lost their addresses")), 1)) })
	// Of the two the one that was in force last is kept: the names do not change at the same moment.
	if got := answer(n, dns.TypeA, ""); got != s.origins[0].String() && got != s.origins[1].String() {
		t.Errorf("the answer is %s", got)
	}
	d.set("one.origin.test.", s.origins[2].String())
	eventually(t, s.origins[2].String(), func() string { return answer(n, dns.TypeA, "") })
}

// TestFlattenBlackhole: an address behind a name that takes its whole timeout to fail is waited for, so that it never is
// the only answer.
func TestFlattenBlackhole(t *testing.T) {
	t.Parallel()
	s, d := newSite(t, 2), startDirectory(t)
	d.set("one.origin.test.", s.origins[0].String())
	d.set("two.origin.test.", s.origins[1].String())
	slow := strings.NewReplacer(`interval = "200ms"`, `interval = "1s"`, `timeout  = "200ms"`, `timeout  = "700ms"`,
		`dir = "$DIR/state"`, "dir = \"$DIR/state\"\nstartup_wait = \"300ms\"").Replace(header)
	n := s.start(slow, d.names("flatten = true"), instance)
	hole := hang(t, s)
	d.set("one.origin.test.", hole)
	eventually(t, s.origins[1].String(), func() string {
		got := answer(n, dns.TypeA, "")
		if got == hole {
			t.Errorf("the answer is the address that hangs")
		}
		return got
	})
}

// hang is an address at which a listener accepts, on the port of the origins, and says nothing.
func hang(t *testing.T, s *site) string {
	t.Helper()
	address := netip.AddrPortFrom(nextAddress(), s.origins[0].address.Port())
	l, err := net.Listen("tcp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return address.Addr().String()
}

// TestRestartDeadResolver: a restart with saved verdicts serves at once, whatever its resolver does.
func TestRestartDeadResolver(t *testing.T) {
	t.Parallel()
	s, d := newSite(t, 2), startDirectory(t)
	n := s.start(header, pools, instance)
	n.Close()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d.address = silent.LocalAddr().String()
	more := strings.NewReplacer(`"test1"`, `"names1"`, `"test2"`, `"names2"`).Replace(d.names("")) +
		strings.NewReplacer(`"cdn-origin"`, `"other"`, `"origin.gtm.test"`, `"other.gtm.test"`, `"test1"`, `"names1"`, `"test2"`, `"names2"`).Replace(instance)
	begin := time.Now()
	n = s.start(header, pools, instance, more)
	if took := time.Since(begin); took > 1500*time.Millisecond { // the resolver takes 4 s to give up
		t.Errorf("the start took %v", took)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
	equal(t, "answer of the names", answerFor(n, "other.gtm.test.", dns.TypeA, ""), "one.origin.test.")
}
