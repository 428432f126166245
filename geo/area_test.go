package geo

import "testing"

func TestArea(t *testing.T) {
	for text, want := range map[string]Area{
		"global":               {Name: "Global", NameZH: "全局"},
		"country:JP":           {Country: "JP", Name: "Japan", NameZH: "日本"},
		"os_asia_jp":           {Country: "JP", Name: "Japan", NameZH: "日本"},
		"internal":             {Country: "CN"},
		"continent:EU":         {Continent: "EU"},
		"subdivision:US-CA":    {Country: "US", Subdivision: "US-CA"},
		"cn_telecom_guangdong": {Country: "CN", Subdivision: "CN-GD"},
		"cn_region_huadong":    {Country: "CN"},
		"city:JP/Tokyo":        {Country: "JP"},
		"asn:4134":             {},
		"office":               {},
	} {
		s, err := ParseSelector(text, []LineOptions{line("office", "10.0.0.0/8")}, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		got := s.Area()
		t.Logf("%s: %+v", text, got)
		if want.Name == "" {
			got.Name, got.NameZH = "", ""
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	if cn, _ := ParseSelector("cn_telecom_guangdong", nil, nil); cn.Area().Name == "" {
		t.Error("a line of the catalogue has no name")
	}
}
