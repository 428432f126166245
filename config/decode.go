package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decoder fills option structs from the tree of one document, and collects every problem on the way.
//
// The struct tags it follows: `toml:"key"`; `default:"text"`, the value of an absent key as a user would write it
// without quotes, lists with commas; `range:"lo..hi"` for numbers and durations; `required:"true"`: the key must be
// there, and not empty; `short:"true"`: a bare value in place of the table sets this field. A list of tables may be
// written as a single table, and one of scalars as a single one where `single:"true"` says so. A pointer to a number is nil while the key is absent. A struct with a method
// Validate(func(key, message string)) checks itself once its values are good; of a list it may name an element, "to[1]".
//
// A document is decoded twice when it has problems: only then paths, places and messages are made.
type decoder struct {
	doc      *document
	fields   map[reflect.Type][]field
	texts    map[string]string // seen lately, so that equal ones share memory
	problems Problems
	isQuiet  bool // problems are not told
	isBad    bool // there is one that was not told
}

// field is one key of an option struct.
type field struct {
	index           int
	key             string
	fallback        string // text of the default
	hasFallback     bool
	bounds          string
	required, short bool
	single          bool // a bare value is a list of one
	// What follows from its type: whether it is set from a single value, from any text or, where that is not nil, from one of
	// these.
	isScalar, isText bool
	values           []string
	preset           reflect.Value // its default, once that has been asked for
}

// place is the table that a key is in, as messages name it.
type place struct {
	header string // keys from the top of the file, without indexes: "instance.policy"
	text   string // such as `[[pool]] "hk"`; empty at the top of the file
}

// key names a key in the place.
func (p place) key(key string) string {
	if p.text == "" {
		return key
	}
	return key + " in " + p.text
}

// validator is an option struct that checks its keys against each other.
type validator interface {
	Validate(problem func(key, message string))
}

// decode fills the struct that into points to from the document, and returns the problems. Syntax is a piece of the document
// that is no TOML; nothing else counts then.
func decode(doc *document, into any) (problems Problems, syntax *Problem) {
	target := reflect.ValueOf(into).Elem()
	if doc.pieces != nil && !areLists(doc.pieces, target.Type()) {
		if syntax = doc.parse(); syntax != nil {
			return nil, syntax
		}
	}
	for _, isQuiet := range []bool{true, false} {
		target.SetZero()
		d := newDecoder(doc, isQuiet)
		d.table(target, doc.tree, "", place{})
		if d.isBad {
			continue
		}
		if !d.pieces(target) {
			if syntax = doc.parse(); syntax != nil {
				return nil, syntax
			}
			return decode(doc, into)
		}
		if !d.isBad {
			return d.problems, nil
		}
	}
	panic("config: a decoder that tells its problems has none that it did not tell")
}

func newDecoder(doc *document, isQuiet bool) *decoder {
	return &decoder{doc: doc, fields: map[reflect.Type][]field{}, texts: map[string]string{}, isQuiet: isQuiet}
}

// problem adds a problem of the key at path.
func (d *decoder) problem(path, format string, args ...any) {
	if d.isQuiet {
		d.isBad = true
		return
	}
	at := d.doc.positions().find(path)
	d.problems = append(d.problems, Problem{
		File: d.doc.name, Line: at.line, Column: at.column, Key: path, Message: fmt.Sprintf(format, args...),
	})
}

// join is join, where paths are wanted.
func (d *decoder) join(path, key string) string {
	if d.isQuiet {
		return ""
	}
	return join(path, key)
}

// item is element, where paths are wanted.
func (d *decoder) item(path string, i int) string {
	if d.isQuiet {
		return ""
	}
	return element(path, i)
}

// named is how messages name a key in a place.
func (d *decoder) named(in place, key string) string {
	if d.isQuiet {
		return ""
	}
	return in.key(key)
}

// table fills a struct from a TOML table. It returns whether all values were good.
func (d *decoder) table(into reflect.Value, tree map[string]any, path string, in place) bool {
	fields := d.fieldsOf(into.Type())
	good, known := true, 0
	for i := range fields {
		f := &fields[i]
		value, ok := tree[f.key]
		switch {
		case ok:
			known++
			good = d.value(into.Field(f.index), f, value, d.join(path, f.key), in) && good
		case f.required:
			d.problem(path, "missing key %q in %s%s", f.key, in.text, wanted(into.Field(f.index)))
			good = false
		default:
			d.absent(into.Field(f.index), f)
		}
	}
	if known < len(tree) {
		d.unknown(fields, tree, path, in)
	}
	// In a table with unknown keys only, what seems to be missing may be there under a wrong name.
	if good && (known == len(tree) || known > 0) {
		d.validate(into, path, in)
	}
	return good
}

