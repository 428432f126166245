package server

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/server/view"
)

// limits are rates as a configuration has them, with the defaults for the rest.
func limits(responses, nxdomains, errors, all int) RateLimitOptions {
	return RateLimitOptions{
		ResponsesPerSecond: responses, NXDomainsPerSecond: nxdomains, ErrorsPerSecond: errors, AllPerSecond: all,
		Window: 5 * time.Second, Slip: 2, IPv4Prefix: 24, IPv6Prefix: 56, TableSize: 1024,
	}
}

const second = uint64(time.Second / time.Microsecond)

// allowed is how many of n replies of one kind at one time are within the limit.
func allowed(l *rateLimit, n int, source string, kind view.Kind, subject, now uint64) int {
	count := 0
	for range n {
		if action, _ := l.judge(netip.MustParseAddr(source), kind, subject, false, now, 1); action == curbNone {
			count++
		}
	}
	return count
}

// A network that was quiet gets what it saved up in the window, then the rate, whatever it asks for beside.
func TestRateLimitRate(t *testing.T) {
	for _, start := range []uint64{0, 12345, 1<<timeBits - 3*second, 1 << 50} { // also around the end of the 40 bits
		l := newRateLimit(limits(10, 4, 100_000, 0), nil)
		for _, step := range []struct {
			after uint64
			kind  view.Kind
			want  int
		}{
			{0, view.KindAnswer, 50}, {0, view.KindAnswer, 0}, {second / 10, view.KindAnswer, 1}, {second, view.KindAnswer, 10},
			{second, view.KindNegative, 20}, {2 * second, view.KindAnswer, 10}, {2 * second, view.KindNegative, 4},
			{20 * second, view.KindAnswer, 50}, {7200 * second, view.KindAnswer, 50}, {1 << timeBits, view.KindAnswer, 50}, {1 << timeBits, view.KindAnswer, 0},
		} {
			if step.kind == view.KindAnswer && step.after == second { // 0.1 s of it was taken
				step.want = 9
			}
			if got := allowed(l, 200, "192.0.2.1", step.kind, 7, start+step.after); got != step.want {
				t.Errorf("start %d, after %d: %d replies of kind %d, want %d", start, step.after, got, step.kind, step.want)
			}
		}
	}
}

// What shares an allowance, and what has its own.
func TestRateLimitKeys(t *testing.T) {
	for _, test := range []struct {
		name                       string
		source                     string
		kind                       view.Kind
		subject                    uint64
		shares, sharesAll, exempts bool
	}{
		{"the same", "192.0.2.1", view.KindAnswer, 7, true, true, false},
		{"another address of the /24", "192.0.2.254", view.KindAnswer, 7, true, true, false},
		{"another /24", "192.0.3.1", view.KindAnswer, 7, false, false, false},
		{"another subject", "192.0.2.1", view.KindAnswer, 8, false, true, false},
		{"another kind", "192.0.2.1", view.KindNegative, 7, false, true, false},
		{"an IPv6 network with the same bits", "::c000:201", view.KindAnswer, 7, false, false, false},
		{"an exempt network", "198.51.100.1", view.KindAnswer, 7, false, false, true},
	} {
		o := limits(1, 0, 0, 0)
		o.Exempt = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		l := newRateLimit(o, nil)
		allowed(l, 100, "192.0.2.1", view.KindAnswer, 7, second)
		want := 5
		if test.shares {
			want = 0
		} else if test.exempts {
			want = 100
		}
		if got := allowed(l, 100, test.source, test.kind, test.subject, second); got != want {
			t.Errorf("%s: %d replies, want %d", test.name, got, want)
		}
		o.ResponsesPerSecond, o.AllPerSecond = 0, 1
		l = newRateLimit(o, nil)
		allowed(l, 100, "192.0.2.1", view.KindAnswer, 7, second)
		want = 5
		if test.sharesAll {
			want = 0
		} else if test.exempts {
			want = 100
		}
		if got := allowed(l, 100, test.source, test.kind, test.subject, second); got != want {
			t.Errorf("%s, all together: %d replies, want %d", test.name, got, want)
		}
	}
	l := newRateLimit(limits(1, 0, 0, 0), nil)
	allowed(l, 100, "2001:db8:0:100::1", view.KindAnswer, 7, second)
	for source, want := range map[string]int{"2001:db8:0:1ff::2": 0, "2001:db8:0:200::1": 5} {
		if got := allowed(l, 100, source, view.KindAnswer, 7, second); got != want {
			t.Errorf("%s beside 2001:db8:0:100::1: %d replies, want %d", source, got, want)
		}
	}
}

