package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"gtmd/policy"
)

// refs makes the pools of a set, each of weight 1.
func refs(pools ...string) policy.SetOptions {
	var o policy.SetOptions
	for _, name := range pools {
		o.Pools = append(o.Pools, policy.PoolRefOptions{Pool: name, Weight: 1})
	}
	return o
}

// mixed is a world with two pools of each type: v and w of IPv4, s and t of IPv6, d and e of domain names.
func mixed(v, w, s, t, d, e string) *world {
	made := newWorld()
	made.pool("v", policy.TypeIPv4, policy.BalanceAll, v, 1)
	made.pool("w", policy.TypeIPv4, policy.BalanceAll, w, 1)
	made.pool("s", policy.TypeIPv6, policy.BalanceAll, s, 1)
	made.pool("t", policy.TypeIPv6, policy.BalanceAll, t, 1)
	made.pool("d", policy.TypeDomain, policy.BalanceWeight, d, 1)
	made.pool("e", policy.TypeDomain, policy.BalanceWeight, e, 1)
	return made
}

func TestNewPool(t *testing.T) {
	var asked []string
	pool := policy.NewPool(policy.PoolOptions{
		Name: "test1", Type: policy.TypeIPv6, Balance: policy.BalanceSticky, Addresses: []policy.AddressOptions{
			{Address: "2001:DB8:0::1", Mode: policy.ModeIntelligent, Weight: 3, Remark: "rack 2"},
			{Address: "2001:db8::2", Mode: policy.ModeOnline, Weight: 1_000_000},
			{Address: "2001:db8::3", Mode: policy.ModeOffline},
		},
	}, func(a *policy.AddressOptions) [][]string {
		asked = append(asked, a.Address)
		return [][]string{{"web 2001:db8::1"}}
	})
	want := &policy.Pool{Name: "test1", Type: policy.TypeIPv6, Balance: policy.BalanceSticky, Addresses: []policy.Address{
		{Name: "2001:db8::1", IP: netip.MustParseAddr("2001:db8::1"), Mode: policy.ModeIntelligent, Weight: 3,
			Remark: "rack 2", Targets: [][]string{{"web 2001:db8::1"}}},
		{Name: "2001:db8::2", IP: netip.MustParseAddr("2001:db8::2"), Mode: policy.ModeOnline, Weight: 1_000_000},
		{Name: "2001:db8::3", IP: netip.MustParseAddr("2001:db8::3"), Mode: policy.ModeOffline},
	}}
	same(t, "pool", pool, want)
	equal(t, "targets asked", strings.Join(asked, " "), "2001:DB8:0::1")
}

// TestNewPoolUnprobed checks a pool without a health check: its intelligent addresses have no target.
func TestNewPoolUnprobed(t *testing.T) {
	pool := policy.NewPool(policy.PoolOptions{Name: "test1", Type: policy.TypeIPv4, Addresses: []policy.AddressOptions{
		{Address: "192.0.2.1", Mode: policy.ModeIntelligent, Weight: 1},
	}}, nil)
	equal(t, "targets", len(pool.Addresses[0].Targets), 0)
	w := newWorld()
	w.pools["test1"] = pool
	d := policy.Decide(w.policy(policy.PolicyOptions{}, "test1:"), policy.State{}, policy.Memory{}, epoch)
	equal(t, "standing", d.Sets[0].Standings[0], policy.StandsUnprobed)
}

// TestNewPoolDomain checks that names of a domain pool are kept as they are, with the targets behind them.
func TestNewPoolDomain(t *testing.T) {
	pool := policy.NewPool(policy.PoolOptions{Name: "cdn", Type: policy.TypeDomain, Addresses: []policy.AddressOptions{
		{Address: "origin.example.net.", Mode: policy.ModeIntelligent, Weight: 2},
	}}, func(*policy.AddressOptions) [][]string { return [][]string{{"a"}, {"b"}} })
	same(t, "pool", pool, &policy.Pool{Name: "cdn", Type: policy.TypeDomain, Addresses: []policy.Address{
		{Name: "origin.example.net.", Mode: policy.ModeIntelligent, Weight: 2, Targets: [][]string{{"a"}, {"b"}}}}})
}

