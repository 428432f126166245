package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/geo"
	"gtmd/geo/mmdb"
)

// differenceJSON is what geo diff prints with --json.
type differenceJSON struct {
	Old databaseJSON `json:"old"`
	New databaseJSON `json:"new"`
	*mmdb.Difference
}

func newGeoDiff() *cobra.Command {
	var by string
	var top int
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say how much of the address space two databases see differently",
		Long: `Compare two databases address by address: the share of IPv4, and of 2000::/3 in IPv6, whose
country, subdivision or AS number differs, and the biggest moves. With --by line the most specific
line of the catalogue (gtmd lines) is compared: what moves there can get other answers.`,
		Example: `  gtmd geo diff country.mmdb country-new.mmdb
  gtmd geo diff GeoLite2-City.mmdb new/GeoLite2-City.mmdb --by line`,
		Args: arguments(2, "the older and the newer database"),
		RunE: func(c *cobra.Command, args []string) error {
			databases, err := readDatabases(args)
			if err != nil {
				return err
			}
			fields, err := fieldsBy(by, databases[0].Knows|databases[1].Knows)
			if err != nil {
				return err
			}
			d := mmdb.Diff(databases[0], databases[1], fields)
			if asJSON {
				return printJSON(c.OutOrStdout(), differenceJSON{databaseOf(databases[0]), databaseOf(databases[1]), d})
			}
			return printDifference(c.OutOrStdout(), databases, d, top)
		},
	}
	c.Flags().StringVar(&by, "by", "", "compare only this: country, subdivision, asn or line (default: what the databases know)")
	c.Flags().IntVar(&top, "top", 10, "how many of the biggest moves to show")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, with all moves")
	return c
}

// fieldsBy are the fields to compare: the one called by, else those that are known.
func fieldsBy(by string, known geo.Knowledge) ([]mmdb.Field, error) {
	if by == "line" {
		finder, err := geo.NewFinder(nil)
		if err != nil {
			return nil, err
		}
		lines := map[*geo.Facts]string{}
		return []mmdb.Field{{Name: "line", Of: func(f *geo.Facts) string {
			line, ok := lines[f]
			if !ok {
				line = cmp.Or(finder.Line(f), geo.Global.String())
				lines[f] = line
			}
			return line
		}}}, nil
	}
	var fields []mmdb.Field
	knows := map[string]geo.Knowledge{"country": geo.KnowsCountry, "subdivision": geo.KnowsSubdivision, "asn": geo.KnowsASN}
	for _, field := range mmdb.Fields() {
		if field.Name == by || by == "" && known.Has(knows[field.Name]) {
			fields = append(fields, field)
		}
	}
	if by != "" && len(fields) == 0 {
		return nil, &exitError{exitUsage, fmt.Errorf("--by %q: want country, subdivision, asn or line", by)}
	}
	return fields, nil
}

func printDifference(out io.Writer, databases []*geo.Database, d *mmdb.Difference, top int) error {
	for i, name := range []string{"old", "new"} {
		database, only, other := databases[i], []int{d.NetworksLost, d.NetworksGained}[i], []string{"new", "old"}[i]
		_, err := fmt.Fprintf(out, "%s: %s, %s, built %s, %s, %s of them not so in %s\n", name, database.Path, database.Type,
			database.Built.UTC().Format(time.DateOnly), networks(database.Networks4+database.Networks6), grouped(only), other)
		if err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "share of\tIPv4\tIPv6 (2000::/3)\n")
	row := func(name string, e mmdb.Extent) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", name, percent(e.IPv4), percent(e.IPv6))
	}
	row("only in old", d.Lost)
	row("only in new", d.Gained)
	for _, f := range d.Fields {
		row(f.Name+" changed", f.Changed)
		shown := min(max(top, 0), len(f.Moves))
		for _, m := range f.Moves[:shown] {
			row("  "+orUnknown(m.From)+" -> "+orUnknown(m.To), m.Extent)
		}
		var rest mmdb.Extent
		for _, m := range f.Moves[shown:] {
			rest.IPv4, rest.IPv6 = rest.IPv4+m.IPv4, rest.IPv6+m.IPv6
		}
		if n := len(f.Moves) - shown; n > 0 {
			row("  and "+count(n, "smaller move"), rest)
		}
	}
	return w.Flush()
}

func orUnknown(value string) string {
	if value == "" {
		return "unknown"
	}
	return value
}
