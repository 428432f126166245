package geo

import (
	"slices"
	"strings"
	"sync"
)

// A Line is one entry of the catalogue of request sources.
type Line struct {
	// Code is what sources say; Aliases mean the same.
	Code    string   `json:"code"`
	Aliases []string `json:"aliases,omitempty"`
	// Name and NameZH are for people, in English and Chinese.
	Name   string `json:"name"`
	NameZH string `json:"name_zh"`
	// Kind is the category: "base", "search engine", "cloud provider", "isp", "isp region", "isp province", "mainland",
	// "region", "province", "overseas", "continent", "country".
	Kind string `json:"kind"`
	// Parent is the code of the next wider line; empty for global.
	Parent string `json:"parent,omitempty"`
}

// Kinds of lines whose networks are those of a [[geo.line]].
const (
	searchKind = "search engine"
	cloudKind  = "cloud provider"
)

// The lines of mainland China as a whole, and of everything else.
const (
	internalCode = "internal"
	overseaCode  = "oversea"
)

// Catalogue lists every line that gtmd knows by name, in a fixed order: wider before narrower. The caller owns it.
//
// The codes are Alibaba's ("Resolution line enumeration" of 2021 and of December 2025), with a line for every country of ISO
// 3166-1. A code is spelled with "shaanxi"; "shannxi" is an alias.
func Catalogue() []Line {
	list := make([]Line, len(catalogue()))
	for i, e := range catalogue() {
		list[i] = e.line
		list[i].Aliases = slices.Clone(e.line.Aliases)
	}
	return list
}

// Selector is the request source that the line stands for. It is false for a Line that is not of the catalogue.
func (l Line) Selector() (Selector, bool) {
	s, ok := catalogueSelectors()[l.Code]
	return s, ok
}

// Needs says, for people, what must be there for the line to match a client; empty: nothing.
func (l Line) Needs() string {
	if l.isFilled() {
		return "prefixes in [[geo.line]]"
	}
	s, ok := l.Selector()
	if !ok {
		return ""
	}
	if s.kind == kindISP && !knownProvider(s.name).hasNetworks() {
		return "asns in [[geo.isp]] and " + s.Missing(0, nil)
	}
	return s.Missing(0, nil)
}

// isFilled reports whether the networks of the line are those of a [[geo.line]].
func (l Line) isFilled() bool { return l.Kind == searchKind || l.Kind == cloudKind }

// LineNameProblem says why a [[geo.line]] cannot have a name; empty: it can. Only the search engine and cloud provider codes
// of the catalogue can be names of lines: that is how they get their networks. Nor can a line be called like one of a provider of
// the configuration, such as cn_campus_guangdong where there is a [[geo.isp]] campus.
func LineNameProblem(name string, isps []ISPOptions) string {
	switch {
	case name == "":
		return "it is empty"
	case reserved(name):
		return "it is the source that matches everybody"
	case strings.Contains(name, ":"):
		return `it has a ":", as only selectors such as country:JP have`
	}
	s, ok := catalogueSelectors()[name]
	if !ok {
		s, ok = sourceParser{isps: isps}.ispPlace(name)
	}
	if !ok || s.isLine() {
		return ""
	}
	if s.kind == kindISP {
		return "it is the code of a provider, " + knownProvider(s.name).name +
			": add to its networks with [[geo.isp]], or choose another name"
	}
	return "it is a line that gtmd takes from databases (see gtmd lines): choose another name"
}

// WiderLine is the line of the catalogue that the prefixes of a [[geo.line]] belong to as well: "search" for those of a search
// engine, "aliyun" for those of one of its regions, also of one that the catalogue does not have. Empty: there is none.
func WiderLine(name string) string {
	if wider := lineSelector(name).parent(); wider != Global {
		return wider.String()
	}
	return ""
}

// catalogueEntry is a line of the catalogue and what it stands for.
type catalogueEntry struct {
	line     Line
	selector Selector
}

// catalogue is never changed.
var catalogue = sync.OnceValue(func() []catalogueEntry {
	return slices.Concat(filledEntries(), ispEntries(), mainlandEntries(), overseasEntries())
})

// catalogueSelectors has every code and alias.
var catalogueSelectors = sync.OnceValue(func() map[string]Selector {
	byCode := make(map[string]Selector)
	for _, e := range catalogue() {
		byCode[e.line.Code] = e.selector
		for _, alias := range e.line.Aliases {
			byCode[alias] = e.selector
		}
	}
	return byCode
})

// filledEntries are global and the lines that an operator fills in.
func filledEntries() []catalogueEntry {
	list := []catalogueEntry{{Line{globalName, []string{defaultName}, "Global", "全局", "base", ""}, Global}}
	lines := slices.Concat(
		[]Line{{searchName, nil, "Search engines", "搜索引擎", searchKind, globalName}}, searchEngines(),
		[]Line{{cloudName, nil, "Alibaba Cloud", "阿里云", cloudKind, globalName}}, cloudRegions())
	for _, l := range lines {
		list = append(list, catalogueEntry{l, lineSelector(l.Code)})
	}
	return list
}

// searchEngines is never changed.
var searchEngines = sync.OnceValue(func() []Line {
	return []Line{
		{"google", nil, "Google", "谷歌", searchKind, searchName},
		{"baidu", nil, "Baidu", "百度", searchKind, searchName},
		{"biying", nil, "Bing", "必应", searchKind, searchName},
		{"youdao", nil, "Youdao", "有道", searchKind, searchName},
	}
})

