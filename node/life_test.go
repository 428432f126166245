package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/node"
)

// goroutines counts those of this module, but for the tests themselves and tests that wait for those which run alone.
func goroutines() int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		isTest := strings.Contains(stack, "\ngtmd/node_test.") || strings.Contains(stack, "\ntesting.(*T).Parallel(")
		if strings.Contains(stack, "\ngtmd/") && !isTest {
			count++
		}
	}
	return count
}

// leaksNothing checks that no goroutine and no socket of a node is left. It is for tests that run alone.
func leaksNothing(t *testing.T, s *site) {
	t.Helper()
	eventually(t, "0 goroutines", func() string { return fmt.Sprintf("%d goroutines", goroutines()) })
	if _, err := os.Stat(s.path("admin.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is still there: %v", err)
	}
}

// TestClose ends a node while clients ask: every query that was sent before is answered, and nothing is left.
func TestClose(t *testing.T) {
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	eventually(t, "true", func() string { return fmt.Sprint(goroutines() > 5) }) // or the test counts wrongly
	address, api := n.Addresses()[0].String(), n.AdminAddress().String()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const queries = 100
	for i := range queries {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		m.Id = uint16(i)
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
	n.Close()
	n.Close() // again does nothing
	buffer := make([]byte, 512)
	for i := range queries {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conn.Read(buffer); err != nil {
			t.Fatalf("%d of %d queries in flight were answered: %v", i, queries, err)
		}
	}
	leaksNothing(t, s)
	if _, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		t.Error("the DNS port is still open")
	}
	if _, err := net.DialTimeout("tcp", api, time.Second); err == nil {
		t.Error("the admin port is still open")
	}
	if _, err := os.Stat(s.path("state/state.json")); err != nil {
		t.Error(err)
	}
	equal(t, "last line", len(s.log.lines("msg=stopped")), 1)
}

