package mmdb

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Kind is a format of inputs.
type Kind string

// The kinds.
const (
	Tor     Kind = "tor"     // geoip and geoip6 of tor-geoipdb: range of addresses (IPv4: as numbers), country
	RIR     Kind = "rir"     // delegated and delegated-extended files of the regional Internet registries
	IPtoASN Kind = "iptoasn" // files of iptoasn.com: range, AS number, country, name; or range, country
	CSV     Kind = "csv"     // CIDR, country, and if wanted subdivision and AS number
)

// An Input is one file to make a database of.
type Input struct {
	Path string
	// Kind is the format. Empty: it is told from the contents.
	Kind Kind
}

// ParseInput reads "PATH" or "KIND:PATH". A path that begins like a kind can be given as "./tor:file".
func ParseInput(text string) (Input, error) {
	in := Input{Path: text}
	if kind, path, ok := strings.Cut(text, ":"); ok && formats[Kind(kind)].row != nil {
		in = Input{Path: path, Kind: Kind(kind)}
	}
	if in.Path == "" {
		return Input{}, fmt.Errorf("input %q: want PATH or KIND:PATH, KIND one of %s", text, kinds())
	}
	return in, nil
}

// String is the text that ParseInput reads.
func (in Input) String() string {
	if in.Kind == "" {
		return in.Path
	}
	return string(in.Kind) + ":" + in.Path
}

func kinds() string {
	all := slices.Sorted(maps.Keys(formats))
	texts := make([]string, len(all))
	for i, kind := range all {
		texts[i] = string(kind)
	}
	return strings.Join(texts, ", ")
}

// A format is how one kind of input is read.
type format struct {
	what    string // for the description
	licence string // empty: the options say
	// row reads a line that is neither empty nor a comment. It returns a row without addresses for a line that tells
	// of no network, such as a header.
	row func(s *source, line string) (row, error)
}

// formats are the kinds of input. Licences: https://gitlab.torproject.org/tpo/core/tor (header of geoip),
// https://iptoasn.com/ (Public Domain Dedication and License), https://www.apnic.net/about-apnic/corporate-documents.
var formats = map[Kind]format{
	Tor:     {"tor-geoipdb", "CC BY-SA 4.0, IPFire location database", (*source).torRow},
	RIR:     {"RIR delegations", "public registry data", (*source).rirRow},
	IPtoASN: {"IPtoASN", "PDDL", (*source).iptoasnRow},
	CSV:     {"CSV", "", (*source).csvRow},
}

// source is an input while it is read, and what remains of it.
type source struct {
	path     string
	kind     Kind
	date     time.Time // from the contents; zero: they do not say
	modified time.Time // of the file
	columns  []string  // of a CSV input, once known
}

// name is the name of the file, without its directory.
func (s *source) name() string { return filepath.Base(s.path) }

// maxLine is the longest line of an input, in octets.
const maxLine = 1 << 16

// progressLines is how many lines are read between two reports.
const progressLines = 100_000

// read adds the spans of an input to all, and its lines that cannot be read to bad. number is its place among the inputs, and output
// the file that will be written, which cannot be one of them.
func read(in Input, number int, output string, all *collection, bad *badLines, progress func(string)) (*source, error) {
	f, err := os.Open(in.Path)
	if err != nil {
		return nil, fmt.Errorf("read an input: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read an input: %w", err)
	}
	if old, err := os.Stat(output); err == nil && os.SameFile(info, old) {
		return nil, fmt.Errorf("read an input: %s is the file to write: want another name for the database", in.Path)
	}
	text, err := unpack(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in.Path, err)
	}
	s := &source{path: in.Path, kind: in.Kind, modified: info.ModTime().UTC()}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxLine)
	rows, n := 0, 0
	for lines.Scan() {
		n++
		if n%progressLines == 0 {
			progress(fmt.Sprintf("%s: %d lines", in.Path, n))
		}
		line := strings.TrimRight(lines.Text(), "\r")
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if bytes.IndexByte(lines.Bytes(), 0) >= 0 {
			return nil, fmt.Errorf("read %s: line %d is not text: want a plain or gzip text file (a tar or zip archive: unpack it first)",
				in.Path, n)
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			if rows == 0 && s.date.IsZero() {
				s.date = commentDate(comment)
			}
			continue
		}
		if s.kind == "" {
			if s.kind, err = detect(line); err != nil {
				return nil, fmt.Errorf("read %s: line %d: %w", in.Path, n, err)
			}
		}
		r, err := formats[s.kind].row(s, line)
		if fatal := (*headerError)(nil); errors.As(err, &fatal) {
			return nil, fmt.Errorf("read %s: line %d: %w", in.Path, n, err)
		}
		if isHeader := s.kind == CSV && err == nil && !r.from.IsValid(); !isHeader {
			rows++
		}
		if err == nil && r.from.IsValid() {
			err = all.add(r, number)
		}
		if err != nil {
			bad.add(Problem{File: in.Path, Line: n, Message: err.Error()})
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("read %s: line %d is longer than %d octets: want a text file of short lines", in.Path, n+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("read %s: after line %d: %w (a truncated download?)", in.Path, n, err)
	case rows == 0:
		return nil, fmt.Errorf("read %s: it has nothing but empty lines, comments or a header", in.Path)
	}
	return s, nil
}

// headerError is about a line without which those after it have no meaning.
type headerError struct{ text string }

func (e *headerError) Error() string { return e.text }

// unpack returns the text of a file that is text or gzip of text.
func unpack(f io.Reader) (io.Reader, error) {
	text := bufio.NewReaderSize(f, 1<<18)
	magic, err := text.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return text, nil
	}
	return gzip.NewReader(text)
}

// detect tells the kind of an input from its first line that is not a comment.
func detect(line string) (Kind, error) {
	fields := commaFields(line)
	switch {
	case strings.Count(line, "\t") >= 2:
		return IPtoASN, nil
	case strings.Count(line, "|") >= 2:
		return RIR, nil
	case len(fields) == 3 && isBound(fields[0]) && isBound(fields[1]):
		return Tor, nil
	case len(fields) >= 2 && (isNetwork(fields[0]) || columnName(fields[0]) != ""):
		return CSV, nil
	}
	return "", fmt.Errorf("cannot tell the format from %q: want tor-geoipdb (start,end,CC), RIR (registry|CC|type|start|…), "+
		"IPtoASN (tab-separated start, end, AS number, CC, name) or CSV (cidr,country[,subdivision][,asn]); or name it: %s in front of the path",
		clip(line), `"tor:", "rir:", "iptoasn:" or "csv:"`)
}

// commentDate reads a date from "Generated: Thu, 25 Jun 2026 04:33:59 GMT" or "Date: 2026-06-25" in a comment.
func commentDate(comment string) time.Time {
	name, value, _ := strings.Cut(comment, ":")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "generated", "date":
	default:
		return time.Time{}
	}
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, time.RFC3339, time.DateTime, time.DateOnly} {
		if date, err := time.Parse(layout, strings.TrimSpace(value)); err == nil {
			return date.UTC()
		}
	}
	return time.Time{}
}

// clip shortens a text for a message.
func clip(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
