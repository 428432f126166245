package geo

import (
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"pgregory.net/rapid"
)

// genRow draws a record as one of several types of database has it.
func genRow(t *rapid.T, databaseType string) mmap {
	if databaseType == "GeoIP2-ISP" {
		row := mmap{"isp": mtext(rapid.SampledFrom([]string{"China Mobile", "China Telecom", "House"}).Draw(t, "isp"))}
		if rapid.Bool().Draw(t, "has number") {
			row["autonomous_system_number"] = mnum(rapid.SampledFrom([]uint32{4134, 9808, 64500}).Draw(t, "number"))
		}
		return row
	}
	if databaseType == "GeoLite2-ASN" {
		return mmap{"autonomous_system_number": mnum(rapid.SampledFrom([]uint32{4134, 4837, 9808, 64500}).Draw(t, "asn"))}
	}
	country := rapid.SampledFrom([]string{"CN", "HK", "JP", "GB", "US", ""}).Draw(t, "country")
	continent := map[string]string{"CN": "AS", "HK": "AS", "JP": "AS", "GB": "EU", "US": "NA", "": "EU"}[country]
	if databaseType == "IPinfo Lite" { // all fields side by side
		row := mmap{"continent_code": mtext(continent), "country_code": mtext(country)}
		if rapid.Bool().Draw(t, "has asn") {
			row["asn"] = mtext("AS" + rapid.SampledFrom([]string{"4134", "64500"}).Draw(t, "asn"))
		}
		return row
	}
	row := mmap{}
	if rapid.Bool().Draw(t, "has continent") {
		row["continent"] = mmap{"code": mtext(continent)}
	}
	if country != "" {
		row["country"] = mmap{"iso_code": mtext(country)}
	}
	if databaseType == "GeoLite2-Country" {
		return row
	}
	var subdivisions mlist
	for _, code := range rapid.SampledFrom(map[string][][]string{
		"CN": {nil, {"GD"}, {"BJ"}}, "GB": {nil, {"ENG"}, {"ENG", "LND"}, {"WLS"}}, "US": {nil, {"CA"}}, "HK": {nil}, "JP": {nil}, "": {nil},
	}[country]).Draw(t, "subdivisions") {
		subdivisions = append(subdivisions, mmap{"iso_code": mtext(code)})
	}
	if subdivisions != nil {
		row["subdivisions"] = subdivisions
	}
	if city := rapid.SampledFrom([]string{"", "", "Springfield", "Guangzhou"}).Draw(t, "city"); city != "" {
		row["city"] = mmap{"geoname_id": mnum(len(city)), "names": mmap{"en": mtext(city)}}
	}
	if rapid.Bool().Draw(t, "has place") {
		row["location"] = mmap{"latitude": mreal(rapid.IntRange(1, 3).Draw(t, "latitude")), "longitude": mreal(2)}
	}
	return row
}

// sourcesOfRows are sources of every kind, such as the rows of genRow match or come near.
func sourcesOfRows() []string {
	return []string{
		"country:CN", "country:JP", "country:HK", "country:GB", "continent:AS", "continent:EU", "os_asia", "os_euro", "oversea", "internal",
		"subdivision:CN-GD", "subdivision:GB-ENG", "subdivision:GB-LND", "subdivision:US-CA", "cn_region_huanan", "cn_region_guangdong",
		"telecom", "unicom", "mobile", "isp:house", "isp:house-b", "cn_house_guangdong", "cn_house-b_guangdong", "cn_mobile_guangdong", "asn:4134", "asn:64500", "cn_telecom_guangdong", "cn_unicom_beijing", "cn_telecom_huanan",
		"city:11", "city:CN/Guangzhou", "city:US/springfield", "a", "google", "search", "global",
	}
}

