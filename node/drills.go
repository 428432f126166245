package node

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"gtmd/admin"
)

// drill is one, with its report. Immutable, once it is one of a world's. Ends is by the clock of the process while it runs, all other
// times are by the clock on the wall.
type drill struct{ admin.Drill }

// drills are those that run and those that are remembered, the oldest first. Immutable.
type drills []*drill

// find is the drill with that ID; nil: there is none.
func (all drills) find(id string) *drill {
	for _, d := range all {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// nextID is the ID of the next drill. The latest one is always remembered.
func (all drills) nextID() string {
	last := uint64(0)
	for _, d := range all {
		last = max(last, drillNumber(d.ID))
	}
	return "d" + strconv.FormatUint(last+1, 10)
}

// with returns them with one more. Of those that are over the oldest are forgotten. Earlier ones on the same instances are not
// followed any further.
func (all drills) with(d *drill) drills {
	var next drills
	over := 0
	for _, old := range slices.Backward(all) {
		if old.State != admin.DrillRunning {
			if over++; over > admin.MaxDrills {
				continue
			}
		}
		if old.isFollowed() && old.State != admin.DrillRunning && slices.ContainsFunc(d.Policies, func(p admin.DrillPolicy) bool { return old.concerns(p.Instance) }) {
			c := old.clone()
			c.CameBack = new(bool)
			c.note(d.Started, fmt.Sprintf("drill %s began before everything was as before", d.ID))
			old = c
		}
		next = append(next, old)
	}
	slices.Reverse(next)
	return append(next, d)
}

// stopped returns them with those ended to which some overrides belonged, that have been taken away by somebody; a note, when it is
// not empty, says how.
func (all drills) stopped(gone []*override, by, note string, now time.Time) drills {
	next := slices.Clone(all)
	for i, d := range next {
		if d.State != admin.DrillRunning || !slices.ContainsFunc(gone, func(o *override) bool { return o.drill == d.ID }) {
			continue
		}
		c := d.clone()
		c.end(admin.DrillStopped, by, now)
		if note != "" {
			c.note(now, note)
		}
		next[i] = c
	}
	return next
}

// shift changes the times of drills that are meant as so long from now.
func (all drills) shift(by func(time.Time) time.Time) drills {
	next := slices.Clone(all)
	for i, d := range next {
		if d.State == admin.DrillRunning {
			c := *d
			c.Ends = by(d.Ends)
			next[i] = &c
		}
	}
	return next
}

// isFollowed reports whether the report of a drill still grows.
func (d *drill) isFollowed() bool { return d.State == admin.DrillRunning || d.CameBack == nil }

// concerns reports whether a drill is on an instance.
func (d *drill) concerns(instance string) bool {
	return slices.ContainsFunc(d.Policies, func(p admin.DrillPolicy) bool { return p.Instance == instance })
}

// clone is a copy that may be changed, but for the records and what else is replaced as a whole.
func (d *drill) clone() *drill {
	c := *d
	c.Policies, c.Notes = slices.Clone(d.Policies), slices.Clone(d.Notes)
	return &c
}

// end notes that a drill is over. It is for a clone.
func (d *drill) end(state, by string, now time.Time) {
	d.State, d.EndedBy, d.Ended = state, by, moment(now)
	d.Ends = now.Round(0).Add(d.Ends.Sub(now))
}

// maxNotes is how many notes a report has.
const maxNotes = 60

// note adds what happened at a time. It is for a clone.
func (d *drill) note(now time.Time, text string) {
	switch len(d.Notes) {
	case maxNotes:
	case maxNotes - 1:
		d.Notes = append(d.Notes, clock(now)+": more happened than is noted here")
	default:
		d.Notes = append(d.Notes, clock(now)+": "+text)
	}
}

// shown is a drill as the API tells it: its end is by the clock on the wall as it is now.
func (d *drill) shown(now time.Time) admin.Drill {
	c := d.clone()
	if c.State == admin.DrillRunning {
		c.Ends = now.Round(0).Add(d.Ends.Sub(now))
	}
	return c.Drill
}
