package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/node"
)

// static is a configuration of addresses that are not probed.
const static = `
[[pool]]
name = "test1"
type = "ipv4"
addresses = ["192.0.2.1"]
[[pool]]
name = "test2"
type = "ipv4"
addresses = ["192.0.2.2"]
`

// plainHeader is the header without the health check.
var plainHeader = strings.Split(header, "[[health_check]]")[0]

func TestReloadOfABrokenFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, instance)
	err := s.reload(n, plainHeader, static, strings.Replace(instance, `["test1"]`, `["test9"]`, 1), "colour = 1\n")
	if err == nil {
		t.Fatal("a broken file was served")
	}
	// Every problem is there, each with its place.
	equal(t, "error", strings.ReplaceAll(err.Error(), s.dir, "DIR"), `DIR/gtmd.toml:31:22: there is no pool "test9": did you mean "test1"?
DIR/gtmd.toml:33:1: unknown key "colour" in [[instance.policy]] "Global" of [[instance]] "cdn-origin": known keys are backup, failback, `+
		`failback_delay, fall_through, name, primary, sources, switch and when_all_down`)
	status := n.Status().Config
	equal(t, "error", status.Error, err.Error())
	if status.Refused == nil || time.Since(*status.Refused) > time.Minute {
		t.Errorf("refused at %v", status.Refused)
	}
	equal(t, "generation", status.Generation, 1)
	equal(t, "lines of the log", len(s.log.lines("configuration refused: the old one serves on")), 1)
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
	equal(t, "gauge", metric(t, n, "gtmd_config_last_reload_successful"), "0")
	equal(t, "failures", metric(t, n, `gtmd_config_reloads_total{result="failure"}`), "1")

	if err := s.reload(n, plainHeader, static, instance); err != nil {
		t.Fatal(err)
	}
	status = n.Status().Config
	equal(t, "error", status.Error, "")
	equal(t, "refused", status.Refused, nil)
	equal(t, "generation", status.Generation, 2)
	equal(t, "gauge", metric(t, n, "gtmd_config_last_reload_successful"), "1")
	equal(t, "successes", metric(t, n, `gtmd_config_reloads_total{result="success"}`), "2")
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, instance)
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")

	// Another address in the pool, and another zone.
	err := s.reload(n, plainHeader, strings.Replace(static, `["192.0.2.1"]`, `["192.0.2.1", "192.0.2.9"]`, 1), instance, `
[[zone]]
name = "more.test"
nameservers = ["ns.example.net"]
contact = "hostmaster@gtm.test"
`)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1 192.0.2.9")
	equal(t, "new zone", answerFor(n, "more.test.", dns.TypeNS, ""), "more.test.\t3600\tIN\tNS\tns.example.net.")

	// Pools that change places, or have another name, are no switch: the policy answers from its primary, then as now.
	renamed := strings.NewReplacer(`"test1"`, `"new"`)
	if err := s.reload(n, plainHeader, renamed.Replace(static), renamed.Replace(instance)); err != nil {
		t.Fatal(err)
	}
	swapped := strings.NewReplacer(`"test1"`, `"test2"`, `"test2"`, `"test1"`)
	if err := s.reload(n, plainHeader, static, swapped.Replace(instance)); err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.2")
	equal(t, "switches", len(n.Status().Switches), 0)
	equal(t, "zone that is gone", answerFor(n, "more.test.", dns.TypeNS, ""), "REFUSED")

	// A pin is a switch.
	if err := s.reload(n, plainHeader, static, swapped.Replace(instance), "switch = \"backup\"\n"); err != nil {
		t.Fatal(err)
	}
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: primary -> backup, pinned")
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
}

func TestReloadThatEmptiesAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, instance)
	offline := strings.NewReplacer(`"192.0.2.1"`, `{ address = "192.0.2.1", mode = "offline" }`,
		`"192.0.2.2"`, `{ address = "192.0.2.2", mode = "offline" }`).Replace(static)
	err := s.reload(n, plainHeader, offline, instance)
	contains(t, err, `instance "cdn-origin", policy "Global" (ipv4): every address is offline, so clients that get an answer now would get none; `+
		`set when_all_down = "empty" if that is meant`)
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
	if err := s.reload(n, plainHeader, offline, instance, "when_all_down = \"empty\"\n"); err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "NODATA")
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: primary -> none, empty")
	// What is empty already may stay so.
	if err := s.reload(n, plainHeader, offline, instance); err != nil {
		t.Error(err)
	}
}