// genInput draws lines, databases and sources in use. The prefixes are those of the lines and databases.
func genInput(tb testing.TB, t *rapid.T) (in Input, prefixes []netip.Prefix) {
	in.ISPs = []ISPOptions{{Name: "house", ASNs: []int{64500}, Names: []string{"House"}}, {Name: "house-b", ASNs: []int{4134}, Names: []string{"house"}}}
	in.Places = rapid.Bool().Draw(t, "places")
	for _, name := range []string{"a", "b", "google", "baidu", "aliyun_r_cn-beijing", "search"} {
		in.Lines = append(in.Lines, LineOptions{Name: name})
	}
	ranks := map[netip.Prefix][]int{}
	for range rapid.IntRange(0, 6).Draw(t, "line prefixes") {
		prefix := genPrefix().Draw(t, "prefix")
		l := &in.Lines[rapid.IntRange(0, len(in.Lines)-1).Draw(t, "line")]
		// Lines of several ranks may share a prefix, lines of one rank may not.
		if rank := lineSelector(l.Name).rank(); !slices.Contains(ranks[plain(prefix)], rank) {
			ranks[plain(prefix)] = append(ranks[plain(prefix)], rank)
			l.Prefixes = append(l.Prefixes, prefix)
			prefixes = append(prefixes, plain(prefix))
		}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "databases") {
		databaseType := rapid.SampledFrom([]string{"GeoLite2-City", "GeoLite2-Country", "GeoLite2-ASN", "GeoIP2-ISP", "IPinfo Lite"}).Draw(t, "type")
		options := mmdbwriter.Options{DatabaseType: databaseType, DisableIPv4Aliasing: true}
		if rapid.IntRange(0, 3).Draw(t, "only IPv4") == 0 {
			options.IPVersion = 4
		}
		rows := map[string]mmap{"192.0.2.0/24": {"country": mmap{"iso_code": mtext("JP")}, "autonomous_system_number": mnum(4134)}}
		for range rapid.IntRange(0, 10).Draw(t, "networks") {
			addr := genAddr(options.IPVersion == 4 || rapid.Bool().Draw(t, "is4")).Draw(t, "addr")
			prefix := netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "length")).Masked()
			if prefix.Addr().Is4In6() || prefix.Addr() == netip.IPv6Unspecified() && prefix.Bits() > 24 {
				continue // the first is IPv4 to net.IPNet; the second would come over the row that there is already
			}
			rows[prefix.String()] = genRow(t, databaseType)
		}
		d, err := NewDatabase(fmt.Sprint("d", i), mmdbFile(tb, options, rows))
		if err != nil {
			t.Fatal(err)
		}
		for text := range rows {
			prefixes = append(prefixes, netip.MustParsePrefix(text))
		}
		prefixes = append(prefixes, netip.MustParsePrefix("::/96")) // where the file has IPv4
		in.Databases = append(in.Databases, d)
	}
	for _, text := range rapid.SliceOfN(rapid.SampledFrom(sourcesOfRows()), 0, 12).Draw(t, "sources") {
		source, err := ParseSelector(text, in.Lines, in.ISPs)
		if err != nil {
			t.Fatal(err)
		}
		in.Selectors = append(in.Selectors, source)
	}
	return in, prefixes
}

// naive is the slow right thing: it asks every line and every database for each address.
type naive struct {
	Input
	isps ispTable
}

func (n naive) facts(addr netip.Addr) Facts {
	var known []*Facts
	for _, d := range n.Databases {
		f, _ := d.Lookup(held(addr))
		known = append(known, f)
	}
	return join(known)
}

// chain returns the sources that match addr in match order, without Global.
func (n naive) chain(addr netip.Addr) []Selector {
	longest := map[Selector]int{} // of lines, and of what is over them, the longest prefix plus one
	for _, l := range n.Lines {
		for _, prefix := range l.Prefixes {
			if prefix = plain(prefix); prefix.Contains(held(addr)) {
				for _, s := range []Selector{lineSelector(l.Name), lineSelector(l.Name).parent()} {
					longest[s] = max(longest[s], prefix.Bits()+1)
				}
			}
		}
	}
	delete(longest, Global)
	facts := n.facts(addr)
	var chain []Selector
	for s := range longest {
		chain = append(chain, s)
	}
	for _, s := range n.Selectors {
		if !s.isLine() && s != Global && s.matches(&facts, n.isps) && !slices.Contains(chain, s) {
			chain = append(chain, s)
		}
	}
	slices.SortFunc(chain, func(a, b Selector) int {
		if a.rank() == b.rank() && a.isLine() {
			return longest[b] - longest[a]
		}
		if a.rank() == b.rank() && n.byNumber(a, &facts) != n.byNumber(b, &facts) {
			if n.byNumber(a, &facts) {
				return -1
			}
			return 1
		}
		return a.compare(b, &facts, n.isps)
	})
	return chain
}

