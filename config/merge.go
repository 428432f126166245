package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// merger joins the documents of a configuration into one File, and knows which document each part came from.
type merger struct {
	file     File
	origins  map[string]origin // by the merged path of a section
	lists    map[string][]run  // by the merged path of a list, in order
	docs     []*document
	problems Problems
	// unread is true when some document is missing as a whole, so that references into it would seem wrong.
	unread bool
}

// origin is where a part of the merged file came from.
type origin struct {
	doc  *document
	path string // in the document
}

// run is the elements of a list that came from one document: from number first of the merged list to the next run.
type run struct {
	first int
	doc   *document
}

// load parses the text of the main file, and whatever it includes.
func (m *merger) load(name, text string, from *source) {
	m.origins, m.lists = map[string]origin{}, map[string][]run{}
	main := m.add(name, text, true)
	if main == nil {
		return
	}
	for i, pattern := range m.file.Include {
		key := element("include", i)
		names, err := expand(name, pattern)
		if err != nil {
			m.problem(main, key, err.Error())
			m.unread = true
		}
		for _, included := range names {
			if from.seen[filepath.Clean(included)] {
				if filepath.Clean(included) == filepath.Clean(name) {
					m.problem(main, key, fmt.Sprintf("%s includes the file itself: want a pattern that does not match %s", quote(pattern), name))
				}
				continue
			}
			content, err := from.read(included)
			if err != nil {
				m.problem(main, key, err.Error())
				m.unread = true
				continue
			}
			m.add(included, string(content), false)
		}
	}
}

// add parses a document, decodes it and merges it; nil when it is no TOML. The defaults of the main file hold for what no
// document says.
func (m *merger) add(name, text string, isMain bool) *document {
	var file File
	var problems Problems
	doc, problem := parseDocument(name, text)
	if problem == nil {
		problems, problem = decode(doc, &file)
	}
	if problem != nil {
		m.problems = append(m.problems, *problem)
		m.unread = true
		return nil
	}
	m.docs = append(m.docs, doc)
	m.problems = append(m.problems, problems...)
	if _, ok := doc.tree["include"]; ok && !isMain {
		m.problem(doc, "include", "an included file cannot include others: write the pattern into "+m.docs[0].name)
	}
	m.merge(doc, reflect.ValueOf(&m.file).Elem(), reflect.ValueOf(&file).Elem(), doc.tree, "", isMain)
	doc.tree, doc.pieces = nil, nil
	return doc
}

// settle is called once the configuration is loaded.
func (m *merger) settle() {
	for _, doc := range m.docs {
		doc.settle()
	}
}

// merge joins the keys of one table of a document to what is there. Lists of tables are appended, and so are those in
// a section; of anything else two are one too many.
func (m *merger) merge(doc *document, into, from reflect.Value, tree map[string]any, path string, isMain bool) {
	for _, f := range optionFields(into.Type()) {
		target, value := into.Field(f.index), from.Field(f.index)
		given, isGiven := tree[f.key]
		at := join(path, f.key)
		switch {
		case f.key == "include" && !isMain:
		case isTables(value.Type()):
			if value.Len() == 0 {
				break
			}
			m.lists[at] = append(m.lists[at], run{first: target.Len(), doc: doc})
			if target.Len() == 0 {
				target.Set(value)
			} else {
				target.Set(reflect.AppendSlice(target, value))
			}
		case isMain && value.Kind() == reflect.Struct && holdsTables(value.Type()):
			section, _ := given.(map[string]any)
			m.merge(doc, target, value, section, at, true)
		case isMain:
			target.Set(value)
			if isGiven {
				m.origins[at] = origin{doc, at}
			}
		case !isGiven:
		case value.Kind() == reflect.Struct && holdsTables(value.Type()):
			section, _ := given.(map[string]any)
			m.merge(doc, target, value, section, at, false)
		default:
			if first, ok := m.origins[at]; ok {
				m.problem(doc, at, fmt.Sprintf("%s is already given at %s: give it in one file only", at, first.position().in(first.doc.name)))
				continue
			}
			target.Set(value)
			m.origins[at] = origin{doc, at}
		}
	}
}

// isTables tells whether a field is a list of tables.
func isTables(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && !isScalar(reflect.New(t.Elem()).Elem())
}

// isTable tells whether a field is a table of options.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !isScalar(reflect.New(t).Elem())
}

// holdsTables tells whether a section has a list of tables among its keys.
func holdsTables(t reflect.Type) bool {
	return slices.ContainsFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return isTables(f.Type) })
}

// position is where the origin is in its document.
func (o origin) position() position {
	return o.doc.positions().find(o.path)
}

// problem adds a problem of the key at path in a document.
func (m *merger) problem(doc *document, path, message string) {
	at := doc.positions().find(path)
	m.problems = append(m.problems, Problem{File: doc.name, Line: at.line, Column: at.column, Key: path, Message: message})
}

// locate turns a path in the merged file into the document and the path there: the longest known beginning of the path
// decides. A path that no document has belongs to the main file.
func (m *merger) locate(path string) origin {
	for head := path; head != ""; {
		if from, ok := m.origins[head]; ok {
			return origin{from.doc, from.path + path[len(head):]}
		}
		if from, ok := m.locateElement(head); ok {
			return origin{from.doc, from.path + path[len(head):]}
		}
		head = head[:max(strings.LastIndexByte(head, '.'), strings.LastIndexByte(head, '['), 0)]
	}
	return origin{m.docs[0], path}
}

// locateElement is locate for an element of a merged list.
func (m *merger) locateElement(path string) (origin, bool) {
	open := strings.LastIndexByte(path, '[')
	if open < 0 || !strings.HasSuffix(path, "]") {
		return origin{}, false
	}
	runs := m.lists[path[:open]]
	number, err := strconv.Atoi(path[open+1 : len(path)-1])
	if err != nil || len(runs) == 0 {
		return origin{}, false
	}
	i := sort.Search(len(runs), func(i int) bool { return runs[i].first > number }) - 1
	return origin{runs[i].doc, element(path[:open], number-runs[i].first)}, true
}

// expand returns the files that an include pattern in the file base matches, sorted. A pattern without a wildcard
// must match.
func expand(base, pattern string) ([]string, error) {
	glob := pattern
	if !filepath.IsAbs(pattern) {
		escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
		glob = filepath.Join(escape.Replace(filepath.Dir(base)), pattern)
	}
	names, err := filepath.Glob(glob)
	if err != nil {
		return nil, fmt.Errorf("include pattern %s: %w", quote(pattern), err)
	}
	if len(names) == 0 && !strings.ContainsAny(pattern, `*?[`) {
		return nil, fmt.Errorf("include %s: there is no file %s", quote(pattern), beside(base, pattern))
	}
	return names, nil
}
