package geo

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// at makes facts of the words that Facts.String prints: continent, country, subdivisions, AS number.
func at(text string) *Facts {
	f := &Facts{}
	for _, word := range strings.Fields(text) {
		switch {
		case strings.HasPrefix(word, "AS") && len(word) > 2:
			s, _ := parseASN(word)
			f.ASN = s.number
		case strings.Contains(word, "-"):
			f.Subdivisions = append(f.Subdivisions, word)
		case f.Continent == "":
			f.Continent = word
		default:
			f.Country = word
		}
	}
	return f
}

// alibabaCodes are all codes of reference/alibaba-gtm.md section 2.5 that databases match, each with a client that it must and one
// that it must not match.
func alibabaCodes() map[string][2]string {
	codes := map[string][2]string{
		"internal": {"AS CN CN-GD AS4134", "AS HK AS4134"}, "oversea": {"AS HK", "AS CN"},
		"os_africa": {"AF ZA", "EU DE"}, "os_asia": {"AS JP", "AS CN CN-GD"}, "os_euro": {"EU RU", "AS TR"}, "os_namerica": {"NA PA", "SA CO"},
		"os_oceanica": {"OC AU", "AS ID"}, "os_samerica": {"SA BR", "NA MX"},
	}
	isps := map[string][2]string{ // a number of its own, and one of another
		"telecom": {"AS4134", "AS4837"}, "unicom": {"AS4837", "AS4134"}, "mobile": {"AS9808", "AS4134"}, "edu": {"AS4538", "AS7497"},
		"drpeng": {"AS55968", "AS4134"}, "btvn": {"AS7641", "AS9812"}, "cstnet": {"AS7497", "AS4538"}, "wexchange": {"AS59027", "AS4812"},
		"founder": {"AS24428", "AS4808"}, "topway_video": {"AS17962", "AS4134"}, "wasu": {"AS55977", "AS7641"}, "ocn": {"AS9812", "AS7641"},
		"bgctv": {"AS17429", "AS4808"}, "cnix": {"AS64500", "AS4134"},
	}
	for isp, asn := range isps {
		codes[isp] = [2]string{"AS CN " + asn[0], "AS CN " + asn[1]}
	}
	provinces := alibabaProvinces()
	for _, isp := range []string{"telecom", "unicom", "mobile", "edu", "drpeng", "btvn"} {
		asn := isps[isp]
		for name, place := range provinces {
			// One has the right provider in another province, the next the right province with another provider.
			miss := "AS CN " + place[1] + " " + asn[0]
			if len(name)%2 == 0 {
				miss = "AS CN " + place[0] + " " + asn[1]
			}
			codes["cn_"+isp+"_"+name] = [2]string{"AS CN " + place[0] + " " + asn[0], miss}
		}
		// By big region, since December 2025.
		for name, place := range alibabaRegions() {
			codes["cn_"+isp+"_"+name] = [2]string{"AS CN " + place[0] + " " + asn[0], "AS CN " + place[0] + " " + asn[1]}
		}
	}
	for name, place := range provinces {
		codes["cn_region_"+name] = [2]string{"AS CN " + place[0], "AS CN " + place[1]}
	}
	for name, place := range alibabaRegions() {
		codes["cn_region_"+name] = [2]string{"AS CN " + place[0], "AS CN " + place[1]}
	}
	for continent, list := range map[string]string{
		"africa AF": "za", "asia AS": "ae hk id in jp kh kr la mm mo mv my np ph sa sg th tw vn",
		"euro EU": "at ch de es fr gb it nl ru se", "namerica NA": "ca mx us", "oceanica OC": "au nz", "samerica SA": "ar br",
	} {
		line, code, _ := strings.Cut(continent, " ")
		for _, country := range strings.Fields(list) {
			codes["os_"+line+"_"+country] = [2]string{code + " " + strings.ToUpper(country), code + " CN"}
		}
	}
	return codes
}

