package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// upgradeBound is how long a new process may take until it has taken over. Then it is killed, and the old one goes on.
const upgradeBound = 3 * time.Minute

// upgrade is the start of the program that is now at our path, which takes over from this process. It is used by one
// goroutine, and at most one is under way.
type upgrade struct {
	log     *slog.Logger
	program string
	args    []string
	process *os.Process // nil: none is under way
	bound   *time.Timer
}

// newUpgrade notes by what path this process was started. A path that leads through symbolic links is kept as it is, so that a
// link that points to another version by then leads there.
func newUpgrade(log *slog.Logger) *upgrade {
	u := &upgrade{log: log, program: os.Args[0], args: successorArguments(os.Args), bound: time.NewTimer(upgradeBound)}
	u.bound.Stop()
	if !strings.ContainsRune(u.program, '/') {
		if found, err := exec.LookPath(u.program); err == nil {
			u.program = found
		}
	}
	if absolute, err := filepath.Abs(u.program); err == nil {
		u.program = absolute
	}
	return u
}

// start starts the new process, with the arguments and the environment of this one but for what is not for it.
func (u *upgrade) start() {
	if u.process != nil {
		u.log.Warn("an upgrade is under way already", "pid", u.process.Pid)
		return
	}
	process, err := os.StartProcess(u.program, u.args, &os.ProcAttr{
		Env: successorEnvironment(os.Environ()), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		u.log.Error("upgrade: start the program: serving on", "program", u.program, "error", err)
		return
	}
	u.log.Info("upgrade: the program that is now there is started, and takes over when it is ready", "program", u.program, "pid", process.Pid)
	u.process = process
	u.bound.Reset(upgradeBound)
}

// successorArguments are arguments without the flag that says not to take over, which is what a successor is for.
func successorArguments(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool {
		flag, _, _ := strings.Cut(one, "=")
		return flag == "--no-take-over"
	})
}

// successorEnvironment is an environment without what systemd meant for this process alone. Without WATCHDOG_PID,
// WATCHDOG_USEC is for whoever reads it (sd_watchdog_enabled(3)).
func successorEnvironment(all []string) (kept []string) {
	for _, variable := range all {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			kept = append(kept, variable)
		}
	}
	return kept
}

// look notes when the new process has ended, after SIGCHLD.
func (u *upgrade) look() {
	if u.process == nil {
		return
	}
	var status unix.WaitStatus
	if pid, err := unix.Wait4(u.process.Pid, &status, unix.WNOHANG, nil); err == nil && pid == 0 {
		return
	}
	why := fmt.Sprintf("exit status %d", status.ExitStatus())
	if status.Signaled() {
		why = status.Signal().String()
	}
	u.log.Error("upgrade: the new gtmd has ended: serving on", "pid", u.process.Pid, "error", why)
	u.end()
}

// giveUp kills the new process, which has taken too long.
func (u *upgrade) giveUp() {
	if u.process != nil {
		u.log.Error("upgrade: the new gtmd is not ready: it is killed", "pid", u.process.Pid, "waited", upgradeBound)
		u.process.Kill() // look tells the rest
	}
}

// cancel ends the new process, because this one is to end: it would go on in its place.
func (u *upgrade) cancel() {
	if u.process != nil {
		u.process.Signal(unix.SIGTERM)
		u.end()
	}
}

// end lets go of the process.
func (u *upgrade) end() {
	u.bound.Stop()
	u.process.Release()
	u.process = nil
}
