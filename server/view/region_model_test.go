package view_test

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

// atlas answers slowly for access domains that look at how far pools are: for each client anew, from the rows of the
// database, the prefixes of the lines and the rows of the latency table, by BEHAVIOUR.md sections 4 and 5.
type atlas struct {
	spots   []spot
	lines   []geo.LineOptions
	latency []tableRow
	pools   map[string]*policy.Pool
	// policies of the instance, with sources as text; the primary set is all that a policy has.
	policies []policy.PolicyOptions
	effects  map[string]string // what effect has found, by all that it looks at
}

// tableRow is a row of the latency table, as text.
type tableRow struct {
	from, pool string
	ms         uint32
}

// client returns the texts of the request sources of a client in match order, Global last, and where it is.
func (a *atlas) client(address netip.Addr) (sources []string, at *geo.Coordinates) {
	address = held(address)
	type match struct {
		name string
		bits int
	}
	var matches []match
	for _, line := range a.lines {
		for _, prefix := range line.Prefixes {
			if prefix.Contains(address) {
				matches = append(matches, match{line.Name, prefix.Bits()})
			}
		}
	}
	slices.SortFunc(matches, func(x, y match) int { return y.bits - x.bits })
	for _, m := range matches {
		if !slices.Contains(sources, m.name) {
			sources = append(sources, m.name)
		}
	}
	best := -1
	var here spot
	for _, s := range a.spots {
		if prefix := netip.MustParsePrefix(s.prefix); prefix.Contains(address) && prefix.Bits() > best {
			best, here = prefix.Bits(), s
		}
	}
	if here.country != "" {
		sources = append(sources, "country:"+here.country)
	}
	return append(sources, "global"), here.at
}

// policyOf is the policy of the first source that has one which is in use for the family; -1: none.
func (a *atlas) policyOf(sources []string, isInUse func(p int) bool) int {
	for _, source := range sources {
		for p, o := range a.policies {
			if slices.Contains(o.Sources, source) && isInUse(p) {
				return p
			}
		}
	}
	return -1
}

// far is how far a pool is: kilometres, or milliseconds when the balance is latency; +Inf when nothing says.
func (a *atlas) far(balance policy.Balance, pool string, sources []string, at *geo.Coordinates, rtt map[string]uint32) float64 {
	if balance == policy.BalanceLatency {
		for _, source := range sources {
			for _, row := range a.latency {
				if row.from == source && row.pool == pool {
					return float64(row.ms)
				}
			}
		}
		if ms, measured := rtt[pool]; measured {
			return float64(ms)
		}
		return math.Inf(1)
	}
	location := a.pools[pool].Location
	if at == nil || location == nil {
		return math.Inf(1)
	}
	return math.Round(geo.Distance(*at, geo.Coordinates(*location)))
}

// tiers are the pools of a set that serve something, as they are asked: nearer ones first, those equally near together, then
// those of which it is not known how near they are, one by one. Weight 0 counts only when there is nothing else.
func (a *atlas) tiers(o policy.SetOptions, serving []string, sources []string, at *geo.Coordinates, rtt map[string]uint32) [][]string {
	refs := slices.DeleteFunc(slices.Clone(o.Pools), func(r policy.PoolRefOptions) bool { return !slices.Contains(serving, r.Pool) })
	if slices.ContainsFunc(refs, func(r policy.PoolRefOptions) bool { return r.Weight > 0 }) {
		refs = slices.DeleteFunc(refs, func(r policy.PoolRefOptions) bool { return r.Weight == 0 })
	}
	if o.Balance != policy.BalanceNearest && o.Balance != policy.BalanceLatency {
		var all []string
		for _, r := range refs {
			all = append(all, r.Pool)
		}
		return [][]string{all}
	}
	byCost := map[float64][]string{}
	var costs []float64
	var unknown [][]string
	for _, r := range refs {
		if cost := a.far(o.Balance, r.Pool, sources, at, rtt); math.IsInf(cost, 1) {
			unknown = append(unknown, []string{r.Pool})
		} else {
			byCost[cost] = append(byCost[cost], r.Pool)
			costs = append(costs, cost)
		}
	}
	slices.Sort(costs)
	var tiers [][]string
	for _, cost := range slices.Compact(costs) {
		tiers = append(tiers, byCost[cost])
	}
	return append(tiers, unknown...)
}

// subsets of the pools of a set, each as what may be serving.
func subsets(o policy.SetOptions) [][]string {
	all := [][]string{nil}
	for _, r := range o.Pools {
		for _, subset := range slices.Clone(all) {
			all = append(all, append(slices.Clone(subset), r.Pool))
		}
	}
	return all
}

