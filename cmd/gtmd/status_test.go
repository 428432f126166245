package main

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gtmd/admin"
)

// ago is a time before the present one, which stands still in a bubble.
func ago(d time.Duration) *time.Time { t := time.Now().Add(-d); return &t }

func up(age time.Duration) admin.ProbeStatus {
	return admin.ProbeStatus{Verdict: "up", Since: ago(age), LastProbe: ago(2 * time.Second), LastMilliseconds: 1.25}
}

func down(age time.Duration, reason string) admin.ProbeStatus {
	return admin.ProbeStatus{Verdict: "down", Since: ago(age), Reason: reason, LastError: reason, Bad: 3, LastProbe: ago(time.Second), LastMilliseconds: 5}
}

func drained() *admin.OverrideNote {
	return &admin.OverrideNote{ID: "o1", State: "drain", Reason: "new kernel", Author: "alice", Since: *ago(90 * time.Second), Expires: ago(-25 * time.Minute)}
}

// TestStatusBeside is what is not normal that the status of instances and pools does not have.
func TestStatusBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &admin.Status{Version: admin.Version{Version: "1.2.3"}, Ready: "ready", Started: *ago(time.Hour), Config: admin.ConfigStatus{File: "gtmd.toml", Loaded: *ago(time.Hour)},
			StateError: "write state.json: no space left on device", StateFailed: ago(time.Minute)}
		more := append(undelivered(&admin.AlertStatus{Groups: []admin.AlertGroupStatus{{Name: "oncall", Methods: []admin.AlertMethodStatus{
			{Name: "mail", Queued: 2, Error: "connection refused"}, {Name: "chat"}}}}}), unconfigured([]admin.BusinessDomainStatus{
			{Domain: "www.a.test", Instance: "a", State: admin.NotConfigured, Since: ago(time.Hour), Reason: "it has addresses and no CNAME"},
			{Domain: "www.b.test", Instance: "b", State: admin.ConfigUnknown, Since: ago(time.Second), Reason: "SERVFAIL"},
			{Domain: "www.c.test", Instance: "c", State: admin.Configured}})...)
		var b strings.Builder
		if err := printStatus(&b, s, more...); err != nil {
			t.Fatal(err)
		}
		const want = `the state is NOT SAVED for 1m0s: write state.json: no space left on device. A restart would not know verdicts, overrides and sets in force
alert group oncall is NOT TOLD by mail, 2 messages wait: connection refused
business domain www.a.test of a: NOT CONFIGURED for 1h0m: it has addresses and no CNAME
business domain www.b.test of b: UNKNOWN for 1s: SERVFAIL
`
		if !strings.Contains(b.String(), "\n\n"+want+"\n") {
			t.Errorf("the status is\n%s", b.String())
		}
		d := digestOf(s, more...)
		for line := range strings.Lines(want) {
			if !strings.Contains(strings.Join(d.lines(mostRows), "\n"), strings.TrimSpace(line)) {
				t.Errorf("the digest has no %q", line)
			}
		}
		b.Reset()
		if code := printNagios(&b, s, more...); code != nagiosWarning || !strings.Contains(b.String(), "GTMD WARNING - ") {
			t.Errorf("code %d: %s", code, b.String())
		}
	})
}

