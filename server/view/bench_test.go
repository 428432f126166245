package view_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

// scattered is a world with clients at n places all over the Earth, and pools p0, p1 and so on at places of their own.
func scattered(tb testing.TB, n, pools int) *world {
	w := gtm(tb)
	random := rand.New(rand.NewPCG(3, uint64(n)))
	anywhere := func() geo.Coordinates {
		return geo.Coordinates{Latitude: random.Float64()*130 - 60, Longitude: random.Float64()*360 - 180}
	}
	spots := make([]spot, n)
	for i := range spots {
		place := anywhere()
		spots[i] = spot{netip.PrefixFrom(netip.AddrFrom4([4]byte{20 + byte(i>>16), byte(i >> 8), byte(i)}), 24).String(), "", &place}
	}
	w.databases = []*geo.Database{database(tb, spots...)}
	for i := range pools {
		place := anywhere()
		w.pools = append(w.pools, at(pool(fmt.Sprint("p", i), policy.TypeIPv4, policy.BalanceAll, fmt.Sprintf("198.51.100.%d", i+1)),
			place.Latitude, place.Longitude))
	}
	return w
}

// names are the pools p0, p1 and so on, from one on.
func names(from, n, pools int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint("p", (from+i)%pools))
	}
	return list
}

// BenchmarkReplaceNearest is what a change of health costs where a set chooses the nearest of 30 pools for clients at 30,000
// places.
func BenchmarkReplaceNearest(b *testing.B) {
	w := scattered(b, 30_000, 30).
		instance("near.gtm.test.", access("Global", "global", set(policy.BalanceNearest, names(0, 30, 30)...)))
	v := w.build(b)
	w.down = []string{"198.51.100.7"}
	changed := w.compiled(b)
	slots := []view.Slot{{Instance: 0, Policy: 0, Family: policy.IPv4}}
	b.ReportAllocs()
	for b.Loop() {
		v.Replace(v.Generation+1, changed, slots, nil)
	}
}

// BenchmarkBuildNearest builds a View whose instances choose among lists of pools that all differ.
func BenchmarkBuildNearest(b *testing.B) {
	for _, bench := range []struct{ places, lists, list, pools int }{{30_000, 1, 30, 30}, {100_000, 10, 8, 40}} {
		b.Run(fmt.Sprintf("places=%d/lists=%d", bench.places, bench.lists), func(b *testing.B) {
			w := scattered(b, bench.places, bench.pools)
			for i := range bench.lists {
				w.instance(fmt.Sprintf("near%d.gtm.test.", i),
					access("Global", "global", set(policy.BalanceNearest, names(i, bench.list, bench.pools)...)))
			}
			input := w.input(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := view.Build(input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
