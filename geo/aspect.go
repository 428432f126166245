package geo

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// aspects lays the databases over both families: in the order of the configuration, each fact from the first that knows it (join).
func (c *compiler) aspects(databases []*Database) (v4, v6 aspects, err error) {
	want := c.wanted()
	layers := [told]*layers{newLayers(c.locationOf), newLayers(networkOf)}
	for _, d := range databases {
		var tables [told]*factTable
		for i, knowledge := range []Knowledge{locationKnowledge, networkKnowledge} {
			if d.Knows&want&knowledge != 0 {
				tables[i] = layers[i].table
			}
		}
		if tables == [told]*factTable{} {
			continue
		}
		read, err := readRecords(d.records(), d.facts, tables)
		if err != nil {
			return v4, v6, fmt.Errorf("geo database %q: %w", d.Path, err)
		}
		for i, table := range tables {
			if table != nil {
				layers[i].add(read[i])
			}
		}
	}
	v4.location, v6.location = layers[byLocation].finish(c.locate)
	v4.network, v6.network = layers[byNetwork].finish(c.attach)
	return v4, v6, nil
}

// The aspects that databases tell.
const (
	byLocation = iota
	byNetwork
	told
)

const (
	locationKnowledge = KnowsContinent | KnowsCountry | KnowsSubdivision | KnowsCity | KnowsPlace
	networkKnowledge  = KnowsASN | KnowsISP
)

// wanted is what the parts of the sources in use are told by.
func (c *compiler) wanted() Knowledge {
	var want Knowledge
	for _, part := range c.parts {
		want |= part.toldBy()
	}
	if c.wantPlace {
		want |= locationKnowledge
	}
	return want
}

// locationOf is what of a record says where its clients are, as far as the sources in use ask for it.
func (c *compiler) locationOf(f *Facts) Facts {
	at := Facts{Continent: f.Continent, Country: f.Country, Subdivisions: f.Subdivisions}
	if c.wantPlace {
		at.Place = f.Place
	}
	if slices.ContainsFunc(c.parts, Selector.isCity) {
		at.City = f.City
	}
	return at
}

// networkOf is what of a record says who connects its clients.
func networkOf(f *Facts) Facts {
	return Facts{ASN: f.ASN, ISP: f.ISP, Organization: f.Organization, OrganizationOfAS: f.OrganizationOfAS}
}

// A factTable numbers facts: 0 is nothing known.
type factTable struct {
	facts   []*Facts
	numbers map[factKey]uint32
	reduce  func(*Facts) Facts
}

// factKey is Facts as a map key.
type factKey struct {
	continent, country, subdivisions string
	city                             City
	place                            Coordinates
	hasPlace                         bool
	asn                              uint32
	isp, organization                string
	organizationOfAS                 bool
}

func newFactTable(reduce func(*Facts) Facts) *factTable {
	t := &factTable{numbers: map[factKey]uint32{}, reduce: reduce}
	t.number(&Facts{})
	return t
}

func (t *factTable) number(f *Facts) uint32 {
	reduced := t.reduce(f)
	k := factKey{
		continent: reduced.Continent, country: reduced.Country, subdivisions: strings.Join(reduced.Subdivisions, " "), city: reduced.City,
		asn: reduced.ASN, isp: reduced.ISP, organization: reduced.Organization, organizationOfAS: reduced.OrganizationOfAS,
	}
	if reduced.Place != nil {
		k.place, k.hasPlace = *reduced.Place, true
	}
	n, known := t.numbers[k]
	if !known {
		n = uint32(len(t.facts))
		t.facts = append(t.facts, &reduced)
		t.numbers[k] = n
	}
	return n
}

// families are the leaves of both.
type families struct{ v4, v6 leaves }

// readRecords walks a database once: by aspect what it says, as numbers of the table of the aspect. Without a table the aspect
// has no leaves.
func readRecords(records iter.Seq2[record, error], decode func(id uintptr) (*Facts, error), tables [told]*factTable) (read [told]families, err error) {
	var builders [told][2]leafBuilder // by aspect and family
	known := map[uintptr][told]uint32{}
	for r, err := range records {
		if err != nil {
			return read, err
		}
		values, isKnown := known[r.id]
		if !isKnown {
			facts, err := decode(r.id)
			if err != nil {
				return read, fmt.Errorf("the record of %v: %w", r.prefix, err)
			}
			for i, table := range tables {
				if table != nil {
					values[i] = table.number(facts)
				}
			}
			known[r.id] = values
		}
		k, is4 := keyOf(r.prefix.Addr())
		family := 1
		if is4 {
			family = 0
		}
		for i, table := range tables {
			b := &builders[i][family]
			if table == nil {
				continue
			}
			if b.done || k.less(b.at) {
				return read, fmt.Errorf("the network %v comes after those behind it", r.prefix)
			}
			b.fill(k, false, 0)
			b.add(r.prefix.Bits(), values[i])
		}
	}
	for i, table := range tables {
		if table != nil {
			read[i] = families{builders[i][0].finish(0), builders[i][1].finish(0)}
		}
	}
	return read, nil
}

// layers are what databases say of one aspect, those that came first laid over those that came later.
type layers struct {
	table *factTable
	under families
	// By value of under: the facts that are joined there, as numbers of the table, in order. Value 0 is that of no facts.
	lists [][]uint32
	names *interner[string]
}

// newLayers makes layers that know nothing of any address.
func newLayers(reduce func(*Facts) Facts) *layers {
	l := &layers{table: newFactTable(reduce), names: newInterner[string]()}
	var nothing leafBuilder
	l.under.v4 = nothing.finish(l.number(nil))
	l.under.v6 = l.under.v4
	return l
}

// number is the number of a list of facts.
func (l *layers) number(list []uint32) uint32 {
	number := l.names.number(listName(list))
	if int(number) == len(l.lists) {
		l.lists = append(l.lists, list)
	}
	return number
}

// add lays a database, whose values are numbers of the table, under those that are there.
func (l *layers) add(d families) {
	numbers := map[[2]uint32]uint32{}
	combine := func(above, fact uint32) uint32 {
		if fact == 0 {
			return above
		}
		pair := [2]uint32{above, fact}
		n, known := numbers[pair]
		if !known {
			n = l.number(append(slices.Clone(l.lists[above]), fact))
			numbers[pair] = n
		}
		return n
	}
	l.under = families{overlay(l.under.v4, d.v4, combine), overlay(l.under.v6, d.v6, combine)}
}

// finish returns what the layers come to: each list of facts joined, and numbered as an aspect.
func (l *layers) finish(number func(*Facts) uint32) (v4, v6 leaves) {
	values := make([]uint32, len(l.lists))
	for i, list := range l.lists {
		known := make([]*Facts, len(list))
		for j, n := range list {
			known[j] = l.table.facts[n]
		}
		joined := join(known)
		values[i] = number(&joined)
	}
	return l.under.v4.relabel(values), l.under.v6.relabel(values)
}
