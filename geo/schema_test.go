package geo

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// A schemaCase is a small database of one type, and what must be known of some addresses in it.
type schemaCase struct {
	databaseType string
	rows         map[string]mmap
	knows        Knowledge
	facts        map[string]Facts
}

var schemaCases = []schemaCase{
	{"GeoLite2-City", map[string]mmap{
		"1.0.0.0/24":    cityRow("AS", "CN", "GD", "Guangzhou", 1809858, 23.1181, 113.2539),
		"1.0.1.0/24":    cityRow("EU", "FR", "", "", 0, 0, 0),
		"1.0.2.0/24":    {"registered_country": mmap{"iso_code": mtext("US")}},
		"1.0.3.0/24":    {"location": mmap{"latitude": mreal(10)}, "country": mmap{"iso_code": mtext("CN")}},
		"1.0.4.0/24":    {"location": mmap{"latitude": mreal(91), "longitude": mreal(5)}, "country": mmap{"iso_code": mtext("ZZ")}},
		"1.0.5.0/24":    {"location": mmap{"latitude": mreal(0), "longitude": mreal(5)}},
		"2001:db8::/32": cityRow("AS", "CN", "44", "Guangzhou", 1809858, 23.1181, 113.2539),
		"2001:db9::/32": {
			"country": mmap{"iso_code": mtext("GB")},
			"subdivisions": mlist{
				mmap{"iso_code": mtext("ENG"), "names": namesOf("England", "英格兰")},
				mmap{"iso_code": mtext("OXF"), "names": namesOf("Oxfordshire", "牛津郡")},
			},
		},
	}, KnowsContinent | KnowsCountry | KnowsSubdivision | KnowsCity | KnowsPlace, map[string]Facts{
		"1.0.0.1": {Continent: "AS", Country: "CN", Subdivisions: []string{"CN-GD"},
			City: City{1809858, "Guangzhou"}, Place: &Coordinates{23.1181, 113.2539}},
		"1.0.1.1":    {Continent: "EU", Country: "FR"},
		"1.0.2.1":    {},
		"1.0.3.1":    {Country: "CN"},
		"1.0.4.1":    {},
		"1.0.5.1":    {Place: &Coordinates{0, 5}},
		"1.0.6.1":    {},
		"2001:db7::": {},
		"2001:db8::1": {Continent: "AS", Country: "CN", Subdivisions: []string{"CN-GD"},
			City: City{1809858, "Guangzhou"}, Place: &Coordinates{23.1181, 113.2539}},
		"2001:db9::1": {Country: "GB", Subdivisions: []string{"GB-ENG", "GB-OXF"}},
	}},
	{"GeoLite2-Country", map[string]mmap{
		"1.0.0.0/24": {"continent": mmap{"code": mtext("OC")}, "country": mmap{"iso_code": mtext("AU"), "names": namesOf("Australia", "澳大利亚")}},
	}, KnowsContinent | KnowsCountry, map[string]Facts{"1.0.0.0": {Continent: "OC", Country: "AU"}}},
	{"GeoLite2-ASN", map[string]mmap{
		"1.0.0.0/24": {"autonomous_system_number": mnum(4134), "autonomous_system_organization": mtext("Chinanet")},
		"1.0.1.0/24": {"autonomous_system_number": mnum(0)},
	}, KnowsASN | KnowsISP, map[string]Facts{"1.0.0.0": {ASN: 4134, Organization: "Chinanet", OrganizationOfAS: true}, "1.0.1.0": {}}},
	{"GeoIP2-ISP", map[string]mmap{
		"1.0.0.0/24": {"autonomous_system_number": mnum(4134), "autonomous_system_organization": mtext("Chinanet"),
			"isp": mtext("China Telecom"), "organization": mtext("China Telecom Guangdong")},
	}, KnowsASN | KnowsISP, map[string]Facts{
		"1.0.0.0": {ASN: 4134, ISP: "China Telecom", Organization: "China Telecom Guangdong"},
	}},
	{"GeoIP2-Enterprise", map[string]mmap{
		"1.0.0.0/24": {"country": mmap{"iso_code": mtext("CN"), "confidence": mmdbtype.Uint16(99)},
			"traits": mmap{"autonomous_system_number": mnum(4134), "isp": mtext("China Telecom"), "user_type": mtext("residential")}},
	}, KnowsCountry | KnowsASN | KnowsISP, map[string]Facts{"1.0.0.0": {Country: "CN", ASN: 4134, ISP: "China Telecom"}}},
	// A City database that somebody merged an ASN database into.
	{"GeoLite2-City", map[string]mmap{
		"1.0.0.0/24": {"country": mmap{"iso_code": mtext("CN")}, "autonomous_system_number": mnum(4134),
			"autonomous_system_organization": mtext("Chinanet")},
	}, KnowsCountry | KnowsASN | KnowsISP, map[string]Facts{"1.0.0.0": {Country: "CN", ASN: 4134, Organization: "Chinanet", OrganizationOfAS: true}}},
	// DB-IP has names of subdivisions but no codes.
	{"DBIP-City-Lite", map[string]mmap{
		"1.0.0.0/24": {"continent": mmap{"code": mtext("AS")}, "country": mmap{"iso_code": mtext("CN")},
			"subdivisions": mlist{mmap{"names": mmap{"en": mtext("Guangdong")}}}, "city": mmap{"names": mmap{"en": mtext("Guangzhou")}},
			"location": mmap{"latitude": mreal(23.12), "longitude": mreal(113.26)}},
		"1.0.1.0/24": {"country": mmap{"iso_code": mtext("AU")}, "subdivisions": mlist{mmap{"names": mmap{"en": mtext("Queensland")}}}},
	}, KnowsContinent | KnowsCountry | KnowsSubdivision | KnowsCityName | KnowsPlace, map[string]Facts{
		"1.0.0.0": {Continent: "AS", Country: "CN", Subdivisions: []string{"CN-GD"}, City: City{Name: "Guangzhou"},
			Place: &Coordinates{23.12, 113.26}},
		"1.0.1.0": {Country: "AU"},
	}},
	{"ipinfo generic_lite_free.mmdb", map[string]mmap{
		"1.0.0.0/24": {"asn": mtext("AS13335"), "as_name": mtext("Cloudflare, Inc."), "as_domain": mtext("cloudflare.com"),
			"continent": mtext("Oceania"), "continent_code": mtext("OC"), "country": mtext("Australia"), "country_code": mtext("AU")},
		"1.0.1.0/24": {"asn": mtext(""), "country": mtext("CN"), "continent": mtext("AS")}, // the older Country ASN
	}, KnowsContinent | KnowsCountry | KnowsASN | KnowsISP, map[string]Facts{
		"1.0.0.0": {Continent: "OC", Country: "AU", ASN: 13335, Organization: "Cloudflare, Inc.", OrganizationOfAS: true},
		"1.0.1.0": {Continent: "AS", Country: "CN"},
	}},
	{"ipinfo standard_location.mmdb", map[string]mmap{
		"1.0.0.0/24": {"city": mtext("Guangzhou"), "region": mtext("Guangdong"), "country": mtext("CN"), "geoname_id": mtext("1809858"),
			"lat": mtext("23.1167"), "lng": mtext("113.25"), "timezone": mtext("Asia/Shanghai")},
		"1.0.1.0/24": {"region": mtext("somewhere"), "region_code": mtext("cn-gd"), "country": mtext("cn"), "geoname_id": mtext("1814991"),
			"lat": mtext("north"), "lng": mtext("113.25")},
		"1.0.2.0/24": {"region_code": mtext("FR-IDF"), "country": mtext("CN")},
	}, KnowsCountry | KnowsSubdivision | KnowsCity | KnowsPlace, map[string]Facts{
		"1.0.0.0": {Country: "CN", Subdivisions: []string{"CN-GD"}, City: City{1809858, "Guangzhou"}, Place: &Coordinates{23.1167, 113.25}},
		"1.0.1.0": {Country: "CN", Subdivisions: []string{"CN-GD"}},
		"1.0.2.0": {Country: "CN"},
	}},
	// ip-location-db: country, city and asn.
	{"ip-location-db", map[string]mmap{
		"1.0.0.0/24": {"country_code": mtext("CN"), "state1": mtext("Guangdong"), "state2": mtext(""), "city": mtext("Guangzhou"),
			"latitude": mmdbtype.Float32(23.125), "longitude": mmdbtype.Float32(113.25)},
		"1.0.1.0/24": {"autonomous_system_number": mtext("4134"), "autonomous_system_organization": mtext("CHINANET-BACKBONE")},
	}, KnowsCountry | KnowsSubdivision | KnowsCityName | KnowsPlace | KnowsASN | KnowsISP, map[string]Facts{
		"1.0.0.0": {Country: "CN", Subdivisions: []string{"CN-GD"}, City: City{Name: "Guangzhou"}, Place: &Coordinates{23.125, 113.25}},
		"1.0.1.0": {ASN: 4134, Organization: "CHINANET-BACKBONE", OrganizationOfAS: true},
	}},
	// IPtoASN by any of the usual writers.
	{"iptoasn", map[string]mmap{
		"1.0.0.0/24": {"asn": mmdbtype.Uint64(4134), "country_code": mtext("None"), "as_name": mtext("CHINANET-BACKBONE")},
		"1.0.1.0/24": {"asn": mmdbtype.Uint64(1 << 32), "country_code": mtext("EU")},
		"1.0.2.0/24": {"asn": mmdbtype.Int32(-5), "country_code": mtext("nz")},
	}, KnowsCountry | KnowsASN | KnowsISP, map[string]Facts{
		"1.0.0.0": {ASN: 4134, Organization: "CHINANET-BACKBONE", OrganizationOfAS: true},
		"1.0.1.0": {},
		"1.0.2.0": {Country: "NZ"},
	}},
	{"gtmd-Country", map[string]mmap{
		"1.0.0.0/24": {"country": mmap{"iso_code": mtext("CN")}, "subdivisions": mlist{mmap{"iso_code": mtext("GD")}},
			"autonomous_system_number": mnum(4134)},
	}, KnowsCountry | KnowsSubdivision | KnowsASN, map[string]Facts{
		"1.0.0.0": {Country: "CN", Subdivisions: []string{"CN-GD"}, ASN: 4134},
	}},
	// Fields of another form than their names promise are passed over; the rest counts.
	{"odd", map[string]mmap{
		"1.0.0.0/24": {"country": mlist{mtext("CN")}, "continent": mmdbtype.Bool(true), "subdivisions": mtext("GD"), "traits": mnum(1),
			"city": mmap{"geoname_id": mtext("x"), "names": mtext("y")}, "location": mlist{}, "asn": mtext("AS7")},
		"1.0.1.0/24": {"country": mtext("C1"), "subdivisions": mlist{mtext("GD"), mmap{"iso_code": mnum(1)}}, "asn": mtext("ASSET")},
		"1.0.2.0/24": {"country": mmap{"iso_code": mtext("CN")}, "subdivisions": mlist{
			mmap{"iso_code": mtext("GD")}, mmap{"iso_code": mtext("gd")}, mmap{"iso_code": mtext("four")}, mmap{"iso_code": mtext("?")}}},
	}, KnowsASN | KnowsCountry | KnowsSubdivision, map[string]Facts{
		"1.0.0.0": {ASN: 7},
		"1.0.1.0": {},
		"1.0.2.0": {Country: "CN", Subdivisions: []string{"CN-GD"}},
	}},
}

