package healthcheck

import (
	"errors"
	"os/exec"

	"golang.org/x/sys/unix"
)

// wait waits until the leader, which is command's process, has ended, and ends the group. Its error is that of
// [exec.Cmd.Wait].
func (g *processGroup) wait(command *exec.Cmd) error {
	for {
		// The leader keeps the number of the group as long as it has not been waited for.
		err := unix.Waitid(unix.P_PID, g.leader, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	g.end()
	return command.Wait()
}
