package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/node"
)

// force sets an override on an address for these tests, with a reason and an author.
func force(t *testing.T, n *node.Node, state string, target admin.OverrideTarget, more ...func(*admin.OverrideRequest)) admin.OverrideResult {
	t.Helper()
	r := admin.OverrideRequest{OverrideTarget: target, State: state, Reason: "new kernel", Author: "alice"}
	for _, m := range more {
		m(&r)
	}
	result, err := n.SetOverride(context.Background(), r)
	if err != nil {
		t.Fatalf("set %s on %s: %v", state, target, err)
	}
	return result
}

func on(address string) admin.OverrideTarget { return admin.OverrideTarget{Address: address} }

func lift(t *testing.T, n *node.Node, id string) {
	t.Helper()
	if _, err := n.ClearOverride(context.Background(), admin.ClearRequest{ID: id, Author: "bob"}); err != nil {
		t.Fatalf("clear %s: %v", id, err)
	}
}

// TestOverride forces an address down and up again: the real verdict stays visible, probing goes on, and clearing the override
// restores the truth.
func TestOverride(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	equal(t, "before", answer(n, dns.TypeA, ""), first)

	down := force(t, n, "down", on(first))
	equal(t, "forced down", answer(n, dns.TypeA, ""), second)
	equal(t, "affects", down.Affects, 1)
	equal(t, "warning", strings.Join(down.Warnings, ", "), "it has no end: clear it when it is no longer needed")
	address := n.Status().Pools[0].Addresses[0]
	equal(t, "standing", address.Standing, "down by override")
	equal(t, "real verdict", address.Verdict, "up")
	equal(t, "note", address.Override.Reason+" "+address.Override.Author, "new kernel alice")
	probed := *address.LastProbe
	eventually(t, "true", func() string { return fmt.Sprint(n.Status().Pools[0].Addresses[0].LastProbe.After(probed)) })
	equal(t, "switch", lastSwitch(n), "cdn-origin Global ipv4: primary -> backup, failover")
	contains(t, errors.New(n.Status().Switches[0].Reason), first+": down by override (alice: new kernel)")

	// The origin really dies while it is forced down: removal of the override restores that truth.
	s.origins[0].stop()
	eventually(t, "down", func() string { return n.Status().Pools[0].Addresses[0].Verdict })
	lift(t, n, down.ID)
	equal(t, "still down", answer(n, dns.TypeA, ""), second)
	equal(t, "standing", standing(n, 0), "down")

	up := force(t, n, "up", on(first))
	equal(t, "forced up", answer(n, dns.TypeA, ""), first)
	equal(t, "real verdict", n.Status().Pools[0].Addresses[0].Verdict, "down")
	lift(t, n, up.ID)
	equal(t, "the truth again", answer(n, dns.TypeA, ""), second)
	if len(s.log.lines("override set")) != 2 || len(s.log.lines("override cleared")) != 2 {
		t.Errorf("log:\n%s", s.log.String())
	}
	contains(t, errors.New(strings.Join(s.log.lines("override set"), "")), `state=down reason="new kernel" author=alice until=cleared`)
}

