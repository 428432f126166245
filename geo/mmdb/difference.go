package mmdb

import (
	"cmp"
	"iter"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"gtmd/geo"
)

// A Field is what of the facts is compared. Of returns "" for what is not known.
type Field struct {
	Name string
	Of   func(*geo.Facts) string
}

// Fields are the fields that Diff can compare by themselves.
func Fields() []Field {
	return []Field{
		{"country", func(f *geo.Facts) string { return f.Country }},
		{"subdivision", func(f *geo.Facts) string {
			if len(f.Subdivisions) == 0 {
				return ""
			}
			return f.Subdivisions[0]
		}},
		{"asn", func(f *geo.Facts) string {
			if f.ASN == 0 {
				return ""
			}
			return "AS" + strconv.FormatUint(uint64(f.ASN), 10)
		}},
	}
}

// Extent is a part of the address space: the share of all of IPv4, and of 2000::/3 in IPv6, 0..1.
type Extent struct {
	IPv4 float64 `json:"ipv4"`
	IPv6 float64 `json:"ipv6"`
}

func (e *Extent) add(more Extent) { e.IPv4, e.IPv6 = e.IPv4+more.IPv4, e.IPv6+more.IPv6 }

// total orders extents by size.
func (e Extent) total() float64 { return e.IPv4 + e.IPv6 }

// Difference is what differs between two databases.
type Difference struct {
	// Gained is what only the new database has a record of, Lost what only the old one has.
	Gained Extent `json:"gained"`
	Lost   Extent `json:"lost"`
	// Networks are how many networks of one database have no record, or more than one or a part of one, in the other.
	NetworksGained int `json:"networks_gained"`
	NetworksLost   int `json:"networks_lost"`
	// Fields are in the order in which they were asked for.
	Fields []FieldDifference `json:"fields"`
}

// FieldDifference is what differs in one field.
type FieldDifference struct {
	Name    string `json:"name"`
	Changed Extent `json:"changed"`
	// Moves are all changes, the biggest first.
	Moves []Move `json:"moves"`
}

// Move is a part of the address space whose field changed from one value to another; "" is not known.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
	Extent
}

// Diff compares two databases field by field, address by address: how they cut the space into networks makes no difference to
// the fields.
func Diff(before, after *geo.Database, fields []Field) *Difference {
	d := &Difference{}
	type pair struct{ before, after *geo.Facts }
	places := map[pair]int{} // in extents and pairs
	var pairs []pair         // in order, so that sums are rounded in the same way each time
	var extents []Extent
	for s := range sideBySide(before.All(), after.All()) {
		switch {
		case s.before == nil:
			d.Gained.add(s.extent)
		case s.after == nil:
			d.Lost.add(s.extent)
		}
		p := pair{s.before, s.after}
		place, ok := places[p]
		if !ok {
			place = len(pairs)
			places[p], pairs, extents = place, append(pairs, p), append(extents, Extent{})
		}
		extents[place].add(s.extent)
		if s.startsBefore && !s.same {
			d.NetworksLost++
		}
		if s.startsAfter && !s.same {
			d.NetworksGained++
		}
	}
	nothing := &geo.Facts{}
	for _, field := range fields {
		moves := map[[2]string]*Extent{}
		for i, p := range pairs {
			from, to := field.Of(cmp.Or(p.before, nothing)), field.Of(cmp.Or(p.after, nothing))
			if from == to {
				continue
			}
			key := [2]string{from, to}
			if moves[key] == nil {
				moves[key] = &Extent{}
			}
			moves[key].add(extents[i])
		}
		d.Fields = append(d.Fields, fieldDifference(field.Name, moves))
	}
	return d
}

func fieldDifference(name string, moves map[[2]string]*Extent) FieldDifference {
	f := FieldDifference{Name: name, Moves: []Move{}}
	for key, extent := range moves {
		f.Moves = append(f.Moves, Move{key[0], key[1], *extent})
	}
	slices.SortFunc(f.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.total(), a.total()), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	for _, m := range f.Moves {
		f.Changed.add(m.Extent)
	}
	return f
}

