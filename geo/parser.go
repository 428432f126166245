package geo

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ParseSelector returns the request source that the configuration calls text: "global", or Alibaba's "default"
// for the same, the name of one of the custom lines, spelled exactly so, a code of the catalogue, or a plain selector: one of
//
//	continent:AS  country:JP  subdivision:CN-GD  city:1809858  city:CN/Guangzhou  asn:4134  isp:telecom
//
// whose values may be in upper or lower case, but for those of isp. It takes also cn_PROVIDER_PLACE for every provider that
// gtmd knows or one of isps names. The error quotes text and says, on one line, what would have been right.
func ParseSelector(text string, lines []LineOptions, isps []ISPOptions) (Selector, error) {
	p := sourceParser{lines: lines, isps: isps}
	s, problem := p.parse(text)
	if problem != "" {
		return Selector{}, fmt.Errorf("request source %q: %s", text, problem)
	}
	return s, nil
}

// A sourceParser reads request sources. Its methods return what is wrong with a text, empty when it is right.
type sourceParser struct {
	lines []LineOptions
	isps  []ISPOptions
}

func (p sourceParser) parse(text string) (Selector, string) {
	if reserved(text) {
		return Global, ""
	}
	if p.hasLine(text) {
		return lineSelector(text), ""
	}
	if kind, value, isPlain := strings.Cut(text, ":"); isPlain {
		return p.plain(kind, value, text)
	}
	s, known := catalogueSelectors()[text]
	switch {
	case known && s.isLine() || strings.HasPrefix(text, cloudPrefix) && text != cloudPrefix:
		return p.filled(lineSelector(text))
	case known:
		return s, p.providerProblem(s)
	}
	if s, ok := p.ispPlace(text); ok {
		return s, p.providerProblem(s)
	}
	return Selector{}, p.unknown(text)
}

func (p sourceParser) hasLine(name string) bool {
	return slices.ContainsFunc(p.lines, func(l LineOptions) bool { return l.Name == name })
}

// filled is a search engine or cloud provider line, which must have networks: of its own, or of a line that is under it.
func (p sourceParser) filled(s Selector) (Selector, string) {
	if slices.ContainsFunc(p.lines, func(l LineOptions) bool { return lineSelector(l.Name).parent() == s }) {
		return s, ""
	}
	under := ""
	switch s.name {
	case searchName:
		under = ", or one for a search engine, such as google"
	case cloudName:
		under = ", or one for a region, such as aliyun_r_cn-beijing"
	}
	return Selector{}, fmt.Sprintf("gtmd does not know its networks: add a [[geo.line]] with name = %q and "+
		`prefixes = ["192.0.2.0/24"], the networks that it has%s`, s.name, under)
}

// ispPlace reads cn_PROVIDER_PLACE when it is not in the catalogue.
func (p sourceParser) ispPlace(text string) (Selector, bool) {
	isp, place, ok := cutMainland(text)
	if !ok || !p.hasProvider(isp) {
		return Selector{}, false
	}
	if found := provinceByLine(place); found != nil {
		return Selector{kind: kindISPProvince, name: found.code, of: isp}, true
	}
	if slices.ContainsFunc(regions(), func(r bigRegion) bool { return r.line == place }) {
		return Selector{kind: kindISPRegion, name: place, of: isp}, true
	}
	return Selector{}, false
}

func (p sourceParser) hasProvider(code string) bool {
	return code != "" && (knownProvider(code) != nil ||
		slices.ContainsFunc(p.isps, func(o ISPOptions) bool { return o.Name == code }))
}

// providerProblem says what is missing when the source is by provider and nobody knows any network of it.
func (p sourceParser) providerProblem(s Selector) string {
	code := s.provider()
	known := knownProvider(code)
	if known == nil || known.hasNetworks() || slices.ContainsFunc(p.isps, func(o ISPOptions) bool { return o.Name == code }) {
		return ""
	}
	return fmt.Sprintf("gtmd does not know the networks of %s: add a [[geo.isp]] with name = %q and asns = [64496], "+
		"the numbers of its autonomous systems", known.name, code)
}

