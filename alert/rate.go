package alert

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxRate is the most messages that a [Rate] counts.
const maxRate = 1000

// Rate is a limit of so many within a time. The zero value is none.
type Rate struct {
	Count  int
	Within time.Duration
}

// UnmarshalText reads "20/1m"; empty is no limit. The rate is left as it was when the text is wrong.
func (r *Rate) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Rate{}
		return nil
	}
	count, within, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	d, errWithin := time.ParseDuration(strings.TrimSpace(within))
	if err != nil || errWithin != nil || n < 1 || n > maxRate || d < time.Second || d > 24*time.Hour {
		return fmt.Errorf("%q is no number of messages within a time: want one such as \"20/1m\" with at most %d of them, or \"\" for no limit", text, maxRate)
	}
	*r = Rate{n, d}
	return nil
}

// String is the rate as UnmarshalText reads it.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	return fmt.Sprintf("%d/%s", r.Count, brief(r.Within))
}

// brief writes a duration as people do: 10m, not 10m0s.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