func TestReloadMovesListeners(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, instance)
	old := n.Addresses()[0]
	moved := strings.NewReplacer(`"127.0.0.1:0"]`, fmt.Sprintf("%q]", nextAddress().String()+":0")).Replace(plainHeader)
	if err := s.reload(n, moved, static, instance); err != nil {
		t.Fatal(err)
	}
	if now := n.Addresses(); len(now) != 1 || now[0].Addr() == old.Addr() {
		t.Fatalf("listens on %v", now)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
	client := dns.Client{Timeout: 500 * time.Millisecond}
	if reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), old.String()); err == nil {
		t.Errorf("the old address still answers: %v", reply)
	}

	// A listener that cannot be had changes nothing, not even the answers.
	taken, err := net.ListenPacket("udp", nextAddress().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	before := n.Addresses()[0]
	blocked := strings.NewReplacer(`"127.0.0.1:0"]`, fmt.Sprintf("%q]", taken.LocalAddr())).Replace(plainHeader)
	err = s.reload(n, blocked, strings.ReplaceAll(static, "192.0.2.1", "192.0.2.7"), instance)
	contains(t, err, "listen on "+taken.LocalAddr().String()+": ")
	contains(t, err, "address already in use (another server holds the port")
	equal(t, "address", n.Addresses()[0], before)
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
}

// TestReloadMovesItsOwnSocket asks for a reload through the socket that the reload takes away: the request is answered.
func TestReloadMovesItsOwnSocket(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, instance)
	s.write(strings.Replace(plainHeader, "admin.sock", "other.sock", 1), static, instance)
	begin := time.Now()
	code, body := post(t, s.path("admin.sock"), "/api/v1/reload", "")
	if equal(t, "code", code, http.StatusOK); !strings.Contains(body, `"generation": 2`) {
		t.Errorf("body is %s", body)
	}
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("the reload took %v: it waited for itself", took)
	}
	code, _ = post(t, s.path("other.sock"), "/api/v1/reload", "")
	equal(t, "code on the new socket", code, http.StatusOK)
	eventually(t, "gone", func() string {
		if _, err := os.Stat(s.path("admin.sock")); errors.Is(err, os.ErrNotExist) {
			return "gone"
		}
		return "there"
	})
	equal(t, "generation", n.Status().Config.Generation, 3)
}

// post sends a request over a unix socket.
func post(t *testing.T, socket, path, body string) (code int, reply string) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Post("http://gtmd"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestSwitchOverTheSocket(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start(plainHeader, static, instance, "failback = \"manual\"\n")
	code, body := post(t, s.path("admin.sock"), "/api/v1/switch", `{"instance":"cdn-origin","policy":"Global","set":"backup"}`)
	var got admin.SwitchResult
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK || got.Set != "backup" || len(got.Moved) != 1 {
		t.Errorf("%d %s", code, body)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.2")
}

// TestReloadUnderLoad reloads again and again while clients ask: no query is lost, and every answer is that of the old or
// of the new configuration.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	other := strings.NewReplacer("192.0.2.1", "192.0.2.7").Replace(static)
	moved := strings.Replace(plainHeader, "workers = 1", "workers = 2", 1)
	// A second address comes and goes, and the number of workers changes, so that sockets open and close.
	extra := nextAddress().String() + ":0"
	moved = strings.Replace(moved, `["127.0.0.1:0"]`, fmt.Sprintf(`["127.0.0.1:%d", %q]`, freePort(t), extra), 1)
	fixed := strings.Replace(plainHeader, `["127.0.0.1:0"]`, strings.Split(moved[strings.Index(moved, `["127`):], ",")[0]+"]", 1)
	n := s.start(fixed, static, instance)
	address := n.Addresses()[0].String()

	var asked atomic.Int64
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			client := dns.Client{Timeout: 5 * time.Second}
			for {
				select {
				case <-stop:
					return
				default:
				}
				reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), address)
				switch {
				case err != nil:
					t.Errorf("query %d: %v", asked.Load(), err)
					return
				case len(reply.Answer) != 1:
					t.Errorf("query %d: %v", asked.Load(), reply)
					return
				}
				if a := reply.Answer[0].(*dns.A).A.String(); a != "192.0.2.1" && a != "192.0.2.7" {
					t.Errorf("query %d: answer %s", asked.Load(), a)
				}
				asked.Add(1)
			}
		})
	}
	for i := range 6 {
		parts := []string{fixed, static, instance}
		if i%2 == 0 {
			parts = []string{moved, other, instance}
		}
		if err := s.reload(n, parts...); err != nil {
			t.Error(err)
		}
		for before := asked.Load(); asked.Load() < before+200 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	clients.Wait()
	equal(t, "generation", n.Status().Config.Generation, 7)
}

