package healthcheck

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Probe asks one address once whether it is well. Nil is good; an error is bad, and its text is the reason that
// people read. An error that matches EMFILE, ENFILE, ENOMEM, ENOBUFS or EADDRNOTAVAIL says nothing of the address: that
// result is void. The probe ends when ctx does; ctx carries the timeout as its deadline. An error caused by that
// deadline matches [context.DeadlineExceeded] or [os.ErrDeadlineExceeded]. Further findings go to report, which is
// never nil, belongs to the probe until it returns, and counts whatever the result.
type Probe func(ctx context.Context, report *Report) error

// ErrUndecided is the result of a probe that has nothing to say yet: neither good nor bad, and no fault.
var ErrUndecided = errors.New("nothing is known yet")

// Phases are the times that the parts of a probe took. A part that a probe has not come to, or does not have, is zero.
type Phases struct {
	Connect, TLS, FirstByte, Body time.Duration
}

// Report is what a probe finds out beyond good or bad. The zero value: nothing known, nothing to warn about.
type Report struct {
	// CertificateExpires is when the certificate, or the first of its chain to do so, expires. Zero: not known.
	CertificateExpires time.Time
	// Warning is something that people should see to although the address is well. Empty: nothing.
	Warning string
	// RTT is the round-trip time, where the probe has measured it and did more than that: its duration counts otherwise.
	// It goes into [TargetStatus.RTT], and is zero in a report that has been handed on.
	RTT time.Duration
	// Phases of the probe. They go into [TargetStatus.Phases], and are zero in a report that has been handed on.
	Phases Phases
}

// Target is one address to be probed in one way.
type Target struct {
	// ID tells targets apart and keeps their state over a reload and a restart.
	ID string
	// Protocol labels the metrics of the probes.
	Protocol Protocol
	// Address is what is probed: targets in many networks that fail together say that this prober is blind. The zero Addr
	// takes no part in that.
	Address netip.Addr
	// Canary marks a target that is there only to tell whether this prober sees anything.
	Canary bool
	// Probe does the work. It is called by one goroutine at a time.
	Probe Probe
	// Interval is the time from the start of one probe to the start of the next. Zero or less: 15 s.
	Interval time.Duration
	// Timeout bounds one probe. Zero or less, or above the interval: the interval.
	Timeout time.Duration
	// Fall and Rise are the results in a row that turn the target down and up. Less than one: one.
	Fall, Rise int
	// Window turns the target down by how many of the last results were bad. The zero value: it does not.
	Window Window
	// FastInterval takes the place of Interval while a streak argues against the verdict. Zero, or above it: it does not.
	FastInterval time.Duration
	// Flap limits how often the verdict may turn. The zero value: it does not.
	Flap Flap
	// MaxLatency is what a good probe may take before the target counts as degraded. Zero: any time.
	MaxLatency time.Duration
	// Invert makes good results bad and bad ones good.
	Invert bool
}

// turning is what says when a verdict may turn.
type turning struct {
	address                netip.Addr
	canary, push           bool
	interval, fastInterval time.Duration
	fall, rise             int
	window                 Window
	flap                   Flap
}

func (t *Target) turning() turning {
	return turning{t.Address, t.Canary, t.Protocol == Push, t.Interval, t.FastInterval, t.Fall, t.Rise, t.Window, t.Flap}
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
