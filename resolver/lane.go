package resolver

import "context"

// laneWidth is how many names are resolved at once in one lane. Each takes two sockets.
const laneWidth = 64

// lane bounds the resolutions that run at the same time; it holds one token for each.
type lane chan struct{}

// lanes keep names that resolve from waiting behind names that do not: a dead zone with a thousand names may fill its
// lane, and delays only its own kind.
type lanes struct{ good, unknown, failing lane }

func newLanes() lanes {
	return lanes{good: make(lane, laneWidth), unknown: make(lane, laneWidth), failing: make(lane, laneWidth)}
}

// of returns the lane of a name by its last answer.
func (l lanes) of(a *Answer) lane {
	switch {
	case a.Err != "":
		return l.failing
	case a.Known:
		return l.good
	default:
		return l.unknown
	}
}

// enter waits for room. It reports false when ctx has ended; the lane must not be left then.
func (l lane) enter(ctx context.Context) bool {
	select {
	case l <- struct{}{}:
		if ctx.Err() == nil {
			return true
		}
		<-l
		return false
	case <-ctx.Done():
		return false
	}
}

func (l lane) leave() { <-l }
