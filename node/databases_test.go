package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/node"
)

// geography has one database, and an instance in which clients from Japan get test2.
const geography = `
[geo]
databases = ["$DIR/city.mmdb"]
[[instance]]
name = "cdn-origin"
access_domain = "origin.gtm.test"
ttl = 5
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["test1"] }
[[instance.policy]]
name = "Japan"
sources = ["country:JP"]
primary = { pools = ["test2"] }
`

const (
	inJapan   = "9.0.0.0/24"
	elsewhere = "200.0.0.0/24"
	toJapan   = "192.0.2.2"
	toOthers  = "192.0.2.1"
)

// database is what the status says of the first database.
func database(n *node.Node) admin.DatabaseStatus { return n.Status().Databases[0] }

func TestDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "US"))
	n := s.start(plainHeader, static, geography)
	equal(t, "in Japan", answer(n, dns.TypeA, inJapan), toJapan)
	equal(t, "elsewhere", answer(n, dns.TypeA, elsewhere), toOthers)
	d := database(n)
	equal(t, "status", fmt.Sprint(d.Type, d.Path == s.path("city.mmdb"), d.Built.Equal(built), d.State, d.Error, d.Networks4, d.Networks6),
		"GeoLite2-Citytrue trueserves2 1")
	path := `path="` + s.path("city.mmdb") + `"`
	for series, want := range map[string]string{
		`gtmd_geoip_database_ok{` + path + `}`:                     "1",
		`gtmd_geoip_database_load_failures_total{` + path + `}`:    "0",
		`gtmd_geoip_database_networks{family="ipv4",` + path + `}`: "2",
		`gtmd_geoip_database_networks{family="ipv6",` + path + `}`: "1",
		`gtmd_geo_classes`: "2",
	} {
		equal(t, series, metric(t, n, series), want)
	}

	e, err := n.Explain(admin.Question{Name: name, Client: inJapan})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "facts", fmt.Sprint(len(e.Databases), e.Databases[0].Type, " ", e.Databases[0].Prefix, " ", e.Databases[0].Facts), "1GeoLite2-City 0.0.0.0/1 JP JP-13")
	equal(t, "line", fmt.Sprint(e.Lines[0].Source, " ", e.Lines[0].Prefix, " ", e.Lines[0].Database == s.path("city.mmdb"), e.Lines[0].Built.Equal(built)),
		"country:JP 0.0.0.0/1 true true")
	equal(t, "last line", fmt.Sprint(e.Lines[1].Source, e.Lines[1].Database, e.Lines[1].Built), "global<nil>")
}

// damages are seven ways in which a file is no database, or none that serves, with a part of what is said of it.
func damages(t *testing.T) []struct {
	name string
	file []byte
	says string
} {
	good := worldIn(t, "US")
	// A pointer in the search tree that leads nowhere.
	flipped := bytes.Clone(good)
	for i := range 64 {
		flipped[i] ^= 0x55
	}
	end := bytes.LastIndex(good, []byte("\xAB\xCD\xEFMaxMind.com"))
	return []struct {
		name string
		file []byte
		says string
	}{
		{"truncated", good[:len(good)/2], "no metadata marker"},
		{"bit-flipped", flipped, "damaged"},
		{"empty", nil, "it has 0 octets"},
		{"text", []byte("<html>Please log in</html>\n"), "it is text"},
		{"no metadata", good[:end], "no metadata marker"},
		{"wrong type", mmdb(t, "GeoIP2-Anonymous-IP", built, "0.0.0.0/0"), "neither locations nor"},
		{"swapped", mmdb(t, "GeoLite2-ASN", built, "0.0.0.0/1 4134", "128.0.0.0/1 4837", "2000::/4 1"), "GeoLite2-ASN"},
	}
}

