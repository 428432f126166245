// Package gtmd has no code: its test guards the shape of the house (docs/architecture.md).
package gtmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrows are the imports that packages of this module may have of each other. A new arrow is a line in a review.
var arrows = map[string][]string{
	"cmd/gtmd":    {"node", "config", "admin", "geo", "geo/mmdb", "handover"},
	"node":        {"config", "policy", "geo", "healthcheck", "resolver", "server", "server/view", "admin", "admin/dashboard", "alert", "handover"},
	"config":      {"policy", "geo", "healthcheck", "resolver", "server", "admin", "alert"},
	"server":      {"server/view", "server/wire", "server/querylog", "policy", "handover"},
	"server/view": {"server/wire", "policy", "geo"},
	"server/wire": {},
	"policy":      {},
	"geo":         {},
	"geo/mmdb":    {"geo"},
	"healthcheck": {},
	"resolver":    {},
	"admin":       {"handover"},
	"alert":       {},
	"handover":    {},
	"deploy":      {},

	"deploy/grafana": {},
	"docs":           {},
	"e2e":            {},
	".":              {},

	"admin/dashboard":       {"admin"},
	"server/querylog":       {"server/view"}, // to tell where an answer came from, off the query path
	"bench/probes/blackbox": {},
}

// testArrows are further imports that tests may have.
var testArrows = map[string][]string{
	"server": {"geo"},
	"deploy": {"config", "node", "server"},            // loads the examples
	"docs":   {"admin", "config", "node", "geo/mmdb"}, // the same, with databases; the kinds of events
	"e2e":    {"admin"},                               // reads what the API sends
}

// libraries are the third-party modules that a room may use, beside the standard library; tests may use more. The reason of
// each is in docs/dependencies.md.
var libraries = map[string][]string{
	"cmd/gtmd":    {"github.com/spf13/cobra", "github.com/coreos/go-systemd", "github.com/miekg/dns", "golang.org/x/sys"},
	"node":        {"github.com/miekg/dns", "github.com/prometheus/client_golang"},
	"config":      {"github.com/miekg/dns", "github.com/BurntSushi/toml"},
	"geo":         {"github.com/oschwald/maxminddb-golang", "github.com/oschwald/geoip2-golang"},
	"geo/mmdb":    {"github.com/maxmind/mmdbwriter", "github.com/oschwald/maxminddb-golang"},
	"server":      {"github.com/miekg/dns", "github.com/prometheus/client_golang", "golang.org/x/sys"},
	"server/view": {"github.com/miekg/dns"},
	"healthcheck": {"github.com/miekg/dns", "github.com/prometheus/client_golang", "golang.org/x/net", "golang.org/x/sys", "google.golang.org/protobuf"},
	"resolver":    {"github.com/miekg/dns", "github.com/prometheus/client_golang"},
	"admin":       {"github.com/prometheus/client_golang"},
	"alert":       {"github.com/prometheus/client_golang", "github.com/wneessen/go-mail"},
	"handover":    {"golang.org/x/sys"},

	"server/querylog": {"github.com/miekg/dns", "google.golang.org/protobuf"},
}

// source is one Go file.
type source struct {
	dir, name string
	file      *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		parsed, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(filepath.Dir(name)), name, parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found only %d Go files: the test looks in the wrong place", len(all))
	}
	return all
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := arrows[s.dir]
		if !known {
			t.Errorf("%s: the room %q is not in the list of arrows", s.name, s.dir)
			continue
		}
		for _, spec := range s.file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if room, ours := strings.CutPrefix(imported, "gtmd/"); ours {
				if room != s.dir && !slices.Contains(allowed, room) && !(s.isTest() && slices.Contains(testArrows[s.dir], room)) {
					t.Errorf("%s: there is no arrow from %s to %s", s.name, s.dir, room)
				}
				continue
			}
			if s.isTest() || !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
				continue
			}
			if !slices.ContainsFunc(libraries[s.dir], func(module string) bool {
				return imported == module || strings.HasPrefix(imported, module+"/")
			}) {
				t.Errorf("%s: room %s may not use %s", s.name, s.dir, imported)
			}
		}
	}
}

// TestPackageComments wants exactly one package comment in each room.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	rooms := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() && s.dir != "." {
			continue
		}
		rooms[s.dir] = true
		if s.file.Doc != nil {
			comments[s.dir] = append(comments[s.dir], s.name)
		}
	}
	for room := range rooms {
		if len(comments[room]) != 1 {
			t.Errorf("room %s has package comments in %v, want one", room, comments[room])
		}
	}
}

// TestRules guards what rule 9 of the house forbids below cmd: init functions, exits, the default logger.
func TestRules(t *testing.T) {
	forbidden := map[string][]string{
		"os":         {"Exit"},
		"log":        {"Fatal", "Fatalf", "Panic", "Panicf", "Print", "Printf", "Println", "Default"},
		"slog":       {"Info", "Warn", "Error", "Debug", "Default", "SetDefault"},
		"prometheus": {"MustRegister", "DefaultRegisterer", "DefaultGatherer"},
	}
	for _, s := range sources(t) {
		if s.isTest() || strings.HasPrefix(s.dir, "cmd/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: has an init function", s.name)
				}
			case *ast.SelectorExpr:
				if pkg, isName := n.X.(*ast.Ident); isName && slices.Contains(forbidden[pkg.Name], n.Sel.Name) {
					t.Errorf("%s: uses %s.%s: loggers, registerers and exits are passed in from cmd", s.name, pkg.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestFiles keeps files small enough to see at once, and named by nouns.
func TestFiles(t *testing.T) {
	for _, s := range sources(t) {
		base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s.name), ".go"), "_test")
		for _, bag := range []string{"util", "utils", "common", "helper", "misc", "types"} {
			if base == bag {
				t.Errorf("%s: a file is named by a noun of the field", s.name)
			}
		}
		file := s.file
		if lines := strings.Count(readFile(t, s.name), "\n"); lines > 500 && !s.isTest() {
			t.Errorf("%s: has %d lines: split it by noun (package %s)", s.name, lines, file.Name.Name)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
