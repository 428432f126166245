//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// user asks for the business domain as a browser does: DNS by the resolver, then HTTP to the edge.
type user struct {
	url    string
	client *http.Client
}

// newUser makes a user. The edge has an unusual port, which DNS does not tell.
func newUser(host, resolver, edgePort string) *user {
	names := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, resolver)
	}}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		addrs, err := names.LookupNetIP(ctx, "ip4", host+".")
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(addrs[0].String(), edgePort))
	}
	return &user{
		url:    "http://" + host + "/",
		client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 5 * time.Second},
	}
}

// get fetches the page; by is the origin that made it.
func (u *user) get(ctx context.Context) (by string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url, nil)
	if err != nil {
		return "", err
	}
	response, err := u.client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("HTTP %s", response.Status)
	}
	return string(body), nil
}

// request is one request of a steady user.
type request struct {
	start, end time.Time
	by         string
	err        error
}

// timeline records the requests of a steady user. Safe for concurrent use.
type timeline struct {
	mu       sync.Mutex // guards requests
	requests []request
}

// step is the time from one request of a steady user to the next: 50 in a second.
const step = 20 * time.Millisecond

// steady starts a user who sends requests at a steady rate, whatever becomes of those before, until the test ends.
func (u *user) steady(t *testing.T) *timeline {
	l := &timeline{}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { u.run(ctx, l, &running) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return l
}

// run starts one request each step. Requests that the end of the test cuts off are not recorded.
func (u *user) run(ctx context.Context, l *timeline, running *sync.WaitGroup) {
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		running.Go(func() {
			r := request{start: time.Now()}
			r.by, r.err = u.get(ctx)
			r.end = time.Now()
			if ctx.Err() != nil {
				return
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.requests = append(l.requests, r)
		})
	}
}

// since returns the requests that started after a moment, in the order in which they ended.
func (l *timeline) since(moment time.Time) []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []request
	for _, r := range l.requests {
		if r.start.After(moment) {
			all = append(all, r)
		}
	}
	return all
}

// first returns the first request that started after a moment and was served by an origin.
func (l *timeline) first(by string, moment time.Time) (request, bool) {
	for _, r := range l.since(moment) {
		if r.err == nil && r.by == by {
			return r, true
		}
	}
	return request{}, false
}

// only fails the test for requests that started after a moment and were not served by an origin; it returns how many
// there were in all.
func (l *timeline) only(t *testing.T, by string, moment time.Time) int {
	t.Helper()
	all := l.since(moment)
	for _, r := range all {
		if r.err != nil || r.by != by {
			t.Errorf("%v after %s had begun to serve, a request was served by %q, error %v", r.start.Sub(moment), by, r.by, r.err)
		}
	}
	return len(all)
}

// dialerFrom dials UDP from an address of this machine.
func dialerFrom(ip string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(ip)}, Timeout: 5 * time.Second}
}
