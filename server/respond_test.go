package server

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
)

// newResponder answers from a view as a worker does.
func newResponder(tb testing.TB, udp bool) (*Responder, *Stats) {
	tb.Helper()
	stats := NewStats()
	s := New(slog.New(slog.DiscardHandler), stats)
	if err := s.Swap(newView(tb, 1, stats.Counter)); err != nil {
		tb.Fatal(err)
	}
	r := s.responder(stats.join(udp))
	r.dice = newDice(1)
	return r, stats
}

var client = netip.MustParseAddr("203.0.113.1")

func TestRespond(t *testing.T) {
	big, badVersion := packet(t, "big.gtm.test.", dns.TypeA, 4096, ""), packet(t, "www.gtm.test.", dns.TypeA, 4096, "")
	badVersion[len(badVersion)-5] = 1
	notify := packet(t, "gtm.test.", dns.TypeSOA, 0, "")
	notify[2] |= dns.OpcodeNotify << 3
	for _, test := range []struct {
		name    string
		udp     bool
		packet  []byte
		rcode   int
		answers int
		tc      bool
		octets  int // at most
	}{
		{"static", true, packet(t, "www.gtm.test.", dns.TypeA, 0, ""), dns.RcodeSuccess, 1, false, 512},
		{"access domain", true, packet(t, "all.gtm.test.", dns.TypeA, 0, ""), dns.RcodeSuccess, 4, false, 512},
		{"one by weight", true, packet(t, "weight.gtm.test.", dns.TypeA, 0, ""), dns.RcodeSuccess, 1, false, 512},
		{"nearest", true, packet(t, "nearest.gtm.test.", dns.TypeA, 1232, "70.200.0.0/24"), dns.RcodeSuccess, 1, false, 512},
		{"latency", true, packet(t, "latency.gtm.test.", dns.TypeA, 1232, "70.200.0.0/24"), dns.RcodeSuccess, 1, false, 512},
		{"NXDOMAIN", true, packet(t, "x.gtm.test.", dns.TypeA, 0, ""), dns.RcodeNameError, 0, false, 512},
		{"REFUSED", true, packet(t, "example.com.", dns.TypeA, 0, ""), dns.RcodeRefused, 0, false, 29},
		{"FORMERR", true, append(packet(t, "www.gtm.test.", dns.TypeA, 0, ""), 0), dns.RcodeFormatError, 0, false, 30},
		{"NOTIMP", true, notify, dns.RcodeNotImplemented, 0, false, 12},
		{"BADVERS", true, badVersion, dns.RcodeBadVers, 0, false, 41},
		{"UDP, no more than the server's limit", true, big, dns.RcodeSuccess, 0, true, 1232},
		{"TCP, whatever the payload size says", false, big, dns.RcodeSuccess, 560, false, 65535},
	} {
		r, _ := newResponder(t, test.udp)
		limit := 1232
		if !test.udp {
			limit = maxMessage
		}
		got := r.Respond([]byte("before"), test.packet, client, limit)
		if string(got[:6]) != "before" {
			t.Errorf("%s: what was there is gone", test.name)
		}
		m := unpacked(t, got[6:])
		if m.Rcode != test.rcode || len(m.Answer) != test.answers || m.Truncated != test.tc || len(got)-6 > test.octets {
			t.Errorf("%s: rcode %d, %d answers, TC %v, %d octets", test.name, m.Rcode, len(m.Answer), m.Truncated, len(got)-6)
		}
	}
	r, _ := newResponder(t, true)
	for _, dropped := range [][]byte{nil, {1, 2, 3}, append([]byte{0, 0, 0x80}, make([]byte, 20)...)} {
		if got := r.Respond([]byte("x"), dropped, client, 512); string(got) != "x" {
			t.Errorf("%x is answered: %x", dropped, got)
		}
	}
}

