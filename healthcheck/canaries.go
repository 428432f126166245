package healthcheck

import "time"

// answers reports whether some canary of a family has answered a probe that started since then.
func (f *kin) answers(since time.Duration) bool {
	for i := range f.canaries {
		if c := &f.canaries[i]; !c.bad && c.at >= since {
			return true
		}
	}
	return false
}

// canariesFail reports whether every canary of a family fails: its latest result is bad, and not older than an interval of its own
// before first; or it is silent to the end of an inquiry.
func (f *kin) canariesFail(q *inquiry, first time.Duration) bool {
	for i := range f.canaries {
		c := &f.canaries[i]
		switch {
		case c.w.summons == q && q.over:
		case c.at < first-c.w.target.Load().Interval, !c.bad:
			return false
		}
	}
	return len(f.canaries) > 0
}

// canariesAwaited reports whether some canary of a family may still answer an inquiry.
func (f *kin) canariesAwaited(q *inquiry) bool {
	for i := range f.canaries {
		if f.canaries[i].w.summons == q && !q.over {
			return true
		}
	}
	return false
}

// silence notes that no canary of a family answers, although targets do. The caller holds mu.
func (s *sight) silence(f *kin) {
	if f.mute {
		return
	}
	f.mute = true
	s.later(func() {
		s.engine.logger.Warn("canaries do not answer, although targets do", "family", f.name)
	})
}

// voice notes that a canary of a family answers. The caller holds mu.
func (s *sight) voice(f *kin) {
	if !f.mute {
		return
	}
	f.mute = false
	s.later(func() { s.engine.logger.Warn("canaries answer again", "family", f.name) })
}