// unknown reports the keys of a table that none of the fields has.
func (d *decoder) unknown(fields []field, tree map[string]any, path string, in place) {
	if d.isQuiet {
		d.isBad = true
		return
	}
	keys := make([]string, len(fields))
	for i := range fields {
		keys[i] = fields[i].key
	}
	slices.Sort(keys)
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		if slices.Contains(keys, key) {
			continue
		}
		message := "unknown key " + place{text: in.text}.key(quote(key))
		if near := suggest(key, keys); near != "" {
			message += fmt.Sprintf(": did you mean %q?", near)
		} else {
			message += ": known keys are " + enumerate(keys, "and")
		}
		d.problem(join(path, key), "%s", message)
	}
}

// validate has a struct whose values are good check itself, if it can. It returns whether it found nothing.
func (d *decoder) validate(into reflect.Value, path string, in place) bool {
	good := true
	if v, ok := into.Addr().Interface().(validator); ok {
		v.Validate(func(key, message string) {
			key, index, isElement := strings.Cut(key, "[")
			at := join(path, key)
			if isElement {
				key, at = key+"["+index, at+"["+index
			}
			d.problem(at, "%s: %s", in.key(key), message)
			good = false
		})
	}
	return good
}

// value fills a field from a TOML value. It returns whether the value was good; after a bad one the field has its default.
func (d *decoder) value(into reflect.Value, f *field, value any, path string, in place) bool {
	if text, ok := value.(string); ok && d.text(into, f, text) {
		return true
	}
	switch {
	case f.isScalar:
		complaint := decodeScalar(into, value, f)
		if complaint == "" {
			return true
		}
		d.problem(path, "%s: %s", in.key(f.key), complaint)
		d.absent(into, f)
		return false
	case into.Kind() == reflect.Struct:
		if tree, ok := value.(map[string]any); ok {
			if d.isQuiet {
				return d.table(into, tree, path, in)
			}
			return d.table(into, tree, path, in.section(f.key))
		}
		return d.bare(into, value, path, d.named(in, f.key))
	case into.Kind() == reflect.Map:
		return d.textMap(into, f, value, path, in)
	case into.Kind() == reflect.Slice:
		return d.list(into, f, value, path, in)
	}
	panic(fmt.Sprintf("config: option %s has the type %s, which cannot be decoded", f.key, into.Type()))
}

// text sets a field that takes any text, or one of some, from a text that is good. It returns whether it has.
func (d *decoder) text(into reflect.Value, f *field, text string) bool {
	switch {
	case f.values != nil:
		i := slices.Index(f.values, text)
		if i >= 0 {
			into.SetString(f.values[i])
		}
		return i >= 0
	case f.isText && (text != "" || !f.required):
		into.SetString(d.own(text))
		return true
	}
	return false
}

// own is a text of the tree with memory of its own, so that the whole document need not stay.
func (d *decoder) own(text string) string {
	const most = 1 << 12
	if own, ok := d.texts[text]; ok {
		return own
	}
	if len(d.texts) == most {
		clear(d.texts)
	}
	text = strings.Clone(text)
	d.texts[text] = text
	return text
}

// textMap fills a map of strings from a table.
func (d *decoder) textMap(into reflect.Value, f *field, value any, path string, in place) bool {
	tree, ok := value.(map[string]any)
	if !ok {
		d.problem(path, "%s: want a table of strings, not %s", in.key(f.key), describe(value))
		return false
	}
	texts := make(map[string]string, len(tree))
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		text, isText := tree[key].(string)
		if !isText {
			d.problem(join(path, key), "%s: want a string, not %s", in.key(join(f.key, key)), describe(tree[key]))
			ok = false
			continue
		}
		texts[strings.Clone(key)] = strings.Clone(text)
	}
	into.Set(reflect.ValueOf(texts))
	return ok
}

// list fills a slice from an array, an array of tables or, for a slice of structs, a single table.
func (d *decoder) list(into reflect.Value, f *field, value any, path string, in place) bool {
	of := into.Type().Elem()
	var items []any
	paths := func(i int) string { return d.item(path, i) }
	switch value := value.(type) {
	case []any:
		items = value
	case []map[string]any:
		for _, item := range value {
			items = append(items, item)
		}
	case map[string]any:
		if isScalar(reflect.New(of).Elem()) {
			d.problem(path, "%s: want a list of %s, not a table", in.key(f.key), plural(of))
			d.absent(into, f)
			return false
		}
		items, paths = []any{value}, func(int) string { return path }
	default:
		if f.single {
			items, paths = []any{value}, func(int) string { return path }
			break
		}
		d.problem(path, "%s: want a list of %s, not %s", in.key(f.key), plural(of), describe(value))
		d.absent(into, f)
		return false
	}
	if f.required && len(items) == 0 {
		d.problem(path, "%s: must not be empty", in.key(f.key))
		return false
	}
	good := true
	list := reflect.MakeSlice(into.Type(), len(items), len(items))
	of1 := &field{bounds: f.bounds, required: true}
	of1.learn(of)
	for i, item := range items {
		if of.Kind() == reflect.Struct && !of1.isScalar {
			good = d.element(list.Index(i), f, item, paths(i), in, i) && good
			continue
		}
		if text, ok := item.(string); ok && of1.bounds == "" && d.text(list.Index(i), of1, text) {
			continue
		}
		if complaint := decodeScalar(list.Index(i), item, of1); complaint != "" {
			name := element(f.key, i)
			if paths(i) == path {
				name = f.key
			}
			d.problem(paths(i), "%s: %s", in.key(name), complaint)
			good = false
		}
	}
	into.Set(list)
	return good
}

