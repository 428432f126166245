package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gtmd/policy"
)

// overrides are what an operator says of addresses, by remark.
type overrides map[string]policy.Override

func (o overrides) of(_ *policy.Set, _ *policy.Pool, a *policy.Address) policy.Override {
	return o[a.Remark]
}

// overridden reads texts such as "a1=down b2=drain": drains began 15 s ago and take a minute.
func overridden(text string) overrides {
	o := overrides{}
	for _, field := range strings.Fields(text) {
		remark, kind, _ := strings.Cut(field, "=")
		over := time.Minute
		if kind == "drained" {
			kind, over = "drain", 15*time.Second
		}
		o[remark] = policy.Override{Kind: policy.OverrideKind(kind), Since: epoch.Add(-15 * time.Second), Over: over}
	}
	return o
}

// TestOverrideStanding is the table of StandingOf: what an operator says beside mode and health.
func TestOverrideStanding(t *testing.T) {
	for _, row := range []struct {
		state, kind string
		want        policy.Standing
		available   bool
	}{
		{"+", "up", policy.StandsForcedUp, true}, {"-", "up", policy.StandsForcedUp, true}, {"x", "up", policy.StandsForcedUp, true},
		{"o", "up", policy.StandsForcedUp, true}, {".", "up", policy.StandsForcedUp, true},
		{"+", "down", policy.StandsForcedDown, false}, {"-", "down", policy.StandsForcedDown, false}, {"o", "down", policy.StandsForcedDown, false},
		{"x", "down", policy.StandsOffline, false}, {"?", "down", policy.StandsForcedDown, false}, {".", "down", policy.StandsForcedDown, false},
		{"+", "drain", policy.StandsDraining, true}, {"?", "drain", policy.StandsDraining, true}, {"o", "drain", policy.StandsDraining, true},
		{"-", "drain", policy.StandsDown, false}, {"x", "drain", policy.StandsOffline, false},
		{"+", "drained", policy.StandsDrained, false}, {"-", "drained", policy.StandsDrained, false}, {"x", "drained", policy.StandsOffline, false},
	} {
		w := newWorld()
		p := w.policy(policy.PolicyOptions{}, "a:"+row.state)
		d := policy.Decide(p, policy.State{Health: w.of, Override: overridden("a1=" + row.kind).of}, policy.Memory{}, epoch)
		got := d.Sets[0].Standings[0]
		equal(t, row.state+" "+row.kind, [2]any{got, got.Available()}, [2]any{row.want, row.available})
	}
}

// TestOverrideDecide decides with overrides.
func TestOverrideDecide(t *testing.T) {
	for _, row := range []struct {
		name, overrides, want string
		sets                  []string
	}{
		{"down leaves the others", "a1=down", "primary, normal: a2", []string{"a:++", "b:+"}},
		{"down of all switches", "a1=down a2=down", "backup, failover: b1", []string{"a:++", "b:+"}},
		{"up brings a dead one back", "a1=up", "primary, normal: a1", []string{"a:--", "b:+"}},
		{"up of an offline one", "a1=up", "primary, normal: a1", []string{"a:x", "b:+"}},
		{"draining counts", "a1=drain", "primary, normal: a1 until +45s", []string{"a:+", "b:+"}},
		{"draining and dead: the end of the drain matters all the same", "a1=drain", "primary, fail open: a1 a2 until +45s", []string{"a:--"}},
		{"drained is out", "a1=drained", "backup, failover: b1", []string{"a:+", "b:+"}},
		{"open, without those that are forced down", "a1=down", "primary, fail open: a2", []string{"a:+-", "b:-"}},
		{"open from the backup rather than what is forced down", "a1=down", "backup, fail open: b1", []string{"a:+", "b:-"}},
		{"open with what is forced down as the last thing", "a1=down b1=down", "primary, fail open: a1", []string{"a:+", "b:-"}},
		{"open never serves what is offline", "a1=down b1=down", "backup, fail open: b1", []string{"a:x", "b:-"}},
	} {
		w := newWorld()
		p := w.policy(policy.PolicyOptions{}, row.sets...)
		d := policy.Decide(p, policy.State{Health: w.of, Override: overridden(row.overrides).of}, policy.Memory{}, epoch)
		equal(t, row.name, show(d, epoch), row.want)
	}
}

