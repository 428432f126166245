package server

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
)

// testSecond is a second of clock.wall that is near the present, so that times come out right.
var testSecond = uint32(time.Now().Unix())

// described lists askers for comparison: instance, address, seconds of first and last query since testSecond, traits.
func described(s *Stats) string {
	all, _ := s.Askers()
	slices.SortFunc(all, func(a, b Asker) int {
		return cmp.Or(strings.Compare(a.Instance, b.Instance), a.Address.Compare(b.Address))
	})
	var lines []string
	for _, a := range all {
		line := fmt.Sprintf("%s %s %d %d", a.Instance, a.Address, a.First.Unix()-int64(testSecond), a.Last.Unix()-int64(testSecond))
		if a.Subnet {
			line += " subnet"
		}
		if a.Proven {
			line += " proven"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestAskers: who asks for an access domain is remembered by instance, whatever is asked of it, and nobody else.
func TestAskers(t *testing.T) {
	udp, stats := newResponder(t, true)
	tcp := *udp
	tcp.count = stats.join(false)
	second := func(n uint32) { udp.clock.wall.Store(testSecond + n) }
	ask := func(r *Responder, source string, p []byte) { r.Respond(nil, p, netip.MustParseAddr(source), 1232) }
	plain, subnet := packet(t, "all.gtm.test.", dns.TypeA, 0, ""), packet(t, "all.gtm.test.", dns.TypeA, 1232, "10.0.0.0/24")

	if got := stats.LastAsked("all"); !got.IsZero() {
		t.Errorf("asked for at %v, before anybody did", got)
	}
	second(0)
	ask(udp, "192.0.2.1", plain)
	ask(udp, "192.0.2.1", plain)
	ask(udp, "2001:db8::1", plain)
	second(5)
	ask(udp, "192.0.2.1", subnet)
	ask(&tcp, "192.0.2.2", plain)
	ask(udp, "192.0.2.2", plain)
	ask(udp, "192.0.2.1", packet(t, "weight.gtm.test.", dns.TypeA, 0, ""))
	// What is no access domain, and what is not answered, counts for nobody.
	for _, p := range [][]byte{
		packet(t, "www.gtm.test.", dns.TypeA, 0, ""), packet(t, "x.gtm.test.", dns.TypeA, 0, ""), packet(t, "example.com.", dns.TypeA, 0, ""),
		packet(t, "all.gtm.test.", dns.TypeTXT, 0, ""), plain[:20], append(slices.Clone(plain), 0),
	} {
		ask(udp, "192.0.2.9", p)
	}
	const want = `all 192.0.2.1 0 5 subnet
all 192.0.2.2 5 5 proven
all 2001:db8::1 0 0
weight 192.0.2.1 5 5`
	if got := described(stats); got != want {
		t.Errorf("askers:\n%s\nwant:\n%s", got, want)
	}
	for instance, want := range map[string]int64{"all": 5, "weight": 5} {
		if got := stats.LastAsked(instance).Unix() - int64(testSecond); got != want {
			t.Errorf("%s was asked for last at %d, want %d", instance, got, want)
		}
	}
	if got := stats.LastAsked("sticky"); !got.IsZero() {
		t.Errorf("sticky was asked for at %v", got)
	}

	// Within a second nothing is written but that an address is proven.
	ask(&tcp, "192.0.2.1", plain)
	if got := described(stats); got != strings.Replace(want, "5 subnet", "5 proven", 1) {
		t.Errorf("after a query over TCP:\n%s", got)
	}
	if _, forgotten := stats.Askers(); forgotten {
		t.Error("somebody is forgotten, of four")
	}
}

// TestAskersByCookie: a cookie of ours proves an address, a client cookie does not.
func TestAskersByCookie(t *testing.T) {
	r, stats := newResponder(t, true)
	withManners(t, r, Options{Cookies: CookieOptions{Enabled: true}})
	r.clock.wall.Store(testSecond)
	first := r.Respond(nil, asking(t, "all.gtm.test.", dns.TypeA, 1, cookieOption("clientCk")), client, 1232)
	if got := described(stats); got != "all 203.0.113.1 0 0" {
		t.Errorf("after a client cookie: %s", got)
	}
	r.Respond(nil, asking(t, "all.gtm.test.", dns.TypeA, 1, cookieOption(cookieIn(t, unpacked(t, first)))), client, 1232)
	if got := described(stats); got != "all 203.0.113.1 0 0 proven" {
		t.Errorf("after a server cookie: %s", got)
	}
}

// TestAskersAfterReload: an instance is known by its name. In the next view the instances have other places.
func TestAskersAfterReload(t *testing.T) {
	stats := NewStats()
	number := func(name string) int { return stats.Counter(view.CounterKey{Instance: name}) }
	stats.Counter(view.CounterKey{Instance: "a", Policy: "Global", Family: policy.IPv4, Set: "primary"})
	stats.askers.note(number("a"), client, testSecond, 0)
	stats.askers.note(number("b"), client, testSecond, 0)
	first := number("a")
	if number("c"); number("b") == first || number("a") != first {
		t.Fatal("numbers are not those of names")
	}
	if got := described(stats); got != "a 203.0.113.1 0 0\nb 203.0.113.1 0 0" {
		t.Error(got)
	}
}

// random is the n-th of many forged addresses.
func random(n uint32) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], n*2654435761>>1) // below 128.0.0.0
	return netip.AddrFrom4(a)
}

