package grafana

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write gtmd.json anew")

const list = "../../node/testdata/metrics.txt"

func metrics(t *testing.T) []metric {
	t.Helper()
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := readMetrics(f)
	if err != nil || len(all) < 50 {
		t.Fatalf("%d metrics, %v", len(all), err)
	}
	return all
}

// TestDashboard holds the file against what the list of metrics makes of it.
func TestDashboard(t *testing.T) {
	var want bytes.Buffer
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Write(&want, f); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("gtmd.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("gtmd.json")
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("gtmd.json is stale (%v): go test ./deploy/grafana -update", err)
	}
}

// outside are metrics that the Prometheus libraries bring, and Prometheus itself.
var outside = []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "go_goroutines", "up"}

// TestQueries: every metric that a query names is in the list with the labels that the query uses, and every metric of the list
// is shown.
func TestQueries(t *testing.T) {
	all := metrics(t)
	rows := append(slices.Clone(layout), rest(all))
	shown := used(rows)
	for _, m := range all {
		if !shown[m.name] {
			t.Errorf("%s is not shown", m.name)
		}
	}
	for _, r := range rows {
		for _, p := range r.panels {
			if p.width == 0 || p.title == "" || len(p.queries) == 0 {
				t.Errorf("panel %q of %q is not whole", p.title, r.title)
			}
			for _, q := range p.queries {
				checkQuery(t, all, p.title, q.expr)
			}
		}
	}
}

var selectorOf = regexp.MustCompile(`\b((?:gtmd|process|go)_\w+)\{([^}]*)\}`)

func checkQuery(t *testing.T, all []metric, title, expr string) {
	for _, name := range metricName.FindAllString(expr, -1) {
		if !slices.ContainsFunc(selectorOf.FindAllStringSubmatch(expr, -1), func(s []string) bool { return s[1] == name && strings.HasPrefix(s[2], "$on") }) {
			t.Errorf("%s: %s is asked of every job", title, name)
		}
	}
	for _, s := range selectorOf.FindAllStringSubmatch(expr, -1) {
		name := s[1]
		i := slices.IndexFunc(all, func(m metric) bool {
			return m.name == name || m.kind == "histogram" && m.name == strings.TrimSuffix(name, "_bucket")
		})
		if i < 0 {
			if !slices.Contains(outside, name) {
				t.Errorf("%s: there is no metric %s", title, name)
			}
			continue
		}
		for _, label := range regexp.MustCompile(`(\w+)\s*[!=]`).FindAllStringSubmatch(s[2], -1) {
			want := label[1]
			if want == "exported_instance" {
				want = "instance"
			}
			if !slices.Contains(all[i].labels, want) {
				t.Errorf("%s: %s has no label %s", title, name, label[1])
			}
		}
	}
}

// TestShape: Grafana needs identities that are unique, and places that do not overlap.
func TestShape(t *testing.T) {
	text, err := os.ReadFile("gtmd.json")
	if err != nil {
		t.Fatal(err)
	}
	type position struct{ X, Y, W, H int }
	type shape struct {
		ID      int
		Title   string
		GridPos position
		Panels  []shape
	}
	var d struct{ Panels []shape }
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	var check func(panels []shape)
	check = func(panels []shape) {
		for i, p := range panels {
			if ids[p.ID] {
				t.Errorf("%s: the identity %d is taken", p.Title, p.ID)
			}
			ids[p.ID] = true
			if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || p.GridPos.H == 0 {
				t.Errorf("%s is at %+v", p.Title, p.GridPos)
			}
			for _, q := range panels[:i] {
				a, b := p.GridPos, q.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
					t.Errorf("%s and %s overlap", p.Title, q.Title)
				}
			}
			check(p.Panels)
		}
	}
	check(d.Panels)
	if len(ids) < 40 {
		t.Errorf("only %d panels", len(ids))
	}
}

func TestReadMetrics(t *testing.T) {
	if _, err := readMetrics(strings.NewReader("gtmd_x gauge\n")); err == nil || !strings.Contains(err.Error(), `"gtmd_x gauge" is no line`) {
		t.Errorf("error is %v", err)
	}
}
