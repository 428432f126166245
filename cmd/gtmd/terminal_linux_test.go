package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal (pty(7)): what a program says on it is read by the test.
type terminal struct {
	t      *testing.T
	master *os.File
	ended  chan struct{} // closed when nothing more can be read

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

// newTerminal makes a terminal of a size, and returns the side of the program, which the caller closes.
func newTerminal(t *testing.T, columns, rows int) (*terminal, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo terminals here: %v", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	var slave *os.File
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)})
	}
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, master: master, ended: make(chan struct{})}
	go term.read()
	t.Cleanup(func() { master.Close() })
	return term, slave
}

// read ends when the last program has closed its side.
func (term *terminal) read() {
	defer close(term.ended)
	buffer := make([]byte, 4096)
	for {
		n, err := term.master.Read(buffer)
		term.mu.Lock()
		term.said.Write(buffer[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.said.String()
}

// until waits for a text.
func (term *terminal) until(want string) {
	term.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(term.text(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			text := term.text()
			term.t.Fatalf("the terminal does not show %q, at last:\n%q", want, text[max(len(text)-2000, 0):])
		}
	}
}

// TestTopOnATerminal: top takes the alternate screen, fits it, and leaves the terminal as it was when it is ended.
func TestTopOnATerminal(t *testing.T) {
	t.Parallel()
	for _, how := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		term, slave := newTerminal(t, 60, 10)
		program := exec.Command(os.Args[0])
		program.Args = []string{"gtmd", "top", "--interval", "100ms", "--socket", "none.sock"}
		program.Stdin, program.Stdout, program.Stderr, program.Env = slave, slave, slave, append(os.Environ(), "TERM=xterm")
		if err := program.Start(); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		term.until("cannot reach gtmd on none.sock")
		if err := program.Process.Signal(how); err != nil {
			t.Fatal(err)
		}
		if err := program.Wait(); err != nil {
			t.Errorf("%v: %v", how, err)
		}
		<-term.ended
		text := term.text()
		if !strings.HasPrefix(text, enterScreen+goHome) || !strings.HasSuffix(text, leaveScreen) || strings.Count(text, enterScreen) != 1 {
			t.Errorf("%v: the terminal got %q", how, text)
		}
		for shown := range strings.SplitSeq(text, goHome) {
			if lines := strings.Count(shown, "\n") + 1; lines > 10 {
				t.Errorf("%v: %d lines on a screen of 10", how, lines)
			}
		}
	}
}

// TestTopOnADumbTerminal gets no controls, which it would show.
func TestTopOnADumbTerminal(t *testing.T) {
	t.Parallel()
	term, slave := newTerminal(t, 60, 10)
	program := exec.Command(os.Args[0])
	program.Args, program.Env = []string{"gtmd", "top", "--interval", "100ms", "--socket", "none.sock"}, append(os.Environ(), "TERM=dumb")
	program.Stdin, program.Stdout, program.Stderr = slave, slave, slave
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	term.until("cannot reach gtmd on none.sock")
	program.Process.Signal(os.Interrupt)
	if err := program.Wait(); err != nil {
		t.Error(err)
	}
	<-term.ended
	if text := term.text(); strings.Contains(text, "\x1b") {
		t.Errorf("the terminal got %q", text)
	}
}

// TestTopOfARunningServer: what stops being normal appears, on a screen that is too small for all of it.
func TestTopOfARunningServer(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "gtmd") // a unix socket has a short path
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addresses := make([]string, 60)
	for i := range addresses {
		addresses[i] = fmt.Sprintf(`"192.0.2.%d"`, i)
	}
	socket, file := filepath.Join(dir, "admin.sock"), filepath.Join(dir, "gtmd.toml")
	text := fmt.Sprintf("[dns]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"\"\nsocket = %q\n[state]\ndir = %q\n", socket, filepath.Join(dir, "state")) +
		"[[zone]]\nname = \"gtm.test\"\nnameservers = [\"ns.example.net\"]\ncontact = \"h@gtm.test\"\n" +
		fmt.Sprintf("[[pool]]\nname = \"test1\"\ntype = \"ipv4\"\naddresses = [%s]\n", strings.Join(addresses, ", "))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	gtmd := func(out io.Writer, args ...string) *exec.Cmd {
		program := exec.Command(os.Args[0])
		program.Args, program.Stdout, program.Stderr, program.Env = append([]string{"gtmd"}, args...), out, out, append(os.Environ(), "TERM=xterm")
		return program
	}
	daemon := gtmd(nil, "run", "--config", file)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		daemon.Process.Kill()
		daemon.Wait()
	}()
	term, slave := newTerminal(t, 70, 10)
	top := gtmd(slave, "top", "-i", "100ms", "-s", socket)
	if err := top.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	term.until("everything is normal")
	for i := range 5 {
		if out, err := gtmd(nil, "override", "set", "down", fmt.Sprintf("192.0.2.%d", i), "--reason", "deploy", "--for", "1h", "-s", socket).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	term.until("override o1: 192.0.2.0 is down")
	term.until("more that are not normal")
	if err := top.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := top.Wait(); err != nil {
		t.Error(err)
	}
	<-term.ended
	for shown := range strings.SplitSeq(term.text(), goHome) {
		for i, line := range strings.Split(shown, "\n") {
			line = strings.NewReplacer("\r", "", clearLine, "", clearRest, "", enterScreen, "", leaveScreen, "").Replace(line)
			if i == 10 || utf8.RuneCountInString(line) > 70 {
				t.Fatalf("line %d of a screen of 10 by 70 is %q", i+1, line)
			}
		}
	}
}

// TestInitOnATerminal answers the questions as people do, one after the other.
func TestInitOnATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	term, slave := newTerminal(t, 100, 30)
	program := exec.Command(os.Args[0])
	program.Args, program.Dir = []string{"gtmd", "init"}, dir
	program.Stdin, program.Stdout, program.Stderr = slave, slave, slave
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	for _, step := range [][2]string{
		{"such as gtm.example.com: ", "gtm.example.com"}, {"ns2.example.com: ", "ns1.example.com"}, {"[origin.gtm.example.com]: ", ""},
		{"3. The primary origins: addresses, or names: ", "192.0.2.1"}, {"[none]: ", ""}, {"[http://origin.gtm.example.com/]: ", "ping"},
	} {
		term.until(step[0])
		if _, err := io.WriteString(term.master, step[1]+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	term.until("gtmd.toml is written, and passes gtmd check.")
	if err := program.Wait(); err != nil {
		t.Error(err)
	}
	<-term.ended
	if text, err := os.ReadFile(filepath.Join(dir, "gtmd.toml")); err != nil || !strings.Contains(string(text), `protocol = "ping"`) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestScreenWithoutATerminal prints one text after the other, without controls.
func TestScreenWithoutATerminal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	s := screen{out: w, interval: time.Millisecond, render: func(context.Context, int) []string { return []string{"one", "two"} }}
	ended := make(chan error, 1)
	go func() {
		err := s.run(ctx)
		w.CloseWithError(errors.Join(err, io.EOF))
		ended <- err
	}()
	got := make([]byte, len("one\ntwo\n\none\ntwo\n\n"))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "one\ntwo\n\none\ntwo\n\n" {
		t.Errorf("got %q, %v", got, err)
	}
	cancel()
	r.Close()
	<-ended
}