func cloudRegions() []Line {
	var list []Line
	for _, r := range [][3]string{
		{"cn-beijing", "Beijing", "北京"},
		{"cn-chengdu", "Chengdu", "成都"},
		{"cn-guangzhou", "Guangzhou", "广州"},
		{"cn-hangzhou", "Hangzhou", "杭州"},
		{"cn-heyuan", "Heyuan", "河源"},
		{"cn-huhehaote", "Hohhot", "呼和浩特"},
		{"cn-qingdao", "Qingdao", "青岛"},
		{"cn-shanghai", "Shanghai", "上海"},
		{"cn-shenzhen", "Shenzhen", "深圳"},
		{"cn-wulanchabu", "Ulanqab", "乌兰察布"},
		{"cn-zhangjiakou", "Zhangjiakou", "张家口"},
		{"cn-hongkong", "Hong Kong", "中国香港"},
		{"us-west-1", "Silicon Valley", "美国（硅谷）"},
		{"us-east-1", "Virginia", "美国（弗吉尼亚）"},
		{"ap-northeast-1", "Tokyo", "日本（东京）"},
		{"ap-south-1", "Mumbai", "印度（孟买）"},
		{"ap-southeast-1", "Singapore", "新加坡"},
		{"ap-southeast-2", "Sydney", "澳大利亚（悉尼）"},
		{"ap-southeast-3", "Kuala Lumpur", "马来西亚（吉隆坡）"},
		{"ap-southeast-5", "Jakarta", "印度尼西亚（雅加达）"},
		{"eu-central-1", "Frankfurt", "德国（法兰克福）"},
		{"eu-west-1", "London", "英国（伦敦）"},
		{"me-east-1", "Dubai", "阿联酋（迪拜）"},
	} {
		list = append(list, Line{cloudPrefix + r[0], nil, "Alibaba Cloud, " + r[1], "阿里云_" + r[2], cloudKind, cloudName})
	}
	return list
}

// provincialISPs are the providers for which Alibaba has lines by province. By big region it has them since 2025.
func provincialISPs() []string {
	return []string{"telecom", "unicom", "mobile", "edu", "drpeng", "btvn"}
}

func ispEntries() []catalogueEntry {
	var list []catalogueEntry
	for _, p := range knownProviders() {
		s := Selector{kind: kindISP, name: p.code}
		list = append(list, catalogueEntry{Line{p.code, []string{s.String()}, p.name, p.nameZH, "isp", globalName}, s})
	}
	for _, code := range provincialISPs() {
		p := knownProvider(code)
		for _, r := range regions() {
			list = append(list, catalogueEntry{
				Line{ispLineCode(code, r.line), nil, p.name + ", " + r.name, p.nameZH + "_" + r.nameZH, "isp region", code},
				Selector{kind: kindISPRegion, name: r.line, of: code},
			})
		}
		for _, place := range lineProvinces() {
			list = append(list, catalogueEntry{
				Line{ispLineCode(code, place.line), place.misspelled(code), p.name + ", " + place.name, p.nameZH + "_" + place.nameZH,
					"isp province", ispLineCode(code, place.region)},
				Selector{kind: kindISPProvince, name: place.code, of: code},
			})
		}
	}
	return list
}

// lineProvinces are the provinces that have lines: those of mainland China.
func lineProvinces() []province {
	return slices.DeleteFunc(slices.Clone(provinceList()), func(p province) bool { return p.line == "" })
}

// misspelled is the code of the province's line with Alibaba's other spelling of Shaanxi; none for other provinces.
func (p province) misspelled(isp string) []string {
	if p.line != shaanxi {
		return nil
	}
	return []string{ispLineCode(isp, shannxi)}
}

func mainlandEntries() []catalogueEntry {
	china := countryByCode(mainland)
	s := Selector{kind: kindCountry, name: mainland}
	list := []catalogueEntry{{
		Line{internalCode, []string{s.String()}, "Mainland China", china.nameZH + "内地", "mainland", globalName}, s,
	}}
	for _, r := range regions() {
		s := Selector{kind: kindRegion, name: r.line}
		list = append(list, catalogueEntry{Line{s.String(), nil, r.name, r.nameZH, "region", internalCode}, s})
	}
	for _, p := range lineProvinces() {
		s := Selector{kind: kindSubdivision, name: p.code}
		aliases := append(p.misspelled(regionWord), s.String())
		list = append(list, catalogueEntry{
			Line{ispLineCode(regionWord, p.line), aliases, p.name, p.nameZH, "province", ispLineCode(regionWord, p.region)}, s,
		})
	}
	return list
}

func overseasEntries() []catalogueEntry {
	list := []catalogueEntry{{
		Line{overseaCode, nil, "Overseas (outside mainland China)", "境外", "overseas", globalName}, Selector{kind: kindOversea},
	}}
	for _, c := range continents() {
		name, nameZH := c.name, c.nameZH
		if c.code == continentOf(mainland) {
			name, nameZH = name+" without mainland China", nameZH+"（不含中国内地）"
		}
		list = append(list, catalogueEntry{
			Line{c.line, nil, name, nameZH, "continent", overseaCode}, Selector{kind: kindOverseas, name: c.code},
		})
	}
	for _, c := range countryList() {
		if c.code == mainland {
			continue
		}
		s := Selector{kind: kindCountry, name: c.code}
		aliases := []string{s.String()}
		if code := mainland + "-" + c.code; countryInChina(code) == c.code {
			aliases = append(aliases, "subdivision:"+code)
		}
		list = append(list, catalogueEntry{
			Line{overseasCode(c), aliases, c.name, c.nameZH, "country", continentByCode(c.continent).line}, s,
		})
	}
	return list
}

// overseasCode is Alibaba's code of a country: os_asia_jp.
func overseasCode(c country) string {
	return continentByCode(c.continent).line + "_" + strings.ToLower(c.code)
}
