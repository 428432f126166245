package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gtmd/policy"
)

// randomWorld is a policy over random pools, and the random health of their addresses.
type randomWorld struct {
	options map[string]policy.PoolOptions
	pools   map[string]*policy.Pool
	policy  policy.PolicyOptions
	health  map[string]policy.Health // by address
}

func drawWorld(t *rapid.T) *randomWorld {
	r := &randomWorld{options: map[string]policy.PoolOptions{}, pools: map[string]*policy.Pool{}, health: map[string]policy.Health{}}
	names := map[bool][]string{} // of address pools, of domain pools
	kinds := []policy.PoolType{policy.TypeIPv4, policy.TypeIPv6}
	if rapid.IntRange(0, 3).Draw(t, "domain pools") == 0 {
		kinds = append(kinds, policy.TypeDomain)
	}
	for i := range 6 {
		o := drawPool(t, fmt.Sprint("p", i), kinds[i%len(kinds)])
		r.options[o.Name] = o
		names[o.Type == policy.TypeDomain] = append(names[o.Type == policy.TypeDomain], o.Name)
		target := func(a *policy.AddressOptions) [][]string { return [][]string{{a.Address}} }
		if len(o.HealthCheck) == 0 || o.Type == policy.TypeDomain {
			target = nil
		}
		r.pools[o.Name] = policy.NewPool(o, target)
	}
	o := policy.PolicyOptions{
		Switch: rapid.SampledFrom([]policy.Switch{
			policy.SwitchAuto, policy.SwitchAuto, policy.SwitchAuto, policy.SwitchPrimary, policy.SwitchBackup}).Draw(t, "switch"),
		Failback: rapid.SampledFrom([]policy.Failback{
			policy.FailbackAuto, policy.FailbackAuto, policy.FailbackManual}).Draw(t, "failback"),
		FailbackDelay: time.Duration(rapid.IntRange(0, 3).Draw(t, "failback delay")) * 10 * time.Second,
		WhenAllDown: rapid.SampledFrom([]policy.WhenAllDown{
			policy.AllDownOpen, policy.AllDownOpen, policy.AllDownEmpty}).Draw(t, "when all down"),
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "sets") {
		isDomain := len(names[true]) > 0 && rapid.Bool().Draw(t, "domain set")
		set := drawSet(t, names[isDomain], isDomain)
		if i == 0 {
			o.Primary = set
		} else {
			o.Backup = append(o.Backup, set)
		}
	}
	r.policy = o
	return r
}

// drawPool draws a pool of up to four addresses out of six, so that pools share some.
func drawPool(t *rapid.T, name string, kind policy.PoolType) policy.PoolOptions {
	o := policy.PoolOptions{Name: name, Type: kind, Balance: drawBalance(t, kind == policy.TypeDomain)}
	if rapid.IntRange(0, 3).Draw(t, "probed") > 0 {
		o.HealthCheck = []string{"web"}
	}
	format := map[policy.PoolType]string{
		policy.TypeIPv4: "192.0.2.%d", policy.TypeIPv6: "2001:db8::%d", policy.TypeDomain: "n%d.example."}[kind]
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 0, 4, rapid.ID[int]).Draw(t, "addresses") {
		o.Addresses = append(o.Addresses, policy.AddressOptions{
			Address: fmt.Sprintf(format, n),
			Mode: rapid.SampledFrom([]policy.Mode{
				policy.ModeIntelligent, policy.ModeIntelligent, policy.ModeIntelligent, policy.ModeOnline, policy.ModeOffline,
			}).Draw(t, "mode"),
			Weight: drawWeight(t),
		})
	}
	return o
}

func drawSet(t *rapid.T, pools []string, isDomain bool) policy.SetOptions {
	o := policy.SetOptions{Balance: drawBalance(t, isDomain), MaxAnswers: rapid.IntRange(0, 4).Draw(t, "max answers")}
	if rapid.Bool().Draw(t, "by cost") {
		o.Balance = rapid.SampledFrom([]policy.Balance{policy.BalanceNearest, policy.BalanceLatency}).Draw(t, "balance by cost")
	}
	o.MinAvailable = policy.Count(rapid.IntRange(1, 3).Draw(t, "count"))
	if rapid.IntRange(0, 2).Draw(t, "share") == 0 {
		o.MinAvailable = policy.Percent(rapid.IntRange(1, 100).Draw(t, "percent"))
	}
	for _, pool := range rapid.SliceOfNDistinct(rapid.SampledFrom(pools), 1, min(3, len(pools)), rapid.ID[string]).Draw(t, "pools") {
		o.Pools = append(o.Pools, policy.PoolRefOptions{Pool: pool, Weight: drawWeight(t)})
	}
	return o
}

