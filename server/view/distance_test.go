package view

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"gtmd/geo"
	"gtmd/policy"
)

// TestDistances compares the standings and the nearest pools with ranks, and what is kept with what is not: where pools stand side
// by side, nowhere, or just as far.
func TestDistances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed")))
		anywhere := func() geo.Coordinates {
			return geo.Coordinates{Latitude: float64(random.IntN(5)-2) / 100, Longitude: float64(random.IntN(5)-2) / 100}
		}
		places := make([]geo.Coordinates, rapid.IntRange(1, 30).Draw(t, "places"))
		isKnown := make([]bool, len(places))
		for i := range places {
			places[i], isKnown[i] = anywhere(), random.IntN(5) > 0
		}
		pools := make([]*policy.Pool, rapid.IntRange(1, 20).Draw(t, "pools"))
		for i := range pools {
			pools[i] = &policy.Pool{Name: fmt.Sprint("p", i)}
			if random.IntN(5) > 0 {
				location := policy.Location(anywhere())
				pools[i].Location = &location
			}
		}
		room := rapid.IntRange(0, len(places)*len(pools)).Draw(t, "room")
		d := &distances{isKnown: isKnown, rule: geo.NewRuler(places), columns: map[geo.Coordinates][]kilometres{}, room: room}
		for _, pool := range pools {
			d.keep(pool)
		}
		if kept := len(d.columns) * len(places); kept > room || d.room != room-kept {
			t.Fatalf("%d distances are kept with room for %d, and room for %d is left", kept, room, d.room)
		}
		columns, standings, outcomes := d.columnsOf(pools), map[string]string{}, map[string]string{}
		for site := range places {
			costs := make([]cost, len(pools))
			for i, pool := range pools {
				if costs[i] = unknown; isKnown[site] && pool.Location != nil {
					costs[i] = cost(geo.Distance(places[site], geo.Coordinates(*pool.Location)) + 0.5)
				}
				if got := d.of(columns[i], int32(site)); costs[i] == unknown && got != far || costs[i] != unknown && cost(got) != costs[i] {
					t.Fatalf("pool %d is %d km from site %d, want %d", i, got, site, costs[i])
				}
			}
			order := ranks(costs)
			var nearest []byte
			for i, rank := range order {
				if i%8 == 0 {
					nearest = append(nearest, 0)
				}
				if rank == 0 {
					nearest[i/8] |= 1 << (i % 8)
				}
			}
			if got := d.appendNearest([]byte{7}, columns, int32(site)); string(got[1:]) != string(nearest) || got[0] != 7 {
				t.Fatalf("site %d: nearest %b, want %b (costs %v)", site, got[1:], nearest, costs)
			}
			var rank []byte
			for _, r := range order {
				rank = binary.AppendUvarint(rank, uint64(r))
			}
			standing := string(d.appendStanding(nil, columns, int32(site), make([]uint64, len(pools))))
			if same, seen := standings[standing]; seen && same != string(rank) {
				t.Fatalf("the orders %v and %v have one standing", []byte(same), rank)
			}
			if same, seen := outcomes[string(rank)]; seen && same != standing {
				t.Fatalf("the order %v has two standings", rank)
			}
			standings[standing], outcomes[string(rank)] = string(rank), standing
		}
	})
}
