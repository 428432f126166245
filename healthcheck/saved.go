package healthcheck

import (
	"strings"
	"time"
)

// Saved is what survives a restart of one target. Its JSON form is stable: fields are added, and what they lack in an
// older file is as if it had never been. A streak that confirms the verdict may be older than the truth: see
// [Engine.Changed].
type Saved struct {
	Verdict Verdict   `json:"verdict"`
	Since   time.Time `json:"since"`
	Bad     int       `json:"bad,omitempty"`
	Good    int       `json:"good,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	// Recovered is that of [TargetStatus].
	Recovered time.Time `json:"recovered,omitzero"`
	// Window are the results that [Target.Window] looks at, oldest first: "b" is bad, "g" good. Good ones before the
	// first bad one are left out.
	Window string `json:"window,omitempty"`
	// Turns are when the verdict of the results last turned, oldest first, as far as [Target.Flap] limits them.
	Turns []time.Time `json:"turns,omitempty"`
	// Flapping is since when Verdict is held, and Raw what the results say meanwhile. Zero and empty: it is not held.
	Flapping time.Time `json:"flapping,omitzero"`
	Raw      Verdict   `json:"raw,omitempty"`
}

// Saved returns what to save of every target, by its ID. The map is the caller's.
func (s *Status) Saved() map[string]Saved {
	saved := make(map[string]Saved, len(s.states))
	for i, t := range s.states {
		one := Saved{Verdict: t.Verdict, Since: t.Since, Bad: t.Bad, Good: t.Good, Reason: t.Reason, Recovered: t.Recovered, Flapping: t.Flapping}
		one.Window, one.Raw = letters(t.kept.window), t.kept.raw
		if t.kept.burst != nil {
			one.Turns = t.kept.burst.turns[:len(t.kept.burst.turns):len(t.kept.burst.turns)]
		}
		saved[s.roster.ids[i]] = one
	}
	return saved
}

// Map returns s with each of its times, zero ones excepted, replaced by what f makes of it. A caller that has read s from
// a file uses it to give the times monotonic readings.
func (s Saved) Map(f func(time.Time) time.Time) Saved {
	for _, t := range []*time.Time{&s.Since, &s.Recovered, &s.Flapping} {
		if !t.IsZero() {
			*t = f(*t)
		}
	}
	var turns []time.Time
	for _, t := range s.Turns {
		turns = append(turns, f(t))
	}
	s.Turns = turns
	return s
}

// machine returns the state to go on with, or fresh when what was saved is no state at all.
func (s Saved) machine(fresh machine, t *Target) machine {
	switch {
	case s.Verdict != Unknown && s.Verdict != Up && s.Verdict != Down:
		return fresh
	case s.Bad < 0 || s.Good < 0 || s.Bad > 0 && s.Good > 0:
		return fresh
	}
	m := machine{
		track:     Track{Verdict: s.Verdict, Since: s.Since, Bad: s.Bad, Good: s.Good, Reason: s.Reason},
		window:    bitsOf(s.Window) & t.Window.mask(),
		recovered: s.Recovered,
	}
	if t.Flap.Turns == 0 { // Held or not, the verdict goes on from what others saw.
		if m.track.Verdict != Down && m.track.Bad == 0 {
			m.track.Reason = ""
		}
		return m
	}
	turns := s.Turns[max(0, len(s.Turns)-t.Flap.Turns-1):]
	if len(turns) > 0 {
		m.burst = &burst{limit: t.Flap, turns: turns}
	}
	if !s.Flapping.IsZero() && (s.Raw == Up || s.Raw == Down) && s.Verdict != Unknown {
		m.burst = &burst{limit: t.Flap, turns: turns, since: s.Flapping, held: s.Verdict, heldSince: s.Since}
		m.track.Verdict = s.Raw
		_, last, _ := strings.Cut(s.Reason, "; last: ")
		if s.Bad == 0 {
			last = ""
		}
		m.track.Reason = last
	}
	return m
}

// letters writes the results of a window.
func letters(window uint64) string {
	if window == 0 {
		return ""
	}
	var b strings.Builder
	for bit := maxWindow - 1; bit >= 0; bit-- {
		switch {
		case window>>bit&1 == 1:
			b.WriteByte('b')
		case b.Len() > 0:
			b.WriteByte('g')
		}
	}
	return b.String()
}

// bitsOf reads what letters wrote. Any other letter is good.
func bitsOf(letters string) (window uint64) {
	for _, letter := range []byte(letters) {
		window <<= 1
		if letter == 'b' {
			window |= 1
		}
	}
	return window
}
