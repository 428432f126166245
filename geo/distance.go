package geo

import "math"

// Coordinates are a point on the Earth, in degrees (WGS 84): latitude north positive, longitude east positive.
type Coordinates struct {
	Latitude, Longitude float64
}

// earthRadius is the mean radius of the Earth in kilometres (IUGG).
const earthRadius = 6371.0088

// Distance is the length of the great circle between two points in kilometres, by the haversine formula on a sphere: within
// 0.6 % of the distance on the ellipsoid.
func Distance(a, b Coordinates) float64 {
	const degree = math.Pi / 180
	sinLat := math.Sin((b.Latitude - a.Latitude) * degree / 2)
	sinLon := math.Sin((b.Longitude - a.Longitude) * degree / 2)
	h := sinLat*sinLat + math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
}