// TestOverrideEmpty: who wants empty answers gets them.
func TestOverrideEmpty(t *testing.T) {
	w := newWorld()
	p := w.policy(policy.PolicyOptions{WhenAllDown: policy.AllDownEmpty}, "a:+", "b:+")
	d := policy.Decide(p, policy.State{Health: w.of, Override: overridden("a1=down b1=drained").of}, policy.Memory{}, epoch)
	equal(t, "decision", show(d, epoch), "nothing, empty")
}

// TestOverrideExpires: a decision changes by itself when an override ends.
func TestOverrideExpires(t *testing.T) {
	w := newWorld()
	p := w.policy(policy.PolicyOptions{}, "a:+", "b:+")
	o := overrides{"a1": {Kind: policy.OverrideDown, Since: epoch, Expires: epoch.Add(time.Minute)}}
	d := policy.Decide(p, policy.State{Health: w.of, Override: o.of}, policy.Memory{}, epoch)
	equal(t, "decision", show(d, epoch), "backup, failover: b1 until +1m0s")
}

// drained composes the answer of a set whose first address is being drained for 15 of 60 s: it has 14 of 20 parts of its weight.
func drained(t *testing.T, set, pool policy.Balance, states string) string {
	t.Helper()
	w := newWorld()
	w.pool("a", policy.TypeIPv4, pool, states, 1)
	o := policy.PolicyOptions{Primary: policy.SetOptions{Balance: set, Pools: []policy.PoolRefOptions{{Pool: "a", Weight: 1}}}}
	in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{o}}, w.pools)
	d := policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{Health: w.of, Override: overridden("a1=drain").of}, policy.Memory{}, epoch)
	return showAnswer(policy.Compose(d, policy.IPv4, nil))
}

// TestDrain: where weights count the weight falls, elsewhere a draining address is left out while there are others.
func TestDrain(t *testing.T) {
	const all, weight, sequence, sticky = policy.BalanceAll, policy.BalanceWeight, policy.BalanceSequence, policy.BalanceSticky
	for _, row := range []struct {
		set, pool    policy.Balance
		states, want string
	}{
		{weight, weight, "+2 +3", "1 weight: a1*30 a2*60"},
		{sticky, all, "+2 +3", "1 sticky: a1*30 a2*60"},
		{sequence, weight, "+ +", "1 weight: a1*15 a2*20"},
		{all, weight, "+ +", "1 all: a2"},
		{all, all, "+ -", "1 all: a1"},
		{weight, all, "+ +", "1 all: a2"},
		{weight, sequence, "+ +", "1 all: a2"},
		{sequence, all, "+", "1 all: a1"},
	} {
		equal(t, fmt.Sprint(row.set, " ", row.pool, " ", row.states), drained(t, row.set, row.pool, row.states), row.want)
	}
}

// TestDrainPool drains a whole pool: it loses its part of the set where its own weights count.
func TestDrainPool(t *testing.T) {
	w := newWorld()
	w.pool("a", policy.TypeIPv4, policy.BalanceWeight, "+ +", 1)
	w.pool("b", policy.TypeIPv4, policy.BalanceSticky, "+", 1)
	o := policy.PolicyOptions{Primary: policy.SetOptions{Balance: policy.BalanceWeight, Pools: []policy.PoolRefOptions{{Pool: "a", Weight: 5}, {Pool: "b", Weight: 5}}}}
	in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{o}}, w.pools)
	answer := func(said string) string {
		d := policy.Decide(in.Policies[0].Decided[policy.IPv4], policy.State{Health: w.of, Override: overridden(said).of}, policy.Memory{}, epoch)
		return showAnswer(policy.Compose(d, policy.IPv4, nil))
	}
	equal(t, "nothing", answer(""), "5 weight: a1*1 a2*1 | 5 sticky: b1*1")
	equal(t, "one address", answer("a1=drain"), "4375 weight: a1*15 a2*20 | 5000 sticky: b1*20")
	equal(t, "the pool", answer("a1=drain a2=drain"), "3750 weight: a1*15 a2*15 | 5000 sticky: b1*20")
}

