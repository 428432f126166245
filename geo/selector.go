package geo

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A Selector is a request source of an access policy: a set of clients. It is comparable, immutable, and usable
// as a map key: two texts that mean the same clients, such as "os_asia_jp" and "country:JP", are one Selector. The zero
// Selector is [Global]; [ParseSelector] makes the others.
type Selector struct {
	kind   kind
	number uint32 // of an autonomous system, or the GeoNames id of a city
	// What name and of are depends on the kind.
	name, of string
}

// Global is the request source that every client belongs to, and the last in match order.
var Global = Selector{kind: kindGlobal}

// kind says what a Selector selects by.
type kind uint8

const (
	kindGlobal      kind = iota
	kindLine             // name of the [[geo.line]]
	kindISPProvince      // name: province "CN-GD"; of: code of the provider
	kindISPRegion        // name: big region "huadong"; of: code of the provider
	kindASN              // number
	kindISP              // name: code of the provider
	kindCity             // number
	kindCityName         // name in lower case; of: its country
	kindSubdivision      // name: ISO 3166-2 code
	kindRegion           // name: big region "huadong"
	kindCountry          // name: ISO 3166-1 code
	kindOverseas         // name: code of a continent, without mainland China
	kindContinent        // name: code of the continent
	kindOversea          // everything but mainland China
)

const (
	globalName = "global"
	// defaultName is Alibaba's code of the line that matches everybody.
	defaultName = "default"
	// searchName and cloudName are the lines over all search engines and over all regions of the cloud provider.
	searchName = "search"
	cloudName  = "aliyun"
	// cloudPrefix is in front of a region of the cloud provider. Any region will do: Alibaba opens new ones.
	cloudPrefix = "aliyun_r_"
	// regionWord stands in line codes where others have a provider: cn_region_guangdong.
	regionWord = "region"
)

// reserved reports whether a custom line cannot have this name because it means something else.
func reserved(name string) bool { return name == globalName || name == defaultName }

// String returns the text by which a configuration names the source; ParseSelector takes it back. Of several texts for the
// same clients it is a plain selector where there is one: "country:JP" and not "os_asia_jp".
func (s Selector) String() string {
	switch s.kind {
	case kindLine:
		return s.name
	case kindISPProvince:
		return ispLineCode(s.of, provinceByCode(s.name).line)
	case kindISPRegion:
		return ispLineCode(s.of, s.name)
	case kindASN:
		return "asn:" + strconv.FormatUint(uint64(s.number), 10)
	case kindISP:
		return "isp:" + s.name
	case kindCity:
		return "city:" + strconv.FormatUint(uint64(s.number), 10)
	case kindCityName:
		return "city:" + s.of + "/" + s.name
	case kindSubdivision:
		return "subdivision:" + s.name
	case kindRegion:
		return ispLineCode(regionWord, s.name)
	case kindCountry:
		return "country:" + s.name
	case kindOverseas:
		return continentByCode(s.name).line
	case kindContinent:
		return "continent:" + s.name
	case kindOversea:
		return "oversea"
	}
	return globalName
}

// ispLineCode is Alibaba's code of a provider, or of regionWord for all of them, in a province or big region.
func ispLineCode(isp, place string) string { return "cn_" + isp + "_" + place }

// isLine reports whether the source is a list of prefixes: a custom line, or a search engine or cloud provider line that the
// configuration fills.
func (s Selector) isLine() bool { return s.kind == kindLine }

// lineSelector is the source of a [[geo.line]].
func lineSelector(name string) Selector { return Selector{kind: kindLine, name: name} }

// parent is the source that holds for a line beside its own: "search" of a search engine, "aliyun" of one of its regions. The
// zero Selector: none.
func (s Selector) parent() Selector {
	switch {
	case !s.isLine():
		return Global
	case slices.ContainsFunc(searchEngines(), func(l Line) bool { return l.Code == s.name }):
		return lineSelector(searchName)
	case strings.HasPrefix(s.name, cloudPrefix):
		return lineSelector(cloudName)
	}
	return Global
}

