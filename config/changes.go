package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// mostChanges bounds what Changes lists.
const mostChanges = 200

// Changes lists, for people, the options that next has otherwise than c, in the order of the sections: "dns.listen: [...] -> [...]",
// `pool "test1" added`. The values of secrets are left out. What zone files and latency files say is not looked at.
func (c *Config) Changes(next *Config) []string {
	w := changeWalk{known: map[reflect.Type][]field{}}
	w.structs("", reflect.ValueOf(&c.File).Elem(), reflect.ValueOf(&next.File).Elem())
	if w.more > 0 {
		w.all = append(w.all, fmt.Sprintf("and %d more", w.more))
	}
	return w.all
}

type changeWalk struct {
	all   []string
	more  int
	known map[reflect.Type][]field
}

// fields is optionFields, found once.
func (w *changeWalk) fields(t reflect.Type) []field {
	if _, is := w.known[t]; !is {
		w.known[t] = optionFields(t)
	}
	return w.known[t]
}

func (w *changeWalk) add(format string, args ...any) {
	if len(w.all) == mostChanges {
		w.more++
		return
	}
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

// structs compares two tables; at is what stands before their keys.
func (w *changeWalk) structs(at string, a, b reflect.Value) {
	for _, f := range w.fields(a.Type()) {
		x, y := a.Field(f.index), b.Field(f.index)
		if reflect.DeepEqual(x.Interface(), y.Interface()) {
			continue
		}
		label := at + f.key
		switch {
		case isTables(x.Type()):
			w.tables(label, x, y)
		case isTable(x.Type()):
			w.structs(label+".", x, y)
		case isSecretKey(f.key):
			w.add("%s changed", label)
		default:
			w.values(label, x, y)
		}
	}
}

// tables compares two lists of tables by the names of these or, without any, one by one.
func (w *changeWalk) tables(at string, a, b reflect.Value) {
	before, after := w.entries(at, a), w.entries(at, b)
	known := make(map[string]reflect.Value, len(before))
	for _, e := range before {
		known[e.label] = e.value
	}
	kept := map[string]bool{}
	for _, e := range after {
		old, was := known[e.label]
		kept[e.label] = true
		switch {
		case !was:
			w.add("%s added", e.label)
		case !reflect.DeepEqual(old.Interface(), e.value.Interface()):
			w.structs(e.label+": ", old, e.value)
		}
	}
	for _, e := range before {
		if !kept[e.label] {
			w.add("%s removed", e.label)
		}
	}
	moved := func(e entry) bool { return !kept[e.label] || !known[e.label].IsValid() }
	before, after = slices.DeleteFunc(before, moved), slices.DeleteFunc(after, moved)
	if !slices.EqualFunc(before, after, func(x, y entry) bool { return x.label == y.label }) {
		w.add("%s: in another order", at)
	}
}

type entry struct {
	label string
	value reflect.Value
}

// entries are the elements of a list of tables with what they are called.
func (w *changeWalk) entries(at string, list reflect.Value) []entry {
	all := make([]entry, list.Len())
	seen := map[string]int{}
	for i := range all {
		v := list.Index(i)
		label := fmt.Sprintf("%s %d", at, i+1)
		for _, key := range []string{"name", "address", "pool"} {
			if name := w.text(v, key); name != "" {
				label = at + " " + quote(name)
				break
			}
		}
		if seen[label]++; seen[label] > 1 {
			label = fmt.Sprintf("%s #%d", label, seen[label])
		}
		all[i] = entry{label, v}
	}
	return all
}

// text is the text of the option of a table with this key; empty when there is none.
func (w *changeWalk) text(table reflect.Value, key string) string {
	for _, f := range w.fields(table.Type()) {
		if f.key == key && table.Field(f.index).Kind() == reflect.String {
			return table.Field(f.index).String()
		}
	}
	return ""
}

// values tells a value that is another one. Of long lists it tells what is new in them and what is gone.
func (w *changeWalk) values(label string, a, b reflect.Value) {
	const long = 6
	if a.Kind() == reflect.Slice && max(a.Len(), b.Len()) > long {
		count := map[string]int{}
		for i := range a.Len() {
			count[valueText(a.Index(i))]--
		}
		for i := range b.Len() {
			count[valueText(b.Index(i))]++
		}
		added, removed := 0, 0
		for _, n := range count {
			added, removed = added+max(n, 0), removed+max(-n, 0)
		}
		w.add("%s: %d entries -> %d entries (%d added, %d removed)", label, a.Len(), b.Len(), added, removed)
		return
	}
	w.add("%s: %s -> %s", label, valueText(a), valueText(b))
}

// valueText writes a value as a configuration does, about.
func valueText(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "none"
		}
		return valueText(v.Elem())
	}
	if s, is := v.Interface().(fmt.Stringer); is {
		return s.String()
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Slice:
		texts := make([]string, v.Len())
		for i := range texts {
			texts[i] = valueText(v.Index(i))
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case reflect.Map:
		var texts []string
		for _, key := range v.MapKeys() {
			value := valueText(v.MapIndex(key))
			if isSecretKey(key.String()) {
				value = masked
			}
			texts = append(texts, key.String()+" = "+value)
		}
		slices.Sort(texts)
		return "{ " + strings.Join(texts, ", ") + " }"
	}
	return fmt.Sprint(v.Interface())
}
