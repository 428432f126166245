package policy_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gtmd/policy"
)

// composeAt is compose for clients with costs, which stand in the text: "a=100 b=20".
func composeAt(kind policy.PoolType, set policy.SetOptions, members []member, costs string) policy.Answer {
	w := newWorld()
	for _, m := range members {
		w.pool(m.name, kind, m.balance, m.states, 1)
		set.Pools = append(set.Pools, policy.PoolRefOptions{Pool: m.name, Weight: m.weight})
	}
	known := policy.Costs{}
	for field := range strings.FieldsSeq(costs) {
		name, text, _ := strings.Cut(field, "=")
		var cost uint32
		if _, err := fmt.Sscan(text, &cost); err != nil {
			panic(err)
		}
		known[name] = cost
	}
	in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{{Primary: set}}}, w.pools)
	f := policy.IPv4
	if kind == policy.TypeIPv6 {
		f = policy.IPv6
	}
	return policy.Compose(policy.Decide(in.Policies[0].Decided[f], policy.State{Health: w.of}, policy.Memory{}, epoch), f, known)
}

// TestComposeByCost is balance nearest and latency of section 4 of BEHAVIOUR.md.
func TestComposeByCost(t *testing.T) {
	const (
		all, weight, sequence, sticky = policy.BalanceAll, policy.BalanceWeight, policy.BalanceSequence, policy.BalanceSticky
		nearest, latency              = policy.BalanceNearest, policy.BalanceLatency
	)
	three := []member{{"a", 1, all, "++"}, {"b", 1, all, "+"}, {"c", 1, all, "+++"}}
	for _, row := range []struct {
		name    string
		balance policy.Balance
		max     int
		costs   string
		members []member
		want    string
	}{
		{"nearest", nearest, 0, "a=900 b=50 c=800", three, "1 all: b1"},
		{"nearest, here", nearest, 0, "a=900 b=50 c=0", three, "1 all: c1 c2 c3"},
		{"nearest, highest cost", nearest, 0, "b=4294967295", three, "1 all: b1"},
		{"nearest, unknown client", nearest, 0, "", three, "1 all: a1 a2"},
		{"nearest, unknown pools come last", nearest, 0, "c=20000", three, "1 all: c1 c2 c3"},
		{"nearest, costs of other pools", nearest, 0, "x=1 y=2", three, "1 all: a1 a2"},
		{"nearest, next when down", nearest, 0, "a=900 b=50 c=800",
			[]member{{"a", 1, all, "++"}, {"b", 1, all, "-"}, {"c", 1, all, "-+-"}}, "1 all: c2"},
		{"nearest, unknown when the known are down", nearest, 0, "b=50",
			[]member{{"a", 1, all, "-"}, {"b", 1, all, "-"}, {"c", 1, all, "+"}, {"d", 1, all, "+"}}, "1 all: c1"},
		{"nearest, the pool's balance weight", nearest, 0, "b=1", []member{{"a", 1, all, "+"}, {"b", 9, weight, "+2 +3 +0"}}, "9 weight: b1*2 b2*3"},
		{"nearest, the pool's balance sequence", nearest, 0, "b=1", []member{{"a", 1, all, "+"}, {"b", 1, sequence, "-++"}}, "1 all: b2"},
		{"nearest, the pool's balance sticky", nearest, 0, "b=1", []member{{"a", 1, all, "+"}, {"b", 1, sticky, "+2 +3"}}, "1 sticky: b1*2 b2*3"},
		{"nearest, ties", nearest, 0, "a=5 b=9 c=5", []member{{"a", 2, all, "++"}, {"b", 1, all, "+"}, {"c", 7, weight, "+3 +5"}},
			"2 all: a1 a2 | 7 weight: c1*3 c2*5"},
		{"nearest, ties of pools weight", nearest, 0, "a=5 b=5", []member{{"a", 2, weight, "+3 +5"}, {"b", 7, weight, "+11"}},
			"2 weight: a1*3 a2*5 | 7 weight: b1*11"},
		{"nearest, a tie with one down", nearest, 0, "a=5 b=5", []member{{"a", 2, all, "--"}, {"b", 7, all, "+"}}, "7 all: b1"},
		{"nearest, a tie with one of weight 0", nearest, 0, "a=5 b=5", []member{{"a", 0, all, "+"}, {"b", 7, all, "+"}}, "7 all: b1"},
		{"nearest, weight 0 while another is left", nearest, 0, "a=5 b=9", []member{{"a", 0, all, "+"}, {"b", 7, all, "+"}}, "7 all: b1"},
		{"nearest, weight 0 is all that is left", nearest, 0, "a=5 b=9", []member{{"a", 0, all, "+"}, {"b", 7, all, "-"}}, "1 all: a1"},
		{"nearest, all of weight 0", nearest, 0, "a=9 b=5", []member{{"a", 0, all, "+"}, {"b", 0, all, "+"}}, "1 all: b1"},
		{"nearest, a tie of weights 0", nearest, 0, "a=5 b=5", []member{{"a", 0, all, "+"}, {"b", 0, all, "+"}}, "1 all: a1 | 1 all: b1"},
		{"nearest, only addresses of weight 0", nearest, 0, "a=5 b=9", []member{{"a", 1, weight, "+0 +0"}, {"b", 1, all, "+"}}, "1 weight: a1*1 a2*1"},
		{"nearest, unknown pools are no tie", nearest, 0, "", []member{{"a", 3, all, "+"}, {"b", 3, all, "+"}}, "3 all: a1"},
		{"nearest, fail open", nearest, 0, "a=5 b=9", []member{{"a", 1, all, "-x"}, {"b", 0, all, "--"}}, "1 all: a1 b1 b2"},

		{"latency", latency, 1, "a=90 b=50 c=80", three, "1 all max 1: b1"},
		{"latency, 0 counts as 1", latency, 0, "a=90 b=50 c=80", three, "1 all max 1: b1"},
		{"latency, more than asked for", latency, 2, "a=90 b=50 c=8", three, "1 all max 2: c1 c2 c3"},
		{"latency, as many as asked for", latency, 3, "a=90 b=50 c=8", three, "1 all max 3: c1 c2 c3"},
		{"latency, from the next tiers in order", latency, 4, "a=90 b=50 c=80", three, "1 all max 4: b1 c1 c2 c3"},
		{"latency, a part of the next tier", latency, 2, "a=90 b=50 c=80", three, "1 all max 2: b1 c1"},
		{"latency, fewer than asked for", latency, 8, "a=90 b=50 c=80", three, "1 all max 8: b1 c1 c2 c3 a1 a2"},
		{"latency, ties", latency, 1, "a=5 b=9 c=5", three, "1 all max 1: a1 a2 c1 c2 c3"},
		{"latency, unknown client", latency, 1, "", three, "1 all max 1: a1 a2"},
		{"latency, unknown pools come last", latency, 2, "b=70", three, "1 all max 2: b1 a1"},
		{"latency, next when down", latency, 1, "a=90 b=50 c=80",
			[]member{{"a", 1, all, "++"}, {"b", 1, all, "-"}, {"c", 1, all, "-+-"}}, "1 all max 1: c2"},
		{"latency, balances and weights of pools do not count", latency, 1, "a=5 b=5", []member{{"a", 2, weight, "+0 +5"}, {"b", 7, sequence, "++"}},
			"1 all max 1: a1 a2 b1 b2"},
		{"latency, weight 0 while another is left", latency, 3, "a=5 b=9", []member{{"a", 0, all, "+"}, {"b", 7, all, "+"}}, "1 all max 3: b1"},
		{"latency, weight 0 is all that is left", latency, 3, "a=5 b=9", []member{{"a", 0, all, "+"}, {"b", 7, all, "-"}}, "1 all max 3: a1"},
		{"latency, fail open", latency, 2, "a=5 b=9", []member{{"a", 1, all, "-x"}, {"b", 0, all, "--"}}, "1 all max 2: a1 b1 b2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := policy.SetOptions{Balance: row.balance, MaxAnswers: row.max}
			equal(t, "A", showAnswer(composeAt(policy.TypeIPv4, o, row.members, row.costs)), row.want)
			equal(t, "AAAA", showAnswer(composeAt(policy.TypeIPv6, o, row.members, row.costs)), row.want)
		})
	}
}

