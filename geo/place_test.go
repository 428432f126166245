package geo

import "testing"

// TestParsePlace: "location (or line)" of BEHAVIOUR.md section 4.
func TestParsePlace(t *testing.T) {
	for text, code := range map[string]string{
		"JP": "JP", "cn-gd": "CN-GD", "os_asia_jp": "JP", "country:JP": "JP", "country:jp": "JP", "internal": "CN", "country:CN": "CN",
		"cn_region_guangdong": "CN-GD", "cn_region_shannxi": "CN-SN", "subdivision:CN-GD": "CN-GD", "subdivision:CN-HK": "HK",
		"os_asia_hk": "HK",
	} {
		want, _ := Locate(code)
		if got, err := ParsePlace(text); err != nil || got != want {
			t.Errorf("ParsePlace(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	const want = `want the code of a country, such as "JP", or of a province of China, such as "CN-GD"; or latitude and longitude`
	for text, wantErr := range map[string]string{
		"XX": want, "": want, "nowhere at all": want, "country:XX": want,
		"japan": want + `; did you mean "JP"?`, "Japn": want + `; did you mean "JP"?`, "日本": want + `; did you mean "JP"?`,
		"UK": want + `; did you mean "GB"?`, "Guangdong": want + `; did you mean "CN-GD"?`, "广东": want + `; did you mean "CN-GD"?`,
		"guangdnog": want + `; did you mean "CN-GD"?`,
		"os_asia":   "it is not one country or province: " + want, "global": "it is not one country or province: " + want,
		"telecom": "it is not one country or province: " + want, "cn_region_huadong": "it is not one country or province: " + want,
		"subdivision:US-CA": `gtmd knows the provinces of China only: want latitude and longitude, or the country, "US"`,
	} {
		if got, err := ParsePlace(text); err == nil || err.Error() != wantErr || got != (Coordinates{}) {
			t.Errorf("ParsePlace(%q) = %v, %v; want the error %s", text, got, err, wantErr)
		}
	}
}
