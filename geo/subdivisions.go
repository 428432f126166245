package geo

import (
	"slices"
	"strings"
	"sync"
)

// subdivisionLists remembers the Subdivisions of Facts, of which a database has few, so that many Facts share them. The zero
// value is ready; it is safe for concurrent use.
type subdivisionLists struct {
	mu    sync.Mutex
	lists map[subdivisionKey][]string
}

// subdivisionKey is a country and the subdivisions in it that a record has.
type subdivisionKey struct {
	country      string
	subdivisions subdivisionPair
}

// maxSubdivisionLists bounds the memory for a database that has a new subdivision in every record. The Earth has 5,000.
const maxSubdivisionLists = 1 << 15

// list is the Subdivisions of Facts that a key means. Nobody may change it.
func (l *subdivisionLists) list(key subdivisionKey) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, known := l.lists[key]
	if !known {
		list = key.codes()
		if l.lists == nil {
			l.lists = make(map[subdivisionKey][]string)
		}
		if len(l.lists) < maxSubdivisionLists {
			l.lists[key] = list
		}
	}
	return list
}

// codes are ISO 3166-2 codes as Facts has them. A subdivision without a code that is known, or of another country, is left
// out.
func (k subdivisionKey) codes() []string {
	var codes []string
	for _, s := range k.subdivisions {
		code := subdivisionText(k.country, s.code)
		if code == "" {
			code = subdivisionByName(k.country, s.name)
		}
		if code != "" && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return slices.Clip(codes)
}

// subdivisionText is the ISO 3166-2 code that a database means by text: with the country in front, in upper case. Empty when
// it is none of this country.
func subdivisionText(country, text string) string {
	text = strings.ToUpper(text)
	if prefix, rest, has := strings.Cut(text, "-"); has {
		if prefix != country {
			return ""
		}
		text = rest
	}
	if country == "" || len(text) < 1 || len(text) > 3 {
		return ""
	}
	for i := range len(text) {
		if !isAlphanumeric(text[i]) {
			return ""
		}
	}
	return normalSubdivision(country + "-" + text)
}

func isAlphanumeric(b byte) bool { return isLetter(b) || '0' <= b && b <= '9' }
