//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"
)

// facts are what the databases say of a client, looked up with the library that wrote them.
type facts struct {
	address                            netip.Addr // IPv4 where an IPv6 address holds one
	continent, country, province, city string
	place                              *point
	asn                                int
}

func (f facts) String() string {
	return fmt.Sprintf("%s %s %s %s %v AS%d", f.continent, f.country, f.province, f.city, f.place, f.asn)
}

// point is a place in degrees.
type point struct{ latitude, longitude float64 }

func (g *geography) factsOf(client netip.Addr) facts {
	f := facts{address: held(client)}
	_, city := g.atlas.city.Get(f.address.AsSlice())
	f.continent, f.country = text(city, "continent", "code"), text(city, "country", "iso_code")
	if subdivisions, ok := field(city, "subdivisions").(mmdbtype.Slice); ok {
		f.province = text(subdivisions[0], "iso_code")
	}
	f.city = text(city, "city", "names", "en")
	latitude, isPlaced := field(city, "location", "latitude").(mmdbtype.Float64)
	if longitude, ok := field(city, "location", "longitude").(mmdbtype.Float64); ok && isPlaced {
		f.place = &point{float64(latitude), float64(longitude)}
	}
	_, asn := g.atlas.asn.Get(f.address.AsSlice())
	if number, ok := field(asn, "autonomous_system_number").(mmdbtype.Uint32); ok {
		f.asn = int(number)
	}
	return f
}

// field is a field of a record; nil when it has none.
func field(record mmdbtype.DataType, path ...mmdbtype.String) mmdbtype.DataType {
	for _, key := range path {
		m, ok := record.(mmdbtype.Map)
		if !ok {
			return nil
		}
		record = m[key]
	}
	return record
}

func text(record mmdbtype.DataType, path ...mmdbtype.String) string {
	value, _ := field(record, path...).(mmdbtype.String)
	return string(value)
}

// held is the IPv4 address that an IPv6 address holds, else the address itself.
func held(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	all := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(all[12:]))
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(all[2:]))
	case netip.MustParsePrefix("2001::/32").Contains(a):
		return netip.AddrFrom4([4]byte{^all[12], ^all[13], ^all[14], ^all[15]})
	}
	return a
}

// inAny reports whether the client is in one of the prefixes of a line.
func (f facts) inAny(prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(f.address) })
}

func (f facts) of(asns ...int) bool { return slices.Contains(asns, f.asn) }

func (f facts) in(country string, provinces string) bool {
	return f.country == country && slices.Contains(strings.Fields(provinces), f.province)
}

// isAbroad: it is certain that the client is not in the mainland of China.
func (f facts) isAbroad() bool {
	return f.country != "" && f.country != "CN" || f.country == "" && f.continent != "" && f.continent != "AS"
}

