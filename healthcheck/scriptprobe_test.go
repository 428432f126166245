//go:build linux

package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shell returns a check whose command is a shell with the given text.
func shell(text string, arguments ...string) Options {
	return Options{Name: "disk/a", Protocol: Script, Command: append([]string{"/bin/sh", "-c", text, "sh"}, arguments...)}
}

// runScript runs the check once.
func runScript(t testing.TB, ctx context.Context, o Options) error {
	t.Helper()
	return compile(t, o).Target(netip.MustParseAddr("192.0.2.1"), "www.example.com").Probe(ctx, new(Report))
}

func TestScript(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"good", shell("echo well"), "good"},
		{"bad", shell("exit 2"), "script: exit code 2"},
		{"with a reason", shell("echo 'disk full'; echo more; exit 2"), "script: exit code 2: disk full"},
		{"on standard error", shell("echo 'disk full' >&2; exit 1"), "script: exit code 1: disk full"},
		{"in the order of writing", shell("echo; echo ' first' >&2; echo second; exit 1"), "script: exit code 1: first"},
		{"no end of line", shell("printf 'disk full'; exit 1"), "script: exit code 1: disk full"},
		{"not fit to print", shell(`printf '\033[2J\377\n'; exit 1`), "script: exit code 1: \uFFFD[2J\uFFFD"},
		{"one long line", shell("head -c 1000000 /dev/zero | tr '\\0' x; exit 1"), "script: exit code 1: " + strings.Repeat("x", maxReason-len("script: exit code 1: ")) + "…"},
		{"much output", shell("echo first; head -c 10000000 /dev/zero; exit 1"), "script: exit code 1: first"},
		{"killed", shell("kill -SEGV $$"), "script: killed by signal 11 (segmentation fault)"},
		{"killed, with a reason", shell("echo odd; kill -9 $$"), "script: killed by signal 9 (killed): odd"},
		{"arguments", shell(`[ "$1|$2|$3" = "192.0.2.1|http://www.example.com/ a|disk/a {}" ] || { echo "$1|$2|$3"; exit 1; }`,
			"{address}", "http://{host}/ a", "{check} {}"), "good"},
		{"environment", shell("env | sort | tr '\\n' ' '; exit 1"),
			"script: exit code 1: GTMD_ADDRESS=192.0.2.1 GTMD_CHECK=disk/a GTMD_HOST=www.example.com LANG=C PATH=" + commandPath + " PWD=/"},
		{"directory", shell("pwd; exit 1"), "script: exit code 1: /"},
		{"input", shell("readlink /proc/self/fd/0; exit 1"), "script: exit code 1: /dev/null"},
		{"no shell", Options{Name: "s", Protocol: Script, Command: []string{"/bin/echo", "$HOME;", "`id`"}}, "good"},
		{"absent", Options{Name: "s", Protocol: Script, Command: []string{"/no/such/command"}}, "cannot probe: /no/such/command: no such file or directory"},
		{"a directory", Options{Name: "s", Protocol: Script, Command: []string{"/tmp"}}, "cannot probe: /tmp: permission denied"},
		{"no program", Options{Name: "s", Protocol: Script, Command: []string{notProgram(t)}}, "cannot probe: " + notProgram(t) + ": exec format error"},
	} {
		err := runScript(t, t.Context(), tt.o)
		if text(err) != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
		if void := strings.HasPrefix(tt.want, "cannot"); void != (localFault(err) == errNoCommand) {
			t.Errorf("%s: the fault is %v", tt.name, localFault(err))
		}
	}
}

// notProgram returns a file that may be executed, and cannot be.
func notProgram(t *testing.T) string {
	t.Helper()
	file := filepath.Join(os.TempDir(), fmt.Sprintf("gtmd-test-%d", os.Getpid()))
	if err := os.WriteFile(file, []byte{0}, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file) })
	return file
}

// TestScriptCompile changes what Compile was given.
func TestScriptCompile(t *testing.T) {
	o := shell("exit 0")
	check := compile(t, o)
	o.Command[0] = "/bin/false"
	if got := check.options.Command[0]; got != "/bin/sh" {
		t.Errorf("the check's command changed to %s", got)
	}
}

