package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Input is what [Compile] lays over the address space.
type Input struct {
	// Lines are the lists of prefixes of the configuration; all of them are told apart.
	Lines []LineOptions
	// ISPs add to the providers that gtmd knows, or replace them.
	ISPs []ISPOptions
	// Databases in the order of the configuration: where several know something, the first counts (see Facts).
	Databases []*Database
	// Selectors are the sources in use. Only these, and the lines, are told apart, so a Map is as large as what is asked of it.
	Selectors []Selector
	// Places tells clients apart by where they are, too.
	Places bool
}

// Compile makes the Map of an input. The order of lines, of the prefixes in them and of the selectors does not matter.
// Prefixes are masked; an IPv4-mapped prefix is the IPv4 prefix that it holds. A line may hold a prefix twice, and may have
// no prefix; then it matches nothing. No input at all gives a Map in which every address has the class 0.
//
// The error joins (see [errors.Join]) everything that is wrong: a name of a line that is missing, reserved or used twice, a
// prefix that is not valid, stands in two lines of a kind, or is one of NAT64, 6to4 or Teredo (see [Plan.Lookup]), a provider
// that makes no sense; when nothing of that is, the first database that cannot be read to its end.
func Compile(in Input) (*Map, error) { return compile(in, int(notEmbedded)) }

// compile is Compile with the most classes that there may be.
func compile(in Input, maxClasses int) (*Map, error) {
	custom, problems := collect(in.Lines, in.ISPs)
	isps, err := newISPTable(in.ISPs)
	if err != nil {
		problems = append(problems, err)
	}
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	m := &Map{isps: isps, custom: custom, databases: slices.Clone(in.Databases)}
	for _, line := range in.Lines {
		m.lines = append(m.lines, lineSelector(line.Name))
	}
	m.sources = sortedSources(in.Selectors)
	c := newCompiler(m, in.Places)
	v4, v6, err := c.aspects(in.Databases)
	if err != nil {
		return nil, err
	}
	v4.lines, v6.lines = c.nests.lay(custom.v4), c.nests.lay(custom.v6)
	classes4, classes6 := c.classesOf(v4), c.classesOf(v6)
	m.places = c.places.values
	if len(m.members) > maxClasses {
		return nil, fmt.Errorf("the sources in use make %d classes of clients, want at most %d: use fewer sources, or coarser ones",
			len(m.members), maxClasses)
	}
	m.classes = newPartition(classes4, classes6, 0)
	return m, nil
}

// sortedSources returns the sources but Global in match order, each once.
func sortedSources(selectors []Selector) []Selector {
	sources := slices.DeleteFunc(slices.Clone(selectors), func(s Selector) bool { return s == Global })
	slices.SortFunc(sources, func(a, b Selector) int {
		if order := compareSelectors(a, b); order != 0 {
			return order
		}
		return strings.Compare(a.String(), b.String())
	})
	return slices.Compact(sources)
}

// aspects are the partitions of one family that make up its classes when they are laid over each other: the lines, where
// clients are, and who connects them.
type aspects struct {
	lines, location, network leaves
}

// compiler numbers what it meets, in the order of the walk, and the walk goes by address: so the same input gives the same
// numbers.
type compiler struct {
	m         *Map
	wantPlace bool
	// What the sources in use that are not lines are told by: their parts, each once, and by source the indexes of its parts.
	parts []Selector
	needs [][]int
	nests *nests
	// The location and network aspects by value.
	location *interner[located]
	network  *interner[string]
	// By location and by network: some facts that come to it, for the order of sources.
	locationFacts, networkFacts []*Facts
	places                      *interner[Coordinates]
	// Classes by the three aspects, and chains by their sources.
	classes map[[3]uint32]uint32
	members map[member]uint32
	chains  *interner[string]
	// The last class, because neighbours are often alike.
	last      [3]uint32
	lastClass uint32
}

// located is what the location of a client comes to: the parts that it matches (see matched), and its place.
type located struct {
	parts string
	place uint32 // index of Map.places plus one; 0: not known, or not asked for
}

