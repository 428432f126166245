package geo

import (
	"cmp"
	"slices"
)

// A Finder finds the line of the catalogue to which a network belongs. It is immutable and safe for concurrent use.
type Finder struct {
	lines []foundLine // in match order
	isps  ispTable
}

type foundLine struct {
	code     string
	selector Selector
}

// NewFinder makes a Finder with the providers of the configuration beside those that gtmd knows. Lines that are lists of prefixes
// are not found: no database knows them.
func NewFinder(isps []ISPOptions) (*Finder, error) {
	table, err := newISPTable(isps)
	if err != nil {
		return nil, err
	}
	f := &Finder{isps: table}
	for _, line := range Catalogue() {
		if s, ok := line.Selector(); ok && s != Global && !s.isLine() {
			f.lines = append(f.lines, foundLine{line.Code, s})
		}
	}
	slices.SortStableFunc(f.lines, func(a, b foundLine) int { return cmp.Compare(a.selector.rank(), b.selector.rank()) })
	return f, nil
}

// Line returns the code of the first line in match order to which a network with these facts belongs; empty when none but global
// is.
func (f *Finder) Line(facts *Facts) string {
	var best *foundLine
	for i := range f.lines {
		line := &f.lines[i]
		if best != nil && line.selector.rank() > best.selector.rank() {
			break
		}
		if line.selector.matches(facts, f.isps) && (best == nil || line.selector.compare(best.selector, facts, f.isps) < 0) {
			best = line
		}
	}
	if best == nil {
		return ""
	}
	return best.code
}