// side is a network of a database while two are walked.
type side struct {
	is4      bool
	from, to point
	facts    *geo.Facts
	fresh    bool // nothing of it has been passed
}

// stretch is a range of addresses for which both databases say one thing each.
type stretch struct {
	before, after             *geo.Facts // nil: no record
	startsBefore, startsAfter bool       // a network of the database starts here
	same                      bool       // the stretch is a whole network of both
	extent                    Extent
}

// sideBySide yields the stretches of two walks, but not those where neither has a record.
func sideBySide(before, after iter.Seq2[netip.Prefix, *geo.Facts]) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		nextBefore, stopBefore := iter.Pull2(before)
		defer stopBefore()
		nextAfter, stopAfter := iter.Pull2(after)
		defer stopAfter()
		a, b := pull(nextBefore), pull(nextAfter)
		for a != nil || b != nil {
			var s stretch
			var first side
			switch {
			case b == nil || a != nil && a.endsBefore(b):
				first = *a
			case a == nil || b.endsBefore(a):
				first = *b
			case a.from.less(b.from): // they overlap from here on
				first = side{is4: a.is4, from: a.from, to: b.from.prev()}
			case b.from.less(a.from):
				first = side{is4: a.is4, from: b.from, to: a.from.prev()}
			default:
				first = *a
				if b.to.less(a.to) {
					first.to = b.to
				}
			}
			s.extent = extentOf(first.is4, first.from, first.to)
			inA, inB := a.holds(first), b.holds(first)
			if inA {
				s.before, s.startsBefore = a.facts, a.fresh
			}
			if inB {
				s.after, s.startsAfter = b.facts, b.fresh
			}
			s.same = inA && inB && a.fresh && b.fresh && a.to == first.to && b.to == first.to
			if !yield(s) {
				return
			}
			if inA {
				a = a.after(first.to, nextBefore)
			}
			if inB {
				b = b.after(first.to, nextAfter)
			}
		}
	}
}

func pull(next func() (netip.Prefix, *geo.Facts, bool)) *side {
	prefix, facts, ok := next()
	if !ok {
		return nil
	}
	from, width := toPoint(prefix.Addr()), prefix.Addr().BitLen()
	return &side{prefix.Addr().Is4(), from, from.plus(sizeOf(width - prefix.Bits())), facts, true}
}

// endsBefore reports whether all of s is before other.
func (s *side) endsBefore(other *side) bool {
	return s.is4 && !other.is4 || s.is4 == other.is4 && s.to.less(other.from)
}

// holds reports whether the range, which ends where s does or before, starts in s. A nil s holds nothing.
func (s *side) holds(first side) bool {
	return s != nil && s.is4 == first.is4 && !first.from.less(s.from) && !s.to.less(first.to)
}

// after is what remains of s after the address, or the next network.
func (s *side) after(to point, next func() (netip.Prefix, *geo.Facts, bool)) *side {
	if s.to == to {
		return pull(next)
	}
	s.from, s.fresh = to.next(), false
	return s
}

// global6 is what has been given out of IPv6 so far: the space that shares of IPv6 are measured by.
var global6 = netip.MustParsePrefix("2000::/3")

// extentOf is the part of the address space from one address to another, both included.
func extentOf(is4 bool, from, to point) Extent {
	if is4 {
		return Extent{IPv4: math.Ldexp(to.minus(from).float()+1, -32)}
	}
	first := toPoint(global6.Addr())
	last := first.plus(sizeOf(128 - global6.Bits()))
	if from.less(first) {
		from = first
	}
	if last.less(to) {
		to = last
	}
	if to.less(from) {
		return Extent{}
	}
	return Extent{IPv6: math.Ldexp(to.minus(from).float()+1, global6.Bits()-128)}
}
