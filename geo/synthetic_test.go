package geo

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// The synthetic databases are like the large ones on sale: a city database of 2.2 million networks over 100,000 cities, and
// one of 0.8 million networks over 70,000 autonomous systems. Neighbours are often alike, as they are in the real ones.
const (
	syntheticCities = 100_000
	syntheticASNs   = 70_000
)

func syntheticCountries() []string {
	var codes []string
	for _, c := range countryList() {
		codes = append(codes, c.code)
	}
	return codes
}

// syntheticProvinces are those of mainland China.
func syntheticProvinces() []province {
	return slices.DeleteFunc(slices.Clone(provinceList()), func(p province) bool { return p.line == "" })
}

// syntheticFiles returns the paths of both databases. They are made once, which takes minutes, and stay in the temporary
// directory.
func syntheticFiles(b *testing.B) []string {
	b.Helper()
	dir := filepath.Join(os.TempDir(), "gtmd-geo-bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	city, asn := filepath.Join(dir, "synthetic-city.mmdb"), filepath.Join(dir, "synthetic-asn.mmdb")
	makeOnce(b, city, "Synthetic-City", 28, 2_200_000, syntheticCity)
	// Of neighbours that are alike the writer makes one network: 0.8 million are left.
	makeOnce(b, asn, "Synthetic-ASN", 24, 1_400_000, syntheticASN)
	return []string{city, asn}
}

// makeOnce makes a database of n networks when it is not there.
func makeOnce(b *testing.B, path, databaseType string, recordSize, n int, rows func(*rand.Rand) func() mmdbtype.DataType) {
	b.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	random := rand.New(rand.NewPCG(5, uint64(n)))
	w, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: databaseType, BuildEpoch: testBuilt, RecordSize: recordSize, DisableIPv4Aliasing: true, IncludeReservedNetworks: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	row := rows(random)
	for i, network := range syntheticNetworks(random, n) {
		if i%200_000 == 0 {
			fmt.Fprintf(os.Stderr, "%s: %d of %d networks\n", path, i, n)
		}
		if err := w.Insert(network, row()); err != nil {
			b.Fatal(err)
		}
	}
	write(b, path, w)
}

func write(b *testing.B, path string, w *mmdbwriter.Tree) {
	b.Helper()
	var file bytes.Buffer
	if _, err := w.WriteTo(&file); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path+".new", file.Bytes(), 0o644); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		b.Fatal(err)
	}
}

// syntheticNetworks makes n networks: four of five are IPv4, contiguous over what is allocated there, of 16 to 28 bits, most of
// 20 to 24; the others IPv6, of 29 to 48 bits, one behind the other in the blocks of the registries.
func syntheticNetworks(random *rand.Rand, n int) []*net.IPNet {
	var networks []*net.IPNet
	n4 := n * 4 / 5
	// What makes n4 networks, which are twice as large as this in the mean, fill 1.0.0.0 to 223.255.255.255.
	mean := 33 - int(math.Round(math.Log2(223<<24/float64(n4))))
	for at := uint64(1) << 24; at < 224<<24 && len(networks) < n4; {
		bits := min(max(mean+[]int{-4, -1, -1, 0, 0, 0, 1, 1, 2, 3, 5}[random.IntN(11)], 16), 28)
		for at%(1<<(32-bits)) != 0 {
			bits++
		}
		addr := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(at))))
		networks = append(networks, ipNet(netip.PrefixFrom(addr, bits)))
		at += 1 << (32 - bits)
	}
	blocks := []uint64{0x24000000 << 32, 0x26000000 << 32, 0x28000000 << 32, 0x2a000000 << 32, 0x2c000000 << 32}
	for len(networks) < n {
		at := &blocks[random.IntN(len(blocks))]
		for range 1 + random.IntN(32) {
			bits := []int{29, 32, 32, 36, 40, 40, 44, 44, 44, 48, 48, 48, 48, 48, 48, 48, 48}[random.IntN(17)]
			size := uint64(1) << (64 - bits)
			*at = (*at + size - 1) / size * size
			addr := netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, *at), 0)))
			networks = append(networks, ipNet(netip.PrefixFrom(addr, bits)))
			*at += size
		}
	}
	return networks
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

