package alert

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"
)

// Test sends a test message to a group by one of its methods, by all when method is empty: at once and once. The error says that
// there is no such group or method; how it went is in the deliveries.
func (s *Service) Test(ctx context.Context, group, method string) ([]Delivery, error) {
	type trial struct {
		name    routeName
		options MethodOptions
	}
	var trials []trial
	s.mu.Lock()
	var names, methods []string
	for i := range s.groups {
		names = append(names, s.groups[i].Name)
	}
	for _, r := range s.routes {
		if r.name.group != group {
			continue
		}
		methods = append(methods, r.name.method)
		if method == "" || r.name.method == method {
			trials = append(trials, trial{r.name, *r.method})
		}
	}
	s.mu.Unlock()
	switch {
	case len(methods) == 0:
		return nil, fmt.Errorf("there is no alert group %q: want one of %q", group, names)
	case len(trials) == 0:
		return nil, fmt.Errorf("alert group %q has no method %q: want one of %q", group, method, methods)
	}
	made := make([]Delivery, len(trials))
	var wait sync.WaitGroup
	for i, t := range trials {
		wait.Go(func() { made[i] = s.trial(ctx, t.name, t.options) })
	}
	wait.Wait()
	return made, nil
}

// trial sends one test message, by a sender of its own, so that it waits for nothing.
func (s *Service) trial(ctx context.Context, name routeName, o MethodOptions) Delivery {
	now := time.Now()
	e := Event{
		Time: now, Kind: "alert_test", Key: "test", Title: fmt.Sprintf("test of alert group %s by %s", name.group, name.method),
		Text: "Somebody asked for this test. Nothing is wrong.", Test: true,
	}
	m := &Message{
		ID: rand.Text(), Time: now, Title: e.Title, Group: name.group, Node: s.options.Node, Events: []Event{e}, Test: true,
		Text: fmt.Sprintf("%s\n%s\nAs of %s.", e.Title, e.Text, now.Format("2006-01-02 15:04:05 MST")),
	}
	d := Delivery{Group: name.group, Method: name.method, Message: m.Title, ID: m.ID, Attempt: 1, IsLast: true}
	sender, err := s.newSender(o, s.options.Log)
	if err == nil {
		err = deliver(ctx, sender, m, o.Timeout)
	}
	d.Time = time.Now()
	if err != nil {
		d.Error = err.Error()
	}
	s.deliveries.add(d)
	return d
}
