package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"gtmd/server"
)

// maxZoneErrors is how many errors of syntax are reported for one zone file.
const maxZoneErrors = 20

// record is a record of a zone file with its canonical owner, and where it is.
type record struct {
	rr    dns.RR
	owner string
	file  string
	line  int
}

// zoneReader reads a zone file with the files that it includes. It is the file system of the zone parser, and counts
// the lines that the parser takes, since the parser does not tell where a record was.
type zoneReader struct {
	from    *source
	zone    *server.ZoneOptions
	key     string // of the option that names the file
	root    string // absolute path of the zone file
	texts   map[string][]byte
	stack   []*lineReader // the zone file and the includes around the current record
	records []record
}

// open reads the zone file itself.
func (z *zoneReader) open() error {
	root, err := filepath.Abs(z.zone.File)
	if err != nil {
		return err
	}
	z.root, z.texts = root, map[string][]byte{}
	return z.load(root)
}

// load reads one file, once.
func (z *zoneReader) load(path string) error {
	if _, ok := z.texts[path]; ok {
		return nil
	}
	text, err := z.from.read(z.display(path))
	if err != nil {
		return err
	}
	// The parser silently drops a last line that is cut short, unless it ends as a line does. A byte order mark would be a part of
	// the first name.
	z.texts[path] = append(bytes.Clone(bytes.TrimPrefix(text, []byte(byteOrderMark))), '\n')
	return nil
}

// display is a path as the user would write it: relative when that of the zone file is.
func (z *zoneReader) display(path string) string {
	if path == z.root {
		return z.zone.File
	}
	relative, err := filepath.Rel(filepath.Dir(z.root), path)
	if err != nil || filepath.IsAbs(z.zone.File) {
		return path
	}
	return filepath.Join(filepath.Dir(z.zone.File), relative)
}

// parse reads all records. The parser stops at its first error; each line with an error is blanked and the file parsed
// again, so that all are found. An error in a record of several lines ends that.
func (z *zoneReader) parse() []Problem {
	var problems []Problem
	for len(problems) < maxZoneErrors {
		path, p := z.pass()
		if p == nil {
			break
		}
		problems = append(problems, *p)
		if !z.blank(path, p.Line) {
			break
		}
	}
	return problems
}

// pass parses once. It returns the first error and the absolute path of the file that it is in.
func (z *zoneReader) pass() (string, *Problem) {
	main := newLineReader(z.root, z.texts[z.root], uint32(z.zone.TTL), nil)
	z.stack, z.records = []*lineReader{main}, nil
	parser := dns.NewZoneParser(main, z.zone.Name, z.root)
	parser.SetDefaultTTL(uint32(z.zone.TTL))
	parser.SetIncludeAllowed(true)
	parser.SetIncludeFS(z)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		reader := z.stack[len(z.stack)-1]
		line := reader.recordLine()
		reader.setTTL(rr.Header())
		z.records = append(z.records, record{rr: rr, owner: canonicalOwner(rr.Header().Name), file: z.display(reader.path), line: line})
	}
	if err := parser.Err(); err != nil {
		return z.problem(err)
	}
	return "", nil
}

// problem takes the file and the line out of an error of the parser, which has them only in its text:
// "file: dns: message at line: 2:11".
func (z *zoneReader) problem(err error) (string, *Problem) {
	path, message := z.root, err.Error()
	p := &Problem{Line: 1, Key: z.key}
	if file, rest, ok := strings.Cut(message, ": dns: "); ok {
		path, message = absolute(file), rest
	}
	if i := strings.LastIndex(message, " at line: "); i >= 0 {
		line, column, _ := strings.Cut(message[i+len(" at line: "):], ":")
		message = message[:i]
		p.Line, _ = strconv.Atoi(line)
		p.Column, _ = strconv.Atoi(column)
		p.Line = max(p.Line, 1)
	}
	if cause := errors.Unwrap(errors.Unwrap(err)); cause != nil { // an $INCLUDE that cannot be read
		message = "$INCLUDE: " + cause.Error()
	}
	p.File, p.Message = z.display(path), message
	return path, p
}

