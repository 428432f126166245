package server

import (
	"bytes"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Figure 20: whatever the wall clock does, every query is answered, and who takes over the cookie that it is sent has a valid one; limits,
// which go by the time since start, let such a client through and nobody else get a new allowance.
func TestClockSteps(t *testing.T) {
	r, _ := newResponder(t, true)
	withManners(t, r, Options{
		Cookies:   CookieOptions{Enabled: true},
		RateLimit: RateLimitOptions{ResponsesPerSecond: 1, Window: time.Second, Slip: 1, IPv4Prefix: 24, IPv6Prefix: 56, TableSize: 1024},
	})
	wall := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	set := func() { r.clock.wall.Store(uint32(wall.Unix())) } // a step of the system's clock is none of the time since start
	ask := func(options ...dns.EDNS0) *dns.Msg {
		t.Helper()
		reply := r.Respond(nil, asking(t, "www.gtm.test.", dns.TypeA, dns.ClassINET, options...), client, 1232)
		return unpacked(t, reply)
	}
	set()
	cookie, issued := cookieIn(t, ask(cookieOption("clientCk"))), wall // the allowance is used up
	for _, step := range []time.Duration{
		0, time.Hour, -time.Hour, 10 * time.Minute, -10 * time.Minute, 40 * time.Minute, -4 * time.Minute, 24 * time.Hour, -24 * time.Hour,
		30 * 365 * 24 * time.Hour, 60 * 365 * 24 * time.Hour, -90 * 365 * 24 * time.Hour, // around 2106, where 32 bits end
	} {
		wall = wall.Add(step)
		set()
		m := ask(cookieOption(cookie))
		fresh := cookieIn(t, m)
		age := wall.Sub(issued)
		isValid := age <= time.Hour && age >= -5*time.Minute
		if want := map[bool]int{true: dns.RcodeSuccess, false: dns.RcodeBadCookie}[isValid]; m.Rcode != want {
			t.Errorf("after a step of %v: %s with the cookie from before, want %s", step, dns.RcodeToString[m.Rcode], dns.RcodeToString[want])
		}
		if young := isValid && age <= 30*time.Minute; (fresh == cookie) != young {
			t.Errorf("after a step of %v the cookie is kept: %v, want %v", step, fresh == cookie, young)
		}
		if at := uint32(wall.Unix()); fresh != cookie && !bytes.Equal([]byte(fresh[12:16]), []byte{byte(at >> 24), byte(at >> 16), byte(at >> 8), byte(at)}) {
			t.Errorf("after a step of %v the cookie says %x, want the time %x", step, fresh[12:16], at)
		}
		for range 60 {
			if m := ask(cookieOption(fresh)); m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 || cookieIn(t, m) != fresh {
				t.Fatalf("after a step of %v a fresh cookie is not taken:\n%v", step, m)
			}
		}
		if m := ask(); !m.Truncated {
			t.Errorf("after a step of %v who has no cookie gets a new allowance", step)
		}
		if fresh != cookie {
			cookie, issued = fresh, wall
		}
	}
}

// The time since start does not follow the wall clock, so it goes by readings of the monotonic one: both have it.
func TestClockSet(t *testing.T) {
	s := newServer(t, options("127.0.0.1:0"))
	if s.start == s.start.Round(0) { // which strips it
		t.Error("the start of the server has no monotonic time")
	}
	var c clock
	c.set(s.start, s.start.Add(1500*time.Millisecond))
	if got := c.elapsed.Load(); got != 1_500_000 {
		t.Errorf("%d µs have gone by, want 1500000", got)
	}
	if got, want := c.wall.Load(), uint32(s.start.Add(1500*time.Millisecond).Unix()); got != want {
		t.Errorf("the wall clock shows %d, want %d", got, want)
	}
}
