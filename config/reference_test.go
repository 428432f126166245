package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestReference compares docs/options.md with the option structs. "go test ./config -run TestReference -update"
// writes it.
func TestReference(t *testing.T) {
	r := &reference{t: t, docs: map[string]map[string]string{}, done: map[reflect.Type]bool{}}
	r.section(reflect.TypeFor[File](), "At the top of the file", "")
	got := "# Options\n\n" +
		"<!-- Generated from the option structs by: go test ./config -run TestReference -update -->\n\n" +
		"Every key of the configuration file. A key that is neither required nor has a default is empty, 0 or false when it is\n" +
		"absent. A duration is a string such as \"15s\", \"500ms\" or \"1h30m\". Where a list of tables is wanted, a single table\n" +
		"may stand in its place. Relative paths start at the directory of the file that gives them, but for state.dir and\n" +
		"admin.socket, which start at the working directory.\n" + r.text.String()
	const name = "../docs/options.md"
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is stale, run this test with -update (-file +options):\n%s", name, diff)
	}
}

var update = flag.Bool("update", false, "write docs/options.md")

// reference writes the tables of all sections.
type reference struct {
	t    *testing.T
	text strings.Builder
	docs map[string]map[string]string // by package directory and then "Type.Field"
	done map[reflect.Type]bool
}

// section writes the table of one struct, then those of the structs in it. The header is the path of its keys.
func (r *reference) section(of reflect.Type, heading, header string) {
	if r.done[of] {
		return
	}
	r.done[of] = true
	fmt.Fprintf(&r.text, "\n## %s\n\n| option | type | default | range or values | meaning |\n|---|---|---|---|---|\n", heading)
	type nested struct {
		of              reflect.Type
		heading, header string
	}
	var inner []nested
	for _, f := range optionFields(of) {
		kind := of.Field(f.index).Type
		fmt.Fprintf(&r.text, "| `%s` | %s | %s | %s | %s |\n", f.key, typeName(kind), defaultName(f), rangeName(kind, f), r.doc(of, of.Field(f.index).Name))
		path := strings.TrimPrefix(header+"."+f.key, ".")
		switch {
		case isTables(kind) && (hasName(kind.Elem()) || header == ""):
			inner = append(inner, nested{kind.Elem(), "`[[" + path + "]]`", path})
		case isTables(kind):
			inner = append(inner, nested{kind.Elem(), "Each of `" + path + "`", path})
		case kind.Kind() == reflect.Struct && !isScalar(reflect.New(kind).Elem()) && header == "":
			inner = append(inner, nested{kind, "`[" + path + "]`", path})
		case kind.Kind() == reflect.Struct && !isScalar(reflect.New(kind).Elem()):
			inner = append(inner, nested{kind, "`" + path + "`", path})
		}
	}
	for i, n := range inner {
		for _, same := range inner[i+1:] {
			if same.of == n.of {
				n.heading += " and each of `" + same.header + "`"
			}
		}
		r.section(n.of, n.heading, n.header)
	}
}

// hasName tells whether tables of a type are known by their names.
func hasName(of reflect.Type) bool {
	for _, f := range optionFields(of) {
		if f.key == "name" {
			return true
		}
	}
	return false
}

// typeName names the TOML type of a field.
func typeName(of reflect.Type) string {
	value := reflect.New(of).Elem()
	switch {
	case of == reflect.TypeFor[time.Duration]():
		return "duration"
	case of == reflect.TypeFor[map[string]string]():
		return "table of strings"
	case isTables(of):
		return "list of tables" + shortName(of.Elem())
	case of.Kind() == reflect.Slice:
		return "list of " + plural(of.Elem())
	case of.Kind() == reflect.Bool:
		return "boolean"
	case of.Kind() == reflect.Struct && !isScalar(value):
		return "table" + strings.Replace(shortName(of), " or of strings", " or string", 1)
	case of.Kind() == reflect.Int:
		return "integer"
	case of.Kind() == reflect.Float64 || of.Kind() == reflect.Pointer:
		return "number"
	case of.Kind() == reflect.String:
		return "string"
	}
	return "string or integer"
}

// shortName says what may stand in place of a table.
func shortName(of reflect.Type) string {
	for _, f := range optionFields(of) {
		if f.short {
			return " or of " + plural(of.Field(f.index).Type) + " (`" + f.key + "`)"
		}
	}
	return ""
}

// defaultName is the default of a field as the file would write it.
func defaultName(f field) string {
	switch {
	case f.required:
		return "required"
	case !f.hasFallback:
		return ""
	}
	return "`" + strings.ReplaceAll(f.fallback, ",", "`, `") + "`"
}

// rangeName says which values a field takes.
func rangeName(of reflect.Type, f field) string {
	if e, ok := reflect.New(of).Elem().Interface().(enumeration); ok {
		return "`" + strings.Join(e.Values(), "` `") + "`"
	}
	if low, high, ok := strings.Cut(f.bounds, ".."); ok {
		return low + " to " + high
	}
	return ""
}

// doc is the doc comment of a field, in one line.
func (r *reference) doc(of reflect.Type, name string) string {
	directory := "../" + strings.TrimPrefix(of.PkgPath(), "gtmd/")
	if r.docs[directory] == nil {
		r.docs[directory] = fieldDocs(r.t, directory)
	}
	doc := r.docs[directory][of.Name()+"."+name]
	if doc == "" {
		r.t.Errorf("%s.%s has no doc comment", of, name)
	}
	return strings.ReplaceAll(strings.Join(strings.Fields(doc), " "), "|", `\|`)
}

// fieldDocs reads the doc comments of all struct fields in a package.
func fieldDocs(t *testing.T, directory string) map[string]string {
	names, err := filepath.Glob(directory + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			of, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range of.Fields.List {
				for _, id := range f.Names {
					docs[spec.Name.Name+"."+id.Name] = f.Doc.Text()
				}
			}
			return true
		})
	}
	return docs
}