// TestOverrideTargets: an override on a pool and on a set; the more specific one counts.
func TestOverrideTargets(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	set := force(t, n, "down", admin.OverrideTarget{Instance: "cdn-origin", Policy: "Global", Set: "primary"})
	equal(t, "set down", answer(n, dns.TypeA, ""), second)
	equal(t, "its address is not down in the pool", standing(n, 0), "up")
	pool := force(t, n, "up", admin.OverrideTarget{Pool: "test1"})
	equal(t, "the pool goes before the set", answer(n, dns.TypeA, ""), first)
	address := force(t, n, "down", on(first))
	equal(t, "the address before the pool", answer(n, dns.TypeA, ""), second)
	member := force(t, n, "up", admin.OverrideTarget{Pool: "test1", Address: first})
	equal(t, "the address in its pool before the address", answer(n, dns.TypeA, ""), first)
	var ids []string
	for _, o := range n.Overrides() {
		ids = append(ids, o.ID)
	}
	equal(t, "listed", strings.Join(ids, " "), strings.Join([]string{set.ID, pool.ID, address.ID, member.ID}, " "))
	cleared, err := n.ClearOverride(context.Background(), admin.ClearRequest{OverrideTarget: admin.OverrideTarget{Pool: "test1"}, Author: "bob"})
	if err != nil || len(cleared.Cleared) != 1 || cleared.Cleared[0].ID != pool.ID {
		t.Errorf("cleared %v, error %v", cleared, err)
	}
	if cleared, err = n.ClearOverride(context.Background(), admin.ClearRequest{All: true, Author: "bob"}); err != nil || len(cleared.Cleared) != 3 {
		t.Errorf("cleared %v, error %v", cleared, err)
	}
	equal(t, "nothing is forced", answer(n, dns.TypeA, ""), first)

	for _, row := range []struct {
		target admin.OverrideTarget
		want   string
	}{
		{on("192.0.2.99"), "no pool has an address 192.0.2.99"},
		{on("www.example.net"), "no pool has an address www.example.net"},
		{admin.OverrideTarget{Pool: "test9"}, `there is no pool "test9"`},
		{admin.OverrideTarget{Pool: "test2", Address: first}, `pool "test2" has no address ` + first},
		{admin.OverrideTarget{Instance: "x", Policy: "Global", Set: "primary"}, `there is no instance "x"`},
		{admin.OverrideTarget{Instance: "cdn-origin", Policy: "x", Set: "primary"}, `instance "cdn-origin" has no policy "x"`},
		{admin.OverrideTarget{Instance: "cdn-origin", Policy: "Global", Set: "backup 2"}, `policy "Global" has no set "backup 2"`},
	} {
		_, err := n.SetOverride(context.Background(), admin.OverrideRequest{OverrideTarget: row.target, State: "down", Reason: "x", Author: "a"})
		contains(t, err, row.want)
	}
	_, err = n.ClearOverride(context.Background(), admin.ClearRequest{ID: "o99", Author: "bob"})
	contains(t, err, "there is no override o99")
}

// TestOverrideRefused: what would leave an instance nothing to answer with takes force. Forced, clients get what is left rather
// than nothing.
func TestOverrideRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	force(t, n, "down", on(first))
	for _, state := range []string{"down", "drain"} {
		_, err := n.SetOverride(context.Background(), admin.OverrideRequest{OverrideTarget: on(second), State: state, Reason: "x", Author: "a"})
		var empty *admin.EmptyError
		if !errors.As(err, &empty) || len(empty.Emptied) != 1 || empty.Emptied[0] != (admin.EmptiedPolicy{Instance: "cdn-origin", Policy: "Global", Family: "ipv4"}) {
			t.Errorf("%s: %v", state, err)
		}
	}
	equal(t, "nothing has changed", answer(n, dns.TypeA, ""), second)
	result := force(t, n, "down", on(second), func(r *admin.OverrideRequest) { r.Force = true })
	equal(t, "forced", result.Forced, true)
	equal(t, "open", inForce(n, 0), "primary, fail open")
	equal(t, "an answer all the same", answer(n, dns.TypeA, ""), first)
}

// TestOverrideKept: overrides and the time that they still have outlive a restart; one that has ended meanwhile is gone.
func TestOverrideKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	kept := force(t, n, "down", on(first), func(r *admin.OverrideRequest) { r.For = admin.Duration(time.Hour) })
	brief := force(t, n, "up", on(second), func(r *admin.OverrideRequest) { r.For = admin.Duration(50 * time.Millisecond) })
	eventually(t, "1", func() string { return fmt.Sprint(len(n.Overrides())) })
	if len(s.log.lines("override expired")) != 1 {
		t.Errorf("log:\n%s", s.log.String())
	}
	n.Close()
	n = s.start(header, pools, instance)
	equal(t, "the first answer", answer(n, dns.TypeA, ""), second)
	all := n.Overrides()
	if len(all) != 1 || all[0].ID != kept.ID || all[0].Reason != "new kernel" || !sameMoment(*all[0].Expires, *kept.Expires) || !sameMoment(all[0].Since, kept.Since) {
		t.Fatalf("after the restart %+v, before %+v", all, kept.Override)
	}
	next := force(t, n, "up", on(second))
	if next.ID == kept.ID || next.ID == brief.ID {
		t.Errorf("ID %s is given again", next.ID)
	}
	past := time.Unix(1, 0)
	_, err := n.SetOverride(context.Background(), admin.OverrideRequest{
		OverrideTarget: on(second), State: "up", Reason: "x", Author: "a", Until: &past})
	contains(t, err, "which has passed")
}