// effect says all that a client could ever get: its policy, and the tiers of what may be serving, at any round-trip times.
func (a *atlas) effect(address netip.Addr, family policy.Family) string {
	sources, at := a.client(address)
	id := fmt.Sprint(family, sources, at)
	if _, found := a.effects[id]; !found {
		a.effects[id] = a.effectOf(sources, at, family)
	}
	return a.effects[id]
}

func (a *atlas) effectOf(sources []string, at *geo.Coordinates, family policy.Family) string {
	inUse := a.inUse(family)
	p := a.policyOf(sources, inUse)
	if p < 0 {
		return "none"
	}
	var b strings.Builder
	fmt.Fprint(&b, p)
	deciding := []int{p}
	if global := a.policyOf([]string{"global"}, inUse); a.policies[p].FallThrough && global >= 0 {
		deciding = append(deciding, global)
	}
	for _, p := range deciding {
		for _, serving := range subsets(a.policies[p].Primary) {
			serving = slices.DeleteFunc(serving, func(pool string) bool { return !a.serves(pool, family) })
			for _, rtt := range everyRTT(a.policies[p].Primary) {
				fmt.Fprint(&b, a.tiers(a.policies[p].Primary, serving, sources, at, rtt))
			}
		}
	}
	return b.String()
}

// inUse tells the policies that have a pool of a family.
func (a *atlas) inUse(family policy.Family) func(p int) bool {
	return func(p int) bool {
		return slices.ContainsFunc(a.policies[p].Primary.Pools, func(r policy.PoolRefOptions) bool { return a.serves(r.Pool, family) })
	}
}

func (a *atlas) serves(pool string, family policy.Family) bool {
	return (a.pools[pool].Type == policy.TypeIPv4) == (family == policy.IPv4)
}

// everyRTT are round-trip times that bring each pool before, between, level with and behind the rows of the table, which are 10,
// 20 and 30 ms, and to be unknown.
func everyRTT(o policy.SetOptions) []map[string]uint32 {
	all := []map[string]uint32{{}}
	if o.Balance != policy.BalanceLatency {
		return all
	}
	for _, r := range o.Pools {
		for _, rtt := range slices.Clone(all) {
			for _, ms := range []uint32{5, 10, 15, 20, 25, 30, 35} {
				with := map[string]uint32{r.Pool: ms}
				for pool, before := range rtt {
					with[pool] = before
				}
				all = append(all, with)
			}
		}
	}
	return all
}

// answer lists what may be returned, in order, and most is how many at once: for nearest the addresses of the first tier; for latency
// those of the first tier, or when they are too few with as many from the next ones as it takes; for all every address.
func (a *atlas) answer(o policy.SetOptions, tiers [][]string, down []string) (list []string, most int) {
	n := max(1, o.MaxAnswers)
	for i, tier := range tiers {
		for _, pool := range tier {
			for _, address := range a.pools[pool].Addresses {
				if !slices.Contains(down, address.Name) {
					list = append(list, address.Name)
				}
			}
		}
		switch {
		case o.Balance == policy.BalanceNearest:
			return list, len(list)
		case o.Balance != policy.BalanceLatency || len(list) < n:
		case i == 0:
			return list, n
		default:
			return list[:n], n
		}
	}
	return list, len(list)
}

