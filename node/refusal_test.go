package node_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/node"
)

// TestDamagedDatabaseAtReload: a reload with a file that cannot be used is served with the database that is loaded, and says
// so; a source that this cannot match, and a file that is new, are problems.
func TestDamagedDatabaseAtReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	good := worldIn(t, "US")
	s.put("city.mmdb", good)
	n := s.start(plainHeader, static, geography)
	place := s.path("gtmd.toml") + ":25:14: geo database"
	failures := `gtmd_geoip_database_load_failures_total{path="` + s.path("city.mmdb") + `"}`
	rows := damages(t)
	rows = append(rows, rows[0])
	rows[len(rows)-1].name, rows[len(rows)-1].says = "missing", "no such file or directory"
	rows = append(rows, rows[0])
	rows[len(rows)-1].name, rows[len(rows)-1].file = "a part", mmdb(t, "GeoLite2-City", built, "9.0.0.0/8 JP", "2000::/4 JP")
	rows[len(rows)-1].says = "it covers 0.39 % of IPv4"
	for i, row := range rows {
		if row.name == "missing" {
			if err := os.Remove(s.path("city.mmdb")); err != nil {
				t.Fatal(err)
			}
		} else {
			s.put("city.mmdb", row.file)
		}
		ttl := 10 + i // what else is new in the file is served
		text := strings.Replace(geography, "ttl = 5", fmt.Sprintf("ttl = %d", ttl), 1)
		for range 2 {
			if err := s.reload(n, plainHeader, static, text); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		status := n.Status()
		equal(t, row.name+": ttl", int(status.Instances[0].TTL), ttl)
		equal(t, row.name+": state", status.Databases[0].State, admin.DatabaseRefused)
		equal(t, row.name+": error", status.Config.Error, "")
		warning := strings.Join(status.Config.Warnings, "\n")
		if !strings.HasPrefix(warning, place) || !strings.Contains(warning, row.says) || !strings.HasSuffix(warning, ": refused, GeoLite2-City built "+built.UTC().Format(time.DateOnly)+" serves") {
			t.Errorf("%s: warnings are %s", row.name, warning)
		}
		equal(t, row.name, answer(n, dns.TypeA, inJapan)+" "+answer(n, dns.TypeA, elsewhere), toJapan+" "+toOthers)
		equal(t, row.name+": ok", metric(t, n, `gtmd_geoip_database_ok{path="`+s.path("city.mmdb")+`"}`), "0")
		equal(t, row.name+": failures", metric(t, n, failures), fmt.Sprint(i+1))
		if log := s.log.lines("geo database refused: an older one serves on"); len(log) == 0 || !strings.Contains(log[len(log)-1], row.says) {
			t.Errorf("%s: log: %s", row.name, log)
		}

		// What is left does not know what a new source needs. The swapped one does, and not what the old source needs.
		err := s.reload(n, plainHeader, static, strings.Replace(geography, `["country:JP"]`, `["country:JP", "asn:4134"]`, 1))
		contains(t, err, `source "asn:4134" needs`)
		contains(t, err, "which has GeoLite2-City (in place of a file that is refused: geo database ")
		contains(t, err, row.says)
		equal(t, row.name+": refused", answer(n, dns.TypeA, inJapan), toJapan)

		// A path that is not loaded needs a file that can be used.
		s.put("new.mmdb", row.file)
		err = s.reload(n, plainHeader, static, strings.Replace(geography, `["$DIR/city.mmdb"]`, `["$DIR/new.mmdb"]`, 1))
		switch row.name {
		case "a part": // of what, nobody knows
			equal(t, row.name+": new", err, nil)
		case "swapped":
			contains(t, err, s.path("gtmd.toml")+":36:12: source \"country:JP\" needs a database with countries")
		default:
			contains(t, err, place)
			contains(t, err, s.path("new.mmdb"))
		}

		s.put("city.mmdb", good)
		if err := s.reload(n, plainHeader, static, geography); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		equal(t, row.name+": then", database(n).State, admin.DatabaseServes)
		equal(t, row.name+": then warnings", len(n.Status().Config.Warnings), 0)
	}

	// Another kind is served where no source needs the loaded one.
	s.put("city.mmdb", damages(t)[6].file)
	if err := s.reload(n, plainHeader, static, strings.Replace(geography, "country:JP", "asn:4134", 1)); err != nil {
		t.Error(err)
	}
	equal(t, "another kind", database(n).Type+" "+database(n).State, "GeoLite2-ASN "+admin.DatabaseServes)
}

