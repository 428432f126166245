package healthcheck

import (
	"io"
	"time"
)

// stopwatch measures the phases of a probe, one after the other.
type stopwatch struct{ at time.Time }

func startWatch() stopwatch { return stopwatch{time.Now()} }

// lap returns the time since the start or the last lap. It is never zero, which would say that there was no such phase.
func (w *stopwatch) lap() time.Duration { return w.lapAt(time.Now()) }

// lapAt is lap for a moment that has passed. A zero moment is now.
func (w *stopwatch) lapAt(now time.Time) time.Duration {
	if now.IsZero() {
		now = time.Now()
	}
	d := max(now.Sub(w.at), 1)
	w.at = now
	return d
}

// arrival notes when the first octets come from a reader.
type arrival struct {
	io.Reader
	at time.Time // Zero: none has come yet.
}

func (a *arrival) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 && a.at.IsZero() {
		a.at = time.Now()
	}
	return n, err
}