// TestComposeByCostDomain checks that a domain set returns one name.
func TestComposeByCostDomain(t *testing.T) {
	const weight, sequence, nearest, latency = policy.BalanceWeight, policy.BalanceSequence, policy.BalanceNearest, policy.BalanceLatency
	for _, row := range []struct {
		name    string
		balance policy.Balance
		costs   string
		members []member
		want    string
	}{
		{"nearest", nearest, "d=9 e=5", []member{{"d", 1, weight, "."}, {"e", 2, weight, ".3 .5"}}, "2 weight: e1*3 e2*5"},
		{"nearest, ties", nearest, "d=5 e=5", []member{{"d", 1, sequence, "x.."}, {"e", 2, weight, ".3 .5"}}, "1 all: d2 | 2 weight: e1*3 e2*5"},
		{"latency", latency, "d=9 e=5", []member{{"d", 1, weight, "."}, {"e", 2, sequence, ".3 .5"}}, "1 weight: e1*6 e2*10"},
		{"latency, ties", latency, "d=5 e=5", []member{{"d", 1, weight, "x."}, {"e", 2, weight, ".3 .5"}}, "1 weight: d2*1 e1*6 e2*10"},
		{"latency, unknown", latency, "", []member{{"d", 1, weight, "x."}, {"e", 2, weight, ".3 .5"}}, "1 weight: d2*1"},
		{"latency, weights 0", latency, "d=5 e=5", []member{{"d", 0, weight, "."}, {"e", 2, weight, ".0 .0"}}, "1 weight: e1*1 e2*1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := policy.SetOptions{Balance: row.balance, MaxAnswers: 1}
			equal(t, "answer", showAnswer(composeAt(policy.TypeDomain, o, row.members, row.costs)), row.want)
		})
	}
}

