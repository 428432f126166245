//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// notify is the socket on which systemd is told things (sd_notify(3)).
type notify struct {
	path    string
	mu      sync.Mutex // guards notices
	notices []string
}

func listenNotify(t *testing.T, dir string) *notify {
	t.Helper()
	n := &notify{path: filepath.Join(dir, "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 4096)
		for {
			size, err := conn.Read(packet)
			if err != nil {
				return // closed
			}
			n.mu.Lock()
			n.notices = append(n.notices, string(packet[:size]))
			n.mu.Unlock()
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return n
}

// main waits for the word of the process that has taken over, and returns its number.
func (n *notify) main(t *testing.T) (main int) {
	t.Helper()
	eventually(t, 5*time.Second, "systemd knows the new main process", func() bool {
		for _, notice := range n.all() {
			if pid, found := strings.CutPrefix(strings.SplitN(notice, "\n", 2)[0], "MAINPID="); found && strings.HasSuffix(notice, "READY=1") {
				main, _ = strconv.Atoi(pid)
			}
		}
		return main != 0
	})
	return main
}

func (n *notify) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.notices)
}

// activated starts gtmd with sockets from descriptor 3 on, as systemd does. The shell is there because LISTEN_PID has to be the
// number of the process that reads it.
func (r *baton) activated(t *testing.T, sockets []*os.File) {
	t.Helper()
	out, err := os.CreateTemp(r.dir, "gtmd.*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{name: "gtmd", log: out.Name(), done: make(chan struct{})}
	p.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS="$1" exec "$2" run --config "$3"`, "launcher",
		fmt.Sprint(len(sockets)), r.program, filepath.Join(r.dir, "gtmd.toml"))
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = r.dir, out, out, sockets
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.wait()
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Logf("output of gtmd:\n%s", tail(p.output(t), 50))
		}
	})
	r.gtmd = p
}

// passed opens the sockets that systemd would hold: one for UDP, one for TCP, and one that nobody asks for.
func (r *baton) passed(t *testing.T) []*os.File {
	t.Helper()
	var files []*os.File
	add := func(kind int, address string) {
		to, err := net.ResolveUDPAddr("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		if err == nil && kind == unix.SOCK_DGRAM {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
			if err != nil { // not root: as much as there is
				err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
			}
		}
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: to.Port})
		}
		if err == nil && kind == unix.SOCK_STREAM {
			err = unix.Listen(fd, 4096)
		}
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), address)
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	add(unix.SOCK_DGRAM, r.GTMD)
	add(unix.SOCK_STREAM, r.GTMD)
	add(unix.SOCK_DGRAM, r.Resolver)
	return files
}

// TestActivation restarts gtmd again and again while systemd holds its sockets: queries wait in them.
func TestActivation(t *testing.T) {
	r := newBaton(t)
	sockets := r.passed(t)
	r.activated(t, sockets)
	r.settled(t)
	if out := r.gtmd.output(t); !strings.Contains(out, "nobody reads a socket that was passed") || !strings.Contains(out, "udp "+r.Resolver) {
		t.Errorf("the log has no warning of the socket that nobody asks for:\n%s", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, count(t, "GTMD_ACTIVATION_RATE", 2000))
	restarts := count(t, "GTMD_RESTARTS", 3)
	for range restarts {
		time.Sleep(300 * time.Millisecond)
		r.gtmd.signal(t, syscall.SIGTERM)
		if code := r.gtmd.ended(t, 10*time.Second); code != 0 {
			t.Fatalf("gtmd ended with %d", code)
		}
		r.activated(t, sockets)
		r.settled(t)
	}
	// A take-over passes the sockets of systemd on, and the next restart finds them unharmed.
	r.next(t, r.program)
	time.Sleep(300 * time.Millisecond)
	cancel()
	s.end(t)
	t.Logf("%d restarts", restarts)
}
