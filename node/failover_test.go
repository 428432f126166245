package node_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
)

func TestFailoverAndBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0], s.origins[1]
	equal(t, "answer", answer(n, dns.TypeA, ""), first.String())
	equal(t, "AAAA", answer(n, dns.TypeAAAA, ""), "NODATA")
	equal(t, "CNAME", answer(n, dns.TypeCNAME, ""), "NODATA")
	equal(t, "in force", inForce(n, 0), "primary, normal")
	equal(t, "switch", lastSwitch(n), "none")

	first.stop()
	eventually(t, second.String(), func() string { return answer(n, dns.TypeA, "") })
	equal(t, "in force", inForce(n, 0), "backup, failover")
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: primary -> backup, failover")
	reason := n.Status().Switches[0].Reason
	if !strings.HasPrefix(reason, first.String()+": ") || !strings.HasSuffix(reason, "connection refused") {
		t.Errorf("reason is %q", reason)
	}
	equal(t, "lines of the switch", len(s.log.lines("msg=switch instance=cdn-origin policy=Global family=ipv4 from=primary to=backup why=failover")), 1)

	first.start()
	eventually(t, first.String(), func() string { return answer(n, dns.TypeA, "") })
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: backup -> primary, normal")
	equal(t, "switches", len(n.Status().Switches), 2)
	reply, err := ask(n, name, dns.TypeA, "")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "TTL", reply.Answer[0].Header().Ttl, 5)
	equal(t, "aa", reply.Authoritative, true)
	equal(t, "ra", reply.RecursionAvailable, false)
}

func TestEverythingDown(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ option, inForce, answer string }{
		{"", "primary, fail open", "$0"},
		{"when_all_down = \"empty\"\n", "none, empty", "NODATA"},
	} {
		t.Run(row.inForce, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			n := s.start(header, pools, instance, row.option)
			for _, o := range s.origins {
				o.stop()
			}
			eventually(t, "down down", func() string { return standing(n, 0) + " " + standing(n, 1) })
			eventually(t, row.inForce, func() string { return inForce(n, 0) })
			eventually(t, s.text(row.answer), func() string { return answer(n, dns.TypeA, "") })
			s.origins[1].start()
			eventually(t, s.origins[1].String(), func() string { return answer(n, dns.TypeA, "") })
			equal(t, "in force", inForce(n, 0), "backup, failover")
		})
	}
}

func TestManualFailback(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance, "failback = \"manual\"\n")
	order := func(set string) error {
		_, err := n.Switch(context.Background(), admin.SwitchRequest{Instance: "cdn-origin", Policy: "Global", Set: set})
		return err
	}
	s.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	contains(t, order("primary"), `the primary set of policy "Global" (ipv4) is not available: 0 addresses up, 1 needed`)

	s.origins[0].start()
	eventually(t, "backup, failback is manual", func() string { return inForce(n, 0) })
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[1].String())

	// A change of the pools of the set in force is not an order to fail back.
	if err := s.reload(n, header, pools, `
[[pool]]
name = "test3"
type = "ipv4"
addresses = ["192.0.2.3"]
`, strings.Replace(instance, `["test2"]`, `["test2", "test3"]`, 1), "failback = \"manual\"\n"); err != nil {
		t.Fatal(err)
	}
	equal(t, "in force", inForce(n, 0), "backup, failback is manual")
	equal(t, "switches", len(n.Status().Switches), 1)
	eventually(t, s.text("$1 192.0.2.3"), func() string { return answer(n, dns.TypeA, "") })

	if err := order("primary"); err != nil {
		t.Fatal(err)
	}
	equal(t, "in force", inForce(n, 0), "primary, normal")
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: backup -> primary, normal")
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())

	since := n.Status().Instances[0].Policies[0].Since
	if err := order("primary"); err != nil {
		t.Errorf("a set that is in force already: %v", err)
	}
	equal(t, "since", n.Status().Instances[0].Policies[0].Since, since)
	if err := order("backup"); err != nil {
		t.Fatal(err)
	}
	equal(t, "in force", inForce(n, 0), "backup, failback is manual")
}

func TestSwitchRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	static := strings.ReplaceAll(pools, "health_check = \"web\"\n", "")
	static = strings.NewReplacer("$0", "192.0.2.1", "$1", "192.0.2.2").Replace(static)
	n := s.start(strings.Split(header, "[[health_check]]")[0], static, instance, `
[[instance.policy]]
name = "Pinned"
sources = ["office"]
primary = { pools = ["test2"] }
switch = "primary"
[[geo.line]]
name = "office"
prefixes = ["198.51.100.0/24"]
`)
	for _, row := range []struct{ instance, policy, set, want string }{
		{"cdn", "Global", "primary", `there is no policy "Global" in an instance "cdn"`},
		{"cdn-origin", "Local", "primary", `there is no policy "Local" in an instance "cdn-origin"`},
		{"cdn-origin", "Global", "test2", `policy "Global" has no set "test2": sets are called primary, backup, backup 2 and so on`},
		{"cdn-origin", "Global", "", `policy "Global" has no set ""`},
		{"cdn-origin", "Global", "backup", `policy "Global" has failback = "auto" and its primary set is available, so it would return at once`},
		{"cdn-origin", "Pinned", "primary", `policy "Pinned" is pinned by switch = "primary": change that in the configuration`},
	} {
		_, err := n.Switch(context.Background(), admin.SwitchRequest{Instance: row.instance, Policy: row.policy, Set: row.set})
		contains(t, err, row.want)
	}
	equal(t, "generation", n.Status().Config.Generation, 1)
	equal(t, "switches", len(n.Status().Switches), 0)
}

