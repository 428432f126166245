package node

import (
	"maps"
	"slices"
	"sync"
	"time"

	"gtmd/admin"
)

// teller finds what has changed from one world to the next, and tells it: to the event log, and to those who are alerted. It has
// a goroutine of its own, so that the controller does not wait for texts about ten thousand addresses. Safe for concurrent use.
type teller struct {
	// tell is called by the goroutine with what has changed; the world is the latest, nil before there was one.
	tell func([]change, *world)
	// begin is called by the goroutine, once and before that of the first world: with all that goes on in that, and what did so
	// when it was last told, in the order of the keys.
	begin   func(map[string]*trouble, *world)
	wake    chan struct{} // holds a token when there is something to do
	stop    chan struct{}
	running sync.WaitGroup

	telling sync.Mutex          // guards told, which only the goroutine writes to
	told    map[string]*trouble // what is not over, by key

	mu     sync.Mutex // guards all below; whoever follows waits for it, so it is held for moments
	steps  []step
	isOpen bool
}

// step is one thing to tell.
type step struct {
	after    *world // nil: only a note
	switches []admin.Switch
	at       time.Time
	note     *change       // of a foreign trouble
	done     chan struct{} // closed when everything before has been told; nil: nobody waits
}

// maxSteps is how many worlds wait to be told; with more, what lies between the last and the next is not looked at.
const maxSteps = 64

func newTeller(tell func([]change, *world), begin func(map[string]*trouble, *world)) *teller {
	return &teller{tell: tell, begin: begin, wake: make(chan struct{}, 1), stop: make(chan struct{})}
}

// open begins with what people have been told of and is not over, as far as is known.
func (t *teller) open(told []trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isOpen = true
	t.telling.Lock()
	defer t.telling.Unlock()
	t.told = make(map[string]*trouble, len(told))
	for i := range told {
		t.told[told[i].Key] = &told[i]
	}
	t.running.Go(t.run)
}

// follow has a world told that is served now. It never waits.
func (t *teller) follow(w *world, switches []admin.Switch, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isOpen {
		return
	}
	if n := len(t.steps); n >= maxSteps && t.steps[n-1].after != nil && t.steps[n-1].done == nil {
		last := &t.steps[n-1]
		last.after, last.switches, last.at = w, slices.Concat(last.switches, switches), at
	} else {
		t.steps = append(t.steps, step{after: w, switches: switches, at: at})
	}
	nudge(t.wake)
}

// note has the begin or the end of a foreign trouble told. It never waits.
func (t *teller) note(c change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isOpen {
		t.steps = append(t.steps, step{note: &c, at: c.Time})
		nudge(t.wake)
	}
}

// settle waits until all that has come before is told.
func (t *teller) settle() {
	done := make(chan struct{})
	t.mu.Lock()
	if !t.isOpen {
		t.mu.Unlock()
		return
	}
	t.steps = append(t.steps, step{done: done})
	nudge(t.wake)
	t.mu.Unlock()
	<-done
}

// saved is what people know of and is not over, in the order of the keys.
func (t *teller) saved() []trouble {
	t.telling.Lock()
	defer t.telling.Unlock()
	list := make([]trouble, 0, len(t.told))
	for _, key := range slices.Sorted(maps.Keys(t.told)) {
		list = append(list, *t.told[key])
	}
	return list
}

// close tells what has come until now, and ends. Further calls do nothing.
func (t *teller) close() {
	t.mu.Lock()
	wasOpen := t.isOpen
	t.isOpen = false
	t.mu.Unlock()
	if wasOpen {
		close(t.stop)
	}
	t.running.Wait()
}

func (t *teller) run() {
	var before *world
	for isLast := false; !isLast; {
		select {
		case <-t.wake:
		case <-t.stop:
			isLast = true
		}
		t.mu.Lock()
		steps := t.steps
		t.steps = nil
		t.mu.Unlock()
		for _, s := range steps {
			if s.done != nil {
				close(s.done)
				continue
			}
			t.take(before, s)
			if s.after != nil {
				before = s.after
			}
		}
	}
}

// take tells one step and enters it into told.
func (t *teller) take(before *world, s step) {
	var found []change
	w := s.after
	if s.note != nil {
		found, w = noted(t.told, *s.note), before
	} else {
		found = changesSince(t.told, before, s.after, s.switches, s.at)
	}
	isFirst := before == nil && s.after != nil
	var going map[string]*trouble
	if isFirst {
		going = maps.Clone(t.told)
	}
	t.enter(found)
	if isFirst {
		maps.Copy(going, t.told)
		t.begin(going, w)
	}
	if len(found) > 0 {
		t.tell(found, w)
	}
}

// enter notes what begins and what ends.
func (t *teller) enter(found []change) {
	t.telling.Lock()
	defer t.telling.Unlock()
	for i := range found {
		switch c := &found[i]; {
		case c.key == "":
		case c.isEnd:
			delete(t.told, c.key)
		default:
			t.told[c.key] = &trouble{c.key, c.cause, c.Event}
		}
	}
}

// noted is what is to be told of a note: that of a configuration is told whenever there is one, since somebody has loaded it; other
// ones when they are news.
func noted(told map[string]*trouble, c change) []change {
	was := told[c.key]
	if c.isEnd && was != nil {
		c.Since = was.Event.Since
	}
	if c.key != configKey && c.isEnd == (was == nil) {
		return nil
	}
	return []change{c}
}
