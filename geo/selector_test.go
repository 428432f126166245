package geo

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestParseSelector has, in each row, texts that are one source: the first is what String gives.
func TestParseSelector(t *testing.T) {
	lines := []LineOptions{line("office", ""), line("Global", ""), line("new lab", ""), line("baidu", ""), line("aliyun", "")}
	isps := []ISPOptions{{Name: "star_link", ASNs: []int{14593}}, {Name: "cnix", ASNs: []int{64500}}}
	seen := map[Selector]string{}
	for _, row := range []string{
		"global|default", "office", "Global", "new lab", "baidu", "search", "aliyun",
		"continent:AS|continent:as", "continent:AN", "os_asia", "os_antarctica", "oversea",
		"country:JP|country:jp|os_asia_jp", "country:CN|internal", "country:HK|os_asia_hk|subdivision:CN-HK|subdivision:cn-91",
		"country:TW|os_asia_tw|subdivision:CN-TW", "country:CY|os_euro_cy", "country:XK|os_euro_xk", "country:AQ|os_antarctica_aq",
		"subdivision:CN-GD|subdivision:cn-gd|subdivision:CN-44|cn_region_guangdong",
		"subdivision:CN-SN|cn_region_shannxi|cn_region_shaanxi", "subdivision:CN-SX|cn_region_shanxi",
		"subdivision:US-CA", "subdivision:GB-ENG|subdivision:gb-eng", "subdivision:FR-75", "subdivision:BR-SP", "subdivision:GB-1",
		"city:1809858", "city:4294967295", "city:CN/guangzhou|city:cn/Guangzhou|city:CN/GUANGZHOU", "city:BR/são paulo|city:BR/São Paulo",
		"asn:4134|asn:AS4134|asn:as4134|asn:04134", "asn:4294967295", "isp:telecom|telecom", "isp:star_link", "isp:cnix|cnix",
		"cn_telecom_guangdong", "cn_telecom_shaanxi|cn_telecom_shannxi", "cn_telecom_huadong", "cn_region_huadong",
		"cn_star_link_beijing", "cn_star_link_huabei", "cn_topway_video_guangdong", "cn_cnix_beijing",
	} {
		texts := strings.Split(row, "|")
		for _, text := range texts {
			s, err := ParseSelector(text, lines, isps)
			if err != nil {
				t.Error(err)
				continue
			}
			if got := s.String(); got != texts[0] {
				t.Errorf("%q is %q, want %q", text, got, texts[0])
			}
			again, err := ParseSelector(s.String(), lines, isps)
			if err != nil || again != s {
				t.Errorf("%q is %q, which is %v: %v", text, s, again, err)
			}
			if other := seen[s]; other != "" && other != texts[0] {
				t.Errorf("%q is the same source as %q", text, other)
			}
			seen[s] = texts[0]
		}
	}
}

