package view

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"gtmd/geo"
	"gtmd/policy"
)

// A region is the clients of one policy among whom nothing that an answer could depend on differs: whatever the health of
// the addresses, and whatever the round-trip times of this server, they all get the same. A policy whose sets do not look at
// how far pools are has one region.
type region struct {
	policy int32
	// class is one of the classes of its clients. 0 in a region that has no client.
	class geo.Class
}

// regions are what the clients of some access domains are told apart by, for one family. They depend on the Map and on the
// configuration, never on health. Immutable.
type regions struct {
	// plan maps a client to the index of its region; -1: no policy.
	plan *geo.Plan
	// list begins with the first region of each policy, by policy.
	list []region
	// more are the other regions of each policy, by policy; nil when there is none.
	more  [][]int32
	gauge gauge
}

// of returns the regions of a policy.
func (r *regions) of(policy int) []int32 {
	first := []int32{int32(policy)}
	if r.more == nil {
		return first
	}
	return append(first, r.more[policy]...)
}

// A contest is the pools that an answer chooses among by how far they are from the client: two or more.
type contest []*policy.Pool

// contests are those that the answers of policy p to family f can come to: its own, and those of the global policy when
// it falls through to that.
func contests(in *policy.Instance, p int, f policy.Family) []contest {
	var list []contest
	eachRanked(in, p, f, func(set *policy.Set) {
		// Weight 0 is left out as long as something else is there, so these never meet the others.
		var weighted, unweighted contest
		for _, m := range set.Members {
			switch {
			case !serves(m.Pool, f):
			case m.Weight > 0:
				weighted = append(weighted, m.Pool)
			default:
				unweighted = append(unweighted, m.Pool)
			}
		}
		for _, c := range []contest{weighted, unweighted} {
			if len(c) > 1 {
				list = append(list, c)
			}
		}
	})
	return list
}

// eachRanked calls visit with each set that chooses by how far its pools are: those of policy p, and those of the
// global policy when p falls through to that.
func eachRanked(in *policy.Instance, p int, f policy.Family, visit func(*policy.Set)) {
	deciding := []int{p}
	if global := in.Global(f); in.Policies[p].FallThrough && global >= 0 && global != p {
		deciding = append(deciding, global)
	}
	for _, i := range deciding {
		decided := in.Policies[i].Decided[f]
		if decided == nil {
			continue
		}
		for s := range decided.Sets {
			if isRanked(&decided.Sets[s]) {
				visit(&decided.Sets[s])
			}
		}
	}
}

func isRanked(set *policy.Set) bool {
	return set.Balance == policy.BalanceNearest || set.Balance == policy.BalanceLatency
}

// serves reports whether the addresses of a pool answer questions of family f.
func serves(pool *policy.Pool, f policy.Family) bool {
	return pool.Type == policy.TypeDomain || (pool.Type == policy.TypeIPv4) == (f == policy.IPv4)
}

// regionsOf returns the regions of an instance for family f, whose policies have these sources; instances in which they
// would be the same share them.
func (b *builder) regionsOf(in *Instance, f policy.Family, sources [][]geo.Selector) *regions {
	all := make([][]contest, len(in.Policies))
	divided := false
	hash := sha256.New()
	fmt.Fprintf(hash, "%q", sources)
	for p := range in.Policies {
		all[p] = contests(in.Instance, p, f)
		divided = divided || len(all[p]) > 0
		for _, c := range all[p] {
			fmt.Fprintf(hash, "\n%d:", p)
			for _, pool := range c {
				fmt.Fprintf(hash, " %q", pool.Name)
				if pool.Location != nil {
					fmt.Fprint(hash, *pool.Location)
				}
			}
		}
	}
	latency := choosesByLatency(in.Instance, f)
	if latency {
		fmt.Fprint(hash, "\nlatency")
		for _, row := range in.Latency {
			fmt.Fprintf(hash, " %q %q %d", row.From, row.Pool, row.MS)
		}
	}
	id := [sha256.Size]byte(hash.Sum(nil))
	if r := b.regions[id]; r != nil {
		return r
	}
	r := &regions{gauge: newGauge(b.input.Map, latency, in.Latency), list: make([]region, len(in.Policies))}
	for p := range r.list {
		r.list[p].policy = int32(p)
	}
	labels := b.assign(sources)
	if divided {
		labels = slices.Clone(labels)
		s := b.sitesFor(latency)
		if !latency {
			r.gauge.distances = b.distancesTo(all)
		}
		r.divide(labels, all, s)
	}
	r.plan = b.input.Map.Plan(labels)
	b.regions[id] = r
	return r
}

