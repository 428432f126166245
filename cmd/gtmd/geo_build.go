package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gtmd/geo/mmdb"
)

// builtJSON is what geo build prints with --json.
type builtJSON struct {
	Path        string      `json:"path"`
	Type        string      `json:"type"`
	Built       time.Time   `json:"built"`
	Description string      `json:"description"`
	Size        int64       `json:"size"`
	Networks4   int         `json:"networks_ipv4"`
	Networks6   int         `json:"networks_ipv6"`
	Covered     mmdb.Extent `json:"covered"`
	Skipped     int         `json:"skipped"`
	Seconds     float64     `json:"seconds"`
}

func newGeoBuild() *cobra.Command {
	o := mmdb.BuildOptions{Version: release}
	var date string
	var asJSON, progress bool
	c := &cobra.Command{
		Use:   "build -o FILE INPUT...",
		Short: "Make a database from free sources",
		Long: `Make a database of countries, subdivisions and AS numbers from free sources, without an
account anywhere. An INPUT is a file, plain or gzip:

  tor      geoip and geoip6 of Debian's tor-geoipdb (start,end,CC)
  rir      delegated and delegated-extended files of the Internet registries
  iptoasn  tab-separated files of iptoasn.com: ip2asn and ip2country
  csv      cidr,country[,subdivision][,asn], with or without a header that names the columns

The format is told from the contents; KIND:PATH names it. Inputs may be any number, the
weakest first: where two know the country (or the AS number) of an address, the later one
counts. In one input the narrower network counts. "Europe" and "Asia-Pacific" (EU, AP) are
no countries: not known. Lines that begin with # are comments; "# Date: 2026-06-25" dates a file.

The file is replaced at once when the new one is complete; a running gtmd picks it up.`,
		Example: `  gtmd geo build -o country.mmdb /usr/share/tor/geoip /usr/share/tor/geoip6
  gtmd geo build -o country-asn.mmdb ip2asn-combined.tsv.gz geoip geoip6 csv:ours.csv`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || o.Output == "" {
				return wanted(c, "the file to make and its inputs")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			for _, arg := range args {
				in, err := mmdb.ParseInput(arg)
				if err != nil {
					return &exitError{exitUsage, err}
				}
				o.Inputs = append(o.Inputs, in)
			}
			var err error
			if o.Date, err = parseDate(date); err != nil {
				return &exitError{exitUsage, err}
			}
			if progress || isTerminal(os.Stderr) {
				o.Progress = func(text string) { fmt.Fprintln(c.ErrOrStderr(), text) }
			}
			return geoBuild(c.OutOrStdout(), c.ErrOrStderr(), o, asJSON)
		},
	}
	c.Flags().StringVarP(&o.Output, "output", "o", "", "file to make")
	c.Flags().StringVar(&date, "date", "", "date of the database, such as 2026-06-25 or 2026-06-25T04:30:00Z (default: that of the newest input)")
	c.Flags().StringVar(&o.Licence, "licence", "own", "licence of the csv inputs, for the description")
	c.Flags().BoolVar(&o.SkipBad, "skip-bad", false, "leave out lines that cannot be read, and count them")
	c.Flags().BoolVar(&progress, "progress", false, "say what is going on, also when standard error is no terminal")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// parseDate reads a date or a time; empty: zero.
func parseDate(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if date, err := time.Parse(layout, text); err == nil && date.Unix() > 0 {
			return date, nil
		}
	}
	return time.Time{}, fmt.Errorf("--date %q: want a date such as 2026-06-25 or 2026-06-25T04:30:00Z", text)
}

func geoBuild(out, errOut io.Writer, o mmdb.BuildOptions, asJSON bool) error {
	start := time.Now()
	b, err := mmdb.Build(o)
	if problems, ok := errors.AsType[*mmdb.Problems](err); ok {
		fmt.Fprintln(errOut, problems)
		return fmt.Errorf("%s is not written: %s cannot be read (--skip-bad leaves them out)", o.Output, count(problems.Total, "line"))
	}
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	if asJSON {
		return printJSON(out, builtJSON{b.Path, b.Type, b.Date, b.Description, b.Size, b.Networks4, b.Networks6, b.Covered, b.Skipped, took})
	}
	if b.Skipped > 0 {
		fmt.Fprintf(errOut, "left out: %s that cannot be read\n", count(b.Skipped, "line"))
	}
	_, err = fmt.Fprintf(out, "%s: %s of %s, IPv4 %s (%s), IPv6 %s (%s of 2000::/3), %s, made in %.1f s\n", b.Path, b.Type,
		b.Date.Format(time.DateOnly), networks(b.Networks4), percent(b.Covered.IPv4), networks(b.Networks6), percent(b.Covered.IPv6),
		octets(b.Size), took)
	return err
}
