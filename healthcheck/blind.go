package healthcheck

import (
	"slices"
	"time"
)

// BlindOptions is the [blind] section: when this prober takes failures for its own. Without a network of its own it would
// see every origin fail, and empty the answers.
type BlindOptions struct {
	// Share of the targets that were up, in per cent, that fail in the same round. 0: only canaries tell.
	Share int `toml:"share" default:"80" range:"0..100"`
	// And at least so many targets.
	Targets int `toml:"targets" default:"3" range:"1..100000"`
	// In at least so many networks (IPv4 /24, IPv6 /48).
	Networks int `toml:"networks" default:"2" range:"1..100000"`
	// Addresses that are always there, such as those of a router and of a public resolver. When all of a family fail, and other targets do not clearly answer, the prober is blind for it; while one answers, it is not.
	Canaries []string `toml:"canaries"`
	// Name of the health check that probes the canaries.
	HealthCheck string `toml:"health_check"`
}

const (
	// restorable is how long after it a turn is taken back that this prober's blindness has led to.
	restorable = 5 * time.Minute
	// advice is what to do when this prober is blind.
	advice = "look at the network of this host; what is up stays up until targets answer again"
)

// frozen is that a family's verdicts do not turn down. Times are since Engine.epoch.
type frozen struct {
	since    time.Time
	at       time.Duration // The same.
	canaries bool          // They said so. Else targets did,
	wide     bool          // of both families together.
	reason   string
	from     time.Duration // The results of probes that started since then count.

	failing, passing int            // Targets that do, by those results.
	networks         map[uint64]int // Those that fail, by their network.

	sample []*watcher    // Failing targets that were asked again,
	asked  time.Duration // then,
	large  bool          // because one of the sample before did not fail any more.
}

// fallen is a target that turned down.
type fallen struct {
	w   *watcher
	was machine // Before.
	at  time.Duration
}

// SetBlind says from when on failures are those of this prober. The canaries and their check are the caller's: it hands
// them to [Engine.Set] as targets. Without a call nothing but canaries is looked at.
func (e *Engine) SetBlind(o BlindOptions) {
	o.Targets, o.Networks = max(o.Targets, 1), max(o.Networks, 1)
	s := e.sight
	s.mu.Lock()
	defer s.unlock()
	s.options = o
	s.review()
}

// trusted reports whether a verdict may turn down at once, because nothing could say that this prober is blind. The
// caller holds mu.
func (s *sight) trusted(w *watcher) bool {
	f := w.family
	switch {
	case f == nil || w.canary:
		return true
	case f.frozen != nil || len(f.canaries) > 0:
		return false
	default:
		return !s.enough(f) && !s.enoughOfAll()
	}
}

// enough reports whether a family has so many targets that they can tell whether this prober is blind.
func (s *sight) enough(f *kin) bool {
	return s.options.Share > 0 && f.standing >= s.options.Targets && len(f.networks) >= s.options.Networks
}

// enoughOfAll is enough for both families together.
func (s *sight) enoughOfAll() bool {
	a, b := &s.families[0], &s.families[1]
	return s.options.Share > 0 && a.standing+b.standing >= s.options.Targets && len(a.networks)+len(b.networks) >= s.options.Networks
}

// deaf reports whether a bad result of a probe that started then does not count: this prober is blind, or was so. What is
// down already may fail: it does not turn. The caller holds mu.
func (s *sight) deaf(w *watcher, start time.Time) bool {
	f := w.family
	if f == nil || w.canary || w.machine.track.Verdict == Down {
		return false
	}
	return f.frozen != nil || s.since(start) < f.thawed
}

// fell notes that a target turned down. The caller holds mu.
func (f *kin) fell(w *watcher, was machine, at time.Duration) {
	old := 0
	for old < len(f.fallen) && at-f.fallen[old].at > restorable {
		old++
	}
	if old > len(f.fallen)/2 {
		f.fallen = slices.Delete(f.fallen, 0, old)
	}
	f.fallen = append(f.fallen, fallen{w, was, at})
}

// weighed counts n times what a seat says of a frozen family.
func (f *kin) weighed(one *seat, n int) {
	z := f.frozen
	switch {
	case z == nil || !one.standing || one.w.hearsay || one.at < 0 || one.at < z.from:
	case one.bad:
		z.failing += n
		add(z.networks, one.w.network, n)
	default:
		z.passing += n
	}
}

// recount counts the results of a frozen family anew, as far as their probes started since then. The caller holds mu.
func (f *kin) recount(from time.Duration) {
	z := f.frozen
	z.from, z.failing, z.passing, z.networks = from, 0, 0, make(map[uint64]int)
	for i := range f.seats {
		f.weighed(&f.seats[i], 1)
	}
}

// freeze keeps the verdicts of a family from turning down, and takes back what has turned down since the failures began.
// The caller holds mu.
func (s *sight) freeze(f *kin, found evidence) {
	if f.frozen != nil {
		return
	}
	now := s.engine.now()
	at := s.since(now)
	f.frozen = &frozen{since: now, at: at, canaries: found.canaries, wide: found.all, reason: found.reason, networks: make(map[uint64]int)}
	f.inquiry, f.waiting, f.mute = nil, nil, false
	back := max(found.back, at-restorable)
	f.fallen = slices.DeleteFunc(f.fallen, func(one fallen) bool {
		w := one.w
		if one.at < back || w.gone.Load() || w.family != f || w.machine.visible() != Down {
			return one.at < at-restorable
		}
		was := w.machine
		w.machine = one.was
		w.show(was)
		return true
	})
	f.recount(found.from)
	for i := range f.seats {
		w := f.seats[i].w
		w.unhold()
		if status := w.status.Load(); !status.Earliest.IsZero() || status.isEager() {
			w.show(w.machine)
		}
	}
	s.alarm(f, sampleStep(false))
	s.showBlind()
	s.engine.metrics.blindTotal.WithLabelValues(f.name).Inc()
	s.later(func() {
		s.engine.logger.Error("this prober is blind: verdicts are frozen", "family", f.name, "reason", found.reason, "since", now, "do", advice)
	})
}

// showBlind publishes which families are frozen. The caller holds mu.
func (s *sight) showBlind() {
	var blind []Blindness
	for i := range s.families {
		f, value := &s.families[i], 0.0
		if f.frozen != nil {
			blind, value = append(blind, Blindness{Family: f.name, Since: f.frozen.since, Reason: f.frozen.reason}), 1
		}
		s.engine.metrics.blind.WithLabelValues(f.name).Set(value)
	}
	s.engine.blind.Store(&blind)
	s.news = true
}