func newCompiler(m *Map, places bool) *compiler {
	c := &compiler{
		m: m, wantPlace: places, nests: newNests(m.lines), needs: make([][]int, len(m.sources)),
		location: newInterner[located](), network: newInterner[string](), places: newInterner[Coordinates](),
		classes: map[[3]uint32]uint32{}, members: map[member]uint32{}, chains: newInterner[string](),
	}
	for i, source := range m.sources {
		if source.isLine() {
			continue
		}
		for _, part := range source.parts() {
			at := slices.Index(c.parts, part)
			if at < 0 {
				at = len(c.parts)
				c.parts = append(c.parts, part)
			}
			c.needs[i] = append(c.needs[i], at)
		}
	}
	// Nothing known is 0 in every aspect, and the class 0.
	c.locate(&Facts{})
	c.attach(&Facts{})
	c.class([3]uint32{})
	return c
}

// matched lists the parts of the wanted kind that the facts match, in match order: four octets for the index of each.
func (c *compiler) matched(f *Facts, location bool) string {
	var found []uint32
	for i, part := range c.parts {
		if part.isLocation() == location && part.matches(f, c.m.isps) {
			found = append(found, uint32(i))
		}
	}
	slices.SortStableFunc(found, func(i, j uint32) int { return c.parts[i].compare(c.parts[j], f, c.m.isps) })
	return listName(found)
}

// locate is the number of the location aspect of what is known.
func (c *compiler) locate(f *Facts) uint32 {
	at := located{parts: c.matched(f, true)}
	if c.wantPlace && f.Place != nil {
		at.place = c.places.number(*f.Place) + 1
	}
	n := c.location.number(at)
	if int(n) == len(c.locationFacts) {
		c.locationFacts = append(c.locationFacts, f)
	}
	return n
}

// attach is the number of the network aspect of what is known.
func (c *compiler) attach(f *Facts) uint32 {
	n := c.network.number(c.matched(f, false))
	if int(n) == len(c.networkFacts) {
		c.networkFacts = append(c.networkFacts, f)
	}
	return n
}

// classesOf lays the aspects of one family over each other.
func (c *compiler) classesOf(a aspects) leaves {
	// Two at a time: pairs are numbered as they come.
	pairs := newInterner[[2]uint32]()
	both := overlay(a.location, a.network, func(x, y uint32) uint32 { return pairs.number([2]uint32{x, y}) })
	return overlay(a.lines, both, func(nest, pair uint32) uint32 {
		p := pairs.values[pair]
		return c.class([3]uint32{nest, p[0], p[1]})
	})
}

// class is the number of the class of three aspects.
func (c *compiler) class(of [3]uint32) uint32 {
	if of == c.last && len(c.classes) > 0 {
		return c.lastClass
	}
	class, known := c.classes[of]
	if !known {
		who := member{chain: c.chain(of), place: c.location.values[of[1]].place}
		if class, known = c.members[who]; !known {
			class = uint32(len(c.m.members))
			c.m.members = append(c.m.members, who)
			c.members[who] = class
		}
		c.classes[of] = class
	}
	c.last, c.lastClass = of, class
	return class
}

// chain is the number of the chain of three aspects: the lines, and behind them, because every line counts before every other
// source, the sources whose parts all match.
func (c *compiler) chain(of [3]uint32) uint32 {
	has := make([]bool, len(c.parts))
	for _, parts := range []string{c.location.values[of[1]].parts, c.network.values[of[2]]} {
		for ; parts != ""; parts = parts[4:] {
			has[binary.BigEndian.Uint32([]byte(parts[:4]))] = true
		}
	}
	lines := c.nests.chains[of[0]]
	chain := slices.Clone(lines)
	for i, source := range c.m.sources {
		if c.needs[i] != nil && !slices.ContainsFunc(c.needs[i], func(part int) bool { return !has[part] }) {
			chain = append(chain, source)
		}
	}
	facts := *c.networkFacts[of[2]]
	facts.Subdivisions = c.locationFacts[of[1]].Subdivisions
	slices.SortStableFunc(chain[len(lines):], func(a, b Selector) int { return a.compare(b, &facts, c.m.isps) })
	var name []byte
	for _, source := range chain {
		name = append(name, source.String()...)
		name = append(name, 0)
	}
	number := c.chains.number(string(name))
	if int(number) == len(c.m.chains) {
		c.m.chains = append(c.m.chains, chain)
	}
	return number
}
