package view_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"gtmd/policy"
	"gtmd/server/view"
)

// TestServed: what is served is all that queries of the clients of a policy get.
func TestServed(t *testing.T) {
	v := gtm(t).instance("geo.gtm.test.",
		access("Global", "global", set(policy.BalanceWeight, "four", "six")),
		access("Office", "office", set(policy.BalanceAll, "spare"))).
		instance("name.gtm.test.", access("Global", "global", set(policy.BalanceWeight, "names"))).build(t)
	for _, row := range []struct {
		slot   view.Slot
		client string
		qtype  uint16
		want   string
	}{
		{view.Slot{Instance: 0, Policy: 0, Family: policy.IPv4}, "192.0.2.1", dns.TypeA, "198.51.100.1 198.51.100.2 198.51.100.3"},
		{view.Slot{Instance: 0, Policy: 0, Family: policy.IPv6}, "192.0.2.1", dns.TypeAAAA, "2001:db8:1::1 2001:db8:1::2"},
		{view.Slot{Instance: 0, Policy: 1, Family: policy.IPv4}, "10.0.0.1", dns.TypeA, "198.51.100.9"},
		{view.Slot{Instance: 0, Policy: 1, Family: policy.IPv6}, "", 0, ""},
		{view.Slot{Instance: 1, Policy: 0, Family: policy.IPv6}, "192.0.2.1", dns.TypeAAAA, "cdn.example.net."},
	} {
		records, count, err := v.Served(row.slot, 100)
		if err != nil || count != len(records) {
			t.Fatalf("%+v: %d of %d, error %v", row.slot, len(records), count, err)
		}
		var got []string
		for _, rr := range records {
			_, data, _ := strings.Cut(strings.ReplaceAll(rr.String(), "\t", " "), " IN ")
			_, value, _ := strings.Cut(data, " ")
			got = append(got, value)
			if want := []string{"geo.gtm.test.", "name.gtm.test."}[row.slot.Instance]; rr.Header().Name != want || rr.Header().Ttl != 60 {
				t.Errorf("%+v: %v", row.slot, rr)
			}
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%+v: %v, want %s", row.slot, got, row.want)
		}
		if row.client == "" {
			continue
		}
		e, err := v.Explain(view.Question{Name: records[0].Header().Name, Type: row.qtype, Source: netip.MustParseAddr(row.client)})
		if err != nil {
			t.Fatal(err)
		}
		for _, rr := range e.Reply.Answer {
			if !slices.ContainsFunc(records, func(one dns.RR) bool { return one.String() == rr.String() }) {
				t.Errorf("%+v: a client gets %v", row.slot, rr)
			}
		}
	}
	if records, count, err := v.Served(view.Slot{Family: policy.IPv4}, 2); len(records) != 2 || count != 3 || err != nil {
		t.Errorf("at most two: %v of %d, error %v", records, count, err)
	}
}
