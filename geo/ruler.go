package geo

import "math"

// A Ruler tells how far places are from other points in whole kilometres: [Distance], rounded half away from zero, in a
// fraction of its time. Immutable and safe for concurrent use.
type Ruler struct {
	places []Coordinates
	// points are the places on a sphere with the radius 1.
	points []point
}

// point is one of three dimensions.
type point struct{ x, y, z float64 }

// NewRuler makes one for places. The caller must not change them afterwards.
func NewRuler(places []Coordinates) *Ruler {
	r := &Ruler{places: places, points: make([]point, len(places))}
	for i, place := range places {
		r.points[i] = place.point()
	}
	return r
}

func (c Coordinates) point() point {
	const degree = math.Pi / 180
	sinLat, cosLat := math.Sincos(c.Latitude * degree)
	sinLon, cosLon := math.Sincos(c.Longitude * degree)
	return point{cosLat * cosLon, cosLat * sinLon, sinLat}
}

// Measure sets dst, by place, to how far each of the places is from a point: dst is as long as the places.
func (r *Ruler) Measure(dst []uint16, from Coordinates) {
	p := from.point()
	for i := range dst {
		dst[i] = r.kilometres(i, p, from)
	}
}

// Kilometres is how far place number i is from a point.
func (r *Ruler) Kilometres(i int, from Coordinates) uint16 {
	return r.kilometres(i, from.point(), from)
}

// nearHalf is how near to half a kilometre more than a whole one the chord does not decide how to round: it is off by at
// most 0.3 m, next to the antipodes, and so is the haversine formula.
const nearHalf = 0.01

func (r *Ruler) kilometres(i int, p point, from Coordinates) uint16 {
	q := &r.points[i]
	x, y, z := p.x-q.x, p.y-q.y, p.z-q.z
	distance := 2 * earthRadius * math.Asin(min(1, math.Sqrt(x*x+y*y+z*z)/2))
	whole := math.Floor(distance)
	if over := distance - whole - 0.5; over > nearHalf || over < -nearHalf {
		return uint16(math.Round(distance))
	}
	return uint16(math.Round(Distance(r.places[i], from)))
}
