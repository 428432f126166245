package alert

import (
	"context"
	"errors"
)

// partials remembers to whom a message has been delivered already when it could not be delivered to all, so that a retry
// doubles nothing. After a restart it knows nothing.
type partials struct {
	done map[string]map[string]error // by the ID of the message and the recipient; the error is permanent
	ids  []string                    // the oldest first
}

// maxPartials is how many messages are remembered.
const maxPartials = 100

// each delivers a message to every recipient that does not have it. The error tells of all that failed: it is permanent only
// when no further try can mend one of them.
func (p *partials) each(ctx context.Context, id string, recipients []string, deliver func(recipient string) error) error {
	done := p.done[id]
	if done == nil {
		done = map[string]error{}
	}
	var open, refused []error
	for _, recipient := range recipients {
		err, isDone := done[recipient]
		if !isDone {
			if ctx.Err() != nil {
				open = append(open, ctx.Err())
				break
			}
			err = deliver(recipient)
		}
		if permanent := (*PermanentError)(nil); errors.As(err, &permanent) {
			done[recipient] = err
			refused = append(refused, err)
		} else if err != nil {
			open = append(open, err)
		} else {
			done[recipient] = nil
		}
	}
	if len(open) > 0 {
		p.keep(id, done)
		return joined(append(open, refused...))
	}
	p.forget(id)
	if len(refused) > 0 {
		return &PermanentError{joined(refused)}
	}
	return nil
}

// joined is one error of several, in one line. It waits as long as the one that asks for the most.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	text := errs[0].Error()
	var wait *RetryError
	for i, err := range errs {
		if i > 0 {
			text += "; " + err.Error()
		}
		if retry := (*RetryError)(nil); errors.As(err, &retry) && (wait == nil || retry.After > wait.After) {
			wait = retry
		}
	}
	err := errors.New(cutRunes(text, 1000))
	if wait != nil {
		return &RetryError{Err: err, After: wait.After}
	}
	return err
}

func (p *partials) keep(id string, done map[string]error) {
	if p.done == nil {
		p.done = map[string]map[string]error{}
	}
	if _, isKnown := p.done[id]; !isKnown {
		p.ids = append(p.ids, id)
	}
	p.done[id] = done
	if len(p.ids) > maxPartials {
		delete(p.done, p.ids[0])
		p.ids = p.ids[1:]
	}
}

func (p *partials) forget(id string) {
	if _, isKnown := p.done[id]; !isKnown {
		return
	}
	delete(p.done, id)
	for i := range p.ids {
		if p.ids[i] == id {
			p.ids = append(p.ids[:i:i], p.ids[i+1:]...)
			return
		}
	}
}
