package geo

import (
	_ "embed"
	"iter"
	"strconv"
	"strings"
	"sync"
)

// A country is one of ISO 3166-1, an area that has a code of its own there (Hong Kong), or Kosovo.
type country struct {
	code      string // ISO 3166-1 alpha-2, upper case
	continent string // MaxMind's code
	at        Coordinates
	name      string // English
	nameZH    string // Chinese
}

// mainland is the code of mainland China. Databases give Hong Kong, Macao and Taiwan codes of their own.
const mainland = "CN"

// countriesTSV says in its head where its data is from.
//
//go:embed data/countries.tsv
var countriesTSV string

// countryList is every country, sorted by code. It is never changed.
var countryList = sync.OnceValue(func() []country {
	var list []country
	for f := range tableRows(countriesTSV) {
		latitude, _ := strconv.ParseFloat(f[2], 64)
		longitude, _ := strconv.ParseFloat(f[3], 64)
		list = append(list, country{
			code: f[0], continent: f[1], at: Coordinates{Latitude: latitude, Longitude: longitude}, name: f[4], nameZH: f[5],
		})
	}
	return list
})

var countriesByCode = sync.OnceValue(func() map[string]*country {
	byCode := make(map[string]*country)
	for i := range countryList() {
		byCode[countryList()[i].code] = &countryList()[i]
	}
	return byCode
})

// tableRows yields the lines of an embedded table that are not comments, each cut at its tabs.
func tableRows(tsv string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(tsv) {
			line = strings.TrimSuffix(line, "\n")
			if line != "" && line[0] != '#' && !yield(strings.Split(line, "\t")) {
				return
			}
		}
	}
}

// countryByCode returns nil when there is no such country. Codes are upper case.
func countryByCode(code string) *country { return countriesByCode()[code] }

// countryByName finds a country by its English or Chinese name, without regard to case; nil: none.
func countryByName(name string) *country {
	for i := range countryList() {
		if c := &countryList()[i]; strings.EqualFold(c.name, name) || c.nameZH == name {
			return c
		}
	}
	return nil
}

// continentOf is the continent of a country by its ISO 3166-1 code; empty when there is no such country.
func continentOf(country string) string {
	if c := countryByCode(country); c != nil {
		return c.continent
	}
	return ""
}

// Locate returns where a place is: a country by its ISO 3166-1 alpha-2 code, or a province of China by its ISO 3166-2 code,
// in upper or lower case. A country is where its principal city is, and a province where its capital is. It is false when
// there is no such place.
func Locate(place string) (Coordinates, bool) {
	place = strings.ToUpper(place)
	if p := provinceByCode(normalSubdivision(place)); p != nil {
		return p.at, true
	}
	if c := countryByCode(place); c != nil {
		return c.at, true
	}
	return Coordinates{}, false
}

// A continent is one of the seven of MaxMind's databases.
type continent struct {
	code   string // MaxMind's
	line   string // Alibaba's, of its overseas countries
	name   string
	nameZH string
}

// continents are sorted by code. Alibaba has no line for Antarctica; os_antarctica follows its pattern.
func continents() []continent {
	return []continent{
		{"AF", "os_africa", "Africa", "非洲"},
		{"AN", "os_antarctica", "Antarctica", "南极洲"},
		{"AS", "os_asia", "Asia", "亚洲"},
		{"EU", "os_euro", "Europe", "欧洲"},
		{"NA", "os_namerica", "North America", "北美洲"},
		{"OC", "os_oceanica", "Oceania", "大洋洲"},
		{"SA", "os_samerica", "South America", "南美洲"},
	}
}

// continentByCode returns the zero continent when there is none.
func continentByCode(code string) continent {
	for _, c := range continents() {
		if c.code == code {
			return c
		}
	}
	return continent{}
}