// TestSlowStart follows the weight of an address that has recovered, beside one that has always been up.
func TestSlowStart(t *testing.T) {
	w := newWorld()
	w.pool("a", policy.TypeIPv4, policy.BalanceWeight, "+ +", 1)
	for i := range w.pools["a"].Addresses {
		w.pools["a"].Addresses[i].SlowStart = time.Minute
	}
	o := policy.PolicyOptions{Primary: policy.SetOptions{Balance: policy.BalanceWeight, Pools: []policy.PoolRefOptions{{Pool: "a", Weight: 1}}}}
	in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{o}}, w.pools)
	state := policy.State{Health: w.of, Recovered: func(a *policy.Address) time.Time {
		if a.Remark == "a1" {
			return epoch
		}
		return time.Time{}
	}}
	answer := func(after time.Duration) (string, time.Time) {
		d := policy.Decide(in.Policies[0].Decided[policy.IPv4], state, policy.Memory{}, epoch.Add(after))
		return showAnswer(policy.Compose(d, policy.IPv4, nil)), d.Again
	}
	for _, row := range []struct {
		after time.Duration
		want  string
	}{
		{0, "1 weight: a1*1 a2*20"}, {3*time.Second - 1, "1 weight: a1*1 a2*20"}, {3 * time.Second, "1 weight: a1*1 a2*20"},
		{6 * time.Second, "1 weight: a1*2 a2*20"}, {30 * time.Second, "1 weight: a1*10 a2*20"},
		{time.Minute - 1, "1 weight: a1*19 a2*20"}, {time.Minute, "1 weight: a1*1 a2*1"}, {time.Hour, "1 weight: a1*1 a2*1"},
	} {
		got, _ := answer(row.after)
		equal(t, row.after.String(), got, row.want)
	}
	// Every step comes by itself: going from one to the next ends with the full weight.
	steps, now := 0, time.Duration(0)
	for _, again := answer(now); !again.IsZero(); _, again = answer(now) {
		if next := again.Sub(epoch); next <= now || next-now < time.Second {
			t.Fatalf("after %v the next step is at %v", now, next)
		} else {
			now = next
		}
		steps++
	}
	equal(t, "steps and time", [2]any{steps, now}, [2]any{20, time.Minute})
}

// TestOverrideProperties takes random policies through random overrides: what an operator forces down is served only when
// nothing else could be, what is offline never, and a TTL never promises more than the time to the next change.
func TestOverrideProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawWorld(t)
		r.drawHealth(t)
		ttl := rapid.IntRange(1, 300).Draw(t, "ttl")
		in := policy.NewInstance(policy.InstanceOptions{TTL: ttl, TTLMin: rapid.IntRange(0, 60).Draw(t, "ttl_min"), Policies: []policy.PolicyOptions{r.policy}}, r.pools)
		said := map[string]policy.Override{}
		earliest := map[string]time.Time{}
		for _, pool := range r.pools {
			for _, a := range pool.Addresses {
				kind := rapid.SampledFrom([]policy.OverrideKind{"", "", policy.OverrideUp, policy.OverrideDown, policy.OverrideDrain}).Draw(t, "override")
				if kind != "" {
					said[a.Name] = policy.Override{Kind: kind, Since: epoch.Add(-time.Duration(rapid.IntRange(0, 90).Draw(t, "began")) * time.Second), Over: time.Minute}
				}
				if rapid.IntRange(0, 3).Draw(t, "turning") == 0 {
					earliest[a.Name] = epoch.Add(time.Duration(rapid.IntRange(-5, 500).Draw(t, "earliest")) * time.Second)
				}
			}
		}
		state := policy.State{
			Health: func(a *policy.Address) policy.Health {
				return a.Health(func(id string) policy.Health { return r.health[id] })
			},
			Override: func(_ *policy.Set, _ *policy.Pool, a *policy.Address) policy.Override { return said[a.Name] },
			Earliest: func(a *policy.Address) time.Time { return earliest[a.Name] },
		}
		for _, p := range in.Policies[0].Decided {
			if p == nil {
				continue
			}
			d := policy.Decide(p, state, policy.Memory{}, epoch)
			checkForced(t, d)
			checkTTL(t, p, d, earliest)
		}
	})
}

