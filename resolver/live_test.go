package resolver

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// live returns a resolver that asks over the network, with the servers given; the test's end closes it.
func live(t *testing.T, timeout time.Duration, names []string, servers ...netip.AddrPort) *Resolver {
	t.Helper()
	o := Options{Servers: servers, Timeout: timeout, Attempts: 10, Retry: 10 * time.Millisecond}
	r, err := New(o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	r.Set(o, names)
	if err := r.Settled(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	return r
}

// both answers A and AAAA of any name with one address each.
func both(t *testing.T) handler {
	return func(w dns.ResponseWriter, _ string, m *dns.Msg) {
		record := m.Question[0].Name + " 60 A 192.0.2.1"
		if m.Question[0].Qtype == dns.TypeAAAA {
			record = m.Question[0].Name + " 60 AAAA 2001:db8::1"
		}
		if err := w.WriteMsg(answer(t, m, record)); err != nil {
			t.Error(err)
		}
	}
}

// TestDeadServer: one that is silent and one that is gone do not keep the third from being asked.
func TestDeadServer(t *testing.T) {
	s := serve(t, both(t))
	r := live(t, time.Second, []string{www}, silent(t), closed(t), s.at)
	a := r.Answers()[www]
	if got := fmt.Sprint(a.IPv4, a.IPv6, a.Err); got != "[192.0.2.1] [2001:db8::1]" {
		t.Error(got)
	}
}

// TestRecovery: SERVFAIL at first, then addresses.
func TestRecovery(t *testing.T) {
	var well atomic.Bool
	good := both(t)
	s := serve(t, func(w dns.ResponseWriter, network string, m *dns.Msg) {
		if well.Load() {
			good(w, network, m)
			return
		}
		if err := w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure)); err != nil {
			t.Error(err)
		}
	})
	r := live(t, 30*time.Second, []string{www}, s.at)
	if got, want := r.Answers()[www].Err, fmt.Sprintf("resolve www.example.net: SERVFAIL from %v", s.at); got != want {
		t.Error(got)
	}
	<-r.Changed()
	well.Store(true)
	<-r.Changed()
	for r.Answers()[www].Err != "" { // Well for one family of the resolution that was under way.
		<-r.Changed()
	}
	if a := r.Answers()[www]; fmt.Sprint(a.IPv4, a.IPv6) != "[192.0.2.1] [2001:db8::1]" {
		t.Errorf("%+v", a)
	}
}

// TestManyNames resolves two thousand names of a real server, and leaves nothing behind.
func TestManyNames(t *testing.T) {
	s := serve(t, both(t))
	before := runtime.NumGoroutine()
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("n%d.example.net.", i))
	}
	r := live(t, 30*time.Second, names, s.at)
	answers := r.Answers()
	for _, name := range names {
		if a := answers[name]; fmt.Sprint(a.IPv4, a.IPv6, a.Err) != "[192.0.2.1] [2001:db8::1]" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	r.Close()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// TestUnbound asks a real recursive resolver, which follows the chains.
func TestUnbound(t *testing.T) {
	program, err := exec.LookPath("unbound")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/unbound"); err != nil {
			t.Skip("unbound is not installed")
		}
	}
	upstream := serve(t, func(w dns.ResponseWriter, _ string, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		reply.Authoritative = true
		soa := "example.net. 60 SOA ns.example.net. root.example.net. 1 60 60 60 60"
		records := map[string][]string{
			"www.example.net. A":     {"www.example.net. 60 CNAME edge.example.net.", "edge.example.net. 30 A 192.0.2.2", "edge.example.net. 30 A 192.0.2.1"},
			"www.example.net. AAAA":  {"www.example.net. 60 CNAME edge.example.net."},
			"edge.example.net. A":    {"edge.example.net. 30 A 192.0.2.2", "edge.example.net. 30 A 192.0.2.1"},
			"many.example.net. AAAA": {},
		}
		for i := range 60 {
			records["many.example.net. AAAA"] = append(records["many.example.net. AAAA"], fmt.Sprintf("many.example.net. 60 AAAA 2001:db8::%x", i+1))
		}
		q := m.Question[0]
		name := strings.ToLower(q.Name)
		switch {
		case name == "broken.example.net.":
			reply.Rcode = dns.RcodeServerFailure
		case name == "gone.example.net.":
			reply.Rcode = dns.RcodeNameError
		}
		reply.Answer = message(t, records[name+" "+dns.TypeToString[q.Qtype]]...).Answer
		if len(reply.Answer) == 0 {
			reply.Ns = message(t, soa).Answer
		}
		if w.LocalAddr().Network() == "udp" {
			reply.Truncate(512)
		}
		if err := w.WriteMsg(reply); err != nil {
			t.Error(err)
		}
	})
	at := runUnbound(t, program, upstream.at)

	names := []string{www, "many.example.net.", "broken.example.net.", "gone.example.net."}
	o := Options{Servers: []netip.AddrPort{at}, Timeout: 30 * time.Second}
	r, err := New(o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Set(o, names)
	if err := r.Settled(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	answers := r.Answers()
	if a := answers[www]; fmt.Sprint(a.IPv4, a.IPv6, a.Err) != "[192.0.2.1 192.0.2.2] []" || a.Next.Sub(a.Resolved) > 33*time.Second {
		t.Errorf("%+v", a)
	}
	if a := answers["many.example.net."]; len(a.IPv6) != 60 || len(a.IPv4) != 0 || a.Err != "" {
		t.Errorf("%+v", a)
	}
	for name, code := range map[string]string{"broken": "SERVFAIL", "gone": "NXDOMAIN"} {
		want := fmt.Sprintf("resolve %s.example.net: %s from %v", name, code, at)
		if a := answers[name+".example.net."]; a.Err != want || a.Known {
			t.Errorf("%+v", a)
		}
	}
}

// runUnbound runs unbound in front of one server for example.net, until the test's end.
func runUnbound(t *testing.T, program string, upstream netip.AddrPort) netip.AddrPort {
	t.Helper()
	dir := t.TempDir()
	packets, stream := listen(t)
	at := packets.LocalAddr().(*net.UDPAddr).AddrPort()
	packets.Close()
	stream.Close()
	file := filepath.Join(dir, "unbound.conf")
	text := fmt.Sprintf(`server:
  interface: 127.0.0.1@%d
  port: %d
  directory: "%s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-ip6: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
forward-zone:
  name: "example.net."
  forward-addr: %s@%d
remote-control:
  control-enable: no
`, at.Port(), at.Port(), dir, upstream.Addr(), upstream.Port())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "-d", "-c", file)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = cmd.Wait() }) // It is killed, so there is always an error.
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		running.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	for range 200 {
		conn, err := net.Dial("tcp", at.String())
		if err == nil {
			conn.Close()
			return at
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("unbound does not listen")
	return netip.AddrPort{}
}
