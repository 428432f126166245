// Package geo finds what a client gets by where it is, and how widely that answer holds.
//
// Data moves through it once per configuration or database, and once per query:
//
//	Input (lines, databases, sources in use) -> Compile -> Map
//	Map.Assign(policies) or any other labels by class -> Map.Plan -> Plan
//	address -> Plan.Lookup -> label, scope
//
// Compile lays every request source over the address space and cuts the space into a partition: a
// binary tree for each family in which every address reaches exactly one leaf, and in which two equal leaves
// that are neighbours are one. A leaf holds a [Class]: a small number that stands for "these sources match
// here, in this order". Plan gives each class a label, such as the policy of an instance, and merges the leaves
// again. The depth of a leaf of a plan is therefore the EDNS Client Subnet scope (RFC 7871 section 7.2.1), exact
// by construction: with 10.0.0.0/8 and 10.1.0.0/16 under two policies, 10.2.3.4 has the scope 15 and not 8,
// because a resolver that kept its answer for 10.0.0.0/8 would serve it to 10.1.0.0/16 too.
//
// While it is compiled a partition is a list of leaves in address order (leaves.go): lists are laid over each other in one
// walk. Look-ups use a trie (trie.go). What databases say is facts.go, which clients a source means is selector.go, the
// sources with a name are lines.go.
//
// A Map and a Plan never change: any number of goroutines may use them. Their tries hold no pointer, so the garbage
// collector does not scan them, however large they are.
package geo

import (
	"net/netip"
	"slices"
)

// A Class stands for one ordered set of request sources that match an address and, where that is asked for, one place. Two
// addresses have the same class exactly when these are the same. Class 0 is matched by [Global] only and has no place; the
// others count up from 1. A class means nothing outside its Map.
type Class uint32

// A Map knows which request sources match an address. [Compile] makes it. It is immutable and safe for
// concurrent use.
type Map struct {
	classes partition
	members []member // by class
	// The lists of sources that match somewhere, each in match order, without Global.
	chains [][]Selector
	places []Coordinates
	// What Matches and Records look into.
	sources   []Selector // those in use, in match order
	isps      ispTable
	lines     []Selector // by line of the configuration
	custom    networks
	databases []*Database
}

// member says what a class stands for.
type member struct {
	chain uint32 // index of chains
	place uint32 // index of places plus one; 0: not known, or not asked for
}

// Lookup returns the class of addr and the length of the widest prefix around addr, in its own family, in which every address
// has that class. An IPv6 address that holds an IPv4 address has the class of that: see [Plan.Lookup]. A zone is
// ignored. The zero Addr gives class 0 and depth 0. Lookup does not allocate.
func (m *Map) Lookup(addr netip.Addr) (Class, int) {
	class, depth := m.classes.lookup(addr)
	return Class(class), depth
}

// Classes is the number of classes; they are 0 to Classes()-1.
func (m *Map) Classes() int { return len(m.members) }

// Chain returns the sources that match the addresses of a class in match order, without [Global]. The caller must not change it.
func (m *Map) Chain(c Class) []Selector { return m.chains[m.members[c].chain] }

// Place returns where the clients of a class are; false when that is not known, or the Map was not asked to tell.
func (m *Map) Place(c Class) (Coordinates, bool) {
	if i := m.members[c].place; i > 0 {
		return m.places[i-1], true
	}
	return Coordinates{}, false
}

// Databases are those that the Map was compiled from, in order. The caller must not change it.
func (m *Map) Databases() []*Database { return m.databases }

// A Match is one request source that matches an address.
type Match struct {
	Selector Selector
	// Prefix is the network by which the source matches; for Global it is 0.0.0.0/0 or ::/0.
	Prefix netip.Prefix
	// Database is where it comes from; nil for a line and for Global.
	Database *Database
}

