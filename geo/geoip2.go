package geo

import (
	"errors"
	"math"
	"net/netip"

	"github.com/oschwald/geoip2-golang/v2"
)

// lookupKnown returns the record of an address as geoip2 decodes it, if it knows the type of the database and the record
// is as that type has it.
func (d *Database) lookupKnown(addr netip.Addr) (r raw, ok bool) {
	if d.known == nil {
		return raw{}, false
	}
	// Records have been decoded before, but only in the fields that raw has: what else is in them may be damaged.
	defer func() {
		if recover() != nil {
			r, ok = raw{}, false
		}
	}()
	for _, decode := range [...]func(*geoip2.Reader, netip.Addr) (raw, error){rawEnterprise, rawCity, rawISP, rawASN} {
		r, err := decode(d.known, addr)
		if errors.As(err, new(geoip2.InvalidMethodError)) {
			continue
		}
		return r, err == nil
	}
	return raw{}, false
}

func rawEnterprise(known *geoip2.Reader, addr netip.Addr) (raw, error) {
	e, err := known.Enterprise(addr)
	if err != nil {
		return raw{}, err
	}
	r := raw{
		continent: continentText(e.Continent.Code), country: countryText(e.Country.ISOCode),
		city: City{GeoNameID: rawNumber(e.City.GeoNameID), Name: e.City.Names.English},
		asn:  rawNumber(e.Traits.AutonomousSystemNumber), asName: e.Traits.AutonomousSystemOrganization,
		isp: e.Traits.ISP, organization: e.Traits.Organization,
	}
	for i, s := range e.Subdivisions[:min(len(e.Subdivisions), len(r.nested))] {
		r.nested[i] = rawSubdivision{s.ISOCode, s.Names.English}
	}
	r.takeLocation(e.Location)
	return r, nil
}

// rawCity is for the Country types as well: what they have is a part of what City has.
func rawCity(known *geoip2.Reader, addr netip.Addr) (raw, error) {
	c, err := known.City(addr)
	if err != nil {
		return raw{}, err
	}
	r := raw{
		continent: continentText(c.Continent.Code), country: countryText(c.Country.ISOCode),
		city: City{GeoNameID: rawNumber(c.City.GeoNameID), Name: c.City.Names.English},
	}
	for i, s := range c.Subdivisions[:min(len(c.Subdivisions), len(r.nested))] {
		r.nested[i] = rawSubdivision{s.ISOCode, s.Names.English}
	}
	r.takeLocation(c.Location)
	return r, nil
}

func rawISP(known *geoip2.Reader, addr netip.Addr) (raw, error) {
	i, err := known.ISP(addr)
	if err != nil {
		return raw{}, err
	}
	return raw{asn: rawNumber(i.AutonomousSystemNumber), asName: i.AutonomousSystemOrganization,
		isp: i.ISP, organization: i.Organization}, nil
}

func rawASN(known *geoip2.Reader, addr netip.Addr) (raw, error) {
	a, err := known.ASN(addr)
	if err != nil {
		return raw{}, err
	}
	return raw{asn: rawNumber(a.AutonomousSystemNumber), asName: a.AutonomousSystemOrganization}, nil
}

// rawNumber is a number of 32 bits; 0, not known, for a larger one.
func rawNumber(n uint) uint32 {
	if n > math.MaxUint32 {
		return 0
	}
	return uint32(n)
}

func (r *raw) takeLocation(l geoip2.Location) {
	if l.Latitude != nil {
		r.takeCoordinate(latitude, *l.Latitude)
	}
	if l.Longitude != nil {
		r.takeCoordinate(longitude, *l.Longitude)
	}
}

// or is r with what it does not know taken from other. For a file that has more than its type says: a GeoLite2-City into
// which somebody merged an ASN database.
func (r raw) or(other *raw) raw {
	takeFirst(&r.continent, other.continent)
	takeFirst(&r.country, other.country)
	takeFirst(&r.isp, other.isp)
	takeFirst(&r.organization, other.organization)
	takeFirst(&r.asName, other.asName)
	if r.nested == (subdivisionPair{}) {
		r.nested = other.nested
	}
	r.region, r.geoNameID = other.region, other.geoNameID
	if r.city == (City{}) {
		r.city = other.city
	}
	if !r.latitude.known || !r.longitude.known {
		r.latitude, r.longitude = other.latitude, other.longitude
	}
	if r.asn == 0 {
		r.asn = other.asn
	}
	return r
}
