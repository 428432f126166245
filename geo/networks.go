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
func collect(lines []LineOptions, isps []ISPOptions) (networks, []error) {
	var all networks
	var problems []error
	named := make(map[string]bool, len(lines))
	for i, line := range lines {
		switch {
		case line.Name == "":
			problems = append(problems, fmt.Errorf("custom line number %d: no name", i+1))
		case LineNameProblem(line.Name, isps) != "":
			problems = append(problems, fmt.Errorf("custom line %q: %s", line.Name, LineNameProblem(line.Name, isps)))
		case named[line.Name]:
			problems = append(problems, fmt.Errorf("custom line %q: there are two lines of this name", line.Name))
		}
		named[line.Name] = true
		for j, prefix := range line.Prefixes {
			if !prefix.IsValid() {
				problems = append(problems, fmt.Errorf("custom line %q: prefix number %d is not valid", line.Name, j+1))
				continue
			}
			if prefix = unmap(prefix.Masked()); isEmbedded(prefix) {
				problems = append(problems, fmt.Errorf("custom line %q: clients in %v are looked up by the IPv4 address that theirs holds: want IPv4 prefixes", line.Name, prefix))
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
		for i, b := range nets {
			// Lines of other ranks may stand between two of one rank.
			for j := i - 1; j >= 0 && comparePrefixes(nets[j], b) == 0; j-- {
				before, name := lines[nets[j].line].Name, lines[b.line].Name
				if SameRank(before, name) {
					problems = append(problems, fmt.Errorf("custom lines %q and %q: both have the prefix %v",
						before, name, b.key.prefix(int(b.bits), family.is4)))
					break
				}
			}
		}
		*family.nets = nets
	}
	return all, problems
}

// SameRank reports whether two lines, by their names, are of one rank in match order, such as two custom lines or two search
// engines: then no prefix can stand in both, because nothing would tell which counts first.
func SameRank(a, b string) bool { return compareSelectors(lineSelector(a), lineSelector(b)) == 0 }

// add puts a masked prefix of a line into its family.
func (all *networks) add(prefix netip.Prefix, line uint32) {
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
		i, _ := slices.BinarySearchFunc(nets, want, comparePrefixes)
		for ; i < len(nets) && comparePrefixes(nets[i], want) == 0; i++ {
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
