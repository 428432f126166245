package healthcheck

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// subject is one target of TestDay: what happens to it, and what its probes found.
type subject struct {
	target Target
	state  atomic.Int32 // One of well, dead, lossy.
	heard  []heard      // Written by its probe only; read when the day is over.
	turns  []turnLine   // From the log.
	faults []outage
}

type heard struct {
	start, end    time.Time
	good, witness bool
}

type turnLine struct {
	at time.Time
	to string
}

type outage struct{ from, to time.Time }

const (
	well = iota
	dead
	lossy
)

// TestDay lets 24 hours go by with random faults of the origins and three cuts of the uplink. Every turn is held
// against what the probes found, every long outage against the turns, every probe against its slot.
func TestDay(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	synctest.Test(t, func(t *testing.T) {
		const n = 120
		var (
			random = rand.New(rand.NewPCG(1, 2))
			begin  = time.Now()
			cut    atomic.Bool
			e      *Engine
			days   = map[string]*subject{}
			list   []Target
			order  []*subject
		)
		log := &turnLog{days: days}
		isWitness := func(id string) bool { // For its probe: the course is that of the hand which runs it.
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.watchers[id].course.witness
		}
		for i, target := range crowd(n, 0) {
			d := &subject{}
			target.Address = crowd(n*200, 0)[i*200].Address
			target.Interval = []time.Duration{30, 60, 45}[i%3] * time.Second
			target.Timeout, target.Fall, target.Rise = 2*time.Second, 1+i%3, 1+i%2
			if i%4 == 1 {
				target.Window = Window{3, 5}
			}
			if i%4 == 2 {
				target.FastInterval = 5 * time.Second
			}
			if i%8 == 3 {
				target.Flap = Flap{3, 30 * time.Minute}
			}
			chance := rand.New(rand.NewPCG(3, uint64(i)))
			target.Probe = func(ctx context.Context, _ *Report) error {
				start := time.Now()
				time.Sleep(time.Duration(i%50) * time.Millisecond)
				state := d.state.Load()
				var err error
				switch {
				case cut.Load(), state == dead && i%2 == 0:
					<-ctx.Done()
					err = ctx.Err()
				case state == dead, state == lossy && chance.IntN(2) == 0:
					err = errors.New("connect: connection refused")
				}
				d.heard = append(d.heard, heard{start, time.Now(), err == nil, isWitness(target.ID)})
				return err
			}
			d.target = target
			days[target.ID], order, list = d, append(order, d), append(list, target)
		}
		e = startEngine(t, EngineOptions{Logger: log.logger()})
		e.SetBlind(usual)
		e.Set(list)
		var cuts []outage
		for minute := range 24 * 60 {
			for _, d := range order {
				if d.state.Load() == well && random.IntN(240) == 0 && !cut.Load() {
					d.state.Store(int32(dead + random.IntN(2)))
					d.faults = append(d.faults, outage{from: time.Now()})
				} else if d.state.Load() != well && random.IntN(10) == 0 {
					d.state.Store(well)
					d.faults[len(d.faults)-1].to = time.Now()
				}
			}
			switch minute % 480 {
			case 200:
				cut.Store(true)
				cuts = append(cuts, outage{from: time.Now()})
			case 215:
				cut.Store(false)
				cuts[len(cuts)-1].to = time.Now()
			}
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		checkLeaks(t, e, n, goroutines)
		e.Close()
		turns, probes := 0, 0
		for _, d := range order {
			turns, probes = turns+len(d.turns), probes+len(d.heard)
			d.explain(t, cuts)
			d.inSlots(t, begin)
		}
		if turns < 1000 || len(cuts) != 3 || log.blind != 3 || log.sees != 3 {
			t.Errorf("%d turns, blind %d times in %d cuts", turns, log.blind, len(cuts))
		}
		t.Logf("%d probes, %d turns", probes, turns)
	})
}

// explain holds each turn against the results before it.
func (d *subject) explain(t *testing.T, cuts []outage) {
	verdict := "unknown"
	for _, turn := range d.turns {
		var before []heard
		for _, h := range d.heard {
			if !h.end.After(turn.at) && !h.witness {
				before = append(before, h)
			}
		}
		bad, good, window := 0, 0, 0
		for i := len(before) - 1; i >= 0 && !before[i].good; i-- {
			bad++
		}
		for i := len(before) - 1; i >= 0 && before[i].good; i-- {
			good++
		}
		for _, h := range before[max(0, len(before)-d.target.Window.Of):] {
			if !h.good {
				window++
			}
		}
		explained := turn.to == "up" && good >= d.target.Rise ||
			turn.to == "down" && (bad >= d.target.Fall || bad > 0 && d.target.Window.Bad > 0 && window >= d.target.Window.Bad)
		if !explained && d.target.Flap.Turns == 0 || turn.to == verdict {
			t.Errorf("%s turned from %s to %s at %v after %d bad and %d good results", d.target.ID, verdict, turn.to, turn.at, bad, good)
		}
		verdict = turn.to
		if turn.to == "up" {
			continue
		}
		for _, c := range cuts {
			if turn.at.After(c.from) && turn.at.Before(c.to.Add(time.Duration(d.target.Fall-1)*d.target.Interval)) {
				t.Errorf("%s turned down at %v, in the cut from %v to %v", d.target.ID, turn.at, c.from, c.to)
			}
		}
		var faulty bool
		for _, f := range d.faults {
			faulty = faulty || turn.at.After(f.from) && (f.to.IsZero() || turn.at.Before(f.to.Add(10*time.Second)))
		}
		if !faulty && d.target.Flap.Turns == 0 {
			t.Errorf("%s turned down at %v, and nothing was wrong", d.target.ID, turn.at)
		}
	}
}

// inSlots counts the probes of each hour in which the target was well: one in each slot.
func (d *subject) inSlots(t *testing.T, begin time.Time) {
	offset := newSchedule(d.target.ID, begin).offset(d.target.Interval)
	for hour := 1; hour < 24; hour++ {
		from := begin.Add(time.Duration(hour) * time.Hour)
		n := 0
		for _, h := range d.heard {
			if h.start.Before(from) || !h.start.Before(from.Add(time.Hour)) {
				continue
			}
			if off := h.start.Sub(begin.Add(offset)) % d.target.Interval; off >= 0 && off <= jitterOf(d.target.Interval) {
				n++
			}
		}
		want := int(time.Hour / d.target.Interval)
		if late := want - n; late > want/10 && d.target.FastInterval == 0 {
			t.Errorf("%s: %d of %d probes in their slots in hour %d", d.target.ID, n, want, hour)
		}
	}
}

// checkLeaks looks for what grows with time.
func checkLeaks(t *testing.T, e *Engine, n, goroutines int) {
	if got := runtime.NumGoroutine() - goroutines; got > n*3+10 {
		t.Errorf("%d goroutines for %d targets", got, n)
	}
	e.sight.mu.Lock()
	defer e.sight.mu.Unlock()
	for i := range e.sight.families {
		f := &e.sight.families[i]
		if len(f.seats) > n || len(f.networks) > n || len(f.waiting) > n || len(f.fallen) > 3*n {
			t.Errorf("%s: %d seats, %d networks, %d waiting, %d fallen", f.name, len(f.seats), len(f.networks), len(f.waiting), len(f.fallen))
		}
	}
	if e.faults.active == nil || len(e.faults.active) > 0 {
		t.Errorf("%d faults", len(e.faults.active))
	}
}