// A rate of 0 is that of answers, and nothing is limited where no rate is set.
func TestRateLimitDefaults(t *testing.T) {
	if l := newRateLimit(limits(0, 0, 0, 0), nil); l != nil {
		t.Error("without a rate there are limits")
	}
	for _, test := range []struct {
		options                  RateLimitOptions
		answers, negatives, errs int
	}{
		{limits(10, 0, 0, 0), 50, 50, 50},
		{limits(10, 20, 1, 0), 50, 100, 5},
		{limits(0, 20, 0, 0), 200, 100, 200},
		{limits(100_000, 0, 0, 3), 15, 15, 15},
	} {
		for kind, want := range []int{test.answers, test.negatives, test.errs} {
			if got := allowed(newRateLimit(test.options, nil), 200, "192.0.2.1", view.Kind(kind), 0, 0); got != want {
				t.Errorf("%+v: %d replies of kind %d, want %d", test.options, got, kind, want)
			}
		}
	}
}

func TestRateLimitSlip(t *testing.T) {
	for _, test := range []struct{ slip, least, most int }{{0, 0, 0}, {1, 1000, 1000}, {2, 400, 600}, {10, 50, 150}} {
		o := limits(1, 0, 0, 0)
		o.Slip = test.slip
		for _, hasCookie := range []bool{false, true} {
			l, counts := newRateLimit(o, nil), [len(curbNames)]int{}
			chance := rand.New(rand.NewPCG(1, 2))
			for range 1005 {
				action, _ := l.judge(client, view.KindAnswer, 0, hasCookie, 0, chance.Uint64())
				counts[action]++
			}
			slipped, other := counts[curbTruncate], counts[curbCookie]
			if hasCookie {
				slipped, other = other, slipped
			}
			if counts[curbNone] != 5 || slipped < test.least || slipped > test.most || other != 0 || slipped+counts[curbDrop] != 1000 {
				t.Errorf("slip %d, cookie %v: %v", test.slip, hasCookie, counts)
			}
		}
	}
}

// Whatever floods the table, nobody is limited who asks within the rate, and who is over the limit stays there.
func TestRateLimitFullTable(t *testing.T) {
	l := newRateLimit(limits(1, 0, 0, 0), nil)
	if len(l.table.cells) != 1024 {
		t.Fatalf("%d cells", len(l.table.cells))
	}
	attacker := netip.MustParseAddr("198.18.0.1")
	limited := 0
	for i := range uint64(100_000) {
		now := 5*second + i*10 // a second in all
		source := netip.AddrFrom4([4]byte{byte(10 + i>>16), byte(i >> 8), byte(i), 1})
		if action, _ := l.judge(source, view.KindAnswer, 1, false, now, 1); action != curbNone {
			t.Fatalf("query %d is the first of its network, and is limited", i)
		}
		if action, _ := l.judge(attacker, view.KindAnswer, 1, false, now, 1); action != curbNone {
			limited++
		}
	}
	if limited < 99_900 {
		t.Errorf("the attacker is limited %d times of 100000", limited)
	}
}

// The time in a cell comes round after 2^40 µs. What a network did then is not held against it.
func TestRateLimitTimeComesRound(t *testing.T) {
	l := newRateLimit(limits(1, 0, 0, 0), nil)
	const round = 1 << timeBits
	for _, later := range []uint64{100 * second, 1000 * second, 3000 * second} {
		source := fmt.Sprintf("192.0.%d.1", later/second%256)
		if got := allowed(l, 10, source, view.KindAnswer, later, 5000*second); got != 5 {
			t.Fatalf("%d replies, want 5", got)
		}
		// The cell has a time 5 s after that.
		if got := allowed(l, 10, source, view.KindAnswer, later, round+5000*second-later); got != 5 {
			t.Errorf("%d s before the time comes round: %d replies, want 5", later/second, got)
		}
	}
}