// TestDamagedDatabaseInPlace damages the file of a running node: what it was serves on, everybody says so, and a good file is taken up.
func TestDamagedDatabaseInPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "US"))
	n := s.start(plainHeader, static, geography)
	path := s.path("city.mmdb")
	series := func(name string) string { return metric(t, n, name+`{path="`+path+`"}`) }
	failures, replacements := 0, 0
	for i, row := range append(damages(t), struct {
		name string
		file []byte
		says string
	}{name: "removed", says: "no such file or directory"}) {
		before := time.Now().Add(-time.Second)
		if row.name == "removed" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else if s.overwrite("city.mmdb", row.file); i%2 == 1 {
			s.put("city.mmdb", row.file)
		}
		eventually(t, admin.DatabaseRefused+" true", func() string {
			d := database(n)
			return fmt.Sprintf("%s %v", d.State, strings.Contains(d.Error, row.says))
		})
		d := database(n)
		if d.Refused == nil || d.Refused.Before(before) || !d.Built.Equal(built) || d.Type != "GeoLite2-City" {
			t.Errorf("%s: status is %+v", row.name, d)
		}
		equal(t, row.name, answer(n, dns.TypeA, inJapan)+" "+answer(n, dns.TypeA, elsewhere), toJapan+" "+toOthers)
		equal(t, row.name+": ok", series("gtmd_geoip_database_ok"), "0")
		// A file that is written in place may have been seen, and refused, before it was complete.
		var lines []string
		eventually(t, "true", func() string {
			lines = s.log.lines("geo database refused: an older one serves on")
			return fmt.Sprint(len(lines) > failures && fmt.Sprint(len(lines)) == series("gtmd_geoip_database_load_failures_total"))
		})
		failures = len(lines)
		if last := lines[len(lines)-1]; !strings.Contains(last, row.says) || !strings.Contains(last, `serves="GeoLite2-City built `+built.UTC().Format(time.DateOnly)+`"`) {
			t.Errorf("%s: log: %s", row.name, last)
		}

		// A good file with another content, then the first one again.
		country := []string{"DE", "FR"}[i%2]
		s.put("city.mmdb", worldIn(t, country))
		eventually(t, country, func() string {
			e, err := n.Explain(admin.Question{Name: name, Client: elsewhere})
			if err != nil {
				return err.Error()
			}
			return strings.TrimPrefix(e.Databases[0].Facts, "EU ")
		})
		equal(t, row.name+": then", database(n).State+database(n).Error, admin.DatabaseServes)
		equal(t, row.name+": then ok", series("gtmd_geoip_database_ok"), "1")
		replacements++
		eventually(t, fmt.Sprint(replacements), func() string { return fmt.Sprint(len(s.log.lines("geo database replaced"))) })
	}
}

// TestTwoDatabases has sources that need both: one that becomes another kind is refused, and two that are replaced at
// once are taken up at once.
func TestTwoDatabases(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	both := strings.NewReplacer(`["$DIR/city.mmdb"]`, `["$DIR/city.mmdb", "$DIR/asn.mmdb"]`, `["country:JP"]`, `["country:JP", "asn:4134"]`).Replace(geography)
	asn := func(upper int) []byte {
		return mmdb(t, "GeoLite2-ASN", built, "0.0.0.0/1 1", fmt.Sprintf("128.0.0.0/1 %d", upper), "2000::/4 1")
	}
	s.put("city.mmdb", worldIn(t, "US"))
	s.put("asn.mmdb", asn(4134))
	n := s.start(plainHeader, static, both)
	equal(t, "by its number", answer(n, dns.TypeA, elsewhere), toJapan)
	s.put("asn.mmdb", worldIn(t, "US"))
	eventually(t, fmt.Sprintf("geo database %q: it is a GeoLite2-City now and was a GeoLite2-ASN, which is needed for asn:4134", s.path("asn.mmdb")),
		func() string { return n.Status().Databases[1].Error })
	equal(t, "by its number", answer(n, dns.TypeA, elsewhere), toJapan)
	equal(t, "the other", database(n).State, admin.DatabaseServes)

	generation := n.Status().Config.Generation
	s.put("city.mmdb", worldIn(t, "DE"))
	s.put("asn.mmdb", asn(4837))
	eventually(t, toOthers, func() string { return answer(n, dns.TypeA, elsewhere) })
	eventually(t, "serves serves", func() string { return n.Status().Databases[0].State + " " + n.Status().Databases[1].State })
	equal(t, "generations", n.Status().Config.Generation-generation, 1)

	// Neither can become what the other one was alone; together they can.
	s.put("city.mmdb", asn(4134))
	s.put("asn.mmdb", worldIn(t, "US"))
	eventually(t, "GeoLite2-ASN serves, GeoLite2-City serves", func() string {
		d := n.Status().Databases
		return d[0].Type + " " + d[0].State + ", " + d[1].Type + " " + d[1].State
	})
	equal(t, "by its number", answer(n, dns.TypeA, elsewhere), toJapan)
}

