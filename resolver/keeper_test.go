package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const www = "www.example.net."

// gaps returns the times between calls.
func gaps(calls []time.Time) (gaps []time.Duration) {
	for i := range calls[1:] {
		gaps = append(gaps, calls[i+1].Sub(calls[i]))
	}
	return gaps
}

// TestKeeperSchedule: a name is asked for again after its TTL, within the floor and the ceiling.
func TestKeeperSchedule(t *testing.T) {
	for _, tt := range []struct{ ttl, from, to time.Duration }{
		{0, 10 * time.Second, 11 * time.Second},
		{time.Minute, time.Minute, 66 * time.Second},
		{time.Hour, 270 * time.Second, 300 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			s.set(www+" A", fmt.Sprintf("www.example.net. %d A 192.0.2.1", tt.ttl/time.Second))
			r := s.start(nil, nil, nil)
			started := time.Now()
			r.Set(oneServer(), []string{www})
			synctest.Wait()
			if first := s.asked(www + " A"); len(first) != 1 || !first[0].Equal(started) {
				t.Errorf("first asked at %v", first)
			}
			time.Sleep(time.Hour)
			calls := s.asked(www + " A")
			for _, gap := range gaps(calls) {
				if gap < tt.from || gap > tt.to {
					t.Errorf("TTL %v: asked again after %v, want %v to %v", tt.ttl, gap, tt.from, tt.to)
				}
			}
			if len(calls) < int(time.Hour/tt.to) {
				t.Errorf("TTL %v: asked %d times in an hour", tt.ttl, len(calls))
			}
			if next := time.Until(r.Answers()[www].Next); next < 0 || next > tt.to {
				t.Errorf("next in %v", next)
			}
		})
	}
}

// TestKeeperTold follows a name from its first answer through a failure: what is known, said and signalled.
func TestKeeperTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newScript(t), new(logged)
		s.set(www+" A", "www.example.net. 60 A 192.0.2.1\nwww.example.net. 60 A 192.0.2.2")
		s.set(www+" AAAA", "www.example.net. 60 AAAA 2001:db8::1")
		r := s.start(nil, log, nil)
		expect := func(answer string, signal bool, lines ...string) {
			t.Helper()
			synctest.Wait()
			signalled := false
			select {
			case <-r.Changed():
				signalled = true
			default:
			}
			if signalled != signal {
				t.Errorf("signal: %t", signalled)
			}
			if got := r.Answers()[www]; fmt.Sprintf("%v %v %q", got.IPv4, got.IPv6, got.Err) != answer {
				t.Errorf("answer: %+v", got)
			}
			if got, want := log.take(), strings.Join(append(lines, ""), "\n"); got != want {
				t.Errorf("logged\n%swant\n%s", got, want)
			}
		}
		r.Set(oneServer(), []string{www})
		expect(`[192.0.2.1 192.0.2.2] [2001:db8::1] ""`, true)
		time.Sleep(70 * time.Second)
		expect(`[192.0.2.1 192.0.2.2] [2001:db8::1] ""`, false)

		s.set(www+" A", "www.example.net. 60 A 192.0.2.3\nwww.example.net. 60 A 192.0.2.2")
		time.Sleep(70 * time.Second)
		expect(`[192.0.2.2 192.0.2.3] [2001:db8::1] ""`, true,
			`level=INFO msg="addresses changed" name=www.example.net added=[192.0.2.3] removed=[192.0.2.1]`)

		s.set(www+" A", "SERVFAIL")
		s.set(www+" AAAA", "SERVFAIL")
		time.Sleep(70 * time.Second)
		expect(`[192.0.2.2 192.0.2.3] [2001:db8::1] "resolve www.example.net: SERVFAIL from 192.0.2.53:53"`, true,
			`level=WARN msg="name does not resolve" name=www.example.net error="resolve www.example.net: SERVFAIL from 192.0.2.53:53" kept=3`)
		failing := r.Answers()[www].Failing

		// A day later nothing has been forgotten, and nothing more has been said.
		s.set(www+" A", "NXDOMAIN")
		s.set(www+" AAAA", "NXDOMAIN")
		time.Sleep(24 * time.Hour)
		expect(`[192.0.2.2 192.0.2.3] [2001:db8::1] "resolve www.example.net: NXDOMAIN from 192.0.2.53:53"`, false)
		if got := r.Answers()[www].Failing; !got.Equal(failing) {
			t.Errorf("failing since %v, not %v", got, failing)
		}

		s.set(www+" A", "www.example.net. 60 A 192.0.2.3\nwww.example.net. 60 A 192.0.2.2")
		s.set(www+" AAAA", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		after := r.Answers()[www].Resolved.Sub(failing)
		expect(`[192.0.2.2 192.0.2.3] [] ""`, true,
			fmt.Sprintf(`level=INFO msg="name resolves again" name=www.example.net after=%v`, after),
			`level=INFO msg="addresses changed" name=www.example.net added=[] removed=[2001:db8::1]`)
	})
}

