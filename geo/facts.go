package geo

import (
	"cmp"
	"slices"
	"strings"
)

// Facts is what databases know of a network. A field that is zero is not known. Immutable once made; the owner of the
// Database shares Subdivisions with every caller.
type Facts struct {
	Continent string // MaxMind's code: AF AN AS EU NA OC SA
	Country   string // ISO 3166-1 alpha-2, upper case
	// Subdivisions are ISO 3166-2 codes with the country in front, upper case, the widest first: "CN-GD".
	Subdivisions []string
	City         City
	// Place is where its clients are; nil when that is not known. It is never (0, 0) for want of knowledge.
	Place *Coordinates
	ASN   uint32 // RFC 6793
	// ISP and Organization are the names in an ISP database.
	ISP, Organization string
	// OrganizationOfAS is set when Organization is the name of the autonomous system, for want of one of the clients' own.
	OrganizationOfAS bool
}

// City is a city as a database names it.
type City struct {
	GeoNameID uint32 // GeoNames; 0: not known
	Name      string // English
}

// Knowledge is a set of the fields of Facts that a database has for at least some network.
type Knowledge uint8

// The fields.
const (
	KnowsContinent Knowledge = 1 << iota
	KnowsCountry
	KnowsSubdivision
	KnowsCityID // of GeoNames
	KnowsCityName
	KnowsPlace
	KnowsASN
	KnowsISP
)

// KnowsCity is all that may be known of a city; most databases know only one of both.
const KnowsCity = KnowsCityID | KnowsCityName

// Has reports whether all of want is in k.
func (k Knowledge) Has(want Knowledge) bool { return k&want == want }

// Knows is the set of the fields that are known.
func (f *Facts) Knows() Knowledge {
	var k Knowledge
	for _, known := range []struct {
		is bool
		k  Knowledge
	}{
		{f.Continent != "", KnowsContinent}, {f.Country != "", KnowsCountry}, {len(f.Subdivisions) > 0, KnowsSubdivision},
		{f.City.GeoNameID != 0, KnowsCityID}, {f.City.Name != "", KnowsCityName}, {f.Place != nil, KnowsPlace}, {f.ASN != 0, KnowsASN},
		{f.ISP != "" || f.Organization != "", KnowsISP},
	} {
		if known.is {
			k |= known.k
		}
	}
	return k
}

// String is the facts on one line, for people: "AS CN CN-GD Guangzhou AS4134 China Telecom". It is "nothing" when nothing is
// known.
func (f *Facts) String() string {
	words := slices.Concat([]string{f.Continent, f.Country}, f.Subdivisions, []string{f.City.Name})
	if f.ASN != 0 {
		words = append(words, asnText(f.ASN))
	}
	words = append(words, f.ISP)
	if f.Organization != f.ISP {
		words = append(words, f.Organization)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

// with is a city with what another database of the same country says of it: the id or the name that is missing, when the
// other of the two shows that it is the same city.
func (c City) with(other City) City {
	if (c == City{}) {
		return other
	}
	sameID := c.GeoNameID != 0 && c.GeoNameID == other.GeoNameID
	sameName := c.Name != "" && strings.EqualFold(c.Name, other.Name)
	if !sameID && !(sameName && (c.GeoNameID == 0 || other.GeoNameID == 0)) {
		return c
	}
	return City{GeoNameID: cmp.Or(c.GeoNameID, other.GeoNameID), Name: cmp.Or(c.Name, other.Name)}
}

// join is what several databases know together. Each field is taken from the first that knows it, but what is finer than
// a country (subdivision, city, place) only from one that does not name another country, so that a client is never in
// one country and in a province of another. The continent is that which goes with the country: from a database that names
// this country, else of the table of countries, and only for a country that is not in it, or for none, from one that names no
// country. A city that the first knows only by its name or only by its GeoNames id gets the other from one that means the same city
// of the same country. The name of an autonomous system is an organization only where no database knows a provider or an organization. A
// place that no database knows is that of the first subdivision that has one, else that of the country (see Locate).
func join(known []*Facts) Facts {
	var all Facts
	for _, f := range known {
		if all.Country == "" {
			all.Country = f.Country
		}
	}
	for _, f := range known {
		if all.ASN == 0 {
			all.ASN = f.ASN
		}
		if all.ISP == "" {
			all.ISP = f.ISP
		}
		if all.Organization == "" || all.OrganizationOfAS && f.Organization != "" && !f.OrganizationOfAS {
			all.Organization, all.OrganizationOfAS = f.Organization, f.OrganizationOfAS
		}
		if f.Country != "" && f.Country != all.Country {
			continue
		}
		if all.Continent == "" && f.Country == all.Country {
			all.Continent = f.Continent
		}
		if all.Subdivisions == nil {
			all.Subdivisions = f.Subdivisions
		}
		if all.City == (City{}) || f.Country != "" {
			all.City = all.City.with(f.City)
		}
		if all.Place == nil {
			all.Place = f.Place
		}
	}
	if all.OrganizationOfAS && all.ISP != "" {
		all.Organization, all.OrganizationOfAS = "", false
	}
	if all.Continent == "" {
		all.Continent = continentOf(all.Country)
	}
	for _, f := range known {
		if all.Continent == "" && f.Country == "" {
			all.Continent = f.Continent
		}
	}
	if all.Place == nil {
		for _, place := range append(slices.Clone(all.Subdivisions), all.Country) {
			if at, ok := Locate(place); ok {
				all.Place = &at
				break
			}
		}
	}
	return all
}
