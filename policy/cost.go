package policy

import (
	"cmp"
	"math"
	"slices"
)

// Costs says how far each pool is from some clients, by its name: kilometres or milliseconds, in whole units. A pool
// that is not in it is of unknown cost; nil: none is known. Immutable.
type Costs map[string]uint32

// rank orders members by their cost, lower first; equal costs are one tier. Members of unknown cost come after, each a
// tier of its own, in the order of the set. So clients of whom nothing is known get the order of the set. Members of
// weight 0 are left out unless all have that. It returns also how many members the first tier has, at least 1. The members
// are its own to reorder.
func rank(members []servedMember, costs Costs) (ranked []servedMember, first int) {
	ranked = weightedMembers(members)
	slices.SortStableFunc(ranked, func(a, b servedMember) int { return cmp.Compare(costs.of(a), costs.of(b)) })
	for first = 1; first < len(ranked) && sameTier(costs, ranked[0], ranked[first]); first++ {
	}
	return ranked, first
}

// unknown is above every known cost.
const unknown = math.MaxUint64

func (c Costs) of(m servedMember) uint64 {
	if cost, ok := c[m.pool.Name]; ok {
		return uint64(cost)
	}
	return unknown
}

func sameTier(c Costs, a, b servedMember) bool { return c.of(a) == c.of(b) && c.of(a) != unknown }

// lowest is the answer of balance latency, with n addresses; 0 counts as 1. Of a first tier with as many or more, n of
// all, in rotation; else all of it and then those of the next tiers in order, until there are n.
func lowest(members []servedMember, costs Costs, n int) Answer {
	ranked, first := rank(members, costs)
	records := product(ranked[:first])
	if ranked[0].pool.Type == TypeDomain {
		return Answer{Groups: []Group{{Weight: 1, Balance: BalanceWeight, Records: weightedRecords(records)}}}
	}
	n = max(n, 1)
	if len(records) < n {
		records = product(ranked)
		records = records[:min(n, len(records))]
	}
	return Answer{Groups: []Group{{Weight: 1, Balance: BalanceAll, MaxAnswers: n, Records: records}}}
}

// Hysteresis keeps a measured latency, in milliseconds, from moving clients to and fro: it returns what is to be held
// from now on. That is held, unless measured differs from it by more than a fifth of it and by at least 5 ms. 0 is no
// latency: without one held, what is measured is held; without one measured, what was.
func Hysteresis(held, measured float64) float64 {
	change := math.Abs(measured - held)
	if held == 0 || measured != 0 && change > held/5 && change >= 5 {
		return measured
	}
	return held
}