// TestNewInstance compiles a policy whose sets mix families: each family has its own backups and its own threshold.
func TestNewInstance(t *testing.T) {
	w := mixed("+-", "+", "+-", "+", "+", "+")
	primary, backup, second := refs("v", "s"), refs("w"), refs("w", "t")
	primary.MinAvailable, primary.MaxAnswers, primary.Balance = policy.Count(2), 3, policy.BalanceAll
	primary.Pools[1].Weight = 7
	in := policy.NewInstance(policy.InstanceOptions{
		Name: "cdn-origin", AccessDomain: "origin.gtm.example.com.", TTL: 60,
		Policies: []policy.PolicyOptions{{
			Name: "Global", Sources: []string{"global"}, Primary: primary, Backup: []policy.SetOptions{backup, second},
			Switch: policy.SwitchBackup, Failback: policy.FailbackManual, FailbackDelay: 30, WhenAllDown: policy.AllDownEmpty,
			FallThrough: true,
		}},
	}, w.pools)
	member := func(name string, weight uint32) policy.Member {
		return policy.Member{Pool: w.pools[name], Weight: weight}
	}
	first := policy.Set{Role: "primary", Balance: policy.BalanceAll, MinAvailable: policy.Count(2), MaxAnswers: 3}
	compiled := func(f policy.Family, sets ...policy.Set) *policy.Policy {
		return &policy.Policy{Name: "Global", Family: f, Sets: sets, Switch: policy.SwitchBackup,
			Failback: policy.FailbackManual, FailbackDelay: 30, WhenAllDown: policy.AllDownEmpty, TTL: 60}
	}
	first4, first6 := first, first
	first4.Members = []policy.Member{member("v", 1)}
	first6.Members = []policy.Member{member("s", 7)}
	want := &policy.Instance{
		Name: "cdn-origin", AccessDomain: "origin.gtm.example.com.", TTL: 60,
		Policies: []policy.Access{{
			Name: "Global", Sources: []string{"global"}, FallThrough: true,
			Decided: [2]*policy.Policy{
				compiled(policy.IPv4, first4, policy.Set{Role: "backup", Members: []policy.Member{member("w", 1)}},
					policy.Set{Role: "backup 2", Members: []policy.Member{member("w", 1)}}),
				compiled(policy.IPv6, first6, policy.Set{Role: "backup 2", Members: []policy.Member{member("t", 1)}}),
			},
		}},
	}
	same(t, "instance", in, want)
}