// TestTwoDatabasesOfAnotherKind: each could be another kind, because the other one knows the countries; both cannot.
func TestTwoDatabasesOfAnotherKind(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	both := strings.Replace(geography, `["$DIR/city.mmdb"]`, `["$DIR/city.mmdb", "$DIR/more.mmdb"]`, 1)
	asn := mmdb(t, "GeoLite2-ASN", built, "0.0.0.0/0 1", "2000::/4 1")
	s.put("city.mmdb", worldIn(t, "US"))
	s.put("more.mmdb", worldIn(t, "DE"))
	n := s.start(plainHeader, static, both)
	states := func() string { return n.Status().Databases[0].State + " and " + n.Status().Databases[1].State }
	s.put("city.mmdb", asn)
	s.put("more.mmdb", asn)
	eventually(t, admin.DatabaseRefused+" and "+admin.DatabaseRefused, states)
	equal(t, "error", n.Status().Databases[1].Error,
		fmt.Sprintf("geo database %q: it is a GeoLite2-ASN now and was a GeoLite2-City, which is needed for country:JP", s.path("more.mmdb")))
	equal(t, "answer", answer(n, dns.TypeA, inJapan), toJapan)
	s.put("more.mmdb", worldIn(t, "FR"))
	eventually(t, admin.DatabaseRefused+" and "+admin.DatabaseServes, states)
	s.put("city.mmdb", mmdb(t, "GeoLite2-ASN", built, "0.0.0.0/0 2", "2000::/4 1")) // now it can
	eventually(t, admin.DatabaseServes+" and "+admin.DatabaseServes, states)
	equal(t, "answer", answer(n, dns.TypeA, inJapan), toJapan)
}

// TestSwappedUnderLoad replaces the database again and again while clients ask: every answer is that of one of the two
// files, and none is lost.
func TestSwappedUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	files := [][]byte{worldIn(t, "US"), worldIn(t, "JP")}
	s.put("city.mmdb", files[0])
	n := s.start(plainHeader, static, geography)
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	var japan, others atomic.Int64
	for i := range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				low := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i), 1, 2, 0}), 24).String()
				if got := answer(n, dns.TypeA, low); got != toJapan {
					t.Errorf("%s got %s", low, got)
				}
				switch got := answer(n, dns.TypeA, elsewhere); got {
				case toJapan:
					japan.Add(1)
				case toOthers:
					others.Add(1)
				default:
					t.Errorf("%s got %s", elsewhere, got)
				}
			}
		})
	}
	const swaps = 8
	for i := range swaps {
		s.put("city.mmdb", files[i%2]) // and at once the other one
		s.put("city.mmdb", files[(i+1)%2])
		answers := []*atomic.Int64{&japan, &others}[i%2]
		before := answers.Load()
		eventually(t, "more", func() string {
			if answers.Load() > before {
				return "more"
			}
			return "none"
		})
	}
	stop()
	clients.Wait()
	eventually(t, toOthers, func() string { return answer(n, dns.TypeA, elsewhere) }) // swaps is even
	if log := s.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("log: %s", log)
	}
}

// TestSameDatabase: a file that is touched, or replaced by its equal, changes nothing; a reload neither.
func TestSameDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "US"))
	n := s.start(plainHeader, static, geography)
	equal(t, "work", n.GeoWork(), "1 read, 1 built")
	if err := s.reload(n, plainHeader, static, geography, "max_answers = 1\n"); err == nil {
		t.Error("a broken configuration was served")
	}
	if err := s.reload(n, plainHeader, static, strings.Replace(geography, "ttl = 5", "ttl = 6", 1)); err != nil {
		t.Fatal(err)
	}
	equal(t, "work", n.GeoWork(), "1 read, 1 built")
	generation := n.Status().Config.Generation
	s.put("city.mmdb", worldIn(t, "US"))
	eventually(t, "2 read, 1 built", n.GeoWork)
	equal(t, "generation", n.Status().Config.Generation, generation)
	if err := s.reload(n, plainHeader, static, geography); err != nil {
		t.Fatal(err)
	}
	equal(t, "work", n.GeoWork(), "2 read, 1 built")
	// Other sources are another map of the same database.
	if err := s.reload(n, plainHeader, static, strings.Replace(geography, "country:JP", "country:US", 1)); err != nil {
		t.Fatal(err)
	}
	equal(t, "work", n.GeoWork(), "2 read, 2 built")
	// One that is refused after its map was made leaves what serves as it was.
	offline := strings.NewReplacer(`"192.0.2.1"`, `{ address = "192.0.2.1", mode = "offline" }`, `"192.0.2.2"`, `{ address = "192.0.2.2", mode = "offline" }`)
	contains(t, s.reload(n, plainHeader, offline.Replace(static), strings.Replace(geography, "country:JP", "country:FR", 1)), "every address is offline")
	if err := s.reload(n, plainHeader, static, strings.Replace(geography, "country:JP", "country:US", 1)); err != nil {
		t.Fatal(err)
	}
	equal(t, "work", n.GeoWork(), "2 read, 3 built")
	equal(t, "answer", answer(n, dns.TypeA, elsewhere), toJapan)
	equal(t, "loads", len(s.log.lines("databases=1 geo_build=")), 5)

	// A reload takes a new file up at once; when it is refused for something else, the file is taken up by itself.
	s.put("city.mmdb", worldIn(t, "FR"))
	if err := s.reload(n, plainHeader, static, strings.Replace(geography, "country:JP", "country:US", 1)); err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", answer(n, dns.TypeA, elsewhere), toOthers)
	s.put("city.mmdb", worldIn(t, "US"))
	if err := s.reload(n, plainHeader, static, geography, "colour = 1\n"); err == nil {
		t.Error("a broken configuration was served")
	}
	eventually(t, toJapan, func() string { return answer(n, dns.TypeA, elsewhere) })
}

