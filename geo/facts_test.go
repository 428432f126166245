package geo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJoin has the rules of join one by one: what several databases know together.
func TestJoin(t *testing.T) {
	guangzhou, beijing := &Coordinates{23.12, 113.25}, &Coordinates{39.91, 116.4}
	at := func(place string) *Coordinates {
		c, ok := Locate(place)
		if !ok {
			t.Fatalf("%s is nowhere", place)
		}
		return &c
	}
	for _, tc := range []struct {
		name  string
		known []Facts
		want  Facts
	}{
		{"no database", nil, Facts{}},
		{"nothing known", []Facts{{}, {}}, Facts{}},
		{"each knows a part", []Facts{
			{ASN: 4134}, {Continent: "AS", Country: "CN"}, {Subdivisions: []string{"CN-GD"}, City: City{1809858, "Guangzhou"}, Place: guangzhou},
			{ISP: "China Telecom", Organization: "Chinanet GD"},
		}, Facts{
			Continent: "AS", Country: "CN", Subdivisions: []string{"CN-GD"}, City: City{1809858, "Guangzhou"}, Place: guangzhou,
			ASN: 4134, ISP: "China Telecom", Organization: "Chinanet GD",
		}},
		{"the first counts", []Facts{
			{Country: "CN", Subdivisions: []string{"CN-GD"}, Place: guangzhou, ASN: 1}, {Country: "CN", Subdivisions: []string{"CN-BJ"}, Place: beijing, ASN: 2},
		}, Facts{Continent: "AS", Country: "CN", Subdivisions: []string{"CN-GD"}, Place: guangzhou, ASN: 1}},
		{"two that disagree: nothing finer than the country from the one with another", []Facts{
			{Continent: "AS", Country: "JP"}, {Continent: "NA", Country: "US", Subdivisions: []string{"US-CA"}, City: City{1, "Los Angeles"}, Place: beijing, ASN: 64500},
		}, Facts{Continent: "AS", Country: "JP", Place: at("JP"), ASN: 64500}},
		{"the other way round", []Facts{
			{Continent: "NA", Country: "US", Subdivisions: []string{"US-CA"}, Place: beijing}, {Continent: "AS", Country: "JP"},
		}, Facts{Continent: "NA", Country: "US", Subdivisions: []string{"US-CA"}, Place: beijing}},
		{"one without a country agrees with all", []Facts{
			{City: City{1, "Springfield"}}, {Country: "US"},
		}, Facts{Continent: "NA", Country: "US", City: City{1, "Springfield"}, Place: at("US")}},
		{"two that disagree about it", []Facts{
			{Country: "HK"}, {Country: "CN", Subdivisions: []string{"CN-HK"}, Continent: "AS"}, {Country: "HK", City: City{2, "Kowloon"}},
		}, Facts{Continent: "AS", Country: "HK", City: City{2, "Kowloon"}, Place: at("HK")}},
		{"a city by number and one by name may be two", []Facts{
			{Country: "QQ", City: City{GeoNameID: 1809858}}, {Country: "QQ", City: City{Name: "Shenzhen"}},
		}, Facts{Country: "QQ", City: City{GeoNameID: 1809858}}},
		{"the continent of the country, when none says it", []Facts{{Country: "BR"}}, Facts{Continent: "SA", Country: "BR", Place: at("BR")}},
		{"the continent is that of the country, not that of one who knows no country", []Facts{
			{Continent: "AS"}, {Continent: "NA", Country: "US"},
		}, Facts{Continent: "NA", Country: "US", Place: at("US")}},
		{"the other way round, when none says it", []Facts{
			{Country: "BR"}, {Continent: "EU"},
		}, Facts{Continent: "SA", Country: "BR", Place: at("BR")}},
		{"as the database with the country has it", []Facts{
			{Continent: "AS"}, {Country: "CY"}, {Continent: "AS", Country: "CY"},
		}, Facts{Continent: "AS", Country: "CY", Place: at("CY")}},
		{"of a country that there is not", []Facts{{Country: "QQ"}, {Continent: "OC"}}, Facts{Continent: "OC", Country: "QQ"}},
		{"an organization before the name of the autonomous system", []Facts{
			{ASN: 64500, Organization: "BACKBONE", OrganizationOfAS: true}, {Organization: "A university"}, {Organization: "Another"},
		}, Facts{ASN: 64500, Organization: "A university"}},
		{"a provider before it", []Facts{
			{ASN: 64500, Organization: "BACKBONE", OrganizationOfAS: true}, {ISP: "CERNET"},
		}, Facts{ASN: 64500, ISP: "CERNET"}},
		{"it alone", []Facts{
			{ASN: 64500}, {Organization: "BACKBONE", OrganizationOfAS: true}, {Organization: "OTHER", OrganizationOfAS: true},
		}, Facts{ASN: 64500, Organization: "BACKBONE", OrganizationOfAS: true}},
		{"the id of a city that is known by its name", []Facts{
			{Country: "CN", City: City{Name: "Guangzhou"}}, {Country: "CN", City: City{1795565, "Shenzhen"}}, {City: City{5, "Guangzhou"}},
			{Country: "HK", City: City{6, "Guangzhou"}}, {Country: "CN", City: City{1809858, "guangzhou"}}, {Country: "CN", City: City{7, "Guangzhou"}},
		}, Facts{Continent: "AS", Country: "CN", City: City{1809858, "Guangzhou"}, Place: at("CN")}},
		{"the name of a city that is known by its id", []Facts{
			{Country: "CN", City: City{GeoNameID: 1809858}}, {Country: "CN", City: City{1795565, "Shenzhen"}}, {Country: "CN", City: City{1809858, "Guangzhou"}},
		}, Facts{Continent: "AS", Country: "CN", City: City{1809858, "Guangzhou"}, Place: at("CN")}},
		{"no id for a name of which nobody knows the country", []Facts{{City: City{Name: "Springfield"}}, {City: City{5, "Springfield"}}},
			Facts{City: City{Name: "Springfield"}}},
		{"the continent alone", []Facts{{Continent: "OC"}}, Facts{Continent: "OC"}},
		{"a country that there is not", []Facts{{Country: "QQ"}}, Facts{Country: "QQ"}},
		{"the place of a province of China", []Facts{{Country: "CN", Subdivisions: []string{"CN-SN"}}}, Facts{
			Continent: "AS", Country: "CN", Subdivisions: []string{"CN-SN"}, Place: at("CN-SN"),
		}},
		{"no subdivision has a place", []Facts{{Country: "GB", Subdivisions: []string{"GB-ENG", "GB-LND"}}}, Facts{
			Continent: "EU", Country: "GB", Subdivisions: []string{"GB-ENG", "GB-LND"}, Place: at("GB"),
		}},
		{"provider and organization from different databases", []Facts{{Organization: "A university"}, {ISP: "CERNET", Organization: "Another"}}, Facts{ISP: "CERNET", Organization: "A university"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var known []*Facts
			for i := range tc.known {
				known = append(known, &tc.known[i])
			}
			if diff := cmp.Diff(tc.want, join(known)); diff != "" {
				t.Errorf("join (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKnows(t *testing.T) {
	for _, tc := range []struct {
		facts Facts
		want  Knowledge
		text  string
	}{
		{Facts{}, 0, "nothing"},
		{Facts{Continent: "AS"}, KnowsContinent, "AS"},
		{Facts{Country: "CN"}, KnowsCountry, "CN"},
		{Facts{Subdivisions: []string{"GB-ENG", "GB-LND"}}, KnowsSubdivision, "GB-ENG GB-LND"},
		{Facts{City: City{GeoNameID: 5}}, KnowsCityID, "nothing"},
		{Facts{City: City{Name: "Bath"}}, KnowsCityName, "Bath"},
		{Facts{Place: &Coordinates{1, 2}}, KnowsPlace, "nothing"},
		{Facts{ASN: 4134}, KnowsASN, "AS4134"},
		{Facts{ISP: "CERNET"}, KnowsISP, "CERNET"},
		{Facts{Organization: "A university"}, KnowsISP, "A university"},
		{Facts{ISP: "CERNET", Organization: "CERNET"}, KnowsISP, "CERNET"},
		{
			Facts{Continent: "AS", Country: "CN", Subdivisions: []string{"CN-GD"}, City: City{1809858, "Guangzhou"}, ASN: 4134, ISP: "China Telecom"},
			KnowsContinent | KnowsCountry | KnowsSubdivision | KnowsCity | KnowsASN | KnowsISP, "AS CN CN-GD Guangzhou AS4134 China Telecom",
		},
	} {
		if got := tc.facts.Knows(); got != tc.want || !got.Has(tc.want) || tc.want != 0 && Knowledge(0).Has(tc.want) {
			t.Errorf("%v knows %b, want %b", &tc.facts, got, tc.want)
		}
		if got := tc.facts.String(); got != tc.text {
			t.Errorf("String() = %q, want %q", got, tc.text)
		}
	}
}