// alibabaProvinces has, for each name in line codes, its ISO 3166-2 code and that of a province that might be taken for it.
func alibabaProvinces() map[string][2]string {
	return map[string][2]string{
		"anhui": {"CN-AH", "CN-HA"}, "beijing": {"CN-BJ", "CN-TJ"}, "chongqing": {"CN-CQ", "CN-SC"}, "fujian": {"CN-FJ", "CN-TW"},
		"gansu": {"CN-GS", "CN-GZ"}, "guangdong": {"CN-GD", "CN-GX"}, "guangxi": {"CN-GX", "CN-GD"}, "guizhou": {"CN-GZ", "CN-GD"},
		"hainan": {"CN-HI", "CN-HN"}, "hebei": {"CN-HE", "CN-HB"}, "heilongjiang": {"CN-HL", "CN-HK"}, "henan": {"CN-HA", "CN-HN"},
		"hubei": {"CN-HB", "CN-HE"}, "hunan": {"CN-HN", "CN-HA"}, "jiangsu": {"CN-JS", "CN-JX"}, "jiangxi": {"CN-JX", "CN-JS"},
		"jilin": {"CN-JL", "CN-JS"}, "liaoning": {"CN-LN", "CN-JL"}, "neimenggu": {"CN-NM", "CN-NX"}, "ningxia": {"CN-NX", "CN-NM"},
		"qinghai": {"CN-QH", "CN-SH"}, "shaanxi": {"CN-SN", "CN-SX"}, "shannxi": {"CN-SN", "CN-SX"}, "shandong": {"CN-SD", "CN-SX"},
		"shanghai": {"CN-SH", "CN-SD"}, "shanxi": {"CN-SX", "CN-SN"}, "sichuan": {"CN-SC", "CN-CQ"}, "tianjin": {"CN-TJ", "CN-BJ"},
		"xinjiang": {"CN-XJ", "CN-XZ"}, "xizang": {"CN-XZ", "CN-XJ"}, "yunnan": {"CN-YN", "CN-HN"}, "zhejiang": {"CN-ZJ", "CN-JX"},
	}
}

// alibabaRegions has a province in each big region, and one that is not.
func alibabaRegions() map[string][2]string {
	return map[string][2]string{
		"dongbei": {"CN-LN", "CN-NM"}, "huabei": {"CN-NM", "CN-SD"}, "huadong": {"CN-JX", "CN-HN"}, "huanan": {"CN-HI", "CN-HK"},
		"huazhong": {"CN-HA", "CN-JX"}, "xibei": {"CN-SN", "CN-SX"}, "xinan": {"CN-CQ", "CN-GX"},
	}
}

func TestAlibabaCodes(t *testing.T) {
	isps := []ISPOptions{{Name: "cnix", ASNs: []int{64500}}}
	table := mustISPTable(t, isps...)
	codes := alibabaCodes()
	if len(codes) < 8+14+6*(32+7)+32+7+37 {
		t.Errorf("%d codes, want more", len(codes))
	}
	for code, clients := range codes {
		s, err := ParseSelector(code, nil, isps)
		if err != nil {
			t.Error(err)
			continue
		}
		if !s.matches(at(clients[0]), table) {
			t.Errorf("%s does not match %s", code, clients[0])
		}
		if s.matches(at(clients[1]), table) {
			t.Errorf("%s matches %s", code, clients[1])
		}
		if s.matches(&Facts{}, table) {
			t.Errorf("%s matches a client of whom nothing is known", code)
		}
	}
}

// TestAlibabaFilledCodes has the codes of the same section whose networks an operator fills in.
func TestAlibabaFilledCodes(t *testing.T) {
	for parent, codes := range map[string]string{
		"search": "google baidu biying youdao",
		"aliyun": "aliyun_r_cn-beijing aliyun_r_cn-chengdu aliyun_r_cn-guangzhou aliyun_r_cn-hangzhou aliyun_r_cn-heyuan " +
			"aliyun_r_cn-huhehaote aliyun_r_cn-qingdao aliyun_r_cn-shanghai aliyun_r_cn-shenzhen aliyun_r_cn-wulanchabu " +
			"aliyun_r_cn-zhangjiakou aliyun_r_cn-hongkong aliyun_r_us-west-1 aliyun_r_us-east-1 aliyun_r_ap-northeast-1 " +
			"aliyun_r_ap-south-1 aliyun_r_ap-southeast-1 aliyun_r_ap-southeast-2 aliyun_r_ap-southeast-3 aliyun_r_ap-southeast-5 " +
			"aliyun_r_eu-central-1 aliyun_r_eu-west-1 aliyun_r_me-east-1",
	} {
		for _, code := range strings.Fields(codes) {
			index := slices.IndexFunc(Catalogue(), func(l Line) bool { return l.Code == code })
			if index < 0 {
				t.Errorf("%s is not in the catalogue", code)
				continue
			}
			if got := Catalogue()[index].Parent; got != parent {
				t.Errorf("%s has the parent %s, want %s", code, got, parent)
			}
			filled := []LineOptions{line(code, "192.0.2.0/24")}
			for _, text := range []string{code, parent} {
				s, err := ParseSelector(text, filled, nil)
				if err != nil || s != lineSelector(text) || !s.isLine() {
					t.Errorf("%s with a line %s: %v, %v", text, code, s, err)
				}
				if s.matches(at("AS CN CN-GD AS4134"), mustISPTable(t)) {
					t.Errorf("%s matches facts", text)
				}
				if _, err := ParseSelector(text, nil, nil); err == nil {
					t.Errorf("%s without networks is not an error", text)
				}
			}
			if got := lineSelector(code).parent(); got != lineSelector(parent) {
				t.Errorf("parent of %s: %v, want %s", code, got, parent)
			}
			if problem := LineNameProblem(code, nil); problem != "" {
				t.Errorf("a line cannot have the name %s: %s", code, problem)
			}
		}
		if got := lineSelector(parent).parent(); got != Global {
			t.Errorf("parent of %s: %v, want none", parent, got)
		}
	}
}