// TestComposeByCostShared checks an address that is in pools of several tiers: it is one record, in the first of them.
func TestComposeByCostShared(t *testing.T) {
	pool := func(name string, addresses ...string) *policy.Pool {
		o := policy.PoolOptions{Name: name, Type: policy.TypeIPv4, Balance: policy.BalanceAll}
		for _, a := range addresses {
			o.Addresses = append(o.Addresses, policy.AddressOptions{Address: a, Weight: 1, Remark: a[len(a)-1:]})
		}
		return policy.NewPool(o, nil)
	}
	pools := map[string]*policy.Pool{"a": pool("a", "192.0.2.1", "192.0.2.2"), "b": pool("b", "192.0.2.2", "192.0.2.3")}
	set := policy.SetOptions{Balance: policy.BalanceLatency, MaxAnswers: 3, Pools: []policy.PoolRefOptions{{Pool: "a", Weight: 1}, {Pool: "b", Weight: 1}}}
	in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{{Primary: set}}}, pools)
	d := policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{}, policy.Memory{}, epoch)
	for costs, want := range map[uint32]string{1: "1 all max 3: 2 3 1", 3: "1 all max 3: 1 2 3", 2: "1 all max 3: 1 2 3"} {
		equal(t, fmt.Sprint("cost of b ", costs), showAnswer(policy.Compose(d, policy.IPv4, policy.Costs{"a": 2, "b": costs})), want)
	}
}

// TestComposeByCostManyTies composes more equal costs than a sort keeps in order by chance.
func TestComposeByCostManyTies(t *testing.T) {
	var members []member
	want := "1 all max 40: z1"
	for _, name := range strings.Split("ABCDEFGHIJKLMNOPQRSTUVWXYabcdefghijk", "") {
		members, want = append(members, member{name, 1, policy.BalanceAll, "+"}), want+" "+name+"1"
	}
	members = append(members, member{"z", 1, policy.BalanceAll, "+"})
	set := policy.SetOptions{Balance: policy.BalanceLatency, MaxAnswers: 40}
	equal(t, "unknown", showAnswer(composeAt(policy.TypeIPv4, set, members, "z=7")), want)
}

// TestNewPoolLocation checks that coordinates are taken, and only both.
func TestNewPoolLocation(t *testing.T) {
	north, east := 35.7, 0.0
	for _, row := range []struct {
		options policy.LocationOptions
		want    *policy.Location
	}{
		{policy.LocationOptions{}, nil},
		{policy.LocationOptions{Place: "JP"}, nil},
		{policy.LocationOptions{Latitude: &north}, nil},
		{policy.LocationOptions{Longitude: &east}, nil},
		{policy.LocationOptions{Place: "JP", Latitude: &north, Longitude: &east}, &policy.Location{Latitude: 35.7}},
	} {
		same(t, "location", policy.NewPool(policy.PoolOptions{Location: row.options}, nil).Location, row.want)
	}
}

// goldenMember is a pool as goldenCompose sees it: what it serves, as text.
type goldenMember struct {
	name, balance string
	weight        int
	addresses     []string
	weights       []int // of the addresses
}

