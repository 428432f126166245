package config

import (
	"sort"
	"strconv"
	"strings"
)

// maxNesting is how deep arrays and inline tables may nest. The parser and the decoder recurse once for each level.
const maxNesting = 64

// positions tells where in a text each key path is: a key at its first octet, a table at the bracket of its header, an
// element of a list at its own first octet. A path is written as in "pool[1].addresses[2].weight"; keys that are not
// bare are quoted as in Go.
type positions map[string]position

// find returns the position of the key at path. A key that is not in the text, such as one left at its default, is
// where the nearest table around it is; a single value in place of a list is where the list's first element would be.
func (at positions) find(path string) position {
	place, _ := at.nearest(path)
	return place
}

// nearest is find, and whether the key itself is in the text.
func (at positions) nearest(path string) (place position, isWritten bool) {
	found := ""
	for _, segment := range segments(path) {
		next := segment
		if found != "" && segment[0] != '[' {
			next = "." + segment
		}
		if p, ok := at[found+next]; ok {
			place, found = p, found+next
		} else if segment != "[0]" {
			return place, false
		}
	}
	return place, true
}

// segments splits a path into its keys and its indexes: "pool[1].name" is "pool", "[1]", "name".
func segments(path string) []string {
	var out []string
	start, inQuotes := 0, false
	cut := func(end int) {
		if end > start {
			out = append(out, path[start:end])
		}
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case inQuotes && c == '\\':
			i++
		case c == '"':
			inQuotes = !inQuotes
		case inQuotes:
		case c == '.':
			cut(i)
			start = i + 1
		case c == '[':
			cut(i)
			start = i
		}
	}
	cut(len(path))
	return out
}

