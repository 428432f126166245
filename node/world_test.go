package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// region is a configuration of two instances. In the first, Office and Lab fall through to Global; Lab has no IPv6 pool.
// The second has a domain set, so its policy is decided for both families together.
const region = `
[[zone]]
name = "gtm.test"
nameservers = ["ns.example.net"]
contact = "hostmaster@gtm.test"
[[geo.line]]
name = "office"
prefixes = ["198.51.100.0/24"]
[[geo.line]]
name = "lab"
prefixes = ["203.0.113.0/24"]
[[health_check]]
name = "web"
protocol = "http"
[[pool]]
name = "a"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.1"]
[[pool]]
name = "b"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.2", "192.0.2.1"]
[[pool]]
name = "six"
type = "ipv6"
health_check = "web"
addresses = ["2001:db8::1"]
[[pool]]
name = "names"
type = "domain"
addresses = ["origin.elsewhere.test"]

[[instance]]
name = "one"
access_domain = "one.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["a", "six"] }
backup = { pools = ["b"] }
[[instance.policy]]
name = "Office"
sources = ["office"]
primary = { pools = ["b", "six"] }
fall_through = true
[[instance.policy]]
name = "Lab"
sources = ["lab"]
primary = { pools = ["a"] }
fall_through = true

[[instance]]
name = "two"
access_domain = "two.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["default"]
primary = { pools = ["a"] }
backup = { pools = ["names"] }
[[instance.policy]]
name = "Office"
sources = ["office"]
primary = { pools = ["b"] }
fall_through = true
`

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// planOf compiles a configuration.
func planOf(t *testing.T, text string) *plan {
	t.Helper()
	c, err := config.LoadText("gtmd.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := compile(c, healthcheck.NewProber(), newAtlas(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// statusOf has a verdict for each address written as "192.0.2.1+": + is up, - down, ? unknown.
func statusOf(verdicts ...string) *healthcheck.Status {
	targets := map[string]healthcheck.TargetStatus{}
	for _, v := range verdicts {
		address, sign := v[:len(v)-1], v[len(v)-1:]
		verdict := map[string]healthcheck.Verdict{"+": healthcheck.Up, "-": healthcheck.Down, "?": healthcheck.Unknown}[sign]
		reason := map[string]string{"-": "refused"}[sign]
		targets[address+"/web"] = healthcheck.TargetStatus{Track: healthcheck.Track{Verdict: verdict, Reason: reason}}
	}
	return healthcheck.NewStatus(targets)
}

func worldOf(t *testing.T, text string, memory map[policyKey]policy.Memory, now time.Time, verdicts ...string) *world {
	t.Helper()
	w, err := first(planOf(t, text), statusOf(verdicts...), heritage{memory: memory}, 7, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// names writes slots as people do, sorted.
func (p *plan) slotNames(slots []slot) string {
	var all []string
	for _, s := range slots {
		in := p.instances[s.Instance]
		all = append(all, fmt.Sprintf("%s/%s/%v", in.Name, in.Policies[s.Policy].Name, s.Family))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func check[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestSlots(t *testing.T) {
	p := planOf(t, region)
	check(t, "slots", p.slotNames(p.slots), "one/Global/ipv4 one/Global/ipv6 one/Lab/ipv4 one/Office/ipv4 one/Office/ipv6 two/Global/ipv4 two/Office/ipv4")
	var targets []string
	for _, target := range p.targets {
		targets = append(targets, target.ID)
	}
	check(t, "targets", targets, []string{"192.0.2.1/web", "192.0.2.2/web", "2001:db8::1/web"})
	for id, want := range map[string]string{
		"192.0.2.1/web":   "one/Global/ipv4 one/Lab/ipv4 one/Office/ipv4 two/Global/ipv4 two/Office/ipv4",
		"192.0.2.2/web":   "one/Global/ipv4 one/Office/ipv4 two/Office/ipv4",
		"2001:db8::1/web": "one/Global/ipv6 one/Office/ipv6",
	} {
		check(t, "users of "+id, p.slotNames(p.users[id]), want)
	}
}

func TestPacked(t *testing.T) {
	p := planOf(t, region)
	for _, row := range []struct {
		slot slot
		want string
	}{
		{slot{Instance: 0, Policy: 0, Family: policy.IPv4}, "one/Global/ipv4 one/Lab/ipv4 one/Office/ipv4"},
		{slot{Instance: 0, Policy: 0, Family: policy.IPv6}, "one/Global/ipv6 one/Office/ipv6"}, // Lab has no IPv6
		{slot{Instance: 0, Policy: 1, Family: policy.IPv4}, "one/Office/ipv4"},
		{slot{Instance: 1, Policy: 0, Family: policy.IPv4}, "two/Global/ipv4 two/Global/ipv6 two/Office/ipv4 two/Office/ipv6"},
		{slot{Instance: 1, Policy: 1, Family: policy.IPv4}, "two/Office/ipv4 two/Office/ipv6"},
	} {
		check(t, p.slotNames([]slot{row.slot}), p.slotNames(p.packed(row.slot)), row.want)
	}
}

func TestDue(t *testing.T) {
	up := []string{"192.0.2.1+", "192.0.2.2+", "2001:db8::1+"}
	for _, row := range []struct {
		name   string
		before []string
		after  []string
		want   string
	}{
		{"nothing", up, up, ""},
		{"one turns", up, []string{"192.0.2.1+", "192.0.2.2-", "2001:db8::1+"}, "one/Global/ipv4 one/Office/ipv4 two/Office/ipv4"},
		{"two turn: each decision once", up, []string{"192.0.2.1-", "192.0.2.2-", "2001:db8::1+"},
			"one/Global/ipv4 one/Lab/ipv4 one/Office/ipv4 two/Global/ipv4 two/Office/ipv4"},
		{"first verdicts", []string{"192.0.2.1?", "192.0.2.2?", "2001:db8::1?"}, []string{"192.0.2.1?", "192.0.2.2?", "2001:db8::1+"}, "one/Global/ipv6 one/Office/ipv6"},
		{"a target that the engine did not have yet is unknown", nil, []string{"192.0.2.1?", "192.0.2.2?", "2001:db8::1?"}, ""},
		{"it comes with a saved verdict", nil, []string{"192.0.2.1?", "192.0.2.2?", "2001:db8::1-"}, "one/Global/ipv6 one/Office/ipv6"},
		{"a target that the engine has no longer", []string{"192.0.2.1+", "192.0.2.2+", "2001:db8::1-"}, up[:2], "one/Global/ipv6 one/Office/ipv6"},
		{"a target that nobody uses", up, append([]string{"192.0.2.9-"}, up...), ""},
	} {
		w := worldOf(t, region, nil, at(0), row.before...)
		check(t, row.name, w.slotNames(w.due(statusOf(row.after...), at(60))), row.want)
	}
}

// delayed has one policy that waits before it fails back.
var delayed = strings.Replace(strings.Split(region, "[[instance.policy]]\nname = \"Office\"")[0],
	"sources = [\"global\"]", "sources = [\"global\"]\nfailback_delay = \"30s\"", 1)

func TestNext(t *testing.T) {
	up := []string{"192.0.2.1+", "192.0.2.2+", "2001:db8::1+"}
	w := worldOf(t, delayed, nil, at(0), up...)
	check(t, "until", w.again(), time.Time{})

	// Without a change the view is shared, and the status is the new one.
	status := statusOf(up...)
	same := w.next(status, nil, at(1))
	if same.view != w.view || same.status != status || same == w {
		t.Error("the next world without a change is not right")
	}

	down := w.next(statusOf("192.0.2.1-", "192.0.2.2+", "2001:db8::1+"), nil, at(10))
	s := slot{Instance: 0, Policy: 0, Family: policy.IPv4}
	check(t, "generation", down.view.Generation, 8)
	check(t, "in force", roleOf(down.decision(s)), "backup")
	check(t, "before", roleOf(w.decision(s)), "primary") // w is as it was
	check(t, "memory before", w.memory()[w.key(s)].Role, "primary")

	recovered := down.next(statusOf(up...), nil, at(20))
	check(t, "in force", roleOf(recovered.decision(s)), "backup")
	check(t, "until", recovered.again(), at(50))
	check(t, "too early", recovered.slotNames(recovered.due(recovered.status, at(49))), "")
	// A deadline in the past, as after a pause of the process, is due like any other, and then there is none.
	for _, now := range []time.Time{at(50), at(5000)} {
		back := recovered.next(recovered.status, nil, now)
		check(t, "in force", roleOf(back.decision(s)), "primary")
		check(t, "until", back.again(), time.Time{})
	}
}

func TestEmptied(t *testing.T) {
	offline := func(pools ...string) string {
		text := region
		for _, pool := range pools {
			head, tail, _ := strings.Cut(text, fmt.Sprintf("name = %q\n", pool))
			list, rest, _ := strings.Cut(tail, "\n\n")
			if i := strings.Index(tail, "[["); i >= 0 {
				list, rest = tail[:i], tail[i:]
			}
			for _, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
				list = strings.Replace(list, fmt.Sprintf("%q", address), fmt.Sprintf(`{ address = %q, mode = "offline" }`, address), 1)
			}
			text = head + fmt.Sprintf("name = %q\n", pool) + list + rest
		}
		return text
	}
	without := func(name string) string {
		head, tail, _ := strings.Cut(region, fmt.Sprintf("[[instance.policy]]\nname = %q", name))
		return head + tail[strings.Index(tail, "[[instance]]"):]
	}
	newLab := strings.Replace(region, "primary = { pools = [\"a\"] }\nfall_through = true", "primary = { pools = [\"off\"] }", 1) +
		"[[pool]]\nname = \"off\"\ntype = \"ipv4\"\naddresses = [{ address = \"192.0.2.7\", mode = \"offline\" }]\n"
	joint := strings.Replace(strings.Split(region, "[[instance.policy]]\nname = \"Office\"")[0], `backup = { pools = ["b"] }`, `backup = { pools = ["names"] }`, 1)
	alone := strings.Replace(joint, `["origin.elsewhere.test"]`, `[{ address = "origin.elsewhere.test", mode = "offline" }]`, 1)
	// A narrower line inside another: the clients of one policy are those of another one before.
	narrower := strings.Replace(strings.Replace(region, "[[health_check]]", "[[geo.line]]\nname = \"desk\"\nprefixes = [\"198.51.100.7/32\"]\n[[health_check]]", 1),
		"[[instance]]\nname = \"two\"", "[[instance.policy]]\nname = \"Desk\"\nsources = [\"desk\"]\nprimary = { pools = [\"off\"] }\n[[instance]]\nname = \"two\"", 1) +
		"[[pool]]\nname = \"off\"\ntype = \"ipv4\"\naddresses = [{ address = \"192.0.2.7\", mode = \"offline\" }]\n"
	withoutGlobal := func(text string) string {
		head, tail, _ := strings.Cut(text, "access_domain = \"one.gtm.test\"\n")
		text = head + "access_domain = \"one.gtm.test\"\nunmatched = \"nodata\"\n" + tail[strings.Index(tail, "[[instance.policy]]\nname = \"Office\""):]
		return strings.ReplaceAll(text, "fall_through = true\n", "")
	}
	withAlias := func(text, instance string) string {
		domain := fmt.Sprintf("access_domain = \"%s.gtm.test\"\n", instance)
		return strings.Replace(text, domain, domain+"aliases = [\"x.gtm.test\", \"alias.gtm.test\"]\n", 1)
	}
	renamed := strings.NewReplacer("one.gtm", "uno.gtm", "two.gtm", "due.gtm")
	for _, row := range []struct {
		name, before, after string
		want                string
	}{
		{"the same", region, region, ""},
		{"an alias stays", withAlias(region, "one"), withAlias(renamed.Replace(offline("a", "b")), "uno"), `instance "one", policy "Global" (ipv4): every address is offline`},
		{"an alias goes to another instance", withAlias(region, "two"), withAlias(renamed.Replace(offline("a", "b")), "uno"), `instance "one", policy "Global" (ipv4)`},
		{"an alias becomes an access domain", withAlias(region, "one"), strings.Replace(offline("a", "b"), "one.gtm", "alias.gtm", 1), `instance "one", policy "Global" (ipv4)`},
		{"an alias that is new", region, withAlias(renamed.Replace(offline("a", "b")), "uno"), ""},
		{"a line inside another", region, narrower, `instance "one", policy "Desk" (ipv4)`},
		{"a line inside another, where nobody has everybody", withoutGlobal(region), withoutGlobal(narrower), `instance "one", policy "Desk" (ipv4)`},
		{"a line inside one that was empty", offline("a", "b"), narrower, ""},
		{"the primary alone", region, offline("a"), ""},
		{"both sets", region, offline("a", "b"), `instance "one", policy "Global" (ipv4): every address is offline`},
		{"one family", region, offline("six"), `instance "one", policy "Global" (ipv6): every address is offline`},
		{"asked for", region, strings.ReplaceAll(offline("a", "b"), "backup = ", "when_all_down = \"empty\"\nbackup = "), `instance "one", policy "Office" (ipv4)`},
		{"all asked for", region, strings.ReplaceAll(offline("a", "b"), "primary = ", "when_all_down = \"empty\"\nprimary = "), ""},
		{"a policy that falls through", region, strings.Replace(offline("b"), "[\"b\", \"six\"]", "[\"b\"]", 1), ""},
		{"empty before", offline("a", "b"), offline("a", "b"), ""},
		{"another name", region, strings.NewReplacer(`"one"`, `"uno"`, `"two"`, `"due"`).Replace(offline("a", "b")), `instance "uno", policy "Global" (ipv4)`},
		{"another policy name", region, strings.ReplaceAll(offline("a", "b"), `"Global"`, `"World"`), `instance "one", policy "World" (ipv4)`},
		{"another access domain", region, strings.NewReplacer("one.gtm", "uno.gtm", "two.gtm", "due.gtm").Replace(offline("a", "b")), ""},
		{"the other word for the global source", region, strings.ReplaceAll(offline("a", "b"), `["global"]`, `["default"]`), `instance "one", policy "Global" (ipv4)`},
		{"a source that the global policy answered", without("Lab"), region, ""},
		{"a source that the global policy answered, emptied", without("Lab"), newLab, `instance "one", policy "Lab" (ipv4)`},
		{"no pools of a family any more", region, strings.ReplaceAll(region, `, "six"]`, `]`), ""},
		{"one family of a policy for both: its names answer", joint, strings.Replace(joint, `"2001:db8::1"`, `{ address = "2001:db8::1", mode = "offline" }`, 1), ""},
		{"one family of a policy for both", alone, strings.Replace(alone, `"2001:db8::1"`, `{ address = "2001:db8::1", mode = "offline" }`, 1),
			`instance "one", policy "Global" (ipv6): every address is offline`},
		{"names in force before, addresses now", strings.Replace(joint, `["192.0.2.1"]`, `[{ address = "192.0.2.1", mode = "offline" }]`, 1),
			strings.Replace(joint, `["a", "six"]`, `["a"]`, 1), ""},
	} {
		err := worldOf(t, row.before, nil, at(0)).emptied(worldOf(t, row.after, nil, at(1)))
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%s: %v", row.name, err)
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: error is %v, want %q", row.name, err, row.want)
		}
	}
}

// story is a policy of three sets; the parts in brackets are options.
func story(options string) string {
	return strings.Split(region, "[[instance]]")[0] + `
[[pool]]
name = "c"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.3"]
[[pool]]
name = "d"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.4"]
[[instance]]
name = "one"
access_domain = "one.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["a", "six"] }
backup = [{ pools = ["c"] }, { pools = ["d"] }]
` + options
}

func TestMoveTo(t *testing.T) {
	manual, auto := "failback = \"manual\"\n", "failback_delay = \"1h\"\n"
	s := slot{Instance: 0, Policy: 0, Family: policy.IPv4}
	for _, row := range []struct {
		name     string
		options  string
		inForce  string // remembered
		verdicts []string
		role     string
		want     string // role then in force, or the error
		found    bool
	}{
		{"to a later set", manual, "a", nil, "backup 2", "backup 2, failback is manual", true},
		{"to an earlier set", manual, "d", nil, "backup", "backup, failback is manual", true},
		{"back", manual, "d", nil, "primary", "primary, normal", true},
		{"to the set in force", manual, "d", nil, "backup 2", "backup 2, failback is manual", true},
		{"to what is not there", manual, "a", nil, "backup 3", "primary, normal", false},
		{"to a set that is down", manual, "a", []string{"192.0.2.3-"}, "backup", `the backup set of policy "Global" (ipv4) is not available: 0 addresses up, 1 needed`, true},
		{"forward, automatic", auto, "a", nil, "backup", `policy "Global" has failback = "auto" and its primary set is available, so it would return at once: put an override on that set, or set failback = "manual" or switch in the configuration`, true},
		{"without waiting", auto, "c", nil, "primary", "primary, normal", true},
		{"a step back, automatic", auto, "d", nil, "backup", "backup, failback waits", true},
		{"pinned", "switch = \"primary\"\n", "a", nil, "primary", `policy "Global" is pinned by switch = "primary": change that in the configuration`, true},
		{"nothing served", "when_all_down = \"empty\"\n", "", []string{"192.0.2.1-", "192.0.2.3-", "192.0.2.4-"}, "backup",
			`the backup set of policy "Global" (ipv4) is not available: 0 addresses up, 1 needed`, true},
	} {
		before := map[policyKey]policy.Memory{{"one", "Global", policy.IPv4}: {Set: row.inForce, Role: row.inForce, Since: at(0)}}
		w := worldOf(t, story(row.options), before, at(10), row.verdicts...)
		memory := map[policyKey]policy.Memory{}
		found, err := w.moveTo(s, row.role, memory, at(20))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			d := w.redecide([]slot{s}, w.status, memory, nil, at(20)).decision(s)
			got = fmt.Sprintf("%s, %s", roleOf(d), d.Why)
		}
		check(t, row.name, got, row.want)
		check(t, row.name+": found", found, row.found)
	}
}

func TestAdopt(t *testing.T) {
	p := planOf(t, story("")).policyOf(slot{Instance: 0, Policy: 0, Family: policy.IPv4})
	for _, row := range []struct{ set, role, want string }{
		{"c", "backup", "c"},
		{"c", "primary", "c"},      // moved in the order: known by its pools
		{"old", "backup", "c"},     // other pools now: known by its role
		{"old", "backup 3", "old"}, // gone
		{"", "", ""},               // nothing was served
		{"a+old", "primary", "a"},  // one pool less
		{"d", "backup", "d"},       // both fit: the pools count
		{"six", "backup 2", "d"},   // of the other family
	} {
		m := adopt(p, policy.Memory{Set: row.set, Role: row.role, Since: at(3)})
		check(t, row.set+" as "+row.role, m, policy.Memory{Set: row.want, Role: row.role, Since: at(3)})
	}
}

func TestSwitches(t *testing.T) {
	k := policyKey{"one", "Global", policy.IPv4}
	for _, row := range []struct {
		name   string
		before map[policyKey]policy.Memory
		want   []admin.Switch
	}{
		{"new policy", nil, nil},
		{"the same set", map[policyKey]policy.Memory{k: {Set: "c", Role: "backup"}}, nil},
		{"the same set under another role", map[policyKey]policy.Memory{k: {Set: "c", Role: "primary"}}, nil},
		{"the same role with other pools", map[policyKey]policy.Memory{k: {Set: "x", Role: "backup"}}, nil},
		{"another family", map[policyKey]policy.Memory{{"one", "Global", policy.FamilyBoth}: {Set: "a", Role: "primary"}}, nil},
		{"from the primary", map[policyKey]policy.Memory{k: {Set: "a", Role: "primary"}},
			[]admin.Switch{{From: "primary", To: "backup", Reason: "192.0.2.1: refused"}}},
		{"from nothing", map[policyKey]policy.Memory{k: {Since: at(0)}}, []admin.Switch{{From: "none", To: "backup"}}},
		{"from a set that is gone", map[policyKey]policy.Memory{k: {Set: "x", Role: "backup 9"}}, []admin.Switch{{From: "backup 9", To: "backup"}}},
	} {
		w := worldOf(t, story(""), nil, at(10), "192.0.2.1-")
		for i := range row.want {
			row.want[i].Time, row.want[i].Instance, row.want[i].Policy, row.want[i].Family = at(20), "one", "Global", "ipv4"
			row.want[i].Why = "failover"
		}
		check(t, row.name, w.switches(row.before, at(20)), row.want)
	}
}

// TestFailing names a few of many.
func TestFailing(t *testing.T) {
	var many, verdicts []string
	for i := range 7 {
		many = append(many, fmt.Sprintf("%q", fmt.Sprintf("192.0.2.%d", 10+i)))
		verdicts = append(verdicts, fmt.Sprintf("192.0.2.%d-", 10+i))
	}
	text := strings.Replace(story(""), `["192.0.2.1"]`, "["+strings.Join(many, ", ")+"]", 1)
	w := worldOf(t, text, nil, at(0), verdicts...)
	d := w.decision(slot{Instance: 0, Policy: 0, Family: policy.IPv4})
	check(t, "failing", w.failing(policyKey{}, d, "a"), "192.0.2.10: refused; 192.0.2.11: refused; 192.0.2.12: refused; 192.0.2.13: refused; 192.0.2.14: refused; and 2 more")
	check(t, "none", w.failing(policyKey{}, d, "c"), "")
}

func TestBlank(t *testing.T) {
	for _, row := range []struct {
		verdicts []string
		want     bool
	}{
		{nil, true},
		{[]string{"192.0.2.1?", "192.0.2.2?"}, true},
		{[]string{"192.0.2.1?", "192.0.2.2-"}, false},
		{[]string{"192.0.2.9+"}, true}, // of another configuration
	} {
		check(t, fmt.Sprint(row.verdicts), worldOf(t, region, nil, at(0), row.verdicts...).isBlank(), row.want)
	}
	unprobed := strings.ReplaceAll(region, "health_check = \"web\"\n", "")
	check(t, "nothing is probed", worldOf(t, unprobed, nil, at(0)).isBlank(), false)
}

func TestHistory(t *testing.T) {
	var h history
	if h.latest() == nil {
		t.Error("no switches are no list")
	}
	h.restore(make([]admin.Switch, historyLen+5))
	check(t, "restored", len(h.latest()), historyLen)
	h.add(admin.Switch{Policy: "new"})
	check(t, "kept", len(h.latest()), historyLen)
	check(t, "the latest first", h.latest()[0].Policy, "new")
}
