package dashboard_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"gtmd/admin"
)

// placesOf is what the map of an instance says of each place, by its code: "CN" of the world, "CN-GD" of China.
func placesOf(t *testing.T, sources []admin.SourceStatus) map[string]string {
	t.Helper()
	b := &backend{sources: sources}
	b.status.Instances = []admin.InstanceStatus{{Name: "shop", AccessDomain: "shop.gtm.test."}}
	for _, s := range sources {
		for _, u := range s.Uses {
			b.status.Instances[0].Policies = append(b.status.Instances[0].Policies, admin.PolicyStatus{Name: u.Policy, Family: u.Family, InForce: u.InForce, Why: u.Why})
		}
	}
	doc, err := html.Parse(strings.NewReader(newSite(b).get("/instance?name=shop").Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "title" && n.Parent.Data == "g" {
			name, what, _ := strings.Cut(text(n), "): ")
			code := name[strings.LastIndex(name, "(")+1:]
			if _, isTwice := places[code]; isTwice {
				t.Errorf("%s has two tiles", code)
			}
			places[code] = what
		}
	}
	return places
}

// uses is a source with a policy of the name of its source.
func uses(source, country, continent, subdivision string) admin.SourceStatus {
	return admin.SourceStatus{Source: source, Country: country, Continent: continent, Subdivision: subdivision,
		Uses: []admin.SourceUse{{Instance: "shop", Policy: source, Family: "ipv4", InForce: "primary", Why: "normal"}}}
}

// The narrowest source counts, as geo/precedence.go has it.
func TestMapPrecedence(t *testing.T) {
	all := []admin.SourceStatus{
		uses("global", "", "", ""), uses("oversea", "", "", ""), uses("continent:AS", "", "AS", ""), uses("os_asia", "", "AS", ""), uses("country:JP", "JP", "", ""),
		uses("country:HK", "HK", "", ""), uses("internal", "CN", "", ""), uses("cn_region_huanan", "", "", ""), uses("subdivision:CN-GD", "", "", "CN-GD"),
		uses("cn_telecom_zhejiang", "CN", "", "CN-ZJ"), uses("city:DE/Berlin", "DE", "EU", ""), uses("continent:EU", "", "EU", ""),
	}
	places := placesOf(t, all)
	for code, want := range map[string]string{
		"JP": "country:JP", "KR": "os_asia", "CN": "internal", "HK": "country:HK", "DE": "continent:EU", "US": "oversea", "AQ": "oversea",
		"CN-GD": "subdivision:CN-GD", "CN-GX": "cn_region_huanan", "CN-HI": "cn_region_huanan", "CN-ZJ": "internal", "CN-HK": "country:HK", "CN-TW": "os_asia",
	} {
		if got := places[code]; got != want+", primary" {
			t.Errorf("%s gets %q, want %q", code, got, want)
		}
	}
	without := func(drop ...string) (rest []admin.SourceStatus) {
		for _, s := range all {
			if !strings.Contains(" "+strings.Join(drop, " ")+" ", " "+s.Source+" ") {
				rest = append(rest, s)
			}
		}
		return rest
	}
	for _, tt := range []struct{ code, drop, want string }{
		{"KR", "os_asia", "continent:AS"},
		{"CN", "internal", "continent:AS"},
		{"KR", "os_asia continent:AS", "oversea"},
		{"CN", "internal continent:AS", "global"}, // overseas is not mainland China, and neither is the overseas part of Asia
		{"CN-GD", "subdivision:CN-GD", "cn_region_huanan"},
		{"CN-HK", "country:HK", "os_asia"},
		{"US", "oversea", "global"},
	} {
		if got := placesOf(t, without(strings.Fields(tt.drop)...))[tt.code]; got != tt.want+", primary" {
			t.Errorf("without %s, %s gets %q, want %q", tt.drop, tt.code, got, tt.want)
		}
	}
	if got := placesOf(t, without("oversea", "global"))["US"]; got != "no policy, none" {
		t.Errorf("a place for which there is no policy: %q", got)
	}
}

// Every country that databases know has one tile, and no two tiles are at one place.
func TestTilesAreComplete(t *testing.T) {
	table, err := os.ReadFile("../../geo/data/countries.tsv")
	if err != nil {
		t.Fatal(err)
	}
	places := placesOf(t, []admin.SourceStatus{uses("global", "", "", ""), uses("country:JP", "JP", "", "")})
	countries, continents := 0, map[string]string{}
	for line := range strings.Lines(string(table)) {
		if f := strings.Split(line, "\t"); !strings.HasPrefix(line, "#") && len(f) > 4 {
			countries++
			continents[f[0]] = f[1] + " " + f[4]
			if places[f[0]] == "" {
				t.Errorf("%s, %s, has no tile", f[0], f[4])
			}
		}
	}
	if want := countries + 34; len(places) != want || countries < 249 {
		t.Errorf("%d tiles, want %d: every country and 34 provinces of China", len(places), want)
	}
	tiles, err := os.ReadFile("tiles.tsv")
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]string{}
	for line := range strings.Lines(string(tiles)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if other := at[f[2]+" "+f[3]]; other != "" {
			t.Errorf("%s and %s stand at the same place", other, f[0])
		}
		at[f[2]+" "+f[3]] = f[0]
		if got := f[1] + " " + f[4]; got != continents[f[0]] {
			t.Errorf("%s is %q here and %q in geo", f[0], got, continents[f[0]])
		}
	}
}
