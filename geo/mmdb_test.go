package geo

import (
	"bytes"
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// Short names of what a record is made of.
type (
	mmap  = mmdbtype.Map
	mlist = mmdbtype.Slice
	mtext = mmdbtype.String
	mnum  = mmdbtype.Uint32
	mreal = mmdbtype.Float64
)

// testBuilt is when every database of the tests was put together: 2026-11-01.
const testBuilt = 1793491200

// mmdbFile makes the content of a database. Wider networks are inserted first, so that a network inside another one has its own
// record.
func mmdbFile(tb testing.TB, options mmdbwriter.Options, rows map[string]mmap) []byte {
	tb.Helper()
	options.BuildEpoch = cmp.Or(options.BuildEpoch, testBuilt)
	options.IncludeReservedNetworks = true
	if options.Description == nil {
		options.Description = map[string]string{"en": "made for a test"}
	}
	w, err := mmdbwriter.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	networks := make(map[netip.Prefix]mmap, len(rows))
	for text, row := range rows {
		networks[netip.MustParsePrefix(text)] = row
	}
	byWidth := func(a, b netip.Prefix) int { return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Compare(b)) }
	for _, prefix := range slices.SortedFunc(maps.Keys(networks), byWidth) {
		network := &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
		if err := w.Insert(network, networks[prefix]); err != nil {
			tb.Fatalf("insert %v: %v", prefix, err)
		}
	}
	var file bytes.Buffer
	if _, err := w.WriteTo(&file); err != nil {
		tb.Fatal(err)
	}
	return file.Bytes()
}

// newTestDatabase makes a database of both families without aliases.
func newTestDatabase(tb testing.TB, databaseType string, rows map[string]mmap) *Database {
	tb.Helper()
	options := mmdbwriter.Options{DatabaseType: databaseType, DisableIPv4Aliasing: true}
	return mustDatabase(tb, mmdbFile(tb, options, rows))
}

func mustDatabase(tb testing.TB, content []byte) *Database {
	tb.Helper()
	d, err := NewDatabase("test.mmdb", content)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// cityRow is a record as GeoLite2-City has it: names in several languages, and much that is of no use here.
func cityRow(continent, country, subdivision, city string, geoNameID uint32, latitude, longitude float64) mmap {
	row := mmap{
		"continent": mmap{"code": mtext(continent), "geoname_id": mnum(6255147), "names": namesOf("Asia", "亚洲")},
		"country":   mmap{"iso_code": mtext(country), "geoname_id": mnum(1814991), "names": namesOf("China", "中国")},
		// Where the network is registered is not where its clients are.
		"registered_country": mmap{"iso_code": mtext("US"), "names": namesOf("United States", "美国")},
		"location": mmap{"latitude": mreal(latitude), "longitude": mreal(longitude),
			"accuracy_radius": mmdbtype.Uint16(50), "time_zone": mtext("Asia/Shanghai")},
		"postal": mmap{"code": mtext("510000")},
		"traits": mmap{"is_anycast": mmdbtype.Bool(false)},
	}
	if subdivision != "" {
		row["subdivisions"] = mlist{mmap{"iso_code": mtext(subdivision), "names": namesOf("some province", "某省")}}
	}
	if city != "" {
		row["city"] = mmap{"geoname_id": mnum(geoNameID), "names": namesOf(city, "广州")}
	}
	return row
}

func namesOf(en, zh string) mmap {
	return mmap{"de": mtext(en + " (de)"), "en": mtext(en), "zh-CN": mtext(zh)}
}

// recordsOf collects what records yields.
func recordsOf(tb testing.TB, d *Database) []record {
	tb.Helper()
	var all []record
	for r, err := range d.records() {
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}