// TestAskersUnderFlood: a flood of forged sources pushes out nobody who asks again and again or is proven; who is proven gets in
// meanwhile; and after it, the rest does. The memory stays the same.
func TestAskersUnderFlood(t *testing.T) {
	a := newAskers()
	names := map[int]string{0: "origin"}
	known := func() map[netip.Addr]Asker {
		all := map[netip.Addr]Asker{}
		for _, one := range a.all(names, time.Unix(int64(testSecond), 0)) {
			all[one.Address] = one
		}
		return all
	}
	real := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{240, 0, 0, byte(i)}) }
	now := testSecond
	for range 2 {
		for i := range 200 {
			traits := uint64(0)
			if i < 100 {
				traits = traitProven
			}
			a.note(0, real(i), now, traits)
		}
		now++
	}
	flood := uint32(0)
	second := func(n int) {
		for range n {
			a.note(0, random(flood), now, 0)
			flood++
		}
		now++
	}
	for i := range 60 {
		second(50_000)
		switch i {
		case 20:
			a.note(0, netip.MustParseAddr("2001:db8::1"), now, traitProven)
			a.note(0, netip.MustParseAddr("2001:db8::2"), now, 0)
		case 50: // at a TTL of 60 s, those that are not proven ask again
			for i := range 200 {
				a.note(0, real(i), now, 0)
			}
		}
	}
	all := known()
	for i := range 200 {
		if one, isThere := all[real(i)]; !isThere || one.Proven != (i < 100) || one.Last.Unix() != int64(testSecond)+53 || one.First.Unix() != int64(testSecond) {
			t.Errorf("number %d after the flood: %+v, %v", i, one, isThere)
		}
	}
	if _, isThere := all[netip.MustParseAddr("2001:db8::1")]; !isThere {
		t.Error("a newcomer that is proven did not get in")
	}
	if size := len(all); size > 4*askerBuckets || size < 3*askerBuckets {
		t.Errorf("%d askers, want at most %d", size, 4*askerBuckets)
	}
	if got := len(a.buckets) * int(unsafe.Sizeof(askerBucket{})); got != 1<<20 {
		t.Errorf("the table has %d octets", got)
	}
	if !a.isFull(time.Unix(int64(now), 0)) || a.isFull(time.Unix(int64(now)+keepProven+1, 0)) {
		t.Error("the flood left no mark, or one that stays")
	}
	// A minute later there is room for everybody.
	now += 60
	for i := range 200 {
		a.note(0, netip.AddrFrom4([4]byte{241, 0, 0, byte(i)}), now, 0)
	}
	all = known()
	for i := range 200 {
		if _, isThere := all[netip.AddrFrom4([4]byte{241, 0, 0, byte(i)})]; !isThere {
			t.Errorf("newcomer %d has no place a minute after the flood", i)
		}
	}
}

