package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// Threshold is the number of available addresses that a set needs: a count, or a share in per cent of
// the addresses that are not offline. The zero value counts as 1.
type Threshold struct {
	count   int
	percent int
}

// Count is a threshold of n addresses; n below 1 counts as 1.
func Count(n int) Threshold { return Threshold{count: n} }

// Percent is a threshold of p per cent of the addresses that are not offline, rounded up.
func Percent(p int) Threshold { return Threshold{percent: p} }

// Need is the number of available addresses wanted when candidates addresses are not offline. At least 1.
func (t Threshold) Need(candidates int) int {
	if t.percent > 0 {
		return max(1, (candidates*t.percent+99)/100)
	}
	return max(1, t.count)
}

// UnmarshalText reads a count from 1 to 10000 ("2") or a share from 1% to 100% ("50%").
func (t *Threshold) UnmarshalText(text []byte) error {
	s := string(text)
	if digits, isShare := strings.CutSuffix(s, "%"); isShare {
		p, err := strconv.Atoi(digits)
		if err != nil || p < 1 || p > 100 {
			return fmt.Errorf("%q is no share of the addresses: write \"1%%\" to \"100%%\"", s)
		}
		*t = Percent(p)
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 10000 {
		return fmt.Errorf("%q is no number of addresses: write 1 to 10000, or a share such as \"50%%\"", s)
	}
	*t = Count(n)
	return nil
}

// String is the threshold as the configuration writes it.
func (t Threshold) String() string {
	if t.percent > 0 {
		return strconv.Itoa(t.percent) + "%"
	}
	return strconv.Itoa(max(1, t.count))
}
