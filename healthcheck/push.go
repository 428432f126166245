package healthcheck

import "time"

// PushReport is what an origin says of itself.
type PushReport struct {
	// Up is whether it is well.
	Up bool
	// Reason is what it says beyond that; of one that is down it is the reason that people read.
	Reason string
	// Received is when it came. [Prober.Report] sets it.
	Received time.Time
}

// push is the probe that looks at the last report of a target. One that says up is good for the interval and the
// timeout after it came: the timeout is the time that a report may be late. Silence is bad once it has lasted that long
// while we listened, and undecided before.
func (c *Check) push(id string) error {
	o := &c.options
	allowed := o.Interval + o.Timeout
	last, known, listening := c.prober.reports.ask(id, allowed)
	switch silence := time.Since(last.Received); {
	case known && silence <= allowed && last.Up:
		return nil
	case known && silence <= allowed && last.Reason == "":
		return newReason(nil, "the origin reports that it is down")
	case known && silence <= allowed:
		return newReason(nil, "the origin reports that it is down: %s", last.Reason)
	case listening <= allowed:
		return ErrUndecided
	case known:
		return newReason(nil, "no report for %v, wanted one every %v", about(silence), o.Interval)
	default:
		return newReason(nil, "no report for %v, wanted one every %v", about(listening), o.Interval)
	}
}

// about rounds a duration for people.
func about(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	default:
		return d.Round(time.Millisecond)
	}
}

// Report takes in what an origin says of the push target with the given ID, in the place of what it said before. It does not ask
// whether there is such a target, nor who reports: see [Check.Authorize]. The text of r is cleaned and cut. What it
// takes is forgotten when the target is neither reported on nor probed for 26 hours.
func (p *Prober) Report(id string, r PushReport) {
	r.Reason = clean(r.Reason)
	p.reports.put(id, r)
}

// LastReport returns the last report of a target, however old, and whether there is one.
func (p *Prober) LastReport(id string) (PushReport, bool) { return p.reports.last(id) }

// Authorize reports whether token is the one of a push check. The time that it takes tells nothing of the right
// one, nor whether there is one: checks of other kinds have none.
func (c *Check) Authorize(token string) bool { return c.token.equals(token) }