// TestKeeperBackoff: failures are retried ever later, and from the beginning after a success.
func TestKeeperBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.set(www+" A", "SERVFAIL")
		s.set(www+" AAAA", "SERVFAIL")
		o := oneServer()
		o.Attempts = 1
		r := s.start(nil, nil, nil)
		r.Set(o, []string{www})
		time.Sleep(10 * time.Minute)
		check := func(calls []time.Time) {
			t.Helper()
			for i, gap := range gaps(calls) {
				want := min(5*time.Second<<min(i, 8), time.Minute)
				if gap < want-want/10 || gap > want+want/10 {
					t.Errorf("failure %d: asked again after %v, want about %v", i+1, gap, want)
				}
			}
		}
		calls := s.asked(www + " A")
		check(calls)
		s.set(www+" A", "www.example.net. 60 A 192.0.2.1")
		s.set(www+" AAAA", "")
		time.Sleep(time.Minute)
		s.set(www+" A", "SERVFAIL")
		s.set(www+" AAAA", "SERVFAIL")
		time.Sleep(5 * time.Minute)
		// After the last failure and the one success.
		check(s.asked(www + " A")[len(calls)+1:])
	})
}

// TestKeeperServers: all servers are asked in order, as often as the options say, and the error names each.
func TestKeeperServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.set(www+" A", "silence")
		s.set(www+" AAAA", "silence")
		o := oneServer()
		o.Servers = append(o.Servers, netip.MustParseAddrPort("[2001:db8::53]:53"))
		o.Attempts, o.Timeout = 3, time.Second
		r := s.start(nil, nil, nil)
		started := time.Now()
		r.Set(o, []string{www})
		if err := r.Settled(t.Context(), []string{www}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took != 6*time.Second {
			t.Errorf("took %v", took)
		}
		want := "resolve www.example.net: no answer from 192.0.2.53:53 within 1s, no answer from [2001:db8::53]:53 within 1s"
		if got := r.Answers()[www].Err; got != want {
			t.Error(got)
		}
		for i, server := range s.servers {
			if server != o.Servers[i/2%2] {
				t.Errorf("query %d went to %v", i, server)
			}
		}
	})
}

// underRace: the race detector watches.
var underRace bool

// TestKeeperCrowd: a thousand names on which a server drips delay no name that resolves, and what runs is bounded.
func TestKeeperCrowd(t *testing.T) {
	if underRace {
		t.Skip("the runtime of Go 1.26.8 crashes now and then under the race detector, in a bubble with as many goroutines")
	}
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.set(www+" A", "www.example.net. 10 A 192.0.2.1")
		r := s.start(nil, nil, nil)
		r.Set(oneServer(), []string{www})
		time.Sleep(time.Minute)
		names := []string{www}
		for i := range 1000 {
			name := fmt.Sprintf("n%d.example.org.", i)
			s.set(name+" A", "silence")
			s.set(name+" AAAA", "silence")
			names = append(names, name)
		}
		r.Set(oneServer(), names)
		time.Sleep(10 * time.Minute)
		calls := s.asked(www + " A")
		for _, gap := range gaps(calls) {
			if gap > 11*time.Second {
				t.Errorf("asked again after %v", gap)
			}
		}
		if s.most > 3*2*laneWidth {
			t.Errorf("%d queries at once", s.most)
		}
		// One that comes later waits for nobody either.
		s.set("late.example.net. A", "late.example.net. 10 A 192.0.2.2")
		before := time.Now()
		r.Set(oneServer(), append(names, "late.example.net."))
		if err := r.Settled(t.Context(), []string{"late.example.net."}); err != nil || time.Since(before) > 0 {
			t.Errorf("%v after %v", err, time.Since(before))
		}
	})
}

// TestKeeperSpread: names that share a TTL do not stay together.
func TestKeeperSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		var names []string
		for i := range 500 {
			names = append(names, fmt.Sprintf("n%d.example.org.", i))
			s.set(names[i]+" A", names[i]+" 60 A 192.0.2.1")
		}
		r := s.start(nil, nil, nil)
		r.Set(oneServer(), names)
		time.Sleep(70 * time.Second)
		var second []int64
		for _, name := range names {
			second = append(second, s.asked(name + " A")[1].Unix())
		}
		slices.Sort(second)
		if n := len(slices.Compact(second)); n < 5 {
			t.Errorf("all were asked again in %d different seconds", n)
		}
	})
}
