package geo

import (
	"errors"
	"fmt"
	"strings"
)

// ParsePlace returns where a place is that a configuration names by a code (see Locate), or by a request source that is one
// country or one province of China: "os_asia_jp", "country:JP", "internal", "cn_region_guangdong", "subdivision:CN-GD". The error
// says what would have been right, on one line; it does not quote text.
func ParsePlace(text string) (Coordinates, error) {
	if at, ok := Locate(text); ok {
		return at, nil
	}
	const want = `want the code of a country, such as "JP", or of a province of China, such as "CN-GD"; or latitude and longitude`
	s, problem := sourceParser{}.parse(text)
	switch {
	case problem == "" && (s.kind == kindCountry || s.kind == kindSubdivision):
		if at, ok := Locate(s.name); ok {
			return at, nil
		}
		country, _, _ := strings.Cut(s.name, "-")
		return Coordinates{}, fmt.Errorf("gtmd knows the provinces of China only: want latitude and longitude, or the country, %q", country)
	case problem == "":
		return Coordinates{}, fmt.Errorf("it is not one country or province: %s", want)
	}
	if code := meantPlace(text); code != "" {
		return Coordinates{}, fmt.Errorf("%s; did you mean %q?", want, code)
	}
	return Coordinates{}, errors.New(want)
}

// meantPlace is the code of the place that somebody means by its name, in English or Chinese, perhaps with few letters wrong;
// empty: no idea.
func meantPlace(text string) string {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "UK") {
		return "GB"
	}
	if c := countryByName(text); c != nil {
		return c.code
	}
	if code := subdivisionByName(mainland, text); code != "" {
		return code
	}
	best, bestDistance := "", min(2, len(text)/4)+1
	consider := func(code, name string) {
		if d := letterDistance(strings.ToLower(text), strings.ToLower(name), bestDistance); d < bestDistance {
			best, bestDistance = code, d
		}
	}
	for _, c := range countryList() {
		consider(c.code, c.name)
	}
	for _, p := range provinceList() {
		consider(p.code, p.name)
	}
	return best
}
