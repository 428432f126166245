package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

func TestParseQuestion(t *testing.T) {
	for _, row := range []struct {
		question admin.Question
		want     admin.Question
		source   string
		subnet   string
		err      string
	}{
		{question: admin.Question{}, err: "the name to explain is missing"},
		{question: admin.Question{Name: "a..b"}, err: `"a..b" is no domain name`},
		{question: admin.Question{Name: "a.test", Type: "AAA"}, err: `"AAA" is no record type: want one such as A, AAAA, CNAME or TXT`},
		{question: admin.Question{Name: "a.test", Client: "home"},
			err: `"home" is no client: write an address (the packet's source) or a prefix such as 192.0.2.0/24 (a client subnet)`},
		{question: admin.Question{Name: "a.test"}, want: admin.Question{Name: "a.test.", Type: "A", Client: "127.0.0.1"}, source: "127.0.0.1"},
		{question: admin.Question{Name: "a.test.", Type: "aaaa", Client: "::ffff:192.0.2.7"},
			want: admin.Question{Name: "a.test.", Type: "AAAA", Client: "::ffff:192.0.2.7"}, source: "192.0.2.7"},
		{question: admin.Question{Name: "a.test", Client: "fe80::1%lo"}, want: admin.Question{Name: "a.test.", Type: "A", Client: "fe80::1%lo"}, source: "fe80::1"},
		{question: admin.Question{Name: "a.test", Client: "192.0.2.7/24"}, want: admin.Question{Name: "a.test.", Type: "A", Client: "192.0.2.7/24"},
			source: "127.0.0.1", subnet: "192.0.2.0/24"},
	} {
		q := row.question
		got, err := parseQuestion(&q)
		if row.err != "" {
			check(t, fmt.Sprint(row.question), fmt.Sprint(err), row.err)
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", row.question, err)
			continue
		}
		check(t, "question", q, row.want)
		check(t, "source", got.Source.String(), row.source)
		if row.subnet != "" || got.Subnet.IsValid() {
			check(t, "subnet", got.Subnet.String(), row.subnet)
		}
	}
}

// nested has lines that lie in each other, one without a policy of its own and one whose policy has only IPv6.
var nested = strings.Split(region, "[[instance]]")[0] + `
[[geo.line]]
name = "six only"
prefixes = ["198.51.100.128/25", "2001:db8:1::/48"]
[[geo.line]]
name = "desk"
prefixes = ["198.51.100.129/32"]
[[geo.line]]
name = "campus"
prefixes = ["198.51.0.0/16"]
[[instance]]
name = "one"
access_domain = "one.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["default"]
primary = { pools = ["a", "six"] }
backup = { pools = ["b"] }
[[instance.policy]]
name = "Six"
sources = ["six only"]
primary = { pools = ["six"] }
[[instance.policy]]
name = "Near"
sources = ["campus", "office"]
primary = { pools = ["b", "six"] }
`

func TestLines(t *testing.T) {
	w := worldOf(t, nested, nil, at(0))
	for _, row := range []struct{ client, qtype, policy, want string }{
		{"192.0.2.1/32", "A", "Global", "*global/Global"},
		{"198.51.7.1/32", "A", "Near", "*campus/Near global/Global"},
		// Of two sources of one policy the more specific one counts.
		{"198.51.100.1/32", "A", "Near", "*office/Near campus/Near global/Global"},
		// A line without a policy, and one whose policy does not answer this question, are passed over.
		{"198.51.100.129/32", "A", "Near", "desk/- six only/- *office/Near campus/Near global/Global"},
		{"198.51.100.129/32", "AAAA", "Six", "desk/- *six only/Six office/Near campus/Near global/Global"},
		{"2001:db8:1::/64", "AAAA", "Six", "*six only/Six global/Global"},
		{"2001:db8:1::/64", "A", "Global", "six only/- *global/Global"},
	} {
		e, err := w.explain(admin.Question{Name: "one.gtm.test", Type: row.qtype, Client: row.client}, w.status)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, line := range e.Lines {
			text := line.Source + "/" + line.Policy
			if line.Policy == "" {
				text += "-"
			}
			if line.Chosen {
				text = "*" + text
			}
			all = append(all, text)
		}
		check(t, row.client+" "+row.qtype, strings.Join(all, " "), row.want)
		check(t, "policy", e.Policy, row.policy)
	}
}

