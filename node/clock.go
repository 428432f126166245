package node

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// boot is a point of the clock that runs from the start of the machine, also while it sleeps, and that nobody sets. The zero
// value: this machine has none.
type boot struct {
	ID     string        `json:"id"`     // of this run of the machine
	Uptime time.Duration `json:"uptime"` // in nanoseconds
}

// presentBoot is the present point, on Linux.
func presentBoot() boot {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return boot{}
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return boot{}
	}
	up, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(up, 64)
	if err != nil {
		return boot{}
	}
	return boot{strings.TrimSpace(string(id)), time.Duration(seconds * float64(time.Second))}
}

// onWall writes the times of a body, which are those of the running process, by the clock on the wall as it is now: each as long
// before now as it was by the clock of the process, which nobody sets.
func (b *stateBody) onWall(now time.Time) {
	wall := now.Round(0)
	b.shift(func(t time.Time) time.Time { return wall.Add(t.Sub(now)) })
}

// revive is the inverse, in a process that has just started: the times of the body become times of its own clock, as long ago
// as they were when the body was saved and what has passed since. That is told by the clock of the machine where it still
// runs, else by that on the wall, which counts only forward.
func (b *stateBody) revive(now time.Time, present boot) {
	passed := now.Round(0).Sub(b.Saved)
	if b.Boot.ID != "" && b.Boot.ID == present.ID {
		if told := present.Uptime - b.Boot.Uptime; told >= 0 && (told-passed).Abs() > wallSlack {
			passed = told
		}
	}
	passed = max(passed, 0)
	saved := b.Saved
	b.shift(func(t time.Time) time.Time { return now.Add(t.Sub(saved) - passed) })
}

// wallSlack is by how much the clock on the wall may go differently from that of the machine without having been set. The former
// is the finer one.
const wallSlack = time.Second

// shift changes every time of the body that is meant as so long ago, or so long from now. The zero time stays.
func (b *stateBody) shift(by func(time.Time) time.Time) {
	set := func(t *time.Time) {
		if !t.IsZero() {
			*t = by(*t)
		}
	}
	for id, s := range b.Targets {
		b.Targets[id] = s.Map(by)
	}
	for i := range b.Policies {
		p := &b.Policies[i]
		set(&p.Since)
		available := make(map[string]time.Time, len(p.Available))
		for id, at := range p.Available {
			set(&at)
			available[id] = at
		}
		p.Available = available
	}
	for i := range b.Overrides {
		set(&b.Overrides[i].Since)
		if !b.Overrides[i].OnWall {
			set(&b.Overrides[i].Expires)
		}
	}
	b.Drills = b.Drills.shift(by)
	for name, a := range b.Names {
		set(&a.Since)
		set(&a.Resolved)
		b.Names[name] = a
	}
	set(&b.Saved)
}