func TestParseSelectorErrors(t *testing.T) {
	var many []LineOptions
	for i := range 10 {
		many = append(many, line(fmt.Sprint("lab", i), ""))
	}
	offices := []LineOptions{line("office", ""), line("new lab", "")}
	isps := []ISPOptions{{Name: "starlink", ASNs: []int{14593}}, {Name: ""}}
	const want = `there is no such line: want "global", a line of "gtmd lines", a plain selector such as country:JP, or a custom line`
	const known = "telecom, unicom, mobile, edu, drpeng, btvn, cstnet, wexchange, founder, topway_video, wasu, ocn, cnix, bgctv"
	for _, tc := range []struct {
		text  string
		lines []LineOptions
		err   string
	}{
		{"", offices, want + `: "office", "new lab"`},
		{"warehouse", nil, want + " (there are none)"},
		{"warehouse", many[:8], want + `: "lab0", "lab1", "lab2", "lab3", "lab4", "lab5", "lab6", "lab7"`},
		{"warehouse", many, want + `: "lab0", "lab1", "lab2", "lab3", "lab4", "lab5", "lab6", "lab7" and 2 more`},
		{"Office", offices, `there is no such line; did you mean "office"?`},
		{"offcie", offices, `there is no such line; did you mean "office"?`},
		{"Default", nil, `there is no such line; did you mean "default"?`},
		{"telcom", nil, `there is no such line; did you mean "telecom"?`},
		{"TELECOM", nil, `there is no such line; did you mean "telecom"?`},
		{"cn_telecom_guangdon", nil, `there is no such line; did you mean "cn_telecom_guangdong"?`},
		{"cn_region_shanxxi", nil, `there is no such line; did you mean "cn_region_shanxi"?`},
		{"guangdong", nil, `there is no such line; did you mean "cn_region_guangdong"?`},
		{"广东", nil, `there is no such line; did you mean "cn_region_guangdong"?`},
		{"Japan", nil, `there is no such line; did you mean "os_asia_jp"?`},
		{"jp", nil, `there is no such line; did you mean "country:JP"?`},
		{"CN-GD", nil, `there is no such line; did you mean "subdivision:CN-GD"?`},
		{"AS4134", nil, `there is no such line; did you mean "asn:4134"?`},
		{"starlink", nil, `there is no such line; did you mean "isp:starlink"?`},
		{"192.0.2.0/24", nil, `networks stand in lines: add a [[geo.line]] with a name and prefixes = ["192.0.2.0/24"], and give its name here`},
		{"cn_region_hongkong", nil, `Hong Kong SAR China is a line of its own: want "os_asia_hk"`},
		{"cn_telecom_taiwan", nil, `Taiwan is a line of its own: want "os_asia_tw"`},
		{"cn_telecom_atlantis", nil,
			`there is no province or region "atlantis": want one of gtmd lines --kind province, as in cn_region_guangdong`},
		{"cn_acme_guangdong", nil, `there is no provider "acme": want region, ` + known + ", starlink, or the name of a [[geo.isp]]"},
		{"os_asia_de", nil, `Germany is in Europe: want "os_euro_de"`},
		{"os_euro_tr", nil, `Türkiye is in Asia: want "os_asia_tr"`},
		{"os_europe_de", nil, `there is no continent "os_europe": want "os_euro_de"`},
		{"os_europe", nil, `there is no such line; did you mean "os_euro"?`},
		{"os_asia_cn", nil, `mainland China is not overseas: want "internal"`},
		{"os_asia_uk", nil, `there is no country "uk": want an ISO 3166-1 code at the end, as in os_asia_jp`},
		{"google", nil, `gtmd does not know its networks: add a [[geo.line]] with name = "google" and prefixes = ["192.0.2.0/24"], ` +
			"the networks that it has"},
		{"search", offices, `gtmd does not know its networks: add a [[geo.line]] with name = "search" and prefixes = ["192.0.2.0/24"], ` +
			"the networks that it has, or one for a search engine, such as google"},
		{"aliyun", offices, `gtmd does not know its networks: add a [[geo.line]] with name = "aliyun" and prefixes = ["192.0.2.0/24"], ` +
			"the networks that it has, or one for a region, such as aliyun_r_cn-beijing"},
		{"aliyun_r_cn-fuzhou", nil, `gtmd does not know its networks: add a [[geo.line]] with name = "aliyun_r_cn-fuzhou" and ` +
			`prefixes = ["192.0.2.0/24"], the networks that it has`},
		{"aliyun_r_", nil, want + " (there are none)"},
		{"cnix", nil, `gtmd does not know the networks of Haokuan Network: add a [[geo.isp]] with name = "cnix" and asns = [64496], ` +
			"the numbers of its autonomous systems"},
		{"cn_cnix_beijing", nil, `gtmd does not know the networks of Haokuan Network: add a [[geo.isp]] with name = "cnix" and ` +
			"asns = [64496], the numbers of its autonomous systems"},
		{"continent:asia", nil, "there is no such continent: want AF (Africa), AN (Antarctica), AS (Asia), EU (Europe), " +
			"NA (North America), OC (Oceania) or SA (South America)"},
		{"country:XX", nil, `there is no country "XX": want an ISO 3166-1 code of two letters, such as country:JP`},
		{"country:", nil, `there is no country "": want an ISO 3166-1 code of two letters, such as country:JP`},
		{"country:japan", nil,
			`there is no country "japan": want an ISO 3166-1 code of two letters, such as country:JP; did you mean country:JP?`},
		{"country:uk", nil,
			`there is no country "uk": want an ISO 3166-1 code of two letters, such as country:JP; did you mean country:GB?`},
		{"subdivision:CN-XX", nil, `China has no subdivision "XX": want an ISO 3166-2 code, such as subdivision:CN-GD for Guangdong ` +
			"(gtmd lines --kind province lists them)"},
		{"subdivision:CN-99", nil, `China has no subdivision "99": want an ISO 3166-2 code, such as subdivision:CN-GD for Guangdong ` +
			"(gtmd lines --kind province lists them)"},
		{"subdivision:XX-1", nil, `there is no country "XX": want an ISO 3166-2 code, such as subdivision:CN-GD`},
		{"subdivision:guangdong", nil, "want an ISO 3166-2 code, such as subdivision:CN-GD; did you mean subdivision:CN-GD?"},
		{"subdivision:US-", nil, "want an ISO 3166-2 code, such as subdivision:CN-GD"},
		{"subdivision:US-CALI", nil, "want an ISO 3166-2 code, such as subdivision:CN-GD"},
		{"subdivision:US-C.", nil, "want an ISO 3166-2 code, such as subdivision:CN-GD"},
		{"city:Guangzhou", nil,
			"want the GeoNames id of a city, or its country and English name: city:1809858 or city:CN/Guangzhou"},
		{"city:0", nil, "want the GeoNames id of a city, or its country and English name: city:1809858 or city:CN/Guangzhou"},
		{"city:4294967296", nil, "want the GeoNames id of a city, or its country and English name: city:1809858 or city:CN/Guangzhou"},
		{"city:China/Guangzhou", nil,
			`there is no country "CHINA": want its ISO 3166-1 code in front of the city, as in city:CN/Guangzhou`},
		{"city:CN/", nil, "want the name of the city right after the country, as in city:CN/Guangzhou"},
		{"city:CN/ Guangzhou", nil, "want the name of the city right after the country, as in city:CN/Guangzhou"},
		{"asn:0", nil, "want the number of an autonomous system, 1 to 4294967295: asn:4134"},
		{"asn:4294967296", nil, "want the number of an autonomous system, 1 to 4294967295: asn:4134"},
		{"asn:AS", nil, "want the number of an autonomous system, 1 to 4294967295: asn:4134"},
		{"asn:-1", nil, "want the number of an autonomous system, 1 to 4294967295: asn:4134"},
		{"isp:", nil, "there is no such provider: want " + known + ", starlink, or the name of a [[geo.isp]]"},
		{"isp:acme", nil, "there is no such provider: want " + known + ", starlink, or the name of a [[geo.isp]]"},
		{"isp:Telecom", nil, "there is no such provider: want " + known + `, starlink, or the name of a [[geo.isp]]; did you mean "isp:telecom"?`},
		{"Country:JP", nil,
			`there is no selector "Country:": want continent:, country:, subdivision:, city:, asn: or isp:; did you mean "country:JP"?`},
		{"as:4134", nil, `there is no selector "as:": want continent:, country:, subdivision:, city:, asn: or isp:`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			s, err := ParseSelector(tc.text, tc.lines, isps)
			if err == nil {
				t.Fatalf("it is %v, want an error", s)
			}
			if want := fmt.Sprintf("request source %q: %s", tc.text, tc.err); err.Error() != want {
				t.Errorf("error\n%v\nwant\n%s", err, want)
			}
			if s != (Selector{}) {
				t.Errorf("%v beside the error", s)
			}
		})
	}
}