// TestDatabaseIsGoodAgain takes the file of what serves back without another word, and counts nothing twice.
func TestDatabaseIsGoodAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "US"))
	n := s.start(plainHeader, static, geography)
	s.put("city.mmdb", []byte("half of a downl"))
	eventually(t, admin.DatabaseRefused, func() string { return database(n).State })
	eventually(t, "1", func() string { return fmt.Sprint(len(s.log.lines("geo database refused"))) })
	for range 3 {
		if err := s.reload(n, plainHeader, static, geography); err != nil {
			t.Error(err)
		}
		contains(t, errors.New(database(n).Error), "it is text")
	}
	refused := len(s.log.lines("geo database refused"))
	equal(t, "refused", refused, 4) // each reload says it again
	generation := n.Status().Config.Generation
	s.put("city.mmdb", worldIn(t, "US"))
	eventually(t, admin.DatabaseServes, func() string { return database(n).State })
	equal(t, "generation", n.Status().Config.Generation, generation)
	equal(t, "refused", len(s.log.lines("geo database refused")), refused)
	eventually(t, "1", func() string { return fmt.Sprint(len(s.log.lines("geo database is good again"))) })
	path := s.path("city.mmdb")
	equal(t, "failures", metric(t, n, `gtmd_geoip_database_load_failures_total{path="`+path+`"}`), "1")
	equal(t, "ok", metric(t, n, `gtmd_geoip_database_ok{path="`+path+`"}`), "1")
}

// TestOldDatabase warns of one that is older than max_age.
func TestOldDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", mmdb(t, "GeoLite2-City", time.Now().Add(-100*24*time.Hour), "0.0.0.0/0 JP"))
	n := s.start(plainHeader, static, geography)
	warning := fmt.Sprintf("%s:25:14: geo database %q was built %s, 100 days ago: want a newer one, at most 60 days old (max_age)",
		s.path("gtmd.toml"), s.path("city.mmdb"), database(n).Built.Format(time.DateOnly))
	equal(t, "warnings", strings.Join(n.Status().Config.Warnings, "\n"), warning)
	equal(t, "log lines", len(s.log.lines("100 days ago: want a newer one")), 1)
	s.put("city.mmdb", mmdb(t, "GeoLite2-City", time.Now(), "0.0.0.0/0 JP"))
	eventually(t, "0", func() string { return fmt.Sprint(len(n.Status().Config.Warnings)) })
	// It becomes too old while it serves.
	s.put("city.mmdb", mmdb(t, "GeoLite2-City", time.Now().Add(-60*24*time.Hour+3*time.Second), "0.0.0.0/0 JP"))
	eventually(t, "1", func() string { return fmt.Sprint(len(s.log.lines("geo database is old"))) })
	// It was when it came.
	s.put("city.mmdb", mmdb(t, "GeoLite2-City", time.Now().Add(-70*24*time.Hour), "0.0.0.0/0 JP"))
	eventually(t, "1", func() string { return fmt.Sprint(len(s.log.lines("70 days ago"))) })
	equal(t, "log lines", len(s.log.lines("geo database is old")), 2)
}

// TestUnwritableCopies serves on without a place for the copies, and says so.
func TestUnwritableCopies(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "US"))
	if err := os.MkdirAll(s.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.overwrite("state/geo", nil) // a file is in the way of the directory
	n := s.start(plainHeader, static, geography)
	eventually(t, "1", func() string { return metric(t, n, "gtmd_geoip_database_copy_failures_total") })
	equal(t, "log lines", len(s.log.lines("geo databases are not copied: a start without their files would fail")), 1)
	equal(t, "answer", answer(n, dns.TypeA, inJapan), toJapan)
}

// TestOldDatabaseIsFreed: nothing keeps a database that was replaced in memory.
func TestOldDatabaseIsFreed(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	s.put("city.mmdb", worldIn(t, "US"))
	n := s.start(plainHeader, static, geography)
	for i, country := range []string{"DE", "FR", "IT"} {
		old := n.WeakDatabase()
		if i == 1 {
			s.put("city.mmdb", nil) // a refused one in between
			eventually(t, admin.DatabaseRefused, func() string { return database(n).State })
		}
		s.put("city.mmdb", worldIn(t, country))
		eventually(t, fmt.Sprint(i+1), func() string { return fmt.Sprint(len(s.log.lines("geo database replaced"))) })
		eventually(t, "freed", func() string {
			if node.IsFreed(old) {
				return "freed"
			}
			return "in memory"
		})
	}
}
