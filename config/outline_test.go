package config

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gtmd/geo"
	"gtmd/policy"
)

// joined is what the pieces and the rest of an outline hold together; false when one of them is no TOML.
func (o *outline) joined() (map[string]any, bool) {
	tree, err := parseTOML(o.rest)
	if err != nil {
		return nil, false
	}
	for _, p := range o.pieces {
		part, err := parseTOML(p.text)
		if err != nil || len(part) != len(p.count) {
			return nil, false
		}
		for name, count := range p.count {
			items, ok := part[name].([]map[string]any)
			list, _ := tree[name].([]map[string]any)
			if !ok || len(items) != count || len(list) != p.first[name] {
				return nil, false
			}
			tree[name] = append(list, items...)
		}
	}
	return tree, true
}

func TestOutline(t *testing.T) {
	const two = "a = 1\n[[p]]\nn = 1\n[p.q]\nr = 2\n[s]\n[[p]]\n[[o]]\n  [[o.x]]\n[s.t]\nu = 3\n"
	o := outlined(two, 1)
	var got []string
	for _, p := range o.pieces {
		got = append(got, fmt.Sprintf("%q first %v count %v", p.text, p.first, p.count))
	}
	want := []string{
		`"[[p]]\nn = 1\n[p.q]\nr = 2\n" first map[p:0] count map[p:1]`,
		`"[[p]]\n" first map[p:1] count map[p:1]`,
		`"[[o]]\n  [[o.x]]\n" first map[o:0] count map[o:1]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
	if !o.isDivided || o.rest != "a = 1\n[s]\n[s.t]\nu = 3\n" {
		t.Errorf("divided %t, the rest is %q", o.isDivided, o.rest)
	}
	if o := outlined("[[a]]\n[[b]]\n[[a]]\n[[c]]\n", 13); len(o.pieces) != 2 || o.pieces[0].count["a"] != 2 || o.pieces[0].count["b"] != 1 {
		t.Errorf("pieces of at least 13 octets are %v", o.pieces)
	}
}

// Where a table and an array meet under one name, or the text is no TOML, nothing is divided.
func TestOutlineUndivided(t *testing.T) {
	for _, text := range []string{
		"p = 1\n[[p]]", "p.q = 1\n[[p]]", "\"p\" = []\n[[p]]", "[p]\n[[p]]", "[p.q]\n[[p]]", "[[p.q]]\n[[p]]",
		"[[p]]\n[s]\n[p]", "[[p]]\n[s]\n[p.q]", "[[p]]\n[[o]]\n[p.q]", "[[p]]\n[[o]]\n[[p.q]]", "[[p]]\na = ]\nb = 1", "[[p]\n", "[[p]] [[p]]", "[[p]] [s]", "a = 1 [[p]]",
	} {
		if o := outlined(text, 1); o.isDivided {
			t.Errorf("%q is divided into %q and %v", text, o.rest, o.pieces)
		}
	}
}

// FuzzOutline holds what pieces have together against what the whole text has. Where pieces are no TOML the whole is what counts:
// that parser takes a key twice in a table that is not the first of its array, when a key of the first is dotted.
func FuzzOutline(f *testing.F) {
	for _, text := range []string{
		located, "[[p]]\n[p.q]\n[[p]]\nr = [\n'[[p]]',\n]\n", "[[p]]\ns = \"\"\"\n[[p]]\n\"\"\"\n[[p]]", "[[p]]\n[p]\n", "[[p]]\n[p.a]\n[p.a]\n",
		"[[p]]\n[q]\n[[p.q]]\n", "[ [p] ]\n", "[[ 'p' ]]\n[[\"p\"]]\n", "[[p]]#\r\n[[p]]\r\n", "a.b=1\n[[p]]\n[a]\nc=1\n", "[[p]]\np.p=1\n[[p]]\n", "[[p]] [[p]]\n",
		"[[p]]\na.b=1\n[[p]]\na=1\na=2\n",
	} {
		f.Add(text)
	}
	for _, row := range checkRows() {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := outlined(text, 1)
		if o.deep >= 0 || !o.isDivided {
			return
		}
		whole, err := parseTOML(text)
		parts, ok := o.joined()
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("%q is divided, and no TOML as a whole: %v", text, err)
		}
		if !cmp.Equal(parts, whole, cmpopts.EquateNaNs()) {
			t.Errorf("%q has\n%v divided, and\n%v as a whole", text, parts, whole)
		}
	})
}

// A divided text is decoded as a whole one is, with the same problems at the same places.
func TestDecodeDivided(t *testing.T) {
	equate := cmp.Options{cmpopts.EquateComparable(policy.Judge{}, policy.Threshold{}, geo.Selector{}), cmp.Exporter(func(reflect.Type) bool { return true })}
	for _, row := range checkRows() {
		whole, divided := File{}, File{}
		doc, wholeSyntax := parseDivided("f", row.text, len(row.text)+1, 1)
		var want, got Problems
		if wholeSyntax == nil {
			want, wholeSyntax = decode(doc, &whole)
		}
		doc, syntax := parseDivided("f", row.text, 0, 1)
		if syntax == nil {
			got, syntax = decode(doc, &divided)
		}
		if diff := cmp.Diff(wholeSyntax, syntax); diff != "" {
			t.Errorf("%s: error of syntax (-whole +divided):\n%s", row.name, diff)
		}
		if diff := cmp.Diff(want.sorted(), got.sorted()); diff != "" {
			t.Errorf("%s: problems (-whole +divided):\n%s", row.name, diff)
		}
		if diff := cmp.Diff(whole, divided, equate); diff != "" {
			t.Errorf("%s: options (-whole +divided):\n%s", row.name, diff)
		}
	}
}

// long is a configuration of so many instances, each with pools of its own.
func long(instances int) string {
	var b strings.Builder
	b.WriteString("[[zone]]\nname = \"gtm.example.com\"\nnameservers = [\"ns1.example.com\"]\ncontact = \"hostmaster@example.com\"\n")
	for i := range instances {
		fmt.Fprintf(&b, "[[pool]]\nname = \"p%d\"\ntype = \"ipv4\"\naddresses = [\"10.%d.%d.%d\"]\n", i, i>>16&255, i>>8&255, i&255)
		fmt.Fprintf(&b, "[[instance]]\nname = \"i%d\"\naccess_domain = \"i%d.gtm.example.com\"\naliases = [\"a%d.gtm.example.com\", \"b%d.gtm.example.com\"]\n", i, i, i, i)
		fmt.Fprintf(&b, "  [[instance.policy]]\n  name = \"Global\"\n  sources = [\"global\"]\n  primary = { pools = [\"p%d\"] }\n", i)
	}
	return b.String()
}

// The work for an instance, in allocations, does not depend on how many there are, and nothing of the tree stays.
func TestLoadScales(t *testing.T) {
	perInstance := func(instances int) (mallocs, live float64) {
		text := []byte(long(instances))
		var before, after, settled runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, err := LoadText("gtmd.toml", text)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		runtime.GC()
		runtime.ReadMemStats(&settled)
		runtime.KeepAlive(c)
		runtime.KeepAlive(text)
		return float64(after.Mallocs-before.Mallocs) / float64(instances), float64(settled.HeapAlloc-before.HeapAlloc) / float64(instances)
	}
	few, liveFew := perInstance(2_000)
	many, liveMany := perInstance(20_000)
	t.Logf("allocations for an instance: %.0f of 2,000 and %.0f of 20,000; octets kept: %.0f and %.0f", few, many, liveFew, liveMany)
	if many > 1.2*few {
		t.Errorf("an instance takes %.0f allocations among 20,000, and %.0f among 2,000", many, few)
	}
	if most := 4000.; liveMany > most {
		t.Errorf("an instance keeps %.0f octets, want at most %.0f", liveMany, most)
	}
}

// The work for a problem, in allocations, does not grow with their number: positions are found once, and not every name that there is
// none of is compared with all that there are.
func TestProblemsScale(t *testing.T) {
	perProblem := func(instances int) float64 {
		text := []byte(strings.ReplaceAll(long(instances), "{ pools = [\"p", "{ pools = [\"other"))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := LoadText("gtmd.toml", text)
		runtime.ReadMemStats(&after)
		problems, _ := errors.AsType[Problems](err)
		if len(problems) != instances || problems[0].Line != 16 {
			t.Fatalf("%d problems, want %d, the first in line 16: %v", len(problems), instances, problems[:1])
		}
		return float64(after.Mallocs-before.Mallocs) / float64(instances)
	}
	few, many := perProblem(1_500), perProblem(6_000)
	t.Logf("allocations for a problem: %.0f of 1,500 and %.0f of 6,000", few, many)
	if many > 1.5*few {
		t.Errorf("a problem takes %.0f allocations among 6,000, and %.0f among 1,500", many, few)
	}
}
