package mmdb

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// row is what a line knows of the addresses from one to another, both included and of one family.
type row struct {
	from, to netip.Addr
	facts    facts
}

// facts are what is known of a network; zero fields are not known. The letters and digits are ASCII, upper case.
type facts struct {
	country     [2]byte // ISO 3166-1 alpha-2
	subdivision [3]byte // ISO 3166-2 without the country, filled with zeros
	asn         uint32  // RFC 6793
}

// number reads an IPv4 address that is written as a number.
func number(text string) (netip.Addr, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), true
}

// isBound reports whether a text is the end of a range in the tor format.
func isBound(text string) bool {
	if _, ok := number(text); ok {
		return true
	}
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is6() && addr.Zone() == ""
}

// isNetwork reports whether a text looks like what a row of CSV begins with.
func isNetwork(text string) bool {
	_, err := netip.ParsePrefix(text)
	return err == nil || isAddr(text)
}

func isAddr(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// between reads a range of addresses. IPv4 may be written as numbers.
func between(first, last string) (from, to netip.Addr, err error) {
	ends := [2]netip.Addr{}
	for i, text := range [2]string{first, last} {
		addr, ok := number(text)
		if !ok {
			if addr, err = netip.ParseAddr(text); err != nil || addr.Zone() != "" {
				return from, to, fmt.Errorf("%q is not an address: want IPv4, IPv6, or IPv4 as a number", clip(text))
			}
		}
		ends[i] = addr.Unmap()
	}
	from, to = ends[0], ends[1]
	switch {
	case from.Is4() != to.Is4():
		return from, to, fmt.Errorf("the range %s-%s is of two families: want both ends in IPv4 or both in IPv6", from, to)
	case to.Less(from):
		return from, to, fmt.Errorf("the range %s-%s ends before it starts", from, to)
	}
	return from, to, nil
}

// setCountry reads the code of a country. What databases write for "unknown" and for regions that are no country is
// unknown; UK, which registries use, is GB.
func (f *facts) setCountry(text string) error {
	code := strings.ToUpper(text)
	switch code {
	case "", "??", "-", "--", "ZZ", "XX", "NONE", "UNKNOWN", "AP", "EU", "A1", "A2", "A3", "T1", "O1":
		return nil
	case "UK":
		code = "GB"
	}
	if len(code) != 2 || !isCode(code, false) {
		return fmt.Errorf("country %q: want two letters (ISO 3166-1), or nothing when it is not known", clip(text))
	}
	copy(f.country[:], code)
	return nil
}

// setSubdivision reads a code of ISO 3166-2, with or without the country, after the country is set.
func (f *facts) setSubdivision(text string) error {
	if text == "" {
		return nil
	}
	if f.country == [2]byte{} {
		return fmt.Errorf("subdivision %q has no country: want the country before it", clip(text))
	}
	code := strings.ToUpper(text)
	if country, rest, ok := strings.Cut(code, "-"); ok {
		if country != string(f.country[:]) {
			return fmt.Errorf("subdivision %q is not of the country %s", clip(text), f.country[:])
		}
		code = rest
	}
	if len(code) == 0 || len(code) > 3 || !isCode(code, true) {
		return fmt.Errorf("subdivision %q: want up to three letters or digits (ISO 3166-2) such as GD or CN-GD; an AS number is "+
			"written AS%s, or in a column that a header calls asn", clip(text), strings.TrimPrefix(clip(code), "AS"))
	}
	copy(f.subdivision[:], code)
	return nil
}

// setASN reads the number of an autonomous system, with or without AS in front; 0 and nothing: not known.
func (f *facts) setASN(text string) error {
	digits := text
	if len(text) > 2 && strings.EqualFold(text[:2], "AS") {
		digits = text[2:]
	}
	if digits == "" {
		return nil
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return fmt.Errorf("AS number %q: want 1 to 4294967295, or 0 or nothing when it is not known", clip(text))
	}
	f.asn = uint32(n)
	return nil
}

// isASN reports whether a text is an AS number with AS in front.
func isASN(text string) bool {
	if len(text) < 3 || !strings.EqualFold(text[:2], "AS") {
		return false
	}
	_, err := strconv.ParseUint(text[2:], 10, 32)
	return err == nil
}

// isCode reports whether a text has only upper-case letters of ASCII, and digits if they may be there.
func isCode(text string, digits bool) bool {
	for _, c := range []byte(text) {
		if (c < 'A' || c > 'Z') && (!digits || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