// TestFamilies decides mixed sets for each family on its own.
func TestFamilies(t *testing.T) {
	pin := func(s policy.Switch) policy.PolicyOptions { return policy.PolicyOptions{Switch: s} }
	two := refs("v", "s")
	two.MinAvailable = policy.Count(2)
	for _, row := range []struct {
		name       string
		world      *world
		options    policy.PolicyOptions
		primary    policy.SetOptions
		backup     []policy.SetOptions
		ipv4, ipv6 string
	}{
		{"both up", mixed("+", "+", "+", "+", "+", "+"), policy.PolicyOptions{}, refs("v", "s"),
			[]policy.SetOptions{refs("w", "t")}, "primary, normal: v1", "primary, normal: s1"},
		{"IPv6 down", mixed("+", "+", "-", "+", "+", "+"), policy.PolicyOptions{}, refs("v", "s"),
			[]policy.SetOptions{refs("w", "t")}, "primary, normal: v1", "backup, failover: t1"},
		{"a threshold for each family", mixed("++", "+", "+-", "+", "+", "+"), policy.PolicyOptions{}, two,
			[]policy.SetOptions{refs("w", "t")}, "primary, normal: v1 v2", "backup, failover: t1"},
		{"no IPv6 pool", mixed("+", "+", "+", "+", "+", "+"), policy.PolicyOptions{}, refs("v"),
			[]policy.SetOptions{refs("w")}, "primary, normal: v1", "none"},
		{"no IPv4 pool", mixed("+", "+", "-", "+", "+", "+"), policy.PolicyOptions{}, refs("s"),
			[]policy.SetOptions{refs("t")}, "none", "backup, failover: t1"},
		{"IPv6 in the backup only", mixed("+", "+", "+", "+", "+", "+"), policy.PolicyOptions{}, refs("v"),
			[]policy.SetOptions{refs("t")}, "primary, normal: v1", "backup, normal: t1"},
		{"no backup for IPv6", mixed("-", "+", "-", "+", "+", "+"), policy.PolicyOptions{}, refs("v", "s"),
			[]policy.SetOptions{refs("w")}, "backup, failover: w1", "primary, fail open: s1"},
		{"pinned to the backup, which has no IPv6", mixed("+", "+", "+", "+", "+", "+"), pin(policy.SwitchBackup), refs("v", "s"),
			[]policy.SetOptions{refs("w")}, "backup, pinned: w1", "primary, normal: s1"},
		{"pinned to the backup, which has IPv6 in the second", mixed("+", "+", "+", "+", "+", "+"), pin(policy.SwitchBackup),
			refs("v", "s"), []policy.SetOptions{refs("w"), refs("t")}, "backup, pinned: w1", "backup 2, pinned: t1"},
		{"pinned to the primary, which has no IPv6", mixed("+", "+", "-", "+", "+", "+"), pin(policy.SwitchPrimary), refs("v"),
			[]policy.SetOptions{refs("s"), refs("t")}, "primary, pinned: v1", "backup 2, failover: t1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := row.options
			o.Primary, o.Backup = row.primary, row.backup
			in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{o}}, row.world.pools)
			equal(t, "together", in.Together, false)
			for f, want := range []string{policy.IPv4: row.ipv4, policy.IPv6: row.ipv6} {
				got := "none"
				if p := in.Policies[0].Decided[f]; p != nil {
					got = show(policy.Decide(p, policy.State{Health: row.world.of}, policy.Memory{}, epoch), epoch)
				}
				equal(t, policy.Family(f).String(), got, want)
			}
		})
	}
}

// TestTogether checks an instance with a domain set: the policy that has it takes one decision for both families, in which
// a set needs enough addresses of each family that it has. The other policy decides for each family as ever.
func TestTogether(t *testing.T) {
	for _, row := range []struct {
		name          string
		v, s          string
		want          string
		ipv4, ipv6    string
		ipv4of, ipv6o string // answers of the other policy, which has IPv4 only
	}{
		{"primary", "+-", "+", "primary, normal: v1 s1", "1 all: v1", "1 all: s1", "1 all: w1", ""},
		{"one family of the primary", "++", "-", "backup, failover: d1 d2", "1 weight: d1*1 d2*1", "1 weight: d1*1 d2*1", "1 all: w1", ""},
		{"the other family of the primary", "-", "+", "backup, failover: d1 d2", "1 weight: d1*1 d2*1", "1 weight: d1*1 d2*1", "1 all: w1", ""},
		{"backup", "--", "-", "backup, failover: d1 d2", "1 weight: d1*1 d2*1", "1 weight: d1*1 d2*1", "1 all: w1", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := mixed(row.v, "+", row.s, "+", "..", ".")
			addresses, names, other := refs("v", "s"), refs("d"), refs("w")
			addresses.Balance, names.Balance, other.Balance = policy.BalanceAll, policy.BalanceWeight, policy.BalanceAll
			in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{
				{Name: "Office", Sources: []string{"office"}, Primary: other},
				{Name: "Global", Sources: []string{"global"}, Primary: addresses, Backup: []policy.SetOptions{names}},
			}}, w.pools)
			equal(t, "together", in.Together, true)
			if access := in.Policies[1]; access.Decided[policy.IPv4] != access.Decided[policy.IPv6] {
				t.Errorf("policy %s is decided twice", access.Name)
			}
			equal(t, "family", in.Policies[1].Decided[policy.IPv4].Family, policy.FamilyBoth)
			equal(t, "family of the other policy", in.Policies[0].Decided[policy.IPv4].Family, policy.IPv4)
			if in.Policies[0].Decided[policy.IPv6] != nil {
				t.Error("the other policy, which has IPv4 only, is decided for IPv6")
			}
			d := policy.Decide(in.Policies[1].Decided[0], policy.State{Health: w.of}, policy.Memory{}, epoch)
			equal(t, "decision", show(d, epoch), row.want)
			equal(t, "A", showAnswer(policy.Compose(d, policy.IPv4, nil)), row.ipv4)
			equal(t, "AAAA", showAnswer(policy.Compose(d, policy.IPv6, nil)), row.ipv6)
			d = policy.Decide(in.Policies[0].Decided[0], policy.State{Health: w.of}, policy.Memory{}, epoch)
			equal(t, "A of the other policy", showAnswer(policy.Compose(d, policy.IPv4, nil)), row.ipv4of)
			equal(t, "AAAA of the other policy", showAnswer(policy.Compose(d, policy.IPv6, nil)), row.ipv6o)
		})
	}
}

