package healthcheck

import (
	"context"
	"slices"
	"sync"
	"time"
)

// term is the context of one probe. Its owner ends it: at its deadline, when the target is gone, and at the latest when the
// probe has ended. It costs a probe that ends in time no timer, no goroutine and, unless that asks for it, no channel;
// [context.AfterFunc] and the contexts that derive from it make use of AfterFunc. It holds no values.
type term struct {
	deadline time.Time

	mu    sync.Mutex    // Guards the following.
	err   error         // Nil: it has not ended.
	done  chan struct{} // Nil: nobody has asked for it.
	after []*func()
	room  [1]*func() // Of after.
}

var _ context.Context = (*term)(nil)

// Deadline implements [context.Context].
func (t *term) Deadline() (time.Time, bool) { return t.deadline, true }

// Done implements [context.Context].
func (t *term) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		t.done = make(chan struct{})
		if t.err != nil {
			close(t.done)
		}
	}
	return t.done
}

// Err implements [context.Context].
func (t *term) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Value implements [context.Context].
func (t *term) Value(any) any { return nil }

// AfterFunc has f called, in a goroutine of its own, once t has ended. What it returns keeps that from happening, and reports
// whether it did.
func (t *term) AfterFunc(f func()) (stop func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		go f()
		return func() bool { return false }
	}
	if t.after == nil {
		t.after = t.room[:0]
	}
	one := &f
	t.after = append(t.after, one)
	return func() bool { return t.forget(one) }
}

func (t *term) forget(f *func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.after, f)
	if i < 0 {
		return false
	}
	t.after = slices.Delete(t.after, i, i+1)
	return true
}

// end ends t; what has ended it first is its error.
func (t *term) end(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return
	}
	t.err = why
	if t.done != nil {
		close(t.done)
	}
	for _, f := range t.after {
		go (*f)()
	}
	t.after = nil
}

// afterDone is [context.AfterFunc] with less ado for a term.
func afterDone(ctx context.Context, f func()) (stop func() bool) {
	if t, ok := ctx.(*term); ok {
		return t.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}
