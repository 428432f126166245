// Package geo finds the access policy for the address of a client, and how widely that answer holds.
//
// Data moves through it once per configuration and once per query:
//
//	[]LineOptions -> Compile -> Map  -> Plan([][]Selector) -> Plan
//	                 address -> Map.Lookup  -> class,  depth
//	                 address -> Plan.Lookup -> policy, scope
//
// Compile lays every request source over the address space in one walk and cuts the space into a partition: a
// binary tree for each family in which every address reaches exactly one leaf, and in which two equal leaves
// that are neighbours are one. A leaf holds a [Class]: a small number that stands for "these sources match
// here, in this order". Plan gives each class to one of the policies of an instance and merges the leaves
// again. The depth of a leaf of a plan is therefore the EDNS Client Subnet scope (RFC 7871 section 7.2.1), exact
// by construction: with 10.0.0.0/8 and 10.1.0.0/16 under two policies, 10.2.3.4 has the scope 15 and not 8,
// because a resolver that kept its answer for 10.0.0.0/8 would serve it to 10.1.0.0/16 too.
//
// A Map and a Plan never change: any number of goroutines may use them. Their trees and networks hold no pointer,
// so the garbage collector does not scan them, however large they are.
package geo

import (
	"errors"
	"net/netip"
	"slices"
)

// A Class stands for one ordered set of request sources that match an address. Two addresses have the same
// class exactly when the same sources match them in the same order. Class 0 is matched by [Global] only; the
// others count up from 1 and are at most as many as the networks. A class means nothing outside its Map.
type Class uint32

// A Map knows which request sources match an address. [Compile] makes it. It is immutable and safe for
// concurrent use.
type Map struct {
	classes partition
	// By class: the lines that match, in match order, as indices of lines.
	chains [][]uint32
	lines  []Selector
	// The networks as they were configured, for Matches.
	custom networks
}

// Compile makes the Map of the custom lines. The order of lines, and of the prefixes in them, does not matter.
// Prefixes are masked, and an IPv4-mapped IPv6 prefix (RFC 4291 section 2.5.5.2) is the IPv4 prefix that it
// holds. A line may hold a prefix twice, and may have no prefix; then it matches nothing. No line at all gives a
// Map in which every address has the class 0.
//
// The error joins (see [errors.Join]) everything that is wrong with the lines: a name that is missing, reserved
// for [Global] or used twice, and a prefix that is not valid or stands in two lines.
func Compile(lines []LineOptions) (*Map, error) {
	custom, problems := collect(lines)
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	o := newOverlay()
	classes := partition{v4: o.build(custom.v4), v6: o.build(custom.v6)}
	m := &Map{classes: classes, chains: o.chains, custom: custom}
	for _, line := range lines {
		m.lines = append(m.lines, Selector{kind: kindLine, name: line.Name})
	}
	return m, nil
}

// Lookup returns the class of addr and the depth of its leaf: the length of the widest prefix around addr, in
// its own family, in which every address has that class. An IPv4-mapped IPv6 address is looked up as the IPv4
// address that it holds, and the depth is an IPv4 one. A zone is ignored. The zero Addr gives class 0 and
// depth 0. Lookup does not allocate.
func (m *Map) Lookup(addr netip.Addr) (Class, int) {
	class, depth := m.classes.lookup(addr)
	return Class(class), depth
}

// A Match is one request source that matches an address.
type Match struct {
	Selector Selector
	// Prefix is the network by which the source matches; for Global it is 0.0.0.0/0 or ::/0.
	Prefix netip.Prefix
}

// Matches returns the sources that match addr in match order (BEHAVIOUR.md section 5): custom lines, the longest
// prefix first, then [Global]. A line with several networks around addr is listed once, by the longest. An
// address is unmapped as Lookup does it. The zero Addr is matched by Global only, with the zero Prefix. Matches
// is for explanations: it allocates, and is slower than Lookup. The caller owns the slice.
func (m *Map) Matches(addr netip.Addr) []Match {
	if !addr.IsValid() {
		return []Match{{Selector: Global}}
	}
	var matches []Match
	k, is4 := keyOf(addr)
	for _, n := range m.custom.around(k, is4) {
		source := m.lines[n.line]
		if slices.ContainsFunc(matches, func(seen Match) bool { return seen.Selector == source }) {
			continue
		}
		matches = append(matches, Match{Selector: source, Prefix: n.key.prefix(int(n.bits), is4)})
	}
	return append(matches, Match{Selector: Global, Prefix: key{}.prefix(0, is4)})
}