// A worker that has read the clock a little earlier than another gives nobody a new allowance.
func TestRateLimitClockBehind(t *testing.T) {
	for _, window := range []time.Duration{5 * time.Second, time.Hour} {
		o := limits(1, 0, 0, 0)
		o.Window = window
		l := newRateLimit(o, nil)
		allowed(l, 10_000, "192.0.2.1", view.KindAnswer, 7, second)
		if got := allowed(l, 10, "192.0.2.1", view.KindAnswer, 7, second-100_000); got != 0 {
			t.Errorf("window %v: %d replies, want 0", window, got)
		}
	}
}

// A reload goes on with what is known of networks, unless the size of the table changes.
func TestRateLimitReload(t *testing.T) {
	before := newRateLimit(limits(1, 0, 0, 0), nil)
	allowed(before, 100, "192.0.2.1", view.KindAnswer, 7, 0)
	o := limits(2, 0, 0, 0)
	if got := allowed(newRateLimit(o, before), 100, "192.0.2.1", view.KindAnswer, 7, 0); got != 0 {
		t.Errorf("%d replies after a reload", got)
	}
	o.TableSize = 1025
	if l := newRateLimit(o, before); len(l.table.cells) != 2048 {
		t.Errorf("%d cells", len(l.table.cells))
	}
}

// Workers together give no more than one of them would.
func TestRateLimitConcurrent(t *testing.T) {
	l := newRateLimit(limits(1000, 0, 0, 0), nil)
	var given atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() { given.Add(int64(allowed(l, 5000, "192.0.2.1", view.KindAnswer, 7, 0))) })
	}
	workers.Wait()
	if given.Load() != 5000 {
		t.Errorf("%d replies, want 5000", given.Load())
	}
}

// What a view says that answers are about: the names below a wildcard or a zone are one subject, types and names are not.
func TestSubjects(t *testing.T) {
	r, _ := newResponder(t, true)
	subject := func(name string, qtype uint16) string {
		r.query.Decode(packet(t, name, qtype, 0, ""))
		hit := r.view.Load().Lookup(&r.query, client)
		kind, number := hit.Subject()
		return fmt.Sprint(kind, " ", number)
	}
	for _, test := range []struct {
		a, b   string
		ta, tb uint16
		same   bool
	}{
		{"all.gtm.test.", "ALL.gtm.test.", dns.TypeA, dns.TypeA, true},
		{"all.gtm.test.", "weight.gtm.test.", dns.TypeA, dns.TypeA, false},
		{"www.gtm.test.", "www.gtm.test.", dns.TypeA, dns.TypeA, true},
		{"www.gtm.test.", "ns1.gtm.test.", dns.TypeA, dns.TypeA, false},
		{"www.gtm.test.", "www.gtm.test.", dns.TypeA, dns.TypeTXT, false},
		{"x.gtm.test.", "y.z.gtm.test.", dns.TypeA, dns.TypeTXT, true},
		{"a.sub.gtm.test.", "b.sub.gtm.test.", dns.TypeA, dns.TypeA, true},
		{"a.sub.gtm.test.", "x.gtm.test.", dns.TypeA, dns.TypeA, false},
		{"example.com.", "example.org.", dns.TypeA, dns.TypeNS, true},
		{"all.gtm.test.", "weight.gtm.test.", dns.TypeTXT, dns.TypeTXT, true},
	} {
		if a, b := subject(test.a, test.ta), subject(test.b, test.tb); (a == b) != test.same {
			t.Errorf("%s %d and %s %d: %s and %s", test.a, test.ta, test.b, test.tb, a, b)
		}
	}
	for name, want := range map[string]string{"all.gtm.test.": "0 ", "missing.gtm.test.": "1 ", "a.sub.gtm.test.": "1 ", "example.com.": "2 "} {
		if got := subject(name, dns.TypeA); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, want kind %s", name, got, want)
		}
	}
	if got := subject("all.gtm.test.", dns.TypeTXT); !strings.HasPrefix(got, "1 ") {
		t.Errorf("NODATA is %s", got)
	}
}

