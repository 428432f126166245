package geo

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// raw is a record of a database of any type as far as it is of use, read by the names of its fields: those of GeoLite2,
// GeoIP2, DB-IP, IPinfo, ip-location-db and "gtmd geo build". Where a record says the same twice, the first counts. What is
// not in the form that its field should have is passed over, as if it were not there: so are placeholders such as
// the country "ZZ".
type raw struct {
	continent, country string
	// Nested ones, the widest first; and the one that a record without nesting has.
	nested subdivisionPair
	region rawSubdivision
	city   City
	// A GeoNames id that stands beside the fields of a record without nesting: that of the city, if it names one.
	geoNameID           uint32
	latitude, longitude coordinate
	asn                 uint32
	isp, organization   string
	// The name of the autonomous system.
	asName string
	// The record is no map of fields, so nothing of it is read.
	noMap bool
}

// rawSubdivision is a subdivision by its ISO 3166-2 code, with or without the country in front, or by its English name, or
// both.
type rawSubdivision struct{ code, name string }

// coordinate is a number of degrees. The zero value is not known.
type coordinate struct {
	degrees float64
	known   bool
}

// subdivisionPair is the subdivisions of a record as far as they are read: GeoIP2 has two at most, the widest first.
type subdivisionPair [2]rawSubdivision

// field is a field that is of use, or a container of some.
type field uint8

const (
	noField field = iota
	rootFields
	continentFields // or the code
	continentCode
	countryFields // or the code
	countryCode
	subdivisionList
	widestSubdivision
	widestCode
	widestNames
	widestName
	innerSubdivision
	innerCode
	innerNames
	innerName
	regionCode
	regionName
	cityFields // or the name
	cityNames
	cityName
	cityID
	geoNameID
	locationFields
	latitude
	longitude
	traitsFields
	asNumber
	asName
	ispName
	organizationName
)

// fieldOf is the field that a key has in a container.
func fieldOf(container field, key []byte) field {
	switch container {
	case rootFields:
		return rootField(key)
	case continentFields:
		if string(key) == "code" {
			return continentCode
		}
	case countryFields:
		if string(key) == "iso_code" {
			return countryCode
		}
	case widestSubdivision:
		switch string(key) {
		case "iso_code":
			return widestCode
		case "names":
			return widestNames
		}
	case widestNames:
		if string(key) == "en" {
			return widestName
		}
	case innerSubdivision:
		switch string(key) {
		case "iso_code":
			return innerCode
		case "names":
			return innerNames
		}
	case innerNames:
		if string(key) == "en" {
			return innerName
		}
	case cityFields:
		switch string(key) {
		case "geoname_id":
			return cityID
		case "names":
			return cityNames
		}
	case cityNames:
		if string(key) == "en" {
			return cityName
		}
	case locationFields:
		switch string(key) {
		case "latitude":
			return latitude
		case "longitude":
			return longitude
		}
	case traitsFields:
		return operatorField(key)
	}
	return noField
}

func rootField(key []byte) field {
	switch string(key) {
	case "continent":
		return continentFields
	case "continent_code":
		return continentCode
	case "country":
		return countryFields
	case "country_code":
		return countryCode
	case "subdivisions":
		return subdivisionList
	case "region_code":
		return regionCode
	case "region", "province", "state1":
		return regionName
	case "city":
		return cityFields
	case "geoname_id":
		return geoNameID
	case "location":
		return locationFields
	case "latitude", "lat":
		return latitude
	case "longitude", "lng", "lon":
		return longitude
	case "traits": // of GeoIP2 Enterprise
		return traitsFields
	}
	return operatorField(key)
}

func operatorField(key []byte) field {
	switch string(key) {
	case "autonomous_system_number", "asn":
		return asNumber
	case "autonomous_system_organization", "as_name":
		return asName
	case "isp":
		return ispName
	case "organization":
		return organizationName
	}
	return noField
}

// UnmarshalMaxMindDBCursor reads a record (mmdbdata.CursorUnmarshaler).
func (r *raw) UnmarshalMaxMindDBCursor(record mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := record.Kind()
	if err != nil {
		return record, err
	}
	if r.noMap = kind != mmdbdata.KindMap; r.noMap {
		return record.Skip()
	}
	return r.readMap(record, rootFields)
}

// readMap reads a container. It reads each of its fields once, so that what a damaged record can cost is bounded.
func (r *raw) readMap(c mmdbdata.Cursor, container field) (mmdbdata.Cursor, error) {
	entries, err := c.MapReader()
	if err != nil {
		return c, err
	}
	next := entries.First()
	var seen uint64
	for range entries.Len() {
		key, value, err := next.ReadMapKey()
		if err != nil {
			return c, err
		}
		f := fieldOf(container, key)
		if f == noField || seen&(1<<f) != 0 {
			next, err = value.Skip()
		} else {
			seen |= 1 << f
			next, err = r.readValue(value, f)
		}
		if err != nil {
			return c, err
		}
	}
	return entries.End(next)
}

