package view

import (
	"encoding/binary"
	"math"
	"slices"

	"gtmd/geo"
	"gtmd/policy"
)

// distances are how far the pools of a View are from each place where clients are. They are worked out once in a Build, for
// all instances together, and kept for those that Replace makes from it. Immutable after Build.
type distances struct {
	// sites numbers the places, and isKnown says of which somebody knows where they are.
	sites   *sites
	isKnown []bool
	rule    *geo.Ruler
	// columns are the distances to a location by site; of locations that came when there was no room there are none.
	columns map[geo.Coordinates][]kilometres
	// room is how many more distances may be kept.
	room int
}

// maxDistances bounds what is kept: 1000 locations for 32,000 places, in 64 MiB.
const maxDistances = 32 << 20

// kilometres are in whole units; at most half of the way around the Earth, or far.
type kilometres = uint16

// far is the distance of a pool or a client of whom nobody knows where it is.
const far kilometres = math.MaxUint16

func newDistances(m *geo.Map, s *sites) *distances {
	d := &distances{sites: s, isKnown: make([]bool, s.count), columns: map[geo.Coordinates][]kilometres{}, room: maxDistances}
	places := make([]geo.Coordinates, s.count)
	for i, class := range s.first {
		places[i], d.isKnown[i] = m.Place(class)
	}
	d.rule = geo.NewRuler(places)
	return d
}

// distancesTo are the distances of the View that is built, with those of the pools of some contests.
func (b *builder) distancesTo(all [][]contest) *distances {
	if b.distances == nil {
		b.distances = newDistances(b.input.Map, b.sitesFor(false))
	}
	for _, contests := range all {
		for _, c := range contests {
			for _, pool := range c {
				b.distances.keep(pool)
			}
		}
	}
	return b.distances
}

// standings returns what appends the standing of each contest of policy p for the clients of a class.
func (g *gauge) standings(all [][]contest) func(dst []byte, p int, c geo.Class) []byte {
	if g.distances == nil {
		return func(dst []byte, p int, c geo.Class) []byte {
			for _, pools := range all[p] {
				dst = g.appendStanding(dst, c, pools)
			}
			return dst
		}
	}
	columns, most := make([][][]column, len(all)), 0
	for p := range all {
		for _, pools := range all[p] {
			columns[p] = append(columns[p], g.distances.columnsOf(pools))
			most = max(most, len(pools))
		}
	}
	scratch := make([]uint64, most)
	return func(dst []byte, p int, c geo.Class) []byte {
		for _, of := range columns[p] {
			dst = g.distances.appendStanding(dst, of, g.distances.sites.of[c], scratch[:len(of)])
		}
		return dst
	}
}

// column is how far one pool is from each site.
type column struct {
	location *policy.Location
	known    []kilometres // by site; nil: not kept
}

// column returns that of a pool, with what is kept.
func (d *distances) column(pool *policy.Pool) column {
	if pool.Location == nil {
		return column{}
	}
	return column{pool.Location, d.columns[geo.Coordinates(*pool.Location)]}
}

func (d *distances) columnsOf(pools []*policy.Pool) []column {
	columns := make([]column, len(pools))
	for i, pool := range pools {
		columns[i] = d.column(pool)
	}
	return columns
}

// keep works out the distances of a pool, if there is room for them.
func (d *distances) keep(pool *policy.Pool) {
	if pool.Location == nil || len(d.isKnown) > d.room {
		return
	}
	location := geo.Coordinates(*pool.Location)
	if d.columns[location] != nil {
		return
	}
	known := make([]kilometres, len(d.isKnown))
	d.rule.Measure(known, location)
	for i := range known {
		if !d.isKnown[i] {
			known[i] = far
		}
	}
	d.columns[location] = known
	d.room -= len(known)
}

func (d *distances) measure(site int32, location geo.Coordinates) kilometres {
	if !d.isKnown[site] {
		return far
	}
	return d.rule.Kilometres(int(site), location)
}

// of is how far the pool of a column is from a site.
func (d *distances) of(c column, site int32) kilometres {
	switch {
	case c.known != nil:
		return c.known[site]
	case c.location == nil:
		return far
	}
	return d.measure(site, geo.Coordinates(*c.location))
}

// appendStanding appends the order of the pools of some columns at a site: that of [ranks]. Scratch is overwritten, and as
// long as the columns.
func (d *distances) appendStanding(dst []byte, columns []column, site int32, scratch []uint64) []byte {
	for i, c := range columns {
		scratch[i] = uint64(d.of(c, site))<<32 | uint64(i)
	}
	slices.Sort(scratch)
	before := far
	for _, pool := range scratch {
		distance, tied := kilometres(pool>>32), uint64(0)
		if distance == before && distance != far {
			tied = 1
		}
		dst, before = binary.AppendUvarint(dst, pool&math.MaxUint32<<1|tied), distance
	}
	return dst
}

// appendNearest appends which of some pools are nearest to a site: one bit for each. When nobody knows how far any of them
// is that is the first.
func (d *distances) appendNearest(dst []byte, columns []column, site int32) []byte {
	start, least := len(dst), far
	for i, c := range columns {
		if i%8 == 0 {
			dst = append(dst, 0)
		}
		switch distance := d.of(c, site); {
		case distance < least:
			clear(dst[start:])
			least = distance
			fallthrough
		case distance == least && least != far || i == 0:
			dst[len(dst)-1] |= 1 << (i % 8)
		}
	}
	return dst
}
