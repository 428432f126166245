package geo

import "slices"

// nests numbers the lists of lines that contain an address, in match order: of one rank the longest prefix first.
type nests struct {
	lines   []Selector
	chains  [][]Selector
	names   *interner[string]
	entered map[[2]uint32]uint32 // line and the nest outside -> the nest inside
	inside  [][]uint32           // by nest: the lines, the longest prefix first
}

func newNests(lines []Selector) *nests {
	n := &nests{lines: lines, names: newInterner[string](), entered: map[[2]uint32]uint32{}}
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
	nest := n.names.number(listName(inside))
	if int(nest) == len(n.chains) {
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