// TestStartFails tries everything that can go wrong at a start: each time nothing is left running, and the error says why.
func TestStartFails(t *testing.T) {
	s := newSite(t, 1)
	taken, err := net.Listen("tcp", nextAddress().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	one := strings.Split(pools, "[[pool]]\nname = \"test2\"")[0]
	alone := strings.Split(instance, "backup ")[0]
	tls := "[[health_check]]\nname = \"tls\"\nprotocol = \"https\"\nca_file = \"absent.pem\"\n"
	for _, row := range []struct {
		name  string
		parts []string
		want  []string
	}{
		{"a broken file", []string{"colour = 1\n"}, []string{`gtmd.toml:1:1: unknown key "colour"`}},
		{"certificates that are not there", []string{header, one, alone, tls, strings.Replace(tls, `"tls"`, `"more"`, 1)}, []string{
			`gtmd.toml:37:1: health check "tls": ca_file: open `, "absent.pem: no such file or directory",
			`gtmd.toml:41:1: health check "more": ca_file: open `}},
		{"a DNS address that is taken", []string{strings.Replace(header, `["127.0.0.1:0"]`, fmt.Sprintf("[%q]", taken.Addr()), 1), one, alone},
			[]string{"listen on " + taken.Addr().String() + " over TCP: ", "address already in use (another server holds the port"}},
		{"an admin address that is taken", []string{strings.Replace(header, `"127.0.0.1:0"`+"\nsocket", fmt.Sprintf("%q\nsocket", taken.Addr()), 1), one, alone},
			[]string{"listen for the admin API on " + taken.Addr().String() + ": ", "address already in use"}},
		{"a socket that cannot be", []string{strings.Replace(header, "$DIR/admin.sock", "/dev/null/admin.sock", 1), one, alone},
			[]string{"open the admin socket: mkdir /dev/null: not a directory"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.write(row.parts...)
			n, err := node.Start(context.Background(), s.options())
			if err == nil {
				n.Close()
			}
			for _, want := range row.want {
				contains(t, err, want)
			}
			leaksNothing(t, s)
			if _, err := os.Stat(s.path("state")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the state was touched: %v", err)
			}
		})
	}
}

// TestSecondNode starts a node on the port, and then on the socket, of another: it is refused and the other serves on.
func TestSecondNode(t *testing.T) {
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	address := n.Addresses()[0].String()
	second := &site{t: t, dir: s.dir, origins: s.origins}
	for _, row := range []struct{ header, want string }{
		{strings.Replace(header, `["127.0.0.1:0"]`, fmt.Sprintf("[%q]", address), 1), "listen on " + address + ": "},
		{header, "open the admin socket " + s.path("admin.sock") + ": another gtmd answers on it"},
	} {
		second.write(row.header, pools, instance)
		_, err := node.Start(context.Background(), second.options())
		contains(t, err, row.want)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
	code, _ := post(t, s.path("admin.sock"), "/api/v1/switch", "{")
	equal(t, "socket", code, http.StatusBadRequest)
	n.Close()
	leaksNothing(t, s)
}

// TestFirstRound waits for the verdicts, or for startup_wait, and ends at once with its context.
func TestFirstRound(t *testing.T) {
	s := newSite(t, 2)
	s.origins[0].stop()

	// A dead origin is not in the very first answer.
	n := s.start(header, pools, instance)
	equal(t, "first answer", answer(n, dns.TypeA, ""), s.origins[1].String())
	equal(t, "switches", len(n.Status().Switches), 0)
	n.Close()
	if err := os.RemoveAll(s.path("state")); err != nil {
		t.Fatal(err)
	}

	// An origin that never answers: after startup_wait it counts as available.
	silent, err := net.Listen("tcp", s.origins[0].address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	slow := strings.NewReplacer(`timeout  = "200ms"`, `timeout  = "10s"`, `interval = "200ms"`, `interval = "10s"`).Replace(header)
	begin := time.Now()
	n = s.start(strings.Replace(slow, "[state]", "[state]\nstartup_wait = \"300ms\"", 1), pools, instance)
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("the start took %v", took)
	}
	equal(t, "first answer", answer(n, dns.TypeA, ""), s.origins[0].String())
	equal(t, "standing", standing(n, 0), "no result yet")
	equal(t, "warnings", len(s.log.lines("some addresses have no verdict yet: they count as available")), 1)
	n.Close()
	if err := os.RemoveAll(s.path("state")); err != nil {
		t.Fatal(err)
	}

	// While it waits, the API says so; a signal ends the wait.
	s.write(strings.Replace(slow, "[state]", "[state]\nstartup_wait = \"10m\"", 1), pools, instance)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := node.Start(ctx, s.options())
		done <- err
	}()
	eventually(t, "503 waiting for the first round of probes\n", func() string {
		code, body := get(s.path("admin.sock"), "/readyz")
		return fmt.Sprint(code, " ", body)
	})
	if _, body := get(s.path("admin.sock"), "/api/v1/status"); !strings.Contains(body, `"listen": []`) || !strings.Contains(body, `"switches": []`) {
		t.Errorf("lists that are empty are no lists: %s", body)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	leaksNothing(t, s)
}

// get asks over a unix socket; nothing is an answer too.
func get(socket, path string) (code int, body string) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get("http://gtmd" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// TestTwoNodes runs two nodes in one process: neither knows of the other.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	a, b := newSite(t, 2), newSite(t, 2)
	one, two := a.start(header, pools, instance), b.start(header, pools, instance)
	a.origins[0].stop()
	eventually(t, a.origins[1].String(), func() string { return answer(one, dns.TypeA, "") })
	equal(t, "the other", answer(two, dns.TypeA, ""), b.origins[0].String())
	one.Close()
	equal(t, "the other", answer(two, dns.TypeA, ""), b.origins[0].String())
	equal(t, "ready", two.Ready(), nil)
}

// sameMoment compares times over a restart: they are taken up by the clock of the new process, to a few microseconds.
func sameMoment(a, b time.Time) bool { return a.Sub(b).Abs() < time.Millisecond }

func TestRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance, "failback = \"manual\"\n")
	s.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	before := n.Status()
	n.Close()

	// The first answer after a restart avoids the dead origin; what was known is known.
	slow := strings.NewReplacer(`interval = "200ms"`, `interval = "1h"`).Replace(header)
	n = s.start(slow, pools, instance, "failback = \"manual\"\n")
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())
	after := n.Status()
	equal(t, "in force", inForce(n, 0), "backup, failover")
	equal(t, "since", sameMoment(after.Instances[0].Policies[0].Since, before.Instances[0].Policies[0].Since), true)
	address, old := after.Pools[0].Addresses[0], before.Pools[0].Addresses[0]
	equal(t, "standing", address.Standing, "down")
	equal(t, "down since", sameMoment(*address.Since, *old.Since), true)
	equal(t, "reason", address.Reason, old.Reason)
	equal(t, "switches", len(after.Switches), 1)
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: primary -> backup, failover")
	equal(t, "waits for probes", len(s.log.lines("waiting for the first round")), 1) // the first start
	n.Close()

	// What changed while gtmd was away is a switch like any other.
	n = s.start(slow, pools, instance, "switch = \"primary\"\n")
	equal(t, "switches", len(n.Status().Switches), 2)
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: backup -> primary, pinned")
}

