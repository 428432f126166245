//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// surge asks a server for one name over UDP at a high rate, and over TCP beside it. A query without a reply within two
// seconds is lost; one with another answer than the good one is wrong.
type surge struct {
	query, good   []byte // a query without its ID; the address of the only good answer
	begin         time.Time
	running       sync.WaitGroup
	sent, replies atomic.Int64
	wrong, unsent atomic.Int64
	late          atomic.Int64 // nanoseconds of the slowest reply
	conns         []*surgeConn
	tcp           *load // only its TCP half
	full          int   // fullBuffers at the begin
}

// surgeConn is one UDP socket; the ID of a query is its index modulo 2^16, so at most that many are open.
type surgeConn struct {
	conn *net.UDPConn
	sent [1 << 16]atomic.Int64 // nanoseconds from the begin when a query was sent; 0: it is answered, or was not sent
}

// surgeSockets is how many UDP sockets ask: the kernel spreads them over the workers.
const surgeSockets = 16

// startSurge asks at a rate, queries a second over UDP, until ctx ends; end waits for it.
func startSurge(t *testing.T, ctx context.Context, server, name, good string, rate int) *surge {
	t.Helper()
	s := &surge{begin: time.Now(), good: net.ParseIP(good).To4(), full: fullBuffers(t)}
	s.tcp = &load{server: server, name: name + ".", begin: s.begin}
	s.query = s.tcp.query(0)
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	for range surgeSockets {
		conn, err := net.DialUDP("udp", nil, to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetReadBuffer(4 << 20)
		c := &surgeConn{conn: conn}
		s.conns = append(s.conns, c)
		s.running.Go(func() { s.receive(c) })
	}
	s.running.Go(func() { s.send(ctx, rate) })
	s.running.Go(func() { s.tcp.askOverTCP(ctx, true) })
	s.running.Go(func() { s.tcp.askOverTCP(ctx, false) })
	return s
}

// send keeps up the rate in steps of a millisecond, and gives the last replies two seconds.
func (s *surge) send(ctx context.Context, rate int) {
	packet := slices.Clone(s.query)
	for n := 0; ctx.Err() == nil; {
		due := int(time.Since(s.begin).Seconds() * float64(rate))
		// After a pause of this process it does not catch up all at once: that would test the buffers of the kernel.
		for burst := 0; n < due && burst < max(rate/500, 1); burst++ {
			c, id := s.conns[n%len(s.conns)], uint16(n/len(s.conns))
			binary.BigEndian.PutUint16(packet, id)
			c.sent[id].Store(int64(time.Since(s.begin))) // one before with this ID that has no reply yet is lost
			s.sent.Add(1)
			if _, err := c.conn.Write(packet); err != nil {
				s.unsent.Add(1) // and lost: most likely one before it was refused, as when no socket has the port
			}
			n++
		}
		if behind := int(time.Since(s.begin).Seconds()*float64(rate)) - n; behind > rate/50 {
			n += behind
		}
		time.Sleep(time.Millisecond)
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && s.replies.Load() < s.sent.Load(); {
		time.Sleep(time.Millisecond)
	}
	for _, c := range s.conns {
		c.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// receive takes the replies of a socket until its deadline.
func (s *surge) receive(c *surgeConn) {
	packet := make([]byte, 1500)
	for {
		n, err := c.conn.Read(packet)
		switch {
		case err != nil && os.IsTimeout(err):
			return
		case err != nil: // a refused query stays without a reply
			continue
		case n < 12:
			s.wrong.Add(1)
			continue
		}
		sent := c.sent[binary.BigEndian.Uint16(packet)].Swap(0)
		if sent == 0 {
			s.wrong.Add(1) // a second reply
			continue
		}
		s.replies.Add(1)
		took := int64(time.Since(s.begin)) - sent
		for late := s.late.Load(); took > late && !s.late.CompareAndSwap(late, took); late = s.late.Load() {
		}
		// One answer, whose last octets are the address.
		if packet[3]&0x0f != 0 || packet[7] != 1 || n < len(s.query)+16 || !slices.Equal(packet[len(s.query)+12:len(s.query)+16], s.good) {
			s.wrong.Add(1)
		}
	}
}

// fullBuffers is how many UDP packets the kernel has dropped because the buffer of a socket was full, whosever it was.
func fullBuffers(t *testing.T) int {
	t.Helper()
	var names []string
	for line := range strings.Lines(string(readFile(t, "/proc/net/snmp"))) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Udp:":
		case names == nil:
			names = fields
		default:
			if i := slices.Index(names, "RcvbufErrors"); i > 0 && i < len(fields) {
				n, _ := strconv.Atoi(fields[i])
				return n
			}
		}
	}
	t.Fatal("/proc/net/snmp has no RcvbufErrors of UDP")
	return 0
}

// end waits until the surge is over, and fails the test when a query was lost or wrongly answered.
func (s *surge) end(t *testing.T) {
	t.Helper()
	s.running.Wait()
	took := time.Since(s.begin)
	lost := s.sent.Load() - s.replies.Load()
	tcpLost, tcpWrong, good := 0, 0, net.IP(s.good).String()
	for _, e := range s.tcp.tcp {
		switch {
		case e.err != nil && e.version == 0 && !strings.Contains(e.err.Error(), "the answer is"):
			tcpLost++
			t.Log("TCP:", e.sent, e.err)
		case e.err != nil || e.version != int(s.good[3]):
			tcpWrong++
		}
	}
	t.Logf("UDP: %d queries in %v (%.0f a second), lost %d, wrong %d, slowest reply after %v", s.sent.Load(), took.Round(time.Millisecond),
		float64(s.sent.Load())/took.Seconds(), lost, s.wrong.Load(), time.Duration(s.late.Load()).Round(100*time.Microsecond))
	t.Logf("TCP: %d queries, lost %d, wrong %d, sent again over a new connection %d", len(s.tcp.tcp), tcpLost, tcpWrong, s.tcp.retried)
	if n := s.unsent.Load(); n > 0 {
		t.Logf("UDP: %d could not be sent", n)
	}
	if full := fullBuffers(t) - s.full; full > 0 {
		t.Logf("the kernel has dropped %d packets of this machine because a socket's buffer was full: the rate is too high for it", full)
	}
	if lost != 0 || s.wrong.Load() != 0 || tcpLost != 0 || tcpWrong != 0 {
		t.Errorf("queries were lost or wrongly answered; the good answer is %s", good)
	}
	if s.sent.Load() == 0 || len(s.tcp.tcp) == 0 {
		t.Error("nothing was asked")
	}
}

// baton is a lab with two addresses that tell by which of them they are, 127.0.1.1 and 127.0.1.2; the first, the primary, is
// down, and gtmd knows it.
type baton struct {
	*lab
	generation uint64
}

const batonGood = "127.0.1.2"

func newBaton(t *testing.T) *baton {
	t.Helper()
	l := newLab(t, shop)
	r := &baton{lab: l}
	r.configure(t, 2, 1232)
	startOrigin(t, "good", batonGood+":"+l.OriginPort, l.business)
	return r
}

// configure writes the configuration with so many workers and such a payload.
func (r *baton) configure(t *testing.T, workers, payload int) {
	t.Helper()
	r.write(t, "gtmd.toml", fill(t, "baton.toml", map[string]any{
		"GTMD": r.GTMD, "Admin": r.Admin, "Socket": r.Socket, "Dir": r.dir, "Port": r.OriginPort, "Workers": workers, "Payload": payload,
	}))
}

// begin starts gtmd, of a program, and waits until what it answers is right.
func (r *baton) begin(t *testing.T, program string, args ...string) {
	t.Helper()
	r.gtmd = start(t, r.dir, program, append([]string{"run", "--config", filepath.Join(r.dir, "gtmd.toml")}, args...)...)
	r.settled(t)
}

func (r *baton) settled(t *testing.T) {
	t.Helper()
	eventually(t, 15*time.Second, "gtmd answers "+batonGood, func() bool {
		got, err := ask(r.GTMD, r.access)
		return err == nil && slices.Equal(got, []string{batonGood})
	})
}

// next has a new process take over, and waits until the old one has ended with 0.
func (r *baton) next(t *testing.T, program string) {
	t.Helper()
	old := r.gtmd
	r.gtmd = start(t, r.dir, program, "run", "--config", filepath.Join(r.dir, "gtmd.toml"))
	if code := old.ended(t, 30*time.Second); code != 0 {
		t.Fatalf("the old gtmd ended with %d:\n%s", code, tail(old.output(t), 20))
	}
	if out := r.gtmd.output(t); !strings.Contains(out, `msg="took over"`) {
		t.Fatalf("the new gtmd did not take over:\n%s", tail(out, 20))
	}
	r.onwards(t)
}

// onwards checks that the generation has not gone back.
func (r *baton) onwards(t *testing.T) {
	t.Helper()
	now := r.status(t).Config.Generation
	if now < r.generation {
		t.Errorf("the generation went back from %d to %d", r.generation, now)
	}
	r.generation = now
}

// TestTakeOver has a new gtmd take over from the old one, again and again, under load.
func TestTakeOver(t *testing.T) {
	r := newBaton(t)
	r.begin(t, r.program)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, count(t, "GTMD_TAKEOVER_RATE", 5000))
	time.Sleep(300 * time.Millisecond)
	rounds := count(t, "GTMD_TAKEOVERS", 5)
	for round := range rounds {
		workers := 2
		if round%4 == 3 {
			workers = 3 // some sockets are opened anew, or shared
		}
		r.configure(t, workers, 1232)
		r.next(t, r.program)
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	s.end(t)
	status := r.status(t)
	if len(status.Switches) != 0 {
		t.Errorf("%d switches, want none: %v", len(status.Switches), status.Switches)
	}
	t.Logf("%d take-overs, generation %d", rounds, r.generation)
}

// TestHangups sends SIGHUP every 100 ms under load, with other options from time to time, which open the sockets anew.
func TestHangups(t *testing.T) {
	r := newBaton(t)
	r.begin(t, r.program)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, count(t, "GTMD_TAKEOVER_RATE", 5000))
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	hangups := count(t, "GTMD_HANGUP_SECONDS", 6) * 10
	for i := range hangups {
		<-ticker.C
		if i%10 == 5 {
			r.configure(t, 2+i/10%3, 1232+100*(i/10%2))
		}
		r.gtmd.signal(t, syscall.SIGHUP)
		if i%10 == 9 {
			r.onwards(t)
		}
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	s.end(t)
	loaded := strings.Count(r.gtmd.output(t), `msg="configuration loaded"`)
	t.Logf("%d SIGHUP, %d reloads, generation %d", hangups, loaded, r.generation)
	if loaded < hangups/3 {
		t.Errorf("only %d reloads", loaded)
	}
}

// buildAs builds gtmd with a release number of its own.
func buildAs(t *testing.T, path, release string) {
	t.Helper()
	out, err := exec.Command("go", "build", "-ldflags", "-X main.release="+release, "-o", path, "../cmd/gtmd").CombinedOutput()
	if err != nil {
		t.Fatalf("build gtmd %s: %v\n%s", release, err, out)
	}
}

// TestUpgrade replaces the program and sends SIGUSR2, as "systemctl kill --signal=SIGUSR2 gtmd" does; a program that does not
// start changes nothing.
func TestUpgrade(t *testing.T) {
	r := newBaton(t)
	program := filepath.Join(r.dir, "bin", "gtmd")
	buildAs(t, program, "1.0.0")
	buildAs(t, program+".new", "1.1.0")
	notices := listenNotify(t, r.dir)
	t.Setenv("NOTIFY_SOCKET", notices.path)
	r.begin(t, program)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, count(t, "GTMD_TAKEOVER_RATE", 5000))

	good := r.write(t, "good.toml", string(readFile(t, filepath.Join(r.dir, "gtmd.toml"))))
	r.write(t, "gtmd.toml", "colour = 1\n")
	r.gtmd.signal(t, syscall.SIGUSR2)
	eventually(t, 20*time.Second, "the new program has refused the file", func() bool {
		return strings.Contains(r.gtmd.output(t), "upgrade: the new gtmd has ended: serving on")
	})
	if v := r.status(t).Version.Version; v != "1.0.0" {
		t.Errorf("version %s after a failed upgrade", v)
	}
	if err := os.Rename(good, filepath.Join(r.dir, "gtmd.toml")); err != nil {
		t.Fatal(err)
	}

	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	r.gtmd.signal(t, syscall.SIGUSR2)
	old := r.gtmd
	if code := old.ended(t, 30*time.Second); code != 0 {
		t.Fatalf("the old gtmd ended with %d", code)
	}
	status := r.status(t)
	if status.Version.Version != "1.1.0" || len(status.Switches) != 0 {
		t.Errorf("version %s with %d switches, want 1.1.0 with none", status.Version.Version, len(status.Switches))
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	s.end(t)

	main := notices.main(t)
	if slices.ContainsFunc(notices.all(), func(n string) bool { return strings.Contains(n, "STOPPING=1") }) {
		t.Error("the old process told systemd that the service stops")
	}
	if err := syscall.Kill(main, syscall.SIGTERM); err != nil {
		t.Fatalf("end the new process %d: %v", main, err)
	}
	eventually(t, 10*time.Second, "the new process has saved the state and ended", func() bool {
		_, err := os.Stat(r.Socket)
		return os.IsNotExist(err)
	})
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

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
