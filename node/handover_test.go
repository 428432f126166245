package node_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/handover"
	"gtmd/node"
)

// fixed is a header with ports that were free a moment ago, so that two nodes can ask for the same.
func fixed(t *testing.T) string {
	t.Helper()
	ip := nextAddress().String()
	u, err := net.ListenPacket("udp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	api, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	return strings.NewReplacer(`["127.0.0.1:0"]`, fmt.Sprintf("[%q]", u.LocalAddr()), `"127.0.0.1:0"`, fmt.Sprintf("%q", api.Addr())).Replace(header)
}

// successor starts a node that takes over.
func (s *site) successor() (*node.Node, error) {
	o := s.options()
	o.TakeOver, o.Version.Version = true, "1.2.4"
	return node.Start(context.Background(), o)
}

// replace has the node of a site replaced by another one, and returns that.
func (s *site) replace(old *node.Node) *node.Node {
	s.t.Helper()
	next, err := s.successor()
	if err != nil {
		s.t.Fatalf("take over: %v\nlog:\n%s", err, s.log.String())
	}
	s.t.Cleanup(next.Close)
	select {
	case <-old.HandedOver():
	case <-time.After(20 * time.Second):
		s.t.Fatal("the old node does not know that it has handed over")
	}
	old.Close()
	return next
}

// TestTakeOver replaces a node five times. Its successor has the sockets, the verdicts, the sets in force with their times, the
// overrides and the switches, and switches nothing by itself; the old one leaves the files to it.
func TestTakeOver(t *testing.T) {
	s := newSite(t, 2)
	slow := strings.NewReplacer(`interval = "200ms"`, `interval = "1h"`)
	head := fixed(t)
	n := s.start(head, pools, instance, "failback = \"manual\"\n")
	s.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	s.write(slow.Replace(head), pools, instance, "failback = \"manual\"\n") // the successors probe nothing, so that what they know was told
	if code, body := post(t, s.path("admin.sock"), "/api/v1/overrides",
		fmt.Sprintf(`{"address":%q,"state":"up","reason":"kept","author":"test","for":"1h"}`, s.origins[1])); code != http.StatusOK {
		t.Fatalf("override: %d %s", code, body)
	}
	before := n.Status()
	secret := n.CookieSecret()
	for i := range 5 {
		conn, err := net.Dial("udp", n.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		packet, _ := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
		const queries = 50
		n = s.replaceUnder(n, func() {
			for id := range uint16(queries) {
				binary.BigEndian.PutUint16(packet, id)
				conn.Write(packet)
			}
		})
		reply := make([]byte, 512)
		for i := range queries {
			conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			if _, err := conn.Read(reply); err != nil {
				t.Fatalf("%d of %d queries over the take-over were answered: %v", i, queries, err)
			}
		}
		conn.Close()
		equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())
		after := n.Status()
		equal(t, "in force", inForce(n, 0), "backup, failover")
		equal(t, "since", sameMoment(after.Instances[0].Policies[0].Since, before.Instances[0].Policies[0].Since), true)
		equal(t, "down since", sameMoment(*after.Pools[0].Addresses[0].Since, *before.Pools[0].Addresses[0].Since), true)
		equal(t, "switches", len(after.Switches), 1)
		equal(t, "cookie secret", n.CookieSecret(), secret)
		equal(t, "overrides", len(after.Overrides), 1)
		equal(t, "generation grows", after.Config.Generation > before.Config.Generation, true)
		equal(t, "took over", n.TookOver(), true)
		equal(t, "handed over", len(s.log.lines(`msg="handed over: another gtmd answers now"`)), i+1)
		code, _ := post(t, s.path("admin.sock"), "/api/v1/switch", "{")
		equal(t, "admin socket", code, http.StatusBadRequest)
		before = after
	}
	equal(t, "waits for probes", len(s.log.lines("waiting for the first round")), 1) // the first start
	n.Close()
	leaksNothing(t, s)
	if _, err := os.Stat(s.path("admin.sock.takeover")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket for a take-over is left behind: %v", err)
	}
	var saved struct {
		Body struct{ Saved time.Time }
	}
	text, err := os.ReadFile(s.path("state/state.json"))
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil || time.Since(saved.Body.Saved) > 10*time.Second {
		t.Errorf("the state was saved at %v, error %v", saved.Body.Saved, err)
	}
}

// TestTakeOverRefused: a successor that cannot serve ends with the reason, and the node that runs never notices, or goes on.
func TestTakeOverRefused(t *testing.T) {
	s := newSite(t, 2)
	head := fixed(t)
	n := s.start(head, pools, instance)
	address := n.Addresses()[0]
	taken, err := net.Listen("tcp", nextAddress().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, row := range []struct {
		name  string
		parts []string
		want  string
		asked bool // whether the running node was asked at all
	}{
		{"a broken file", []string{"colour = 1\n"}, `unknown key "colour"`, false},
		{"a certificate that is not there", []string{head, pools, instance, "[[health_check]]\nname = \"tls\"\nprotocol = \"https\"\nca_file = \"absent.pem\"\n"},
			"absent.pem: no such file", false},
		{"another address that is taken", []string{strings.Replace(head, fmt.Sprintf("[%q]", address), fmt.Sprintf("[%q, %q]", address, taken.Addr()), 1), pools, instance},
			"address already in use", true},
		{"another admin socket", []string{strings.Replace(head, "admin.sock", "other.sock", 1), pools, instance}, "address already in use", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.write(row.parts...)
			asked := len(s.log.lines("another gtmd takes over"))
			next, err := s.successor()
			if err == nil {
				next.Close()
			}
			contains(t, err, row.want)
			equal(t, "asked", len(s.log.lines("another gtmd takes over")) > asked, row.asked)
			equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
			select {
			case <-n.HandedOver():
				t.Error("the node says that it has handed over")
			default:
			}
		})
	}
	// It lives: it loads, it follows health, it can be taken over from.
	eventually(t, "true", func() string { return fmt.Sprint(s.reload(n, head, pools, instance) == nil) })
	s.origins[0].stop()
	eventually(t, s.origins[1].String(), func() string { return answer(n, dns.TypeA, "") })
	n = s.replace(n)
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())
	n.Close()
	leaksNothing(t, s)
}

