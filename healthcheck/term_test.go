package healthcheck

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestTerm holds a term against what a context of the standard library does, itself and those that derive from it.
func TestTerm(t *testing.T) {
	for _, why := range []error{context.Canceled, context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			term := &term{deadline: time.Now().Add(time.Minute)}
			child, cancel := context.WithTimeout(term, time.Hour)
			defer cancel()
			forgotten, cancelForgotten := context.WithCancel(term)
			if at, ok := child.Deadline(); !ok || !at.Equal(term.deadline) {
				t.Errorf("the deadline of the child is %v", at)
			}
			var calls [3]int
			context.AfterFunc(term, func() { calls[0]++ })
			afterDone(term, func() { calls[1]++ })
			stop := afterDone(term, func() { calls[2]++ })
			cancelForgotten()
			if !stop() || stop() {
				t.Error("stop does not tell whether it stopped")
			}
			if term.Err() != nil || child.Err() != nil || forgotten.Err() != context.Canceled {
				t.Errorf("before: %v, %v, %v", term.Err(), child.Err(), forgotten.Err())
			}
			term.end(why)
			term.end(errors.New("another reason"))
			synctest.Wait()
			<-term.Done()
			<-child.Done()
			if term.Err() != why || child.Err() != why || context.Cause(term) != why || calls != [3]int{1, 1, 0} {
				t.Errorf("after: %v, %v, calls %v", term.Err(), child.Err(), calls)
			}
			late := false
			if stop := afterDone(term, func() { late = true }); stop() {
				t.Error("what is called at once was stopped")
			}
			synctest.Wait()
			if !late {
				t.Error("what comes late is not called")
			}
		})
	}
}
