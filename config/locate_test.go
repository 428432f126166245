package config

import (
	"runtime"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

const located = `# comment with [brackets] and "quotes"
top = 1 # = trailing
[dns]
listen = [
  "127.0.0.1:53", # ] }
  '[::1]:53',
]
text = """
[not] a = table \""" "quoted"
"""
raw = '''it's
b = 2'''''
a . "b.c" . 'd' = { x = 1, y.z = [[1], [{ w = 2 }]] }
[[pool]]
addresses = ["192.0.2.1", { address = "192.0.2.2", weight = 2 }]
[[pool]]
  [[pool.sub]]
  when = 1979-05-27 07:32:00
  [[pool.sub]]
  [pool.sub.table]
  "\u0061\t" = 1
[ geo . line ]
last = true`

func TestLocate(t *testing.T) {
	at := locate(located)
	if deep := outlined(located, 1).deep; deep >= 0 {
		t.Errorf("nests too deep at %v", deep)
	}
	want := positions{
		"top": {2, 1}, "dns": {3, 1}, "dns.listen": {4, 1}, "dns.listen[0]": {5, 3}, "dns.listen[1]": {6, 3},
		"dns.text": {8, 1}, "dns.raw": {11, 1},
		"dns.a": {13, 1}, `dns.a."b.c"`: {13, 5}, `dns.a."b.c".d`: {13, 13},
		`dns.a."b.c".d.x`: {13, 21}, `dns.a."b.c".d.y`: {13, 28}, `dns.a."b.c".d.y.z`: {13, 30},
		`dns.a."b.c".d.y.z[0]`: {13, 35}, `dns.a."b.c".d.y.z[0][0]`: {13, 36}, `dns.a."b.c".d.y.z[1]`: {13, 40},
		`dns.a."b.c".d.y.z[1][0]`: {13, 41}, `dns.a."b.c".d.y.z[1][0].w`: {13, 43},
		"pool": {14, 1}, "pool[0]": {14, 1}, "pool[0].addresses": {15, 1}, "pool[0].addresses[0]": {15, 14},
		"pool[0].addresses[1]": {15, 27}, "pool[0].addresses[1].address": {15, 29}, "pool[0].addresses[1].weight": {15, 52},
		"pool[1]": {16, 1}, "pool[1].sub": {17, 3}, "pool[1].sub[0]": {17, 3}, "pool[1].sub[0].when": {18, 3},
		"pool[1].sub[1]": {19, 3}, "pool[1].sub[1].table": {20, 3}, `pool[1].sub[1].table."a\t"`: {21, 3},
		"geo": {22, 1}, "geo.line": {22, 1}, "geo.line.last": {23, 1},
	}
	for path, p := range want {
		if at[path] != p {
			t.Errorf("%s is at %v, want %v", path, at[path], p)
		}
	}
	for path := range at {
		if _, ok := want[path]; !ok {
			t.Errorf("%s is at %v, want nowhere", path, at[path])
		}
	}
	checkLocated(t, located)
}

func TestFind(t *testing.T) {
	at := locate("[[pool]]\naddresses = [\"a\", { address = \"b\" }]\n[one]\nbackup = { pools = [\"x\"] }\n\"k.[1]\\\"\" = 1\n")
	for path, want := range map[string]position{
		"pool[0].addresses[1].address":  {2, 21},
		"pool[0].addresses[0].address":  {2, 14}, // the short form
		"pool[0].addresses[0].weight":   {2, 14},
		"pool[0].balance":               {1, 1}, // not written
		"pool[3].balance":               {1, 1},
		"one.backup[0].pools[0].pool":   {4, 21}, // a table in place of a list
		"one.backup[0].min_available":   {4, 1},
		"one[0].backup[0].pools[0]":     {4, 21},
		`one."k.[1]\""`:                 {5, 1},
		"two":                           {},
		"":                              {},
		"[0]":                           {},
		"one.backup[1].pools[0].weight": {4, 1},
	} {
		if got := at.find(path); got != want {
			t.Errorf("%q is at %v, want %v", path, got, want)
		}
	}
}

// Text that is no TOML is located up to where it goes wrong.
func TestLocateBroken(t *testing.T) {
	for _, text := range []string{
		"[", "[[", "[a", "[[a]", "[a]]", "a", "a =", "a = ", "a.", "= 1", "a = [", "a = [1", "a = [1 2]", "a = {", "a = {b", "a = {b = 1 c = 2}",
		`a = "`, "a = \"\n\"", `a = """`, `a = '`, `"`, `"\`, `"\u12`, `"\uzzzz" = 1`, `a = "\`, "a = ]", "a = #", "\x00", "a = {]}",
	} {
		at := locate(text)
		if len(at) > 2 {
			t.Errorf("%q locates %v", text, at)
		}
	}
}

func TestLocateDeep(t *testing.T) {
	nested := func(n int) string { return "a = 1\nb = " + strings.Repeat("[", n) + strings.Repeat("]", n) }
	if deep := outlined(nested(maxNesting), 1).deep; deep >= 0 {
		t.Errorf("%d levels are too deep at %v", maxNesting, deep)
	}
	_, problem := parseDocument("f", nested(100_000))
	if problem == nil || problem.String() != "f:2:69: lists and tables nest more than 64 deep" {
		t.Errorf("problem is %v", problem)
	}
}

// checkLocated checks that every key and element that decoding yields is located, and the other way round.
func checkLocated(t *testing.T, text string) {
	t.Helper()
	doc, problem := parseDocument("f", text)
	if problem != nil {
		return
	}
	found := map[string]bool{}
	var visit func(path string, value any)
	visit = func(path string, value any) {
		if path != "" {
			if _, ok := doc.positions()[path]; !ok {
				t.Errorf("%s is not located in %q", path, text)
			}
			found[path] = true
		}
		switch value := value.(type) {
		case map[string]any:
			for key, item := range value {
				visit(join(path, key), item)
			}
		case []any:
			for i, item := range value {
				visit(element(path, i), item)
			}
		case []map[string]any:
			for i, item := range value {
				visit(element(path, i), item)
			}
		}
	}
	visit("", doc.tree)
	lines := strings.Split(text, "\n")
	for path, p := range doc.positions() {
		if !found[path] {
			t.Errorf("%s is located at %v and not decoded in %q", path, p, text)
		}
		if p.line < 1 || p.line > len(lines) || p.column < 1 || p.column > len(lines[p.line-1])+len(byteOrderMark) {
			t.Errorf("%s is at %v, outside of the text %q", path, p, text)
		}
	}
}

// FuzzLocator holds the locator against the parser: they know the same keys.
func FuzzLocator(f *testing.F) {
	f.Add(located)
	f.Add("\ufeffa = 1")
	f.Add("x = [{a.b.c = [{a.b = 2, a = 1}, {}]}]")
	f.Add("a.b = 1\na.c = {b = 1}\n[a2]\na.b = 1")
	f.Add("\ufeff\ufeffa = 1")
	f.Add("a.b.c = 1\na.d = 2\n[[e.f]]\n[e.f.g]\nh = {}\n")
	f.Add("x = [{a.b = 1}, {a.b = 2, a.c = [{}]}]")
	f.Add("[[a.b]]\n[a]\nb.c = 1")
	f.Add(`"" = 1` + "\n" + `'"' = 2`)
	for _, row := range checkRows() {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkLocated(t, text)
		doc, problem := parseDocument("f", text)
		if problem != nil {
			return
		}
		var tree map[string]any
		meta, err := toml.Decode(text, &tree)
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]bool{}
		for path := range doc.positions() {
			known[withoutIndexes(path)] = true
		}
		for _, key := range meta.Keys() {
			path := ""
			for _, part := range key {
				path = join(path, part)
			}
			if !known[path] {
				t.Errorf("key %s is not located in %q", path, text)
			}
		}
	})
}

// withoutIndexes takes the indexes out of a path.
func withoutIndexes(path string) string {
	out := ""
	for _, segment := range segments(path) {
		switch {
		case segment[0] == '[':
		case out == "":
			out = segment
		default:
			out += "." + segment
		}
	}
	return out
}

// TestPositionsKept: positions are found once while the configuration is being loaded, and again when somebody asks later.
func TestPositionsKept(t *testing.T) {
	doc, problem := parseDocument("gtmd.toml", "a = 1\n[b]\nc = 2\n")
	if problem != nil {
		t.Fatal(problem)
	}
	found := func() bool {
		runtime.GC()
		return doc.at.Value() != nil
	}
	if got, want := doc.positions().find("b.c"), (position{3, 1}); got != want || !found() {
		t.Errorf("position %v, want %v; kept: %t", got, want, found())
	}
	if doc.settle(); found() {
		t.Error("positions are kept once the document is settled")
	}
	if got, want := doc.positions().find("b.c"), (position{3, 1}); got != want || found() {
		t.Errorf("later: position %v, want %v; kept: %t", got, want, found())
	}
}
