package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
	custom, problems := collect(in.Lines)
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
		return compareTexts(a.String(), b.String())
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
	// By location: some facts that come to it, for the order of sources.
	facts  []*Facts
	places *interner[Coordinates]
	// Classes by the three aspects, and chains by their sources.
	classes map[[3]uint32]uint32
	members map[member]uint32
	chains  map[string]uint32
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
		classes: map[[3]uint32]uint32{}, members: map[member]uint32{}, chains: map[string]uint32{},
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
	var found []int
	for i, part := range c.parts {
		if part.isLocation() == location && part.matches(f, c.m.isps) {
			found = append(found, i)
		}
	}
	slices.SortStableFunc(found, func(i, j int) int { return c.parts[i].compare(c.parts[j], f) })
	name := make([]byte, 0, 4*len(found))
	for _, i := range found {
		name = binary.BigEndian.AppendUint32(name, uint32(i))
	}
	return string(name)
}

// locate is the number of the location aspect of what is known.
func (c *compiler) locate(f *Facts) uint32 {
	at := located{parts: c.matched(f, true)}
	if c.wantPlace && f.Place != nil {
		at.place = c.places.number(*f.Place) + 1
	}
	n := c.location.number(at)
	if int(n) == len(c.facts) {
		c.facts = append(c.facts, f)
	}
	return n
}

// attach is the number of the network aspect of what is known.
func (c *compiler) attach(f *Facts) uint32 { return c.network.number(c.matched(f, false)) }

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
	slices.SortStableFunc(chain[len(lines):], func(a, b Selector) int { return a.compare(b, c.facts[of[1]]) })
	var name []byte
	for _, source := range chain {
		name = append(name, source.String()...)
		name = append(name, 0)
	}
	number, known := c.chains[string(name)]
	if !known {
		number = uint32(len(c.m.chains))
		c.m.chains = append(c.m.chains, chain)
		c.chains[string(name)] = number
	}
	return number
}

// An interner numbers values in the order in which they come.
type interner[T comparable] struct {
	values  []T
	numbers map[T]uint32
}

func newInterner[T comparable]() *interner[T] { return &interner[T]{numbers: map[T]uint32{}} }

func (in *interner[T]) number(value T) uint32 {
	n, known := in.numbers[value]
	if !known {
		n = uint32(len(in.values))
		in.values = append(in.values, value)
		in.numbers[value] = n
	}
	return n
}

// nests numbers the lists of lines that contain an address, in match order: of one rank the longest prefix first.
type nests struct {
	lines   []Selector
	chains  [][]Selector
	numbers map[string]uint32
	entered map[[2]uint32]uint32 // line and the nest outside -> the nest inside
	inside  [][]uint32           // by nest: the lines, the longest prefix first
}

func newNests(lines []Selector) *nests {
	n := &nests{lines: lines, numbers: map[string]uint32{}, entered: map[[2]uint32]uint32{}}
	n.number(nil) // 0: no line
	return n
}

// lay returns the partition of one family into nests. The networks are sorted by compareNetworks and differ.
func (n *nests) lay(nets []network) leaves {
	type open struct {
		end   key
		toEnd bool
		nest  uint32
	}
	var b leafBuilder
	stack := []open{{toEnd: true}}
	closeUntil := func(at key) {
		for top := stack[len(stack)-1]; !top.toEnd && !at.less(top.end); top = stack[len(stack)-1] {
			b.fill(top.end, false, top.nest)
			stack = stack[:len(stack)-1]
		}
	}
	for _, net := range nets {
		closeUntil(net.key)
		outside := stack[len(stack)-1].nest
		b.fill(net.key, false, outside)
		end, toEnd := net.key.after(int(net.bits))
		stack = append(stack, open{end: end, toEnd: toEnd, nest: n.enter(net.line, outside)})
	}
	for i := len(stack) - 1; i >= 0; i-- {
		b.fill(stack[i].end, stack[i].toEnd, stack[i].nest)
	}
	return b.leaves
}

// enter returns the nest inside a network of line: the line first, then the others as outside.
func (n *nests) enter(line, outside uint32) uint32 {
	step := [2]uint32{line, outside}
	nest, known := n.entered[step]
	if !known {
		inside := []uint32{line}
		for _, other := range n.inside[outside] {
			if other != line {
				inside = append(inside, other)
			}
		}
		nest = n.number(inside)
		n.entered[step] = nest
	}
	return nest
}

// number returns the number of a nest.
func (n *nests) number(inside []uint32) uint32 {
	var name []byte
	for _, line := range inside {
		name = binary.BigEndian.AppendUint32(name, line)
	}
	nest, known := n.numbers[string(name)]
	if !known {
		nest = uint32(len(n.chains))
		n.numbers[string(name)] = nest
		n.inside = append(n.inside, inside)
		n.chains = append(n.chains, n.chainOf(inside))
	}
	return nest
}

// chainOf lists the selectors of lines, and their parents, in match order.
func (n *nests) chainOf(inside []uint32) []Selector {
	var chain []Selector
	add := func(s Selector) {
		if s != Global && !slices.Contains(chain, s) {
			chain = append(chain, s)
		}
	}
	for _, line := range inside {
		add(n.lines[line])
		add(n.lines[line].parent())
	}
	slices.SortStableFunc(chain, compareSelectors)
	return chain
}