// byNumber reports whether a source is by a provider that has the client's autonomous system.
func (n naive) byNumber(s Selector, f *Facts) bool {
	asns := map[string][]uint32{"telecom": {4134}, "mobile": {9808}, "house": {64500}, "house-b": {4134}}
	for provider, numbers := range asns {
		text := s.String()
		if text == "isp:"+provider || strings.HasPrefix(text, "cn_"+provider+"_") {
			return slices.Contains(numbers, f.ASN)
		}
	}
	return false
}

// kind is what tells the clients at addr from others.
func (n naive) kind(addr netip.Addr) string {
	text := fmt.Sprint(n.chain(addr))
	if facts := n.facts(addr); n.Places && facts.Place != nil {
		text += fmt.Sprint(*facts.Place)
	}
	return text
}

func TestCompileAgainstModel(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		in, prefixes := genInput(tb, t)
		m, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		isps, err := newISPTable(in.ISPs)
		if err != nil {
			t.Fatal(err)
		}
		golden := naive{in, isps}
		kind := remember(golden.kind)
		edges4, edges6 := edgesOf(netip.IPv4Unspecified(), prefixes), edgesOf(netip.IPv6Unspecified(), prefixes)
		addresses := slices.Concat(edges4, edges6)
		for range 8 {
			addresses = append(addresses, genAddr(rapid.Bool().Draw(t, "is4")).Draw(t, "addr"))
		}
		regions, classes := map[netip.Prefix]int{}, map[Class]string{}
		for _, addr := range addresses {
			class, depth := m.Lookup(addr)
			if got, want := m.Chain(class), golden.chain(addr); !slices.Equal(got, want) {
				t.Fatalf("%v: chain %v, want %v", addr, got, want)
			}
			facts := golden.facts(addr)
			place, known := m.Place(class)
			if want := in.Places && facts.Place != nil; known != want || known && place != *facts.Place {
				t.Fatalf("%v: place %v, %v; want %v, %v", addr, place, known, facts.Place, want)
			}
			edges := edges6
			if addr.Is4() {
				edges = edges4
			}
			if want := widest(addr, edges, kind); depth != want {
				t.Fatalf("%v: depth %d, want %d", addr, depth, want)
			}
			if other, seen := classes[class]; seen && other != kind(addr) || int(class) >= m.Classes() {
				t.Fatalf("%v: class %d of %d for %q and %q", addr, class, m.Classes(), other, kind(addr))
			}
			classes[class] = kind(addr)
			regions[netip.PrefixFrom(addr, depth).Masked()] = int(class)
			checkExplanation(t, m, addr)
		}
		for a := range regions {
			for b := range regions {
				if a != b && a.Overlaps(b) {
					t.Fatalf("the regions %v and %v overlap", a, b)
				}
			}
		}
		checkShares(t, m, edges4, edges6)
	})
}

// checkExplanation checks that what explains an address says what its class does.
func checkExplanation(t *rapid.T, m *Map, addr netip.Addr) {
	class, _ := m.Lookup(addr)
	matches := m.Matches(addr)
	var sources []Selector
	for _, match := range matches {
		sources = append(sources, match.Selector)
		if !match.Prefix.Contains(held(addr)) {
			t.Fatalf("%v: %v matches by %v, which does not contain it", addr, match.Selector, match.Prefix)
		}
		if none := match.Selector.isLine() || match.Selector == Global; (match.Database == nil) != none {
			t.Fatalf("%v: %v is from the database %v", addr, match.Selector, match.Database)
		}
		if match.Database != nil && !slices.ContainsFunc(m.Records(addr), func(r Record) bool {
			return r.Database == match.Database && r.Prefix == match.Prefix
		}) {
			t.Fatalf("%v: %v is from the network %v of %s, which has no such record", addr, match.Selector, match.Prefix, match.Database.Path)
		}
	}
	if want := append(slices.Clone(m.Chain(class)), Global); !slices.Equal(sources, want) {
		t.Fatalf("%v: Matches has %v, Chain %v", addr, sources, want)
	}
	records := m.Records(addr)
	if len(records) != len(m.Databases()) {
		t.Fatalf("%v: %d records of %d databases", addr, len(records), len(m.Databases()))
	}
	for i, d := range m.Databases() {
		facts, prefix := d.Lookup(held(addr))
		if r := records[i]; r.Database != d || r.Prefix != prefix || r.Facts.String() != facts.String() {
			t.Fatalf("%v: record %v of %s, want %v, %v", addr, r, d.Path, prefix, facts)
		}
	}
}