// TestKill starts from what kill -9 leaves: the file as it was saved, and half of the next one beside it.
func TestKill(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	s.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	state := s.path("state/" + node.StateFile)
	eventually(t, "true", func() string { // within about a second, without a Close
		text, _ := os.ReadFile(state)
		return fmt.Sprint(strings.Contains(string(text), `"why":"failover"`))
	})
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	if err := errors.Join(os.WriteFile(state, text, 0o640), os.WriteFile(state+".new", text[:len(text)/2], 0o640)); err != nil {
		t.Fatal(err)
	}
	n = s.start(header, pools, instance)
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())
	equal(t, "complaints", len(s.log.lines("saved state cannot be used")), 0)
}

func TestCorruptState(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	if err := os.Mkdir(s.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("state/state.json"), []byte(`{"version":1,"checksum":"00","body":{"targets":{}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	n := s.start(header, pools, instance)
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
	aside, err := filepath.Glob(s.path("state/state.json.corrupt-*"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %v, %v", aside, err)
	}
	lines := s.log.lines("saved state cannot be used: starting without it, every address is probed afresh")
	if len(lines) != 1 || !strings.Contains(lines[0], aside[0]) || !strings.Contains(lines[0], "the checksum does not fit") {
		t.Errorf("log: %v", lines)
	}
}

// TestUnwritableState serves without a place for the state, says so once, and saves when there is one.
func TestUnwritableState(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	if err := os.WriteFile(s.path("state"), nil, 0o600); err != nil { // a file is in the way of the directory
		t.Fatal(err)
	}
	n := s.start(header, pools, instance)
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
	failures := func() string { return metric(t, n, "gtmd_state_save_failures_total") }
	eventually(t, "2", failures)
	equal(t, "complaints", len(s.log.lines("state is not saved: after a restart the verdicts would be missing; trying again")), 1)
	equal(t, "last save", metric(t, n, "gtmd_state_last_save_timestamp_seconds"), "0")
	status := n.Status()
	if !strings.Contains(status.StateError, s.path("state")) || status.StateFailed == nil || time.Since(*status.StateFailed) > time.Minute {
		t.Errorf("the status says %q since %v", status.StateError, status.StateFailed)
	}
	if err := os.Remove(s.path("state")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "1", func() string { return fmt.Sprint(len(s.log.lines("state is saved again"))) })
	eventually(t, "", func() string { return n.Status().StateError })
	if _, err := os.Stat(s.path("state/state.json")); err != nil {
		t.Error(err)
	}

	// A reload may name another directory, which need not exist.
	if err := s.reload(n, strings.Replace(header, "$DIR/state", "$DIR/new/state", 1), pools, instance); err != nil {
		t.Fatal(err)
	}
	eventually(t, "true", func() string {
		_, err := os.Stat(s.path("new/state/state.json"))
		return fmt.Sprint(err == nil)
	})
	equal(t, "complaints", len(s.log.lines("state is not saved")), 1)
}
