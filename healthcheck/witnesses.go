package healthcheck

import "math/rand/v2"

// candidates is how many targets are looked at to choose witnesses from.
const candidates = 64

// summon asks up to n targets, and at first the canaries, and returns how many it has. The caller holds mu.
func (s *sight) summon(f *kin, q *inquiry, n int) int {
	var witnesses []*watcher
	pool := []*kin{f}
	if q.both {
		pool = []*kin{&s.families[0], &s.families[1]}
	}
	canaries := 0
	for _, g := range pool {
		for i := range g.canaries {
			if w := g.canaries[i].w; q.patience == 0 {
				witnesses = append(witnesses, w)
			}
		}
		canaries += len(g.canaries)
	}
	if s.options.Share > 0 || canaries > 0 {
		chosen := choose(pool, q, n)
		q.asked += len(chosen)
		witnesses = append(witnesses, chosen...)
	}
	limit := q.subjects[0].target.Load().Timeout
	for _, w := range witnesses {
		patience := min(w.target.Load().Timeout, limit) + grace
		if w.probing() { // It has to end that probe first.
			patience *= 2
		}
		q.patience = max(q.patience, patience)
		w.summons, w.asked = q, q
		w.call(summoned)
	}
	q.awaited += len(witnesses)
	q.over, q.deadline = false, s.now()+q.patience
	s.alarm(f, q.patience)
	return len(witnesses)
}

// choose returns up to n targets to ask: such whose verdict would not wait itself, in networks of their own and quick to answer,
// well so far and not probing, as far as there are any.
func choose(pool []*kin, q *inquiry, n int) []*watcher {
	var tiers [4][]*watcher
	seen, networks := 0, map[uint64]bool{q.subjects[0].network: true}
	quick := q.subjects[0].target.Load().Timeout / 2
	for _, f := range pool {
		first := rand.IntN(max(len(f.seats), 1))
		for i := range f.seats {
			one := &f.seats[(first+i)%len(f.seats)]
			if !one.standing || one.w.hearsay || one.w == q.subjects[0] || one.w.asked == q {
				continue
			}
			tier := 0
			switch {
			case one.w.pending:
				tier = 3
			case networks[one.w.network], one.w.status.Load().RTT > quick:
				tier = 2
			case one.bad, one.w.probing():
				tier = 1
			}
			if tier < 2 {
				networks[one.w.network] = true
			}
			tiers[tier] = append(tiers[tier], one.w)
			if seen++; seen >= candidates {
				break
			}
		}
	}
	var chosen []*watcher
	for _, tier := range tiers {
		chosen = append(chosen, tier[:min(len(tier), n-len(chosen))]...)
	}
	return chosen
}

// excuse notes that a witness will not answer. The caller holds mu.
func (s *sight) excuse(w *watcher) {
	q := w.summons
	if q == nil {
		return
	}
	w.summons = nil
	q.awaited--
	for i := range s.families {
		if s.families[i].inquiry == q {
			s.weigh(&s.families[i])
		}
	}
}
