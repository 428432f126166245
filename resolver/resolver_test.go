package resolver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestResolverSet: kept names keep their answers, others come and go.
func TestResolverSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.set("a. A", "a. 300 A 192.0.2.1")
		s.set("b. A", "b. 300 A 192.0.2.2")
		s.set("c. A", "silence")
		r := s.start(nil, nil, nil)
		if len(r.Answers()) != 0 {
			t.Errorf("%v", r.Answers())
		}
		r.Set(oneServer(), []string{"a.", "b.", "b."})
		synctest.Wait()
		snapshot := r.Answers()
		s.set("a. A", "a. 300 A 192.0.2.9")
		s.set("b. A", "b. 300 A 192.0.2.9")
		r.Set(oneServer(), []string{"b.", "c."})
		r.Set(oneServer(), []string{"a.", "b.", "c."})
		synctest.Wait()
		got := r.Answers()
		if len(got) != 3 || got["a."].IPv4[0] != netip.MustParseAddr("192.0.2.9") || got["b."].IPv4[0] != netip.MustParseAddr("192.0.2.2") || got["c."].Known {
			t.Errorf("%v", got)
		}
		if len(snapshot) != 2 || snapshot["a."].IPv4[0] != netip.MustParseAddr("192.0.2.1") {
			t.Errorf("the snapshot changed: %v", snapshot)
		}
		if n := len(s.asked("b. A")); n != 1 {
			t.Errorf("b. was asked for %d times", n)
		}
	})
}

// TestResolverOptions: with other options all names are resolved again within a second, and not all at once.
func TestResolverOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		names := []string{"a.", "b.", "c.", "d."}
		for _, name := range names {
			s.set(name+" A", "SERVFAIL")
		}
		r := s.start(nil, nil, nil)
		r.Set(oneServer(), names)
		time.Sleep(time.Hour)
		for _, name := range names {
			s.set(name+" A", name+" 300 A 192.0.2.1")
		}
		o := oneServer()
		o.Servers[0] = netip.MustParseAddrPort("192.0.2.54:53")
		r.Set(o, names)
		time.Sleep(time.Second)
		synctest.Wait()
		moments := make(map[time.Time]bool)
		for name, a := range r.Answers() {
			if a.Err != "" || time.Since(a.Resolved) > time.Second {
				t.Errorf("%s %+v", name, a)
			}
			moments[a.Resolved] = true
		}
		if len(moments) < 2 {
			t.Error("all at once")
		}
		if last := s.servers[len(s.servers)-1]; last != o.Servers[0] {
			t.Errorf("asked %v", last)
		}
	})
}

func TestResolverSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.set("good. A", "good. 300 A 192.0.2.1")
		s.set("bad. A", "SERVFAIL")
		for _, name := range []string{"slow. A", "slower. A"} {
			s.set(name, "silence")
		}
		r := s.start(nil, nil, nil)
		all := []string{"good.", "bad.", "slow.", "slower.", "stranger."}
		r.Set(oneServer(), all[:4])
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Settled(ctx, []string{"good.", "bad.", "stranger."}); err != nil || ctx.Err() != nil {
			t.Error(err)
		}
		err := r.Settled(ctx, all)
		if err == nil || err.Error() != "waiting for the addresses of slow and 1 more: context deadline exceeded" || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// What is settled does not fail for a context that has ended.
		if err := r.Settled(ctx, []string{"good.", "bad."}); err != nil {
			t.Error(err)
		}
		done := make(chan error)
		go func() { done <- r.Settled(context.Background(), all) }()
		synctest.Wait()
		r.Set(oneServer(), []string{"slow."})
		synctest.Wait()
		select {
		case <-done:
			t.Error("slow. was not waited for")
		default:
		}
		r.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestResolverSaved: a restart goes on with the last good answers at once, and makes sure of them soon.
func TestResolverSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.set("a. A", "a. 300 A 192.0.2.2\na. 300 A 192.0.2.1")
		s.set("a. AAAA", "a. 300 AAAA 2001:db8::1")
		s.set("b. A", "SERVFAIL")
		r := s.start(nil, nil, nil)
		r.Set(oneServer(), []string{"a.", "b."})
		synctest.Wait()
		r.Close()
		r.Set(oneServer(), nil) // Closed: it does nothing.

		text, err := json.Marshal(r.Saved())
		if err != nil {
			t.Fatal(err)
		}
		want := `{"a.":{"ipv4":["192.0.2.1","192.0.2.2"],"ipv6":["2001:db8::1"],"since":"2000-01-01T00:00:00Z","resolved":"2000-01-01T00:00:00Z"}}`
		if string(text) != want {
			t.Errorf("saved %s", text)
		}
		var saved map[string]SavedAnswer
		if err := json.Unmarshal(text, &saved); err != nil {
			t.Fatal(err)
		}

		time.Sleep(time.Hour)
		s.set("a. A", "silence")
		s.set("a. AAAA", "silence")
		again := s.start(saved, nil, nil)
		again.Set(oneServer(), []string{"a.", "b."})
		if err := again.Settled(t.Context(), []string{"a."}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(saved["a."], again.Saved()["a."], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
		if n := len(s.asked("a. A")); n != 2 {
			t.Errorf("asked %d times", n)
		}
		time.Sleep(time.Hour)
		if a := again.Answers()["a."]; !a.Known || len(a.IPv4) != 2 || a.Err != "resolve a: no answer from 192.0.2.53:53 within 2s" {
			t.Errorf("%+v", a)
		}
		// An entry is used once: a name that was gone begins anew.
		again.Set(oneServer(), nil)
		again.Set(oneServer(), []string{"a."})
		if a := again.Answers()["a."]; a.Known {
			t.Errorf("%+v", a)
		}
	})
}

// TestSavedAnswerOfOthers: what is no good answer is not gone on with.
func TestSavedAnswerOfOthers(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                    `[] [] false`,
		`{"ipv4":["2001:db8::1","0.0.0.0",""]}`: `[] [] false`,
		`{"ipv4":["192.0.2.2","192.0.2.1","2001:db8::1"]}`:    `[192.0.2.1 192.0.2.2] [] true`,
		`{"ipv6":["fe80::1%eth0","2001:db8::1","192.0.2.1"]}`: `[] [2001:db8::1] true`,
	} {
		var s SavedAnswer
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if a := s.answer(); fmt.Sprint(a.IPv4, a.IPv6, a.Known) != want {
			t.Errorf("%s: %+v", text, a)
		}
	}
}
