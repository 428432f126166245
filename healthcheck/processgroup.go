package healthcheck

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// processGroup is the leader of a process group, a child of ours, and those that it has started. The number of a group is
// safe to use only as long as its leader has not been waited for: it may be another's then.
type processGroup struct {
	leader int

	mu   sync.Mutex // Guards the following.
	over bool       // The leader may have been waited for.
}

// kill ends all processes of the group, unless it is over.
func (g *processGroup) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		// It fails when all have ended already.
		_ = unix.Kill(-g.leader, unix.SIGKILL)
	}
}

// end kills what the leader has left behind and declares the group over.
func (g *processGroup) end() {
	g.kill()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
}

// reap waits for killed processes of the group that have become children of ours, as they do when we are the first
// process of a container. One that the kernel does not let go within 100 ms is left.
func (g *processGroup) reap() {
	for range 100 {
		switch child, err := unix.Wait4(-g.leader, nil, unix.WNOHANG, nil); {
		case errors.Is(err, unix.EINTR), child > 0:
		case err != nil:
			return // There is none.
		default:
			time.Sleep(time.Millisecond)
		}
	}
}
