//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// atlas is a made-up world: what a City and an ASN database say of some networks of both families, half of which lie inside
// others. One seed always makes one world.
type atlas struct {
	city, asn *mmdbwriter.Tree
	networks  []netip.Prefix // of both databases
}

// tract is a part of the address space that networks are made in; elsewhere is unknown land.
type tract struct {
	netip.Prefix
	china bool
}

// The tracts of the atlas. None of them is special in any way (2001:200::/23 begins behind Teredo's 2001::/32).
var (
	tracts4 = []tract{
		tractOf("14.0.0.0/8", true), tractOf("36.0.0.0/10", true), tractOf("112.0.0.0/9", true),
		tractOf("5.0.0.0/8", false), tractOf("24.0.0.0/10", false), tractOf("41.0.0.0/9", false),
		tractOf("103.0.0.0/8", false), tractOf("133.0.0.0/9", false), tractOf("177.0.0.0/9", false),
	}
	tracts6 = []tract{
		tractOf("240e::/20", true), tractOf("2408:8000::/20", true), tractOf("2001:200::/23", false), tractOf("2600::/20", false),
		tractOf("2804::/16", false), tractOf("2a00::/19", false), tractOf("2c00::/18", false),
	}
)

func tractOf(prefix string, china bool) tract { return tract{netip.MustParsePrefix(prefix), china} }

// lands are the countries of the atlas but China, with the coordinates of their middle.
var lands = []struct {
	code, continent     string
	latitude, longitude float64
}{
	{"JP", "AS", 36.2, 138.3}, {"KR", "AS", 36.5, 127.8}, {"SG", "AS", 1.4, 103.8}, {"IN", "AS", 22.0, 79.0},
	{"TH", "AS", 15.1, 101.0}, {"VN", "AS", 16.6, 106.3}, {"AE", "AS", 24.0, 54.0}, {"HK", "AS", 22.4, 114.1},
	{"TW", "AS", 23.7, 121.0}, {"TR", "AS", 39.0, 35.0}, {"KZ", "AS", 48.0, 67.0}, {"IL", "AS", 31.0, 35.0},
	{"DE", "EU", 51.2, 10.4}, {"FR", "EU", 46.6, 2.5}, {"GB", "EU", 54.1, -2.9}, {"NL", "EU", 52.1, 5.3},
	{"IT", "EU", 42.8, 12.8}, {"RU", "EU", 61.0, 97.0}, {"SE", "EU", 62.8, 16.7}, {"US", "NA", 39.8, -98.6},
	{"CA", "NA", 61.4, -98.3}, {"MX", "NA", 23.9, -102.5}, {"BR", "SA", -10.8, -53.1}, {"AR", "SA", -35.4, -65.2},
	{"AU", "OC", -25.7, 134.5}, {"NZ", "OC", -41.8, 171.5}, {"ZA", "AF", -29.0, 25.1}, {"EG", "AF", 26.5, 29.9},
	{"NG", "AF", 9.6, 8.1}, {"KE", "AF", 0.6, 37.8},
}

// provinces are those of the mainland of China, as ISO 3166-2 has them.
var provinces = []string{
	"AH", "BJ", "CQ", "FJ", "GD", "GS", "GX", "GZ", "HA", "HB", "HE", "HI", "HL", "HN", "JL", "JS",
	"JX", "LN", "NM", "NX", "QH", "SC", "SD", "SH", "SN", "SX", "TJ", "XJ", "XZ", "YN", "ZJ",
}

// newAtlas makes a world of n networks. To be the same always, it takes nothing at random but from its own source.
func newAtlas(t *testing.T, n int) *atlas {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 20261123))
	a := &atlas{city: newTree(t, "GeoLite2-City"), asn: newTree(t, "GeoLite2-ASN")}
	chinese, others := cities(r)
	a.fill(t, r, a.city, tracts4, n*40/100, 28, chinese, others)
	a.fill(t, r, a.city, tracts6, n*20/100, 64, chinese, others)
	chinese, others = systems(4134, 4837, 9808, 4538), systems(64500, 3320, 2914, 7018, 17676, 15169, 1221, 37100)
	a.fill(t, r, a.asn, tracts4, n*25/100, 26, chinese, others)
	a.fill(t, r, a.asn, tracts6, n*15/100, 56, chinese, others)
	return a
}