// TestPrintStatus writes a status with everything that is not normal in it, which comes first.
func TestPrintStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []netip.Addr{netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("192.0.2.9")}
		s := &admin.Status{
			Version: admin.Version{Version: "1.2.3"}, Ready: "ready", Started: *ago(time.Hour), Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
			Config: admin.ConfigStatus{File: "gtmd.toml", Hash: "0123456789abcdef", Loaded: *ago(time.Hour)},
			Blind:  []admin.BlindStatus{{Family: "ipv6", Since: *ago(3 * time.Minute), Reason: "9 of 10 targets in 4 networks fail at once"}},
			Overrides: []admin.Override{{ID: "o1", OverrideTarget: admin.OverrideTarget{Pool: "test1"}, State: "drain", Phase: "draining, weight 40%",
				Reason: "new kernel", Author: "alice", Since: *ago(90 * time.Second), Expires: ago(-25 * time.Minute), Affects: 2}},
			Pools: []admin.PoolStatus{
				{Name: "test1", Type: "ipv4", Addresses: []admin.AddressStatus{
					{Address: "192.0.2.1", Share: 40, Available: true, Standing: "draining", Override: drained(), ProbeStatus: up(time.Hour)},
					{Address: "192.0.2.2", Share: 100, Standing: "down", ProbeStatus: down(time.Minute, "HTTP 503, wanted 200-499")},
				}},
				{Name: "names", Type: "domain", Judge: "any",
					Resolved: []admin.ResolvedStatus{{Name: "origin.example", Addresses: names}},
					Addresses: []admin.AddressStatus{{Address: "origin.example", Share: 100, Available: true, Standing: "up", ProbeStatus: up(time.Hour),
						Checks: []admin.CheckStatus{
							{HealthCheck: "web", Address: "192.0.2.8", ProbeStatus: up(time.Hour)},
							{HealthCheck: "web", Address: "192.0.2.9", ProbeStatus: down(time.Minute, "timeout after 5s")},
							{HealthCheck: "tls", Address: "origin.example", ProbeStatus: admin.ProbeStatus{Verdict: "unknown"}},
						}}}},
			},
		}
		var b strings.Builder
		if err := printStatus(&b, s); err != nil {
			t.Fatal(err)
		}
		const want = `BLIND for ipv6, for 3m0s: 9 of 10 targets in 4 networks fail at once. No ipv6 verdict turns down until probes are good again.
gtmd 1.2.3, ready, up 1h0m, listening on 192.0.2.53:53
configuration gtmd.toml, hash 0123456789ab, loaded 1h0m ago

OVERRIDE  STATE                 ON          ADDRESSES  FOR    ENDS        BY     REASON
o1        draining, weight 40%  pool test1  2          1m30s  25m0s left  alice  new kernel

POOL   ADDRESS          STATE     FOR    LAST PROBE      REASON
test1  192.0.2.1        draining  1m30s  2s ago, 1.2 ms  drain by alice, 25m0s left (o1): new kernel; really up; weight 40%
test1  192.0.2.2        down      1m0s   1s ago, 5.0 ms  HTTP 503, wanted 200-499
names  origin.example   up        1h0m   2s ago, 1.2 ms  resolves to 192.0.2.8, 192.0.2.9
         web 192.0.2.8  up        1h0m   2s ago, 1.2 ms  
         web 192.0.2.9  down      1m0s   1s ago, 5.0 ms  timeout after 5s
         tls            unknown   -      -               
`
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forced := func(state string) *admin.OverrideNote {
			return &admin.OverrideNote{ID: "o2", State: state, Reason: "not paid", Author: "bob", Since: *ago(time.Minute)}
		}
		streak, flapping, slow, warned := up(time.Hour), up(time.Hour), up(time.Hour), up(time.Hour)
		streak.Bad, streak.LastError = 2, "timeout after 5s"
		flapping.Flapping = ago(2 * time.Minute)
		slow.Degraded = "took 2s, more than 1s"
		warned.Warning, warned.Degraded = "certificate expires in 3 days", "certificate expires in 3 days"
		unable := up(time.Hour)
		unable.CannotProbe, unable.LastError = true, "cannot probe: too many open files"
		for _, row := range []struct {
			a    admin.AddressStatus
			note string
		}{
			{admin.AddressStatus{Available: true, Standing: "up", ProbeStatus: up(time.Hour)}, ""},
			{admin.AddressStatus{Standing: "down", ProbeStatus: down(0, "timeout after 5s")}, "timeout after 5s"},
			{admin.AddressStatus{Available: true, Standing: "up", ProbeStatus: streak}, "2 bad in a row: timeout after 5s"},
			{admin.AddressStatus{Available: true, Standing: "up", ProbeStatus: flapping}, "flapping for 2m0s"},
			{admin.AddressStatus{Available: true, Standing: "up", ProbeStatus: slow}, "degraded: took 2s, more than 1s"},
			{admin.AddressStatus{Available: true, Standing: "up", ProbeStatus: warned}, "degraded: certificate expires in 3 days"},
			{admin.AddressStatus{Available: true, Standing: "up", ProbeStatus: unable}, "cannot probe: too many open files"},
			{admin.AddressStatus{Available: true, Standing: "up", Share: 30, ProbeStatus: up(time.Hour)}, "slow start, weight 30%"},
			{admin.AddressStatus{Override: forced("down"), ProbeStatus: up(time.Hour)}, "down by bob, no expiry (o2): not paid; really up"},
			{admin.AddressStatus{Available: true, Override: forced("up"), ProbeStatus: down(time.Hour, "timeout after 5s")},
				"up by bob, no expiry (o2): not paid; really down; timeout after 5s"},
			{admin.AddressStatus{Override: forced("down"), ProbeStatus: streak},
				"down by bob, no expiry (o2): not paid; really up; 2 bad in a row: timeout after 5s"},
			{admin.AddressStatus{Available: true, Override: forced("up")}, "up by bob, no expiry (o2): not paid"}, // not probed
			{admin.AddressStatus{Share: -1, Override: drained(), ProbeStatus: up(time.Hour)}, "drain by alice, 25m0s left (o1): new kernel; really up"},
		} {
			switch row.a.Share {
			case 0:
				row.a.Share = 100
			case -1:
				row.a.Share = 0
			}
			if got := note(&row.a); got != row.note {
				t.Errorf("got %q, want %q", got, row.note)
			}
		}

		member := admin.AddressStatus{Pool: "test1", Address: "192.0.2.1", Share: 40, Standing: "draining", Available: true, Served: true, Override: drained(), ProbeStatus: up(time.Hour)}
		const want = "+ 192.0.2.1 (test1): draining for 1m30s: drain by alice, 25m0s left (o1): new kernel; really up; weight 40%"
		if got := memberText(&member); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestResolutionNote(t *testing.T) {
	t.Parallel()
	var all []netip.Addr
	for _, text := range strings.Fields("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 2001:db8::1") {
		all = append(all, netip.MustParseAddr(text))
	}
	for want, r := range map[string]admin.ResolvedStatus{
		"is not resolved yet":   {},
		"resolves to 192.0.2.1": {Addresses: all[:1]},
		"does not resolve (oh)": {Error: "oh"},
		"does not resolve (SERVFAIL), it was 192.0.2.1, 192.0.2.2":          {Addresses: all[:2], Error: "SERVFAIL"},
		"resolves to 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4 and 2 more": {Addresses: all},
	} {
		if got := resolutionNote(&r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