// TestTakeOverGivesUp: a successor that dies at any moment, or that a signal ends, leaves the node as it was; one that asks
// while the node ends is told so.
func TestTakeOverGivesUp(t *testing.T) {
	s := newSite(t, 2)
	n := s.start(fixed(t), pools, instance)
	for _, steps := range []int{0, 1, 2} {
		taking, err := handover.TakeOver(t.Context(), s.path("admin.sock.takeover"), "dying")
		if err != nil {
			t.Fatal(err)
		}
		if steps > 0 {
			if _, err := taking.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		if steps > 1 { // it stands still: an override waits, and no switch is made
			waits := make(chan int, 1)
			go func() {
				code, _ := post(t, s.path("admin.sock"), "/api/v1/overrides",
					fmt.Sprintf(`{"address":%q,"state":"down","reason":"waits","author":"test","for":"1h"}`, s.origins[0]))
				waits <- code
			}()
			select {
			case code := <-waits:
				t.Errorf("an override is set while the node hands over: %d", code)
			case <-time.After(100 * time.Millisecond):
			}
			equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
			taking.Close()
			equal(t, "the override after it", <-waits, http.StatusOK)
		}
		taking.Sockets.Close()
		taking.Close()
	}
	eventually(t, s.origins[1].String(), func() string { return answer(n, dns.TypeA, "") })

	taking, err := handover.TakeOver(t.Context(), s.path("admin.sock.takeover"), "late")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := taking.Freeze(); err != nil {
		t.Fatal(err)
	}
	n.Close()
	err = taking.Serving()
	contains(t, err, "it is stopping")
	taking.Sockets.Close()
	taking.Close()
	leaksNothing(t, s)
}

// TestTakeOverBringsAddresses: addresses that are new in the configuration of the successor are probed before it serves.
func TestTakeOverBringsAddresses(t *testing.T) {
	s := newSite(t, 3)
	head := fixed(t)
	one := strings.Split(pools, "[[pool]]\nname = \"test2\"")[0]
	alone := strings.Split(instance, "backup ")[0]
	n := s.start(head, one, alone)
	s.origins[1].stop()
	s.write(head, strings.Replace(one, `"$0"`, `"$1", "$2"`, 1), alone)
	n = s.replace(n)
	equal(t, "first answer", answer(n, dns.TypeA, ""), s.origins[2].String())
	equal(t, "standing", standing(n, 0), "down")
	n.Close()
}

// TestDoorMoves: the place where a successor asks follows the admin socket.
func TestDoorMoves(t *testing.T) {
	s := newSite(t, 2)
	head := fixed(t)
	n := s.start(head, pools, instance)
	moved := strings.Replace(head, "admin.sock", "moved.sock", 1)
	if err := s.reload(n, moved, pools, instance); err != nil {
		t.Fatal(err)
	}
	eventually(t, "true false", func() string {
		return fmt.Sprint(handover.IsDoor(s.path("moved.sock.takeover")), handover.IsDoor(s.path("admin.sock.takeover")))
	})
	s.replace(n).Close()
	leaksNothing(t, s)
}

// replaceUnder is replace with something that goes on meanwhile.
func (s *site) replaceUnder(old *node.Node, load func()) *node.Node {
	done := make(chan struct{})
	go func() {
		defer close(done)
		load()
	}()
	next := s.replace(old)
	<-done
	return next
}

// TestReloadDuringTakeOver: a reload that waits for a take-over, as that of SIGHUP, whose goroutine ends the node afterwards,
// returns once another process has taken over.
func TestReloadDuringTakeOver(t *testing.T) {
	s := newSite(t, 2)
	n := s.start(fixed(t), pools, instance)
	taking, err := handover.TakeOver(t.Context(), s.path("admin.sock.takeover"), "next")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := taking.Freeze(); err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan error, 1)
	go func() { reloaded <- n.Reload(context.Background()) }()
	if err := taking.Serving(); err != nil {
		t.Fatal(err)
	}
	taking.Sockets.Close()
	taking.Close()
	select {
	case err := <-reloaded:
		contains(t, err, "another gtmd has taken over")
	case <-time.After(10 * time.Second):
		t.Error("the reload waits for the end of a node that nobody ends meanwhile")
	}
	n.Close()
	os.Remove(s.path("admin.sock")) // which is the other one's
	leaksNothing(t, s)
}

