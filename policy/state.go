package policy

import "time"

// State is what a decision asks about addresses. Its functions may be nil: then nothing is known of what they would tell.
type State struct {
	// Health is what is known of an address that is probed; it is asked for those only.
	Health func(*Address) Health
	// Override is what an operator says of an address of a pool in a set; the zero value: nothing.
	Override func(set *Set, pool *Pool, a *Address) Override
	// Recovered is when an address last came up from being down, see [Address.Recovered]; zero: it never did. It is asked where
	// there is a slow start.
	Recovered func(*Address) time.Time
	// Earliest is when the health of an address could turn at the earliest, as long as there is a sign that it may; zero: there
	// is none. It is asked where the TTL depends on it.
	Earliest func(*Address) time.Time
}

// OverrideKind is what an operator wants of an address.
type OverrideKind string

// The overrides.
const (
	OverrideUp    OverrideKind = "up"
	OverrideDown  OverrideKind = "down"
	OverrideDrain OverrideKind = "drain"
)

// Override is what an operator says of an address, beside its health. The zero value is none.
type Override struct {
	Kind OverrideKind
	// Since is when it began; Over is how long the weight of a drained address takes to go to 0.
	Since time.Time
	Over  time.Duration
	// Expires is when it ends by itself; zero: never.
	Expires time.Time
}

func (s *State) health(a *Address) Health {
	if s.Health == nil {
		return Unknown
	}
	return s.Health(a)
}

func (s *State) override(set *Set, pool *Pool, a *Address) Override {
	if s.Override == nil {
		return Override{}
	}
	return s.Override(set, pool, a)
}

// Standing is why an address is, or is not, available.
type Standing string

// The standings.
const (
	StandsOnline     Standing = "always online"
	StandsUp         Standing = "up"
	StandsUnknown    Standing = "no result yet"
	StandsUnprobed   Standing = "not probed"
	StandsForcedUp   Standing = "up by override"
	StandsDraining   Standing = "draining"
	StandsDown       Standing = "down"
	StandsOffline    Standing = "always offline"
	StandsForcedDown Standing = "down by override"
	StandsDrained    Standing = "drained"
)

// Available reports whether an address of this standing counts and is served.
func (s Standing) Available() bool {
	switch s {
	case StandsDown, StandsOffline, StandsForcedDown, StandsDrained:
		return false
	default:
		return true
	}
}

// isForced reports whether an operator keeps the address from being served.
func (s Standing) isForced() bool { return s == StandsForcedDown || s == StandsDrained }

// StandingOf is the table "Is an address available?" of BEHAVIOUR.md. What an operator says goes before the mode and the health.
//
//	override             mode         health   standing          available
//	up                   any          any      up by override    yes
//	none, down, drain    offline      -        always offline    no
//	down                 any other    any      down by override  no
//	drain, over          any other    any      drained           no
//	drain, not over yet  any other    not down draining          yes
//	drain, not over yet  intelligent  down     down              no
//	none                 online       -        always online     yes
//	none                 intelligent  -        not probed        yes
//	none                 intelligent  up       up                yes
//	none                 intelligent  unknown  no result yet     yes
//	none                 intelligent  down     down              no
func StandingOf(a *Address, state State, override Override, now time.Time) Standing {
	switch {
	case override.Kind == OverrideUp:
		return StandsForcedUp
	case a.Mode == ModeOffline:
		return StandsOffline
	case override.Kind == OverrideDown:
		return StandsForcedDown
	case override.Kind == OverrideDrain && !now.Before(override.Since.Add(override.Over)):
		return StandsDrained
	}
	standing := StandsUp
	switch {
	case a.Mode == ModeOnline:
		standing = StandsOnline
	case len(a.Targets) == 0:
		standing = StandsUnprobed
	default:
		switch state.health(a) {
		case Down:
			standing = StandsDown
		case Unknown:
			standing = StandsUnknown
		}
	}
	if override.Kind == OverrideDrain && standing.Available() {
		return StandsDraining
	}
	return standing
}

// FullShare is the share of its weight that an address has when nothing takes from it: shares are in twentieths.
const FullShare = 20

// shareStep is the shortest time between two steps of a share.
const shareStep = time.Second

// risen is the share of an address that recovered so long ago, of a ramp: one step at first, then more with time. It returns also
// how long that share holds; zero: for ever.
func risen(since, ramp time.Duration) (share uint32, holds time.Duration) {
	if ramp <= 0 || since >= ramp {
		return FullShare, 0
	}
	step := max(ramp/FullShare, shareStep)
	since = max(since, 0)
	done := since / step * step
	return uint32(1 + int64(FullShare-1)*int64(done)/int64(ramp)), min(done+step, ramp) - since
}

// Share is the part of its weight that an address has, in twentieths, and how long it keeps that by itself; zero: for ever. It is
// for addresses that are available.
func Share(a *Address, state State, override Override, now time.Time) (share uint32, holds time.Duration) {
	switch {
	case override.Kind == OverrideDrain:
		return fallen(now.Sub(override.Since), override.Over)
	case override.Kind == OverrideUp || a.SlowStart == 0 || state.Recovered == nil || len(a.Targets) == 0:
		return FullShare, 0
	}
	recovered := state.Recovered(a)
	if recovered.IsZero() || state.health(a) != Up {
		return FullShare, 0
	}
	return risen(now.Sub(recovered), a.SlowStart)
}

// fallen is the share of an address that has been drained for so long, of a ramp: a step less than all at first. It returns also
// how long that share holds; zero: for ever.
func fallen(since, ramp time.Duration) (share uint32, holds time.Duration) {
	share, holds = risen(since, ramp)
	return FullShare - share, holds
}
