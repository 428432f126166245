//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program of the lab that runs until its test ends, or until the test ends it.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file with everything that it prints
	done chan struct{}
	err  error // of Wait; valid once done is closed
}

// start runs a program in a directory. Its output goes to a file, which is shown when the test fails.
func start(t *testing.T, dir, program string, args ...string) *process {
	t.Helper()
	name := filepath.Base(program)
	out, err := os.CreateTemp(dir, name+".*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{name: name, cmd: exec.Command(program, args...), log: out.Name(), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go p.wait()
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Logf("output of %s %s:\n%s", name, strings.Join(args, " "), tail(p.output(t), 100))
		}
	})
	return p
}

// wait returns when the process has ended. Its owner is end.
func (p *process) wait() {
	defer close(p.done)
	p.err = p.cmd.Wait()
}

// signal sends a signal.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v to %s: %v", s, p.name, err)
	}
}

// end ends the process if it still runs: politely, then by force.
func (p *process) end(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.cmd.Process.Signal(s); errors.Is(err, os.ErrProcessDone) {
			break
		}
		select {
		case <-p.done:
			return
		case <-time.After(5 * time.Second):
			t.Errorf("%s has not ended 5 s after %v", p.name, s)
		}
	}
	<-p.done
}

// ended waits until the process has ended by itself and returns its exit code; -1 when a signal killed it.
func (p *process) ended(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s still runs after %v", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// output is what the process has printed.
func (p *process) output(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tail returns the last n lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// eventually waits until a condition holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", within, what)
		}
	}
}

// build builds gtmd once for all tests. GTMD_E2E_PROGRAM names another one to test, such as that of a release.
var build = sync.OnceValues(func() (string, error) {
	if program := os.Getenv("GTMD_E2E_PROGRAM"); program != "" {
		return filepath.Abs(program)
	}
	dir, err := os.MkdirTemp("", "gtmd-e2e-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "gtmd")
	out, err := exec.Command("go", "build", "-o", program, "../cmd/gtmd").CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("build gtmd: %w\n%s", err, out)
	}
	return program, nil
})

func TestMain(m *testing.M) {
	if calls := os.Getenv(launcherCalls); calls != "" { // seccomp_test.go
		fmt.Fprintln(os.Stderr, "launch gtmd:", launch(calls, os.Args[1:]))
		os.Exit(1)
	}
	code := m.Run()
	if os.Getenv("GTMD_E2E_PROGRAM") == "" { // then the directory is ours
		if program, err := build(); err == nil {
			os.RemoveAll(filepath.Dir(program))
		}
	}
	os.Exit(code)
}

// need returns the paths of programs. Without one of them the test is skipped, or fails where everything is required.
func need(t *testing.T, programs ...string) map[string]string {
	t.Helper()
	paths := map[string]string{}
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil { // Debian keeps daemons where not every PATH leads.
			path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
		}
		switch {
		case err == nil:
			paths[name] = path
		case os.Getenv("GTMD_E2E_REQUIRE") == "1":
			t.Fatalf("%s is not installed, and GTMD_E2E_REQUIRE is 1", name)
		default:
			t.Skipf("%s is not installed", name)
		}
	}
	return paths
}
