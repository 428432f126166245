package geo

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// genCoordinates draws places all over the Earth, often next to one another, to their antipodes, the poles and the 180th meridian.
func genCoordinates() *rapid.Generator[Coordinates] {
	return rapid.Custom(func(t *rapid.T) Coordinates {
		near := rapid.SampledFrom([]Coordinates{{0, 0}, {0, 180}, {0, -180}, {90, 0}, {-90, 0}, {35.7, 139.7}, {-35.7, -40.3}}).Draw(t, "near")
		width := rapid.SampledFrom([]float64{0, 1e-6, 0.01, 1, 180}).Draw(t, "width")
		return Coordinates{
			Latitude:  max(-90, min(90, near.Latitude+width*rapid.Float64Range(-1, 1).Draw(t, "latitude"))),
			Longitude: max(-180, min(180, near.Longitude+width*rapid.Float64Range(-1, 1).Draw(t, "longitude"))),
		}
	})
}

// TestRulerAgainstDistance: whole kilometres are those of Distance.
func TestRulerAgainstDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := rapid.SliceOfN(genCoordinates(), 1, 20).Draw(t, "places")
		from := genCoordinates().Draw(t, "from")
		ruler, got := NewRuler(places), make([]uint16, len(places))
		ruler.Measure(got, from)
		for i, place := range places {
			want := uint16(math.Round(Distance(place, from)))
			if got[i] != want || ruler.Kilometres(i, from) != want {
				t.Fatalf("from %v to %v: %d km and %d km, want %d", from, place, got[i], ruler.Kilometres(i, from), want)
			}
		}
	})
}

// TestRulerNearHalf walks along a meridian, in steps down to a hundredth of a micrometre, over the places where the rounding turns.
func TestRulerNearHalf(t *testing.T) {
	const degree = earthRadius * math.Pi / 180
	var places []Coordinates
	for _, whole := range []float64{0, 1, 100, 9999, 20014} {
		for _, width := range []float64{1e-3, 1e-6, 1e-9, 1e-11} {
			for step := -20; step <= 20; step++ {
				places = append(places, Coordinates{Latitude: 90 - (whole+0.5+width*float64(step))/degree, Longitude: 12})
			}
		}
	}
	ruler := NewRuler(places)
	for i, place := range places {
		pole := Coordinates{Latitude: 90}
		if got, want := ruler.Kilometres(i, pole), uint16(math.Round(Distance(place, pole))); got != want {
			t.Errorf("%v: %d km, want %d", place, got, want)
		}
	}
}