// TestDrainAndOut drains an address: its weight goes to 0, then it is out.
func TestDrainAndOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	over := admin.Duration(300 * time.Millisecond)
	drain := force(t, n, "drain", on(first), func(r *admin.OverrideRequest) { r.Over = &over })
	if !strings.HasPrefix(drain.Phase, "draining, weight ") {
		t.Errorf("phase %q", drain.Phase)
	}
	equal(t, "served until then, being the only one", answer(n, dns.TypeA, ""), first)
	eventually(t, second, func() string { return answer(n, dns.TypeA, "") })
	equal(t, "phase", n.Overrides()[0].Phase, "drained")
	equal(t, "standing", standing(n, 0), "drained")
	lift(t, n, drain.ID)
	equal(t, "back", answer(n, dns.TypeA, ""), first)

	now := admin.Duration(0)
	force(t, n, "drain", on(first), func(r *admin.OverrideRequest) { r.Over = &now })
	equal(t, "out at once", answer(n, dns.TypeA, ""), second)
}

// TestOverrideReload: overrides hold over a reload, also on what a file no longer has.
func TestOverrideReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	first, second := s.origins[0].String(), s.origins[1].String()
	force(t, n, "down", on(first))
	if err := s.reload(n, header, pools, instance, "failback = \"manual\"\n"); err != nil {
		t.Fatal(err)
	}
	equal(t, "after a reload", answer(n, dns.TypeA, ""), second)
	without := strings.Replace(pools, `["$0"]`, `["$1"]`, 1)
	if err := s.reload(n, header, without, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "an override on nothing", n.Overrides()[0].Affects, 0)
	if err := s.reload(n, header, pools, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "it is there again", answer(n, dns.TypeA, ""), second)
}

// TestOverrideInTheEnd: what is refused is what would be left in the end: when drains are over and overrides that bring
// something up have ended.
func TestOverrideInTheEnd(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, n *node.Node, state, address string) {
		t.Helper()
		_, err := n.SetOverride(context.Background(), admin.OverrideRequest{OverrideTarget: on(address), State: state, Reason: "x", Author: "a"})
		if empty := (*admin.EmptyError)(nil); !errors.As(err, &empty) {
			t.Errorf("%s of %s: error is %v", state, address, err)
		}
	}
	t.Run("drains", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, 2)
		n := s.start(header, pools, instance)
		hour := admin.Duration(time.Hour)
		force(t, n, "drain", on(s.origins[0].String()), func(r *admin.OverrideRequest) { r.Over = &hour })
		refused(t, n, "down", s.origins[1].String())
		refused(t, n, "drain", s.origins[1].String())
		force(t, n, "up", on(s.origins[1].String())) // does no harm
	})
	t.Run("up for a time", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, 2)
		n := s.start(header, pools, instance)
		s.origins[0].stop()
		eventually(t, "down", func() string { return standing(n, 0) })
		force(t, n, "up", on(s.origins[0].String()), func(r *admin.OverrideRequest) { r.For = admin.Duration(time.Minute) })
		refused(t, n, "down", s.origins[1].String())
		force(t, n, "down", on(s.origins[1].String()), func(r *admin.OverrideRequest) { r.For = admin.Duration(time.Second) })
	})
}

// TestDrainAgain: what has been drained does not come back because it is drained again.
func TestDrainAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	none := admin.Duration(0)
	force(t, n, "drain", admin.OverrideTarget{Pool: "test1"}, func(r *admin.OverrideRequest) { r.Over = &none })
	equal(t, "drained", answer(n, dns.TypeA, ""), s.origins[1].String())
	again := force(t, n, "drain", admin.OverrideTarget{Pool: "test1"}, func(r *admin.OverrideRequest) { r.For = admin.Duration(time.Hour) })
	equal(t, "phase of the pool", again.Phase, "drained")
	again = force(t, n, "drain", on(s.origins[0].String()))
	equal(t, "phase of the address", again.Phase, "drained")
	equal(t, "still drained", answer(n, dns.TypeA, ""), s.origins[1].String())
}

// TestClearNotSaved: an override that is cleared while the state cannot be saved would be back after a restart, and the
// operator is told.
func TestClearNotSaved(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	n := s.start(header, pools, instance)
	result := force(t, n, "down", on(s.origins[0].String()))
	n.WhileUnsaved(func() {
		state := s.path("state")
		if err := errors.Join(os.RemoveAll(state), os.WriteFile(state, nil, 0o600)); err != nil { // no directory any more
			t.Fatal(err)
		}
	})
	cleared, err := n.ClearOverride(context.Background(), admin.ClearRequest{ID: result.ID, Author: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "warnings", strings.Join(cleared.Warnings, ", "), "it is cleared, but the state could not be saved: a restart would bring it back")
}