// TestJointOpen checks a joint set that is in force although one of its families has nothing: pinned, or the only one. That
// family is answered open, unless nothing is to be answered then.
func TestJointOpen(t *testing.T) {
	for _, row := range []struct {
		name       string
		options    policy.PolicyOptions
		want       string
		ipv4, ipv6 string
	}{
		{"open", policy.PolicyOptions{}, "primary, degraded: v1 s1", "1 all: v1", "1 all: s1"},
		{"pinned", policy.PolicyOptions{Switch: policy.SwitchPrimary}, "primary, pinned: v1 s1", "1 all: v1", "1 all: s1"},
		{"empty", policy.PolicyOptions{WhenAllDown: policy.AllDownEmpty}, "primary, degraded: s1", "", "1 all: s1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := mixed("-", "+", "+", "+", "xx", ".")
			addresses, names := refs("v", "s"), refs("d")
			addresses.Balance, names.Balance = policy.BalanceAll, policy.BalanceWeight
			o := row.options
			o.Sources, o.Primary, o.Backup = []string{"global"}, addresses, []policy.SetOptions{names}
			in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{o}}, w.pools)
			d := policy.Decide(in.Policies[0].Decided[0], policy.State{Health: w.of}, policy.Memory{}, epoch)
			equal(t, "decision", show(d, epoch), row.want)
			equal(t, "A", showAnswer(policy.Compose(d, policy.IPv4, nil)), row.ipv4)
			equal(t, "AAAA", showAnswer(policy.Compose(d, policy.IPv6, nil)), row.ipv6)
		})
	}
}

// TestJoint checks which policies decide once for both families: those with a domain set, and those that answer in the
// place of, or through, one that has.
func TestJoint(t *testing.T) {
	w := mixed("+", "+", "+", "+", "..", ".")
	for _, row := range []struct {
		name           string
		office, global string
		through        bool
		want           []bool
	}{
		{"no domain set", "v", "w", true, []bool{false, false}},
		{"a domain set beside", "d", "w", false, []bool{true, false}},
		{"a domain set that falls through", "d", "w", true, []bool{true, true}},
		{"a domain set as global", "v", "d", false, []bool{false, true}},
		{"falls through to a domain set", "v", "d", true, []bool{true, true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{
				{Name: "Office", Sources: []string{"office"}, Primary: refs(row.office), FallThrough: row.through},
				{Name: "Global", Sources: []string{"global"}, Primary: refs(row.global)},
			}}, w.pools)
			for i, want := range row.want {
				equal(t, in.Policies[i].Name, in.Policies[i].Decided[policy.IPv4].Family == policy.FamilyBoth, want)
			}
		})
	}
}

