package healthcheck

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestSearch(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		r      io.Reader
		want   string
		octets int
		found  bool
		err    error
	}{
		{"split across reads", iotest.OneByteReader(strings.NewReader("xxokxx")), "ok", 4, true, nil},
		{"absent", strings.NewReader("xxoxkx"), "ok", 6, false, nil},
		{"empty", strings.NewReader(""), "ok", 0, false, nil},
		{"with the end", iotest.DataErrReader(strings.NewReader("xok")), "ok", 3, true, nil},
		{"just within", strings.NewReader(strings.Repeat("x", maxSearch-2) + "ok"), "ok", maxSearch, true, nil},
		{"just beyond", strings.NewReader(strings.Repeat("x", maxSearch-1) + "ok"), "ok", maxSearch, false, nil},
		{"broken", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), "ok", 1, false, broken},
		{"found, then broken", io.MultiReader(strings.NewReader("ok"), iotest.ErrReader(broken)), "ok", 2, true, nil},
	} {
		octets, found, err := search(tt.r, tt.want)
		if octets != tt.octets || found != tt.found || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d, %v, %v", tt.name, octets, found, err)
		}
	}
}

func TestSearchAgainstContains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 60, -1).Draw(t, "text")
		want := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 5, -1).Draw(t, "want")
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text))} {
			if _, found, err := search(r, want); err != nil || found != strings.Contains(text, want) {
				t.Fatalf("search(%q, %q) = %v, %v", text, want, found, err)
			}
		}
	})
}

func TestLacks(t *testing.T) {
	for octets, want := range map[int]string{
		0: `body lacks "o\"k" in its 0 octets`, 12: `body lacks "o\"k" in its 12 octets`, maxSearch: `body lacks "o\"k" in its first 65536 octets`,
	} {
		if got := lacks("body", `o"k`, octets).Error(); got != want {
			t.Errorf("%d: %s", octets, got)
		}
	}
}
