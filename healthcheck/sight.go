package healthcheck

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// sight is what this prober sees: the latest result of every target, by family. Under its lock each result is counted and
// each verdict turned, so that a verdict and the reason to trust it are looked at in the same moment.
//
// A result costs a constant number of steps. What costs one per target (evidence, freezing, thawing) happens at most
// once in an inquiry, and those keep a distance.
type sight struct {
	engine *Engine
	eager  atomic.Int64 // Watchers that are; written with mu locked.

	mu       sync.Mutex // Guards the following and, in each watcher, place, machine, past and who may write status.
	closed   bool
	options  BlindOptions
	families [2]kin
	started  bool     // Engine.Set has had targets.
	awaited  int      // Those of them that have no verdict yet.
	news     bool     // Engine.Changed has something to tell.
	effects  []func() // What is to be done once the lock is free: log lines, mostly.
}

// kin are the targets of one address family.
type kin struct {
	name     string
	seats    []seat         // Targets, in no order.
	canaries []seat         // Those that are there only for this.
	standing int            // Targets that are not down, hearsay left out.
	networks map[uint64]int // Those, by their network.
	waiting  []*watcher     // Those whose turn waits for the next inquiry.
	inquiry  *inquiry       // Nil: none is going on.
	next     time.Duration  // No inquiry opens before.
	fallen   []fallen       // Targets that turned down lately.
	timer    *time.Timer    // Rings when an inquiry has to end or to begin.
	frozen   *frozen        // Nil: it is not.
	thawed   time.Duration  // When it was frozen last.
	mute     bool           // No canary answers, and targets do.
}

// seat is what the latest result of a target says, or its silence: see [sight.evidence]. Times are since Engine.epoch.
type seat struct {
	w        *watcher
	at       time.Duration // When its probe started; negative: there was none.
	failed   time.Duration // When the latest probe with a bad result started; negative: there was none.
	fell     time.Duration // When the verdict turned down last; negative: never.
	bad      bool
	standing bool // The verdict is not down.
}

// place is where a watcher sits. Without a family it takes no part: it proves nothing, and its verdict turns freely.
type place struct {
	family  *kin
	seat    int // In family.seats or, a canary, in family.canaries.
	canary  bool
	hearsay bool // Its results are older than its probes, and prove nothing of the moment: its verdict is held, but it is no evidence.
	network uint64
	opened  time.Duration // When the first bad probe of its streak started.
	pending bool          // Its turn waits for an inquiry.
	doubted bool          // Or, after one, for a bad result of a probe that starts
	doubt   time.Duration // not before.
	subject *inquiry      // That looks at its turn.
	asked   *inquiry      // Whose witness it was last.
	summons *inquiry      // The same, which waits for its answer.
}

func newSight(e *Engine) *sight {
	s := &sight{engine: e}
	for i, name := range []string{"ipv4", "ipv6"} {
		s.families[i].name, s.families[i].networks, s.families[i].thawed = name, make(map[uint64]int), -1
	}
	return s
}

// later has f called when the lock is free. The caller holds mu.
func (s *sight) later(f func()) { s.effects = append(s.effects, f) }

// unlock unlocks mu and does what was left for later.
func (s *sight) unlock() {
	effects, news := s.effects, s.news
	s.effects, s.news = nil, false
	s.mu.Unlock()
	for _, f := range effects {
		f()
	}
	if news {
		s.engine.signal()
	}
}

// since returns a time as families note it.
func (s *sight) since(t time.Time) time.Duration { return t.Sub(s.engine.epoch) }

func (s *sight) now() time.Duration { return s.since(s.engine.now()) }

// eagerStep returns how often those that are eager are probed now.
func (s *sight) eagerStep() time.Duration { return paceOf(s.eager.Load()) }

// await takes in a watcher that starts. The caller holds mu.
func (s *sight) await(w *watcher) {
	if w.status.Load().isEager() {
		w.eager = true
		s.eager.Add(1)
	}
	if !s.started && w.status.Load().Verdict == Unknown {
		w.awaited = true
		s.awaited++
	}
}

// calm notes that a watcher is not eager any more. The caller holds mu.
func (s *sight) calm(w *watcher) {
	if w.eager {
		w.eager = false
		s.eager.Add(-1)
	}
}

// settle notes that a verdict is not awaited any more, and closes Engine.settled with the last. The caller holds mu.
func (s *sight) settle(w *watcher) {
	if !w.awaited {
		return
	}
	w.awaited = false
	if s.awaited--; s.awaited == 0 && s.started {
		close(s.engine.settled)
	}
}

// begin notes that Engine.Set has had targets, all of which have been taken in. The caller holds mu.
func (s *sight) begin() {
	if s.started {
		return
	}
	s.started = true
	if s.awaited == 0 {
		close(s.engine.settled)
	}
}

