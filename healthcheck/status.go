package healthcheck

import "time"

// Status is what an [Engine] knew at one moment. Nothing in it changes any more; do not write to it.
type Status struct {
	// Targets holds every target that is being watched, by its ID.
	Targets map[string]TargetStatus
}

// TargetStatus is what is known of one target.
type TargetStatus struct {
	// Track is the verdict, since when it holds, its reason, and the current streak.
	Track
	// LastProbe is when the last probe that counted started. Zero: none yet since the engine started.
	LastProbe time.Time
	// LastDuration is how long that probe took.
	LastDuration time.Duration
	// RTT is the smoothed round-trip time: the average of what the good probes took, in which each new one has a weight of
	// 1/8. It tells addresses of one check apart; of http, say, it has the time to connect and to answer in it. Zero: no
	// good probe yet since the engine started.
	RTT time.Duration
	// LastError is the reason of that probe's bad result or, when Void, why there has been none since. Empty: it was
	// good, or there was none yet.
	LastError string
	// Void is whether the latest attempt was void for a fault of our own, such as a lack of file descriptors. All
	// but LastError and Report stay as they were then.
	Void bool
	// Report is that of the last probe that had anything to report, so that a probe that does not come as far as
	// the certificate does not hide its expiry.
	Report Report
	// GoodTotal and BadTotal count the results since the engine started, void ones left out.
	GoodTotal, BadTotal uint64
}

// Saved is what survives a restart of one target. Its JSON form is stable.
// A streak that confirms the verdict may be older than the truth: see [Engine.Changed].
type Saved struct {
	Verdict Verdict   `json:"verdict"`
	Since   time.Time `json:"since"`
	Bad     int       `json:"bad,omitempty"`
	Good    int       `json:"good,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}

// Saved returns what to save of every target, by its ID. The map is the caller's.
func (s *Status) Saved() map[string]Saved {
	saved := make(map[string]Saved, len(s.Targets))
	for id, t := range s.Targets {
		saved[id] = Saved(t.Track)
	}
	return saved
}

// track returns the state to go on with, or fresh when what was saved is no state at all.
func (s Saved) track(fresh Track) Track {
	switch {
	case s.Verdict != Unknown && s.Verdict != Up && s.Verdict != Down:
		return fresh
	case s.Bad < 0 || s.Good < 0 || s.Bad > 0 && s.Good > 0:
		return fresh
	}
	return Track(s)
}