func checkForced(t *rapid.T, d *policy.Decision) {
	unforced := map[policy.PoolType]bool{} // some address in force that nobody forces down, of that type
	if d.Set < 0 {
		return
	}
	each := func(visit func(kind policy.PoolType, standing policy.Standing, isServed bool)) {
		n := 0
		for m, member := range d.InForce().Members {
			for a := range member.Pool.Addresses {
				isServed := false
				for _, ref := range d.Serve {
					isServed = isServed || ref.Member == m && ref.Address == a
				}
				visit(member.Pool.Type, d.Sets[d.Set].Standings[n], isServed)
				n++
			}
		}
	}
	isForced := func(s policy.Standing) bool { return s == policy.StandsForcedDown || s == policy.StandsDrained }
	each(func(kind policy.PoolType, standing policy.Standing, _ bool) {
		unforced[kind] = unforced[kind] || !isForced(standing) && standing != policy.StandsOffline
	})
	each(func(kind policy.PoolType, standing policy.Standing, isServed bool) {
		switch {
		case isServed && standing == policy.StandsOffline:
			t.Fatal("serves what is offline")
		case isServed && isForced(standing) && unforced[kind]:
			t.Fatalf("serves what is %s beside others (%s)", standing, d.Why)
		case !isServed && standing.Available():
			t.Fatalf("does not serve what is %s", standing)
		}
	})
}

// checkTTL checks that an answer given at any time while the decision holds has run out when something changes.
func checkTTL(t *rapid.T, p *policy.Policy, d *policy.Decision, earliest map[string]time.Time) {
	if p.MinTTL == 0 || p.MinTTL >= p.TTL {
		equal(t, "TTL", d.TTL, p.TTL)
		return
	}
	if d.TTL > p.TTL || d.TTL < p.MinTTL {
		t.Fatalf("TTL %d, wanted %d to %d", d.TTL, p.MinTTL, p.TTL)
	}
	var change time.Time
	for _, set := range p.Sets {
		for _, m := range set.Members {
			for _, a := range m.Pool.Addresses {
				if at := earliest[a.Name]; len(a.Targets) > 0 && !at.IsZero() && (change.IsZero() || at.Before(change)) {
					change = at
				}
			}
		}
	}
	last := d.Again // the last moment at which such an answer is given
	if last.IsZero() {
		if !change.IsZero() && d.TTL > p.MinTTL {
			t.Fatalf("something changes at %v and the TTL stays %d for ever", change.Sub(epoch), d.TTL)
		}
		if change.IsZero() {
			equal(t, "TTL of a stable answer", d.TTL, p.TTL)
		}
		return
	}
	if promised := last.Add(time.Duration(d.TTL) * time.Second); !change.IsZero() && d.TTL > p.MinTTL && promised.After(change) {
		t.Fatalf("at %v the TTL is still %d, and something changes at %v", last.Sub(epoch), d.TTL, change.Sub(epoch))
	}
}

// TestTTL follows the TTL of an answer whose address may turn in 100 s: it is halved again and again.
func TestTTL(t *testing.T) {
	w := newWorld()
	w.pool("a", policy.TypeIPv4, policy.BalanceAll, "+", 1)
	set := policy.SetOptions{Balance: policy.BalanceAll, Pools: []policy.PoolRefOptions{{Pool: "a", Weight: 1}}}
	in := policy.NewInstance(policy.InstanceOptions{TTL: 60, TTLMin: 5, Policies: []policy.PolicyOptions{{Primary: set}}}, w.pools)
	state := policy.State{Health: w.of, Earliest: func(*policy.Address) time.Time { return epoch.Add(100 * time.Second) }}
	var got []string
	for now := epoch; ; {
		d := policy.Decide(in.Policies[0].Decided[policy.IPv4], state, policy.Memory{}, now)
		got = append(got, fmt.Sprintf("%v: %d", now.Sub(epoch), d.TTL))
		if d.Again.IsZero() {
			break
		}
		now = d.Again
	}
	equal(t, "TTLs", strings.Join(got, ", "), "0s: 60, 40s: 30, 1m10s: 15, 1m25s: 7, 1m33s: 5")
}
