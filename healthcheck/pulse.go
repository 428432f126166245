package healthcheck

import (
	"sync"
	"time"
)

const (
	// beat is the time from one beat of the pulse to the next.
	beat = 100 * time.Millisecond
	// skipped is how late a beat is only when the process did not run.
	skipped = 150 * time.Millisecond
	// maxGaps is how many gaps are remembered. A probe that has seen more of them is judged by these.
	maxGaps = 16
)

// pulse notes when the process did not run: it was stopped (SIGSTOP), or its machine was on the move. A timer that is late says
// so, and how long it was. What was under way meanwhile says nothing of the other side. Safe for concurrent use.
type pulse struct {
	now func() time.Time

	mu   sync.Mutex // Guards the following.
	last time.Time  // Beat.
	gaps []gap      // The latest, oldest first.
}

// gap is a time in which the process did not run, as far as beats tell.
type gap struct{ from, to time.Time }

func newPulse(now func() time.Time) *pulse { return &pulse{now: now, last: now()} }

// run beats until done is closed. Its owner is Engine.running.
func (p *pulse) run(done <-chan struct{}) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			p.beat()
		}
	}
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note()
}

// note is beat for who holds mu.
func (p *pulse) note() {
	now := p.now()
	if now.Sub(p.last) > beat+skipped {
		if len(p.gaps) == maxGaps {
			p.gaps = append(p.gaps[:0], p.gaps[1:]...)
		}
		p.gaps = append(p.gaps, gap{p.last, now})
	}
	p.last = now
}

// skippedIn reports whether the process did not run for a while between two times, the later of which is now at most. At the end of a
// pause all timers ring together, so this looks whether a beat is missing before it answers.
func (p *pulse) skippedIn(from, to time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note()
	for _, g := range p.gaps {
		if g.from.Before(to) && g.to.After(from) {
			return true
		}
	}
	return false
}
