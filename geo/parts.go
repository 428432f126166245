package geo

// parts are the sources that together make this one: a client matches it when it matches each of them. Each part is told either
// by where clients are or by who connects them.
func (s Selector) parts() []Selector {
	provider := Selector{kind: kindISP, name: s.of}
	switch s.kind {
	case kindISPProvince:
		return []Selector{provider, {kind: kindSubdivision, name: s.name}}
	case kindISPRegion:
		return []Selector{provider, {kind: kindRegion, name: s.name}}
	}
	return []Selector{s}
}

// isLocation reports whether a part is told by where clients are, and not by who connects them.
func (s Selector) isLocation() bool { return s.kind != kindASN && s.kind != kindISP }

// isCity reports whether a part is told by the city.
func (s Selector) isCity() bool { return s.kind == kindCity || s.kind == kindCityName }

// toldBy is what a part is told by.
func (s Selector) toldBy() Knowledge {
	if s.isLocation() {
		return locationKnowledge
	}
	return networkKnowledge
}

// IsToldBy reports whether a database that has this knowledge has a part in telling whom the source matches. None has with a line,
// and with [Global].
func (s Selector) IsToldBy(k Knowledge) bool {
	if s == Global || s.isLine() {
		return false
	}
	for _, part := range s.parts() {
		if k&part.toldBy() != 0 {
			return true
		}
	}
	return false
}
