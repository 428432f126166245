package healthcheck

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxWindow is the most results that a [Window] looks at: they are the bits of one word.
const maxWindow = 64

// Window is a share of the last results: Bad of the last Of. The zero value is none.
type Window struct {
	Bad, Of int
}

// UnmarshalText reads "3/5"; empty is none. The window is left as it was when the text is wrong.
func (w *Window) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*w = Window{}
		return nil
	}
	bad, of, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(strings.TrimSpace(bad))
	m, errOf := strconv.Atoi(strings.TrimSpace(of))
	if err != nil || errOf != nil || n < 1 || n > m || m > maxWindow {
		return fmt.Errorf("%q is no share of the last results: want one such as \"3/5\", of at most %d", text, maxWindow)
	}
	*w = Window{Bad: n, Of: m}
	return nil
}

// String is the window as UnmarshalText reads it.
func (w Window) String() string {
	if w == (Window{}) {
		return ""
	}
	return fmt.Sprintf("%d/%d", w.Bad, w.Of)
}

// maxFlapTurns is the most turns that a [Flap] counts.
const maxFlapTurns = 100

// Flap says from when on a verdict is flapping: more than Turns turns within a time. The zero value is never.
type Flap struct {
	Turns  int
	Within time.Duration
}

// UnmarshalText reads "6/10m"; empty is never. The value is left as it was when the text is wrong.
func (f *Flap) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*f = Flap{}
		return nil
	}
	turns, within, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(strings.TrimSpace(turns))
	d, errWithin := time.ParseDuration(strings.TrimSpace(within))
	if err != nil || errWithin != nil || n < 1 || n > maxFlapTurns || d < time.Second || d > 24*time.Hour {
		return fmt.Errorf("%q is no number of turns within a time: want one such as \"6/10m\", at most %d turns, 1s to 24h", text, maxFlapTurns)
	}
	*f = Flap{Turns: n, Within: d}
	return nil
}

// String is the limit as UnmarshalText reads it.
func (f Flap) String() string {
	if f == (Flap{}) {
		return ""
	}
	return fmt.Sprintf("%d/%s", f.Turns, brief(f.Within))
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