func TestFailbackDelay(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance, "failback_delay = \"1s\"\n")
	s.origins[0].stop()
	eventually(t, "backup, failover", func() string { return inForce(n, 0) })
	equal(t, "until", n.Status().Instances[0].Policies[0].Until, nil)
	s.origins[0].start()
	eventually(t, "backup, failback waits", func() string { return inForce(n, 0) })
	p := n.Status().Instances[0].Policies[0]
	if p.Until == nil || !p.Until.Equal(p.Sets[0].Since.Add(time.Second)) {
		t.Errorf("until is %v, and the primary is available since %v", p.Until, p.Sets[0].Since)
	}
	if want := "available since "; !strings.HasPrefix(p.Sets[0].Verdict, want) || !strings.Contains(p.Sets[0].Verdict, ", takes over at ") {
		t.Errorf("verdict of the primary is %q", p.Sets[0].Verdict)
	}
	eventually(t, "primary, normal", func() string { return inForce(n, 0) })
	if since := n.Status().Instances[0].Policies[0].Since; since.Before(*p.Until) {
		t.Errorf("the primary is in force since %v, before %v", since, p.Until)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), s.origins[0].String())
}

func TestFallThrough(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	n := s.start(header, pools, `
[[geo.line]]
name = "office"
prefixes = ["198.51.100.0/24"]
[[pool]]
name = "test3"
type = "ipv4"
health_check = "web"
addresses = ["$2"]
`, instance, `
[[instance.policy]]
name = "Office"
sources = ["office"]
primary = { pools = ["test3"] }
fall_through = true
`)
	office := func() string { return answer(n, dns.TypeA, "198.51.100.7/32") }
	equal(t, "answer", office(), s.origins[2].String())
	s.origins[2].stop()
	eventually(t, s.origins[0].String(), office)
	e, err := n.Explain(admin.Question{Name: name, Client: "198.51.100.7/32"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "policy", e.Policy+" -> "+e.FellThrough, "Office -> Global")

	// The global policy moves, and takes with it what falls through to it.
	s.origins[0].stop()
	eventually(t, s.origins[1].String(), office)
	s.origins[2].start()
	eventually(t, s.origins[2].String(), office)
	equal(t, "global", answer(n, dns.TypeA, ""), s.origins[1].String())
}

// TestSwitchOfOneFamily returns IPv4 to its primary while that of IPv6 is down.
func TestSwitchOfOneFamily(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	six := &origin{t: t, address: netip.AddrPortFrom(netip.IPv6Loopback(), s.origins[0].address.Port())}
	six.start()
	n := s.start(header, pools, `
[[pool]]
name = "six1"
type = "ipv6"
health_check = "web"
addresses = ["::1"]
[[pool]]
name = "six2"
type = "ipv6"
addresses = ["2001:db8::2"]
`, strings.NewReplacer(`["test1"]`, `["test1", "six1"]`, `["test2"]`, `["test2", "six2"]`).Replace(instance), "failback = \"manual\"\n")
	order := func(set string) (string, error) {
		r, err := n.Switch(context.Background(), admin.SwitchRequest{Instance: "cdn-origin", Policy: "Global", Set: set})
		return fmt.Sprint(r.Moved, r.Kept), err
	}
	s.origins[0].stop()
	six.stop()
	eventually(t, "backup, failover; backup, failover", func() string { return inForce(n, 0) + "; " + inForce(n, 1) })
	_, err := order("primary")
	contains(t, err, `the primary set of policy "Global" (ipv4) is not available: 0 addresses up, 1 needed; `+
		`the primary set of policy "Global" (ipv6) is not available: 0 addresses up, 1 needed`)
	s.origins[0].start()
	eventually(t, "backup, failback is manual", func() string { return inForce(n, 0) })
	said, err := order("primary")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "result", said, `[ipv4] [{ipv6 the primary set of policy "Global" (ipv6) is not available: 0 addresses up, 1 needed}]`)
	equal(t, "in force", inForce(n, 0)+"; "+inForce(n, 1), "primary, normal; backup, failover")
	equal(t, "A", answer(n, dns.TypeA, ""), s.origins[0].String())
}
