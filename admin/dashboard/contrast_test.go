package dashboard_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// palette reads the colours of the stylesheet in the light and in the dark theme: its variables, and --tile of c0 to c7.
func palette(t *testing.T) (themes [2]map[string][3]float64) {
	t.Helper()
	text, err := os.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	themes = [2]map[string][3]float64{{}, {}}
	rule := regexp.MustCompile(`(?:--([a-z0-9-]+): |\.((?:r|p-|c)[a-z0-9]+) \{ (?:--tile|fill): )light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`)
	for _, m := range rule.FindAllStringSubmatch(string(text), -1) {
		for i := range themes {
			for k := range 3 {
				v, err := strconv.ParseUint(m[3+i][1+2*k:3+2*k], 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				rgb := themes[i][m[1]+m[2]]
				rgb[k] = float64(v) / 255
				themes[i][m[1]+m[2]] = rgb
			}
		}
	}
	return themes
}

// luminance is that of WCAG 2.2.
func luminance(rgb [3]float64) (sum float64) {
	for i, share := range []float64{0.2126, 0.7152, 0.0722} {
		if c := rgb[i]; c <= 0.04045 {
			sum += share * c / 12.92
		} else {
			sum += share * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}

func contrast(a, b [3]float64) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestContrast: what is to be read has the contrast that WCAG 2.2 asks for at level AA in both themes, 4.5 to 1 for text, and 3 to
// 1 for the borders of controls and what shows the focus.
func TestContrast(t *testing.T) {
	pairs := []struct {
		front, back []string
		least       float64
	}{
		{[]string{"ink", "ink-2", "accent", "good", "warn", "bad", "steer", "idle"}, []string{"paper", "panel", "sunk"}, 4.5},
		{[]string{"ink", "ink-2"}, []string{"good-soft", "warn-soft", "bad-soft", "steer-soft", "accent-soft"}, 4.5},
		{[]string{"accent"}, []string{"accent-soft", "good-soft", "warn-soft", "bad-soft", "steer-soft"}, 4.5},
		{[]string{"bad"}, []string{"bad-soft"}, 4.5}, {[]string{"steer"}, []string{"steer-soft"}, 4.5}, {[]string{"warn"}, []string{"warn-soft"}, 4.5}, {[]string{"good"}, []string{"good-soft"}, 4.5},
		{[]string{"accent-ink"}, []string{"accent"}, 4.5},
		{[]string{"ink"}, []string{"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"}, 4.5},
		// Of charts; a failed result is a bar over the whole height.
		{[]string{"r0", "r1", "r2", "r3", "rx", "p-connect", "p-tls", "p-first", "p-body", "p-rest"}, []string{"sunk"}, 3},
		{[]string{"line-strong"}, []string{"paper", "panel"}, 3},
	}
	for i, colours := range palette(t) {
		theme := []string{"light", "dark"}[i]
		if len(colours) < 30 {
			t.Fatalf("the %s theme has only the colours %v: the test does not see them", theme, colours)
		}
		worst := 21.
		for _, p := range pairs {
			for _, front := range p.front {
				for _, back := range p.back {
					a, ok := colours[front]
					b, also := colours[back]
					if !ok || !also {
						t.Errorf("there is no colour %s or %s", front, back)
						continue
					}
					c := contrast(a, b)
					worst = min(worst, c/p.least*4.5)
					if c < p.least {
						t.Errorf("%s theme: %s on %s has a contrast of %.2f, want %.1f", theme, front, back, c, p.least)
					}
				}
			}
		}
		t.Logf("%s theme: the least contrast of text is %.2f", theme, worst)
	}
}
