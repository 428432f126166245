package node

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// modelWorld is a random configuration with random verdicts and, from later on, random overrides, decided a few times over.
func modelWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	g := generated{func(piece string) *rand.Rand {
		sum := seed
		for _, c := range piece {
			sum = sum*131 + uint64(c)
		}
		return rand.New(rand.NewPCG(sum, 1))
	}}
	c, err := config.LoadText("gtmd.toml", []byte(g.text(t, t.TempDir())))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	prober := healthcheck.NewProber()
	defer prober.Close()
	p, err := compile(c, prober, newAtlas(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := g.random("verdicts")
	verdicts := func() *healthcheck.Status {
		var all []string
		for _, name := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "2001:db8::1", "2001:db8::2", "2001:db8::3"} {
			if state := r.IntN(5); state < 4 {
				all = append(all, name+string("++--"[state]))
			}
		}
		return statusOf(all...)
	}
	w, err := first(p, verdicts(), heritage{}, 1, nil, at(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.IntN(3) {
		target, kind := modelTarget(w, r), []policy.OverrideKind{policy.OverrideUp, policy.OverrideDown, policy.OverrideDrain}[r.IntN(3)]
		before := *w
		before.overrides = w.overrides.with(&override{id: fmt.Sprintf("o%d", i+1), target: target, kind: kind, since: at(0)})
		w = before.redecide(w.slots, verdicts(), nil, nil, at(1+i))
	}
	return w
}

// modelTarget is something that can have an override.
func modelTarget(w *world, r *rand.Rand) admin.OverrideTarget {
	all := w.supposables()
	return all[r.IntN(len(all))].target
}

// servedTo are all records that a client may get, from the blocks that are served.
func servedTo(t *testing.T, w *world, s slot) []string {
	t.Helper()
	var all []string
	for _, f := range []policy.Family{policy.IPv4, policy.IPv6} {
		if s.Family != f && w.policyOf(s).Family != policy.FamilyBoth {
			continue
		}
		records, _, err := w.view.Served(view.Slot{Instance: s.Instance, Policy: s.Policy, Family: f}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, rr := range records {
			var text string
			switch rr := rr.(type) {
			case *dns.A:
				text = rr.A.String()
			case *dns.AAAA:
				text = netip.MustParseAddr(rr.AAAA.String()).String()
			case *dns.CNAME:
				text = plainName(rr.Target)
			}
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestPreviewModel holds previews, suppositions and refusals of random worlds against what is served when it is done.
func TestPreviewModel(t *testing.T) {
	t.Parallel()
	policies, changed, fell, refused, drills, drillsRefused := 0, 0, 0, 0, 0, 0
	for seed := range uint64(250) {
		w := modelWorld(t, seed)
		r := rand.New(rand.NewPCG(seed, 9))
		target := modelTarget(w, r)
		state := []string{"up", "down", "drain"}[r.IntN(3)]
		now := at(10)
		p, err := w.previewSet(admin.OverrideRequest{OverrideTarget: target, State: state}, now)
		if err != nil {
			t.Fatal(err)
		}
		// What is done, in the end.
		o := &override{id: "o9", target: target, kind: policy.OverrideKind(state), since: now.Add(-time.Hour), over: time.Minute}
		done := *w
		done.overrides = w.overrides.with(o)
		next := done.redecide(w.slots, w.status, nil, nil, now)
		told := map[string]admin.PolicyPreview{}
		for _, one := range p.Policies {
			told[one.Instance+one.Policy+one.Family] = one
		}
		emptied := map[string]bool{}
		for _, s := range w.slots {
			k := w.key(s)
			key := k.instance + k.policy + k.family.String()
			before, after := servedTo(t, w, s), servedTo(t, next, s)
			one, is := told[key]
			if !is {
				if !slices.Equal(before, after) {
					t.Fatalf("seed %d: %s on %v changes %s from %v to %v, and is not told", seed, state, target, key, before, after)
				}
				continue
			}
			policies++
			fitsServed(t, seed, key, one.Before, before)
			fitsServed(t, seed, key, one.After, after)
			if one.Changes {
				changed++
			} else if !slices.Equal(before, after) {
				t.Fatalf("seed %d: %s changes nothing, but %v becomes %v", seed, key, before, after)
			}
			if one.After.FellThrough != "" {
				fell++
			}
			// Nothing that is available answers, and that is new: of the policy itself, wherever it falls through to.
			if next.decision(s).AllDown() && !w.decision(s).AllDown() {
				emptied[key] = true
			}
		}
		if state != "up" {
			for _, e := range w.emptiedBy(o, now) {
				delete(emptied, e.Instance+e.Policy+e.Family)
			}
			if len(emptied) > 0 {
				t.Fatalf("seed %d: %s on %v empties %v and is not refused", seed, state, target, emptied)
			}
			if p.Refused != "" {
				refused++
			}
		}
		if state == "down" {
			switch isWell := drillIsWell(t, w, next, now); refusedDrill(t, w, target, now) {
			case "":
				drills++
				if !isWell {
					t.Fatalf("seed %d: a drill on %v is allowed, and what answers then is not available", seed, target)
				}
			case "refused":
				drillsRefused++
				if isWell {
					t.Fatalf("seed %d: a drill on %v is refused, and all that answers then is well", seed, target)
				}
			}
		}
		sameAsSupposed(t, seed, w, next, supposition(w, target, state))
	}
	if changed < 50 || fell < 20 || refused < 20 || drills < 10 || drillsRefused < 10 || policies < 2*changed {
		t.Fatalf("%d previews, %d with changes, %d that fall through, %d refused, %d drills, %d refused: the test shows too little", policies, changed, fell, refused, drills, drillsRefused)
	}
}

// refusedDrill is "refused" when a drill takes force, "" when it does not, and else why there can be none.
func refusedDrill(t *testing.T, w *world, target admin.OverrideTarget, now time.Time) string {
	t.Helper()
	_, _, err := w.newDrill(admin.DrillRequest{OverrideTarget: target, For: admin.Duration(time.Minute), Reason: "r", Author: "a"}, w.status, now)
	var isRisky *admin.DrillError
	var isEmpty *admin.EmptyError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &isRisky), errors.As(err, &isEmpty):
		return "refused"
	default:
		return err.Error()
	}
}

// drillIsWell reports whether each policy whose answer changes is answered from a set that is available, by what is known.
func drillIsWell(t *testing.T, w, next *world, now time.Time) bool {
	t.Helper()
	for _, s := range w.slots {
		before, d := w.decision(s), next.decision(s)
		if before.Set == d.Set && slices.Equal(before.Serve, d.Serve) && before.AllDown() == d.AllDown() {
			continue
		}
		if d.Set < 0 || !d.Sets[d.Set].Available || d.AllDown() {
			return false
		}
		if known := policy.Decide(w.policyOf(s), onlyKnown(next.stateOf(s, w.status)), before.Memory(), now); !known.Sets[d.Set].Available {
			return false
		}
	}
	return true
}

// fitsServed compares a set of a preview with what is served: of a sequence, and of weight 0, the preview tells also what stands behind.
func fitsServed(t *testing.T, seed uint64, key string, p admin.SetPreview, served []string) {
	t.Helper()
	for _, text := range served {
		if !slices.Contains(p.Addresses, text) {
			t.Fatalf("seed %d: %s: %v is served, told is %+v", seed, key, served, p)
		}
	}
	if len(served) == 0 != (len(p.Addresses) == 0) {
		t.Fatalf("seed %d: %s: %v is served, told is %+v", seed, key, served, p)
	}
}

// supposition is the text of an override.
func supposition(w *world, target admin.OverrideTarget, state string) string {
	for _, s := range w.supposables() {
		if s.target == target {
			return s.name + "=" + state
		}
	}
	return ""
}

// sameAsSupposed asks a world that supposes something and the one in which it was done, for every client of the model.
func sameAsSupposed(t *testing.T, seed uint64, w, done *world, text string) {
	t.Helper()
	supposed, err := w.supposed([]string{text}, at(10))
	if err != nil {
		t.Fatal(err)
	}
	clients := modelClients()
	for i := 0; i < len(clients); i += 7 {
		for _, name := range []string{"a.gtm.test.", "b.gtm.test.", "c.gtm.test."} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME} {
				x, _, _ := law(t, supposed, name, qtype, clients[i].addr)
				y, _, _ := law(t, done, name, qtype, clients[i].addr)
				if strings.Compare(x, y) != 0 {
					t.Fatalf("seed %d: suppose %s: %s %d %v gets %s, when it is done %s", seed, text, name, qtype, clients[i].addr, x, y)
				}
			}
		}
	}
}
