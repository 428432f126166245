package geo

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustISPTable(tb testing.TB, options ...ISPOptions) ispTable {
	tb.Helper()
	table, err := newISPTable(options)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

// TestKnownProviders has for each provider of reference/alibaba-gtm.md section 2.5 a number that is its own by name in the
// registry, and the numbers of its neighbours that look like it and are not.
func TestKnownProviders(t *testing.T) {
	table := mustISPTable(t)
	for code, asns := range map[string][]uint32{
		"telecom": {4134, 4809, 4812, 23724, 58466, 137699}, "unicom": {4837, 4808, 9929, 17621, 17816}, "mobile": {9808, 9394, 56040, 24400},
		"edu": {4538, 23910, 24348, 24372, 38255}, "drpeng": {55968, 131536}, "btvn": {7641, 135120}, "cstnet": {7497, 37944},
		"wexchange": {59027}, "founder": {24428}, "topway_video": {17962}, "wasu": {55977, 24139}, "ocn": {9812}, "bgctv": {17429},
	} {
		for _, asn := range asns {
			for _, p := range knownProviders() {
				if got := table.has(p.code, &Facts{ASN: asn}); got != (p.code == code) {
					t.Errorf("AS%d of %s is one of %s: %v", asn, code, p.code, got)
				}
			}
		}
	}
	// AS4264 is another CERNET, in the United States; the others are branches outside mainland China, and a neighbour.
	for _, asn := range []uint32{0, 4264, 10099, 23764, 58453, 9231, 64079, 4135, 15169, math.MaxUint32} {
		for _, p := range knownProviders() {
			if table.has(p.code, &Facts{ASN: asn}) {
				t.Errorf("AS%d is one of %s", asn, p.code)
			}
		}
	}
	if p := knownProvider("cnix"); p.hasNetworks() {
		t.Errorf("cnix: %v", p)
	}
}

// TestISPData reads the file again, strictly.
func TestISPData(t *testing.T) {
	owner := map[uint64]string{}
	for f := range tableRows(ispsTSV) {
		if len(f) != 5 || f[0] == "" || f[1] == "" || f[2] == "" {
			t.Fatalf("row %q", f)
		}
		before := uint64(0)
		for _, text := range strings.Fields(f[3]) {
			for _, digits := range strings.Split(text, "-") {
				n, err := strconv.ParseUint(digits, 10, 32)
				if err != nil || n <= before {
					t.Errorf("%s: %s: %v, after %d", f[0], text, err, before)
				}
				before = n
			}
		}
		for n := range knownProvider(f[0]).asns {
			if other := owner[uint64(n)]; other != "" {
				t.Errorf("AS%d is of %s and %s", n, other, f[0])
			}
			owner[uint64(n)] = f[0]
		}
	}
	if len(owner) < 500 {
		t.Errorf("%d numbers, want more", len(owner))
	}
}

func TestISPOptions(t *testing.T) {
	table := mustISPTable(t,
		ISPOptions{Name: "telecom", ASNs: []int{64496}},
		ISPOptions{Name: "unicom", ASNs: []int{64496, 4294967295}, Replace: true},
		ISPOptions{Name: "mobile", Names: []string{"CM Test"}, Replace: true},
		ISPOptions{Name: "starlink", ASNs: []int{14593}, Names: []string{"SpaceX Starlink"}},
	)
	for _, tc := range []struct {
		code  string
		facts Facts
		want  bool
	}{
		{"telecom", Facts{ASN: 4134}, true},
		{"telecom", Facts{ASN: 64496}, true}, // a network may belong to several
		{"telecom", Facts{ISP: "china telecom"}, true},
		{"telecom", Facts{Organization: "CHINANET"}, true},
		{"telecom", Facts{ISP: "China Telecom Guangdong"}, false}, // the whole name counts
		{"telecom", Facts{}, false},
		{"unicom", Facts{ASN: 4837}, false},
		{"unicom", Facts{ASN: 64496}, true},
		{"unicom", Facts{ASN: 4294967295}, true},
		{"unicom", Facts{ISP: "China Unicom"}, false},
		{"mobile", Facts{ASN: 9808}, false},
		{"mobile", Facts{ISP: "cm test"}, true},
		{"mobile", Facts{ASN: 9808, Organization: "CM TEST"}, true},
		{"starlink", Facts{ASN: 14593}, true},
		{"starlink", Facts{ISP: "spacex starlink"}, true},
		{"starlink", Facts{ASN: 14594, ISP: "other"}, false},
		{"cnix", Facts{ASN: 4847}, false},
		{"", Facts{ASN: 4134}, false},
		{"none", Facts{ASN: 4134}, false},
	} {
		if got := table.has(tc.code, &tc.facts); got != tc.want {
			t.Errorf("%s has %v: %v, want %v", tc.code, &tc.facts, got, tc.want)
		}
		if allocs := testing.AllocsPerRun(10, func() { table.has(tc.code, &tc.facts) }); allocs > 0 {
			t.Errorf("%s, %v: %v allocations", tc.code, &tc.facts, allocs)
		}
	}
	// What one configuration adds is not in the next.
	if fresh := mustISPTable(t); fresh.has("telecom", &Facts{ASN: 64496}) || !fresh.has("unicom", &Facts{ASN: 4837}) {
		t.Error("the options of one table are in another")
	}
	if (ispTable{}).has("telecom", &Facts{ASN: 4134}) {
		t.Error("the zero table knows telecom")
	}
}

func TestISPProblems(t *testing.T) {
	_, err := newISPTable([]ISPOptions{
		{ASNs: []int{1}},
		{Name: "a"},
		{Name: "a", ASNs: []int{0, -1, 2}},
		{Name: "isp:b", ASNs: []int{1}},
		{Name: "region", ASNs: []int{1}},
		{Name: "c", Names: []string{""}},
		{Name: "d", ASNs: []int{4294967296}},
	})
	const want = `isp number 1: no name
isp "a": neither asns nor names: want the numbers of its autonomous systems, or its names in an ISP database
isp "a": there are two of this name: put their asns and names together
isp "a": 0 is not the number of an autonomous system: want 1 to 4294967295
isp "a": -1 is not the number of an autonomous system: want 1 to 4294967295
isp "isp:b": a name has no ":": sources put "isp:" in front of it themselves
isp "region": the name is taken: cn_region_guangdong is a province
isp "c": one of its names is empty
isp "d": 4294967296 is not the number of an autonomous system: want 1 to 4294967295`
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

// TestISPTableModel holds a table against the plain reading of its options.
func TestISPTableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codes := []string{"telecom", "founder", "x", "y"}
		var options []ISPOptions
		used := map[string]bool{}
		for _, code := range rapid.SliceOfN(rapid.SampledFrom(codes), 0, 4).Draw(t, "codes") {
			if !used[code] {
				options = append(options, ISPOptions{
					Name: code, ASNs: rapid.SliceOfN(rapid.SampledFrom([]int{1, 2, 4134, 24428}), 1, 3).Draw(t, "asns"),
					Replace: rapid.Bool().Draw(t, "replace"),
				})
				used[code] = true
			}
		}
		table, err := newISPTable(options)
		if err != nil {
			t.Fatal(err)
		}
		builtin := map[string]int{"telecom": 4134, "founder": 24428}
		for _, code := range codes {
			for _, asn := range []int{1, 2, 4134, 24428} {
				want := builtin[code] == asn
				for _, o := range options {
					if o.Name == code {
						want = want && !o.Replace
						for _, n := range o.ASNs {
							want = want || n == asn
						}
					}
				}
				if got := table.has(code, &Facts{ASN: uint32(asn)}); got != want {
					t.Fatalf("%+v: %s has AS%d: %v, want %v", options, code, asn, got, want)
				}
			}
		}
	})
}

