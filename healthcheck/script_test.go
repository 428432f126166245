package healthcheck

import (
	"context"
	"sync"
	"testing"
	"time"
)

// startEngine returns an engine that the test's end closes.
func startEngine(t *testing.T, o EngineOptions) *Engine {
	t.Helper()
	e, err := NewEngine(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// jitterOf returns the longest jitter.
func jitterOf(step time.Duration) time.Duration { return min(step/50, maxJitter) }

// targetsOf lists what a status knows.
func targetsOf(s *Status) map[string]TargetStatus {
	all := map[string]TargetStatus{}
	for id, t := range s.All() {
		all[id] = *t
	}
	return all
}

// script is a probe whose behaviour can be changed, and that notes when it is called.
type script struct {
	mu    sync.Mutex
	run   Probe
	times []time.Time
}

// newScript returns a script; a nil probe is always good.
func newScript(run Probe) *script { return &script{run: run} }

// hang is a probe that waits for its deadline.
func hang(ctx context.Context, _ *Report) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s *script) set(run Probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = run
}

func (s *script) probe(ctx context.Context, r *Report) error {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	run := s.run
	s.mu.Unlock()
	if run == nil {
		return nil
	}
	return run(ctx, r)
}

// calls returns when the script was called so far.
func (s *script) calls() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times...)
}

// target returns a target with the defaults of a configuration.
func (s *script) target(id string) Target {
	return Target{ID: id, Protocol: HTTP, Probe: s.probe, Interval: 15 * time.Second, Timeout: 5 * time.Second, Fall: 3, Rise: 1}
}
