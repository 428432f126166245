package mmdb

import (
	"fmt"
	"iter"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gtmd/geo"
)

// database builds a database of CSV lines and reads it.
func database(tb testing.TB, text string) *geo.Database {
	tb.Helper()
	dir := tb.TempDir()
	output := filepath.Join(dir, "out.mmdb")
	if _, err := Build(BuildOptions{Output: output, Inputs: []Input{{place(tb, dir, "in", text), CSV}}, Date: testDate}); err != nil {
		tb.Fatal(err)
	}
	d, err := geo.ReadDatabase(output)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// TestDiff compares two databases whose differences can be counted by hand.
func TestDiff(t *testing.T) {
	before := database(t, "10.0.0.0/8,CN,GD,AS1\n11.0.0.0/8,CN,GD\n12.0.0.0/8,JP\n20.0.0.0/8,US\n2001:db8::/32,JP\n2400::/12,CN\n")
	after := database(t, "10.0.0.0/9,CN,GD,AS1\n10.128.0.0/9,CN,BJ,AS2\n11.0.0.0/8,CN,GD\n12.0.0.0/8,US\n30.0.0.0/7,US\n2001:db8::/32,JP\n2400::/13,CN\n2408::/13,JP\n4000::/3,US\n")
	const eighth = 1. / 256 // a /8 of IPv4
	const thirteen = 1. / 1024
	want := &Difference{
		Gained: Extent{IPv4: 2 * eighth}, Lost: Extent{IPv4: eighth},
		// Gone or cut: 10/8, 20/8, 2400::/12. The new: two halves of each of the cut ones, 30/7, 4000::/3.
		NetworksLost: 3, NetworksGained: 6,
		Fields: []FieldDifference{
			{"country", Extent{4 * eighth, thirteen}, []Move{
				{"", "US", Extent{IPv4: 2 * eighth}}, {"JP", "US", Extent{IPv4: eighth}}, {"US", "", Extent{IPv4: eighth}}, {"CN", "JP", Extent{IPv6: thirteen}},
			}},
			{"subdivision", Extent{IPv4: eighth / 2}, []Move{{"CN-GD", "CN-BJ", Extent{IPv4: eighth / 2}}}},
			{"asn", Extent{IPv4: eighth / 2}, []Move{{"AS1", "AS2", Extent{IPv4: eighth / 2}}}},
		},
	}
	if got := Diff(before, after, Fields()); !reflect.DeepEqual(got, want) {
		t.Errorf("difference\n%+v\nwant\n%+v", got, want)
	}
	// Whatever they are cut into, equal facts are no move; a database does not differ from itself.
	none := &Difference{Fields: []FieldDifference{{"country", Extent{}, []Move{}}}}
	if got := Diff(after, after, Fields()[:1]); !reflect.DeepEqual(got, none) {
		t.Errorf("difference to itself\n%+v", got)
	}
}

// network is one of a walk.
type network struct {
	prefix netip.Prefix
	facts  *geo.Facts
}

func walk(all []network) iter.Seq2[netip.Prefix, *geo.Facts] {
	return func(yield func(netip.Prefix, *geo.Facts) bool) {
		for _, n := range all {
			if !yield(n.prefix, n.facts) {
				return
			}
		}
	}
}

// drawWalk draws disjoint networks of 192.0.2.0/27 and 2001:db8::/123, in order.
func drawWalk(t *rapid.T) []network {
	var all []network
	for _, text := range []string{"192.0.2.0/27", "2001:db8::/123"} {
		var cut func(netip.Prefix)
		cut = func(p netip.Prefix) {
			switch rapid.IntRange(0, 3).Draw(t, p.String()) {
			case 0:
			case 1:
				all = append(all, network{p, &geo.Facts{Country: rapid.SampledFrom([]string{"CN", "JP"}).Draw(t, "country")}})
			default:
				if p.IsSingleIP() {
					return
				}
				cut(netip.PrefixFrom(p.Addr(), p.Bits()+1))
				cut(netip.PrefixFrom(last(p.Addr(), p.Bits()+1).Next(), p.Bits()+1))
			}
		}
		cut(netip.MustParsePrefix(text))
	}
	return all
}

// TestSideBySideProperty goes through every address of two walks and through their stretches: they are the same addresses, with the
// same facts, in order, and the stretches are as long as can be.
func TestSideBySideProperty(t *testing.T) {
	find := func(all []network, addr netip.Addr) *network {
		if i := slices.IndexFunc(all, func(n network) bool { return n.prefix.Contains(addr) }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawWalk(t), drawWalk(t)
		want, starts := map[string]Extent{}, [2]int{}
		stretches := 0
		for _, base := range []string{"192.0.2.0", "2001:db8::"} {
			addr := netip.MustParseAddr(base)
			var a, b *network
			for range 32 {
				nowA, nowB := find(before, addr), find(after, addr)
				if (nowA != nil || nowB != nil) && (nowA != a || nowB != b) {
					stretches++
				}
				for i, now := range []*network{nowA, nowB} {
					other := []*network{nowB, nowA}[i]
					if now != nil && now.prefix.Addr() == addr && (other == nil || other.prefix != now.prefix) {
						starts[i]++
					}
				}
				if nowA != nil || nowB != nil {
					p := toPoint(addr)
					e := want[says(nowA, nowB)]
					e.add(extentOf(addr.Is4(), p, p))
					want[says(nowA, nowB)] = e
				}
				a, b, addr = nowA, nowB, addr.Next()
			}
		}
		got, gotStarts, n := map[string]Extent{}, [2]int{}, 0
		for s := range sideBySide(walk(before), walk(after)) {
			n++
			key := fmt.Sprint(countryOf(s.before), " ", countryOf(s.after))
			e := got[key]
			e.add(s.extent)
			got[key] = e
			if s.startsBefore && !s.same {
				gotStarts[0]++
			}
			if s.startsAfter && !s.same {
				gotStarts[1]++
			}
		}
		for key := range want {
			if math.Abs(got[key].IPv4-want[key].IPv4) > 1e-15 || math.Abs(got[key].IPv6/want[key].IPv6-1) > 1e-9 && want[key].IPv6 > 0 {
				t.Fatalf("%s: %+v, want %+v", key, got[key], want[key])
			}
		}
		if len(got) != len(want) || n != stretches || gotStarts != starts {
			t.Fatalf("%v in %d stretches with %v networks, want %v in %d with %v", got, n, gotStarts, want, stretches, starts)
		}
	})
}

func countryOf(f *geo.Facts) string {
	if f == nil {
		return "-"
	}
	return f.Country
}

func says(a, b *network) string {
	country := func(n *network) string {
		if n == nil {
			return "-"
		}
		return n.facts.Country
	}
	return country(a) + " " + country(b)
}

// TestShares: IPv6 is measured by 2000::/3, whatever is beyond it.
func TestShares(t *testing.T) {
	for text, want := range map[string]Extent{
		"0.0.0.0/0": {IPv4: 1}, "192.0.2.0/24": {IPv4: math.Ldexp(1, -24)}, "192.0.2.1/32": {IPv4: math.Ldexp(1, -32)},
		"::/0": {IPv6: 1}, "2000::/3": {IPv6: 1}, "::/2": {IPv6: 1}, "4000::/2": {}, "2001:db8::/32": {IPv6: math.Ldexp(1, -29)},
		"2001:db8::1/128": {IPv6: math.Ldexp(1, -125)}, "fc00::/7": {},
	} {
		p := netip.MustParsePrefix(text)
		if got := extentOf(p.Addr().Is4(), toPoint(p.Addr()), toPoint(last(p.Addr(), p.Bits()))); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// TestAll: the walk of a database says what its look-ups say, IPv4 first, in order.
func TestAll(t *testing.T) {
	d := database(t, "10.0.0.0/8,CN,GD,AS1\n10.1.0.0/16,JP\n1.0.0.0/24,CN,GD,AS1\n2001:db8::/32,CN,GD,AS1\n2001:db8:1::/48,JP\n")
	var before netip.Addr
	facts := map[*geo.Facts]bool{}
	n4, n6 := 0, 0
	for prefix, f := range d.All() {
		facts[f] = true
		addr := prefix.Addr()
		if before.IsValid() && !before.Less(addr) {
			t.Errorf("%s comes after %s", addr, before)
		}
		before = addr
		if found, network := d.Lookup(addr); network != prefix || !reflect.DeepEqual(found, f) {
			t.Errorf("%s: %s; a look-up says %s for %s", prefix, f, found, network)
		}
		if addr.Is4() {
			n4++
		} else {
			n6++
		}
	}
	if n4 != d.Networks4 || n6 != d.Networks6 || n4 < 3 || n6 < 3 {
		t.Errorf("%d and %d networks, want %d and %d", n4, n6, d.Networks4, d.Networks6)
	}
	if len(facts) != 2 {
		t.Errorf("%d different facts, want 2 that are shared", len(facts))
	}
	for range d.All() {
		break // an end in the middle is none of the walk's business
	}
}