// networkOf returns the network of an address as a number: its IPv4 /24 or IPv6 /48.
func networkOf(a netip.Addr) uint64 {
	if a = a.Unmap(); a.Is4() {
		octets := a.As4()
		return uint64(binary.BigEndian.Uint32(octets[:]) >> 8)
	}
	octets := a.As16()
	return 1<<63 | binary.BigEndian.Uint64(octets[:8])>>16
}

// takesPart reports whether a target's results tell what this prober sees. Where good is bad, silence is good; and a canary
// must be asked now.
func takesPart(t *Target) bool {
	return t.Address.IsValid() && !t.Invert && !(t.Canary && t.Protocol == Push)
}

// join gives a watcher its place. The caller holds mu.
func (s *sight) join(w *watcher, t *Target) {
	w.place = place{}
	if !takesPart(t) {
		return
	}
	f := &s.families[0]
	if !t.Address.Unmap().Is4() {
		f = &s.families[1]
	}
	w.family, w.canary, w.hearsay, w.network = f, t.Canary, t.Protocol == Push, networkOf(t.Address)
	one := seat{w: w, at: -1, failed: -1, fell: -1, standing: w.machine.visible() != Down}
	if w.canary {
		w.seat = len(f.canaries)
		f.canaries = append(f.canaries, one)
		return
	}
	w.seat = len(f.seats)
	f.seats = append(f.seats, one)
	if one.standing {
		f.stood(w, 1)
	}
}

// leave takes a watcher's place away. The caller holds mu, and calls review after the last.
func (s *sight) leave(w *watcher) {
	f := w.family
	if f == nil {
		return
	}
	s.excuse(w)
	list := &f.seats
	if w.canary {
		list = &f.canaries
	} else {
		one := *w.own()
		f.weighed(&one, -1)
		if one.standing {
			f.stood(w, -1)
		}
	}
	last := len(*list) - 1
	(*list)[w.seat] = (*list)[last]
	(*list)[w.seat].w.seat = w.seat
	(*list)[last] = seat{}
	*list = (*list)[:last]
	w.place = place{}
	f.mute = f.mute && len(f.canaries) > 0
}

// update moves a watcher whose target is another kind of witness now. The caller holds mu, and calls review after the last.
func (s *sight) update(w *watcher, t *Target) {
	same := w.family == nil && !takesPart(t) ||
		w.family != nil && takesPart(t) && w.canary == t.Canary && w.network == networkOf(t.Address) && w.hearsay == (t.Protocol == Push)
	if !same {
		s.leave(w)
		s.join(w, t)
	}
}

// own returns the seat of a watcher that has a family.
func (w *watcher) own() *seat {
	if w.canary {
		return &w.family.canaries[w.seat]
	}
	return &w.family.seats[w.seat]
}

// frozen reports whether the verdict may not turn down.
func (w *watcher) frozen() bool { return w.family != nil && !w.canary && w.family.frozen != nil }

// stood counts a target that is not down any more (1) or is so now (-1).
func (f *kin) stood(w *watcher, n int) {
	if !w.hearsay {
		f.standing += n
		add(f.networks, w.network, n)
	}
}

// add counts n more in a network; one with none is not kept.
func add(networks map[uint64]int, network uint64, n int) {
	networks[network] += n
	if networks[network] == 0 {
		delete(networks, network)
	}
}

// stand notes that a verdict has turned; was is the state before. The caller holds mu.
func (s *sight) stand(w *watcher, was machine) {
	if w.family == nil || w.canary {
		return
	}
	f, own, standing := w.family, w.own(), w.machine.visible() != Down
	if own.standing == standing {
		return
	}
	f.weighed(own, -1)
	own.standing = standing
	f.weighed(own, 1)
	if standing {
		f.stood(w, 1)
		return
	}
	f.stood(w, -1)
	own.fell = s.now()
	f.fell(w, was, own.fell)
}

// note takes down what a result of a probe that started then says. The caller holds mu.
func (s *sight) note(w *watcher, start time.Time, good bool) {
	f := w.family
	if f == nil {
		return
	}
	own := w.own()
	if !w.canary {
		f.weighed(own, -1)
	}
	own.at, own.bad = s.since(start), !good
	if own.bad {
		own.failed = own.at
	}
	if !w.canary {
		f.weighed(own, 1)
	}
}

// hear looks at what a result that has been noted and counted leads to. The caller holds mu.
func (s *sight) hear(w *watcher) {
	f := w.family
	if f == nil {
		return
	}
	own := *w.own()
	if w.canary && !own.bad {
		s.voice(f)
	}
	for i := range s.families {
		if g := &s.families[i]; g.inquiry != nil {
			g.inquiry.hear(w, own.at, !own.bad)
			s.weigh(g)
		}
	}
	s.review()
}

// close stops the timers. Results are counted on.
func (s *sight) close() {
	s.mu.Lock()
	defer s.unlock()
	s.closed = true
	for i := range s.families {
		if t := s.families[i].timer; t != nil {
			t.Stop()
		}
	}
}
