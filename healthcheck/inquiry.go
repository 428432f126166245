package healthcheck

import (
	"slices"
	"time"
)

const (
	// firstWitnesses are asked at the begin of an inquiry, and allWitnesses have been before it finds this prober blind.
	firstWitnesses, allWitnesses = 8, 24
	// usualShare is the default of [BlindOptions].Share.
	usualShare = 80
	// inquiryGap is the least time between two inquiries: the turns of that time are looked at together.
	inquiryGap = 20 * time.Millisecond
	// inquiryShare bounds what inquiries take of one processor: the gap is so many times what the last one took.
	inquiryShare = 20
)

// inquiry finds out whether targets that are about to turn down are dead, or this prober does not see them. That an
// answer was good before says nothing: the line may have been cut between it and the last bad result. So others are
// asked, in other networks as far as there are any, and the turns wait for them.
//
//	answers of probes that started since it opened         the turns
//	a good one of a canary                                 happen
//	so many good ones that the bad cannot be Share of all  happen, unless they are few and the evidence says otherwise
//	all that were asked have answered, or had the time     as the evidence says
//
// The evidence says blind when all canaries of the family fail; when of the targets that have a result since a streak
// began, of this family or of both, Share fails; and when no witness at all answers.
//
// A good answer may mean that a cut has just ended. So where a turn stands on one bad result, or there was evidence that
// the answers have outweighed, or most of those that answer failed a moment ago, it waits until the target, which is
// probed at once, has failed after the answers, too.
type inquiry struct {
	opened   time.Duration
	subjects []*watcher // Whose turns it is about; the first is the one that opened it.
	both     bool       // The witnesses are of both families, since this one has too few targets.
	asked    int        // Targets that are witnesses.
	well     int        // Those that answered well.
	awaited  int        // Witnesses, canaries too, that have not answered.
	good     bool       // Some target answered well.
	vouched  bool       // A canary answered well.
	more     bool       // More witnesses were asked than the first.
	patience time.Duration
	deadline time.Duration // When it has waited long enough.
	over     bool          // That time has come.
	pauses   int           // How often the process was found not to have run meanwhile.
}

// first is when the earliest streak of its subjects began.
func (q *inquiry) first() time.Duration {
	first := q.subjects[0].opened
	for _, w := range q.subjects {
		first = min(first, w.opened)
	}
	return first
}

// ask has a turn looked at. The caller holds mu.
func (s *sight) ask(w *watcher) {
	f := w.family
	if w.pending || f == nil || f.frozen != nil {
		return
	}
	w.pending = true
	f.waiting = append(f.waiting, w)
	s.open(f)
}

// open begins an inquiry if turns wait for one and it is time. The caller holds mu.
func (s *sight) open(f *kin) {
	if s.closed || f.inquiry != nil || f.frozen != nil || len(f.waiting) == 0 {
		return
	}
	now := s.now()
	if now < f.next {
		s.alarm(f, f.next-now)
		return
	}
	q := &inquiry{opened: now, both: !s.enough(f)}
	for _, w := range f.waiting {
		if w.pending && w.subject == nil {
			w.subject = q
			q.subjects = append(q.subjects, w)
		}
	}
	f.waiting = nil
	if len(q.subjects) == 0 {
		return
	}
	f.inquiry = q
	s.summon(f, q, firstWitnesses)
	s.weigh(f)
}

// alarm has ring called after d. The caller holds mu.
func (s *sight) alarm(f *kin, d time.Duration) {
	if s.closed {
		return
	}
	if f.timer == nil {
		f.timer = time.AfterFunc(d, func() { s.ring(f) })
		return
	}
	f.timer.Reset(d)
}

// ring ends an inquiry that has waited long enough, or opens the next.
func (s *sight) ring(f *kin) {
	s.mu.Lock()
	defer s.unlock()
	q, now := f.inquiry, s.now()
	switch {
	case s.closed:
	case f.frozen != nil:
		s.sample(f)
	case q == nil:
		s.open(f)
	case now < q.deadline:
		s.alarm(f, q.deadline-now)
	case now-q.deadline > pauseSign && q.pauses < maxVoid: // The witnesses, too, could not answer.
		q.pauses++
		q.deadline = now + q.patience
		s.alarm(f, q.patience)
	default:
		q.over = true
		s.weigh(f)
	}
}

