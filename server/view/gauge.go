package view

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"gtmd/geo"
	"gtmd/policy"
)

// A gauge tells how far pools are from the clients of a class: in kilometres along the great circle, or in milliseconds for
// an instance that chooses by latency. Immutable.
type gauge struct {
	places *geo.Map
	// latency is true when it tells milliseconds, by the table.
	latency bool
	table   map[cell]uint32
	// distances are what kilometres are taken from where many are asked for; nil where nothing is divided by them.
	distances *distances
}

// cell is a place in the latency table.
type cell struct {
	from geo.Selector
	pool string
}

// cost is kilometres or milliseconds in whole units; unknown when nothing says.
type cost int64

// unknown is above every cost that is known.
const unknown cost = math.MaxInt64

func newGauge(places *geo.Map, latency bool, rows []Latency) gauge {
	g := gauge{places: places, latency: latency}
	if latency {
		g.table = make(map[cell]uint32, len(rows))
		for _, row := range rows {
			g.table[cell{row.From, row.Pool}] = row.MS
		}
	}
	return g
}

// choosesByLatency reports whether the costs of an instance are milliseconds. Sets with balance nearest and with balance
// latency do not stand in one instance.
func choosesByLatency(in *policy.Instance, f policy.Family) bool {
	for _, access := range in.Policies {
		if decided := access.Decided[f]; decided != nil {
			for _, set := range decided.Sets {
				if set.Balance == policy.BalanceLatency {
					return true
				}
			}
		}
	}
	return false
}

// cost is how far a pool is from the clients of a class, without what this server has measured itself.
func (g *gauge) cost(c geo.Class, pool *policy.Pool) cost {
	if g.latency {
		ms, _ := g.row(c, pool.Name)
		return ms
	}
	place, known := g.places.Place(c)
	if !known || pool.Location == nil {
		return unknown
	}
	return cost(math.Round(geo.Distance(place, geo.Coordinates(*pool.Location))))
}

// row is what the latency table says of a pool for clients of a class, and the most specific of their sources for which it
// does; unknown when it does for none.
func (g *gauge) row(c geo.Class, pool string) (cost, geo.Selector) {
	for _, source := range g.places.Chain(c) {
		if ms, found := g.table[cell{source, pool}]; found {
			return cost(ms), source
		}
	}
	if ms, found := g.table[cell{geo.Global, pool}]; found {
		return cost(ms), geo.Global
	}
	return unknown, geo.Global
}

// measure is how far each of the pools is; of what the table does not tell, rtt does.
func (g *gauge) measure(c geo.Class, pools []*policy.Pool, rtt map[string]uint32) []cost {
	costs := make([]cost, len(pools))
	for i, pool := range pools {
		costs[i] = g.cost(c, pool)
		if ms, measured := rtt[pool.Name]; measured && g.latency && costs[i] == unknown {
			costs[i] = cost(ms)
		}
	}
	return costs
}

// appendStanding appends, for the clients of a class, what of the milliseconds of a contest can matter to an answer: the order,
// or the milliseconds themselves where the round-trip times of this server may come between them.
func (g *gauge) appendStanding(dst []byte, c geo.Class, pools contest) []byte {
	costs := g.measure(c, pools, nil)
	if slices.Contains(costs, unknown) {
		dst = append(dst, 'c')
		for _, cost := range costs {
			dst = binary.AppendUvarint(dst, uint64(cost))
		}
		return dst
	}
	dst = append(dst, 'r')
	for _, rank := range ranks(costs) {
		dst = binary.AppendUvarint(dst, uint64(rank))
	}
	return dst
}

// ranks orders costs as Compose does: the least has the rank 0, equal ones have the same, and the unknown ones follow, each
// with a rank of its own.
func ranks(costs []cost) []int {
	order := make([]int, len(costs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(costs[i], costs[j]) })
	ranks := make([]int, len(costs))
	for n := 1; n < len(order); n++ {
		i, before := order[n], order[n-1]
		ranks[i] = ranks[before]
		if costs[i] != costs[before] || costs[i] == unknown {
			ranks[i]++
		}
	}
	return ranks
}

// named are the costs that are known, as Compose takes them.
func named(pools []*policy.Pool, costs []cost) policy.Costs {
	all := policy.Costs{}
	for i, pool := range pools {
		if costs[i] != unknown {
			all[pool.Name] = uint32(costs[i])
		}
	}
	return all
}

// sites number the classes by all that a gauge looks at, so that it looks once where there are many classes.
type sites struct {
	of    []int32     // by class
	first []geo.Class // by number: the first class that has it
	count int
}

// sitesFor numbers the classes by their sources for latency, else by their place.
func (b *builder) sitesFor(latency bool) *sites {
	m := b.input.Map
	if latency {
		if b.chains == nil {
			// Classes with the same sources share the list of them.
			b.chains = newSites(m, func(c geo.Class) *geo.Selector {
				if chain := m.Chain(c); len(chain) > 0 {
					return &chain[0]
				}
				return nil
			})
		}
		return b.chains
	}
	if b.places == nil {
		b.places = newSites(m, func(c geo.Class) site {
			place, known := m.Place(c)
			return site{place, known}
		})
	}
	return b.places
}

type site struct {
	place geo.Coordinates
	known bool
}

func newSites[K comparable](m *geo.Map, keyOf func(geo.Class) K) *sites {
	s := &sites{of: make([]int32, m.Classes())}
	numbers := map[K]int32{}
	for c := range s.of {
		k := keyOf(geo.Class(c))
		number, found := numbers[k]
		if !found {
			number = int32(s.count)
			numbers[k] = number
			s.first = append(s.first, geo.Class(c))
			s.count++
		}
		s.of[c] = number
	}
	return s
}
