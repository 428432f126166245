package geo

import (
	"slices"
	"strings"
	"testing"
)

func TestProvinces(t *testing.T) {
	if n := len(provinceList()); n != 34 {
		t.Errorf("%d provinces, want the 34 of ISO 3166-2:CN", n)
	}
	seen := map[any]string{}
	for i, p := range provinceList() {
		if i > 0 && p.code <= provinceList()[i-1].code {
			t.Errorf("%s comes after %s", p.code, provinceList()[i-1].code)
		}
		for _, key := range []any{p.number, p.name, p.nameZH, p.line} {
			if key == "" && countryInChina(p.code) != mainland {
				continue
			}
			if key == "" || seen[key] != "" {
				t.Errorf("%s: %q, which %q has too", p.code, key, seen[key])
			}
			seen[key] = p.code
		}
	}
}

// TestRegions is the enumeration of Alibaba's lines (reference/alibaba-gtm.md section 2.5).
func TestRegions(t *testing.T) {
	want := map[string]string{
		"dongbei":  "heilongjiang jilin liaoning",
		"huabei":   "beijing hebei neimenggu shanxi tianjin",
		"huadong":  "anhui fujian jiangsu jiangxi shandong shanghai zhejiang",
		"huanan":   "guangdong guangxi hainan",
		"huazhong": "henan hubei hunan",
		"xibei":    "gansu ningxia qinghai shaanxi xinjiang",
		"xinan":    "chongqing guizhou sichuan xizang yunnan",
	}
	for _, r := range regions() {
		var in []string
		for _, p := range provinceList() {
			if p.region == r.line {
				in = append(in, p.line)
			}
		}
		slices.Sort(in)
		if got := strings.Join(in, " "); got != want[r.line] {
			t.Errorf("%s has %s, want %s", r.line, got, want[r.line])
		}
		delete(want, r.line)
	}
	if len(want) > 0 {
		t.Errorf("no regions %v", want)
	}
}

func TestNormalSubdivision(t *testing.T) {
	for code, want := range map[string]string{
		"CN-44": "CN-GD", "CN-61": "CN-SN", "CN-14": "CN-SX", "CN-15": "CN-NM", "CN-91": "CN-HK", "CN-71": "CN-TW",
		"CN-GD": "CN-GD", "CN-99": "CN-99", "CN-4": "CN-4", "CN-044": "CN-044", "CN-+4": "CN-+4", "US-44": "US-44", "": "", "CN-": "CN-",
	} {
		if got := normalSubdivision(code); got != want {
			t.Errorf("normalSubdivision(%q) = %q, want %q", code, got, want)
		}
	}
}

func TestSubdivisionByName(t *testing.T) {
	for name, want := range map[string]string{
		"Guangdong": "CN-GD", "guangdong": "CN-GD", "Guangdong Sheng": "CN-GD", "Guangdong Province": "CN-GD", "广东": "CN-GD",
		"广东省": "CN-GD", "Beijing": "CN-BJ", "Beijing Shi": "CN-BJ", "Beijing Municipality": "CN-BJ", "北京市": "CN-BJ",
		"Inner Mongolia": "CN-NM", "Inner Mongolia Autonomous Region": "CN-NM", "Nei Mongol": "CN-NM", "Nei Mongol Zizhiqu": "CN-NM",
		"Neimenggu": "CN-NM", "内蒙古自治区": "CN-NM", "Xizang": "CN-XZ", "Tibet": "CN-XZ", "Tibet Autonomous Region": "CN-XZ",
		"Xizang Zizhiqu": "CN-XZ", "Shaanxi": "CN-SN", "Shannxi": "CN-SN", "Shanxi": "CN-SX", "Xinjiang Uygur Zizhiqu": "CN-XJ",
		"Xinjiang Uyghur Autonomous Region": "CN-XJ", "新疆维吾尔自治区": "CN-XJ", "Guangxi Zhuangzu Zizhiqu": "CN-GX", "Guangxi": "CN-GX",
		"Guangxi Zhuang Autonomous Region": "CN-GX", "Ningxia Huizi Zizhiqu": "CN-NX", "Ningxia Hui Autonomous Region": "CN-NX",
		"Hong Kong SAR": "CN-HK", "Macau": "CN-MO", "Taiwan Sheng": "CN-TW", "香港特别行政区": "CN-HK",
		"": "", "Sheng": "", "省": "", "Guangzhou": "", "California": "",
	} {
		if got := subdivisionByName("CN", name); got != want {
			t.Errorf("subdivisionByName(CN, %q) = %q, want %q", name, got, want)
		}
		if got := subdivisionByName("US", name); got != "" {
			t.Errorf("subdivisionByName(US, %q) = %q, want none", name, got)
		}
	}
	// Every name that the table itself has.
	for _, p := range provinceList() {
		for _, name := range []string{p.nameZH, strings.TrimSuffix(p.name, " (Tibet)")} {
			if got := subdivisionByName("CN", name); got != p.code {
				t.Errorf("subdivisionByName(CN, %q) = %q, want %q", name, got, p.code)
			}
		}
	}
}
