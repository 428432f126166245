package main

import (
	"testing"

	"gtmd/admin"
)

func TestSwitchText(t *testing.T) {
	t.Parallel()
	r := admin.SwitchResult{SwitchRequest: admin.SwitchRequest{Instance: "cdn-origin", Policy: "Global", Set: "primary"}, Moved: []string{"ipv4"}}
	if got, want := switchText(r), "cdn-origin, Global: the primary set is in force\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Kept = []admin.KeptFamily{{Family: "ipv6", Reason: "it is down"}}
	if got, want := switchText(r), "cdn-origin, Global: the primary set is in force for ipv4\nnot for ipv6: it is down\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