// syntheticCity makes rows as GeoLite2-City has them. Runs of networks are in one country.
func syntheticCity(random *rand.Rand) func() mmdbtype.DataType {
	provinces := syntheticProvinces()
	cities := make([]mmdbtype.Map, syntheticCities)
	byCountry := map[string][]int{}
	countries := syntheticCountries()
	for i := range cities {
		// A tenth is in China; the larger countries have more.
		code := countries[min(random.IntN(len(countries)), random.IntN(len(countries)))]
		subdivision, name := strconv.Itoa(random.IntN(30)+10), "Region"
		if i%10 == 0 {
			p := provinces[random.IntN(len(provinces))]
			code, subdivision, name = mainland, p.code[3:], p.name
		}
		byCountry[code] = append(byCountry[code], i)
		cities[i] = mmdbtype.Map{
			"continent": mmdbtype.Map{"code": mmdbtype.String(continentOf(code)), "names": mmdbtype.Map{"en": mmdbtype.String(continentOf(code))}},
			"country": mmdbtype.Map{"iso_code": mmdbtype.String(code), "geoname_id": mmdbtype.Uint32(len(code)),
				"names": mmdbtype.Map{"en": mmdbtype.String(countryByCode(code).name)}},
			"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(subdivision),
				"names": mmdbtype.Map{"en": mmdbtype.String(name)}}},
			"city": mmdbtype.Map{"geoname_id": mmdbtype.Uint32(1_000_000 + i),
				"names": mmdbtype.Map{"en": mmdbtype.String(fmt.Sprintf("City %d", i))}},
			"location": mmdbtype.Map{
				"latitude":  mmdbtype.Float64(float64(random.IntN(1800000))/10000 - 90),
				"longitude": mmdbtype.Float64(float64(random.IntN(3600000))/10000 - 180),
			},
		}
	}
	at, left := mainland, 0
	return func() mmdbtype.DataType {
		if left == 0 {
			at, left = countries[min(random.IntN(len(countries)), random.IntN(len(countries)))], 1+random.IntN(64)
			if random.IntN(8) == 0 || byCountry[at] == nil {
				at = mainland
			}
		}
		left--
		there := byCountry[at]
		// A few cities have most of the networks.
		return cities[there[min(random.IntN(len(there)), random.IntN(len(there)), random.IntN(len(there)))]]
	}
}

// syntheticASN makes rows as GeoLite2-ASN has them, those of the Chinese providers among them.
func syntheticASN(random *rand.Rand) func() mmdbtype.DataType {
	chinese := []uint32{4134, 4837, 9808, 56040, 56041, 58453, 17621, 4812}
	left, asn := 0, uint32(0)
	return func() mmdbtype.DataType {
		if left == 0 {
			left, asn = 1+random.IntN(12), uint32(1+min(random.IntN(syntheticASNs), random.IntN(syntheticASNs)))
			if random.IntN(10) == 0 {
				asn = chinese[random.IntN(len(chinese))]
			}
		}
		left--
		return mmdbtype.Map{
			"autonomous_system_number":       mmdbtype.Uint32(asn),
			"autonomous_system_organization": mmdbtype.String(fmt.Sprintf("Provider of autonomous system %d", asn)),
		}
	}
}

// torDatabase makes a database of Debian's tor-geoipdb: lines LOW,HIGH,COUNTRY.
func torDatabase(b *testing.B, dir string) *Database {
	b.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "Tor-Country", BuildEpoch: testBuilt, RecordSize: 24, DisableIPv4Aliasing: true, IncludeReservedNetworks: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"geoip", "geoip6"} {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			fields := strings.Split(scanner.Text(), ",")
			if len(fields) != 3 || len(fields[2]) != 2 || strings.HasPrefix(fields[0], "#") {
				continue
			}
			low, high := torAddress(fields[0]), torAddress(fields[1])
			row := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(fields[2])}}
			for low.IsValid() && low.Compare(high) <= 0 {
				// The widest prefix that begins at low and ends before high.
				bits := 0
				for prefix := netip.PrefixFrom(low, 0); prefix.Masked().Addr() != low || last(prefix).Compare(high) > 0; bits++ {
					prefix = netip.PrefixFrom(low, bits+1)
				}
				prefix := netip.PrefixFrom(low, bits)
				if err := w.Insert(ipNet(prefix), row); err != nil {
					b.Fatal(err)
				}
				low = last(prefix).Next()
			}
		}
	}
	var content bytes.Buffer
	if _, err := w.WriteTo(&content); err != nil {
		b.Fatal(err)
	}
	return mustDatabase(b, content.Bytes())
}

// torAddress is an address as tor-geoipdb writes it: IPv4 as a number.
func torAddress(text string) netip.Addr {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	return netip.MustParseAddr(text)
}