// join is the path of the key in the table at path.
func join(path, key string) string {
	if key == "" || strings.Trim(key, bareKey) != "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// bareKey holds what a key may consist of without quotes.
const bareKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// isBare tells whether an octet may be in a key without quotes.
func isBare(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// element is the path of element i of the list at path.
func element(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// locate finds the keys of a TOML text in one lexical pass. Text that is no TOML is located up to where it goes wrong,
// and the parser says so. When arrays and inline tables nest deeper than maxNesting, that is where it goes wrong.
func locate(text string) positions {
	l := &locator{text: text, at: positions{}, arrays: map[string]int{}, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			l.lines = append(l.lines, i+1)
		}
	}
	for l.statement() {
	}
	return l.at
}

// locator is the state of one pass. Its methods return false when the text is at its end or no TOML.
type locator struct {
	text   string
	offset int
	lines  []int          // offset of each line's first octet
	at     positions      // nil: nobody wants to know positions, and paths are empty
	arrays map[string]int // number of elements of each array of tables so far
	table  string         // path of the table that the keys of a line go into
	parts  []keyPart      // of the last key
	header heading        // the last header
	top    string         // the first part of the last key of a line
	depth  int
	isDeep bool // it ended because values nest too deep
	// scope numbers the tables whose keys are read: those of headers, and inline ones. Dotted are the tables that dotted keys have
	// made in them: the parser would pass over a value for such a table without a word.
	scope, scopes int
	dotted        map[dottedKey]bool
	isTwice       bool // it ended because a key has both
}

// dottedKey is a table that a dotted key has made: a.b of a.b.c = 1.
type dottedKey struct {
	scope int
	path  string
}

// join is join, where paths are wanted.
func (l *locator) join(path, key string) string {
	if l.at == nil {
		return ""
	}
	return join(path, key)
}

// element is element, where paths are wanted.
func (l *locator) element(path string, i int) string {
	if l.at == nil {
		return ""
	}
	return element(path, i)
}

// statement reads one header, or one key with its value.
func (l *locator) statement() bool {
	l.blank()
	if l.offset >= len(l.text) {
		return false
	}
	if l.text[l.offset] == '[' {
		return l.readHeader()
	}
	return l.pair(l.table)
}

// heading is what a header names.
type heading struct {
	top     string // its first part
	isArray bool   // an array of tables at the top of the file: [[top]]
}

// readHeader reads [table] or [[array of tables]], which all following keys go into.
func (l *locator) readHeader() bool {
	start, isArray := l.offset, strings.HasPrefix(l.text[l.offset:], "[[")
	l.offset++
	if isArray {
		l.offset++
	}
	parts, ok := l.key()
	if !ok || !l.skip("]") || isArray && !l.skip("]") {
		return false
	}
	l.header = heading{parts[0].name, isArray && len(parts) == 1}
	l.scopes++
	l.scope = l.scopes
	path := l.descend("", parts[:len(parts)-1], start)
	path = l.join(path, parts[len(parts)-1].name)
	l.mark(path, start)
	if isArray && l.at != nil {
		n := l.arrays[path]
		l.arrays[path] = n + 1
		path = l.element(path, n)
		l.mark(path, start)
	}
	l.table = path
	return true
}

// pair reads one key with its value, which belong to the table at path.
func (l *locator) pair(path string) bool {
	parts, ok := l.key()
	if !ok || !l.skip("=") {
		return false
	}
	if l.depth == 0 {
		l.top = parts[0].name
	}
	if !l.isOnce(parts) {
		l.offset, l.isTwice = parts[0].offset, true
		return false
	}
	path = l.descend(path, parts[:len(parts)-1], -1)
	last := parts[len(parts)-1]
	path = l.join(path, last.name)
	l.mark(path, last.offset)
	l.space()
	return l.value(path)
}

// isOnce reports whether a key is not that of a table which a dotted key has made before.
func (l *locator) isOnce(parts []keyPart) bool {
	if len(parts) == 1 && len(l.dotted) == 0 {
		return true
	}
	path := ""
	for i, part := range parts {
		path = join(path, part.name)
		key := dottedKey{l.scope, path}
		if i == len(parts)-1 {
			return !l.dotted[key]
		}
		if l.dotted == nil {
			l.dotted = map[dottedKey]bool{}
		}
		l.dotted[key] = true
	}
	return true
}

// descend goes from the table at path through the parents named in a header or dotted key, and marks those that are
// new: at offset, or where that is negative at their own names. In an array of tables it goes into the last element.
func (l *locator) descend(path string, parents []keyPart, offset int) string {
	if l.at == nil {
		return ""
	}
	for _, parent := range parents {
		path = join(path, parent.name)
		if offset < 0 {
			l.mark(path, parent.offset)
		} else {
			l.mark(path, offset)
		}
		if n, ok := l.arrays[path]; ok {
			path = element(path, n-1)
		}
	}
	return path
}

// value reads one value, which belongs to path.
func (l *locator) value(path string) bool {
	if l.offset >= len(l.text) {
		return false
	}
	switch l.text[l.offset] {
	case '"', '\'':
		_, ok := l.quoted()
		return ok
	case '[':
		return l.nested("]", func(i int) bool {
			item := l.element(path, i)
			l.mark(item, l.offset)
			return l.value(item)
		})
	case '{':
		around := l.scope
		l.scopes++
		l.scope = l.scopes
		ok := l.nested("}", func(int) bool { return l.pair(path) })
		l.scope = around
		return ok
	}
	n := strings.IndexAny(l.text[l.offset:], ",]}#\n")
	if n < 0 {
		n = len(l.text) - l.offset
	}
	l.offset += n
	return n > 0
}

// nested reads an array or an inline table up to its closing bracket, each item by the function given.
func (l *locator) nested(closing string, item func(i int) bool) bool {
	if l.depth == maxNesting {
		l.isDeep = true
		return false
	}
	l.depth++
	l.offset++
	for i := 0; ; i++ {
		l.blank()
		if l.skip(closing) {
			l.depth--
			return true
		}
		if !item(i) {
			return false
		}
		l.blank()
		if !l.skip(",") && !strings.HasPrefix(l.text[l.offset:], closing) {
			return false
		}
	}
}

// keyPart is one name of a dotted key.
type keyPart struct {
	name   string
	offset int
}

// key reads a key, which has at least one part. The parts are good until the next key.
func (l *locator) key() ([]keyPart, bool) {
	parts := l.parts[:0]
	for {
		l.space()
		part := keyPart{offset: l.offset}
		if l.offset < len(l.text) && (l.text[l.offset] == '"' || l.text[l.offset] == '\'') {
			name, ok := l.quoted()
			if !ok {
				return nil, false
			}
			part.name = name
		} else {
			rest := l.text[l.offset:]
			n := 0
			for n < len(rest) && isBare(rest[n]) {
				n++
			}
			if n == 0 {
				return nil, false
			}
			part.name = rest[:n]
			l.offset += n
		}
		parts = append(parts, part)
		if !l.skip(".") {
			l.parts = parts
			return parts, true
		}
	}
}

// quoted reads a string of any of the four kinds. The text it returns is right for the two kinds that keys may be of.
func (l *locator) quoted() (string, bool) {
	quote := l.text[l.offset : l.offset+1]
	isLong := strings.HasPrefix(l.text[l.offset+1:], quote) && strings.HasPrefix(l.text[l.offset+2:], quote)
	if isLong {
		quote = strings.Repeat(quote, 3)
	} else if text, ok := plainText(l.text[l.offset:]); ok {
		l.offset += len(text) + 2
		return text, true
	}
	var text strings.Builder
	for i := l.offset + len(quote); i < len(l.text); {
		rest := l.text[i:]
		switch {
		case strings.HasPrefix(rest, quote):
			l.offset = i + len(quote)
			for extra := 0; isLong && extra < 2 && strings.HasPrefix(l.text[l.offset:], quote[:1]); extra++ {
				l.offset++
			}
			return text.String(), true
		case rest[0] == '\n' && !isLong:
			return "", false
		case rest[0] == '\\' && quote[0] == '"':
			plain, n := unescape(rest)
			text.WriteString(plain)
			i += n
		default:
			text.WriteByte(rest[0])
			i++
		}
	}
	return "", false
}

// plainText returns the text of a string of one line at the start of text when nothing in it is escaped.
func plainText(text string) (string, bool) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case text[0]:
			return text[1:i], true
		case '\\', '\n':
			return "", false
		}
	}
	return "", false
}

