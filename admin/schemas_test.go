package admin_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
)

// bodies are the Go types behind the schemas, but for those that they lead to.
var bodies = []any{
	admin.Status{}, admin.Summary{}, admin.InstanceList{}, admin.PolicyList{}, admin.SetList{}, admin.PoolList{}, admin.AddressList{}, admin.TargetList{},
	admin.SourceList{}, admin.SwitchList{}, admin.DrillList{}, admin.EventList{}, admin.Event{}, admin.ConfigText{}, admin.ConfigStatus{}, admin.BusinessDomainList{},
	admin.AskerList{}, admin.AlertStatus{}, admin.Explanation{}, admin.Failure{}, admin.OverrideList{}, admin.OverrideResult{}, admin.ClearResult{}, admin.SwitchResult{},
	admin.ProbeReply{}, admin.Difference{}, admin.ReloadReply{}, admin.AlertTestReply{}, admin.SwitchRequest{}, admin.OverrideRequest{}, admin.ClearRequest{}, admin.DrillRequest{},
	admin.StopDrillRequest{}, admin.ProbeRequest{}, admin.DiffRequest{}, admin.AlertTestRequest{},
	admin.PreviewRequest{}, admin.Preview{},
}

// requests may leave out what a change takes from its caller.
var requests = []string{"SwitchRequest", "OverrideRequest", "ClearRequest", "DrillRequest", "StopDrillRequest", "ProbeRequest", "DiffRequest", "AlertTestRequest", "PreviewRequest"}

// TestOpenAPISchemas holds every field of the types against the schemas, both ways.
func TestOpenAPISchemas(t *testing.T) {
	d := describe(t)
	seen := map[string]bool{"PushBody": true}
	for _, body := range bodies {
		compareType(t, d, reflect.TypeOf(body), seen)
	}
	for name := range d.Components.Schemas {
		if !seen[name] {
			t.Errorf("the schema %s is that of no type", name)
		}
	}
}

func compareType(t *testing.T, d description, typ reflect.Type, seen map[string]bool) {
	t.Helper()
	if seen[typ.Name()] {
		return
	}
	seen[typ.Name()] = true
	s, ok := d.Components.Schemas[typ.Name()]
	if !ok {
		t.Errorf("there is no schema %s", typ.Name())
		return
	}
	if typ.Kind() != reflect.Struct {
		equal(t, "type of schema "+typ.Name(), s.Type.(string), "string")
		if typ == reflect.TypeFor[admin.EventKind]() {
			equal(t, "kinds of events", fmt.Sprint(s.Enum), fmt.Sprint(admin.EventKind("").Values()))
		}
		return
	}
	fields := map[string]reflect.StructField{}
	collect(typ, fields)
	for name, field := range fields {
		property, ok := s.Properties[name]
		if !ok {
			t.Errorf("schema %s has no %s", typ.Name(), name)
			continue
		}
		optional := strings.Contains(field.Tag.Get("json"), ",omitempty")
		if required := slices.Contains(s.Required, name); required == optional && !slices.Contains(requests, typ.Name()) {
			t.Errorf("schema %s: %s is required: %t", typ.Name(), name, required)
		}
		compareField(t, d, typ.Name()+"."+name, field.Type, property, optional, seen)
	}
	for name := range s.Properties {
		if _, ok := fields[name]; !ok {
			t.Errorf("schema %s has %s, the type has not", typ.Name(), name)
		}
	}
	for _, name := range s.Required {
		if _, ok := fields[name]; !ok {
			t.Errorf("schema %s requires %s, which the type does not have", typ.Name(), name)
		}
	}
}

// collect finds the fields of a struct by their names in JSON, with those of embedded structs.
func collect(typ reflect.Type, into map[string]reflect.StructField) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			collect(field.Type, into)
		case name != "-":
			into[name] = field
		}
	}
}

func compareField(t *testing.T, d description, what string, typ reflect.Type, s schema, optional bool, seen map[string]bool) {
	t.Helper()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := ""
	switch {
	case slices.Contains([]reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix]()}, typ):
		want = "string"
	case typ.Kind() == reflect.Struct, typ.PkgPath() != "":
		equal(t, what, s.name(), typ.Name())
		compareType(t, d, typ, seen)
		return
	case typ.Kind() == reflect.Slice:
		want = "array"
		if !optional {
			want = "[array null]" // what Go makes of an empty list
		}
		if s.Items == nil {
			t.Errorf("%s: the schema has no items", what)
			return
		}
		compareField(t, d, what+"[]", typ.Elem(), *s.Items, true, seen)
	case typ.Kind() == reflect.String:
		want = "string"
	case typ.Kind() == reflect.Bool:
		want = "boolean"
	case typ.Kind() == reflect.Float64:
		want = "number"
	default:
		want = "integer"
	}
	equal(t, what, fmt.Sprint(s.Type), want)
}
