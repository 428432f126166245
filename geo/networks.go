package geo

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// A network is one prefix of one custom line. It holds no pointer, so that many cost the garbage collector nothing.
type network struct {
	key  key    // masked to bits
	line uint32 // index in the configured lines
	bits uint8
}

// networks are those of all lines, by family, each sorted by compareNetworks, every prefix once.
type networks struct {
	v4, v6 []network
}

// collect checks the lines and sorts their networks. It returns every problem that it finds: those of a line in
// the order of the lines, then those between lines in the order of addresses.
func collect(lines []LineOptions) (networks, []error) {
	var all networks
	var problems []error
	named := make(map[string]bool, len(lines))
	for i, line := range lines {
		switch {
		case line.Name == "":
			problems = append(problems, fmt.Errorf("custom line number %d: no name", i+1))
		case reserved(line.Name):
			problems = append(problems, fmt.Errorf("custom line %q: the name is reserved for the source that matches everybody", line.Name))
		case named[line.Name]:
			problems = append(problems, fmt.Errorf("custom line %q: there are two lines of this name", line.Name))
		}
		named[line.Name] = true
		for j, prefix := range line.Prefixes {
			if !prefix.IsValid() {
				problems = append(problems, fmt.Errorf("custom line %q: prefix number %d is not valid", line.Name, j+1))
				continue
			}
			all.add(prefix, uint32(i))
		}
	}
	for _, family := range []struct {
		nets *[]network
		is4  bool
	}{{&all.v4, true}, {&all.v6, false}} {
		nets := *family.nets
		slices.SortFunc(nets, compareNetworks)
		nets = slices.Compact(nets)
		for i := 1; i < len(nets); i++ {
			if a, b := nets[i-1], nets[i]; comparePrefixes(a, b) == 0 {
				problems = append(problems, fmt.Errorf("custom lines %q and %q: both have the prefix %v",
					lines[a.line].Name, lines[b.line].Name, a.key.prefix(int(a.bits), family.is4)))
			}
		}
		*family.nets = nets
	}
	return all, problems
}

// add puts a valid prefix of a line into its family, masked; an IPv4-mapped one is IPv4.
func (all *networks) add(prefix netip.Prefix, line uint32) {
	addr, bits := prefix.Addr(), prefix.Bits()
	if addr.Is4In6() && bits >= mappedBits {
		prefix = netip.PrefixFrom(addr.Unmap(), bits-mappedBits)
	}
	prefix = prefix.Masked()
	// A prefix wider than the mapped block is cut off inside its ffff, so it stays an IPv6 one here.
	k, is4 := keyOf(prefix.Addr())
	n := network{key: k, bits: uint8(prefix.Bits()), line: line}
	if is4 {
		all.v4 = append(all.v4, n)
	} else {
		all.v6 = append(all.v6, n)
	}
}

// around returns the networks that contain the address k, the longest first.
func (all *networks) around(k key, is4 bool) []network {
	nets, width := all.v6, 128
	if is4 {
		nets, width = all.v4, 32
	}
	var found []network
	for bits := width; bits >= 0; bits-- {
		want := network{key: k.masked(bits), bits: uint8(bits)}
		if i, ok := slices.BinarySearchFunc(nets, want, comparePrefixes); ok {
			found = append(found, nets[i])
		}
	}
	return found
}

// comparePrefixes orders by address, then the wider prefix first: a network comes right before those inside it.
func comparePrefixes(a, b network) int {
	return cmp.Or(cmp.Compare(a.key.hi, b.key.hi), cmp.Compare(a.key.lo, b.key.lo), cmp.Compare(a.bits, b.bits))
}

// compareNetworks orders like comparePrefixes, and equal prefixes by their line.
func compareNetworks(a, b network) int {
	return cmp.Or(comparePrefixes(a, b), cmp.Compare(a.line, b.line))
}