// The replies that take the place of one over the limit, and for whom there are none.
func TestCurbs(t *testing.T) {
	o := Options{RateLimit: limits(1, 0, 0, 0), Cookies: CookieOptions{Enabled: true}, Version: "x"}
	o.RateLimit.Slip = 1
	r, stats := newResponder(t, true)
	withManners(t, r, o)
	whole := cookieIn(t, unpacked(t, r.Respond(nil, asking(t, "ns1.gtm.test.", dns.TypeA, 1, cookieOption("clientCk")), client, 1232)))
	malformed := append(packet(t, "www.gtm.test.", dns.TypeA, 0, ""), 0)
	for _, test := range []struct {
		id      string
		packet  []byte
		tc      bool
		rcode   int // when it is over the limit
		octets  int
		limited bool
	}{
		{"an answer", packet(t, "all.gtm.test.", dns.TypeA, 0, ""), true, 0, 0, true},
		{"NXDOMAIN", packet(t, "missing.gtm.test.", dns.TypeA, 1232, ""), true, 0, 0, true},
		{"REFUSED", packet(t, "example.com.", dns.TypeA, 1232, ""), true, 0, 0, true},
		{"FORMERR", malformed, true, 0, -1, true},
		{"CH", asking(t, "version.bind.", dns.TypeTXT, dns.ClassCHAOS), true, 0, 0, true},
		{"C03 client cookie: BADCOOKIE (RFC 7873 5.2.3)", asking(t, "all.gtm.test.", dns.TypeA, 1, cookieOption("clientCk")), false, dns.RcodeBadCookie, 16, true},
		{"C03 wrong cookie: BADCOOKIE (RFC 7873 5.2.4)", asking(t, "all.gtm.test.", dns.TypeA, 1, cookieOption(whole[:23]+"x")), false, dns.RcodeBadCookie, 0, true},
		{"C02 valid cookie", asking(t, "all.gtm.test.", dns.TypeA, 1, cookieOption(whole)), false, 0, 0, false},
	} {
		for range 20 {
			r.Respond(nil, test.packet, client, 1232)
		}
		reply := r.Respond(nil, test.packet, client, 1232)
		m := unpacked(t, reply)
		if !test.limited {
			if m.Truncated || len(m.Answer) == 0 {
				t.Errorf("%s: limited", test.id)
			}
			continue
		}
		if m.Truncated != test.tc || m.Rcode != test.rcode || len(m.Answer)+len(m.Ns) != 0 || len(reply) > len(test.packet)+test.octets {
			t.Errorf("%s: TC %v, rcode %d, %d octets for %d", test.id, m.Truncated, m.Rcode, len(reply), len(test.packet))
		}
		if m.Rcode == dns.RcodeBadCookie && len(cookieIn(t, m)) != 24 {
			t.Errorf("%s: no cookie to ask again with", test.id)
		}
	}
	if got := stats.workers[0].limited[view.KindAnswer][curbCookie].Load(); got == 0 {
		t.Error("BADCOOKIE is not counted")
	}
	// Over TCP nobody forges addresses.
	tcp := *r
	tcp.count = stats.join(false)
	for range 20 {
		if m := unpacked(t, tcp.Respond(nil, packet(t, "all.gtm.test.", dns.TypeA, 0, ""), client, maxMessage)); len(m.Answer) != 4 {
			t.Fatalf("over TCP: %v", m)
		}
	}
	o.RateLimit.Slip = 0
	withManners(t, r, o)
	if got := r.Respond([]byte("x"), packet(t, "all.gtm.test.", dns.TypeA, 0, ""), client, 1232); string(got) != "x" {
		t.Errorf("slip 0: reply %x", got)
	}
}