// TestRegionModel holds the view against the atlas: what clients get, and that the scope is the widest prefix in which no
// client could ever get anything else, for random databases, lines, policies, latency tables, health and round-trip times.
func TestRegionModel(t *testing.T) {
	places := []*geo.Coordinates{nil, &tokyo, &seoul, &frankfurt, &paris, &newYork, &accra}
	rapid.Check(t, func(rt *rapid.T) {
		prefix := rapid.Custom(func(rt *rapid.T) netip.Prefix {
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x80, 0xff}), 2, 2).Draw(rt, "address")
			if rapid.IntRange(0, 2).Draw(rt, "v6") > 0 {
				return netip.PrefixFrom(netip.AddrFrom4([4]byte{b[0], b[1]}), rapid.IntRange(1, 10).Draw(rt, "bits")).Masked()
			}
			// Not wide enough to have ::/96, which stands for IPv4 in a database.
			return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, b[0], b[1]}), rapid.IntRange(3, 20).Draw(rt, "bits")).Masked()
		})
		networks := func(n int, label string) []netip.Prefix {
			list := rapid.SliceOfNDistinct(prefix, 1, n, func(p netip.Prefix) netip.Prefix { return p }).Draw(rt, label)
			return slices.DeleteFunc(list, isHolding)
		}
		a := &atlas{pools: map[string]*policy.Pool{}, effects: map[string]string{}}
		w := &world{zones: []view.Zone{zone(t, "gtm.test.", apex)}}
		for _, p := range networks(7, "spots") {
			s := spot{prefix: p.String(), at: rapid.SampledFrom(places).Draw(rt, "place")}
			// A country without a place would get that of its principal city.
			if s.at != nil {
				s.country = rapid.SampledFrom([]string{"", "JP", "FR"}).Draw(rt, "country")
			}
			a.spots = append(a.spots, s)
		}
		if len(a.spots) > 0 && slices.ContainsFunc(a.spots, func(s spot) bool { return s.at != nil }) {
			w.databases = []*geo.Database{database(t, a.spots...)}
		} else {
			a.spots = nil
		}
		w.lines = []geo.LineOptions{{Name: "office", Prefixes: networks(3, "office")}}
		a.lines = w.lines
		locations := []*geo.Coordinates{nil, &tokyo, &seoul, &frankfurt, &frankfurt, &newYork}
		var names []string
		for i := range 5 {
			name, kind, addresses := fmt.Sprintf("p%d", i), policy.TypeIPv4, []string{fmt.Sprintf("198.51.10%d.1", i), fmt.Sprintf("198.51.10%d.2", i)}
			if i == 4 {
				kind, addresses = policy.TypeIPv6, []string{"2001:db8::1"}
			}
			p := pool(name, kind, policy.BalanceAll, addresses...)
			if l := rapid.SampledFrom(locations).Draw(rt, "location"); l != nil {
				at(p, l.Latitude, l.Longitude)
			}
			w.pools, a.pools[name], names = append(w.pools, p), p, append(names, name)
			for _, address := range addresses {
				if rapid.IntRange(0, 3).Draw(rt, "down") == 0 {
					w.down = append(w.down, address)
				}
			}
		}
		ranked := rapid.SampledFrom([]policy.Balance{policy.BalanceNearest, policy.BalanceLatency}).Draw(rt, "ranked")
		sources := []string{"global", "office", "country:FR", "country:JP"}
		for _, source := range rapid.SliceOfNDistinct(rapid.SampledFrom(sources), 1, 3, rapid.ID).Draw(rt, "sources") {
			balance := ranked
			if ranked == policy.BalanceNearest && rapid.IntRange(0, 3).Draw(rt, "plain") == 0 {
				balance = policy.BalanceAll
			}
			var members []string
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID).Draw(rt, "pools") {
				members = append(members, name+rapid.SampledFrom([]string{"", "*1", "*2", "*0"}).Draw(rt, "weight"))
			}
			o := access("Policy "+source, source, set(balance, members...))
			if ranked == policy.BalanceLatency {
				o.Primary.MaxAnswers = rapid.IntRange(0, 3).Draw(rt, "max_answers")
			}
			o.FallThrough = source != "global" && rapid.Bool().Draw(rt, "fall_through")
			o.WhenAllDown = policy.AllDownEmpty
			a.policies = append(a.policies, o)
		}
		if ranked == policy.BalanceLatency {
			w.rtt = map[string]uint32{}
			for _, name := range names {
				for _, source := range sources {
					if rapid.IntRange(0, 2).Draw(rt, "row") == 0 {
						ms := rapid.SampledFrom([]uint32{10, 20, 30}).Draw(rt, "ms")
						a.latency = append(a.latency, tableRow{source, name, ms})
						w.row(t, source, name, ms)
					}
				}
				if ms := rapid.SampledFrom([]uint32{0, 5, 10, 20, 25, 40}).Draw(rt, "rtt"); ms > 0 {
					w.rtt[name] = ms
				}
			}
		}
		v := w.instance("origin.gtm.test.", a.policies...).build(t)
		corners := a.corners()
		for _, f := range []policy.Family{policy.IPv4, policy.IPv6} {
			effects := map[netip.Addr]string{}
			for _, corner := range corners {
				effects[corner] = a.effect(corner, f)
			}
			for _, client := range corners {
				if teredo := blocks[3].prefix; teredo.Contains(client) && !hold(netip.PrefixFrom(held(client), 32), 3).Contains(client) {
					continue // of the servers that Teredo clients may have, corners has all networks of one
				}
				a.check(rt, w, v, f, client, corners, effects)
			}
		}
	})
}

