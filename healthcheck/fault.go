package healthcheck

import (
	"log/slog"
	"sync"
	"time"
)

// faults are the local faults that keep targets from being probed now. They are there for the log: a fault gets one
// line when it hits the first target and one when the last of them has been probed again, however many there are.
type faults struct {
	logger *slog.Logger

	mu     sync.Mutex // Guards the following, and keeps the lines in order.
	active map[error]*activeFault
}

// activeFault is one fault that goes on.
type activeFault struct {
	since   time.Time
	targets int // That it keeps from being probed; at least one.
}

func newFaults(logger *slog.Logger) *faults {
	return &faults{logger: logger, active: make(map[error]*activeFault)}
}

// move notes that the fault of a target is another one now. Both are results of localFault; nil is none.
func (f *faults) move(id string, from, to error, now time.Time) {
	if from == to {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if to != nil {
		fault := f.active[to]
		if fault == nil {
			fault = &activeFault{since: now}
			f.active[to] = fault
			f.logger.Warn("cannot probe", "fault", to.Error(), "target", id)
		}
		fault.targets++
	}
	if since, over := f.drop(from); over {
		f.logger.Info("can probe again", "fault", from.Error(), "after", now.Sub(since))
	}
}

// leave notes that a target is not watched any more. It writes no line, since that no probe has worked.
func (f *faults) leave(fault error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(fault)
}

// drop takes one target off a fault, which may be nil. It reports whether that was its last one, and since when the
// fault went on. The caller holds mu.
func (f *faults) drop(fault error) (since time.Time, over bool) {
	active := f.active[fault]
	if active == nil {
		return time.Time{}, false
	}
	active.targets--
	if active.targets > 0 {
		return time.Time{}, false
	}
	delete(f.active, fault)
	return active.since, true
}
