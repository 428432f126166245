package querylog

import "sync/atomic"

// Counters count the entries of each sink. They outlive the sinks.
type Counters struct{ File, Dnstap Count }

// Count counts the entries of one sink. The zero value has counted nothing; safe for concurrent use.
type Count struct {
	written, lost atomic.Uint64
	full          [maxRings]struct {
		_ [56]byte // each ring is filled by other workers
		n atomic.Uint64
	}
}

// Written is how many entries were handed to the file or the collector's socket.
func (c *Count) Written() uint64 { return c.written.Load() }

// Dropped is how many entries of the sample were not: the ring was full, or the sink could not take them.
func (c *Count) Dropped() uint64 {
	sum := c.lost.Load()
	for i := range c.full {
		sum += c.full[i].n.Load()
	}
	return sum
}
