package geo

import "testing"

// TestFinder: the most specific line of BEHAVIOUR.md section 5 that is of the catalogue.
func TestFinder(t *testing.T) {
	finder, err := NewFinder(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		facts Facts
		want  string
	}{
		{Facts{}, ""},
		{Facts{ASN: 64496}, ""},
		{Facts{Country: "CN"}, "internal"},
		{Facts{Country: "CN", Subdivisions: []string{"CN-GD"}}, "cn_region_guangdong"},
		{Facts{Country: "CN", Subdivisions: []string{"CN-SN"}}, "cn_region_shaanxi"},
		{Facts{Country: "CN", ASN: 4134}, "telecom"},
		{Facts{Country: "CN", Subdivisions: []string{"CN-GD"}, ASN: 4134}, "cn_telecom_guangdong"},
		{Facts{Country: "CN", Subdivisions: []string{"CN-SN"}, ASN: 4837}, "cn_unicom_shaanxi"},
		{Facts{Country: "CN", ASN: 4134, ISP: "China Mobile"}, "telecom"},
		{Facts{Country: "CN", ASN: 9808, ISP: "China Telecom"}, "mobile"},
		{Facts{Country: "CN", Subdivisions: []string{"CN-GD"}, ASN: 4134, ISP: "China Mobile"}, "cn_telecom_guangdong"},
		{Facts{Country: "JP"}, "os_asia_jp"},
		{Facts{Country: "JP", Subdivisions: []string{"JP-13"}, ASN: 2500}, "os_asia_jp"},
		{Facts{Continent: "EU", Country: "DE"}, "os_euro_de"},
	} {
		if got := finder.Line(&tc.facts); got != tc.want {
			t.Errorf("%s: line %q, want %q", &tc.facts, got, tc.want)
		}
	}
	if finder, err = NewFinder([]ISPOptions{{Name: "telecom", ASNs: []int{64496}}}); err != nil {
		t.Fatal(err)
	}
	if got := finder.Line(&Facts{ASN: 64496}); got != "telecom" {
		t.Errorf("AS64496 of a [[geo.isp]]: line %q, want telecom", got)
	}
	if _, err := NewFinder([]ISPOptions{{Name: "", ASNs: []int{1}}}); err == nil {
		t.Error("a provider without a name is no error")
	}
}