func (r *raw) readValue(c mmdbdata.Cursor, f field) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	switch kind {
	case mmdbdata.KindMap:
		return r.readMap(c, f)
	case mmdbdata.KindSlice:
		if f == subdivisionList {
			return r.readSubdivisions(c)
		}
	case mmdbdata.KindString:
		text, next, err := c.ReadString()
		switch {
		case err != nil:
			return c, err
		case !utf8.ValidString(text):
			return c, fmt.Errorf("%q is not UTF-8", text)
		}
		r.takeText(f, text)
		return next, nil
	case mmdbdata.KindFloat32, mmdbdata.KindFloat64:
		number, next, err := c.ReadFloat()
		if err != nil {
			return c, err
		}
		r.takeCoordinate(f, number)
		return next, nil
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64, mmdbdata.KindInt32:
		number, signed, next, err := c.ReadInteger()
		if err != nil {
			return c, err
		}
		r.takeInteger(f, number, signed)
		return next, nil
	}
	return c.Skip()
}

func (r *raw) readSubdivisions(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	list, err := c.Slice()
	if err != nil {
		return c, err
	}
	var next mmdbdata.Cursor
	for {
		i, element, more := list.Next(next)
		if !more {
			return list.End()
		}
		kind, err := element.Kind()
		if err != nil {
			return c, err
		}
		switch {
		case kind == mmdbdata.KindMap && i == 0:
			next, err = r.readMap(element, widestSubdivision)
		case kind == mmdbdata.KindMap && i == 1:
			next, err = r.readMap(element, innerSubdivision)
		default:
			next, err = element.Skip()
		}
		if err != nil {
			return c, err
		}
	}
}

func (r *raw) takeText(f field, text string) {
	switch f {
	case continentFields, continentCode:
		takeFirst(&r.continent, continentText(text))
	case countryFields, countryCode:
		takeFirst(&r.country, countryText(text))
	case widestCode:
		r.nested[0].code = text
	case widestName:
		r.nested[0].name = text
	case innerCode:
		r.nested[1].code = text
	case innerName:
		r.nested[1].name = text
	case regionCode:
		r.region.code = text
	case regionName:
		r.region.name = text
	case cityFields, cityName:
		r.city.Name = text
	case asName:
		takeFirst(&r.asName, text)
	case ispName:
		takeFirst(&r.isp, text)
	case organizationName:
		takeFirst(&r.organization, text)
	case latitude, longitude:
		if number, err := strconv.ParseFloat(text, 64); err == nil {
			r.takeCoordinate(f, number)
		}
	case asNumber:
		if len(text) > 2 && strings.EqualFold(text[:2], "AS") {
			text = text[2:]
		}
		fallthrough
	case cityID, geoNameID:
		if number, err := strconv.ParseUint(text, 10, 32); err == nil {
			r.takeInteger(f, number, false)
		}
	}
}

func (r *raw) takeCoordinate(f field, degrees float64) {
	switch {
	case f == latitude && !r.latitude.known && math.Abs(degrees) <= 90:
		r.latitude = coordinate{degrees, true}
	case f == longitude && !r.longitude.known && math.Abs(degrees) <= 180:
		r.longitude = coordinate{degrees, true}
	}
}

// takeInteger takes the bits of an integer, which may be negative when it is signed.
func (r *raw) takeInteger(f field, number uint64, signed bool) {
	if f == latitude || f == longitude {
		if signed {
			r.takeCoordinate(f, float64(int64(number)))
		} else {
			r.takeCoordinate(f, float64(number))
		}
		return
	}
	// A negative one is too large as well.
	if number > math.MaxUint32 {
		return
	}
	switch f {
	case asNumber:
		if r.asn == 0 {
			r.asn = uint32(number)
		}
	case cityID:
		r.city.GeoNameID = uint32(number)
	case geoNameID:
		r.geoNameID = uint32(number)
	}
}

// takeFirst sets what is not set yet.
func takeFirst(field *string, text string) {
	if *field == "" {
		*field = text
	}
}

// countryText is a country code in upper case; empty when it is none. EU and AP, which registries and old databases have for
// a network somewhere in Europe, or in Asia and the Pacific, are none: AP may be in China, or not.
func countryText(text string) string {
	if len(text) != 2 || !isLetter(text[0]) || !isLetter(text[1]) {
		return ""
	}
	switch code := strings.ToUpper(text); code {
	case "AP", "EU", "XX", "ZZ":
		return ""
	default:
		return code
	}
}

// continentText is a continent code in upper case; empty when it is none, but a name such as "Asia".
func continentText(text string) string {
	switch code := strings.ToUpper(text); code {
	case "AF", "AN", "AS", "EU", "NA", "OC", "SA":
		return code
	}
	return ""
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// facts is the record in gtmd's terms.
func (r *raw) facts(lists *subdivisionLists) *Facts {
	f := &Facts{Continent: r.continent, Country: r.country, City: r.city, ASN: r.asn, ISP: r.isp, Organization: r.organization}
	if f.City.Name != "" && f.City.GeoNameID == 0 {
		f.City.GeoNameID = r.geoNameID
	}
	if r.isp == "" && r.organization == "" {
		f.Organization, f.OrganizationOfAS = r.asName, r.asName != ""
	}
	subdivisions := r.nested
	if subdivisions == (subdivisionPair{}) {
		subdivisions[0] = r.region
	}
	if subdivisions != (subdivisionPair{}) {
		f.Subdivisions = lists.list(subdivisionKey{r.country, subdivisions})
	}
	if r.latitude.known && r.longitude.known && (r.latitude.degrees != 0 || r.longitude.degrees != 0) {
		f.Place = &Coordinates{Latitude: r.latitude.degrees, Longitude: r.longitude.degrees}
	}
	return f
}