// freePort is a port of 127.0.0.1 that nobody has right now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	watching := "watch = true\n" + plainHeader
	n := s.start(watching, static, instance)
	s.write(watching, strings.ReplaceAll(static, "192.0.2.1", "192.0.2.7"), instance)
	eventually(t, "192.0.2.7", func() string { return answer(n, dns.TypeA, "") })

	// A broken file is tried once.
	s.write(watching, static, "colour = 1\n")
	refused := func() string { return fmt.Sprint(len(s.log.lines("configuration refused"))) }
	eventually(t, "1", refused)
	s.write(watching, static, instance)
	eventually(t, "192.0.2.1", func() string { return answer(n, dns.TypeA, "") })
	equal(t, "refused", refused(), "1")
	equal(t, "noticed", len(s.log.lines("a configuration file has changed")), 3)
}

// TestWatchWhileLoading saves the file between the moment when it is read and that when it is served.
func TestWatchWhileLoading(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	watching := "watch = true\n" + plainHeader
	s.write(watching, static, instance)
	options := s.options()
	load, isFirst := options.Load, true
	options.Load = func() (*config.Config, error) {
		c, err := load()
		if isFirst {
			isFirst = false
			s.write(watching, strings.ReplaceAll(static, "192.0.2.1", "192.0.2.7"), instance)
		}
		return c, err
	}
	n, err := node.Start(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	eventually(t, "192.0.2.7", func() string { return answer(n, dns.TypeA, "") })
}

// TestWatchIncludes adds a file that an include pattern matches.
func TestWatchIncludes(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	n := s.start("watch = true\ninclude = [\"conf.d/*.toml\"]\n", plainHeader, static, instance)
	if err := os.Mkdir(s.path("conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	more := "[[zone]]\nname = \"more.test\"\nnameservers = [\"ns.example.net\"]\ncontact = \"hostmaster@gtm.test\"\n"
	if err := os.WriteFile(s.path("conf.d/more.toml"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "more.test.\t3600\tIN\tNS\tns.example.net.", func() string { return answerFor(n, "more.test.", dns.TypeNS, "") })
}

// TestWatchIncludesBesideAGlob watches a directory whose name could be read as a pattern.
func TestWatchIncludesBesideAGlob(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.dir = s.path("[1]*")
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n := s.start("watch = true\ninclude = [\"more-*.toml\"]\n", plainHeader, static, instance)
	more := "[[zone]]\nname = \"more.test\"\nnameservers = [\"ns.example.net\"]\ncontact = \"hostmaster@gtm.test\"\n"
	if err := os.WriteFile(s.path("more-1.toml"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "more.test.\t3600\tIN\tNS\tns.example.net.", func() string { return answerFor(n, "more.test.", dns.TypeNS, "") })
}

// TestReloadTakesUpSavedVerdicts adds a pool whose address was down in the saved state: its verdict counts at once.
func TestReloadTakesUpSavedVerdicts(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.origins[0].stop()
	n := s.start(header, pools, instance)
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	n.Close()
	both := []string{header, pools, instance}
	slow := strings.Replace(header, `interval = "200ms"`, `interval = "1h"`, 1) // so that no probe repeats the verdict
	n = s.start(slow, strings.Replace(pools, `["$0"]`, `["$1"]`, 1), strings.Split(instance, "backup ")[0])
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())
	both[0] = slow
	if err := s.reload(n, both...); err != nil {
		t.Fatal(err)
	}
	equal(t, "in force", inForce(n, 0), "backup, failover")
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())
}

// TestSlowLoad holds up a reload in its file: health is followed meanwhile, another reload waits its turn, and a node that
// stops does not wait for it.
func TestSlowLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.write(header, pools, instance)
	options := s.options()
	hold := make(chan struct{})
	var loads atomic.Int64
	load := options.Load
	options.Load = func() (*config.Config, error) {
		if loads.Add(1) > 1 {
			<-hold
		}
		return load()
	}
	n, err := node.Start(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	results := make(chan error, 2)
	go func() { results <- n.Reload(context.Background()) }()
	eventually(t, "2", func() string { return fmt.Sprint(loads.Load()) })
	s.origins[0].stop()
	eventually(t, s.origins[1].String(), func() string { return answer(n, dns.TypeA, "") })

	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Reload(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("a reload whose caller is gone: %v", err)
	}
	go func() { results <- n.Reload(context.Background()) }()
	n.Close()
	contains(t, <-results, "gtmd is stopping") // the one that waits for its turn
	close(hold)
	contains(t, <-results, "gtmd is stopping")
	equal(t, "loads", loads.Load(), 2)
	_, err = n.Switch(context.Background(), admin.SwitchRequest{})
	contains(t, err, "gtmd is stopping")
	contains(t, n.Ready(), "stopping")
}
