package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gtmd/admin"
)

// large is a status of 1,000 instances, each with a policy and a pool of ten addresses.
func large() *admin.Status {
	s := &admin.Status{
		Version: admin.Version{Version: "1.2.3"}, Ready: "ready", Started: *ago(time.Hour), Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
		Config: admin.ConfigStatus{File: "gtmd.toml", Hash: "0123456789abcdef", Loaded: *ago(time.Hour)},
	}
	for i := range 1000 {
		s.Instances = append(s.Instances, admin.InstanceStatus{Name: fmt.Sprintf("i%d", i), AccessDomain: fmt.Sprintf("i%d.gtm.test.", i),
			Policies: []admin.PolicyStatus{{Name: "Global", Family: "ipv4", InForce: "primary", Why: "normal", Since: *ago(time.Hour),
				Sets: []admin.SetStatus{{Role: "primary", InForce: true}, {Role: "backup"}}}}})
		pool := admin.PoolStatus{Name: fmt.Sprintf("p%d", i)}
		for a := range 10 {
			pool.Addresses = append(pool.Addresses, admin.AddressStatus{Address: fmt.Sprintf("10.0.%d.%d", i%250, a), Share: 100, Available: true, Standing: "up", ProbeStatus: up(time.Hour)})
		}
		s.Pools = append(s.Pools, pool)
	}
	return s
}

func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := large()
		print := func() string {
			var b strings.Builder
			if err := printScreen(&b, s, false, mostRows); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		const head = "gtmd 1.2.3, ready, up 1h0m, listening on 192.0.2.53:53\nconfiguration gtmd.toml, hash 0123456789ab, loaded 1h0m ago\n"
		if diff := cmp.Diff(head+"1000 instances, 1000 policies: 1000 normal\n1000 pools, 10000 addresses: 10000 up\n\neverything is normal\n", print()); diff != "" {
			t.Error(diff)
		}

		// What is worst comes first.
		s.Pools[7].Addresses[3] = admin.AddressStatus{Address: "10.0.7.3", Share: 100, Standing: "down", ProbeStatus: down(time.Minute, "refused")}
		s.Instances[7].Policies[0].Why, s.Instances[7].Policies[0].InForce = "failover", "backup"
		s.Instances[8].Policies[0].Why, s.Instances[8].Policies[0].InForce = "fail open", "primary"
		s.Overrides = []admin.Override{{ID: "o1", OverrideTarget: admin.OverrideTarget{Pool: "p1"}, State: "down", Reason: "deploy", Author: "alice", Since: *ago(time.Minute)}}
		s.Config.Error, s.Config.Refused = "gtmd.toml:1:1: bad\ngtmd.toml:2:1: worse", ago(time.Minute)
		s.Switches = []admin.Switch{{Time: time.Now(), Instance: "i7", Policy: "Global", Family: "ipv4", From: "primary", To: "backup", Why: "failover", Reason: "10.0.7.3 down: refused"}}
		want := head + `1000 instances, 1000 policies: 998 normal, 1 fail open, 1 failover
1000 pools, 10000 addresses: 9999 up, 1 down

i8, Global ipv4: primary in force, fail open, for 1h0m
configuration REFUSED 1m0s ago, the older one serves on: gtmd.toml:1:1: bad (and 1 more)
i7, Global ipv4: backup in force, failover, for 1h0m
10.0.7.3 of pool p7: down for 1m0s: refused
override o1: pool p1 is down, no expiry, by alice: deploy

LAST SWITCHES
` + time.Now().Local().Format(time.DateTime) + "  i7, Global ipv4: primary -> backup, failover: 10.0.7.3 down: refused\n"
		if diff := cmp.Diff(want, print()); diff != "" {
			t.Error(diff)
		}

		// Whatever happens, it fits a screen.
		for i := range s.Pools {
			s.Pools[i].Addresses[0] = admin.AddressStatus{Address: "10.0.0.0", Share: 100, Standing: "down", ProbeStatus: down(time.Minute, "refused")}
		}
		for _, height := range []int{6, 7, 8, 24, 40} {
			d := digestOf(s)
			lines := d.lines(height)
			if len(lines) > height {
				t.Errorf("%d lines for %d", len(lines), height)
			}
			if text := strings.Join(lines, "\n"); !strings.Contains(text, "not normal") {
				t.Errorf("of %d lines none says that there is more", len(lines))
			}
		}
		if lines := strings.Count(print(), "\n"); lines > mostRows {
			t.Errorf("the status has %d lines", lines)
		}
	})
}

func TestNagios(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			name   string
			change func(*admin.Status)
			code   int
			want   string
		}{
			{"normal", func(*admin.Status) {}, 0,
				"GTMD OK - 1000 instances, 1000 policies: 1000 normal; 1000 pools, 10000 addresses: 10000 up | policies_not_normal=0;;;0;1000 addresses_down=0;;;0;10000 overrides=0;;;0\n"},
			{"an override", func(s *admin.Status) {
				s.Overrides = []admin.Override{{ID: "o1", OverrideTarget: admin.OverrideTarget{Pool: "p1"}, State: "up", Reason: "a|b", Author: "alice"}}
			}, 0, "GTMD OK - 1000 instances, 1000 policies: 1000 normal; 1000 pools, 10000 addresses: 10000 up | policies_not_normal=0;;;0;1000 addresses_down=0;;;0;10000 overrides=1;;;0\noverride o1: pool p1 is up, no expiry, by alice: a/b\n"},
			{"an address down", func(s *admin.Status) {
				s.Pools[0].Addresses[0] = admin.AddressStatus{Address: "10.0.0.0", Share: 100, Standing: "down", ProbeStatus: down(time.Minute, "refused")}
			}, 1, "GTMD WARNING - 10.0.0.0 of pool p0: down for 1m0s: refused | policies_not_normal=0;;;0;1000 addresses_down=1;;;0;10000 overrides=0;;;0\n10.0.0.0 of pool p0: down for 1m0s: refused\n"},
			{"fail open", func(s *admin.Status) {
				s.Instances[0].Policies[0].Why = "fail open"
				s.Config.Error, s.Config.Refused = "gtmd.toml:1:1: bad", ago(time.Minute)
			}, 2, "GTMD CRITICAL - i0, Global ipv4: primary in force, fail open, for 1h0m (and 1 more) | policies_not_normal=1;;;0;1000 addresses_down=0;;;0;10000 overrides=0;;;0\n" +
				"i0, Global ipv4: primary in force, fail open, for 1h0m\nconfiguration REFUSED 1m0s ago, the older one serves on: gtmd.toml:1:1: bad\n"},
			{"not ready", func(s *admin.Status) { s.Ready = "waiting" }, 2,
				"GTMD CRITICAL - NOT READY: waiting | policies_not_normal=0;;;0;1000 addresses_down=0;;;0;10000 overrides=0;;;0\nNOT READY: waiting\n"},
		} {
			s := large()
			row.change(s)
			var b strings.Builder
			if code := printNagios(&b, s); code != row.code {
				t.Errorf("%s: code %d, want %d", row.name, code, row.code)
			}
			if diff := cmp.Diff(row.want, b.String()); diff != "" {
				t.Errorf("%s: %s", row.name, diff)
			}
		}
	})
}

func TestCutTo(t *testing.T) {
	for _, row := range []struct {
		line  string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"a\tb\x1b[2J", 20, "a b[2J"}, {"größer", 4, "grö…"}, {"", 4, ""}} {
		if got := cutTo(row.line, row.width); got != row.want {
			t.Errorf("%q in %d: %q, want %q", row.line, row.width, got, row.want)
		}
	}
}
