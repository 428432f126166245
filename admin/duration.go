package admin

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a time that JSON has as text: "30m", "1h30m".
type Duration time.Duration

// UnmarshalText reads what [time.ParseDuration] reads. The duration is left as it was when the text is wrong.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: want one such as \"30m\" or \"1h30m\"", text)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is short: "1m", not "1m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
