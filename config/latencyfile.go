package config

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// maxRowErrors is how many problems are reported for the rows of one file.
const maxRowErrors = 20

// latencyColumns are the columns of a latency file, and the fields of its first line.
var latencyColumns = []string{"from", "pool", "ms"}

// maxLatency is the longest round-trip time, in milliseconds, as in the range of policy.LatencyOptions.
const maxLatency = 60000

// latencyReader reads one latency file: CSV (RFC 4180) with a header, in which blank lines and lines that begin with # do
// not count, and neither does white space around a field.
type latencyReader struct {
	name     string
	csv      *csv.Reader
	entries  []latencyEntry
	problems Problems
}

// readLatency reads the text of the latency file with this name. Rows with problems are left out.
func readLatency(name string, text []byte) ([]latencyEntry, Problems) {
	r := &latencyReader{name: name, csv: csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte(byteOrderMark))))}
	r.csv.Comment, r.csv.FieldsPerRecord, r.csv.TrimLeadingSpace = '#', -1, true
	want := strings.Join(latencyColumns, ",")
	header, ok := r.row()
	switch {
	case ok && strings.Join(header, ",") != want:
		line, _ := r.csv.FieldPos(0)
		r.problem(line, 1, "", "the first line is %s: want the header %q", quote(strings.Join(header, ",")), want)
		return nil, r.problems
	case !ok && len(r.problems) == 0:
		r.problem(1, 0, "", "the file is empty: want the header %q and a line for each latency", want)
	}
	for ok && len(r.problems) < maxRowErrors {
		var fields []string
		if fields, ok = r.row(); ok {
			r.entry(fields)
		}
	}
	return r.entries, r.problems
}

// row returns the fields of the next row that counts. It reports false at the end, and at an error of syntax, after which
// nobody knows where the next row begins.
func (r *latencyReader) row() ([]string, bool) {
	for {
		fields, err := r.csv.Read()
		if errors.Is(err, io.EOF) {
			return nil, false
		}
		if syntax, ok := errors.AsType[*csv.ParseError](err); ok {
			r.problem(syntax.Line, syntax.Column, "", "%v: want a row such as %q", syntax.Err, "country:JP,tokyo,35")
			return nil, false
		}
		if err != nil {
			r.problem(0, 0, "", "reading the rows: %v", err)
			return nil, false
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if isBlank := len(fields) == 1 && fields[0] == ""; !isBlank && !strings.HasPrefix(fields[0], "#") {
			return fields, true
		}
	}
}

// entry adds the entry of one row.
func (r *latencyReader) entry(fields []string) {
	line, _ := r.csv.FieldPos(0)
	if len(fields) != len(latencyColumns) {
		r.problem(line, 1, "", "the row has %d columns: want %d, %s", len(fields), len(latencyColumns), enumerate(latencyColumns, "and"))
		return
	}
	good := true
	for i, field := range fields {
		if field == "" {
			r.field(i, "must not be empty")
			good = false
		}
	}
	if !good {
		return
	}
	ms, err := strconv.ParseFloat(fields[2], 64)
	switch {
	case err != nil || math.IsNaN(ms) || math.IsInf(ms, 0):
		r.field(2, "%s is no number: want milliseconds, such as 35 or 35.5", quote(fields[2]))
		return
	case ms < 0 || ms > maxLatency:
		r.field(2, "%v is out of range: want 0 to %d", ms, maxLatency)
		return
	}
	r.entries = append(r.entries, latencyEntry{
		Latency: Latency{From: fields[0], Pool: fields[1], MS: ms, At: r.at(0)}, pool: r.at(1), isRow: true,
	})
}

// at is the place of a field of the current row, as a problem without a message.
func (r *latencyReader) at(column int) Problem {
	line, offset := r.csv.FieldPos(column)
	return Problem{File: r.name, Line: line, Column: offset, Key: latencyColumns[column]}
}

// field adds a problem of a field of the current row.
func (r *latencyReader) field(column int, format string, args ...any) {
	at := r.at(column)
	r.problem(at.Line, at.Column, at.Key, at.Key+": "+format, args...)
}

func (r *latencyReader) problem(line, column int, key, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.name, Line: line, Column: column, Key: key, Message: fmt.Sprintf(format, args...)})
}