func TestExplain(t *testing.T) {
	w := worldOf(t, region, nil, at(0), "192.0.2.1-", "192.0.2.2+", "2001:db8::1-")
	explain := func(name, qtype, client string) admin.Explanation {
		t.Helper()
		e, err := w.explain(admin.Question{Name: name, Type: qtype, Client: client}, w.status)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := explain("one.gtm.test", "A", "192.0.2.7")
	check(t, "found", e.Found, "access domain")
	check(t, "answer", e.Answer, []string{"one.gtm.test. 60 IN A 192.0.2.2"})
	check(t, "TTL", e.TTL, 60)
	check(t, "choice", e.Choice, "192.0.2.2")
	check(t, "in force", e.InForce+", "+e.Why, "backup, failover")
	check(t, "generation", e.Generation, 7)
	check(t, "primary", e.Sets[0].Verdict, "not available: 0 of 1 addresses available, 1 needed")
	check(t, "backup", e.Sets[1].Verdict, "in force (failover): 1 of 2 addresses available, 1 needed")
	check(t, "members", e.Sets[1].Members, []admin.AddressStatus{
		{Pool: "b", Address: "192.0.2.2", Mode: "intelligent", Weight: 1, Share: 100, Available: true, Standing: "up", Served: true, ProbeStatus: admin.ProbeStatus{Verdict: "up"}},
		{Pool: "b", Address: "192.0.2.1", Mode: "intelligent", Weight: 1, Share: 100, Standing: "down", ProbeStatus: admin.ProbeStatus{Verdict: "down", Reason: "refused"}},
	})

	e = explain("one.gtm.test", "AAAA", "198.51.100.0/24")
	check(t, "fail open", e.InForce+", "+e.Why, "primary, fail open")
	check(t, "scope", e.Scope, 24)
	check(t, "falls through", e.Policy+" "+e.FellThrough, "Office Global")
	check(t, "passed", len(e.PassedSets), 1)
	check(t, "passed address", e.PassedSets[0].Members[0].Standing+" "+e.PassedSets[0].Members[0].Reason, "down refused")
	check(t, "passed set in force", e.PassedSets[0].InForce || e.PassedSets[0].Members[0].Served, false)

	e = explain("one.gtm.test", "TXT", "")
	check(t, "no data", e.RCode+fmt.Sprint(e.Answer, e.TTL, e.Instance, e.Lines, e.Sets), "NOERROR[] 30[] []")
	check(t, "authority", len(e.Authority), 1)

	e = explain("nothing.gtm.test", "A", "")
	check(t, "found", e.Found+", "+e.RCode, "name that does not exist, NXDOMAIN")
	e = explain("example.org", "A", "")
	check(t, "found", e.Found+", "+e.RCode, "outside every zone of this server, REFUSED")
	check(t, "TTL", e.TTL, 0)
}

// TestVerdicts has the text of every reason for which a set is in force or is not.
func TestVerdicts(t *testing.T) {
	memory := map[policyKey]policy.Memory{{"one", "Global", policy.IPv4}: {
		Set: "c", Role: "backup", Since: at(0), Available: map[string]time.Time{"a": at(5)},
	}}
	for _, row := range []struct {
		options  string
		verdicts []string
		want     []string
	}{
		{"failback_delay = \"1h\"\n", nil, []string{
			"available since " + clock(at(5)) + ", takes over at " + clock(at(3605)) + ": 1 of 1 addresses available, 1 needed",
			"in force (failback waits): 1 of 1 addresses available, 1 needed", "stands by: 1 of 1 addresses available, 1 needed"}},
		{"failback = \"manual\"\n", nil, []string{
			"available, waits for gtmd switch because failback is manual: 1 of 1 addresses available, 1 needed",
			"in force (failback is manual): 1 of 1 addresses available, 1 needed", "stands by: 1 of 1 addresses available, 1 needed"}},
		{"switch = \"backup\"\n", nil, []string{
			"not in force, the policy is pinned: 1 of 1 addresses available, 1 needed",
			"in force (pinned): 1 of 1 addresses available, 1 needed", "not in force, the policy is pinned: 1 of 1 addresses available, 1 needed"}},
		{"", []string{"192.0.2.1-", "192.0.2.3-", "192.0.2.4-"}, []string{
			"in force (fail open): 0 of 1 addresses available, 1 needed",
			"not available: 0 of 1 addresses available, 1 needed", "not available: 0 of 1 addresses available, 1 needed"}},
	} {
		w := worldOf(t, strings.Replace(story(row.options), `"a", "six"`, `"a"`, 1), memory, at(10), row.verdicts...)
		d := w.decision(slot{Instance: 0, Policy: 0, Family: policy.IPv4})
		for i, want := range row.want {
			check(t, row.options, verdict(d, i), want)
		}
	}
}

func TestChoice(t *testing.T) {
	record := func(name string, weight uint64) policy.Record {
		return policy.Record{Address: &policy.Address{Name: name}, Weight: weight}
	}
	all := []policy.Record{record("a", 1), record("b", 3)}
	for _, row := range []struct {
		answer policy.Answer
		want   string
	}{
		{policy.Answer{}, "nothing is answered"},
		{policy.Answer{Groups: []policy.Group{{Weight: 1, Records: all[:1]}}}, "a"},
		{policy.Answer{Groups: []policy.Group{{Weight: 1, Balance: policy.BalanceAll, Records: all}}}, "all 2 addresses, another order each time"},
		{policy.Answer{Groups: []policy.Group{{Weight: 1, Balance: policy.BalanceAll, MaxAnswers: 1, Records: all}}}, "1 of 2 addresses, another start each time"},
		{policy.Answer{Groups: []policy.Group{{Weight: 1, Balance: policy.BalanceWeight, Records: all}}}, "one by weight: a 25%, b 75%"},
		{policy.Answer{Groups: []policy.Group{{Weight: 1, Balance: policy.BalanceSticky, Records: all}}}, "one by the client's network: a 25%, b 75%"},
		{policy.Answer{Groups: []policy.Group{{Weight: 1, Records: all[:1]}, {Weight: 2, Balance: policy.BalanceAll, Records: all}}},
			"33.33% of the queries: a; 66.67% of the queries: all 2 addresses, another order each time"},
		{policy.Answer{Groups: []policy.Group{{Balance: policy.BalanceWeight, Records: []policy.Record{record("a", 0), record("b", 0)}}}},
			"one by weight: a 0%, b 0%"},
	} {
		check(t, row.want, choice(row.answer), row.want)
	}
}

func TestAddressStatus(t *testing.T) {
	target := statusOf("192.0.2.1-").Of("192.0.2.1/web")
	target.Since, target.Bad = at(1), 4
	target.LastProbe, target.LastError, target.LastDuration = at(9), "timeout", 1500_000
	target.Report = healthcheck.Report{Warning: "certificate expires soon", CertificateExpires: at(100)}
	health := healthcheck.NewStatus(map[string]healthcheck.TargetStatus{"192.0.2.1/web": target})
	a := &policy.Address{Name: "192.0.2.1", Mode: policy.ModeIntelligent, Weight: 2, Remark: "rack 2", Targets: [][]string{{"192.0.2.1/web"}}}
	since, probe, expires := at(1), at(9), at(100)
	w := worldOf(t, region, nil, at(0))
	check(t, "status", w.addressStatus(policyKey{}, nil, w.pools[0], a, health, at(10)), admin.AddressStatus{
		Address: "192.0.2.1", Remark: "rack 2", Mode: "intelligent", Weight: 2, Share: 100, Standing: "down",
		ProbeStatus: admin.ProbeStatus{
			Verdict: "down", Since: &since, Reason: "refused", Bad: 4, LastProbe: &probe, LastError: "timeout", LastMilliseconds: 1.5,
			Warning: "certificate expires soon", CertificateExpires: &expires,
		},
	})
}
