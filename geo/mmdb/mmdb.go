// Package mmdb makes and compares files of the MaxMind DB format from free sources: country and AS data that needs no
// account. Package geo reads the files; this package is not part of serving.
//
//	Input -> lines -> spans -> overlay -> runs -> networks -> file      Build
//	two geo.Databases -> their networks, side by side -> moves          Diff
//
// A span is what one line of an input knows of a range of addresses; a run is what all inputs together know of one.
package mmdb

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// BuildOptions say what Build makes of what.
type BuildOptions struct {
	// Output is the file to write. A file of that name is replaced at once, when the new one is complete.
	Output string
	// Inputs, the weakest first: where two know a country (or an AS number), the later one counts.
	Inputs []Input
	// Date is the date of the database. Zero: that of the newest input. When it is given, the result depends on nothing
	// but the options and the contents of the inputs.
	Date time.Time
	// Licence is that of the CSV inputs. Empty: "own".
	Licence string
	// Version of the program, for the description.
	Version string
	// SkipBad leaves out lines that cannot be read.
	SkipBad bool
	// Progress is told now and then what is going on. Nil: nobody is.
	Progress func(text string)
}

// Built says what Build made.
type Built struct {
	Path, Type, Description string
	Date                    time.Time // UTC
	Size                    int64     // octets
	// Networks4 and Networks6 are how many networks have a record, and Covered is how much of the address space they are.
	Networks4, Networks6 int
	Covered              Extent
	Skipped              int // lines that could not be read, with SkipBad
}

// Build makes a database, and reads it as the server would before it takes its place. Equal inputs with equal options give equal files. The error is a *[Problems] when lines cannot be read;
// then, as with every other error, the output is as it was.
func Build(o BuildOptions) (*Built, error) {
	if len(o.Inputs) == 0 {
		return nil, errors.New("make a database: there is no input")
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	var all collection
	var sources []*source
	var bad badLines
	for i, in := range o.Inputs {
		s, err := read(in, i, o.Output, &all, &bad, o.Progress)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	if bad.total > 0 && !o.SkipBad {
		return nil, bad.problems()
	}
	o.Progress("putting the inputs together")
	v4, v6 := overlay(all.v4, 32), overlay(all.v6, 128)
	built := &Built{Path: o.Output, Type: typeOf(v4, v6), Date: dateOf(o.Date, sources), Skipped: bad.total}
	if built.Type == "" {
		return nil, fmt.Errorf("make a database: no input knows a country or an AS number of any network (%s)", names(sources))
	}
	built.Description = describe(o, sources)
	o.Progress("writing " + o.Output)
	if err := write(built, v4, v6); err != nil {
		return nil, fmt.Errorf("write the database %s: %w", o.Output, err)
	}
	return built, nil
}

// typeOf names the type of a database by what its runs know; empty when that is nothing.
func typeOf(families ...[]run) string {
	var country, subdivision, asn bool
	for _, runs := range families {
		for _, r := range runs {
			country = country || r.facts.country != [2]byte{}
			subdivision = subdivision || r.facts.subdivision != [3]byte{}
			asn = asn || r.facts.asn != 0
		}
	}
	switch {
	case subdivision:
		return "gtmd-City"
	case country && asn:
		return "gtmd-Country-ASN"
	case country:
		return "gtmd-Country"
	case asn:
		return "gtmd-ASN"
	}
	return ""
}

// dateOf is the date of the database: the wanted one, else that of the newest source.
func dateOf(want time.Time, sources []*source) time.Time {
	if want.IsZero() {
		for _, s := range sources {
			date := s.date
			if date.IsZero() {
				date = s.modified
			}
			if date.After(want) {
				want = date
			}
		}
	}
	return want.UTC().Truncate(time.Second)
}

// describe names the sources, their dates and their licences, in the order of the options. The time of a file counts for a
// source without a date, unless the date of the database was given.
func describe(o BuildOptions, sources []*source) string {
	var texts []string
	for _, s := range sources {
		text := s.name() + ": " + formats[s.kind].what
		switch {
		case !s.date.IsZero():
			text += ", " + s.date.Format(time.DateOnly)
		case o.Date.IsZero():
			text += ", file of " + s.modified.Format(time.DateOnly)
		}
		licence := formats[s.kind].licence
		if licence == "" {
			if licence = o.Licence; licence == "" {
				licence = "own"
			}
		}
		texts = append(texts, text+" (licence: "+licence+")")
	}
	return "Made by gtmd " + o.Version + " of " + strings.Join(texts, "; ")
}

func names(sources []*source) string {
	var all []string
	for _, s := range sources {
		all = append(all, s.path)
	}
	return strings.Join(all, ", ")
}