func TestCatalogue(t *testing.T) {
	lines := Catalogue()
	if want := 1 + 5 + 24 + 14 + 6*(7+31) + 1 + 7 + 31 + 1 + 7 + 249; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
	codes := map[string]bool{}
	filled := []LineOptions{}
	for _, l := range lines {
		if l.isFilled() {
			filled = append(filled, line(l.Code, "192.0.2.0/24"))
		}
	}
	isps := []ISPOptions{{Name: "cnix", ASNs: []int{64500}}}
	selectors := map[Selector]string{}
	for _, l := range lines {
		for _, code := range append([]string{l.Code}, l.Aliases...) {
			if code == "" || codes[code] {
				t.Errorf("code %q is there twice", code)
			}
			codes[code] = true
			s, err := ParseSelector(code, filled, isps)
			own, ok := l.Selector()
			if err != nil || !ok || s != own {
				t.Errorf("%s: %v, %v; of the line: %v, %v", code, s, err, own, ok)
			}
			again, err := ParseSelector(s.String(), filled, isps)
			if err != nil || again != s {
				t.Errorf("%s is %v, which is %v: %v", code, s, again, err)
			}
		}
		if l.Name == "" || l.NameZH == "" {
			t.Errorf("%s: names %q and %q", l.Code, l.Name, l.NameZH)
		}
		// Wider before narrower.
		if l.Parent == "" != (l.Code == "global") || l.Parent != "" && !codes[l.Parent] {
			t.Errorf("%s: parent %q", l.Code, l.Parent)
		}
		s, _ := l.Selector()
		if other := selectors[s]; other != "" {
			t.Errorf("%s and %s are the same clients", l.Code, other)
		}
		selectors[s] = l.Code
		if (l.Needs() == "") != (l.Code == "global") {
			t.Errorf("%s needs %q", l.Code, l.Needs())
		}
	}
	kinds := map[string]int{}
	for _, l := range lines {
		kinds[l.Kind]++
	}
	want := map[string]int{
		"base": 1, "search engine": 5, "cloud provider": 24, "isp": 14, "isp region": 42, "isp province": 186, "mainland": 1,
		"region": 7, "province": 31, "overseas": 1, "continent": 7, "country": 249,
	}
	if !maps.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
}

// TestCatalogueParents wants a client of a narrower line to be one of the wider, for every pair that databases match.
func TestCatalogueParents(t *testing.T) {
	table := mustISPTable(t)
	byCode := map[string]Line{}
	pairs := 0
	for _, l := range Catalogue() {
		byCode[l.Code] = l
	}
	for code, clients := range alibabaCodes() {
		for l, ok := byCode[code]; ok && l.Parent != "global" && code != "cnix"; l = byCode[l.Parent] {
			s, _ := byCode[l.Parent].Selector()
			if !s.matches(at(clients[0]), table) {
				t.Errorf("%s is a client of %s and not of %s", clients[0], l.Code, l.Parent)
			}
			pairs++
		}
	}
	if pairs < 300 {
		t.Errorf("%d pairs, want more", pairs)
	}
}

// TestCatalogueOwner changes what the caller got.
func TestCatalogueOwner(t *testing.T) {
	first := Catalogue()
	first[0].Code, first[0].Aliases[0] = "x", "y"
	if again := Catalogue(); again[0].Code != "global" || again[0].Aliases[0] != "default" {
		t.Errorf("a caller has changed the catalogue: %+v", again[0])
	}
}

func TestLineNeeds(t *testing.T) {
	for code, want := range map[string]string{
		"global": "", "google": "prefixes in [[geo.line]]", "aliyun": "prefixes in [[geo.line]]",
		"telecom": "an ASN or ISP database", "cnix": "asns in [[geo.isp]] and an ASN or ISP database",
		"cn_telecom_guangdong": "an ASN or ISP database and a City database with subdivisions",
		"cn_region_huadong":    "a City database with subdivisions", "internal": "a database with countries (City or Country)",
		"os_asia_jp": "a database with countries (City or Country)", "os_asia": "a database with countries (City or Country)",
	} {
		index := slices.IndexFunc(Catalogue(), func(l Line) bool { return l.Code == code })
		if got := Catalogue()[index].Needs(); got != want {
			t.Errorf("%s needs %q, want %q", code, got, want)
		}
	}
	if s, ok := (Line{Code: "office"}).Selector(); ok || (Line{Code: "office"}).Needs() != "" {
		t.Errorf("a line that is not of the catalogue: %v", s)
	}
}