// goldenCompose is the slow way to an answer by cost, in the form of showNames. It knows no other answers.
func goldenCompose(d *policy.Decision, f policy.Family, costs policy.Costs) (answer string, isModelled bool) {
	set := d.InForce()
	if set == nil || set.Balance != policy.BalanceNearest && set.Balance != policy.BalanceLatency {
		return "", false
	}
	var members []goldenMember
	isDomain, down := false, true
	n := 0
	for m, member := range set.Members {
		g := goldenMember{name: member.Pool.Name, balance: string(member.Pool.Balance), weight: int(member.Weight)}
		isAsked := member.Pool.Type == policy.TypeDomain || (member.Pool.Type == policy.TypeIPv4) == (f == policy.IPv4)
		for i, a := range member.Pool.Addresses {
			if isAsked && slices.Contains(d.Serve, policy.Ref{Member: m, Address: i, Share: policy.FullShare}) {
				g.addresses, g.weights = append(g.addresses, a.Name), append(g.weights, int(a.Weight))
			}
			down = down && !(isAsked && d.Sets[d.Set].Standings[n].Available())
			n++
		}
		if len(g.addresses) > 0 {
			members, isDomain = append(members, g), member.Pool.Type == policy.TypeDomain
		}
	}
	if len(members) == 0 {
		return "", true
	}
	if down && !isDomain {
		var names []string
		for _, m := range members {
			names = appendNew(names, m.addresses...)
		}
		return fmt.Sprint("1 all max ", set.MaxAnswers, ": ", strings.Join(names, " ")), true
	}
	tiers := goldenTiers(members, costs)
	switch {
	case set.Balance == policy.BalanceNearest:
		var groups []string
		for i, weight := range goldenWeights(tiers[0], func(m goldenMember) int { return m.weight }) {
			if weight > 0 {
				groups = append(groups, fmt.Sprint(weight, " ", tiers[0][i].show()))
			}
		}
		return strings.Join(groups, " | "), true
	case isDomain:
		weights, names := map[string]int{}, []string(nil)
		for _, m := range tiers[0] {
			for i, a := range m.addresses {
				names = appendNew(names, a)
				weights[a] += m.weight * m.weights[i]
			}
		}
		line := "1 weight max 0:"
		for i, weight := range goldenWeights(names, func(name string) int { return weights[name] }) {
			if weight > 0 {
				line += fmt.Sprint(" ", names[i], "*", weight)
			}
		}
		return line, true
	}
	want := max(set.MaxAnswers, 1)
	var names []string
	for i, tier := range tiers {
		for _, m := range tier {
			for _, a := range m.addresses {
				if i == 0 || len(names) < want {
					names = appendNew(names, a)
				}
			}
		}
	}
	return fmt.Sprint("1 all max ", want, ": ", strings.Join(names, " ")), true
}

// goldenTiers takes the cheapest members away again and again: those of the least cost, then one by one.
func goldenTiers(members []goldenMember, costs policy.Costs) (tiers [][]goldenMember) {
	var left []goldenMember
	for i, weight := range goldenWeights(members, func(m goldenMember) int { return m.weight }) {
		if m := members[i]; weight > 0 {
			m.weight = weight
			left = append(left, m)
		}
	}
	for len(left) > 0 {
		least := -1
		for _, m := range left {
			if cost, ok := costs[m.name]; ok && (least < 0 || int(cost) < least) {
				least = int(cost)
			}
		}
		var tier, rest []goldenMember
		for i, m := range left {
			cost, ok := costs[m.name]
			if least >= 0 && ok && int(cost) == least || least < 0 && i == 0 {
				tier = append(tier, m)
			} else {
				rest = append(rest, m)
			}
		}
		tiers, left = append(tiers, tier), rest
	}
	return tiers
}

// goldenWeights are the weights, or ones when all are 0.
func goldenWeights[T any](all []T, of func(T) int) []int {
	weights, sum := make([]int, len(all)), 0
	for i := range all {
		weights[i] = of(all[i])
		sum += weights[i]
	}
	for i := range weights {
		if sum == 0 {
			weights[i] = 1
		}
	}
	return weights
}

// show is the answer of one pool by its own balance.
func (m goldenMember) show() string {
	switch m.balance {
	case "all":
		return "all max 0: " + strings.Join(m.addresses, " ")
	case "sequence":
		return "all max 0: " + m.addresses[0]
	}
	line := m.balance + " max 0:"
	for i, weight := range goldenWeights(m.weights, func(w int) int { return w }) {
		if weight > 0 {
			line += fmt.Sprint(" ", m.addresses[i], "*", weight)
		}
	}
	return line
}

