package node_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"gtmd/admin"
)

// TestPreview: what a preview says is what setting and clearing the override then do, and a preview changes nothing.
func TestPreview(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	set := func(state string, target admin.OverrideTarget) admin.Preview {
		t.Helper()
		p, err := n.Preview(admin.PreviewRequest{Set: &admin.OverrideRequest{OverrideTarget: target, State: state, Reason: "r", Author: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "answer after a preview", answer(n, dns.TypeA, ""), first)
		return p
	}
	served := func(role, why, address string) admin.SetPreview {
		return admin.SetPreview{Role: role, Why: why, Addresses: []string{address}}
	}
	want := admin.Preview{Affects: 1, Policies: []admin.PolicyPreview{{
		Instance: "cdn-origin", AccessDomain: "origin.gtm.test.", Policy: "Global", Family: "ipv4", Changes: true,
		Before: served("primary", "normal", first), After: served("backup", "failover", second),
	}}}
	for _, state := range []string{"down", "drain"} {
		if diff := cmp.Diff(want, set(state, on(first))); diff != "" {
			t.Errorf("%s: %s", state, diff)
		}
	}
	none := set("up", on(first))
	equal(t, "up changes something", none.Policies[0].Changes, false)

	down := force(t, n, "down", on(second))
	equal(t, "answer", answer(n, dns.TypeA, ""), first)
	last := set("down", on(first))
	equal(t, "after", last.Policies[0].After.Why, "fail open")
	contains(t, errors.New(last.Refused), `refused: no set would have an available address left: instance "cdn-origin", policy "Global" (ipv4)`)
	again := set("up", on(second))
	equal(t, "replaces", again.Replaces.ID, down.ID)

	force(t, n, "down", on(first), func(r *admin.OverrideRequest) { r.Force = true })
	cleared, err := n.Preview(admin.PreviewRequest{Clear: down.ID})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "cleared: after", cleared.Policies[0].After.Role+" "+cleared.Policies[0].After.Why, "backup failover")
	lift(t, n, down.ID)
	equal(t, "and so it is", answer(n, dns.TypeA, ""), second)

	for text, r := range map[string]admin.PreviewRequest{
		"there is no override o99":                           {Clear: "o99"},
		"no pool has an address 192.0.2.99":                  {Set: &admin.OverrideRequest{OverrideTarget: on("192.0.2.99"), State: "down"}},
		"want an override to set, or the ID of one to clear": {},
	} {
		_, err := n.Preview(r)
		contains(t, err, text)
	}
}
