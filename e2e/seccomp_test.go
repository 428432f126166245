//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The environment of a launcher: this very program, which installs the filter of system calls and then becomes gtmd.
const launcherCalls = "GTMD_E2E_LAUNCHER_CALLS" // the numbers that are allowed, as JSON

// launch is the launcher. It returns only when it fails.
func launch(numbers string, command []string) error {
	var allowed []uint32
	if err := json.Unmarshal([]byte(numbers), &allowed); err != nil {
		return err
	}
	// Whatever is outside of the filter kills, so that what gtmd would shrug off is seen too; the unit has it fail with EPERM.
	const killProcess, allow = 0x80000000, 0x7fff0000 // SECCOMP_RET_*
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4}, // the architecture
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: unix.AUDIT_ARCH_X86_64},
		{Code: unix.BPF_RET | unix.BPF_K, K: killProcess},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number
	}
	for _, number := range allowed {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: allow})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: killProcess})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("NoNewPrivileges: %w", err)
	}
	os.Unsetenv(launcherCalls)
	environment := os.Environ()
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("install the filter: %w", errno)
	}
	return syscall.Exec(command[0], command, environment)
}

// unitCalls are the numbers of the calls that SystemCallFilter= of the unit allows, as systemd-analyze knows its sets.
func unitCalls(t *testing.T, analyze string) []uint32 {
	t.Helper()
	header, err := os.ReadFile("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
	if err != nil {
		t.Skipf("the numbers of system calls are not installed: %v", err)
	}
	numbers := map[string]uint32{}
	for _, m := range regexp.MustCompile(`(?m)^#define __NR_(\w+) (\d+)$`).FindAllStringSubmatch(string(header), -1) {
		n, _ := strconv.Atoi(m[2])
		numbers[m[1]] = uint32(n)
	}
	sets := map[string][]string{}
	out, err := exec.Command(analyze, "syscall-filter").Output()
	if err != nil {
		t.Fatalf("systemd-analyze syscall-filter: %v", err)
	}
	set := ""
	for line := range strings.Lines(string(out)) {
		switch word := strings.TrimSpace(line); {
		case word == "" || strings.HasPrefix(word, "#"):
		case strings.HasPrefix(line, "@"):
			set = word
		case strings.HasPrefix(line, " "):
			sets[set] = append(sets[set], word)
		}
	}
	var expand func(name string) []string
	expand = func(name string) (all []string) {
		if !strings.HasPrefix(name, "@") {
			return []string{name}
		}
		if len(sets[name]) == 0 {
			t.Fatalf("systemd-analyze knows no set %s", name)
		}
		for _, member := range sets[name] {
			all = append(all, expand(member)...)
		}
		return all
	}
	allowed := map[string]bool{}
	unit := string(readFile(t, "../deploy/gtmd.service"))
	for _, m := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllStringSubmatch(unit, -1) {
		for _, name := range strings.Fields(m[2]) {
			for _, call := range expand(name) {
				allowed[call] = m[1] == ""
			}
		}
	}
	var calls []uint32
	for name, yes := range allowed {
		if n, known := numbers[name]; yes && known {
			calls = append(calls, n)
		}
	}
	slices.Sort(calls)
	if len(calls) < 150 || len(calls) > 350 {
		t.Fatalf("the filter allows %d calls: that is not what systemd makes of it", len(calls))
	}
	return calls
}

// TestUnitFilter runs gtmd as the unit does: as a user of its own with two capabilities, and under its filter of system calls,
// where a call outside of it kills. It serves, probes (by http, script and ping), reloads, is upgraded, and ends.
func TestUnitFilter(t *testing.T) {
	if runtime.GOARCH != "amd64" || os.Geteuid() != 0 {
		t.Skip("needs root on amd64")
	}
	calls, err := json.Marshal(unitCalls(t, need(t, "systemd-analyze")["systemd-analyze"]))
	if err != nil {
		t.Fatal(err)
	}
	r := newBaton(t)
	r.GTMD = net.JoinHostPort(gtmdIP, lowPort(t, gtmdIP))
	r.configure(t, 2, 1232)
	text := string(readFile(t, filepath.Join(r.dir, "gtmd.toml")))
	for _, more := range []struct{ old, new string }{
		{`health_check = "web"` + "\naddresses    = [\"127.0.1.2\"]", `health_check = ["web", "ping", "script"]` + "\naddresses    = [\"127.0.1.2\"]"},
		{"[[pool]]\nname         = \"dead\"", "[[health_check]]\nname = \"ping\"\nprotocol = \"ping\"\ninterval = \"1s\"\ntimeout = \"500ms\"\n" +
			"[[health_check]]\nname = \"script\"\nprotocol = \"script\"\ncommand = [\"/bin/true\"]\ninterval = \"1s\"\ntimeout = \"500ms\"\n\n[[pool]]\nname         = \"dead\""},
	} {
		if strings.Count(text, more.old) != 1 {
			t.Fatalf("baton.toml has no %q", more.old)
		}
		text = strings.Replace(text, more.old, more.new, 1)
	}
	r.write(t, "gtmd.toml", text)

	// Another user reads and runs what is here, and writes to the directory.
	const user = 65534
	program, launcher := filepath.Join(r.dir, "gtmd"), filepath.Join(r.dir, "launcher")
	for to, from := range map[string]string{program: r.program, launcher: "/proc/self/exe"} {
		if err := os.WriteFile(to, readFile(t, from), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for dir := r.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(r.dir, user, user); err != nil {
		t.Fatal(err)
	}
	notices := listenNotify(t, r.dir)
	if err := os.Chmod(notices.path, 0o777); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(r.dir, "gtmd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{name: "gtmd", log: out.Name(), done: make(chan struct{})}
	p.cmd = exec.Command(launcher, program, "run", "--config", filepath.Join(r.dir, "gtmd.toml"))
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = r.dir, out, out
	p.cmd.Env = append(os.Environ(), launcherCalls+"="+string(calls), "NOTIFY_SOCKET="+notices.path, "WATCHDOG_USEC=3000000")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: user, Gid: user},
		AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_RAW},
	}
	// The filter is in force: another program dies of what the unit does not allow.
	control := exec.Command(launcher, "/bin/chown", "nobody", r.dir)
	control.Env = append(os.Environ(), launcherCalls+"="+string(calls))
	control.Run()
	if status, _ := control.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGSYS {
		t.Errorf("chown under the filter: %v, want it killed", control.ProcessState)
	}
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
	r.settled(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSurge(t, ctx, r.GTMD, r.access, batonGood, 1000)
	p.signal(t, syscall.SIGHUP)
	if out, code := r.lab.run(t, "reload"); code != 0 {
		t.Errorf("gtmd reload ends with %d:\n%s", code, out)
	}
	p.signal(t, syscall.SIGUSR1)
	time.Sleep(2 * time.Second) // probes of each kind
	p.signal(t, syscall.SIGUSR2)
	if code := p.ended(t, 30*time.Second); code != 0 {
		t.Fatalf("gtmd ended with %d (%v)", code, p.cmd.ProcessState)
	}
	time.Sleep(time.Second)
	cancel()
	s.end(t)
	main := notices.main(t)
	status := string(readFile(t, fmt.Sprintf("/proc/%d/status", main)))
	for _, want := range []string{"Seccomp:\t2\n", "NoNewPrivs:\t1\n", "Uid:\t65534\t", "CapEff:\t0000000000002400\n", "CapPrm:\t0000000000002400\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("/proc/%d/status has no %q", main, want)
		}
	}
	if a := r.standing(t, "alive", batonGood); a.Standing != "up" {
		t.Errorf("the address that is probed by http, ping and script is %s: %s", a.Standing, a.Reason)
	}
	if err := syscall.Kill(main, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the new process has saved the state and ended", func() bool {
		_, err := os.Stat(r.Socket)
		return os.IsNotExist(err)
	})
	if out := p.output(t); !strings.Contains(out, "msg=stopped") || strings.Contains(out, "operation not permitted") {
		t.Errorf("the log:\n%s", tail(out, 50))
	}
	t.Logf("gtmd as user %d with CAP_NET_BIND_SERVICE and CAP_NET_RAW, under a filter of %d calls that kills: 0 calls outside of it",
		user, strings.Count(string(calls), ",")+1)
}

// lowPort is a free port that needs CAP_NET_BIND_SERVICE.
func lowPort(t *testing.T, ip string) string {
	t.Helper()
	for port := 1023; port > 600; port-- {
		if text := strconv.Itoa(port); isFree(text, []string{ip}) {
			return text
		}
	}
	t.Fatalf("no port below 1024 is free on %s", ip)
	return ""
}
