package view_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

// An alias answers as the access domain does, and is counted and explained as it.
func TestAlias(t *testing.T) {
	w := gtm(t).instance("origin.gtm.test.", access("Office", "office", set(policy.BalanceAll, "spare")), access("Global", "global", set(policy.BalanceAll, "four", "six")))
	w.instance("name.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "names")))
	w.instances[0].Aliases = []string{"b.gtm.test.", "b.other.gtm.test.", "gtm.test."}
	w.instances[1].Aliases = []string{"x.name.gtm.test."}
	keys := map[view.CounterKey]int{}
	w.counter = func(k view.CounterKey) int {
		if _, known := keys[k]; !known {
			keys[k] = len(keys)
		}
		return keys[k]
	}
	v := w.build(t)
	for _, row := range []struct{ domain, alias string }{
		{"origin.gtm.test.", "b.gtm.test."}, {"origin.gtm.test.", "B.gtm.TEST."}, {"origin.gtm.test.", "b.other.gtm.test."}, {"name.gtm.test.", "x.name.gtm.test."},
	} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeTXT, dns.TypeANY} {
			for _, subnet := range []string{"", "10.0.0.0/24", "203.0.113.0/24"} {
				want := ask(t, v, query{name: row.domain, qtype: qtype, subnet: subnet})
				got := ask(t, v, query{name: row.alias, qtype: qtype, subnet: subnet})
				wanted := strings.ReplaceAll(text(want), row.domain+" ", strings.ToLower(row.alias)+" ")
				if !strings.EqualFold(text(got), wanted) || scope(got) != scope(want) {
					t.Errorf("%s %s from %q: %s scope %d, want that of %s: %s scope %d", row.alias, dns.TypeToString[qtype], subnet,
						text(got), scope(got), row.domain, text(want), scope(want))
				}
			}
		}
	}
	if got, want := text(ask(t, v, query{name: "gtm.test.", qtype: dns.TypeA, subnet: "10.0.0.0/24"})), "NOERROR aa | gtm.test. 60 A 198.51.100.9"; got != want {
		t.Errorf("the apex as an alias answers %s, want %s", got, want)
	}
	if got := text(ask(t, v, query{name: "other.gtm.test.", qtype: dns.TypeA})); got != "NOERROR aa / "+gtmSOA {
		t.Errorf("the name above an alias answers %s", got)
	}
	for k := range keys {
		if k.Instance != "origin" && k.Instance != "name" {
			t.Errorf("counted under %v", k)
		}
	}
	for name, want := range map[string]string{
		"origin.gtm.test.": "access domain", "ORIGIN.gtm.test.": "access domain", "b.gtm.test.": "alias of the access domain origin.gtm.test", "gtm.test.": "alias of the access domain origin.gtm.test",
	} {
		e, err := v.Explain(view.Question{Name: name, Type: dns.TypeA})
		if err != nil || e.Found != want || e.Instance.Name != "origin" {
			t.Errorf("%s is explained as %q of %v, error %v; want %q", name, e.Found, e.Instance, err, want)
		}
	}
}

// A changed decision changes the answers of all names of its instance, and a CNAME record of the zone is not followed into an
// alias, whose answer depends on the client.
func TestAliasReplaced(t *testing.T) {
	w := gtm(t).instance("origin.gtm.test.", access("Global", "global", set(policy.BalanceAll, "four"), set(policy.BalanceAll, "spare")))
	w.instances[0].Aliases = []string{"b.gtm.test."}
	w.zones = []view.Zone{zone(t, "gtm.test.", apex+"alias CNAME b\n")}
	v := w.build(t)
	if got := text(ask(t, v, query{name: "alias.gtm.test.", qtype: dns.TypeA})); got != "NOERROR aa | alias.gtm.test. 300 CNAME b.gtm.test." {
		t.Errorf("a CNAME to an alias answers %s", got)
	}
	w.down = []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}
	next := v.Replace(2, w.compiled(t), []view.Slot{{Instance: 0, Policy: 0, Family: policy.IPv4}}, nil)
	for _, name := range []string{"origin.gtm.test.", "b.gtm.test."} {
		if got, want := text(ask(t, next, query{name: name, qtype: dns.TypeA})), "NOERROR aa | "+name+" 60 A 198.51.100.9"; got != want {
			t.Errorf("%s answers %s, want %s", name, got, want)
		}
	}
}

// What a name takes, in allocations and octets, does not depend on how many there are, and little of it is there for a name
// that shares its answers.
func TestBuildScales(t *testing.T) {
	perName := func(names int, isStatic bool) (mallocs, live float64) {
		w := gtm(t).instance("origin.gtm.test.", access("Global", "global", set(policy.BalanceAll, "four")))
		var records strings.Builder
		for i := range names {
			if isStatic {
				fmt.Fprintf(&records, "w%06d A 192.0.2.1\n", i)
			} else {
				w.instances[0].Aliases = append(w.instances[0].Aliases, fmt.Sprintf("w%06d.gtm.test.", i))
			}
		}
		w.zones = []view.Zone{zone(t, "gtm.test.", apex+records.String())}
		input := w.input(t)
		var before, after, settled runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		v, err := view.Build(input)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		runtime.GC()
		runtime.ReadMemStats(&settled)
		runtime.KeepAlive(v)
		runtime.KeepAlive(input)
		return float64(after.Mallocs-before.Mallocs) / float64(names), float64(settled.HeapAlloc-before.HeapAlloc) / float64(names)
	}
	for _, row := range []struct {
		what     string
		isStatic bool
		most     float64 // octets
	}{{"alias", false, 300}, {"static name", true, 600}} {
		few, liveFew := perName(2_000, row.isStatic)
		many, liveMany := perName(20_000, row.isStatic)
		t.Logf("%s: %.1f allocations of 2,000, %.1f of 20,000; octets kept: %.0f and %.0f", row.what, few, many, liveFew, liveMany)
		if many > 1.2*few+1 {
			t.Errorf("a %s takes %.1f allocations among 20,000, and %.1f among 2,000", row.what, many, few)
		}
		if liveMany > row.most {
			t.Errorf("a %s keeps %.0f octets, want at most %.0f", row.what, liveMany, row.most)
		}
	}
}

// TestAliasSubject: the rate limits tell an alias from its access domain, and a new view does not change which is which.
func TestAliasSubject(t *testing.T) {
	w := gtm(t).instance("origin.gtm.test.", access("Global", "global", set(policy.BalanceAll, "four", "six")))
	w.instances[0].Aliases = []string{"b.gtm.test.", "c.gtm.test."}
	v := w.build(t)
	replaced := v.Replace(2, w.compiled(t), []view.Slot{{Instance: 0, Policy: 0, Family: policy.IPv4}}, nil)
	subject := func(v *view.View, name string, qtype uint16) uint64 {
		var q wire.Query
		q.Decode(query{name: name, qtype: qtype}.packet(t))
		hit := v.Lookup(&q, netip.MustParseAddr("203.0.113.1"))
		_, number := hit.Subject()
		return number
	}
	names := map[uint64]string{}
	for _, name := range []string{"origin.gtm.test.", "b.gtm.test.", "c.gtm.test."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			number := subject(v, name, qtype)
			if other, taken := names[number]; taken {
				t.Errorf("%s %s is the same subject as %s", name, dns.Type(qtype), other)
			}
			names[number] = name
			if again := subject(replaced, strings.ToUpper(name), qtype); again != number {
				t.Errorf("%s %s is another subject in the next view", name, dns.Type(qtype))
			}
		}
	}
}
