package node

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestChanges looks at two files that change: one is ready when it was the same at the look before, and waits for the other,
// but not for ever.
func TestChanges(t *testing.T) {
	dir, version := t.TempDir(), 0
	touch := func(name string) {
		t.Helper()
		version++
		path, moment := filepath.Join(dir, name), epoch.Add(time.Duration(version)*time.Second)
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, moment, moment); err != nil {
			t.Fatal(err)
		}
	}
	touch("a")
	touch("b")
	databases := []*database{
		{path: filepath.Join(dir, "a"), stamp: stampOf(filepath.Join(dir, "a"))},
		{path: filepath.Join(dir, "b"), stamp: stampOf(filepath.Join(dir, "b"))},
	}
	c := changes{seen: map[string]stamp{}}
	for i, row := range []struct {
		touched string
		removed string
		want    string
	}{
		{want: ""},
		{touched: "a", want: ""},
		{want: "a"},
		{want: "a"}, // nobody has taken it up
		{touched: "b", want: ""},
		{touched: "b", want: ""},
		{want: "a b"},
		{touched: "b", want: ""},
		{touched: "b", want: ""},
		{touched: "b", want: ""},
		{touched: "b", want: ""},
		{touched: "b", want: "a"}, // long enough
		{want: "a b"},
		{removed: "b", want: ""},
		{want: "a b"},
	} {
		if row.touched != "" {
			touch(row.touched)
		}
		if row.removed != "" {
			if err := os.Remove(filepath.Join(dir, row.removed)); err != nil {
				t.Fatal(err)
			}
		}
		var due []string
		for path := range c.look(databases) {
			due = append(due, filepath.Base(path))
		}
		slices.Sort(due)
		check(t, "look", strings.Join(due, " "), row.want)
		if t.Failed() {
			t.Fatalf("at look %d", i)
		}
	}
}

// TestFirstShared: lists of disjoint prefixes, as a plan has them.
func TestFirstShared(t *testing.T) {
	places := func(text string) []place {
		var all []place
		for i, word := range strings.Fields(text) {
			all = append(all, place{netip.MustParsePrefix(word), i})
		}
		return all
	}
	for _, row := range []struct{ a, b, want string }{
		{"", "0.0.0.0/0", "none"},
		{"0.0.0.0/0", "", "none"},
		{"0.0.0.0/1", "128.0.0.0/1", "none"},
		{"128.0.0.0/1", "0.0.0.0/1", "none"},
		{"0.0.0.0/0", "::/0", "none"},
		{"10.0.0.0/8 2001:db8::/32", "9.0.0.0/8 11.0.0.0/8 2001:db8:1::/48", "2001:db8:1::/48 1"},
		{"10.0.0.0/8", "0.0.0.0/2 64.0.0.0/2", "10.0.0.0/8 0"},
		{"0.0.0.0/2 64.0.0.0/2", "65.0.0.0/8", "65.0.0.0/8 1"},
		{"1.0.0.0/8 3.0.0.0/8 5.0.0.0/8", "2.0.0.0/8 4.0.0.0/8 5.0.0.0/8", "5.0.0.0/8 2"},
	} {
		got := "none"
		if at, ok := firstShared(places(row.a), places(row.b)); ok {
			got = fmt.Sprint(at.prefix, " ", at.policy)
		}
		check(t, row.a+" and "+row.b, got, row.want)
	}
}

func TestPercent(t *testing.T) {
	for _, row := range []struct {
		share float64
		want  string
	}{{0, "0 %"}, {1e-9, "less than 0.01 %"}, {0.00039, "0.039 %"}, {0.0039, "0.39 %"}, {0.035, "3.5 %"}, {0.71, "71 %"}, {0.9999, "100 %"}, {1, "100 %"}} {
		check(t, "percent", percent(row.share), row.want)
	}
}

func TestDays(t *testing.T) {
	for _, row := range []struct {
		length time.Duration
		want   string
	}{{90 * time.Minute, "1h30m0s"}, {24 * time.Hour, "1 day"}, {47 * time.Hour, "1 day"}, {60 * 24 * time.Hour, "60 days"}} {
		check(t, "days", days(row.length), row.want)
	}
}