// TestTakeOverWidelyBound: the addresses of the admin API that package net binds in another way than they are written are found.
func TestTakeOverWidelyBound(t *testing.T) {
	for _, host := range []string{"0.0.0.0", "[::]", ""} {
		s := newSite(t, 2)
		head, port := fixed(t), widePort(t)
		line := strings.Split(strings.Split(head, "[admin]\n")[1], "\n")[0]
		if err := os.WriteFile(s.path("token"), []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		head = strings.Replace(head, line, fmt.Sprintf("listen = \"%s:%s\"\ntoken_file = \"token\"", host, port), 1)
		n := s.start(head, pools, instance)
		n = s.replace(n)
		equal(t, "port", fmt.Sprint(n.AdminAddress().(*net.TCPAddr).Port), port)
		n.Close()
	}
}

// widePort is a port that is free on every IPv4 address, over UDP and TCP. It is below those that the kernel gives to clients, of
// which one may come and take it meanwhile.
func widePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("0.0.0.0:%d", 20000+rand.IntN(10000))
		u, err := net.ListenPacket("udp4", address)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp4", address)
		u.Close()
		if err != nil {
			continue
		}
		l.Close()
		_, port, _ := net.SplitHostPort(address)
		return port
	}
	t.Fatal("no port is free on every address")
	return ""
}

