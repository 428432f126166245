package node_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
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
