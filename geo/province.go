package geo

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A province is a subdivision of China in ISO 3166-2:CN. Hong Kong, Macao and Taiwan are subdivisions there too, but in
// databases and in Alibaba's lines they are countries: they have no line and no region here.
type province struct {
	code   string // ISO 3166-2: "CN-GD"
	number int    // GB/T 2260, which ISO 3166-2 used until 2017: CN-44
	line   string // Alibaba's name in line codes; empty for Hong Kong, Macao and Taiwan
	region string // Alibaba's big region
	name   string
	nameZH string
	at     Coordinates // of the capital
}

// A bigRegion is a part of mainland China.
type bigRegion struct {
	line   string // Alibaba's name in line codes
	name   string
	nameZH string
}

func regions() []bigRegion {
	return []bigRegion{
		{"dongbei", "Northeast China", "东北"},
		{"huabei", "North China", "华北"},
		{"huadong", "East China", "华东"},
		{"huanan", "South China", "华南"},
		{"huazhong", "Central China", "华中"},
		{"xibei", "Northwest China", "西北"},
		{"xinan", "Southwest China", "西南"},
	}
}

// provinceList is sorted by code. Jiangxi is in huadong because both enumerations of Alibaba's lines (2021 and 2025) list it
// there, though the older one labels it 华中. Coordinates are those of the capitals, to a hundredth of a degree.
var provinceList = sync.OnceValue(func() []province {
	return []province{
		{"CN-AH", 34, "anhui", "huadong", "Anhui", "安徽", Coordinates{31.82, 117.23}},
		{"CN-BJ", 11, "beijing", "huabei", "Beijing", "北京", Coordinates{39.90, 116.41}},
		{"CN-CQ", 50, "chongqing", "xinan", "Chongqing", "重庆", Coordinates{29.56, 106.55}},
		{"CN-FJ", 35, "fujian", "huadong", "Fujian", "福建", Coordinates{26.07, 119.30}},
		{"CN-GD", 44, "guangdong", "huanan", "Guangdong", "广东", Coordinates{23.13, 113.26}},
		{"CN-GS", 62, "gansu", "xibei", "Gansu", "甘肃", Coordinates{36.06, 103.83}},
		{"CN-GX", 45, "guangxi", "huanan", "Guangxi", "广西", Coordinates{22.82, 108.37}},
		{"CN-GZ", 52, "guizhou", "xinan", "Guizhou", "贵州", Coordinates{26.65, 106.63}},
		{"CN-HA", 41, "henan", "huazhong", "Henan", "河南", Coordinates{34.75, 113.63}},
		{"CN-HB", 42, "hubei", "huazhong", "Hubei", "湖北", Coordinates{30.59, 114.31}},
		{"CN-HE", 13, "hebei", "huabei", "Hebei", "河北", Coordinates{38.04, 114.51}},
		{"CN-HI", 46, "hainan", "huanan", "Hainan", "海南", Coordinates{20.04, 110.34}},
		{"CN-HK", 91, "", "", "Hong Kong", "香港", Coordinates{22.28, 114.16}},
		{"CN-HL", 23, "heilongjiang", "dongbei", "Heilongjiang", "黑龙江", Coordinates{45.80, 126.53}},
		{"CN-HN", 43, "hunan", "huazhong", "Hunan", "湖南", Coordinates{28.23, 112.94}},
		{"CN-JL", 22, "jilin", "dongbei", "Jilin", "吉林", Coordinates{43.82, 125.32}},
		{"CN-JS", 32, "jiangsu", "huadong", "Jiangsu", "江苏", Coordinates{32.06, 118.80}},
		{"CN-JX", 36, "jiangxi", "huadong", "Jiangxi", "江西", Coordinates{28.68, 115.86}},
		{"CN-LN", 21, "liaoning", "dongbei", "Liaoning", "辽宁", Coordinates{41.80, 123.43}},
		{"CN-MO", 92, "", "", "Macao", "澳门", Coordinates{22.20, 113.54}},
		{"CN-NM", 15, "neimenggu", "huabei", "Inner Mongolia", "内蒙古", Coordinates{40.84, 111.75}},
		{"CN-NX", 64, "ningxia", "xibei", "Ningxia", "宁夏", Coordinates{38.49, 106.23}},
		{"CN-QH", 63, "qinghai", "xibei", "Qinghai", "青海", Coordinates{36.62, 101.78}},
		{"CN-SC", 51, "sichuan", "xinan", "Sichuan", "四川", Coordinates{30.57, 104.07}},
		{"CN-SD", 37, "shandong", "huadong", "Shandong", "山东", Coordinates{36.65, 117.12}},
		{"CN-SH", 31, "shanghai", "huadong", "Shanghai", "上海", Coordinates{31.23, 121.47}},
		{"CN-SN", 61, "shaanxi", "xibei", "Shaanxi", "陕西", Coordinates{34.34, 108.94}},
		{"CN-SX", 14, "shanxi", "huabei", "Shanxi", "山西", Coordinates{37.87, 112.55}},
		{"CN-TJ", 12, "tianjin", "huabei", "Tianjin", "天津", Coordinates{39.13, 117.20}},
		{"CN-TW", 71, "", "", "Taiwan", "台湾", Coordinates{25.05, 121.53}},
		{"CN-XJ", 65, "xinjiang", "xibei", "Xinjiang", "新疆", Coordinates{43.83, 87.62}},
		{"CN-XZ", 54, "xizang", "xinan", "Xizang (Tibet)", "西藏", Coordinates{29.65, 91.12}},
		{"CN-YN", 53, "yunnan", "xinan", "Yunnan", "云南", Coordinates{25.04, 102.71}},
		{"CN-ZJ", 33, "zhejiang", "huadong", "Zhejiang", "浙江", Coordinates{30.27, 120.16}},
	}
})

