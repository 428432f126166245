package mmdb

import (
	"fmt"
	"strings"
)

// iptoasnRow reads "1.0.0.0<tab>1.0.0.255<tab>13335<tab>US<tab>CLOUDFLARENET" of ip2asn files, or start, end and country of
// ip2country files. AS number 0 and the countries "None" and "Unknown" mean that it is not known. Format: https://iptoasn.com/
func (s *source) iptoasnRow(line string) (row, error) {
	fields := strings.Split(line, "\t")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	if len(fields) != 5 && len(fields) != 3 {
		return row{}, fmt.Errorf("%s: want start, end, AS number, country, name; or start, end, country; with tabs between them",
			plural(len(fields), "field"))
	}
	from, to, err := between(fields[0], fields[1])
	if err != nil {
		return row{}, err
	}
	r := row{from: from, to: to}
	country := fields[2]
	if len(fields) == 5 {
		country = fields[3]
		if err := r.facts.setASN(fields[2]); err != nil {
			return row{}, err
		}
	}
	return r, r.facts.setCountry(country)
}