// element fills one struct of a list from a table, or from the bare value that sets its short field.
func (d *decoder) element(into reflect.Value, f *field, item any, path string, in place, i int) bool {
	if tree, ok := item.(map[string]any); ok {
		if d.isQuiet {
			return d.table(into, tree, path, in)
		}
		return d.table(into, tree, path, d.elementPlace(into.Type(), tree, f.key, in, i))
	}
	return d.bare(into, item, path, d.named(in, d.item(f.key, i)))
}

// bare fills a struct from a value that is no table: it sets the short field, if the struct has one. The key is named as
// in messages.
func (d *decoder) bare(into reflect.Value, value any, path, key string) bool {
	d.defaults(into)
	fields := d.fieldsOf(into.Type())
	for i := range fields {
		short := &fields[i]
		if !short.short {
			continue
		}
		target := into.Field(short.index)
		if text, ok := value.(string); ok && d.text(target, short, text) {
			return d.validate(into, path, place{text: key})
		}
		complaint := decodeScalar(target, value, short)
		if _, isText := value.(string); !isText && complaint != "" {
			complaint = fmt.Sprintf("want %s or a table, not %s", singular(target.Type()), describe(value))
		}
		if complaint != "" {
			d.problem(path, "%s: %s", key, complaint)
			return false
		}
		return d.validate(into, path, place{text: key})
	}
	d.problem(path, "%s: want a table, not %s", key, describe(value))
	return false
}

// section is the place of a table in the place.
func (p place) section(key string) place {
	if p.text == "" {
		return place{header: key, text: "[" + key + "]"}
	}
	return place{header: p.header + "." + key, text: key + " of " + p.text}
}

// elementPlace is the place of one table of a list: by its name where such tables have names, else by its number.
func (d *decoder) elementPlace(of reflect.Type, tree map[string]any, key string, in place, i int) place {
	header := join(in.header, key)
	if !slices.ContainsFunc(d.fieldsOf(of), func(f field) bool { return f.key == "name" }) {
		text := element(key, i)
		if in.text != "" {
			text += " of " + in.text
		}
		return place{header: header, text: text}
	}
	text := "[[" + header + "]]"
	if name, ok := tree["name"].(string); ok {
		text += " " + quote(name)
	}
	if strings.HasPrefix(in.text, "[[") {
		text += " of " + in.text
	}
	return place{header: header, text: text}
}

// absent gives a field without a value its default.
func (d *decoder) absent(into reflect.Value, f *field) {
	switch {
	case into.Kind() == reflect.Struct && !f.isScalar:
		into.SetZero()
		d.defaults(into)
	case !f.hasFallback:
		into.SetZero()
	case f.preset.IsValid():
		into.Set(f.preset)
	default:
		into.SetZero()
		if err := setDefault(into, f.fallback); err != nil {
			panic(fmt.Sprintf("config: default of option %s: %v", f.key, err))
		}
		if into.Kind() != reflect.Slice && into.Kind() != reflect.Pointer { // which would be shared
			f.preset = reflect.New(into.Type()).Elem()
			f.preset.Set(into)
		}
	}
}

// defaults gives every field of a struct its default.
func (d *decoder) defaults(into reflect.Value) {
	fields := d.fieldsOf(into.Type())
	for i := range fields {
		d.absent(into.Field(fields[i].index), &fields[i])
	}
}

// fieldsOf returns the keys of an option struct in the order of its fields.
func (d *decoder) fieldsOf(t reflect.Type) []field {
	if fields, ok := d.fields[t]; ok {
		return fields
	}
	fields := optionFields(t)
	d.fields[t] = fields
	return fields
}

// optionFields reads the tags of an option struct.
func optionFields(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		key := tag.Get("toml")
		if key == "" {
			continue
		}
		fallback, hasFallback := tag.Lookup("default")
		fields = append(fields, field{
			index: i, key: key, fallback: fallback, hasFallback: hasFallback, bounds: tag.Get("range"),
			required: tag.Get("required") == "true", short: tag.Get("short") == "true",
			single: tag.Get("single") == "true",
		})
		fields[len(fields)-1].learn(t.Field(i).Type)
	}
	return fields
}

// learn notes what follows from the type of a field.
func (f *field) learn(t reflect.Type) {
	value := reflect.New(t).Elem()
	f.isScalar = isScalar(value)
	if _, hasText := value.Addr().Interface().(encoding.TextUnmarshaler); hasText || t.Kind() != reflect.String {
		return
	}
	if e, ok := value.Interface().(enumeration); ok {
		f.values = e.Values()
		return
	}
	f.isText = f.bounds == ""
}