// fifo returns the name of a pipe and the first line that is written to it.
func fifo(t *testing.T) (name string, line func() string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0) // Both ends, so that it does not block.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return name, func() string {
		var b strings.Builder
		for {
			octet := make([]byte, 1)
			if _, err := io.ReadFull(file, octet); err != nil || octet[0] == '\n' {
				return b.String()
			}
			b.WriteByte(octet[0])
		}
	}
}

// TestScriptEnds ends probes whose command and whose command's children go on, and looks for what is left of them.
func TestScriptEnds(t *testing.T) {
	// What the kernel takes for an orphan becomes our child, as it does when we are the first process of a container.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	const endless = "sleep 1000 & (trap '' TERM INT HUP; sleep 1000 & wait) & echo $$ $! >$1; wait; sleep 1000"
	for _, tt := range []struct {
		name   string
		script string
		end    func(cancel, expire func()) // Nil: the command ends by itself.
		want   string
		is     error
	}{
		{"deadline", endless, func(_, expire func()) { expire() }, "timeout after 5s running the command", context.DeadlineExceeded},
		{"canceled", endless, func(cancel, _ func()) { cancel() }, "canceled running the command", context.Canceled},
		{"the leader ends", "sleep 1000 & sleep 1000 & echo $$ $! >$1; echo disk full; exit 3", nil, "script: exit code 3: disk full", nil},
		{"the leader ends well", "sleep 1000 & sleep 1000 & echo $$ $! >$1", nil, "good", nil},
	} {
		name, line := fifo(t)
		expiring, expire := newExpiring()
		canceled, cancel := context.WithCancel(t.Context())
		ctx := context.Context(expiring)
		if tt.is == context.Canceled {
			ctx = canceled
		}
		before := descriptors(t)
		result := make(chan error)
		check := compile(t, shell(tt.script, name))
		go func() { result <- check.Target(netip.MustParseAddr("192.0.2.1"), "").Probe(ctx, new(Report)) }()
		processes := strings.Fields(line())
		if tt.end != nil {
			tt.end(cancel, expire)
		}
		err := <-result
		cancel()
		if text(err) != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		leader, _ := strconv.Atoi(processes[0])
		if err := syscall.Kill(-leader, 0); err != syscall.ESRCH {
			t.Errorf("%s: the process group is still there: %v", tt.name, err)
		}
		for _, process := range processes {
			if _, err := os.Stat("/proc/" + process); !os.IsNotExist(err) {
				t.Errorf("%s: process %s is still there: %v", tt.name, process, err)
			}
		}
		if child, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("%s: there is a child %d: %v", tt.name, child, err)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%s: %d descriptors, there were %d", tt.name, after, before)
		}
	}
}

// descriptors counts those of the process.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestScriptRunaway has a process leave the group and hold the output: the probe does not wait for it.
func TestScriptRunaway(t *testing.T) {
	name, line := fifo(t)
	err := runScript(t, t.Context(), shell("setsid sh -c 'echo $$ >'$1'; sleep 1000' & read x <$2; echo full; exit 1", name, firstLine(t, line)))
	if text(err) != "script: exit code 1: full" {
		t.Errorf("%v", err)
	}
}

// firstLine returns a pipe to which the process that a line names is told, and ends that process at the end of the test.
func firstLine(t *testing.T, line func() string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "go")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		process, err := strconv.Atoi(line())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { syscall.Kill(process, syscall.SIGKILL) })
		io.WriteString(file, "go\n")
	})
	t.Cleanup(func() {
		done.Wait()
		file.Close()
	})
	return name
}

// TestScriptMaxProcesses holds the processes of one check, and asks for one more.
func TestScriptMaxProcesses(t *testing.T) {
	name, line := fifo(t)
	o := shell("echo $$ >$1; sleep 1000", name)
	o.MaxProcesses = 2
	check := compile(t, o)
	target := check.Target(netip.MustParseAddr("192.0.2.1"), "")
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	for range 2 {
		go func() { results <- target.Probe(ctx, new(Report)) }()
		line()
	}
	expired, expire := newExpiring()
	go func() { results <- target.Probe(expired, new(Report)) }()
	expire()
	err := <-results
	if text(err) != "cannot probe: too many processes of this check" || localFault(err) != errTooManyProcesses {
		t.Errorf("one too many: %v", err)
	}
	waiting, give := context.WithCancel(t.Context())
	give()
	if err := target.Probe(waiting, new(Report)); text(err) != "canceled waiting for a process" || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	other := shell("exit 0")
	if err := runScript(t, t.Context(), other); err != nil {
		t.Errorf("another check: %v", err)
	}
	cancel()
	for range 2 {
		if err := <-results; text(err) != "canceled running the command" {
			t.Error(err)
		}
	}
	free, stop := context.WithCancel(t.Context())
	go func() { results <- target.Probe(free, new(Report)) }()
	line()
	stop()
	<-results
}