// hear takes note of a result.
func (q *inquiry) hear(w *watcher, at time.Duration, good bool) {
	if at < q.opened {
		return
	}
	own := w.family.inquiry == q
	if w.summons == q {
		w.summons = nil
		q.awaited--
		if good && !w.canary {
			q.well++
		}
	}
	switch {
	case !good || w.hearsay || !own && !q.both:
	case w.canary:
		q.vouched = q.vouched || own
	default:
		q.good = true
	}
}

// clear reports whether so many of all answer that those which do not cannot be the share that says blind. Where only canaries
// tell, it is the usual one.
func (s *sight) clear(good, all int) bool {
	share := s.options.Share
	if share == 0 {
		share = usualShare
	}
	return good*100 > all*(100-share)
}

// outweighs reports whether what witnesses have answered since an inquiry opened says more than the evidence. They are a sample of
// what stands; what fell meanwhile has failed.
func (s *sight) outweighs(q *inquiry, found *evidence) bool {
	switch {
	case q.vouched:
		return true
	case found.canaries:
		return s.clear(q.well, q.asked+1)
	default:
		return q.asked >= firstWitnesses && s.clear(q.well*found.standing, (q.asked+1)*(found.standing+found.fell))
	}
}

// weigh ends the inquiry of a family if the answers suffice. The caller holds mu.
func (s *sight) weigh(f *kin) {
	q := f.inquiry
	if q == nil {
		return
	}
	if !q.vouched && !s.clear(q.well, q.asked+1) && q.awaited > 0 && !q.over {
		return
	}
	began := time.Now()
	q.subjects = slices.DeleteFunc(q.subjects, func(w *watcher) bool { return w.subject != q })
	if len(q.subjects) == 0 { // All are well again, or gone.
		f.inquiry, f.next = nil, s.now()+inquiryGap
		s.open(f)
		return
	}
	found := s.evidence(f, q)
	if found.reason != "" && !q.vouched {
		if !q.more {
			q.more = true
			if s.summon(f, q, allWitnesses-firstWitnesses) > 0 {
				return
			}
		}
		if f.canariesAwaited(q) {
			return
		}
	}
	f.inquiry, f.next = nil, s.now()+max(inquiryGap, inquiryShare*time.Since(began))
	switch {
	case found.reason == "" || s.outweighs(q, &found):
		if found.canaries && !q.vouched {
			s.silence(f)
		}
		doubtful := found.reason != "" || s.isBack(f, q)
		for _, w := range q.subjects {
			s.judge(w, doubtful)
		}
	case found.all:
		s.freeze(&s.families[0], found)
		s.freeze(&s.families[1], found)
	default:
		s.freeze(f, found)
	}
	s.open(f)
}

// judge lets a turn happen that an inquiry has looked at, or has it wait until the target fails again. The caller holds mu.
func (s *sight) judge(w *watcher, doubtful bool) {
	if once := w.machine.track.Bad == 1 && w.target.Load().Fall == 1; !once && !doubtful {
		s.release(w)
		return
	}
	w.subject, w.doubted, w.doubt = nil, true, s.now()
	w.call(hurried)
}

// confirmed reports whether a turn that had to wait for another bad result has it. The caller holds mu.
func (w *watcher) confirmed() bool {
	return w.pending && w.doubted && w.own().bad && w.own().at >= w.doubt && !w.frozen()
}

// release lets a turn happen that was held. The caller holds mu.
func (s *sight) release(w *watcher) {
	w.unhold()
	was := w.machine
	w.machine, _ = was.turn(w.target.Load(), s.engine.now(), true)
	w.show(was)
}

// unhold notes that no turn waits. The caller holds mu.
func (w *watcher) unhold() { w.pending, w.subject, w.doubted = false, nil, false }
