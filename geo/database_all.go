package geo

import (
	"iter"
	"net/netip"
)

// All yields the networks that have a record with what is known of them, which may be nothing: those of IPv4 first (as IPv4
// prefixes), each family in address order, disjoint. Networks with the same record share one Facts. It may be called by
// several goroutines.
func (d *Database) All() iter.Seq2[netip.Prefix, *Facts] {
	return func(yield func(netip.Prefix, *Facts) bool) {
		known := map[uintptr]*Facts{}
		for r, err := range d.records() {
			if err != nil {
				return // every record was read when the database was: see ReadDatabase
			}
			f := known[r.id]
			if f == nil {
				if f, err = d.facts(r.id); err != nil {
					return
				}
				known[r.id] = f
			}
			if !yield(r.prefix, f) {
				return
			}
		}
	}
}
