package mmdb

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// rirRow reads "apnic|AU|ipv4|1.0.0.0|256|20110811|assigned", whatever follows; the value of IPv6 is the length of the prefix.
// The header gives the date. Format: https://www.apnic.net/about-apnic/corporate-documents/documents/resource-guidelines/rir-statistics-exchange-format/
func (s *source) rirRow(line string) (row, error) {
	fields := strings.Split(line, "|")
	if len(fields) >= 6 && isVersion(fields[0]) {
		// version|registry|serial|records|startdate|enddate|UTCoffset
		if date, err := time.Parse("20060102", fields[5]); err == nil {
			s.date = date
		}
		return row{}, nil
	}
	if len(fields) >= 6 && fields[5] == "summary" {
		return row{}, nil
	}
	if len(fields) < 7 {
		return row{}, fmt.Errorf("%s: want registry|country|type|start|value|date|status", plural(len(fields), "field"))
	}
	kind, start, value, status := fields[2], fields[3], fields[4], fields[6]
	switch kind {
	case "ipv4", "ipv6":
	case "asn":
		return row{}, nil
	default:
		return row{}, fmt.Errorf("type %q: want ipv4, ipv6 or asn", clip(kind))
	}
	if status != "allocated" && status != "assigned" {
		return row{}, nil
	}
	r, err := delegated(kind, start, value)
	if err != nil {
		return row{}, err
	}
	return r, r.facts.setCountry(fields[1])
}

func isVersion(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// delegated returns the range of a delegation.
func delegated(kind, start, value string) (row, error) {
	addr, err := netip.ParseAddr(start)
	if err != nil || addr.Is4() != (kind == "ipv4") || addr.Zone() != "" {
		return row{}, fmt.Errorf("start %q: want an %s address", clip(start), familyOf(kind))
	}
	if kind == "ipv6" {
		bits, err := strconv.Atoi(value)
		if err != nil || bits < 0 || bits > 128 {
			return row{}, fmt.Errorf("value %q: want the length of an IPv6 prefix, 0 to 128", clip(value))
		}
		return prefixRow(netip.PrefixFrom(addr, bits))
	}
	four := addr.As4()
	first := uint64(binary.BigEndian.Uint32(four[:]))
	count, err := strconv.ParseUint(value, 10, 64)
	if err != nil || count == 0 || count > 1<<32-first {
		return row{}, fmt.Errorf("value %q: want the number of addresses from %s on, 1 to %d", clip(value), addr, 1<<32-first)
	}
	binary.BigEndian.PutUint32(four[:], uint32(first+count-1))
	return row{from: addr, to: netip.AddrFrom4(four)}, nil
}

func familyOf(kind string) string {
	if kind == "ipv4" {
		return "IPv4"
	}
	return "IPv6"
}