// TestParseSelectorAnything wants no panic and one line, whatever the text, and String of what is right to be right.
func TestParseSelectorAnything(t *testing.T) {
	lines := []LineOptions{line("office", "")}
	words := []string{"", "cn_", "os_", "asia", "_", ":", "/", "-", "jp", "CN", "GD", "44", "telecom", "country:", "city:", "asn:", "AS",
		"subdivision:", "isp:", "continent:", "region", "shannxi", "huadong", "aliyun_r_", "office", "\n", "北京", "\xff"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 5).Draw(t, "words"), "")
		s, err := ParseSelector(text, lines, nil)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: error of several lines: %v", text, err)
			}
			return
		}
		if again, err := ParseSelector(s.String(), lines, nil); err != nil || again != s {
			t.Fatalf("%q is %v, which is %v: %v", text, s, again, err)
		}
	})
}

func TestSelectorIdentity(t *testing.T) {
	if (Selector{}) != Global {
		t.Error("the zero Selector is not Global")
	}
	lines := []LineOptions{line("Global", "")}
	if selector, _ := ParseSelector("Global", lines, nil); selector == Global {
		t.Error(`the line "Global" is the source global`)
	}
}

func mustSelector(tb testing.TB, text string) Selector {
	tb.Helper()
	s, err := ParseSelector(text, nil, []ISPOptions{{Name: "cnix", ASNs: []int{64500}}})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestMatches has what TestAlibabaCodes has not: plain selectors, and facts that are not whole.
func TestMatches(t *testing.T) {
	table := mustISPTable(t)
	guangzhou := Facts{
		Continent: "AS", Country: "CN", Subdivisions: []string{"CN-GD"}, City: City{1809858, "Guangzhou"}, ASN: 4134, ISP: "China Telecom",
	}
	london := Facts{Continent: "EU", Country: "GB", Subdivisions: []string{"GB-ENG", "GB-LND"}, City: City{2643743, "London"}}
	for _, tc := range []struct {
		text  string
		facts Facts
		want  bool
	}{
		{"continent:AS", guangzhou, true},
		{"os_asia", guangzhou, false}, // as continent:AS, but without mainland China
		{"continent:EU", guangzhou, false},
		{"country:CN", guangzhou, true},
		{"oversea", guangzhou, false},
		{"city:1809858", guangzhou, true},
		{"city:1809859", guangzhou, false},
		{"city:CN/GUANGZHOU", guangzhou, true},
		{"city:JP/Guangzhou", guangzhou, false},
		{"asn:4134", guangzhou, true},
		{"asn:4135", guangzhou, false},
		{"isp:telecom", guangzhou, true},
		{"isp:telecom", Facts{ISP: "China Telecom"}, true}, // from an ISP database alone
		{"cn_telecom_guangdong", Facts{Subdivisions: []string{"CN-GD"}}, false},
		{"cn_telecom_guangdong", Facts{Country: "CN", ASN: 4134}, false},
		{"cn_telecom_huanan", guangzhou, true},
		{"cn_telecom_huabei", guangzhou, false},
		{"subdivision:GB-ENG", london, true},
		{"subdivision:GB-LND", london, true},
		{"subdivision:GB-SCT", london, false},
		{"cn_region_huanan", london, false},
		{"oversea", london, true},
		// A database may say of Hong Kong that it is in China: still it is not the mainland.
		{"country:CN", Facts{Country: "CN", Subdivisions: []string{"CN-HK"}}, false},
		{"country:HK", Facts{Country: "CN", Subdivisions: []string{"CN-HK"}}, true},
		{"subdivision:CN-HK", Facts{Country: "HK"}, true},
		{"oversea", Facts{Country: "CN", Subdivisions: []string{"CN-HK"}}, true},
		{"os_asia", Facts{Country: "CN", Subdivisions: []string{"CN-HK"}}, true},
		{"cn_region_huanan", Facts{Country: "CN", Subdivisions: []string{"CN-HK"}}, false},
		{"city:HK/Hong Kong", Facts{Country: "CN", Subdivisions: []string{"CN-HK"}, City: City{Name: "Hong Kong"}}, true},
		// A country without a continent has that of the table; what the database says comes first.
		{"os_asia", Facts{Country: "JP"}, true},
		{"continent:AS", Facts{Country: "CN"}, true},
		{"os_euro", Facts{Country: "CY"}, true},
		{"os_asia", Facts{Country: "CY", Continent: "AS"}, true},
		// A continent without a country: only Asia may be mainland China.
		{"os_euro", Facts{Continent: "EU"}, true},
		{"oversea", Facts{Continent: "EU"}, true},
		{"os_asia", Facts{Continent: "AS"}, false},
		{"oversea", Facts{Continent: "AS"}, false},
		{"continent:AS", Facts{Continent: "AS"}, true},
		{"oversea", Facts{}, false},
		{"oversea", Facts{ASN: 4134}, false},
		{"global", guangzhou, false}, // it is the core that adds it
	} {
		s := mustSelector(t, tc.text)
		if got := s.matches(&tc.facts, table); got != tc.want {
			t.Errorf("%s matches %v: %v, want %v", tc.text, &tc.facts, got, tc.want)
		}
		if allocs := testing.AllocsPerRun(10, func() { s.matches(&tc.facts, table) }); allocs > 0 {
			t.Errorf("%s, %v: %v allocations", tc.text, &tc.facts, allocs)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	table := mustISPTable(b)
	f := at("AS CN CN-GD AS4134")
	for _, text := range []string{"cn_telecom_guangdong", "isp:telecom", "cn_region_huadong", "country:JP", "oversea"} {
		s := mustSelector(b, text)
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				s.matches(f, table)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	const (
		country = KnowsContinent | KnowsCountry
		city    = country | KnowsSubdivision | KnowsCity | KnowsPlace
	)
	isps := []ISPOptions{
		{Name: "named", Names: []string{"Named"}}, {Name: "numbered", ASNs: []int{64500}}, {Name: "both", ASNs: []int{64501}, Names: []string{"Both"}},
		{Name: "unicom", Names: []string{"China Unicom"}, Replace: true}, {Name: "mobile", Names: []string{"CMCC"}},
	}
	for _, tc := range []struct {
		text string
		have Knowledge
		want string
	}{
		{"global", 0, ""},
		{"country:JP", 0, "a database with countries (City or Country)"},
		{"country:JP", KnowsASN, "a database with countries (City or Country)"},
		{"country:JP", country, ""},
		{"oversea", KnowsContinent, "a database with countries (City or Country)"},
		{"os_asia", country, ""},
		{"continent:AS", 0, "a database with countries (City or Country)"},
		{"continent:AS", KnowsContinent, ""},
		{"continent:AS", KnowsCountry, ""},
		{"cn_region_guangdong", country, "a City database with subdivisions"},
		{"cn_region_huadong", country, "a City database with subdivisions"},
		{"cn_region_huadong", city, ""},
		{"city:1809858", country | KnowsSubdivision | KnowsCityName, "a City database with the GeoNames ids of cities (or name the city, as in city:CN/Guangzhou)"},
		{"city:1809858", KnowsCityID, ""},
		{"city:CN/Guangzhou", country | KnowsCityID, "a City database with the English names of cities"},
		{"city:CN/Guangzhou", KnowsCityName, "a database with countries (City or Country)"},
		{"city:CN/Guangzhou", KnowsCityName | KnowsCountry, ""},
		{"isp:named", city | KnowsASN, "an ISP database, with the names of providers"},
		{"isp:named", KnowsISP, ""},
		{"isp:numbered", city | KnowsISP, "an ASN database"},
		{"isp:numbered", KnowsASN, ""},
		{"isp:both", city, "an ASN or ISP database"},
		{"isp:both", KnowsASN, ""},
		{"cn_named_guangdong", KnowsASN, "an ISP database, with the names of providers and a City database with subdivisions"},
		{"unicom", KnowsASN, "an ISP database, with the names of providers"}, // replaced
		{"mobile", KnowsASN, ""}, // added to
		{"city:CN/Guangzhou", city, ""},
		{"asn:4134", city | KnowsISP, "an ASN database"},
		{"asn:4134", KnowsASN, ""},
		{"telecom", city, "an ASN or ISP database"},
		{"telecom", KnowsASN, ""},
		{"telecom", KnowsISP, ""},
		{"cn_telecom_guangdong", 0, "an ASN or ISP database and a City database with subdivisions"},
		{"cn_telecom_guangdong", KnowsASN, "a City database with subdivisions"},
		{"cn_telecom_guangdong", city, "an ASN or ISP database"},
		{"cn_telecom_huadong", city | KnowsISP, ""},
	} {
		source, err := ParseSelector(tc.text, nil, isps)
		if err != nil {
			t.Fatal(err)
		}
		if got := source.Missing(tc.have, isps); got != tc.want {
			t.Errorf("%s with %b misses %q, want %q", tc.text, tc.have, got, tc.want)
		}
	}
	if got := lineSelector("office").Missing(0, nil); got != "" {
		t.Errorf("a custom line misses %q", got)
	}
}

// TestRank is the order of BEHAVIOUR.md section 5.
func TestRank(t *testing.T) {
	order := []string{
		"line:office", "line:google", "line:search", "line:aliyun_r_cn-beijing", "line:aliyun", "cn_telecom_guangdong", "cn_telecom_huanan",
		"asn:4134", "isp:telecom", "city:1809858", "subdivision:CN-GD", "cn_region_huanan", "internal", "os_asia", "continent:AS", "oversea",
		"global",
	}
	before := -1
	for _, text := range order {
		var s Selector
		if name, isLine := strings.CutPrefix(text, "line:"); isLine {
			s = lineSelector(name)
		} else {
			s = mustSelector(t, text)
		}
		if s.rank() <= before {
			t.Errorf("%s has the rank %d after %d", text, s.rank(), before)
		}
		before = s.rank()
	}
	for _, pair := range [][2]string{
		{"internal", "os_asia_jp"}, {"city:1", "city:CN/a"}, {"cn_telecom_guangdong", "cn_edu_beijing"}, {"os_asia", "os_euro"},
	} {
		if a, b := mustSelector(t, pair[0]), mustSelector(t, pair[1]); a.rank() != b.rank() {
			t.Errorf("%s has the rank %d, %s %d", a, a.rank(), b, b.rank())
		}
	}
}

func TestCompare(t *testing.T) {
	london := &Facts{Country: "GB", Subdivisions: []string{"GB-ENG", "GB-LND"}}
	for _, tc := range []struct {
		first, second string
	}{
		{"subdivision:GB-LND", "subdivision:GB-ENG"}, // the narrower of the two
		{"subdivision:GB-ENG", "country:GB"},
		{"asn:1", "isp:edu"},
		{"isp:edu", "isp:telecom"}, // nothing but the text tells them apart
		{"oversea", "global"},
	} {
		a, b := mustSelector(t, tc.first), mustSelector(t, tc.second)
		if a.compare(b, london, ispTable{}) >= 0 || b.compare(a, london, ispTable{}) <= 0 || a.compare(a, london, ispTable{}) != 0 {
			t.Errorf("%s does not come before %s", a, b)
		}
	}
}
