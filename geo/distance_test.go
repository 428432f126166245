package geo

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestDistance(t *testing.T) {
	half := math.Pi * earthRadius // from pole to pole
	for _, tc := range []struct {
		name string
		a, b Coordinates
		want float64 // kilometres
		off  float64 // at most
	}{
		{"the same point", Coordinates{31.2, 121.5}, Coordinates{31.2, 121.5}, 0, 0},
		// Distances on the ellipsoid (WGS 84, Karney's GeodSolve): the sphere is within 0.6 % of them.
		{"Paris to New York", Coordinates{48.8566, 2.3522}, Coordinates{40.7128, -74.0060}, 5852.9, 35},
		{"Beijing to Guangzhou", Coordinates{39.9042, 116.4074}, Coordinates{23.1291, 113.2644}, 1883, 12},
		{"a degree along a meridian", Coordinates{0, 10}, Coordinates{1, 10}, 110.574, 0.7},
		{"a degree along the equator", Coordinates{0, 10}, Coordinates{0, 11}, 111.319, 0.7},
		{"pole to pole", Coordinates{90, 0}, Coordinates{-90, 0}, half, 1e-6},
		{"a pole has every longitude", Coordinates{90, 10}, Coordinates{90, -120}, 0, 1e-6},
		{"from a pole the longitude does not count", Coordinates{90, 77}, Coordinates{0, -20}, half / 2, 1e-6},
		{"antipodes on the equator", Coordinates{0, 0}, Coordinates{0, 180}, half, 1e-6},
		{"antipodes elsewhere", Coordinates{40.4, -3.7}, Coordinates{-40.4, 176.3}, half, 1e-3},
		{"over the date line", Coordinates{0, 179.5}, Coordinates{0, -179.5}, half / 180, 1e-6},
		{"the date line itself", Coordinates{-17, 180}, Coordinates{-17, -180}, 0, 1e-6},
	} {
		if got := Distance(tc.a, tc.b); math.Abs(got-tc.want) > tc.off {
			t.Errorf("%s: %v km, want %v ± %v", tc.name, got, tc.want, tc.off)
		}
	}
}

// TestDistanceByVectors holds the haversines against the angle between two unit vectors.
func TestDistanceByVectors(t *testing.T) {
	genPoint := rapid.Custom(func(t *rapid.T) Coordinates {
		return Coordinates{rapid.Float64Range(-90, 90).Draw(t, "latitude"), rapid.Float64Range(-180, 180).Draw(t, "longitude")}
	})
	vector := func(c Coordinates) [3]float64 {
		lat, lon := c.Latitude*math.Pi/180, c.Longitude*math.Pi/180
		return [3]float64{math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := genPoint.Draw(t, "a"), genPoint.Draw(t, "b")
		u, v := vector(a), vector(b)
		cross := math.Hypot(math.Hypot(u[1]*v[2]-u[2]*v[1], u[2]*v[0]-u[0]*v[2]), u[0]*v[1]-u[1]*v[0])
		want := earthRadius * math.Atan2(cross, u[0]*v[0]+u[1]*v[1]+u[2]*v[2])
		got := Distance(a, b)
		if math.Abs(got-want) > 1e-3 { // a metre
			t.Fatalf("from %v to %v: %v km, want %v", a, b, got, want)
		}
		if back := Distance(b, a); math.Abs(back-got) > 1e-9 {
			t.Fatalf("from %v to %v: %v km, and %v back", a, b, got, back)
		}
	})
}