// checkShares adds up the spaces between the edges.
func checkShares(t *rapid.T, m *Map, edges4, edges6 []netip.Addr) {
	want := make([]Share, m.Classes())
	add := func(edges []netip.Addr, within netip.Prefix, to func(Class) *float64) {
		edges = append([]netip.Addr{within.Addr()}, edges...)
		edges = slices.DeleteFunc(edges, func(addr netip.Addr) bool { return !within.Contains(addr) })
		slices.SortFunc(edges, netip.Addr.Compare)
		edges = slices.Compact(edges)
		end := new(big.Int).Add(new(big.Int).SetBytes(last(within).AsSlice()), big.NewInt(1))
		size := new(big.Int).Sub(end, new(big.Int).SetBytes(within.Addr().AsSlice()))
		for i, edge := range edges {
			next := end
			if i+1 < len(edges) {
				next = new(big.Int).SetBytes(edges[i+1].AsSlice())
			}
			if within.Addr().Is6() && held(edge).Is4() {
				continue
			}
			class, _ := m.Lookup(edge)
			length := new(big.Int).Sub(next, new(big.Int).SetBytes(edge.AsSlice()))
			share, _ := new(big.Rat).SetFrac(length, size).Float64()
			*to(class) += share
		}
	}
	add(edges4, netip.MustParsePrefix("0.0.0.0/0"), func(c Class) *float64 { return &want[c].IPv4 })
	add(edges6, netip.MustParsePrefix("2000::/3"), func(c Class) *float64 { return &want[c].IPv6 })
	for class := range want { // without 6to4, which is 2^-13 of 2000::/3, and Teredo, which is 2^-29
		want[class].IPv6 /= 1 - math.Ldexp(1, -13) - math.Ldexp(1, -29)
	}
	sum := Share{}
	for class, got := range m.Shares() {
		if math.Abs(got.IPv4-want[class].IPv4) > 1e-9 || math.Abs(got.IPv6-want[class].IPv6) > 1e-9 {
			t.Fatalf("class %d has the shares %v, want %v", class, got, want[class])
		}
		sum.IPv4, sum.IPv6 = sum.IPv4+got.IPv4, sum.IPv6+got.IPv6
	}
	if math.Abs(sum.IPv4-1) > 1e-9 || math.Abs(sum.IPv6-1) > 1e-9 {
		t.Fatalf("the shares come to %v, want 1 and 1", sum)
	}
}

func TestCompileWithDatabasesIgnoresOrder(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		in, prefixes := genInput(tb, t)
		shuffled := in
		shuffled.Lines = nil
		for _, l := range rapid.Permutation(in.Lines).Draw(t, "lines") {
			l.Prefixes = rapid.Permutation(l.Prefixes).Draw(t, "prefixes")
			shuffled.Lines = append(shuffled.Lines, l)
		}
		shuffled.Selectors = rapid.Permutation(in.Selectors).Draw(t, "selectors")
		a, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Compile(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if a.Classes() != b.Classes() {
			t.Fatalf("%d classes in one order, %d in another", a.Classes(), b.Classes())
		}
		for _, addr := range slices.Concat(edgesOf(netip.IPv4Unspecified(), prefixes), edgesOf(netip.IPv6Unspecified(), prefixes)) {
			classA, depthA := a.Lookup(addr)
			classB, depthB := b.Lookup(addr)
			if classA != classB || depthA != depthB || !slices.Equal(a.Chain(classA), b.Chain(classB)) {
				t.Fatalf("%v: class %d, depth %d in one order; class %d, depth %d in another", addr, classA, depthA, classB, depthB)
			}
		}
	})
}