// TestClaims is the table of the comment of askers.
func TestClaims(t *testing.T) {
	const whose, now = 1 << traitBits, 1_000_000
	times := func(first, last uint64) uint64 { return first<<32 | last }
	for _, test := range []struct {
		whose, times uint64
		want         claim
	}{
		{0, 0, claimNone},
		{whose, times(now, now), claimNow},
		{whose, times(now-1, now-1), claimPast},
		{whose, times(now-1, now), claimAgain},
		{whose, times(now-2000, now-keepAgain), claimAgain},
		{whose, times(now-2000, now-keepAgain-1), claimPast},
		{whose | traitProven, times(now, now), claimProven},
		{whose | traitProven, times(now-keepProven, now-keepProven), claimProven},
		{whose | traitProven, times(now-keepProven-1, now-keepProven-1), claimPast},
		{whose | traitSubnet, times(now-1, now-1), claimPast},
		{whose, times(now+50, now+100), claimAgain}, // the clock was set back
	} {
		if got := claimOf(test.whose, test.times, now); got != test.want {
			t.Errorf("claim of %x, %x: %d, want %d", test.whose, test.times, got, test.want)
		}
	}
}

// TestAskersTogether has many workers write while another reads, in a table so small that they meet. What is read was written
// by one of them, never parts of two: each source has its own instance and its own second.
func TestAskersTogether(t *testing.T) {
	a := newAskers()
	a.buckets, a.versions = a.buckets[:4], a.versions[:4]
	names := map[int]string{}
	for i := range 64 {
		names[i] = fmt.Sprint(i)
	}
	source := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: byte(i), 14: byte(i), 15: byte(i)})
	}
	var running sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				i := random.IntN(64)
				// Seconds that are equal modulo 64 to the number of the source.
				a.note(i, source(i), testSecond/64*64+uint32(n/500*64)+uint32(i), 0)
			}
		})
	}
	read := 0
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		for _, one := range a.all(names, time.Unix(int64(testSecond), 0)) {
			i := int(one.Address.As16()[15])
			if one.Address != source(i) || one.Instance != fmt.Sprint(i) || one.Last.Unix()%64 != int64(i) || one.First.Unix()%64 != int64(i) {
				t.Errorf("torn: %+v", one)
			}
			read++
		}
	}
	close(stop)
	running.Wait()
	if read == 0 {
		t.Error("nothing was read")
	}
}

// TestAskersAllocateNothing: neither a new source nor one that is known, at whatever second.
func TestAskersAllocateNothing(t *testing.T) {
	r, _ := newResponder(t, true)
	reply, query, n := make([]byte, 0, 1232), packet(t, "all.gtm.test.", dns.TypeA, 1232, ""), uint32(0)
	if allocs := testing.AllocsPerRun(100_000, func() {
		n++
		r.clock.wall.Store(testSecond + n/1000)
		r.Respond(reply, query, random(n), 1232)
		r.Respond(reply, query, client, 1232)
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// BenchmarkAskers is what one source costs: the same again and again, one of a thousand, and each one new.
func BenchmarkAskers(b *testing.B) {
	for _, bench := range []struct {
		name    string
		sources uint32
	}{{"one", 1}, {"thousand", 1000}, {"flood", 1 << 30}} {
		b.Run(bench.name, func(b *testing.B) {
			a := newAskers()
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				a.note(0, random(i%bench.sources), testSecond+i>>20, 0)
			}
		})
	}
}