// sources are those that geography.toml uses, the first that matches first (BEHAVIOUR.md section 5), with the pool of the
// instance "lines"; -1 where the source stands in the latency table only.
var sources = []struct {
	text    string
	pool    int
	matches func(facts) bool
}{
	{"office", 1, func(f facts) bool {
		return f.inAny("36.10.64.0/20", "36.10.77.0/26", "103.7.7.7/32", "2a00:10ff:8000::/36")
	}},
	{"branch", 2, func(f facts) bool { return f.inAny("36.10.0.0/16", "2a00:1000::/24") }},
	{"google", 3, func(f facts) bool { return f.inAny("5.5.0.0/17", "103.200.3.0/25", "2600:55::/32") }},
	{"cn_telecom_guangdong", 4, func(f facts) bool { return f.in("CN", "GD") && f.of(4134) }},
	{"cn_mobile_shannxi", 4, func(f facts) bool { return f.in("CN", "SN") && f.of(9808) }},
	{"cn_unicom_guangdong", -1, func(f facts) bool { return f.in("CN", "GD") && f.of(4837) }},
	{"asn:3320", 6, func(f facts) bool { return f.of(3320) }},
	{"telecom", -1, func(f facts) bool { return f.of(4134) }},
	{"unicom", 5, func(f facts) bool { return f.of(4837) }},
	{"isp:campus", 6, func(f facts) bool { return f.of(64500) }},
	{"city:DE/Beta", 13, func(f facts) bool { return f.country == "DE" && f.city == "Beta" }},
	{"cn_region_shaanxi", 7, func(f facts) bool { return f.in("CN", "SN") }},
	{"subdivision:US-CA", 12, func(f facts) bool { return f.in("US", "CA") }},
	{"cn_region_huadong", 7, func(f facts) bool { return f.in("CN", "SD JS AH ZJ FJ SH JX") }},
	{"internal", 8, func(f facts) bool { return f.country == "CN" }},
	{"country:JP", 9, func(f facts) bool { return f.country == "JP" }},
	{"os_asia_sg", 9, func(f facts) bool { return f.country == "SG" }},
	{"os_asia", -1, func(f facts) bool { return f.continent == "AS" && f.isAbroad() }},
	{"os_euro", 10, func(f facts) bool { return f.continent == "EU" && f.isAbroad() }},
	{"os_namerica", -1, func(f facts) bool { return f.continent == "NA" && f.isAbroad() }},
	{"os_samerica", -1, func(f facts) bool { return f.continent == "SA" && f.isAbroad() }},
	{"os_oceanica", -1, func(f facts) bool { return f.continent == "OC" && f.isAbroad() }},
	{"os_africa", -1, func(f facts) bool { return f.continent == "AF" && f.isAbroad() }},
	{"continent:AS", 11, func(f facts) bool { return f.continent == "AS" }},
	{"oversea", 14, facts.isAbroad},
	{"global", 0, func(facts) bool { return true }},
}

// poolOf is the pool that a client should get; -1 when the test does not know.
func poolOf(name string, f facts) int {
	switch name {
	case "lines.gtm.test":
		for _, s := range sources {
			if s.pool >= 0 && s.matches(f) {
				return s.pool
			}
		}
	case "latency.gtm.test":
		for _, s := range sources {
			for _, row := range latencies {
				if row.from == s.text && s.matches(f) {
					return slices.Index(row.ms[:], slices.Min(row.ms[:]))
				}
			}
		}
	case "nearest.gtm.test":
		if f.place == nil { // then it is the middle of the province or country, which only gtmd knows
			return -1
		}
		candidates := []int{0, 1, 2, 3, 4, 5, 6}
		if f.country == "RU" || f.country == "KZ" || sources[1].matches(f) {
			candidates = []int{0, 2}
		}
		return slices.MinFunc(candidates, func(a, b int) int {
			return int(distance(*f.place, places[a].point) - distance(*f.place, places[b].point))
		})
	}
	return -1
}

// distance is the angle between two points times the radius of the Earth, in kilometres.
func distance(a, b point) float64 {
	vector := func(p point) [3]float64 {
		latitude, longitude := p.latitude*math.Pi/180, p.longitude*math.Pi/180
		return [3]float64{math.Cos(latitude) * math.Cos(longitude), math.Cos(latitude) * math.Sin(longitude), math.Sin(latitude)}
	}
	u, v := vector(a), vector(b)
	return 6371 * math.Acos(max(-1, min(1, u[0]*v[0]+u[1]*v[1]+u[2]*v[2])))
}

// testModel holds what gtmd replies for the whole address against the databases, source by source.
func (g *geography) testModel(t *testing.T) {
	known, wrong := 0, 0
	for i, v := range g.visits {
		f := g.factsOf(v.client.Addr())
		pool := poolOf(v.name, f)
		if pool < 0 {
			continue
		}
		known++
		network := map[bool]string{true: "2", false: "3"}[v.name == "lines.gtm.test"]
		want := fmt.Sprintf("127.0.%s.%d", network, pool)
		if v.kind == dns.TypeAAAA {
			want = netip.MustParseAddr(fmt.Sprintf("2001:db8:%s::%d", network, pool)).String()
		}
		if g.whole[i].answer != want {
			if wrong++; wrong <= 5 {
				t.Errorf("%v, of whom the databases say %v, gets %s, want %s", v, f, g.whole[i].answer, want)
			}
		}
	}
	t.Logf("%d of %d answers could be foretold, %d of these are wrong", known, len(g.visits), wrong)
	if known < len(g.visits)*8/10 {
		t.Errorf("only %d of %d answers could be foretold", known, len(g.visits))
	}
}
