package healthcheck

import (
	"context"
	"time"
)

// Probe asks one address once whether it is well. Nil is good; an error is bad, and its text is the reason that
// people read. An error that matches EMFILE, ENFILE, ENOMEM, ENOBUFS or EADDRNOTAVAIL says nothing of the address: that
// result is void. The probe ends when ctx does; ctx carries the timeout as its deadline. An error caused by that
// deadline matches [context.DeadlineExceeded] or [os.ErrDeadlineExceeded]. Further findings go to report, which is
// never nil, belongs to the probe until it returns, and counts whatever the result.
type Probe func(ctx context.Context, report *Report) error

// Report is what a probe finds out beyond good or bad. The zero value: nothing known, nothing to warn about.
type Report struct {
	// CertificateExpires is when the certificate, or the first of its chain to do so, expires. Zero: not known.
	CertificateExpires time.Time
	// Warning is something that people should see to although the address is well. Empty: nothing.
	Warning string
	// RTT is the round-trip time, where the probe has measured it and did more than that: its duration counts otherwise.
	// It goes into [TargetStatus.RTT], and is zero in a report that has been handed on.
	RTT time.Duration
}

// Target is one address to be probed in one way.
type Target struct {
	// ID tells targets apart and keeps their state over a reload and a restart.
	ID string
	// Protocol labels the metrics of the probes.
	Protocol Protocol
	// Probe does the work. It is called by one goroutine at a time.
	Probe Probe
	// Interval is the time from the start of one probe to the start of the next. Zero or less: 15 s.
	Interval time.Duration
	// Timeout bounds one probe. Zero or less, or above the interval: the interval.
	Timeout time.Duration
	// Fall and Rise are the results in a row that turn the target down and up. Less than one: one.
	Fall, Rise int
}

// normal returns a copy of t whose numbers are in range, so that no target can be probed without pause.
func (t Target) normal() *Target {
	if t.Interval <= 0 {
		t.Interval = 15 * time.Second
	}
	if t.Timeout <= 0 || t.Timeout > t.Interval {
		t.Timeout = t.Interval
	}
	t.Fall, t.Rise = max(t.Fall, 1), max(t.Rise, 1)
	return &t
}
