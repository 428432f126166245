package geo

import (
	"cmp"
	"slices"
	"strings"
)

// lastRank is that of Global.
const lastRank = 1 << 10

// rank orders sources that match the same client: the lower counts first (BEHAVIOUR.md section 5). Lines of one rank are
// ordered by their prefixes; of other sources with one rank no two match one client, or they are ordered by compare.
//
//	0  custom line            5  provider in a province     10  province (subdivision:)
//	1  search engine          6  provider in a big region   11  big region
//	2  search                 7  asn:                       12  country, mainland China
//	3  cloud region           8  isp:                       13  overseas countries of a continent
//	4  cloud provider         9  city:                      14  continent:
//	                                                        15  overseas; global last of all
func (s Selector) rank() int {
	switch s.kind {
	case kindLine:
		return s.lineRank()
	case kindISPProvince:
		return 5
	case kindISPRegion:
		return 6
	case kindASN:
		return 7
	case kindISP:
		return 8
	case kindCity, kindCityName:
		return 9
	case kindSubdivision:
		return 10
	case kindRegion:
		return 11
	case kindCountry:
		return 12
	case kindOverseas:
		return 13
	case kindContinent:
		return 14
	case kindOversea:
		return 15
	}
	return lastRank
}

func (s Selector) lineRank() int {
	switch {
	case s.name == searchName:
		return 2
	case s.name == cloudName:
		return 4
	case s.parent() == lineSelector(searchName):
		return 1
	case s.parent() == lineSelector(cloudName):
		return 3
	}
	return 0
}

// compare orders two sources that are not lines and both match a client of whom these facts are known: by rank; of two
// subdivisions the narrower first, as the facts list them; of two providers that which has the client's autonomous system before
// that which is told only by a name, and else by their codes; else by String, so that there is always one order.
func (s Selector) compare(t Selector, f *Facts, isps ispTable) int {
	if byRank := cmp.Compare(s.rank(), t.rank()); byRank != 0 {
		return byRank
	}
	if s.kind == kindSubdivision && t.kind == kindSubdivision {
		if narrower := cmp.Compare(slices.Index(f.Subdivisions, t.name), slices.Index(f.Subdivisions, s.name)); narrower != 0 {
			return narrower
		}
	}
	if p, q := s.provider(), t.provider(); p != q {
		hasNumber := isps.hasNumber(p, f)
		switch {
		case hasNumber == isps.hasNumber(q, f):
			return strings.Compare(p, q)
		case hasNumber:
			return -1
		}
		return 1
	}
	return strings.Compare(s.String(), t.String())
}

// provider is the code of the provider that the source is by; empty: it is by none.
func (s Selector) provider() string {
	if s.kind == kindISP {
		return s.name
	}
	if s.kind == kindISPProvince || s.kind == kindISPRegion {
		return s.of
	}
	return ""
}

// compareSelectors orders sources by match order; of one rank they are equal.
func compareSelectors(a, b Selector) int { return cmp.Compare(a.rank(), b.rank()) }
