package dashboard

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// placeTile is where the tile of a country or province stands.
type placeTile struct {
	code, continent, region, name string
	x, y                          int
}

// tilesTSV has a line for every country.
//
//go:embed tiles.tsv
var tilesTSV string

// countryTiles are sorted by code. They are never changed.
var countryTiles = sync.OnceValue(func() (all []placeTile) {
	for line := range strings.Lines(tilesTSV) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 || strings.HasPrefix(line, "#") {
			continue
		}
		x, _ := strconv.Atoi(f[2])
		y, _ := strconv.Atoi(f[3])
		all = append(all, placeTile{code: f[0], continent: f[1], name: f[4], x: x, y: y})
	}
	return all
})

// provinceTiles are the 34 provinces of China. Those without a region have codes of countries in databases.
func provinceTiles() []placeTile {
	const (
		northeast, north, east = "dongbei", "huabei", "huadong"
		south, center          = "huanan", "huazhong"
		northwest, southwest   = "xibei", "xinan"
	)
	return []placeTile{
		{"CN-HL", "AS", northeast, "Heilongjiang", 7, 0},
		{"CN-NM", "AS", north, "Inner Mongolia", 5, 1}, {"CN-JL", "AS", northeast, "Jilin", 7, 1},
		{"CN-XJ", "AS", northwest, "Xinjiang", 0, 2}, {"CN-GS", "AS", northwest, "Gansu", 2, 2}, {"CN-NX", "AS", northwest, "Ningxia", 3, 2},
		{"CN-SX", "AS", north, "Shanxi", 4, 2}, {"CN-HE", "AS", north, "Hebei", 5, 2}, {"CN-BJ", "AS", north, "Beijing", 6, 2}, {"CN-LN", "AS", northeast, "Liaoning", 7, 2},
		{"CN-QH", "AS", northwest, "Qinghai", 1, 3}, {"CN-SN", "AS", northwest, "Shaanxi", 3, 3}, {"CN-HA", "AS", center, "Henan", 4, 3},
		{"CN-SD", "AS", east, "Shandong", 5, 3}, {"CN-TJ", "AS", north, "Tianjin", 6, 3},
		{"CN-XZ", "AS", southwest, "Xizang (Tibet)", 0, 4}, {"CN-SC", "AS", southwest, "Sichuan", 2, 4}, {"CN-CQ", "AS", southwest, "Chongqing", 3, 4},
		{"CN-HB", "AS", center, "Hubei", 4, 4}, {"CN-AH", "AS", east, "Anhui", 5, 4}, {"CN-JS", "AS", east, "Jiangsu", 6, 4}, {"CN-SH", "AS", east, "Shanghai", 7, 4},
		{"CN-GZ", "AS", southwest, "Guizhou", 3, 5}, {"CN-HN", "AS", center, "Hunan", 4, 5}, {"CN-JX", "AS", east, "Jiangxi", 5, 5}, {"CN-ZJ", "AS", east, "Zhejiang", 6, 5},
		{"CN-YN", "AS", southwest, "Yunnan", 2, 6}, {"CN-GX", "AS", south, "Guangxi", 3, 6}, {"CN-GD", "AS", south, "Guangdong", 4, 6}, {"CN-FJ", "AS", east, "Fujian", 5, 6},
		{"CN-TW", "AS", "", "Taiwan", 7, 6},
		{"CN-HI", "AS", south, "Hainan", 3, 7}, {"CN-MO", "AS", "", "Macao", 4, 7}, {"CN-HK", "AS", "", "Hong Kong", 5, 7},
	}
}
