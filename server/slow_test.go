//go:build linux

package server

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// slowClients are connections without anything of Go's around them, so that memory that grows is the server's.
type slowClients []int

// connectSlow connects n times to a server, from 200 addresses.
func connectSlow(t *testing.T, to netip.AddrPort, n int) slowClients {
	t.Helper()
	clients := make(slowClients, 0, n)
	t.Cleanup(func() { clients.close() })
	for i := range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + i%200)}}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
			t.Fatal(err)
		}
	}
	return clients
}

func (c *slowClients) close() {
	for _, fd := range *c {
		unix.Close(fd)
	}
	*c = nil
}

// send sends octets on every connection; one that the server has closed does not mind.
func (c slowClients) send(octets func(i int) []byte) {
	for i, fd := range c {
		unix.Sendto(fd, octets(i), unix.MSG_NOSIGNAL, nil)
	}
}

// RFC 7766 section 10, RFC 9210 section 6: 2,000 clients that send nothing, half a query, an octet now and then, or queries
// whose answers they do not read, keep nobody out, whether there is room for all of them or for half; a connection of
// theirs costs no more than 64 KB.
func TestSlowClients(t *testing.T) {
	n := min(2000, descriptors()/6)
	query := framed(packet(t, "www.gtm.test.", dns.TypeA, 0, ""))
	for _, test := range []struct {
		name string
		room int
	}{{"room for all", n + 100}, {"room for half", n / 2}} {
		t.Run(test.name, func(t *testing.T) {
			o := options("127.0.0.1:0")
			o.TCPConnections = test.room
			s := newServer(t, o)
			before := used()
			clients := connectSlow(t, first(s), n)
			clients.send(func(i int) []byte {
				switch i % 4 {
				case 0:
					return nil
				case 1:
					return query[:20]
				case 2:
					return query
				default:
					return []byte{255}
				}
			})
			open := min(n, test.room)
			await(t, "what must come", func() bool {
				return s.stats.tcpOpen.Load() == int64(open) && s.stats.streams.accepted.Load() == uint64(n)
			})
			each := (int64(used()) - int64(before)) / int64(open)
			t.Logf("%d connections, %d octets each", open, each)
			if each > 64<<10 {
				t.Errorf("a connection costs %d octets", each)
			}
			udp := dial(t, "udp", first(s))
			var took []time.Duration
			for round := range 100 {
				if round%10 == 0 {
					clients.send(func(i int) []byte {
						if i%4 == 3 {
							return []byte{0}
						}
						return nil
					})
				}
				started := time.Now()
				exchange(t, udp, query[2:])
				took = append(took, time.Since(started))
				conn := dial(t, "tcp", first(s))
				exchange(t, conn, query[2:])
				took = append(took, time.Since(started))
				conn.Close()
			}
			slices.Sort(took)
			t.Logf("200 answers, p50 %v, p99 %v", took[100], took[198])
		})
	}
}

// A process that is out of descriptors answers over UDP, closes idle connections to make room for new ones and for what
// else needs descriptors, does not spin, and tells it once. The server is another process, with 100 descriptors.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv("GTMD_TEST_DESCRIPTORS") != "" {
		fewDescriptors(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$")
	child.Env = append(os.Environ(), "GTMD_TEST_DESCRIPTORS=100")
	var log lockedBuffer
	child.Stderr = &log
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer in.Close() // ends it
	lines := bufio.NewReader(out)
	ask := func(what string) string {
		fmt.Fprintln(in, what)
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the child has ended: %v\n%s", err, log.String())
		}
		return strings.TrimSpace(line)
	}
	address := netip.MustParseAddrPort(ask("address"))
	query := packet(t, "www.gtm.test.", dns.TypeA, 0, "")
	udp := dial(t, "udp", address)
	// Connections get no more than half of the descriptors, so that the rest of the process has the others.
	var conns []net.Conn
	for range 60 {
		conns = append(conns, dial(t, "tcp", address))
		exchange(t, conns[len(conns)-1], query)
	}
	// The last may have come while the one before was not idle again yet; then there is one more for a moment.
	await(t, "50 connections", func() bool { return ask("open") == "50" })
	if got := ask("file"); got != "<nil>" {
		t.Errorf("the process cannot open a file beside its connections: %s", got)
	}
	// Something else takes all that are left: idle connections go, and new ones are served.
	ask("take")
	for range 10 {
		exchange(t, dial(t, "tcp", address), query)
		exchange(t, udp, query)
	}
	if got := ask("file"); got != "<nil>" {
		t.Errorf("the process cannot open a file beside its connections: %s", got)
	}
	// And again, until no connection is left that could go: UDP goes on, and nothing spins.
	for _, conn := range conns {
		conn.Close()
	}
	for open := ask("open"); open != "0"; open = ask("open") {
		ask("take")
		dial(t, "tcp", address).Close()
		time.Sleep(10 * time.Millisecond)
	}
	ask("take")
	waiting := dial(t, "tcp", address)
	waiting.Write(framed(query))
	started, before := time.Now(), cpuTime(t, child.Process.Pid)
	for range 100 {
		exchange(t, udp, query)
		time.Sleep(5 * time.Millisecond)
	}
	spent, took := cpuTime(t, child.Process.Pid)-before, time.Since(started)
	t.Logf("100 answers over UDP without a descriptor left: %v of CPU in %v", spent, took)
	if spent > took/4 { // the clock has steps of 10 ms
		t.Errorf("%v of CPU time in %v", spent, took)
	}
	ask("give")
	given := time.Now()
	readTCP(t, waiting)
	t.Logf("TCP is back after %v", time.Since(given))
	if n := strings.Count(log.String(), "idle connections are closed to make room"); n != 1 {
		t.Errorf("told %d times, want once: %s", n, log.String())
	}
}

// cpuTime is what a process has used.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip("no /proc to read CPU time from")
	}
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')'):]))
	var user, system int
	fmt.Sscan(fields[12], &user)
	fmt.Sscan(fields[13], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// fewDescriptors is the other process: it serves, and does what the lines on its standard input say.
func fewDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	stats := NewStats()
	s := New(slog.New(slog.NewTextHandler(os.Stderr, nil)), stats)
	if err := s.Swap(newView(t, 1, stats.Counter)); err != nil {
		t.Fatal(err)
	}
	apply(t, s, options("127.0.0.1:0"))
	defer s.Close()
	var taken []*os.File
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "address":
			fmt.Println(first(s))
		case "open":
			fmt.Println(stats.tcpOpen.Load())
		case "file":
			file, err := os.Open(os.DevNull)
			if err == nil {
				file.Close()
			}
			fmt.Println(err)
		case "take":
			for {
				file, err := os.Open(os.DevNull)
				if err != nil {
					break
				}
				taken = append(taken, file)
			}
			fmt.Println("taken")
		case "give":
			for _, file := range taken {
				file.Close()
			}
			taken = nil
			fmt.Println("given")
		}
	}
	if err := lines.Err(); err != nil && err != io.EOF {
		t.Fatal(err)
	}
}
