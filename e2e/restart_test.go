//go:build e2e

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// pair starts gtmd with two origins, without resolver and edge.
func pair(t *testing.T) (l *lab, test1 *origin) {
	l = newLab(t, shop)
	l.configureChain(t)
	test1 = startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startGTMD(t)
	return l, test1
}

// savedState is what the tests read of the state file.
type savedState struct {
	Body struct {
		Saved    time.Time `json:"saved"`
		Switches []struct {
			Time     time.Time `json:"time"`
			Instance string    `json:"instance"`
			To       string    `json:"to"`
		} `json:"switches"`
	} `json:"body"`
}

// savedState reads the state file; without one it is empty.
func (l *lab) savedState(t *testing.T) (s savedState) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, "state", "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatalf("read the saved state: %v", err)
	}
	return s
}

// replies collects what comes back to queries that are sent all the time, whether somebody listens or not.
type replies struct {
	conn    net.PacketConn
	running sync.WaitGroup

	mu  sync.Mutex // guards all
	all []string   // the addresses of each reply, in order
}

// listenForFirst asks a server for a name every 2 ms until the test ends.
func listenForFirst(t *testing.T, server, name string) *replies {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0") // not connected, so that refused queries are no errors
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	packet, err := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	r := &replies{conn: conn}
	r.running.Go(func() { r.send(t, packet, to) })
	r.running.Go(r.receive)
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *replies) send(t *testing.T, packet []byte, to net.Addr) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		if _, err := r.conn.WriteTo(packet, to); err != nil {
			return // closed by stop
		}
	}
}

func (r *replies) receive() {
	packet := make([]byte, 1500)
	for {
		n, _, err := r.conn.ReadFrom(packet)
		if err != nil {
			return // closed by stop
		}
		m, text := new(dns.Msg), ""
		if err := m.Unpack(packet[:n]); err != nil {
			text = err.Error()
		} else {
			text = strings.Join(addresses(m), " ")
		}
		r.mu.Lock()
		r.all = append(r.all, text)
		r.mu.Unlock()
	}
}

func (r *replies) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// stop ends asking and returns the replies.
func (r *replies) stop() []string {
	r.conn.Close()
	r.running.Wait()
	return r.all
}

// TestKill kills gtmd while test1 is down. The verdict was saved, so the first answer of the next gtmd is test2 already.
func TestKill(t *testing.T) {
	l, test1 := pair(t)
	test1.set(t, closed)
	eventually(t, 5*time.Second, "the switch to the backup is saved", func() bool {
		s := l.savedState(t).Body.Switches
		return len(s) > 0 && s[0].To == "backup"
	})
	for round := range 3 {
		l.gtmd.signal(t, syscall.SIGKILL)
		if code := l.gtmd.ended(t, 5*time.Second); code != -1 {
			t.Fatalf("gtmd ended with %d, want killed by a signal", code)
		}
		r := listenForFirst(t, l.GTMD, l.access)
		time.Sleep(20 * time.Millisecond)
		if n := r.count(); n != 0 {
			t.Fatalf("%d replies while gtmd is dead", n)
		}
		begin := time.Now()
		l.gtmd = start(t, l.dir, l.program, "run", "--config", filepath.Join(l.dir, "gtmd.toml"))
		eventually(t, 5*time.Second, "gtmd answers", func() bool { return r.count() > 0 })
		took := time.Since(begin)
		time.Sleep(time.Duration(round) * interval) // once before, once during, once after the first probes
		all := r.stop()
		for i, got := range all {
			if got != test2IP {
				t.Fatalf("reply %d of %d after the start is %q, want %s", i+1, len(all), got, test2IP)
			}
		}
		t.Logf("killed and started: first reply after %v, %d replies, all %s", took.Round(time.Millisecond), len(all), test2IP)
	}
	test1.set(t, serving)
	eventually(t, rise*interval+5*time.Second, "gtmd answers test1 again", func() bool {
		got, err := ask(l.GTMD, l.access)
		return err == nil && slices.Equal(got, []string{test1IP})
	})
}

// TestTerminate ends gtmd while TCP queries are on their way: they are answered, the state is saved, the exit code is 0.
func TestTerminate(t *testing.T) {
	l, _ := pair(t)
	// Sockets that a query was sent on, with what is left to send after the signal.
	type inFlight struct {
		conn net.Conn
		rest []byte
	}
	var all []inFlight
	for _, held := range []int{0, 1, 20} {
		conn, err := net.Dial("tcp", l.GTMD)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		packet, err := new(dns.Msg).SetQuestion(dns.Fqdn(l.access), dns.TypeA).Pack()
		if err != nil {
			t.Fatal(err)
		}
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
		if _, err := conn.Write(packet[:len(packet)-held]); err != nil {
			t.Fatal(err)
		}
		all = append(all, inFlight{conn, packet[len(packet)-held:]})
	}
	time.Sleep(50 * time.Millisecond) // gtmd has read the beginnings

	begin := time.Now()
	l.gtmd.signal(t, syscall.SIGTERM)
	for i, f := range all {
		if len(f.rest) > 0 {
			if _, err := f.conn.Write(f.rest); err != nil {
				t.Errorf("query %d: send the rest: %v", i, err)
			}
		}
		m, err := (&dns.Conn{Conn: f.conn}).ReadMsg()
		if err != nil || !slices.Equal(addresses(m), []string{test1IP}) {
			t.Errorf("query %d in flight at SIGTERM: %v, error %v, want %s", i, m, err, test1IP)
		}
	}
	if code := l.gtmd.ended(t, 10*time.Second); code != 0 {
		t.Errorf("gtmd ended with %d after SIGTERM, want 0", code)
	}
	t.Logf("ended %v after SIGTERM", time.Since(begin).Round(time.Millisecond))
	if saved := l.savedState(t).Body.Saved; saved.Before(begin) {
		t.Errorf("the state was saved %v before SIGTERM, want after it", begin.Sub(saved))
	}
	if _, err := os.Stat(l.Socket); err == nil {
		t.Errorf("%s is left behind", l.Socket)
	}
	l.startGTMD(t) // at once, on the same ports
}

// TestSecondInstance starts another gtmd, which does not take over, on the port of one that runs: it ends with a hint, and the
// first serves on.
func TestSecondInstance(t *testing.T) {
	l, _ := pair(t)
	other := newLab(t, shop)
	other.GTMD, other.GTMD6 = l.GTMD, l.GTMD6
	other.configureChain(t)
	hint := fmt.Sprintf("another server holds the port: see \"ss -lnptu sport = :%s\"", portOf(l.GTMD))
	for _, row := range []struct{ name, config string }{
		{"the same port", filepath.Join(other.dir, "gtmd.toml")},
		{"the same file", filepath.Join(l.dir, "gtmd.toml")},
	} {
		t.Run(row.name, func(t *testing.T) {
			second := start(t, other.dir, l.program, "run", "--no-take-over", "--config", row.config)
			code := second.ended(t, 10*time.Second)
			out := second.output(t)
			t.Log(tail(out, 3))
			if code != 1 || !strings.Contains(out, hint) {
				t.Errorf("the second gtmd ended with %d, want 1 and the hint %q", code, hint)
			}
			if got, err := ask(l.GTMD, l.access); err != nil || !slices.Equal(got, []string{test1IP}) {
				t.Errorf("the first gtmd answers %v, error %v", got, err)
			}
			if out, code := l.run(t, "status"); code != 0 {
				t.Errorf("gtmd status of the first ends with %d:\n%s", code, out)
			}
		})
	}
}
