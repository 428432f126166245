package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
)

// TestDrillCheck has the exact texts about what makes no sense.
func TestDrillCheck(t *testing.T) {
	good := admin.DrillRequest{OverrideTarget: admin.OverrideTarget{Pool: "test1"}, For: admin.Duration(10 * time.Minute), Reason: "game day", Author: "alice"}
	for _, row := range []struct {
		change func(*admin.DrillRequest)
		want   string
	}{
		{func(*admin.DrillRequest) {}, "<nil>"},
		{func(r *admin.DrillRequest) { r.For = admin.Duration(time.Second) }, "<nil>"},
		{func(r *admin.DrillRequest) { r.For = admin.Duration(24 * time.Hour) }, "<nil>"},
		{func(r *admin.DrillRequest) { r.For = 0 }, "the time is missing: want for, such as 10m"},
		{func(r *admin.DrillRequest) { r.For = admin.Duration(time.Second - 1) }, "for 999.999999ms: want 1s to 24h"},
		{func(r *admin.DrillRequest) { r.For = admin.Duration(24*time.Hour + 1) }, "for 24h0m0.000000001s: want 1s to 24h"},
		{func(r *admin.DrillRequest) { r.For = -admin.Duration(time.Hour) }, "for -1h: want 1s to 24h"},
		{func(r *admin.DrillRequest) { r.Reason = " " }, "the reason is missing"},
		{func(r *admin.DrillRequest) { r.Reason = strings.Repeat("x", 301) }, "the reason has more than 300 characters"},
		{func(r *admin.DrillRequest) { r.Author = "" }, "the author is missing"},
		{func(r *admin.DrillRequest) { r.Author = "a\nb" }, "the author has a line break or another character that cannot be printed"},
		{func(r *admin.DrillRequest) { r.OverrideTarget = admin.OverrideTarget{} },
			"want a target: an address, an address of a pool, a pool, or instance, policy and set"},
		{func(r *admin.DrillRequest) { r.Instance = "shop" }, "want one target: an address or a pool, or instance, policy and set"},
		{func(r *admin.DrillRequest) { r.OverrideTarget = admin.OverrideTarget{Policy: "Global"} }, "instance, policy and set: want all three"},
		{func(r *admin.DrillRequest) { r.Address = "192.0.2.1/24" },
			`address "192.0.2.1/24": want an address or a domain name; the pool is named beside it`},
		{func(r *admin.DrillRequest) { *r = admin.DrillRequest{} }, "want a target: an address, an address of a pool, a pool, or instance, policy and set; " +
			"the time is missing: want for, such as 10m; the reason is missing; the author is missing"},
	} {
		r := good
		row.change(&r)
		if got := fmt.Sprint(r.Check()); got != row.want {
			t.Errorf("%+v: %s, want %s", r, got, row.want)
		}
	}
	r := good
	r.OverrideTarget = admin.OverrideTarget{Address: "Origin.Example.COM."}
	if err := r.Check(); err != nil || r.Address != "origin.example.com" {
		t.Errorf("the address becomes %q, error %v", r.Address, err)
	}
	for id, want := range map[string]string{
		"d1": "<nil>", "d018": "<nil>", "": `id "": want one such as d3`, "d": `id "d": want one such as d3`, "o1": `id "o1": want one such as d3`, "d1x": `id "d1x": want one such as d3`,
	} {
		r := admin.StopDrillRequest{ID: id, Author: "alice"}
		if got := fmt.Sprint(r.Check()); got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}

func TestProbeCheck(t *testing.T) {
	for _, row := range []struct {
		request admin.ProbeRequest
		want    string
	}{
		{admin.ProbeRequest{Address: "192.0.2.1"}, "<nil>"},
		{admin.ProbeRequest{Pool: "test1", Author: "alice"}, "<nil>"},
		{admin.ProbeRequest{Pool: "test1", Address: "192.0.2.1"}, "<nil>"},
		{admin.ProbeRequest{}, "want what to probe: an address, a pool, or an address of a pool"},
		{admin.ProbeRequest{Address: "a b"}, `address "a b": want an address or a domain name; the pool is named beside it`},
		{admin.ProbeRequest{Pool: "a\tb"}, "the pool has a line break or another character that cannot be printed"},
		{admin.ProbeRequest{Pool: "a", Author: "a\tb"}, "the author has a line break or another character that cannot be printed"},
	} {
		if got := fmt.Sprint(row.request.Check()); got != row.want {
			t.Errorf("%+v: %s, want %s", row.request, got, row.want)
		}
	}
}

// TestDrillError is the text of a refusal.
func TestDrillError(t *testing.T) {
	err := &admin.DrillError{Why: []string{"this", "that"}}
	if want := "refused: this; that. It takes force to do it all the same"; err.Error() != want {
		t.Errorf("%s, want %s", err, want)
	}
}