func drawBalance(t *rapid.T, isDomain bool) policy.Balance {
	balances := []policy.Balance{policy.BalanceWeight, policy.BalanceSequence, policy.BalanceSticky}
	if !isDomain {
		balances = append(balances, policy.BalanceAll)
	}
	return rapid.SampledFrom(balances).Draw(t, "balance")
}

// drawCosts draws the costs of clients: of no pool, or of some, with many ties.
func drawCosts(t *rapid.T) policy.Costs {
	if rapid.IntRange(0, 3).Draw(t, "unknown client") == 0 {
		return nil
	}
	return rapid.MapOf(rapid.SampledFrom([]string{"p0", "p1", "p2", "p3", "p4", "p5"}),
		rapid.SampledFrom([]uint32{0, 1, 2, 1 << 31, 1<<32 - 1})).Draw(t, "costs")
}

func drawWeight(t *rapid.T) int {
	return rapid.SampledFrom([]int{0, 1, 1, 2, 1_000_000}).Draw(t, "weight")
}

// drawHealth turns the health of every address; a bad day has most of them down.
func (r *randomWorld) drawHealth(t *rapid.T) {
	states := []policy.Health{policy.Up, policy.Unknown, policy.Down}
	if rapid.Bool().Draw(t, "bad day") {
		states = []policy.Health{policy.Up, policy.Down, policy.Down, policy.Down}
	}
	for n := range 6 {
		for _, format := range []string{"192.0.2.%d", "2001:db8::%d"} {
			r.health[fmt.Sprintf(format, n+1)] = rapid.SampledFrom(states).Draw(t, "health")
		}
	}
}

// of is the health that Decide asks for; targets are named by the address.
func (r *randomWorld) of(a *policy.Address) policy.Health { return r.health[a.Targets[0][0]] }

// drawMemory is what any policy could have left, this one or another.
func drawMemory(t *rapid.T, p *policy.Policy) policy.Memory {
	ids := []string{"", "gone"}
	for i := range p.Sets {
		ids = append(ids, p.SetID(i))
	}
	m := policy.Memory{Set: rapid.SampledFrom(ids).Draw(t, "set remembered"), Available: map[string]time.Time{}}
	for _, id := range ids[1:] {
		if rapid.Bool().Draw(t, "was available") {
			m.Available[id] = epoch.Add(time.Duration(rapid.IntRange(-40, 5).Draw(t, "since")) * time.Second)
		}
	}
	return m
}

// TestProperties takes random policies through random days.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawWorld(t)
		in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{r.policy}}, r.pools)
		for f, p := range in.Policies[0].Decided {
			if p == nil {
				continue
			}
			counts := func(kind policy.PoolType) bool {
				return p.Family == policy.FamilyBoth || kind == []policy.PoolType{policy.TypeIPv4, policy.TypeIPv6}[f]
			}
			memory, now := drawMemory(t, p), epoch
			for range rapid.IntRange(1, 6).Draw(t, "rounds") {
				r.drawHealth(t)
				d := policy.Decide(p, policy.State{Health: r.of}, memory, now)

				role, why := goldenDecide(goldenSets(r, r.policy, counts), r.policy, memory, now)
				if got := d.InForce(); d.Why != why || got == nil && role != "" || got != nil && got.Role != role {
					t.Fatalf("decided %s, golden model says %q, %s", show(d, now), role, why)
				}
				same(t, "decided again", policy.Decide(p, policy.State{Health: r.of}, memory, now), d)
				same(t, "decided again with its own memory", policy.Decide(p, policy.State{Health: r.of}, d.Memory(), now), d)
				checkServed(t, d)
				checkUntil(t, r, d, now)
				for _, asked := range []policy.Family{policy.IPv4, policy.IPv6} {
					costs := drawCosts(t)
					checkAnswer(t, d, asked, costs)
					checkMoves(t, d, asked, costs)
				}
				memory, now = d.Memory(), now.Add(time.Duration(rapid.IntRange(0, 25).Draw(t, "pause"))*time.Second)
			}
		}
	})
}