// unescape returns what the escape sequence at the start of text stands for, and its length in octets.
func unescape(text string) (string, int) {
	if len(text) < 2 {
		return text, len(text)
	}
	digits := 0
	switch c := text[1]; c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		if i := strings.IndexByte("btnfre", c); i >= 0 {
			return "\b\t\n\f\r\x1b"[i : i+1], 2
		}
		return text[1:2], 2
	}
	if len(text) < 2+digits {
		return text, len(text)
	}
	code, err := strconv.ParseUint(text[2:2+digits], 16, 32)
	if err != nil {
		return text[:2], 2
	}
	return string(rune(code)), 2 + digits
}

// skip passes over spaces and the text given, if that is next.
func (l *locator) skip(text string) bool {
	l.space()
	if !strings.HasPrefix(l.text[l.offset:], text) {
		return false
	}
	l.offset += len(text)
	return true
}

// space passes over spaces and tabs.
func (l *locator) space() {
	for l.offset < len(l.text) && (l.text[l.offset] == ' ' || l.text[l.offset] == '\t') {
		l.offset++
	}
}

// blank passes over spaces, ends of lines and comments.
func (l *locator) blank() {
	for {
		for l.offset < len(l.text) && strings.IndexByte(" \t\r\n", l.text[l.offset]) >= 0 {
			l.offset++
		}
		if !strings.HasPrefix(l.text[l.offset:], "#") {
			return
		}
		n := strings.IndexByte(l.text[l.offset:], '\n')
		if n < 0 {
			n = len(l.text) - l.offset
		}
		l.offset += n
	}
}

// mark gives path the position of offset, unless it has one.
func (l *locator) mark(path string, offset int) {
	if l.at == nil {
		return
	}
	if _, ok := l.at[path]; !ok {
		l.at[path] = l.position(offset)
	}
}

// position is the line and column of an offset.
func (l *locator) position(offset int) position {
	line := sort.SearchInts(l.lines, offset+1)
	return position{line: line, column: offset - l.lines[line-1] + 1}
}