func TestLineNameProblem(t *testing.T) {
	for name, want := range map[string]string{
		"office": "", "new lab": "", "Global": "", "os_test": "", "cn_test_lab": "", "google": "", "search": "", "aliyun": "",
		"aliyun_r_cn-beijing": "", "aliyun_r_moon-1": "",
		"":                     "it is empty",
		"global":               "it is the source that matches everybody",
		"default":              "it is the source that matches everybody",
		"country:JP":           `it has a ":", as only selectors such as country:JP have`,
		"a:b":                  `it has a ":", as only selectors such as country:JP have`,
		"telecom":              "it is the code of a provider, China Telecom: add to its networks with [[geo.isp]], or choose another name",
		"os_asia_jp":           "it is a line that gtmd takes from databases (see gtmd lines): choose another name",
		"cn_region_shannxi":    "it is a line that gtmd takes from databases (see gtmd lines): choose another name",
		"cn_telecom_guangdong": "it is a line that gtmd takes from databases (see gtmd lines): choose another name",
		"internal":             "it is a line that gtmd takes from databases (see gtmd lines): choose another name",
	} {
		if got := LineNameProblem(name, nil); got != want {
			t.Errorf("LineNameProblem(%q) = %q, want %q", name, got, want)
		}
	}
	const taken = "it is a line that gtmd takes from databases (see gtmd lines): choose another name"
	isps := []ISPOptions{{Name: "campus", ASNs: []int{64500}}}
	for name, want := range map[string]string{
		"cn_campus_shaanxi": taken, "cn_campus_shannxi": taken, "cn_campus_huadong": taken, "cn_cnix_guangdong": taken,
		"cn_campus_paris": "", "cn_lab_shaanxi": "", "campus": "",
	} {
		if got := LineNameProblem(name, isps); got != want {
			t.Errorf("LineNameProblem(%q) with a provider campus = %q, want %q", name, got, want)
		}
	}
}

// TestStringIdentifies: in one configuration no two sources have one text, and the text is read as its source. It has the catalogue,
// and lines and providers with any names that come near its codes.
func TestStringIdentifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{
			"campus", "a_b", "telecom", "edu", "cnix", "region", "cn", "os", "asia", "jp", "shaanxi", "shannxi", "guangdong", "huadong", "huabei", "x",
		})
		words := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "words"), "_")
		})
		var isps []ISPOptions
		for i, name := range rapid.SliceOfNDistinct(words, 0, 4, rapid.ID).Draw(t, "isps") {
			isps = append(isps, ISPOptions{Name: name, ASNs: []int{64500 + i}})
		}
		if _, err := newISPTable(isps); err != nil {
			t.Skip(err)
		}
		var lines []LineOptions
		near := rapid.Custom(func(t *rapid.T) string { // a provider in a place, if it is one
			code := rapid.SampledFrom(append([]ISPOptions{{Name: "edu"}}, isps...)).Draw(t, "provider").Name
			return code + "_" + rapid.SampledFrom([]string{"shaanxi", "shannxi", "huabei", "x"}).Draw(t, "place")
		})
		for _, name := range rapid.SliceOfNDistinct(rapid.OneOf(words, near), 0, 6, rapid.ID).Draw(t, "lines") {
			for _, name := range []string{name, "cn_" + name} {
				if LineNameProblem(name, isps) == "" {
					lines = append(lines, LineOptions{Name: name})
				}
			}
		}
		lines = slices.CompactFunc(slices.SortedFunc(slices.Values(lines), func(a, b LineOptions) int { return strings.Compare(a.Name, b.Name) }),
			func(a, b LineOptions) bool { return a.Name == b.Name })
		sources := []Selector{}
		for _, l := range lines {
			sources = append(sources, lineSelector(l.Name))
		}
		for _, l := range Catalogue() {
			if s, _ := l.Selector(); !s.isLine() && (s.kind != kindISP || knownProvider(s.name).hasNetworks()) {
				sources = append(sources, s)
			}
		}
		for _, o := range isps {
			sources = append(sources, Selector{kind: kindISP, name: o.Name})
			for _, p := range lineProvinces() {
				sources = append(sources, Selector{kind: kindISPProvince, name: p.code, of: o.Name})
			}
			for _, r := range regions() {
				sources = append(sources, Selector{kind: kindISPRegion, name: r.line, of: o.Name})
			}
		}
		named := map[string]Selector{}
		for _, s := range sources {
			if other, isTaken := named[s.String()]; isTaken && other != s {
				t.Fatalf("%#v and %#v are both %q", other, s, s)
			}
			named[s.String()] = s
			if read, err := ParseSelector(s.String(), lines, isps); err != nil || read != s {
				t.Fatalf("ParseSelector(%q) = %#v, %v; want %#v", s, read, err, s)
			}
		}
	})
}