// Matches returns the sources that match addr in match order (BEHAVIOUR.md section 5): those that the Map was compiled for,
// and every line of the configuration; [Global] is the last. A line with several networks around addr is listed once,
// by the longest. Of an IPv6 address that holds an IPv4 address the sources of that are listed. The zero Addr is matched by
// Global only, with the zero Prefix. Matches is for explanations: it allocates, and is slower than Lookup. The caller owns
// the slice.
func (m *Map) Matches(addr netip.Addr) []Match {
	if !addr.IsValid() {
		return []Match{{Selector: Global}}
	}
	addr = Unfold(addr)
	k, is4 := keyOf(addr)
	var matches []Match
	add := func(match Match) {
		if !slices.ContainsFunc(matches, func(seen Match) bool { return seen.Selector == match.Selector }) {
			matches = append(matches, match)
		}
	}
	for _, n := range m.custom.around(k, is4) {
		match := Match{Selector: m.lines[n.line], Prefix: n.key.prefix(int(n.bits), is4)}
		add(match)
		if match.Selector = match.Selector.parent(); match.Selector != Global {
			add(match)
		}
	}
	records := m.Records(addr)
	facts := joinRecords(records)
	for _, source := range m.sources {
		if !source.isLine() && source.matches(&facts, m.isps) {
			add(origin(source, records, m.isps))
		}
	}
	// Of the lines of one rank the longest prefix first, as they come.
	slices.SortStableFunc(matches, func(a, b Match) int {
		if order := compareSelectors(a.Selector, b.Selector); order != 0 || a.Selector.isLine() {
			return order
		}
		return a.Selector.compare(b.Selector, &facts, m.isps)
	})
	return append(matches, Match{Selector: Global, Prefix: key{}.prefix(0, is4)})
}

// origin says where a match comes from: for each part of the source the first database that tells it by itself, else the first
// that knows something of the kind; of several the one with the longest prefix.
func origin(source Selector, records []Record, isps ispTable) Match {
	match := Match{Selector: source}
	take := func(r Record) {
		if match.Database == nil || r.Prefix.Bits() > match.Prefix.Bits() {
			match.Prefix, match.Database = r.Prefix, r.Database
		}
	}
	for _, part := range source.parts() {
		i := slices.IndexFunc(records, func(r Record) bool { return part.matches(r.Facts, isps) })
		if i < 0 {
			i = slices.IndexFunc(records, func(r Record) bool { return r.Facts.Knows()&part.toldBy() != 0 })
		}
		if i >= 0 {
			take(records[i])
		}
	}
	return match
}

// A Record is what one database says of an address.
type Record struct {
	Database *Database
	// Prefix is the network that it says it of.
	Prefix netip.Prefix
	Facts  *Facts
}

// Records returns what each database says of addr, in the order of the configuration. Of an IPv6 address that holds an IPv4
// address it is what they say of that. The zero Addr has no records. Records is for explanations. The caller owns the slice.
func (m *Map) Records(addr netip.Addr) []Record {
	if !addr.IsValid() {
		return nil
	}
	addr = Unfold(addr)
	var records []Record
	for _, d := range m.databases {
		facts, prefix := d.Lookup(addr)
		records = append(records, Record{Database: d, Prefix: prefix, Facts: facts})
	}
	return records
}

func joinRecords(records []Record) Facts {
	known := make([]*Facts, len(records))
	for i, r := range records {
		known[i] = r.Facts
	}
	return join(known)
}

// A Share is how much of the address space of each family something is, 0 to 1: of all of IPv4, and of the global unicast
// addresses 2000::/3 of IPv6 (RFC 4291 section 2.4) without those that hold an IPv4 address.
type Share struct {
	IPv4, IPv6 float64
}

// Shares returns the share of each class, by class. They come to 1 in each family.
func (m *Map) Shares() []Share {
	shares := make([]Share, len(m.members))
	m.classes.all(func(prefix netip.Prefix, class uint32) bool {
		if prefix.Addr().Is4() {
			shares[class].IPv4 += portion(prefix.Bits())
		} else if unicast.Overlaps(prefix) {
			shares[class].IPv6 += portion(max(prefix.Bits()-unicast.Bits(), 0))
		}
		return true
	})
	// 6to4 and Teredo, of which the partition has one class or none.
	if m.classes.v4.isConstant() {
		shares[m.classes.v4.top.value()].IPv6 -= holding
	}
	for class := range shares {
		shares[class].IPv6 /= 1 - holding
	}
	return shares
}

var unicast = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20}), 3)

// portion is the share of its space that a prefix is.
func portion(bits int) float64 {
	return 1 / float64(uint64(1)<<min(bits, 63)) / float64(uint64(1)<<max(bits-63, 0))
}
