package healthcheck

import (
	"fmt"
	"strconv"
	"strings"
)

// The status codes that a [StatusSet] can hold (RFC 9110, section 15).
const (
	minStatus = 100
	maxStatus = 599
)

// StatusSet is a set of HTTP status codes. The zero value is empty. Sets can be compared with ==.
type StatusSet struct {
	bits [(maxStatus-minStatus)/64 + 1]uint64
}

// UnmarshalText reads codes and ranges of codes, separated by commas: "200-499", "200, 204, 300-399".
// The set is left as it was when the text is wrong.
func (s *StatusSet) UnmarshalText(text []byte) error {
	var set StatusSet
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		low, high, isRange := strings.Cut(part, "-")
		first, err := parseStatus(low)
		last := first
		if err == nil && isRange {
			last, err = parseStatus(high)
		}
		if err != nil {
			return fmt.Errorf("status codes %q: %q: want a code or a range from 100 to 599, such as 204 or 200-399", text, part)
		}
		if last < first {
			return fmt.Errorf("status codes %q: %q: the range ends before it starts: write %d-%d", text, part, last, first)
		}
		for code := first; code <= last; code++ {
			set.bits[(code-minStatus)/64] |= 1 << ((code - minStatus) % 64)
		}
	}
	*s = set
	return nil
}

func parseStatus(text string) (int, error) {
	text = strings.TrimSpace(text)
	code, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(text) != 3 || code < minStatus || code > maxStatus {
		return 0, fmt.Errorf("no status code: %q", text)
	}
	return int(code), nil
}

// Contains reports whether code is in the set.
func (s StatusSet) Contains(code int) bool {
	if code < minStatus || code > maxStatus {
		return false
	}
	code -= minStatus
	return s.bits[code/64]>>(code%64)&1 == 1
}

// goesBeyond reports whether some code of the set is not one of those.
func (s StatusSet) goesBeyond(those func(code int) bool) bool {
	for code := minStatus; code <= maxStatus; code++ {
		if s.Contains(code) && !those(code) {
			return true
		}
	}
	return false
}

// String returns the set as UnmarshalText reads it, in its shortest form: ascending, neighbours joined, no spaces.
func (s StatusSet) String() string {
	var parts []string
	for code := minStatus; code <= maxStatus; code++ {
		if !s.Contains(code) {
			continue
		}
		first := code
		for s.Contains(code + 1) {
			code++
		}
		part := strconv.Itoa(first)
		if code > first {
			part += "-" + strconv.Itoa(code)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// MarshalText returns the text of String. It never fails.
func (s StatusSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
