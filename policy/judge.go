package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// Judge says how many of several verdicts must be up (Alibaba: HealthJudgement any_ok, p30_ok, p50_ok, p70_ok, all_ok).
// The zero value is all.
type Judge struct {
	any     bool
	percent int // 0: all or any
}

// UnmarshalText reads "all", "any", or a share from "1%" to "100%".
func (j *Judge) UnmarshalText(text []byte) error {
	s := string(text)
	switch s {
	case "all":
		*j = Judge{}
		return nil
	case "any":
		*j = Judge{any: true}
		return nil
	}
	digits, isShare := strings.CutSuffix(s, "%")
	p, err := strconv.Atoi(digits)
	if !isShare || err != nil || p < 1 || p > 100 {
		return fmt.Errorf("%q is no way to judge: want \"all\", \"any\", or a share such as \"50%%\"", s)
	}
	*j = Judge{percent: p}
	return nil
}

// String is the judge as the configuration writes it.
func (j Judge) String() string {
	switch {
	case j.any:
		return "any"
	case j.percent > 0:
		return strconv.Itoa(j.percent) + "%"
	default:
		return "all"
	}
}

// need is how many of n verdicts must be up. At least 1.
func (j Judge) need(n int) int {
	switch {
	case j.any:
		return 1
	case j.percent > 0:
		return max(1, (n*j.percent+99)/100)
	default:
		return max(1, n)
	}
}

// Of joins verdicts: up when enough are up, down when not even those of which nothing is known yet could make enough,
// else unknown. Without any it is unknown.
func (j Judge) Of(verdicts []Health) Health { return enough(verdicts, j.need(len(verdicts))) }

// enough joins verdicts of which need must be up.
func enough(verdicts []Health, need int) Health {
	up, unknown := 0, 0
	for _, v := range verdicts {
		switch v {
		case Up:
			up++
		case Unknown:
			unknown++
		}
	}
	switch {
	case len(verdicts) == 0:
		return Unknown
	case up >= need:
		return Up
	case up+unknown >= need:
		return Unknown
	default:
		return Down
	}
}