// shannxi is how Alibaba spells Shaanxi in its region lines, but not in its provider lines. Both are taken in both.
const (
	shaanxi = "shaanxi"
	shannxi = "shannxi"
)

// otherProvinceNames are names in databases that are not a province's own, folded as foldProvince does it.
func otherProvinceNames() map[string]string {
	return map[string]string{
		"innermongolia": "CN-NM", "neimongol": "CN-NM", "innermongol": "CN-NM", "tibet": "CN-XZ", shannxi: "CN-SN",
		"hongkong": "CN-HK", "xianggang": "CN-HK", "macao": "CN-MO", "macau": "CN-MO", "aomen": "CN-MO", "taiwan": "CN-TW",
	}
}

var provincesByCode = sync.OnceValue(func() map[string]*province {
	byCode := make(map[string]*province)
	for i := range provinceList() {
		byCode[provinceList()[i].code] = &provinceList()[i]
	}
	return byCode
})

var provincesByName = sync.OnceValue(func() map[string]string {
	byName := otherProvinceNames()
	for _, p := range provinceList() {
		if p.line != "" {
			byName[p.line] = p.code
		}
		byName[p.nameZH] = p.code
	}
	return byName
})

// provinceByCode returns nil when there is no such subdivision of China. Codes are upper case, with letters.
func provinceByCode(code string) *province { return provincesByCode()[code] }

// provinceByLine finds a province by Alibaba's name in line codes, in both spellings of Shaanxi; nil: none.
func provinceByLine(line string) *province {
	if line == shannxi {
		line = shaanxi
	}
	i := slices.IndexFunc(provinceList(), func(p province) bool { return p.line != "" && p.line == line })
	if i < 0 {
		return nil
	}
	return &provinceList()[i]
}

// countryInChina is the country that a subdivision of China is in databases and in Alibaba's lines: HK, MO, TW, else CN.
func countryInChina(subdivision string) string {
	switch subdivision {
	case "CN-HK", "CN-MO", "CN-TW":
		return subdivision[len("CN-"):]
	}
	return mainland
}

// normalSubdivision turns the numeric ISO 3166-2 code that a province of China had until 2017 into the one that it has now:
// CN-44 into CN-GD. It returns every other code as it is.
func normalSubdivision(code string) string {
	digits, isChina := strings.CutPrefix(code, "CN-")
	if !isChina || len(digits) != 2 || digits[0] > '9' {
		return code
	}
	number, err := strconv.Atoi(digits)
	if err != nil {
		return code
	}
	for _, p := range provinceList() {
		if p.number == number {
			return p.code
		}
	}
	return code
}

// subdivisionByName returns the ISO 3166-2 code of a subdivision that a database only names, in English, pinyin or Chinese:
// "Guangdong", "Guangdong Sheng", "Inner Mongolia", "Tibet Autonomous Region", "广东省". It knows those of China; empty: it
// does not know the name.
func subdivisionByName(country, name string) string {
	if country != mainland {
		return ""
	}
	return provincesByName()[foldProvince(name)]
}

// foldProvince brings a name of a province to the form by which provincesByName lists it: without what says that it is
// one, in lower case, without spaces and apostrophes.
func foldProvince(name string) string {
	var b strings.Builder
	isGap := func(r rune) bool { return strings.ContainsRune(" '’-", r) }
	for _, word := range strings.FieldsFunc(strings.ToLower(name), isGap) {
		switch word {
		case "sheng", "shi", "province", "municipality", "city", "autonomous", "region", "zizhiqu", "special", "administrative",
			"sar", "zhuang", "zhuangzu", "hui", "huizu", "huizi", "uygur", "uyghur", "uighur", "weiwuer":
		default:
			b.WriteString(word)
		}
	}
	folded := b.String()
	for _, suffix := range []string{"维吾尔自治区", "壮族自治区", "回族自治区", "自治区", "特别行政区", "省", "市"} {
		if short, ok := strings.CutSuffix(folded, suffix); ok {
			return short
		}
	}
	return folded
}
