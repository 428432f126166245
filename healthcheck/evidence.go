package healthcheck

import (
	"fmt"
	"time"
)

// evidence is what says that this prober is blind.
type evidence struct {
	reason   string        // Empty: it is not.
	from     time.Duration // The failures began then.
	back     time.Duration // What has turned down since then is taken back.
	all      bool          // For both families.
	canaries bool          // They say so.
	standing int           // Of the targets that it is about, those that are not down,
	fell     int           // and those that turned down since.
}

// evidence looks at what is known since the streaks of the turns in question began. The caller holds mu.
func (s *sight) evidence(f *kin, q *inquiry) evidence {
	first := q.first()
	last := first
	for _, w := range q.subjects {
		last = max(last, w.opened)
	}
	if f.canariesFail(q, first) {
		return evidence{reason: fmt.Sprintf("none of %d canaries answers", len(f.canaries)), from: q.opened, back: first, canaries: true}
	}
	if s.options.Share == 0 {
		return evidence{}
	}
	round := min(q.subjects[0].target.Load().Interval, restorable) // In which others fell whose streaks were over sooner.
	both := s.together(f, q)
	for _, since := range []time.Duration{last, q.subjects[len(q.subjects)/2].opened, first, first - round} {
		if own := s.tally(since-maxJitter, f); s.most(own) {
			return own.evidence(round)
		}
		if all := s.tally(since-maxJitter, both...); s.most(all) {
			found := all.evidence(round)
			found.all = true
			return found
		}
	}
	if q.good || q.vouched {
		return evidence{}
	}
	asked := []*kin{f}
	if q.both {
		asked = both
	}
	witnesses := &tally{families: asked, since: q.opened, silent: s.silent(asked, q)}
	if witnesses.count(s.now()); witnesses.passing == 0 && s.most(witnesses) {
		found := witnesses.evidence(0)
		found.back, found.all = last-maxJitter, len(asked) > 1
		for _, one := range witnesses.silent {
			one.at, one.bad = q.opened, true
		}
		return found
	}
	return evidence{}
}

// isBack reports whether most of what answers now has failed since the first streak began: then a cut has just ended. The caller
// holds mu.
func (s *sight) isBack(f *kin, q *inquiry) bool {
	families := []*kin{f}
	if q.both {
		families = s.together(f, q)
	}
	t := s.tally(q.first()-maxJitter, families...)
	return 2*t.revived > t.passing
}

// together returns both families, or that given alone when a canary of the other answers.
func (s *sight) together(f *kin, q *inquiry) []*kin {
	all := []*kin{f}
	for i := range s.families {
		if g := &s.families[i]; g != f && !g.answers(q.opened) {
			all = append(all, g)
		}
	}
	return all
}

// silent returns the seats that fail although they have no result of a probe that started since an inquiry opened: those of its
// subjects, and of the witnesses that have not answered in twice the time that they take.
func (s *sight) silent(families []*kin, q *inquiry) []*seat {
	var silent []*seat
	for _, f := range families {
		for i := range f.seats {
			one := &f.seats[i]
			if !one.standing || one.at >= q.opened || one.w.hearsay {
				continue
			}
			rtt := one.w.status.Load().RTT
			if one.w.subject == q || one.w.summons == q && q.over && rtt > 0 && 2*rtt <= q.patience {
				silent = append(silent, one)
			}
		}
	}
	return silent
}

// tally is how many targets fail, of those that have a result of a probe since then and were not down when it began.
type tally struct {
	families         []*kin
	since            time.Duration
	silent           []*seat       // Fail without a result.
	back             time.Duration // What fell before cannot be taken back, and does not count.
	failing, passing int
	fell             int // Of those that fail, such as are down already.
	revived          int // Of those that pass, such as have failed since then.
}

// tally counts the targets of some families. The caller holds mu.
func (s *sight) tally(since time.Duration, families ...*kin) *tally {
	t := &tally{families: families, since: since}
	t.count(s.now())
	return t
}

func (t *tally) count(now time.Duration) {
	t.back = max(t.since, now-restorable)
	t.failing, t.passing, t.fell, t.revived = len(t.silent), 0, 0, 0
	for _, f := range t.families {
		for i := range f.seats {
			one := &f.seats[i]
			switch {
			case !t.counts(one):
			case one.bad:
				t.failing++
				if !one.standing {
					t.fell++
				}
			default:
				t.passing++
				if one.failed >= max(t.since, 0) {
					t.revived++
				}
			}
		}
	}
}

// counts reports whether a seat has a result that counts. One that is hearsay proves nothing.
func (t *tally) counts(one *seat) bool {
	return one.at >= max(t.since, 0) && (one.standing || one.fell >= max(t.back, 0)) && !one.w.hearsay
}

// networks returns in how many networks targets fail.
func (t *tally) networks() int {
	found := make(map[uint64]bool)
	for _, one := range t.silent {
		found[one.w.network] = true
	}
	for _, f := range t.families {
		for i := range f.seats {
			if one := &f.seats[i]; one.bad && t.counts(one) {
				found[one.w.network] = true
			}
		}
	}
	return len(found)
}

// most reports whether so many fail that it is this prober that does not see them.
func (s *sight) most(t *tally) bool {
	o := s.options
	return t.failing >= o.Targets && t.failing*100 >= o.Share*(t.failing+t.passing) && t.networks() >= o.Networks
}

// evidence returns what the tally says. When some targets answer, they have vouched for those that failed first: what
// fell in the round before is taken back, too.
func (t *tally) evidence(round time.Duration) evidence {
	found := evidence{from: t.since, back: t.since, fell: t.fell}
	for _, f := range t.families {
		found.standing += f.standing
	}
	found.reason = fmt.Sprintf("%d of %d targets in %d networks fail at once", t.failing, t.failing+t.passing, t.networks())
	if t.passing > 0 {
		found.back -= round
	}
	return found
}