// corners are the first and the last address of every network that anything is told apart by, and their neighbours outside. Every
// network that is told from what is around it has one.
func (a *atlas) corners() []netip.Addr {
	var networks []netip.Prefix
	for _, s := range a.spots {
		networks = append(networks, netip.MustParsePrefix(s.prefix))
	}
	for _, line := range a.lines {
		networks = append(networks, line.Prefixes...)
	}
	for _, p := range slices.Clone(networks) {
		for i := range blocks {
			if p.Addr().Is4() {
				networks = append(networks, hold(p, i))
			}
		}
	}
	for _, b := range blocks {
		networks = append(networks, b.prefix)
	}
	networks = append(networks, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
	var list []netip.Addr
	for _, p := range networks {
		end := lastOf(p)
		for _, address := range []netip.Addr{p.Addr().Prev(), p.Addr(), end, end.Next()} {
			if address.IsValid() {
				list = append(list, address)
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	address, _ := netip.AddrFromSlice(b)
	return address
}

// check compares one client with the atlas.
func (a *atlas) check(
	rt *rapid.T, w *world, v *view.View, f policy.Family, client netip.Addr, corners []netip.Addr, effects map[netip.Addr]string,
) {
	qtype := []uint16{dns.TypeA, dns.TypeAAAA}[f]
	subnet := netip.PrefixFrom(client, client.BitLen())
	e, err := v.Explain(view.Question{Name: "origin.gtm.test.", Type: qtype, Subnet: subnet})
	if err != nil {
		rt.Fatal(err)
	}
	inUse := a.inUse(f)
	if !slices.ContainsFunc([]int{0, 1, 2}, func(p int) bool { return p < len(a.policies) && inUse(p) }) {
		return // no policy answers the family
	}
	sources, place := a.client(client)
	p := a.policyOf(sources, inUse)
	if e.Policy != p {
		rt.Fatalf("%v, %v: policy %d, want %d", client, f, e.Policy, p)
	}
	if (e.Place == nil) != (place == nil) || place != nil && *e.Place != *place {
		rt.Fatalf("%v: place %v, want %v", client, e.Place, place)
	}
	// What it gets.
	serving := func(p int) []string {
		var list []string
		for _, r := range a.policies[p].Primary.Pools {
			isUp := func(x policy.Address) bool { return !slices.Contains(w.down, x.Name) }
			if a.serves(r.Pool, f) && slices.ContainsFunc(a.pools[r.Pool].Addresses, isUp) {
				list = append(list, r.Pool)
			}
		}
		return list
	}
	switch {
	case p < 0 && e.Block != nil:
		rt.Fatalf("%v, %v: a block without a policy", client, f)
	case p >= 0:
		answering := p
		global := a.policyOf([]string{"global"}, inUse)
		if a.policies[p].FallThrough && len(serving(p)) == 0 && global >= 0 && len(serving(global)) > 0 {
			answering = global
		}
		primary := a.policies[answering].Primary
		var tiers [][]string
		if alive := serving(answering); len(alive) > 0 && primary.Balance == policy.BalanceAll {
			tiers = [][]string{alive} // weights do not count
		} else if len(alive) > 0 {
			tiers = a.tiers(primary, alive, sources, place, w.rtt)
		}
		a.checkBlock(rt, e.Block, client, primary, tiers, w.down)
	}
	// How widely that holds.
	around := netip.PrefixFrom(client, e.Scope).Masked()
	isConstant := true
	for _, corner := range corners {
		isConstant = isConstant && effects[corner] == effects[corners[0]]
		if around.Contains(corner) && effects[corner] != effects[client] {
			rt.Fatalf("%v, %v: scope %d, but %v in it has another effect:\n%s\n%s", client, f, e.Scope, corner, effects[client], effects[corner])
		}
	}
	if isConstant != (e.Scope == 0) {
		rt.Fatalf("%v, %v: scope %d, all effects equal: %v", client, f, e.Scope, isConstant)
	}
	if e.Scope > 1 {
		wider := netip.PrefixFrom(client, e.Scope-1).Masked()
		if !slices.ContainsFunc(corners, func(c netip.Addr) bool { return wider.Contains(c) && effects[c] != effects[client] }) {
			rt.Fatalf("%v, %v: scope %d, but %v has one effect", client, f, e.Scope, wider)
		}
	}
}

// checkBlock compares what is packed for a client: what may be returned, how many at once, and in how many groups.
func (a *atlas) checkBlock(rt *rapid.T, b *view.Block, client netip.Addr, o policy.SetOptions, tiers [][]string, down []string) {
	want, most := a.answer(o, tiers, down)
	groups := min(1, len(tiers))
	if o.Balance == policy.BalanceNearest && len(tiers) > 0 {
		groups = len(tiers[0]) // one of them by weight
	}
	var got []string
	returned := 0
	for _, g := range b.Answer.Groups {
		for _, r := range g.Records {
			got = append(got, r.Address.Name)
		}
		returned += min(cmp.Or(g.MaxAnswers, len(g.Records)), len(g.Records))
	}
	if !slices.Equal(got, want) || returned != most || len(b.Answer.Groups) != groups {
		rt.Fatalf("%v: %d of %v in %d groups, want %d of %v in %d, tiers %v", client, returned, got, len(b.Answer.Groups), most, want, groups, tiers)
	}
}
