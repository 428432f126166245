package healthcheck

import (
	"strings"
	"sync"
	"time"
)

const (
	// forgetReports is how long a target is remembered that is neither reported on nor probed: longer than the longest
	// interval and timeout, so that a report is never forgotten before it is too old.
	forgetReports = 26 * time.Hour
	// sweepReports is how often those to forget are looked for.
	sweepReports = time.Hour
)

// reports are the last words of the origins, by target ID. All methods are safe for concurrent use.
type reports struct {
	mu      sync.Mutex // Guards the following.
	entries map[string]*reportEntry
	swept   time.Time
}

// reportEntry is what is known of one target.
type reportEntry struct {
	report    PushReport
	known     bool      // There is a report.
	listening time.Time // When the series of probes began that has had no gap. Zero: it has not been probed.
	asked     time.Time // When it was probed last.
}

// refreshed is when the entry was last of use.
func (e *reportEntry) refreshed() time.Time {
	if e.asked.After(e.report.Received) {
		return e.asked
	}
	return e.report.Received
}

// put keeps a report that has come now.
func (r *reports) put(id string, report PushReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report.Received = time.Now()
	e := r.entry(id, report.Received)
	e.report, e.known = report, true
}

// last returns the last report of a target, if there is one.
func (r *reports) last(id string) (report PushReport, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[id]; e != nil {
		return e.report, e.known
	}
	return PushReport{}, false
}

// ask is last for a probe. It also returns for how long the target has been probed without a gap longer than that
// given: a process that was paused, or has just started, could not have heard a report.
func (r *reports) ask(id string, gap time.Duration) (report PushReport, known bool, listening time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	e := r.entry(id, now)
	if e.listening.IsZero() || now.Sub(e.asked) > gap {
		e.listening = now
	}
	e.asked = now
	return e.report, e.known, now.Sub(e.listening)
}

// entry returns the entry of a target, and makes one if there is none. The caller holds mu.
func (r *reports) entry(id string, now time.Time) *reportEntry {
	if now.Sub(r.swept) > sweepReports {
		r.swept = now
		for id, e := range r.entries {
			if now.Sub(e.refreshed()) > forgetReports {
				delete(r.entries, id)
			}
		}
	}
	e := r.entries[id]
	if e == nil {
		if r.entries == nil {
			r.entries = make(map[string]*reportEntry)
		}
		e = new(reportEntry)
		r.entries[strings.Clone(id)] = e
	}
	return e
}
