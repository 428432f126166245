package geo

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestCountries(t *testing.T) {
	if n := len(countryList()); n != 250 {
		t.Errorf("%d countries, want the 249 of ISO 3166-1 and XK", n)
	}
	seen := map[string]string{}
	for i, c := range countryList() {
		if len(c.code) != 2 || c.code != strings.ToUpper(c.code) {
			t.Errorf("code %q, want two upper case letters", c.code)
		}
		if i > 0 && c.code <= countryList()[i-1].code {
			t.Errorf("%s comes after %s", c.code, countryList()[i-1].code)
		}
		if continentByCode(c.continent).code == "" {
			t.Errorf("%s: continent %q", c.code, c.continent)
		}
		for _, name := range []string{c.name, c.nameZH} {
			if name == "" || seen[name] != "" || strings.TrimSpace(name) != name {
				t.Errorf("%s: name %q, which %q has too", c.code, name, seen[name])
			}
			seen[name] = c.code
		}
		if math.Abs(c.at.Latitude) > 90 || math.Abs(c.at.Longitude) > 180 || c.at == (Coordinates{}) {
			t.Errorf("%s: at %v", c.code, c.at)
		}
	}
}

// TestContinentOf has the countries for which sources differ, as MaxMind has them.
func TestContinentOf(t *testing.T) {
	for country, want := range map[string]string{
		"CY": "EU", "TR": "AS", "GE": "AS", "AM": "AS", "AZ": "AS", "KZ": "AS", "RU": "EU", "EG": "AF", "TL": "OC",
		"CN": "AS", "HK": "AS", "JP": "AS", "US": "NA", "BR": "SA", "AU": "OC", "AQ": "AN", "XK": "EU", "GL": "NA", "IO": "AS",
		"RE": "AF", "GF": "SA", "PA": "NA", "TT": "NA", "CX": "AS", "CC": "AS", "NF": "OC", "UM": "OC", "SH": "AF", "BV": "AN",
		"": "", "XX": "", "jp": "", "CN-GD": "",
	} {
		if got := continentOf(country); got != want {
			t.Errorf("continentOf(%q) = %q, want %q", country, got, want)
		}
	}
}

// TestLocate wants places within 60 km of where an atlas has the city.
func TestLocate(t *testing.T) {
	for _, tc := range []struct {
		place string
		want  Coordinates
	}{
		{"JP", Coordinates{35.68, 139.69}},      // Tokyo
		{"jp", Coordinates{35.68, 139.69}},      // Tokyo
		{"AU", Coordinates{-33.87, 151.21}},     // Sydney
		{"BR", Coordinates{-23.55, -46.63}},     // São Paulo
		{"RU", Coordinates{55.76, 37.62}},       // Moscow
		{"US", Coordinates{40.71, -74.01}},      // New York
		{"GB", Coordinates{51.51, -0.13}},       // London
		{"CN", Coordinates{31.23, 121.47}},      // Shanghai
		{"CN-GD", Coordinates{23.13, 113.26}},   // Guangzhou
		{"cn-gd", Coordinates{23.13, 113.26}},   // Guangzhou
		{"CN-44", Coordinates{23.13, 113.26}},   // Guangzhou
		{"CN-HK", Coordinates{22.28, 114.16}},   // Hong Kong
		{"XK", Coordinates{42.66, 21.17}},       // Pristina
		{"NZ", Coordinates{-36.85, 174.76}},     // Auckland
		{"ZA", Coordinates{-26.2, 28.05}},       // Johannesburg
		{"AR", Coordinates{-34.6037, -58.3816}}, // Buenos Aires
	} {
		at, ok := Locate(tc.place)
		if !ok || Distance(at, tc.want) > 60 {
			t.Errorf("Locate(%q) = %v, %v; want about %v", tc.place, at, ok, tc.want)
		}
	}
	for _, place := range []string{"", "XX", "CN-XX", "CN-00", "US-CA", "Japan", "CN-"} {
		if at, ok := Locate(place); ok || at != (Coordinates{}) {
			t.Errorf("Locate(%q) = %v, %v; want none", place, at, ok)
		}
	}
}

// TestPlacesApart finds coordinates that were swapped or copied: no two provinces share a capital, and all are in China.
func TestPlacesApart(t *testing.T) {
	for i, p := range provinceList() {
		if p.at.Latitude < 18 || p.at.Latitude > 54 || p.at.Longitude < 73 || p.at.Longitude > 135 {
			t.Errorf("%s: %v is not in China", p.code, p.at)
		}
		for _, q := range provinceList()[:i] {
			if Distance(p.at, q.at) < 40 {
				t.Errorf("%s and %s: %v and %v", p.code, q.code, p.at, q.at)
			}
		}
	}
	if !slices.IsSortedFunc(continents(), func(a, b continent) int { return strings.Compare(a.code, b.code) }) {
		t.Error("continents are not sorted")
	}
}