// TestProviderByNumber: a provider that is told by the client's autonomous system counts before one that is told only by a name,
// in whichever database that stands, and so do their lines in a province.
func TestProviderByNumber(t *testing.T) {
	asn := newTestDatabase(t, "GeoLite2-ASN", map[string]mmap{
		"10.0.0.0/8": {"autonomous_system_number": mnum(4134)}, "11.0.0.0/8": {"autonomous_system_number": mnum(9808)},
	})
	isp := newTestDatabase(t, "GeoIP2-ISP", map[string]mmap{
		"10.0.0.0/8": {"isp": mtext("China Mobile")}, "11.0.0.0/8": {"isp": mtext("China Telecom")}, "12.0.0.0/8": {"isp": mtext("China Mobile")},
	})
	city := newTestDatabase(t, "GeoLite2-City", map[string]mmap{"8.0.0.0/5": cityRow("AS", "CN", "GD", "Guangzhou", 1809858, 23, 113)})
	in := Input{Databases: []*Database{asn, isp, city}}
	for _, text := range []string{"mobile", "telecom", "cn_mobile_guangdong", "cn_telecom_guangdong", "cn_mobile_huanan", "cn_telecom_huanan"} {
		in.Selectors = append(in.Selectors, mustSelector(t, text))
	}
	for _, databases := range [][]*Database{{asn, isp, city}, {isp, asn, city}} {
		in.Databases = databases
		m, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		for addr, want := range map[string]string{
			"10.0.0.1": "[cn_telecom_guangdong cn_mobile_guangdong cn_telecom_huanan cn_mobile_huanan isp:telecom isp:mobile]",
			"11.0.0.1": "[cn_mobile_guangdong cn_telecom_guangdong cn_mobile_huanan cn_telecom_huanan isp:mobile isp:telecom]",
			"12.0.0.1": "[cn_mobile_guangdong cn_mobile_huanan isp:mobile]",
		} {
			class, _ := m.Lookup(netip.MustParseAddr(addr))
			if got := fmt.Sprint(m.Chain(class)); got != want {
				t.Errorf("%s: chain %s, want %s", addr, got, want)
			}
			var matches []Selector
			for _, match := range m.Matches(netip.MustParseAddr(addr)) {
				matches = append(matches, match.Selector)
			}
			if got := fmt.Sprint(matches[:len(matches)-1]); got != want {
				t.Errorf("%s: matches %s, want %s", addr, got, want)
			}
		}
	}
}