// TestScriptWaits has a command that waited for its process killed by the deadline: that says nothing of the address.
func TestScriptWaits(t *testing.T) {
	name, line := fifo(t)
	o := shell("echo $$ >$1; sleep 1000", name)
	o.MaxProcesses = 1
	target := compile(t, o).Target(netip.MustParseAddr("192.0.2.1"), "")
	first, second := make(chan error), make(chan error)
	holding, release := context.WithCancel(t.Context())
	go func() { first <- target.Probe(holding, new(Report)) }()
	line()
	ctx, expire := newExpiring()
	began := make(chan struct{})
	go func() {
		close(began)
		second <- target.Probe(ctx, new(Report))
	}()
	<-began
	time.Sleep(3 * maxLag)
	release()
	<-first
	line()
	expire()
	if err := <-second; text(err) != "cannot probe: too many processes of this check" || localFault(err) != errTooManyProcesses {
		t.Errorf("killed: %v", err)
	}
}

// TestScriptLag has a command that waited a little run on after the deadline, for as long.
func TestScriptLag(t *testing.T) {
	name, line := fifo(t)
	more := filepath.Join(t.TempDir(), "more")
	if err := unix.Mkfifo(more, 0o600); err != nil {
		t.Fatal(err)
	}
	check := compile(t, shell("echo $$ >$1; read x <$2; echo $x; exit 3", name, more))
	for _, tt := range []struct {
		name string
		lag  time.Duration
		end  func(cancel, expire func())
		want string
	}{
		{"deadline", time.Hour, func(_, expire func()) { expire() }, "script: exit code 3: full"},
		{"deadline after the lag", time.Millisecond, func(_, expire func()) { expire() }, "timeout after 5s running the command"},
		{"canceled", time.Hour, func(cancel, _ func()) { cancel() }, "canceled running the command"},
	} {
		expiring, expire := newExpiring()
		canceled, cancel := context.WithCancel(t.Context())
		ctx := context.Context(expiring)
		if tt.name == "canceled" {
			ctx = canceled
		}
		result := make(chan error)
		go func() { result <- check.run(ctx, check.command(netip.MustParseAddr("192.0.2.1"), ""), tt.lag) }()
		line()
		tt.end(cancel, expire)
		if strings.HasPrefix(tt.want, "script") {
			if err := os.WriteFile(more, []byte("full\n"), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-result; text(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		cancel()
	}
}

// TestScriptCrowd has more healthy targets than processes, which are enough for all. At the start, when each is probed every
// second, they are not: none may turn down for it, and all turn up.
func TestScriptCrowd(t *testing.T) {
	o := Options{Name: "s", Protocol: Script, Command: []string{"/bin/sleep", "0.3"}, MaxProcesses: 2, Interval: 3 * time.Second, Timeout: time.Second, Fall: 1}
	check := compile(t, o)
	var targets []Target
	for i := range 16 { // Each needs 0.3 s: together 2.4 s of two processes' 3 s.
		targets = append(targets, check.Target(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), ""))
	}
	e := startEngine(t, EngineOptions{})
	e.Set(targets)
	select {
	case <-e.Settled():
	case <-time.After(time.Minute):
		t.Error("not settled within a minute")
	}
	for id, one := range targetsOf(e.Status()) {
		if one.Verdict != Up || one.BadTotal > 0 {
			t.Errorf("%s: %v, %d bad results, %s", id, one.Verdict, one.BadTotal, one.Reason)
		}
	}
}

// TestScriptInEngine closes an engine whose command runs, and one whose command cannot.
func TestScriptInEngine(t *testing.T) {
	name, line := fifo(t)
	e := startEngine(t, EngineOptions{})
	target := compile(t, shell("echo $$ >$1; sleep 1000", name)).Target(netip.MustParseAddr("192.0.2.1"), "")
	target.Interval = time.Second
	e.Set([]Target{target})
	process := line()
	e.Close()
	if _, err := os.Stat("/proc/" + process); !os.IsNotExist(err) {
		t.Errorf("process %s is still there: %v", process, err)
	}
}
