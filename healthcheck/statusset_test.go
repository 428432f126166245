package healthcheck

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStatusSetUnmarshalText(t *testing.T) {
	for _, tt := range []struct {
		text, want string // want is the canonical text, or the error after "status codes ".
	}{
		{"200-499", "200-499"},
		{"200,204,300-399", "200,204,300-399"},
		{" 204 , 200 - 203,100 ", "100,200-204"},
		{"100-599", "100-599"},
		{"599", "599"},
		{"", `"": "": want a code or a range from 100 to 599, such as 204 or 200-399`},
		{"2xx", `"2xx": "2xx": want a code or a range from 100 to 599, such as 204 or 200-399`},
		{"200,", `"200,": "": want a code or a range from 100 to 599, such as 204 or 200-399`},
		{"99", `"99": "99": want a code or a range from 100 to 599, such as 204 or 200-399`},
		{"+20", `"+20": "+20": want a code or a range from 100 to 599, such as 204 or 200-399`},
		{"200-600", `"200-600": "200-600": want a code or a range from 100 to 599, such as 204 or 200-399`},
		{"200-", `"200-": "200-": want a code or a range from 100 to 599, such as 204 or 200-399`},
		{"204,499-200", `"204,499-200": "499-200": the range ends before it starts: write 200-499`},
	} {
		set := statusSet(t, "418")
		got := ""
		if err := set.UnmarshalText([]byte(tt.text)); err != nil {
			got = strings.TrimPrefix(err.Error(), "status codes ")
			if set != statusSet(t, "418") {
				t.Errorf("%q: a wrong text changed the set to %v", tt.text, set)
			}
		} else {
			text, _ := set.MarshalText()
			got = string(text)
		}
		if got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

func TestStatusSetContains(t *testing.T) {
	set := statusSet(t, "100,200-299,599")
	for code, want := range map[int]bool{-1: false, 0: false, 99: false, 100: true, 101: false, 199: false, 200: true,
		250: true, 299: true, 300: false, 598: false, 599: true, 600: false, 1 << 30: false} {
		if got := set.Contains(code); got != want {
			t.Errorf("Contains(%d) = %v", code, got)
		}
	}
	if (StatusSet{}).Contains(200) || (StatusSet{}).String() != "" {
		t.Error("the zero set is not empty")
	}
}

func TestStatusSetAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codes := rapid.SliceOfN(rapid.IntRange(minStatus, maxStatus), 1, 40).Draw(t, "codes")
		model := make(map[int]bool)
		var parts []string
		for _, code := range codes {
			model[code] = true
			parts = append(parts, strconv.Itoa(code))
		}
		var set, again StatusSet
		if err := set.UnmarshalText([]byte(strings.Join(parts, ","))); err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalText([]byte(set.String())); err != nil || again != set {
			t.Fatalf("%s reads as %s, %v", set, again, err)
		}
		for code := range 1000 {
			if set.Contains(code) != model[code] {
				t.Fatalf("Contains(%d) = %v", code, set.Contains(code))
			}
		}
	})
}

func statusSet(t testing.TB, text string) (s StatusSet) {
	t.Helper()
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}
