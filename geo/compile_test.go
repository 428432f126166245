package geo

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
)

// TestReadRecords reads networks that no Database has: each of its own is checked before.
func TestReadRecords(t *testing.T) {
	broken := errors.New("the disk is on fire")
	at := func(prefix string) record { return record{prefix: netip.MustParsePrefix(prefix)} }
	table := newFactTable(networkOf)
	for _, tc := range []struct {
		name    string
		records []record
		err     error // after the records
		decode  error
		want    string
	}{
		{"in order", []record{at("10.0.0.0/8"), at("11.0.0.0/8"), at("::/64"), at("ffff::/16")}, nil, nil, ""},
		{"an error of the walk", []record{at("10.0.0.0/8")}, broken, nil, "the disk is on fire"},
		{"an error of a record", []record{at("10.0.0.0/8")}, nil, broken, "the record of 10.0.0.0/8: the disk is on fire"},
		{"out of order", []record{at("10.0.0.0/8"), at("9.0.0.0/8")}, nil, nil, "the network 9.0.0.0/8 comes after those behind it"},
		{"twice", []record{at("2001::/16"), at("2001::/16")}, nil, nil, "the network 2001::/16 comes after those behind it"},
		{"inside another", []record{at("10.0.0.0/8"), at("10.9.0.0/16")}, nil, nil, "the network 10.9.0.0/16 comes after those behind it"},
		{"behind the end", []record{at("::/0"), at("::/1")}, nil, nil, "the network ::/1 comes after those behind it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var records iter.Seq2[record, error] = func(yield func(record, error) bool) {
				for _, r := range tc.records {
					if !yield(r, nil) {
						return
					}
				}
				if tc.err != nil {
					yield(record{}, tc.err)
				}
			}
			decode := func(uintptr) (*Facts, error) { return &Facts{ASN: 1}, tc.decode }
			read, err := readRecords(records, decode, [told]*factTable{byNetwork: table})
			if tc.want != "" {
				if err == nil || err.Error() != tc.want {
					t.Errorf("error %v, want %s", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if read[byLocation].v4.depths != nil {
				t.Error("locations were read that nobody wants")
			}
			// 1 in 10.0.0.0/7, and 1 in both corners of IPv6.
			if got := read[byNetwork].v4; len(got.depths) != 8 || len(read[byNetwork].v6.depths) != 65+15 {
				t.Errorf("IPv4 %v, IPv6 %v", got, read[byNetwork].v6)
			}
		})
	}
}

func TestCompileTooManyClasses(t *testing.T) {
	in := Input{Lines: []LineOptions{line("a", "10.0.0.0/8"), line("b", "10.1.0.0/16 11.0.0.0/8")}}
	// No line; a; b and a; b.
	if m, err := compile(in, 4); err != nil || m.Classes() != 4 {
		t.Errorf("with as many classes as there may be: %v, %v", m, err)
	}
	const want = "the sources in use make 4 classes of clients, want at most 3: use fewer sources, or coarser ones"
	if m, err := compile(in, 3); err == nil || err.Error() != want || m != nil {
		t.Errorf("one class more: error %v, want %s", err, want)
	}
}

// TestCompileDamagedDatabase damages the records of a database after it was checked, as bad memory would.
func TestCompileDamagedDatabase(t *testing.T) {
	content := mmdbFile(t, mmdbwriter.Options{DatabaseType: "GeoLite2-Country", DisableIPv4Aliasing: true}, map[string]mmap{
		"10.0.0.0/8": {"country": mmap{"iso_code": mtext("JP")}},
	})
	d, err := NewDatabase("japan.mmdb", content)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, []byte("iso_code"))
	copy(content[at-1:], []byte{0xff, 0xff, 0xff, 0xff})
	japan, err := ParseSelector("country:JP", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `geo database "japan.mmdb": the record of 10.0.0.0/8: `
	if m, err := Compile(Input{Databases: []*Database{d}, Selectors: []Selector{japan}}); err == nil || !strings.HasPrefix(err.Error(), want) || m != nil {
		t.Errorf("Compile = %v, %v; want an error that starts with %s", m, err, want)
	}
	// Nothing in use wants to know it.
	if _, err := Compile(Input{Databases: []*Database{d}}); err != nil {
		t.Error(err)
	}
}

// TestMatchesOfDatabases says which network of which database each source is from.
func TestMatchesOfDatabases(t *testing.T) {
	asn := newTestDatabase(t, "GeoLite2-ASN", map[string]mmap{
		"10.0.0.0/8": {"autonomous_system_number": mnum(4134)},
		"20.0.0.0/8": {"autonomous_system_number": mnum(64500)},
	})
	city := newTestDatabase(t, "GeoLite2-City", map[string]mmap{
		"10.0.0.0/16": cityRow("AS", "CN", "GD", "Guangzhou", 1809858, 23, 113),
		"20.0.0.0/7": {"country": mmap{"iso_code": mtext("GB")}, "subdivisions": mlist{
			mmap{"iso_code": mtext("ENG")}, mmap{"iso_code": mtext("LND")},
		}},
		"12.0.0.0/8": {"city": mmap{"names": mmap{"en": mtext("Springfield")}}},
	})
	country := newTestDatabase(t, "GeoLite2-Country", map[string]mmap{
		"10.0.1.0/24": {"country": mmap{"iso_code": mtext("JP")}},
		"12.0.0.0/6":  {"country": mmap{"iso_code": mtext("US")}},
	})
	asn.Path, city.Path, country.Path = "asn", "city", "country"
	lines := []LineOptions{line("google", "10.0.0.0/16"), line("office", "10.0.0.0/16"), line("desk", "10.0.1.0/24")}
	in := Input{Lines: lines, Databases: []*Database{asn, city, country}}
	for _, text := range []string{
		"cn_telecom_guangdong", "telecom", "internal", "subdivision:GB-ENG", "subdivision:GB-LND", "country:GB", "country:US", "country:JP",
		"city:US/Springfield", "continent:AS", "continent:NA", "oversea", "global", "asn:64500",
	} {
		source, err := ParseSelector(text, lines, nil)
		if err != nil {
			t.Fatal(err)
		}
		in.Selectors = append(in.Selectors, source)
	}
	m, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		addr string
		want []string
	}{
		// The lines of two ranks share a prefix; the provider in a province has the longer prefix of both its parts.
		{"10.0.0.1", []string{
			"office 10.0.0.0/16", "google 10.0.0.0/16", "search 10.0.0.0/16", "cn_telecom_guangdong 10.0.0.0/16 city", "isp:telecom 10.0.0.0/8 asn",
			"country:CN 10.0.0.0/16 city", "continent:AS 10.0.0.0/16 city",
		}},
		// The city database counts more than the country database behind it.
		{"::ffff:10.0.1.1", []string{
			"desk 10.0.1.0/24", "office 10.0.0.0/16", "google 10.0.0.0/16", "search 10.0.0.0/16", "cn_telecom_guangdong 10.0.0.0/16 city",
			"isp:telecom 10.0.0.0/8 asn", "country:CN 10.0.0.0/16 city", "continent:AS 10.0.0.0/16 city",
		}},
		// Of two subdivisions the narrower first.
		{"20.0.0.1", []string{
			"asn:64500 20.0.0.0/8 asn", "subdivision:GB-LND 20.0.0.0/7 city", "subdivision:GB-ENG 20.0.0.0/7 city",
			"country:GB 20.0.0.0/7 city", "oversea 20.0.0.0/7 city",
		}},
		// No database knows both the city and its country: the first that knows where it is.
		{"12.0.0.1", []string{
			"city:US/springfield 12.0.0.0/8 city", "country:US 12.0.0.0/6 country", "continent:NA 12.0.0.0/6 country", "oversea 12.0.0.0/6 country",
		}},
	} {
		t.Run(tc.addr, func(t *testing.T) {
			var got []string
			matches := m.Matches(netip.MustParseAddr(tc.addr))
			for _, match := range matches[:len(matches)-1] {
				text := fmt.Sprint(match.Selector, " ", match.Prefix)
				if match.Database != nil {
					text += " " + match.Database.Path
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Matches (-want +got):\n%s", diff)
			}
		})
	}
	if got := m.Records(netip.Addr{}); got != nil {
		t.Errorf("records of the zero Addr: %v", got)
	}
}

func TestCompileISPErrors(t *testing.T) {
	_, err := Compile(Input{Lines: []LineOptions{line("", "")}, ISPs: []ISPOptions{{}}})
	if err == nil || !strings.HasPrefix(err.Error(), "custom line number 1: no name\nisp number 1: no name") {
		t.Errorf("error %v, want those of the lines and those of the providers", err)
	}
}
