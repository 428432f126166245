//go:build !linux

package healthcheck

import "os/exec"

// wait waits until the leader, which is command's process, has ended, and ends the group. Its error is that of
// [exec.Cmd.Wait]. The leader has been waited for when the group is killed. The number is still the group's while others are in
// it; of an empty group it could be another's only if the system gave it out again within [outputGrace].
func (g *processGroup) wait(command *exec.Cmd) error {
	err := command.Wait()
	g.end()
	return err
}