// The rotation starts at each address equally often, also for a name that is asked for only at every second or third query.
func TestDice(t *testing.T) {
	for step := 1; step <= 5; step++ {
		d, starts := newDice(42), [4]int{}
		randoms := map[uint64]bool{}
		for i := range 4000 * step {
			turn, random := d.roll()
			if i%step == 0 {
				starts[turn>>62]++
				randoms[random] = true
			}
		}
		for quarter, n := range starts {
			if n < 950 || n > 1050 {
				t.Errorf("every %d: quarter %d of the turns has %d of 4000", step, quarter, n)
			}
		}
		if len(randoms) != 4000 {
			t.Errorf("every %d: %d different random numbers of 4000", step, len(randoms))
		}
	}
	a, b := newDice(1), newDice(2)
	if turnA, randomA := a.roll(); true {
		if turnB, randomB := b.roll(); turnA == turnB || randomA == randomB {
			t.Error("two seeds, the same dice")
		}
	}
}

// benchmarks are the queries that must cost no allocation.
func benchmarks(tb testing.TB) []struct {
	name   string
	packet []byte
} {
	return []struct {
		name   string
		packet []byte
	}{
		{"all", packet(tb, "all.gtm.test.", dns.TypeA, 1232, "")},
		{"weight", packet(tb, "weight.gtm.test.", dns.TypeA, 1232, "")},
		{"sticky", packet(tb, "sticky.gtm.test.", dns.TypeA, 1232, "")},
		{"nearest", packet(tb, "nearest.gtm.test.", dns.TypeA, 1232, "70.200.0.0/24")},
		{"latency", packet(tb, "latency.gtm.test.", dns.TypeA, 1232, "70.200.0.0/24")},
		{"static", packet(tb, "www.gtm.test.", dns.TypeA, 1232, "")},
		{"nxdomain", packet(tb, "missing.gtm.test.", dns.TypeA, 1232, "")},
		{"ecs", packet(tb, "ecs.gtm.test.", dns.TypeA, 1232, "10.77.1.0/24")},
		{"alias", packet(tb, "alias.gtm.test.", dns.TypeA, 0, "")},
		{"referral", packet(tb, "x.sub.gtm.test.", dns.TypeA, 0, "")},
		{"nodata", packet(tb, "all.gtm.test.", dns.TypeTXT, 1232, "")},
		{"refused", packet(tb, "example.com.", dns.TypeA, 1232, "")},
		{"truncated", packet(tb, "big.gtm.test.", dns.TypeA, 1232, "")},
		{"formerr", packet(tb, "www.gtm.test.", dns.TypeA, 1232, "")[:30]},
		{"dropped", []byte{1, 2, 3}},
	}
}