// listening is a configuration whose first listener is another.
func listening(head, address string) string {
	line := strings.Split(strings.Split(head, "[dns]\n")[1], "\n")[0]
	return strings.Replace(head, line, fmt.Sprintf("listen = [%q]", address), 1)
}

// TestTakeOverNarrower: an address of the successor that was part of the wildcard address of the node that runs is answered
// all the time, also while the successor meets new addresses.
func TestTakeOverNarrower(t *testing.T) {
	s := newSite(t, 3)
	ip := nextAddress().String()
	head, port := fixed(t), widePort(t)
	wide, narrow := listening(head, "0.0.0.0:"+port), listening(head, ip+":"+port)
	n := s.start(wide, pools, instance)
	// The new address takes its connection and says nothing: it is met only when the probe has timed out for the second time.
	s.origins[2].stop()
	silent, err := net.Listen("tcp", s.origins[2].address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	slow := strings.NewReplacer(`timeout  = "200ms"`, `timeout  = "1s"`, `interval = "200ms"`, `interval = "1s"`)
	s.write(slow.Replace(narrow), strings.Replace(pools, `"$1"`, `"$1", "$2"`, 1), instance)
	done := make(chan struct{})
	slowest := time.Duration(0)
	n = s.replaceUnder(n, func() {
		defer close(done)
		client := dns.Client{Timeout: 5 * time.Second}
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			_, took, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), ip+":"+port)
			if err != nil {
				t.Error(err)
				return
			}
			slowest = max(slowest, took)
		}
	})
	<-done
	if slowest > 500*time.Millisecond {
		t.Errorf("the slowest reply took %v: queries waited for the successor", slowest)
	}
	n.Close()
}

// TestServingBeforeTheEnd: who is told of the new process is told while the old one is there, however soon that is closed.
func TestServingBeforeTheEnd(t *testing.T) {
	s := newSite(t, 2)
	old := s.start(fixed(t), pools, instance)
	ended := make(chan struct{})
	go func() {
		<-old.HandedOver()
		old.Close()
		close(ended)
	}()
	o := s.options()
	o.TakeOver = true
	o.Serving = func(n *node.Node) {
		equal(t, "took over", n.TookOver(), true)
		equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
		select {
		case <-ended:
			t.Error("the old node has ended before anybody knew the new one")
		case <-time.After(300 * time.Millisecond):
		}
	}
	n, err := node.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	<-ended
	n.Close()
	leaksNothing(t, s)
}

// TestTakeOverWider: queries in the socket of an address that the successor has only as part of a wildcard address are answered.
func TestTakeOverWider(t *testing.T) {
	s := newSite(t, 2)
	head, port := fixed(t), widePort(t)
	n := s.start(listening(head, nextAddress().String()+":"+port), pools, instance)
	address := n.Addresses()[0]
	s.write(listening(head, "0.0.0.0:"+port), pools, instance)
	conn, err := net.Dial("udp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	over := make(chan struct{})
	asked := make(chan int)
	go func() {
		packet, _ := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
		for i := 0; ; i++ {
			select {
			case <-over:
				asked <- i
				return
			case <-time.After(20 * time.Microsecond):
				binary.BigEndian.PutUint16(packet, uint16(i))
				conn.Write(packet)
			}
		}
	}()
	answered := make(chan int)
	go func() {
		reply, n := make([]byte, 512), 0
		for {
			conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			if _, err := conn.Read(reply); err != nil {
				answered <- n
				return
			}
			n++
		}
	}()
	n = s.replace(n)
	time.Sleep(50 * time.Millisecond)
	close(over)
	equal(t, "answered", <-answered, <-asked)
	n.Close()
}