// copyIs waits until the last good copy of city.mmdb, and no other, has a content.
func (s *site) copyIs(want []byte) {
	s.t.Helper()
	eventually(s.t, "a copy", func() string {
		all, err := filepath.Glob(s.path("state/geo/*"))
		if err != nil || len(all) != 1 || filepath.Ext(all[0]) != ".mmdb" { // not the file that becomes the copy
			return fmt.Sprint(all, err)
		}
		if content, err := os.ReadFile(all[0]); err != nil || !bytes.Equal(content, want) {
			return fmt.Sprintf("another copy, %v", err)
		}
		return "a copy"
	})
}

// TestDamagedDatabaseAtStart starts from the last good copy, and without one not at all.
func TestDamagedDatabaseAtStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	good := worldIn(t, "US")
	s.put("city.mmdb", good)
	s.write(plainHeader, static, geography)
	for _, row := range damages(t) {
		s.put("bad.mmdb", row.file)
		s.write(plainHeader, static, strings.Replace(geography, "city.mmdb", "bad.mmdb", 1))
		n, err := node.Start(context.Background(), s.options())
		contains(t, err, row.says)
		if err == nil {
			n.Close()
		}
	}

	n := s.start(plainHeader, static, geography)
	s.copyIs(good)
	n.Close()
	for i, row := range damages(t) {
		s.put("city.mmdb", row.file)
		before := len(s.log.lines("geo database refused: an older one serves on"))
		replaced := len(s.log.lines("geo database replaced"))
		n := s.start(plainHeader, static, geography)
		equal(t, row.name, answer(n, dns.TypeA, inJapan)+" "+answer(n, dns.TypeA, elsewhere), toJapan+" "+toOthers)
		d := database(n)
		equal(t, row.name+": state", d.State, admin.DatabaseCopied)
		if !strings.Contains(d.Error, row.says) || d.Path != s.path("city.mmdb") || d.Type != "GeoLite2-City" || !d.Built.Equal(built) {
			t.Errorf("%s: status is %+v", row.name, d)
		}
		equal(t, row.name+": ok", metric(t, n, `gtmd_geoip_database_ok{path="`+s.path("city.mmdb")+`"}`), "0")
		equal(t, row.name+": failures", metric(t, n, `gtmd_geoip_database_load_failures_total{path="`+s.path("city.mmdb")+`"}`), "1")
		equal(t, row.name+": log lines", len(s.log.lines("geo database refused: an older one serves on"))-before, 1)
		// The copy serves on after a reload too.
		if err := s.reload(n, plainHeader, static, geography); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		equal(t, row.name+": reloaded", database(n).State, admin.DatabaseCopied)
		s.copyIs(good)
		if i%2 == 1 { // a good file is taken up
			s.put("city.mmdb", worldIn(t, "DE"))
			eventually(t, fmt.Sprint(replaced+1), func() string { return fmt.Sprint(len(s.log.lines("geo database replaced"))) })
			s.put("city.mmdb", good)
			eventually(t, fmt.Sprint(replaced+2), func() string { return fmt.Sprint(len(s.log.lines("geo database replaced"))) })
			s.copyIs(good) // a node that ends leaves the copy as it is then, and the next one starts with that
		}
		n.Close()
	}

	// A check never uses copies.
	_, err := node.Check(s.options().Load)
	contains(t, err, "needs a database with countries")
	// The copy of a file that is not in the configuration any more goes away.
	n = s.start(plainHeader, static, instance)
	eventually(t, "0 <nil>", func() string {
		all, err := filepath.Glob(s.path("state/geo/*"))
		return fmt.Sprint(len(all), err)
	})
	n.Close()
}

