package handover

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// keeper is an owner with some sockets; it notes what it is asked for.
type keeper struct {
	sockets func() []Socket
	refuse  error                 // of Freeze
	during  func(context.Context) // of Offer; nil: nothing

	mu    sync.Mutex // guards calls
	calls []string
}

func (k *keeper) note(call string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, call)
}

func (k *keeper) told() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.calls, " ")
}

func (k *keeper) Offer(ctx context.Context) ([]Socket, []byte, error) {
	k.note("offer")
	if k.during != nil {
		k.during(ctx)
	}
	return k.sockets(), []byte(`"offered"`), nil
}

func (k *keeper) Freeze(context.Context) ([]byte, error) {
	k.note("freeze")
	return []byte(`"frozen"`), k.refuse
}
func (k *keeper) Abort() { k.note("abort") }
func (k *keeper) Leave() { k.note("leave") }

// house is a door that is served until the test ends.
type house struct {
	path   string
	keeper *keeper
	log    *bytes.Buffer // valid after end
	end    func() (handed bool)
}

// newHouse opens a door in front of sockets.
func newHouse(t *testing.T, k *keeper) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "door") // a unix socket has a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if k.sockets == nil {
		k.sockets = func() []Socket { return nil }
	}
	h := &house{path: filepath.Join(dir, "door"), keeper: k, log: new(bytes.Buffer)}
	door, err := OpenDoor(h.path, "old", slog.New(slog.NewTextHandler(h.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan bool, 1)
	go func() { result <- door.Serve(ctx, k) != nil }()
	h.end = sync.OnceValue(func() bool { cancel(); return <-result })
	t.Cleanup(func() { h.end() })
	return h
}

// knock connects to the door, as a process that may say anything.
func (h *house) knock(t *testing.T) line {
	t.Helper()
	conn, err := net.Dial("unix", h.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return line{conn.(*net.UnixConn), t.Context()}
}

// bound is a socket that was opened here, and its duplicates.
func bound(t *testing.T, network string) (Socket, func() Socket) {
	t.Helper()
	fd := -1
	var err error
	switch network {
	case "udp":
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	case "tcp":
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil && network == "tcp" {
		err = unix.Listen(fd, 10)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	s, err := newSocket(fd)
	if err != nil {
		t.Fatal(err)
	}
	return s, func() Socket {
		d, err := s.Duplicate()
		if err != nil {
			t.Error(err)
		}
		return d
	}
}

// TestTakeOver moves many sockets, each once, and both states; then the path is the next one's.
func TestTakeOver(t *testing.T) {
	tcp, again := bound(t, "tcp")
	var all []func() Socket
	for range 2*maxDescriptors + 3 {
		_, duplicate := bound(t, "udp")
		all = append(all, duplicate)
	}
	h := newHouse(t, &keeper{sockets: func() (sockets []Socket) {
		for _, duplicate := range all {
			sockets = append(sockets, duplicate())
		}
		held := again()
		held.Held = true
		return append(sockets, held, again())
	}})
	taking, err := TakeOver(t.Context(), h.path, "new")
	if err != nil {
		t.Fatal(err)
	}
	defer taking.Close()
	defer taking.Sockets.Close()
	if got := taking.Sockets.Len(); got != len(all)+1 || string(taking.State) != `"offered"` || taking.Program != "old" || taking.PID != os.Getpid() {
		t.Errorf("%d sockets, state %s, of %q in process %d", got, taking.State, taking.Program, taking.PID)
	}
	found, err := taking.Sockets.Find("tcp", tcp.Address)
	if err != nil || len(found) != 1 || !found[0].Held || found[0].inode != tcp.inode {
		t.Fatalf("the TCP socket is %+v, error %v", found, err)
	}
	Close(found)
	state, err := taking.Freeze()
	if err != nil || string(state) != `"frozen"` {
		t.Errorf("frozen state %s, error %v", state, err)
	}
	if err := taking.Serving(); err != nil {
		t.Error(err)
	}
	if !h.end() || h.keeper.told() != "offer freeze leave" {
		t.Errorf("the keeper was asked for %q", h.keeper.told())
	}
	next, err := OpenDoor(h.path, "next", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("the next door: %v", err)
	}
	next.Close()
	if IsDoor(h.path) {
		t.Error("a closed door is still there")
	}
	if len(taking.Sockets.Unused()) != len(all) {
		t.Errorf("%d sockets are unused, want %d", len(taking.Sockets.Unused()), len(all))
	}
	taking.Sockets.Settle()
	if held, err := taking.Sockets.Held(); err != nil || len(held) != 1 || taking.Sockets.Len() != 1 {
		t.Errorf("after Settle there are %d, held %v, error %v", taking.Sockets.Len(), held, err)
	} else {
		Close(held)
	}
}

// TestDamage: whatever the next process does before it serves, this one goes on as if nobody had asked, and hands over to the
// one after it.
func TestDamage(t *testing.T) {
	hello := message{Kind: kindHello, Program: "new"}
	says := func(l line, m message) { l.send(m, nil, patience) }
	hears := func(t *testing.T, l line, kind string) {
		t.Helper()
		if _, _, err := l.receive(patience, kind); err != nil {
			t.Errorf("wait for %s: %v", kind, err)
		}
	}
	for _, row := range []struct {
		name  string
		does  func(t *testing.T, l line)
		calls string
		says  string // the log
	}{
		{"hangs up at once", func(*testing.T, line) {}, "", "has ended in the middle"},
		{"says garbage", func(_ *testing.T, l line) { l.conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, "", "it is said to have 1195725856 octets"},
		{"is cut in its hello", func(_ *testing.T, l line) { l.conn.Write([]byte{0, 0, 0, 90, '{'}) }, "", "has ended in the middle"},
		{"says something else", func(_ *testing.T, l line) { says(l, message{Kind: kindServing}) }, "", `got \"serving\"`},
		{"dies after the offer", func(t *testing.T, l line) { says(l, hello); hears(t, l, kindOffer) }, "offer abort", "has ended in the middle"},
		{"dies after freeze", func(t *testing.T, l line) {
			says(l, hello)
			hears(t, l, kindOffer)
			says(l, message{Kind: kindFreeze})
			hears(t, l, kindState)
		}, "offer freeze abort", "has ended in the middle"},
		{"serves without having frozen", func(t *testing.T, l line) { says(l, hello); says(l, message{Kind: kindServing}) }, "offer abort", `got \"serving\"`},
		{"refuses", func(t *testing.T, l line) {
			says(l, hello)
			says(l, message{Kind: kindRefuse, Reason: "out of memory"})
		}, "offer abort", "out of memory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newHouse(t, &keeper{})
			l := h.knock(t)
			row.does(t, l)
			l.conn.CloseWrite()
			io.Copy(io.Discard, l.conn) // until it hangs up
			if got := h.keeper.told(); got != row.calls {
				t.Errorf("the keeper was asked for %q, want %q", got, row.calls)
			}
			taking, err := TakeOver(t.Context(), h.path, "later")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := taking.Freeze(); err != nil {
				t.Error(err)
			}
			if err := taking.Serving(); err != nil {
				t.Error(err)
			}
			taking.Close()
			if !h.end() || h.keeper.told() != strings.TrimSpace(row.calls+" offer freeze leave") {
				t.Errorf("the keeper was asked for %q", h.keeper.told())
			}
			if !strings.Contains(h.log.String(), row.says) {
				t.Errorf("the log has no %q:\n%s", row.says, h.log)
			}
		})
	}
}

// TestOtherProtocol: a program of another protocol is told which one this is, whatever else it says.
func TestOtherProtocol(t *testing.T) {
	h := newHouse(t, &keeper{})
	l := h.knock(t)
	text := `{"protocol":99,"kind":"hello","program":"9.9","sockets":[{"network":"quic"}]}`
	l.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	_, _, err := l.receive(patience, kindOffer)
	want := "the other gtmd (9.9) hands over by protocol 99, this one by 1"
	if refusal := Refusal(""); !errors.As(err, &refusal) || string(refusal) != want {
		t.Errorf("error %v, want the refusal %q", err, want)
	}
	if h.end() || h.keeper.told() != "" {
		t.Errorf("the keeper was asked for %q", h.keeper.told())
	}
}

// TestOldSide is what the old process may do to the new one.
func TestOldSide(t *testing.T) {
	for _, row := range []struct {
		name    string
		does    func(old line)
		failing string // what does not work
		want    string
	}{
		{"dies at once", func(line) {}, "take over", ErrGone.Error()},
		{"refuses", func(old line) { old.send(message{Kind: kindRefuse, Reason: "it is stopping"}, nil, patience) }, "take over", "the running gtmd refuses: it is stopping"},
		{"has another protocol", func(old line) {
			text := `{"protocol":2,"kind":"offer","program":"0.9"}`
			old.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
		}, "take over", "the other gtmd (0.9) hands over by protocol 2, this one by 1"},
		{"names a socket that it does not send", func(old line) {
			old.send(message{Kind: kindSockets, Sockets: []socketName{{Network: "udp"}}}, nil, patience)
		}, "take over", "it names 1 sockets and has 0 descriptors"},
		{"sends a file", func(old line) {
			f, _ := os.Open(os.DevNull)
			defer f.Close()
			old.send(message{Kind: kindSockets, Sockets: []socketName{{Network: "udp"}}}, []int{int(f.Fd())}, patience)
		}, "take over", "is no socket"},
		{"dies after the offer", func(old line) { old.send(message{Kind: kindOffer}, nil, patience) }, "freeze", ErrGone.Error()},
		{"dies when it is frozen", func(old line) {
			old.send(message{Kind: kindOffer}, nil, patience)
			old.send(message{Kind: kindState}, nil, patience)
		}, "", ""},
		{"gives up when it is frozen", func(old line) {
			old.send(message{Kind: kindOffer}, nil, patience)
			old.send(message{Kind: kindState}, nil, patience)
			old.send(message{Kind: kindRefuse, Reason: "too slow"}, nil, patience)
		}, "serving", "the running gtmd refuses: too slow"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "door")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				old := line{conn.(*net.UnixConn), t.Context()}
				if _, _, err := old.receive(patience, kindHello); err != nil {
					t.Error(err)
				}
				row.does(old)
			}()
			failing, failure := "", error(nil)
			taking, err := TakeOver(t.Context(), path, "new")
			if err != nil {
				failing, failure = "take over", err
			} else {
				<-done
				if _, err := taking.Freeze(); err != nil {
					failing, failure = "freeze", err
				} else if err := taking.Serving(); err != nil {
					failing, failure = "serving", err
				}
				taking.Close()
			}
			<-done
			if failing != row.failing || row.want != "" && !strings.Contains(fmt.Sprint(failure), row.want) {
				t.Errorf("%q failed: %v, want %q: %s", failing, failure, row.failing, row.want)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, path := range []string{filepath.Join(dir, "absent"), path, filepath.Join(dir, strings.Repeat("long", 50))} {
		if taking, err := TakeOver(t.Context(), path, "new"); taking != nil || err != nil {
			t.Errorf("%s: %v, error %v", path, taking, err)
		}
	}
	door, err := OpenDoor(path, "old", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("in place of what a dead process left: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the door is %v, error %v", info.Mode(), err)
	}
	door.Close()
}

func TestWhoMayTake(t *testing.T) {
	for _, row := range []struct {
		taker uint32
		owner int
		want  bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1000, 0, false}, {1001, 1000, false}, {65534, 0, false}} {
		if got := mayTake(row.taker, row.owner); got != row.want {
			t.Errorf("user %d from user %d: %v", row.taker, row.owner, got)
		}
	}
}

// TestPassed is what systemd may pass: what is of no use is told, the rest can be found by its address.
func TestPassed(t *testing.T) {
	udp, udpAgain := bound(t, "udp")
	tcp, tcpAgain := bound(t, "tcp")
	mute, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	packet, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Passed([]*os.File{
		os.NewFile(uintptr(udpAgain().FD), "dns"), os.NewFile(uintptr(tcpAgain().FD), "dns"), os.NewFile(uintptr(udpAgain().FD), "twice"),
		os.NewFile(uintptr(mute), "mute"), os.NewFile(uintptr(packet), "packet"), null,
	})
	if s == nil {
		t.Fatalf("the good sockets are lost with the others: %v", err)
	}
	defer s.Close()
	for _, want := range []string{`"mute"`, "does not listen", `"packet"`, "of no use here", `"/dev/null"`, "is no socket"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s in it", err, want)
		}
	}
	if s.Len() != 2 {
		t.Errorf("%d sockets, want UDP and TCP, each once", s.Len())
	}
	var addresses []netip.AddrPort
	s.Each(func(a netip.AddrPort) { addresses = append(addresses, a) })
	if !slices.Contains(addresses, netip.MustParseAddrPort(udp.Address)) || !slices.Contains(addresses, netip.MustParseAddrPort(tcp.Address)) {
		t.Errorf("addresses %v", addresses)
	}
}

// TestStopping: what ends a process while it does something else ends what it would wait for next, on either side.
func TestStopping(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := newHouse(t, &keeper{})
	taking, err := TakeOver(ctx, h.path, "new")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := taking.Freeze(); !errors.Is(err, context.Canceled) {
		t.Errorf("freeze when the new process is to end: error %v", err)
	}
	taking.Close()
	ctx, cancel = context.WithCancel(t.Context())
	if taking, err = TakeOver(ctx, h.path, "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := taking.Freeze(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := taking.Serving(); !errors.Is(err, context.Canceled) {
		t.Errorf("serving when the new process is to end: error %v", err)
	}
	taking.Close()

	h = newHouse(t, &keeper{during: func(ctx context.Context) { // a signal comes meanwhile
		go h.end()
		<-ctx.Done()
	}})
	begin := time.Now()
	if _, err := TakeOver(t.Context(), h.path, "new"); err == nil || !strings.Contains(err.Error(), "it is stopping") {
		t.Errorf("an old process that is to end: error %v", err)
	}
	if handed := h.end(); handed || time.Since(begin) > 20*time.Second {
		t.Errorf("handed over %v after %v", handed, time.Since(begin))
	}
}
