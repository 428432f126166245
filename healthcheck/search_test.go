package healthcheck

import (
	"errors"
	"io"
	"regexp"
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

func TestMatch(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name, pattern string
		r             io.Reader
		found         bool
		err           error
	}{
		{"split across reads", "^a.c$", iotest.OneByteReader(strings.NewReader("abc")), true, nil},
		{"absent", "d", strings.NewReader("abc"), false, nil},
		{"no UTF-8", "^.b$", strings.NewReader("\xffb"), true, nil},
		{"just within", "ok$", strings.NewReader(strings.Repeat("x", maxSearch-2) + "ok"), true, nil},
		{"just beyond", "ok", strings.NewReader(strings.Repeat("x", maxSearch-1) + "ok"), false, nil},
		{"end within", "ok$", strings.NewReader(strings.Repeat("x", maxSearch-2) + "ok and more"), true, nil},
		{"broken", "ok", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), false, broken},
		{"found, then broken", "ok", io.MultiReader(strings.NewReader("okay"), iotest.ErrReader(broken)), true, nil},
	} {
		found, err := match(tt.r, regexp.MustCompile(tt.pattern))
		if found != tt.found || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, %v", tt.name, found, err)
		}
	}
}

func TestSeek(t *testing.T) {
	pattern := regexp.MustCompile(`"state": *"up"`)
	for _, tt := range []struct {
		body, text string
		pattern    *regexp.Regexp
		want       string
	}{
		{`{"state": "up"}`, "", nil, "good"},
		{`{"state": "up"}`, "state", nil, "good"},
		{`{"state": "up"}`, "", pattern, "good"},
		{`{"state": "up", "db": 1}`, "db", pattern, "good"},
		{`{"db": 1, "state": "up"}`, "db", pattern, "good"},
		{`{"state": "up"}`, "db", pattern, `body lacks "db" in its 15 octets`},
		{`{"state": "down", "db": 1}`, "db", pattern, `body does not match "\"state\": *\"up\""`},
	} {
		if got := text(seek(iotest.HalfReader(strings.NewReader(tt.body)), tt.text, tt.pattern)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.body, got, tt.want)
		}
	}
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