// appendNew appends the names that are not there yet.
func appendNew(names []string, more ...string) []string {
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// showNames is an answer as one line, with the names of the addresses.
func showNames(a policy.Answer) string {
	var groups []string
	for _, g := range a.Groups {
		line := fmt.Sprint(g.Weight, " ", g.Balance, " max ", g.MaxAnswers, ":")
		for _, r := range g.Records {
			line += " " + r.Address.Name
			if g.Balance != policy.BalanceAll {
				line += fmt.Sprint("*", r.Weight)
			}
		}
		groups = append(groups, line)
	}
	return strings.Join(groups, " | ")
}

// TestNextTier takes the pools of a set down one after the other, the one that clients have each time: they move through
// the pools by rising cost, and then in the order of the set.
func TestNextTier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, costs := newWorld(), policy.Costs{}
		balance := rapid.SampledFrom([]policy.Balance{policy.BalanceNearest, policy.BalanceLatency}).Draw(t, "balance")
		set := policy.SetOptions{Balance: balance}
		names := strings.Split("abcdef", "")
		distinct := rapid.SliceOfNDistinct(rapid.Uint32(), len(names), len(names), rapid.ID[uint32]).Draw(t, "costs")
		for i, name := range names {
			w.pool(name, policy.TypeIPv4, policy.BalanceAll, "+", 1)
			set.Pools = append(set.Pools, policy.PoolRefOptions{Pool: name, Weight: 1})
			if rapid.IntRange(0, 2).Draw(t, "known") > 0 {
				costs[name] = distinct[i]
			}
		}
		want := slices.Clone(names)
		slices.SortStableFunc(want, func(a, b string) int {
			costA, knownA := costs[a]
			costB, knownB := costs[b]
			switch {
			case knownA && knownB:
				return cmp.Compare(costA, costB)
			case knownA:
				return -1
			case knownB:
				return 1
			}
			return 0
		})
		in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{{Primary: set}}}, w.pools)
		var got []string
		for range names {
			d := policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{Health: w.of}, policy.Memory{}, epoch)
			answer := policy.Compose(d, policy.IPv4, costs)
			equal(t, "addresses in an answer", len(answer.Groups[0].Records), 1)
			address := answer.Groups[0].Records[0].Address
			got = append(got, address.Remark[:1])
			w.health[address.Targets[0][0]] = policy.Down
		}
		equal(t, "pools one after the other", strings.Join(got, " "), strings.Join(want, " "))
	})
}

func TestHysteresis(t *testing.T) {
	for _, row := range []struct {
		name                 string
		held, measured, want float64
	}{
		{"none held", 0, 100, 100},
		{"none held, less than 5 ms", 0, 0.5, 0.5},
		{"none at all", 0, 0, 0},
		{"none measured", 100, 0, 100},
		{"the same", 100, 100, 100},
		{"a fifth more", 100, 120, 100},
		{"above a fifth more", 100, 120.5, 120.5},
		{"a fifth less", 100, 80, 100},
		{"below a fifth less", 100, 79.5, 79.5},
		{"twice as much, by less than 5 ms", 4, 8.5, 4},
		{"by 5 ms", 4, 9, 9},
		{"down by less than 5 ms", 6, 1.5, 6},
		{"down by 5 ms", 6, 1, 1},
		{"by 5 ms, a fifth of it", 25, 30, 25},
		{"by 5 ms and above a fifth", 24, 29, 29},
		{"far away, by much but below a fifth", 300, 350, 300},
	} {
		equal(t, row.name, policy.Hysteresis(row.held, row.measured), row.want)
	}
}

// TestHysteresisSettles checks that what is held stays within the band around what is measured, and that a measurement that
// swings within the band moves nothing.
func TestHysteresisSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := 0.0
		for _, measured := range rapid.SliceOfN(rapid.Float64Range(0.01, 60000), 1, 20).Draw(t, "measured") {
			before := held
			held = policy.Hysteresis(held, measured)
			if held != before && held != measured {
				t.Fatalf("from %v, measuring %v, to %v", before, measured, held)
			}
			if change := math.Abs(held - measured); change > held/5 && change >= 5 {
				t.Fatalf("%v is held while %v is measured", held, measured)
			}
			equal(t, "again", policy.Hysteresis(held, measured), held)
		}
	})
}
