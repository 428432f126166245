package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// addrs parses addresses separated by spaces.
func addrs(text string) []netip.Addr {
	var all []netip.Addr
	for _, field := range strings.Fields(text) {
		all = append(all, netip.MustParseAddr(field))
	}
	return all
}

// summary writes an answer as a test's table does.
func (a Answer) summary(at time.Time) string {
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.Sub(at).String()
	}
	return fmt.Sprintf("%v %v known=%t since=%s resolved=%s failing=%s %q", a.IPv4, a.IPv6, a.Known, ago(a.Since), ago(a.Resolved), ago(a.Failing), a.Err)
}

// TestAnswerAfter is the table of [Answer.after], from an answer of ten seconds ago.
func TestAnswerAfter(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	before := now.Add(-10 * time.Second)
	var (
		good    = Answer{IPv4: addrs("192.0.2.1"), IPv6: addrs("2001:db8::1"), Since: before, Resolved: before, Known: true}
		failing = good
		partial = good
	)
	failing.Err, failing.Failing = "resolve www.example.net: SERVFAIL from 192.0.2.53:53", before.Add(5*time.Second)
	partial.Err, partial.Failing = "resolve www.example.net: SERVFAIL from 192.0.2.53:53 for AAAA", before
	var (
		a1, a2   = reply{addrs: addrs("192.0.2.1")}, reply{addrs: addrs("192.0.2.2")}
		aaaa1    = reply{addrs: addrs("2001:db8::1")}
		none     = reply{none: "no address from 192.0.2.53:53"}
		nxdomain = reply{none: "NXDOMAIN from 192.0.2.53:53"}
		servfail = reply{failed: "SERVFAIL from 192.0.2.53:53"}
		silence  = reply{failed: "no answer from 192.0.2.53:53 within 2s"}
	)
	for _, tt := range []struct {
		name   string
		from   Answer
		v4, v6 reply
		want   string
	}{
		{"first", Answer{}, a1, none, `[192.0.2.1] [] known=true since=0s resolved=0s failing=never ""`},
		{"first, in part", Answer{}, a1, servfail,
			`[192.0.2.1] [] known=true since=0s resolved=0s failing=0s "resolve www.example.net: SERVFAIL from 192.0.2.53:53 for AAAA"`},
		{"first failure", Answer{}, silence, silence,
			`[] [] known=false since=never resolved=never failing=0s "resolve www.example.net: no answer from 192.0.2.53:53 within 2s"`},
		{"the same", good, a1, aaaa1, `[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=0s failing=never ""`},
		{"another", good, a2, aaaa1, `[192.0.2.2] [2001:db8::1] known=true since=0s resolved=0s failing=never ""`},
		{"IPv6 is gone", good, a1, none, `[192.0.2.1] [] known=true since=0s resolved=0s failing=never ""`},
		{"IPv6 is gone, said badly", good, a1, nxdomain, `[192.0.2.1] [] known=true since=0s resolved=0s failing=never ""`},
		{"IPv4 is gone", good, none, aaaa1, `[] [2001:db8::1] known=true since=0s resolved=0s failing=never ""`},
		{"one fails, the other is the same", good, a1, servfail,
			`[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=0s failing=0s "resolve www.example.net: SERVFAIL from 192.0.2.53:53 for AAAA"`},
		{"one fails, the other changes", good, a2, servfail,
			`[192.0.2.2] [2001:db8::1] known=true since=0s resolved=0s failing=0s "resolve www.example.net: SERVFAIL from 192.0.2.53:53 for AAAA"`},
		{"A fails", good, silence, aaaa1,
			`[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=0s failing=0s "resolve www.example.net: no answer from 192.0.2.53:53 within 2s for A"`},
		{"no such name", good, nxdomain, nxdomain,
			`[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=-10s failing=0s "resolve www.example.net: NXDOMAIN from 192.0.2.53:53"`},
		{"no address", good, none, none,
			`[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=-10s failing=0s "resolve www.example.net: no address from 192.0.2.53:53"`},
		{"no address, perhaps", good, servfail, none,
			`[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=-10s failing=0s "resolve www.example.net: SERVFAIL from 192.0.2.53:53 for A; no address from 192.0.2.53:53 for AAAA"`},
		{"still failing", failing, silence, silence,
			`[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=-10s failing=-5s "resolve www.example.net: no answer from 192.0.2.53:53 within 2s"`},
		{"failing in part, then wholly", partial, servfail, servfail,
			`[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=-10s failing=-10s "resolve www.example.net: SERVFAIL from 192.0.2.53:53"`},
		{"good again", failing, a1, aaaa1, `[192.0.2.1] [2001:db8::1] known=true since=-10s resolved=0s failing=never ""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.from.after("www.example.net.", tt.v4, tt.v6, now).summary(now); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestAnswerTells lists what makes a reader look again.
func TestAnswerTells(t *testing.T) {
	base := Answer{IPv4: addrs("192.0.2.1"), Known: true}
	for _, tt := range []struct {
		name     string
		from, to Answer
		want     bool
	}{
		{"nothing", base, base, false},
		{"times", base, Answer{IPv4: base.IPv4, Known: true, Resolved: time.Unix(1, 0), Next: time.Unix(2, 0)}, false},
		{"first", Answer{}, base, true},
		{"an address", base, Answer{IPv4: addrs("192.0.2.2"), Known: true}, true},
		{"a family", base, Answer{IPv6: addrs("2001:db8::1"), Known: true}, true},
		{"begins to fail", base, Answer{IPv4: base.IPv4, Known: true, Err: "a"}, true},
		{"fails otherwise", Answer{Err: "a"}, Answer{Err: "b"}, false},
		{"fails no more", Answer{Err: "a"}, Answer{}, true},
	} {
		if got := tt.from.tells(&tt.to); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestTidy(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"192.0.2.9 192.0.2.10 192.0.2.9", "192.0.2.9 192.0.2.10"},
		{"0.0.0.0 224.0.0.1 255.255.255.255 127.0.0.1 169.254.1.1 10.0.0.1", "10.0.0.1 127.0.0.1 169.254.1.1"},
		{":: ff02::1 fe80::1 fe80::1%eth0 ::ffff:192.0.2.1 2001:db8::1%eth0 2001:db8::1 fd00::1 ::1", "::1 2001:db8::1 fd00::1"},
	} {
		if diff := cmp.Diff(fmt.Sprint(addrs(tt.want)), fmt.Sprint(tidy(addrs(tt.in)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
	// Of too many, the choice is the same in whatever order they come.
	var many []netip.Addr
	for i := range 200 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	first := tidy(many)
	slices.Reverse(many)
	if !slices.Equal(first, tidy(many)) || len(first) != 64 || cap(first) != 64 || first[63] != netip.MustParseAddr("192.0.2.63") {
		t.Errorf("%d: %v", len(first), first)
	}
}

func TestFailureIsClean(t *testing.T) {
	got := failure("w\x1b.", strings.Repeat("x", 1000), strings.Repeat("x", 1000))
	if want := "resolve w\uFFFD: " + strings.Repeat("x", 500-len("resolve w?: ")) + "…"; got != want {
		t.Errorf("%q", got)
	}
}