// divide makes the regions of the policies that have contests. labels are the policies by class, and become the regions.
func (r *regions) divide(labels []int, all [][]contest, s *sites) {
	r.more = make([][]int32, len(all))
	reached := make([]bool, len(all))
	numbers := map[standing]int32{}    // policy and standings -> region
	known := make([][]int32, len(all)) // by policy and site: region plus one; 0: not looked at yet
	var standings []byte
	appendTo := r.gauge.standings(all)
	for class, p := range labels {
		if p < 0 || len(all[p]) == 0 {
			continue
		}
		if known[p] == nil {
			known[p] = make([]int32, s.count)
		}
		number := &known[p][s.of[class]]
		if *number == 0 {
			standings = binary.AppendUvarint(standings[:0], uint64(p))
			standings = appendTo(standings, p, geo.Class(class))
			id := standingOf(standings)
			i, found := numbers[id]
			switch {
			case found:
			case !reached[p]:
				i, reached[p] = int32(p), true
				r.list[p].class = geo.Class(class)
			default:
				i = int32(len(r.list))
				r.list = append(r.list, region{policy: int32(p), class: geo.Class(class)})
				r.more[p] = append(r.more[p], i)
			}
			numbers[id] = i
			*number = i + 1
		}
		labels[class] = int(*number) - 1
	}
}

// standing is a text as the key of a map, of which short ones need no memory of their own.
type standing struct {
	start [24]byte
	more  string
}

// standingOf is the key of a text that does not end in zeros, or is as long as those that it is told from.
func standingOf(text []byte) (s standing) {
	s.more = string(text[copy(s.start[:], text):])
	return s
}

// assign is Map.Assign, which it asks once for the same sources in a row.
func (b *builder) assign(sources [][]geo.Selector) []int {
	if id := fmt.Sprintf("%q", sources); b.assigned.labels == nil || b.assigned.id != id {
		b.assigned.id, b.assigned.labels = id, b.input.Map.Assign(sources)
	}
	return b.assigned.labels
}

// pack packs what policy p of an instance answers to family f, itself or through the global policy, and puts it for each
// of its regions. Regions that get the same as things are share a block.
func (r *regions) pack(in *Instance, p int, f policy.Family, counter func(CounterKey) int, put func(region int32, b *Block)) {
	answering := in.Answering(p, f, func(i int) *policy.Decision { return in.Decisions[i][f] })
	d := in.Decisions[answering][f]
	pools := contenders(d, f)
	blocks := map[string]*Block{}
	appendTo := r.gauge.outcomes(d, pools, in.RTT)
	var id []byte
	for _, i := range r.of(p) {
		class := r.list[i].class
		id = appendTo(id[:0], class)
		block := blocks[string(id)]
		if block == nil {
			block = pack(d, f, ttl(in, p, answering, f), named(pools, r.gauge.measure(class, pools, in.RTT)))
			block.Answering, block.Family, block.counter, block.rtt = answering, f, -1, in.RTT
			if counter != nil {
				block.counter = counter(block.key(in, p, f))
			}
			blocks[string(id)] = block
		}
		put(i, block)
	}
}

// ttl is that of what policy p answers through another, or itself: neither decision may outlast its own.
func ttl(in *Instance, p, answering int, f policy.Family) uint32 {
	return min(in.Decisions[p][f].TTL, in.Decisions[answering][f].TTL)
}

// key is what the block of policy p is counted under.
func (b *Block) key(in *Instance, p int, f policy.Family) CounterKey {
	return CounterKey{Instance: in.Name, Policy: in.Policies[p].Name, Family: f, Set: b.role()}
}

// role is the role of the set that answers, "none" for an empty answer.
func (b *Block) role() string {
	if inForce := b.Decision.InForce(); inForce != nil && len(b.groups) > 0 {
		return inForce.Role
	}
	return "none"
}

// contenders are the pools among which a decision chooses by how far they are, as things are; nil when it does not.
func contenders(d *policy.Decision, f policy.Family) []*policy.Pool {
	set := d.InForce()
	if set == nil || !isRanked(set) {
		return nil
	}
	var weighted, unweighted []*policy.Pool
	last := -1
	for _, ref := range d.Serve {
		m := set.Members[ref.Member]
		if ref.Member == last || !serves(m.Pool, f) {
			continue
		}
		last = ref.Member
		if m.Weight > 0 {
			weighted = append(weighted, m.Pool)
		} else {
			unweighted = append(unweighted, m.Pool)
		}
	}
	if len(weighted) > 0 {
		return weighted
	}
	return unweighted
}

// outcomes returns what appends the name of that to which contenders come for the clients of a class: two classes with the same
// outcome get the same.
func (g *gauge) outcomes(d *policy.Decision, pools []*policy.Pool, rtt map[string]uint32) func(dst []byte, c geo.Class) []byte {
	if len(pools) == 0 {
		return func(dst []byte, _ geo.Class) []byte { return dst }
	}
	nearest := d.InForce().Balance == policy.BalanceNearest
	if nearest && g.distances != nil {
		columns := g.distances.columnsOf(pools)
		return func(dst []byte, c geo.Class) []byte {
			return g.distances.appendNearest(dst, columns, g.distances.sites.of[c])
		}
	}
	return func(dst []byte, c geo.Class) []byte {
		for _, rank := range ranks(g.measure(c, pools, rtt)) {
			if rank > 0 && nearest {
				rank = 1 // only the first tier answers
			}
			dst = binary.AppendUvarint(dst, uint64(rank))
		}
		return dst
	}
}