func TestGlobal(t *testing.T) {
	w := mixed("+", "+", "+", "+", "+", "+")
	for _, row := range []struct {
		name       string
		policies   []policy.PolicyOptions
		ipv4, ipv6 int
	}{
		{"none", []policy.PolicyOptions{{Sources: []string{"office"}, Primary: refs("v", "s")}}, -1, -1},
		{"global", []policy.PolicyOptions{
			{Sources: []string{"office"}, Primary: refs("v")}, {Sources: []string{"telecom", "global"}, Primary: refs("v", "s")}}, 1, 1},
		{"default", []policy.PolicyOptions{{Sources: []string{"default"}, Primary: refs("v", "s")}}, 0, 0},
		{"one for each family", []policy.PolicyOptions{
			{Sources: []string{"global"}, Primary: refs("s")}, {Sources: []string{"global"}, Primary: refs("v")}}, 1, 0},
		{"for one family only", []policy.PolicyOptions{{Sources: []string{"global"}, Primary: refs("v")}}, 0, -1},
	} {
		in := policy.NewInstance(policy.InstanceOptions{Policies: row.policies}, w.pools)
		equal(t, row.name+", IPv4", in.Global(policy.IPv4), row.ipv4)
		equal(t, row.name+", IPv6", in.Global(policy.IPv6), row.ipv6)
	}
}

// TestAnswering is fall_through: policy 0 is that of an office, policy 1 that of all others.
func TestAnswering(t *testing.T) {
	for _, row := range []struct {
		name           string
		fallThrough    bool
		office         []string
		officeSwitch   policy.Switch
		global         []string // sets of the global policy; none: the instance has no global policy
		globalAllDown  policy.WhenAllDown
		office0, other int
	}{
		{"office up", true, []string{"a:+", "b:-"}, policy.SwitchAuto, []string{"c:+"}, policy.AllDownOpen, 0, 1},
		{"office down", true, []string{"a:-", "b:-"}, policy.SwitchAuto, []string{"c:+"}, policy.AllDownOpen, 1, 1},
		{"office offline", true, []string{"a:x"}, policy.SwitchAuto, []string{"c:+"}, policy.AllDownOpen, 1, 1},
		{"office down, final", false, []string{"a:-"}, policy.SwitchAuto, []string{"c:+"}, policy.AllDownOpen, 0, 1},
		{"office in its backup", true, []string{"a:-", "b:+"}, policy.SwitchAuto, []string{"c:+"}, policy.AllDownOpen, 0, 1},
		{"office degraded", true, []string{"2 a:-+", "2 b:--"}, policy.SwitchAuto, []string{"c:+"}, policy.AllDownOpen, 0, 1},
		{"office pinned to a set that is down", true, []string{"a:-", "b:+"}, policy.SwitchPrimary, []string{"c:+"}, policy.AllDownOpen, 0, 1},
		{"office pinned, all down", true, []string{"a:-", "b:-"}, policy.SwitchPrimary, []string{"c:+"}, policy.AllDownOpen, 1, 1},
		{"global down, open", true, []string{"a:-"}, policy.SwitchAuto, []string{"c:-"}, policy.AllDownOpen, 1, 1},
		{"global down, empty", true, []string{"a:-"}, policy.SwitchAuto, []string{"c:-"}, policy.AllDownEmpty, 0, 1},
		{"global offline", true, []string{"a:-"}, policy.SwitchAuto, []string{"c:x"}, policy.AllDownOpen, 0, 1},
		{"no global policy", true, []string{"a:-"}, policy.SwitchAuto, nil, policy.AllDownOpen, 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			w, others := newWorld(), "global"
			if row.global == nil {
				others, row.global = "telecom", []string{"c:+"}
			}
			options := []policy.PolicyOptions{
				{Sources: []string{"office"}, FallThrough: row.fallThrough, Switch: row.officeSwitch},
				{Sources: []string{others}, WhenAllDown: row.globalAllDown},
			}
			for i, sets := range [][]string{row.office, row.global} {
				options[i].Primary = w.set(sets[0])
				for _, text := range sets[1:] {
					options[i].Backup = append(options[i].Backup, w.set(text))
				}
			}
			in := policy.NewInstance(policy.InstanceOptions{Policies: options}, w.pools)
			decided := func(i int) *policy.Decision {
				return policy.Decide(in.Policies[i].Decided[policy.IPv4], policy.State{Health: w.of}, policy.Memory{}, epoch)
			}
			equal(t, "office", in.Answering(0, policy.IPv4, decided), row.office0)
			equal(t, "others", in.Answering(1, policy.IPv4, decided), row.other)
		})
	}
}