// Figure 23 of the reliability table, over real sockets: a flood from one /24 gets fewer octets than it sends, while every
// query from another /24, and of a client of the same /24 with a cookie, is answered.
func TestFloodIsNotAmplified(t *testing.T) {
	o := options("127.0.0.1:0")
	o.Cookies.Enabled = true
	o.RateLimit = limits(20, 0, 0, 0)
	s := newServer(t, o)
	for network, test := range []struct {
		flood string
		query func(i int) []byte
		most  float64
	}{
		{"answers", func(int) []byte { return packet(t, "all.gtm.test.", dns.TypeA, 0, "") }, 0.7},
		{"random names", func(i int) []byte { return packet(t, fmt.Sprintf("random%d.gtm.test.", i), dns.TypeA, 1232, "") }, 0.7},
		{"random names of others", func(i int) []byte { return packet(t, fmt.Sprintf("random%d.example.", i), dns.TypeA, 1232, "") }, 0.7},
		{"garbage", func(int) []byte { return append(packet(t, "all.gtm.test.", dns.TypeA, 0, ""), 0) }, 0.7},
		// BADCOOKIE is 16 octets longer than a query with a client cookie (RFC 7873 section 4).
		{"client cookies", func(int) []byte { return asking(t, "weight.gtm.test.", dns.TypeA, 1, cookieOption("clientCk")) }, 0.9},
	} {
		t.Run(test.flood, func(t *testing.T) {
			flood := dialFrom(t, "127.0.1.1", "udp", first(s)).(*net.UDPConn)
			flood.SetReadBuffer(4 << 20)
			holder, other := dialFrom(t, "127.0.1.2", "udp", first(s)), dialFrom(t, fmt.Sprintf("127.0.%d.1", 2+network), "udp", first(s))
			cookie := cookieIn(t, unpacked(t, exchange(t, holder, asking(t, "ns1.gtm.test.", dns.TypeA, 1, cookieOption("clientCk")))))
			known := asking(t, "all.gtm.test.", dns.TypeA, 1, cookieOption(cookie))
			// The flood's own address has a cookie as well: its last query is answered for sure, and behind all others.
			attackers := cookieIn(t, unpacked(t, exchange(t, dialFrom(t, "127.0.1.1", "tcp", first(s)), asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption("attacker")))))
			sentinel := asking(t, "www.gtm.test.", dns.TypeA, 1, cookieOption(attackers))
			received := make(chan int, 1)
			go func() {
				octets, reply := 0, make([]byte, 1500)
				for {
					n, err := flood.Read(reply)
					if err != nil || binary.BigEndian.Uint16(reply) == binary.BigEndian.Uint16(sentinel) && n > 24 && strings.Contains(string(reply[:n]), attackers) {
						received <- octets
						return
					}
					octets += n
				}
			}()
			sent := 0
			for i := range 6000 {
				query := test.query(i)
				if _, err := flood.Write(query); err != nil {
					t.Fatal(err)
				}
				sent += len(query)
				if i%40 != 39 {
					continue
				}
				if m := unpacked(t, exchange(t, holder, known)); len(m.Answer) != 4 || cookieIn(t, m) != cookie {
					t.Fatalf("a client with a cookie is limited after %d queries: %v", i, m)
				}
				// Within what a network may save up: 75 replies for each of two names.
				if m := unpacked(t, exchange(t, other, packet(t, []string{"www.gtm.test.", "ns1.gtm.test."}[i/40%2], dns.TypeA, 0, ""))); len(m.Answer) != 1 {
					t.Fatalf("a client of another network is limited after %d queries: %v", i, m)
				}
			}
			if _, err := flood.Write(sentinel); err != nil {
				t.Fatal(err)
			}
			octets := <-received
			if ratio := float64(octets) / float64(sent); ratio > test.most || octets == 0 {
				t.Errorf("%d octets sent, %d received: amplification %.2f, want at most %.2f", sent, octets, ratio, test.most)
			} else {
				t.Logf("amplification %.2f", ratio)
			}
		})
	}
}
