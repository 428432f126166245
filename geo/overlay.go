package geo

import "encoding/binary"

// An overlay lays sources over the address space and numbers the classes that come out. Classes are numbered as
// the walk meets them, and the walk goes by address, so the same networks give the same numbers whatever the
// order of the lines.
type overlay struct {
	chains  [][]uint32       // by class: the lines that match, in match order
	byChain map[string]Class // a chain as bytes -> its class
	entered map[entry]Class  // saves building a chain for each network
}

// entry is the step into a network of a line from where the class was outside.
type entry struct {
	line    uint32
	outside Class
}

func newOverlay() *overlay {
	o := &overlay{byChain: make(map[string]Class), entered: make(map[entry]Class)}
	o.class(nil) // 0: no line
	return o
}

// build returns the partition of one family into classes. The networks are sorted by comparePrefixes and differ.
func (o *overlay) build(nets []network) tree {
	var b builder
	return b.tree(o.walk(&b, nets, 0, 0))
}

// walk builds the subtree at depth whose addresses have the class outside as far as wider networks say. The
// networks are those at or below the root of this subtree, so a network of this very depth comes first and
// covers all of it.
func (o *overlay) walk(b *builder, nets []network, depth int, outside Class) word {
	if len(nets) > 0 && int(nets[0].bits) == depth {
		outside = o.enter(nets[0].line, outside)
		nets = nets[1:]
	}
	if len(nets) == 0 {
		return leafWord(uint32(outside))
	}
	right := firstRight(nets, depth)
	zero := o.walk(b, nets[:right], depth+1, outside)
	one := o.walk(b, nets[right:], depth+1, outside)
	return b.join(zero, one)
}

// firstRight returns the index of the first network whose bit at depth is one.
func firstRight(nets []network, depth int) int {
	low, high := 0, len(nets)
	for low < high {
		if mid := int(uint(low+high) / 2); nets[mid].key.bit(depth) == 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// enter returns the class inside a network of line: the line first, then the others as outside.
func (o *overlay) enter(line uint32, outside Class) Class {
	step := entry{line: line, outside: outside}
	if class, ok := o.entered[step]; ok {
		return class
	}
	chain := append(make([]uint32, 0, len(o.chains[outside])+1), line)
	for _, other := range o.chains[outside] {
		if other != line {
			chain = append(chain, other)
		}
	}
	class := o.class(chain)
	o.entered[step] = class
	return class
}

// class returns the number of a chain.
func (o *overlay) class(chain []uint32) Class {
	name := make([]byte, 0, 4*len(chain))
	for _, line := range chain {
		name = binary.BigEndian.AppendUint32(name, line)
	}
	if class, ok := o.byChain[string(name)]; ok {
		return class
	}
	class := Class(len(o.chains))
	o.chains = append(o.chains, chain)
	o.byChain[string(name)] = class
	return class
}
