package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gtmd/geo"
)

// lineJSON is one line of the catalogue for scripts.
type lineJSON struct {
	geo.Line
	// Needs is what must be there for the line to match a client.
	Needs string `json:"needs,omitempty"`
	// Matched is whether a client can match the line with this configuration; it is left out without one. Missing says why not.
	Matched *bool  `json:"matched,omitempty"`
	Missing string `json:"missing,omitempty"`
}

// world is what a configuration has to tell clients apart by.
type world struct {
	options geo.Options
	knows   geo.Knowledge
}

func newLines() *cobra.Command {
	var search, kind, file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "lines",
		Short: "List the request sources that gtmd knows by name",
		Long: `List the catalogue of lines: what the sources of access policies can be, besides custom lines
and plain selectors (continent:AS country:JP subdivision:CN-GD city:1809858 asn:4134 isp:telecom).

With a configuration (--config, or /etc/gtmd/gtmd.toml when it is there) its custom lines and
providers are listed too, and for each line whether its databases can match it.

Exit code 1 when no line is what was asked for; --json prints [] then.`,
		Example: `  gtmd lines --search guangdong
  gtmd lines --kind isp --config /etc/gtmd/gtmd.toml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			here, err := configuredWorld(c.ErrOrStderr(), file, c.Flags().Changed("config"))
			if err != nil {
				return err
			}
			all := allLines(here)
			if err := checkKind(all, kind); err != nil {
				return err
			}
			found := []lineJSON{}
			for _, line := range all {
				if (kind == "" || line.Kind == kind) && lineHas(line.Line, search) {
					found = append(found, lineOf(line, here))
				}
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), found); err != nil {
					return err
				}
			}
			switch {
			case len(found) == 0:
				return nothingFound(search, kind)
			case asJSON:
				return nil
			}
			return printLines(c.OutOrStdout(), found)
		},
	}
	c.Flags().StringVar(&search, "search", "", "only lines with this text in code, aliases or names (English, Chinese)")
	c.Flags().StringVar(&kind, "kind", "", `only lines of this kind, such as "isp province"`)
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "say what the databases of this configuration file can match")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// nothingFound says, for people, that no line is what was asked for; the answer is no, with JSON too.
func nothingFound(search, kind string) error {
	of := ""
	if kind != "" {
		of = fmt.Sprintf(" of kind %q", kind)
	}
	return fmt.Errorf("no line%s has %q in its code, aliases or names", of, search)
}

// configuredWorld reads a configuration and its databases; nil without one. The default file may be missing, and what is wrong with
// it is only noted, as is what is wrong with a database.
func configuredWorld(errOut io.Writer, file string, wanted bool) (*world, error) {
	if _, err := os.Stat(file); err != nil && !wanted {
		return nil, nil
	}
	options, err := configuredGeo(file)
	if err != nil {
		if wanted {
			return nil, err
		}
		fmt.Fprintf(errOut, "note: the configuration does not load, so it is not said which lines can match:\n%s\n", indent(err.Error()))
		return nil, nil
	}
	w := &world{options: options}
	for _, path := range options.Databases {
		d, err := geo.ReadDatabase(path)
		if err != nil {
			fmt.Fprintf(errOut, "note: left out: %v\n", err)
			continue
		}
		w.knows |= d.Knows
	}
	return w, nil
}

// customKind is the kind of the lines of the configuration, which the catalogue has not.
const customKind = "custom line"

// allLines are the lines of the configuration and those of the catalogue.
func allLines(here *world) []catalogued {
	var all []catalogued
	known := map[string]bool{}
	for _, line := range geo.Catalogue() {
		known[line.Code] = true
		for _, alias := range line.Aliases {
			known[alias] = true
		}
		all = append(all, catalogued{line, line.Needs()})
	}
	if here == nil {
		return all
	}
	var own []catalogued
	for _, line := range here.options.Lines {
		if !known[line.Name] {
			own = append(own, catalogued{geo.Line{Code: line.Name, Name: line.Name, Kind: customKind}, ""})
		}
	}
	for _, isp := range here.options.ISPs {
		if code := "isp:" + isp.Name; !known[code] {
			needs := ""
			if s, err := geo.ParseSelector(code, here.options.Lines, here.options.ISPs); err == nil {
				needs = s.Missing(0, here.options.ISPs)
			}
			own = append(own, catalogued{geo.Line{Code: code, Name: isp.Name, Kind: "isp"}, needs})
		}
	}
	return append(own, all...)
}

// catalogued is a line and what it needs.
type catalogued struct {
	geo.Line
	needs string
}

// lineOf says whether a line can match in a world, which may be nil.
func lineOf(line catalogued, here *world) lineJSON {
	l := lineJSON{Line: line.Line, Needs: line.needs}
	if here == nil {
		return l
	}
	s, err := geo.ParseSelector(line.Code, here.options.Lines, here.options.ISPs)
	if err != nil {
		l.Missing = line.needs // prefixes, or the networks of a provider
	} else {
		l.Missing = s.Missing(here.knows, here.options.ISPs)
	}
	matched := l.Missing == ""
	l.Matched = &matched
	return l
}

// lineHas reports whether a text is in the code, an alias or a name, without regard to case.
func lineHas(line geo.Line, text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(append([]string{line.Code, line.Name, line.NameZH}, line.Aliases...), func(word string) bool {
		return strings.Contains(strings.ToLower(word), text)
	})
}

func checkKind(all []catalogued, kind string) error {
	var kinds []string
	for _, line := range all {
		if !slices.Contains(kinds, line.Kind) {
			kinds = append(kinds, line.Kind)
		}
	}
	if kind == "" || kind == customKind || slices.Contains(kinds, kind) {
		return nil
	}
	return &exitError{exitUsage, fmt.Errorf("--kind %q: want one of %s", kind, strings.Join(kinds, ", "))}
}

// printLines writes lines for people. The Chinese name is last: its letters are wider than others.
func printLines(out io.Writer, lines []lineJSON) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	need := "NEEDS"
	if lines[0].Matched != nil {
		need = "CAN MATCH"
	}
	fmt.Fprintf(w, "CODE\tKIND\tPARENT\t%s\tNAME\n", need)
	for _, l := range lines {
		needs, parent, name := l.Needs, l.Parent, l.Name
		switch {
		case l.Matched != nil && *l.Matched:
			needs = "yes"
		case l.Matched != nil:
			needs = "no, needs " + l.Missing
		}
		if l.NameZH != "" {
			name += " / " + l.NameZH
		}
		code := l.Code
		if len(l.Aliases) > 0 {
			code += " (" + strings.Join(l.Aliases, ", ") + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", code, l.Kind, orDash(parent), orDash(needs), name)
	}
	return w.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