func TestSchemas(t *testing.T) {
	for _, c := range schemaCases {
		t.Run(c.databaseType, func(t *testing.T) {
			d := newTestDatabase(t, c.databaseType, c.rows)
			if d.Type != c.databaseType || d.Knows != c.knows {
				t.Errorf("type %q, knows %b; want %q, %b", d.Type, d.Knows, c.databaseType, c.knows)
			}
			for text, want := range c.facts {
				got, _ := d.Lookup(netip.MustParseAddr(text))
				if diff := cmp.Diff(&want, got); diff != "" {
					t.Errorf("%s: (-want +got)\n%s", text, diff)
				}
			}
			if n := d.Networks4 + d.Networks6; n != len(c.rows) {
				t.Errorf("%d networks, want %d", n, len(c.rows))
			}
			for _, r := range recordsOf(t, d) {
				sameKnowledge(t, d, r)
			}
		})
	}
}

// sameKnowledge holds what the walk knows of a network against what a look-up in it says, and, for the types that geoip2 knows,
// against what that library decodes alone.
func sameKnowledge(t *testing.T, d *Database, r record) {
	t.Helper()
	walked, err := d.facts(r.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []netip.Addr{r.prefix.Addr(), last(r.prefix)} {
		found, prefix := d.Lookup(addr)
		if diff := cmp.Diff(walked, found); diff != "" || prefix != r.prefix {
			t.Fatalf("%v: the walk has it in %v, the look-up in %v; facts (-walk +look-up)\n%s", addr, r.prefix, prefix, diff)
		}
	}
	if d.known == nil || walked.Knows().Has(KnowsASN|KnowsCountry) && d.Type == "GeoLite2-City" {
		return
	}
	library, ok := d.lookupKnown(r.prefix.Addr())
	if !ok {
		t.Fatalf("%v: geoip2 cannot decode it", r.prefix)
	}
	if diff := cmp.Diff(walked, library.facts(&d.lists)); diff != "" {
		t.Fatalf("%v: (-walk +geoip2)\n%s", r.prefix, diff)
	}
}

// TestFieldTwice has a record that says the same twice, which no writer makes: the first counts.
func TestFieldTwice(t *testing.T) {
	record := []byte("\xe4\x43asn\xc1\x07\x43asn\xc1\x08\x44city\x41A\x44city\x41B")
	d := mustDatabase(t, treeFile{4, [][2]uint32{{toData, toNothing}}, record}.content())
	got, _ := d.Lookup(netip.MustParseAddr("1.2.3.4"))
	if diff := cmp.Diff(&Facts{ASN: 7, City: City{Name: "A"}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
