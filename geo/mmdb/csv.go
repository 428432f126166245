package mmdb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gtmd/geo"
)

// Columns of CSV.
const (
	columnNetwork     = "network"
	columnFirst       = "first"
	columnLast        = "last"
	columnCountry     = "country"
	columnSubdivision = "subdivision"
	columnASN         = "asn"
)

// columnName is the column that a word of a header means; empty: none.
func columnName(word string) string {
	switch strings.ToLower(strings.ReplaceAll(strings.TrimSpace(word), "-", "_")) {
	case "cidr", "network", "prefix":
		return columnNetwork
	case "first", "start", "start_ip", "range_start":
		return columnFirst
	case "last", "end", "end_ip", "range_end":
		return columnLast
	case "country", "country_code", "country_iso_code", "cc":
		return columnCountry
	case "subdivision", "subdivision_code", "subdivision_1_iso_code", "region", "region_code", "province":
		return columnSubdivision
	case "asn", "as", "as_number", "autonomous_system_number":
		return columnASN
	}
	return ""
}

// csvRow reads "198.51.100.0/24,CN,GD,AS64496", or first and last address in place of the network. A header may name the columns, in
// any order. Without one they are network, country, subdivision and AS number; an AS number with AS in front may stand for the
// subdivision.
func (s *source) csvRow(line string) (row, error) {
	fields := commaFields(line)
	if s.columns == nil {
		if columnName(fields[0]) != "" || len(fields) > 1 && columnName(fields[1]) == columnNetwork {
			return row{}, s.csvHeader(fields)
		}
		s.columns = []string{columnNetwork, columnCountry, columnSubdivision, columnASN}
		if len(fields) > 2 && isAddr(fields[1]) {
			s.columns = slices.Concat([]string{columnFirst, columnLast}, s.columns[1:])
		}
	}
	if len(fields) < 2 || len(fields) > len(s.columns) {
		return row{}, fmt.Errorf("%s: want %s", plural(len(fields), "field"), strings.Join(s.columns, ","))
	}
	values := map[string]string{}
	for i, field := range fields {
		values[s.columns[i]] = field
	}
	if last := len(fields) - 1; s.columns[last] == columnSubdivision && isASN(fields[last]) {
		values[columnASN], values[columnSubdivision] = fields[last], ""
	}
	r, err := csvNetwork(values)
	if err != nil {
		return row{}, err
	}
	for _, set := range []struct {
		of   func(*facts, string) error
		text string
	}{
		{(*facts).setCountry, values[columnCountry]}, {(*facts).setSubdivision, values[columnSubdivision]},
		{(*facts).setASN, values[columnASN]},
	} {
		if err := set.of(&r.facts, set.text); err != nil {
			return row{}, err
		}
	}
	return r, r.facts.checkPlace()
}

// checkPlace finds codes that look right and name nothing: CSV is written by people. A subdivision is only checked in
// mainland China, whose provinces are lines.
func (f *facts) checkPlace() error {
	country, subdivision := string(f.country[:]), strings.TrimRight(string(f.subdivision[:]), "\x00")
	if f.country == [2]byte{} {
		return nil
	}
	if _, ok := geo.Locate(country); !ok {
		return fmt.Errorf("country %q: there is none of this code: want one of ISO 3166-1 such as JP, or nothing when it is not known", country)
	}
	if country != "CN" || subdivision == "" {
		return nil
	}
	_, isProvince := geo.Locate("CN-" + subdivision)
	if !isProvince && subdivision != "HK" && subdivision != "MO" && subdivision != "TW" {
		return fmt.Errorf("subdivision %q: there is no province CN-%s in China: want a code of ISO 3166-2 such as GD, or nothing when it is not known",
			subdivision, subdivision)
	}
	return nil
}

// csvHeader takes the names of the columns from the first line.
func (s *source) csvHeader(fields []string) error {
	columns := []string{}
	for _, field := range fields {
		name := columnName(field)
		if name == "" {
			return &headerError{fmt.Sprintf("column %q: want cidr (or first and last), country, subdivision or asn", clip(field))}
		}
		if slices.Contains(columns, name) {
			return &headerError{fmt.Sprintf("column %q: there is a column for the %s already", clip(field), name)}
		}
		columns = append(columns, name)
	}
	network := slices.Contains(columns, columnNetwork)
	first, last := slices.Contains(columns, columnFirst), slices.Contains(columns, columnLast)
	if first != last || network == first || len(columns) == 1 || first && len(columns) == 2 {
		return &headerError{"the header names no networks or nothing beside them: want cidr (or first and last), and country, subdivision or asn"}
	}
	s.columns = columns
	return nil
}

// csvNetwork reads a prefix, an address, or the first and the last address.
func csvNetwork(values map[string]string) (row, error) {
	text, ok := values[columnNetwork]
	if !ok {
		from, to, err := between(values[columnFirst], values[columnLast])
		return row{from: from, to: to}, err
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil || addr.Zone() != "" {
			return row{}, fmt.Errorf("network %q: want a prefix such as 198.51.100.0/24 or 2001:db8::/32, or an address", clip(text))
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	return prefixRow(prefix)
}

// prefixRow is the row of a prefix, of which nothing is known yet.
func prefixRow(prefix netip.Prefix) (row, error) {
	if masked := prefix.Masked(); masked != prefix {
		return row{}, fmt.Errorf("network %s: its address has bits beyond /%d: want %s", prefix, prefix.Bits(), masked)
	}
	if prefix.Addr().Is4In6() {
		return row{}, fmt.Errorf("network %s is IPv4 mapped to IPv6: want the IPv4 prefix", prefix)
	}
	from := toPoint(prefix.Addr())
	to := from.plus(sizeOf(prefix.Addr().BitLen() - prefix.Bits()))
	return row{from: prefix.Addr(), to: to.addr(prefix.Addr().BitLen())}, nil
}

// commaFields are the fields of a line of CSV, without blanks and quotation marks around them. No field that is of use has
// a comma inside.
func commaFields(line string) []string {
	fields := strings.Split(line, ",")
	for i, field := range fields {
		field = strings.TrimSpace(field)
		if len(field) >= 2 && field[0] == '"' && field[len(field)-1] == '"' {
			field = field[1 : len(field)-1]
		}
		fields[i] = field
	}
	return fields
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