// blank empties a line that had an error. It returns false when that cannot help.
func (z *zoneReader) blank(path string, line int) bool {
	text := z.texts[path]
	for range line - 1 {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	if bytes.ContainsAny(text, `()"`) || len(bytes.TrimSpace(text)) == 0 {
		return false
	}
	for i := range text {
		text[i] = ' '
	}
	return true
}

// Open is called by the parser for an $INCLUDE. It implements [fs.FS] with names that are absolute paths without their
// first slash.
func (z *zoneReader) Open(name string) (fs.File, error) {
	path := absolute(name)
	if err := z.load(path); err != nil {
		return nil, err
	}
	outer := z.stack[len(z.stack)-1]
	reader := newLineReader(path, z.texts[path], outer.includedTTL(), func() { z.stack = z.stack[:len(z.stack)-1] })
	z.stack = append(z.stack, reader)
	return reader, nil
}

// absolute gives a path the first slash that the parser takes away.
func absolute(path string) string {
	return "/" + strings.TrimLeft(path, "/")
}

// lineReader gives a text to the zone parser octet by octet, so that what it has taken ends with the current record.
type lineReader struct {
	path   string
	text   []byte
	offset int
	line   int // line that offset is in
	after  int // offset after the last record
	next   int // line that after is in
	last   int // line that the last record began in
	closed func()

	ttl        uint32 // of records that give none
	isDirected bool   // a $TTL of this file says so; else it is that of the last record (RFC 1035 section 5.1)
	generate   []byte // the $GENERATE that the last record is from; nil: none
}

// newLineReader starts at the beginning of a text, with the TTL of records that give none. A reader of an included file
// calls closed when it is done.
func newLineReader(path string, text []byte, ttl uint32, closed func()) *lineReader {
	return &lineReader{path: path, text: text, line: 1, next: 1, ttl: ttl, closed: closed}
}

// ReadByte returns the next octet.
func (r *lineReader) ReadByte() (byte, error) {
	if r.offset == len(r.text) {
		return 0, io.EOF
	}
	c := r.text[r.offset]
	r.offset++
	if c == '\n' {
		r.line++
	}
	return c, nil
}

// recordLine is the line that the record just parsed begins in. It is called once for each record; all records that
// one $GENERATE makes have its line.
func (r *lineReader) recordLine() int {
	if r.offset == r.after {
		return r.last
	}
	r.last, r.generate = r.next, nil
	for line := range bytes.Lines(r.text[r.after:r.offset]) {
		if !isBlankLine(line) {
			if bytes.HasPrefix(bytes.TrimSpace(line), []byte("$")) {
				r.generate = line
			}
			break
		}
		r.directive(line)
		r.last++
	}
	r.after, r.next = r.offset, r.line
	return r.last
}

// setTTL gives a record that $GENERATE has made without a TTL the one that is in force; the parser gives it an hour.
func (r *lineReader) setTTL(h *dns.RR_Header) {
	switch {
	case r.generate == nil && !r.isDirected:
		r.ttl = h.Ttl
	case r.generate != nil && !generatesTTL(r.generate):
		h.Ttl = r.ttl
	}
}

// directive takes note of a $TTL (RFC 2308 section 4). The parser has accepted the line.
func (r *lineReader) directive(line []byte) {
	if line = bytes.TrimSpace(line); len(line) < 4 || !bytes.EqualFold(line[:4], []byte("$TTL")) {
		return
	}
	parser := dns.NewZoneParser(io.MultiReader(bytes.NewReader(line), strings.NewReader("\n. A 0.0.0.0\n")), ".", "")
	if rr, ok := parser.Next(); ok {
		r.ttl, r.isDirected = rr.Header().Ttl, true
	}
}

// includedTTL is the TTL of records that give none at the beginning of a file that is included here.
func (r *lineReader) includedTTL() uint32 {
	for line := range bytes.Lines(r.text[r.after:r.offset]) {
		r.directive(line)
	}
	return r.ttl
}

// generatesTTL tells whether a $GENERATE says which TTL its records have: $GENERATE range owner [ttl] [class] type data.
func generatesTTL(line []byte) bool {
	for i, field := range bytes.Fields(line) {
		if i < 3 {
			continue
		}
		if _, isClass := dns.StringToClass[strings.ToUpper(string(field))]; !isClass {
			return '0' <= field[0] && field[0] <= '9'
		}
	}
	return false
}

// isBlankLine tells whether a line of a zone file holds no record: it is empty, a comment or a directive.
func isBlankLine(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == ';' || line[0] == '$' && !bytes.HasPrefix(bytes.ToUpper(line), []byte("$GENERATE"))
}

// Read is never called: the parser reads octets. It is what [fs.File] wants.
func (r *lineReader) Read([]byte) (int, error) {
	return 0, fmt.Errorf("read %s: want ReadByte", r.path)
}

// Stat is what [fs.File] wants.
func (r *lineReader) Stat() (fs.FileInfo, error) {
	return nil, fmt.Errorf("stat %s: not a file", r.path)
}

// Close returns to the file that included this one.
func (r *lineReader) Close() error {
	r.closed()
	return nil
}