func newTree(t *testing.T, kind string) *mmdbwriter.Tree {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, Description: map[string]string{"en": "a made-up world"},
		DisableIPv4Aliasing: true, IncludeReservedNetworks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// cities are the records of a City database: of every province and country some towns with a place, and of some networks
// only the province, the country or the continent.
func cities(r *rand.Rand) (chinese, others []mmdbtype.Map) {
	land := func(code, continent string) mmdbtype.Map {
		return mmdbtype.Map{
			"continent": mmdbtype.Map{"code": mmdbtype.String(continent)},
			"country":   mmdbtype.Map{"iso_code": mmdbtype.String(code)},
		}
	}
	town := func(code, continent, province, name string, latitude, longitude float64) mmdbtype.Map {
		m := land(code, continent)
		if province != "" {
			m["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(province)}}
		}
		m["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(name)}}
		m["location"] = mmdbtype.Map{
			"latitude":  mmdbtype.Float64(latitude + 4*r.Float64() - 2),
			"longitude": mmdbtype.Float64(longitude + 8*r.Float64() - 4),
		}
		return m
	}
	for _, province := range provinces {
		latitude, longitude := 22+20*r.Float64(), 85+38*r.Float64()
		for _, name := range []string{"Alpha", "Beta"} {
			chinese = append(chinese, town("CN", "AS", province, name, latitude, longitude))
		}
		only := land("CN", "AS")
		only["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(province)}}
		chinese = append(chinese, only)
	}
	chinese = append(chinese, land("CN", "AS"))
	for _, l := range lands {
		for i, name := range []string{"Alpha", "Beta", "Gamma"} {
			province := ""
			if l.code == "US" {
				province = []string{"CA", "NY", "TX"}[i]
			}
			others = append(others, town(l.code, l.continent, province, name, l.latitude, l.longitude))
		}
		others = append(others, land(l.code, l.continent))
	}
	for _, continent := range []string{"AF", "AS", "EU"} {
		others = append(others, mmdbtype.Map{"continent": mmdbtype.Map{"code": mmdbtype.String(continent)}})
	}
	return chinese, others
}

// systems are the records of an ASN database.
func systems(numbers ...int) (all []mmdbtype.Map) {
	for _, n := range numbers {
		all = append(all, system(n))
	}
	return all
}

func system(number int) mmdbtype.Map {
	return mmdbtype.Map{
		"autonomous_system_number":       mmdbtype.Uint32(number),
		"autonomous_system_organization": mmdbtype.String(fmt.Sprintf("System %d of a made-up world", number)),
	}
}

// fill puts n networks with records at random into a database, the wider ones first, so that those inside others stay.
func (a *atlas) fill(
	t *testing.T, r *rand.Rand, tree *mmdbwriter.Tree, in []tract, n, longest int, chinese, others []mmdbtype.Map,
) {
	t.Helper()
	var all []tract
	for len(all) < n {
		outside, more := in[r.IntN(len(in))], 2+r.IntN(14)
		if len(all) > 0 && r.IntN(2) == 0 {
			outside, more = all[r.IntN(len(all))], 1+r.IntN(6)
		}
		bits := min(outside.Bits()+more, longest)
		all = append(all, tract{netip.PrefixFrom(within(r, outside.Prefix), bits).Masked(), outside.china})
	}
	slices.SortStableFunc(all, func(a, b tract) int { return a.Bits() - b.Bits() })
	for _, b := range all {
		records := others
		if b.china {
			records = chinese
		}
		insert(t, tree, b.Prefix, records[r.IntN(len(records))])
		a.networks = append(a.networks, b.Prefix)
	}
}

func insert(t *testing.T, tree *mmdbwriter.Tree, p netip.Prefix, record mmdbtype.Map) {
	t.Helper()
	network := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	if err := tree.Insert(network, record); err != nil {
		t.Fatalf("insert %v: %v", p, err)
	}
}

// write writes a database to a file.
func write(t *testing.T, tree *mmdbwriter.Tree, path string) {
	t.Helper()
	var file bytes.Buffer
	if _, err := tree.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// within is an address of a network at random.
func within(r *rand.Rand, p netip.Prefix) netip.Addr {
	return withHost(p, func() byte { return byte(r.UintN(256)) })
}

// last is the last address of a network.
func last(p netip.Prefix) netip.Addr { return withHost(p, func() byte { return 0xff }) }

// withHost is the address of a network whose other bits are those of octets as they come.
func withHost(p netip.Prefix, octet func() byte) netip.Addr {
	all := p.Masked().Addr().AsSlice()
	for i := range all {
		all[i] |= octet() & ^mask(i, p.Bits())
	}
	a, _ := netip.AddrFromSlice(all)
	return a
}

// mask is octet i of a net mask.
func mask(i, bits int) byte { return ^byte(0xff >> min(8, max(0, bits-8*i))) }

// embeddings are the forms in which an IPv6 address of a client holds an IPv4 address (docs/geography.md, "The scope").
var embeddings = []func(netip.Addr) netip.Addr{nat64, sixToFour, teredo}

// nat64 is RFC 6052 section 2.1.
func nat64(a netip.Addr) netip.Addr {
	all := netip.MustParseAddr("64:ff9b::").As16()
	copy(all[12:], a.AsSlice())
	return netip.AddrFrom16(all)
}

// sixToFour is the first address of a site, RFC 3056 section 2.
func sixToFour(a netip.Addr) netip.Addr {
	all := netip.MustParseAddr("2002::").As16()
	copy(all[2:], a.AsSlice())
	return netip.AddrFrom16(all)
}

// teredo is RFC 4380 section 4.
func teredo(a netip.Addr) netip.Addr {
	all := netip.MustParseAddr("2001:0:5ef5:79fd::").As16()
	for i, octet := range a.As4() {
		all[12+i] = ^octet
	}
	return netip.AddrFrom16(all)
}
