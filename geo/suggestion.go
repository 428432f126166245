package geo

import (
	"fmt"
	"net/netip"
	"strings"
)

// unknown says what is wrong with a text that is no request source and has no colon.
func (p sourceParser) unknown(text string) string {
	if problem := overseasProblem(text); problem != "" {
		return problem
	}
	if isNetwork(text) {
		return fmt.Sprintf("networks stand in lines: add a [[geo.line]] with a name and prefixes = [%q], and give its name here", text)
	}
	isp, place, isMainland := cutMainland(text)
	if country := countryInChina(subdivisionByName(mainland, place)); isMainland && country != mainland {
		c := countryByCode(country)
		return fmt.Sprintf("%s is a line of its own: want %q", c.name, overseasCode(*c))
	}
	if suggestion := p.suggestion(text); suggestion != "" {
		return "there is no such line" + suggestion
	}
	switch {
	case isMainland && (isp == regionWord || p.hasProvider(isp)):
		return fmt.Sprintf("there is no province or region %q: want one of gtmd lines --kind province, as in cn_region_guangdong", place)
	case isMainland:
		return fmt.Sprintf("there is no provider %q: want region, %s, or the name of a [[geo.isp]]", isp, p.providers())
	}
	return "there is no such line: want " + p.choices()
}

// overseasProblem explains a code that has the form os_CONTINENT_COUNTRY; empty: it has not.
func overseasProblem(text string) string {
	cut := strings.LastIndexByte(text, '_')
	if !strings.HasPrefix(text, "os_") || cut < len("os_") {
		return ""
	}
	line, code := text[:cut], text[cut+1:]
	if len(code) != 2 {
		return ""
	}
	c := countryByCode(strings.ToUpper(code))
	switch {
	case c == nil:
		return fmt.Sprintf("there is no country %q: want an ISO 3166-1 code at the end, as in os_asia_jp", code)
	case c.code == mainland:
		return `mainland China is not overseas: want "internal"`
	}
	want := overseasCode(*c)
	for _, other := range continents() {
		if other.line == line {
			return fmt.Sprintf("%s is in %s: want %q", c.name, continentByCode(c.continent).name, want)
		}
	}
	return fmt.Sprintf("there is no continent %q: want %q", line, want)
}

// cutMainland cuts a code of the form cn_PROVIDER_PLACE; false: it has another form.
func cutMainland(text string) (isp, place string, ok bool) {
	cut := strings.LastIndexByte(text, '_')
	if !strings.HasPrefix(text, "cn_") || cut < len("cn_") {
		return "", "", false
	}
	return text[len("cn_"):cut], text[cut+1:], true
}

func isNetwork(text string) bool {
	_, errAddr := netip.ParseAddr(text)
	_, errPrefix := netip.ParsePrefix(text)
	return errAddr == nil || errPrefix == nil
}

// suggestion is a question to append to an error message: the source that was perhaps meant; empty: no idea.
func (p sourceParser) suggestion(text string) string {
	meant := p.meant(text)
	if meant == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", meant)
}

// meant is the source that somebody means by its name, by a value without its kind, or with few letters wrong.
func (p sourceParser) meant(text string) string {
	for _, kind := range []string{"isp:", "country:", "subdivision:"} {
		if s, problem := p.parseOnly(kind + text); problem == "" {
			return s.String()
		}
	}
	if len(text) > 2 && strings.EqualFold(text[:2], "AS") {
		if s, problem := p.parseOnly("asn:" + text); problem == "" {
			return s.String()
		}
	}
	if strings.TrimSpace(text) != "" {
		for _, e := range catalogue() {
			if strings.EqualFold(e.line.Name, text) || e.line.NameZH == text {
				return e.line.Code
			}
		}
	}
	best, bestDistance := "", min(2, len(text)/3)+1
	for _, candidate := range p.candidates() {
		if strings.EqualFold(candidate, text) {
			return candidate
		}
		if d := letterDistance(text, candidate, bestDistance); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// parseOnly reads a plain selector without suggestions, so that suggestions do not call for others.
func (p sourceParser) parseOnly(text string) (Selector, string) {
	kind, value, _ := strings.Cut(text, ":")
	if kind == "isp" && !p.hasProvider(value) || strings.Contains(value, ":") {
		return Selector{}, "no"
	}
	return p.plain(kind, value, text)
}

// candidates are all texts that could have been meant, the likeliest first.
func (p sourceParser) candidates() []string {
	var list []string
	for _, l := range p.lines {
		list = append(list, l.Name)
	}
	for _, o := range p.isps {
		if o.Name != "" {
			list = append(list, "isp:"+o.Name)
		}
	}
	for _, e := range catalogue() {
		list = append(list, e.line.Code)
	}
	for _, e := range catalogue() {
		list = append(list, e.line.Aliases...)
	}
	return list
}

// choices lists, for an error message, what a request source can be. It names at most eight lines.
func (p sourceParser) choices() string {
	const most = 8
	var b strings.Builder
	b.WriteString(`"global", a line of "gtmd lines", a plain selector such as country:JP, or a custom line`)
	if len(p.lines) == 0 {
		b.WriteString(" (there are none)")
	}
	for i, line := range p.lines {
		switch {
		case i == most:
			fmt.Fprintf(&b, " and %d more", len(p.lines)-most)
			return b.String()
		case i == 0:
			b.WriteString(": ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", line.Name)
	}
	return b.String()
}

// letterDistance is how many letters must be added, left out, changed or swapped with their neighbour to make b out of a
// (optimal string alignment). It may return any number above limit in place of a greater one.
func letterDistance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
