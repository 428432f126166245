package geo

import (
	"fmt"
	"testing"
)

func TestParseSelector(t *testing.T) {
	var many []LineOptions
	for i := range 10 {
		many = append(many, line(fmt.Sprint("l", i), ""))
	}
	lines := []LineOptions{line("office", ""), line("Global", ""), line("new lab", "")}
	for _, tc := range []struct {
		text  string
		lines []LineOptions
		want  string // String of the selector
		err   string
	}{
		{"global", lines, "global", ""},
		{"default", lines, "global", ""},
		{"global", nil, "global", ""},
		{"office", lines, "office", ""},
		{"new lab", lines, "new lab", ""},
		{"Global", lines, "Global", ""},
		{"Office", lines, "", `request source "Office": want "global" or a custom line: "office", "Global", "new lab"`},
		{"", lines, "", `request source "": want "global" or a custom line: "office", "Global", "new lab"`},
		{"office", nil, "", `request source "office": want "global" (there are no custom lines)`},
		{"x", many[:8], "", `request source "x": want "global" or a custom line: "l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"`},
		{"x", many, "", `request source "x": want "global" or a custom line: "l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7" and 2 more`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			selector, err := ParseSelector(tc.text, tc.lines)
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := selector.String(); got != tc.want {
				t.Errorf("String() = %q, want %q", got, tc.want)
			}
			again, err := ParseSelector(selector.String(), tc.lines)
			if err != nil || again != selector {
				t.Errorf("ParseSelector(%q) = %v, %v; want the same selector", selector.String(), again, err)
			}
		})
	}
}

func TestSelectorIdentity(t *testing.T) {
	if (Selector{}) != Global {
		t.Error("the zero Selector is not Global")
	}
	lines := []LineOptions{line("Global", "")}
	if selector, _ := ParseSelector("Global", lines); selector == Global {
		t.Error(`the line "Global" is the source global`)
	}
}
