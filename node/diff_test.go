package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gtmd/admin"
	"gtmd/config"
)

// diffOf compares two configurations offline.
func diffOf(t *testing.T, before, after string) admin.Difference {
	t.Helper()
	load := func(text string) *config.Config {
		c, err := config.LoadText("gtmd.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	d, err := Diff(load(before), load(after))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDiffOfNothing(t *testing.T) {
	d := diffOf(t, region, region)
	check(t, "difference", d, admin.Difference{From: d.From, To: d.From, Names: []admin.NameDifference{}, Unchanged: 3, Warnings: d.Warnings})
}

func TestDiff(t *testing.T) {
	after := strings.NewReplacer(
		`primary = { pools = ["b", "six"] }`, `primary = { pools = ["a", "six"] }`,
		`access_domain = "two.gtm.test"`, `access_domain = "three.gtm.test"`,
	).Replace(region)
	d := diffOf(t, region, after)
	var got []string
	for _, n := range d.Names {
		text := fmt.Sprintf("%s %s %s %.3g %.3g", n.Name, n.Type, n.Change, n.ShareIPv4, n.ShareIPv6)
		for _, e := range n.Examples {
			text += fmt.Sprintf(" | %s %s %v -> %v", e.Client, e.Line, e.Before, e.After)
		}
		got = append(got, text)
	}
	want := []string{
		"one.gtm.test. A changed 5.96e-08 0 | 198.51.100.0/24 office [192.0.2.2 192.0.2.1] -> [192.0.2.1]",
		"three.gtm.test. A added 1 1 | 0.0.0.0/1 global [(NXDOMAIN)] -> [192.0.2.1] | 198.51.100.0/24 office [(NXDOMAIN)] -> [192.0.2.2 192.0.2.1]",
		"two.gtm.test. A removed 1 1 | 0.0.0.0/1 global [192.0.2.1] -> [(NXDOMAIN)] | 198.51.100.0/24 office [192.0.2.2 192.0.2.1] -> [(NXDOMAIN)]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	check(t, "other", d.Other, []string{
		`instance "one": policy "Office": primary.pools "a" added`, `instance "one": policy "Office": primary.pools "b" removed`,
		`instance "two": access_domain: "two.gtm.test." -> "three.gtm.test."`,
	})
}

// BenchmarkDifference compares 10,000 instances, some of which have another address.
func BenchmarkDifference(b *testing.B) {
	text := wide(10_000)
	load := func(text string) *world {
		c, err := config.LoadText("gtmd.toml", []byte(text))
		if err != nil {
			b.Fatal(err)
		}
		w, err := offline(c)
		if err != nil {
			b.Fatal(err)
		}
		return w
	}
	before, after := load(text), load(strings.ReplaceAll(text, `"10.1.1`, `"10.3.1`))
	for b.Loop() {
		before.difference(after, at(0))
	}
	b.ReportMetric(float64(len(before.difference(after, at(0)).Names)), "differences")
}
