package view_test

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

// The origin of an answer is what Explain says at length.
func TestOrigin(t *testing.T) {
	w := gtm(t)
	falling := access("Office", "office", set(policy.BalanceAll, "spare"))
	falling.FallThrough = true
	empty := access("Global", "global", set(policy.BalanceAll, "spare"))
	empty.WhenAllDown = policy.AllDownEmpty
	w.instance("x.gtm.test.", access("Global", "global", set(policy.BalanceAll, "four"), set(policy.BalanceAll, "six")), falling).
		instance("y.gtm.test.", empty).
		instance("z.gtm.test.", access("Both", "office lab", set(policy.BalanceAll, "four")))
	w.down = []string{"198.51.100.9"}
	v := w.build(t)
	for _, test := range []struct {
		name, source string
		qtype        uint16
		want         view.Origin
		decided      bool
	}{
		{"x.gtm.test.", "192.0.2.1", dns.TypeA, view.Origin{Instance: "x", Policy: "Global", Line: "global", Set: "primary", Why: policy.Normal}, true},
		{"x.gtm.test.", "10.2.0.1", dns.TypeA, view.Origin{Instance: "x", Policy: "Office", Line: "office", FellThrough: "Global", Set: "primary", Why: policy.Normal}, true},
		{"x.gtm.test.", "10.2.0.1", dns.TypeAAAA, view.Origin{Instance: "x", Family: policy.IPv6, Policy: "Global", Line: "global", Set: "backup", Why: policy.Normal}, true},
		{"y.gtm.test.", "192.0.2.1", dns.TypeA, view.Origin{Instance: "y", Policy: "Global", Line: "global", Set: "none", Why: policy.Empty}, true},
		{"z.gtm.test.", "10.1.0.1", dns.TypeA, view.Origin{Instance: "z", Policy: "Both", Line: "lab", Set: "primary", Why: policy.Normal}, true},
		{"z.gtm.test.", "10.2.0.1", dns.TypeA, view.Origin{Instance: "z", Policy: "Both", Line: "office", Set: "primary", Why: policy.Normal}, true},
		{"z.gtm.test.", "192.0.2.1", dns.TypeA, view.Origin{Instance: "z"}, true},
		{"z.gtm.test.", "10.2.0.1", dns.TypeAAAA, view.Origin{}, false}, // no policy has a pool of the family
		{"x.gtm.test.", "192.0.2.1", dns.TypeTXT, view.Origin{}, false},
		{"www.gtm.test.", "192.0.2.1", dns.TypeA, view.Origin{}, false},
		{"example.com.", "192.0.2.1", dns.TypeA, view.Origin{}, false},
	} {
		var q wire.Query
		q.Decode(query{name: test.name, qtype: test.qtype}.packet(t))
		hit := v.Lookup(&q, netip.MustParseAddr(test.source))
		if got, decided := hit.Origin(); got != test.want || decided != test.decided || hit.IsDecided() != decided {
			t.Errorf("%s %s from %s:\n%+v, %v, want\n%+v, %v", test.name, dns.TypeToString[test.qtype], test.source, got, decided, test.want, test.decided)
		}
	}
}
