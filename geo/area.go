package geo

// An Area is where the clients of a request source are, as far as the source says it: to colour a map, and to name it.
type Area struct {
	// Country is a code of ISO 3166-1, Continent one of MaxMind's ("AS"), Subdivision one of ISO 3166-2 ("CN-GD"), whose country
	// stands beside it. Of a part of mainland China that is several provinces there is only the country.
	Country, Continent, Subdivision string
	// Name and NameZH are those of the catalogue; empty for what is not in it.
	Name, NameZH string
}

// Area says where the clients of a source are. Sources of the configuration's own, autonomous systems and providers are nowhere in
// particular.
func (s Selector) Area() Area {
	var a Area
	switch s.kind {
	case kindCountry:
		a.Country = s.name
	case kindSubdivision, kindISPProvince:
		a.Subdivision = s.name
		if len(s.name) > 2 {
			a.Country = s.name[:2]
		}
	case kindRegion, kindISPRegion:
		a.Country = mainland
	case kindCityName:
		a.Country = s.of
	case kindContinent, kindOverseas:
		a.Continent = s.name
	}
	for _, e := range catalogue() {
		if e.selector == s {
			a.Name, a.NameZH = e.line.Name, e.line.NameZH
			break
		}
	}
	return a
}