// checkServed checks that a decision serves no address that is offline, none that is down unless all of the set are, every
// one that is available, and something while there is something.
func checkServed(t *rapid.T, d *policy.Decision) {
	hasCandidate := false
	for i := range d.Policy.Sets {
		hasCandidate = hasCandidate || d.Sets[i].Candidates > 0
	}
	if d.Policy.WhenAllDown == policy.AllDownOpen && hasCandidate && len(d.Serve) == 0 {
		t.Fatalf("nothing is served: %s", d.Why)
	}
	if (d.Set < 0) != (len(d.Serve) == 0) || (d.Set < 0) != (d.Why == policy.Empty) {
		t.Fatalf("set %d serves %d addresses: %s", d.Set, len(d.Serve), d.Why)
	}
	if d.Set < 0 {
		return
	}
	state := d.Sets[d.Set]
	available, index := map[policy.PoolType]int{}, 0
	for _, member := range d.Policy.Sets[d.Set].Members {
		for range member.Pool.Addresses {
			if state.Standings[index].Available() {
				available[member.Pool.Type]++
			}
			index++
		}
	}
	if slices.Contains([]policy.Why{policy.Normal, policy.Failover, policy.Waiting, policy.Held}, d.Why) && !state.Available {
		t.Fatalf("the set in force is not available: %s", d.Why)
	}
	n := 0
	for m, member := range d.Policy.Sets[d.Set].Members {
		for a := range member.Pool.Addresses {
			standing := state.Standings[n]
			n++
			isServed := slices.Contains(d.Serve, policy.Ref{Member: m, Address: a, Share: policy.FullShare})
			open := available[member.Pool.Type] == 0 && d.Policy.WhenAllDown == policy.AllDownOpen
			want := standing.Available() || open && standing != policy.StandsOffline
			if isServed != want {
				t.Fatalf("an address that is %s of a set with %d available: served is %t", standing, state.Count, isServed)
			}
		}
	}
}

// checkMoves checks that clients whose nearest pools stay up keep their answer, whichever other pool goes down.
func checkMoves(t *rapid.T, d *policy.Decision, f policy.Family, costs policy.Costs) {
	if d.InForce() == nil || d.InForce().Balance != policy.BalanceNearest || d.Why == policy.FailOpen || d.Sets[d.Set].Count == 0 {
		return
	}
	before := policy.Compose(d, f, costs)
	for gone, member := range d.InForce().Members {
		// A copy of the decision in which the pool serves nothing. What it counts, and so what is open, stays as it is.
		without := *d
		without.Serve = slices.DeleteFunc(slices.Clone(d.Serve), func(ref policy.Ref) bool { return ref.Member == gone })
		after := policy.Compose(&without, f, costs)
		isAsked := false
		for _, g := range before.Groups {
			for _, r := range g.Records {
				for i := range member.Pool.Addresses {
					isAsked = isAsked || r.Address == &member.Pool.Addresses[i]
				}
			}
		}
		if !isAsked {
			equal(t, "answer without a pool that was not in it", showNames(after), showNames(before))
		}
	}
}

// checkUntil checks that a decision holds until it says, and changes then.
func checkUntil(t *rapid.T, r *randomWorld, d *policy.Decision, now time.Time) {
	if d.Until.IsZero() {
		later := policy.Decide(d.Policy, policy.State{Health: r.of}, d.Memory(), now.Add(1000*time.Hour))
		equal(t, "much later", [2]any{later.Set, later.Why}, [2]any{d.Set, d.Why})
		return
	}
	before := policy.Decide(d.Policy, policy.State{Health: r.of}, d.Memory(), d.Until.Add(-1))
	equal(t, "before", [3]any{before.Set, before.Why, before.Until}, [3]any{d.Set, d.Why, d.Until})
	then := policy.Decide(d.Policy, policy.State{Health: r.of}, d.Memory(), d.Until)
	if !d.Until.After(now) || then.Set == d.Set {
		t.Fatalf("%s, and then %s", show(d, now), show(then, now))
	}
}

// checkAnswer checks that an answer has exactly what the decision serves to the family, or a part of it that the balance
// allows, each record once, and weights to draw from. An answer by cost is what the golden model says.
func checkAnswer(t *rapid.T, d *policy.Decision, f policy.Family, costs policy.Costs) {
	served := map[string]bool{}
	for _, ref := range d.Serve {
		member := d.InForce().Members[ref.Member]
		if kind := member.Pool.Type; kind == policy.TypeDomain || (kind == policy.TypeIPv4) == (f == policy.IPv4) {
			served[member.Pool.Addresses[ref.Address].Name] = true
		}
	}
	answer := policy.Compose(d, f, costs)
	if want, isModelled := goldenCompose(d, f, costs); isModelled {
		equal(t, "answer", showNames(answer), want)
	}
	equal(t, "has an answer", len(answer.Groups) > 0, len(served) > 0)
	for _, g := range answer.Groups {
		names := map[string]bool{}
		for _, r := range g.Records {
			if !served[r.Address.Name] || names[r.Address.Name] {
				t.Fatalf("%s is in the answer, and not served or not once", r.Address.Name)
			}
			if names[r.Address.Name] = true; r.Weight == 0 && g.Balance != policy.BalanceAll {
				t.Fatalf("%s is drawn with weight 0", r.Address.Name)
			}
		}
		if g.Weight == 0 || len(g.Records) == 0 {
			t.Fatalf("a group of weight %d has %d records", g.Weight, len(g.Records))
		}
		if set := d.InForce(); set.Balance == policy.BalanceAll && len(names) != len(served) {
			t.Fatalf("balance all answers %d of %d addresses", len(names), len(served))
		}
	}
}