// TestPartOfADatabase refuses a file that has most of its networks no more: live, at a reload, and at a start until the last
// good copy is removed.
func TestPartOfADatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	good := worldIn(t, "US")
	s.put("city.mmdb", good)
	n := s.start(plainHeader, static, geography)
	s.copyIs(good)
	all, err := filepath.Glob(s.path("state/geo/*.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	name := all[0]
	s.put("city.mmdb", mmdb(t, "GeoLite2-City", built, "9.0.0.0/8 JP", "2000::/4 JP"))
	eventually(t, admin.DatabaseRefused, func() string { return database(n).State })
	want := fmt.Sprintf("geo database %q: it covers 0.39 %% of IPv4, the last good one 100 %%: want a complete file (if this is meant, remove %s and restart gtmd)",
		s.path("city.mmdb"), name)
	equal(t, "error", database(n).Error, want)
	equal(t, "answer", answer(n, dns.TypeA, inJapan), toJapan)
	since := *database(n).Refused
	if err := s.reload(n, plainHeader, static, geography); err != nil {
		t.Error(err)
	}
	equal(t, "error", database(n).Error, want)
	equal(t, "since", *database(n).Refused, since)
	equal(t, "refused databases in memory", n.Hoard(), 0)
	s.put("city.mmdb", mmdb(t, "GeoLite2-City", built, "0.0.0.0/0 JP"))
	eventually(t, "true", func() string {
		return fmt.Sprint(strings.Contains(database(n).Error, "it covers 0 % of IPv6, the last good one 50 %"))
	})
	n.Close()

	s.put("city.mmdb", mmdb(t, "GeoLite2-City", built, "9.0.0.0/8 JP", "2000::/4 JP"))
	n = s.start(plainHeader, static, geography)
	equal(t, "at a start", database(n).State+": "+database(n).Error, admin.DatabaseCopied+": "+want)
	equal(t, "at a start: ok", metric(t, n, `gtmd_geoip_database_ok{path="`+s.path("city.mmdb")+`"}`), "0")
	equal(t, "at a start: answer", answer(n, dns.TypeA, "100.0.0.0/24"), toJapan)
	if log := s.log.lines("geo database refused: an older one serves on"); !strings.Contains(log[len(log)-1], "remove "+name+" and restart gtmd") {
		t.Errorf("log: %s", log)
	}
	// Who means it removes the copy and restarts.
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	n.Close()
	n = s.start(plainHeader, static, geography)
	equal(t, "state", database(n).State, admin.DatabaseServes)
	equal(t, "answer", answer(n, dns.TypeA, "100.0.0.0/24"), toOthers)
	small, err := os.ReadFile(s.path("city.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	s.copyIs(small)
	n.Close()
	n = s.start(plainHeader, static, geography)
	equal(t, "state", database(n).State, admin.DatabaseServes)
}

// TestDatabaseForOtherSources: a file that is smaller than what was there before, and of another kind, is taken by a
// configuration whose sources only it can match, at a reload and at a start.
func TestDatabaseForOtherSources(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	good := worldIn(t, "US")
	numbers := strings.Replace(geography, `["country:JP"]`, `["asn:3"]`, 1)
	taken := func(what string, n *node.Node) {
		t.Helper()
		equal(t, what, database(n).State+" "+answer(n, dns.TypeA, "9.0.0.0/24"), admin.DatabaseServes+" "+toJapan)
	}
	for _, how := range []string{"reload", "start"} {
		s.put("city.mmdb", good)
		n := s.start(plainHeader, static, geography)
		s.copyIs(good)
		if how == "start" {
			n.Close()
		}
		s.put("city.mmdb", mmdb(t, "GeoLite2-ASN", built, "9.0.0.0/8 3"))
		if how == "start" {
			n = s.start(plainHeader, static, numbers)
		} else {
			eventually(t, admin.DatabaseRefused, func() string { return database(n).State })
			if err := s.reload(n, plainHeader, static, numbers); err != nil {
				t.Fatal(err)
			}
		}
		taken(how, n)
		n.Close()
		for _, left := range []string{"state/geo", "city.mmdb"} {
			if err := os.RemoveAll(s.path(left)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDatabaseThatEmpties: a database that moves clients who get answers to a policy whose addresses are all offline is
// refused, live and at a reload; another one that came with it is not.
func TestDatabaseThatEmpties(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	asn := func(upper int) []byte {
		return mmdb(t, "GeoLite2-ASN", built, "0.0.0.0/1 1", fmt.Sprintf("128.0.0.0/1 %d", upper), "2000::/4 1")
	}
	s.put("asn.mmdb", asn(2))
	s.put("city.mmdb", worldIn(t, "US"))
	offline := strings.Replace(static, `"192.0.2.2"`, `{ address = "192.0.2.2", mode = "offline" }`, 1)
	both := strings.NewReplacer(`["$DIR/city.mmdb"]`, `["$DIR/asn.mmdb", "$DIR/city.mmdb"]`, `["country:JP"]`, `["country:JP", "asn:3"]`).Replace(geography)
	n := s.start(plainHeader, offline, both)
	equal(t, "offline", answer(n, dns.TypeA, inJapan), "NODATA") // as it was from the start
	equal(t, "elsewhere", answer(n, dns.TypeA, elsewhere), toOthers)
	states := func() string {
		d := n.Status().Databases
		return d[0].State + " " + d[1].State
	}
	reason := fmt.Sprintf(`geo database %q: instance "cdn-origin", policy "Japan" (ipv4): every address is offline, `+
		`so clients in 128.0.0.0/1 that get an answer now would get none; set when_all_down = "empty" if that is meant`, s.path("city.mmdb"))
	s.put("city.mmdb", worldIn(t, "JP"))
	s.put("asn.mmdb", asn(4))
	eventually(t, admin.DatabaseServes+" "+admin.DatabaseRefused, states)
	equal(t, "reason", n.Status().Databases[1].Error, reason)
	equal(t, "elsewhere", answer(n, dns.TypeA, elsewhere), toOthers)
	eventually(t, "1", func() string { return fmt.Sprint(len(s.log.lines("geo database replaced"))) })
	failures := `gtmd_geoip_database_load_failures_total{path="` + s.path("city.mmdb") + `"}`
	equal(t, "failures", metric(t, n, failures), "1")
	for range 2 {
		if err := s.reload(n, plainHeader, offline, both); err != nil {
			t.Error(err)
		}
		equal(t, "reloaded", n.Status().Databases[1].Error, reason)
		equal(t, "elsewhere", answer(n, dns.TypeA, elsewhere), toOthers)
	}
	equal(t, "failures", metric(t, n, failures), "1")
	// One that is replaced at the moment of a reload is not to blame for the other.
	s.put("asn.mmdb", asn(5))
	if err := s.reload(n, plainHeader, offline, both); err != nil {
		t.Error(err)
	}
	equal(t, "states", states(), admin.DatabaseServes+" "+admin.DatabaseRefused)
	// A configuration that would empty answers whatever the databases say is refused as ever.
	contains(t, s.reload(n, plainHeader, strings.Replace(offline, `"192.0.2.1"`, `{ address = "192.0.2.1", mode = "offline" }`, 1), both), "every address is offline")
	// With addresses it is taken up.
	if err := s.reload(n, plainHeader, static, both); err != nil {
		t.Error(err)
	}
	equal(t, "states", states(), admin.DatabaseServes+" "+admin.DatabaseServes)
	equal(t, "elsewhere", answer(n, dns.TypeA, elsewhere), toJapan)
}
