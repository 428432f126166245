package admin_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// description is what the tests read of the OpenAPI document.
type description struct {
	OpenAPI    string                          `json:"openapi"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	OperationID string              `json:"operationId"`
	Responses   map[string]content  `json:"responses"`
	RequestBody *content            `json:"requestBody"`
	Parameters  []map[string]any    `json:"parameters"`
	Security    []map[string][]bool `json:"security"`
}

type content struct {
	Content map[string]struct {
		Schema schema `json:"schema"`
	} `json:"content"`
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Items      *schema           `json:"items"`
	Enum       []any             `json:"enum"`
}

func (s schema) name() string { return strings.TrimPrefix(s.Ref, "#/components/schemas/") }

func describe(t *testing.T) (d description) {
	t.Helper()
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestOpenAPIServed sends the document as it is.
func TestOpenAPIServed(t *testing.T) {
	s := newService(t)
	s.both(t)
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	r := send(t, s.Address().String(), "GET", "/api/v1/openapi.json", "")
	equal(t, "code", r.code, 200)
	equal(t, "type", r.header.Get("Content-Type"), "application/json")
	equal(t, "document", r.body, string(want))
	var indented bytes.Buffer
	if err := json.Indent(&indented, want, "", "  "); err != nil || indented.String() != string(want) {
		t.Errorf("openapi.json is not indented by two spaces: %v", err)
	}
}

// TestOpenAPIRoutes holds the paths of the document against the routes, both ways.
func TestOpenAPIRoutes(t *testing.T) {
	d := describe(t)
	equal(t, "version", d.OpenAPI, "3.1.0")
	s := newService(t)
	described, ids := map[string]bool{}, map[string]bool{}
	for path, item := range d.Paths {
		for method, op := range item {
			described[strings.ToUpper(method)+" "+path] = true
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: the operationId %q is not its own", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			for _, part := range strings.Split(path, "/") {
				if name := strings.Trim(part, "{}"); name != part && !slices.ContainsFunc(op.Parameters, func(p map[string]any) bool {
					return p["name"] == name && p["in"] == "path" && p["required"] == true
				}) {
					t.Errorf("%s %s: the parameter %s is not described", method, path, name)
				}
			}
		}
	}
	routed := map[string]bool{}
	for _, pattern := range s.Patterns() {
		routed[pattern] = true
	}
	if diff := cmp.Diff(routed, described); diff != "" {
		t.Errorf("routes (-) and what is described (+):\n%s", diff)
	}
}

// compiler returns what compiles the schemas of the document. With strict, no object may have what is not in its schema.
func compiler(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	file, err := os.Open("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	document, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	schemas := document.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)
	for _, s := range schemas {
		if object := s.(map[string]any); object["type"] == "object" {
			object["additionalProperties"] = false
		}
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	return c
}

// Requests on a set of a policy.
const (
	setOverride = `{"instance":"cdn-origin","policy":"Global","set":"primary","state":"down","reason":"new kernel","author":"alice"}`
	drillSet    = `{"instance":"cdn-origin","policy":"Global","set":"primary","for":"10m","reason":"quarterly","author":"alice"}`
)

// asked are requests, with what the backend of the tests answers in golden files. Every route of the API is in it.
var asked = []struct {
	method, path, body, file string
	code                     int
}{
	{"GET", "/status", "", "status", 200},
	{"GET", "/summary", "", "summary", 200},
	{"GET", "/instances", "", "instances", 200},
	{"GET", "/instances/cdn-origin", "", "instance", 200},
	{"GET", "/instances/none", "", "no_instance", 404},
	{"GET", "/policies?instance=cdn-origin", "", "policies", 200},
	{"GET", "/sets?policy=Global&pool=test2", "", "sets", 200},
	{"GET", "/pools?limit=1", "", "pools", 200},
	{"GET", "/pools/names", "", "pool", 200},
	{"GET", "/pools/none", "", "no_pool", 404},
	{"GET", "/addresses?available=false&limit=2&offset=0", "", "addresses", 200},
	{"GET", "/targets?verdict=down", "", "targets", 200},
	{"GET", "/target?id=web%7C192.0.2.1%7C", "", "target", 200},
	{"GET", "/target?id=x", "", "no_target", 404},
	{"GET", "/lines", "", "lines", 200},
	{"GET", "/overrides", "", "overrides", 200},
	{"GET", "/switches?instance=cdn-origin", "", "switches", 200},
	{"GET", "/drills?offset=1", "", "drills", 200},
	{"GET", "/events?kind=switch&kind=address_down&limit=1", "", "events", 200},
	{"GET", "/config", "", "config", 200},
	{"GET", "/explain?name=origin.gtm.test&type=A&client=198.51.100.0/24", "", "explain", 200},
	{"GET", "/explain?name=origin.gtm.test&suppose=pool:test1=down&suppose=192.0.2.9=up", "", "explain_suppose", 200},
	{"GET", "/explain", "", "failure", 400},
	{"GET", "/business-domains", "", "business_domains", 200},
	{"GET", "/chain?domain=www.shop.test.", "", "chain", 200},
	{"GET", "/chain", "", "no_chain", 400},
	{"GET", "/askers?instance=cdn-origin", "", "askers", 200},
	{"GET", "/askers?instance=x", "", "no_askers", 404},
	{"GET", "/alerts", "", "alerts", 200},
	{"POST", "/reload", "", "reload", 200},
	{"POST", "/switch", `{"instance":"cdn-origin","policy":"Global","set":"primary","author":"alice"}`, "switch", 200},
	{"POST", "/switch", `{"instance":"cdn-origin","policy":"Global","set":"primary","reason":"test","author":"alice"}`, "switch_reason", 200},
	{"POST", "/overrides", setBody, "override", 200},
	{"POST", "/overrides", setOverride, "override_set", 200},
	{"POST", "/overrides/clear", `{"id":"o1","author":"alice"}`, "override_clear", 200},
	{"POST", "/overrides/preview", `{"set":{"address":"192.0.2.1","state":"down","reason":"new kernel"}}`, "preview", 200},
	{"POST", "/overrides/preview", `{"clear":"o1"}`, "preview_clear", 200},
	{"POST", "/overrides/preview", `{"clear":"o9"}`, "no_preview", 422},
	{"POST", "/overrides/preview", `{"clear":"192.0.2.1"}`, "bad_preview", 400},
	{"POST", "/drills", `{"pool":"test1","for":"10m","reason":"quarterly","author":"alice","force":true}`, "drill", 200},
	{"POST", "/drills", drillSet, "drill_set", 200},
	{"POST", "/drills", `{"address":"192.0.2.1","for":"10m","reason":"quarterly","author":"alice"}`, "drill_address", 200},
	{"POST", "/drills/stop", `{"id":"d1","author":"alice"}`, "drill_stop", 200},
	{"POST", "/drills/stop", `{"id":"d9","author":"alice"}`, "no_drill", 422},
	{"POST", "/probe", `{"address":"192.0.2.1","author":"alice"}`, "probe", 200},
	{"POST", "/diff", `{"path":"/etc/gtmd/new.toml"}`, "diff", 200},
	{"POST", "/diff", `{"path":"new.toml"}`, "no_diff", 400},
	{"POST", "/alerts/test", `{"group":"ops","author":"alice"}`, "alert_test", 200},
	{"POST", "/alerts/test", `{"group":"none","author":"alice"}`, "no_alert_test", 422},
}

// TestExamples asks for everything, and holds what comes against golden files and the schemas of the document.
func TestExamples(t *testing.T) {
	s := newService(t)
	s.both(t)
	d, c := describe(t), compiler(t)
	answered, shown := map[string]bool{}, map[string]bool{}
	for _, row := range asked {
		path, _, _ := strings.Cut("/api/v1"+row.path, "?")
		template := path
		for described := range d.Paths {
			if ok, _ := filepath.Match(strings.NewReplacer("{name}", "*").Replace(described), path); ok && strings.Contains(described, "{name}") {
				template = described
			}
		}
		op, ok := d.Paths[template][strings.ToLower(row.method)]
		if !ok {
			t.Errorf("%s %s is not described", row.method, template)
			continue
		}
		answered[row.method+" "+template] = true
		r := send(t, s.path("admin.sock"), row.method, "/api/v1"+row.path, row.body)
		equal(t, row.path, r.code, row.code)
		golden(t, row.file+".json", r.body)
		name := "Failure"
		if row.code == 200 {
			name = op.Responses["200"].Content["application/json"].Schema.name()
		}
		validate(t, c, row.path, name, r.body)
		show(d, name, r.body, shown)
		if row.body != "" && row.code == 200 {
			name := op.RequestBody.Content["application/json"].Schema.name()
			validate(t, c, "the body of "+row.path, name, row.body)
			show(d, name, row.body, shown)
		}
	}
	for name, s := range d.Components.Schemas {
		for property := range s.Properties {
			if !shown[name+"."+property] && !slices.Contains(requests, name) && name != "PushBody" &&
				name+"."+property != "SetEntry.members" { // those are only in explanations
				t.Errorf("no example has %s of %s", property, name)
			}
		}
	}
	for _, pattern := range s.Patterns() {
		// These send no JSON, or have tests of their own.
		if strings.Contains(pattern, " /api/v1/") && !answered[pattern] && !strings.HasSuffix(pattern, "/stream") && !strings.Contains(pattern, "/push/") &&
			!strings.HasSuffix(pattern, "/openapi.json") {
			t.Errorf("%s is not asked for", pattern)
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"override_forever": true}
	for _, row := range asked {
		known[row.file] = true
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !known[name] {
			t.Errorf("nothing makes %s", file)
		}
	}
	// Over TCP what may be read is the same.
	for _, row := range asked {
		if row.method == http.MethodGet {
			r := send(t, s.Address().String(), row.method, "/api/v1"+row.path, "")
			equal(t, row.path+" over TCP", r.code, row.code)
			golden(t, row.file+".json", r.body)
		}
	}
}

// show notes which properties of which schemas a text has.
func show(d description, name, text string, shown map[string]bool) {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		showValue(d, d.Components.Schemas[name], name, value, shown)
	}
}

func showValue(d description, s schema, name string, value any, shown map[string]bool) {
	if s.Ref != "" {
		name = s.name()
		s = d.Components.Schemas[name]
	}
	switch v := value.(type) {
	case []any:
		for _, one := range v {
			if s.Items != nil {
				showValue(d, *s.Items, name, one, shown)
			}
		}
	case map[string]any:
		for key, one := range v {
			shown[name+"."+key] = true
			showValue(d, s.Properties[key], name, one, shown)
		}
	}
}

func validate(t *testing.T, c *jsonschema.Compiler, what, name, text string) {
	t.Helper()
	s, err := c.Compile("openapi.json#/components/schemas/" + name)
	if err != nil {
		t.Fatalf("%s: schema %q: %v", what, name, err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if err := s.Validate(value); err != nil {
		t.Errorf("%s does not have the schema %s: %v", what, name, err)
	}
}

// TestOpenAPIReferences finds a definition for each reference.
func TestOpenAPIReferences(t *testing.T) {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	count := 0
	var walk func(any)
	walk = func(value any) {
		switch v := value.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				count++
				var at any = document
				for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
					object, _ := at.(map[string]any)
					at = object[part]
				}
				if at == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(v[key])
			}
		}
	}
	walk(document)
	if count < 100 {
		t.Errorf("found only %d references", count)
	}
}
