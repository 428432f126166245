package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// maxOutput is how much of what a command prints is kept, in octets. The rest is read and thrown away.
	maxOutput = 4 << 10
	// outputGrace is how long a process that has left the group may hold the output of a command that has ended.
	outputGrace = 100 * time.Millisecond
	// maxLag is how long after the probe's deadline a command may run that had to wait for its process as long. With
	// outputGrace it is less than the grace that the engine gives.
	maxLag = 100 * time.Millisecond
	// commandPath is where commands look for others.
	commandPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// What a probe is doing.
	awaitingProcess step = "waiting for a process"
	runningCommand  step = "running the command"
)

// script is the probe that runs a command of the operator's. No more than MaxProcesses of the check run at once; a
// probe whose turn does not come is void, and so is one whose command cannot be started, or had to be killed before it
// had its whole timeout, since it waited for its turn.
func (c *Check) script(ctx context.Context, address netip.Addr, host string) error {
	start := time.Now()
	if !c.takeProcess(ctx) {
		if errors.Is(ctx.Err(), context.Canceled) {
			return explain(ctx, ctx.Err(), awaitingProcess, c.options.Timeout)
		}
		return unable(errors.Join(errTooManyProcesses, ctx.Err()), errTooManyProcesses)
	}
	defer func() { <-c.processes }()
	waited := time.Since(start)
	err := c.run(ctx, c.command(address, host), min(waited, maxLag))
	if waited > maxLag && isTimeout(err) {
		return unable(errors.Join(errTooManyProcesses, err), errTooManyProcesses)
	}
	return err
}

// run runs a command in a process group of its own, which is killed when the command ends or ctx does, so that nothing is
// left of it. Only a process that leaves the group on purpose (setsid, setpgid) gets away. The deadline of ctx kills it
// with that lag; a context that is canceled, at once.
func (c *Check) run(ctx context.Context, command *exec.Cmd, lag time.Duration) error {
	var output head
	// One value for both makes one pipe of them.
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return newReason(errors.Join(err, errNoCommand), "cannot probe: %s: %s", command.Path, bare(err))
	}
	group := processGroup{leader: command.Process.Pid}
	stop := context.AfterFunc(ctx, func() {
		if isTimeout(ctx.Err()) {
			time.AfterFunc(lag, group.kill) // When it is over by then, nothing happens.
			return
		}
		group.kill()
	})
	err := group.wait(command)
	stop()
	group.reap()
	state := command.ProcessState
	switch {
	case state == nil:
		return newReason(errors.Join(err, errNoCommand), "cannot probe: %s: %s", command.Path, bare(err))
	case state.Success():
		return nil
	case ctx.Err() != nil && !state.Exited():
		return explain(ctx, ctx.Err(), runningCommand, c.options.Timeout)
	}
	line := ""
	if first := output.line(); first != "" {
		line = ": " + first
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return newReason(nil, "script: killed by signal %d (%v)%s", int(status.Signal()), status.Signal(), line)
	}
	return newReason(nil, "script: exit code %d%s", state.ExitCode(), line)
}

// takeProcess waits for one of the processes that the check may have. It reports false when ctx ends before.
func (c *Check) takeProcess(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case c.processes <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// command returns the command for an address, not started. Its standard input is empty.
func (c *Check) command(address netip.Addr, host string) *exec.Cmd {
	o := &c.options
	fill := strings.NewReplacer("{address}", address.String(), "{host}", host, "{check}", o.Name)
	arguments := make([]string, len(o.Command))
	for i, argument := range o.Command {
		arguments[i] = fill.Replace(argument)
	}
	// The path is what the operator wrote: no one else has a say in which program runs.
	arguments[0] = o.Command[0]
	return &exec.Cmd{
		Path: o.Command[0],
		Args: arguments,
		Env: []string{
			"PATH=" + commandPath, "LANG=C",
			"GTMD_ADDRESS=" + address.String(), "GTMD_HOST=" + host, "GTMD_CHECK=" + o.Name,
		},
		Dir:         "/",
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		WaitDelay:   outputGrace,
	}
}

// head keeps the beginning of what is written to it. Writing never fails.
type head struct {
	octets []byte
}

// Write takes all of b and keeps what fits.
func (h *head) Write(b []byte) (int, error) {
	h.octets = append(h.octets, b[:min(len(b), maxOutput-len(h.octets))]...)
	return len(b), nil
}

// line returns the first line that is not blank.
func (h *head) line() string {
	for line := range bytes.Lines(h.octets) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return string(line)
		}
	}
	return ""
}
