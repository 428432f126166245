package server

import (
	"sync/atomic"
	"time"
)

// clock is the time for what is done at every query, which must not ask the system for it. It is set every tickInterval
// by one goroutine and read by any; before it is set it stands at 0.
type clock struct {
	wall    atomic.Uint32 // seconds since 1970, modulo 2^32 (RFC 9018 section 4.3); follows steps of the system's clock
	elapsed atomic.Uint64 // microseconds since start; never goes back
}

// tickInterval is how far the clock may lag behind.
const tickInterval = 100 * time.Millisecond

// set takes over the time; start is when the clock was made.
func (c *clock) set(start, now time.Time) {
	c.wall.Store(uint32(now.Unix()))
	c.elapsed.Store(uint64(now.Sub(start).Microseconds()))
}

// run keeps the clock until stop is closed.
func (c *clock) run(start time.Time, stop <-chan struct{}) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.set(start, time.Now())
		case <-stop:
			return
		}
	}
}