// plain reads a plain selector; text is all of it.
func (p sourceParser) plain(kind, value, text string) (Selector, string) {
	switch kind {
	case "continent":
		return parseContinent(value)
	case "country":
		return parseCountry(value)
	case "subdivision":
		return parseSubdivision(value)
	case "city":
		return parseCity(value)
	case "asn":
		return parseASN(value)
	case "isp":
		s := Selector{kind: kindISP, name: value}
		if !p.hasProvider(value) {
			return Selector{}, "there is no such provider: want " + p.providers() + ", or the name of a [[geo.isp]]" +
				p.suggestion(text)
		}
		return s, p.providerProblem(s)
	}
	return Selector{}, fmt.Sprintf("there is no selector %q: want continent:, country:, subdivision:, city:, asn: or isp:%s",
		kind+":", p.suggestion(text))
}

// providers lists the codes of isp: for a message.
func (p sourceParser) providers() string {
	var codes []string
	for _, known := range knownProviders() {
		codes = append(codes, known.code)
	}
	for _, o := range p.isps {
		if o.Name != "" && !slices.Contains(codes, o.Name) {
			codes = append(codes, o.Name)
		}
	}
	return strings.Join(codes, ", ")
}

func parseContinent(value string) (Selector, string) {
	code := strings.ToUpper(value)
	if continentByCode(code).code != "" {
		return Selector{kind: kindContinent, name: code}, ""
	}
	return Selector{}, "there is no such continent: want AF (Africa), AN (Antarctica), AS (Asia), EU (Europe), NA (North America), " +
		"OC (Oceania) or SA (South America)"
}

func parseCountry(value string) (Selector, string) {
	code := strings.ToUpper(value)
	if countryByCode(code) != nil {
		return Selector{kind: kindCountry, name: code}, ""
	}
	return Selector{}, countryProblem(value)
}

func countryProblem(value string) string {
	problem := fmt.Sprintf("there is no country %q: want an ISO 3166-1 code of two letters, such as country:JP", value)
	if strings.EqualFold(value, "UK") {
		return problem + "; did you mean country:GB?"
	}
	if named := countryByName(value); named != nil {
		return problem + "; did you mean country:" + named.code + "?"
	}
	return problem
}

// parseSubdivision takes Hong Kong, Macao and Taiwan for the countries that they are in databases.
func parseSubdivision(value string) (Selector, string) {
	code := normalSubdivision(strings.ToUpper(value))
	country, rest, ok := strings.Cut(code, "-")
	if !ok || len(rest) < 1 || len(rest) > 3 || strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		problem := "want an ISO 3166-2 code, such as subdivision:CN-GD"
		if code := subdivisionByName(mainland, value); code != "" {
			problem += "; did you mean subdivision:" + code + "?"
		}
		return Selector{}, problem
	}
	if countryByCode(country) == nil {
		return Selector{}, fmt.Sprintf("there is no country %q: want an ISO 3166-2 code, such as subdivision:CN-GD", country)
	}
	if country != mainland {
		return Selector{kind: kindSubdivision, name: code}, ""
	}
	if provinceByCode(code) == nil {
		return Selector{}, fmt.Sprintf("China has no subdivision %q: want an ISO 3166-2 code, such as subdivision:CN-GD "+
			"for Guangdong (gtmd lines --kind province lists them)", rest)
	}
	if country := countryInChina(code); country != mainland {
		return Selector{kind: kindCountry, name: country}, ""
	}
	return Selector{kind: kindSubdivision, name: code}, ""
}

// parseCity takes a GeoNames id, or a country and a name. Letter case of a name does not count.
func parseCity(value string) (Selector, string) {
	if country, name, ok := strings.Cut(value, "/"); ok {
		country = strings.ToUpper(country)
		switch {
		case countryByCode(country) == nil:
			return Selector{}, fmt.Sprintf("there is no country %q: want its ISO 3166-1 code in front of the city, "+
				"as in city:CN/Guangzhou", country)
		case strings.TrimSpace(name) != name || name == "":
			return Selector{}, "want the name of the city right after the country, as in city:CN/Guangzhou"
		}
		return Selector{kind: kindCityName, name: strings.ToLower(name), of: country}, ""
	}
	id, err := strconv.ParseUint(value, 10, 32)
	if err != nil || id == 0 {
		return Selector{}, "want the GeoNames id of a city, or its country and English name: city:1809858 or city:CN/Guangzhou"
	}
	return Selector{kind: kindCity, number: uint32(id)}, ""
}

func parseASN(value string) (Selector, string) {
	digits := value
	if len(value) > 2 && strings.EqualFold(value[:2], "AS") {
		digits = value[2:]
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || number == 0 || number > math.MaxUint32 {
		return Selector{}, "want the number of an autonomous system, 1 to 4294967295: asn:4134"
	}
	return Selector{kind: kindASN, number: uint32(number)}, ""
}