func TestRespondAllocatesNothing(t *testing.T) {
	r, _ := newResponder(t, true)
	reply := make([]byte, 0, 1232)
	for _, b := range benchmarks(t) {
		if n := testing.AllocsPerRun(200, func() { r.Respond(reply, b.packet, client, 1232) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", b.name, n)
		}
	}
	for _, b := range mannered(t, r) {
		withManners(t, r, b.options)
		if n := testing.AllocsPerRun(200, func() { r.Respond(reply, b.packet, client, 1232) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", b.name, n)
		}
	}
}

// mannered are queries for a static name with what each of the manners costs, and the options that they are to be asked with.
func mannered(tb testing.TB, r *Responder) []struct {
	name    string
	options Options
	packet  []byte
} {
	all := Options{
		Cookies: CookieOptions{Enabled: true}, NSID: "ns1.example", Version: "1", Identity: "ns1.example",
		ExtendedErrors: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
	}
	withManners(tb, r, all)
	r.clock.wall.Store(1_700_000_000)
	ask := func(options ...dns.EDNS0) []byte { return asking(tb, "www.gtm.test.", dns.TypeA, 1, options...) }
	cookie := cookieIn(tb, unpacked(tb, r.Respond(nil, ask(cookieOption("clientCk")), client, 1232)))
	limited, strict := all, all
	limited.RateLimit = limits(100_000, 0, 0, 100_000)
	limited.RateLimit.Window, limited.RateLimit.TableSize = time.Hour, 131072
	strict.RateLimit = limits(1, 0, 0, 0)
	return []struct {
		name    string
		options Options
		packet  []byte
	}{
		{"plain", all, ask()},
		{"edns", all, ask(askNothing)},
		{"client-cookie", all, ask(cookieOption("clientCk"))},
		{"valid-cookie", all, ask(cookieOption(cookie))},
		{"invalid-cookie", all, ask(cookieOption(cookie[:23] + "x"))},
		{"nsid", all, ask(askNSID)},
		{"chaos", all, asking(tb, "version.bind.", dns.TypeTXT, dns.ClassCHAOS)},
		{"extended-error", all, asking(tb, "example.com.", dns.TypeA, 1, askNothing)},
		{"within-limit", limited, ask()},
		{"over-limit", strict, ask()},
		{"badcookie", strict, ask(cookieOption("clientCk"))},
	}
}

// BenchmarkRespondManners has what each of the manners costs.
func BenchmarkRespondManners(b *testing.B) {
	r, _ := newResponder(b, true)
	for _, query := range mannered(b, r) {
		b.Run(query.name, func(b *testing.B) {
			withManners(b, r, query.options)
			reply := make([]byte, 0, 1232)
			b.ReportAllocs()
			for b.Loop() {
				r.Respond(reply, query.packet, client, 1232)
			}
		})
	}
}

func BenchmarkRespond(b *testing.B) {
	for _, query := range benchmarks(b)[:8] {
		b.Run(query.name, func(b *testing.B) {
			r, _ := newResponder(b, true)
			reply := make([]byte, 0, 1232)
			b.ReportAllocs()
			for b.Loop() {
				r.Respond(reply, query.packet, client, 1232)
			}
		})
	}
}

// What Respond chooses reaches every alternative.
func TestRespondChooses(t *testing.T) {
	r, stats := newResponder(t, true)
	query := packet(t, "weight.gtm.test.", dns.TypeA, 0, "")
	counts := make([]int, 4)
	for range 10000 {
		a := unpacked(t, r.Respond(nil, query, client, 512)).Answer[0].(*dns.A).A
		counts[a[len(a)-1]-40]++
	}
	for i, n := range counts {
		if want := 1000 * (i + 1); n < want*8/10 || n > want*12/10 {
			t.Errorf("weight %d of 10: %d of 10000", i+1, n)
		}
	}
	if got := stats.Answers(view.CounterKey{Instance: "weight", Policy: "Global", Family: policy.IPv4, Set: "primary"}); got != 10000 {
		t.Errorf("%d answers counted, want 10000", got)
	}
	sticky := packet(t, "sticky.gtm.test.", dns.TypeA, 0, "")
	if a, b := r.Respond(nil, sticky, client, 512), r.Respond(nil, sticky, client, 512); !slices.Equal(a, b) {
		t.Error("sticky changes its mind")
	}
}

// A02 (RFC 2181 section 5): an answer has the whole RRset, and no record twice.
func TestCompleteRRset(t *testing.T) {
	r, _ := newResponder(t, false)
	for name, want := range map[string]int{"all.gtm.test.": 4, "big.gtm.test.": 560} {
		for range 10 { // whatever the rotation
			m := unpacked(t, r.Respond(nil, packet(t, name, dns.TypeA, 0, ""), client, maxMessage))
			seen := map[string]bool{}
			for _, rr := range m.Answer {
				seen[rr.(*dns.A).A.String()] = true
			}
			if len(m.Answer) != want || len(seen) != want {
				t.Fatalf("%s: %d records, %d of them different, want %d", name, len(m.Answer), len(seen), want)
			}
		}
	}
}