// matches reports whether a client of whom these facts are known belongs to a source that is neither Global nor a line. It
// does not allocate.
//
// Mainland China is the country CN without the subdivisions CN-HK, CN-MO and CN-TW: a client of whom a database says that is
// taken to be in the country HK, MO or TW. What is over all overseas countries also holds for a client whose continent is
// known, but not its country, when the continent is not Asia.
func (s Selector) matches(f *Facts, isps ispTable) bool {
	switch s.kind {
	case kindASN:
		return f.ASN == s.number
	case kindISP:
		return isps.has(s.name, f)
	case kindISPProvince:
		return f.in(s.name) && isps.has(s.of, f)
	case kindISPRegion:
		return f.inRegion(s.name) && isps.has(s.of, f)
	case kindCity:
		return f.City.GeoNameID == s.number
	case kindCityName:
		return f.country() == s.of && strings.EqualFold(f.City.Name, s.name)
	case kindSubdivision:
		return f.in(s.name)
	case kindRegion:
		return f.inRegion(s.name)
	case kindCountry:
		return f.country() == s.name
	case kindOverseas:
		return f.continent() == s.name && f.isOverseas()
	case kindContinent:
		return f.continent() == s.name
	case kindOversea:
		return f.isOverseas()
	}
	return false
}

// country is where the client is in the sense of Alibaba's lines.
func (f *Facts) country() string {
	if f.Country == mainland {
		for _, code := range f.Subdivisions {
			if country := countryInChina(code); country != mainland {
				return country
			}
		}
	}
	return f.Country
}

// continent is that of the country when no database knows one.
func (f *Facts) continent() string {
	if f.Continent == "" && f.Country != "" {
		return continentOf(f.Country)
	}
	return f.Continent
}

// isOverseas reports whether it is certain that the client is not in mainland China.
func (f *Facts) isOverseas() bool {
	if f.Country != "" {
		return f.country() != mainland
	}
	return f.Continent != "" && f.Continent != continentOf(mainland)
}

// in reports whether the client is in a subdivision.
func (f *Facts) in(subdivision string) bool { return slices.Contains(f.Subdivisions, subdivision) }

// inRegion reports whether the client is in a big region of mainland China.
func (f *Facts) inRegion(region string) bool {
	for _, code := range f.Subdivisions {
		if p := provinceByCode(code); p != nil && p.region == region {
			return true
		}
	}
	return false
}

// Missing says what kind of database the source needs when those loaded know have; empty: they can match it. isps are the
// providers of the configuration: whether one is told by numbers or by names decides what it needs.
func (s Selector) Missing(have Knowledge, isps []ISPOptions) string {
	const (
		subdivisions = "a City database with subdivisions"
		countries    = "a database with countries (City or Country)"
	)
	switch s.kind {
	case kindASN:
		return lack(have, KnowsASN, asnDatabase)
	case kindISP, kindISPProvince, kindISPRegion:
		told, database := providerToldBy(s.provider(), isps)
		isp, place := lack(have, told, database), ""
		if s.kind != kindISP {
			place = lack(have, KnowsSubdivision, subdivisions)
		}
		if isp != "" && place != "" {
			return isp + " and " + place
		}
		return isp + place
	case kindCity:
		return lack(have, KnowsCityID, "a City database with the GeoNames ids of cities (or name the city, as in city:CN/Guangzhou)")
	case kindCityName:
		const cityNames = "a City database with the English names of cities"
		return cmp.Or(lack(have, KnowsCityName, cityNames), lack(have, KnowsCountry, countries))
	case kindSubdivision, kindRegion:
		return lack(have, KnowsSubdivision, subdivisions)
	case kindCountry, kindOverseas, kindOversea:
		return lack(have, KnowsCountry, countries)
	case kindContinent:
		return lack(have, KnowsCountry|KnowsContinent, countries)
	}
	return ""
}

const asnDatabase = "an ASN database"

// providerToldBy is what tells that a client is one of a provider, any of it, and what kind of database has that.
func providerToldBy(code string, isps []ISPOptions) (Knowledge, string) {
	hasNumbers, hasNames := false, false
	if known := knownProvider(code); known != nil {
		hasNumbers, hasNames = len(known.asns) > 0, len(known.names) > 0
	}
	for _, o := range isps {
		if o.Name == code {
			hasNumbers = len(o.ASNs) > 0 || hasNumbers && !o.Replace
			hasNames = len(o.Names) > 0 || hasNames && !o.Replace
		}
	}
	switch {
	case hasNumbers && !hasNames:
		return KnowsASN, asnDatabase
	case hasNames && !hasNumbers:
		return KnowsISP, "an ISP database, with the names of providers"
	}
	return KnowsASN | KnowsISP, "an ASN or ISP database"
}

// lack returns database when have has none of want.
func lack(have, want Knowledge, database string) string {
	if have&want == 0 {
		return database
	}
	return ""
}
