package mmdb

import (
	"iter"
	"net/netip"
	"slices"
)

// span is what one line of an input knows of the addresses from one to another, both included.
type span struct {
	from, to point
	facts    facts
	input    uint32 // the place of the input
	line     uint32 // grows with the lines
}

// collection is what all inputs know.
type collection struct {
	v4, v6 []span
	lines  uint32
}

// mappedEnd is the last address of ::/96, where the format keeps IPv4.
var mappedEnd = point{lo: 1<<32 - 1}

// add adds a row of an input. What an IPv6 row says of ::/96 is left out: the format keeps IPv4 there.
func (c *collection) add(r row, input int) error {
	if r.facts == (facts{}) {
		return nil
	}
	c.lines++
	s := span{from: toPoint(r.from), to: toPoint(r.to), facts: r.facts, input: uint32(input), line: c.lines}
	if r.from.Is4() {
		c.v4 = append(c.v4, s)
		return nil
	}
	if !mappedEnd.less(s.to) {
		return nil
	}
	if !mappedEnd.less(s.from) {
		s.from = mappedEnd.next()
	}
	c.v6 = append(c.v6, s)
	return nil
}

// stronger orders spans that hold for one address: a later input before an earlier one, then the narrower before the wider, then
// the later line before the earlier one.
func stronger(a, b span) int {
	if a.input != b.input {
		return int(b.input) - int(a.input)
	}
	if c := a.to.minus(a.from).compare(b.to.minus(b.from)); c != 0 {
		return c
	}
	return int(b.line) - int(a.line)
}

// run is what all inputs together know of the addresses from one to another, both included. Runs are disjoint, in order, and
// two that touch differ.
type run struct {
	from, to point
	facts    facts
	width    uint8 // bits of an address of the family
}

// overlay puts spans of a family together. It sorts spans. Each field of a run is that of the strongest span that knows it,
// but a subdivision only from one that names the same country.
func overlay(spans []span, width uint8) []run {
	slices.SortFunc(spans, func(a, b span) int {
		if c := a.from.compare(b.from); c != 0 {
			return c
		}
		return stronger(a, b)
	})
	var runs []run
	var here []span // those that hold at the point, the strongest first
	var at point
	for i := 0; i < len(spans) || len(here) > 0; {
		if len(here) == 0 {
			at = spans[i].from
		}
		for ; i < len(spans) && spans[i].from == at; i++ {
			place, _ := slices.BinarySearchFunc(here, spans[i], stronger)
			here = slices.Insert(here, place, spans[i])
		}
		end := here[0].to
		for _, s := range here[1:] {
			if s.to.less(end) {
				end = s.to
			}
		}
		if i < len(spans) && !end.less(spans[i].from) {
			end = spans[i].from.prev()
		}
		known := merge(here)
		if last := len(runs) - 1; last >= 0 && runs[last].facts == known && runs[last].to.next() == at {
			runs[last].to = end
		} else {
			runs = append(runs, run{at, end, known, width})
		}
		here = slices.DeleteFunc(here, func(s span) bool { return s.to == end })
		at = end.next()
	}
	return runs
}

// merge is what spans know together, the strongest first.
func merge(here []span) facts {
	var all facts
	for _, s := range here {
		if all.country == [2]byte{} {
			all.country = s.facts.country
		}
		if all.asn == 0 {
			all.asn = s.facts.asn
		}
	}
	for _, s := range here {
		if s.facts.country == all.country && s.facts.subdivision != [3]byte{} {
			all.subdivision = s.facts.subdivision
			break
		}
	}
	return all
}

// prefixes yields the fewest prefixes that make up the run, in order.
func (r run) prefixes() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		width := int(r.width)
		for from := r.from; ; {
			free := min(from.zeros(), width)
			for sizeOf(free).compare(r.to.minus(from)) > 0 {
				free = min(free-1, r.to.minus(from).len())
			}
			last := from.plus(sizeOf(free))
			if !yield(netip.PrefixFrom(from.addr(width), width-free)) || last == r.to {
				return
			}
			from = last.next()
		}
	}
}
