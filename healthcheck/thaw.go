package healthcheck

import (
	"math/rand/v2"
	"time"
)

// sampleStep is the time to the next sample of a frozen family: so the end of blindness is known soon, however rarely targets
// are probed.
func sampleStep(large bool) time.Duration {
	if large {
		return time.Second
	}
	return 2 * time.Second
}

// sampleSize is the most targets, and the most canaries, in a sample.
func sampleSize(large bool) int {
	if large {
		return 8
	}
	return 2
}

// review thaws the families of which what has frozen them does not hold any more. The caller holds mu.
func (s *sight) review() {
	for again := true; again; {
		again = false
		for i := range s.families {
			if f := &s.families[i]; f.frozen != nil && !s.holds(f) {
				s.thaw(f)
				again = true // The other one may have been frozen for this one's targets.
			}
		}
	}
}

// holds reports whether what has frozen a family still does. The caller holds mu.
func (s *sight) holds(f *kin) bool {
	z, o := f.frozen, s.options
	if f.answers(z.at) {
		return false
	}
	failing, passing, networks := z.failing, z.passing, len(z.networks)
	if z.canaries {
		return len(f.canaries) > 0 && !s.clear(passing, failing+passing)
	}
	if z.wide {
		for i := range s.families {
			if g := &s.families[i]; g != f && g.frozen != nil {
				failing, passing, networks = failing+g.frozen.failing, passing+g.frozen.passing, networks+len(g.frozen.networks)
			}
		}
	}
	return o.Share > 0 && failing >= o.Targets && networks >= o.Networks && failing*100 >= o.Share*(failing+passing)
}

// thaw lets the verdicts of a family turn down again, from a fresh start. The caller holds mu.
func (s *sight) thaw(f *kin) {
	z, now := f.frozen, s.engine.now()
	f.frozen, f.thawed = nil, s.since(now)
	for i := range f.seats {
		w := f.seats[i].w
		was, status := w.machine, w.status.Load()
		w.machine = was.forgiven()
		if status.isEager() {
			w.show(was)
			s.engine.agenda.rouse(w)
		} else if was.track.Bad > 0 && was.track.Verdict != Down || was.window != 0 {
			w.show(was)
		}
	}
	s.showBlind()
	s.later(func() {
		s.engine.logger.Info("this prober sees again: verdicts turn as before", "family", f.name, "reason", z.reason, "after", now.Sub(z.since))
	})
	if z.canaries && len(f.canaries) > 0 && !f.answers(z.at) {
		s.silence(f)
	}
}

// sample asks a few canaries and failing targets of a frozen family, and more once one of them answers. When most of those do, what
// is older than they are does not count any more. The caller holds mu.
func (s *sight) sample(f *kin) {
	z, good, asked := f.frozen, 0, 0
	for _, w := range z.sample {
		if w.family == f && !w.canary {
			asked++
			if own := w.own(); own.at >= z.asked && !own.bad {
				good++
			}
		}
	}
	if z.large && 2*good > asked {
		f.recount(z.asked)
		s.review()
		if f.frozen == nil {
			return
		}
	}
	z.asked, z.large = s.now(), good > 0
	z.sample = pick(nil, f.canaries, sampleSize(z.large), func(*seat) bool { return true })
	z.sample = pick(z.sample, f.seats, sampleSize(z.large), func(one *seat) bool { return one.bad && one.standing && !one.w.hearsay })
	for _, w := range z.sample {
		w.call(summoned)
	}
	s.alarm(f, sampleStep(z.large))
}

// pick adds up to n of the seats that are wanted, and are not being probed, to chosen.
func pick(chosen []*watcher, seats []seat, n int, wanted func(*seat) bool) []*watcher {
	first := rand.IntN(max(len(seats), 1))
	for i := 0; i < len(seats) && n > 0; i++ {
		if one := &seats[(first+i)%len(seats)]; !one.w.probing() && wanted(one) {
			chosen = append(chosen, one.w)
			n--
		}
	}
	return chosen
}
