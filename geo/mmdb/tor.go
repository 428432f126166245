package mmdb

import "fmt"

// torRow reads "16777216,16777471,AU" of geoip, or "2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP" of geoip6.
func (s *source) torRow(line string) (row, error) {
	fields := commaFields(line)
	if len(fields) != 3 {
		return row{}, fmt.Errorf("%s: want first address, last address, country", plural(len(fields), "field"))
	}
	from, to, err := between(fields[0], fields[1])
	if err != nil {
		return row{}, err
	}
	r := row{from: from, to: to}
	return r, r.facts.setCountry(fields[2])
}
